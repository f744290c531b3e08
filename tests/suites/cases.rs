//! Whole migrations, one per case and server. Writers run during the copy, the catch-up and the
//! postponement; they are held while the twin is built and the cut-over happens, so that both tables can
//! be compared byte for byte; and they run again on the changed table.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::case::{Case, Expect, directories};
use crate::support::compare::{self, Dump};
use crate::support::database::Database;
use crate::support::ghostship::{Ended, Ghostship};
use crate::support::leftovers;
use crate::support::manifest::Manifest;
use crate::support::random::seed;
use crate::support::server::{Flavour, Server};
use crate::support::twin::Twin;
use crate::support::writer::{Writers, run_each_once};

const WRITERS: u64 = 2;
const READY: Duration = Duration::from_secs(60);
const SWAPPED: Duration = Duration::from_secs(30);
/// Slow enough for the writers to write while the rows are copied, quick enough for hundreds of cases.
const ROWS_PER_SECOND: u64 = 3000;
const FAILED: i32 = 1;
const ABORTED: i32 = 5;
const ENTRIES_AFTER_SWAP: u64 = 20;

/// One test per case and server.
pub(crate) fn trials() -> Vec<Trial> {
    let paths = directories().expect("the cases are there");
    paths.into_iter().flat_map(|path| of_case(&path)).collect()
}

fn of_case(path: &Path) -> Vec<Trial> {
    let case = match Case::read(path) {
        Ok(case) => Arc::new(case),
        Err(error) => {
            let name = format!("cases::{}", path.display());
            return vec![super::trial(name, move || async { Err(error) })];
        }
    };
    let trial = |flavour: &Flavour| {
        let (case, flavour) = (Arc::clone(&case), *flavour);
        super::trial(format!("cases::{}::{}", flavour.as_str(), case.name), move || {
            run(case, flavour)
        })
    };
    case.servers.iter().map(trial).collect()
}

async fn run(case: Arc<Case>, flavour: Flavour) -> Result<()> {
    if case.setting("private") != Some("true") {
        return run_on(&case, Server::shared(flavour)?).await;
    }
    // What the case's writers do, others on the same server would feel.
    let private = Server::private(&format!("{}-case", flavour.as_str()), flavour.options())?;
    run_on(&case, private.server()).await
}

async fn run_on(case: &Arc<Case>, server: &Server) -> Result<()> {
    let database = Database::create(server, &case.name).await?;
    let mut client = database.connect().await?;
    case.lay_out(&mut client).await?;
    client.close().await?;
    let directory = tempfile::tempdir()?;
    let mut manifest =
        Manifest::write(directory.path(), server, &database, (&case.table, &case.alter))?;
    apply_settings(&mut manifest, case)?;
    let ended = match &case.expect {
        Expect::Completed => completed(case, &database, &mut manifest).await,
        Expect::Refused { reason, message } => {
            refused(case, &database, &mut manifest, (reason, message)).await
        }
    };
    // A failed test leaves its database behind to be looked at; the next run replaces it.
    ended?;
    leftovers::expect_no_session(&database).await?;
    database.remove().await
}

