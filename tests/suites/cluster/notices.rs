//! A controller that tells people: what it told is not told again after it was killed and started anew, and
//! what happens then is.

use std::fs;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::faults::trial;
use super::{ROWS, SLOW, STEP};
use crate::support::cluster::kubectl;
use crate::support::controller::Controller;
use crate::support::operator::Operator;
use crate::support::proxy::Proxy;
use crate::support::receiver::{Manner, Receiver};
use crate::support::runtime;
use crate::support::scene::Shape;
use crate::support::shop::{PodServer, Shop, Site, client};

/// What is planted where secrets stand.
const KEY: &str = "canary-74b1-key";

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("what_was_told_is_not_told_again".to_owned(), |server| {
        runtime::block_on(restart(server))
    })]
}

async fn restart(server: &'static PodServer) -> Result<()> {
    let receiver = Receiver::start(Manner::Answer(200, "ok")).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("notifications.yaml");
    let url = receiver.url(&format!("/{KEY}"));
    let one = json!({"name": "one", "kind": "Webhook", "url": url, "signingKey": KEY});
    fs::write(&file, json!({"receivers": [one]}).to_string())?;
    let operator = Operator::outside()?;
    let shape = Shape { rows: ROWS, unique: false, writers: 1 };
    let shop = Shop::open(Site { label: "notices", operator, server, shape }).await?;
    let proxy = Proxy::start(client().await?).await?;
    let more = ["--notify", &file.to_string_lossy()];
    let mut controller = Controller::start_with(&shop, &proxy, "first", &more)?;
    let migration = shop.migration("one", SLOW).with("/postponeCutOver", json!(true));
    shop.apply(&migration.0)?;
    // What has begun is told while it goes on: a look that comes later finds it postponed.
    receiver.wait_for("Started Happened").await.with_context(|| controller.log())?;
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    shop.wait_for_reason("one", "CutOverPostponed", STEP)
        .await
        .with_context(|| controller.log())?;
    receiver.wait_for("Postponed Happened").await.with_context(|| controller.log())?;
    let kept = shop.kubectl(&["get", "smig", "one", "-o", "yaml"])?;
    ensure!(kept.contains("ghostship.dev/notified") && kept.contains("Postponed"), "{kept}");
    controller.kill_and_restart()?;
    // Only the controller takes this over: it leads again.
    shop.patch("one", &json!({"paused": true}))?;
    shop.wait_for_reason("one", "Paused", STEP).await.with_context(|| controller.log())?;
    shop.patch("one", &json!({"paused": false, "postponeCutOver": false}))?;
    shop.wait_for_phase("one", "Succeeded", STEP).await.with_context(|| controller.log())?;
    receiver.wait_for("Succeeded Happened").await.with_context(|| controller.log())?;
    let expected = ["Started Happened", "Postponed Happened", "Succeeded Happened"];
    ensure!(receiver.told() == expected, "{:?}\n{}", receiver.told(), controller.log());
    let events = shop.kubectl(&["get", "events,smig", "-o", "yaml"])?;
    for said in [controller.log(), events] {
        ensure!(!said.contains(KEY), "a secret was said:\n{said}");
    }
    controller.kill();
    let namespace = shop.namespace.clone();
    shop.expect_completed().await?;
    kubectl(&["delete", "namespace", &namespace, "--wait=false"]).map(drop)
}
