//! Certificates by ACME: the real binary and a real authority, from the configuration file to what clients see.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use end_to_end::certificates::{Authority, Wish};
use end_to_end::pebble::{self, Pebble, installed};
use end_to_end::peer::{Events, Peer, outcome_of, scripts};
use end_to_end::{Folder, Gateway, Setup, free_address, wait_until};
use serde_json::Value;

const NINETY_DAYS: u64 = 90 * 86_400;
/// Long enough for an order on a busy machine, and for the pause after a first failure.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a gateway and an authority agree about.
struct World {
    authority: Authority,
    /// Where the authority is, or will be.
    pebble: pebble::Setup,
    state: Folder,
}

impl World {
    fn new(validity: u64) -> World {
        let [address, http, tls] = [(); 3].map(|()| free_address());
        let pebble = pebble::Setup { address, http, tls, validity };
        World { authority: Authority::new("authority of the directory"), pebble, state: Folder::new() }
    }

    fn pebble(&self) -> Pebble {
        Pebble::start(&self.authority, &self.pebble)
    }

    /// A configuration with a plain listener, and one with certificates by ACME.
    fn yaml(&self, acme: &str) -> String {
        let pebble::Setup { address, http, tls, .. } = self.pebble;
        format!(
            "state_dir: {}\nadmin: 127.0.0.1:0\nlisten:\n- {http}\n- address: {tls}\n  tls:\n    acme: {{ \
             directory: \"https://{address}/dir\", ca: ca.pem, {acme} }}\n\
             routes: [{{ path: /*, respond: {{ body: hello }} }}]\n",
            self.state.path().display()
        )
    }

    fn setup(&self, yaml: String) -> Setup {
        let ca = ("ca.pem".to_owned(), self.authority.cert().to_owned());
        Setup { files: vec![ca], ..Setup::new(yaml) }
    }

    fn gateway(&self, acme: &str) -> Gateway {
        self.setup(self.yaml(acme)).start()
    }

    /// A file in the folder of a host.
    fn kept(&self, host: &str, name: &str) -> PathBuf {
        self.state.path().join("acme/certificates").join(host).join(name)
    }

    fn read(&self, host: &str, name: &str) -> String {
        std::fs::read_to_string(self.kept(host, name)).unwrap()
    }

    fn account(&self) -> String {
        let files: Vec<_> = std::fs::read_dir(self.state.path().join("acme/accounts")).unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        std::fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap()
    }
}

/// Asks for a page of a host as browsers do: the certificate must be for the host, and lead to the roots.
fn fetch(address: SocketAddr, host: &str, roots: &Path) -> Result<String, String> {
    let (port, url) = (address.port(), format!("https://{host}:{}/", address.port()));
    let resolve = format!("{host}:{port}:127.0.0.1");
    let roots = roots.to_str().unwrap();
    let arguments =
        ["-sS", "--max-time", "20", "--noproxy", "*", "--cacert", roots, "--resolve", &resolve, &url];
    let (well, text) = outcome_of("curl", &arguments);
    if well { Ok(text) } else { Err(text) }
}

fn wait_for_page(address: SocketAddr, host: &str, roots: &Path) {
    wait_until("a client gets its page", PATIENCE, || fetch(address, host, roots).as_deref() == Ok("hello"));
}

/// What the admin listener says of the orders of the first listener that has some, by host.
fn orders(gateway: &Gateway) -> Vec<Value> {
    let listeners = certificates(gateway);
    let with = listeners.iter().find(|listener| !listener["acme"].is_null()).unwrap();
    with["acme"]["hosts"].as_array().unwrap().clone()
}

fn certificates(gateway: &Gateway) -> Vec<Value> {
    let (status, text) = gateway.ask_admin("/certificates");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["listeners"].as_array().unwrap().clone()
}

fn count_orders(gateway: &Gateway, host: &str, result: &str) -> f64 {
    gateway.metric(&format!("gateward_acme_orders_total{{host=\"{host}\",result=\"{result}\"}}"))
}

/// A client that keeps its connection.
struct Kept {
    stdin: ChildStdin,
    events: Events,
    certificate: String,
    _peer: Peer,
}

impl Kept {
    fn connect(address: SocketAddr, host: &str, roots: &Path) -> Kept {
        let mut command = Command::new("python3");
        command.arg(scripts().join("tls_pages.py")).args(["127.0.0.1", &address.port().to_string(), host]);
        command.arg(roots).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (events, stdin) = (Events::of(&mut child), child.stdin.take().unwrap());
        let certificate = events.take("connected", |_| true)["certificate"].to_string();
        Kept { stdin, events, certificate, _peer: Peer(child) }
    }

