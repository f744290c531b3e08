//! Two workers: one is frozen at a named point, the same command is started again and takes over, and
//! the first one wakes. It must end by itself, without having written anything under its old epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::client::{Client, text};
use crate::support::database::Database;
use crate::support::ghostship::{Ended, Ghostship};
use crate::support::random::{Random, seed};
use crate::support::scene::{RUN, Scene, Shape, expect_code, last_line};
use crate::support::server::Flavour;
use crate::support::settings::runs;
use crate::support::wait::let_time_pass;

/// When the frozen worker wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wakes {
    /// While its successor waits for permission to cut over.
    Beside,
    /// After its successor has finished.
    After,
}

/// Where the first worker is frozen, at which hit, and when it wakes.
const POINTS: [(&str, u64, Wakes); 21] = [
    ("prepare.control.before", 0, Wakes::Beside),
    ("prepare.control.before", 0, Wakes::After),
    ("fence.found.before", 0, Wakes::Beside),
    ("fence.found.before", 0, Wakes::After),
    ("fence.found.after", 0, Wakes::Beside),
    ("prepare.control.after", 0, Wakes::Beside),
    ("prepare.shadow.after", 0, Wakes::Beside),
    ("prepare.positioned", 0, Wakes::After),
    ("chunk.fenced", 1, Wakes::Beside),
    ("chunk.recorded", 1, Wakes::Beside),
    ("chunk.committed", 1, Wakes::After),
    ("apply.fenced", 2, Wakes::Beside),
    ("apply.positioned", 2, Wakes::After),
    ("heartbeat.begin", 1, Wakes::Beside),
    ("state.Verify.before", 0, Wakes::Beside),
    ("cutover.lock.send", 0, Wakes::Beside),
    ("cutover.locked", 0, Wakes::Beside),
    ("cutover.rename.send", 0, Wakes::Beside),
    ("cutover.rename.send", 0, Wakes::After),
    ("cutover.recorded", 0, Wakes::After),
    ("cleanup.old", 0, Wakes::After),
];

/// Where the worker was killed whose beginning two others find, if there was one, and the point from which
/// both go on at the same moment.
const MEETINGS: [(Option<&str>, &str); 4] = [
    (None, "prepare.control.before"),
    (Some("prepare.control.after"), "prepare.control.before"),
    (Some("prepare.shadow.after"), "fence.bump.before"),
    (Some("chunk.committed"), "fence.bump.before"),
];

/// The latest moment of a freeze after the copy began.
const LATEST_MILLIS: i64 = 2000;

/// One test per point, and in a long run so many times each.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for round in 0..runs(1) {
        for (point, skip, wakes) in POINTS {
            let name = format!("take_over::{wakes:?}::{point}@{skip}#{round}");
            trials.push(super::trial(name.clone(), move || take_over(name, (point, skip), wakes)));
        }
    }
    for number in 0..runs(4) {
        let name = format!("take_over::Random::{number}");
        trials.push(super::trial(name.clone(), move || at_random(name, number)));
    }
    for number in 0..runs(4) {
        let name = format!("take_over::Together::{number}");
        trials.push(super::trial(name.clone(), move || together(name, number)));
    }
    trials.push(super::trial("take_over::Aborted".to_owned(), aborted));
    trials.push(super::trial("take_over::Forgetting".to_owned(), forgetting));
    trials
}

