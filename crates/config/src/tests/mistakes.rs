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
        ("listen: { address: 0.0.0.0:1, tls: {} }", &["GW0104 tls"]),
        ("listen: { address: 0.0.0.0:1, limits: { connections: 0 } }", &["GW0201 0"]),
        ("listen: { address: 0.0.0.0:1, timeouts: { idle: 0s } }", &["GW0201 0s"]),
        ("listen: { address: 0.0.0.0:1, timeouts: { idle: 5 } }", &["GW0202 5"]),
        ("workers: 0", &["GW0201 0"]),
        ("workers: 1025", &["GW0201 1025"]),
        ("workers: many", &["GW0201 many"]),
        ("trusted_proxies: [10.0.0.1/8]", &["GW0206 10.0.0.1/8"]),
        ("dns: {}", &["GW0102 {}"]),
        ("consumers: []", &["GW0104 consumers"]),
        ("servces: {}", &["GW0101 servces"]),
        ("services: { a: {} }", &["GW0102 {}"]),
        ("services: { a: { health: {} } }", &["GW0104 health"]),
        ("services: { a: { endpoints: http://a } }", &["GW0103 http://a"]),
        ("services: { a: { endpoints: [http://a], balance: robin } }", &["GW0201 robin"]),
        ("services: { a: { endpoints: [http://a], balance: ewma } }", &["GW0104 ewma"]),
        ("services: { a: { endpoints: [http://a], balance: { hash: { header: x } } } }", &["GW0104 hash"]),
        (
            "services: { a: { endpoints: [http://a], retries: { on: [rest, 404, 600] } } }",
            &["GW0201 rest", "GW0201 404", "GW0201 600"],
        ),
        (
            "services: { a: { endpoints: [http://a], retries: { attempts: 11, budget: 20 } } }",
            &["GW0201 11", "GW0204 20"],
        ),
        (
            "services: { a: { endpoints: [{ url: http://a, weight: 0, zone: x }] } }",
            &["GW0201 0", "GW0104 zone"],
        ),
        ("policies: { jwt: false, cors: no }", &["GW0103 false", "GW0103 no"]),
        ("policies: [jwt]", &["GW0103 [jwt]"]),
        ("routes: { path: /a }", &["GW0103 { path: /a }"]),
        ("routes: [{ pth: /a }]", &["GW0101 pth"]),
        ("routes: [{ when: x, mirror: {} }]", &["GW0104 when", "GW0104 mirror"]),
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
fn endpoint_urls() {
    for (url, wanted) in [
        ("10.0.0.1:80", "GW0205 10.0.0.1:80"),
        ("https://a", "GW0104 https"),
        ("ftp://a", "GW0205 ftp"),
        ("http://", "GW0205 "),
        ("http://:80", "GW0205 "),
        ("http://a/b?c", "GW0205 /b?c"),
        ("http://a#b", "GW0205 #b"),
        ("http://me:secret@a", "GW0205 me:secret@"),
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
        "listen: 0.0.0.0:70000\nservces: {}\nservices:\n  a:\n    endpoints: [https://a]\n    timeouts: { conect: 1s }\n\
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

error[GW0104]: `https` is not built yet
 --> gateward.yaml:5:17
  |
5 |     endpoints: [https://a]
  |                 ^^^^^ encrypted connections to services: part of the language, but this version does not have it yet
  |
  = help: remove it to use this version

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
