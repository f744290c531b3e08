//! What a migration watches besides load and lag, each on a real server that is brought beyond the limit
//! and back; and pausing by itself on danger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::client::{Client, ident};
use crate::support::database::Database;
use crate::support::ghostship::Ghostship;
use crate::support::receiver::{Manner, Receiver, free_port};
use crate::support::registers::TABLE;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{Flavour, Server};
use crate::support::settings;
use crate::support::strain::{QUIET, Replicated, close, gate, load, tells};
use crate::support::wait::wait_for;

/// How long the long pause lasts when nobody asks for a longer one.
const PAUSE: Duration = Duration::from_secs(12);
/// A server that soon purges what it has written.
const SOON_PURGED: &[&str] = &["--binlog-expire-logs-seconds=20"];
/// Exit codes.
const ABORTED: i32 = 5;
const PANICKED: i32 = 6;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("guard::history_list_holds".to_owned(), history),
        super::trial("guard::a_full_redo_log_holds".to_owned(), redo),
        super::trial("guard::running_sessions_hold".to_owned(), running),
        super::trial("guard::slow_commits_hold".to_owned(), commits),
        super::trial("guard::a_late_stream_holds".to_owned(), stream),
        super::trial("guard::what_replicas_have_to_apply_holds".to_owned(), apply_backlog),
        super::trial("guard::lag_by_the_status_of_a_replica_holds".to_owned(), status_lag),
        super::trial("guard::the_query_of_the_target_holds".to_owned(), query),
        super::trial("guard::the_url_of_the_target_holds".to_owned(), url),
        super::trial("guard::a_url_that_leads_astray_holds".to_owned(), astray),
        super::trial("guard::the_growth_of_a_status_variable_holds".to_owned(), growth),
        super::trial("guard::gives_up_before_the_binlog_is_purged".to_owned(), gives_up),
        super::trial(
            "guard::a_panic_while_it_gives_up_keeps_all".to_owned(),
            panics_while_giving_up,
        ),
        super::trial("guard::a_hostile_query_does_nothing".to_owned(), hostile_query),
        super::trial("guard::a_query_that_fails_holds".to_owned(), broken_query),
        super::trial("guard::pauses_on_danger_and_goes_on".to_owned(), danger),
        super::trial("guard::asks_a_person_after_enough_resumes".to_owned(), asks),
        super::trial("guard::repeated_transactions_pause".to_owned(), retries),
        super::trial("guard::goes_slower_for_a_slow_application".to_owned(), slowdown),
        super::trial_within(
            settings::pause(PAUSE) + RUN * 3,
            "guard::a_pause_loses_nothing_though_the_server_purges".to_owned(),
            long_pause,
        ),
    ]
}

/// A copy that takes a minute and is limited by `throttle`.
fn begin(scene: &mut Scene, throttle: Value) -> Result<Ghostship> {
    let slow = json!({"threads": 1, "chunkTime": "10ms", "maxRowsPerSecond": 50});
    scene.manifest.set(&[("/throttle", throttle), ("/copy", slow)])?;
    scene.run(None)
}

/// Waits until it is held for a reason of this signal with these words, and sees that it stays so at full
/// speed.
async fn expect_held(
    scene: &mut Scene,
    run: &mut Ghostship,
    (signal, words): (&str, &str),
) -> Result<()> {
    let told = |line: &Value| tells(line, signal, words);
    let held = run.wait_until(&format!("held by {signal}"), RUN, told).await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    let mut copied = Vec::new();
    let mut known = held;
    for _ in 0..3 {
        scene.registers.wait_for_more(50).await?;
        // An attempt that begins anew has no figures yet.
        let is_later = |line: &Value| *line != known && line["rowsCopied"].is_u64();
        known = run.wait_until("a later line", RUN, is_later).await?;
        copied.push(known["rowsCopied"].clone());
    }
    ensure!(tells(&known, signal, ""), "it is no longer held by {signal}: {known}");
    ensure!(copied[1] == copied[2], "it is held by {signal} and copies: {copied:?}");
    Ok(())
}

