//! What the database itself remembers of a migration: who changed what while it ran, also in a ledger of a former
//! version, and for how long.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::client::text;
use crate::support::ghostship::Ended;
use crate::support::registers::TABLE;
use crate::support::scene::{RUN, Scene, Shape, expect_code, last_line};
use crate::support::server::Flavour;

/// The ledger as former versions made it.
pub(super) const FORMER_LEDGER: &str = "CREATE TABLE ghostship_history (\
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
    finished_at DATETIME(6) NOT NULL, table_name VARCHAR(64) NOT NULL, \
    alter_digest CHAR(64) CHARACTER SET ascii NOT NULL, \
    migration VARCHAR(512) NOT NULL, migration_uid VARCHAR(64) NOT NULL, \
    outcome VARCHAR(32) NOT NULL, requested_by VARCHAR(255) NOT NULL, \
    figures LONGTEXT NOT NULL, old_table VARCHAR(64) NOT NULL, \
    old_table_id BIGINT UNSIGNED NOT NULL, old_table_expires DATETIME(6) NULL, \
    KEY by_table (table_name, alter_digest)) ENGINE=InnoDB \
    DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT='ghostship ledger'";
/// A copy that lasts until somebody makes it quicker.
const SLOW: u64 = 400;
const SHAPE: Shape = Shape { rows: 8000, unique: false, writers: 1 };

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("audit::the_ledger_tells_who_changed_what".to_owned(), changes),
        super::trial("audit::a_kill_forgets_no_change_that_was_stored".to_owned(), killed),
        super::trial("audit::an_abort_is_told_with_its_figures".to_owned(), aborted),
        super::trial("audit::a_ledger_of_a_former_version_is_widened_once".to_owned(), widened),
        super::trial("audit::a_ledger_that_cannot_be_widened_serves".to_owned(), compressed),
        super::trial("audit::rows_go_when_their_time_is_over".to_owned(), pruned),
    ]
}

async fn slow(label: &str) -> Result<Scene> {
    let mut scene = Scene::shared(label, Flavour::Gtid, SHAPE).await?;
    let copy = json!({"threads": 1, "chunkTime": "100ms", "maxRowsPerSecond": SLOW});
    scene.manifest.set(&[("/copy", copy)])?;
    Ok(scene)
}

/// Field, values and author of each change in the ledger's newest row.
async fn recorded(scene: &Scene) -> Result<Vec<String>> {
    let query = "SELECT COALESCE(changes, 'null') FROM ghostship_history ORDER BY id DESC LIMIT 1";
    let mut client = scene.database.connect().await?;
    let told = client.texts(query).await?;
    client.close().await?;
    let all: Vec<Value> = serde_json::from_str(told.first().context("no row")?)?;
    let word = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    for one in &all {
        word(one, "at").parse::<Timestamp>().with_context(|| format!("the time of {one}"))?;
    }
    let parts = ["field", "from", "to", "by"];
    Ok(all.iter().map(|one| parts.map(|part| word(one, part)).join(" ")).collect())
}

fn copies(line: &Value) -> bool {
    line["phase"] == "RowCopy" && line["rowsCopied"].as_u64().unwrap_or_default() > 0
}

/// Through the file and through the API; the rest of the row says what was done, by whom and when.
async fn changes() -> Result<()> {
    let mut scene = slow("audit_changes").await?;
    let more = ["--requested-by", "alice", "--log-level", "info"];
    let (mut run, caller) = Caller::of_run(&scene.manifest, None, &more).await?;
    run.wait_until("rows are copied", RUN, copies).await?;
    scene.manifest.set(&[("/paused", json!(true))])?;
    let paused = |line: &Value| line["waitingFor"].as_str().is_some_and(|it| it.contains("paused"));
    run.wait_until("it is paused", RUN, paused).await?;
    caller.change("no-throttle", None).await?;
    caller.change("tuning", Some(&json!({"copy": {"maxRowsPerSecond": 0}}))).await?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    let api = "the API, by the bearer of the token";
    let expected = [
        "spec.paused none true the file".to_owned(),
        format!("spec.paused true false {api}"),
        format!("spec.copy.maxRowsPerSecond {SLOW} 0 {api}"),
    ];
    let found = recorded(&scene).await?;
    ensure!(found == expected, "the ledger has {found:?}");
    let logged = |field: &str, by: &str| {
        let mut lines = ended.stderr.lines();
        lines.any(|line| [field, by].iter().all(|part| line.contains(part)))
    };
    let all = logged("spec.paused", "the file") && logged("spec.copy.maxRowsPerSecond", api);
    ensure!(all, "the log has no word of it:\n{}", ended.stderr);
    expect_row(&scene, "alice").await?;
    scene.expect_completed().await
}

