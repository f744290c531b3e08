//! One screen about one migration: what a person at night wants to know before anything else, and what
//! can be done.

use std::time::Duration;

use super::lines::{is_under_way, shortened, transition};
use super::{
    Look, Tone, clock, columns, count, labelled, name, namespace, phase, status, table_name,
};
use crate::api::command;
use crate::api::control::{self, CutOverWord};
use crate::api::legal::{self, Command, Stage};
use crate::api::migration::SchemaMigration;
use crate::api::status::{BlockerStatus, ProgressStatus, SchemaMigrationStatus, WorkerReport};
use crate::cli::progress::spoken;

/// A worker that has not reported for longer is suspected.
const STALE: Duration = Duration::from_secs(15);
/// A migration that nobody has looked at for longer points at a missing controller.
const UNSEEN: Duration = Duration::from_secs(30);
/// Changes of phase that are shown.
const TRANSITIONS: usize = 6;
/// Width of the bar.
const BAR: usize = 24;
/// The longest ALTER text that is shown, in characters.
const ALTER: usize = 160;

/// The screen.
pub fn screen(migration: &SchemaMigration, look: Look) -> String {
    let status = status(migration);
    let title = format!("{} in namespace {}", name(migration), namespace(migration));
    let head = [
        ("table", format!("{} on target {}", table_name(migration), migration.spec.target)),
        ("change", shortened(&migration.spec.alter, ALTER)),
        ("phase", told_phase(migration, &status, look)),
        ("now", now(migration, &status, look)),
        ("waits for", waits_for(migration, &status, look)),
    ];
    let lines: Vec<(&str, String)> = head
        .into_iter()
        .chain(figures(migration, &status, look))
        .chain([
            ("cut-over", cut_over(migration, &status)),
            ("blocked by", blocked_by(migration, &status, look)),
            ("worker", worker(migration, &status, look)),
            ("attempts", attempts(migration, &status, look)),
        ])
        .chain(plan(&status))
        .chain([("settings", settings(migration, &status))])
        .chain(ending(migration, &status))
        .chain([("you can", offers(migration, look))])
        .collect();
    let title = look.paint(Tone::Strong, &title);
    format!("{title}\n{}{}", labelled(&lines), transitions(&status))
}

fn told_phase(migration: &SchemaMigration, status: &SchemaMigrationStatus, look: Look) -> String {
    let tone = match Stage::of(migration) {
        Stage::Succeeded => Tone::Good,
        Stage::Failed | Stage::Refused | Stage::Rejected | Stage::Panicked | Stage::Aborted => {
            Tone::Bad
        }
        Stage::Retrying | Stage::Leaving => Tone::Wait,
        Stage::Waiting | Stage::Working | Stage::Swapped => {
            legal::awaited(migration).map_or(Tone::Strong, |_| Tone::Wait)
        }
    };
    let phase = phase(migration);
    let last = status.transitions.last().filter(|last| last.phase == phase);
    let since = last.and_then(|last| last.at.as_ref());
    let since = since.map(|at| format!(", for {} (since {})", look.told_ago(at), clock(at)));
    format!("{}{}", look.paint(tone, &phase), since.unwrap_or_default())
}

/// What goes on, and what a person should know about the status itself.
fn now(migration: &SchemaMigration, status: &SchemaMigrationStatus, look: Look) -> String {
    let message = status.message.clone().unwrap_or_default();
    if !message.is_empty() {
        let seen = status.observed_generation >= migration.metadata.generation;
        let unseen = if seen { "" } else { " (the latest change of the spec is not seen yet)" };
        return format!("{message}{unseen}");
    }
    let created = migration.metadata.creation_timestamp.as_ref();
    match created {
        Some(at) if look.ago(at) > UNSEEN => {
            let text = format!(
                "no controller has looked at it for {}; is one running that watches namespace {}?",
                look.told_ago(at),
                namespace(migration)
            );
            look.paint(Tone::Bad, &text)
        }
        _ => "it was just created; a controller looks at it soon".to_owned(),
    }
}

fn waits_for(migration: &SchemaMigration, status: &SchemaMigrationStatus, look: Look) -> String {
    let report = current(status).filter(|_| is_under_way(migration));
    let Some(waiting) = report.and_then(|report| report.waiting_for.as_ref()) else {
        return String::new();
    };
    let since = report.and_then(|report| report.waiting_since.as_ref());
    let since = since.map(|at| format!(", for {}", look.told_ago(at))).unwrap_or_default();
    look.paint(Tone::Wait, &format!("{waiting}{since}"))
}