    fn ask(&mut self) -> Value {
        self.stdin.write_all(b"/\n").unwrap();
        self.events.take("answer", |_| true)
    }
}

#[test]
fn several_hosts_by_http_01_and_a_restart() {
    if !installed() {
        return;
    }
    let world = World::new(NINETY_DAYS);
    let pebble = world.pebble();
    let acme = "email: ops@a.example, hosts: [a.example, b.example, c.example]";
    // The authority is answered although everybody else is sent to https.
    let http = world.pebble.http;
    let redirecting = format!("- {{ address: {http}, redirect_https: true }}\n");
    let gateway = world.setup(world.yaml(acme).replace(&format!("- {http}\n"), &redirecting)).start();
    assert_eq!(gateway.connect().get("/").status(), 308);
    for host in ["a.example", "b.example", "c.example"] {
        wait_for_page(world.pebble.tls, host, &pebble.roots);
        gateway.wait_for(&format!("gateward: acme: obtained a certificate for {host}, valid until 20"), 0);
        assert_eq!(count_orders(&gateway, host, "obtained"), 1.0);
        assert_eq!(count_orders(&gateway, host, "failed"), 0.0);
        let series = format!(
            "gateward_certificate_expiry_timestamp_seconds{{listener=\"{}\",name=\"{host}\"}}",
            world.pebble.tls
        );
        wait_until("its end is a number", PATIENCE, || gateway.metric(&series) > 1.7e9);
    }
    let listeners = certificates(&gateway);
    assert_eq!(listeners.len(), 1, "the plain one shows no certificates: {listeners:?}");
    let shown = listeners[0]["certificates"].as_array().unwrap();
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|one| one["from"] == "acme" && one["days_left"] == 89), "{shown:?}");
    for order in orders(&gateway) {
        assert_eq!((&order["state"], &order["last_failure"]), (&"waiting".into(), &Value::Null), "{order}");
        assert!(order["last_success"].is_string() && order["next_try"].is_string(), "{order}");
    }
    assert!(fetch(world.pebble.tls, "d.example", &pebble.roots).is_err(), "nobody has ordered that");
    gateway.stop();

    // A restart orders nothing again, and uses what there is from the first moment on.
    let (account, chain) = (world.account(), world.read("a.example", "cert.pem"));
    let gateway = world.gateway(acme);
    assert_eq!(fetch(world.pebble.tls, "a.example", &pebble.roots).as_deref(), Ok("hello"));
    gateway.wait_for("gateward: acme: the certificate of a.example is valid until 20", 0);
    // A host more is another order by the same account, and those that are there are left alone.
    gateway.reload(&world.yaml("email: ops@a.example, hosts: [a.example, b.example, c.example, d.example]"));
    wait_for_page(world.pebble.tls, "d.example", &pebble.roots);
    assert_eq!((world.account(), world.read("a.example", "cert.pem")), (account, chain));
    assert_eq!(count_orders(&gateway, "a.example", "obtained"), 0.0);
    // And one less is one less: a client is no longer shown its certificate.
    gateway.reload(&world.yaml("email: ops@a.example, hosts: [d.example]"));
    assert!(fetch(world.pebble.tls, "a.example", &pebble.roots).is_err());
    assert_eq!(orders(&gateway).len(), 1);
    assert!(!gateway.ask_admin("/metrics").1.contains("host=\"a.example\""));
    gateway.stop();
}

#[test]
fn tls_alpn_01() {
    if !installed() {
        return;
    }
    let world = World::new(NINETY_DAYS);
    let pebble = world.pebble();
    // A second listener has another host, and shares the account.
    let acme = format!("directory: \"{}\", ca: ca.pem, challenge: tls-alpn-01", pebble.directory);
    let yaml = world.yaml("hosts: [a.example, b.example], challenge: tls-alpn-01").replace(
        "\nroutes:",
        &format!("\n- {{ address: 127.0.0.1:0, tls: {{ acme: {{ {acme}, hosts: c.example }} }} }}\nroutes:"),
    );
    let gateway = world.setup(yaml).start();
    let (first, second) = (world.pebble.tls, gateway.addresses()[2]);
    for (address, host) in [(first, "a.example"), (first, "b.example"), (second, "c.example")] {
        wait_for_page(address, host, &pebble.roots);
    }
    assert!(fetch(second, "a.example", &pebble.roots).is_err(), "that is for the other listener");
    assert!(!world.account().is_empty(), "one account");
    let listeners = certificates(&gateway);
    let hosts = listeners.iter().map(|one| one["acme"]["hosts"].as_array().unwrap().len());
    assert_eq!(hosts.collect::<Vec<_>>(), [2, 1]);
    // Besides handshakes that came too early.
    let log = gateway.log();
    let warned = log.lines().any(|line| line.contains("no certificate for") && !line.contains("handshake"));
    assert!(!warned, "{log}");
    gateway.stop();
}

