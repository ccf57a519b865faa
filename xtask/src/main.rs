//! House rules as code: `cargo run -p xtask -- tidy` reports every breach with its place and what to do.
//!
//! The same rules run as plain tests (`cargo test -p xtask`), so nothing has to be remembered. Each rule is
//! a function from the tree to findings; the limits live in constants at the top of its file. This program
//! reads files and never builds the crates it checks; it must not grow dependencies. Entry point: [`RULES`].

mod findings;
mod generated;
mod layers;
mod licences;
mod links;
mod mask;
mod reference;
mod sources;

use std::process::ExitCode;

use findings::{Finding, Tree};

/// A name and what checks the tree.
type Rule = (&'static str, fn(&Tree) -> Vec<Finding>);

/// What `tidy` runs, in this order. The tests run over the same list.
const RULES: &[Rule] = &[
    ("layers", layers::check),
    ("sources", sources::check),
    ("links", links::check),
    ("generated references", generated::check),
];

const USAGE: &str = "\
cargo run -p xtask -- <command>

  tidy       check layers, module docs, budgets, names, links and generated references
  generate   write the generated references under docs/reference
  licences   check licences, bans and sources against deny.toml, without cargo-deny";

fn main() -> ExitCode {
    let tree = Tree::of_this_repository();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["tidy"] => report("tidy", &RULES.iter().flat_map(|(_, rule)| rule(&tree)).collect::<Vec<_>>()),
        ["generate"] => report("generate", &generated::write(&tree)),
        ["licences"] => report("licences", &licences::check(&tree)),
        ["help" | "--help" | "-h"] => {
            say(USAGE);
            ExitCode::SUCCESS
        }
        _ => {
            complain(USAGE);
            ExitCode::from(2)
        }
    }
}

fn report(command: &str, findings: &[Finding]) -> ExitCode {
    for finding in findings {
        complain(&finding.to_string());
    }
    match findings.len() {
        0 => {
            say(&format!("{command}: nothing to complain about"));
            ExitCode::SUCCESS
        }
        count => {
            complain(&format!("{command}: {count} finding(s)"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command-line tool speaks on its standard output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "findings go to standard error, as a compiler's do")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_the_house_rules() {
        let tree = Tree::of_this_repository();
        assert!(tree.files().len() > 50, "the walk found only {} files", tree.files().len());
        let mut complaints = String::new();
        for (name, rule) in RULES {
            for finding in rule(&tree) {
                complaints.push_str(&format!("[{name}] {finding}\n"));
            }
        }
        assert!(complaints.is_empty(), "\n{complaints}");
    }
}
