//! What a text that stands for a value may be: parameters have no types of their own.
//!
//! A shape is what a gathered schema says of types, without what it says of values. It must not know where texts
//! come from. Entry points: [`Shape::of`], [`Shape::value`].

use serde_json::{Number, Value};

/// How many references and choices in a row are followed.
const MAX_DEPTH: usize = 24;
/// How deep a shape is looked into: an object or array, and what is in it.
const MAX_LEVEL: usize = 2;
/// How many schemas are looked at in all.
const MAX_STEPS: usize = 5000;

/// The types that a schema allows for a value and what is in it. None at all: any.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    integer: bool,
    number: bool,
    boolean: bool,
    string: bool,
    pub(super) array: bool,
    pub(super) object: bool,
    pub(super) element: Option<Box<Shape>>,
    pub(super) members: Vec<(String, Shape)>,
    /// Of members that are not listed.
    others: Option<Box<Shape>>,
    /// Whether members are allowed that are not listed.
    pub(super) is_open: bool,
}

/// Where learning is, and how much of it is left.
struct Look<'d> {
    document: &'d Value,
    depth: usize,
    level: usize,
    steps: usize,
}

impl Shape {
    /// The shape of a schema in a document as [`super::dialect::gather`] makes it.
    pub(super) fn of(document: &Value) -> Shape {
        let mut shape = Shape { is_open: true, ..Shape::default() };
        shape.learn(document, &mut Look { document, depth: 0, level: 0, steps: MAX_STEPS });
        shape
    }

    fn learn(&mut self, schema: &Value, look: &mut Look<'_>) {
        if look.depth >= MAX_DEPTH || look.level > MAX_LEVEL || look.steps == 0 {
            return;
        }
        look.steps -= 1;
        look.depth += 1;
        self.learn_schema(schema, look);
        look.depth -= 1;
    }

    fn learn_schema(&mut self, schema: &Value, look: &mut Look<'_>) {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
        if let Some(target) = target.and_then(|pointer| look.document.pointer(pointer)) {
            self.learn(target, look);
        }
        for list in ["allOf", "anyOf", "oneOf"] {
            for part in schema.get(list).and_then(Value::as_array).into_iter().flatten() {
                self.learn(part, look);
            }
        }
        match schema.get("type") {
            Some(Value::String(kind)) => self.allow(kind),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).for_each(|kind| self.allow(kind));
            }
            _ => self.guess(schema),
        }
        look.level += 1;
        if let Some(items) = schema.get("items") {
            self.element.get_or_insert_default().learn(items, look);
        }
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let at = self.members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                self.members.push((name.clone(), Shape::default()));
                self.members.len() - 1
            });
            if let Some((_, shape)) = self.members.get_mut(at) {
                shape.learn(member, look);
            }
        }
        // Members by their pattern and all others may be of different types, and which is which is not known here.
        let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let by_pattern = patterns.map(|(_, others)| others).filter(|_| others.is_none());
        for others in others.into_iter().chain(by_pattern) {
            self.others.get_or_insert_default().learn(others, look);
        }
        look.level -= 1;
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            self.is_open = false;
        }
    }

    fn allow(&mut self, kind: &str) {
        match kind {
            "integer" => self.integer = true,
            "number" => self.number = true,
            "boolean" => self.boolean = true,
            "string" => self.string = true,
            "array" => self.array = true,
            "object" => self.object = true,
            _ => {}
        }
    }

    /// The types of a schema that does not name any.
    fn guess(&mut self, schema: &Value) {
        let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        for value in listed.chain(schema.get("const")) {
            match value {
                Value::Bool(_) => self.boolean = true,
                Value::Number(_) => self.number = true,
                Value::String(_) => self.string = true,
                _ => {}
            }
        }
        self.array |= schema.get("items").is_some();
        self.object |= ["properties", "additionalProperties", "patternProperties"]
            .iter()
            .any(|name| schema.get(name).is_some());
    }

    /// The value that a text stands for: what it is allowed to be, or the text, which the schema then refuses.
    pub(super) fn value(&self, text: &str) -> Value {
        if self.boolean && (text == "true" || text == "false") {
            return Value::Bool(text == "true");
        }
        if (self.integer || self.number)
            && let Some(number) = number(text)
            && (self.number || !number.is_f64() || !self.string)
        {
            return Value::Number(number);
        }
        Value::String(text.to_owned())
    }

    /// The value of an element.
    pub(super) fn element_value(&self, text: &str) -> Value {
        match &self.element {
            Some(shape) => shape.value(text),
            None => Value::String(text.to_owned()),
        }
    }

    /// The shape of a member, if it is listed.
    pub(super) fn member(&self, name: &str) -> Option<&Shape> {
        self.members.iter().find_map(|(known, shape)| (known == name).then_some(shape))
    }

    /// The shape of a member, listed or not, if anything is said of it.
    pub(super) fn of_member(&self, name: &str) -> Option<&Shape> {
        self.member(name).or(self.others.as_deref())
    }

    /// The value of a member.
    pub(super) fn member_value(&self, name: &str, text: &str) -> Value {
        match self.of_member(name) {
            Some(shape) => shape.value(text),
            None => Value::String(text.to_owned()),
        }
    }
}

/// A number as JSON writes it, without anything around it.
fn number(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let is_framed =
        matches!(bytes.first(), Some(b'-' | b'0'..=b'9')) && matches!(bytes.last(), Some(b'0'..=b'9'));
    if !is_framed || bytes.len() > 64 {
        return None;
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_become_what_they_may_be() {
        for (schema, text, want) in [
            (json!({"type": "integer"}), "12", json!(12)),
            (json!({"type": "integer"}), "1.5", json!(1.5)),
            (json!({"type": "integer"}), "0x1", json!("0x1")),
            (json!({"type": "integer"}), " 1", json!(" 1")),
            (json!({"type": "integer"}), "01", json!("01")),
            (json!({"type": "integer"}), "", json!("")),
            (json!({"type": "string"}), "12", json!("12")),
            (json!({"type": ["string", "integer"]}), "12", json!(12)),
            (json!({"type": ["string", "integer"]}), "1.5", json!("1.5")),
            (json!({"type": "boolean"}), "true", json!(true)),
            (json!({"type": "boolean"}), "True", json!("True")),
            (json!({"enum": [1, 2]}), "1", json!(1)),
            (
                json!({"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}], "$defs": {"n": {"type": "number"}}}),
                "1e2",
                json!(1e2),
            ),
            (json!({}), "true", json!("true")),
        ] {
            assert_eq!(Shape::of(&schema).value(text), want, "{schema} {text}");
        }
    }

    #[test]
    fn shapes_that_contain_themselves_end() {
        let shape = Shape::of(&json!({"properties": {"next": {"$ref": "#"}}, "items": {"$ref": "#"}}));
        assert!(shape.array && shape.object);
    }
}
