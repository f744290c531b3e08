//! The named points themselves, read from the source: each has a test that kills the worker there, and
//! each durable step has one before and one after it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use super::crash;

/// A file of the engine, a step of it that survives a crash, and the points around it.
const STEPS: &[(&str, &str, &str, &str)] = &[
    ("prepare.rs", "create the control table", "prepare.control.before", "prepare.control.after"),
    ("prepare.rs", "create the shadow table", "prepare.shadow.before", "prepare.shadow.after"),
    ("prepare.rs", "apply the ALTER to the empty", "prepare.shadow.after", "prepare.altered"),
    ("control/fence.rs", "match bump(", "fence.bump.before", "fence.bump.after"),
    ("control/sessions.rs", "put_fenced(&mut session", "session.before", "session.after"),
    (
        "control/fence.rs",
        "in_transaction(session, SHORT, async",
        "fence.found.before",
        "fence.found.after",
    ),
    ("control/rows.rs", "(Kind::State, 0, &json(state))", ".before", ".after"),
    ("row_copy.rs", "match try_range(", "chunk.begin", "chunk.committed"),
    ("row_copy.rs", "copy a range", "chunk.fenced", "chunk.inserted"),
    ("row_copy.rs", "record a range", "chunk.inserted", "chunk.recorded"),
    ("applier.rs", "match try_batch(", "apply.begin", "apply.committed"),
    ("applier.rs", "sync_keys(context, session, batch", "apply.fenced", "apply.synced"),
    ("applier.rs", "write the position", "apply.synced", "apply.positioned"),
    ("heartbeat.rs", "let written = fenced(", "heartbeat.begin", "heartbeat.written"),
    ("markers.rs", "put_fenced(session", "marker.before", "marker.after"),
    ("gate.rs", "control::put_fenced(", "barrier.before", "barrier.after"),
    ("cut_over/swap.rs", "send_locked(", "cutover.locked", "cutover.marked"),
    ("cut_over/swap.rs", "drain(context, session", "cutover.marked", "cutover.drained"),
    ("cut_over/swap.rs", "let renamed = execute_within(", "cutover.rename.send", "cutover.renamed"),
    ("resume.rs", "drop an unused control table", "beginning.drop", "beginning.dropped"),
    ("prepare.rs", "drop_table(session, &tables.shadow)", "helpers.drop", "helpers.dropped"),
    ("prepare.rs", "drop_table(session, &tables.control)", "helpers.dropped", "helpers.dropped"),
    ("old_table.rs", "drop the old table", "old.drop", "old.dropped"),
    ("clean_up.rs", "write the ledger", "ledger.created", "ledger.written"),
    ("clean_up.rs", "write_ledger(&mut session", "cleanup.begin", "cleanup.ledger"),
    ("clean_up.rs", "old_table::drop_now", "cleanup.ledger", "cleanup.old"),
    ("clean_up.rs", "drop the control table", "cleanup.old", "cleanup.control"),
    ("ledger.rs", "ledger::add_changes(", "ledger.column", "ledger.widened"),
    ("ledger.rs", "remove old rows of the ledger", "ledger.prune", "ledger.pruned"),
    ("instant.rs", "session.execute(&change, SHORT)", "instant.send", "instant.done"),
    ("abort.rs", "drop the shadow table", "abort.begin", "abort.shadow"),
    ("abort.rs", "write_ledger(", "abort.shadow", "abort.ledger"),
    ("abort.rs", "drop the control table", "abort.ledger", "abort.control"),
];

/// Both tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("points::every_point_has_a_test".to_owned(), every_point_has_a_test),
        super::trial("points::every_durable_step_has_two".to_owned(), every_step_has_two),
    ]
}

async fn every_point_has_a_test() -> Result<()> {
    let mut found = BTreeSet::new();
    for path in sources(&root())? {
        if !path.ends_with("failpoint.rs") {
            found.extend(points(&fs::read_to_string(&path)?));
        }
    }
    let tested: BTreeSet<String> = crash::tested().map(str::to_owned).collect();
    let untested: Vec<_> = found.iter().filter(|name| !is_tested(name, &tested)).collect();
    ensure!(untested.is_empty(), "no test kills the worker at {untested:?}");
    let gone: Vec<_> = tested.iter().filter(|name| !is_found(name, &found)).collect();
    ensure!(gone.is_empty(), "the source has no points {gone:?}");
    ensure!(found.len() > 40, "only {} points were found", found.len());
    Ok(())
}

/// `state.{}.before` stands for one point per stage that is stored.
fn is_tested(name: &str, tested: &BTreeSet<String>) -> bool {
    let Some((start, end)) = name.split_once("{}") else { return tested.contains(name) };
    ["Prepare", "RowCopy", "CatchUp", "Verify", "AwaitCutOver", "CutOver"]
        .iter()
        .all(|stage| tested.contains(&format!("{start}{stage}{end}")))
}

fn is_found(name: &str, found: &BTreeSet<String>) -> bool {
    let is = |found: &String| match found.split_once("{}") {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => found == name,
    };
    found.iter().any(is)
}

fn points(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for start in ["hit(\"", "hit(&format!(\""] {
        for (index, _) in source.match_indices(start) {
            let rest = source.get(index + start.len()..).unwrap_or_default();
            names.extend(rest.split_once('"').map(|(name, _)| name.to_owned()));
        }
    }
    names
}

async fn every_step_has_two() -> Result<()> {
    for (file, step, before, after) in STEPS {
        let path = root().join("engine").join(file);
        let source = fs::read_to_string(&path)?;
        let step_at = source.find(step).with_context(|| format!("{file} has no step {step}"))?;
        let (first, second) = source.split_at(step_at);
        ensure!(first.contains(before), "{file}: {before} does not come before {step}");
        ensure!(second.contains(after), "{file}: {after} does not come after {step}");
    }
    Ok(())
}

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src"].iter().collect()
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            paths.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(paths)
}
