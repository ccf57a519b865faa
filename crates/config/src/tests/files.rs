//! Several files, and files that are not as they should be.

use std::path::Path;

use diagnostics::render_text;
use document::MemoryEnvironment;

use super::said;
use crate::{Loaded, load};

const SERVICE: &str = "services: { a: { endpoints: [http://a] } }\n";

fn loaded(path: &str, files: &[(&str, &str)]) -> (Loaded, Vec<String>) {
    let environment =
        files.iter().fold(MemoryEnvironment::new().with_var("PORT", "81"), |memory, (path, text)| {
            memory.with_file(path, text)
        });
    let loaded = load(Path::new(path), &environment, |_| None);
    let said = said(&loaded.diagnostics, &loaded.sources);
    (loaded, said)
}

#[test]
fn includes_are_joined() {
    let (loaded, said) = loaded(
        "etc/gateward.yaml",
        &[
            (
                "etc/gateward.yaml",
                "include: [conf.d/*.yaml, ../more/b.yaml]\nlisten: 0.0.0.0:80\nroutes: [{ path: /1, service: a }]\n",
            ),
            ("etc/conf.d/10.yaml", SERVICE),
            (
                "etc/conf.d/20.yaml",
                "routes: [{ path: /2, service: \"${file:name}\" }]\nlisten: \"127.0.0.1:${env:PORT}\"\n",
            ),
            ("etc/conf.d/name", "b\n"),
            ("etc/conf.d/.hidden.yaml", "nonsense: 1\n"),
            ("more/b.yaml", "services: { b: { endpoints: [http://b] } }\npolicies: { request_id: {} }\n"),
        ],
    );
    assert_eq!(said, Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert_eq!(config.services.names().collect::<Vec<_>>(), ["a", "b"]);
    let addresses: Vec<String> = config.listen.iter().map(|listen| listen.address.to_string()).collect();
    assert_eq!(addresses, ["0.0.0.0:80", "127.0.0.1:81"]);
    let paths: Vec<&str> =
        config.routes.iter().filter_map(|route| Some(route.path.as_ref()?.as_str())).collect();
    assert_eq!(paths, ["/1", "/2"]);
    assert_eq!(config.routes[1].service.as_ref().unwrap().as_str(), "b");
}

#[test]
fn a_folder_is_read_in_the_order_of_names() {
    let (loaded, said) = loaded(
        "etc",
        &[
            ("etc/b.yml", "routes: [{ path: /b, service: a }]\n"),
            ("etc/a.yaml", "listen: 0.0.0.0:80\nroutes: [{ path: /a, service: a }]\n"),
            ("etc/0.yaml", "# nothing\n"),
            ("etc/notes.txt", "nonsense: 1"),
            ("etc/c.yaml", SERVICE),
        ],
    );
    assert_eq!(said, Vec::<String>::new());
    let config = loaded.config.unwrap();
    let paths: Vec<&str> =
        config.routes.iter().filter_map(|route| Some(route.path.as_ref()?.as_str())).collect();
    assert_eq!(paths, ["/a", "/b"]);
}

#[test]
fn what_is_said_about_files() {
    for (files, wanted) in [
        (&[("g", "services: {}\n"), ("x", "")][..], &[][..]),
        (&[], &["GW0005 "]),
        (&[("g", "")], &["GW0005 "]),
        (&[("g", "# nothing\n")], &["GW0005 "]),
        (&[("g", "- a\n")], &["GW0103 - a"]),
        (&[("g", "a: [\n")], &["GW0001 ["]),
        (&[("g/a.txt", "")], &["GW0005 "]),
        (&[("g", "include: [x]\n")], &["GW0308 x"]),
        (&[("g", "include: x\n")], &["GW0103 x"]),
        (&[("g", "include: [no/*.yaml]\n")], &["GW0308 no/*.yaml"]),
        (&[("g", "include: ['*/a.yaml']\n")], &["GW0308 '*/a.yaml'"]),
        (&[("g", "include: [g]\n")], &["GW0309 g"]),
        (&[("g", "include: [x, ./x]\n"), ("x", "")], &["GW0309 ./x"]),
        (&[("g", "include: [x]\n"), ("x", "include: [y]\n"), ("y", "include: [g]\n")], &["GW0309 g"]),
        (&[("g", "workers: 1\ninclude: [x]\n"), ("x", "workers: 2\n")], &["GW0003 workers"]),
        (
            &[("g", "policies: { a: off }\ninclude: [x]\n"), ("x", "policies: { a: off, b: off }\n")],
            &["GW0003 a"],
        ),
        (&[("g", "routes: []\ninclude: [x]\n"), ("x", "routes: {}\n")], &["GW0003 routes"]),
        (
            &[("g", "dns: { servers: '${env:NOPE}' }\nlisten: '1.2.3.4:${env:NOPE}'\n")],
            &["GW0305 ${env:NOPE}", "GW0305 ${env:NOPE}"],
        ),
        (&[("g", "tests: ['${test:jwt}']\nservices: {}\n")], &["GW0104 tests"]),
    ] {
        let (loaded, mut said) = loaded("g", files);
        said.sort();
        assert_eq!(said, wanted, "{files:?}: {}", render_text(&loaded.diagnostics, &loaded.sources, false));
    }
}

#[test]
fn a_name_given_twice_shows_both_files() {
    let (loaded, _) = loaded(
        "g.yaml",
        &[("g.yaml", "services:\n  a: { endpoints: [http://a] }\ninclude: [x.yaml]\n"), ("x.yaml", SERVICE)],
    );
    let wanted = "\
error[GW0003]: `a` is given twice in `services`
 --> x.yaml:1:13
  |
1 | services: { a: { endpoints: [http://a] } }
  |             ^ here again
  |
 ::: g.yaml:2:3
  |
2 |   a: { endpoints: [http://a] }
  |   - first here
  |
  = help: remove one, or give it another name

";
    assert_eq!(render_text(&loaded.diagnostics, &loaded.sources, false), wanted);
}

#[test]
fn a_missing_file_says_how_to_begin() {
    let (loaded, _) = loaded("gateward.yaml", &[]);
    let wanted = "\
error[GW0005]: the configuration `gateward.yaml` cannot be read: there is no such file
 |
 = help: name another file with `-c`, or begin with these lines in `gateward.yaml`:
         listen: 0.0.0.0:8080
         services:
           app:
             endpoints: [http://127.0.0.1:3000]
         routes:
           - { path: /*, service: app }

";
    assert_eq!(render_text(&loaded.diagnostics, &loaded.sources, false), wanted);
    let lines = wanted.lines().skip_while(|line| !line.contains("listen:"));
    let begin: String = lines.filter_map(|line| line.get(9..)).map(|line| format!("{line}\n")).collect();
    assert_eq!(super::fine(&begin).routes.len(), 1);
}

#[test]
fn includes_are_bounded() {
    let files: Vec<(String, String)> =
        (0..40).map(|n| (format!("f{n}"), format!("include: [f{}]\n", n + 1))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let (loaded, said) = loaded("f0", &files);
    assert_eq!(said, ["GW0004 f17"]);
    assert!(loaded.config.is_none());
}

#[test]
fn files_that_policies_name_are_read_wherever_the_policy_stands() {
    document::section! {
        /// A policy that names a file.
        struct Policy {
            /// The file.
            database: document::BinaryFile,
        }
    }
    use document::{Decode, Shape};
    let text = "\
policies: { geo: { database: a.db }, other: { database: a.db } }
services: { a: { endpoints: [http://a], policies: { geo: { database: ../a.db } } } }
routes: [{ path: /, service: a, policies: { geo: { database: b.db } } }, { path: /x, service: a, policies: { geo: off } }]
";
    let tree = |bytes: &[u8]| {
        let environment = MemoryEnvironment::new()
            .with_file("etc/g.yaml", text)
            .with_bytes("etc/a.db", bytes)
            .with_bytes("a.db", b"1");
        fn shape(kind: &str) -> Option<Shape> {
            (kind == "geo").then_some(Shape::Section(Policy::info))
        }
        load(Path::new("etc/g.yaml"), &environment, shape).tree.unwrap()
    };
    let loaded = tree(&[0xff, 0]);
    let read = |policies: Option<&document::Node>, kind: &str| {
        let mut diagnostics = diagnostics::Diagnostics::new();
        let node = policies.and_then(|node| node.get("policies")?.get(kind)).unwrap();
        Policy::decode(node, &mut diagnostics)
            .map(|policy| policy.database.bytes.as_ref().to_vec())
            .ok_or_else(|| diagnostics.iter().map(|one| one.message.clone()).collect::<String>())
    };
    assert_eq!(read(Some(&loaded), "geo").unwrap(), [0xff, 0]);
    assert_eq!(read(loaded.get("services").and_then(|all| all.get("a")), "geo").unwrap(), b"1");
    let routes = loaded.get("routes").and_then(document::Node::list).unwrap();
    assert!(
        read(routes.first(), "geo").unwrap_err().contains("`etc/b.db` cannot be read: it does not exist")
    );
    // Nothing is known of this one, so nothing is read.
    assert!(read(Some(&loaded), "other").is_err());
    assert_ne!(loaded, tree(&[0xff, 1]), "a changed file is a changed tree");
    assert_eq!(loaded, tree(&[0xff, 0]));
}