/// A hook that puts records into the DNS server of the authority, and waits for a file before it ends.
const HOOK: &str = r#"
echo "$2 $3" >>hook.log
case $2 in
set) while ! test -e go; do sleep 0.05; done; path=set-txt ;;
*) path=clear-txt ;;
esac
exec curl -sSf --noproxy '*' --data "{\"host\": \"$3.\", \"value\": \"$4\"}" "http://$1/$path"
"#;

#[test]
fn a_wildcard_by_dns_01_and_reloads_meanwhile() {
    if !installed() {
        return;
    }
    let world = World::new(NINETY_DAYS);
    let pebble = world.pebble();
    let yaml = world.yaml(&format!(
        "hosts: [\"*.a.example\"], challenge: dns-01, hook: [/bin/sh, hook.sh, \"{}\"]",
        pebble.dns
    ));
    let setup = world.setup(yaml.clone());
    let hook = ("hook.sh".to_owned(), HOOK.to_owned());
    let gateway = Setup { files: [setup.files.clone(), vec![hook]].concat(), ..setup }.start();
    let said = || std::fs::read_to_string(gateway.folder().path().join("hook.log")).unwrap_or_default();
    wait_until("the hook is run", PATIENCE, || !said().is_empty());
    assert_eq!(orders(&gateway)[0]["state"], "ordering");
    // What concerns others does not begin the order anew.
    gateway.reload(&yaml.replace("body: hello", "body: \"hello\", status: 200"));
    gateway.reload(&yaml);
    gateway.folder().write("go", "");
    wait_for_page(world.pebble.tls, "x.a.example", &pebble.roots);
    wait_until("the record is removed", PATIENCE, || said().contains("remove"));
    assert_eq!(said(), "set _acme-challenge.a.example\nremove _acme-challenge.a.example\n");
    assert!(fetch(world.pebble.tls, "a.example", &pebble.roots).is_err(), "a wildcard is not for its parent");
    assert!(world.kept("_wildcard.a.example", "cert.pem").exists());
    gateway.stop();
}

