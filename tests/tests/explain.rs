//! `gateward explain`: what it says is what the gateway does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::process::{Command, Output, Stdio};

use end_to_end::{Folder, Gateway, Origin, binary};
use serde_json::Value;

/// One configuration for most of the tests. The tests name its lines.
const YAML: &str = "\
# gateward.yaml
listen: [127.0.0.1:8080, { address: 127.0.0.1:8081, limits: { uri: 64B } }]
trusted_proxies: [10.0.0.0/8]
services:
  orders: { endpoints: [http://10.1.0.1:8080, http://10.1.0.2], balance: least_requests }
  stable: { endpoints: [http://10.2.0.1], retries: { attempts: 2, on: [reset, 503], per_try: 2s } }
  canary: { endpoints: [http://canary.internal:81], policies: { size_limit: { body: 10B } } }
policies:
  request_id: { header: x-request-id }
  size_limit: { body: 1MiB }
  headers: { response: { remove: [server] } }
routes:
  - { name: preview, path: '/orders/{id}', methods: [GET], headers: { x-api-version: '2' }, service: stable }
  - name: order
    path: /orders/{id}
    methods: [GET, DELETE]
    service: orders
    rewrite: /v2/orders/{id}
    timeout: 5s
    policies:
      headers: { request: { set: { host: orders.internal, x-tenant: acme }, remove: [cookie] } }
  - { name: all-orders, path: /orders/*, methods: POST, service: orders }
  - { name: api, hosts: api.example.com, path: /api/*, split: { stable: 95, canary: 5 } }
  - { name: old, path: '/old/{rest...}', redirect: { to: '/new/{rest}', status: 301 } }
  - { name: ping, path: /ping, respond: { status: 200, body: pong } }
  - { name: closed, path: /files/admin/*, respond: { status: 403 } }
  - { name: files, path: /files/*, service: orders }
  - { name: paged, path: /list, query: { page: '~^[0-9]+$' }, service: orders }
";

struct Explained {
    output: Output,
    text: String,
}

impl Explained {
    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// A line that holds all of these texts, in this order, besides spaces.
    fn has(&self, parts: &[&str]) {
        let holds = |line: &str| {
            let mut rest = line;
            parts.iter().all(|part| match rest.split_once(part) {
                Some((_, behind)) => {
                    rest = behind;
                    true
                }
                None => false,
            })
        };
        assert!(self.text.lines().any(holds), "no line has {parts:?}:\n{}", self.text);
    }

    fn has_not(&self, part: &str) {
        assert!(!self.text.contains(part), "it says {part:?}:\n{}", self.text);
    }
}

fn run(folder: &Folder, arguments: &[&str]) -> Explained {
    let mut command = Command::new(binary());
    command.arg("explain").args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    let output = command.env_remove("GATEWARD_CONFIG").env("TENANT_KEY", "k3y-of-acme").output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Explained { output, text }
}

fn folder_of(yaml: &str) -> Folder {
    let folder = Folder::new();
    folder.write("gateward.yaml", yaml);
    folder
}

fn explain(arguments: &[&str]) -> Explained {
    run(&folder_of(YAML), arguments)
}

fn json(arguments: &[&str]) -> (Option<i32>, Value) {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    let explained = explain(&all);
    let value = serde_json::from_slice(&explained.output.stdout);
    (explained.code(), value.unwrap_or_else(|error| panic!("{error}: {}", explained.text)))
}

#[test]
fn a_forwarded_request_is_followed_to_its_service() {
    let explained = explain(&[
        "http://api.example.com/orders/./42?x=1",
        "-H",
        "Cookie: a=b",
        "-H",
        "Connection: keep-alive",
        "-H",
        "Accept: text/html",
        "-H",
        "X_User: me",
        "-H",
        "X-Forwarded-For: 6.6.6.6",
    ]);
    assert_eq!(explained.code(), Some(0), "{}", explained.text);
    for line in [
        &["Forwarded to service orders by route order (gateward.yaml:14)."][..],
        &["path", "/orders/42", "canonical form of /orders/./42"],
        &["preview", "gateward.yaml:13", "header x-api-version is missing, wanted \"2\""],
        &["> order", "gateward.yaml:14", "takes it"],
        &["edge", "request_id", "gateward.yaml:9", "adds x-request-id"],
        &["edge", "size_limit", "gateward.yaml:10", "allows bodies up to 1MiB"],
        &["transform", "headers", "gateward.yaml:21", "adds x-tenant", "changes host", "removes cookie"],
        &["on the way back: headers, size_limit, request_id"],
        &["GET http://10.1.0.1:8080/v2/orders/42?x=1"],
        &["GET http://10.1.0.2/v2/orders/42?x=1"],
        &["least_requests"],
        &["added", "x-request-id: (generated)", "by request_id (gateward.yaml:9)"],
        &["added", "via: 1.1 gateward", "by the gateway"],
        &["added", "x-forwarded-host: api.example.com", "by the gateway"],
        &["changed", "x-forwarded-for: 127.0.0.1", "was 6.6.6.6"],
        &["changed", "host: orders.internal", "by headers (gateward.yaml:21)", "was api.example.com"],
        &["removed", "cookie: a=b", "by headers (gateward.yaml:21)"],
        &["removed", "connection: keep-alive", "connection only"],
        &["removed", "x_user: me", "has a _"],
        &["Not touched: Accept."],
        &["request", "5s", "timeout of the route"],
        &["body", "1MiB", "policy size_limit (gateward.yaml:10)"],
        &["header_bytes", "32KiB"],
        &["timeouts", "header 10s, idle 75s, body 30s, send 30s"],
    ] {
        explained.has(line);
    }
    explained.has_not("no host was named");
}

#[test]
fn the_answer_is_always_the_same() {
    let arguments = ["http://api.example.com/api/x"];
    assert_eq!(explain(&arguments).text, explain(&arguments).text);
}

#[test]
fn a_route_that_would_match_too_says_why_it_does_not_take_the_request() {
    let explained = explain(&["/orders/42", "-H", "x-api-version: 2", "--all"]);
    explained.has(&["Forwarded to service stable by route preview"]);
    explained.has(&["> preview", "takes it"]);
    explained.has(&["order", "matches too; preview is first: it has more conditions on headers"]);
    explained.has(&["all-orders", "method is GET, not POST"]);
    explained.has(&["api", "host is not api.example.com"]);
    explained.has(&["ping", "path /ping does not match"]);
    explained.has(&["retries", "2 after reset or 503, per_try 2s, budget 20%"]);
    explained.has(&["this request may be repeated"]);
}

#[test]
fn each_way_of_a_split_has_its_share_and_its_policies() {
    let explained = explain(&["POST", "http://api.example.com/api/x", "--body", "11"]);
    // It may be refused.
    assert_eq!(explained.code(), Some(1), "{}", explained.text);
    explained.has(&["Forwarded to one of 2 services by route api"]);
    explained.has(&["95%", "stable"]);
    explained.has(&["5%", "canary", "Refused with 413", "body-too-large", "size_limit (gateward.yaml:7)"]);
    explained.has(&["POST http://10.2.0.1/api/x"]);
    explained.has_not("POST http://canary.internal:81/api/x");
    let explained = explain(&["http://api.example.com/api/x"]);
    assert_eq!(explained.code(), Some(0), "{}", explained.text);
    explained.has(&["GET http://canary.internal:81/api/x"]);
    assert_eq!(explained.text.matches("Headers on the way").count(), 1, "{}", explained.text);
    assert_eq!(explained.text.matches("Policies, in the order").count(), 2, "{}", explained.text);
}

#[test]
fn redirects_and_fixed_answers_are_shown() {
    let explained = explain(&["/old/a/b?x=1"]);
    assert_eq!(explained.code(), Some(0), "{}", explained.text);
    explained.has(&["Answered with 301 Moved Permanently by route old (gateward.yaml:24)."]);
    explained.has(&["header", "location: /new/a/b?x=1"]);
    explained.has(&["header", "x-request-id: (generated)"]);
    explained.has_not("server: gateward"); // a response policy removes it
    let explained = explain(&["/ping"]);
    assert_eq!(explained.code(), Some(0), "{}", explained.text);
    explained.has(&["body", "4 bytes: pong"]);
}

#[test]
fn without_a_route_the_near_ones_are_named() {
    let explained = explain(&["PATCH", "/orders/42"]);
    assert_eq!(explained.code(), Some(1), "{}", explained.text);
    explained.has(&["Refused with 404 Not Found (no-route) while looking for a route."]);
    explained.has(&["fault of", "the gateway: its configuration"]);
    explained.has(&["order", "method is PATCH, not GET or DELETE"]);
    explained.has(&["all-orders", "method is PATCH, not POST"]);
    explained.has(&["6 more do not match (--all shows them)"]);
    explained.has_not("/ping");
    let explained = explain(&["/api/x"]);
    explained.has(&["No host was named", "localhost"]);
    explained.has(&["api", "host is not api.example.com"]);
    explained.has(&["Did you mean: gateward explain GET http://api.example.com/api/x"]);
    // A slip of the hand.
    explain(&["/odrers/42/items"]).has(&["all-orders", "path /orders/* does not match"]);
    explain(&["/nothing/like/it"]).has(&["None of the 9 comes close (--all shows them)."]);
}

#[test]
fn conditions_say_what_was_wanted_and_what_there_was() {
    let explained = explain(&["/list?page=x&page=y"]);
    explained.has(&["paged", "query parameter page is \"x\" and \"y\", not ~^[0-9]+$"]);
    explain(&["/list"]).has(&["paged", "query parameter page is missing, wanted ~^[0-9]+$"]);
    let explained = explain(&["/orders/42", "-H", "X-Api-Version: 1"]);
    explained.has(&["preview", "header x-api-version is \"1\", not \"2\""]);
    explain(&["/list?page=%37"]).has(&["> paged", "takes it"]);
}

#[test]
fn an_ambiguous_path_names_the_other_reading() {
    let explained = explain(&["/files/admin%2Fx"]);
    assert_eq!(explained.code(), Some(1), "{}", explained.text);
    explained.has(&["Refused with 400 Bad Request (ambiguous-path)"]);
    explained.has(&["reading", "for /files/admin/x, where route closed (gateward.yaml:26) holds"]);
    explain(&["/files/..%2f..%2fx"]).has(&["reading", "`..`"]);
}

#[test]
fn a_body_over_the_limit_names_the_policy() {
    let explained = explain(&["POST", "/orders/42", "--body", "2MiB"]);
    assert_eq!(explained.code(), Some(1), "{}", explained.text);
    explained.has(&[
        "Refused with 413 Content Too Large (body-too-large) by policy size_limit (gateward.yaml:10).",
    ]);
    explained.has(&["fault of", "the client"]);
    explained.has(&["size_limit", "refuses"]);
    explained.has(&["headers", "not asked any more"]);
    assert_eq!(explain(&["POST", "/orders/42", "--body", "1MiB"]).code(), Some(0));
}

#[test]
fn proxies_are_believed_only_if_they_are_trusted() {
    let claim = ["/files/x", "-H", "X-Forwarded-For: 203.0.113.9"];
    let trusted = explain(&[&claim[..], &["--client", "10.0.0.7"]].concat());
    trusted.has(&["client", "203.0.113.9", "seen through the trusted proxy 10.0.0.7"]);
    trusted.has(&["changed", "x-forwarded-for: 203.0.113.9, 10.0.0.7", "was 203.0.113.9"]);
    let other = explain(&[&claim[..], &["--client", "192.0.2.1"]].concat());
    other.has(&["client", "192.0.2.1"]);
    other.has(&["changed", "x-forwarded-for: 192.0.2.1"]);
    explain(&["/files/x", "-H", "X-Real-IP: 1.1.1.1"]).has(&["removed", "x-real-ip", "trusted_proxies"]);
}

#[test]
fn other_versions_and_tunnels_are_told() {
    let yaml = "listen: 127.0.0.1:8080\nservices:\n  \
        carts: { endpoints: [http://10.1.0.1:50051], protocol: http2, health: { grpc: true } }\n  \
        db: { endpoints: [http://10.2.0.1:5432], proxy_protocol: v2 }\n\
        routes:\n- { path: /shop.Cart/*, service: carts, grpc_web: true }\n\
        - { hosts: db.test, methods: [CONNECT], service: db }\n";
    let folder = folder_of(yaml);
    let kind = "content-type: application/grpc-web-text+proto";
    let explained = run(&folder, &["POST", "/shop.Cart/Add", "-H", kind, "--body", "8"]);
    explained.has(&["changed", "content-type", "application/grpc+proto"]);
    explained.has(&["added", "te: trailers"]);
    ["over HTTP/2", "probed", "gRPC-Web is translated"].iter().for_each(|told| explained.has(&[told]));
    // What a gateway refuses is a call that failed, here too.
    let refused = run(&folder, &["POST", "/elsewhere", "-H", kind]);
    refused.has(&["status", "200"]);
    refused.has(&["grpc-status: 12"]);
    let tunnel = run(&folder, &["CONNECT", "http://db.test:5432"]);
    assert_eq!((explained.code(), tunnel.code()), (Some(0), Some(0)), "{}", tunnel.text);
    let told = ["Forwarded to service db", "the connection itself", "address of the client"];
    told.iter().for_each(|told| tunnel.has(&[told]));
}

#[test]
fn what_is_malformed_gets_the_fault_that_serving_gives() {
    for (arguments, status, fault) in [
        (&["/x", "-H", "bad name: x"][..], "400", "bad-header"),
        (&["/x", "-H", "x: \u{1}"], "400", "bad-header"),
        (&["/a b"], "400", "bad-request-line"),
        (&["/a#b"], "400", "bad-target"),
        (&["/x", "-H", "host: a/b"], "400", "bad-host"),
        (&["/x", "-H", "host: a", "-H", "host: a"], "400", "bad-host"),
        (&["CONNECT", "/x"], "400", "bad-target"),
        (&["TRACE", "/x"], "501", "method-not-implemented"),
        (&["POST", "/x", "--body", "1", "-H", "transfer-encoding: chunked"], "400", "bad-framing"),
        (&["/x", "-H", "expect: other"], "417", "unknown-expectation"),
    ] {
        let explained = explain(arguments);
        assert_eq!(explained.code(), Some(1), "{arguments:?}: {}", explained.text);
        explained.has(&["Refused with", status, fault]);
    }
}

#[test]
fn the_limits_are_those_of_the_listener_that_is_asked() {
    let long = format!("/ping?{}", "x".repeat(100));
    assert_eq!(explain(&[&long]).code(), Some(0));
    let url = format!("http://gw.test:8081{long}");
    for arguments in [&[&*long, "--listener", "127.0.0.1:8081"][..], &[&long, "--listener", "8081"], &[&url]]
    {
        let explained = explain(arguments);
        assert_eq!(explained.code(), Some(1), "{}", explained.text);
        explained.has(&["414", "uri-too-long"]);
        explained.has(&["Limits of listener 127.0.0.1:8081"]);
    }
    let explained = explain(&["/ping", "--listener", "127.0.0.1:9"]);
    assert_eq!(explained.code(), Some(2), "{}", explained.text);
    explained.has(&["no listener 127.0.0.1:9", "127.0.0.1:8080 and 127.0.0.1:8081"]);
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &[][..],
        &["GET"],
        &["api.example.com/x"],
        &["http://"],
        &["http://user:password@a.test/"],
        &["http://a.test/", "GET"],
        &["/x", "-H", "no colon"],
        &["/x", "-H", "a: b\r\nc: d"],
        &["/x\r\ny: z"],
        &["/x", "--body", "much"],
        &["/x", "--client", "here"],
        &["/x", "--format", "xml"],
    ] {
        let explained = explain(arguments);
        assert_eq!(explained.code(), Some(2), "{arguments:?}: {}", explained.text);
    }
}

#[test]
fn what_is_not_a_request_of_a_client_is_said() {
    let explained = explain(&["https://api.example.com/ping#part"]);
    explained.has(&["This listener speaks plain HTTP"]);
    explained.has(&["#part"]);
    explain(&["OPTIONS", "*"]).has(&["Answered with 204 No Content by the gateway"]);
}

#[test]
fn a_wrong_configuration_is_reported() {
    let folder = folder_of("listen: 127.0.0.1:0\nroutes: [{ path: /*, service: nobody }]\n");
    let explained = run(&folder, &["/x"]);
    assert_eq!(explained.code(), Some(1), "{}", explained.text);
    explained.has(&["GW0301"]);
    explained.has(&["gateward.yaml", "1 error"]);
    let explained = run(&folder, &["/x", "--format", "json"]);
    let value: Value = serde_json::from_slice(&explained.output.stdout).unwrap();
    assert_eq!((&value["ok"], &value["errors"]), (&Value::from(false), &Value::from(1)));
    // The configuration may stand elsewhere, and warnings are only counted.
    folder.write("other.yaml", "listen: 127.0.0.1:0\nservices: { a: { endpoints: [http://127.0.0.1:9] } }\nroutes: [{ path: /*, respond: { status: 200 } }]\n");
    let explained = run(&folder, &["/x", "-c", "other.yaml"]);
    assert_eq!(explained.code(), Some(0), "{}", explained.text);
    explained.has(&["other.yaml has 1 warning"]);
    assert_eq!(run(&Folder::new(), &["/x"]).code(), Some(1));
}

#[test]
fn values_from_outside_are_not_shown() {
    let folder = folder_of(
        "listen: 127.0.0.1:0\nservices: { a: { endpoints: [http://127.0.0.1:9] } }\nroutes:\n\
         - { path: /x, headers: { x-key: '${env:TENANT_KEY}' }, service: a }\n\
         - path: /*\n  service: a\n  policies: { headers: { request: { set: { x-key: 'Bearer ${env:TENANT_KEY}' } } } }\n",
    );
    for format in ["text", "json"] {
        let explained = run(&folder, &["/x", "--format", format]);
        assert_eq!(explained.code(), Some(0), "{}", explained.text);
        explained.has(&["[hidden]"]);
        explained.has_not("k3y-of-acme");
    }
}

#[test]
fn json_says_the_same() {
    let (code, value) = json(&["http://api.example.com/orders/42?x=1", "-H", "Cookie: a=b"]);
    assert_eq!(code, Some(0));
    let way = &value["ways"][0];
    for (at, want) in [
        (&value["ok"], Value::from(true)),
        (&value["outcome"], "forward".into()),
        (&value["route"]["name"], "order".into()),
        (&value["route"]["place"]["line"], 14.into()),
        (&value["route"]["timeout_ms"], 5000.into()),
        (&value["request"]["understood"]["path"], "/orders/42".into()),
        (&value["candidates"].as_array().unwrap().len().into(), 9.into()),
        (&way["policies"][1]["kind"], "size_limit".into()),
        (&way["policies"][1]["place"]["file"], "gateward.yaml".into()),
        (&way["body_limit_bytes"], (1 << 20).into()),
        (&way["upstream"]["urls"][0], "http://10.1.0.1:8080/v2/orders/42?x=1".into()),
        (&way["upstream"]["host"], "orders.internal".into()),
        (&way["service"]["timeouts_ms"]["connect"], 1000.into()),
        (&way["answer"], Value::Null),
        (&value["listener"]["limits"]["header_bytes"], 32768.into()),
    ] {
        assert_eq!(at, &want, "{value:#}");
    }
    let headers = way["upstream"]["headers"].as_array().unwrap();
    let id = headers.iter().find(|header| header["name"] == "x-request-id").unwrap();
    assert_eq!(id["generated"], true);
    let changes = way["upstream"]["changes"].as_array().unwrap();
    let cookie = changes.iter().find(|change| change["name"] == "cookie").unwrap();
    assert_eq!((&cookie["by"], &cookie["policy"]), (&"policy".into(), &"headers".into()));
    let (code, value) = json(&["PATCH", "/orders/42"]);
    assert_eq!((code, &value["outcome"]), (Some(1), &"refuse".into()));
    assert_eq!(value["answer"]["fault"]["code"], "no-route");
    let methods = value["candidates"].as_array().unwrap().iter().filter(|one| one["verdict"] == "method");
    assert_eq!(methods.count(), 3, "{value:#}");
    let (code, value) = json(&["POST", "http://api.example.com/api/x", "--body", "11"]);
    assert_eq!((code, &value["outcome"]), (Some(1), &"mixed".into()));
    assert_eq!(value["ways"][1]["answer"]["policy"], "size_limit", "{value:#}");
    assert_eq!(json(&["/old/x"]).1["outcome"], "reply");
}

#[test]
fn the_documentation_shows_what_is_printed() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/explain.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = |begin: &str| page.split(begin).nth(1).unwrap().split("```").next().unwrap();
    let folder = folder_of(block("```yaml\n"));
    let examples: Vec<&str> = page.split("```text\n$ ").skip(1).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let (line, shown) = example.split("```").next().unwrap().split_once("\n\n").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &line.replacen("gateward", "\"$0\"", 1)]).arg(binary());
        let output = command.current_dir(folder.path()).env_remove("GATEWARD_CONFIG").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), shown, "{line}");
    }
}

/// The claim of it all: what the service gets is what was said.
#[test]
fn the_service_gets_what_was_explained() {
    let origin = Origin::saying("ok");
    let yaml = YAML.replace("http://10.1.0.1:8080, http://10.1.0.2", &format!("http://{}", origin.address()));
    let folder = folder_of(&yaml);
    let yaml = yaml.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8081", "127.0.0.1:0");
    let gateway = Gateway::start(yaml);
    let client = gateway.connect();
    for (method, path, headers, body) in [
        ("GET", "/orders/42?x=1", &["Cookie: a=b", "Accept: text/html", "X_User: me"][..], None),
        ("GET", "/orders/./4%32", &["X-Forwarded-For: 6.6.6.6", "Forwarded: for=x", "Via: 1.0 other"], None),
        ("DELETE", "/orders/1", &["Connection: close, x-hop", "X-Hop: 1", "TE: trailers"], None),
        ("POST", "/orders/new", &["Content-Type: text/plain", "Keep-Alive: 1"], Some("hello")),
        ("POST", "/orders/new", &["Max-Forwards: 5", "Expect: 100-continue"], None),
        ("GET", "/files/%c3%a9;a", &["Accept: a", "accept: b", "Proxy: x"], None),
    ] {
        let mut arguments = vec![method.to_owned(), format!("http://GW.Test:8080{path}")];
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: GW.Test:8080\r\n");
        for header in headers {
            arguments.extend(["-H".to_owned(), (*header).to_owned()]);
            head.push_str(&format!("{header}\r\n"));
        }
        if let Some(body) = body {
            arguments.extend(["--body".to_owned(), body.len().to_string()]);
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        arguments.extend(["--format".to_owned(), "json".to_owned()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let explained = run(&folder, &arguments);
        let value: Value = serde_json::from_slice(&explained.output.stdout).expect(&explained.text);
        let upstream = &value["ways"][0]["upstream"];

        let fresh = gateway.connect();
        let client = if head.contains("close") { &fresh } else { &client };
        let response = client.ask(format!("{head}\r\n{}", body.unwrap_or_default()));
        assert_eq!(response.status(), 200, "{head}{response}");
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.start, format!("{method} {} HTTP/1.1", upstream["target"].as_str().unwrap()));
        let said: Vec<(String, String)> = upstream["headers"].as_array().unwrap().iter().map(field).collect();
        let got: Vec<(String, String)> = request
            .fields
            .iter()
            .map(|(name, value)| {
                let generated = name == "x-request-id";
                (name.clone(), if generated { "(generated)".to_owned() } else { value.clone() })
            })
            .collect();
        assert_eq!(said, got, "{head}");
    }
    gateway.stop();
}

fn field(field: &Value) -> (String, String) {
    let text = |key: &str| field[key].as_str().unwrap().to_owned();
    let value = if field["generated"] == true { "(generated)".to_owned() } else { text("value") };
    (text("name"), value)
}
