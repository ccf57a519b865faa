//! Links and code references in Markdown must lead somewhere.
//!
//! Checked are relative links, with their `#heading` if there is one, and code references: inline code that
//! begins with a top folder of the repository (`crates/…`, `docs/…`), optionally followed by `::symbol`.
//! Line numbers are never cited: they rot. The changelog is exempt from code references, because it speaks of
//! the past. Links out of the repository are not followed. Entry point: [`check`].

use crate::findings::{File, Finding, Tree};
use crate::mask::words;

/// Inline code that begins so is taken for a path.
const PATH_STARTS: &[&str] = &["crates/", "docs/", "xtask/", "tests/", "fuzz/", ".ci/"];

/// Characters that mark a pattern or a placeholder instead of a path.
const NOT_A_PATH: &[char] = &['*', '<', '{', '…', ' ', '$', '='];

/// Checks every Markdown file.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_extension("md").flat_map(|page| check_page(tree, page)).collect()
}

fn check_page(tree: &Tree, page: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in prose(&page.text) {
        let (text, codes) = split_inline_code(text);
        for target in links(&text) {
            if let Err(message) = follow(tree, page, &target) {
                findings.push(Finding::new(&page.path, line, message));
            }
        }
        for code in codes.iter().filter(|_| page.path != "CHANGELOG.md") {
            if let Err(message) = resolve(tree, code) {
                findings.push(Finding::new(&page.path, line, message));
            }
        }
    }
    findings
}

/// Numbered lines outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

/// The line without its inline code, and the pieces of inline code.
fn split_inline_code(line: &str) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut codes = Vec::new();
    for (index, part) in line.split('`').enumerate() {
        if index % 2 == 1 {
            codes.push(part.to_owned());
            // Something must stay, so that `[`x`](y)` remains a link.
            text.push('x');
        } else {
            text.push_str(part);
        }
    }
    (text, codes)
}

/// Targets of `[text](target)` and `[text]: target`.
fn links(text: &str) -> Vec<String> {
    let mut targets: Vec<String> = text
        .match_indices("](")
        .filter_map(|(at, _)| text[at + 2..].split(')').next())
        .map(|target| target.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    if let Some((label, target)) = text.split_once("]: ")
        && label.starts_with('[')
    {
        targets.push(target.trim().to_owned());
    }
    targets
}

fn follow(tree: &Tree, page: &File, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { Some(page.path.clone()) } else { join(&page.path, path) };
    let Some(path) = path.filter(|path| tree.exists(path)) else {
        return Err(format!("the link `{target}` leads nowhere: mend the path, or delete the link"));
    };
    let Some(file) = tree.file(&path).filter(|_| !heading.is_empty()) else { return Ok(()) };
    let mut headings = prose(&file.text).filter_map(|(_, line)| Some(slug(line.strip_prefix('#')?)));
    if headings.any(|known| known == heading) {
        return Ok(());
    }
    Err(format!("`{path}` has no heading `#{heading}`: mend the link `{target}`"))
}

/// `target` as seen from the folder of `page`; `None` if it leaves the repository.
fn join(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchor that forges make from a heading.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() })
        .collect()
}

fn resolve(tree: &Tree, code: &str) -> Result<(), String> {
    if !PATH_STARTS.iter().any(|start| code.starts_with(start)) || code.contains(NOT_A_PATH) {
        return Ok(());
    }
    let (path, symbol) = code.split_once("::").unwrap_or((code, ""));
    let path = path.trim_end_matches('/');
    if !tree.exists(path) {
        return Err(format!("there is no `{path}`: say where it is now"));
    }
    let symbol = symbol.rsplit("::").next().unwrap_or_default().trim_end_matches("()");
    let Some(file) = tree.file(path).filter(|_| !symbol.is_empty()) else { return Ok(()) };
    if words(&file.text, symbol).any(|at| is_definition(&file.text, at)) {
        return Ok(());
    }
    Err(format!("`{path}` defines no `{symbol}`: say what it is called now"))
}

/// Whether the word at `at` stands behind a keyword that defines something.
fn is_definition(text: &str, at: usize) -> bool {
    const KEYWORDS: &[&str] =
        &["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "macro_rules!"];
    text[..at].split_whitespace().next_back().is_some_and(|word| KEYWORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        let tree = Tree::made_of(&[
            ("docs/page.md", text),
            ("docs/other.md", "# Two words: one `code`\n```\n# no heading\n```\n"),
            ("crates/a/src/lib.rs", "//! Docs.\npub fn serve() {}\nfn caller() { helper(); }\n"),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_leads_somewhere_passes() {
        let text = "[a](other.md) [b](other.md#two-words-one-code) [`c`](../crates/a/src/lib.rs) [d](https://x.y/z)\n\
                    # Here\n[e](#here) `crates/a/src/lib.rs::serve` `crates/a` `crates/<name>/x.rs` `[f](g)`\n\
                    ```\n[not](a-link)\n```\n[ref]: other.md\n";
        assert_eq!(complaints(text), Vec::<String>::new());
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        for (text, want) in [
            ("[a](gone.md)", "docs/page.md:1: the link `gone.md` leads nowhere"),
            ("\n[a](other.md#gone)", "docs/page.md:2: `docs/other.md` has no heading `#gone`"),
            ("[a](other.md#no-heading)", "docs/page.md:1: `docs/other.md` has no heading"),
            ("[a](../../x.md)", "docs/page.md:1: the link `../../x.md` leads nowhere"),
            ("[ref]: gone.md", "docs/page.md:1: the link `gone.md` leads nowhere"),
            ("`crates/b/src/lib.rs`", "docs/page.md:1: there is no `crates/b/src/lib.rs`"),
            ("`crates/a/src/lib.rs::helper`", "docs/page.md:1: `crates/a/src/lib.rs` defines no `helper`"),
        ] {
            let found = complaints(text);
            assert!(found.len() == 1 && found[0].starts_with(want), "wanted {want}, found {found:?}");
        }
    }
}