async fn expect_end(scene: Scene, run: Ghostship) -> Result<()> {
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn history() -> Result<()> {
    let mut scene = Scene::shared("guard_history", Flavour::Gtid, Shape::default()).await?;
    let mut reader = scene.database.connect().await?;
    reader.exec("START TRANSACTION WITH CONSISTENT SNAPSHOT").await?;
    let mut run = begin(&mut scene, json!({"maxHistoryListLength": 20}))?;
    expect_held(&mut scene, &mut run, ("maxHistoryListLength", "above maxHistoryListLength of 20"))
        .await?;
    reader.close().await?;
    // The other tests of the server write as well.
    scene.manifest.set(&[("/throttle/maxHistoryListLength", json!(1_000_000_000))])?;
    expect_end(scene, run).await
}

async fn redo() -> Result<()> {
    let server = Server::private("guard-redo", &[])?;
    let mut scene = Scene::on(server.server(), "guard_redo", Shape::default()).await?;
    let mut root = scene.database.connect().await?;
    root.exec("SET GLOBAL innodb_redo_log_capacity = 8388608").await?;
    let mut run = begin(&mut scene, json!({"maxRedoPercent": 1}))?;
    expect_held(&mut scene, &mut run, ("maxRedoPercent", "% full, above maxRedoPercent of 1"))
        .await?;
    root.exec("SET GLOBAL innodb_redo_log_capacity = 1073741824").await?;
    root.close().await?;
    expect_end(scene, run).await
}

async fn running() -> Result<()> {
    let server = Server::private("guard-running", &[])?;
    let mut scene = Scene::on(server.server(), "guard_running", Shape::default()).await?;
    let cores = std::thread::available_parallelism()?.get();
    let sleepers = Sleepers::start(&scene.database, 8 * cores + 1, "20").await?;
    let mut run = begin(&mut scene, json!({"maxRunningPerCore": 8}))?;
    let words = ("maxRunningPerCore", "processors, above maxRunningPerCore of 8");
    expect_held(&mut scene, &mut run, words).await?;
    sleepers.stop().await;
    expect_end(scene, run).await
}

async fn commits() -> Result<()> {
    let server = Server::private("guard-commits", &[])?;
    let mut scene = Scene::on(server.server(), "guard_commits", Shape::default()).await?;
    let mut root = scene.database.connect().await?;
    root.exec("SET GLOBAL binlog_group_commit_sync_delay = 300000").await?;
    let mut run = begin(&mut scene, json!({"maxCommitLatency": "50ms"}))?;
    let words = ("maxCommitLatency", "above maxCommitLatency of 50ms");
    expect_held(&mut scene, &mut run, words).await?;
    root.exec("SET GLOBAL binlog_group_commit_sync_delay = 0").await?;
    root.close().await?;
    scene.manifest.set(&[("/throttle/maxCommitLatency", json!("60s"))])?;
    expect_end(scene, run).await
}

/// Our heartbeats come back through the stream as late as their commits.
async fn stream() -> Result<()> {
    let server = Server::private("guard-stream", &[])?;
    let mut scene = Scene::on(server.server(), "guard_stream", Shape::default()).await?;
    let mut root = scene.database.connect().await?;
    root.exec("SET GLOBAL binlog_group_commit_sync_delay = 300000").await?;
    let mut run = begin(&mut scene, json!({"maxStreamLag": "100ms"}))?;
    let words = ("maxStreamLag", "behind the server, more than maxStreamLag of 0.1 s");
    expect_held(&mut scene, &mut run, words).await?;
    root.exec("SET GLOBAL binlog_group_commit_sync_delay = 0").await?;
    root.close().await?;
    scene.manifest.set(&[("/throttle/maxStreamLag", json!("1h"))])?;
    expect_end(scene, run).await
}

async fn apply_backlog() -> Result<()> {
    let mut place = Replicated::lay_out("guard_backlog", 1, &json!({})).await?;
    let (mut run, _caller) = place.begin(json!({"maxApplyBacklog": 50}), 50).await?;
    place.on(0, &["STOP REPLICA SQL_THREAD"]).await?;
    let words = ("maxApplyBacklog", "transactions to apply, above maxApplyBacklog of 50");
    expect_held(&mut place.scene, &mut run, words).await?;
    place.on(0, &["START REPLICA SQL_THREAD"]).await?;
    place.expect_end(run).await
}

async fn status_lag() -> Result<()> {
    let by_status = json!({"lag": "Status"});
    let mut place = Replicated::lay_out("guard_status", 1, &by_status).await?;
    let (mut run, _caller) = place.begin(json!({"maxLag": "3s"}), 50).await?;
    delay(&place, 30).await?;
    let words = ("maxLag", "behind, more than maxLag of 3 s");
    expect_held(&mut place.scene, &mut run, words).await?;
    delay(&place, 0).await?;
    place.expect_end(run).await
}

async fn delay(place: &Replicated, seconds: u32) -> Result<()> {
    let delay = format!("CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {seconds}");
    place.on(0, &["STOP REPLICA", &delay, "START REPLICA"]).await
}

async fn query() -> Result<()> {
    let mut scene = Scene::shared("guard_query", Flavour::Gtid, Shape::default()).await?;
    let mut root = gate(&mut scene).await?;
    let mut run = begin(&mut scene, json!({}))?;
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(0);
    run.wait_until("rows are copied while the gate is open", RUN, copied).await?;
    root.exec("INSERT INTO closed VALUES (1)").await?;
    expect_held(&mut scene, &mut run, ("query", "answers 1, and not 0")).await?;
    root.exec("DELETE FROM closed").await?;
    root.close().await?;
    expect_end(scene, run).await
}

/// What an administrator's query reaches by a function writes nothing, and what takes its time is ended.
async fn hostile_query() -> Result<()> {
    let mut scene = Scene::shared("guard_hostile", Flavour::Gtid, Shape::default()).await?;
    let mut root = gate(&mut scene).await?;
    let twin = ident(&scene.database.twin);
    root.exec("SET GLOBAL log_bin_trust_function_creators = 1").await?;
    let body = "MODIFIES SQL DATA BEGIN INSERT INTO closed VALUES (7); RETURN 0; END";
    root.exec(&format!("CREATE FUNCTION sly() RETURNS INT {body}")).await?;
    let ask = |query: &str| json!({"query": query});
    scene.manifest.set_target(&[("/probes", ask(&format!("SELECT {twin}.sly()")))])?;
    let mut run = begin(&mut scene, json!({}))?;
    expect_held(&mut scene, &mut run, ("query", "cannot be read")).await?;
    ensure!(root.texts("SELECT why FROM closed").await?.is_empty(), "the query has written");
    run.signal("TERM")?;
    run.wait(RUN).await?;
    scene.manifest.set_target(&[("/probes", ask("SELECT SLEEP(30) + 4242"))])?;
    let mut run = scene.run(None)?;
    expect_held(&mut scene, &mut run, ("query", "cannot be read")).await?;
    let sleeping =
        "SELECT ID FROM information_schema.PROCESSLIST WHERE TIME > 5 AND INFO LIKE '%+ 4242'";
    ensure!(root.texts(sleeping).await?.is_empty(), "the query goes on");
    run.signal("TERM")?;
    run.wait(RUN).await?;
    scene.manifest.set_target(&[("/probes", ask("SELECT 0"))])?;
    root.close().await?;
    let run = scene.run(None)?;
    expect_end(scene, run).await
}

async fn broken_query() -> Result<()> {
    let mut scene = Scene::shared("guard_broken", Flavour::Gtid, Shape::default()).await?;
    let mut root = gate(&mut scene).await?;
    root.exec("DROP TABLE closed").await?;
    let mut run = begin(&mut scene, json!({}))?;
    expect_held(&mut scene, &mut run, ("query", "cannot be read")).await?;
    root.exec("CREATE TABLE closed (why INT NOT NULL)").await?;
    root.close().await?;
    expect_end(scene, run).await
}

/// One that answers as told, on a port that another one may just have left.
async fn again(port: u16, manner: Manner) -> Result<Receiver> {
    let start = async || {
        let started = Receiver::on(port, manner.clone()).await;
        Ok(started.map_err(|error| error.to_string()))
    };
    wait_for("the port to be free", RUN, start).await
}

async fn url() -> Result<()> {
    let mut scene = Scene::shared("guard_url", Flavour::Gtid, Shape::default()).await?;
    let port = free_port()?;
    let open = again(port, Manner::Answer(204, "")).await?;
    let url = open.url("/may?token=canary");
    scene.manifest.set_target(&[("/probes", json!({"http": {"url": url}}))])?;
    let mut run = begin(&mut scene, json!({}))?;
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(0);
    run.wait_until("rows are copied while it says yes", RUN, copied).await?;
    drop(open);
    let closed = again(port, Manner::Answer(503, "")).await?;
    expect_held(&mut scene, &mut run, ("http", "answers 503, and not 200")).await?;
    drop(closed);
    let gone = |line: &Value| tells(line, "http", "cannot be read: cannot be reached");
    run.wait_until("nobody answers", RUN, gone).await?;
    let open = again(port, Manner::Answer(200, "anything")).await?;
    let ended = run.wait(RUN).await?;
    ensure!(!ended.words().contains("canary"), "the URL was shown");
    expect_code(&ended, 0)?;
    drop(open);
    scene.expect_completed().await
}

/// Redirects are not followed, also not to where the answer would be yes; and nobody asks the machine's own
/// metadata.
async fn astray() -> Result<()> {
    let mut scene = Scene::shared("guard_astray", Flavour::Gtid, Shape::default()).await?;
    let yes = Receiver::start(Manner::Answer(200, "")).await?;
    let elsewhere = Receiver::start(Manner::Redirect(yes.url("/"))).await?;
    scene.manifest.set_target(&[("/probes", json!({"http": {"url": elsewhere.url("/")}}))])?;
    let mut run = begin(&mut scene, json!({}))?;
    expect_held(&mut scene, &mut run, ("http", "302, a redirect, which is not followed")).await?;
    ensure!(yes.got().is_empty(), "the redirect was followed");
    run.signal("TERM")?;
    run.wait(RUN).await?;
    let metadata = json!({"http": {"url": "http://169.254.169.254/latest"}});
    scene.manifest.set_target(&[("/probes", metadata)])?;
    let mut run = scene.run(None)?;
    let forbidden = |line: &Value| tells(line, "http", "an address that is not allowed");
    run.wait_until("the address is not asked", RUN, forbidden).await?;
    run.signal("TERM")?;
    run.wait(RUN).await?;
    scene.manifest.set_target(&[("/probes", json!({}))])?;
    let run = scene.run(None)?;
    expect_end(scene, run).await
}

async fn growth() -> Result<()> {
    let server = Server::private("guard-growth", &[])?;
    let mut scene = Scene::on(server.server(), "guard_growth", Shape::default()).await?;
    let mut run = begin(&mut scene, json!({"maxLoad": {"Com_commit/s": 1}}))?;
    expect_held(&mut scene, &mut run, ("maxLoad", "above its maxLoad of 1")).await?;
    scene.manifest.set(&[("/throttle", json!({"maxLoad": {"Com_commit/s": 1_000_000_000}}))])?;
    expect_end(scene, run).await
}

/// It ends, and takes its tables away.
async fn gives_up() -> Result<()> {
    let server = Server::private("guard-gives-up", SOON_PURGED)?;
    let mut scene = Scene::on(server.server(), "guard_gives_up", Shape::default()).await?;
    let (run, holder) = until_it_gives_up(&mut scene).await?;
    holder.close().await?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 1)?;
    let words = ended.words();
    ensure!(words.contains("RetentionShort") && words.contains("are dropped"), "{words}");
    ensure!(scene.ledger().await? == ["Aborted"], "the ledger has {:?}", scene.ledger().await?);
    scene.expect_untouched().await
}

