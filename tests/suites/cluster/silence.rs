//! The API server is silent around the cut-over. Before it begins: the worker swaps nothing until it could
//! read its resource. While the lock is held: the swap takes place or is given up within the lock budget.
//! Later the status tells what happened.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{End, STEP, trial_alone};
use crate::support::processes::{Frozen, Held, Program};
use crate::support::shop::Shop;
use crate::support::wait::{let_time_pass, wait_for};

/// How long the API server is silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long until everything goes on after that.
const RECOVERY: Duration = Duration::from_secs(180);
/// The lock budget of the migrations here: enough to freeze a process meanwhile.
const BUDGET: Duration = Duration::from_secs(4);

pub(super) fn long_trials() -> Vec<Trial> {
    vec![
        trial_alone("api_server_is_silent_before_the_cut_over", before),
        trial_alone("api_server_is_silent_when_it_is_locked", locked),
        trial_alone("api_server_is_silent_when_it_is_given_up", given_up),
    ]
}

async fn before(shop: &mut Shop) -> Result<End> {
    let (held, program) = stand(shop, "state.AwaitCutOver.after").await?;
    let silent = program.freeze()?;
    held.let_go()?;
    expect_nothing_begun(shop, &silent, 0).await?;
    silent.thaw()?;
    expect_told(shop, 1).await?;
    Ok(End::Completed)
}

/// The swap was allowed before the silence began, so it takes place.
async fn locked(shop: &mut Shop) -> Result<End> {
    let (held, program) = stand(shop, "cutover.marked").await?;
    let silent = program.freeze()?;
    held.let_go()?;
    let swapped = async || Ok(if shop.scene.is_swapped().await? { Ok(()) } else { Err("not yet") });
    wait_for("the swap", BUDGET, swapped).await?;
    expect_short_wait(shop).await?;
    let cleaned = async || {
        let ledger = shop.scene.ledger().await?;
        Ok(if ledger == ["Completed"] { Ok(()) } else { Err(ledger) })
    };
    wait_for("the clean-up", STEP, cleaned).await?;
    let_time_pass(SILENCE.saturating_sub(silent.since.elapsed())).await;
    silent.thaw()?;
    expect_told(shop, 1).await?;
    Ok(End::Completed)
}

/// Somebody who reads the table keeps the lock from being taken, and the next attempt would be a new
/// beginning.
async fn given_up(shop: &mut Shop) -> Result<End> {
    let (held, program) = stand(shop, "cutover.lock.send").await?;
    let mut reader = shop.scene.database.connect().await?;
    reader.exec("BEGIN").await?;
    reader.rows("SELECT COUNT(*) FROM t").await?;
    let silent = program.freeze()?;
    held.let_go()?;
    // Writers stand behind the lock that is waited for, until that is given up.
    shop.scene.registers.wait_for_more(100).await?;
    expect_short_wait(shop).await?;
    ensure!(!shop.scene.is_swapped().await?, "void: it could take the lock");
    reader.exec("ROLLBACK").await?;
    reader.close().await?;
    expect_nothing_begun(shop, &silent, 1).await?;
    silent.thaw()?;
    let status = expect_told(shop, 2).await?;
    let why = status["cutOver"]["lastError"].as_str().unwrap_or_default();
    ensure!(why.contains("could not be locked"), "the status tells {}", status["cutOver"]);
    Ok(End::Completed)
}

/// Begins a migration and waits until its worker stands at this point; answers also what is frozen next.
async fn stand(shop: &Shop, point: &str) -> Result<(Held, Program)> {
    let program = Program::find("kube-apiserver")?;
    shop.arm(&format!("{point}=hold"))?;
    let budget = json!({"lockBudget": format!("{}s", BUDGET.as_secs())});
    shop.apply(&shop.migration("one", 0).with("/cutOver", budget).0)?;
    let held = Held::wait(shop, ("one", point), STEP).await?;
    // What they waited for before is not what is measured.
    shop.scene.registers.take_longest();
    Ok((held, program))
}

/// Until the silence has lasted long enough the worker tries and tries, and begins no attempt beyond these.
async fn expect_nothing_begun(shop: &Shop, silent: &Frozen, attempts: u64) -> Result<()> {
    let mut tries = Vec::new();
    while silent.since.elapsed() < SILENCE {
        let marker = marker(shop).await?;
        if tries.last() != Some(&marker) {
            tries.push(marker);
        }
        ensure!(!shop.scene.is_swapped().await?, "it swapped blindly");
        let begun = begun(shop).await?;
        ensure!(begun <= attempts, "{begun} attempts were begun, not {attempts}");
        let_time_pass(Duration::from_millis(100)).await;
    }
    ensure!(begun(shop).await? == attempts, "void: not {attempts} attempts were begun");
    ensure!(tries.len() > 3, "void: the worker did not try: {tries:?}");
    Ok(())
}

/// What the worker last wrote before it looked whether it may begin.
async fn marker(shop: &Shop) -> Result<String> {
    control_row(shop, "marker").await
}

/// Cut-over attempts that were begun.
async fn begun(shop: &Shop) -> Result<u64> {
    let state: Value = serde_json::from_str(&control_row(shop, "state").await?)?;
    state["cut_over_attempts"].as_u64().with_context(|| format!("the state is {state}"))
}

async fn control_row(shop: &Shop, kind: &str) -> Result<String> {
    let mut client = shop.scene.database.connect().await?;
    let rows = client.texts(&format!("SELECT payload FROM t_ghc WHERE kind = '{kind}'")).await?;
    client.close().await?;
    rows.into_iter().next().with_context(|| format!("there is no {kind}"))
}

/// Writers go on, and have waited no longer than the lock budget.
async fn expect_short_wait(shop: &mut Shop) -> Result<()> {
    let since = Instant::now();
    shop.scene.registers.wait_for_more(100).await?;
    let longest = shop.scene.registers.take_longest();
    eprintln!("writers waited {longest:?} at the most ({:?} later)", since.elapsed());
    ensure!(longest < BUDGET, "writers waited {longest:?}, the budget is {BUDGET:?}");
    Ok(())
}

/// The status tells the end: one worker, so many cut-over attempts.
async fn expect_told(shop: &Shop, attempts: u64) -> Result<Value> {
    let told =
        |status: &Value| status["phase"] == "Succeeded" && status["cutOver"]["state"] == "Done";
    let status = shop.wait_for_status("one", ("the end", RECOVERY), told).await?;
    ensure!(status["attempt"] == 1, "it took {} workers", status["attempt"]);
    let cut_over = &status["cutOver"];
    ensure!(cut_over["attempts"] == attempts, "not {attempts} attempts: {cut_over}");
    Ok(status)
}
