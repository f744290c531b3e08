//! A worker that dies in each phase, and what people do then: delete the migration, or panic and retry.
//! Deletion leaves no helper table, and never touches a table that was swapped; a retry after panic
//! continues where the phase was.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, STEP, trial};
use crate::support::shop::Shop;
use crate::support::wait::let_time_pass;

/// Where the first worker dies: the phase, the point, and whether the tables are swapped by then.
const DEATHS: [(&str, &str, bool); 9] = [
    ("preflight", "prepare.control.before=kill", false),
    ("prepare", "prepare.shadow.after=kill", false),
    ("row_copy", "chunk.recorded=kill@3", false),
    ("catch_up", "state.CatchUp.after=kill", false),
    ("verify", "state.Verify.after=kill", false),
    ("await_cut_over", "state.AwaitCutOver.after=kill", false),
    ("lock", "cutover.marked=kill", false),
    ("swap", "cutover.renamed=kill", true),
    ("clean_up", "cleanup.ledger=kill", true),
];

/// How long the tables are looked at after panic.
const STILL: Duration = Duration::from_secs(2);

pub(super) fn long_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (phase, point, swapped) in DEATHS {
        let body = async move |shop: &mut Shop| deleted(shop, point, swapped).await;
        trials.push(trial(format!("deleted_in_{phase}"), body));
        let body = async move |shop: &mut Shop| panicked(shop, point).await;
        trials.push(trial(format!("panic_in_{phase}"), body));
    }
    trials
}

/// Lets the first worker of a migration die at a point; answers when the second one is being started.
async fn die(shop: &Shop, point: &str) -> Result<()> {
    shop.arm(point)?;
    shop.apply(&shop.migration("one", 0).0)?;
    let second = |status: &Value| status["attempt"] == 2;
    shop.wait_for_status("one", ("the death of its worker", STEP), second).await.map(drop)
}

async fn deleted(shop: &Shop, point: &str, swapped: bool) -> Result<End> {
    die(shop, point).await?;
    shop.delete("one")?;
    shop.wait_until_gone("one", STEP).await?;
    // The second worker may have been quick, but what was swapped stays so.
    if shop.scene.is_swapped().await? {
        return Ok(End::Completed);
    }
    ensure!(!swapped, "void: the worker died before the swap");
    let helpers = shop.scene.helpers().await?;
    ensure!(helpers.is_empty(), "the migration is gone and left {helpers:?}");
    Ok(End::Untouched)
}

async fn panicked(shop: &Shop, point: &str) -> Result<End> {
    die(shop, point).await?;
    let before = shop.scene.database.tables().await?;
    shop.patch("one", &json!({"panic": true}))?;
    shop.wait_for_phase("one", "Panicked", STEP).await?;
    let tables = shop.scene.database.tables().await?;
    let kept = before.iter().all(|table| tables.contains(table));
    ensure!(kept, "of {before:?} panic left {tables:?}");
    let id = shop.scene.id().await?;
    let_time_pass(STILL).await;
    ensure!(shop.scene.database.tables().await? == tables, "panic made or dropped tables");
    ensure!(shop.scene.id().await? == id, "panic swapped the tables");
    shop.patch("one", &json!({"panic": false}))?;
    shop.annotate("one", "ghostship.dev/retry=first")?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}
