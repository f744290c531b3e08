//! What forbids a migration before any worker is started: its own fields, a target that is missing or
//! refuses the database. Pure.

use crate::api::control;
use crate::api::migration::SchemaMigration;
use crate::api::target::MigrationTarget;
use crate::api::validate::{self, Reason, Violation};
use crate::schema::pattern::is_allowed;

/// Everything that forbids it; empty when it may run.
pub fn violations(migration: &SchemaMigration, target: Option<&MigrationTarget>) -> Vec<Violation> {
    let own = match validate::migration(&control::document(migration)) {
        Ok(own) => own,
        Err(found) => return found,
    };
    let Some(target) = target else { return vec![no_target(migration)] };
    let target = match validate::target(&serde_json::to_value(target).unwrap_or_default()) {
        Ok(target) => target,
        Err(found) => return found,
    };
    let mut found: Vec<Violation> = validate::pair(&own, &target).err().into_iter().collect();
    let database = &own.identity.database;
    let patterns = &target.allowed_databases;
    if !is_allowed(database, patterns) {
        found.push(Violation::new(
            Reason::NotAllowedSchema,
            format!("MigrationTarget {} does not allow database {database:?}", target.name),
            format!("it allows {}; ask whoever owns the target", patterns.join(", ")),
        ));
    }
    found
}

fn no_target(migration: &SchemaMigration) -> Violation {
    let target = &migration.spec.target;
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    Violation::new(
        Reason::TargetNotAllowed,
        format!("there is no MigrationTarget {target:?} in namespace {namespace:?}"),
        "create it there, or correct spec.target in a new SchemaMigration",
    )
}
