//! The end of a run as people and scripts read it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::progress::{grouped, spoken};
use crate::engine::outcome::{Outcome, Report};
use crate::engine::request::VerifyMode;

/// The outcome in words.
pub fn text(outcome: &Outcome, table: &str, verify: VerifyMode) -> String {
    match outcome {
        Outcome::Completed(report) => completed(report, table, verify),
        Outcome::AlreadyApplied { finished_at } => {
            format!("{table}: this migration was finished at {finished_at} UTC; nothing was done")
        }
        Outcome::Left => format!(
            "{table}: left as it is, with nothing lost; run the same command to continue, before the \
             server purges its binlogs"
        ),
        Outcome::Aborted => {
            format!("{table}: aborted; the table is untouched and what was created is dropped")
        }
        Outcome::Panicked => format!(
            "{table}: stopped by panic; every table is kept. Remove panic from the file and run the \
             same command to continue, or set abort instead and run it to clean up"
        ),
    }
}

/// The outcome as one JSON object.
pub fn object(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Completed(report) => {
            json!({"type": "outcome", "outcome": "Completed", "report": report})
        }
        Outcome::AlreadyApplied { finished_at } => {
            json!({"type": "outcome", "outcome": "AlreadyApplied", "finishedAt": finished_at})
        }
        Outcome::Left => json!({"type": "outcome", "outcome": "Left"}),
        Outcome::Aborted => json!({"type": "outcome", "outcome": "Aborted"}),
        Outcome::Panicked => json!({"type": "outcome", "outcome": "Panicked"}),
    }
}

fn completed(report: &Report, table: &str, verify: VerifyMode) -> String {
    let took = spoken_seconds(report.total_seconds);
    if report.strategy == "Instant" {
        return format!("{table}: changed in {took} by INSTANT; no row was copied");
    }
    let mut text = format!("{table}: changed in {took}");
    let rows = format!(
        "{} copied, {} keys applied from the binlog",
        grouped(report.rows_copied),
        grouped(report.keys_applied)
    );
    let lock =
        format!("{:.0} ms, attempts: {}", report.lock_seconds * 1000.0, report.cut_over_attempts);
    let lines = [
        ("rows", rows),
        ("verified", verified(report, verify)),
        ("writers blocked", lock),
        ("old table", old_table(report)),
        ("phases", phases(report)),
    ];
    for (label, value) in lines {
        let _written = write!(text, "\n  {label:16} {value}");
    }
    text
}

fn verified(report: &Report, verify: VerifyMode) -> String {
    match verify {
        VerifyMode::Off => "NOT VERIFIED: spec.verify.mode is Off".to_owned(),
        VerifyMode::Full => format!(
            "{} rows compared, {} repaired",
            grouped(report.rows_verified),
            grouped(report.rows_repaired)
        ),
    }
}

fn old_table(report: &Report) -> String {
    match (&report.old_table, &report.old_table_expires) {
        (Some(table), Some(expires)) => format!(
            "{table}, kept until {expires} UTC; the first run on this table after that drops it"
        ),
        (Some(table), None) => format!("{table}, kept"),
        (None, _) => "dropped".to_owned(),
    }
}

fn phases(report: &Report) -> String {
    let phases = report.phase_seconds.iter();
    let phases: Vec<String> =
        phases.map(|(phase, seconds)| format!("{phase} {}", spoken_seconds(*seconds))).collect();
    phases.join(", ")
}

fn spoken_seconds(seconds: f64) -> String {
    spoken(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            strategy: "Copy".to_owned(),
            rows_copied: 2_000_000,
            keys_applied: 3100,
            rows_verified: 2_000_000,
            lock_seconds: 0.083,
            cut_over_attempts: 1,
            phase_seconds: vec![("RowCopy".to_owned(), 9.5)],
            total_seconds: 12.2,
            old_table: Some("shop.orders_del".to_owned()),
            old_table_expires: Some("2026-01-02 03:04:05".to_owned()),
            ..Report::default()
        }
    }

    #[test]
    fn a_completed_run_tells_its_figures() {
        let text = text(&Outcome::Completed(report()), "shop.orders", VerifyMode::Full);
        let expected = [
            "shop.orders: changed in 12 s",
            "2,000,000 copied, 3,100 keys applied",
            "2,000,000 rows compared, 0 repaired",
            "83 ms, attempts: 1",
            "shop.orders_del, kept until 2026-01-02 03:04:05 UTC",
            "RowCopy 9 s",
        ];
        for part in expected {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_run_without_verification_says_so() {
        let text = text(&Outcome::Completed(report()), "shop.orders", VerifyMode::Off);
        assert!(text.contains("NOT VERIFIED"), "{text}");
    }

    #[test]
    fn outcomes_are_json_objects_with_a_name() {
        let finished_at = "x".to_owned();
        let cases = [
            (Outcome::Completed(report()), "Completed"),
            (Outcome::AlreadyApplied { finished_at }, "AlreadyApplied"),
            (Outcome::Left, "Left"),
            (Outcome::Aborted, "Aborted"),
            (Outcome::Panicked, "Panicked"),
        ];
        for (outcome, name) in cases {
            let object = object(&outcome);
            assert_eq!((&object["type"], &object["outcome"]), (&json!("outcome"), &json!(name)));
        }
    }
}
