//! `ghostship run --notify` on a real server: what happens is told once each, and the secrets of the file are
//! in no output at the highest log level, not in the arguments and not in the environment.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{KEY, OK, Settings, TOKEN, expect_signed, webhook};
use crate::support::ghostship::Ghostship;
use crate::support::receiver::{Manner, Receiver};
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::Flavour;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        super::super::trial("notify::a_run_tells_its_life_once".into(), life),
        super::super::trial("notify::a_run_tells_that_it_failed".into(), failure),
        super::super::trial("notify::a_wrong_file_stops_a_run".into(), wrong_file),
    ]
}

fn expect_silent(said: &str) -> Result<()> {
    for secret in [TOKEN, KEY] {
        let line = said.lines().find(|line| line.contains(secret));
        ensure!(line.is_none(), "a secret was said: {line:?}");
    }
    Ok(())
}

async fn life() -> Result<()> {
    let shape = Shape { rows: 8000, ..Shape::default() };
    let mut scene = Scene::shared("notify_life", Flavour::Gtid, shape).await?;
    let receiver = Receiver::start(OK).await?;
    let broken = Receiver::start(Manner::Answer(500, TOKEN)).await?;
    let settings = Settings::new(&json!({
        "receivers": [webhook("one", &receiver), webhook("broken", &broken)],
        "rules": {"longPause": "1s", "settle": "100ms"},
    }))?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(1000))])?;
    let path = settings.path().to_string_lossy().into_owned();
    let more = ["--log-level", "trace", "--notify", &path];
    let mut run = Ghostship::run_with(&scene.manifest, None, &more)?;
    let copied = |line: &Value| line["rowsCopied"].as_u64().is_some_and(|rows| rows > 0);
    run.wait_until("some rows are copied", RUN, copied).await?;
    receiver.wait_for("Started Happened").await?;
    scene.manifest.set(&[("/paused", json!(true))])?;
    receiver.wait_for("LongPause Begins").await?;
    for file in ["cmdline", "environ"] {
        expect_silent(&std::fs::read_to_string(format!("/proc/{}/{file}", run.pid()))?)?;
    }
    scene.manifest.set(&[("/paused", json!(false))])?;
    // An end would silence it.
    receiver.wait_for("LongPause Ends").await?;
    scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 0)?;
    let expected = ["Started Happened", "LongPause Begins", "LongPause Ends", "Succeeded Happened"];
    ensure!(receiver.told() == expected, "{:?}", receiver.told());
    receiver.got().iter().try_for_each(expect_signed)?;
    ensure!(!broken.got().is_empty(), "the broken one was not asked");
    ensure!(ended.stderr.contains("TRACE"), "void: the log is not at its highest level");
    expect_silent(&ended.stderr)?;
    expect_silent(&format!("{:?}", ended.lines))?;
    scene.expect_completed().await
}

async fn failure() -> Result<()> {
    let mut scene = Scene::shared("notify_failure", Flavour::Gtid, Shape::default()).await?;
    let receiver = Receiver::start(OK).await?;
    let settings = Settings::new(&json!({"receivers": [webhook("one", &receiver)]}))?;
    scene.manifest.set(&[("/alter", json!("ADD COLUMN tag INT NULL"))])?;
    let path = settings.path().to_string_lossy().into_owned();
    let run = Ghostship::run_with(&scene.manifest, None, &["--notify", &path])?;
    expect_code(&run.wait(RUN).await?, 3)?;
    let told = receiver.told();
    ensure!(told.last().is_some_and(|last| last == "Failed Happened"), "{told:?}");
    scene.expect_untouched().await
}

async fn wrong_file() -> Result<()> {
    let scene = Scene::shared("notify_wrong", Flavour::Gtid, Shape::default()).await?;
    let settings = Settings::new(&json!({"receivers": [{"name": "one", "url": TOKEN}]}))?;
    let path = settings.path().to_string_lossy().into_owned();
    let run = Ghostship::run_with(&scene.manifest, None, &["--notify", &path])?;
    let ended = run.wait(RUN).await?;
    expect_code(&ended, 2)?;
    ensure!(ended.stderr.contains("receivers[0].kind is missing"), "{}", ended.stderr);
    expect_silent(&ended.stderr)?;
    scene.expect_untouched().await
}