fn figures(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
    look: Look,
) -> Vec<(&'static str, String)> {
    let Some(progress) = &status.progress else {
        return Vec::new();
    };
    let under_way = is_under_way(migration);
    let mut lines = vec![
        ("progress", copied(progress, under_way)),
        ("changes", changes(progress, under_way)),
        ("verified", verified(progress)),
    ];
    if under_way {
        lines.extend(progress.throttled.iter().map(|reason| {
            let since = reason.since.as_ref().map(|at| format!(", for {}", look.told_ago(at)));
            let text = format!("{}{}", reason.reason, since.unwrap_or_default());
            ("throttled", look.paint(Tone::Wait, &text))
        }));
    }
    lines
}

fn copied(progress: &ProgressStatus, under_way: bool) -> String {
    let rows =
        format!("{} of ~{} rows", count(progress.rows_copied), count(progress.rows_estimated));
    let mut parts = vec![format!("{} {} %", bar(progress.percent), progress.percent), rows];
    if under_way {
        parts.push(format!("{} rows/s", count(progress.rows_per_second)));
        parts.extend(progress.eta.as_ref().map(|eta| format!("{eta} left")));
    }
    parts.join(", ")
}

fn changes(progress: &ProgressStatus, under_way: bool) -> String {
    let mut parts = vec![format!("{} keys applied", count(progress.keys_applied))];
    if under_way {
        parts.push(format!("{} in the backlog", count(progress.backlog)));
        parts.extend(progress.stream_lag.as_ref().map(|lag| format!("{lag} behind the binlog")));
        parts.extend(progress.replica_lag.as_ref().map(|lag| format!("a replica {lag} behind")));
    }
    parts.join(", ")
}

fn verified(progress: &ProgressStatus) -> String {
    let repaired = match progress.rows_repaired {
        0 => String::new(),
        rows => format!(", {} rows repaired", count(rows)),
    };
    format!("{} %{repaired}", progress.verified_percent)
}

fn bar(percent: i64) -> String {
    let percent = usize::try_from(percent.clamp(0, 100)).unwrap_or(0);
    let filled = BAR * percent / 100;
    format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR - filled))
}

fn cut_over(migration: &SchemaMigration, status: &SchemaMigrationStatus) -> String {
    let progress = status.progress.clone().unwrap_or_default();
    let attempts = match progress.cut_over_attempts {
        0 => String::new(),
        1 => "; 1 attempt".to_owned(),
        attempts => format!("; {attempts} attempts"),
    };
    let error = progress.last_cut_over_error.map(|error| format!(", the last: {error}"));
    let permission = permission(migration, status);
    let text = format!("{permission}{attempts}{}", error.unwrap_or_default());
    text.trim_start_matches("; ").to_owned()
}

/// Who is in the way of the cut-over.
fn blocked_by(migration: &SchemaMigration, status: &SchemaMigrationStatus, look: Look) -> String {
    let is_over =
        matches!(Stage::of(migration), Stage::Swapped | Stage::Succeeded | Stage::Aborted);
    let report = current(status).filter(|_| !is_over);
    let Some(blocker) = report.and_then(WorkerReport::standing_blocker) else {
        return String::new();
    };
    let since = blocker.since.as_ref().map(|at| format!(" for {}", look.told_ago(at)));
    let since = since.unwrap_or_default();
    let BlockerStatus { id, user, holds, statement, .. } = blocker;
    let text = match user.is_empty() {
        true => format!("{id}, {holds}{since}"),
        false => format!("connection {id} of {user}, has {holds}{since}: {statement}"),
    };
    look.paint(Tone::Bad, &text)
}

fn permission(migration: &SchemaMigration, status: &SchemaMigrationStatus) -> String {
    match Stage::of(migration) {
        Stage::Swapped | Stage::Succeeded => return "done".to_owned(),
        Stage::Aborted | Stage::Panicked | Stage::Failed | Stage::Refused | Stage::Rejected => {
            return "did not happen".to_owned();
        }
        Stage::Leaving => return String::new(),
        Stage::Waiting | Stage::Working | Stage::Retrying => {}
    }
    let latch = status.cut_over.as_ref().and_then(|cut_over| cut_over.permission.as_ref());
    match latch {
        _ if control::is_postponed(migration) => "postponed until it is allowed".to_owned(),
        None if control::cut_over_word(migration) == Some(CutOverWord::Allow) => {
            "allowed; the controller has not taken note of it yet".to_owned()
        }
        None => "not postponed: it comes by itself".to_owned(),
        Some(latch) => {
            let at = latch.at.as_ref().map(|at| format!(" at {}", clock(at))).unwrap_or_default();
            let by = if latch.by.is_empty() { "somebody" } else { &latch.by };
            format!("allowed by {by}{at}, through {}", latch.through)
        }
    }
}

