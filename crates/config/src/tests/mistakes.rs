//! What is said about wrong values, and where.

use diagnostics::render_text;
use document::MemoryEnvironment;

use super::said;
use crate::{Loaded, load_text};

fn loaded(text: &str) -> (Loaded, Vec<String>) {
    let loaded = load_text("gateward.yaml", text, &MemoryEnvironment::new());
    let said = said(&loaded.diagnostics, &loaded.sources);
    (loaded, said)
}

#[test]
fn values_of_every_section() {
    for (text, wanted) in [
        ("listen: 0.0.0.0:70000", &["GW0206 0.0.0.0:70000"][..]),
        ("listen: [0.0.0.0:1, { adress: 0.0.0.0:2 }]", &["GW0102 { adress: 0.0.0.0:2 }", "GW0101 adress"]),
        ("listen: { address: 0.0.0.0:1, tls: {} }", &["GW0102 {}"]),
        ("listen: { address: 0.0.0.0:1, limits: { connections: 0 } }", &["GW0201 0"]),
        ("listen: { address: 0.0.0.0:1, timeouts: { idle: 0s } }", &["GW0201 0s"]),
        ("listen: { address: 0.0.0.0:1, timeouts: { idle: 5 } }", &["GW0202 5"]),
        ("workers: 0", &["GW0201 0"]),
        ("workers: 1025", &["GW0201 1025"]),
        ("workers: many", &["GW0201 many"]),
        ("trusted_proxies: [10.0.0.1/8]", &["GW0206 10.0.0.1/8"]),
        ("dns: {}", &["GW0102 {}"]),
        ("plans: { gold: { rate_limits: 1/s } }", &["GW0101 rate_limits"]),
        ("consumers: [{ name: a, api_keys: [{ name: x }] }]", &["GW0102 { name: x }"]),
        ("servces: {}", &["GW0101 servces"]),
        ("services: { a: {} }", &["GW0102 {}"]),
        ("services: { a: { endpoints: http://a } }", &["GW0103 http://a"]),
        ("services: { a: { endpoints: [http://a], balance: robin } }", &["GW0201 robin"]),
        ("services: { a: { endpoints: [http://a], balance: { hash: consumers } } }", &["GW0201 consumers"]),
        ("services: { a: { endpoints: [http://a], balance: hash } }", &["GW0201 hash"]),
        ("services: { a: { endpoints: [http://a], balance: { hash: { heder: x } } } }", &["GW0101 heder"]),
        ("services: { a: { endpoints: [http://a], balance: { hash: { header: a b } } } }", &["GW0201 a b"]),
        ("services: { a: { endpoints: [http://a], balance: { hash: ip } } }", &["GW0201 ip"]),
        ("services: { a: { endpoints: [http://a], eject: no } }", &["GW0103 no"]),
        ("services: { a: { endpoints: [http://a], eject: { slower_than_others: 10 } } }", &["GW0201 10"]),
        (
            "services: { a: { endpoints: [http://a], retries: { on: [rest, 404, 600] } } }",
            &["GW0201 rest", "GW0201 404", "GW0201 600"],
        ),
        (
            "services: { a: { endpoints: [http://a], retries: { attempts: 11, budget: 20 } } }",
            &["GW0201 11", "GW0204 20"],
        ),
        ("services: { a: { endpoints: [{ url: http://a, weight: 0 }] } }", &["GW0201 0"]),
        ("policies: { jwt: false, cors: no }", &["GW0103 false", "GW0103 no"]),
        ("policies: [jwt]", &["GW0103 [jwt]"]),
        ("routes: { path: /a }", &["GW0103 { path: /a }"]),
        ("routes: [{ pth: /a }]", &["GW0101 pth"]),
        ("routes: [{ when: x, mirror: {} }]", &["GW0104 when", "GW0102 {}"]),
        ("routes: [{ mirror: { service: a, percent: 101 } }]", &["GW0204 101"]),
        ("routes: [{ hosts: [] }]", &["GW0201 []"]),
        ("routes: [{ headers: { a: false, b: [x] } }]", &["GW0103 false", "GW0103 [x]"]),
        ("routes: [{ split: { a: 10001 } }]", &["GW0201 10001"]),
        ("routes: [{ priority: high }]", &["GW0103 high"]),
        ("routes: [{ timeout: 0s }]", &["GW0201 0s"]),
        ("routes: [{ redirect: /x }]", &["GW0103 /x"]),
    ] {
        let (loaded, said) = loaded(text);
        assert_eq!(said, wanted, "{text}: {}", render_text(&loaded.diagnostics, &loaded.sources, false));
    }
}