/// Two workers are started at once, and in every other round meet at a point: one of them makes the
/// migration, the other one ends.
async fn together(name: String, number: u64) -> Result<()> {
    let shape = Shape { unique: number % 2 == 1, ..Shape::default() };
    let scene = Scene::shared(&name, Flavour::Gtid, shape).await?;
    let (left, meeting) = MEETINGS[usize::try_from(number % 4)?];
    if let Some(point) = left {
        scene.killed_at(&format!("{point}=kill")).await?;
    }
    let point = (number / 4).is_multiple_of(2).then(|| format!("{meeting}=stop"));
    let (one, two) = (scene.run(point.as_deref())?, scene.run(point.as_deref())?);
    if point.is_some() {
        for run in [&one, &two] {
            run.wait_until_stopped(RUN).await?;
        }
        for run in [&one, &two] {
            run.signal("CONT")?;
        }
    }
    let (one, two) = tokio::join!(one.wait(RUN), two.wait(RUN));
    let ended = [one?, two?];
    let completed = |ended: &&Ended| last_line(ended)["outcome"] == "Completed";
    ensure!(
        ended.iter().filter(completed).count() == 1,
        "not one of the two completed:\n{}\n{}",
        ended[0].words(),
        ended[1].words()
    );
    for other in ended.iter().filter(|ended| !completed(ended)) {
        expect_superseded(other, Wakes::After)?;
    }
    scene.expect_completed().await
}

/// The migration is aborted and begun anew while the first worker is frozen before it uses a new session:
/// the epoch that it holds is never given again, so that it writes nothing into the new tables.
async fn aborted() -> Result<()> {
    let mut scene = Scene::shared("take_over::Aborted", Flavour::Gtid, Shape::default()).await?;
    let first = scene.run(Some("session.before=stop@2"))?;
    first.wait_until_stopped(RUN).await?;
    let held = epoch(&scene).await?;
    scene.manifest.set(&[("/abort", json!(true))])?;
    expect_code(&scene.run(None)?.wait(RUN).await?, 5)?;
    scene.manifest.set(&[("/abort", json!(false)), ("/postponeCutOver", json!(true))])?;
    let mut second = scene.run(None)?;
    second.wait_for("AwaitCutOver", RUN).await?;
    let now = epoch(&scene).await?;
    ensure!(now > held, "the epoch {held} is followed by {now}");
    first.signal("CONT")?;
    let first = first.wait(RUN).await.context("the first worker, woken")?;
    expect_superseded(&first, Wakes::Beside)?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    expect_code(&second.wait(RUN).await?, 0)?;
    let ledger = scene.ledger().await?;
    ensure!(ledger == ["Aborted", "Completed"], "the ledger has {ledger:?}");
    scene.end().await
}

async fn epoch(scene: &Scene) -> Result<u64> {
    let mut client = scene.database.connect().await?;
    let epochs = client.texts("SELECT epoch FROM t_ghc WHERE kind = 'fence'").await?;
    client.close().await?;
    epochs.first().context("there is no fence")?.parse().context("no number")
}

/// A worker is frozen while it drops what a killed one began: the server takes the lock from it.
async fn forgetting() -> Result<()> {
    let scene = Scene::shared("take_over::Forgetting", Flavour::Gtid, Shape::default()).await?;
    scene.killed_at("prepare.control.after=kill").await?;
    let first = scene.run(Some("beginning.drop=stop"))?;
    first.wait_until_stopped(RUN).await?;
    scene.completes().await?;
    first.signal("CONT")?;
    let first = first.wait(RUN).await.context("the first worker, woken")?;
    expect_superseded(&first, Wakes::After)?;
    scene.expect_completed().await
}

/// The first worker is frozen from outside, wherever it happens to be.
async fn at_random(name: String, number: u64) -> Result<()> {
    let seed = seed().wrapping_add(number * 7919);
    eprintln!("{name}: seed {seed}");
    let shape = Shape { unique: number % 2 == 1, ..Shape::default() };
    let mut scene = Scene::shared(&name, Flavour::Gtid, shape).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
    let mut first = scene.run(None)?;
    first.wait_for("RowCopy", RUN).await?;
    // The moment is what is tried: it follows from the seed.
    let moment = u64::try_from(Random::new(seed).between(0, LATEST_MILLIS))?;
    let_time_pass(Duration::from_millis(moment)).await;
    first.signal("STOP")?;
    first.wait_until_stopped(RUN).await?;
    let epochs = Epochs::watch(&scene.database).await?;
    let (first, second) = woken_beside(&mut scene, first).await?;
    epochs.stop().await?;
    expect_code(&second, 0).context("the second worker")?;
    expect_superseded(&first, Wakes::Beside)?;
    scene.expect_completed().await
}

