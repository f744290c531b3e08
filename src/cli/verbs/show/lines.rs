//! Migrations in a line each: the table of many, and what `watch` prints when no person sees it.

use super::{Look, clock, columns, count, name, namespace, phase, status, table_name};
use crate::api::legal::{self, Stage};
use crate::api::migration::SchemaMigration;
use crate::api::status::ProgressStatus;

/// The longest message in a table, in characters.
const MESSAGE: usize = 60;

/// A table of migrations with a head; the namespace is shown when there are several.
pub fn table(migrations: &[SchemaMigration], look: Look) -> String {
    let first = migrations.first().map(namespace);
    let several = migrations.iter().any(|one| Some(namespace(one)) != first);
    let head =
        ["NAMESPACE", "NAME", "TABLE", "PHASE", "DONE", "ETA", "LAG", "CUT-OVER", "AGE", "MESSAGE"];
    let rows = migrations.iter().map(|migration| row(migration, look));
    let rows = std::iter::once(head.map(str::to_owned).to_vec()).chain(rows);
    let rows: Vec<_> =
        rows.map(|row| row.into_iter().skip(usize::from(!several)).collect()).collect();
    columns(&rows)
}

/// One line about a migration as it is now.
pub fn line(migration: &SchemaMigration) -> String {
    let status = status(migration);
    let figures = status.progress.as_ref().filter(|_| is_under_way(migration)).map(figures);
    let message = status.message.unwrap_or_default();
    let parts = [Some(format!("{:12}", phase(migration))), figures, Some(message)];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join("  ").trim_end().to_owned()
}

fn row(migration: &SchemaMigration, look: Look) -> Vec<String> {
    let status = status(migration);
    let under_way = is_under_way(migration);
    let progress = status.progress.unwrap_or_default();
    let created = migration.metadata.creation_timestamp.as_ref();
    let stage = Stage::of(migration);
    let waits =
        legal::awaited(migration).map(|command| format!(" (waits for {})", command.as_str()));
    let done = if stage == Stage::Succeeded { 100 } else { progress.percent };
    vec![
        namespace(migration),
        name(migration),
        table_name(migration),
        format!("{}{}", phase(migration), waits.unwrap_or_default()),
        format!("{done} %"),
        progress.eta.filter(|_| under_way).unwrap_or_default(),
        progress.stream_lag.filter(|_| under_way).unwrap_or_default(),
        status.cut_over.map(|cut_over| cut_over.state).unwrap_or_default(),
        created.map(|at| look.told_ago(at)).unwrap_or_default(),
        shortened(&status.message.unwrap_or_default(), MESSAGE),
    ]
}

fn figures(progress: &ProgressStatus) -> String {
    let mut parts = vec![
        format!("{} %", progress.percent),
        format!("{} of ~{} rows", count(progress.rows_copied), count(progress.rows_estimated)),
        format!("{} rows/s", count(progress.rows_per_second)),
        format!(
            "{} keys applied, {} waiting",
            count(progress.keys_applied),
            count(progress.backlog)
        ),
    ];
    parts.extend(progress.stream_lag.as_ref().map(|lag| format!("{lag} behind")));
    parts.extend(progress.eta.as_ref().map(|eta| format!("{eta} left")));
    parts.join(", ")
}

/// Whether figures are still about something that goes on.
pub(super) fn is_under_way(migration: &SchemaMigration) -> bool {
    let report = migration.status.as_ref().and_then(|status| status.report.as_ref());
    let has_ended = report.is_some_and(|report| report.ending.is_some());
    matches!(Stage::of(migration), Stage::Working | Stage::Swapped) && !has_ended
}

/// A text in one line, of at most so many characters.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= limit {
        return text;
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// One line about a change of phase.
pub(super) fn transition(one: &crate::api::status::Transition) -> Vec<String> {
    let at = one.at.as_ref().map(clock).unwrap_or_default();
    vec![at, one.phase.clone(), one.reason.clone()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::samples::{copying_with, migration, now};
    use crate::cli::console::Colour;

    fn look() -> Look {
        Look { now: now(), colour: Colour::Plain }
    }

    #[test]
    fn many_migrations_are_a_table() {
        let paused = json!({"metadata": {"name": "drop-old"}, "spec": {"paused": true},
            "status": {"message": "paused by spec.paused"}});
        let queued = json!({"metadata": {"name": "later"},
            "status": {"phase": "Queued", "message": "it waits for shop/add-note"}});
        let all = [copying_with(&json!({})), copying_with(&paused), migration(&queued)];
        let expected = "\
NAME       TABLE         PHASE                        DONE   ETA   LAG    CUT-OVER   AGE            MESSAGE
add-note   shop.orders   RowCopy                      45 %   28s   20ms   Allowed    1 h 30 min     it works
drop-old   shop.orders   RowCopy (waits for resume)   45 %   28s   20ms   Allowed    1 h 30 min     paused by spec.paused
later      shop.orders   Queued                       0 %                            1 h 30 min     it waits for shop/add-note
";
        assert_eq!(
            table(&all, look()),
            expected
                .replace("1 h 30 min     ", "1 h 30 min   ")
                .replace("AGE            ", "AGE          ")
        );
        let elsewhere = migration(&json!({"metadata": {"namespace": "blog"}}));
        let text = table(&[copying_with(&json!({})), elsewhere], look());
        assert!(text.starts_with("NAMESPACE   NAME") && text.contains("\nblog "), "{text}");
    }

    #[test]
    fn a_change_is_a_line() {
        let expected = "RowCopy       45 %, 1,234,567 of ~2,700,000 rows, 52,000 rows/s, \
            1,234 keys applied, 12 waiting, 20ms behind, 28s left  it works";
        assert_eq!(line(&copying_with(&json!({}))), expected);
        let ended = json!({"status": {"phase": "Failed", "completedAt": "2026-01-01T02:00:00Z",
            "message": "the disk is full"}});
        assert_eq!(line(&copying_with(&ended)), "Failed        the disk is full");
        assert_eq!(line(&migration(&json!({}))), "not looked at yet");
    }

    #[test]
    fn texts_are_shortened_in_characters() {
        assert_eq!(shortened("a\n  b", 10), "a b");
        assert_eq!(shortened("ééééé", 4), "ééé…");
    }
}
