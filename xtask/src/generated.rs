//! References that come from the code: `generate` writes them, and a test fails when a committed copy differs.
//!
//! An entry is a path and a function that returns the whole text of the file. The text must depend on the
//! code alone, never on time, machine or environment. Entry points: [`write()`] and [`check`].

use crate::findings::{Finding, Tree};
use crate::reference;

/// A path from the root of the repository, and what makes the text of that file.
type Reference = (&'static str, fn() -> String);

/// Every generated file.
const GENERATED: &[Reference] = &[
    ("docs/reference/configuration.md", reference::configuration),
    ("docs/reference/policies.md", reference::policies),
    ("docs/reference/diagnostics.md", reference::diagnostics),
    ("docs/reference/faults.md", reference::faults),
    ("docs/reference/metrics.md", reference::metrics),
];

/// Compares each committed copy with what the code says now.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    GENERATED.iter().filter_map(|(path, text)| differs(tree, path, &text())).collect()
}

fn differs(tree: &Tree, path: &str, wanted: &str) -> Option<Finding> {
    let remedy = "run `cargo run -p xtask -- generate` and commit the result";
    let committed = std::fs::read_to_string(tree.root().join(path)).unwrap_or_default();
    if committed == wanted {
        return None;
    }
    let same = committed.lines().zip(wanted.lines()).take_while(|(have, want)| have == want).count();
    Some(Finding::new(path, same + 1, format!("differs from what the code says: {remedy}")))
}

/// Writes every generated file; a file that cannot be written is a finding.
pub(crate) fn write(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in GENERATED {
        let file = tree.root().join(path);
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(&file, text())) {
            findings.push(Finding::new(path, 0, format!("cannot be written: {error}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        let tree = Tree::of_this_repository();
        let committed = std::fs::read_to_string(tree.root().join("LICENSE")).unwrap();
        assert!(differs(&tree, "LICENSE", &committed).is_none());
        let changed = committed.replacen("Version 2.0", "Version 3.0", 1);
        let line = 1 + committed.lines().position(|line| line.contains("Version 2.0")).unwrap();
        assert_eq!(differs(&tree, "LICENSE", &changed).unwrap().line, line);
        assert_eq!(differs(&tree, "no/such/file", "text").unwrap().line, 1);
    }
}
