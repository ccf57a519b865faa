//! Both ends of TLS, played by Python's `ssl`. Entry points: [`dial`], [`Load`], [`TlsService`].

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use crate::peer::{Events, Peer, scripts};
use crate::python::{pipe_through, python_with};

fn python() -> std::path::PathBuf {
    python_with("cryptography").expect("the packages of tests/peers/requirements.txt")
}

/// What became of a connection.
#[derive(Debug)]
pub struct Shaken(Value);

impl Shaken {
    /// Whether the handshake and all that followed went well.
    pub fn ok(&self) -> bool {
        self.0["ok"] == true
    }

    /// What went wrong.
    pub fn why(&self) -> &str {
        self.text("why")
    }

    /// The names in the certificate.
    pub fn names(&self) -> Vec<&str> {
        self.0["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Its serial number.
    pub fn serial(&self) -> u64 {
        self.0["serial"].as_u64().unwrap_or(0)
    }

    /// `version`, `cipher`, `alpn`, `key` or `response`.
    pub fn text(&self, what: &str) -> &str {
        self.0[what].as_str().unwrap_or("")
    }

    /// Whether a session was resumed.
    pub fn reused(&self) -> bool {
        self.0["reused"] == true
    }

    /// The status of the response; 0 if there was none.
    pub fn status(&self) -> u16 {
        let line = self.text("response").strip_prefix("HTTP/1.1 ");
        line.and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
    }
}

/// A request for `/path` on a host, on a connection that ends with it.
pub fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// Connects as `peers/tls_client.py` understands it; one result for each connection.
pub fn dial(address: SocketAddr, mut job: Value) -> Vec<Shaken> {
    job["address"] = json!(address.to_string());
    let printed = pipe_through(&python(), &scripts().join("tls_client.py"), format!("{job}\n").as_bytes());
    let results: Vec<Value> = serde_json::from_str(&printed).unwrap();
    results.into_iter().map(Shaken).collect()
}

/// Clients that connect again and again.
pub struct Load {
    peer: Peer,
    stdin: ChildStdin,
}

impl Load {
    /// Begins.
    pub fn start(address: SocketAddr, mut job: Value) -> Load {
        job["address"] = json!(address.to_string());
        job["load"] = json!(3);
        let mut command = Command::new(python());
        command.arg(scripts().join("tls_client.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut peer = Peer(command.spawn().unwrap());
        let mut stdin = peer.0.stdin.take().unwrap();
        writeln!(stdin, "{job}").unwrap();
        Load { peer, stdin }
    }

    /// Ends. How many connections there were, the serial numbers that they saw, and those that failed.
    pub fn finish(self) -> (u64, Vec<u64>, Vec<String>) {
        let Load { mut peer, stdin } = self;
        drop(stdin);
        let mut printed = String::new();
        peer.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let told: Value = serde_json::from_str(&printed).unwrap();
        let list = |name: &str| told[name].as_array().unwrap().iter();
        let serials = list("serials").filter_map(Value::as_u64).collect();
        (told["count"].as_u64().unwrap(), serials, list("failures").map(ToString::to_string).collect())
    }
}

/// A service over TLS.
pub struct TlsService {
    events: Events,
    address: SocketAddr,
    _stdin: ChildStdin,
    _peer: Peer,
}

impl TlsService {
    /// Starts one with a setup as `peers/tls_service.py` understands it.
    #[expect(clippy::needless_pass_by_value, reason = "setups are written in place")]
    pub fn start(setup: Value) -> TlsService {
        let mut command = Command::new(python());
        command.arg("-u").arg(scripts().join("tls_service.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut peer = Peer(command.spawn().unwrap());
        let mut stdin = peer.0.stdin.take().unwrap();
        writeln!(stdin, "{setup}").unwrap();
        let events = Events::of(&mut peer.0);
        let port = events.take("listening", |_| true)["port"].as_u64().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        TlsService { events, address, _stdin: stdin, _peer: peer }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happened there: `handshake`, `failed`, `request`.
    pub fn events(&self) -> &Events {
        &self.events
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{TlsService, dial, get};
    use crate::Folder;
    use crate::certificates::{Authority, Wish};

    #[test]
    fn a_client_and_a_service_shake_hands() {
        let (folder, authority) = (Folder::new(), Authority::new("tests"));
        let identity = authority.sign(&Wish::server(&["a.test"]));
        let (cert, key) = (folder.write("cert", &identity.cert), folder.write("key", &identity.key));
        let client = authority.sign(&Wish::client("someone"));
        let (shown, with) = (folder.write("client", &client.cert), folder.write("client.key", &client.key));
        let ca = folder.write("ca", authority.cert());
        let service = TlsService::start(json!({ "cert": cert, "key": key, "ca": ca }));
        let mut job = json!({ "name": "a.test", "ca": ca, "request": get("a.test", "/close") });
        assert!(!dial(service.address(), job.clone())[0].ok(), "a certificate is wanted");
        service.events().take("failed", |_| true);
        job["cert"] = json!(shown);
        job["key"] = json!(with);
        job["then"] = json!({});
        for split in ["", "segments", "records"] {
            job["split"] = json!(split);
            let results = dial(service.address(), job.clone());
            assert_eq!(
                results.iter().map(super::Shaken::status).collect::<Vec<_>>(),
                [200, 200],
                "{results:?}"
            );
            assert_eq!(results[0].names(), ["a.test"]);
            let shaken = service.events().take("handshake", |_| true);
            assert_eq!((&shaken["name"], &shaken["client"]), (&json!("a.test"), &json!("someone")));
            assert!(service.events().take("handshake", |_| true)["reused"] == split.is_empty());
        }
        let other = folder.write("other", Authority::new("other").cert());
        assert!(!dial(service.address(), json!({ "name": "a.test", "ca": other }))[0].ok());
    }
}
