//! What stands in the way of a cut-over: open transactions, readers of the shadow table, prepared XA
//! transactions, and a session that renames the helper tables. It is named, writers never wait longer
//! than the lock budget, and when it is gone the tables are swapped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::bystander::Bystander;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::registers::TABLE;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{Flavour, Server};
use crate::support::settings::runs;
use crate::support::wait::{let_time_pass, wait_for};

/// The lock budget of these tests, and what it may take to notice its end: without the budget the
/// server's own limit of two seconds would end a wait. A machine that makes a bystander wait as well gets
/// more, for each of the round trips that end a wait.
const BUDGET: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(800);
const ROUND_TRIPS: u32 = 3;
/// Sessions that read the table at once.
const READERS: u64 = 200;
/// How long each of the short transactions stays open: too short to count as an old one.
const SHORT_TRANSACTION: Duration = Duration::from_millis(950);

/// A value in somebody's statement.
const LITERAL: &str = "a-value-in-a-statement";

/// One test per obstacle.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        super::trial("obstacles::open_transaction_is_named".to_owned(), open_transaction),
        super::trial(
            "obstacles::short_transactions_cost_the_budget_at_most".to_owned(),
            short_transactions,
        ),
        super::trial("obstacles::reader_of_the_shadow_is_named".to_owned(), reader_of_the_shadow),
        super::trial("obstacles::prepared_xa_is_named".to_owned(), prepared_xa),
        super::trial("obstacles::table_lock_is_named".to_owned(), table_lock),
        super::trial("obstacles::two_cut_overs_take_turns".to_owned(), two_cut_overs),
        super::trial("obstacles::many_readers_cost_writers_the_budget".to_owned(), many_readers),
        super::trial("obstacles::ddl_elsewhere_costs_writers_nothing".to_owned(), ddl_elsewhere),
        super::trial("obstacles::backup_at_the_swap_costs_the_budget_at_most".to_owned(), backup),
    ];
    for number in 0..runs(4) {
        let name = format!("obstacles::helpers_are_renamed::{number}");
        trials.push(super::trial(name, move || helpers_are_renamed(number)));
    }
    trials
}

async fn scene(label: &str) -> Result<Scene> {
    scene_on(Server::shared(Flavour::Gtid)?, label).await
}

async fn scene_on(server: &Server, label: &str) -> Result<Scene> {
    let shape = Shape { rows: 500, ..Shape::default() };
    let mut scene = Scene::on(server, &format!("obstacles_{label}"), shape).await?;
    scene.manifest.set(&[("/copy", json!({})), ("/cutOver", json!({"lockBudget": "1s"}))])?;
    Ok(scene)
}

async fn open_transaction() -> Result<()> {
    let scene = scene("open").await?;
    let mut blocker = scene.database.connect().await?;
    blocker.exec("BEGIN").await?;
    let id = blocker.texts("SELECT CONNECTION_ID()").await?.concat();
    let read = format!("SELECT COUNT(*) FROM {TABLE} WHERE tag = '{LITERAL}'");
    blocker.texts(&read).await?;
    let mut run = scene.run(None)?;
    let names = |line: &Value| {
        let text = line["waitingFor"].as_str().unwrap_or_default();
        text.contains("CutOverBlocked") && text.contains(&format!("connection {id} "))
    };
    run.wait_until("the transaction is named", RUN, names).await?;
    let named = |line: &Value| line["blocker"]["id"] == id.as_str();
    let line = run.wait_until("it is told by values", RUN, named).await?;
    expect_values(&line["blocker"])?;
    ensure!(!scene.is_swapped().await?, "the table was swapped under an open transaction");
    let bystander = watch_waits(&scene).await?;
    blocker.exec("COMMIT").await?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    let last = ended.lines.iter().rfind(|line| line["type"] == "progress");
    let told = last.map(|line| line["blocker"].clone()).unwrap_or_default();
    ensure!(told.is_null(), "who was in the way still is: {told}");
    expect_short_waits(&scene, bystander).await?;
    blocker.close().await?;
    scene.expect_completed().await
}

/// Who is in the way has a name, an age and what it holds; its statement has no literal.
fn expect_values(blocker: &Value) -> Result<()> {
    let text = |name: &str| blocker[name].as_str().unwrap_or_default();
    let holds = text("holds").ends_with(&format!(".{TABLE}"));
    let since = text("since").parse::<jiff::Timestamp>().is_ok();
    ensure!(holds && since && text("user").contains('@'), "in the way is {blocker}");
    let statement = text("statement");
    ensure!(statement.contains(TABLE) && !statement.contains(LITERAL), "it does {statement}");
    Ok(())
}

