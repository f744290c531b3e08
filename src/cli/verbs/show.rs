//! Migrations as people and scripts read them: one screen for one, a table for many, a line for a change.
//! Pure.

use serde_json::Value;

use crate::api::migration::SchemaMigration;
use crate::api::status::{ProgressStatus, SchemaMigrationStatus};
use crate::args::Format;

/// Everything that matters at night about one migration.
pub fn one(migration: &SchemaMigration, output: Format) -> String {
    match output {
        Format::Json => json(migration),
        Format::Yaml => yaml(migration),
        Format::Text => screen(migration),
    }
}

/// A table of migrations.
pub fn all(migrations: &[SchemaMigration], output: Format) -> String {
    match output {
        Format::Json => serde_json::to_string_pretty(migrations).unwrap_or_default(),
        Format::Yaml => serde_yaml::to_string(migrations).unwrap_or_default(),
        Format::Text => {
            let head = ["NAME", "TABLE", "PHASE", "PROGRESS", "ETA", "LAG", "CUT-OVER", "MESSAGE"];
            let rows = migrations.iter().map(row);
            table(&[vec![head.map(str::to_owned).to_vec()], rows.collect()].concat())
        }
    }
}

/// One line about a migration as it is now.
pub fn line(migration: &SchemaMigration, output: Format) -> String {
    match output {
        Format::Json => serde_json::to_string(migration).unwrap_or_default(),
        Format::Yaml => format!("---\n{}", yaml(migration)),
        Format::Text => {
            let status = status(migration);
            let progress = status.progress.as_ref().map(figures).unwrap_or_default();
            let phase = status.phase.unwrap_or_default();
            format!("{phase:14} {progress}  {}", status.message.unwrap_or_default())
        }
    }
}

fn json(migration: &SchemaMigration) -> String {
    serde_json::to_string_pretty(&bare(migration)).unwrap_or_default()
}

fn yaml(migration: &SchemaMigration) -> String {
    serde_yaml::to_string(&bare(migration)).unwrap_or_default()
}

/// Without the bookkeeping of field managers.
fn bare(migration: &SchemaMigration) -> Value {
    let mut value = serde_json::to_value(migration).unwrap_or_default();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    value
}

fn status(migration: &SchemaMigration) -> SchemaMigrationStatus {
    migration.status.clone().unwrap_or_default()
}

fn screen(migration: &SchemaMigration) -> String {
    let status = status(migration);
    let spec = &migration.spec;
    let mut lines = vec![
        ("migration", name(migration)),
        ("table", format!("{}.{} on {}", spec.database, spec.table, spec.target)),
        ("change", spec.alter.clone()),
        ("phase", status.phase.clone().unwrap_or_else(|| "not looked at yet".to_owned())),
        ("now", status.message.clone().unwrap_or_default()),
    ];
    if let Some(progress) = &status.progress {
        lines.push(("progress", figures(progress)));
        lines.push(("verified", format!("{} %, {} repaired", progress.verified_percent, progress.rows_repaired)));
        let reasons = progress.throttled.iter().map(|reason| reason.reason.clone());
        lines.push(("throttled", reasons.collect::<Vec<_>>().join(", ")));
        lines.push(("last cut-over", progress.last_cut_over_error.clone().unwrap_or_default()));
    }
    if let Some(cut_over) = &status.cut_over {
        let by = cut_over.permission.as_ref().map(|latch| format!(", allowed by {}", latch.by));
        lines.push(("cut-over", format!("{}{}", cut_over.state, by.unwrap_or_default())));
    }
    if let Some(report) = &status.report {
        lines.push(("worker", format!("{}, attempt {}", report.pod, report.attempt)));
        for warning in report.plan.iter().flat_map(|plan| &plan.warnings) {
            lines.push(("warning", warning.clone()));
        }
    }
    lines
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| format!("{label:14} {value}\n"))
        .collect()
}

fn figures(progress: &ProgressStatus) -> String {
    let mut parts = vec![
        format!("{} %", progress.percent),
        format!("{} of ~{} rows", progress.rows_copied, progress.rows_estimated),
        format!("{} rows/s", progress.rows_per_second),
        format!("{} keys applied, {} waiting", progress.keys_applied, progress.backlog),
    ];
    parts.extend(progress.stream_lag.as_ref().map(|lag| format!("{lag} behind")));
    parts.extend(progress.eta.as_ref().map(|eta| format!("{eta} left")));
    parts.join(", ")
}

fn row(migration: &SchemaMigration) -> Vec<String> {
    let status = status(migration);
    let progress = status.progress.unwrap_or_default();
    vec![
        name(migration),
        format!("{}.{}", migration.spec.database, migration.spec.table),
        status.phase.unwrap_or_default(),
        format!("{} %", progress.percent),
        progress.eta.unwrap_or_default(),
        progress.stream_lag.unwrap_or_default(),
        status.cut_over.map(|cut_over| cut_over.state).unwrap_or_default(),
        status.message.unwrap_or_default(),
    ]
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("   ").trim_end())
        })
        .collect()
}

fn name(migration: &SchemaMigration) -> String {
    migration.metadata.name.clone().unwrap_or_default()
}