/// Starts a second worker whose cut-over is postponed, wakes the frozen first one beside it and then lets
/// the cut-over happen. Returns how both ended.
async fn woken_beside(scene: &mut Scene, first: Ghostship) -> Result<(Ended, Ended)> {
    let mut second = scene.run(None)?;
    second.wait_for("AwaitCutOver", RUN).await?;
    first.signal("CONT")?;
    let first = first.wait(RUN).await.context("the first worker, woken")?;
    scene.registers.wait_for_more(50).await?;
    scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    Ok((first, second.wait(RUN).await?))
}

async fn take_over(name: String, (point, skip): (&str, u64), wakes: Wakes) -> Result<()> {
    let mut scene = Scene::shared(&name, Flavour::Gtid, Shape::default()).await?;
    let first = scene.run(Some(&format!("{point}=stop@{skip}")))?;
    first.wait_until_stopped(RUN).await?;
    let epochs = Epochs::watch(&scene.database).await?;
    let (first, second) = match wakes {
        Wakes::Beside => {
            scene.manifest.set(&[("/postponeCutOver", json!(true))])?;
            woken_beside(&mut scene, first).await?
        }
        Wakes::After => {
            let second = scene.run(None)?.wait(RUN).await?;
            first.signal("CONT")?;
            (first.wait(RUN).await.context("the first worker, woken")?, second)
        }
    };
    epochs.stop().await?;
    expect_code(&second, 0).context("the second worker")?;
    expect_superseded(&first, wakes)?;
    scene.expect_completed().await
}

/// A worker that was taken over from says so; one that wakes when all is done may see that instead.
fn expect_superseded(ended: &Ended, wakes: Wakes) -> Result<()> {
    let line = last_line(ended);
    let is_superseded = line["reason"] == "Superseded" && ended.code.is_some_and(|code| code != 0);
    let is_done = ended.code == Some(0) && line["type"] == "outcome";
    ensure!(
        is_superseded || (is_done && wakes == Wakes::After),
        "the first worker did not end as superseded\n{}",
        ended.words()
    );
    Ok(())
}

/// Samples the epochs of the control table's rows: none may ever go back.
struct Epochs {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<u64>>,
}

impl Epochs {
    async fn watch(database: &Arc<Database>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let client = database.connect().await?;
        let task = tokio::task::spawn(sample(client, Arc::clone(&stop)));
        Ok(Self { stop, task })
    }

    /// Fails when an epoch went back, or nothing was seen.
    async fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let samples = self.task.await??;
        ensure!(samples > 0, "no row of the control table was seen");
        Ok(())
    }
}

async fn sample(mut client: Client, stop: Arc<AtomicBool>) -> Result<u64> {
    const MISSING: u16 = 1146;
    let mut newest: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut samples = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while !stop.load(Ordering::SeqCst) {
        ticks.tick().await;
        let rows = client.rows("SELECT kind, id, epoch FROM t_ghc").await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) if is_server_error(&error, MISSING) => {
                // A preparation that is begun again has a control table of its own.
                newest.clear();
                continue;
            }
            Err(error) => return Err(error),
        };
        for row in &rows {
            let (key, epoch) = ((text(row, 0), text(row, 1)), text(row, 2).parse()?);
            let before = newest.insert(key.clone(), epoch);
            if before.is_some_and(|before| before > epoch) {
                bail!("the epoch of {key:?} went back from {before:?} to {epoch}");
            }
            samples += 1;
        }
    }
    client.close().await?;
    Ok(samples)
}

fn is_server_error(error: &anyhow::Error, code: u16) -> bool {
    let server = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(mysql_async::Error::Server(error)) => error.code == code,
        Some(_) | None => false,
    };
    error.chain().any(server)
}