/// Sessions hold the table in turns: whenever the lock is asked for, one of them keeps the table for
/// longer than the lock is waited for, and none of the transactions is old.
/// A trial in which no attempt was blocked is void and repeated; every check holds in each trial.
async fn short_transactions() -> Result<()> {
    for _ in 0..4 {
        if blocked_by_short_transactions().await? {
            return Ok(());
        }
    }
    anyhow::bail!("no attempt was blocked in any trial")
}

/// Whether an attempt was blocked.
async fn blocked_by_short_transactions() -> Result<bool> {
    let scene = scene("short").await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut holders = Vec::new();
    for turn in 0..4 {
        let client = scene.database.connect().await?;
        let delay = SHORT_TRANSACTION / 4 * turn;
        holders.push(tokio::task::spawn(hold_in_turns(client, delay, Arc::clone(&stop))));
    }
    let mut run = scene.run(None)?;
    run.wait_for("CutOver", RUN).await?;
    let bystander = watch_waits(&scene).await?;
    let blocked = |line: &Value| {
        line["lastCutOverError"].as_str().is_some_and(|error| error.contains("connection "))
    };
    let seen = run.wait_until("an attempt was blocked", RUN, blocked).await;
    stop.store(true, Ordering::SeqCst);
    for holder in holders {
        holder.await??;
    }
    expect_code(&run.wait(RUN).await?, 0)?;
    expect_short_waits(&scene, bystander).await?;
    scene.expect_completed().await?;
    Ok(seen.is_ok())
}

async fn hold_in_turns(mut client: Client, delay: Duration, stop: Arc<AtomicBool>) -> Result<()> {
    // Holding a transaction open for a time is what is tried.
    let_time_pass(delay).await;
    while !stop.load(Ordering::SeqCst) {
        client.exec("BEGIN").await?;
        client.texts(&format!("SELECT COUNT(*) FROM {TABLE} WHERE id < 3")).await?;
        let_time_pass(SHORT_TRANSACTION).await;
        client.exec("COMMIT").await?;
    }
    client.close().await
}

async fn reader_of_the_shadow() -> Result<()> {
    let mut scene = scene("reader").await?;
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let mut reader = scene.database.connect().await?;
    reader.exec("BEGIN").await?;
    reader.texts(&format!("SELECT COUNT(*) FROM {TABLE}_gho")).await?;
    let id = reader.texts("SELECT CONNECTION_ID()").await?.concat();
    let bystander = watch_waits(&scene).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    let names = |line: &Value| line.to_string().contains(&format!("connection {id} "));
    run.wait_until("the reader is named", RUN, names).await?;
    ensure!(!scene.is_swapped().await?, "the table was swapped under a reader of the shadow");
    reader.exec("COMMIT").await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    expect_short_waits(&scene, bystander).await?;
    reader.close().await?;
    scene.expect_completed().await
}

async fn prepared_xa() -> Result<()> {
    let mut scene = scene("xa").await?;
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let (id, mut client) = (9_000_001, scene.database.connect().await?);
    for statement in [
        "XA START 'obstacle'",
        &format!("INSERT INTO {TABLE} (id, u, version, tag) VALUES ({id}, {id}0, 0, 'xa')"),
        "XA END 'obstacle'",
        "XA PREPARE 'obstacle'",
    ] {
        client.exec(statement).await?;
    }
    // It dangles: nobody is connected to it any more.
    client.close().await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    let names =
        |line: &Value| line["waitingFor"].as_str().is_some_and(|text| text.contains("XaPending"));
    let line = run.wait_until("the prepared transaction is named", RUN, names).await?;
    let told = line["blocker"].clone();
    ensure!(told["holds"] == "a prepared XA transaction", "in the way is {told}");
    let named = line["waitingFor"].as_str().zip(told["id"].as_str());
    ensure!(named.is_some_and(|(text, id)| !id.is_empty() && text.contains(id)), "{line}");
    ensure!(!scene.is_swapped().await?, "the table was swapped under a prepared transaction");
    let mut client = scene.database.connect().await?;
    client.exec("XA COMMIT 'obstacle'").await?;
    scene.registers.add(id, (Some(id * 10), 0, "xa".to_owned()));
    expect_code(&run.wait(RUN).await?, 0)?;
    client.close().await?;
    scene.expect_completed().await
}

/// Somebody has locked the table by LOCK TABLES, without a transaction that would have an age.
async fn table_lock() -> Result<()> {
    let mut scene = scene("table_lock").await?;
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let mut holder = scene.database.connect().await?;
    let id = holder.texts("SELECT CONNECTION_ID()").await?.concat();
    holder.exec(&format!("LOCK TABLES {TABLE} READ")).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    let names = |line: &Value| {
        line["waitingFor"].as_str().is_some_and(|text| text.contains(&format!("connection {id} ")))
    };
    run.wait_until("who has locked the table is named", RUN, names).await?;
    ensure!(!scene.is_swapped().await?, "the table was swapped under somebody's lock");
    holder.exec("UNLOCK TABLES").await?;
    let bystander = watch_waits(&scene).await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    expect_short_waits(&scene, bystander).await?;
    holder.close().await?;
    scene.expect_completed().await
}

