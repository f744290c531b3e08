//! What a run says when something stands against it: which rows, by digest and never by value; which
//! table was changed; who holds the lock of a backup; and that a backlog grows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::ghostship::{Ended, Ghostship};
use crate::support::leftovers;
use crate::support::server::{Flavour, PrivateServer, Server};
use crate::support::stage::{RUN, Shape, Stage};
use crate::support::wait::let_time_pass;

/// A value that no message may show.
const SECRET: &str = "a-value-that-nobody-may-read";
/// Growth is told after half a minute of it.
const GROWTH: Duration = Duration::from_secs(80);

const SHAPE: Shape = Shape {
    columns: "a INT, b VARBINARY(20), u INT NOT NULL, tag VARCHAR(40) NOT NULL, PRIMARY KEY (b, a)",
    fill: "SELECT i, CONCAT('k', i), i, CONCAT('tag ', i) FROM n",
    rows: 2000,
    alter: "MODIFY tag VARCHAR(20) NOT NULL, ADD COLUMN added INT",
    added: "added",
};
const UNIQUE: Shape = Shape { alter: "ADD UNIQUE KEY `o``dd` (u), ADD COLUMN added INT", ..SHAPE };
/// With a second unique index there is one lane, whose batch is the whole transaction.
const ONE_LANE: Shape = Shape {
    alter: "MODIFY tag VARCHAR(20) NOT NULL, ADD UNIQUE (u), ADD COLUMN added INT",
    ..SHAPE
};
const OPAQUE: Shape = Shape {
    fill: "SELECT i, CONCAT('k', i), i DIV 2, CONCAT('tag ', i) FROM n",
    alter: "ADD UNIQUE KEY opaque ((u + 1)), ADD COLUMN added INT",
    ..SHAPE
};

/// One test per refusal or wait.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        super::trial("refusals::misfits_of_a_chunk_are_counted".to_owned(), misfits_of_a_chunk),
        super::trial("refusals::misfits_of_a_batch_are_counted".to_owned(), misfits_of_a_batch),
        super::trial("refusals::late_duplicates_are_named".to_owned(), late_duplicates),
        super::trial("refusals::an_opaque_index_proves_nothing".to_owned(), opaque_index),
        super::trial("refusals::a_growing_backlog_is_told".to_owned(), growing_backlog),
    ];
    for change in &CHANGES {
        let name = format!("refusals::shadow_{}", change.name);
        trials.push(super::trial(name, move || shadow_changed(change)));
    }
    for set in EAST_ASIAN {
        let name = format!("refusals::conversions_of_{set}_are_exact_or_refused");
        trials.push(super::trial(name, move || conversions_are_exact_or_refused(set)));
    }
    for backup in &BACKUPS {
        let name = format!("refusals::backup_{}", backup.name);
        trials.push(super::trial(name, move || backup_is_named(backup)));
    }
    trials
}

async fn stage(label: &str, shape: Shape) -> Result<Stage> {
    Stage::open(Server::shared(Flavour::Gtid)?, &format!("refusals_{label}"), shape).await
}

/// The digests that a message names, as the remedy says they are computed.
async fn digests(database: &Database, rows: &str) -> Result<Vec<String>> {
    let mut client = database.connect().await?;
    let query = format!(
        "SELECT LEFT(SHA2(CONCAT_WS(',', CAST(`b` AS BINARY), CAST(`a` AS BINARY)), 256), 12) \
         FROM t WHERE {rows} ORDER BY b, a"
    );
    let digests = client.texts(&query).await?;
    client.close().await?;
    Ok(digests)
}

fn expect_refusal(ended: &Ended, reason: &str, parts: &[&str]) -> Result<()> {
    let words = ended.words();
    let last = ended.lines.last().cloned().unwrap_or_default();
    ensure!(ended.code != Some(0) && last["reason"] == reason, "not refused as {reason}\n{words}");
    for part in parts {
        ensure!(last.to_string().contains(part), "{part:?} is not told\n{words}");
    }
    ensure!(!words.contains(SECRET), "a value is told\n{words}");
    Ok(())
}

/// Drops the helper tables and the database.
async fn clear(mut stage: Stage) -> Result<()> {
    stage.manifest.set(&[("/abort", json!(true))])?;
    let ended = Ghostship::run(&stage.manifest, None)?.wait(RUN).await?;
    ensure!(ended.code == Some(5), "the abort failed\n{}", ended.words());
    stage.close().await
}

async fn shadow_rows(stage: &Stage) -> Result<String> {
    let mut client = stage.database.connect().await?;
    let rows = client.texts("SELECT COUNT(*) FROM t_gho").await?.concat();
    client.close().await?;
    Ok(rows)
}

