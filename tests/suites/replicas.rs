//! Two replicas that are watched, of which one falls behind, dies, or cannot be read: it is named, seen
//! soon, and holds the migration until it is well again for some time. And probes that answer by turns,
//! which do not switch the copy on and off.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::bystander::Bystander;
use crate::support::caller::Caller;
use crate::support::ghostship::Ghostship;
use crate::support::relay::Relay;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{Flavour, Server};
use crate::support::strain::{Replicated, expect_standstill, gate, number, tells};

/// The limit of these tests.
const LIMIT: Duration = Duration::from_millis(1500);
/// Time between two heartbeats: so much earlier than the next one a replica may stop.
const BEAT: Duration = Duration::from_millis(500);
/// How soon a lag is seen after it has crossed the limit.
const SOON: Duration = Duration::from_secs(1);
/// How soon a replica that is gone has been missed three times.
const MISSED: Duration = Duration::from_secs(2);
/// Round trips between a look and what is told of it.
const ROUND_TRIPS: u32 = 3;
/// Rows per second of a copy that outlasts what is tried.
const SPEED: u64 = 300;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("replicas::one_of_two_falls_behind".to_owned(), behind),
        super::trial("replicas::one_of_two_is_killed".to_owned(), killed),
        super::trial("replicas::one_of_two_cannot_be_read".to_owned(), unreadable),
        super::trial("replicas::one_of_two_does_not_answer".to_owned(), frozen),
        super::trial("replicas::a_replica_that_answers_by_turns".to_owned(), replica_by_turns),
        super::trial("replicas::a_query_that_answers_by_turns".to_owned(), query_by_turns),
    ]
}

/// Two replicas in view of a copy that may lag by [`LIMIT`].
async fn two(label: &str) -> Result<(Replicated, Ghostship, Caller)> {
    let mut place = Replicated::lay_out(label, 2, &json!({})).await?;
    let limit = json!({"maxLag": format!("{}ms", LIMIT.as_millis())});
    let (run, caller) = place.begin(limit, SPEED).await?;
    Ok((place, run, caller))
}

/// How long after `began` this replica came to hold the migration.
async fn held_after(caller: &Caller, began: Timestamp, name: &str) -> Result<Duration> {
    let named = |it: &Value| tells(it, "maxLag", name);
    let held = caller.wait_for("the replica is named", RUN, named).await?;
    let mut reasons = held["throttled"].as_array().into_iter().flatten();
    let reason = reasons.find(|one| one["signal"] == "maxLag");
    let since = reason.and_then(|one| one["since"].as_str()).context("it says not since when")?;
    let after = since.parse::<Timestamp>()?.duration_since(began);
    Ok(Duration::try_from(after).unwrap_or_default())
}

/// Fails when it took longer than `limit`, and what a busy machine makes everybody wait.
async fn expect_soon(
    place: &Replicated,
    bystander: Bystander,
    (after, limit): (Duration, Duration),
) -> Result<()> {
    let longest = bystander.longest()?;
    eprintln!("held after {after:?}, the limit is {limit:?}, a bystander waited {longest:?}");
    ensure!(after <= limit + longest * ROUND_TRIPS, "it was held only after {after:?}");
    bystander.end(&place.scene.database).await
}

/// The first replica alone is told with these words, and nothing goes on but applying.
async fn expect_named(place: &mut Replicated, run: &mut Ghostship, words: &str) -> Result<Value> {
    let (one, other) = (place.name(0)?, place.name(1)?);
    let named = |line: &Value| tells(line, "maxLag", &one) && tells(line, "maxLag", words);
    let held = run.wait_until("the replica is named", RUN, named).await?;
    ensure!(!tells(&held, "maxLag", &other), "the other one is named as well: {held}");
    let later = expect_standstill(&mut place.scene, run).await?;
    ensure!(named(&later) && later["phase"] == "RowCopy", "void: it is no longer held: {later}");
    Ok(later)
}