/// Two migrations of one server are ready: while one has its tables locked the other waits, and says so.
async fn two_cut_overs() -> Result<()> {
    let server = Server::private("turns", Flavour::Gtid.options())?;
    let (first, mut second) =
        (scene_on(server.server(), "turn_1").await?, scene_on(server.server(), "turn_2").await?);
    second.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut waiting = second.run(None)?;
    waiting.wait_for("AwaitCutOver", RUN).await?;
    let stopped = first.run(Some("cutover.locked=stop"))?;
    stopped.wait_until_stopped(RUN).await?;
    second.manifest.set(&[("/postponeCutOver", json!(false))])?;
    let says = |line: &Value| {
        line["waitingFor"].as_str().is_some_and(|text| text.contains("another cut-over"))
    };
    waiting.wait_until("the other cut-over is named", RUN, says).await?;
    ensure!(!second.is_swapped().await?, "two tables of one server were locked at once");
    stopped.signal("CONT")?;
    for run in [stopped, waiting] {
        expect_code(&run.wait(RUN).await?, 0)?;
    }
    first.expect_completed().await?;
    second.expect_completed().await
}

/// Many readers, each almost a second at a time, have the table whenever a cut-over may begin: one of them is
/// named, and a writer waits for the budget at most.
async fn many_readers() -> Result<()> {
    let server = Server::private("readers", &["--max-connections=400"])?;
    let mut scene = scene_on(server.server(), "readers").await?;
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for number in 0..READERS {
        let client = scene.database.connect().await?;
        readers.push(tokio::task::spawn(read_slowly(client, number, Arc::clone(&stop))));
    }
    let bystander = watch_waits(&scene).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    let blocked = |line: &Value| !line["blocker"].is_null();
    run.wait_until("a reader is named", RUN, blocked).await?;
    ensure!(!scene.is_swapped().await?, "the table was swapped under its readers");
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await??;
    }
    expect_code(&run.wait(RUN).await?, 0)?;
    expect_short_waits(&scene, bystander).await?;
    scene.expect_completed().await
}

async fn read_slowly(mut client: Client, number: u64, stop: Arc<AtomicBool>) -> Result<()> {
    let read = format!("SELECT COUNT(*) + SLEEP(0.9) FROM {TABLE} WHERE id = {}", number % 100 + 1);
    while !stop.load(Ordering::SeqCst) {
        client.texts(&read).await?;
    }
    client.close().await
}

/// DDL on a table of another database waits for its turn from the moment on in which the tables are
/// locked: the server makes everybody wait who asks it for a table's id.
async fn ddl_elsewhere() -> Result<()> {
    let server = Server::shared(Flavour::Gtid)?;
    let mut scene = scene_on(server, "ddl").await?;
    let elsewhere = Database::create(server, "obstacles_elsewhere").await?;
    let mut reader = elsewhere.connect().await?;
    reader.exec("CREATE TABLE read_for_long (id INT PRIMARY KEY)").await?;
    let run = scene.run(Some("cutover.marked=stop"))?;
    run.wait_until_stopped(RUN).await?;
    reader.exec("BEGIN").await?;
    reader.texts("SELECT COUNT(*) FROM read_for_long").await?;
    let mut altering = elsewhere.connect().await?;
    let ddl = tokio::task::spawn(async move {
        altering.exec("ALTER TABLE read_for_long ADD COLUMN n INT").await?;
        altering.close().await
    });
    wait_until_ddl_waits(&elsewhere).await?;
    let bystander = Bystander::start(&scene.database).await?;
    run.signal("CONT")?;
    let began = Instant::now();
    scene.registers.wait_for_more(1).await?;
    expect_short(began.elapsed(), &bystander)?;
    reader.exec("COMMIT").await?;
    reader.close().await?;
    ddl.await??;
    bystander.end(&scene.database).await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    elsewhere.remove().await?;
    scene.expect_completed().await
}

async fn wait_until_ddl_waits(elsewhere: &Database) -> Result<()> {
    let mut client = elsewhere.connect().await?;
    let waiting = format!(
        "SELECT COUNT(*) FROM performance_schema.metadata_locks \
         WHERE OBJECT_SCHEMA = '{}' AND LOCK_TYPE = 'EXCLUSIVE' AND LOCK_STATUS = 'PENDING'",
        elsewhere.name
    );
    let probe = async || {
        let found = client.texts(&waiting).await?.concat();
        Ok(if found == "0" { Err(found) } else { Ok(()) })
    };
    wait_for("the DDL to wait", RUN, probe).await?;
    client.close().await
}