async fn expect_row(scene: &Scene, by: &str) -> Result<()> {
    let query = "SELECT outcome, CHAR_LENGTH(alter_digest), requested_by, migration, figures, \
        ABS(TIMESTAMPDIFF(SECOND, finished_at, UTC_TIMESTAMP(6))) < 60 FROM ghostship_history";
    let mut client = scene.database.connect().await?;
    let rows = client.rows(query).await?;
    client.close().await?;
    let row = rows.first().context("no row")?;
    let found = [0, 1, 2, 3, 5].map(|at| text(row, at));
    ensure!(found == ["Completed", "64", by, "test/migration", "1"], "the row is {found:?}");
    let figures: Value = serde_json::from_str(&text(row, 4))?;
    let counted = ["rowsCopied", "rowsVerified", "lockSeconds", "totalSeconds"];
    let positive = |field: &str| figures[field].as_f64().is_some_and(|figure| figure > 0.0);
    ensure!(counted.into_iter().all(positive), "the figures are {figures}");
    Ok(())
}

/// What the run that was killed had stored stands in the ledger of the run that ends.
async fn killed() -> Result<()> {
    let mut scene = slow("audit_killed").await?;
    let mut run = scene.run(Some("state.Verify.after=kill"))?;
    run.wait_until("rows are copied", RUN, copies).await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    let ended = run.wait(RUN).await?;
    ensure!(ended.signal == Some(9), "it was not killed\n{}", ended.words());
    scene.completes().await?;
    let found = recorded(&scene).await?;
    let expected = [format!("spec.copy.maxRowsPerSecond {SLOW} 0 the file")];
    ensure!(found == expected, "the ledger has {found:?}");
    scene.expect_completed().await
}

async fn aborted() -> Result<()> {
    let mut scene = slow("audit_aborted").await?;
    let mut run = scene.run(None)?;
    run.wait_until("rows are copied", RUN, copies).await?;
    scene.manifest.set(&[("/abort", json!(true))])?;
    expect_code(&run.wait(RUN).await?, 5)?;
    let found = recorded(&scene).await?;
    ensure!(found == ["spec.abort none true the file"], "the ledger has {found:?}");
    let mut client = scene.database.connect().await?;
    let figures = client.texts("SELECT figures FROM ghostship_history").await?;
    client.close().await?;
    let figures: Value = serde_json::from_str(figures.first().context("no row")?)?;
    ensure!(figures["rowsCopied"].as_u64() > Some(0), "the figures are {figures}");
    scene.expect_untouched().await
}

/// The former rows stay, and stay as they are.
async fn widened() -> Result<()> {
    let mut scene = Scene::shared("audit_widened", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[("/oldTable", json!({"retain": "0s"}))])?;
    let mut client = scene.database.connect().await?;
    client.exec(FORMER_LEDGER).await?;
    client.exec(&ledger_row(("other", "Completed"), ("", 0))).await?;
    scene.completes().await?;
    let found = recorded(&scene).await?;
    ensure!(found.is_empty(), "nobody changed anything, and yet {found:?}");
    scene.manifest.rename("second", "ENGINE=InnoDB")?;
    let ended = scene.completes().await?;
    ensure!(!ended.stderr.contains("no column"), "it was widened again\n{}", ended.stderr);
    let told = "SELECT CONCAT(table_name, ' ', COALESCE(changes, '-')) FROM ghostship_history \
        ORDER BY id";
    let rows = client.texts(told).await?;
    let own = format!("{TABLE} []");
    ensure!(rows == ["other -", own.as_str(), own.as_str()], "the ledger has {rows:?}");
    client.close().await?;
    scene.end().await
}

