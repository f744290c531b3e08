//! The table of values in the chart's README: made from `values.yaml` and its comments, and compared with the file,
//! or written into it when `GHOSTSHIP_TEST_WRITE` is set. Needs no cluster.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::Value;

use super::CHART;

const WRITE: &str = "GHOSTSHIP_TEST_WRITE";
/// Between these lines the table stands.
const MARKS: (&str, &str) = ("<!-- values: begin -->\n", "<!-- values: end -->\n");

pub(super) fn trials() -> Vec<Trial> {
    vec![
        super::super::plain("packaging::the_readme_lists_the_values", current),
        super::super::plain("packaging::values_are_read_with_their_comments", examples),
    ]
}

/// A value, or a group of them.
#[derive(Debug, PartialEq)]
struct Row {
    path: String,
    /// Its default as JSON; none of a group.
    default: Option<String>,
    /// Its comment in one line.
    text: String,
}

fn current() -> Result<()> {
    let path = format!("{CHART}/README.md");
    let readme = fs::read_to_string(&path).context(path.clone())?;
    let wanted =
        with_table(&readme, &table(&fs::read_to_string(format!("{CHART}/values.yaml"))?)?)?;
    if std::env::var_os(WRITE).is_some() {
        return Ok(fs::write(&path, wanted)?);
    }
    let differs = similar::TextDiff::from_lines(&readme, &wanted).unified_diff().to_string();
    ensure!(
        readme == wanted,
        "{path} is not what values.yaml says; {WRITE}=1 cargo test --test main -- the_readme writes it\n{differs}"
    );
    Ok(())
}

fn with_table(readme: &str, table: &str) -> Result<String> {
    let (head, rest) = readme.split_once(MARKS.0).context("the README has no place for values")?;
    let (_, tail) = rest.split_once(MARKS.1).context("the place for values has no end")?;
    Ok([head, MARKS.0, table, MARKS.1, tail].concat())
}

fn table(values: &str) -> Result<String> {
    let rows = rows(values)?;
    ensure!(rows.len() > 60, "values.yaml has {} values", rows.len());
    let mut table = "| value | default | what it is for |\n|---|---|---|\n".to_owned();
    for Row { path, default, text } in rows {
        ensure!(!text.is_empty(), "values.yaml: nothing is said of {path}");
        let default = default.map(|value| format!("`{value}`")).unwrap_or_default();
        table.push_str(&format!("| `{path}` | {default} | {} |\n", text.replace('|', "\\|")));
    }
    Ok(table)
}

/// The values in their order. What is not said of a value of its own, as of `enabled` or below `resources`, is said
/// of its group.
fn rows(text: &str) -> Result<Vec<Row>> {
    let values: Value = serde_yaml::from_str(text)?;
    let (mut rows, mut path, mut comment) = (Vec::new(), Vec::<(usize, String)>::new(), Vec::new());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim_start();
        if line.is_empty() {
            comment.clear();
        } else if let Some(said) = line.strip_prefix('#') {
            comment.push(said.trim_start().trim_start_matches("-- ").trim().to_owned());
        } else if let Some((name, _)) =
            line.split_once(':').filter(|_| is_field(&path, line, indent))
        {
            path.retain(|(depth, _)| *depth < indent);
            path.push((indent, name.to_owned()));
            let names: Vec<&str> = path.iter().map(|(_, name)| name.as_str()).collect();
            let value =
                values.pointer(&format!("/{}", names.join("/"))).context("no such value")?;
            let is_group = value.as_object().is_some_and(|fields| !fields.is_empty());
            let said = std::mem::take(&mut comment).join(" ");
            let text = if said.is_empty() { inherited(&rows, &names) } else { said };
            let default = (!is_group).then(|| value.to_string());
            rows.push(Row { path: names.join("."), default, text });
        } else if !line.starts_with("- ") && path.is_empty() {
            bail!("values.yaml: what is {line}?");
        }
    }
    Ok(rows)
}

/// Whether a line names a value, and not a part of an item of a list.
fn is_field(path: &[(usize, String)], line: &str, indent: usize) -> bool {
    let known = path.last().is_none_or(|(depth, _)| indent <= *depth + 2);
    known && !line.starts_with("- ")
}

/// What is said of the group.
fn inherited(rows: &[Row], names: &[&str]) -> String {
    let group = names.split_last().map(|(_, group)| group.join(".")).unwrap_or_default();
    rows.iter().find(|row| row.path == group).map(|row| row.text.clone()).unwrap_or_default()
}

fn examples() -> Result<()> {
    let text = "\
# A file.

# -- One
# two.
one: 1
group:
  # Inner.
  inner: [a, b]
# -- Limits.
limits:
  cpu: 50m
list:
  - name: x
    of: y
last: \"\"
";
    let row = |path: &str, default: Option<&str>, text: &str| Row {
        path: path.to_owned(),
        default: default.map(str::to_owned),
        text: text.to_owned(),
    };
    let expected = [
        row("one", Some("1"), "One two."),
        row("group", None, ""),
        row("group.inner", Some("[\"a\",\"b\"]"), "Inner."),
        row("limits", None, "Limits."),
        row("limits.cpu", Some("\"50m\""), "Limits."),
        row("list", Some("[{\"name\":\"x\",\"of\":\"y\"}]"), ""),
        row("last", Some("\"\""), ""),
    ];
    let found = rows(text)?;
    ensure!(found == expected, "{found:#?}");
    Ok(())
}