/// Somebody panics in the seconds in which it gives up: every table stays.
async fn panics_while_giving_up() -> Result<()> {
    let server = Server::private("guard-panics", SOON_PURGED)?;
    let mut scene = Scene::on(server.server(), "guard_panics", Shape::default()).await?;
    let (run, holder) = until_it_gives_up(&mut scene).await?;
    scene.manifest.set(&[("/panic", json!(true))])?;
    holder.close().await?;
    expect_code(&run.wait(RUN).await?, PANICKED)?;
    let tables = scene.database.tables().await?;
    let shadow = format!("{TABLE}_gho");
    ensure!(tables.contains(&shadow), "after the panic there are {tables:?}");
    scene.manifest.set(&[("/panic", json!(false)), ("/abort", json!(true))])?;
    expect_code(&scene.run(None)?.wait(RUN).await?, ABORTED)?;
    scene.expect_untouched().await
}

/// Whoever locks the shadow table keeps changes from being applied, until it is too late.
async fn until_it_gives_up(scene: &mut Scene) -> Result<(Ghostship, Client)> {
    let mut run = begin(scene, json!({"onShortBinlog": "GiveUp"}))?;
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(0);
    run.wait_until("rows are copied", RUN, copied).await?;
    let mut holder = scene.database.connect().await?;
    let shadow = ident(&format!("{TABLE}_gho"));
    holder.exec(&format!("LOCK TABLES {shadow} READ")).await?;
    let short = |line: &Value| tells(line, "retention", "may purge in 0h00m what a restart");
    let line = run.wait_until("it says so long before", RUN, short).await?;
    ensure!(line["binlogHeadroom"].as_f64() > Some(4.0), "it said so late: {line}");
    let given_up = async || {
        let said = run.said();
        Ok(if said.contains("gives up") { Ok(()) } else { Err(said) })
    };
    wait_for("it gives up", RUN, given_up).await?;
    Ok((run, holder))
}

