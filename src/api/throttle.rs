//! `spec.throttle`: when a migration yields to the application, as it is written, and as it is meant.

#![expect(unreachable_pub, reason = "the derive copies structs into functions")]

use std::collections::BTreeMap;
use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hooks;
use super::validate::Violations;

/// The end of a name that means how quickly a status variable grows.
const PER_SECOND: &str = "/s";

/// When the migration yields to the application. What is absent has no limit.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThrottleSettings {
    /// How far a control replica of the target may be behind, 100ms to 1h. Beyond it, or while a replica
    /// cannot be seen, nothing is copied, compared or swapped; following the binlog goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
            .message("maxLag must be between 100ms and 1h")
    )]
    pub max_lag: Option<String>,
    /// How far behind a control replica makes the migration pause itself, 100ms to 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('24h')")
            .message("criticalLag must be between 100ms and 24h")
    )]
    pub critical_lag: Option<String>,
    /// Transactions that a control replica may have received and not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000), extend("format" = "int64"))]
    pub max_apply_backlog: Option<u64>,
    /// How far the migration's own binlog stream may be behind the server, 100ms to 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
            .message("maxStreamLag must be between 100ms and 1h")
    )]
    pub max_stream_lag: Option<String>,
    /// Status variables of the server, each with the highest value at which the migration goes on, for
    /// example `Threads_running: 30`, or `Questions/s: 5000` for how quickly one grows. Above it nothing is copied, compared or swapped until the values
    /// have been within their limits for two seconds; following the binlog goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxProperties" = 16),
        extend("additionalProperties" =
            {"type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_i64})
    )]
    #[x_kube(
        validation = Rule::new("self.all(name, name.matches('^[A-Za-z0-9_]{1,64}(/s)?$'))")
            .message("maxLoad names status variables, for example Threads_running")
    )]
    pub max_load: Option<BTreeMap<String, u64>>,
    /// Status variables like those of `maxLoad`, above which the migration pauses itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxProperties" = 16),
        extend("additionalProperties" =
            {"type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_i64})
    )]
    #[x_kube(
        validation = Rule::new("self.all(name, name.matches('^[A-Za-z0-9_]{1,64}(/s)?$'))")
            .message("criticalLoad names status variables, for example Threads_running")
    )]
    pub critical_load: Option<BTreeMap<String, u64>>,
    /// Sessions that may run at a time for each processor of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000), extend("format" = "int32"))]
    pub max_running_per_core: Option<u64>,
    /// How long a small commit may take, 1ms to 60s; measured by the migration's own heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1ms') && duration(self) <= duration('60s')")
            .message("maxCommitLatency must be between 1ms and 60s")
    )]
    pub max_commit_latency: Option<String>,
    /// Length of InnoDB's history list: row versions that wait to be purged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64), extend("format" = "int64"))]
    pub max_history_list_length: Option<u64>,
    /// How much of the redo log may be written and not yet checkpointed, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100), extend("format" = "int32"))]
    pub max_redo_percent: Option<u64>,
    /// How much disk has to be free for the migration not to pause itself, in bytes or as `20Gi`. The
    /// target's `probes.freeDisk` tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = "^[0-9]{1,15}([KMGT]i)?$"))]
    pub min_free_disk: Option<String>,
    /// Transactions of the migration that may be repeated in a minute, because of deadlocks or locks that
    /// are refused, before it pauses itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000), extend("format" = "int64"))]
    pub max_retries_per_minute: Option<u64>,
    /// How many times longer than without the migration the application's statements may take, 1.05 to 100
    /// with at most two decimals, for example `"1.4"`. Beyond it the row copy halves its speed, down to a
    /// tenth of one thread; below it, it gets quicker by small steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = "^([0-9]{1,2}([.][0-9]{1,2})?|100)$"))]
    pub max_slowdown: Option<String>,
    /// Rest of a copying thread after each chunk as a ratio of the time that the chunk took, 0 to 100
    /// with at most two decimals: with `"0.5"` a third of the time is rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = "^([0-9]{1,2}([.][0-9]{1,2})?|100)$"))]
    pub nice_ratio: Option<String>,
    /// What is done when the server is about to purge what the migration has yet to read. `Apply`: it has
    /// paused copying long before, and goes on applying as long as it can. `GiveUp`: it also ends itself
    /// when a tenth of the retention is left, and drops what it has made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_short_binlog: Option<ShortBinlog>,
    /// When a migration that has paused itself goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_resume: Option<AutoResume>,
}

/// What is done when the server's binlog gets short.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShortBinlog {
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Apply,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    GiveUp,
}

/// When a migration that has paused itself goes on.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoResume {
    /// How long nothing may be in its way before it goes on, 1s to 24h; 30s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
            .message("healthyFor must be between 1s and 24h")
    )]
    pub healthy_for: Option<String>,
    /// How often an attempt goes on without a person; 10 when absent. Afterwards `paused` has to be set
    /// to true and back to false. 0 always asks for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    pub max: Option<u32>,
}

