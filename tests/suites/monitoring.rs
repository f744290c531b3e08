//! The alerts and the dashboard: valid and tested by Prometheus' own promtool, and speaking of nothing but
//! the metrics that are listed here. Needs no server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::plain;

const ALERTS: &str = "config/monitoring/alerts.yaml";
const ALERT_TESTS: &str = "config/monitoring/alerts_test.yaml";
const DASHBOARD: &str = "config/monitoring/dashboard.json";
const DOCUMENT: &str = "docs/monitoring.md";

/// A metric: its name, its kind and its labels.
struct Metric(&'static str, Kind, &'static [&'static str]);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

const OF_MIGRATION: &[&str] = &["namespace", "name"];
const OF_WORKER: &[&str] = &["namespace", "name", "attempt"];

/// All metrics there are.
const METRICS: &[Metric] = &[
    Metric("ghostship_build_info", Kind::Gauge, &["version"]),
    Metric("ghostship_leader", Kind::Gauge, &[]),
    Metric("ghostship_reconcile_total", Kind::Counter, &["result"]),
    Metric("ghostship_reconcile_seconds", Kind::Histogram, &[]),
    Metric("ghostship_migrations", Kind::Gauge, &["phase"]),
    Metric("ghostship_migration_phase", Kind::Gauge, &["namespace", "name", "phase"]),
    Metric("ghostship_migration_phase_since_timestamp_seconds", Kind::Gauge, OF_MIGRATION),
    Metric("ghostship_migration_attempts", Kind::Gauge, OF_MIGRATION),
    Metric("ghostship_migration_failures", Kind::Gauge, OF_MIGRATION),
    Metric("ghostship_migration_paused", Kind::Gauge, OF_MIGRATION),
    Metric("ghostship_migration_outside_window", Kind::Gauge, OF_MIGRATION),
    Metric("ghostship_cut_over_lock_seconds", Kind::Gauge, OF_MIGRATION),
    Metric("ghostship_notifications_total", Kind::Counter, &["receiver", "outcome"]),
    Metric("ghostship_phase", Kind::Gauge, &["namespace", "name", "attempt", "phase"]),
    Metric("ghostship_rows_copied_total", Kind::Counter, OF_WORKER),
    Metric("ghostship_rows_per_second", Kind::Gauge, OF_WORKER),
    Metric("ghostship_rows_repaired_total", Kind::Counter, OF_WORKER),
    Metric("ghostship_rows_estimated", Kind::Gauge, OF_WORKER),
    Metric("ghostship_progress_ratio", Kind::Gauge, OF_WORKER),
    Metric("ghostship_verified_ratio", Kind::Gauge, OF_WORKER),
    Metric("ghostship_eta_seconds", Kind::Gauge, OF_WORKER),
    Metric("ghostship_keys_applied_total", Kind::Counter, OF_WORKER),
    Metric("ghostship_backlog_keys", Kind::Gauge, OF_WORKER),
    Metric("ghostship_stream_lag_seconds", Kind::Gauge, OF_WORKER),
    Metric("ghostship_replica_lag_seconds", Kind::Gauge, OF_WORKER),
    Metric("ghostship_throttled", Kind::Gauge, OF_WORKER),
    Metric(
        "ghostship_throttled_seconds_total",
        Kind::Counter,
        &["namespace", "name", "attempt", "reason"],
    ),
    Metric("ghostship_cut_over_attempts_total", Kind::Counter, OF_WORKER),
];

/// A metric as it is named in a text, with the labels by which it is selected.
#[derive(Debug)]
struct Mention {
    name: String,
    labels: Vec<String>,
}

/// The tests of this file.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        plain("monitoring::promtool_accepts_the_alerts", promtool_accepts_the_alerts),
        plain("monitoring::alerts_fire_and_keep_silent", alerts_fire_and_keep_silent),
        plain("monitoring::each_alert_is_shown_both_ways", each_alert_is_shown_both_ways),
        plain("monitoring::dashboard_expressions_are_valid", dashboard_expressions_are_valid),
        plain("monitoring::dashboard_panels_fit", dashboard_panels_fit),
        plain("monitoring::metrics_are_of_the_list", metrics_are_of_the_list),
        plain("monitoring::the_list_is_the_code", the_list_is_the_code),
        plain("monitoring::each_metric_is_shown_and_explained", each_metric_is_explained),
        plain("monitoring::each_alert_is_explained", each_alert_is_explained),
    ]
}

fn read(path: &str) -> Result<String> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(full).with_context(|| path.to_owned())
}

