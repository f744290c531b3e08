//! Migrations as people and scripts read them: one screen for one, a table for many, a line for a change,
//! the plan, the history. Pure; JSON and YAML are the resource itself.

mod history;
mod lines;
mod plan;
mod screen;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::migration::SchemaMigration;
use crate::api::status::SchemaMigrationStatus;
use crate::args::verbs::Format;
use crate::cli::console::Colour;
use crate::cli::progress::spoken;

pub use self::history::{finished, history, way};
pub use self::plan::{exit_of_plan, plan};

/// When a migration is looked at, and on what.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The time.
    pub now: Timestamp,
    /// Whether colours are seen.
    pub colour: Colour,
}

/// How a text strikes the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Strong,
    Good,
    Wait,
    Bad,
}

impl Look {
    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self.colour, tone) {
            (Colour::Plain, _) => return text.to_owned(),
            (Colour::Ansi, Tone::Strong) => "1",
            (Colour::Ansi, Tone::Good) => "32",
            (Colour::Ansi, Tone::Wait) => "33",
            (Colour::Ansi, Tone::Bad) => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// How long ago something was, as people say it; what lies ahead was just now.
    fn ago(self, at: &Time) -> std::time::Duration {
        self.now.duration_since(at.0).try_into().unwrap_or_default()
    }

    fn told_ago(self, at: &Time) -> String {
        spoken(std::time::Duration::from_secs(self.ago(at).as_secs().max(1)))
    }
}

/// Everything that matters at night about one migration.
pub fn one(migration: &SchemaMigration, output: Format, look: Look) -> String {
    match output {
        Format::Text => screen::screen(migration, look),
        Format::Json | Format::Yaml => document(migration, output),
    }
}

/// All migrations that were found.
pub fn all(migrations: &[SchemaMigration], output: Format, look: Look) -> String {
    match output {
        Format::Text if migrations.is_empty() => String::new(),
        Format::Text => lines::table(migrations, look),
        Format::Json | Format::Yaml => {
            let items: Vec<Value> = migrations.iter().map(bare).collect();
            written(&json!({"apiVersion": "v1", "kind": "List", "items": items}), output)
        }
    }
}

/// One migration whenever it changes, in one line as far as the format allows.
pub fn line(migration: &SchemaMigration, output: Format) -> String {
    match output {
        Format::Text => lines::line(migration),
        Format::Json => bare(migration).to_string(),
        Format::Yaml => format!("---\n{}", document(migration, output)),
    }
}

/// A migration as JSON or YAML, without the bookkeeping of field managers.
pub fn document(migration: &SchemaMigration, output: Format) -> String {
    written(&bare(migration), output)
}

/// The phase in the words of the status.
pub fn phase(migration: &SchemaMigration) -> String {
    let phase = migration.status.as_ref().and_then(|status| status.phase.clone());
    phase.filter(|phase| !phase.is_empty()).unwrap_or_else(|| "not looked at yet".to_owned())
}

fn written(value: &impl Serialize, output: Format) -> String {
    // Values that were read as JSON can be written.
    match output {
        Format::Yaml => serde_yaml::to_string(value).unwrap_or_default(),
        Format::Json | Format::Text => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

fn bare(migration: &SchemaMigration) -> Value {
    let mut value = serde_json::to_value(migration).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    value
}

fn status(migration: &SchemaMigration) -> SchemaMigrationStatus {
    migration.status.clone().unwrap_or_default()
}

fn name(migration: &SchemaMigration) -> String {
    migration.metadata.name.clone().unwrap_or_default()
}

fn namespace(migration: &SchemaMigration) -> String {
    migration.metadata.namespace.clone().unwrap_or_default()
}

fn table_name(migration: &SchemaMigration) -> String {
    format!("{}.{}", migration.spec.database, migration.spec.table)
}

/// A point in time as people read it.
fn clock(at: &Time) -> String {
    at.0.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A count of the status, with its thousands apart.
fn count(number: i64) -> String {
    crate::cli::progress::grouped(number.unsigned_abs())
}

/// Lines of a label and a text; lines without a text are left out.
fn labelled(lines: &[(&str, String)]) -> String {
    lines
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(label, text)| format!("  {label:<11} {text}\n"))
        .collect()
}

/// Rows with their columns under each other.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples::{copying, migration, now};

    #[test]
    fn documents_are_the_resource_without_bookkeeping() {
        let mut changes = copying();
        changes["metadata"]["managedFields"] = json!([{"manager": "one", "operation": "Apply"}]);
        let migration = migration(&changes);
        let read: Value = serde_json::from_str(&document(&migration, Format::Json)).unwrap();
        assert_eq!(read["kind"], "SchemaMigration");
        assert_eq!(read["apiVersion"], "ghostship.dev/v1alpha1");
        assert_eq!(read["status"]["progress"]["percent"], 45);
        assert!(read["metadata"].get("managedFields").is_none());
        let yaml: Value = serde_yaml::from_str(&document(&migration, Format::Yaml)).unwrap();
        assert_eq!(yaml, read);
        let compact: Value = serde_json::from_str(&line(&migration, Format::Json)).unwrap();
        assert_eq!(compact, read);
        assert!(!line(&migration, Format::Json).contains('\n'));
    }

    #[test]
    fn lists_are_lists_also_when_empty() {
        let look = Look { now: now(), colour: Colour::Plain };
        for (count, output) in [(0, Format::Json), (2, Format::Json), (2, Format::Yaml)] {
            let found = vec![migration(&json!({})); count];
            let text = all(&found, output, look);
            let read: Value = serde_yaml::from_str(&text).unwrap();
            assert_eq!(read["kind"], "List", "{text}");
            assert_eq!(read["items"].as_array().unwrap().len(), count);
        }
        assert_eq!(all(&[], Format::Text, look), "");
    }

    #[test]
    fn colours_are_seen_only_where_they_are_wanted() {
        let plain = Look { now: now(), colour: Colour::Plain };
        let ansi = Look { now: now(), colour: Colour::Ansi };
        assert_eq!(plain.paint(Tone::Bad, "no"), "no");
        assert_eq!(ansi.paint(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
    }
}
