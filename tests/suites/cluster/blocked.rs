//! Somebody's open transaction is in the way of the cut-over: the status and the screen of kubectl's plugin
//! name the session as long as it is, and no longer.

use std::process::Command;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, STEP, trial};
use crate::support::cluster::cluster;
use crate::support::registers::TABLE;
use crate::support::shop::Shop;

/// A value in the session's statement, which nothing may tell.
const LITERAL: &str = "a-value-in-a-statement";

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("blocker_is_named_in_the_status", blocker)]
}

async fn blocker(shop: &mut Shop) -> Result<End> {
    let migration = shop.migration("one", 0).with("/postponeCutOver", json!(true));
    shop.apply(&migration.0)?;
    shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
    let mut session = shop.scene.database.connect().await?;
    session.exec("BEGIN").await?;
    let id = session.texts("SELECT CONNECTION_ID()").await?.concat();
    session.texts(&format!("SELECT COUNT(*) FROM {TABLE} WHERE tag = '{LITERAL}'")).await?;
    shop.annotate("one", "ghostship.dev/cut-over=allow")?;
    let named = |status: &Value| status["cutOver"]["blocker"]["id"] == id.as_str();
    let status = shop.wait_for_status("one", ("who is in the way", STEP), named).await?;
    let blocker = &status["cutOver"]["blocker"];
    let text = |name: &str| blocker[name].as_str().unwrap_or_default().to_owned();
    ensure!(text("holds").ends_with(&format!(".{TABLE}")), "it holds {blocker}");
    ensure!(text("statement").contains(TABLE) && text("user").contains('@'), "it is {blocker}");
    ensure!(text("since").parse::<jiff::Timestamp>().is_ok(), "since {blocker}");
    ensure!(!status.to_string().contains(LITERAL), "a value is told: {status}");
    let screen = screen(shop, "one")?;
    ensure!(screen.contains(&format!("blocked by  connection {id} of ")), "not shown:\n{screen}");
    ensure!(!shop.scene.is_swapped().await?, "it swapped under an open transaction");
    session.exec("COMMIT").await?;
    session.close().await?;
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    let left = status["cutOver"].get("blocker");
    ensure!(left.is_none(), "who was in the way still is: {left:?}");
    Ok(End::Completed)
}

/// What `kubectl ghostship status` shows.
fn screen(shop: &Shop, name: &str) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ghostship"))
        .args(["status", name, "--namespace", &shop.namespace])
        .env("KUBECONFIG", cluster()?)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
