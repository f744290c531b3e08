//! What is watched for the application's sake, with its words and its limits. Pure.

use std::time::Duration;

use serde::Serialize;

use super::Limits;
use super::load::LoadLimits;

/// What a signal watches; the word that metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Signal {
    /// The migration has paused itself and waits until the server is healthy for some time.
    AutoPause,
    /// Status variables of the server above `throttle.criticalLoad`.
    CriticalLoad,
    /// A control replica further behind than `throttle.criticalLag`.
    CriticalLag,
    /// More transactions of ours repeated a minute than `throttle.maxRetriesPerMinute`.
    MaxRetriesPerMinute,
    /// The server may purge what the stream has yet to read.
    Retention,
    /// A control replica further behind than `throttle.maxLag`.
    MaxLag,
    /// A control replica with more transactions to apply than `throttle.maxApplyBacklog`.
    MaxApplyBacklog,
    /// The stream further behind the server than `throttle.maxStreamLag`.
    MaxStreamLag,
    /// Status variables of the server above `throttle.maxLoad`.
    MaxLoad,
    /// More running sessions for each processor than `throttle.maxRunningPerCore`.
    MaxRunningPerCore,
    /// Our own commits slower than `throttle.maxCommitLatency`.
    MaxCommitLatency,
    /// More row versions to purge than `throttle.maxHistoryListLength`.
    MaxHistoryListLength,
    /// A fuller redo log than `throttle.maxRedoPercent`.
    MaxRedoPercent,
    /// Less free disk than `throttle.minFreeDisk`.
    MinFreeDisk,
    /// The target's query.
    Query,
    /// The target's URL.
    Http,
    /// The application is measured without the migration, for `throttle.maxSlowdown`.
    Baseline,
    /// The application is slower than `throttle.maxSlowdown` allows.
    MaxSlowdown,
    /// `copy.maxRowsPerSecond`.
    MaxRowsPerSecond,
    /// `throttle.niceRatio`.
    NiceRatio,
    /// `windows.copy`.
    Window,
}

/// The limit of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    /// A time.
    Time(Duration),
    /// A count, or a share.
    Count(u64),
    /// Status variables.
    Load(&'a LoadLimits),
}

impl Signal {
    /// Those that look at something and have a limit of their own.
    pub const LIMITED: [Self; 13] = [
        Self::CriticalLoad,
        Self::CriticalLag,
        Self::MaxRetriesPerMinute,
        Self::MaxLag,
        Self::MaxApplyBacklog,
        Self::MaxStreamLag,
        Self::MaxLoad,
        Self::MaxRunningPerCore,
        Self::MaxCommitLatency,
        Self::MaxHistoryListLength,
        Self::MaxRedoPercent,
        Self::MinFreeDisk,
        Self::MaxSlowdown,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AutoPause => "autoPause",
            Self::CriticalLoad => "criticalLoad",
            Self::CriticalLag => "criticalLag",
            Self::MaxRetriesPerMinute => "maxRetriesPerMinute",
            Self::Retention => "retention",
            Self::MaxLag => "maxLag",
            Self::MaxApplyBacklog => "maxApplyBacklog",
            Self::MaxStreamLag => "maxStreamLag",
            Self::MaxLoad => "maxLoad",
            Self::MaxRunningPerCore => "maxRunningPerCore",
            Self::MaxCommitLatency => "maxCommitLatency",
            Self::MaxHistoryListLength => "maxHistoryListLength",
            Self::MaxRedoPercent => "maxRedoPercent",
            Self::MinFreeDisk => "minFreeDisk",
            Self::Query => "query",
            Self::Http => "http",
            Self::Baseline => "baseline",
            Self::MaxSlowdown => "maxSlowdown",
            Self::MaxRowsPerSecond => "maxRowsPerSecond",
            Self::NiceRatio => "niceRatio",
            Self::Window => "window",
        }
    }

    /// What is in its way, for a sentence that begins with it.
    pub fn subject(self) -> &'static str {
        match self {
            Self::AutoPause => "the health of the server",
            Self::CriticalLoad | Self::MaxLoad => "the load of the server",
            Self::CriticalLag | Self::MaxLag => "the lag of the control replicas",
            Self::MaxRetriesPerMinute => "the rate of repeated transactions",
            Self::Retention => "the retention of the binlog",
            Self::MaxApplyBacklog => "the apply backlog of the control replicas",
            Self::MaxStreamLag => "the lag of the stream",
            Self::MaxRunningPerCore => "the number of running sessions",
            Self::MaxCommitLatency => "the time of a commit",
            Self::MaxHistoryListLength => "the length of the history list",
            Self::MaxRedoPercent => "the redo log's filling",
            Self::MinFreeDisk => "the free disk",
            Self::Http => "the answer of the target's URL",
            Self::Query => "the answer to the target's query",
            Self::Baseline | Self::MaxSlowdown => "the time of the application's statements",
            Self::MaxRowsPerSecond | Self::NiceRatio => "the speed of the row copy",
            Self::Window => "the hour",
        }
    }

    /// Whether nothing is copied, compared or swapped as long as it has a reason. The others only make
    /// the copy slower, or hold the copy and not the swap.
    pub fn holds(self) -> bool {
        !matches!(self, Self::MaxSlowdown | Self::MaxRowsPerSecond | Self::NiceRatio | Self::Window)
    }

    /// Whether the migration pauses for its sake, and goes on only when the server was healthy for some
    /// time.
    pub(super) fn pauses(self) -> bool {
        matches!(
            self,
            Self::CriticalLoad
                | Self::CriticalLag
                | Self::MaxRetriesPerMinute
                | Self::MinFreeDisk
                | Self::Retention
        )
    }

    /// Its limit; `None` when it has none and nothing is looked at.
    pub(super) fn setting(self, limits: &Limits) -> Option<Setting<'_>> {
        match self {
            Self::CriticalLoad => load(&limits.critical_load),
            Self::MaxLoad => load(&limits.max_load),
            Self::CriticalLag => limits.critical_lag.map(Setting::Time),
            Self::MaxLag => limits.max_lag.map(Setting::Time),
            Self::MaxStreamLag => limits.max_stream_lag.map(Setting::Time),
            Self::MaxCommitLatency => limits.max_commit_latency.map(Setting::Time),
            Self::MaxRetriesPerMinute => limits.max_retries_per_minute.map(Setting::Count),
            Self::MaxApplyBacklog => limits.max_apply_backlog.map(Setting::Count),
            Self::MaxRunningPerCore => limits.max_running_per_core.map(Setting::Count),
            Self::MaxHistoryListLength => limits.max_history_list_length.map(Setting::Count),
            Self::MaxRedoPercent => limits.max_redo_percent.map(Setting::Count),
            Self::MinFreeDisk => limits.min_free_disk.map(Setting::Count),
            Self::MaxSlowdown => limits.max_slowdown_percent.map(Setting::Count),
            Self::AutoPause
            | Self::Retention
            | Self::Query
            | Self::Http
            | Self::Baseline
            | Self::MaxRowsPerSecond
            | Self::NiceRatio
            | Self::Window => None,
        }
    }
}

fn load(limits: &LoadLimits) -> Option<Setting<'_>> {
    (!limits.is_empty()).then_some(Setting::Load(limits))
}
