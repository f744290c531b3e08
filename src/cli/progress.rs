//! Shows progress: a bar on a terminal, lines elsewhere, JSON lines on demand. Snapshots in, text
//! out.

use std::future::pending;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::console::Console;
use crate::api::effective::Setting;
use crate::args::Output;
use crate::engine::phase::PhaseKind;
use crate::engine::progress::Progress;

/// How progress is shown.
pub enum Display {
    /// Not at all.
    Quiet,
    /// A bar on standard error.
    Bar(ProgressBar),
    /// Lines on standard error.
    Lines,
    /// JSON objects on standard output.
    Json,
}

impl Display {
    /// What fits the console and the wishes of the user.
    pub fn choose(console: &Console, output: Output, quiet: bool) -> Self {
        match (quiet, output) {
            (true, _) => Self::Quiet,
            (false, Output::Json) => Self::Json,
            (false, Output::Text) if console.notes_on_terminal() => Self::Bar(console.bar()),
            (false, Output::Text) => Self::Lines,
        }
    }

    /// Shows snapshots until the sender is gone, then waits for ever.
    pub async fn follow(
        &self,
        console: &Console,
        mut progress: watch::Receiver<Progress>,
        mut settings: watch::Receiver<Vec<Setting>>,
    ) -> ! {
        let mut ticks = self.ticks();
        self.show_settings(console, &settings.borrow_and_update());
        let mut shown = None;
        loop {
            let now = progress.borrow_and_update().clone();
            let ticked = tokio::select! {
                _ = ticks.tick() => true,
                changed = progress.changed() => match changed {
                    Ok(()) => false,
                    Err(_) => pending().await,
                },
                Ok(()) = settings.changed() => {
                    self.show_settings(console, &settings.borrow_and_update());
                    continue;
                }
            };
            let now = if ticked { now } else { progress.borrow().clone() };
            if ticked || shown != Some(now.phase) {
                self.show(console, &now);
                shown = Some(now.phase);
            }
        }
    }

    /// Takes a bar away.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }

