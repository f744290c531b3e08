//! What people ask of a running migration: pause, speed, cut-over, panic, abort; each takes effect at once.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{EFFECT, End, ROWS, SLOW, STEP, trial, trial_of};
use crate::support::cluster::cluster;
use crate::support::leftovers::sessions;
use crate::support::operator::Operator;
use crate::support::shop::Shop;
use crate::support::wait::{let_time_pass, wait_for};

/// How long a row copy that has stopped is looked at.
const STILL: Duration = Duration::from_secs(3);

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("pause_and_resume", pause_and_resume),
        trial("tuning_takes_effect", tuning),
        trial("postponed_until_it_is_allowed", postponed),
        trial("a_stage_waits_until_somebody_approves", approved),
        trial_of("panic_without_a_controller", || Operator::start("panic"), panic),
        trial("abort_cleans_up", abort),
    ]
}

async fn pause_and_resume(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await?;
    shop.patch("one", &json!({"paused": true}))?;
    let_time_pass(EFFECT).await;
    let held = shop.scene.recorded().await?;
    let_time_pass(STILL).await;
    let later = shop.scene.recorded().await?;
    ensure!(held == later, "paused, and {held} rows became {later}");
    shop.wait_for_reason("one", "Paused", STEP).await?;
    shop.scene.registers.wait_for_more(100).await?;
    shop.patch("one", &json!({"paused": false, "copy": {"maxRowsPerSecond": 0}}))?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}

/// A row copy that would take minutes ends in seconds once its limit is taken away.
async fn tuning(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", 100).0)?;
    shop.wait_until_copying("one", STEP).await?;
    shop.wait_for_reason("one", "Throttled", STEP).await?;
    let_time_pass(STILL).await;
    let slow = shop.scene.recorded().await?;
    ensure!(slow < ROWS / 3, "void: {slow} rows are copied in spite of the limit");
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    let copied = |status: &Value| status["report"]["phase"] != "RowCopy";
    shop.wait_for_status("one", ("to be copied", Duration::from_secs(15)), copied).await?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}

async fn postponed(shop: &mut Shop) -> Result<End> {
    let migration = shop.migration("one", 0).with("/postponeCutOver", json!(true));
    shop.apply(&migration.0)?;
    shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    shop.scene.registers.wait_for_more(500).await?;
    ensure!(!shop.scene.is_swapped().await?, "it did not wait for permission");
    shop.annotate("one", "ghostship.dev/cut-over=allow")?;
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let cut_over = &status["cutOver"];
    ensure!(cut_over["state"] == "Done", "the cut-over is {cut_over}");
    let through = &cut_over["permission"]["through"];
    ensure!(through == "ghostship.dev/cut-over", "permission came through {through}");
    Ok(End::Completed)
}

/// The approval is remembered with its author, and a revert of the annotation changes nothing.
async fn approved(shop: &mut Shop) -> Result<End> {
    let before = json!({"before": ["BeforeCopy", "BeforeCutOver"]});
    shop.apply(&shop.migration("one", 0).with("/approval", before).0)?;
    shop.wait_for_reason("one", "AwaitingApproval", STEP).await?;
    shop.scene.registers.wait_for_more(200).await?;
    ensure!(shop.scene.helpers().await?.is_empty(), "it did not wait for the first approval");
    shop.annotate("one", "ghostship.dev/approve=BeforeCopy")?;
    let at_swap = |status: &Value| status["report"]["hold"]["stage"] == "BeforeCutOver";
    shop.wait_for_status("one", ("to wait at the swap", STEP), at_swap).await?;
    shop.annotate("one", "ghostship.dev/approve-")?;
    shop.scene.registers.wait_for_more(200).await?;
    ensure!(!shop.scene.is_swapped().await?, "it did not wait for the second approval");
    let verb = Command::new(env!("CARGO_BIN_EXE_kubectl-ghostship"))
        .args(["approve", "one", "-n", &shop.namespace])
        .env("KUBECONFIG", cluster()?)
        .output()?;
    ensure!(verb.status.success(), "{}", String::from_utf8_lossy(&verb.stderr));
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let approvals = status["approvals"].as_array().context("nobody is remembered")?;
    let stages: Vec<&Value> = approvals.iter().map(|one| &one["stage"]).collect();
    ensure!(stages == ["BeforeCopy", "BeforeCutOver"], "{approvals:?}");
    for one in approvals {
        ensure!(one["through"] == "ghostship.dev/approve" && one["at"].is_string(), "{one}");
        ensure!(one["by"].as_str().is_some_and(|by| !by.is_empty()), "nobody knows who: {one}");
    }
    ensure!(approvals[1]["by"] == "ghostship-cli", "the verb is not known as who: {approvals:?}");
    Ok(End::Completed)
}

/// The worker ends what it does on the server soon after it was asked to panic.
pub(super) async fn expect_stopped(shop: &Shop, asked: Instant) -> Result<()> {
    let probe = async || {
        let sessions = sessions(&shop.scene.database).await?;
        Ok(if sessions.is_empty() { Ok(()) } else { Err(sessions) })
    };
    wait_for("the worker to stop", STEP, probe).await?;
    let took = asked.elapsed();
    ensure!(took < EFFECT, "the worker stopped only after {took:?}");
    Ok(())
}

/// The worker hears panic by itself and keeps every table; a retry continues.
async fn panic(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await?;
    shop.operator.scale(0)?;
    let helpers = shop.scene.helpers().await?;
    let before = shop.scene.recorded().await?;
    shop.patch("one", &json!({"panic": true}))?;
    let asked = Instant::now();
    expect_stopped(shop, asked).await?;
    let kept = shop.scene.helpers().await?;
    ensure!(kept == helpers && helpers.len() > 1, "of {helpers:?} there are left {kept:?}");
    ensure!(!shop.scene.is_swapped().await?, "panic swapped the tables");
    shop.operator.scale(1)?;
    shop.wait_for_phase("one", "Panicked", STEP).await?;
    let shadow = shop.scene.table_id("t_gho").await?;
    shop.patch(
        "one",
        &json!({"panic": false, "postponeCutOver": true, "copy": {"maxRowsPerSecond": 0}}),
    )?;
    let_time_pass(STILL).await;
    ensure!(shop.phase("one").await? == "Panicked", "setting panic back undid it");
    shop.annotate("one", "ghostship.dev/retry=first")?;
    shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    ensure!(shop.scene.table_id("t_gho").await? == shadow, "the retry began anew");
    ensure!(shop.scene.recorded().await? >= before, "the retry forgot ranges");
    shop.patch("one", &json!({"postponeCutOver": false}))?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}

async fn abort(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await?;
    ensure!(shop.scene.helpers().await?.len() > 1, "void: there is nothing to clean up");
    shop.patch("one", &json!({"abort": true}))?;
    let status = shop.wait_for_phase("one", "Aborted", STEP).await?;
    let ready = condition(&status, "Succeeded").context("no condition Succeeded")?;
    ensure!(ready["status"] == "False", "it is told as {ready}");
    let ledger = shop.scene.ledger().await?;
    ensure!(ledger == ["Aborted"], "the ledger has {ledger:?}");
    Ok(End::Untouched)
}

fn condition<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}