fn document(path: &str) -> Result<Value> {
    serde_yaml::from_str(&read(path)?).with_context(|| path.to_owned())
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output =
        Command::new(root.join("e2e/tools/promtool")).args(arguments).current_dir(root).output()?;
    ensure!(
        output.status.success(),
        "promtool {arguments:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn promtool_accepts_the_alerts() -> Result<()> {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", ALERTS])
}

fn alerts_fire_and_keep_silent() -> Result<()> {
    promtool(&["test", "rules", ALERT_TESTS])
}

/// The rules of all groups.
fn alerts() -> Result<Vec<Value>> {
    let groups = document(ALERTS)?["groups"].as_array().cloned().unwrap_or_default();
    let rules = groups.into_iter().flat_map(|group| group["rules"].as_array().cloned());
    Ok(rules.flatten().collect())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn each_alert_is_shown_both_ways() -> Result<()> {
    let tests = document(ALERT_TESTS)?["tests"].as_array().cloned().unwrap_or_default();
    let shown: Vec<&Value> =
        tests.iter().flat_map(|test| test["alert_rule_test"].as_array()).flatten().collect();
    for alert in alerts()? {
        let of_alert = || shown.iter().filter(|one| one["alertname"] == alert["alert"]);
        let silent = |one: &&Value| one["exp_alerts"].as_array().is_none_or(Vec::is_empty);
        ensure!(of_alert().any(&silent), "{} is never shown silent", alert["alert"]);
        ensure!(!of_alert().all(silent), "{} is never shown to fire", alert["alert"]);
    }
    Ok(())
}

fn panels() -> Result<Vec<Value>> {
    let panels = document(DASHBOARD)?["panels"].as_array().cloned().unwrap_or_default();
    ensure!(panels.len() > 20, "the dashboard has {} panels", panels.len());
    Ok(panels)
}

/// The expressions of the panels and of the annotations.
fn dashboard_expressions() -> Result<Vec<String>> {
    let targets = panels()?.into_iter().flat_map(|panel| panel["targets"].as_array().cloned());
    let mut all: Vec<String> = targets.flatten().map(|target| text(&target["expr"])).collect();
    let notes = document(DASHBOARD)?["annotations"]["list"].as_array().cloned();
    all.extend(notes.into_iter().flatten().map(|note| text(&note["expr"])));
    Ok(all)
}

/// Each becomes a recording rule, with Grafana's own variable replaced.
fn dashboard_expressions_are_valid() -> Result<()> {
    let rule = |(number, expression): (usize, String)| {
        let expression = expression.replace("$__rate_interval", "5m");
        json!({"record": format!("dashboard:expression:{number}"), "expr": expression})
    };
    let rules: Vec<Value> = dashboard_expressions()?.into_iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules.yaml");
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&file, serde_yaml::to_string(&groups)?)?;
    promtool(&["check", "rules", &file.to_string_lossy()])
}

/// Ids are unique and no two panels lie on one another.
fn dashboard_panels_fit() -> Result<()> {
    let panels = panels()?;
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64()).collect();
    ensure!(ids.len() == panels.len(), "two panels have one id");
    let mut taken = BTreeSet::new();
    for panel in &panels {
        let side = |name: &str| panel["gridPos"][name].as_u64().context("a panel has no place");
        let (x, y, width, height) = (side("x")?, side("y")?, side("w")?, side("h")?);
        ensure!(x + width <= 24, "{} is beyond the edge", panel["title"]);
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{} covers another panel", panel["title"]);
        }
    }
    Ok(())
}

/// Every metric in a text. Strings are no places for metrics: what is in quotes is skipped.
fn mentions(text: &str) -> Vec<Mention> {
    let part_of_name = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == ':';
    let mut found = Vec::new();
    for (at, _) in text.match_indices("ghostship_") {
        if text[..at].chars().next_back().is_some_and(part_of_name) {
            continue;
        }
        let rest = &text[at..];
        let end = rest.find(|one: char| !part_of_name(one)).unwrap_or(rest.len());
        let selector = rest[end..].strip_prefix('{').and_then(|inside| inside.split('}').next());
        let matchers = selector.unwrap_or_default().split(", ");
        let labels = matchers.filter_map(|matcher| matcher.split(['=', '!']).next());
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned).collect();
        found.push(Mention { name: rest[..end].to_owned(), labels });
    }
    found
}

fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|Metric(known, kind, _)| match kind {
        Kind::Counter | Kind::Gauge => name == *known,
        Kind::Histogram => {
            let suffix = name.strip_prefix(known);
            suffix.is_some_and(|suffix| ["_bucket", "_count", "_sum"].contains(&suffix))
        }
    })
}

