//! `ghostship plan`: shows what a run would do and what is in its way, and changes nothing.

use std::fmt::Write as _;

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use tokio_util::sync::CancellationToken;

use super::console::{Colour, Console};
use super::exit::Exit;
use super::progress::{grouped, spoken, told};
use super::{failure, run};
use crate::api::effective::Setting;
use crate::args::{Output, Source};
use crate::engine;
use crate::engine::outcome::PlanReport;
use crate::engine::phase::PhaseKind;
use crate::shutdown::Signals;

/// Asks the engine for the plan and shows it.
pub async fn execute(source: Source, output: Output, console: &Console) -> Exit {
    let (request, settings) = match run::load(&source).await {
        Ok(loaded) => (loaded.request.clone(), loaded.settings()),
        Err(violations) => {
            failure::show_violations(console, output, &violations);
            return Exit::Usage;
        }
    };
    let Ok(mut signals) = Signals::take() else {
        return Exit::Failed;
    };
    let stop = CancellationToken::new();
    let planned = tokio::select! {
        planned = engine::plan(request, stop.clone()) => planned,
        () = signals.watch(&stop) => return Exit::Interrupted,
    };
    match planned {
        Ok(report) => show(console, output, (&report, &settings)),
        Err(_) if stop.is_cancelled() => Exit::Left,
        Err(failed) => {
            failure::show(console, output, &failed);
            Exit::of_failure(&failed, PhaseKind::Preflight)
        }
    }
}

fn show(console: &Console, output: Output, (report, settings): (&PlanReport, &[Setting])) -> Exit {
    match output {
        Output::Text => {
            let text = text(report, console.colour());
            console.print(&format!("{}\n{}", text.trim_end(), listed(settings)));
        }
        Output::Json => {
            let mut object = object(report);
            object["effective"] = json!(told(settings));
            console.print(&object.to_string());
        }
    }
    if report.refusals.is_empty() { Exit::Done } else { Exit::Refused }
}

fn object(report: &PlanReport) -> Value {
    let refusals = report.refusals.iter();
    let refusals: Vec<Value> = refusals
        .map(|(reason, message, remedy)| json!({"reason": reason, "message": message, "remedy": remedy}))
        .collect();
    let mut object = json!({
        "type": "plan",
        "table": report.source.to_string(),
        "estimatedSeconds": report.estimated_time.map(|time| time.as_secs_f64()),
    });
    if let (Some(fields), Ok(Value::Object(more))) =
        (object.as_object_mut(), serde_json::to_value(report))
    {
        fields.extend(more);
        fields.insert("refusals".to_owned(), json!(refusals));
    }
    object
}

fn text(report: &PlanReport, colour: Colour) -> String {
    let mut text = format!("{}: {}", report.source, headline(&report.strategy));
    let size = format!("~{} rows, {}", grouped(report.estimated_rows), bytes(report.size_bytes));
    let lines = [
        ("size", size),
        ("key", report.key.clone()),
        ("helper tables", report.helpers.join(", ")),
        ("disk needed", copying(report, || bytes(report.size_bytes))),
        ("time", copying(report, || report.estimated_time.map(spoken).unwrap_or_default())),
    ];
    for (label, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        let _written = write!(text, "\n  {label:14} {value}");
    }
    text.push_str("\n\n");
    text.push_str(&diff(report, colour));
    for warning in &report.warnings {
        let _written = write!(text, "\nwarning: {warning}");
    }
    for (reason, message, remedy) in &report.refusals {
        let paragraph = failure::paragraph("refused", message, reason, remedy);
        let _written = write!(text, "\n{paragraph}");
    }
    text
}

/// The settings with their origins, a line each.
fn listed(settings: &[Setting]) -> String {
    let line = |it: &Setting| format!("  {:22} {} ({})", it.field, it.value, it.origin);
    let lines: Vec<String> = settings.iter().map(line).collect();
    format!("\nsettings\n{}", lines.join("\n"))
}

fn headline(strategy: &str) -> &str {
    match strategy {
        "Instant" => "can be changed by INSTANT: no row is copied",
        "Copy" => "will be copied beside itself, verified and swapped in",
        _ => "cannot be changed as it is",
    }
}

fn copying(report: &PlanReport, value: impl Fn() -> String) -> String {
    if report.strategy == "Copy" { value() } else { String::new() }
}

