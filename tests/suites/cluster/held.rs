//! A worker that lives and stands at a place of each phase while people delete the migration or panic:
//! with its server, without it (then it is killed and comes back later), and without a controller. It
//! obeys at once when it goes on; what is deleted leaves nothing, and panic keeps everything.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::time::Instant;

use super::control::expect_stopped;
use super::phases::{PLACES, Place, expect_gone, expect_kept};
use super::{EFFECT, End, STEP, trial, trial_of, trial_with_server};
use crate::support::controller::Controller;
use crate::support::operator::Operator;
use crate::support::processes::Held;
use crate::support::proxy::Proxy;
use crate::support::shop::{PodServer, Shop, client};
use crate::support::wait::{let_time_pass, wait_for};

/// How long a deleted migration is looked at while its server is away.
const AWAY: Duration = Duration::from_secs(10);
/// How long until everything is cleaned up once the server is back: pauses between attempts included.
const RECOVERY: Duration = Duration::from_secs(180);

pub(super) fn long_trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for place in PLACES {
        let phase = place.phase;
        let body = async move |shop: &mut Shop| deleted(shop, place).await;
        trials.push(trial(format!("deleted_alive_in_{phase}"), body));
        let body = async move |shop: &mut Shop| panicked(shop, place).await;
        trials.push(trial(format!("panic_alive_in_{phase}"), body));
        let body = async move |shop: &mut Shop, server: &PodServer| {
            deleted_away(shop, server, place).await
        };
        trials.push(trial_with_server(format!("deleted_serverless_in_{phase}"), body));
        if !place.swapped {
            let body = async move |shop: &mut Shop| panicked_alone(shop, place).await;
            trials.push(trial_of(format!("panic_alone_in_{phase}"), Operator::outside, body));
            let body = async move |shop: &mut Shop, server: &PodServer| {
                panicked_away(shop, server, place).await
            };
            trials.push(trial_with_server(format!("panic_serverless_in_{phase}"), body));
        }
    }
    trials
}

/// Begins a migration and waits until its worker stands there.
async fn stand(shop: &Shop, place: Place) -> Result<Held> {
    shop.arm(&place.armed("hold"))?;
    shop.apply(&shop.migration("one", 0).0)?;
    Held::wait(shop, ("one", place.point), STEP).await
}

async fn deleted(shop: &Shop, place: Place) -> Result<End> {
    let held = stand(shop, place).await?;
    shop.delete("one")?;
    held.let_go()?;
    let end = expect_gone(shop, place, STEP).await?;
    expect_no_object(shop).await?;
    Ok(end)
}

/// The server is killed first: only when it is back anything can be cleaned up, and the migration stays
/// until then.
async fn deleted_away(shop: &Shop, server: &PodServer, place: Place) -> Result<End> {
    let held = stand(shop, place).await?;
    server.private().kill()?;
    shop.delete("one")?;
    held.let_go()?;
    let_time_pass(AWAY).await;
    ensure!(shop.read("one").await?.is_some(), "it is gone, and could not have cleaned up");
    server.private().restart()?;
    let back = Instant::now();
    let end = expect_gone(shop, place, RECOVERY).await?;
    eprintln!("{}: gone {:?} after the server was back", place.phase, back.elapsed());
    expect_no_object(shop).await?;
    Ok(end)
}

async fn panicked(shop: &Shop, place: Place) -> Result<End> {
    let held = stand(shop, place).await?;
    if place.swapped {
        // Too late: what is left to do is done.
        shop.patch("one", &json!({"panic": true}))?;
        held.let_go()?;
        shop.wait_for_phase("one", "Succeeded", STEP).await?;
        return Ok(End::Completed);
    }
    let before = shop.scene.database.tables().await?;
    panic(shop, held).await?;
    expect_kept(shop, &before).await
}

/// Nobody but the worker itself can stop it.
async fn panicked_alone(shop: &Shop, place: Place) -> Result<End> {
    let proxy = Proxy::start(client().await?).await?;
    let controller = Controller::start(shop, &proxy, "alone")?;
    let held = stand(shop, place).await?;
    let before = shop.scene.database.tables().await?;
    drop(controller);
    panic(shop, held).await?;
    let _again = Controller::start(shop, &proxy, "alone")?;
    expect_kept(shop, &before).await
}

async fn panicked_away(shop: &Shop, server: &PodServer, place: Place) -> Result<End> {
    let held = stand(shop, place).await?;
    let before = shop.scene.database.tables().await?;
    server.private().kill()?;
    shop.patch("one", &json!({"panic": true}))?;
    let (worker, asked) = (held.let_go()?, Instant::now());
    worker.wait_for_end(STEP).await?;
    let took = asked.elapsed();
    ensure!(took < EFFECT, "the worker stopped only after {took:?}");
    shop.wait_for_phase("one", "Panicked", STEP).await?;
    server.private().restart()?;
    expect_kept(shop, &before).await
}

/// Panics while the worker stands; going on, it has to end what it does on the server.
async fn panic(shop: &Shop, held: Held) -> Result<()> {
    shop.patch("one", &json!({"panic": true}))?;
    held.let_go()?;
    let asked = Instant::now();
    expect_stopped(shop, asked).await
}

/// Waits until nothing that the migration made is left in the cluster.
async fn expect_no_object(shop: &Shop) -> Result<()> {
    let probe = async || {
        let kinds = ["get", "jobs,pods,serviceaccounts,roles,rolebindings", "-o", "name"];
        let left =
            shop.kubectl(&[&kinds[..], &["-l", "app.kubernetes.io/name=ghostship"]].concat())?;
        Ok(if left.is_empty() { Ok(()) } else { Err(left) })
    };
    wait_for("the migration's objects to be gone", STEP, probe).await
}
