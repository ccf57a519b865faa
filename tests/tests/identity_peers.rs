//! Callers as openssl, curl and pebble make them: certificates, user names, and several of them together. And what
//! `gateward check --exposure` and `gateward explain` say about who may pass, and what leads around it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "identity_peers/commands.rs"]
mod commands;
#[path = "identity_peers/ways_around.rs"]
mod ways_around;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use end_to_end::certificates::{Authority, Wish};
use end_to_end::pebble::{self, Pebble};
use end_to_end::peer::{outcome_of, output_of};
use end_to_end::{Folder, Gateway, Origin, SOON, Setup, binary, free_address, wait_until};

/// An order may have to be tried again, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority as people make one with openssl.
struct Openssl(Folder);

impl Openssl {
    fn new(name: &str) -> Openssl {
        let authority = Openssl(Folder::new());
        let subject = format!("/CN={name}");
        let (key, cert) = (authority.path("ca.key"), authority.path("ca.pem"));
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let more = ["-keyout", &key, "-out", &cert, "-subj", &subject, "-days", "2"];
        output_of("openssl", &[&new[..], &more].concat());
        authority
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn ca(&self) -> String {
        std::fs::read_to_string(self.0.path().join("ca.pem")).unwrap()
    }

    /// Signs for a subject, with more extensions than that it is of a client.
    fn sign(&self, name: &str, subject: &str, extensions: &str) -> Shown {
        let [key, csr, cert, ext] =
            ["key", "csr", "pem", "ext"].map(|kind| self.path(&format!("{name}.{kind}")));
        std::fs::write(&ext, format!("basicConstraints=CA:FALSE\n{extensions}\n")).unwrap();
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        output_of("openssl", &[&new[..], &["-keyout", &key, "-out", &csr, "-subj", subject]].concat());
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let by = ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        output_of("openssl", &[&by[..], &["-days", "2", "-extfile", &ext, "-out", &cert]].concat());
        Shown { cert, key }
    }
}

/// A certificate and its key, as files.
#[derive(Clone)]
struct Shown {
    cert: String,
    key: String,
}

impl Shown {
    /// The subject as openssl writes it by RFC 2253, which RFC 4514 has followed.
    fn subject(&self) -> String {
        let said =
            output_of("openssl", &["x509", "-in", &self.cert, "-noout", "-subject", "-nameopt", "RFC2253"]);
        said.trim().trim_start_matches("subject=").trim_start().to_owned()
    }
}

const CLIENT: &str = "extendedKeyUsage=clientAuth";

/// A gateway with TLS, that asks clients for certificates of an authority, before a service.
struct Site {
    origin: Origin,
    setup: Setup,
    ca: PathBuf,
    _folder: Folder,
}

impl Site {
    /// `rest` has the consumers and the policies of the only route.
    fn new(clients: &str, mode: &str, consumers: &str, policies: &str) -> Site {
        let (folder, authority, origin) = (Folder::new(), Authority::new("tests"), Origin::saying("page"));
        let identity = authority.sign(&Wish::server(&["a.test"]));
        let mut setup = Setup::new(format!(
            "listen: {{ address: 127.0.0.1:0, tls: {{ certificates: {{ cert: a.pem, key: a.key }}, \
             client_auth: {{ ca: clients.pem, mode: {mode} }} }} }}\nadmin: 127.0.0.1:0\n\
             services: {{ site: {{ endpoints: [http://{}] }} }}\nconsumers:\n{consumers}\
             routes: [{{ path: /*, service: site, policies: {{ {policies} }} }}]\n",
            origin.address()
        ));
        let files = [("a.pem", &*identity.cert), ("a.key", &*identity.key), ("clients.pem", clients)];
        setup.files.extend(files.map(|(name, text)| (name.to_owned(), text.to_owned())));
        let ca = folder.write("ca.pem", authority.cert());
        Site { origin, setup, ca, _folder: folder }
    }