async fn misfits_of_a_chunk() -> Result<()> {
    let stage = stage("chunk", SHAPE).await?;
    let mut client = stage.database.connect().await?;
    let rows = "a IN (3, 700, 701, 1999)";
    client.exec(&format!("UPDATE t SET tag = '{SECRET}' WHERE {rows}")).await?;
    client.close().await?;
    let ended = Ghostship::run(&stage.manifest, None)?.wait(RUN).await?;
    // All four are in the second chunk, because `k1999` comes before `k3`.
    let told = "`tag` cannot hold any more, in 4 of the 1000 rows";
    let examples = digests(&stage.database, rows).await?;
    let examples = examples.get(..3).context("four rows have digests")?.join(", ");
    let hash = "LEFT(SHA2(CONCAT_WS(',', CAST(`b` AS BINARY), CAST(`a` AS BINARY)), 256), 12)";
    expect_refusal(&ended, "DataDoesNotFit", &[told, &format!("hashed: {examples}"), hash])?;
    ensure!(shadow_rows(&stage).await? == "1000", "the look left rows behind");
    clear(stage).await
}

async fn misfits_of_a_batch() -> Result<()> {
    let stage = stage("batch", ONE_LANE).await?;
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    let mut client = stage.database.connect().await?;
    let rows = "a IN (5, 6, 7, 8, 9)";
    let update =
        format!("UPDATE t SET u = u + 10000, tag = IF({rows}, '{SECRET}', tag) WHERE a <= 40");
    client.exec(&update).await?;
    client.close().await?;
    let ended = ghostship.wait(RUN).await?;
    let told = "`tag` cannot hold any more, in 5 of the 40 rows";
    // In the order in which the batch has its keys, which is that of their bytes.
    let examples = digests(&stage.database, rows).await?.get(..3).unwrap_or_default().join(", ");
    expect_refusal(&ended, "DataDoesNotFit", &[told, &format!("hashed: {examples}")])?;
    ensure!(shadow_rows(&stage).await? == "2000", "the look left its deletes behind");
    clear(stage).await
}

async fn late_duplicates() -> Result<()> {
    let stage = stage("duplicates", UNIQUE).await?;
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    let mut client = stage.database.connect().await?;
    client.exec("UPDATE t SET u = 1 WHERE a = 44").await?;
    client.close().await?;
    let ended = ghostship.wait(RUN).await?;
    let example = digests(&stage.database, "a = 44").await?.concat();
    let told = format!("`o``dd` allows only once: 1 group of such rows found so far; a key of each, hashed: {example}")
        .replace("``", "`");
    let query = format!(
        "SELECT `u`, COUNT(*) FROM `{}`.`t` WHERE `u` IS NOT NULL GROUP BY `u` HAVING COUNT(*) > 1",
        stage.database.name
    );
    expect_refusal(&ended, "DuplicateKey", &[&told, &query])?;
    let mut client = stage.database.connect().await?;
    let listed = client.texts(&query).await?;
    client.close().await?;
    ensure!(listed == ["1"], "the query lists {listed:?}");
    clear(stage).await
}

async fn opaque_index() -> Result<()> {
    let stage = stage("opaque", OPAQUE).await?;
    let ended = Ghostship::run(&stage.manifest, None)?.wait(RUN).await?;
    let told = ["`opaque` refused rows of", "200 times in a row", "this is not proven"];
    expect_refusal(&ended, "DuplicateKey", &told)?;
    clear(stage).await
}

/// A change of the shadow table by somebody else.
struct Change {
    name: &'static str,
    statements: &'static [&'static str],
    /// Whether it happens while no run is going on.
    between_runs: bool,
}

const CHANGES: [Change; 5] = [
    Change {
        name: "altered",
        statements: &["ALTER TABLE t_gho ADD COLUMN x INT"],
        between_runs: false,
    },
    Change { name: "dropped", statements: &["DROP TABLE t_gho"], between_runs: false },
    Change {
        name: "altered_between_runs",
        statements: &["ALTER TABLE t_gho ADD COLUMN x INT"],
        between_runs: true,
    },
    Change { name: "dropped_between_runs", statements: &["DROP TABLE t_gho"], between_runs: true },
    Change {
        name: "replaced_between_runs",
        statements: &[
            "CREATE TABLE t_new LIKE t_gho",
            "DROP TABLE t_gho",
            "RENAME TABLE t_new TO t_gho",
        ],
        between_runs: true,
    },
];

