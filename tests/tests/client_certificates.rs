//! Certificates of clients: what services, the access log, `/metrics` and the operator are told of them, and what
//! clients may not say themselves.
//!
//! Clients are Python's `ssl` (OpenSSL); certificates are made by `rcgen`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::process::Command;

use end_to_end::certificates::{Authority, Identity, Wish};
use end_to_end::http2::{Http2, kind, request};
use end_to_end::python::lines_of;
use end_to_end::tls::{Shaken, TlsService, dial, get};
use end_to_end::{Folder, Gateway, Message, Origin, SOON, Setup, binary, wait_until};
use serde_json::{Value, json};

/// What every client of these tests tries to pass for.
const CLAIMS: &str = "X-Client-Cert-Subject: CN=admin\r\nx-client-cert-san: DNS:admin\r\n\
                      X-CLIENT-CERT-FINGERPRINT: 00\r\nX_Client_Cert_Subject: CN=admin\r\n\
                      X.Client.Cert.Subject: CN=admin\r\nX-Other: kept\r\n";

struct Site {
    clients: Authority,
    origin: Origin,
    setup: Setup,
}

/// A listener without TLS and one with; `client_auth` is said of the second.
fn site(client_auth: &str, more: &str) -> Site {
    let (authority, clients, origin) =
        (Authority::new("tests"), Authority::new("clients"), Origin::saying("hello"));
    let identity = authority.sign(&Wish::server(&["a.test"]));
    let mut setup = Setup::new(format!(
        "listen:\n- 127.0.0.1:0\n- address: 127.0.0.1:0\n  timeouts: {{ header: 1s }}\n  \
         tls: {{ certificates: {{ cert: a.pem, key: a.key }}, client_auth: {{ ca: clients.pem{client_auth} }} }}\n\
         admin: 127.0.0.1:0\ntelemetry: {{ access_log: access.log }}\n{more}\
         services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    setup.files = vec![
        ("a.pem".into(), identity.cert),
        ("a.key".into(), identity.key),
        ("clients.pem".into(), clients.cert().into()),
    ];
    Site { clients, origin, setup }
}

/// Connects to the second listener, and shows a certificate if there is one.
fn dial_with(gateway: &Gateway, shows: Option<&Identity>, mut job: Value) -> Vec<Shaken> {
    job["name"] = json!("a.test");
    if let Some(identity) = shows {
        job["cert"] = json!(gateway.folder().write("client.pem", &identity.cert));
        job["key"] = json!(gateway.folder().write("client.key", &identity.key));
    }
    dial(gateway.addresses()[1], job)
}

fn claiming(path: &str) -> String {
    get("a.test", path).replace("Connection:", &format!("{CLAIMS}Connection:"))
}

/// What a service was told of certificates, in any spelling.
fn told(request: &Message) -> Vec<(String, String)> {
    let is_told = |name: &str| name.to_lowercase().replace(['_', '.'], "-").starts_with("x-client-cert");
    request.fields.iter().filter(|(name, _)| is_told(name)).cloned().collect()
}

fn handshakes(gateway: &Gateway, result: &str) -> f64 {
    let listener = gateway.addresses()[1];
    gateway.metric(&format!("gateward_tls_handshakes_total{{listener=\"{listener}\",result=\"{result}\"}}"))
}

#[test]
fn a_service_is_told_who_has_shown_a_certificate() {
    let site = site(", forward: true", "");
    let gateway = site.setup.start();
    let shown = site.clients.sign(&Wish::client("billing, EU"));
    let answers = dial_with(&gateway, Some(&shown), json!({ "request": claiming("/one"), "then": {} }));
    assert_eq!(answers.iter().map(Shaken::status).collect::<Vec<_>>(), [200, 200], "{answers:?}");
    let digest = Command::new("sh")
        .args(["-c", "openssl x509 -outform der -in client.pem | sha256sum"])
        .current_dir(gateway.folder().path())
        .output()
        .unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap().split(' ').next().unwrap().to_owned();
    for request in site.origin.requests() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            told(&request),
            [
                pair("x-client-cert-subject", "CN=billing\\, EU"),
                pair("x-client-cert-san", "DNS:client.test"),
                pair("x-client-cert-fingerprint", &digest),
            ],
            "also where a session was resumed"
        );
        assert_eq!(request.field("x-other"), Some("kept"));
    }
    for line in lines_of(&gateway.folder().path().join("access.log"), 2) {
        let says =
            ["protocol", "tls", "sni", "client_cert"].map(|key| line[key].as_str().unwrap().to_owned());
        assert_eq!(says, ["HTTP/1.1", "1.3", "a.test", "CN=billing\\, EU"]);
        assert_eq!(line["client_cert_san"], serde_json::json!(["DNS:client.test"]));
    }
    assert_eq!((handshakes(&gateway, "ok"), handshakes(&gateway, "resumed")), (1.0, 1.0));
    gateway.stop();
}