fn apply_settings(manifest: &mut Manifest, case: &Case) -> Result<()> {
    let rate = case.setting("rows_per_second").map_or(Ok(ROWS_PER_SECOND), str::parse)?;
    manifest.set(&[
        ("/strategy", json!(case.setting("strategy").unwrap_or("Copy"))),
        ("/copy", json!({"threads": 2, "chunkTime": "20ms", "maxRowsPerSecond": rate})),
    ])?;
    if let Some(database) = case.setting("database") {
        manifest.set(&[("/database", json!(database))])?;
    }
    let allowed = case.setting_values("allowed_databases");
    if !allowed.is_empty() {
        manifest.set_target(&[("/allowedDatabases", json!(allowed))])?;
    }
    if case.setting("accept_lossy") == Some("true") {
        manifest.set(&[("/acceptLossy", json!(true))])?;
    }
    for rename in case.setting_values("renames") {
        let (from, to) = rename.split_once("->").context("renames are written `from->to`")?;
        manifest.set(&[(&format!("/renames/{}", from.trim()), json!(to.trim()))])?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the seed has to be known when the test fails")]
async fn completed(case: &Arc<Case>, database: &Database, manifest: &mut Manifest) -> Result<()> {
    let seed = seed();
    eprintln!("case {}: seed {seed}", case.name);
    let tables = database.tables().await?;
    let mut writers = match case.workload.is_empty() {
        true => None,
        false => Some(Writers::start(database, case, WRITERS, seed).await?),
    };
    let twin = migrate(case, database, manifest, writers.as_ref()).await?;
    let old = leftovers::expect_old_table(database, &tables).await?;
    twin.expect_old(database, case, &old).await?;
    if let Some(mut writers) = writers.take() {
        writers.wait_for_more(ENTRIES_AFTER_SWAP, SWAPPED).await.context("after the swap")?;
        writers.stop().await.context("after the swap")?;
        run_each_once(database, case, seed).await.context("the workload after the swap")?;
    }
    twin.expect_old(database, case, &old).await.context("after further writes to the new table")
}

async fn migrate(
    case: &Case,
    database: &Database,
    manifest: &mut Manifest,
    writers: Option<&Writers>,
) -> Result<Twin> {
    manifest.set(&[("/postponeCutOver", json!(true))])?;
    let before = writers.map(Writers::counts);
    let mut ghostship = Ghostship::run(manifest, None)?;
    ghostship.wait_for("AwaitCutOver", READY).await?;
    if let (Some(writers), Some(before)) = (writers, before) {
        let now = writers.counts();
        ensure!(
            now.rows > before.rows,
            "the run does not count: nothing was written meanwhile: {now:?}"
        );
    }
    let held = match writers {
        Some(writers) => Some(writers.hold().await),
        None => None,
    };
    let twin = Twin::build(database, case).await?;
    manifest.set(&[("/postponeCutOver", json!(false))])?;
    let ended = ghostship.wait(SWAPPED).await?;
    ensure!(ended.code == Some(0), "ghostship failed\n{}", ended.words());
    let result = twin.expect_migrated(database, case).await;
    drop(held);
    result.map(|()| twin)
}

async fn refused(
    case: &Case,
    database: &Database,
    manifest: &mut Manifest,
    (reason, message): (&str, &str),
) -> Result<()> {
    let tables = database.tables().await?;
    let before = fingerprint(case, database, &tables).await?;
    let ended = Ghostship::run(manifest, None)?.wait(READY).await?;
    expect_words(&ended, reason, message)?;
    if case.setting("after_start") == Some("true") {
        ensure!(ended.code == Some(FAILED), "the exit code is not {FAILED}\n{}", ended.words());
        abort(manifest).await?;
    } else {
        ensure!(ended.code != Some(FAILED), "the exit code is {FAILED}\n{}", ended.words());
    }
    leftovers::expect_no_table(database, &tables).await?;
    let after = fingerprint(case, database, &tables).await?;
    ensure!(before.0 == after.0, "the definition changed to {}", after.0);
    after.1.map_or(Ok(()), |after| match &before.1 {
        Some(before) => after.expect_equal(before, "the source after the refusal"),
        None => Ok(()),
    })
}

/// What is found out from the data comes late: the helpers are kept for another run, or for this one.
async fn abort(manifest: &mut Manifest) -> Result<()> {
    manifest.set(&[("/abort", json!(true))])?;
    let ended = Ghostship::run(manifest, None)?.wait(READY).await?;
    ensure!(ended.code == Some(ABORTED), "the abort failed\n{}", ended.words());
    Ok(())
}

fn expect_words(ended: &Ended, reason: &str, message: &str) -> Result<()> {
    let words = ended.words();
    ensure!(ended.code.is_some_and(|code| code != 0), "the run was not refused\n{words}");
    let last = ended.lines.last().and_then(|line| line.get("reason")?.as_str());
    ensure!(last == Some(reason), "the reason is not {reason}\n{words}");
    let said = words.to_lowercase().contains(&message.to_lowercase());
    ensure!(said, "the words do not name {message:?}\n{words}");
    Ok(())
}

async fn fingerprint(
    case: &Case,
    database: &Database,
    tables: &[String],
) -> Result<(String, Option<Dump>)> {
    if !tables.contains(&case.table) {
        return Ok((String::new(), None));
    }
    let mut client = database.connect().await?;
    let definition = compare::full_definition(&mut client, &case.table).await?;
    let rows = Dump::read(&mut client, &case.table, &[]).await?;
    client.close().await?;
    Ok((definition, Some(rows)))
}