async fn shadow_changed(change: &Change) -> Result<()> {
    let stage = stage(&format!("shadow_{}", change.name), SHAPE).await?;
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    ghostship.wait_for("AwaitCutOver", RUN).await?;
    if change.between_runs {
        drop(ghostship);
        leftovers::expect_no_session(&stage.database).await?;
        act(&stage.database, change.statements).await?;
        ghostship = Ghostship::run(&stage.manifest, None)?;
    } else {
        act(&stage.database, change.statements).await?;
        // A lane may be the first to notice.
        act(&stage.database, &["UPDATE t SET u = u + 1"]).await?;
    }
    let ended = ghostship.wait(RUN).await?;
    expect_refusal(&ended, "ShadowChanged", &[])?;
    stage.database.remove().await
}

async fn act(database: &Database, statements: &[&str]) -> Result<()> {
    let mut client = database.connect().await?;
    for statement in statements {
        client.exec(statement).await?;
    }
    client.close().await
}

/// A lock of a backup and the phase in which it is taken.
struct Backup {
    name: &'static str,
    lock: &'static str,
    unlock: &'static str,
    /// The phase, and `None` for before the run.
    phase: Option<&'static str>,
}

const BACKUPS: [Backup; 4] = [
    Backup {
        name: "before_preparation",
        lock: "LOCK INSTANCE FOR BACKUP",
        unlock: "UNLOCK INSTANCE",
        phase: None,
    },
    Backup {
        name: "before_cut_over",
        lock: "LOCK INSTANCE FOR BACKUP",
        unlock: "UNLOCK INSTANCE",
        phase: Some("AwaitCutOver"),
    },
    Backup {
        name: "by_read_lock_during_the_copy",
        lock: "FLUSH TABLES WITH READ LOCK",
        unlock: "UNLOCK TABLES",
        phase: Some("RowCopy"),
    },
    Backup {
        name: "by_read_lock_before_cut_over",
        lock: "FLUSH TABLES WITH READ LOCK",
        unlock: "UNLOCK TABLES",
        phase: Some("AwaitCutOver"),
    },
];

/// On a server of its own, because a backup stops every other test's writers.
async fn backup_is_named(backup: &Backup) -> Result<()> {
    let label =
        format!("backup-{}", BACKUPS.iter().position(|one| one.name == backup.name).unwrap_or(0));
    let private: PrivateServer = Server::private(&label, Flavour::Gtid.options())?;
    let mut stage = Stage::open(private.server(), &label, SHAPE).await?;
    stage.copy_slowly(500)?;
    let mut holder = stage.database.connect().await?;
    let id = holder.texts("SELECT CONNECTION_ID()").await?.concat();
    let mut ghostship = match backup.phase {
        None => {
            holder.exec(backup.lock).await?;
            Ghostship::run(&stage.manifest, None)?
        }
        Some(phase) => {
            let mut ghostship = Ghostship::run(&stage.manifest, None)?;
            ghostship.wait_for(phase, RUN).await?;
            holder.exec(backup.lock).await?;
            ghostship
        }
    };
    stage.allow_cut_over()?;
    let names = |line: &Value| {
        let text = line["waitingFor"].as_str().unwrap_or_default();
        text.contains("BackupRunning") && text.contains(&format!("connection {id} "))
    };
    ghostship.wait_until("the backup is named", RUN, names).await?;
    holder.exec(backup.unlock).await?;
    let ended = ghostship.wait(RUN).await?;
    ensure!(ended.code == Some(0), "ghostship failed\n{}", ended.words());
    holder.close().await?;
    stage.expect_equal(&ended).await?;
    stage.close().await
}

/// A session holds a row of the shadow table, so that its lane cannot go on while others write.
async fn growing_backlog() -> Result<()> {
    let shape = Shape {
        columns: "id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL",
        fill: "SELECT i, 0 FROM n",
        rows: 60_000,
        alter: "ADD COLUMN added INT",
        added: "added",
    };
    let mut stage = stage("backlog", shape).await?;
    stage.copy_slowly(20_000)?;
    let mut ghostship = Ghostship::run(&stage.manifest, None)?;
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(11_000);
    ghostship.wait_for_line("copied rows", RUN, copied).await?;
    let (mut blocker, mut writer) =
        (stage.database.connect().await?, stage.database.connect().await?);
    blocker.exec("BEGIN").await?;
    blocker.exec("UPDATE t_gho SET added = 1 WHERE id < 100").await?;
    stage.on_both(&mut writer, &["UPDATE {t} SET n = n + 1 WHERE id <= 10000"]).await?;
    let told = |line: &Value| {
        let text = line["waitingFor"].as_str().unwrap_or_default();
        text.contains("NotConverging") && text.contains("keys per minute")
    };
    write_until(&stage, &mut writer, ghostship.wait_until("the growth is told", GROWTH, told))
        .await?;
    blocker.exec("ROLLBACK").await?;
    let quiet = |line: &Value| {
        line["waitingFor"].as_str().is_none_or(|text| !text.contains("NotConverging"))
    };
    ghostship.wait_until("the growth is over", RUN, quiet).await?;
    stage.allow_cut_over()?;
    let ended = ghostship.wait(RUN).await?;
    stage.expect_equal(&ended).await?;
    blocker.close().await?;
    writer.close().await?;
    stage.close().await
}