/// What an administrator asks before a migration of the target goes on.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// One SELECT, whose first value has to be 0 for migrations to go on. It is asked each second, in a
    /// read-only transaction, and has two seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(
        validation = Rule::new("self.lowerAscii().matches('^(select|with)[^a-z0-9_]')")
            .message("query has to be one SELECT")
    )]
    pub query: Option<String>,
    /// A URL that has to answer with a status from 200 to 299 for migrations to go on. It is asked each
    /// second, and has two seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// One SELECT, whose first value is the free disk of the server in bytes, for `throttle.minFreeDisk`. It
    /// is asked twice a second, in a read-only transaction, and has two seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(
        validation = Rule::new("self.lowerAscii().matches('^(select|with)[^a-z0-9_]')")
            .message("freeDisk has to be one SELECT")
    )]
    pub free_disk: Option<String>,
}

/// A URL that is asked.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    /// Where. No redirect is followed, and nothing is sent to link-local addresses.
    #[schemars(length(min = 1, max = 1024), regex(pattern = super::hooks::URL))]
    pub url: String,
}

/// The settings of one source as they are meant, or those that hold; what nobody says is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// `maxLag`.
    pub max_lag: Option<Duration>,
    /// `criticalLag`.
    pub critical_lag: Option<Duration>,
    /// `maxApplyBacklog`.
    pub max_apply_backlog: Option<u64>,
    /// `maxStreamLag`.
    pub max_stream_lag: Option<Duration>,
    /// `maxLoad`.
    pub max_load: Option<BTreeMap<String, u64>>,
    /// `criticalLoad`.
    pub critical_load: Option<BTreeMap<String, u64>>,
    /// `maxRunningPerCore`.
    pub max_running_per_core: Option<u64>,
    /// `maxCommitLatency`.
    pub max_commit_latency: Option<Duration>,
    /// `maxHistoryListLength`.
    pub max_history_list_length: Option<u64>,
    /// `maxRedoPercent`.
    pub max_redo_percent: Option<u64>,
    /// `minFreeDisk`, in bytes.
    pub min_free_disk: Option<u64>,
    /// `maxRetriesPerMinute`.
    pub max_retries_per_minute: Option<u64>,
    /// `maxSlowdown`, in percent.
    pub max_slowdown_percent: Option<u64>,
    /// `niceRatio`, in percent.
    pub nice_percent: Option<u32>,
    /// `onShortBinlog`.
    pub on_short_binlog: Option<ShortBinlog>,
    /// `autoResume.healthyFor`.
    pub healthy_for: Option<Duration>,
    /// `autoResume.max`.
    pub max_resumes: Option<u32>,
}

/// What the settings below `place` mean; what is wrong with them is noted.
pub(super) fn read(place: &str, settings: ThrottleSettings, found: &mut Violations) -> Throttle {
    let ms = Duration::from_millis;
    let hour = Duration::from_hours(1);
    let resume = settings.auto_resume.unwrap_or_default();
    let mut time = |field: &str, text: Option<&String>, bounds| {
        text.map(|text| found.duration(&format!("{place}.throttle.{field}"), text, bounds))
    };
    let max_lag = time("maxLag", settings.max_lag.as_ref(), (ms(100), hour));
    let critical_lag = time("criticalLag", settings.critical_lag.as_ref(), (ms(100), hour * 24));
    let max_stream_lag = time("maxStreamLag", settings.max_stream_lag.as_ref(), (ms(100), hour));
    let bounds = (ms(1), Duration::from_mins(1));
    let max_commit_latency = time("maxCommitLatency", settings.max_commit_latency.as_ref(), bounds);
    let bounds = (Duration::from_secs(1), hour * 24);
    let healthy_for = time("autoResume.healthyFor", resume.healthy_for.as_ref(), bounds);
    Throttle {
        max_lag,
        critical_lag,
        max_apply_backlog: settings.max_apply_backlog,
        max_stream_lag,
        max_load: load((place, "maxLoad"), settings.max_load, found),
        critical_load: load((place, "criticalLoad"), settings.critical_load, found),
        max_running_per_core: settings.max_running_per_core,
        max_commit_latency,
        max_history_list_length: settings.max_history_list_length,
        max_redo_percent: settings.max_redo_percent,
        min_free_disk: settings
            .min_free_disk
            .map(|text| size((place, "minFreeDisk"), &text, found)),
        max_retries_per_minute: settings.max_retries_per_minute,
        max_slowdown_percent: settings.max_slowdown.map(|ratio| {
            percent((place, "maxSlowdown"), &ratio, (105, "1.05", "1.4"), found).into()
        }),
        nice_percent: settings
            .nice_ratio
            .map(|ratio| percent((place, "niceRatio"), &ratio, (0, "0", "0.5"), found)),
        on_short_binlog: settings.on_short_binlog,
        healthy_for,
        max_resumes: resume.max,
    }
}

