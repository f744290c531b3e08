//! Compares a document with the schema of its kind, as an API server does: unknown fields, missing
//! fields, types, ranges, lengths and enumerations. Patterns and rules are `validate`'s.

use serde_json::Value;

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Path of the field, for example `spec.copy.threads`.
    pub field: String,
    /// What is wrong, without the field's name and without its value.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// Everything about `value` that `schema` does not allow; empty when it fits. A schema without a type
/// allows anything.
pub fn faults(schema: &Value, path: &str, value: &Value) -> Vec<Fault> {
    if schema.get("type").is_none() {
        return Vec::new();
    }
    if let Some(fault) = wrong_type(schema, path, value) {
        return vec![fault];
    }
    match value {
        Value::Object(fields) => object_faults(schema, path, fields),
        Value::Array(items) => array_faults(schema, path, items),
        Value::String(text) => text_fault(schema, path, text).into_iter().collect(),
        Value::Number(number) => number_fault(schema, path, number).into_iter().collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

fn wrong_type(schema: &Value, path: &str, value: &Value) -> Option<Fault> {
    let wanted = schema["type"].as_str()?;
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    (found != wanted).then(|| Fault {
        field: path.to_owned(),
        problem: format!("is of type {found} instead of {wanted}"),
        remedy: match wanted {
            "string" => "write it in quotes".to_owned(),
            "boolean" => "write true or false, without quotes".to_owned(),
            "integer" => "write a whole number, without quotes".to_owned(),
            "array" => "write a list".to_owned(),
            _ => "write its fields below it, indented".to_owned(),
        },
    })
}

fn object_faults(
    schema: &Value,
    path: &str,
    fields: &serde_json::Map<String, Value>,
) -> Vec<Fault> {
    let mut found: Vec<Fault> = missing(schema, path, fields);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let below = format!("{path}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(field), _) => found.extend(faults(field, &below, value)),
            (None, Some(values)) if values.is_object() => {
                found.extend(faults(values, &below, value));
            }
            (None, _) => found.push(unknown(schema, path, name)),
        }
    }
    let limit = schema["maxProperties"].as_u64().unwrap_or(u64::MAX);
    found.extend(too_many(path, fields.len(), limit));
    found
}

fn missing(schema: &Value, path: &str, fields: &serde_json::Map<String, Value>) -> Vec<Fault> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required
        .filter(|name| fields.get(*name).is_none_or(Value::is_null))
        .map(|name| Fault {
            field: format!("{path}.{name}"),
            problem: "is missing".to_owned(),
            remedy: schema["properties"][name]["description"]
                .as_str()
                .and_then(|text| text.split_inclusive('.').next())
                .map_or_else(|| "add it".to_owned(), |text| format!("add it: {}", trimmed(text))),
        })
        .collect()
}

fn unknown(schema: &Value, path: &str, name: &str) -> Fault {
    let known = schema["properties"].as_object();
    let known: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    Fault {
        field: format!("{path}.{}", shortened(name)),
        problem: "is not a field of this kind".to_owned(),
        remedy: format!("remove it; the fields here are {}", known.join(", ")),
    }
}

fn array_faults(schema: &Value, path: &str, items: &[Value]) -> Vec<Fault> {
    let limit = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
    let mut found: Vec<Fault> = too_many(path, items.len(), limit).into_iter().collect();
    for (position, item) in items.iter().enumerate() {
        found.extend(faults(&schema["items"], &format!("{path}[{position}]"), item));
    }
    found
}

fn too_many(path: &str, count: usize, limit: u64) -> Option<Fault> {
    (u64::try_from(count).unwrap_or(u64::MAX) > limit).then(|| Fault {
        field: path.to_owned(),
        problem: format!("has {count} entries, more than {limit}"),
        remedy: "shorten it".to_owned(),
    })
}

fn text_fault(schema: &Value, path: &str, text: &str) -> Option<Fault> {
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let fault =
        |problem: String, remedy: String| Some(Fault { field: path.to_owned(), problem, remedy });
    if let Some(limit) = schema["maxLength"].as_u64().filter(|limit| length > *limit) {
        return fault(format!("is longer than {limit} characters"), "shorten it".to_owned());
    }
    if schema["minLength"].as_u64().is_some_and(|limit| length < limit) {
        return fault("must not be empty".to_owned(), "fill it in".to_owned());
    }
    let choices: Vec<&str> =
        schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if choices.is_empty() || choices.contains(&text) {
        return None;
    }
    fault("is none of the allowed words".to_owned(), format!("write one of {}", choices.join(", ")))
}

fn number_fault(schema: &Value, path: &str, number: &serde_json::Number) -> Option<Fault> {
    let value = number.as_f64()?;
    let (low, high) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    if low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high) {
        return None;
    }
    let (low, high) = (low.unwrap_or(f64::MIN), high.unwrap_or(f64::MAX));
    Some(Fault {
        field: path.to_owned(),
        problem: format!("is {number}, outside of {low} to {high}"),
        remedy: format!("choose a number from {low} to {high}"),
    })
}

fn trimmed(sentence: &str) -> String {
    sentence.trim_end_matches('.').to_owned()
}

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