    /// What curl gets: the status, or what went wrong before there was one.
    fn curl(&self, gateway: &Gateway, shown: Option<&Shown>, more: &[&str]) -> Result<u16, String> {
        let port = gateway.address().port();
        let (url, resolve) = (format!("https://a.test:{port}/page"), format!("a.test:{port}:127.0.0.1"));
        let ca = self.ca.to_str().unwrap();
        let mut arguments = vec!["-sS", "--noproxy", "*", "--cacert", ca, "--resolve", &resolve];
        arguments.extend(["-o", "/dev/null", "-w", "%{http_code}"]);
        if let Some(Shown { cert, key }) = shown {
            arguments.extend(["--cert", cert, "--key", key]);
        }
        arguments.extend(more);
        arguments.push(&url);
        match outcome_of("curl", &arguments) {
            (true, status) => Ok(status.parse().unwrap()),
            (false, text) => Err(text),
        }
    }

    /// What the service was told of the caller with the last request.
    fn consumer(&self) -> Option<String> {
        self.origin.requests().last().unwrap().field("x-consumer").map(str::to_owned)
    }
}

#[test]
fn certificates_of_openssl_name_consumers() {
    let clients = Openssl::new("clients");
    let names = "subjectAltName=DNS:acme.example.com,DNS:other.example.com,URI:spiffe://example.test/acme,\
                 IP:192.0.2.7,email:ops@acme.example.com";
    let by_san = clients.sign("acme", "/CN=whatever", &format!("{CLIENT}\n{names}"));
    let uri =
        clients.sign("mesh", "/O=Mesh", &format!("{CLIENT}\nsubjectAltName=URI:spiffe://example.test/mesh"));
    let ip = clients.sign("host", "/CN=host", &format!("{CLIENT}\nsubjectAltName=IP:192.0.2.9"));
    let by_subject = clients.sign("ops", "/C=DE/O=Example, Inc. \\+ Co/CN=ops", CLIENT);
    let unknown = clients.sign("unknown", "/O=Example/CN=acme", CLIENT);
    let server = clients.sign(
        "server",
        "/CN=server",
        "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:acme.example.com",
    );
    let others = Openssl::new("clients");
    let stranger = others.sign("acme", "/CN=ops", &format!("{CLIENT}\n{names}"));
    let consumers = format!(
        "- {{ name: acme, mtls: {{ san: \"DNS:acme.example.com\" }} }}\n\
         - {{ name: mesh, mtls: {{ san: \"URI:spiffe://example.test/mesh\" }} }}\n\
         - {{ name: host, mtls: {{ san: \"IP:192.0.2.9\" }} }}\n\
         - {{ name: ops, mtls: {{ subject: '{}' }} }}\n",
        by_subject.subject()
    );
    assert!(consumers.contains("CN=ops,O=Example\\, Inc. \\+ Co,C=DE"), "{consumers}");
    let site = Site::new(&clients.ca(), "optional", &consumers, "mtls: {}");
    let gateway = site.setup.start();
    for (shown, consumer) in [(&by_san, "acme"), (&uri, "mesh"), (&ip, "host"), (&by_subject, "ops")] {
        assert_eq!(site.curl(&gateway, Some(shown), &["-H", "X-Consumer: root"]), Ok(200), "{consumer}");
        assert_eq!(site.consumer().as_deref(), Some(consumer));
    }
    let served = site.origin.count();
    assert_eq!(site.curl(&gateway, None, &[]), Ok(401), "nothing is shown");
    assert_eq!(
        site.curl(&gateway, Some(&unknown), &[]),
        Ok(401),
        "a consumer is not known by a part of its name"
    );
    let listener = gateway.address();
    let series =
        format!("gateward_tls_handshakes_total{{listener=\"{listener}\",result=\"bad_client_certificate\"}}");
    for (shown, refused) in [(&stranger, 1.0), (&server, 2.0)] {
        // The alert may be lost when the connection is closed.
        assert!(site.curl(&gateway, Some(shown), &[]).is_err());
        wait_until("it is counted", SOON, || gateway.metric(&series) == refused);
    }
    assert_eq!(site.origin.count(), served);

    // Whoever is genuine, where that is enough; a rule sees who it is.
    let rule = "mtls: { consumer: optional }, authorize: { rule: 'identity.subject == \"CN=acme,O=Example\" && identity.method == \"mtls\"' }";
    gateway.reload(&site.setup.yaml.replace("mtls: {}", rule));
    assert_eq!(site.curl(&gateway, Some(&unknown), &[]), Ok(200));
    assert_eq!(site.consumer(), None);
    assert_eq!(site.curl(&gateway, Some(&by_san), &[]), Ok(403));
    assert_eq!(site.curl(&gateway, None, &[]), Ok(401));
    // Or nobody at all; but who shows a certificate that belongs to nobody means to be known by it.
    let anonymous = "mtls: {}, auth: { anonymous: allow }";
    gateway.reload(&site.setup.yaml.replace("mtls: {}", anonymous));
    assert_eq!(site.curl(&gateway, None, &[]), Ok(200));
    assert_eq!(site.curl(&gateway, Some(&unknown), &[]), Ok(401));
    gateway.stop();

    let required = Site::new(&clients.ca(), "required", &consumers, "mtls: {}");
    let gateway = required.setup.start();
    assert!(required.curl(&gateway, None, &[]).is_err(), "there is no connection without a certificate");
    assert_eq!(required.curl(&gateway, Some(&by_san), &[]), Ok(200));
    gateway.stop();
}

#[test]
fn a_certificate_that_pebble_has_issued_names_a_consumer() {
    if !pebble::installed() {
        return;
    }
    let (authority, state) = (Authority::new("authority of the directory"), Folder::new());
    let [address, http, tls] = [(); 3].map(|()| free_address());
    let pebble = Pebble::start(&authority, &pebble::Setup { address, http, tls, validity: 90 * 86_400 });
    // A gateway orders it: it shows the same certificate to those who connect and to those whom it calls.
    let yaml = format!(
        "state_dir: {}\nlisten:\n- {http}\n- {{ address: {tls}, tls: {{ acme: {{ directory: \"{}\", ca: ca.pem, \
         hosts: [caller.example, stranger.example] }} }} }}\nroutes: [{{ path: /*, respond: {{ body: hello }} }}]\n",
        state.path().display(),
        pebble.directory
    );
    let files = vec![("ca.pem".to_owned(), authority.cert().to_owned())];
    let orderer = Setup { files, ..Setup::new(yaml) }.start();
    let kept = |host: &str| {
        let folder = state.path().join("acme/certificates").join(host);
        let file = |name: &str| folder.join(name).display().to_string();
        Shown { cert: file("cert.pem"), key: file("key.pem") }
    };
    for host in ["caller.example", "stranger.example"] {
        wait_until("there is a certificate", PATIENCE, || {
            orderer.log().contains(&format!("obtained a certificate for {host}"))
        });
        let usage =
            output_of("openssl", &["x509", "-in", &kept(host).cert, "-noout", "-ext", "extendedKeyUsage"]);
        assert!(
            usage.contains("TLS Web Client Authentication"),
            "this pebble issues none for clients: {usage}"
        );
    }
    orderer.stop();
    let roots = std::fs::read_to_string(&pebble.roots).unwrap();
    let site = Site::new(
        &roots,
        "optional",
        "- { name: caller, mtls: { san: \"DNS:caller.example\" } }\n",
        "mtls: {}",
    );
    let gateway = site.setup.start();
    assert_eq!(site.curl(&gateway, Some(&kept("caller.example")), &[]), Ok(200));
    assert_eq!(site.consumer().as_deref(), Some("caller"));
    assert_eq!(site.curl(&gateway, Some(&kept("stranger.example")), &[]), Ok(401));
    assert_eq!(site.origin.count(), 1);
    gateway.stop();
}

#[test]
fn a_certificate_and_a_key_of_the_same_consumer() {
    let clients = Openssl::new("clients");
    let acme = clients.sign("acme", "/CN=acme", CLIENT);
    let billing = clients.sign("billing", "/CN=billing", CLIENT);
    let consumers = "- { name: acme, api_keys: [0123456789abcdef-acme], mtls: { subject: CN=acme } }\n\
                     - { name: billing, api_keys: [0123456789abcdef-billing], mtls: { subject: CN=billing } }\n";
    let site = Site::new(
        &clients.ca(),
        "optional",
        consumers,
        "mtls: {}, api_key: {}, auth: { all: [mtls, api_key] }",
    );
    let gateway = site.setup.start();
    let key = |name: &str| format!("X-Api-Key: 0123456789abcdef-{name}");
    for (shown, key, status) in [
        (Some(&acme), Some(key("acme")), 200),
        (Some(&billing), Some(key("billing")), 200),
        (Some(&acme), Some(key("billing")), 401),
        (Some(&billing), Some(key("acme")), 401),
        (Some(&acme), None, 401),
        (None, Some(key("acme")), 401),
        (Some(&acme), Some(key("wrong")), 401),
        (None, None, 401),
    ] {
        let more = key.as_ref().map_or(Vec::new(), |key| vec!["-H", &**key]);
        let what = format!("{:?} {key:?}", shown.map(|shown| &shown.cert));
        assert_eq!(site.curl(&gateway, shown, &more), Ok(status), "{what}");
    }
    let told: Vec<_> =
        site.origin.requests().iter().map(|one| one.field("x-consumer").unwrap().to_owned()).collect();
    assert_eq!(told, ["acme", "billing"]);
    // Without `auth` each of them is enough.
    gateway.reload(&site.setup.yaml.replace(", auth: { all: [mtls, api_key] }", ""));
    assert_eq!(site.curl(&gateway, Some(&acme), &[]), Ok(200));
    assert_eq!(site.curl(&gateway, None, &["-H", &key("acme")]), Ok(200));
    gateway.stop();
}

/// The hash that `gateward hash-password` prints.
fn hash_of(password: &str) -> String {
    let mut command = Command::new(binary());
    command.arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn user_names_and_passwords_of_curl() {
    let origin = Origin::saying("page");
    // libxcrypt makes the other hash.
    let bcrypt = output_of("perl", &["-e", "print crypt('s3cret', '$2b$06$abcdefghijklmnopqrstuu')"]);
    assert!(bcrypt.starts_with("$2b$06$"), "{bcrypt}");
    let setup = Setup {
        environment: vec![
            ("ANN".into(), hash_of("se:cr\u{e9}t \u{2603}")),
            ("BOB".into(), bcrypt),
            ("OLD".into(), hash_of("one")),
        ],
        ..Setup::new(format!(
            "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}] }} }}\nconsumers:\n\
             - {{ name: ops, basic: [{{ username: ann, password: \"${{env:ANN}}\" }}, {{ username: cy, password: \"${{env:OLD}}\" }}] }}\n\
             - {{ name: guests, basic: {{ username: bob, password: \"${{env:BOB}}\" }} }}\n\
             routes: [{{ path: /*, service: site, policies: {{ basic: {{ realm: wiki }} }} }}]\n",
            origin.address()
        ))
    };
    let gateway = setup.start();
    let url = format!("http://{}/", gateway.address());
    let ask = |more: &[&str]| {
        let arguments = ["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", &url];
        output_of("curl", &[more, &arguments].concat())
    };
    for (user, status, consumer) in [
        ("ann:se:cr\u{e9}t \u{2603}", "200", "ops"),
        ("ann:se:cr\u{e9}t \u{2603}", "200", "ops"),
        ("cy:one", "200", "ops"),
        ("bob:s3cret", "200", "guests"),
        ("bob:s3cre", "401", ""),
        ("bob:", "401", ""),
        ("ann:one", "401", ""),
        ("ann:s3cret", "401", ""),
        ("Bob:s3cret", "401", ""),
        ("eve:s3cret", "401", ""),
        (":", "401", ""),
    ] {
        let before = origin.count();
        assert_eq!(ask(&["-u", user]), status, "{user}");
        assert_eq!(origin.count() - before, usize::from(status == "200"), "{user}");
        if status == "200" {
            let request = origin.requests().pop().unwrap();
            let told = (request.field("x-consumer"), request.field("authorization"));
            assert_eq!(told, (Some(consumer), None), "{request}");
        }
    }
    assert_eq!(ask(&[]), "401");
    // curl asks again with a password once it is told how: RFC 7617 §2.
    let anyauth = output_of(
        "curl",
        &[
            "-sS",
            "--noproxy",
            "*",
            "--anyauth",
            "-u",
            "bob:s3cret",
            "-w",
            " %{num_connects} %{http_code}",
            &url,
        ],
    );
    assert!(anyauth.starts_with("page ") && anyauth.ends_with(" 200"), "{anyauth}");
    // A password that is changed holds no longer, although it is remembered.
    let changed = Setup { yaml: setup.yaml.replace("${env:OLD}", "${env:BOB}"), ..setup.clone() };
    gateway.reload(&changed.yaml);
    assert_eq!((ask(&["-u", "cy:one"]), ask(&["-u", "cy:s3cret"])), ("401".into(), "200".into()));
    gateway.stop();
}

#[test]
fn a_consumer_stays_with_one_service_of_a_split() {
    let (a, b) = (Origin::saying("a"), Origin::saying("b"));
    let consumers: String = (0..100)
        .map(|number| format!("- {{ name: c{number}, api_keys: [0123456789abcdef-a{number}, 0123456789abcdef-b{number}] }}\n"))
        .collect();
    let yaml = format!(
        "listen: 127.0.0.1:0\nservices: {{ a: {{ endpoints: [http://{}] }}, b: {{ endpoints: [http://{}] }} }}\n\
         consumers:\n{consumers}policies: {{ api_key: {{}} }}\n\
         routes: [{{ path: /*, split: {{ a: 50, b: 50 }}, split_by: consumer }}]\n",
        a.address(),
        b.address()
    );
    let gateway = Gateway::start(&*yaml);
    let clients = [gateway.connect(), gateway.connect()];
    let ask = |client: usize, key: &str, target: &str| {
        let fields = format!("Host: gw.test\r\nX-Api-Key: 0123456789abcdef-{key}\r\n");
        let answer = clients[client].ask(format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(answer.status(), 200, "{answer}");
        answer.text()
    };
    let first: Vec<String> = (0..100).map(|number| ask(0, &format!("a{number}"), "/")).collect();
    let of_a = first.iter().filter(|text| *text == "a").count();
    assert!((25..=75).contains(&of_a), "{of_a} of 100 to the first of two");
    let again = || {
        for (number, text) in first.iter().enumerate() {
            assert_eq!(ask(0, &format!("a{number}"), "/other"), *text, "c{number} by the same key");
            assert_eq!(ask(1, &format!("b{number}"), "/"), *text, "c{number} by its other key");
        }
    };
    again();
    gateway.reload(&yaml.replace("path: /*", "path: /*, timeout: 9s"));
    again();
    // The share decides how many, and nobody who was there has to move back.
    gateway.reload(&yaml.replace("a: 50, b: 50", "a: 100, b: 0"));
    assert!((0..100).all(|number| ask(0, &format!("a{number}"), "/") == "a"));
    gateway.stop();
}
