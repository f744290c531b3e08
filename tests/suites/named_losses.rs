//! The ways in which a tool that takes rows from the binlog loses them in silence, one test each. Here
//! each ends with equal tables, or with the reason why it cannot.

use std::future::Future;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::ghostship::{Ended, Ghostship};
use crate::support::server::{Flavour, Server};
use crate::support::stage::{RUN, Shape, Stage};

const SHAPE: Shape = Shape {
    columns: "id INT PRIMARY KEY, u INT NULL UNIQUE, n INT NOT NULL, doc JSON NOT NULL, body BLOB NULL",
    fill: "SELECT i, i, 0, JSON_OBJECT('a', i, 'text', REPEAT('x', 200)), REPEAT('b', 50) FROM n",
    rows: 4000,
    alter: "ADD COLUMN added INT NOT NULL DEFAULT 7",
    added: "added",
};
/// Slow enough to write behind and before the frontier of the copy.
const ROWS_PER_SECOND: u64 = 2000;
/// Rows that each case writes: some are copied by then, some are not.
const ROWS: [u64; 6] = [2, 3, 700, 2000, 3900, 4000];

/// One test per way.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let sessions = [
        ("compressed_transactions", "binlog_transaction_compression = ON"),
        ("minimal_image", "binlog_row_image = MINIMAL"),
        ("noblob_image", "binlog_row_image = NOBLOB"),
        ("partial_json", "binlog_row_value_options = PARTIAL_JSON"),
    ];
    for flavour in Flavour::ALL {
        let on = flavour.as_str();
        for (name, setting) in sessions {
            let body = move || with_session(name, flavour, setting);
            trials.push(super::trial(format!("named_losses::{name}_{on}"), body));
        }
        trials.push(super::trial(format!("named_losses::unique_swap_{on}"), move || swap(flavour)));
        trials.push(super::trial(format!("named_losses::xa_rollback_{on}"), move || xa(flavour)));
        let readers = move || readers_on_the_shadow(flavour);
        trials.push(super::trial(format!("named_losses::readers_on_the_shadow_{on}"), readers));
        for (name, table) in [("", "t"), ("_by_view", "by_view"), ("_by_trigger", "by_trigger")] {
            let name = format!("named_losses::statement_format{name}_{on}");
            trials.push(super::trial(name, move || statement_format(flavour, table)));
        }
        for (name, limit) in [("repaired", 100), ("refused", 0)] {
            let body = move || unlogged(flavour, limit);
            trials.push(super::trial(format!("named_losses::unlogged_{name}_{on}"), body));
        }
    }
    trials
}

async fn open(flavour: Flavour, label: &str) -> Result<Stage> {
    let label = format!("loss_{label}_{}", flavour.as_str());
    let mut stage = Stage::open(Server::shared(flavour)?, &label, SHAPE).await?;
    stage.copy_slowly(ROWS_PER_SECOND)?;
    Ok(stage)
}

/// Runs `act` while the rows are copied and again while the cut-over waits; ends with equal tables.
async fn equal_after<F: Future<Output = Result<()>>>(
    mut stage: Stage,
    act: impl Fn(Client, u64) -> F,
) -> Result<()> {
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    ghostship
        .wait_for_line("copied rows", RUN, |line| line["rowsCopied"].as_u64() > Some(0))
        .await?;
    act(stage.database.connect().await?, 0).await?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    act(stage.database.connect().await?, 1).await?;
    stage.allow_cut_over()?;
    let ended = ghostship.wait(RUN).await?;
    let report = stage.expect_equal(&ended).await?;
    ensure!(report["rowsRepaired"] == 0, "rows were repaired: {report}");
    stage.close().await
}

/// One statement on the table and the same on its mirror, in one transaction.
async fn both(client: &mut Client, statement: &str) -> Result<()> {
    client.exec("BEGIN").await?;
    client.exec(&statement.replace("{t}", "t")).await?;
    client.exec(&statement.replace("{t}", "m")).await?;
    client.exec("COMMIT").await.map(drop)
}