    fn show(&self, console: &Console, progress: &Progress) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                bar.set_prefix(progress.phase.as_str());
                bar.set_position(thousandths(progress));
                bar.set_message(details(progress));
            }
            Self::Lines => {
                let line = format!("{:12} {}", progress.phase.as_str(), details(progress));
                console.note(line.trim_end());
            }
            Self::Json => console.print(&object(progress).to_string()),
        }
    }

    fn show_settings(&self, console: &Console, settings: &[Setting]) {
        match self {
            Self::Json => {
                console
                    .print(&json!({"type": "effective", "effective": told(settings)}).to_string());
            }
            Self::Quiet | Self::Bar(_) | Self::Lines => {}
        }
    }

    fn ticks(&self) -> Interval {
        let period = match self {
            Self::Bar(_) => Duration::from_millis(250),
            Self::Json => Duration::from_secs(1),
            Self::Lines | Self::Quiet => Duration::from_secs(5),
        };
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

/// Settings as JSON has them.
pub fn told(settings: &[Setting]) -> Vec<Value> {
    let one = |it: &Setting| json!({"field": it.field, "value": it.value, "origin": it.origin.to_string()});
    settings.iter().map(one).collect()
}

/// A snapshot as one JSON object.
fn object(progress: &Progress) -> Value {
    let mut object = json!({"type": "progress"});
    if let (Some(fields), Ok(Value::Object(more))) =
        (object.as_object_mut(), serde_json::to_value(progress))
    {
        fields.extend(more);
    }
    object
}

fn reasons(progress: &Progress) -> String {
    let reasons: Vec<&str> = progress.throttled.iter().map(|one| one.words.as_str()).collect();
    reasons.join(", ")
}

/// What a snapshot says behind the name of its phase.
fn details(progress: &Progress) -> String {
    let mut parts = match progress.phase {
        PhaseKind::Preflight | PhaseKind::Prepare | PhaseKind::CleanUp => Vec::new(),
        PhaseKind::RowCopy => copy_parts(progress),
        PhaseKind::Verify => vec![format!("{:.1}% verified", progress.verified_percent)],
        PhaseKind::CatchUp | PhaseKind::AwaitCutOver | PhaseKind::CutOver => {
            vec![format!("{} rows copied", grouped(progress.rows_copied))]
        }
    };
    parts.extend(stream_parts(progress));
    if progress.rows_repaired > 0 {
        parts.push(format!("{} rows repaired", grouped(progress.rows_repaired)));
    }
    if !progress.throttled.is_empty() {
        parts.push(format!("throttled: {}", reasons(progress)));
    }
    if !progress.waiting_for.is_empty() {
        parts.push(format!("waiting: {}", progress.waiting_for));
    }
    if !progress.last_cut_over_error.is_empty() {
        let (attempts, error) = (progress.cut_over_attempts, &progress.last_cut_over_error);
        parts.push(format!("cut-over attempt {attempts}: {error}"));
    }
    parts.join("  ")
}

fn copy_parts(progress: &Progress) -> Vec<String> {
    let rows =
        format!("{} of ~{} rows", grouped(progress.rows_copied), grouped(progress.rows_estimated));
    let rate = format!("{} rows/s", grouped(whole(progress.rows_per_second)));
    let eta = progress.eta.map(|eta| format!("{} left", spoken(eta)));
    [format!("{:.1}%", progress.percent), rows, rate].into_iter().chain(eta).collect()
}

fn stream_parts(progress: &Progress) -> Vec<String> {
    let mut parts = Vec::new();
    if progress.keys_applied > 0 || progress.backlog > 0 {
        let (applied, backlog) = (grouped(progress.keys_applied), grouped(progress.backlog));
        parts.push(format!("{applied} keys applied, {backlog} waiting"));
    }
    let lag = progress.stream_lag.filter(|lag| *lag >= Duration::from_secs(1));
    parts.extend(lag.map(|lag| format!("stream {:.1} s behind", lag.as_secs_f64())));
    let lag = progress.replica_lag.filter(|lag| *lag >= Duration::from_secs(1));
    parts.extend(lag.map(|lag| format!("replica {:.1} s behind", lag.as_secs_f64())));
    parts
}

/// How far the bar of the phase is, 0 to 1000.
fn thousandths(progress: &Progress) -> u64 {
    let percent = match progress.phase {
        PhaseKind::Preflight | PhaseKind::Prepare => 0.0,
        PhaseKind::RowCopy => progress.percent,
        PhaseKind::Verify => progress.verified_percent,
        PhaseKind::CatchUp | PhaseKind::AwaitCutOver | PhaseKind::CutOver | PhaseKind::CleanUp => {
            100.0
        }
    };
    whole(percent * 10.0).min(1000)
}

/// A count with its thousands apart.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration as people say it, to the second from one second on.
pub(super) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => format!("{} ms", duration.as_millis()),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A measured number without its fraction; nothing for what is no number.
fn whole(value: f64) -> u64 {
    Duration::try_from_secs_f64(value).map_or(0, |duration| duration.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::engine::throttle::{Reason, Signal};

    fn copying() -> Progress {
        Progress {
            phase: PhaseKind::RowCopy,
            rows_copied: 1_234_567,
            rows_estimated: 2_700_000,
            percent: 45.72,
            rows_per_second: 52_000.7,
            keys_applied: 1234,
            backlog: 12,
            stream_lag: Some(Duration::from_millis(1300)),
            replica_lag: None,
            binlog_headroom: None,
            last_pause: None,
            eta: Some(Duration::from_secs(80)),
            verified_percent: 0.0,
            rows_repaired: 0,
            throttled: vec![Reason {
                signal: Signal::MaxRowsPerSecond,
                words: "maxRowsPerSecond is 500".to_owned(),
                since: SystemTime::UNIX_EPOCH,
            }],
            waiting_for: String::new(),
            stage_hold: None,
            cut_over_attempts: 0,
            last_cut_over_error: String::new(),
            blocker: None,
            plan: None,
            started_at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_copy_is_told_in_one_line() {
        let expected = "45.7%  1,234,567 of ~2,700,000 rows  52,000 rows/s  1 min 20 s left  1,234 keys applied, 12 waiting  stream 1.3 s behind  throttled: maxRowsPerSecond is 500";
        assert_eq!(details(&copying()), expected);
        assert_eq!(thousandths(&copying()), 457);
    }

    #[test]
    fn a_wait_before_the_cut_over_says_what_for() {
        let waiting = Progress {
            phase: PhaseKind::AwaitCutOver,
            waiting_for: "postponed".to_owned(),
            cut_over_attempts: 2,
            last_cut_over_error: "budget spent".to_owned(),
            throttled: Vec::new(),
            ..copying()
        };
        let text = details(&waiting);
        assert!(text.ends_with("waiting: postponed  cut-over attempt 2: budget spent"), "{text}");
        assert_eq!(thousandths(&waiting), 1000);
    }

    #[test]
    fn a_snapshot_is_one_json_object() {
        let object = object(&copying());
        assert_eq!(object["type"], "progress");
        assert_eq!(object["phase"], "RowCopy");
        assert_eq!(object["rowsCopied"], 1_234_567);
        assert_eq!(object["eta"], 80.0);
    }

    #[test]
    fn counts_and_times_are_readable() {
        let counts = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (count, text) in counts {
            assert_eq!(grouped(count), text);
        }
        let times = [(0, "0 ms"), (5000, "5 s"), (61_000, "1 min 1 s"), (7_260_000, "2 h 1 min")];
        for (millis, text) in times {
            assert_eq!(spoken(Duration::from_millis(millis)), text);
        }
    }
}
