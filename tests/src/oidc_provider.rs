//! A real provider of OpenID Connect: `oidc-provider` of npm, in the version of `peers/oidc_provider`. Entry points:
//! [`installed`], [`Provider::start`], [`form`].

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::peer::{Events, Peer, missing, scripts};
use crate::{Client, Message, free_address};

/// How long a busy machine may take to start it. It makes a key of RSA.
const PATIENCE: Duration = Duration::from_secs(20);

/// The oldest Node.js that it runs on.
const OLDEST: u32 = 20;

/// The folder with the package, which is installed there once; `None` where it cannot be had, which is said.
pub fn installed() -> Option<&'static Path> {
    // Several tests may ask at a time.
    static INSTALLED: LazyLock<Option<PathBuf>> = LazyLock::new(|| match install() {
        Ok(folder) => Some(folder),
        Err(why) => {
            missing("OpenID Connect by oidc-provider", &why);
            None
        }
    });
    INSTALLED.as_deref()
}

/// Installs the package where it is not there, or is another one. Errors: why that does not work, in words.
fn install() -> Result<PathBuf, String> {
    let run = |command: &mut Command| {
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("there is no Node.js with npm: {error}"))?;
        let [said, errors] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if output.status.success() { Ok(said) } else { Err(errors) }
    };
    let version = run(Command::new("node").arg("--version"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST) {
        return Err(format!("Node.js is {}, and at least {OLDEST} is needed", version.trim()));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/tools/oidc-provider");
    let pinned = std::fs::read(scripts().join("oidc_provider/package-lock.json")).unwrap();
    let mark = folder.join("installed.json");
    if std::fs::read(&mark).is_ok_and(|installed| installed == pinned) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(scripts().join("oidc_provider").join(name), folder.join(name)).unwrap();
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]);
    run(install.current_dir(&folder))?;
    std::fs::write(&mark, pinned).unwrap();
    Ok(folder)
}

/// A running provider.
pub struct Provider {
    setup: Value,
    address: SocketAddr,
    events: Events,
    stdin: ChildStdin,
    _peer: Peer,
}

impl Provider {
    /// Starts one with a setup as `peers/oidc_provider/server.mjs` understands it, and waits until it listens: on a free
    /// address if the setup names none. `None` where it cannot be had.
    pub fn start(mut setup: Value) -> Option<Provider> {
        let folder = installed()?;
        let address = match setup["address"].as_str() {
            Some(address) => address.parse().unwrap(),
            None => free_address(),
        };
        setup["address"] = json!(address.to_string());
        let mut command = Command::new("node");
        command.arg(scripts().join("oidc_provider/server.mjs")).arg(folder);
        let mut peer = Peer(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        let (mut stdin, events) = (peer.0.stdin.take().unwrap(), Events::of(&mut peer.0));
        writeln!(stdin, "{setup}").unwrap();
        let Some(listening) = events.find(PATIENCE, "listening", |_| true) else {
            panic!("oidc-provider does not start; it has said:\n{}", events.show())
        };
        setup["keys"] = listening["keys"].clone();
        Some(Provider { setup, address, events, stdin, _peer: peer })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As it names itself.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happened there: `GET /jwks` for a request, `grant`, `told` and their kin.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// How often something has happened until now, of what nobody has taken from the events.
    pub fn count(&self, event: &str) -> usize {
        writeln!(&self.stdin, "{{}}").unwrap();
        assert!(self.events.find(PATIENCE, "that is all", |_| true).is_some(), "{}", self.events.show());
        self.events.count(event)
    }

    /// The ids of the keys that it publishes.
    pub fn key_ids(&self) -> Vec<&str> {
        self.setup["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
    }

    /// Changes members of the setup. It knows the sessions and tokens of before.
    pub fn change(&mut self, members: Value) {
        writeln!(self.stdin, "{members}").unwrap();
        let Some(changed) = self.events.find(PATIENCE, "changed", |_| true) else {
            panic!("oidc-provider does not change; it has said:\n{}", self.events.show())
        };
        let Value::Object(members) = members else { panic!("members of the setup") };
        self.setup.as_object_mut().unwrap().extend(members);
        self.setup["keys"] = changed["keys"].clone();
    }

    /// Ends it. What is returned starts another one with the same keys at the same address.
    pub fn stop(self) -> Value {
        self.setup
    }

    /// An access token for a client itself (RFC 6749 §4.4), for a resource (RFC 8707): a JWT by RFC 9068.
    pub fn token(&self, client: &str, resource: &str, scope: &str) -> String {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", "secret"),
            ("resource", resource),
            ("scope", scope),
        ];
        let answer = self.post("/token", &form(&fields));
        let token: Value = serde_json::from_slice(&answer.body).unwrap();
        token["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("no token for {resource}:\n{answer}"))
            .to_owned()
    }

    fn post(&self, path: &str, body: &str) -> Message {
        Client::connect(self.address).ask(format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        ))
    }
}

/// A client for [`Provider::token`], for a setup.
pub fn machine(name: &str) -> Value {
    json!({
        "client_id": name,
        "client_secret": "secret",
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
    })
}

/// Fields as forms have them (`application/x-www-form-urlencoded`).
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Provider, form, machine};

    #[test]
    fn it_issues_tokens_and_goes_on_with_other_keys() {
        assert_eq!(form(&[("a b", "c&d=é"), ("e", "")]), "a%20b=c%26d%3D%C3%A9&e=");
        let resources = json!({ "https://api.test/": { "alg": "ES256", "scope": "read write" } });
        let setup = json!({ "keys": ["P-256"], "clients": [machine("robot")], "resources": resources });
        let Some(mut provider) = Provider::start(setup) else { return };
        assert_eq!(provider.token("robot", "https://api.test/", "read").split('.').count(), 3);
        assert_eq!(provider.count("POST /token"), 1);
        let before = provider.key_ids()[0].to_owned();
        provider.change(json!({ "keys": ["P-256"] }));
        let setup = provider.stop();
        let again = Provider::start(setup.clone()).unwrap();
        assert_eq!(again.issuer(), format!("http://{}", setup["address"].as_str().unwrap()));
        assert!(again.key_ids().len() == 1 && again.key_ids()[0] != before);
    }
}