#[test]
fn nobody_says_it_himself() {
    let site = site(", mode: optional, forward: true", "trusted_proxies: [127.0.0.1]\n");
    let gateway = site.setup.start();
    // Over plain HTTP, over TLS without a certificate, over HTTP/2; and a trusted proxy has no say in it either.
    assert_eq!(gateway.connect().ask(claiming("/plain")).status(), 200);
    assert_eq!(dial_with(&gateway, None, json!({ "request": claiming("/tls") }))[0].status(), 200);
    let client = Http2::connect_with(gateway.addresses()[1], json!({ "tls": { "name": "a.test" } }));
    let fields = json!([
        [":method", "GET"],
        [":scheme", "https"],
        [":authority", "a.test"],
        [":path", "/h2"],
        ["x-client-cert-subject", "CN=admin"],
        ["x-client-cert-san", "DNS:admin"],
        ["x-other", "kept"]
    ]);
    client.headers(1, fields, true);
    assert_eq!(client.response(1).status(), 200);
    // In trailers, where a service may merge them.
    let trailer = "POST /trailer HTTP/1.1\r\nHost: a.test\r\nX-Other: kept\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\
                   X-Client-Cert-Subject: CN=admin\r\n\r\n";
    assert_eq!(gateway.connect().ask(trailer).status(), 200);
    let requests = site.origin.requests();
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert!(told(&request).is_empty(), "{request}");
        assert!(
            !request.trailers.iter().any(|(name, _)| name.to_lowercase().starts_with("x-client")),
            "{request}"
        );
        assert_eq!(request.field("x-other"), Some("kept"));
    }
    let lines = lines_of(&gateway.folder().path().join("access.log"), 4);
    let says = |path: &str, key: &str| lines.iter().find(|line| line["path"] == path).unwrap()[key].clone();
    assert_eq!((says("/plain", "protocol"), says("/plain", "tls")), (json!("HTTP/1.1"), Value::Null));
    assert_eq!((says("/plain", "sni"), says("/tls", "client_cert")), (Value::Null, Value::Null));
    assert_eq!((says("/h2", "protocol"), says("/h2", "sni")), (json!("HTTP/2"), json!("a.test")));
    let protocol =
        |name| gateway.metric(&format!("gateward_requests_by_protocol_total{{protocol=\"{name}\"}}"));
    assert_eq!((protocol("HTTP/1.1"), protocol("HTTP/2"), protocol("HTTP/3")), (3.0, 1.0, 0.0));
    let [plain, encrypted] = [0, 1].map(|at| {
        let listener = gateway.addresses()[at];
        gateway.metric(&format!("gateward_http2_connections_total{{listener=\"{listener}\"}}"))
    });
    assert_eq!((plain, encrypted), (0.0, 1.0));
    gateway.stop();
}

#[test]
fn a_service_is_told_only_if_it_is_to_be() {
    let site = site("", "");
    let gateway = site.setup.start();
    let shown = site.clients.sign(&Wish::client("billing"));
    let ask = || dial_with(&gateway, Some(&shown), json!({ "request": claiming("/") }))[0].status();
    assert_eq!(ask(), 200);
    assert!(told(&site.origin.requests()[0]).is_empty());
    gateway.reload(&site.setup.yaml.replace("ca: clients.pem", "ca: clients.pem, forward: true"));
    assert_eq!(ask(), 200);
    assert_eq!(told(&site.origin.requests()[1])[0].1, "CN=billing");
    gateway.stop();
}