fn critical(resume: &Value) -> Value {
    json!({"criticalLoad": {"Threads_connected": QUIET}, "autoResume": resume})
}

/// It is still paused when the danger is over, goes on after health that lasts, and tells what it cost.
async fn danger() -> Result<()> {
    let server = Server::private("guard-danger", &[])?;
    let mut scene = Scene::on(server.server(), "guard_danger", Shape::default()).await?;
    let mut run = begin(&mut scene, critical(&json!({"healthyFor": "5s"})))?;
    run.wait_for("RowCopy", RUN).await?;
    let connections = load(&scene).await?;
    let words = ("autoPause", "paused itself: Threads_connected is");
    expect_held(&mut scene, &mut run, words).await?;
    close(connections).await?;
    let over = |line: &Value| {
        tells(line, "autoPause", "paused itself") && !tells(line, "criticalLoad", "above")
    };
    run.wait_until("still paused when the danger is over", RUN, over).await?;
    let told = |line: &Value| line["lastPause"]["reason"].is_string();
    let line = run.wait_until("what the pause cost", RUN, told).await?;
    let pause = &line["lastPause"];
    ensure!(pause["seconds"].as_u64() >= Some(5), "it went on too soon: {pause}");
    ensure!(pause["keysApplied"].as_u64() > Some(0), "nothing was applied meanwhile: {pause}");
    expect_end(scene, run).await
}

