//! Who owns a place in a resource, as the API server notes it down: the field managers, and which of
//! them are GitOps tools. Pure.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use serde_json::{Map, Value};

use super::migration::SchemaMigration;

/// A place in a resource that somebody has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A field of the spec.
    Field(&'static str),
    /// An annotation.
    Annotation(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "spec.{name}"),
            Self::Annotation(name) => f.write_str(name),
        }
    }
}

/// How the field managers of tools begin that write what Git holds, again and again.
const TOOLS: [&str; 6] =
    ["argocd", "kustomize-controller", "helm-controller", "flux", "gotk", "fleet"];
/// Under this name go the actions of people in Argo CD's user interface.
const ACTIONS: &str = "argocd-server";

/// Whether a field manager is a tool that writes what Git holds.
pub fn is_tool(manager: &str) -> bool {
    manager != ACTIONS && TOOLS.iter().any(|tool| manager.starts_with(tool))
}

/// The field managers that own a place, the status left out, in the order in which the server lists them.
pub fn managers(migration: &SchemaMigration, place: Place) -> impl Iterator<Item = &str> {
    entries(migration)
        .filter(move |entry| owns(entry, place))
        .filter_map(|entry| entry.manager.as_deref())
}

/// Everybody who owns anything of it, the status left out.
pub fn all_managers(migration: &SchemaMigration) -> impl Iterator<Item = &str> {
    entries(migration).filter_map(|entry| entry.manager.as_deref())
}

/// The tool that wrote last, the status left out, and when.
pub fn last_tool(migration: &SchemaMigration) -> Option<(&str, &Time)> {
    entries(migration)
        .filter_map(|entry| Some((entry.manager.as_deref()?, entry.time.as_ref()?)))
        .filter(|(manager, _)| is_tool(manager))
        .max_by_key(|(_, time)| time.0)
}

/// Who has written what, the status left out.
pub(super) fn entries(migration: &SchemaMigration) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let entries = migration.metadata.managed_fields.iter().flatten();
    entries.filter(|entry| entry.subresource.is_none())
}

fn owns(entry: &ManagedFieldsEntry, place: Place) -> bool {
    match place {
        Place::Field(name) => owns_path(entry, &["spec", name]),
        Place::Annotation(name) => owns_path(entry, &["metadata", "annotations", name]),
    }
}

/// Whether an entry has the place that these names lead to, by itself or as a part of a whole.
pub(super) fn owns_path(entry: &ManagedFieldsEntry, path: &[&str]) -> bool {
    let Some(mut at) = entry.fields_v1.as_ref().map(|fields| &fields.0) else { return false };
    for name in path {
        match at.get(format!("f:{name}")) {
            Some(below) => at = below,
            None => return *at == Value::Object(Map::new()),
        }
    }
    true
}