#[test]
fn a_handshake_that_fails_is_counted_and_described() {
    let site = site("", "");
    let gateway = site.setup.start();
    let stranger = Authority::new("others").sign(&Wish::client("stranger"));
    let listener = gateway.addresses()[1];
    let fails = |result: &str, words: &str, fail: &dyn Fn()| {
        let before = handshakes(&gateway, result);
        fail();
        wait_until(result, SOON, || handshakes(&gateway, result) > before);
        gateway.wait_for(words, 0);
        let line = gateway.log().lines().find(|line| line.contains(words)).unwrap().to_owned();
        let begin = "gateward: listener 127.0.0.1:0: no TLS handshake with 127.0.0.1:";
        assert!(line.starts_with(begin) && line.ends_with(&format!("({result})")), "{line}");
    };
    let dials = |shows: Option<&Identity>, job: Value| {
        let shaken = dial_with(&gateway, shows, job);
        assert_ne!(shaken[0].status(), 200, "{shaken:?}");
    };
    fails("no_certificate", "it shows no certificate, and one is required", &|| {
        dials(None, json!({ "request": get("a.test", "/") }));
    });
    fails("bad_client_certificate", "an authority that is not in `client_auth.ca`", &|| {
        dials(Some(&stranger), json!({ "request": get("a.test", "/") }));
    });
    fails("alert", "it does not trust the certificate that it is shown", &|| {
        let other = gateway.folder().write("other.pem", Authority::new("else").cert());
        dials(None, json!({ "ca": other }));
    });
    fails("nothing_in_common", "no version of TLS that is spoken here", &|| {
        dials(None, json!({ "min": "TLSv1_1", "max": "TLSv1_1" }));
    });
    fails("malformed", "what it sends is not TLS", &|| {
        end_to_end::Client::connect(listener).send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    });
    fails("timeout", "it took too long", &|| {
        let silent = end_to_end::Client::connect(listener);
        wait_until("a second", SOON, || handshakes(&gateway, "timeout") > 0.0);
        drop(silent);
    });
    // Those who only look whether somebody listens are counted, and nobody is told.
    let seen = gateway.log().len();
    drop(end_to_end::Client::connect(listener));
    wait_until("closed", SOON, || handshakes(&gateway, "closed") > 0.0);
    // The same once more is counted, and not said again.
    let before = handshakes(&gateway, "no_certificate");
    dials(None, json!({ "request": get("a.test", "/") }));
    wait_until("one more", SOON, || handshakes(&gateway, "no_certificate") > before);
    assert_eq!(&gateway.log()[seen..], "");
    assert_eq!(site.origin.count(), 0);
    gateway.stop();
}

#[test]
fn a_connection_that_is_ended_for_abuse_is_counted() {
    let site = site("", "");
    let gateway = site.setup.start();
    let client = Http2::connect(gateway.address());
    let fields = request("GET", "http", "/reset", &[]);
    let frames = json!([[kind::HEADERS, 5, "n", fields], [kind::RST_STREAM, 0, "n", "00000008"]]);
    client.tell(json!({ "do": "flood", "frames": frames, "count": 5000, "first": 101 }));
    let listener = gateway.address();
    let ended = |reason: &str| {
        let series = "gateward_connections_ended_for_abuse_total";
        gateway.metric(&format!("{series}{{listener=\"{listener}\",reason=\"{reason}\"}}"))
    };
    let all = || ended("reset_flood") + ended("frame_flood") + ended("excess");
    wait_until("an end (RFC 9113 §10.5, CVE-2023-44487)", SOON, || all() > 0.0);
    assert_eq!((all(), ended("half_head")), (1.0, 0.0), "once for one connection");
    gateway.stop();
}

#[test]
fn why_a_service_is_not_believed_is_said() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let identity = authority.sign(&Wish::server(&["service.test"]));
    let service = TlsService::start(json!({
        "cert": folder.write("service.pem", &identity.cert), "key": folder.write("service.key", &identity.key)
    }));
    for (tls, words) in [
        (
            "server_name: other.test, ca: ca.pem",
            "not for other.test but for service.test: name the right one in `tls.server_name`",
        ),
        (
            "server_name: service.test, ca: other.pem",
            "an authority that is not trusted: name that authority in `tls.ca`",
        ),
    ] {
        let mut setup = Setup::new(format!(
            "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [https://{}], tls: {{ {tls} }} }} }}\n\
             routes: [{{ path: /*, service: site }}]\n",
            service.address()
        ));
        setup.files.push(("ca.pem".into(), authority.cert().into()));
        setup.files.push(("other.pem".into(), Authority::new("others").cert().into()));
        let gateway = setup.start();
        assert_eq!(gateway.connect().get("/").status(), 502);
        gateway.wait_for(words, 0);
        assert!(gateway.log().contains("service site: tls-failed at "), "{}", gateway.log());
        gateway.stop();
    }
}

