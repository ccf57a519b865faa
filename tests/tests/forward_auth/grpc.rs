//! A server of Envoy's `ext_authz` decides: Python's `grpcio`, with the messages of PyPI's `envoy-data-plane`.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use end_to_end::certificates::{Authority, Wish};
use end_to_end::peer::{Events, Peer, missing, output_of, scripts};
use end_to_end::python::python_with;
use end_to_end::{Folder, Origin, SOON};
use serde_json::{Value, json};

use super::{ask, problem, setup, values};

/// A server that is asked over gRPC.
struct Envoys {
    address: SocketAddr,
    events: Events,
    _stdin: ChildStdin,
    _peer: Peer,
}

impl Envoys {
    /// `None` where its packages cannot be had, which is then said.
    #[expect(clippy::needless_pass_by_value, reason = "setups are written in place")]
    fn start(setup: Value) -> Option<Envoys> {
        let Some(python) = python_with("envoy_data_plane") else {
            missing("ext_authz by grpcio", "the packages could not be installed");
            return None;
        };
        let mut command = Command::new(python);
        command.arg("-u").arg(scripts().join("ext_authz.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut peer = Peer(command.spawn().unwrap());
        let mut stdin = peer.0.stdin.take().unwrap();
        writeln!(stdin, "{setup}").unwrap();
        let events = Events::of(&mut peer.0);
        // It loads many messages.
        let listening = events.find(SOON * 2, "listening", |_| true);
        let listening = listening.unwrap_or_else(|| panic!("ext_authz.py does not start: {}", events.show()));
        let port = u16::try_from(listening["port"].as_u64().unwrap()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Some(Envoys { address, events, _stdin: stdin, _peer: peer })
    }
}

#[test]
fn a_grpc_server_permits_and_changes_the_request() {
    let Some(judge) = Envoys::start(json!({})) else { return };
    let origin = Origin::saying("page");
    let policy = format!("grpc: \"http://{}\", response_headers: [x-user]", judge.address);
    let gateway = setup(&origin, &policy).start();
    let answer = gateway.connect().ask(
        "POST /a/./b?token=t0p&keep=1&tenant=other HTTP/1.1\r\nHost: GW.test\r\nAuthorization: Bearer allowed\r\n\
         X-User: root\r\nX-Secret: s\r\nX-Tag: first\r\nX-Lang: de\r\nX-Multi: 1\r\nX-Multi: 2\r\n\
         Content-Length: 4\r\n\r\nbody",
    );
    assert_eq!((answer.status(), answer.text().as_str()), (200, "page"), "{answer}");
    assert_eq!(values(&answer, "set-cookie"), ["seen=1; HttpOnly"]);
    assert_eq!(values(&answer, "x-judged"), ["yes"]);
    let served = &origin.requests()[0];
    assert_eq!(served.text(), "body");
    for (name, wanted) in [
        ("x-user", &["ann"][..]),
        ("x-tag", &["first", "second"]),
        ("x-lang", &["de"]),
        ("x-plan", &["free"]),
        ("x-missing", &[]),
        ("x-secret", &[]),
        ("authorization", &[]),
        ("x-multi", &["1", "2"]),
    ] {
        assert_eq!(values(served, name), wanted, "{name}: {served}");
    }
    let (path, query) = served.target().split_once('?').unwrap();
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    assert_eq!((path, &query[..]), ("/a/b", &["keep=1", "tenant=acme"][..]), "{served}");

    let asked = judge.events.take("asked", |_| true);
    for (key, wanted) in [
        ("method", json!("POST")),
        ("path", json!("/a/b?token=t0p&keep=1&tenant=other")),
        ("scheme", json!("http")),
        ("protocol", json!("HTTP/1.1")),
        ("size", json!(4)),
        ("body", json!("")),
        ("client", json!("127.0.0.1")),
        ("principal", json!("")),
    ] {
        assert_eq!(asked[key], wanted, "{key}: {asked:#}");
    }
    assert!(asked["host"].as_str().unwrap().eq_ignore_ascii_case("gw.test"), "{asked:#}");
    let headers = &asked["headers"];
    assert_eq!((&headers["x-secret"], &headers["x-user"]), (&json!("s"), &Value::Null), "{asked:#}");
    assert_eq!(headers["x-multi"].as_str().unwrap().replace(", ", ","), "1,2", "{asked:#}");
    assert!(asked["patience"].as_f64().is_some_and(|seconds| seconds > 0.1 && seconds <= 2.0), "{asked:#}");
    assert_ne!(asked["id"], "");

    // What is the gateway's to say stays.
    assert_eq!(ask(&gateway, "/page", "greedy", "").status(), 200);
    let served = origin.requests().pop().unwrap();
    assert!(!served.to_string().contains("6666"), "{served}");
    for name in ["host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"] {
        assert_eq!(values(&served, name).len(), 1, "{name}: {served}");
    }
    gateway.stop();
}

#[test]
fn a_grpc_server_denies_or_does_not_decide() {
    let Some(judge) = Envoys::start(json!({})) else { return };
    let origin = Origin::saying("page");
    let gateway = setup(&origin, &format!("grpc: \"http://{}\", timeout: 1s", judge.address)).start();
    let answer = ask(&gateway, "/page", "denied", "");
    assert_eq!((answer.status(), answer.text().as_str()), (402, "pay first"), "{answer}");
    assert_eq!(answer.field("x-reason"), Some("unpaid"));
    assert_eq!(values(&answer, "content-type"), ["text/x-reason"]);
    for token in ["bare", "contradictory", ""] {
        let answer = ask(&gateway, "/page", token, "");
        assert_eq!(answer.status(), 403, "{token}: {answer}");
    }
    for token in ["unavailable", "garbage"] {
        let answer = ask(&gateway, "/page", token, "");
        assert_eq!(
            (answer.status(), &*problem(&answer)),
            (503, "authority-unavailable"),
            "{token}: {answer}"
        );
    }
    let begin = Instant::now();
    let answer = ask(&gateway, "/page", "slow", "");
    assert_eq!((answer.status(), &*problem(&answer)), (503, "authority-unavailable"), "{answer}");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    judge.events.take("left", |_| true);
    assert_eq!(origin.count(), 0);
    // And when it is gone.
    drop(judge);
    assert_eq!(ask(&gateway, "/page", "allowed", "").status(), 503);
    assert_eq!(origin.count(), 0);
    gateway.stop();
}

#[test]
fn a_grpc_server_over_tls_is_told_who_has_shown_a_certificate() {
    let (folder, authority, origin) = (Folder::new(), Authority::new("tests"), Origin::saying("page"));
    let identity = authority.sign(&Wish::server(&["127.0.0.1", "a.test"]));
    let (cert, key) = (folder.write("a.pem", &identity.cert), folder.write("a.key", &identity.key));
    let Some(judge) = Envoys::start(json!({ "cert": cert, "key": key })) else { return };
    let mut setup = setup(&origin, &format!("grpc: \"https://{}\", ca: ca.pem", judge.address));
    setup.yaml = setup.yaml.replace(
        "listen: 127.0.0.1:0",
        "listen: { address: 127.0.0.1:0, tls: { certificates: { cert: a.pem, key: a.key }, client_auth: { ca: ca.pem } } }",
    );
    let files = [("a.pem", &*identity.cert), ("a.key", &*identity.key), ("ca.pem", authority.cert())];
    setup.files.extend(files.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let gateway = setup.start();
    let shown = authority.sign(&Wish::client("billing"));
    let (cert, key) = (folder.write("client.pem", &shown.cert), folder.write("client.key", &shown.key));
    let ca = folder.write("ca.pem", authority.cert());
    let [cert, key, ca] = [&cert, &key, &ca].map(|path| path.to_str().unwrap());
    let resolve = format!("a.test:{}:127.0.0.1", gateway.address().port());
    let url = format!("https://a.test:{}/page", gateway.address().port());
    let arguments = ["-sS", "--fail", "--noproxy", "*", "--cacert", ca, "--cert", cert, "--key", key];
    let more = ["--resolve", &resolve, "-H", "Authorization: Bearer allowed", &url];
    assert_eq!(output_of("curl", &[&arguments[..], &more].concat()), "page");
    let asked = judge.events.take("asked", |_| true);
    assert_eq!(
        (&asked["principal"], &asked["scheme"]),
        (&json!("client.test"), &json!("https")),
        "{asked:#}"
    );
    gateway.stop();
}