#[test]
fn values_of_the_sections_for_those_who_run_it() {
    for (text, wanted) in [
        ("admin:", &["GW0103 "][..]),
        ("admin: false", &["GW0103 false"]),
        ("admin: 9901", &["GW0206 9901"]),
        ("admin: [127.0.0.1:1]", &["GW0103 [***********]"]),
        ("admin: 0.0.0.0:9901", &["GW0406 0.0.0.0:9901"]),
        ("admin: { address: '[::]:1' }", &["GW0406 '[::]:1'"]),
        ("admin: { address: 10.0.0.1:1, tokn: 0123456789abcdef }", &["GW0406 10.0.0.1:1", "GW0101 tokn"]),
        // A token that is wrong is one mistake, not two.
        ("admin: { address: 0.0.0.0:1, token: }", &["GW0103 "]),
        ("admin: { address: 0.0.0.0:1, token: [a] }", &["GW0103 [*]"]),
        ("admin: { address: 0.0.0.0:1, token: 0123456789abcde }", &["GW0201 ***************"]),
        ("admin: { token: '' }", &["GW0201 ''"]),
        ("admin: { token: 0123456789 abcdef }", &["GW0201 *****************"]),
        ("admin: { token: 0123456789abcdeé }", &["GW0201 *****************"]),
        // What could not be filled in is the only mistake.
        ("admin: { address: 0.0.0.0:1, token: '${env:NOPE}' }", &["GW0305 ${env:NOPE}"]),
        ("admin: 'x${env:NOPE}'", &["GW0305 ${env:NOPE}"]),
        ("telemetry: { traces: {}, metrics: {} }", &["GW0104 traces", "GW0101 metrics"]),
        ("telemetry: { access_log: { where: sample(0.1) } }", &["GW0104 where"]),
        ("telemetry: { access_log: '' }", &["GW0201 ''"]),
        ("telemetry: { access_log: logs/ }", &["GW0201 logs/"]),
        ("telemetry: { access_log: true }", &["GW0201 true"]),
        ("telemetry: { access_log: stderr }", &["GW0201 stderr"]),
        ("telemetry: { access_log: { to: off } }", &["GW0201 off"]),
        ("telemetry: { access_log: { to: [stdout] } }", &["GW0103 [stdout]"]),
        ("telemetry: { access_log: { format: common } }", &["GW0201 common"]),
        ("telemetry: off", &["GW0103 off"]),
        ("shutdown: { delay: 5 }", &["GW0202 5"]),
    ] {
        let (loaded, said) = loaded(text);
        assert_eq!(said, wanted, "{text}: {}", render_text(&loaded.diagnostics, &loaded.sources, false));
    }
}

#[test]
fn an_exposed_admin_listener_is_explained() {
    let (loaded, _) = loaded("admin: { address: 0.0.0.0:9901 }\n");
    let wanted = "\
error[GW0406]: the admin listener can be reached by others
 --> gateward.yaml:1:19
  |
1 | admin: { address: 0.0.0.0:9901 }
  |                   ^^^^^^^^^^^^ not a loopback address, and there is no token
  |
  = help: add a token, `admin: { address: …, token: \"${env:GATEWARD_ADMIN_TOKEN}\" }`, or use a loopback address such as `127.0.0.1:9901`

";
    assert_eq!(render_text(&loaded.diagnostics, &loaded.sources, false), wanted);
}

