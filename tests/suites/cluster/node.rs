//! What happens to the node and to the API server: drained, cut off, out of memory. These tests run
//! alone, for the others share the node.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{End, ROWS, SLOW, STEP, trial_alone};
use crate::support::cluster::{cluster, kubectl, script};
use crate::support::database::Database;
use crate::support::processes::{Program, WorkerProcess};
use crate::support::shop::{PodServer, Shop, TARGET};
use crate::support::wait::{let_time_pass, wait_for};

/// How long the API server is silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long until everything goes on after a disturbance of the node.
const RECOVERY: Duration = Duration::from_secs(180);

pub(super) fn long_trials() -> Vec<Trial> {
    vec![
        trial_alone("drained_and_uncordoned", drained),
        trial_alone("api_server_is_silent", api_silent),
        trial_alone("cut_off_worker_gives_way", cut_off),
        trial_alone("out_of_memory", out_of_memory),
    ]
}

async fn drained(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await?;
    let (rows, shadow) = (shop.scene.recorded().await?, shop.scene.table_id("t_gho").await?);
    let nodes = kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"])?;
    let nodes: Vec<&str> = nodes.split_whitespace().collect();
    let ours = "--pod-selector=app.kubernetes.io/name=ghostship";
    let drain = [&["drain", ours, "--force", "--timeout=60s"], &nodes[..]].concat();
    let drained = kubectl(&drain);
    let left = shop.scene.recorded().await;
    for node in nodes {
        kubectl(&["uncordon", node])?;
    }
    drained?;
    ensure!(left? < ROWS, "void: the copy was over");
    shop.wait_for_status("one", ("the second attempt to copy", RECOVERY), |status: &Value| {
        status["report"]["phase"] == "RowCopy" && status["phase"] != "Retrying"
    })
    .await?;
    ensure!(shop.scene.table_id("t_gho").await? == shadow, "it began anew");
    ensure!(shop.scene.recorded().await? >= rows, "ranges are forgotten");
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    shop.wait_for_phase("one", "Succeeded", RECOVERY).await?;
    Ok(End::Completed)
}

/// The worker goes on copying and verifying, and does not swap before it could read its resource.
async fn api_silent(shop: &mut Shop) -> Result<End> {
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await?;
    let server = Program::find("kube-apiserver")?.freeze()?;
    let before = shop.scene.recorded().await?;
    let copied = async || {
        let rows = shop.scene.recorded().await?;
        Ok(if rows > before + ROWS / 4 { Ok(()) } else { Err(rows) })
    };
    wait_for("the copy to go on", STEP, copied).await?;
    let_time_pass(SILENCE.saturating_sub(server.since.elapsed())).await;
    ensure!(shop.scene.recorded().await? >= ROWS, "void: the copy is not over");
    ensure!(!shop.scene.is_swapped().await?, "it swapped blindly");
    server.thaw()?;
    let status = shop.wait_for_phase("one", "Succeeded", RECOVERY).await?;
    ensure!(status["attempt"] == 1, "it took {} attempts", status["attempt"]);
    Ok(End::Completed)
}

/// The node's kubelet is frozen and its pod deleted by force: the worker lives on unseen. An attempt that
/// is made by hand takes over, and the first one gives way.
async fn cut_off(shop: &mut Shop) -> Result<End> {
    reach_by_address(shop)?;
    shop.apply(&shop.migration("one", SLOW).0)?;
    shop.wait_until_copying("one", STEP).await?;
    let kubelet = Program::find("kubelet")?.freeze()?;
    let pod = shop.live_pods()?.pop().context("no worker lives")?;
    let first = WorkerProcess::of(shop, "one").await?;
    shop.kubectl(&["delete", &pod, "--grace-period=0", "--force", "--wait=false"])?;
    let before = shop.scene.recorded().await?;
    let copied = async || {
        let rows = shop.scene.recorded().await?;
        Ok(if rows > before { Ok(()) } else { Err(rows) })
    };
    wait_for("the first worker to go on unseen", STEP, copied).await?;
    shop.patch("one", &json!({"copy": {"maxRowsPerSecond": 0}}))?;
    let mut second = worker_by_hand(shop, "one").await?;
    let ended = async || Ok(second.worker.try_wait()?.ok_or("it works"));
    let code = wait_for("the second attempt to end", RECOVERY, ended).await?;
    ensure!(code.success(), "the second attempt ended with {code}");
    first.wait_for_end(STEP).await.context("the first worker does not give way")?;
    kubelet.thaw()?;
    shop.wait_for_phase("one", "Succeeded", RECOVERY).await?;
    Ok(End::Completed)
}

/// A worker with too little memory is killed by the kernel; the status says so, and with more it goes on.
async fn out_of_memory(shop: &mut Shop) -> Result<End> {
    let little = json!({"resources": {"limits": {"memory": "8Mi"}, "requests": {"memory": "8Mi"}}});
    shop.apply(&shop.migration("one", 0).with("/worker", little).0)?;
    let told = |status: &Value| {
        let words = status["message"].as_str().unwrap_or_default();
        words.contains("OOMKilled") || words.contains("memory")
    };
    shop.wait_for_status("one", ("the want of memory", STEP), told).await?;
    let enough =
        json!({"resources": {"limits": {"memory": "512Mi"}, "requests": {"memory": "64Mi"}}});
    shop.patch("one", &json!({"worker": enough}))?;
    shop.wait_for_phase("one", "Succeeded", RECOVERY).await?;
    Ok(End::Completed)
}

/// Lets the target name its server by an address, which holds on the host as well.
fn reach_by_address(shop: &Shop) -> Result<()> {
    let (server, host) = (PodServer::shared()?, script("cluster", &["host-address"], None)?);
    let (_, port) = server.private().server().address()?;
    let spec = json!({"spec": {"host": host, "port": port, "tls": {"serverName": server.host}}});
    shop.kubectl(&["patch", "mtgt", TARGET, "--type=merge", "-p", &spec.to_string()]).map(drop)
}

/// Starts a worker on the host, as its attempt number 99.
async fn worker_by_hand(shop: &Shop, name: &str) -> Result<ByHand> {
    let files = tempfile::tempdir()?;
    let Database { account, password, .. } = &*shop.scene.database;
    let authority = &PodServer::shared()?.authority;
    for (name, text) in [("username", account), ("password", password), ("ca.crt", authority)] {
        fs::write(files.path().join(name), text)?;
    }
    let worker = Command::new(env!("CARGO_BIN_EXE_ghostship"))
        .args(["worker", "--attempt=99", "--name", name, "--namespace", &shop.namespace])
        .args(["--uid", &shop.uid(name).await?, "--credentials"])
        .arg(files.path())
        .env("KUBECONFIG", cluster()?)
        .spawn()?;
    Ok(ByHand { worker, _files: files })
}

/// A worker on the host and its account.
struct ByHand {
    worker: Child,
    _files: TempDir,
}

impl Drop for ByHand {
    fn drop(&mut self) {
        // It has ended of itself unless the test failed.
        drop(self.worker.kill());
        drop(self.worker.wait());
    }
}
