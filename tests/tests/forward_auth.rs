//! The policy `forward_auth`: nginx decides over HTTP; in `grpc.rs` a server of Python's `grpcio`
//! does, as Envoy's `ext_authz` has it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "forward_auth/grpc.rs"]
mod grpc;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use end_to_end::certificates::{Authority, Identity, Wish};
use end_to_end::message::Kind;
use end_to_end::peer::{Peer, output_of};
use end_to_end::{Folder, Gateway, Message, Origin, SOON, Setup, free_address, wait_until};
use serde_json::{Value, json};

/// What nginx writes of each question.
const ASKED: &str = r#"{"method":"$request_method","path":"$request_uri","host":"$host",
"authorization":"$http_authorization","cookie":"$http_cookie","user":"$http_x_user","tenant":"$http_x_tenant",
"condition":"$http_if_none_match","length":"$http_content_length","coding":"$http_transfer_encoding",
"for":"$http_x_forwarded_for","proto":"$http_x_forwarded_proto","forwarded_method":"$http_x_forwarded_method",
"forwarded_host":"$http_x_forwarded_host","uri":"$http_x_forwarded_uri","url":"$http_x_original_url",
"consumer":"$http_x_consumer","id":"$http_x_request_id"}"#;

/// What nginx answers, by the bearer token that it is shown.
const DECISIONS: &str = r#"
location = /verify { rewrite ^ /$verdict last; }
location = /good { internal; add_header X-User ann; add_header X-Groups "a, b"; add_header X-Other hidden;
  add_header X-Judged nginx; return 200 "fine"; }
location = /silent { internal; return 204; }
location = /cookie { internal; add_header X-User ann; add_header Set-Cookie "seen=1; HttpOnly"; return 200; }
location = /private { internal; add_header X-User ann; add_header Cache-Control no-store; return 200; }
location = /none { internal; add_header WWW-Authenticate 'Bearer realm="nginx"' always;
  return 401 "who are you?\n"; }