async fn behind() -> Result<()> {
    let (mut place, mut run, caller) = two("replicas_behind").await?;
    let bystander = Bystander::start(&place.scene.database).await?;
    let stopped = Timestamp::now();
    place.on(0, &["STOP REPLICA SQL_THREAD"]).await?;
    let after = held_after(&caller, stopped, &place.name(0)?).await?;
    ensure!(after >= LIMIT / 2, "void: it was held {after:?} after the stop");
    expect_soon(&place, bystander, (after, LIMIT + BEAT + SOON)).await?;
    let later = expect_named(&mut place, &mut run, "s behind, more than maxLag of 1.5 s").await?;
    let lag = later["replicaLag"].as_f64().unwrap_or_default();
    ensure!(lag >= LIMIT.as_secs_f64(), "it is held, and the lag is {lag} s");
    place.on(0, &["START REPLICA SQL_THREAD"]).await?;
    place.expect_end(run).await
}

async fn killed() -> Result<()> {
    let (mut place, mut run, caller) = two("replicas_killed").await?;
    let bystander = Bystander::start(&place.scene.database).await?;
    place.replicas[0].kill()?;
    let gone = Timestamp::now();
    let after = held_after(&caller, gone, &place.name(0)?).await?;
    expect_soon(&place, bystander, (after, MISSED)).await?;
    expect_named(&mut place, &mut run, "cannot be read").await?;
    place.replicas[0].restart()?;
    place.expect_end(run).await
}

/// It serves reads to everybody else, and the account may no longer read the heartbeats.
async fn unreadable() -> Result<()> {
    let (mut place, mut run, _caller) = two("replicas_unreadable").await?;
    let account = format!("'{}'@'%'", place.scene.database.account);
    let as_owner = ["SET GLOBAL super_read_only = OFF", "SET SESSION sql_log_bin = 0"];
    let revoke = format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}");
    place.on(0, &[as_owner[0], as_owner[1], &revoke]).await?;
    // What an account had when it connected, it keeps as long as it is connected.
    let ended = place.end_sessions(0).await?;
    ensure!(ended > 0, "void: nobody reads the replica");
    expect_named(&mut place, &mut run, "a privilege is missing").await?;
    let grant = format!("GRANT ALL PRIVILEGES ON *.* TO {account}");
    place.on(0, &[as_owner[0], as_owner[1], &grant]).await?;
    place.expect_end(run).await
}

/// Its process stands still: connections stay open, and nothing comes. The other one falls behind
/// meanwhile, which is seen as soon as ever.
async fn frozen() -> Result<()> {
    let (mut place, mut run, caller) = two("replicas_frozen").await?;
    let frozen = place.replicas[0].pid()?.to_string();
    signal("STOP", &frozen)?;
    let seen = other_falls_behind(&mut place, &mut run, &caller).await;
    signal("CONT", &frozen)?;
    seen?;
    place.expect_end(run).await
}

async fn other_falls_behind(
    place: &mut Replicated,
    run: &mut Ghostship,
    caller: &Caller,
) -> Result<()> {
    let bystander = Bystander::start(&place.scene.database).await?;
    let stopped = Timestamp::now();
    place.on(1, &["STOP REPLICA SQL_THREAD"]).await?;
    let after = held_after(caller, stopped, &place.name(1)?).await?;
    expect_soon(place, bystander, (after, LIMIT + BEAT + SOON)).await?;
    place.on(1, &["START REPLICA SQL_THREAD"]).await?;
    let (one, other) = (place.name(0)?, place.name(1)?);
    let alone = |line: &Value| tells(line, "maxLag", &one) && !tells(line, "maxLag", &other);
    run.wait_until("the frozen one alone is named", RUN, alone).await?;
    expect_named(place, run, "it did not answer in time").await.map(drop)
}

fn signal(name: &str, pid: &str) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), pid]).status()?;
    ensure!(status.success(), "SIG{name} was not delivered to {pid}");
    Ok(())
}

