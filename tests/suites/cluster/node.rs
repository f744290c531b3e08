//! What happens to the node and to the API server: drained, cut off, out of memory. These tests run
//! alone, for the others share the node.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{End, ROWS, SLOW, STEP, trial_alone};
use crate::support::cluster::{cluster, kubectl, script};
use crate::support::database::Database;
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
    let server = Frozen::program("kube-apiserver")?;
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
    let kubelet = Frozen::program("kubelet")?;
    let pod = shop.live_pods()?.pop().context("no worker lives")?;
    let first = worker_pid(shop, "one").await?;
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
    let gone = async || {
        let lives =
            fs::read_to_string(format!("/proc/{first}/cmdline")).is_ok_and(|it| !it.is_empty());
        Ok(if lives { Err("it lives") } else { Ok(()) })
    };
    wait_for("the first worker to give way", STEP, gone).await?;
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

/// The number of a worker's process, as the host counts it.
async fn worker_pid(shop: &Shop, name: &str) -> Result<u32> {
    let uid = shop.uid(name).await?;
    let is_it = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&format!("GHOSTSHIP_UID={uid}"))
    };
    processes().find(|pid| is_it(*pid)).context("the worker is no process of this host")
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

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A program of the node that is stopped until this is thawed or dropped.
struct Frozen {
    pid: u32,
    since: Instant,
}

impl Frozen {
    fn program(name: &str) -> Result<Self> {
        let pid = program_of_node(name)?;
        signal(pid, "STOP")?;
        Ok(Self { pid, since: Instant::now() })
    }

    fn thaw(self) -> Result<()> {
        signal(self.pid, "CONT")?;
        script("cluster", &["wait", "120"], None).map(drop)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(signal(self.pid, "CONT"));
    }
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    ensure!(status.success(), "{pid} could not be sent {name}");
    Ok(())
}

/// The number of a process of our own node, as the host counts it.
fn program_of_node(name: &str) -> Result<u32> {
    cluster()?;
    let status = script("cluster", &["status"], None)?;
    let init = status.split("pid ").nth(1).and_then(|rest| rest.split(',').next());
    let Some(init) = init else { bail!("this test needs a node of our own: {status}") };
    let space = fs::read_link(format!("/proc/{init}/ns/pid"))?;
    let is_it = |pid: &u32| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first = words.split('\0').next().unwrap_or_default();
        let is_ours = fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|its| its == space);
        is_ours && first.rsplit('/').next() == Some(name)
    };
    processes().find(is_it).with_context(|| format!("{name} does not run in the node"))
}