location = /forbidden { internal; add_header X-Why unpaid always; return 403 "not you\n"; }
location = /login { internal; return 302 "https://login.test/?back=$http_x_original_url"; }
location = /missing { internal; return 404 "no such thing\n"; }
location = /unchanged { internal; return 304; }
location = /broken { internal; return 500; }
location = /large { internal; error_page 403 /large.txt; return 403; }
location = /larger { internal; error_page 403 /larger.txt; return 403; }
location = /drips { internal; limit_rate 1; return 200 "this takes as many seconds as it has letters"; }
location = /hangs { internal; proxy_pass http://$hanging; }
"#;

const TOKENS: [&str; 15] = [
    "good",
    "silent",
    "cookie",
    "private",
    "forbidden",
    "login",
    "missing",
    "unchanged",
    "broken",
    "large",
    "larger",
    "drips",
    "hangs",
    "b",
    "c",
];

/// An nginx that decides.
struct Judge {
    address: SocketAddr,
    folder: Folder,
    /// It never says anything, and nginx waits for it.
    _hanging: Origin,
    nginx: Option<Peer>,
}

impl Judge {
    fn new() -> Judge {
        Judge::with("", None)
    }

    /// With more in `listen`, and a certificate.
    fn with(listen: &str, identity: Option<&Identity>) -> Judge {
        let (folder, address, hanging) = (Folder::new(), free_address(), Origin::scripted());
        let root = folder.path().display().to_string();
        let tls = identity.map_or(String::new(), |identity| {
            let (cert, key) = (folder.write("a.pem", &identity.cert), folder.write("a.key", &identity.key));
            format!("ssl_certificate {}; ssl_certificate_key {};", cert.display(), key.display())
        });
        let verdicts: String = TOKENS.map(|token| format!("\"Bearer {token}\" {token};")).concat();
        // These two are for the cache, which has to tell them apart.
        let verdicts = verdicts.replace("\" b;", "\" good;").replace("\" c;", "\" good;");
        let asked = ASKED.replace('\n', "");
        folder.write("www/large.txt", &"x".repeat(64 * 1024));
        folder.write("www/larger.txt", &"x".repeat(64 * 1024 + 1));
        folder.write(
            "nginx.conf",
            &format!(
                "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;\n\
                 events {{ worker_connections 512; }}\n\
                 http {{ client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;\n\
                 uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; default_type text/plain;\n\
                 log_format asked escape=json '{asked}'; access_log {root}/asked.log asked;\n\
                 map $http_authorization $verdict {{ default none; {verdicts} }}\n\
                 map $host $hanging {{ default {}; }}\n\
                 server {{ listen {address} {listen}; {tls} root {root}/www; {DECISIONS} }} }}\n",
                hanging.address()
            ),
        );
        let mut judge = Judge { address, folder, _hanging: hanging, nginx: None };
        judge.start();
        judge
    }

    fn start(&mut self) {
        let programs = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let program = programs.iter().find(|path| Path::new(path).exists()).expect("this test needs nginx");
        let mut command = Command::new(program);
        command.arg("-c").arg(self.folder.path().join("nginx.conf")).arg("-p").arg(self.folder.path());
        let mut peer = Peer(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait_until("nginx listens", SOON, || {
            let errors = std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default();
            assert!(peer.0.try_wait().unwrap().is_none(), "nginx has ended:\n{errors}");
            TcpStream::connect(self.address).is_ok()
        });
        self.nginx = Some(peer);
    }

    fn stop(&mut self) {
        self.nginx = None;
    }

    /// What it was asked until now, once that is so much.
    fn asked(&self, count: usize) -> Vec<Value> {
        let mut lines = Vec::new();
        wait_until(&format!("nginx was asked {count} times"), SOON, || {
            let log = std::fs::read_to_string(self.folder.path().join("asked.log")).unwrap_or_default();
            lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect();
            lines.len() >= count
        });
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }
}

/// A gateway before a service: below `/open/` everybody may pass, elsewhere whom this policy lets.
fn setup(origin: &Origin, policy: &str) -> Setup {
    Setup::new(format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nservices: {{ wiki: {{ endpoints: [http://{}] }} }}\nroutes:\n\
         - {{ path: /open/*, service: wiki }}\n\
         - {{ path: /*, service: wiki, policies: {{ forward_auth: {{ {policy} }} }} }}\n",
        origin.address()
    ))
}

fn ask(gateway: &Gateway, target: &str, token: &str, fields: &str) -> Message {
    let token = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    gateway.connect().ask(format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\n{token}{fields}\r\n"))
}

fn values<'m>(message: &'m Message, name: &str) -> Vec<&'m str> {
    let of_name = message.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    of_name.map(|(_, value)| value.as_str()).collect()
}

fn problem(answer: &Message) -> String {
    let text: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
    text["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn headers_go_each_way_and_clients_say_none_of_them() {
    let (judge, origin) = (Judge::new(), Origin::saying("page"));
    let policy = format!(
        "url: \"http://{}/verify\", request_headers: [authorization, x-tenant], \
         response_headers: [x-user, x-groups], client_headers: [x-judged, set-cookie]",
        judge.address
    );
    let gateway = setup(&origin, &policy).start();
    let forged = "Cookie: a=b\r\nX-Tenant: acme\r\nX-User: root\r\nX_User: root\r\nx-USER: root\r\nX.User: root\r\n\
                  X-Groups: root\r\nX-Forwarded-For: 6.6.6.6\r\nX-Original-URL: http://root/\r\nX-Kept: 1\r\n";
    let answer = ask(&gateway, "/a/./b%41?x=1&y=%20", "good", forged);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "page"), "{answer}");
    assert_eq!((answer.field("x-judged"), answer.field("x-user")), (Some("nginx"), None), "{answer}");
    let served = &origin.requests()[0];
    for (name, wanted) in [
        ("x-user", &["ann"][..]),
        ("x-groups", &["a, b"]),
        ("x-other", &[]),
        ("x_user", &[]),
        ("x.user", &[]),
        ("x-kept", &["1"]),
        ("cookie", &["a=b"]),
        ("authorization", &["Bearer good"]),
        ("x-forwarded-for", &["127.0.0.1"]),
    ] {
        assert_eq!(values(served, name), wanted, "{name}: {served}");
    }
    let question = &judge.asked(1)[0];
    for (key, wanted) in [
        ("method", "GET"),
        ("path", "/verify"),
        ("host", "127.0.0.1"),
        ("authorization", "Bearer good"),
        ("tenant", "acme"),
        ("cookie", ""),
        ("user", ""),
        ("for", "127.0.0.1"),
        ("proto", "http"),
        ("forwarded_method", "GET"),
        ("forwarded_host", "gw.test"),
        ("uri", "/a/bA?x=1&y=%20"),
        ("url", "http://gw.test/a/bA?x=1&y=%20"),
    ] {
        assert_eq!(question[key], wanted, "{key}: {question:#}");
    }
    assert_ne!(question["id"], "");

    // Where nginx says nothing, nobody has said it; and the names are the gateway's on every route.
    assert_eq!(ask(&gateway, "/a", "silent", forged).status(), 200);
    assert_eq!(ask(&gateway, "/open/a", "", forged).status(), 200);
    for served in &origin.requests()[1..] {
        assert!(!served.to_string().to_lowercase().contains("root"), "{served}");
        assert_eq!(served.field("x-kept"), Some("1"));
    }
    judge.asked(2);
    gateway.stop();
}

#[test]
fn without_a_list_nginx_sees_all_but_what_would_mislead_it() {
    let (judge, origin) = (Judge::new(), Origin::saying("page"));
    let policy = format!("url: \"http://{}/verify\", response_headers: x-user", judge.address);
    let gateway = setup(&origin, &policy).start();
    let fields =
        "Cookie: a=b\r\nX-Tenant: acme\r\nX-User: root\r\nIf-None-Match: \"1\"\r\nX-Consumer: root\r\n";
    assert_eq!(ask(&gateway, "/", "good", fields).status(), 200);
    let question = &judge.asked(1)[0];
    for (key, wanted) in
        [("cookie", "a=b"), ("tenant", "acme"), ("user", ""), ("condition", ""), ("consumer", "")]
    {
        assert_eq!(question[key], wanted, "{key}: {question:#}");
    }
    assert_eq!(
        origin.requests()[0].field("if-none-match"),
        Some("\"1\""),
        "the service knows what to make of it"
    );
    gateway.stop();
}

#[test]
fn bodies_reach_the_service_and_not_nginx() {
    let (judge, origin) = (Judge::new(), Origin::saying("taken"));
    let gateway = setup(&origin, &format!("url: \"http://{}/verify\"", judge.address)).start();
    let url = format!("http://{}/upload", gateway.address());
    let body: String = (0..40_000).map(|number| format!("{number}\n")).collect();
    let file = judge.folder.write("body", &body);
    let data = format!("@{}", file.display());
    for more in [&["--http1.1"][..], &["-H", "Transfer-Encoding: chunked"], &["--http2-prior-knowledge"]] {
        let mut arguments = vec!["-sS", "--fail", "--noproxy", "*", "-H", "Authorization: Bearer good"];
        arguments.extend(more);
        arguments.extend(["-H", "Expect:", "--data-binary", &data, &url]);
        assert_eq!(output_of("curl", &arguments), "taken", "{more:?}");
    }
    let requests = origin.requests();
    assert!(requests.len() == 3 && requests.iter().all(|request| request.text() == body));
    for question in judge.asked(3) {
        assert_eq!((&question["method"], &question["forwarded_method"]), (&json!("GET"), &json!("POST")));
        assert_eq!((&question["length"], &question["coding"]), (&json!(""), &json!("")), "{question:#}");
    }
    // A client that waits for a permission to send gets the refusal instead of one.
    let answer = gateway
        .connect()
        .ask("POST /upload HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((answer.status(), origin.count()), (401, 3), "{answer}");
    gateway.stop();
}

#[test]
fn what_nginx_refuses_the_client_gets_as_it_is() {
    let (judge, origin) = (Judge::new(), Origin::saying("page"));
    let policy = format!("url: \"http://{}/verify\", response_headers: x-user", judge.address);
    let gateway = setup(&origin, &policy).start();
    let large = "x".repeat(64 * 1024);
    for (token, status, field, value, body) in [
        ("", 401, "www-authenticate", "Bearer realm=\"nginx\"", "who are you?\n"),
        ("wrong", 401, "content-type", "text/plain", "who are you?\n"),
        ("forbidden", 403, "x-why", "unpaid", "not you\n"),
        ("missing", 404, "content-type", "text/plain", "no such thing\n"),
        ("large", 403, "content-length", "65536", &*large),
    ] {
        let answer = ask(&gateway, "/page?x=1", token, "");
        assert_eq!((answer.status(), answer.field(field)), (status, Some(value)), "{token}: {answer}");
        assert_eq!(answer.text(), body, "{token}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{token}: {answer}");
    }
    let answer = ask(&gateway, "/page?x=1", "login", "");
    let place = answer.field("location");
    assert_eq!(
        (answer.status(), place),
        (302, Some("https://login.test/?back=http://gw.test/page?x=1")),
        "{answer}"
    );
    assert!(answer.text().contains("302 Found"), "the page of nginx: {answer}");
    let head = "HEAD /page HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer forbidden\r\nConnection: close\r\n\r\n";
    let client = gateway.connect();
    client.send(head);
    let answer = client.read(Kind::Bodiless, SOON).unwrap();
    assert_eq!((answer.status(), answer.field("x-why")), (403, Some("unpaid")), "{answer}");
    assert!(client.wait_end(SOON).is_some() && client.unread().is_empty(), "no body to HEAD");

    for token in ["broken", "unchanged", "larger"] {
        let answer = ask(&gateway, "/page", token, "");
        assert_eq!(
            (answer.status(), &*problem(&answer)),
            (503, "authority-unavailable"),
            "{token}: {answer}"
        );
    }
    gateway.wait_for("an answer with the status 500 says nothing", 0);
    assert_eq!(origin.count(), 0, "none of them reached the service");
    gateway.stop();
}

#[test]
fn nobody_waits_longer_than_the_timeout() {
    let (judge, origin) = (Judge::new(), Origin::saying("page"));
    let policy = format!("url: \"http://{}/verify\", timeout: 400ms", judge.address);
    let gateway = setup(&origin, &policy).start();
    for token in ["hangs", "drips"] {
        let begin = Instant::now();
        let answer = ask(&gateway, "/page", token, "");
        let took = begin.elapsed();
        assert_eq!(
            (answer.status(), &*problem(&answer)),
            (503, "authority-unavailable"),
            "{token}: {answer}"
        );
        // Without the setting it would take two seconds.
        assert!(
            took >= Duration::from_millis(400) && took < Duration::from_millis(1900),
            "{token}: {took:?}"
        );
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(ask(&gateway, "/page", "good", "").status(), 200);
    gateway.stop();
}

#[test]
fn closed_while_nginx_is_away_and_open_when_it_is_back() {
    let (mut judge, origin) = (Judge::new(), Origin::saying("page"));
    let gateway = setup(&origin, &format!("url: \"http://{}/verify\"", judge.address)).start();
    assert_eq!(ask(&gateway, "/page", "good", "").status(), 200);
    judge.stop();
    for token in ["good", ""] {
        let answer = ask(&gateway, "/page", token, "");
        assert_eq!((answer.status(), &*problem(&answer)), (503, "authority-unavailable"), "{answer}");
    }
    assert_eq!(ask(&gateway, "/open/page", "", "").status(), 200, "others do not mind");
    assert_eq!(origin.count(), 2);
    judge.start();
    wait_until("it is open again", SOON, || ask(&gateway, "/page", "good", "").status() == 200);
    assert_eq!(ask(&gateway, "/page", "", "").status(), 401);
    gateway.stop();
}

#[test]
fn what_was_allowed_is_remembered_for_a_while() {
    let (judge, origin) = (Judge::new(), Origin::saying("page"));
    let policy = |more: &str| {
        format!(
            "url: \"http://{}/verify\", response_headers: x-user, client_headers: [set-cookie], \
             cache: {{ by: [authorization, x-tenant], {more} }}",
            judge.address
        )
    };
    let gateway = setup(&origin, &policy("ttl: 60s")).start();
    // Each line is asked three times, and nginx so often.
    let mut asked = 0;
    for (target, token, fields, times) in [
        ("/page", "good", "", 1),
        ("/page", "good", "X-Tenant: acme\r\n", 1),
        ("/page", "b", "", 1),
        ("/page?x=1", "good", "", 1),
        ("/other", "good", "", 1),
        // Neither refusals, nor cookies, nor what nginx forbids to store.
        ("/page", "forbidden", "", 3),
        ("/page", "cookie", "", 3),
        ("/page", "private", "", 3),
        // Without a header of the list nobody knows for whom it would hold.
        ("/page", "", "", 3),
    ] {
        for _ in 0..3 {
            let answer = ask(&gateway, target, token, fields);
            let wanted = if ["good", "b", "cookie", "private"].contains(&token) { 200 } else { 0 };
            assert!(answer.status() == wanted || wanted == 0 && answer.status() > 400, "{token}: {answer}");
            let cookie = (token == "cookie").then_some("seen=1; HttpOnly");
            assert_eq!(answer.field("set-cookie"), cookie, "{token}: {answer}");
        }
        asked += times;
        assert_eq!(judge.asked(asked).len(), asked, "{target} {token} {fields}");
    }
    // A copy does what the first answer did.
    assert!(origin.requests().iter().all(|request| values(request, "x-user") == ["ann"]));
    let post =
        "POST /page HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer good\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(gateway.connect().ask(post).status(), 200);
    judge.asked(asked + 1);
    gateway.reload(&setup(&origin, &policy("ttl: 60s, ignore_path: true")).yaml);
    for target in ["/page", "/other", "/page?y=2"] {
        assert_eq!(ask(&gateway, target, "c", "").status(), 200);
    }
    judge.asked(asked + 2);
    // And once it is over, nginx is asked again.
    gateway.reload(&setup(&origin, &policy("ttl: 1s")).yaml);
    let begin = Instant::now();
    assert_eq!(ask(&gateway, "/late", "good", "").status(), 200);
    judge.asked(asked + 3);
    let log = judge.folder.path().join("asked.log");
    let lines = || std::fs::read_to_string(&log).unwrap().lines().count();
    wait_until("nginx is asked again", SOON, || {
        assert_eq!(ask(&gateway, "/late", "good", "").status(), 200);
        lines() > asked + 3
    });
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    gateway.stop();
}

#[test]
fn over_https_nginx_has_to_prove_who_it_is() {
    let (authority, origin) = (Authority::new("tests"), Origin::saying("page"));
    let judge = Judge::with("ssl", Some(&authority.sign(&Wish::server(&["127.0.0.1"]))));
    let policy = format!("url: \"https://{}/verify\", ca: ca.pem", judge.address);
    for (ca, status) in [(authority.cert(), 200), (Authority::new("others").cert(), 503)] {
        let mut setup = setup(&origin, &policy);
        setup.files.push(("ca.pem".into(), ca.into()));
        let gateway = setup.start();
        assert_eq!(ask(&gateway, "/page", "good", "").status(), status);
        gateway.stop();
    }
    assert_eq!(origin.count(), 1);
    judge.asked(1);
}