async fn asks() -> Result<()> {
    let server = Server::private("guard-asks", &[])?;
    let mut scene = Scene::on(server.server(), "guard_asks", Shape::default()).await?;
    let resume = json!({"healthyFor": "1s", "max": 0});
    let mut run = begin(&mut scene, critical(&resume))?;
    run.wait_for("RowCopy", RUN).await?;
    close(load(&scene).await?).await?;
    let connections = load(&scene).await?;
    let told = |line: &Value| tells(line, "autoPause", "set paused to true and back to false");
    run.wait_until("a person is asked", RUN, told).await?;
    close(connections).await?;
    let over = |line: &Value| !tells(line, "criticalLoad", "above");
    run.wait_until("the danger is over", RUN, over).await?;
    expect_held(&mut scene, &mut run, ("autoPause", "set paused to true")).await?;
    scene.manifest.set(&[("/paused", json!(true))])?;
    let paused = |line: &Value| line["waitingFor"].to_string().contains("paused");
    run.wait_until("a person pauses it", RUN, paused).await?;
    scene.manifest.set(&[("/paused", json!(false))])?;
    expect_end(scene, run).await
}

/// Rows of the shadow table that somebody locks: batches are repeated.
async fn retries() -> Result<()> {
    let mut scene = Scene::shared("guard_retries", Flavour::Gtid, Shape::default()).await?;
    let limits = json!({"maxRetriesPerMinute": 0, "autoResume": {"healthyFor": "1s"}});
    let mut run = begin(&mut scene, limits)?;
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(100);
    run.wait_until("rows are copied", RUN, copied).await?;
    let mut locker = scene.database.connect().await?;
    // The server may break a deadlock with the migration at its expense.
    let locked = async || {
        locker.exec("START TRANSACTION").await?;
        let locked = locker.try_exec("SELECT * FROM t_gho FOR UPDATE").await;
        Ok(locked.map(drop).map_err(|error| format!("{error:#}")))
    };
    wait_for("the rows of the shadow table", RUN, locked).await?;
    let told = |line: &Value| tells(line, "autoPause", "repeated in a minute");
    run.wait_until("paused for what is repeated", RUN, told).await?;
    locker.exec("ROLLBACK").await?;
    locker.close().await?;
    scene.manifest.set(&[
        ("/throttle/maxRetriesPerMinute", json!(1_000_000)),
        ("/copy/maxRowsPerSecond", json!(0)),
    ])?;
    expect_end(scene, run).await
}

