//! The worker's pod: killed and asked to leave; the next attempt continues where the last one was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{End, SLOW, STEP, trial};
use crate::support::shop::Shop;

/// How long a worker that is asked to leave may take, and kubectl to tell it.
const LEAVE: Duration = Duration::from_secs(10);

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("killed_while_it_copies", killed),
        trial("asked_to_leave_while_it_copies", asked_to_leave),
    ]
}

async fn killed(shop: &mut Shop) -> Result<End> {
    let copying = Copying::begin(shop).await?;
    shop.kubectl(&["delete", &copying.pod, "--grace-period=0", "--force", "--wait=false"])?;
    copying.expect_to_continue(shop).await
}

async fn asked_to_leave(shop: &mut Shop) -> Result<End> {
    let copying = Copying::begin(shop).await?;
    let asked = Instant::now();
    shop.kubectl(&["delete", &copying.pod, "--timeout=60s"])?;
    let took = asked.elapsed();
    ensure!(took < LEAVE, "the worker left only after {took:?}");
    copying.expect_to_continue(shop).await
}

/// A migration whose first worker copies.
struct Copying {
    pod: String,
    shadow: Option<u64>,
    rows: u64,
}

impl Copying {
    async fn begin(shop: &Shop) -> Result<Self> {
        let migration = shop.migration("one", SLOW).with("/postponeCutOver", json!(true));
        shop.apply(&migration.0)?;
        shop.wait_until_copying("one", STEP).await?;
        let pod = shop.live_pods()?.pop().context("no worker lives")?;
        let shadow = shop.scene.table_id("t_gho").await?;
        Ok(Self { pod, shadow, rows: shop.scene.recorded().await? })
    }

    async fn expect_to_continue(self, shop: &Shop) -> Result<End> {
        let second = |status: &Value| status["report"]["attempt"] == 2;
        shop.wait_for_status("one", ("the second attempt", STEP), second).await?;
        shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
        shop.wait_for_reason("one", "CutOverPostponed", STEP).await?;
        ensure!(shop.scene.table_id("t_gho").await? == self.shadow, "it began anew");
        let rows = shop.scene.recorded().await?;
        ensure!(rows > self.rows, "of {} rows there are {rows}", self.rows);
        shop.annotate("one", "ghostship.dev/cut-over=allow")?;
        let status = shop.wait_for_phase("one", "Succeeded", STEP).await?;
        ensure!(status["attempt"] == 2, "it took {} attempts", status["attempt"]);
        Ok(End::Completed)
    }
}
