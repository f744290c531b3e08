//! Turns that were taken a moment ago. The cache shows that a migration has begun only some time after
//! its attempt was counted; until then nobody else may begin in its place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::queue;
use crate::api::migration::SchemaMigration;
use crate::api::target::MigrationTarget;

/// A migration that wants to begin.
pub(super) struct Turn<'a> {
    pub(super) migration: &'a SchemaMigration,
    pub(super) target: &'a MigrationTarget,
    /// Every migration that is known, as the cache shows it.
    pub(super) all: Vec<Arc<SchemaMigration>>,
    /// How many may work at a time, 0 for no limit.
    pub(super) max_active: usize,
}

/// Who begins now, by uid. Lost with the process: its successor lists everything anew before it looks.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<SchemaMigration>>>);

impl Turns {
    /// Who has to end before it may begin, in words.
    pub(super) fn in_front(&self, turn: &Turn<'_>) -> Option<String> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        in_front(turn, &taken)
    }

    /// Takes the turn, unless somebody is in front.
    ///
    /// # Errors
    ///
    /// Who is in front, in words.
    pub(super) fn take(&self, turn: &Turn<'_>) -> Result<(), String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, claim| {
            turn.all.iter().any(|one| is_same(one, claim) && !shows(one, claim))
        });
        if let Some(behind) = in_front(turn, &taken) {
            return Err(behind);
        }
        let uid = turn.migration.metadata.uid.clone().unwrap_or_default();
        taken.insert(uid, Arc::new(begun(turn.migration)));
        Ok(())
    }

    /// It does not begin, or everybody sees that it has begun.
    pub(super) fn give_back(&self, migration: &SchemaMigration) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(migration.metadata.uid.as_deref().unwrap_or_default());
    }
}

fn in_front(turn: &Turn<'_>, taken: &HashMap<String, Arc<SchemaMigration>>) -> Option<String> {
    let as_taken = |one: &Arc<SchemaMigration>| {
        let claim = taken.get(one.metadata.uid.as_deref().unwrap_or_default());
        let unseen = claim.filter(|claim| !is_same(turn.migration, claim) && !shows(one, claim));
        Arc::clone(unseen.unwrap_or(one))
    };
    let all: Vec<_> = turn.all.iter().map(as_taken).collect();
    queue::in_front(turn.migration, turn.target, &all, turn.max_active)
}

fn is_same(one: &SchemaMigration, other: &SchemaMigration) -> bool {
    one.metadata.uid == other.metadata.uid
}

/// Whether the cache shows that it has begun.
fn shows(cached: &SchemaMigration, claim: &SchemaMigration) -> bool {
    attempt(cached) >= attempt(claim)
}

fn attempt(migration: &SchemaMigration) -> i64 {
    migration.status.as_ref().and_then(|status| status.attempt).unwrap_or(0)
}

/// The migration as it is when its next attempt is counted.
fn begun(migration: &SchemaMigration) -> SchemaMigration {
    let mut begun = migration.clone();
    let status = begun.status.get_or_insert_default();
    status.attempt = Some(attempt(migration) + 1);
    (status.ending, status.report) = (None, None);
    begun
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::samples::merge;

    fn migration(name: &str, changes: &Value) -> Arc<SchemaMigration> {
        let mut document = json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": name, "namespace": "shop", "uid": name,
                "creationTimestamp": "2026-01-01T11:00:00Z"},
            "spec": {"target": "db", "database": "shop", "table": "t", "alter": "ENGINE=InnoDB"},
        });
        merge(&mut document, changes);
        Arc::new(serde_json::from_value(document).unwrap())
    }

    fn target() -> MigrationTarget {
        serde_json::from_value(json!({"apiVersion": "ghostship.dev/v1alpha1",
            "kind": "MigrationTarget", "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"host": "db.shop.svc", "credentialsSecret": {"name": "db"},
                "allowedDatabases": ["shop"]}}))
        .unwrap()
    }

    fn turn<'a>(
        own: &'a SchemaMigration,
        target: &'a MigrationTarget,
        all: &[&Arc<SchemaMigration>],
    ) -> Turn<'a> {
        let all = all.iter().map(|one| Arc::clone(one)).collect();
        Turn { migration: own, target, all, max_active: 0 }
    }

    #[test]
    fn nobody_begins_beside_one_whose_begin_is_not_seen_yet() {
        let (turns, target) = (Turns::default(), target());
        let (first, second) = (migration("a", &json!({})), migration("b", &json!({})));
        turns.take(&turn(&second, &target, &[&second])).unwrap();
        let both = [&first, &second];
        turns.take(&turn(&second, &target, &both)).expect_err("the older one is known by now");
        let words = turns.take(&turn(&first, &target, &both)).unwrap_err();
        assert!(words.contains("b to end"), "{words}");
        assert_eq!(turns.in_front(&turn(&first, &target, &both)), Some(words));
        turns.give_back(&second);
        turns.take(&turn(&first, &target, &both)).unwrap();
    }

    #[test]
    fn a_turn_lasts_until_the_cache_shows_it() {
        let (turns, target) = (Turns::default(), target());
        let failed = json!({"outcome": "Refused", "reason": "Triggers"});
        let again = json!({"status": {"attempt": 1, "ending": failed}});
        let (first, second) = (migration("a", &again), migration("b", &json!({})));
        turns.take(&turn(&first, &target, &[&first, &second])).unwrap();
        turns.take(&turn(&second, &target, &[&first, &second])).unwrap_err();
        let status = json!({"status": {"attempt": 2, "ending": failed}});
        let ended = migration("a", &status);
        turns.take(&turn(&second, &target, &[&ended, &second])).unwrap();
    }
}
