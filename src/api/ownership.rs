//! Who owns a place in a resource, as the API server notes it down: the field managers. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
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

/// The field managers that own a place, the status left out, in the order in which the server lists them.
pub fn managers(migration: &SchemaMigration, place: Place) -> impl Iterator<Item = &str> {
    let entries = migration.metadata.managed_fields.iter().flatten();
    entries
        .filter(move |entry| entry.subresource.is_none() && owns(entry, place))
        .filter_map(|entry| entry.manager.as_deref())
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
