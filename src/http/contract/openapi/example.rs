//! Examples of documented types, put together from the examples of their members.

use serde_json::{Map, Value, json};

/// An example of `schema`. An optional member is part of it when it has an example of its own.
pub(super) fn of(schema: &Value, schemas: &Value) -> Value {
    if let Some(own) = schema.get("example").or_else(|| schema.get("const")) {
        return own.clone();
    }
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return of(&schemas[name], schemas);
    }
    for alternatives in ["oneOf", "anyOf", "allOf", "enum"] {
        let alternatives = schema[alternatives].as_array().into_iter().flatten();
        let mut alternatives = alternatives.filter(|one| one["type"] != "null");
        if let Some(first) = alternatives.next() {
            return if first.is_object() {
                of(first, schemas)
            } else {
                first.clone()
            };
        }
    }
    of_type(schema, schemas)
}

fn of_type(schema: &Value, schemas: &Value) -> Value {
    match type_of(schema) {
        "object" => members(schema, schemas),
        "array" => json!([of(&schema["items"], schemas)]),
        "string" => json!(text(schema["format"].as_str().unwrap_or_default())),
        "integer" => json!(schema["minimum"].as_u64().unwrap_or_default().max(1)),
        "number" => json!(0.5),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

/// The type, of a nullable one the other than null.
fn type_of(schema: &Value) -> &str {
    let several = schema["type"].as_array().into_iter().flatten();
    let mut several = several.filter_map(Value::as_str);
    let other = several.find(|name| *name != "null");
    schema["type"].as_str().or(other).unwrap_or_default()
}

fn members(schema: &Value, schemas: &Value) -> Value {
    let required = schema["required"].as_array().into_iter().flatten();
    let required: Vec<&str> = required.filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let shown = properties.filter(|(name, property)| {
        required.contains(&name.as_str()) || property.get("example").is_some()
    });
    let members: Map<String, Value> = shown
        .map(|(name, property)| (name.clone(), of(property, schemas)))
        .collect();
    Value::Object(members)
}

fn text(format: &str) -> &'static str {
    match format {
        "uuid" => "019344d0-7c1e-7a5b-9d3f-2b6c8e1f4a07",
        "date-time" => "2026-11-20T11:30:00Z",
        "email" => "ada@example.com",
        "uri" => "https://example.com/",
        _ => "text",
    }
}