fn worker(migration: &SchemaMigration, status: &SchemaMigrationStatus, look: Look) -> String {
    let image = status.worker.as_ref().map(|worker| format!(", image {}", worker.image));
    let image = image.unwrap_or_default();
    let Some(report) = current(status) else {
        return status
            .attempt
            .map(|attempt| format!("attempt {attempt}{image}, has not reported yet"))
            .unwrap_or_default();
    };
    let who = format!("pod {}, attempt {}{image}", report.pod, report.attempt);
    let Some(at) = report.updated_at.as_ref() else {
        return who;
    };
    let is_silent = look.ago(at) > STALE && is_under_way(migration);
    if !is_silent {
        return format!("{who}, reported {} ago", look.told_ago(at));
    }
    let text = format!(
        "SILENT for {}: these figures are old; kubectl logs -n {} {}",
        look.told_ago(at),
        namespace(migration),
        report.pod
    );
    format!("{who}, {}", look.paint(Tone::Bad, &text))
}

fn attempts(migration: &SchemaMigration, status: &SchemaMigrationStatus, look: Look) -> String {
    let worker = status.worker.clone().unwrap_or_default();
    if worker.failures == 0 || Stage::of(migration).is_end() {
        return String::new();
    }
    let next = worker.next_attempt_at.as_ref().filter(|_| Stage::of(migration) == Stage::Retrying);
    let next = next.map(|at| {
        let left: Duration = at.0.duration_since(look.now).try_into().unwrap_or_default();
        format!(", the next in {}", spoken(Duration::from_secs(left.as_secs())))
    });
    format!("{} in a row ended early{}", worker.failures, next.unwrap_or_default())
}

/// The settings that somebody has made, each with its origin.
fn settings(migration: &SchemaMigration, status: &SchemaMigrationStatus) -> String {
    let made = status.effective.iter().filter(|one| one.origin != "Default");
    let told = made.map(|one| format!("{} {} ({})", one.field, one.value, one.origin));
    if is_under_way(migration) { told.collect::<Vec<_>>().join(", ") } else { String::new() }
}

fn plan(status: &SchemaMigrationStatus) -> Vec<(&'static str, String)> {
    let Some(plan) = &status.plan else {
        return Vec::new();
    };
    let road = match plan.strategy.as_str() {
        "Copy" => format!("Copy by {}, shadow table {}", plan.key, plan.shadow_table),
        other => other.to_owned(),
    };
    let warnings = plan.warnings.iter().map(|warning| ("warning", warning.clone()));
    std::iter::once(("plan", road)).chain(warnings).collect()
}

fn ending(
    migration: &SchemaMigration,
    status: &SchemaMigrationStatus,
) -> Vec<(&'static str, String)> {
    let reported = current(status).and_then(|report| report.ending.as_ref());
    let Some(ending) = reported.or(status.ending.as_ref()) else {
        return Vec::new();
    };
    let stage = Stage::of(migration);
    let untold = !stage.is_end() && stage != Stage::Retrying;
    let told =
        if untold { format!("{}: {}", ending.reason, ending.message) } else { String::new() };
    let took = ending.took.as_ref().map(|took| format!("{took} in the last attempt"));
    let lock = ending.lock_time.as_ref().map(|lock| format!("writers blocked for {lock} at most"));
    let figures: Vec<String> = [took, lock].into_iter().flatten().collect();
    let kept = ending.old_table.as_ref().map(|table| {
        let until = ending.old_table_expires.as_ref();
        format!("{table}{}", until.map(|at| format!(" until {at} UTC")).unwrap_or_default())
    });
    vec![
        ("worker end", told),
        ("took", figures.join(", ")),
        ("old table", kept.unwrap_or_default()),
    ]
}

fn transitions(status: &SchemaMigrationStatus) -> String {
    let skipped = status.transitions.len().saturating_sub(TRANSITIONS);
    let rows: Vec<_> = status.transitions.iter().skip(skipped).map(transition).collect();
    let lines = columns(&rows);
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    if lines.is_empty() { String::new() } else { format!("  the last changes of phase\n{lines}") }
}

fn offers(migration: &SchemaMigration, look: Look) -> String {
    let awaited = legal::awaited(migration);
    let possible = command::possible(migration, look.now);
    if possible.is_empty() {
        return String::new();
    }
    let told = |command: &Command| match awaited == Some(*command) {
        true => look.paint(Tone::Wait, command.as_str()),
        false => command.as_str().to_owned(),
    };
    let verbs: Vec<String> = possible.iter().map(told).collect();
    format!(
        "{}: kubectl ghostship VERB {} -n {}",
        verbs.join(", "),
        name(migration),
        namespace(migration)
    )
}

/// What the worker of the newest attempt says.
fn current(status: &SchemaMigrationStatus) -> Option<&WorkerReport> {
    status.report.as_ref().filter(|report| Some(report.attempt) == status.attempt)
}

#[cfg(test)]
mod tests;
