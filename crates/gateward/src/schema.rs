//! `gateward schema`: the configuration language as JSON Schema, for editors.

use config::Config;
use document::{Decode, json_schema};
use serde_json::{Map, Value, json};

use crate::output;

/// Prints the schema.
pub(crate) fn schema() {
    output::line(&format!("{:#}", whole()));
}

/// The schema of a configuration, with the settings of every policy in its place.
pub(crate) fn whole() -> Value {
    let mut schema = json_schema(&Config::shape());
    let mut definitions = Map::new();
    let mut kinds = Map::new();
    for kind in policy::KINDS {
        let mut own = json_schema(&(kind.shape)());
        let name = |definition: &str| format!("{}.{definition}", kind.name);
        for (definition, value) in own["$defs"].as_object_mut().into_iter().flatten() {
            definitions.insert(name(definition), renamed(value, &name));
        }
        for key in ["$defs", "$schema"] {
            own.as_object_mut().map(|own| own.remove(key));
        }
        let settings = renamed(&own, &name);
        kinds.insert(kind.name.to_owned(), json!({ "anyOf": [{ "const": "off" }, settings] }));
    }
    let policies = json!({ "type": "object", "properties": kinds, "additionalProperties": false });
    if let Some(sections) = schema["$defs"].as_object_mut() {
        for section in sections.values_mut() {
            if let Some(key) = section.pointer_mut("/properties/policies") {
                let description = key["description"].take();
                *key = policies.clone();
                key["description"] = description;
            }
        }
        sections.extend(definitions);
    }
    schema["title"] = json!("Gateward configuration");
    schema
}

/// The same with the names of definitions changed, so that sections of two policies can have one name.
fn renamed(value: &Value, name: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| {
                match (key.as_str(), inner.as_str().and_then(|text| text.strip_prefix("#/$defs/"))) {
                    ("$ref", Some(definition)) => {
                        (key.clone(), json!(format!("#/$defs/{}", name(definition))))
                    }
                    _ => (key.clone(), renamed(inner, name)),
                }
            })
            .collect(),
        Value::Array(values) => values.iter().map(|inner| renamed(inner, name)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_policies_are_described() {
        let schema = whole();
        let text = schema.to_string();
        for reference in text.split("\"$ref\":\"#/$defs/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{name}");
        }
        for section in ["Config", "Service", "Route"] {
            let kinds = &schema["$defs"][section]["properties"]["policies"]["properties"];
            assert_eq!(kinds.as_object().unwrap().len(), policy::KINDS.len(), "{section}");
        }
        assert!(schema["$defs"]["headers.Direction"]["properties"]["remove"].is_object());
    }
}
