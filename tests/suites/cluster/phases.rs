//! A worker that dies in each phase, and what people do then: delete the migration, or panic and retry.
//! Deletion leaves no helper table, and never touches a table that was swapped; a retry after panic
//! continues where the phase was.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, STEP, trial};
use crate::support::shop::Shop;

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

/// Lets the first worker of a migration die at a point, and waits until that is known.
async fn die(shop: &Shop, point: &str) -> Result<()> {
    shop.arm(point)?;
    shop.apply(&shop.migration("one", 0).0)?;
    shop.wait_for_status("one", ("the death of its worker", STEP), has_lost_its_worker).await?;
    Ok(())
}

fn has_lost_its_worker(status: &Value) -> bool {
    let transitions = status["transitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    transitions.iter().any(|one| one["reason"] == "WorkerLost")
}

async fn deleted(shop: &Shop, point: &str, swapped: bool) -> Result<End> {
    die(shop, point).await?;
    shop.delete("one")?;
    shop.wait_until_gone("one", STEP).await?;
    if swapped {
        return Ok(End::Completed);
    }
    let helpers = shop.scene.helpers().await?;
    ensure!(helpers.is_empty(), "the migration is gone and left {helpers:?}");
    Ok(End::Untouched)
}

async fn panicked(shop: &Shop, point: &str) -> Result<End> {
    die(shop, point).await?;
    let (tables, id) = (shop.scene.database.tables().await?, shop.scene.id().await?);
    shop.patch("one", &json!({"panic": true}))?;
    shop.wait_for_phase("one", "Panicked", STEP).await?;
    ensure!(shop.scene.database.tables().await? == tables, "panic made or dropped tables");
    ensure!(shop.scene.id().await? == id, "panic swapped the tables");
    shop.patch("one", &json!({"panic": false}))?;
    shop.annotate("one", "ghostship.dev/retry=first")?;
    shop.wait_for_phase("one", "Succeeded", STEP).await?;
    Ok(End::Completed)
}
