//! What holds now, of all that the sources say, and where each value comes from. Checked resources and an
//! instant in, wishes and a list for people out. Pure.
//!
//! For each field the first source that has it: the profiles of the migration and then those of the target,
//! as far as their windows are open; the migration; the target's defaults; its preset; what is built in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::{Timestamp, Zoned};

use super::duration;
use super::hooks::Approvable;
use super::hours::{Profile, Windows};
use super::layer::Layer;
use super::throttle::Throttle;
use super::validate::{Control, TargetSettings, ValidMigration};
use crate::schedule::{self, State, Window};

/// Control and tuning as they hold now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// The strongest of the control fields that are set, and of the pause windows.
    pub control: Control,
    /// Why it is paused when a window does it, in words.
    pub pause_window: Option<String>,
    /// Whether the cut-over has to wait.
    pub postpone_cut_over: bool,
    /// Stages that a person has approved.
    pub approved: BTreeSet<Approvable>,
    /// Why nothing may be copied or compared now, in words.
    pub copy_hold: Option<String>,
    /// Whether a cut-over may begin now.
    pub cut_over: Gate,
    /// Ranges copied at a time.
    pub threads: u8,
    /// How long one chunk should take.
    pub chunk_time: Duration,
    /// Rows copied per second at most; 0 means no limit.
    pub max_rows_per_second: u64,
    /// When the migration yields to the application.
    pub throttle: Throttle,
    /// How long one cut-over attempt may block writers.
    pub lock_budget: Duration,
    /// Cut-over attempts at most; 0 means no limit.
    pub max_attempts: u32,
    /// Rows that verification may repair.
    pub repair_limit: u64,
}

/// Whether the hour lets a cut-over begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It does.
    Open {
        /// As long as this; absent when no window ends it.
        until: Option<Timestamp>,
    },
    /// It does not.
    Closed {
        /// Why, and when it opens.
        words: String,
    },
}

/// What holds at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// What is asked for.
    pub wishes: Wishes,
    /// Each setting with its origin.
    pub settings: Vec<Setting>,
}

/// A setting as it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The field, as below `spec` of a migration.
    pub field: &'static str,
    /// Its value, as a manifest would have it; `none` when there is none.
    pub value: String,
    /// Who says so.
    pub origin: Origin,
}

/// A setting that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its value and origin before.
    pub was: (String, Origin),
    /// As it holds now.
    pub is: Setting,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { field, value, origin } = &self.is;
        write!(f, "{field} is {value} ({origin}) now; it was {} ({})", self.was.0, self.was.1)
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody says otherwise.
    Default,
    /// The target's preset.
    Preset,
    /// The target's defaults.
    Target,
    /// The migration.
    Migration,
    /// A profile that is open, by its name.
    Profile(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("Default"),
            Self::Preset => f.write_str("Preset"),
            Self::Target => f.write_str("Target"),
            Self::Migration => f.write_str("Migration"),
            Self::Profile(name) => write!(f, "Profile({name})"),
        }
    }
}

/// What holds at `now`.
pub fn effective(target: &TargetSettings, migration: &ValidMigration, now: Timestamp) -> Effective {
    let windows = [&migration.windows, &target.windows];
    let asked = &migration.asked;
    let pause_window = pause_window(windows, now).filter(|_| asked.control == Control::Run);
    let mut chosen = Chosen { sources: sources(target, migration, now), settings: Vec::new() };
    let wishes = Wishes {
        control: pause_window.as_ref().map_or(asked.control, |_| Control::Pause),
        pause_window,
        postpone_cut_over: asked.postpone_cut_over,
        approved: asked.approved.clone(),
        copy_hold: copy_hold(windows, now),
        cut_over: cut_over_gate(windows, now),
        threads: chosen.pick("copy.threads", |it| it.threads, u8::to_string).unwrap_or(1),
        chunk_time: chosen.pick("copy.chunkTime", |it| it.chunk_time, time).unwrap_or_default(),
        max_rows_per_second: chosen
            .pick("copy.maxRowsPerSecond", |it| it.max_rows_per_second, u64::to_string)
            .unwrap_or_default(),
        throttle: chosen.throttle(),
        lock_budget: chosen
            .pick("cutOver.lockBudget", |it| it.lock_budget, time)
            .unwrap_or_default(),
        max_attempts: chosen
            .pick("cutOver.maxAttempts", |it| it.max_attempts, u32::to_string)
            .unwrap_or_default(),
        repair_limit: asked.repair_limit,
    };
    Effective { wishes, settings: chosen.settings }
}

