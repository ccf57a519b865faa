//! Values from the environment and from files are not shown.
//!
//! They may be secrets, and what is explained is copied into tickets. Entry point: [`Mask::of`].

use document::{Node, Value};

/// What stands in place of them, as everywhere.
const HIDDEN: &str = "[hidden]";

/// Shorter texts are hidden only where they are the whole value: they also occur by chance.
const SHORTEST_PART: usize = 4;

/// Sections whose values reach requests and replies.
const SECTIONS: &[&str] = &["policies", "headers", "query", "respond", "redirect", "rewrite"];

/// The values that are not shown.
#[derive(Default)]
pub(crate) struct Mask(Vec<String>);

impl Mask {
    /// Finds them in a configuration; a token that is shown is one more.
    pub(crate) fn of(tree: Option<&Node>, token: Option<&str>) -> Mask {
        let mut mask = Mask(token.into_iter().map(str::to_owned).collect());
        if let Some(tree) = tree {
            mask.gather(tree, false);
        }
        // The longest first: a part of it must not be replaced before.
        mask.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        mask.0.dedup();
        mask
    }

    fn gather(&mut self, node: &Node, inside: bool) {
        match &node.value {
            Value::Scalar(scalar) if scalar.secret && inside => {
                self.0.push(scalar.text.trim().to_owned());
                // Of a template, what stands around its captures.
                let parts = scalar.text.split(['{', '}', '*']).map(str::trim);
                self.0.extend(parts.filter(|part| part.len() >= SHORTEST_PART).map(str::to_owned));
            }
            Value::Null | Value::Scalar(_) => {}
            Value::List(nodes) => nodes.iter().for_each(|node| self.gather(node, inside)),
            Value::Map(entries) => {
                for entry in entries {
                    self.gather(&entry.node, inside || SECTIONS.contains(&entry.key.value.as_str()));
                }
            }
        }
    }

    /// The same without what is not shown.
    pub(crate) fn hide(&self, text: &str) -> String {
        if self.0.iter().any(|hidden| hidden == text && !hidden.is_empty()) {
            return HIDDEN.to_owned();
        }
        let parts = self.0.iter().filter(|hidden| hidden.len() >= SHORTEST_PART);
        parts.fold(text.to_owned(), |text, hidden| text.replace(hidden.as_str(), HIDDEN))
    }
}

#[cfg(test)]
mod tests {
    use document::{Entry, Scalar, Span, Spanned};

    use super::*;

    fn secret(text: &str) -> Node {
        let scalar = Scalar { text: text.to_owned(), plain: true, secret: true, origin: None, files: None };
        Node { span: Span::default(), value: Value::Scalar(scalar) }
    }

    fn under(key: &str, node: Node) -> Node {
        let entry = Entry { key: Spanned::new(key.to_owned(), Span::default()), node };
        Node { span: Span::default(), value: Value::Map(vec![entry]) }
    }

    #[test]
    fn values_that_came_from_outside_are_hidden_where_they_reach_requests() {
        let mask =
            Mask::of(Some(&under("policies", under("headers", under("x-key", secret("s3cret"))))), None);
        assert_eq!((&*mask.hide("s3cret"), &*mask.hide("Bearer s3cret")), ("[hidden]", "Bearer [hidden]"));
        let mask = Mask::of(Some(&under("rewrite", secret("/api?key=s3cret&id={id}"))), None);
        assert_eq!(mask.hide("/api?key=s3cret&id=7"), "[hidden]7");
        let mask = Mask::of(Some(&under("headers", secret("2"))), None);
        assert_eq!((&*mask.hide("2"), &*mask.hide("127")), ("[hidden]", "127"));
        let mask = Mask::of(Some(&under("endpoints", secret("http://10.0.0.1:80"))), None);
        assert_eq!(mask.hide("http://10.0.0.1:80"), "http://10.0.0.1:80");
    }
}
