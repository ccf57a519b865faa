//! A reference page in Markdown from the declaration of a section.
//!
//! Entry point: [`reference()`].

use std::fmt::Write as _;

use crate::shape::{SectionInfo, Shape, tidy};

/// The section and every section below it, each of them once: its text, a table of its keys, and the keys that
/// this version does not have. Headings begin at the second level.
pub fn reference(info: &SectionInfo) -> String {
    let mut waiting = vec![info.clone()];
    let mut done: Vec<(&str, &str)> = Vec::new();
    let mut out = String::new();
    while let Some(info) = waiting.pop() {
        if done.contains(&(info.name, info.doc)) {
            continue;
        }
        done.push((info.name, info.doc));
        one(&info, &mut out);
        let mut below = Vec::new();
        info.keys.iter().for_each(|key| sections(&key.shape, &mut below));
        waiting.extend(below.into_iter().rev());
    }
    out
}

fn one(info: &SectionInfo, out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = write!(out, "## {}\n\n{}\n", info.name, tidy(info.doc));
    if !info.keys.is_empty() {
        out.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
    }
    for key in &info.keys {
        let default = match key.default {
            Some(default) => format!("`{default}`"),
            None if key.required => "required".to_owned(),
            None => String::new(),
        };
        let words = [&key.shape.in_words(), &default, &tidy(key.doc).replace('\n', " ")]
            .map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(out, "| `{}` | {} |", key.name, words.join(" | "));
    }
    if !info.not_built.is_empty() {
        out.push_str("\nNot built yet: ");
        let later: Vec<String> =
            info.not_built.iter().map(|(name, what)| format!("`{name}` ({what})")).collect();
        let _ = writeln!(out, "{}.", later.join(", "));
    }
}

fn sections(shape: &Shape, into: &mut Vec<SectionInfo>) {
    match shape {
        Shape::List(inner) | Shape::Map(inner) => sections(inner, into),
        Shape::OneOf(shapes) => shapes.iter().for_each(|shape| sections(shape, into)),
        Shape::Section(info) => into.push(info()),
        Shape::Any | Shape::Boolean | Shape::Integer { .. } | Shape::Text { .. } | Shape::Keyword(_) => {}
    }
}

#[cfg(test)]
#[allow(dead_code, reason = "the sections are described here, and never decoded")]
mod tests {
    use super::reference;
    use crate::{ByteSize, OneOrMany};

    crate::section! {
        /// Outer text.
        struct Outer {
            /// The inner ones,
            /// all of them.
            inner: OneOrMany<Inner>,
            /// How large | wide.
            size: ByteSize = "1KiB",
        }
        not_built { "later" => "what comes later" }
    }

    crate::section! {
        /// Inner text.
        struct Inner {
            /// A switch.
            on: Option<bool>,
        }
    }

    #[test]
    fn a_page_has_a_table_per_section() {
        let wanted = "\
## Outer

Outer text.

| key | value | default | meaning |
|---|---|---|---|
| `inner` | section Inner, or list of section Inner | required | The inner ones, all of them. |
| `size` | size, such as `10MiB` | `1KiB` | How large \\| wide. |

Not built yet: `later` (what comes later).

## Inner

Inner text.

| key | value | default | meaning |
|---|---|---|---|
| `on` | `true` or `false` |  | A switch. |
";
        assert_eq!(reference(&Outer::info()), wanted);
    }
}
