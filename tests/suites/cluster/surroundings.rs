//! What surrounds a worker fails: its Secret, its quota, its image, its server, its namespace, its
//! controller. The status says so in a minute at the most, and the migration goes on by itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{End, SHAPE, SLOW, STEP, trial, trial_of};
use crate::support::client::literal;
use crate::support::cluster::kubectl;
use crate::support::operator::Operator;
use crate::support::random::{Random, seed};
use crate::support::settings::runs;
use crate::support::shop::{Migration, PodServer, Shop, Site, TARGET};
use crate::support::wait::let_time_pass;

/// How long until the status says what hinders a worker.
const TOLD: Duration = Duration::from_secs(60);
/// How long until a migration goes on after an obstacle is gone: back-off, the kubelet's and the Job's.
const RECOVERY: Duration = Duration::from_secs(120);

pub(super) fn long_trials() -> Vec<Trial> {
    vec![
        trial("secret_rotated", secret_rotated),
        trial("secret_deleted_and_restored", secret_deleted),
        trial("quota_forbids_the_pod", quota),
        trial("limit_range_forbids_the_pod", limit_range),
        trial_of(
            "image_is_missing",
            || Operator::start_with_workers("image", "localhost/none:1"),
            image,
        ),
        trial("server_is_down_at_deletion", server_down),
        trial("namespace_deleted_while_it_copies", namespace_deleted),
        trial_of("controller_killed_at_random", || Operator::start("killed"), controller_killed),
    ]
}

async fn copying(shop: &Shop) -> Result<()> {
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await
}

async fn complete(shop: &Shop) -> Result<End> {
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    shop.wait_for_phase("one", "Succeeded", RECOVERY).await?;
    Ok(End::Completed)
}

/// Waits until the message tells what hinders the worker.
async fn expect_told(shop: &Shop, words: &str) -> Result<()> {
    let told =
        |status: &Value| status["message"].as_str().is_some_and(|message| message.contains(words));
    shop.wait_for_status("one", (&format!("the words {words:?}"), TOLD), told).await.map(drop)
}

async fn secret_rotated(shop: &mut Shop) -> Result<End> {
    copying(shop).await?;
    let mut client = shop.scene.database.connect().await?;
    let account = &shop.scene.database.account;
    client.exec(&format!("ALTER USER {account}@'%' IDENTIFIED BY 'rotated-{account}'")).await?;
    let query =
        format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = {}", literal(account));
    for session in client.texts(&query).await? {
        // One that has ended meanwhile is as good as killed.
        drop(client.try_exec(&format!("KILL {session}")).await);
    }
    client.close().await?;
    expect_told(shop, "password").await?;
    shop.set_password(&format!("rotated-{account}"), &PodServer::shared()?.authority)?;
    complete(shop).await
}

async fn secret_deleted(shop: &mut Shop) -> Result<End> {
    copying(shop).await?;
    shop.kubectl(&["delete", "secret", TARGET])?;
    for pod in shop.live_pods()? {
        shop.kubectl(&["delete", &pod, "--wait=false"])?;
    }
    expect_told(shop, &format!("secret \"{TARGET}\" not found")).await?;
    shop.set_password(&shop.scene.database.password, &PodServer::shared()?.authority)?;
    complete(shop).await
}

async fn quota(shop: &mut Shop) -> Result<End> {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": shop.namespace}, "spec": {"hard": {"pods": "0"}}});
    forbidden_by(shop, &quota, "exceeded quota").await
}

async fn limit_range(shop: &mut Shop) -> Result<End> {
    let limits = json!({"apiVersion": "v1", "kind": "LimitRange",
        "metadata": {"name": "none", "namespace": shop.namespace},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "128Mi"}}]}});
    forbidden_by(shop, &limits, "maximum memory usage per Container is 128Mi").await
}

async fn forbidden_by(shop: &Shop, rule: &Value, words: &str) -> Result<End> {
    shop.apply(rule)?;
    shop.apply(&shop.migration("one", 0).0)?;
    expect_told(shop, words).await?;
    let kind = rule["kind"].as_str().unwrap_or_default();
    shop.kubectl(&["delete", kind, "none"])?;
    complete(shop).await
}

/// The clean-up run has no image either: the annotation lets the migration go at once.
async fn image(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", 0).0)?;
    expect_told(shop, "localhost/none:1").await?;
    shop.delete("one")?;
    shop.wait_for_phase("one", "Terminating", STEP).await?;
    shop.annotate("one", "ghostship.dev/abandon=true")?;
    shop.wait_until_gone("one", Duration::from_secs(5)).await?;
    Ok(End::Untouched)
}

/// Deletion while the server is away waits for it, and cleans up when it is back; another one is
/// let go by the annotation.
async fn server_down(shop: &mut Shop) -> Result<End> {
    let label = "down";
    let server = PodServer::start(label)?;
    let site = Site { label, operator: shop.operator.clone(), server: &server, shape: SHAPE };
    let other = Box::pin(Shop::open(site)).await?;
    copying(&other).await?;
    server.private().kill()?;
    other.delete("one")?;
    let_time_pass(Duration::from_secs(20)).await;
    ensure!(other.read("one").await?.is_some(), "it is gone, and could not have cleaned up");
    server.private().restart()?;
    other.wait_until_gone("one", RECOVERY).await?;
    let helpers = other.scene.helpers().await?;
    ensure!(helpers.is_empty(), "the migration is gone and left {helpers:?}");
    copying(&other).await?;
    server.private().kill()?;
    other.delete("one")?;
    other.wait_for_phase("one", "Terminating", STEP).await?;
    other.annotate("one", "ghostship.dev/abandon=true")?;
    let asked = Instant::now();
    other.wait_until_gone("one", Duration::from_secs(5)).await?;
    eprintln!("let go after {:?}", asked.elapsed());
    server.private().restart()?;
    kubectl(&["delete", "namespace", &other.namespace, "--wait=false"])?;
    other.expect_written().await?;
    Ok(End::Untouched)
}

async fn namespace_deleted(shop: &mut Shop) -> Result<End> {
    copying(shop).await?;
    kubectl(&["delete", "namespace", &shop.namespace, "--wait=false"])?;
    shop.wait_until_gone("one", RECOVERY).await?;
    kubectl(&["wait", "--for=delete", &format!("namespace/{}", shop.namespace), "--timeout=60s"])?;
    Ok(End::Gone)
}

async fn controller_killed(shop: &mut Shop) -> Result<End> {
    let mut random = Random::new(seed());
    let paces = |migration: Migration| migration.with("/postponeCutOver", json!(true));
    shop.apply(&paces(shop.migration("one", SLOW)).0)?;
    for _ in 0..runs(8) {
        let pause = u64::try_from(random.between(200, 4000)).unwrap_or(200);
        let_time_pass(Duration::from_millis(pause)).await;
        let all = ["delete", "pods", "--all", "--grace-period=0", "--force"];
        kubectl(&[&["-n", &shop.operator.namespace], &all[..]].concat())?;
    }
    shop.wait_for_reason("one", "CutOverPostponed", RECOVERY).await?;
    shop.annotate("one", "ghostship.dev/cut-over=allow")?;
    let status = shop.wait_for_phase("one", "Succeeded", RECOVERY).await?;
    ensure!(status["attempt"] == 1, "it took {} attempts", status["attempt"]);
    let jobs = shop.kubectl(&["get", "jobs", "-o", "name"])?;
    ensure!(jobs.lines().count() == 1, "there are {jobs}");
    Ok(End::Completed)
}
