//! Who goes first: migrations of one table one after the other, and so many of one target at a time.
//! First come, first served. Pure.

use crate::api::migration::SchemaMigration;
use crate::api::status::EndingKind;
use crate::api::target::MigrationTarget;

/// Who has to end before `own` may begin, in words; `None` when it is its turn.
pub fn in_front(
    own: &SchemaMigration,
    target: &MigrationTarget,
    all: &[SchemaMigration],
) -> Option<String> {
    let siblings = || all.iter().filter(|other| is_same_target(own, other) && !is_same(own, other));
    let earlier = siblings().filter(|other| !is_settled(other) && goes_before(other, own));
    if let Some(other) = earlier.clone().find(|other| is_same_table(own, other)) {
        let table = format!("{}.{}", own.spec.database, own.spec.table);
        return Some(format!("{} to end: it changes {table} as well", name(other)));
    }
    let limit = usize::from(target.spec.max_concurrent_migrations);
    let ahead: Vec<&SchemaMigration> = earlier.collect();
    let last = ahead.get(limit.checked_sub(1)?)?;
    Some(format!(
        "{} to end: MigrationTarget {} runs {limit} at a time",
        name(last),
        own.spec.target
    ))
}

/// One that has begun goes before one that has not; then the older one, then by name.
fn goes_before(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    order(one) < order(other)
}

fn order(migration: &SchemaMigration) -> (bool, Option<jiff::Timestamp>, String) {
    let created = migration.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (!has_begun(migration), created, name(migration))
}

fn has_begun(migration: &SchemaMigration) -> bool {
    migration.status.as_ref().is_some_and(|status| status.attempt.is_some())
}

/// Whether it holds nobody up any more: it ended well, was aborted or refused.
fn is_settled(migration: &SchemaMigration) -> bool {
    let report = migration.status.as_ref().and_then(|status| status.report.as_ref());
    let ending = report.and_then(|report| report.ending.as_ref());
    ending.is_some_and(|ending| match ending.outcome {
        EndingKind::Completed
        | EndingKind::AlreadyApplied
        | EndingKind::Aborted
        | EndingKind::Refused => true,
        EndingKind::Left | EndingKind::Panicked | EndingKind::Superseded | EndingKind::Failed => {
            false
        }
    })
}

fn is_same(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    one.metadata.uid == other.metadata.uid
}

fn is_same_target(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    one.metadata.namespace == other.metadata.namespace && one.spec.target == other.spec.target
}

/// Servers may compare names without regard to case; then two spellings are one table.
fn is_same_table(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    let lower = |migration: &SchemaMigration| {
        (migration.spec.database.to_lowercase(), migration.spec.table.to_lowercase())
    };
    lower(one) == lower(other)
}

fn name(migration: &SchemaMigration) -> String {
    migration.metadata.name.clone().unwrap_or_default()
}
