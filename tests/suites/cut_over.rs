//! Cut-overs that are disturbed: at a random moment after the stage was entered the worker or one of its
//! sessions is killed, or nothing happens. No acknowledged write may be lost and none invented, what the
//! product tells must be what the table's id says, and a migration swaps once.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::client::literal;
use crate::support::ghostship::{Ended, Ghostship};
use crate::support::random::{Random, seed};
use crate::support::scene::{RUN, Scene, Shape, last_line};
use crate::support::server::Flavour;
use crate::support::settings::runs;
use crate::support::wait::let_time_pass;

/// Cut-overs of one test, and tests of one server in an ordinary run.
const CUT_OVERS: u64 = 8;
/// The latest moment of a disturbance after the stage was entered.
const LATEST_MICROS: i64 = 120_000;

/// Changes that need a copy and undo each other.
const ALTERS: [&str; 2] = ["MODIFY tag VARCHAR(60) NOT NULL", "MODIFY tag VARCHAR(50) NOT NULL"];

/// What happens to a cut-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    KillWorker,
    KillSession,
}

/// So many tests of [`CUT_OVERS`] each.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for number in 0..runs(5) {
        let flavour = if number % 5 == 3 { Flavour::Plain } else { Flavour::Gtid };
        let name = format!("cut_over::kills::{}::{number}", flavour.as_str());
        trials.push(super::trial(name, move || disturbed(number, flavour)));
    }
    trials
}

async fn disturbed(number: u64, flavour: Flavour) -> Result<()> {
    let seed = seed().wrapping_add(number * 7919);
    eprintln!("cut_over {number}: seed {seed}");
    let mut random = Random::new(seed);
    let shape = Shape { rows: 200, unique: number % 2 == 1, writers: 4 };
    let mut scene = Scene::shared(&format!("cutover_{number}"), flavour, shape).await?;
    scene.manifest.set(&[("/oldTable", json!({"retain": "0s"})), ("/copy", json!({}))])?;
    let mut fired = [0u32; 3];
    for (round, alter) in (1..=CUT_OVERS).zip(ALTERS.iter().cycle()) {
        scene.manifest.rename(&format!("migration-{round}"), alter)?;
        let fault = [Fault::Nothing, Fault::KillWorker, Fault::KillWorker, Fault::KillSession]
            [random.below(4)];
        fired[fault as usize] += u32::from(migrate(&scene, fault, &mut random).await?);
        scene.registers.compare(&scene.database).await.with_context(|| format!("round {round}"))?;
    }
    eprintln!("cut_over {number}: undisturbed, workers killed, sessions killed: {fired:?}");
    let ledger = scene.ledger().await?;
    let completed = u64::try_from(ledger.iter().filter(|one| *one == "Completed").count())?;
    ensure!(completed == CUT_OVERS, "{CUT_OVERS} cut-overs left {completed} entries");
    let helpers = scene.helpers().await?;
    ensure!(helpers.is_empty(), "tables are left over: {helpers:?}");
    scene.end().await
}

/// One migration until it is done; answers whether the fault met a run that was still there.
async fn migrate(scene: &Scene, fault: Fault, random: &mut Random) -> Result<bool> {
    let before = scene.id().await?;
    let mut run = scene.run(None)?;
    run.wait_for("CutOver", RUN).await?;
    // The moment is what is tried: it follows from the seed.
    let moment = u64::try_from(random.between(0, LATEST_MICROS))?;
    let_time_pass(Duration::from_micros(moment)).await;
    let fired = strike(scene, &run, fault, random).await?;
    let mut ended = run.wait(RUN).await?;
    let mut swapped_at = None;
    for _ in 0..5 {
        let id = scene.id().await?;
        if id != before {
            let first = *swapped_at.get_or_insert(id);
            ensure!(first == id, "the table was swapped twice: {before}, {first}, {id}");
        }
        expect_truth(&ended, id != before)?;
        if ended.code == Some(0) {
            return Ok(fired);
        }
        ensure!(ended.signal == Some(9), "a run failed by itself\n{}", ended.words());
        ended = scene.run(None)?.wait(RUN).await?;
    }
    bail!("five runs did not finish\n{}", ended.words())
}

/// What is told must be what the table's id says.
fn expect_truth(ended: &Ended, swapped: bool) -> Result<()> {
    let line = last_line(ended);
    let told = ended.code == Some(0) && line["type"] == "outcome";
    ensure!(ended.code != Some(0) || told, "success without an outcome\n{}", ended.words());
    ensure!(!told || swapped, "success is told and the table is the old one\n{}", ended.words());
    let denied = line["kept"].as_str().is_some_and(|kept| kept.contains("untouched"));
    ensure!(!denied || !swapped, "the swap is denied\n{}", ended.words());
    Ok(())
}

async fn strike(scene: &Scene, run: &Ghostship, fault: Fault, random: &mut Random) -> Result<bool> {
    match fault {
        Fault::Nothing => Ok(true),
        Fault::KillWorker => Ok(run.signal("KILL").is_ok()),
        Fault::KillSession => {
            let mut client = scene.database.connect().await?;
            let ids = client
                .texts(&format!(
                    "SELECT ID FROM performance_schema.processlist WHERE USER = {}",
                    literal(&scene.database.account)
                ))
                .await?;
            let Some(id) = ids.get(random.below(ids.len())) else { return Ok(false) };
            // A session that is gone by now is a disturbance that came too late.
            let killed = client.try_exec(&format!("KILL {id}")).await.is_ok();
            client.close().await?;
            Ok(killed)
        }
    }
}