/// The texts in which metrics are used.
fn uses() -> Result<Vec<(&'static str, String)>> {
    let mut all: Vec<_> = alerts()?.iter().map(|alert| ("alert", text(&alert["expr"]))).collect();
    all.extend(dashboard_expressions()?.into_iter().map(|expression| ("dashboard", expression)));
    let variables = document(DASHBOARD)?["templating"]["list"].as_array().cloned();
    let queries = variables.into_iter().flatten().map(|one| text(&one["definition"]));
    let queries = queries.filter(|query| !query.is_empty());
    all.extend(queries.map(|query| ("variable of the dashboard", query)));
    let tests = document(ALERT_TESTS)?["tests"].as_array().cloned().unwrap_or_default();
    let inputs = tests.iter().flat_map(|test| test["input_series"].as_array()).flatten();
    all.extend(inputs.map(|input| ("test", text(&input["series"]))));
    Ok(all)
}

fn metrics_are_of_the_list() -> Result<()> {
    for (place, text) in uses()? {
        let found = mentions(&text);
        ensure!(!found.is_empty() || text.starts_with("up{"), "{place}: no metric in {text}");
        for mention in found {
            let Some(Metric(_, _, labels)) = metric(&mention.name) else {
                anyhow::bail!("{place}: there is no metric {} in {text}", mention.name);
            };
            // These two come from the scrape.
            let known = |label: &String| {
                labels.contains(&label.as_str())
                    || (place == "test" && ["job", "pod", "namespace"].contains(&label.as_str()))
            };
            let unknown: Vec<_> = mention.labels.iter().filter(|label| !known(label)).collect();
            ensure!(unknown.is_empty(), "{place}: {} has no label {unknown:?}", mention.name);
        }
    }
    for Metric(name, kind, _) in METRICS {
        ensure!((*kind == Kind::Counter) == name.ends_with("_total"), "{name}: a counter or not?");
    }
    Ok(())
}

/// What the two modules that measure name: metrics of the list, and its labels. The worker's names get the
/// prefix from their registry.
fn the_list_is_the_code() -> Result<()> {
    let mut named = BTreeSet::new();
    for path in ["src/controller/metrics.rs", "src/worker/metrics.rs"] {
        let text = read(path)?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_name = |one: &&str| {
            !one.is_empty() && one.chars().all(|one| one.is_ascii_lowercase() || one == '_')
        };
        let literals: Vec<&str> = code.split('"').skip(1).step_by(2).filter(is_name).collect();
        ensure!(literals.len() > 9, "{path} names {literals:?}");
        for literal in literals {
            let name = format!("ghostship_{}", literal.trim_start_matches("ghostship_"));
            let is_metric = METRICS.iter().any(|Metric(known, ..)| *known == name);
            let is_label = METRICS.iter().any(|Metric(_, _, labels)| labels.contains(&literal));
            ensure!(is_metric || is_label || literal == "ghostship", "{path} names {literal}");
            named.extend(is_metric.then_some(name));
        }
    }
    for Metric(name, ..) in METRICS {
        ensure!(named.contains(*name), "nothing measures {name}");
    }
    Ok(())
}

fn each_metric_is_explained() -> Result<()> {
    let used: Vec<Mention> = uses()?
        .iter()
        .filter(|(place, _)| *place != "test")
        .flat_map(|(_, text)| mentions(text))
        .collect();
    let document = read(DOCUMENT)?;
    for Metric(name, ..) in METRICS {
        let is_shown =
            |one: &Mention| metric(&one.name).is_some_and(|Metric(known, ..)| known == name);
        ensure!(used.iter().any(is_shown), "{name} is neither on the dashboard nor in an alert");
        ensure!(document.contains(&format!("\n| `{name}` |")), "{DOCUMENT} does not list {name}");
    }
    let rows =
        document.lines().filter_map(|line| line.strip_prefix("| `ghostship_")?.split('`').next());
    for row in rows {
        let listed = METRICS.iter().any(|Metric(name, ..)| *name == format!("ghostship_{row}"));
        ensure!(listed, "{DOCUMENT} lists ghostship_{row}, which does not exist");
    }
    Ok(())
}

fn each_alert_is_explained() -> Result<()> {
    let document = read(DOCUMENT)?;
    for alert in alerts()? {
        let name = text(&alert["alert"]);
        ensure!(
            document.contains(&format!("\n### {name}\n")),
            "{DOCUMENT} does not explain {name}"
        );
        let page = text(&alert["annotations"]["runbook_url"]);
        let anchor = format!("/{DOCUMENT}#{}", name.to_lowercase());
        ensure!(page.ends_with(&anchor), "{name} leads to {page}");
        let severity = text(&alert["labels"]["severity"]);
        ensure!(["warning", "critical"].contains(&severity.as_str()), "{name} is {severity:?}");
    }
    Ok(())
}
