//! Licences, bans and sources of what we depend on, for machines where cargo-deny cannot be installed.
//!
//! The rules stand in `deny.toml` and only there; this reads the few keys it needs: the allowed licences, the
//! banned crates, and the platforms that we ship for. It asks `cargo tree` what is really built there.
//! Advisories need a database, so they stay with cargo-deny. Entry point: [`check`].

use std::collections::BTreeSet;
use std::process::Command;

use crate::findings::{Finding, Tree};

/// The part of `deny.toml` that is enforced here.
struct Rules {
    allowed: Vec<String>,
    banned: Vec<String>,
    targets: Vec<String>,
}

/// Checks the whole dependency tree of the workspace.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(deny) = tree.file("deny.toml") else {
        return vec![Finding::new("deny.toml", 0, "the file is missing")];
    };
    let rules = Rules {
        allowed: strings_of(&deny.text, "licenses", "allow"),
        banned: crates_of(&deny.text, "bans", "deny"),
        targets: strings_of(&deny.text, "graph", "targets"),
    };
    if rules.targets.is_empty() {
        return vec![Finding::new("deny.toml", 0, "`[graph] targets` names no platform")];
    }
    match packages(tree, &rules.targets) {
        Ok(packages) => packages.iter().filter_map(|package| judge(package, &rules)).collect(),
        Err(why) => vec![Finding::new("Cargo.toml", 0, why)],
    }
}

/// What `cargo tree` prints of each package: licence, name and version, source if it is not the registry.
fn packages(tree: &Tree, targets: &[String]) -> Result<BTreeSet<String>, String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--workspace", "--all-features", "--locked", "--prefix", "none", "--no-dedupe"])
        .args(targets.iter().flat_map(|target| ["--target", target]))
        .args(["--edges", "normal,build,dev", "--format", "{l}|{p}"])
        .current_dir(tree.root())
        .output()
        .map_err(|error| format!("cargo tree did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains('|'))
        .map(str::to_owned)
        .collect())
}

fn judge(package: &str, rules: &Rules) -> Option<Finding> {
    let (licence, what) = package.split_once('|')?;
    let mut words = what.split(' ');
    let name = words.next().unwrap_or_default();
    let version = words.next().unwrap_or_default();
    // Anything in brackets but a folder of ours or a mark such as `(proc-macro)` is a foreign source.
    let foreign = words.find(|word| word.contains("://"));
    let problem = if rules.banned.iter().any(|banned| banned == name) {
        "is banned: deny.toml says why".to_owned()
    } else if let Some(source) = foreign {
        format!("comes from {source}: only the crate registry is allowed")
    } else if !permits(licence, &rules.allowed) {
        format!("has the licence `{licence}`, which deny.toml does not allow")
    } else {
        return None;
    };
    Some(Finding::new("Cargo.lock", 0, format!("{name} {version} {problem}")))
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is the old spelling of `OR`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all_of(rest, allowed);
    while let ["OR", tail @ ..] = rest {
        *rest = tail;
        met |= all_of(rest, allowed);
    }
    met
}

fn all_of(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(rest, allowed);
    while let ["AND", tail @ ..] = rest {
        *rest = tail;
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut &[&str], allowed: &[String]) -> bool {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let met = any_of(rest, allowed);
            let closed = rest.first() == Some(&")");
            *rest = rest.get(1..).unwrap_or_default();
            met && closed
        }
        [licence, "WITH", exception, tail @ ..] => {
            *rest = tail;
            allowed.iter().any(|known| *known == format!("{licence} WITH {exception}"))
        }
        [licence, tail @ ..] => {
            *rest = tail;
            allowed.iter().any(|known| known == licence)
        }
        [] => false,
    }
}

/// The lines of a TOML array `key = [ … ]` in `[section]`, one entry a line as we write them.
fn array_lines<'a>(text: &'a str, section: &str, key: &str) -> impl Iterator<Item = &'a str> {
    let (header, opening) = (format!("[{section}]"), format!("{key} = ["));
    text.lines()
        .map(str::trim)
        .skip_while(move |line| *line != header)
        .skip_while(move |line| *line != opening)
        .skip(1)
        .take_while(|line| *line != "]")
}

fn strings_of(text: &str, section: &str, key: &str) -> Vec<String> {
    array_lines(text, section, key)
        .filter_map(|line| Some(line.strip_prefix('"')?.split('"').next()?.to_owned()))
        .collect()
}

fn crates_of(text: &str, section: &str, key: &str) -> Vec<String> {
    array_lines(text, section, key)
        .filter_map(|line| line.split_once("crate = \"")?.1.split('"').next().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let deny = "[graph]\ntargets = [\n  \"x86_64-unknown-linux-gnu\",\n]\n[licenses]\nallow = [\n  # why\n  \"MIT\",\n  \"Zlib\",\n  \"Apache-2.0 WITH LLVM-exception\",\n]\n\
                    [bans]\ndeny = [\n  { crate = \"openssl\", reason = \"no\" },\n]\n";
        Rules {
            allowed: strings_of(deny, "licenses", "allow"),
            banned: crates_of(deny, "bans", "deny"),
            targets: strings_of(deny, "graph", "targets"),
        }
    }

    #[test]
    fn expressions_are_met_or_not() {
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(GPL-3.0 OR MIT) AND Zlib", true),
            ("GPL-3.0/MIT", true),
            ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
            ("Apache-2.0", false),
            ("", false),
            ("(MIT", false),
        ] {
            assert_eq!(permits(expression, &rules().allowed), met, "{expression}");
        }
    }

    #[test]
    fn packages_are_judged() {
        assert_eq!(rules().targets, ["x86_64-unknown-linux-gnu"]);
        for (package, complaint) in [
            ("MIT|memchr v2.8.3", None),
            ("MIT|wire v0.1.0 (/somewhere/crates/wire)", None),
            ("MIT|derive v1.0.0 (proc-macro)", None),
            ("MIT|openssl v0.10.0", Some("is banned")),
            ("MPL-2.0|x v1.0.0", Some("has the licence `MPL-2.0`")),
            ("MIT|x v1.0.0 (https://example.com/x#1234)", Some("only the crate registry")),
        ] {
            let found = judge(package, &rules()).map(|finding| finding.message);
            assert_eq!(found.is_some(), complaint.is_some(), "{package}: {found:?}");
            assert!(found.unwrap_or_default().contains(complaint.unwrap_or_default()), "{package}");
        }
    }
}
