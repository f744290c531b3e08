//! The settings that one source gives: a migration, a profile, the defaults of a target, a preset. What a
//! source does not say is absent, so that the next one can.

use std::collections::BTreeMap;
use std::time::Duration;

use super::migration::{CopySettings, CutOverSettings};
use super::target::Preset;
use super::throttle::{self, ShortBinlog, Throttle, ThrottleSettings};
use super::validate::Violations;

/// The settings of one source, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Ranges copied at a time.
    pub threads: Option<u8>,
    /// How long one chunk should take.
    pub chunk_time: Option<Duration>,
    /// Rows copied per second at most; 0 means no limit.
    pub max_rows_per_second: Option<u64>,
    /// When the migration yields to the application.
    pub throttle: Throttle,
    /// How long one cut-over attempt may block writers.
    pub lock_budget: Option<Duration>,
    /// Cut-over attempts at most; 0 means no limit.
    pub max_attempts: Option<u32>,
}

/// The settings of one source, as written.
#[derive(Clone, Copy, Default)]
pub(super) struct Settings<'a> {
    pub(super) copy: Option<&'a CopySettings>,
    pub(super) throttle: Option<&'a ThrottleSettings>,
    pub(super) cut_over: Option<&'a CutOverSettings>,
}

impl Layer {
    /// Checks the settings that stand below `field`.
    pub(super) fn check(field: &str, written: Settings<'_>, found: &mut Violations) -> Self {
        let copy = written.copy.cloned().unwrap_or_default();
        let cut_over = written.cut_over.cloned().unwrap_or_default();
        let mut duration = |name: &str, text: &Option<String>, bounds| {
            text.as_ref().map(|text| found.duration(&format!("{field}.{name}"), text, bounds))
        };
        let chunk_time = duration("copy.chunkTime", &copy.chunk_time, CHUNK_TIMES);
        let lock_budget = duration("cutOver.lockBudget", &cut_over.lock_budget, LOCK_BUDGETS);
        Self {
            threads: copy.threads,
            chunk_time,
            max_rows_per_second: copy.max_rows_per_second,
            throttle: throttle::read(field, written.throttle.cloned().unwrap_or_default(), found),
            lock_budget,
            max_attempts: cut_over.max_attempts,
        }
    }

    /// What holds when nobody says otherwise.
    pub fn built_in() -> Self {
        Self {
            threads: Some(2),
            chunk_time: Some(Duration::from_millis(500)),
            max_rows_per_second: Some(0),
            throttle: Throttle {
                nice_percent: Some(0),
                on_short_binlog: Some(ShortBinlog::Apply),
                healthy_for: Some(Duration::from_secs(30)),
                max_resumes: Some(10),
                ..Throttle::default()
            },
            lock_budget: Some(Duration::from_secs(1)),
            max_attempts: Some(0),
        }
    }

    /// The settings of a preset.
    pub fn of_preset(preset: Preset) -> Self {
        let running = |limit| Some(BTreeMap::from([("Threads_running".to_owned(), limit)]));
        match preset {
            Preset::Development => Self {
                threads: Some(4),
                chunk_time: Some(Duration::from_secs(1)),
                lock_budget: Some(Duration::from_secs(5)),
                ..Self::default()
            },
            Preset::Test => Self {
                threads: Some(2),
                chunk_time: Some(Duration::from_millis(500)),
                throttle: Throttle { max_load: running(100), ..Throttle::default() },
                max_attempts: Some(20),
                ..Self::default()
            },
            Preset::Production => Self {
                threads: Some(1),
                chunk_time: Some(Duration::from_millis(250)),
                throttle: Throttle {
                    max_load: running(50),
                    max_slowdown_percent: Some(130),
                    ..Throttle::default()
                },
                lock_budget: Some(Duration::from_millis(500)),
                ..Self::default()
            },
        }
    }
}

const CHUNK_TIMES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));
const LOCK_BUDGETS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