/// Sessions of the application whose statements take their time.
struct Sleepers {
    tasks: JoinSet<Result<()>>,
    ended: Arc<AtomicBool>,
}

impl Sleepers {
    async fn start(database: &Database, count: usize, seconds: &str) -> Result<Self> {
        let (mut tasks, ended) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for _ in 0..count {
            let (mut client, ended) = (database.connect().await?, Arc::clone(&ended));
            let sleep = format!("SELECT SLEEP({seconds})");
            tasks.spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    client.rows(&sleep).await?;
                }
                client.close().await
            });
        }
        Ok(Self { tasks, ended })
    }

    /// Ends them; a statement that still runs is left to the server.
    async fn stop(mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let wait = async { while self.tasks.join_next().await.is_some() {} };
        let _longest = tokio::time::timeout(Duration::from_secs(30), wait).await;
    }
}

async fn slowdown() -> Result<()> {
    let server = Server::private("guard-slowdown", &[])?;
    let shape = Shape { rows: 20_000, ..Shape::default() };
    let mut scene = Scene::on(server.server(), "guard_slowdown", shape).await?;
    let copy = json!({"threads": 2, "chunkTime": "20ms", "maxRowsPerSecond": 200});
    scene.manifest.set(&[("/throttle", json!({"maxSlowdown": "3"})), ("/copy", copy)])?;
    let mut run = scene.run(None)?;
    let measured = |line: &Value| tells(line, "baseline", "measured without the migration");
    let line = run.wait_until("the application is measured", RUN, measured).await?;
    ensure!(line["rowsCopied"] == 0, "it copied before it knew the application: {line}");
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(0);
    run.wait_until("rows are copied", RUN, copied).await?;
    let sleepers = Sleepers::start(&scene.database, 8, "0.1").await?;
    let slow = |line: &Value| tells(line, "maxSlowdown", "goes at 10 % of one thread");
    let line = run.wait_until("it goes at its lowest speed", RUN, slow).await?;
    let rows = |line: &Value| line["rowsCopied"].as_u64().unwrap_or_default();
    let before = rows(&line);
    run.wait_until("it goes on all the same", RUN, |line| rows(line) > before).await?;
    sleepers.stop().await;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    expect_end(scene, run).await
}

/// Paused under load, with a server that purges what it may: what is needed later is never among it, also
/// when another process goes on.
async fn long_pause() -> Result<()> {
    let server = Server::private("guard-pause", &[])?;
    let mut scene = Scene::on(server.server(), "guard_pause", Shape::default()).await?;
    let mut run = begin(&mut scene, json!({}))?;
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(0);
    run.wait_until("rows are copied", RUN, copied).await?;
    scene.manifest.set(&[("/paused", json!(true))])?;
    let paused = |line: &Value| line["waitingFor"].to_string().contains("paused");
    let begun = run.wait_until("it is paused", RUN, paused).await?;
    let mut root = scene.database.connect().await?;
    let first = root.texts("SHOW BINARY LOGS").await?.first().cloned();
    let end = Instant::now() + settings::pause(PAUSE);
    while Instant::now() < end {
        scene.registers.wait_for_more(200).await?;
        root.exec("FLUSH BINARY LOGS").await?;
        root.exec("PURGE BINARY LOGS BEFORE NOW() - INTERVAL 3 SECOND").await?;
    }
    let left = root.texts("SHOW BINARY LOGS").await?;
    ensure!(!left.iter().any(|file| Some(file) == first.as_ref()), "void: nothing was purged");
    root.close().await?;
    let last = run.last_line().context("it tells nothing")?;
    ensure!(last["rowsCopied"] == begun["rowsCopied"], "it copied while paused: {begun} {last}");
    run.signal("TERM")?;
    run.wait(RUN).await?;
    scene.manifest.set(&[("/paused", json!(false)), ("/copy/maxRowsPerSecond", json!(0))])?;
    let run = scene.run(None)?;
    expect_end(scene, run).await
}