/// The server adds no column to a compressed table without touching its rows.
async fn compressed() -> Result<()> {
    let scene = Scene::shared("audit_compressed", Flavour::Gtid, Shape::default()).await?;
    let mut client = scene.database.connect().await?;
    client
        .exec(&FORMER_LEDGER.replace("ENGINE=InnoDB", "ENGINE=InnoDB ROW_FORMAT=COMPRESSED"))
        .await?;
    let ended = scene.completes().await?;
    let told = ended.stderr.contains("the ledger has no column for changes");
    ensure!(told, "void: the column could be added\n{}", ended.stderr);
    let query = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
        AND TABLE_NAME = 'ghostship_history' AND COLUMN_NAME = 'changes'";
    ensure!(client.texts(query).await?.is_empty(), "void: the column is there");
    client.close().await?;
    scene.expect_completed().await
}

/// A row that was written so many hours ago.
pub(super) fn ledger_row((table, outcome): (&str, &str), (old, hours): (&str, u32)) -> String {
    format!(
        "INSERT INTO ghostship_history (finished_at, table_name, alter_digest, migration, \
         migration_uid, outcome, requested_by, figures, old_table, old_table_id) VALUES \
         (UTC_TIMESTAMP(6) - INTERVAL {hours} HOUR, '{table}', REPEAT('a', 64), 'test/former', '', \
         '{outcome}', 'x', '{{}}', '{old}', 0)"
    )
}

async fn pruned() -> Result<()> {
    let mut scene = Scene::shared("audit_pruned", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[("/oldTable", json!({"retain": "0s"}))])?;
    scene.manifest.set_target(&[("/history", json!({"ledger": "10h"}))])?;
    let mut client = scene.database.connect().await?;
    client.exec(FORMER_LEDGER).await?;
    for ((table, outcome), (old, hours)) in [
        (("one", "Completed"), ("", 99)),     // 1: over
        (("one", "Completed"), ("", 50)),     // 2: over, and the newest of its table
        (("one", "Aborted"), ("", 40)),       // 3: over
        (("two", "Completed"), ("kept", 30)), // 4: over, and its old table is on record
        (("two", "Completed"), ("", 20)),     // 5: over, and the newest of its table
        (("one", "Aborted"), ("", 9)),        // 6: young
        ((TABLE, "Completed"), ("", 30)),     // 7: over once this migration is done
    ] {
        client.exec(&ledger_row((table, outcome), (old, hours))).await?;
    }
    scene.completes().await?;
    let ids = "SELECT id FROM ghostship_history ORDER BY id";
    let left = client.texts(ids).await?;
    ensure!(left == ["2", "4", "5", "6", "8"], "left are {left:?}");
    // However old it is, the newest row makes applying the migration again do nothing.
    let age = "UPDATE ghostship_history SET finished_at = finished_at - INTERVAL 9999 HOUR";
    client.exec(age).await?;
    let again: Ended = scene.completes().await?;
    ensure!(last_line(&again)["outcome"] == "AlreadyApplied", "{}", again.words());
    scene.manifest.rename("second", "ENGINE=InnoDB")?;
    // Without an age everything stays, and with one the next run that ends removes the rest.
    scene.manifest.set_target(&[("/history", json!({}))])?;
    scene.completes().await?;
    let left = client.texts(ids).await?;
    ensure!(left == ["2", "4", "5", "6", "8", "9"], "without an age there are left {left:?}");
    scene.manifest.rename("third", "ENGINE=InnoDB, COMMENT='third'")?;
    scene.manifest.set_target(&[("/history", json!({"ledger": "10h"}))])?;
    scene.completes().await?;
    let left = client.texts(ids).await?;
    client.close().await?;
    ensure!(left == ["2", "4", "5", "9", "10"], "with an age there are left {left:?}");
    scene.end().await
}