fn diff(report: &PlanReport, colour: Colour) -> String {
    let before = without_counter(&report.definition_before);
    let after = without_counter(&report.definition_after);
    if after.is_empty() {
        return "the new definition is not known\n".to_owned();
    }
    if before == after {
        return "the definition stays the same: the table would only be rebuilt\n".to_owned();
    }
    let diff = TextDiff::from_lines(&before, &after);
    let mut text = "--- now\n+++ after\n".to_owned();
    for change in diff.iter_all_changes() {
        let line = change.value().trim_end_matches('\n');
        let (sign, code) = match change.tag() {
            ChangeTag::Delete => ('-', "31"),
            ChangeTag::Insert => ('+', "32"),
            ChangeTag::Equal => (' ', "0"),
        };
        let _written = match colour {
            Colour::Plain => writeln!(text, "{sign}{line}"),
            Colour::Ansi => writeln!(text, "\u{1b}[{code}m{sign}{line}\u{1b}[0m"),
        };
    }
    text
}

/// The next AUTO_INCREMENT value moves by itself and is carried over: it is no change. Only the options
/// behind the last parenthesis are looked at.
fn without_counter(definition: &str) -> String {
    let options = definition.rfind("\n)").unwrap_or(definition.len());
    let (columns, options) = definition.split_at(options);
    let words = options.split(' ').filter(|word| !word.starts_with("AUTO_INCREMENT="));
    format!("{columns}{}", words.collect::<Vec<_>>().join(" "))
}

fn bytes(count: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, shift)| count >> shift > 0);
    unit.map_or_else(
        || format!("{count} bytes"),
        |(name, shift)| {
            let tenths = (count >> (shift - 10)) * 10 / 1024;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schema::table::TableName;

    fn report() -> PlanReport {
        PlanReport {
            source: TableName::new("shop", "orders"),
            strategy: "Copy".to_owned(),
            key: "PRIMARY (id)".to_owned(),
            helpers: vec!["orders_gho".to_owned(), "orders_del".to_owned()],
            definition_before: "CREATE TABLE (\n  id int\n)".to_owned(),
            definition_after: "CREATE TABLE (\n  id int,\n  note text\n)".to_owned(),
            warnings: vec!["retention is short".to_owned()],
            refusals: vec![(
                "Triggers".to_owned(),
                "has a trigger".to_owned(),
                "drop it".to_owned(),
            )],
            estimated_rows: 2_000_000,
            size_bytes: 3 << 29,
            estimated_time: Some(Duration::from_secs(90)),
        }
    }

    #[test]
    fn a_plan_tells_everything_it_knows() {
        let text = text(&report(), Colour::Plain);
        let expected = [
            "shop.orders: will be copied",
            "~2,000,000 rows, 1.5 GiB",
            "PRIMARY (id)",
            "orders_gho, orders_del",
            "1 min 30 s",
            "-  id int\n+  id int,\n+  note text\n )",
            "warning: retention is short",
            "refused: has a trigger\n  reason: Triggers\n  remedy: drop it",
        ];
        for part in expected {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_diff_is_coloured_on_a_terminal_only() {
        assert!(diff(&report(), Colour::Ansi).contains("\u{1b}[32m+  note text"));
        assert!(!diff(&report(), Colour::Plain).contains('\u{1b}'));
    }

    #[test]
    fn a_plan_is_one_json_object() {
        let object = object(&report());
        assert_eq!(object["type"], "plan");
        assert_eq!(object["table"], "shop.orders");
        assert_eq!(object["refusals"][0]["reason"], "Triggers");
        assert_eq!(object["estimatedSeconds"], 90.0);
    }

    #[test]
    fn the_counter_is_no_difference() {
        let definition =
            "CREATE TABLE `t` (\n  `a` int COMMENT ' AUTO_INCREMENT=1'\n) ENGINE=InnoDB";
        let counted =
            definition.replace("ENGINE=InnoDB", "ENGINE=InnoDB AUTO_INCREMENT=7 COMMENT='x'");
        let expected = definition.replace("ENGINE=InnoDB", "ENGINE=InnoDB COMMENT='x'");
        assert_eq!(without_counter(&counted), expected);
    }

    #[test]
    fn sizes_are_readable() {
        let cases = [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB")];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }
}