/// What is another value or comes from elsewhere. Nothing is a change of what was not known.
pub fn changes(before: &[Setting], now: &[Setting]) -> Vec<Change> {
    let differing = before.iter().zip(now).filter(|(before, now)| before != now);
    let change = |(before, now): (&Setting, &Setting)| Change {
        was: (before.value.clone(), before.origin.clone()),
        is: now.clone(),
    };
    differing.map(change).collect()
}

/// Layers in the order in which they are asked, and what was found.
struct Chosen {
    sources: Vec<(Origin, Layer)>,
    settings: Vec<Setting>,
}

impl Chosen {
    fn pick<T>(
        &mut self,
        field: &'static str,
        of: impl Fn(&Layer) -> Option<T>,
        tell: impl Fn(&T) -> String,
    ) -> Option<T> {
        let found = self.sources.iter().find_map(|(origin, layer)| Some((origin, of(layer)?)));
        let (origin, value) = match found {
            Some((origin, value)) => (origin.clone(), Some(value)),
            None => (Origin::Default, None),
        };
        let told = value.as_ref().map_or_else(|| NONE.to_owned(), tell);
        self.settings.push(Setting { field, value: told, origin });
        value
    }
}

impl Chosen {
    fn throttle(&mut self) -> Throttle {
        Throttle {
            max_lag: self.pick("throttle.maxLag", |it| it.throttle.max_lag, time),
            critical_lag: self.pick("throttle.criticalLag", |it| it.throttle.critical_lag, time),
            max_apply_backlog: self.count("throttle.maxApplyBacklog", |it| it.max_apply_backlog),
            max_stream_lag: self.pick(
                "throttle.maxStreamLag",
                |it| it.throttle.max_stream_lag,
                time,
            ),
            max_load: self.pick("throttle.maxLoad", |it| it.throttle.max_load.clone(), load),
            critical_load: self.pick(
                "throttle.criticalLoad",
                |it| it.throttle.critical_load.clone(),
                load,
            ),
            max_running_per_core: self
                .count("throttle.maxRunningPerCore", |it| it.max_running_per_core),
            max_commit_latency: self.pick(
                "throttle.maxCommitLatency",
                |it| it.throttle.max_commit_latency,
                time,
            ),
            max_history_list_length: self
                .count("throttle.maxHistoryListLength", |it| it.max_history_list_length),
            max_redo_percent: self.count("throttle.maxRedoPercent", |it| it.max_redo_percent),
            min_free_disk: self.pick("throttle.minFreeDisk", |it| it.throttle.min_free_disk, size),
            max_retries_per_minute: self
                .count("throttle.maxRetriesPerMinute", |it| it.max_retries_per_minute),
            max_slowdown_percent: self.pick(
                "throttle.maxSlowdown",
                |it| it.throttle.max_slowdown_percent,
                ratio,
            ),
            nice_percent: self.pick(
                "throttle.niceRatio",
                |it| it.throttle.nice_percent,
                |percent| ratio(&u64::from(*percent)),
            ),
            on_short_binlog: self.pick(
                "throttle.onShortBinlog",
                |it| it.throttle.on_short_binlog,
                |policy| format!("{policy:?}"),
            ),
            healthy_for: self.pick(
                "throttle.autoResume.healthyFor",
                |it| it.throttle.healthy_for,
                time,
            ),
            max_resumes: self.pick(
                "throttle.autoResume.max",
                |it| it.throttle.max_resumes,
                u32::to_string,
            ),
        }
    }