#[test]
fn endpoint_urls() {
    for (url, wanted) in [
        ("10.0.0.1:80", "GW0205 10.0.0.1:80"),
        ("https://a:b", "GW0205 :b"),
        ("ftp://a", "GW0205 ftp"),
        ("http://", "GW0205 "),
        ("http://:80", "GW0205 "),
        ("http://a/b?c", "GW0205 /b?c"),
        ("http://a#b", "GW0205 #b"),
        ("http://me:secret@a", "GW0205 **********"),
        ("http://a:0", "GW0205 0"),
        ("http://a:70000", "GW0205 70000"),
        ("http://a:b", "GW0205 :b"),
        ("http://a:", "GW0205 :"),
        ("http://a..b", "GW0205 a..b"),
        ("http://-a", "GW0205 -a"),
        ("http://a_%20", "GW0205 a_%20"),
        ("http://10.0.0.256", "GW0205 10.0.0.256"),
        ("http://10.1", "GW0205 10.1"),
        ("http://[fd00::1", "GW0205 [fd00::1"),
        ("http://[fd00::x]:80", "GW0205 [fd00::x]"),
        ("http://fd00::1", "GW0205 ::1"),
        ("http://[::1]x", "GW0205 x"),
        ("http://grün", "GW0205 grün"),
    ] {
        let (loaded, said) = loaded(&format!("services: {{ a: {{ endpoints: [\"{url}\"] }} }}"));
        assert_eq!(said, [wanted], "{url}: {}", render_text(&loaded.diagnostics, &loaded.sources, false));
    }
    let long = format!("services: {{ a: {{ endpoints: [http://{}] }} }}", "a".repeat(64));
    assert_eq!(loaded(&long).1.len(), 1);
}

#[test]
fn everything_is_said_at_once() {
    let (loaded, _) = loaded(
        "listen: 0.0.0.0:70000\nservces: {}\nservices:\n  a:\n    endpoints: [ftp://a]\n    timeouts: { conect: 1s }\n\
         routes:\n  - path: /x\n    methds: [GET]\n    timeout: 5\n",
    );
    let wanted = "\
error[GW0206]: `0.0.0.0:70000` is not an address with a port
 --> gateward.yaml:1:9
  |
1 | listen: 0.0.0.0:70000
  |         ^^^^^^^^^^^^^ expected an address with a port
  |
  = help: the port 70000 is out of range: a port is a number from 0 to 65535

error[GW0101]: unknown key `servces`
 --> gateward.yaml:2:1
  |
2 | servces: {}
  | ^^^^^^^ not part of the language here
  |
  = help: did you mean `services`?

error[GW0205]: the scheme is not `http` or `https`
 --> gateward.yaml:5:17
  |
5 |     endpoints: [ftp://a]
  |                 ^^^
  |
  = help: write `http://host:port`, or `https://host:port` for encrypted connections

error[GW0101]: unknown key `conect`
 --> gateward.yaml:6:17
  |
6 |     timeouts: { conect: 1s }
  |                 ^^^^^^ not part of the language here
  |
  = help: did you mean `connect`?

error[GW0101]: unknown key `methds`
 --> gateward.yaml:9:5
  |
9 |     methds: [GET]
  |     ^^^^^^ not part of the language here
  |
  = help: did you mean `methods`?

error[GW0202]: `5` is not a duration
  --> gateward.yaml:10:14
   |
10 |     timeout: 5
   |              ^ expected a duration
   |
   = help: add a unit: `5s` or `5ms`

";
    assert_eq!(render_text(&loaded.diagnostics, &loaded.sources, false), wanted);
    assert_eq!(loaded.diagnostics.summary_line(), "6 errors");
    // What could be read is there all the same, so that further mistakes can be found in it.
    let config = loaded.config.unwrap();
    assert!(loaded.diagnostics.has_errors() && config.routes.len() == 1 && config.services.len() == 1);
}
