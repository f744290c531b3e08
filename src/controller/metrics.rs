//! What the controller measures of itself, and the gauges of all migrations, computed at each scrape from
//! the resources as they are: one that is deleted leaves no series behind. No SQL, no row value.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::standing;
use crate::api::duration;
use crate::api::migration::SchemaMigration;
use crate::api::status::SchemaMigrationStatus;
use crate::notify::counts::Outcome;

/// Counters of this process.
#[derive(Clone)]
pub(super) struct Metrics {
    registry: Registry,
    leader: IntGauge,
    reconciles: IntCounterVec,
    seconds: Histogram,
}

impl Metrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let leader = IntGauge::new("ghostship_leader", "Whether this process leads.")?;
        let reconciles = IntCounterVec::new(
            Opts::new("ghostship_reconcile_total", "Looks at a migration, by result."),
            &["result"],
        )?;
        let buckets = vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
        let options =
            HistogramOpts::new("ghostship_reconcile_seconds", "Time of a look at a migration.");
        let seconds = Histogram::with_opts(options.buckets(buckets))?;
        let build = IntGaugeVec::new(
            Opts::new("ghostship_build_info", "The version of this program; always 1."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(leader.clone()))?;
        registry.register(Box::new(reconciles.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Self { registry, leader, reconciles, seconds })
    }

    pub(super) fn lead(&self) {
        self.leader.set(1);
    }

    pub(super) fn count(&self, result: &str, took: Duration) {
        self.reconciles.with_label_values(&[result]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// The text of a scrape.
    pub(super) fn render(
        &self,
        migrations: &[Arc<SchemaMigration>],
        told: &[(String, Outcome, u64)],
    ) -> String {
        let mut families = self.registry.gather();
        for made in [of_migrations(migrations), of_notifications(told)] {
            match made {
                Ok(registry) => families.extend(registry.gather()),
                Err(error) => tracing::warn!(%error, "some metrics could not be made"),
            }
        }
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

fn of_notifications(told: &[(String, Outcome, u64)]) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    let counter = IntCounterVec::new(
        Opts::new("ghostship_notifications_total", "Notifications, by receiver and outcome."),
        &["receiver", "outcome"],
    )?;
    registry.register(Box::new(counter.clone()))?;
    for (receiver, outcome, count) in told {
        counter.with_label_values(&[receiver.as_str(), outcome.as_str()]).inc_by(*count);
    }
    Ok(registry)
}

fn of_migrations(migrations: &[Arc<SchemaMigration>]) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, labels: &[&str]| {
        let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(gauge.clone()))?;
        Ok::<_, prometheus::Error>(gauge)
    };
    let own = &["namespace", "name"];
    let number = gauge("ghostship_migrations", "Migrations, by phase.", &["phase"])?;
    let phase = gauge(
        "ghostship_migration_phase",
        "1 for the phase in which the migration is.",
        &["namespace", "name", "phase"],
    )?;
    let since = gauge(
        "ghostship_migration_phase_since_timestamp_seconds",
        "Since when the migration is in its phase.",
        own,
    )?;
    let attempts =
        gauge("ghostship_migration_attempts", "Workers started for the migration.", own)?;
    let failures =
        gauge("ghostship_migration_failures", "Attempts in a row that ended early.", own)?;
    let lock = GaugeVec::new(
        Opts::new("ghostship_cut_over_lock_seconds", "How long the swap made writers wait."),
        own,
    )?;
    registry.register(Box::new(lock.clone()))?;
    let paused =
        gauge("ghostship_migration_paused", "Whether somebody has paused the migration.", own)?;
    let outside = gauge(
        "ghostship_migration_outside_window",
        "Whether the migration waits for a window in which its cut-over may begin.",
        own,
    )?;
    for migration in migrations {
        let status = migration.status.clone().unwrap_or_default();
        let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
        let labels = [namespace, migration.metadata.name.as_deref().unwrap_or_default()];
        let current = status.phase.as_deref().unwrap_or("Pending");
        number.with_label_values(&[current]).inc();
        phase.with_label_values(&[labels[0], labels[1], current]).set(1);
        since.with_label_values(&labels).set(last_change(&status));
        attempts.with_label_values(&labels).set(status.attempt.unwrap_or(0));
        let worker = status.worker.as_ref();
        failures.with_label_values(&labels).set(worker.map_or(0, |worker| worker.failures));
        if let Some(seconds) = lock_seconds(&status) {
            lock.with_label_values(&labels).set(seconds);
        }
        paused.with_label_values(&labels).set(i64::from(is_paused(&status)));
        outside.with_label_values(&labels).set(i64::from(is_outside_window(&status)));
    }
    Ok(registry)
}

fn lock_seconds(status: &SchemaMigrationStatus) -> Option<f64> {
    let time = status.cut_over.as_ref()?.lock_time.as_ref()?;
    Some(duration::parse(time)?.as_secs_f64())
}

fn last_change(status: &SchemaMigrationStatus) -> i64 {
    let last = status.transitions.last().and_then(|last| last.at.as_ref());
    last.map_or(0, |time| time.0.as_second())
}

/// Whether a person paused it.
fn is_paused(status: &SchemaMigrationStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|one| {
        one.type_ == "Paused" && one.status == "True" && one.reason != standing::PAUSE_WINDOW
    })
}

/// Whether it waits for a window in which the cut-over may begin.
fn is_outside_window(status: &SchemaMigrationStatus) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|one| one.type_ == "Ready" && one.reason == standing::OUTSIDE_WINDOW)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_migration_has_its_gauges_and_one_that_is_gone_has_none() {
        let metrics = Metrics::new().unwrap();
        let migration: SchemaMigration = serde_json::from_value(json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": "one", "namespace": "shop"},
            "spec": {"target": "db", "database": "shop", "table": "t", "alter": "ENGINE=InnoDB"},
            "status": {"phase": "RowCopy", "attempt": 3,
                "transitions": [{"at": "1970-01-01T00:01:00Z", "phase": "RowCopy", "reason": "Running"}]},
        }))
        .unwrap();
        let text =
            metrics.render(&[Arc::new(migration)], &[("oncall".to_owned(), Outcome::Failed, 2)]);
        for line in [
            "ghostship_migration_phase{name=\"one\",namespace=\"shop\",phase=\"RowCopy\"} 1",
            "ghostship_migration_attempts{name=\"one\",namespace=\"shop\"} 3",
            "ghostship_migration_phase_since_timestamp_seconds{name=\"one\",namespace=\"shop\"} 60",
            "ghostship_migrations{phase=\"RowCopy\"} 1",
            "ghostship_leader 0",
            "ghostship_notifications_total{outcome=\"failed\",receiver=\"oncall\"} 2",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!metrics.render(&[], &[]).contains("one"));
    }

    #[test]
    fn who_waits_for_the_hour_is_neither_paused_nor_ready() {
        let rows = [
            (json!([]), (false, false)),
            (json!([condition("Paused", "True", "Paused")]), (true, false)),
            (json!([condition("Paused", "True", "PauseWindow")]), (false, false)),
            (json!([condition("Paused", "False", "NotPaused")]), (false, false)),
            (json!([condition("Ready", "False", "OutsideWindow")]), (false, true)),
            (json!([condition("Ready", "False", "CutOverPostponed")]), (false, false)),
        ];
        for (conditions, expected) in rows {
            let status = serde_json::from_value(json!({"conditions": conditions})).unwrap();
            assert_eq!((is_paused(&status), is_outside_window(&status)), expected, "{status:?}");
        }
    }

    fn condition(name: &str, status: &str, reason: &str) -> serde_json::Value {
        json!({"type": name, "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }
}
