//! Schemas of OpenAPI as JSON Schema 2020-12.
//!
//! A schema and all it refers to are gathered into one document, each schema translated on the way: that of
//! OpenAPI 3.0 from its own dialect, and both versions for one direction, since what is `readOnly` need not be in
//! a request, nor what is `writeOnly` in a response. It must not know parameters or bodies. Entry point:
//! [`gather`].

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::documents::{At, Documents};

/// The most schemas that one schema may refer to, directly or not.
const MAX_SCHEMAS: usize = 5000;
/// How deep a schema may be nested without a reference.
const MAX_DEPTH: usize = 100;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Request,
    Response,
}

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    V30,
    V31,
}

/// A schema with all it refers to, and where each of them stands.
pub(super) struct Gathered {
    pub(super) schema: Value,
    pub(super) places: Vec<At>,
}

/// Gathers a schema. Mistakes say where they are.
pub(super) fn gather(
    documents: &mut Documents,
    at: &At,
    dialect: Dialect,
    direction: Direction,
    formats: bool,
) -> Result<Gathered, (At, String)> {
    let mut work = Work { documents, dialect, direction, formats, places: Vec::new(), known: HashMap::new() };
    work.number(at);
    let mut schemas = Map::new();
    while let Some(at) = work.places.get(schemas.len()).cloned() {
        if schemas.len() >= MAX_SCHEMAS {
            return Err((at, format!("refers to more than {MAX_SCHEMAS} schemas")));
        }
        let value = work.documents.get(&at).cloned().unwrap_or_default();
        schemas.insert(schemas.len().to_string(), work.translate(&at, &value, &[], 0)?);
    }
    let schema = json!({"$ref": "#/$defs/0", "$defs": schemas});
    Ok(Gathered { schema, places: work.places })
}

struct Work<'d> {
    documents: &'d mut Documents,
    dialect: Dialect,
    direction: Direction,
    formats: bool,
    places: Vec<At>,
    known: HashMap<At, usize>,
}

type Outcome<T> = Result<T, (At, String)>;

