//! Rules for every Rust file: module docs, budgets, names, no `unsafe`, no test switched off.
//!
//! Budgets may be raised only in [`ALLOWED`], with a reason; an entry that is no longer needed is reported,
//! so the list can only shrink. Entry point: [`check`].

use std::path::Path;

use crate::findings::{File, Finding, Tree};
use crate::mask::{functions, line_of, mask, words};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 80;

/// Names that say nothing of what is inside.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// Where our Rust sources lie.
const FOLDERS: &[&str] = &["crates/", "xtask/", "tests/", "fuzz/"];

/// A budget raised for one place.
struct Allowed {
    path: &'static str,
    /// Empty: the file itself.
    function: &'static str,
    lines: usize,
    /// For the reader of the list.
    _reason: &'static str,
}

/// Every exception to a budget. Keep it short.
const ALLOWED: &[Allowed] = &[];

/// Checks every Rust file of ours.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = |file: &&File| FOLDERS.iter().any(|folder| file.path.starts_with(folder));
    for file in tree.with_extension("rs").filter(ours) {
        let masked = mask(&file.text);
        findings.extend(check_docs(file));
        findings.extend(check_name(file));
        findings.extend(check_budgets(file, &masked));
        findings.extend(check_words(file, &masked));
    }
    for entry in ALLOWED.iter().filter(|entry| !tree.exists(entry.path)) {
        let message = format!("{} is gone: delete its entry in ALLOWED", entry.path);
        findings.push(Finding::new("xtask/src/sources.rs", 0, message));
    }
    findings
}

fn check_docs(file: &File) -> Option<Finding> {
    let message = "begin the file with `//!`: what it owns, what it must not know, where to start reading";
    (!file.text.starts_with("//! ")).then(|| Finding::new(&file.path, 1, message))
}

fn check_name(file: &File) -> Option<Finding> {
    let banned = Path::new(&file.path)
        .with_extension("")
        .iter()
        .filter_map(|part| part.to_str())
        .find_map(|part| BANNED_NAMES.iter().find(|banned| **banned == part))?;
    let message = format!("`{banned}` says nothing: name the file or folder after what it holds");
    Some(Finding::new(&file.path, 0, message))
}

fn check_budgets(file: &File, masked: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let length = file.text.lines().count();
    if let Some(message) = over_budget(&file.path, "", length, FILE_LINES) {
        findings.push(Finding::new(&file.path, 0, message));
    }
    for function in functions(masked) {
        if let Some(message) = over_budget(&file.path, &function.name, function.length, FUNCTION_LINES) {
            findings.push(Finding::new(&file.path, function.line, message));
        }
    }
    findings
}

fn over_budget(path: &str, function: &str, lines: usize, budget: usize) -> Option<String> {
    let what = if function.is_empty() { "the file".to_owned() } else { format!("`{function}`") };
    let allowed = ALLOWED.iter().find(|entry| entry.path == path && entry.function == function);
    match allowed {
        Some(entry) if lines > entry.lines => Some(format!(
            "{what} has {lines} lines, more than the {} that ALLOWED grants it: split it",
            entry.lines
        )),
        Some(_) if lines <= budget => {
            Some(format!("{what} keeps its budget again: delete its entry in ALLOWED"))
        }
        Some(_) => None,
        None if lines > budget => Some(format!(
            "{what} has {lines} lines, the budget is {budget}: split it where a name suggests itself"
        )),
        None => None,
    }
}

fn check_words(file: &File, masked: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for at in words(masked, "unsafe") {
        let message =
            "no `unsafe`: find a safe way, or make the case for a leaf crate in ARCHITECTURE.md first";
        findings.push(Finding::new(&file.path, line_of(masked, at), message));
    }
    for (at, _) in masked.match_indices("#[ignore") {
        let message = "no test is switched off: mend it or delete it";
        findings.push(Finding::new(&file.path, line_of(masked, at), message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        check(&Tree::made_of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tidy_file_passes() {
        let text = "//! What it owns.\n\n// unsafe is only mentioned\n#![forbid(unsafe_code)]\nfn f() {}\n";
        assert_eq!(complaints("crates/a/src/lib.rs", text), Vec::<String>::new());
    }

    #[test]
    fn each_rule_names_place_and_remedy() {
        let long_function = format!("//! Docs.\n\nfn long() {{\n{}}}\n", "    step();\n".repeat(79));
        let long_file = format!("//! Docs.\n{}", "const A: u8 = 0;\n".repeat(500));
        for (path, text, want) in [
            ("crates/a/src/lib.rs", "fn f() {}", "crates/a/src/lib.rs:1: begin the file with `//!`"),
            ("crates/a/src/utils.rs", "//! Docs.\n", "crates/a/src/utils.rs: `utils` says nothing"),
            ("tests/common/mod.rs", "//! Docs.\n", "tests/common/mod.rs: `common` says nothing"),
            ("crates/a/src/x.rs", &long_function, "crates/a/src/x.rs:3: `long` has 81 lines"),
            ("crates/a/src/x.rs", &long_file, "crates/a/src/x.rs: the file has 501 lines"),
            ("fuzz/x.rs", "//! Docs.\nfn f() { unsafe {} }", "fuzz/x.rs:2: no `unsafe`"),
            (
                "tests/x.rs",
                "//! Docs.\n#[test]\n#[ignore]\nfn f() {}",
                "tests/x.rs:3: no test is switched off",
            ),
        ] {
            let found = complaints(path, text);
            assert!(found.len() == 1 && found[0].starts_with(want), "wanted {want}, found {found:?}");
        }
    }
}
