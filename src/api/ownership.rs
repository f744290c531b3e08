//! Who owns a place in a resource, as the API server notes it down: the field managers, and which of
//! them are GitOps tools. Pure.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use serde_json::Value;

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

/// The tool that wrote last, the status left out, and when.
pub fn last_tool(migration: &SchemaMigration) -> Option<(&str, &Time)> {
    entries(migration)
        .filter_map(|entry| Some((entry.manager.as_deref()?, entry.time.as_ref()?)))
        .filter(|(manager, _)| is_tool(manager))
        .max_by_key(|(_, time)| time.0)
}

fn entries(migration: &SchemaMigration) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let entries = migration.metadata.managed_fields.iter().flatten();
    entries.filter(|entry| entry.subresource.is_none())
}

fn owns(entry: &ManagedFieldsEntry, place: Place) -> bool {
    let path: &[&str] = match place {
        Place::Field(_) => &["f:spec"],
        Place::Annotation(_) => &["f:metadata", "f:annotations"],
    };
    let (Place::Field(name) | Place::Annotation(name)) = place;
    let found =
        path.iter().try_fold(entry.fields_v1.as_ref().map(|fields| &fields.0), |at, part| {
            at.map(|fields: &Value| fields.get(part))
        });
    found.flatten().is_some_and(|fields| fields.get(format!("f:{name}")).is_some())
}