    fn count(&mut self, field: &'static str, of: fn(&Throttle) -> Option<u64>) -> Option<u64> {
        self.pick(field, |it| of(&it.throttle), u64::to_string)
    }
}

const NONE: &str = "none";

fn sources(
    target: &TargetSettings,
    migration: &ValidMigration,
    now: Timestamp,
) -> Vec<(Origin, Layer)> {
    let open = |one: &&Profile| one.window.is_open(now);
    let profiles = migration.profiles.iter().chain(&target.profiles).filter(open);
    let profiles = profiles.map(|one| (Origin::Profile(one.name.clone()), one.layer.clone()));
    profiles
        .chain([
            (Origin::Migration, migration.layer.clone()),
            (Origin::Target, target.defaults.clone()),
            (Origin::Preset, target.preset.map(Layer::of_preset).unwrap_or_default()),
            (Origin::Default, Layer::built_in()),
        ])
        .collect()
}

fn time(time: &Duration) -> String {
    duration::format(*time)
}

fn load(limits: &BTreeMap<String, u64>) -> String {
    if limits.is_empty() {
        return NONE.to_owned();
    }
    let limits = limits.iter().map(|(name, limit)| format!("{name}: {limit}"));
    limits.collect::<Vec<_>>().join(", ")
}

/// In the largest unit that leaves a whole number.
fn size(bytes: &u64) -> String {
    let units = [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    let fits = |shift: u32| *bytes > 0 && bytes.trailing_zeros() >= shift;
    let unit = units.into_iter().find(|(shift, _)| fits(*shift));
    unit.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

fn ratio(percent: &u64) -> String {
    let (whole, hundredths) = (percent / 100, percent % 100);
    let text = format!("{whole}.{hundredths:02}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn copy_hold(windows: [&Windows; 2], now: Timestamp) -> Option<String> {
    let lists = windows.map(|windows| windows.copy.as_slice());
    shut("copy", lists, now)
}

fn cut_over_gate(windows: [&Windows; 2], now: Timestamp) -> Gate {
    let lists = windows.map(|windows| windows.cut_over.as_slice());
    if let Some(words) = shut("cut-over", lists, now) {
        return Gate::Closed { words };
    }
    let ends = lists.into_iter().filter_map(|list| match schedule::state(list, now) {
        State::Open { until } => Some(until),
        State::Closed { .. } => None,
    });
    Gate::Open { until: ends.min() }
}

fn pause_window(windows: [&Windows; 2], now: Timestamp) -> Option<String> {
    let all: Vec<Window> =
        windows.iter().flat_map(|windows| windows.pause.iter().cloned()).collect();
    match schedule::state(&all, now) {
        State::Open { until } => Some(format!("paused by a pause window until {until}")),
        State::Closed { .. } => None,
    }
}

/// Why the windows of the migration and of its target do not both allow something, in words: of the two
/// the one that opens later. A list without windows always does.
fn shut(what: &str, lists: [&[Window]; 2], now: Timestamp) -> Option<String> {
    let whose = ["", " of the target"];
    let closed = lists.into_iter().zip(whose).filter(|(list, _)| !list.is_empty()).filter_map(
        |(list, whose)| match schedule::state(list, now) {
            State::Open { .. } => None,
            State::Closed { opens } => Some((opens, whose)),
        },
    );
    let rank = |opens: &Option<Zoned>| opens.as_ref().map_or(Timestamp::MAX, Zoned::timestamp);
    let (opens, whose) = closed.max_by_key(|(opens, _)| rank(opens))?;
    Some(match opens {
        Some(at) => format!("outside the {what} window{whose}; it opens at {at}"),
        None => format!("outside the {what} window{whose}; it does not open again"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::validate;

    /// A Monday noon.
    const NOON: &str = "2026-06-01T12:00:00Z";
    const MORNING: &str = "2026-06-01T08:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn holds(target: &Value, migration: &Value, now: &str) -> Effective {
        let mut own = json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": "one"},
            "spec": {"target": "db", "database": "shop", "table": "t", "alter": "ENGINE=InnoDB"}});
        let mut server = json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
            "metadata": {"name": "db"},
            "spec": {"host": "db", "credentialsSecret": {"name": "db"}}});
        for (document, fields) in [(&mut own, migration), (&mut server, target)] {
            for (name, value) in fields.as_object().unwrap() {
                document["spec"][name] = value.clone();
            }
        }
        let own = validate::migration(&own).unwrap();
        let server = validate::target(&server).unwrap();
        effective(&server.settings, &own, at(now))
    }

    fn told(effective: &Effective, field: &str) -> String {
        let found = effective.settings.iter().find(|one| one.field == field).unwrap();
        format!("{} {}", found.value, found.origin)
    }

    fn profile(name: &str, from: &str, copy: &Value) -> Value {
        let window = json!({"cron": format!("0 {from} * * *"), "duration": "2h"});
        json!({"name": name, "window": window, "copy": copy})
    }

    #[test]
    fn the_nearest_source_wins_field_by_field() {
        let threads = |threads: u8| json!({"threads": threads});
        let none = json!({});
        let noon = profile("noon", "12", &json!({"threads": 9}));
        let lunch = profile("lunch", "11", &json!({"threads": 8, "chunkTime": "2s"}));
        let night = profile("night", "22", &threads(16));
        let test = json!({"preset": "Test"});
        let target =
            json!({"preset": "Test", "defaults": {"copy": threads(3), "profiles": [lunch]}});
        let rows = [
            (&none, none.clone(), "2 Default", "500ms Default"),
            (&test, none.clone(), "2 Preset", "500ms Preset"),
            (&test, json!({"copy": {"chunkTime": "1s"}}), "2 Preset", "1s Migration"),
            (&none, json!({"copy": threads(2)}), "2 Migration", "500ms Default"),
            (&target, none.clone(), "8 Profile(lunch)", "2s Profile(lunch)"),
            (&target, json!({"copy": threads(5)}), "8 Profile(lunch)", "2s Profile(lunch)"),
            (&target, json!({"profiles": [noon]}), "9 Profile(noon)", "2s Profile(lunch)"),
            (&none, json!({"profiles": [night, noon]}), "9 Profile(noon)", "500ms Default"),
            (&none, json!({"profiles": [noon, lunch]}), "9 Profile(noon)", "2s Profile(lunch)"),
            (&none, json!({"profiles": [lunch, noon]}), "8 Profile(lunch)", "2s Profile(lunch)"),
        ];
        for (target, migration, threads, chunk_time) in rows {
            let found = holds(target, &migration, NOON);
            assert_eq!(told(&found, "copy.threads"), threads, "{target} {migration}");
            assert_eq!(told(&found, "copy.chunkTime"), chunk_time, "{target} {migration}");
        }
        let morning = holds(&target, &none, MORNING);
        assert_eq!(told(&morning, "copy.threads"), "3 Target");
        assert_eq!(morning.wishes.threads, 3);
    }

    #[test]
    fn every_setting_is_told_as_a_manifest_has_it() {
        let migration = json!({
            "copy": {"threads": 3, "chunkTime": "1.5s", "maxRowsPerSecond": 7},
            "throttle": {"maxLag": "2s", "criticalLag": "60s", "maxApplyBacklog": 4, "maxStreamLag": "3s",
                "maxLoad": {"Threads_running": 5, "Innodb_row_lock_waits": 1},
                "criticalLoad": {"Threads_running": 9}, "maxRunningPerCore": 5,
                "maxCommitLatency": "50ms", "maxHistoryListLength": 6, "maxRedoPercent": 70,
                "minFreeDisk": "20480Mi",
                "maxRetriesPerMinute": 8, "maxSlowdown": "1.4", "niceRatio": "0.05", "onShortBinlog": "GiveUp",
                "autoResume": {"healthyFor": "10s", "max": 2}},
            "cutOver": {"lockBudget": "700ms", "maxAttempts": 4},
        });
        let list = |effective: Effective| -> Vec<(&str, String)> {
            effective.settings.into_iter().map(|one| (one.field, one.value)).collect()
        };
        let text = |rows: [(&'static str, &str); 22]| rows.map(|(a, b)| (a, b.to_owned())).to_vec();
        let made = text([
            ("copy.threads", "3"),
            ("copy.chunkTime", "1s500ms"),
            ("copy.maxRowsPerSecond", "7"),
            ("throttle.maxLag", "2s"),
            ("throttle.criticalLag", "1m"),
            ("throttle.maxApplyBacklog", "4"),
            ("throttle.maxStreamLag", "3s"),
            ("throttle.maxLoad", "Innodb_row_lock_waits: 1, Threads_running: 5"),
            ("throttle.criticalLoad", "Threads_running: 9"),
            ("throttle.maxRunningPerCore", "5"),
            ("throttle.maxCommitLatency", "50ms"),
            ("throttle.maxHistoryListLength", "6"),
            ("throttle.maxRedoPercent", "70"),
            ("throttle.minFreeDisk", "20Gi"),
            ("throttle.maxRetriesPerMinute", "8"),
            ("throttle.maxSlowdown", "1.4"),
            ("throttle.niceRatio", "0.05"),
            ("throttle.onShortBinlog", "GiveUp"),
            ("throttle.autoResume.healthyFor", "10s"),
            ("throttle.autoResume.max", "2"),
            ("cutOver.lockBudget", "700ms"),
            ("cutOver.maxAttempts", "4"),
        ]);
        let built_in = text([
            ("copy.threads", "2"),
            ("copy.chunkTime", "500ms"),
            ("copy.maxRowsPerSecond", "0"),
            ("throttle.maxLag", "none"),
            ("throttle.criticalLag", "none"),
            ("throttle.maxApplyBacklog", "none"),
            ("throttle.maxStreamLag", "none"),
            ("throttle.maxLoad", "none"),
            ("throttle.criticalLoad", "none"),
            ("throttle.maxRunningPerCore", "none"),
            ("throttle.maxCommitLatency", "none"),
            ("throttle.maxHistoryListLength", "none"),
            ("throttle.maxRedoPercent", "none"),
            ("throttle.minFreeDisk", "none"),
            ("throttle.maxRetriesPerMinute", "none"),
            ("throttle.maxSlowdown", "none"),
            ("throttle.niceRatio", "0"),
            ("throttle.onShortBinlog", "Apply"),
            ("throttle.autoResume.healthyFor", "30s"),
            ("throttle.autoResume.max", "10"),
            ("cutOver.lockBudget", "1s"),
            ("cutOver.maxAttempts", "0"),
        ]);
        assert_eq!(list(holds(&json!({}), &migration, NOON)), made);
        assert_eq!(list(holds(&json!({}), &json!({}), NOON)), built_in);
        // Nothing is a word of its own.
        let off = json!({"throttle": {"maxLoad": {}}});
        let off = holds(&json!({"preset": "Production"}), &off, NOON);
        assert_eq!(told(&off, "throttle.maxLoad"), "none Migration");
        assert_eq!(off.wishes.throttle.max_load, Some(BTreeMap::new()));
    }

    #[test]
    fn windows_of_migration_and_target_both_hold() {
        let open = json!([{"cron": "0 12 * * *", "duration": "3h"}]);
        let longer = json!([{"cron": "0 10 * * *", "duration": "3h"}]);
        let night = json!([{"cron": "0 22 * * *", "duration": "1h", "timeZone": "Europe/Berlin"}]);
        let over = json!([{"from": "2026-05-01T00:00:00Z", "until": "2026-05-02T00:00:00Z"}]);
        let none = json!([]);
        let night_words = "it opens at 2026-06-01T22:00:00+02:00[Europe/Berlin]";
        let never = "it does not open again";
        let rows = [
            (&none, &none, Ok(None)),
            (&open, &none, Ok(Some("2026-06-01T15:00:00Z"))),
            (&none, &open, Ok(Some("2026-06-01T15:00:00Z"))),
            (&longer, &open, Ok(Some("2026-06-01T13:00:00Z"))),
            (&night, &open, Err(format!("outside the cut-over window; {night_words}"))),
            (
                &open,
                &night,
                Err(format!("outside the cut-over window of the target; {night_words}")),
            ),
            (&over, &night, Err(format!("outside the cut-over window; {never}"))),
            (&night, &over, Err(format!("outside the cut-over window of the target; {never}"))),
        ];
        for (own, targets, expected) in rows {
            let windows = |list: &Value| json!({"windows": {"copy": list, "cutOver": list}});
            let found = holds(&windows(targets), &windows(own), NOON).wishes;
            let gate = match found.cut_over {
                Gate::Open { until } => Ok(until),
                Gate::Closed { words } => Err(words),
            };
            assert_eq!(gate, expected.clone().map(|until| until.map(at)), "{own} {targets}");
            let words = expected.err().map(|words| words.replace("cut-over", "copy"));
            assert_eq!(found.copy_hold, words, "{own} {targets}");
        }
    }

    #[test]
    fn a_pause_window_pauses_unless_more_is_asked_for() {
        let noon = json!({"pause": [{"cron": "0 12 * * *", "duration": "1h"}]});
        let none = json!({});
        let window = Some("paused by a pause window until 2026-06-01T13:00:00Z".to_owned());
        let rows = [
            (&none, json!({}), Control::Run, None),
            (&none, json!({"windows": noon}), Control::Pause, window.clone()),
            (&noon, json!({}), Control::Pause, window.clone()),
            (&noon, json!({"paused": true}), Control::Pause, None),
            (&noon, json!({"abort": true}), Control::Abort, None),
            (&noon, json!({"panic": true}), Control::Panic, None),
        ];
        for (target, migration, control, words) in rows {
            let found = holds(&json!({"windows": target}), &migration, NOON).wishes;
            assert_eq!(
                (found.control, found.pause_window),
                (control, words),
                "{target} {migration}"
            );
        }
    }

    #[test]
    fn a_change_of_value_or_origin_is_a_change() {
        let now = |preset: &str, threads: u8| {
            holds(&json!({"preset": preset}), &json!({"copy": {"threads": threads}}), NOON).settings
        };
        assert_eq!(changes(&now("Test", 2), &now("Test", 2)), []);
        let (before, after) = (now("Test", 2), now("Test", 3));
        let found = changes(&before, &after);
        assert_eq!(found.len(), 1);
        let words = "copy.threads is 3 (Migration) now; it was 2 (Migration)";
        assert_eq!(found[0].to_string(), words);
        let own = holds(&json!({}), &json!({}), NOON).settings;
        let preset = holds(&json!({"preset": "Test"}), &json!({}), NOON).settings;
        let fields: Vec<_> = changes(&own, &preset).iter().map(|change| change.is.field).collect();
        let expected =
            ["copy.threads", "copy.chunkTime", "throttle.maxLoad", "cutOver.maxAttempts"];
        assert_eq!(fields, expected);
    }

    /// The table of docs/windows.md.
    #[test]
    fn presets_are_as_documented() {
        let text = include_str!("../../docs/windows.md");
        let presets = ["", "Development", "Test", "Production"];
        let all = presets.map(|preset| {
            let target = if preset.is_empty() { json!({}) } else { json!({"preset": preset}) };
            holds(&target, &json!({}), NOON).settings
        });
        for (row, setting) in all[0].iter().enumerate() {
            let cell = |own: &Setting| match own.origin {
                Origin::Preset => format!("`{}`", own.value),
                _ => String::new(),
            };
            let presets = all[1..].iter().map(|settings| cell(&settings[row]));
            let first = format!("`{}`", setting.value);
            let cells: Vec<String> = std::iter::once(first).chain(presets).collect();
            let line = format!("| `{}` | {} |", setting.field, cells.join(" | "));
            assert!(text.contains(&line.replace("|  |", "| |").replace("|  |", "| |")), "{line}");
        }
    }
}