/// A probe behind a relay, and how it is told about.
struct Flapping {
    relay: Relay,
    signal: &'static str,
    /// Questions that are answered and cut off by turns: first some, then longer.
    questions: (u64, u64),
}

impl Flapping {
    /// Two misses in a row hold nothing, three do, and three answers in a row do not release: there is
    /// one hold, from the first three misses until the answers last.
    async fn prove(self, scene: &mut Scene, mut run: Ghostship) -> Result<()> {
        let (few, many) = self.questions;
        let held = |line: &Value| tells(line, self.signal, "cannot be read");
        self.relay.take_turns(3, 2);
        self.relay.wait_for_questions(few, RUN).await?;
        let line = run.next_line(RUN).await?;
        ensure!(line["phase"] == "RowCopy" && !held(&line), "two misses hold it: {line}");
        self.relay.take_turns(0, 1);
        run.wait_until("three misses hold it", RUN, held).await?;
        self.relay.take_turns(3, 1);
        expect_standstill(scene, &mut run).await?;
        self.relay.wait_for_questions(many, RUN).await?;
        let line = run.next_line(RUN).await?;
        ensure!(held(&line), "three answers in a row release it: {line}");
        self.relay.take_turns(1, 0);
        let ended = run.wait(RUN).await?;
        expect_code(&ended, 0)?;
        expect_one_hold(&ended.lines, held)
    }
}

/// The lines in which it is held are one stretch, in which no row is copied.
fn expect_one_hold(lines: &[Value], held: impl Fn(&Value) -> bool) -> Result<()> {
    let lines: Vec<&Value> = lines.iter().filter(|line| line["type"] == "progress").collect();
    let stretches: Vec<&[&Value]> = lines.chunk_by(|one, next| held(one) == held(next)).collect();
    let holds: Vec<_> = stretches.iter().filter(|part| held(part[0])).collect();
    ensure!(holds.len() == 1, "it was held {} times", holds.len());
    // The counters of the first line may be of before, and chunks that were under way end.
    let copied: Vec<u64> = holds[0].iter().skip(2).map(|line| number(line, "rowsCopied")).collect();
    ensure!(copied.len() > 2, "void: it was held for {} lines", copied.len() + 2);
    ensure!(copied.first() == copied.last(), "it copied while it was held: {copied:?}");
    Ok(())
}

async fn replica_by_turns() -> Result<()> {
    let mut place = Replicated::lay_out("replicas_turns", 1, &json!({})).await?;
    let relay = Relay::start(place.replicas[0].server(), "kind = 'heartbeat'").await?;
    let (host, port) = relay.address();
    place
        .scene
        .manifest
        .set_target(&[("/controlReplicas", json!([{"host": host, "port": port}]))])?;
    let (run, _caller) = place.begin(json!({"maxLag": "60s"}), SPEED).await?;
    let flapping = Flapping { relay, signal: "maxLag", questions: (15, 24) };
    flapping.prove(&mut place.scene, run).await?;
    place.expect_completed().await
}

async fn query_by_turns() -> Result<()> {
    let server = Server::shared(Flavour::Gtid)?;
    let mut scene = Scene::on(server, "replicas_query", Shape::default()).await?;
    let administrator = gate(&mut scene).await?;
    administrator.close().await?;
    let relay = Relay::start(server, ".closed").await?;
    let (host, port) = relay.address();
    scene.manifest.set_target(&[("/host", json!(host)), ("/port", json!(port))])?;
    let slow = json!({"threads": 1, "chunkTime": "200ms", "maxRowsPerSecond": 150});
    scene.manifest.set(&[("/copy", slow)])?;
    let mut run = scene.run(None)?;
    let begun = |line: &Value| number(line, "rowsCopied") > 0;
    run.wait_until("rows are copied", RUN, begun).await?;
    Flapping { relay, signal: "query", questions: (5, 8) }.prove(&mut scene, run).await?;
    scene.expect_completed().await
}
