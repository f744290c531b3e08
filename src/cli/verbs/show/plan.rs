//! What a migration's worker found and decided before it began to copy, or why there is nothing yet.

use serde::Serialize;

use super::{count, labelled, name, namespace, phase, status, table_name, written};
use crate::api::legal::Stage;
use crate::api::migration::SchemaMigration;
use crate::api::status::PlanStatus;
use crate::args::verbs::Format;
use crate::cli::exit::Exit;

/// A plan as scripts read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    name: String,
    namespace: String,
    table: String,
    alter: String,
    /// Absent when there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_estimated: Option<i64>,
    /// Why there is no plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// The plan of a migration.
pub fn plan(migration: &SchemaMigration, output: Format) -> String {
    let planned = planned(migration);
    match output {
        Format::Text => text(migration, &planned),
        Format::Json | Format::Yaml => written(&planned, output),
    }
}

/// 0 when there is a plan, else how the migration stands.
pub fn exit_of_plan(migration: &SchemaMigration) -> Exit {
    match (planned(migration).plan, Exit::of_migration(migration)) {
        (_, Exit::Refused) => Exit::Refused,
        (Some(_), _) => Exit::Done,
        (None, exit) => exit,
    }
}

fn planned(migration: &SchemaMigration) -> Planned {
    let status = status(migration);
    let plan = status.plan;
    let rows = status.progress.as_ref().map(|progress| progress.rows_estimated);
    Planned {
        name: name(migration),
        namespace: namespace(migration),
        table: table_name(migration),
        alter: migration.spec.alter.clone(),
        rows_estimated: rows.filter(|rows| plan.is_some() && *rows > 0),
        why: plan.is_none().then(|| why_none(migration)),
        plan,
    }
}

fn text(migration: &SchemaMigration, planned: &Planned) -> String {
    let mut lines = vec![("change", planned.alter.clone())];
    if let Some(plan) = &planned.plan {
        let rows = planned.rows_estimated.map(|rows| format!("~{}", count(rows)));
        lines.extend([
            ("strategy", plan.strategy.clone()),
            ("key", plan.key.clone()),
            ("rows", rows.unwrap_or_default()),
            ("shadow", plan.shadow_table.clone()),
            ("old table", plan.old_table.clone()),
            ("control", plan.control_table.clone()),
        ]);
        lines.extend(plan.warnings.iter().map(|warning| ("warning", warning.clone())));
    }
    lines.push(("no plan", planned.why.clone().unwrap_or_default()));
    let title = format!("{} on target {}", planned.table, migration.spec.target);
    format!("{title}\n{}", labelled(&lines))
}

fn why_none(migration: &SchemaMigration) -> String {
    let message = migration.status.as_ref().and_then(|status| status.message.clone());
    let message = message.filter(|message| !message.is_empty());
    let told = message.map(|message| format!(": {message}")).unwrap_or_default();
    match Stage::of(migration) {
        Stage::Waiting => {
            format!("no worker has looked at the table yet ({}{told})", phase(migration))
        }
        Stage::Working | Stage::Swapped => {
            "the worker has not reported one; it does when it has looked at the table".to_owned()
        }
        Stage::Rejected => format!("it was rejected before a worker looked at the table{told}"),
        Stage::Succeeded => format!("none was needed{told}"),
        Stage::Retrying
        | Stage::Aborted
        | Stage::Panicked
        | Stage::Failed
        | Stage::Refused
        | Stage::Leaving => {
            format!("it came to no plan ({}{told})", phase(migration))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::samples::{copying_with, migration};

    #[test]
    fn a_plan_is_shown_as_reported() {
        let warned = json!({"status": {"plan": {"warnings": ["no replica was checked"]}}});
        let migration = copying_with(&warned);
        let expected = "\
shop.orders on target orders-db
  change      ADD COLUMN note varchar(200)
  strategy    Copy
  key         PRIMARY (id)
  rows        ~2,700,000
  shadow      _orders_s
  old table   _orders_o
  control     _orders_c
  warning     no replica was checked
";
        assert_eq!(plan(&migration, Format::Text), expected);
        assert_eq!(exit_of_plan(&migration), Exit::Done);
        let read: Value = serde_json::from_str(&plan(&migration, Format::Json)).unwrap();
        assert_eq!(read["plan"]["shadowTable"], "_orders_s");
        assert_eq!(read["rowsEstimated"], 2_700_000);
    }

    #[test]
    fn without_a_plan_the_reason_is_shown() {
        let at = "2026-01-01T02:00:00Z";
        let rows = [
            (json!({}), "no worker has looked at the table yet (not looked at yet)", 7),
            (
                json!({"status": {"phase": "Queued", "message": "it waits for shop/one"}}),
                "no worker has looked at the table yet (Queued: it waits for shop/one)",
                7,
            ),
            (
                json!({"status": {"phase": "Preflight", "attempt": 1}}),
                "the worker has not reported one; it does when it has looked at the table",
                7,
            ),
            (
                json!({"status": {"phase": "Failed", "message": "there is no target db"}}),
                "it was rejected before a worker looked at the table: there is no target db",
                3,
            ),
            (
                json!({"status": {"phase": "Failed", "completedAt": at, "message": "it has a trigger",
                    "attempt": 1, "report": {"attempt": 1, "ending": {"outcome": "Refused"}}}}),
                "it came to no plan (Failed: it has a trigger)",
                3,
            ),
        ];
        for (changes, why, code) in rows {
            let migration = migration(&changes);
            let text = plan(&migration, Format::Text);
            assert!(text.ends_with(&format!("  no plan     {why}\n")), "{text}");
            assert_eq!(exit_of_plan(&migration).code(), code, "{why}");
            let read: Value = serde_yaml::from_str(&plan(&migration, Format::Yaml)).unwrap();
            assert_eq!(read["why"], why);
        }
    }
}