async fn with_session(name: &'static str, flavour: Flavour, setting: &'static str) -> Result<()> {
    let stage = open(flavour, name).await?;
    equal_after(stage, async |mut client: Client, round: u64| {
        client.exec(&format!("SET SESSION {setting}")).await?;
        for id in ROWS {
            both(
                &mut client,
                &format!(
                    "UPDATE {{t}} SET n = n + 1, doc = JSON_SET(doc, '$.a', -1) WHERE id = {id}"
                ),
            )
            .await?;
            both(&mut client, &format!("UPDATE {{t}} SET body = 'other' WHERE id = {id} + 5"))
                .await?;
            both(
                &mut client,
                &format!("UPDATE {{t}} SET id = id + 100000 WHERE id = {id} + 10 + {round}"),
            )
            .await?;
            both(&mut client, &format!("DELETE FROM {{t}} WHERE id = {id} - 1 - {round}")).await?;
            let new = id + 5000 + round * 10_000;
            both(&mut client, &format!("INSERT INTO {{t}} VALUES ({new}, {new}, 1, '[]', NULL)"))
                .await?;
        }
        client.close().await
    })
    .await
}

async fn swap(flavour: Flavour) -> Result<()> {
    let stage = open(flavour, "unique_swap").await?;
    equal_after(stage, async |mut client: Client, _| {
        for pair in [(2, 3900), (700, 3901), (3, 4), (2000, 3999), (3998, 1)].repeat(20) {
            let (one, two) = pair;
            client.exec("BEGIN").await?;
            for table in ["t", "m"] {
                client.exec(&format!("SELECT u INTO @one FROM {table} WHERE id = {one}")).await?;
                client.exec(&format!("SELECT u INTO @two FROM {table} WHERE id = {two}")).await?;
                client.exec(&format!("UPDATE {table} SET u = NULL WHERE id = {one}")).await?;
                client.exec(&format!("UPDATE {table} SET u = @one WHERE id = {two}")).await?;
                client.exec(&format!("UPDATE {table} SET u = @two WHERE id = {one}")).await?;
            }
            client.exec("COMMIT").await?;
        }
        client.close().await
    })
    .await
}

/// An insert, an update and a delete that are prepared and rolled back: nothing of them may stay.
async fn xa(flavour: Flavour) -> Result<()> {
    let stage = open(flavour, "xa_rollback").await?;
    let name = stage.database.name.clone();
    equal_after(stage, async |mut client: Client, round: u64| {
        for (number, id) in ROWS.into_iter().enumerate() {
            let xid = format!("'{name} {round} {number}'");
            client.exec(&format!("XA START {xid}")).await?;
            client
                .exec(&format!("INSERT INTO t VALUES ({id} + 6000, {id} + 6000, 1, '[]', NULL)"))
                .await?;
            client.exec(&format!("UPDATE t SET n = 99 WHERE id = {id}")).await?;
            client.exec(&format!("DELETE FROM t WHERE id = {id} - 1")).await?;
            client.exec(&format!("XA END {xid}")).await?;
            client.exec(&format!("XA PREPARE {xid}")).await?;
            client.exec(&format!("XA ROLLBACK {xid}")).await?;
        }
        client.close().await
    })
    .await
}

/// A statement in the stream tells no rows: the run ends with the reason and the table is untouched.
/// The statement itself need not name the table.
async fn statement_format(flavour: Flavour, table: &str) -> Result<()> {
    // A server of its own: the run of every other test would see the statement too.
    let label = format!("statement-{table}-{}", flavour.as_str()).replace('_', "-");
    let private = Server::private(&label, flavour.options())?;
    let stage = Stage::open(private.server(), "statement_format", SHAPE).await?;
    let mut client = stage.database.connect().await?;
    client.exec("CREATE VIEW by_view AS SELECT * FROM t").await?;
    client.exec("CREATE TABLE by_trigger (id INT PRIMARY KEY, n INT)").await?;
    client.exec("INSERT INTO by_trigger VALUES (3, 0)").await?;
    let trigger = "CREATE TRIGGER one AFTER UPDATE ON by_trigger FOR EACH ROW \
                   UPDATE t SET n = NEW.n WHERE id = NEW.id";
    client.exec(trigger).await?;
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    client.exec("SET SESSION binlog_format = STATEMENT").await?;
    client.exec(&format!("UPDATE {table} SET n = 5 WHERE id = 3")).await?;
    // Whether it was seen shows before the swap or never.
    let mut stage = stage;
    stage.allow_cut_over()?;
    client.close().await?;
    expect_refused(&stage, ghostship.wait(RUN).await?, "UnsafeSession").await?;
    stage.close().await
}

