//! Tuning as it arrives: a patch of `spec.copy` and `spec.throttle`, judged by the code that judges manifests. A
//! field that is null is taken away. Pure.

use serde_json::{Map, Value, json};

use super::Problem;
use crate::api::validate::{self, ValidMigration, Violation};

/// What may be tuned.
const PARTS: [&str; 2] = ["copy", "throttle"];
const REMEDY: &str =
    "send an object such as {\"copy\": {\"threads\": 2}, \"throttle\": {\"maxLag\": \"2s\"}}";

/// Reads the body of a request; a patch of the spec.
///
/// # Errors
///
/// When it is no object, says nothing, or speaks of something else. Values are judged by [`merged`].
pub fn read(body: &[u8]) -> Result<Value, Problem> {
    let Ok(Value::Object(parts)) = serde_json::from_slice(body) else {
        return Err(Problem::malformed("the body is no JSON object", REMEDY));
    };
    if let Some(other) = parts.keys().find(|part| !PARTS.contains(&part.as_str())) {
        let cause = format!("{other:?} is not what is tuned here: only copy and throttle are");
        return Err(Problem::malformed(cause, REMEDY));
    }
    let says = |part: &Value| part.as_object().is_some_and(|fields| !fields.is_empty());
    if parts.is_empty() || !parts.values().all(says) {
        return Err(Problem::malformed("copy and throttle have to be objects with fields", REMEDY));
    }
    Ok(Value::Object(parts))
}

/// A migration's document with a patch of its spec, checked as a whole.
///
/// # Errors
///
/// Every violation found.
pub fn merged(document: &Value, patch: &Value) -> Result<(Value, ValidMigration), Vec<Violation>> {
    let mut document = document.clone();
    merge(&mut document, &json!({"spec": patch}));
    let valid = validate::migration(&document)?;
    Ok((document, valid))
}

/// Merges as the API server does (RFC 7396).
fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        patch.clone_into(document);
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Some(fields) = document.as_object_mut() else { return };
    for (name, change) in patch {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": "one"},
            "spec": {"target": "t", "database": "d", "table": "t", "alter": "ENGINE=InnoDB",
                "copy": {"threads": 2}, "throttle": {"maxLoad": {"Threads_running": 30}}}})
    }

    #[test]
    fn only_tuning_is_read() {
        for body in ["", "[]", "{}", "1", "{\"copy\": 1}", "{\"copy\": {}}", "{\"copy\": null}"] {
            assert_eq!(read(body.as_bytes()).unwrap_err().status, 400, "{body}");
        }
        let other = read(b"{\"copy\": {\"threads\": 1}, \"panic\": true}").unwrap_err();
        assert!(other.cause.contains("\"panic\""), "{other:?}");
        let patch = json!({"copy": {"threads": 1}, "throttle": {"maxLag": null}});
        assert_eq!(read(patch.to_string().as_bytes()).unwrap(), patch);
    }

    #[test]
    fn values_are_judged_as_those_of_a_manifest() {
        let patch =
            json!({"copy": {"threads": 4}, "throttle": {"maxLoad": {"Threads_connected": 9}}});
        let (document, valid) = merged(&document(), &patch).unwrap();
        assert_eq!(valid.layer.threads, Some(4));
        let load = json!({"Threads_connected": 9, "Threads_running": 30});
        assert_eq!(document["spec"]["throttle"]["maxLoad"], load);
        let (document, _) = merged(&document, &json!({"throttle": {"maxLoad": null}})).unwrap();
        assert_eq!(document["spec"]["throttle"], json!({}));
        for patch in [
            json!({"copy": {"threads": 99}}),
            json!({"copy": {"thread": 1}}),
            json!({"copy": {"chunkTime": "1h"}}),
            json!({"throttle": {"maxLag": 5}}),
        ] {
            assert!(merged(&document, &patch).is_err(), "{patch}");
        }
    }
}
