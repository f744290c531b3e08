//! Objects as helm and kustomize print them: read from YAML, stripped of what only Helm writes, and compared.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use similar::TextDiff;

/// Labels and annotations that only Helm writes.
const HELMS_OWN: [&str; 5] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "helm.sh/resource-policy",
];

/// Objects by kind, namespace and name.
#[derive(Debug)]
pub(super) struct Objects(BTreeMap<String, Value>);

impl Objects {
    /// Reads documents of YAML; two of one name are an error.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut found = BTreeMap::new();
        for document in serde_yaml::Deserializer::from_str(text) {
            let object = Value::deserialize(document).context("no YAML")?;
            if object.is_null() {
                continue;
            }
            let name = name_of(&object);
            if found.insert(name.clone(), object).is_some() {
                bail!("{name} is there twice");
            }
        }
        Ok(Self(found))
    }

    /// The only object of a kind.
    pub(super) fn one(&self, kind: &str) -> Result<&Value> {
        let mut found = self.0.values().filter(|object| object["kind"] == kind);
        let first = found.next().with_context(|| format!("there is no {kind}"))?;
        if found.next().is_some() {
            bail!("there are several of {kind}");
        }
        Ok(first)
    }

    /// The kinds, each once.
    pub(super) fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> =
            self.0.values().filter_map(|object| object["kind"].as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Those that fit, and the others.
    pub(super) fn partition(self, fits: impl Fn(&Value) -> bool) -> (Self, Self) {
        let (these, others) = self.0.into_iter().partition(|(_, object)| fits(object));
        (Self(these), Self(others))
    }

    /// As one stream that kubectl reads.
    pub(super) fn text(&self) -> String {
        self.0.values().map(|object| format!("---\n{object}\n")).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where the others differ, as one text; empty when they do not.
    pub(super) fn differences(&self, others: &Self) -> String {
        let (ours, theirs) = (self.comparable(), others.comparable());
        if ours == theirs {
            return String::new();
        }
        TextDiff::from_lines(&ours, &theirs).unified_diff().context_radius(8).to_string()
    }

    fn comparable(&self) -> String {
        let mut all = self.0.clone();
        all.values_mut().for_each(strip);
        serde_json::to_string_pretty(&all).unwrap_or_default()
    }
}

fn name_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parts = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(text);
    parts.join("/")
}

/// Removes what only Helm writes, and the difference between 64 and 64.0.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !HELMS_OWN.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
            fields.retain(|name, field| name != "annotations" || *field != json!({}));
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Number(number) => {
            let float = number.as_f64().unwrap_or_default();
            *value = json!(float);
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
