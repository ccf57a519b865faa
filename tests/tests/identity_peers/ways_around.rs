//! What looks for a way around a policy that knows callers: nothing of it reaches the service without credentials.

use end_to_end::http2::Http2;
use end_to_end::{Gateway, Message, Origin, SOON};
use serde_json::json;

const KEY: &str = "X-Api-Key: 0123456789abcdef-mobile\r\n";

/// `/public/` is for everybody, `/private/` and all of `secret.test` for those with a key; it is one service.
fn gateway(origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}] }} }}\n\
         consumers: [{{ name: mobile, api_keys: [0123456789abcdef-mobile] }}]\nroutes:\n\
         - {{ path: /public/*, service: site }}\n\
         - {{ path: /private/*, service: site, policies: {{ api_key: {{}} }} }}\n\
         - {{ hosts: [secret.test, \"*.secret.test\"], path: /*, service: site, policies: {{ api_key: {{}} }} }}\n",
        origin.address()
    ))
}

fn unescape(path: &str) -> String {
    let (mut out, bytes, mut at) = (Vec::new(), path.as_bytes(), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = path.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            Some(escaped) if byte == b'%' => {
                out.push(escaped);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A path as a lax service reads it: escapes, then backslashes, empty segments, parameters, dots, any case. What decodes
/// twice is not among them: no gateway could tell it from a file whose name has a `%`.
fn laxly(target: &str) -> String {
    let path = unescape(target.split(['?', '#']).next().unwrap()).replace('\\', "/").to_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.split(';').next().unwrap().trim() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

fn is_secret(request: &Message) -> bool {
    let host = request.field("host").unwrap().to_lowercase();
    let host = host.split(':').next().unwrap().trim_end_matches('.');
    host.ends_with("secret.test") || laxly(request.target()).starts_with("/private")
}

/// Ways to write a path that is secret, or that becomes so.
const PATHS: [&str; 48] = [
    "/private",
    "/private/",
    "/private//x",
    "//private/x",
    "/./private/x",
    "/%70rivate/x",
    "/%2570rivate/x",
    "/Private/x",
    "/PRIVATE/x",
    "/private%2fx",
    "/private%2Fx",
    "/private%5cx",
    "/private\\x",
    "/private;a=b/x",
    "/private;/x",
    "/public/../private/x",
    "/public/%2e%2e/private/x",
    "/public/..%2fprivate/x",
    "/public/%2e%2e%2fprivate/x",
    "/public/..;/private/x",
    "/public/..%3b/private/x",
    "/public/..\\private/x",
    "/public/..%5cprivate/x",
    "/public%2f..%2fprivate/x",
    "/public/x/../../private/x",
    "/public/%252e%252e/private/x",
    "/public/..%252fprivate/x",
    "/public/.%2e/private/x",
    "/public/....//private/x",
    "/public/..%00/private/x",
    "/public/..%c0%afprivate/x",
    "/public/%2e%2e;x=1/private/x",
    "/public/..//private/x",
    "/public/.././private/x",
    "/private/x?",
    "/private/x#a",
    "/private/x?api_key=0123456789abcdef-mobile",
    "/public/../../private/x",
    "http://gw.test/public/../private/x",
    "http://gw.test/public/..%2fprivate/x",
    "http://gw.test//private/x",
    "http://other.test@gw.test/private/x",
    "http://gw.test:80/private/x",
    "HTTP://GW.TEST/private/x",
    "\\private\\x",
    "private/x",
    "/ private/x",
    "/private/x HTTP/1.1\r\nX: ",
];

/// Ways to write a host that is secret, and what is none.
const HOSTS: [&str; 24] = [
    "secret.test",
    "SECRET.test",
    "secret.test.",
    "SECRET.TEST.",
    "secret.test:80",
    "secret.test:",
    "secret.test.:80",
    "a.secret.test",
    "a.b.secret.test.",
    "secret.test..",
    "secret.test,other.test",
    "secret.test/",
    "secret.test\\",
    "x@secret.test",
    "secret.test@x",
    "secret%2etest",
    "%73ecret.test",
    "secret.test#",
    "secret.test?",
    "secret.test x",
    "\u{ff53}ecret.test",
    "secret.test%00.other.test",
    "http://secret.test",
    "[secret.test]",
];

/// Fields that may move a gateway or a service to look at another request than this one.
const FIELDS: [&str; 16] = [
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
    "X-HTTP-Method-Override: GET\r\n",
    "X-Original-URL: /public/x\r\n",
    "X-Rewrite-URL: /public/x\r\n",
    "X-Forwarded-Host: gw.test\r\nX-Forwarded-For: 127.0.0.1\r\n",
    "X-Consumer: mobile\r\nX-Consumer-Groups: apps\r\n",
    "Connection: x-api-key\r\nX-Api-Key: 0123456789abcdef-mobil\r\n",
    "X-Api-Key:\r\n",
    "X_Api_Key: 0123456789abcdef-mobile\r\n",
    "X-Api-Key: 0123456789abcdef-mobile, x\r\n",
    "X-Api-Key: 0123456789ABCDEF-mobile\r\n",
    "Authorization: 0123456789abcdef-mobile\r\n",
    "Origin: https://app.test\r\nAccess-Control-Request-Method: GET\r\n",
    "Expect: 100-continue\r\nContent-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n\r\n0\r\nX-Api-Key: 0123456789abcdef-mobile\r\n",
];

/// Requests that want what is secret, and show nothing.
fn requests() -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |line: &str, fields: &str| all.push(format!("{line}\r\n{fields}\r\n"));
    let methods =
        "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT QUERY PROPFIND MKCOL LOCK PURGE M-SEARCH get X";
    for method in methods.split(' ') {
        for target in ["/private/x", "http://gw.test/private/x", "//gw.test/private/x"] {
            add(&format!("{method} {target} HTTP/1.1"), "Host: gw.test\r\n");
        }
        add(&format!("{method} / HTTP/1.1"), "Host: secret.test\r\n");
        add(&format!("{method} * HTTP/1.1"), "Host: secret.test\r\n");
        add(&format!("{method} secret.test:80 HTTP/1.1"), "Host: secret.test:80\r\n");
        add(&format!("{method} /private/x HTTP/1.0"), "");
        add(&format!("{method} http://secret.test/ HTTP/1.0"), "");
        add(&format!("{method} /public/../private/x HTTP/1.0"), "Host: secret.test\r\n");
        add(&format!("{method} /private/x"), "");
        add(&format!("{method} /private/x HTTP/2.0"), "Host: gw.test\r\n");
    }
    for path in PATHS {
        add(&format!("GET {path} HTTP/1.1"), "Host: gw.test\r\n");
    }
    for host in HOSTS {
        // The first is a path for everybody, on any other host.
        add("GET /public/x HTTP/1.1", &format!("Host: {host}\r\n"));
        add(&format!("GET http://{host}/public/x HTTP/1.1"), "Host: gw.test\r\n");
    }
    for fields in [
        "Host: gw.test\r\nHost: secret.test\r\n",
        "Host: secret.test\r\nHost: gw.test\r\n",
        "Host : secret.test\r\nHost: gw.test\r\n",
        "Host: gw.test\r\n Host: secret.test\r\n",
        "Host: gw.test, secret.test\r\n",
    ] {
        add("GET /public/x HTTP/1.1", fields);
    }
    for fields in FIELDS {
        add("GET /private/x HTTP/1.1", &format!("Host: gw.test\r\n{fields}"));
        add("OPTIONS /private/x HTTP/1.1", &format!("Host: gw.test\r\n{fields}"));
    }
    all
}

#[test]
fn no_spelling_of_a_request_leads_around_the_question_who_asks() {
    let origin = Origin::saying("page");
    let gateway = gateway(&origin);
    // The service is there for whoever may.
    for (target, key) in [("/public/x", ""), ("/private/x", KEY), ("/private%2fx", KEY)] {
        let answer = gateway.connect().ask(format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\n{key}\r\n"));
        assert_eq!(answer.status() == 200, target != "/private%2fx", "{answer}");
    }
    let served = origin.count();
    assert_eq!(
        (served, is_secret(&origin.requests()[0]), is_secret(&origin.requests()[1])),
        (2, false, true)
    );
    for request in requests() {
        let (client, before) = (gateway.connect(), origin.count());
        client.send(&request);
        client.half_close();
        assert!(client.wait_end(SOON).is_some(), "neither answered nor refused: {request}");
        let answer = String::from_utf8_lossy(&client.unread()).into_owned();
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        // What the service may be asked is not secret, whoever reads it.
        for reached in &origin.requests()[served..] {
            assert!(!is_secret(reached), "{request}\nreached the service as\n{reached}");
        }
        // `OPTIONS *` is about the gateway, which answers it (RFC 9110 §9.3.7).
        let may_be = |status: &str| matches!(&status[..1], "4" | "5") || request.starts_with("OPTIONS * ");
        assert!(origin.count() > before || status.is_none_or(may_be), "{request}\n{answer}");
    }
    gateway.stop();
}

#[test]
fn a_key_is_good_for_the_request_that_shows_it() {
    let origin = Origin::saying("page");
    let gateway = gateway(&origin);
    let one =
        |number: usize, key: &str| format!("GET /private/{number} HTTP/1.1\r\nHost: gw.test\r\n{key}\r\n");
    let client = gateway.connect();
    let keys = [KEY, "", "X-Api-Key: 0123456789abcdef-other\r\n", KEY, ""];
    client.send(keys.iter().enumerate().map(|(number, key)| one(number, key)).collect::<String>());
    let statuses: Vec<u16> = keys.iter().map(|_| client.response().status()).collect();
    assert_eq!(statuses, [200, 401, 401, 200, 401]);
    let reached: Vec<_> = origin.requests().iter().map(|one| one.target().to_owned()).collect();
    assert_eq!(reached, ["/private/0", "/private/3"]);
    gateway.stop();
}

#[test]
fn over_http2_nothing_leads_around_it_either() {
    let origin = Origin::saying("page");
    let gateway = gateway(&origin);
    let client = Http2::connect(gateway.address());
    let mut stream = 1;
    let mut ask = |pseudo: [&str; 3], more: &[(&str, &str)]| {
        let [method, authority, path] = pseudo;
        let mut fields = vec![(":method", method), (":scheme", "http")];
        fields.extend(
            [(":authority", authority), (":path", path)].iter().filter(|(_, value)| !value.is_empty()),
        );
        let pseudo_fields = more.iter().filter(|(name, _)| name.starts_with(':'));
        fields.extend(pseudo_fields.chain(more.iter().filter(|(name, _)| !name.starts_with(':'))));
        client.headers(stream, json!(fields), true);
        let answer = client.response(stream);
        stream += 2;
        answer.status()
    };
    let key = ("x-api-key", "0123456789abcdef-mobile");
    assert_eq!(ask(["GET", "gw.test", "/private/x"], &[key]), 200);
    assert_eq!(ask(["GET", "gw.test", "/public/x"], &[]), 200);
    let served = origin.count();
    for (pseudo, more) in [
        (["GET", "gw.test", "/private/x"], &[][..]),
        (["OPTIONS", "gw.test", "/private/x"], &[]),
        (["OPTIONS", "secret.test", "*"], &[]),
        (["TRACE", "gw.test", "/private/x"], &[]),
        (["PROPFIND", "gw.test", "/private/x"], &[]),
        (["get", "gw.test", "/private/x"], &[]),
        (
            ["CONNECT", "gw.test", "/private/x"],
            &[(":protocol", "websocket"), ("sec-websocket-version", "13")],
        ),
        (["GET", "SECRET.test.", "/public/x"], &[]),
        (["GET", "secret.test:80", "/public/x"], &[]),
        (["GET", "", "/public/x"], &[("host", "secret.test")]),
        (["GET", "gw.test", "/public/x"], &[("host", "secret.test")]),
        (["GET", "secret.test", "/public/x"], &[("host", "gw.test")]),
        (["GET", "gw.test", "//private/x"], &[]),
        (["GET", "gw.test", "/public/..%2fprivate/x"], &[]),
        (["GET", "gw.test", "/%70rivate/x"], &[]),
        (
            ["GET", "gw.test", "/private/x"],
            &[("x_api_key", "0123456789abcdef-mobile"), ("x-consumer", "mobile")],
        ),
        (["GET", "gw.test", "http://gw.test/private/x"], &[]),
    ] {
        let status = ask(pseudo, more);
        let about_the_gateway = pseudo[2] == "*" && status == 204;
        assert!(status == 0 || status >= 400 || about_the_gateway, "{pseudo:?} {more:?}: {status}");
        let reached = origin.requests();
        assert_eq!(reached.len(), served, "{pseudo:?} {more:?}: {}", reached.last().unwrap());
    }
    gateway.stop();
}

#[test]
fn trailers_say_nothing_of_callers_either() {
    let origin = Origin::saying("page");
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}] }} }}\nroutes:\n\
         - {{ path: /public/*, service: site }}\n\
         - path: /private/*\n  service: site\n  policies:\n    jwt:\n      audience: api\n\
        \x20     keys: [{{ secret: 0123456789abcdef0123456789abcdef, algorithms: HS256 }}]\n\
        \x20     claims_to_headers: {{ x-user: sub }}\n",
        origin.address()
    ));
    let said = "X-Consumer: admin\r\nX-User: root\r\nX.User: root\r\nX-Sum: 1\r\n\r\n";
    let request = format!(
        "POST /public/x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n{said}"
    );
    assert_eq!(gateway.connect().ask(&request).status(), 200);
    let trailers = vec![("X-Sum".to_owned(), "1".to_owned())];
    assert_eq!(origin.requests()[0].trailers, trailers);

    let client = Http2::connect(gateway.address());
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a.test"), (":path", "/public/x")];
    client.headers(1, json!(fields), false);
    client.data(1, "a", false);
    client.headers(1, json!([("x-consumer", "admin"), ("x-user", "root"), ("x-sum", "1")]), true);
    assert_eq!(client.response(1).status(), 200);
    let told: Vec<_> = origin.requests()[1].trailers.iter().map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(told, ["x-sum"]);
    gateway.stop();
}
