//! All kinds as custom resource definitions in YAML: what `ghostship crds` prints and `crds/` holds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use super::migration::SchemaMigration;
use super::target::MigrationTarget;

/// All definitions, in the order in which they are printed.
pub fn all() -> [CustomResourceDefinition; 2] {
    [definition::<MigrationTarget>(), definition::<SchemaMigration>()]
}

/// The definition of one kind. An optional field is absent, never null: a rule that asks whether a
/// field is there would take null for a value.
pub fn definition<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut crd = K::crd();
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|it| it.open_api_v3_schema.as_mut()) {
            forbid_null(schema);
            begin_unobserved(schema);
        }
    }
    crd
}

/// One YAML document per kind, each opened by `---`.
///
/// # Errors
///
/// Only when a definition cannot be written as YAML, which a test excludes.
pub fn yaml() -> Result<String, serde_yaml::Error> {
    let documents = all().iter().map(document).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.concat())
}

/// One definition as a YAML document.
///
/// # Errors
///
/// As [`yaml`].
pub fn document(crd: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    let text = serde_yaml::to_string(crd)?;
    Ok(format!("---\n{}", text.lines().map(quoted).collect::<String>()))
}

/// kubectl and helm read YAML 1.1, in which a bare `Off` in a list of choices is a truth value.
fn quoted(line: &str) -> String {
    match line.split_once("- ") {
        Some((indent, "Off")) => format!("{indent}- 'Off'\n"),
        _ => format!("{line}\n"),
    }
}

/// A resource that nobody has looked at yet says so: without it tools take it for finished.
fn begin_unobserved(schema: &mut JSONSchemaProps) {
    let status = schema.properties.as_mut().and_then(|fields| fields.get_mut("status"));
    if let Some(status) = status {
        status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
    }
}

fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(choices) = &mut schema.enum_ {
        choices.retain(|choice| !choice.0.is_null());
    }
    schema.properties.iter_mut().flatten().for_each(|(_, field)| forbid_null(field));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        forbid_null(items);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_files_in_crds_are_what_the_types_say() {
        for crd in all() {
            let name = format!("crds/{}.yaml", crd.metadata.name.as_deref().unwrap());
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
            let text = fs::read_to_string(file).unwrap_or_default();
            assert!(text == document(&crd).unwrap(), "{name} differs from `ghostship crds`");
            assert!(text.len() < 200 * 1024, "{name} is too large for a client-side apply");
        }
    }

    #[test]
    fn schemas_keep_to_what_an_api_server_accepts() {
        for crd in all() {
            let text = document(&crd).unwrap();
            for foreign in ["uint", "anyOf", "oneOf", "additionalProperties: false", "$ref"] {
                assert!(!text.contains(foreign), "{foreign} in {:?}", crd.metadata.name);
            }
        }
    }

    #[test]
    fn no_field_may_be_null() {
        for crd in all() {
            let text = document(&crd).unwrap();
            assert!(!text.contains("nullable"), "{:?}", crd.metadata.name);
        }
    }

    #[test]
    fn no_choice_is_a_truth_value_in_yaml_1_1() {
        let words = ["y", "n", "yes", "no", "on", "off", "true", "false"];
        for crd in all() {
            let text = document(&crd).unwrap();
            let choices = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
            let bare = choices.filter(|it| words.contains(&it.to_lowercase().as_str()));
            assert_eq!(bare.collect::<Vec<_>>(), Vec::<&str>::new(), "{:?}", crd.metadata.name);
        }
    }

    #[test]
    fn control_fields_have_no_default() {
        let [_, crd] = all();
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let fields = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"];
        for field in ["paused", "postponeCutOver", "panic", "abort"] {
            assert_eq!(fields[field]["type"], "boolean", "{field}");
            assert!(fields[field].get("default").is_none(), "{field}");
        }
    }

    #[test]
    fn every_field_is_described() {
        fn walk(path: &str, schema: &serde_json::Value) {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                assert!(field["description"].is_string(), "{path}.{name}");
                walk(&format!("{path}.{name}"), field);
            }
        }
        for crd in all() {
            let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
            let fields = &schema["openAPIV3Schema"]["properties"];
            walk("spec", &fields["spec"]);
            walk("status", &fields["status"]);
        }
    }
}