/// What a target has asked; what is wrong with it is noted.
pub(super) fn read_probes(probes: Probes, found: &mut Violations) -> Probes {
    let queries = [("query", &probes.query), ("freeDisk", &probes.free_disk)];
    for (field, query) in queries {
        if let Some(query) = query {
            check_query(&format!("spec.probes.{field}"), query, found);
        }
    }
    if let Some(http) = &probes.http {
        hooks::check_url("spec.probes.http.url", &http.url, found);
    }
    probes
}

/// Notes when somebody's query is not one SELECT that only reads. The check is by words, so that it refuses
/// rather too much: the administrator can write it differently.
pub(super) fn check_query(field: &str, query: &str, found: &mut Violations) {
    let lower = query.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric() && c != '_');
    let begins = words.next().is_some_and(|word| ["select", "with"].contains(&word));
    let refused = ["into", "update", "share", "lock", "get_lock", "benchmark", "load_file"];
    let is_one = begins && !query.contains(';') && !words.any(|word| refused.contains(&word));
    found.unless(
        is_one,
        field,
        "is not one SELECT that only reads",
        "write a single SELECT without a semicolon, INTO, locks, or functions that wait",
    );
}

fn load(
    (place, field): (&str, &str),
    limits: Option<BTreeMap<String, u64>>,
    found: &mut Violations,
) -> Option<BTreeMap<String, u64>> {
    let limits = limits?;
    let is_name = |name: &String| {
        let name = name.strip_suffix(PER_SECOND).unwrap_or(name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    found.unless(
        limits.keys().all(is_name),
        &format!("{place}.throttle.{field}"),
        "has a name that no status variable has",
        "name it as SHOW GLOBAL STATUS does, for example Threads_running or Questions/s",
    );
    Some(limits)
}

/// A number of bytes, perhaps with a unit.
fn size((place, field): (&str, &str), text: &str, found: &mut Violations) -> u64 {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift): (_, u32) = unit.unwrap_or((text, 0));
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    found.unless(
        bytes.is_some(),
        &format!("{place}.throttle.{field}"),
        "is no number of bytes",
        "write it with Ki, Mi, Gi or Ti, for example 20Gi",
    );
    bytes.unwrap_or_default()
}

fn percent(
    (place, field): (&str, &str),
    ratio: &str,
    (least, lowest, example): (u32, &str, &str),
    found: &mut Violations,
) -> u32 {
    let percent = hundredths(ratio).filter(|percent| (least..=10_000).contains(percent));
    found.unless(
        percent.is_some(),
        &format!("{place}.throttle.{field}"),
        &format!("is not a number between {lowest} and 100 with at most two decimals"),
        &format!("write it as text, for example \"{example}\""),
    );
    percent.unwrap_or_default()
}

/// A decimal number with at most two decimals, times a hundred.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = digits(whole) && digits(decimals) && whole.len() <= 3 && decimals.len() <= 2;
    fits.then(|| format!("{whole}{decimals:0<2}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_only_reads() {
        let rows = [
            ("SELECT 0", true),
            ("select count(*) > 100 from information_schema.processlist", true),
            ("WITH busy AS (SELECT 1) SELECT * FROM busy", true),
            ("SELECT updated FROM ops.maintenance", true),
            ("SELECT 0; DROP TABLE t", false),
            ("DELETE FROM t", false),
            ("selected", false),
            ("SELECT 1 INTO OUTFILE '/tmp/x'", false),
            ("SELECT 1 FROM t FOR UPDATE", false),
            ("SELECT GET_LOCK('a', 9)", false),
            ("", false),
        ];
        for (query, is_one) in rows {
            let mut found = Violations::of("MigrationTarget");
            check_query("spec.probes.query", query, &mut found);
            assert_eq!(found.none(()).is_ok(), is_one, "{query}");
        }
    }

    #[test]
    fn ratios_have_their_bounds() {
        let slowdown = |ratio: &str| {
            let settings = ThrottleSettings {
                max_slowdown: Some(ratio.to_owned()),
                ..ThrottleSettings::default()
            };
            let mut found = Violations::of("SchemaMigration");
            let read = read("spec", settings, &mut found);
            found.none(()).is_ok().then_some(read.max_slowdown_percent).flatten()
        };
        let rows =
            [("1.4", Some(140)), ("1.05", Some(105)), ("1", None), ("0.5", None), ("x", None)];
        for (ratio, percent) in rows {
            assert_eq!(slowdown(ratio), percent, "{ratio}");
        }
    }
}
