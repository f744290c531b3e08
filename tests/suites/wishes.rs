//! What a user may ask for in every stage: to leave (SIGTERM), to panic, to abort, to pause, and another
//! speed. The process is frozen at a point of the stage, asked, and let go on, so that the wish meets
//! exactly that stage.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::ghostship::Ended;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::Flavour;

/// One point of each stage.
const STAGES: [&str; 9] = [
    "prepare.control.before",
    "prepare.shadow.after",
    "chunk.begin",
    "state.CatchUp.after",
    "verify.range",
    "state.AwaitCutOver.after",
    "cutover.locked",
    "cutover.rename.send",
    "cleanup.begin",
];

/// From here on the swap is under way and is finished.
const TOO_LATE: [&str; 2] = ["cutover.rename.send", "cleanup.begin"];

/// How long a run may take to leave, and how long after panic was saved.
const LEAVE: Duration = Duration::from_secs(10);
const PANIC: Duration = Duration::from_millis(1500);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Leave,
    Panic,
    Abort,
}

/// One test per wish and stage, and two for the others.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for wish in [Wish::Leave, Wish::Panic, Wish::Abort] {
        for stage in STAGES {
            let name = format!("wishes::{wish:?}::{stage}");
            trials.push(super::trial(name, move || asked(wish, stage)));
        }
    }
    trials.push(super::trial("wishes::pause_holds_the_copy".to_owned(), pause));
    trials.push(super::trial("wishes::speed_changes_at_once".to_owned(), speed));
    trials
}

async fn asked(wish: Wish, stage: &'static str) -> Result<()> {
    let label = format!("wishes_{wish:?}_{stage}");
    let mut scene = Scene::shared(&label, Flavour::Gtid, Shape::default()).await?;
    let run = scene.run(Some(&format!("{stage}=stop")))?;
    run.wait_until_stopped(RUN).await?;
    match wish {
        Wish::Leave => run.signal("TERM")?,
        Wish::Panic => scene.manifest.set(&[("/panic", json!(true))])?,
        Wish::Abort => scene.manifest.set(&[("/abort", json!(true))])?,
    }
    run.signal("CONT")?;
    let began = Instant::now();
    let ended = run.wait(RUN).await?;
    let took = began.elapsed();
    // Next to the swap the wish and the RENAME race; the table's id tells who came first.
    if ended.code == Some(0) {
        let raced = TOO_LATE.contains(&stage) || stage.starts_with("cutover.");
        ensure!(raced, "the wish was not honoured\n{}", ended.words());
        return scene.expect_completed().await;
    }
    ensure!(!scene.is_swapped().await?, "swapped, and yet\n{}", ended.words());
    match wish {
        Wish::Leave => left(scene, &ended, took).await,
        Wish::Panic => panicked(scene, &ended, took).await,
        Wish::Abort => {
            expect_code(&ended, 5)?;
            scene.expect_untouched().await
        }
    }
}

async fn left(scene: Scene, ended: &Ended, took: Duration) -> Result<()> {
    expect_code(ended, 4)?;
    ensure!(took < LEAVE, "it took {took:?} to leave");
    scene.completes().await.context("the run that continues")?;
    scene.expect_completed().await
}

async fn panicked(mut scene: Scene, ended: &Ended, took: Duration) -> Result<()> {
    expect_code(ended, 6)?;
    ensure!(took < PANIC, "it took {took:?} to stop");
    let helpers = scene.helpers().await?;
    scene.manifest.set(&[("/panic", json!(false))])?;
    scene.completes().await.with_context(|| format!("after panic left {helpers:?}"))?;
    scene.expect_completed().await
}

fn copied(line: &Value) -> u64 {
    line["rowsCopied"].as_u64().unwrap_or_default()
}

async fn pause() -> Result<()> {
    let shape = Shape { rows: 8000, ..Shape::default() };
    let mut scene = Scene::shared("wishes_pause", Flavour::Gtid, shape).await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(1000))])?;
    let mut run = scene.run(None)?;
    run.wait_until("some rows are copied", RUN, |line| copied(line) > 0).await?;
    scene.manifest.set(&[("/paused", json!(true))])?;
    let paused =
        |line: &Value| line["waitingFor"].as_str().is_some_and(|text| text.contains("paused"));
    let shown = run.wait_until("it is paused", RUN, paused).await?;
    let applied = |line: &Value| line["keysApplied"].as_u64().unwrap_or_default();
    // The counters are sampled now and then: those of the first line may be of before.
    let later = |line: &Value| applied(line) > applied(&shown);
    let first = run.wait_until("keys are applied in the pause", RUN, later).await?;
    scene.registers.wait_for_more(300).await?;
    let more = |line: &Value| applied(line) > applied(&first);
    let second = run.wait_until("more keys are applied in the pause", RUN, more).await?;
    ensure!(copied(&first) == copied(&second), "rows were copied in the pause: {first} {second}");
    ensure!(second["phase"] == "RowCopy", "the pause did not meet the copy: {second}");
    scene.manifest.set(&[("/paused", json!(false)), ("/copy/maxRowsPerSecond", json!(0))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn speed() -> Result<()> {
    let shape = Shape { rows: 8000, ..Shape::default() };
    let mut scene = Scene::shared("wishes_speed", Flavour::Gtid, shape).await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(50))])?;
    let mut run = scene.run(None)?;
    let slow = |line: &Value| line["phase"] == "RowCopy" && copied(line) > 0;
    run.wait_until("the slow copy is under way", RUN, slow).await?;
    // At the old speed the rest would take more than two minutes.
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}
