//! The controller is replaced by a later one while a migration runs: that migration keeps its worker and
//! its image, also for its second attempt; the next one gets the later image.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{End, ROWS, SLOW, STEP, trial_of};
use crate::support::operator::{Operator, image, later_image};
use crate::support::shop::Shop;

pub(super) fn long_trials() -> Vec<Trial> {
    let former = || Operator::start("upgraded");
    vec![trial_of("operator_upgraded_while_it_copies", former, upgraded)]
}

async fn upgraded(shop: &mut Shop) -> Result<End> {
    let (former, later) = (image()?, later_image()?);
    let at_once = json!({"retain": "0s"});
    shop.apply(&shop.migration("one", SLOW / 2).with("/oldTable", at_once.clone()).0)?;
    shop.wait_until_copying("one", STEP).await?;
    let pod = shop.live_pods()?;
    shop.operator.upgrade(&later)?;
    let rows = shop.scene.recorded().await?;
    ensure!(rows < ROWS / 2, "void: {rows} rows are copied already");
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": SLOW}}))?;
    let seen = |status: &Value| status["observedGeneration"] == 2;
    let status = shop.wait_for_status("one", ("the later controller", STEP), seen).await?;
    expect_attempt(&status, 1, former)?;
    ensure!(shop.live_pods()? == pod, "of {pod:?} there is {:?}", shop.live_pods()?);
    let pod = pod.first().context("no worker lived")?;
    shop.kubectl(&["delete", pod, "--grace-period=0", "--force", "--wait=false"])?;
    let second = |status: &Value| status["report"]["attempt"] == 2;
    let status = shop.wait_for_status("one", ("the second attempt", STEP), second).await?;
    expect_attempt(&status, 2, former)?;
    expect_images(shop, "one", former)?;
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
    expect_attempt(&status, 2, former)?;
    let next = shop.migration("next", 0).with("/alter", json!("ADD COLUMN next INT NULL"));
    shop.apply(&next.with("/oldTable", at_once).0)?;
    let status = shop.wait_for_phase("next", "Succeeded", STEP).await?;
    expect_attempt(&status, 1, &later)?;
    expect_images(shop, "next", &later)?;
    let ledger = shop.scene.ledger().await?;
    ensure!(ledger == ["Completed"; 2], "the ledger has {ledger:?}");
    let helpers = shop.scene.helpers().await?;
    ensure!(helpers.is_empty(), "besides the table there are {helpers:?}");
    Ok(End::Written)
}

fn expect_attempt(status: &Value, attempt: u32, image: &str) -> Result<()> {
    ensure!(status["attempt"] == attempt, "it is attempt {}, not {attempt}", status["attempt"]);
    let told = &status["worker"]["image"];
    ensure!(told == image, "attempt {attempt} has the image {told}, not {image}");
    Ok(())
}

/// All pods of a migration that are left have this image.
fn expect_images(shop: &Shop, name: &str, image: &str) -> Result<()> {
    let label = format!("ghostship.dev/migration={name}");
    let path = "jsonpath={.items[*].spec.containers[*].image}";
    let images = shop.kubectl(&["get", "pods", "-l", &label, "-o", path])?;
    let same = images.split_whitespace().all(|one| one == image);
    ensure!(same && !images.is_empty(), "the pods of {name} have {images}, not {image}");
    Ok(())
}