/// A backup takes its lock in the very moment in which the tables are locked and the RENAME is sent. It
/// makes every DDL of its server wait, so the server is its own.
async fn backup() -> Result<()> {
    let server = Server::private("backup", Flavour::Gtid.options())?;
    let mut scene = scene_on(server.server(), "backup").await?;
    let run = scene.run(Some("cutover.rename.send=stop"))?;
    run.wait_until_stopped(RUN).await?;
    let mut backup = scene.database.connect().await?;
    let bystander = Bystander::start(&scene.database).await?;
    backup.exec("LOCK INSTANCE FOR BACKUP").await?;
    run.signal("CONT")?;
    let began = Instant::now();
    scene.registers.wait_for_more(1).await?;
    expect_short(began.elapsed(), &bystander)?;
    ensure!(!scene.is_swapped().await?, "the table was swapped during a backup");
    backup.exec("UNLOCK INSTANCE").await?;
    bystander.end(&scene.database).await?;
    backup.close().await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// How long writers wait from here on.
async fn watch_waits(scene: &Scene) -> Result<Bystander> {
    scene.registers.take_longest();
    Bystander::start(&scene.database).await
}

/// Fails when a writer waited longer than the budget, and a bystander did not.
async fn expect_short_waits(scene: &Scene, bystander: Bystander) -> Result<()> {
    expect_short(scene.registers.take_longest(), &bystander)?;
    bystander.end(&scene.database).await
}

fn expect_short(longest: Duration, bystander: &Bystander) -> Result<()> {
    let bystander = bystander.longest()?;
    eprintln!("the longest wait of a writer was {longest:?}, of a bystander {bystander:?}");
    ensure!(
        longest < BUDGET + SLACK + bystander * ROUND_TRIPS,
        "a writer waited {longest:?} and a bystander {bystander:?}, the budget is {BUDGET:?}"
    );
    Ok(())
}

/// What the hostile session does again and again; each may fail.
const HOSTILE: [&str; 6] = [
    "CREATE TABLE t_del (x INT)",
    "DROP TABLE t_del",
    "RENAME TABLE t_gho TO t_stolen",
    "RENAME TABLE t_stolen TO t_gho",
    "RENAME TABLE t_ghc TO t_stolen_ghc",
    "RENAME TABLE t_stolen_ghc TO t_ghc",
];

async fn helpers_are_renamed(number: u64) -> Result<()> {
    let mut scene = scene(&format!("hostile_{number}")).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut run = scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    run.wait_for("CutOver", RUN).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let which = if number.is_multiple_of(2) { &HOSTILE[..2] } else { &HOSTILE[2..] };
    let client = scene.database.connect().await?;
    let hostile = tokio::task::spawn(harass(client, which, Arc::clone(&stop)));
    let ended = run.wait(RUN).await;
    stop.store(true, Ordering::SeqCst);
    let happened = hostile.await??;
    let ended = ended?;
    ensure!(happened > 0, "the hostile session did nothing");
    let swapped = scene.is_swapped().await?;
    ensure!(swapped == (ended.code == Some(0)), "swapped: {swapped}\n{}", ended.words());
    eprintln!("hostile {number}: {happened} statements, exit code {:?}", ended.code);
    scene.registers.compare(&scene.database).await?;
    tidy(&scene.database).await?;
    if !swapped {
        scene.manifest.set(&[("/abort", json!(true))])?;
        let ended = scene.run(None)?.wait(RUN).await?;
        expect_code(&ended, 5).context("the abort afterwards")?;
        return scene.expect_untouched().await;
    }
    scene.end().await
}

async fn harass(mut client: Client, statements: &[&str], stop: Arc<AtomicBool>) -> Result<u64> {
    client.exec("SET SESSION lock_wait_timeout = 1").await?;
    let mut happened = 0;
    while !stop.load(Ordering::SeqCst) {
        for statement in statements {
            happened += u64::from(client.try_exec(statement).await.is_ok());
        }
    }
    client.close().await?;
    Ok(happened)
}

/// Takes the hostile session's own things away.
async fn tidy(database: &Database) -> Result<()> {
    let tables = database.tables().await?;
    let mut client = database.connect().await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    for (stolen, name) in [("t_stolen", "t_gho"), ("t_stolen_ghc", "t_ghc")] {
        if has(stolen) {
            client.exec(&format!("RENAME TABLE {stolen} TO {name}")).await?;
        }
    }
    let columns = "SELECT COLUMN_NAME FROM information_schema.COLUMNS \
                   WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 't_del'";
    if client.texts(columns).await? == ["x"] {
        client.exec("DROP TABLE t_del").await?;
    }
    client.close().await
}
