//! JSON Schema from shapes, for editors that complete and check while one types.
//!
//! Entry point: [`json_schema`].

use serde_json::{Map, Value, json};

use crate::shape::{KeyInfo, SectionInfo, Shape, tidy};

/// A schema of draft 2020-12 for a value of this shape. Sections are definitions, each of them once.
///
/// It takes everything that decodes, and refuses unknown keys; it cannot check what needs more than one value.
pub fn json_schema(shape: &Shape) -> Value {
    let mut writer = Writer { names: Vec::new(), definitions: Map::new() };
    let mut root = writer.schema(shape);
    if let Value::Object(map) = &mut root {
        map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        if !writer.definitions.is_empty() {
            map.insert("$defs".to_owned(), Value::Object(writer.definitions));
        }
    }
    root
}

struct Writer {
    /// Section name and doc, with the name of its definition: two sections of one name may differ.
    names: Vec<(&'static str, &'static str, String)>,
    definitions: Map<String, Value>,
}

impl Writer {
    fn schema(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Any => json!({}),
            Shape::Boolean => interpolated(&json!({ "type": "boolean" })),
            Shape::Integer { min, max } => {
                interpolated(&json!({ "type": "integer", "minimum": min, "maximum": max }))
            }
            Shape::Text { example: "", .. } => json!({ "type": ["string", "number", "boolean"] }),
            Shape::Text { format: "size", example } => {
                json!({ "type": ["string", "integer"], "title": "size", "examples": [example] })
            }
            Shape::Text { format, example } => {
                json!({ "type": "string", "title": format, "examples": [example] })
            }
            Shape::Keyword(words) => interpolated(&json!({ "enum": words })),
            Shape::List(inner) => json!({ "type": "array", "items": self.schema(inner) }),
            Shape::Map(inner) => json!({ "type": "object", "additionalProperties": self.schema(inner) }),
            Shape::OneOf(shapes) => {
                let schemas: Vec<Value> = shapes.iter().map(|shape| self.schema(shape)).collect();
                json!({ "anyOf": schemas })
            }
            Shape::Section(info) => self.section(&info()),
        }
    }

    fn section(&mut self, info: &SectionInfo) -> Value {
        let known = self.names.iter().find(|(name, doc, _)| *name == info.name && *doc == info.doc);
        if let Some((_, _, definition)) = known {
            return json!({ "$ref": format!("#/$defs/{definition}") });
        }
        let same = self.names.iter().filter(|(name, _, _)| *name == info.name).count();
        let definition = if same == 0 { info.name.to_owned() } else { format!("{}{}", info.name, same + 1) };
        // Before its keys: a section may hold itself.
        self.names.push((info.name, info.doc, definition.clone()));
        let properties: Map<String, Value> =
            info.keys.iter().map(|key| (key.name.to_owned(), self.property(key))).collect();
        let required: Vec<&str> = info.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
        let schema = json!({
            "type": "object",
            "description": tidy(info.doc),
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        self.definitions.insert(definition.clone(), schema);
        json!({ "$ref": format!("#/$defs/{definition}") })
    }

    fn property(&mut self, key: &KeyInfo) -> Value {
        let mut schema = self.schema(&key.shape);
        if let Value::Object(map) = &mut schema {
            let default = key.default.map_or(String::new(), |default| format!("\n\nDefault: `{default}`"));
            map.insert("description".to_owned(), json!(tidy(key.doc) + &default));
        }
        schema
    }
}

/// A value that is not text may also come from outside: `${env:PORT}`.
fn interpolated(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": "\\$\\{" }] })
}

#[cfg(test)]
#[allow(dead_code, reason = "the sections are described here, and never decoded")]
mod tests {
    use serde_json::json;

    use super::json_schema;
    use crate::{Decode, DurationValue, Int, Map};

    crate::section! {
        /// A thing
        /// in two lines.
        struct Thing {
            /// How long.
            wait: DurationValue = "5s",
            /// How many.
            count: Int<1, 9>,
            /// More of them.
            inner: Option<Map<Thing>>,
        }
    }

    #[test]
    fn a_section_becomes_a_definition_even_if_it_holds_itself() {
        assert_eq!(
            json_schema(&Thing::shape()),
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": "#/$defs/Thing",
                "$defs": { "Thing": {
                    "type": "object",
                    "description": "A thing\nin two lines.",
                    "properties": {
                        "wait": {
                            "type": "string", "title": "duration", "examples": ["5s"],
                            "description": "How long.\n\nDefault: `5s`"
                        },
                        "count": {
                            "anyOf": [
                                { "type": "integer", "minimum": 1, "maximum": 9 },
                                { "type": "string", "pattern": "\\$\\{" }
                            ],
                            "description": "How many."
                        },
                        "inner": {
                            "type": "object", "additionalProperties": { "$ref": "#/$defs/Thing" },
                            "description": "More of them."
                        }
                    },
                    "required": ["count"],
                    "additionalProperties": false
                } }
            })
        );
    }
}