/// RFC 6797 §7.2: it must not be said over plain connections.
#[test]
fn transport_security_is_said_over_https_alone() {
    let site = site(
        ", mode: optional",
        "trusted_proxies: [127.0.0.2]\npolicies: { security_headers: { csp: \"default-src 'self'\" } }\n",
    );
    let gateway = site.setup.start();
    let plain = gateway.connect().ask("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_eq!(plain.field("strict-transport-security"), None, "nobody has to believe it");
    assert_eq!(plain.field("content-security-policy"), Some("default-src 'self'"));
    let hsts = "strict-transport-security: max-age=31536000; includeSubDomains\r\n";
    for request in [get("a.test", "/"), get("other.test", "/misdirected"), "GET / HTTP/9\r\n\r\n".to_owned()]
    {
        let shaken = &dial_with(&gateway, None, json!({ "request": request }))[0];
        assert!(shaken.text("response").to_lowercase().contains(&hsts.to_lowercase()), "{shaken:?}");
    }
    gateway.stop();
    let yaml = site.setup.yaml.replace("127.0.0.2", "127.0.0.1");
    let gateway = Setup { yaml, ..site.setup }.start();
    for (claim, said) in [("https", true), ("http", false)] {
        let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: {claim}\r\n\r\n");
        let answer = gateway.connect().ask(request);
        assert_eq!(answer.field("strict-transport-security").is_some(), said, "a trusted proxy says {claim}");
    }
    gateway.stop();
}

#[test]
fn explain_follows_a_request_over_https() {
    let (folder, authority) = (Folder::new(), Authority::new("tests"));
    let identity = authority.sign(&Wish::server(&["a.test"]));
    folder.write("a.pem", &identity.cert);
    folder.write("a.key", &identity.key);
    folder.write(
        "gateward.yaml",
        "listen:\n- { address: 127.0.0.1:8080, redirect_https: true }\n\
         - { address: 127.0.0.1:8443, tls: { certificates: { cert: a.pem, key: a.key } } }\n\
         policies: { security_headers: {} }\n\
         services: { site: { endpoints: [https://127.0.0.1:1], tls: { ca: a.pem } } }\n\
         routes: [{ path: /page, service: site }, { path: /pong, respond: { status: 200 } }]\n",
    );
    let explain = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        let output = command.arg("explain").args(arguments).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let has = |arguments: &[&str], code: i32, words: &[&str]| {
        let (ended, text) = explain(arguments);
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.iter().all(|word| plain.contains(word)), "{words:?}: {text}");
        assert_eq!(ended, Some(code), "{text}");
        plain
    };
    has(
        &["GET", "https://A.test/page", "-H", "x-client-cert-subject: CN=admin"],
        0,
        &[
            "Forwarded to service site",
            "listener 127.0.0.1:8443 (TLS)",
            "server name a.test",
            "https://127.0.0.1:1/page",
            "x-forwarded-proto: https",
            "removed x-client-cert-subject: CN=admin is for the gateway alone to say",
        ],
    );
    let answered = has(&["https://a.test/pong"], 0, &["header strict-transport-security: max-age=31536000"]);
    assert!(!answered.contains("not understood"), "{answered}");
    has(
        &["https://a.test/page", "-H", "host: b.test"],
        1,
        &["Refused with 421 Misdirected Request (misdirected) while comparing the host with the server name"],
    );
    has(
        &["http://a.test/page?x"],
        0,
        &[
            "Answered with 308 Permanent Redirect by redirect_https of listener 127.0.0.1:8080",
            "location: https://a.test:8443/page?x",
        ],
    );
    has(&["http://a.test:8443/page"], 0, &["This listener speaks TLS", "server name a.test"]);
    has(&["https://a.test/page", "--listener", "8080"], 0, &["This listener speaks plain HTTP", "308"]);
    let addressed = has(&["https://127.0.0.1/page"], 0, &["listener 127.0.0.1:8443 (TLS)"]);
    assert!(!addressed.contains("server name"), "RFC 6066 §3: {addressed}");
    let (_, text) = explain(&["https://a.test/page", "--format", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["listener"]["tls"], &json["request"]["server_name"]), (&json!(true), &json!("a.test")));
}