impl Work<'_> {
    fn number(&mut self, at: &At) -> usize {
        let next = self.places.len();
        let places = &mut self.places;
        *self.known.entry(at.clone()).or_insert_with(|| {
            places.push(at.clone());
            next
        })
    }

    /// `hidden` are the names of members that need not be there in this direction.
    fn translate(&mut self, at: &At, schema: &Value, hidden: &[String], depth: usize) -> Outcome<Value> {
        let Value::Object(members) = schema else { return Ok(schema.clone()) };
        if depth > MAX_DEPTH {
            return Err((at.clone(), format!("is nested more than {MAX_DEPTH} deep")));
        }
        let mut out = Map::new();
        if let Some(reference) = members.get("$ref") {
            let reference =
                reference.as_str().ok_or_else(|| (at.member("$ref"), "must be a text".to_owned()))?;
            let target = self.documents.follow(at, reference).map_err(|why| (at.member("$ref"), why))?;
            out.insert("$ref".into(), format!("#/$defs/{}", self.number(&target)).into());
            if self.dialect == Dialect::V30 {
                // What stands beside a reference has no meaning there.
                return Ok(Value::Object(out));
            }
        }
        let mut hidden = hidden.to_vec();
        self.hide(at, schema, &mut hidden, 0);
        for (name, value) in members {
            self.keyword(at, name, value, &hidden, depth, &mut out)?;
        }
        if self.dialect == Dialect::V30 {
            from_30(members, &mut out);
        }
        if self.formats {
            assert_range(members, &mut out);
        }
        if self.dialect == Dialect::V30 && is_true(members, "nullable") && !members.contains_key("type") {
            // By the letter it needs a `type` beside it. Generators write it beside `allOf` and mean it.
            return Ok(json!({"anyOf": [{"type": "null"}, out]}));
        }
        Ok(Value::Object(out))
    }

    fn keyword(
        &mut self,
        at: &At,
        name: &str,
        value: &Value,
        hidden: &[String],
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Outcome<()> {
        let here = at.member(name);
        let translated = match name {
            "items"
            | "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties" => self.translate(&here, value, &[], depth + 1)?,
            "allOf" | "anyOf" | "oneOf" | "prefixItems" if value.is_array() => {
                let inherited = if name == "prefixItems" { &[] } else { hidden };
                let mut list = Vec::new();
                for (index, schema) in value.as_array().into_iter().flatten().enumerate() {
                    list.push(self.translate(&here.element(index), schema, inherited, depth + 1)?);
                }
                list.into()
            }
            "properties" | "patternProperties" | "dependentSchemas" if value.is_object() => {
                let mut map = Map::new();
                for (member, schema) in value.as_object().into_iter().flatten() {
                    let schema = self.translate(&here.member(member), schema, &[], depth + 1)?;
                    map.insert(member.clone(), schema);
                }
                map.into()
            }
            "required" => match value.as_array() {
                Some(names) => {
                    let is_hidden = |name: &Value| hidden.iter().any(|hidden| name.as_str() == Some(hidden));
                    names.iter().filter(|name| !is_hidden(name)).cloned().collect::<Vec<_>>().into()
                }
                None => value.clone(),
            },
            "$id" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" => {
                return Err((here, "is not supported in schemas of OpenAPI".into()));
            }
            "$schema" if value.as_str().is_some_and(is_own_dialect) => return Ok(()),
            "$schema" => return Err((here, "must be that of JSON Schema 2020-12".into())),
            // Handled elsewhere, or remarks that judge nothing.
            "$ref" | "$defs" | "$anchor" | "$comment" | "$vocabulary" | "nullable" | "discriminator"
            | "readOnly" | "writeOnly" | "xml" | "externalDocs" | "example" | "examples" | "deprecated"
            | "title" | "description" | "default" | "contentSchema" => return Ok(()),
            name if name.starts_with("x-") => return Ok(()),
            _ => value.clone(),
        };
        out.insert(name.to_owned(), translated);
        Ok(())
    }

    /// Finds the members that need not be there, also those that parts of the same object bring.
    fn hide(&mut self, at: &At, schema: &Value, hidden: &mut Vec<String>, depth: usize) {
        let mark = if self.direction == Direction::Request { "readOnly" } else { "writeOnly" };
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let place = at.member("properties").member(name);
            let is_marked =
                |value: Option<&Value>| value.and_then(|value| value.get(mark)) == Some(&Value::Bool(true));
            let settled = self.documents.settle(&place).ok();
            if is_marked(Some(property)) || is_marked(settled.and_then(|at| self.documents.get(&at))) {
                hidden.push(name.clone());
            }
        }
        if depth >= 8 {
            return;
        }
        for index in 0..schema.get("allOf").and_then(Value::as_array).map_or(0, Vec::len) {
            let Ok(part) = self.documents.settle(&at.member("allOf").element(index)) else { continue };
            if let Some(schema) = self.documents.get(&part).cloned() {
                self.hide(&part, &schema, hidden, depth + 1);
            }
        }
    }
}

fn is_own_dialect(uri: &str) -> bool {
    let uri = uri.trim_end_matches('#');
    uri == "https://json-schema.org/draft/2020-12/schema"
        || uri.starts_with("https://spec.openapis.org/oas/3.1/")
}

fn is_true(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name) == Some(&Value::Bool(true))
}

/// What OpenAPI 3.0 writes differently: `nullable`, and exclusive limits as in draft 4.
fn from_30(members: &Map<String, Value>, out: &mut Map<String, Value>) {
    if is_true(members, "nullable")
        && let Some(kind @ Value::String(_)) = members.get("type")
    {
        out.insert("type".into(), json!([kind, "null"]));
    }
    for (exclusive, limit) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if let Some(Value::Bool(is_exclusive)) = members.get(exclusive) {
            out.remove(exclusive);
            if *is_exclusive && let Some(value) = out.remove(limit) {
                out.insert(exclusive.into(), value);
            }
        }
    }
}

/// The formats of integers limit their range, which JSON Schema does not know.
fn assert_range(members: &Map<String, Value>, out: &mut Map<String, Value>) {
    let range = match members.get("format").and_then(Value::as_str) {
        Some("int32") => json!({"minimum": i32::MIN, "maximum": i32::MAX}),
        Some("int64") => json!({"minimum": i64::MIN, "maximum": i64::MAX}),
        _ => return,
    };
    if let Value::Array(parts) = out.entry("allOf").or_insert_with(|| Value::Array(Vec::new())) {
        parts.push(range);
    }
}
