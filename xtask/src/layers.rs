//! The layer table: which crate may use which.
//!
//! A crate may depend only on crates of a lower layer, in its tests too. The table stands here and nowhere
//! else; `ARCHITECTURE.md` repeats it for readers, and a rule compares the two. Manifests are read by hand:
//! the few forms of a dependency line that we use do not need a TOML parser. Entry point: [`check`].

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::{File, Finding, Tree};

/// Layer and crate, lowest first.
pub(crate) const LAYERS: &[(u8, &str)] = &[
    (0, "diagnostics"),
    (0, "message"),
    (0, "jose"),
    (0, "expression"),
    (0, "balance"),
    (0, "tls"),
    (0, "limits"),
    (0, "durable"),
    (1, "document"),
    (1, "wire"),
    (1, "router"),
    (1, "telemetry"),
    (1, "discovery"),
    (1, "signatures"),
    (1, "oidc"),
    (1, "schema"),
    (1, "authority"),
    (1, "quota"),
    (1, "store"),
    (1, "keys"),
    (2, "config"),
    (2, "policy"),
    (2, "acme"),
    (3, "snapshot"),
    (4, "compile"),
    (4, "dataplane"),
    (5, "control"),
    (6, "admin"),
    (7, "gateward"),
];

/// What a crate must not reach by any way, and why.
const NEVER_REACHES: &[(&str, &[&str], &str)] = &[(
    "dataplane",
    &["config", "compile"],
    "a request sees only the compiled snapshot: what the user wrote has no meaning any more by then",
)];

/// Finds every breach of the layer table.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let manifests: BTreeMap<&str, &File> =
        tree.files().iter().filter_map(|file| Some((crate_folder(&file.path)?, file))).collect();
    let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (&name, manifest) in &manifests {
        findings.extend(check_manifest(name, manifest));
        edges.insert(name, dependencies(&manifest.text).into_iter().map(|(_, to)| to).collect());
    }
    for (_, name) in LAYERS {
        if !manifests.contains_key(name) {
            let message = format!("there is no crates/{name}: take it out of LAYERS");
            findings.push(Finding::new("xtask/src/layers.rs", 0, message));
        }
    }
    for (from, banned, why) in NEVER_REACHES {
        let reached = reachable(from, &edges);
        for to in banned.iter().filter(|to| reached.contains(**to)) {
            let path = format!("crates/{from}/Cargo.toml");
            findings.push(Finding::new(
                &path,
                0,
                format!("`{from}` reaches `{to}` through its dependencies; {why}"),
            ));
        }
    }
    findings.extend(check_architecture(tree, &manifests));
    findings
}

fn check_manifest(name: &str, manifest: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(layer) = layer_of(name) else {
        let message = format!("crate `{name}` has no layer: add it to LAYERS in xtask/src/layers.rs");
        return vec![Finding::new(&manifest.path, 0, message)];
    };
    if value_of(&manifest.text, "package", "name") != Some(name) {
        findings.push(Finding::new(
            &manifest.path,
            0,
            format!("name the package `{name}`, as its folder is named"),
        ));
    }
    if value_of(&manifest.text, "lints", "workspace") != Some("true") {
        findings.push(Finding::new(
            &manifest.path,
            0,
            "add `[lints]` with `workspace = true`: lints hold everywhere",
        ));
    }
    for (line, to) in dependencies(&manifest.text) {
        if let Some(other) = layer_of(&to)
            && other >= layer
        {
            let message = format!(
                "`{name}` (layer {layer}) may not use `{to}` (layer {other}): a crate uses only lower layers; \
                 move what is needed down, or pass it in"
            );
            findings.push(Finding::new(&manifest.path, line, message));
        }
    }
    findings
}

/// `ARCHITECTURE.md` must show each crate in one row, with its layer and the description of its manifest.
fn check_architecture(tree: &Tree, manifests: &BTreeMap<&str, &File>) -> Vec<Finding> {
    let Some(page) = tree.file("ARCHITECTURE.md") else {
        return vec![Finding::new("ARCHITECTURE.md", 0, "the file is missing")];
    };
    LAYERS
        .iter()
        .filter_map(|(layer, name)| {
            let description = value_of(&manifests.get(name)?.text, "package", "description")?;
            let row = format!("| {layer} | `{name}` | {description} |");
            let stands = page.text.lines().any(|line| line.trim_end() == row);
            (!stands).then(|| Finding::new(&page.path, 0, format!("the code map lacks this row: {row}")))
        })
        .collect()
}

fn layer_of(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, known)| *known == name).map(|(layer, _)| *layer)
}

fn crate_folder(path: &str) -> Option<&str> {
    let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
    (!name.contains('/')).then_some(name)
}

fn reachable<'a>(from: &'a str, edges: &'a BTreeMap<&str, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for to in edges.get(name).into_iter().flatten() {
            if seen.insert(to.as_str()) {
                open.push(to);
            }
        }
    }
    seen
}

/// Line and package of each dependency, of every kind and target.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if let Some(section) = section(line) {
            inside = section.ends_with("dependencies");
            // `[dependencies.name]` is a dependency by itself.
            if let Some((table, name)) = section.rsplit_once('.')
                && table.ends_with("dependencies")
            {
                found.push((index + 1, name.trim_matches('"').to_owned()));
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let key = line.split(['.', '=', ' ']).next().unwrap_or_default().trim_matches('"');
            let renamed = line.split_once("package = \"").and_then(|(_, rest)| rest.split('"').next());
            found.push((index + 1, renamed.unwrap_or(key).to_owned()));
        }
    }
    found
}

/// The value of `key` in `[section]`, without quotes.
fn value_of<'a>(manifest: &'a str, wanted: &str, key: &str) -> Option<&'a str> {
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = section(line) {
            inside = section == wanted;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim().trim_matches('"'));
        }
    }
    None
}

fn section(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']').map(|name| name.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}")
    }

    fn complaints(crates: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> = crates
            .iter()
            .map(|(name, rest)| (format!("crates/{name}/Cargo.toml"), manifest(name, rest)))
            .collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let unknown = "there is no crates/";
        check(&Tree::made_of(&files))
            .into_iter()
            .filter(|finding| !finding.message.starts_with(unknown) && finding.path != "ARCHITECTURE.md")
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn lower_layers_may_be_used() {
        assert!(
            complaints(&[("wire", "[dependencies]\nmessage.workspace = true\nmemchr.workspace = true")])
                .is_empty()
        );
    }

    #[test]
    fn own_and_higher_layers_may_not_be_used_in_any_form() {
        for rest in [
            "[dependencies]\nrouter.workspace = true",
            "[dev-dependencies]\nrouter = { workspace = true }",
            "[target.'cfg(unix)'.dependencies]\nrouter = \"1\"",
            "[dependencies.router]\nworkspace = true",
            "[build-dependencies]\nother = { package = \"router\", path = \"../router\" }",
        ] {
            let found = complaints(&[("wire", rest)]);
            assert_eq!(found.len(), 1, "{rest}: {found:?}");
            assert!(found[0].contains("may not use `router`"), "{found:?}");
        }
    }

    #[test]
    fn a_crate_without_a_layer_is_reported() {
        assert!(complaints(&[("novel", "")])[0].contains("has no layer"));
    }

    #[test]
    fn the_data_plane_never_reaches_the_configuration() {
        let found = complaints(&[
            ("dataplane", "[dependencies]\nsnapshot.workspace = true"),
            ("snapshot", "[dependencies]\nconfig.workspace = true"),
            ("config", ""),
        ]);
        assert!(found.iter().any(|line| line.contains("`dataplane` reaches `config`")), "{found:?}");
    }
}
