//! What a worker measures, made at each scrape from the engine's snapshot. Labels are the migration and the
//! attempt; no SQL, no row value.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Counter, CounterVec, Gauge, Opts, Registry, TextEncoder};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Assignment;
use crate::engine::progress::Progress;

/// Time spent throttled, by signal.
#[derive(Clone, Debug, Default)]
pub(super) struct Throttled(Arc<Mutex<BTreeMap<String, Duration>>>);

impl Throttled {
    /// Adds up until it is dropped.
    pub(super) async fn follow(self, mut progress: watch::Receiver<Progress>) -> ! {
        let (mut words, mut since) = (Vec::new(), Instant::now());
        loop {
            let changed = progress.changed().await;
            self.add(&words, since.elapsed());
            let reasons = progress.borrow_and_update().throttled.clone();
            words = reasons.iter().map(|reason| reason.signal.as_str().to_owned()).collect();
            since = Instant::now();
            if changed.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn add(&self, words: &[String], time: Duration) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for word in words {
            *spent.entry(word.clone()).or_default() += time;
        }
    }

    fn read(&self) -> BTreeMap<String, Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The text of a scrape.
pub(super) fn render(
    assignment: &Assignment,
    progress: &Progress,
    throttled: &Throttled,
) -> String {
    match registry(assignment, progress, &throttled.read()) {
        Ok(registry) => TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "the metrics could not be made");
            String::new()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point numbers")]
fn registry(
    assignment: &Assignment,
    progress: &Progress,
    throttled: &BTreeMap<String, Duration>,
) -> Result<Registry, prometheus::Error> {
    let labels = HashMap::from([
        ("namespace".to_owned(), assignment.namespace.clone()),
        ("name".to_owned(), assignment.name.clone()),
        ("attempt".to_owned(), assignment.attempt.to_string()),
    ]);
    let registry = Registry::new_custom(Some("ghostship".to_owned()), Some(labels))?;
    let gauge = |name: &str, help: &str, value: f64| {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    let counter = |name: &str, help: &str, value: u64| {
        let counter = Counter::new(name, help)?;
        counter.inc_by(value as f64);
        registry.register(Box::new(counter))
    };
    counter("rows_copied_total", "Rows copied, by all attempts.", progress.rows_copied)?;
    counter(
        "keys_applied_total",
        "Keys made equal on behalf of the binlog.",
        progress.keys_applied,
    )?;
    counter("cut_over_attempts_total", "Cut-over attempts.", progress.cut_over_attempts.into())?;
    counter(
        "rows_repaired_total",
        "Rows that differed and were repaired.",
        progress.rows_repaired,
    )?;
    gauge(
        "rows_estimated",
        "Rows that the table is believed to have.",
        progress.rows_estimated as f64,
    )?;
    gauge("rows_per_second", "Rows copied per second lately.", progress.rows_per_second)?;
    gauge("progress_ratio", "Share of the row copy that is done.", progress.percent / 100.0)?;
    gauge(
        "verified_ratio",
        "Share of the rows that is verified.",
        progress.verified_percent / 100.0,
    )?;
    gauge("backlog_keys", "Keys received and not yet applied.", progress.backlog as f64)?;
    gauge(
        "throttled",
        "Whether the migration is throttled.",
        f64::from(u8::from(!progress.throttled.is_empty())),
    )?;
    if let Some(lag) = progress.stream_lag {
        gauge("stream_lag_seconds", "How far the worker is behind the binlog.", lag.as_secs_f64())?;
    }
    if let Some(lag) = progress.replica_lag {
        let help = "How far the control replica that is furthest behind is.";
        gauge("replica_lag_seconds", help, lag.as_secs_f64())?;
    }
    if let Some(eta) = progress.eta {
        gauge("eta_seconds", "Time to the end of the row copy.", eta.as_secs_f64())?;
    }
    let spent = CounterVec::new(
        Opts::new("throttled_seconds_total", "Time spent throttled, by reason."),
        &["reason"],
    )?;
    for (reason, time) in throttled {
        spent.with_label_values(&[reason]).inc_by(time.as_secs_f64());
    }
    registry.register(Box::new(spent))?;
    let phase =
        prometheus::GaugeVec::new(Opts::new("phase", "1 for the engine's phase."), &["phase"])?;
    phase.with_label_values(&[progress.phase.as_str()]).set(1.0);
    registry.register(Box::new(phase))?;
    Ok(registry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::blank_progress;

    #[test]
    fn a_scrape_tells_the_snapshot() {
        let assignment = Assignment {
            namespace: "shop".to_owned(),
            name: "one".to_owned(),
            attempt: 2,
            ..Assignment::default()
        };
        let mut progress = Progress { rows_copied: 7, percent: 50.0, ..blank_progress() };
        let throttled = Throttled::default();
        throttled.add(&["maxRowsPerSecond".to_owned()], Duration::from_millis(1500));
        let text = render(&assignment, &progress, &throttled);
        let phase = format!("phase=\"{}\"", progress.phase.as_str());
        for (name, label, value) in [
            ("ghostship_rows_copied_total", "attempt=\"2\"", "7"),
            ("ghostship_progress_ratio", "namespace=\"shop\"", "0.5"),
            ("ghostship_throttled_seconds_total", "reason=\"maxRowsPerSecond\"", "1.5"),
            ("ghostship_phase", phase.as_str(), "1"),
        ] {
            let mut lines = text.lines().filter(|line| line.starts_with(name));
            let found = lines.find(|line| line.contains(label) && line.ends_with(value));
            assert!(found.is_some(), "{name} {label} {value}\n{text}");
        }
        assert!(!text.contains("eta_seconds"), "an unknown time is told");
        progress.eta = Some(Duration::from_secs(9));
        assert!(render(&assignment, &progress, &throttled).contains("eta_seconds"));
    }
}