#[test]
fn on_demand_for_hosts_of_routes_and_no_others() {
    if !installed() {
        return;
    }
    let world = World::new(NINETY_DAYS);
    let pebble = world.pebble();
    let yaml = world
        .yaml("on_demand: true")
        .replace("path: /*", "hosts: [shop.example, \"*.wild.example\"], path: /*");
    let gateway = world.setup(yaml.clone()).start();
    assert_eq!(orders(&gateway), Vec::<Value>::new(), "nobody has asked yet");
    for host in ["other.example", "x.wild.example"] {
        assert!(fetch(world.pebble.tls, host, &pebble.roots).is_err());
    }
    wait_for_page(world.pebble.tls, "shop.example", &pebble.roots);
    let hosts = |gateway: &Gateway| -> Vec<String> {
        orders(gateway).iter().map(|order| order["host"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(hosts(&gateway), ["shop.example"]);
    assert_eq!(count_orders(&gateway, "shop.example", "obtained"), 1.0);
    gateway.stop();

    // After a restart it is kept, and renewed, without anybody asking.
    let gateway = world.setup(yaml.clone()).start();
    assert_eq!(hosts(&gateway), ["shop.example"]);
    assert_eq!(fetch(world.pebble.tls, "shop.example", &pebble.roots).as_deref(), Ok("hello"));
    // Until no route names it any more.
    gateway.reload(&yaml.replace("shop.example", "bar.example"));
    assert_eq!(hosts(&gateway), Vec::<String>::new());
    assert!(fetch(world.pebble.tls, "shop.example", &pebble.roots).is_err());
    gateway.stop();
}

#[test]
fn an_authority_that_is_not_there_delays_nothing_and_is_tried_again() {
    if !installed() {
        return;
    }
    let world = World::new(NINETY_DAYS);
    let site = world.authority.sign(&Wish::server(&["site.example"]));
    let roots = world.state.write("ca.pem", world.authority.cert());
    let yaml = world
        .yaml("hosts: [a.example]")
        .replace("    acme:", "    certificates: [{ cert: site.pem, key: site.key }]\n    acme:")
        .replace(
            "\nroutes:",
            "\n- { address: 127.0.0.1:0, tls: { certificates: { cert: site.pem, key: site.key } } }\nroutes:",
        );
    let setup = world.setup(yaml);
    let files = [("site.pem", site.cert), ("site.key", site.key)];
    let files = files.map(|(name, text)| (name.to_owned(), text));
    let gateway = Setup { files: [setup.files.clone(), files.to_vec()].concat(), ..setup }.start();
    // What has certificates works, on the same listener and on another.
    for address in [world.pebble.tls, gateway.addresses()[2]] {
        assert_eq!(fetch(address, "site.example", &roots).as_deref(), Ok("hello"));
    }
    let at = gateway.wait_for("gateward: acme: no certificate for a.example: ", 0);
    assert!(gateway.log().contains("127.0.0.1 cannot be asked: "), "{}", gateway.log());
    assert!(fetch(world.pebble.tls, "a.example", &roots).is_err());
    let order = &orders(&gateway)[0];
    assert_eq!((&order["host"], &order["state"]), (&"a.example".into(), &"waiting".into()));
    assert!(order["last_failure"]["why"].as_str().unwrap().contains("Connection refused"), "{order}");
    assert!(order["next_try"].is_string() && order["last_success"].is_null(), "{order}");
    assert_eq!(count_orders(&gateway, "a.example", "failed"), 1.0);
    let listeners = certificates(&gateway);
    assert_eq!(listeners.len(), 2);
    assert_eq!(listeners[0]["certificates"][0]["from"], "file");
    assert!(listeners[1]["acme"].is_null());

    let pebble = world.pebble();
    wait_for_page(world.pebble.tls, "a.example", &pebble.roots);
    gateway.wait_for("gateward: acme: obtained a certificate for a.example", at);
    assert_eq!(fetch(world.pebble.tls, "site.example", &roots).as_deref(), Ok("hello"));
    wait_until("the failure is over", PATIENCE, || orders(&gateway)[0]["last_failure"].is_null());
    assert_eq!(certificates(&gateway)[0]["certificates"][1]["from"], "acme");
    gateway.stop();
}

#[test]
fn a_handshake_for_a_host_without_certificate_ends_with_an_alert() {
    // Nobody listens where the directory should be.
    let world = World::new(NINETY_DAYS);
    let gateway = world.gateway("hosts: [a.example]");
    let roots = world.state.write("ca.pem", world.authority.cert());
    let why = fetch(world.pebble.tls, "a.example", &roots).unwrap_err();
    assert!(why.contains("alert"), "{why}");
    assert_eq!(gateway.connect().get("/").status(), 200, "other listeners serve");
    assert_eq!(
        gateway.connect().get("/.well-known/acme-challenge/none").text(),
        "hello",
        "as any other path"
    );
    gateway.stop();
}

#[test]
fn renewals_cost_no_connection() {
    if !installed() {
        return;
    }
    let world = World::new(20);
    let pebble = world.pebble();
    let gateway = world.gateway("hosts: [a.example]");
    wait_for_page(world.pebble.tls, "a.example", &pebble.roots);
    let mut before = Kept::connect(world.pebble.tls, "a.example", &pebble.roots);
    assert_eq!(before.ask()["body"], "hello");
    wait_until("it is renewed", PATIENCE, || count_orders(&gateway, "a.example", "obtained") >= 2.0);
    wait_until("the new one is shown", PATIENCE, || {
        let after = Kept::connect(world.pebble.tls, "a.example", &pebble.roots);
        after.certificate != before.certificate
    });
    assert_eq!(before.ask()["body"], "hello", "the connection from before lives");
    assert!(!gateway.log().contains("warning"), "short lives are no mistake:\n{}", gateway.log());
    gateway.stop();
}

#[test]
fn a_state_folder_that_cannot_be_used_is_an_error_at_the_start() {
    let world = World::new(NINETY_DAYS);
    let file = world.state.write("file", "");
    let state = world.state.path().display().to_string();
    let missing = format!("{state}/missing");
    for (folder, words) in [
        (&*missing, "/missing` does not exist\n  Create it for the user that runs the gateway: install -d"),
        (file.to_str().unwrap(), "/file` is not a folder\n  Name another one."),
        // Even root cannot make a folder there.
        ("/sys", "the folder `state_dir: /sys` cannot be written: "),
    ] {
        let yaml = world.yaml("hosts: [a.example]").replace(&state, folder);
        let place = Folder::new();
        place.write("gateward.yaml", &yaml);
        place.write("ca.pem", world.authority.cert());
        let output =
            Command::new(end_to_end::binary()).arg("run").current_dir(place.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("listening on"), "{said}");
    }
    // At a reload it changes nothing.
    let gateway = Gateway::start("listen: 127.0.0.1:0\nroutes: [{ path: /*, respond: { body: before } }]\n");
    gateway.folder().write("ca.pem", world.authority.cert());
    let seen = gateway.rewrite(&world.yaml("hosts: [a.example]").replace(&state, &missing));
    gateway.wait_for("the configuration was not reloaded, the one before stays in use:\nthe folder", seen);
    assert_eq!(gateway.connect().get("/").text(), "before");
    gateway.stop();
}
