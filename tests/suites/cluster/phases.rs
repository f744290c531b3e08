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

/// Where the first worker comes to a point of its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The phase, in the names of tests.
    pub(super) phase: &'static str,
    /// The failpoint.
    pub(super) point: &'static str,
    /// Hits of it that pass before.
    skip: u32,
    /// Whether the tables are swapped by then.
    pub(super) swapped: bool,
}

/// One place in each phase.
pub(super) const PLACES: [Place; 9] = [
    before_swap("preflight", "prepare.control.before", 0),
    before_swap("prepare", "prepare.shadow.after", 0),
    before_swap("row_copy", "chunk.recorded", 3),
    before_swap("catch_up", "state.CatchUp.after", 0),
    before_swap("verify", "state.Verify.after", 0),
    before_swap("await_cut_over", "state.AwaitCutOver.after", 0),
    before_swap("lock", "cutover.marked", 0),
    Place { phase: "swap", point: "cutover.renamed", skip: 0, swapped: true },
    Place { phase: "clean_up", point: "cleanup.ledger", skip: 0, swapped: true },
];

const fn before_swap(phase: &'static str, point: &'static str, skip: u32) -> Place {
    Place { phase, point, skip, swapped: false }
}

impl Place {
    /// What arms the worker to do this there.
    pub(super) fn armed(self, action: &str) -> String {
        format!("{}={action}@{}", self.point, self.skip)
    }
}

/// How long the tables are looked at after panic.
const STILL: Duration = Duration::from_secs(2);

pub(super) fn long_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for place in PLACES {
        let body = async move |shop: &mut Shop| deleted(shop, place).await;
        trials.push(trial(format!("deleted_in_{}", place.phase), body));
        let body = async move |shop: &mut Shop| panicked(shop, place).await;
        trials.push(trial(format!("panic_in_{}", place.phase), body));
    }
    trials
}

/// Lets the first worker of a migration die; answers when the second one is being started.
async fn die(shop: &Shop, place: Place) -> Result<()> {
    shop.arm(&place.armed("kill"))?;
    shop.apply(&shop.migration("one", 0).0)?;
    let second = |status: &Value| status["attempt"] == 2;
    shop.wait_for_status("one", ("the death of its worker", STEP), second).await.map(drop)
}

async fn deleted(shop: &Shop, place: Place) -> Result<End> {
    die(shop, place).await?;
    shop.delete("one")?;
    expect_gone(shop, place, STEP).await
}

/// What has to hold once a migration is deleted: all is cleaned up.
pub(super) async fn expect_gone(shop: &Shop, place: Place, deadline: Duration) -> Result<End> {
    shop.wait_until_gone("one", deadline).await?;
    // Its worker may have been quick, but what was swapped stays so.
    if shop.scene.is_swapped().await? {
        return Ok(End::Completed);
    }
    ensure!(!place.swapped, "void: the worker was not at its place, or the swap was undone");
    let helpers = shop.scene.helpers().await?;
    ensure!(helpers.is_empty(), "the migration is gone and left {helpers:?}");
    Ok(End::Untouched)
}

async fn panicked(shop: &Shop, place: Place) -> Result<End> {
    die(shop, place).await?;
    let before = shop.scene.database.tables().await?;
    shop.patch("one", &json!({"panic": true}))?;
    expect_kept(shop, &before).await
}

/// What has to hold after panic: these tables are kept as they are, and a retry continues.
pub(super) async fn expect_kept(shop: &Shop, before: &[String]) -> Result<End> {
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