/// Changes rows, each once, until something has happened. No transaction stays open.
async fn write_until<T>(
    stage: &Stage,
    writer: &mut Client,
    happened: impl Future<Output = Result<T>>,
) -> Result<T> {
    let ended = AtomicBool::new(false);
    let writing = async {
        for first in (10_001..).step_by(200) {
            if ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            let rows = format!("id BETWEEN {first} AND {}", first + 199);
            stage.on_both(writer, &[format!("UPDATE {{t}} SET n = n + 1 WHERE {rows}")]).await?;
            let_time_pass(Duration::from_millis(300)).await;
        }
        anyhow::bail!("the numbers end")
    };
    let happened = async {
        let happened = happened.await;
        ended.store(true, Ordering::Relaxed);
        happened
    };
    let (happened, written) = tokio::join!(happened, writing);
    written?;
    happened
}

/// Character sets that count as exact besides those of one byte and of Unicode.
const EAST_ASIAN: [&str; 3] = ["gbk", "gb2312", "euckr"];

/// Every code that the set stores, and every character up to the supplementary planes: what does not
/// come back from the other side as it was is warned of, which strict mode makes an error.
async fn conversions_are_exact_or_refused(set: &str) -> Result<()> {
    let database =
        Database::create(Server::shared(Flavour::Gtid)?, &format!("charset_{set}")).await?;
    let mut client = database.connect().await?;
    for statement in [
        "SET SESSION sql_mode = '', cte_max_recursion_depth = 200000",
        "CREATE TABLE n (i INT PRIMARY KEY) AS WITH RECURSIVE n (i) AS \
         (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) SELECT i FROM n",
        &format!("CREATE TABLE s (i INT PRIMARY KEY, c VARCHAR(4) COLLATE {set}_bin)"),
        "CREATE TABLE u (i INT PRIMARY KEY, c VARCHAR(4) COLLATE utf8mb4_bin)",
    ] {
        client.exec(statement).await?;
    }
    let code = "UNHEX(IF(i < 256, LPAD(HEX(i), 2, '0'), LPAD(HEX(i), 4, '0')))";
    let fill = format!(
        "INSERT IGNORE INTO s SELECT i, CONVERT({code} USING {set}) FROM n WHERE i < 65536"
    );
    client.exec(&fill).await?;
    client.exec(&format!("DELETE s FROM s JOIN n USING (i) WHERE c IS NULL OR CHAR_LENGTH(c) <> 1 OR HEX(c) <> HEX({code})")).await?;
    let codes = round_trip(&mut client, ("s", "u"), set).await?;
    ensure!(codes.tried > 8000 && codes.lost == codes.warned, "codes of {set}: {codes:?}");
    client.exec("DELETE FROM u").await?;
    let all = "INSERT INTO u SELECT i, CONVERT(UNHEX(LPAD(HEX(i), 8, '0')) USING utf32) FROM n \
               WHERE i NOT BETWEEN 0xD800 AND 0xDFFF";
    client.exec(all).await?;
    client.exec("DELETE FROM s").await?;
    let characters = round_trip(&mut client, ("u", "s"), "utf8mb4").await?;
    ensure!(
        characters.tried > 100_000 && characters.lost == characters.warned,
        "characters: {characters:?}"
    );
    client.close().await?;
    database.remove().await
}

/// What became of characters that were stored in another set.
#[derive(Debug)]
struct Stored {
    tried: u64,
    warned: u64,
    lost: u64,
}

async fn round_trip(client: &mut Client, (from, to): (&str, &str), back: &str) -> Result<Stored> {
    client.exec(&format!("INSERT IGNORE INTO {to} SELECT i, c FROM {from}")).await?;
    let warned = client.texts("SELECT @@warning_count").await?.concat().parse()?;
    let tried = client.texts(&format!("SELECT COUNT(*) FROM {from}")).await?.concat().parse()?;
    let lost = format!(
        "SELECT COUNT(*) FROM {from} a JOIN {to} b USING (i) \
         WHERE HEX(CONVERT(b.c USING {back})) <> HEX(a.c)"
    );
    let lost = client.texts(&lost).await?.concat().parse()?;
    Ok(Stored { tried, warned, lost })
}