async fn expect_refused(stage: &Stage, ended: Ended, reason: &str) -> Result<()> {
    ensure!(ended.code == Some(1), "the run did not fail\n{}", ended.words());
    let last = ended.lines.last().map(|line| line["reason"].clone());
    ensure!(last == Some(json!(reason)), "the reason is not {reason}\n{}", ended.words());
    let mut client = stage.database.connect().await?;
    let columns = "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
                   AND TABLE_NAME = 't' AND COLUMN_NAME = 'added'";
    ensure!(client.texts(columns).await? == ["0"], "the table was changed");
    client.close().await
}

/// Changes that the binlog does not have, of rows that are copied already: verification finds each.
async fn unlogged(flavour: Flavour, limit: u64) -> Result<()> {
    let mut stage = open(flavour, &format!("unlogged_{limit}")).await?;
    stage.manifest.set(&[("/verify", json!({"repairLimit": limit}))])?;
    let stop = Some("state.Verify.before=stop");
    let mut ghostship = Ghostship::run(&stage.manifest, stop)?;
    ghostship.wait_for("CatchUp", RUN).await?;
    ghostship.wait_until_stopped(RUN).await?;
    let mut client = stage.database.connect().await?;
    client.exec("SET SESSION sql_log_bin = 0").await?;
    let unlogged = [
        "UPDATE {t} SET n = 5 WHERE id IN (3, 2000, 3999)",
        "DELETE FROM {t} WHERE id IN (4, 2001)",
        "INSERT INTO {t} VALUES (5000, 5000, 1, '[]', NULL)",
    ];
    stage.on_both(&mut client, &unlogged).await?;
    client.close().await?;
    ghostship.signal("CONT")?;
    if limit == 0 {
        expect_refused(&stage, ghostship.wait(RUN).await?, "ChecksumMismatch").await?;
        return stage.close().await;
    }
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    stage.allow_cut_over()?;
    let report = stage.expect_equal(&ghostship.wait(RUN).await?).await?;
    ensure!(report["rowsRepaired"] == 6, "six rows were to be repaired: {report}");
    stage.close().await
}

/// Sessions that read the shadow table in short transactions, which held up a rename elsewhere, while
/// clients write across the swap.
async fn readers_on_the_shadow(flavour: Flavour) -> Result<()> {
    let mut stage = open(flavour, "readers").await?;
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for number in 0..3 {
        let shadow = stage.database.connect().await?;
        tasks.spawn(read_shadow(shadow, stopped.clone()));
        tasks.spawn(write_on(stage.database.connect().await?, number, stopped.clone()));
    }
    stage.allow_cut_over()?;
    let ended = ghostship.wait(RUN).await?;
    stop.send_replace(true);
    let mut done = 0;
    while let Some(ended) = tasks.join_next().await {
        done += ended??;
    }
    ensure!(done > 100, "void: readers and writers did {done} things");
    stage.expect_equal(&ended).await?;
    stage.close().await
}

async fn read_shadow(mut client: Client, stopped: watch::Receiver<bool>) -> Result<u64> {
    let mut reads = 0;
    while !*stopped.borrow() {
        client.exec("BEGIN").await?;
        // After the swap there is no such table any more.
        let read = client.try_exec("SELECT COUNT(*) FROM t_gho WHERE id < 100").await;
        reads += u64::from(read.is_ok());
        client.exec("COMMIT").await?;
    }
    client.close().await?;
    Ok(reads)
}

async fn write_on(mut client: Client, first: u64, stopped: watch::Receiver<bool>) -> Result<u64> {
    let mut writes = 0;
    while !*stopped.borrow() {
        let id = first + 1 + writes % 1000 * 3;
        both(&mut client, &format!("UPDATE {{t}} SET n = n + 1 WHERE id = {id}")).await?;
        writes += 1;
    }
    client.close().await?;
    Ok(writes)
}
