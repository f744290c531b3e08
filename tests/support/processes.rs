//! Processes of the cluster's node, as this host sees them: a program of the node is frozen and thawed, a
//! worker is found by its migration, held at a failpoint and let go. Needs a node of our own. Must not
//! know: what is tested with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::cluster::{cluster, script};
use super::shop::Shop;
use super::wait::wait_for;

/// A program of the node.
pub(crate) struct Program(u32);

impl Program {
    /// Finds it by its name.
    pub(crate) fn find(name: &str) -> Result<Self> {
        program_of_node(name).map(Self)
    }

    /// Stops it at once.
    pub(crate) fn freeze(&self) -> Result<Frozen> {
        signal(self.0, "STOP")?;
        Ok(Frozen { pid: self.0, since: Instant::now() })
    }
}

/// A program of the node that is stopped until this is thawed or dropped.
pub(crate) struct Frozen {
    pid: u32,
    /// Since when.
    pub(crate) since: Instant,
}

impl Frozen {
    /// Lets it go on, and waits until the node is well.
    pub(crate) fn thaw(self) -> Result<()> {
        signal(self.pid, "CONT")?;
        script("cluster", &["wait", "120"], None).map(drop)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It goes on already when it was thawed.
        drop(signal(self.pid, "CONT"));
    }
}

/// The process of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerProcess(u32);

impl WorkerProcess {
    /// The one that works on this migration.
    pub(crate) async fn of(shop: &Shop, name: &str) -> Result<Self> {
        let found = Self::find(&shop.uid(name).await?);
        found.context("the worker is no process of this host")
    }

    /// Waits until it has ended.
    pub(crate) async fn wait_for_end(self, deadline: Duration) -> Result<()> {
        let ended = async || Ok(if self.lives() { Err("it lives") } else { Ok(()) });
        wait_for("the worker's process to end", deadline, ended).await
    }

    fn find(uid: &str) -> Option<Self> {
        let words = format!("GHOSTSHIP_UID={uid}");
        let is_it = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&words)
        };
        processes().find(is_it).map(Self)
    }

    fn lives(self) -> bool {
        fs::read_to_string(format!("/proc/{}/cmdline", self.0)).is_ok_and(|it| !it.is_empty())
    }

    /// The file by which a failpoint holds it.
    fn file(self, point: &str) -> PathBuf {
        let own = Path::new("/proc").join(self.0.to_string());
        own.join("root").join("dev").join("shm").join(format!("held-{point}"))
    }
}

/// A worker that stands at a failpoint until it is let go or this is dropped.
pub(crate) struct Held {
    worker: WorkerProcess,
    file: PathBuf,
}

impl Held {
    /// Waits until the migration's worker stands at this point, which was armed with `hold`.
    pub(crate) async fn wait(
        shop: &Shop,
        (name, point): (&str, &str),
        deadline: Duration,
    ) -> Result<Self> {
        let uid = shop.uid(name).await?;
        let probe = async || {
            let Some(worker) = WorkerProcess::find(&uid) else { return Ok(Err("it does not run")) };
            let file = worker.file(point);
            Ok(if file.exists() { Ok(Self { worker, file }) } else { Err("it runs") })
        };
        wait_for(&format!("the worker to stand at {point}"), deadline, probe).await
    }

    /// Lets it go on; answers its process.
    pub(crate) fn let_go(self) -> Result<WorkerProcess> {
        ensure!(self.worker.lives(), "void: the worker ended where it should stand");
        fs::remove_file(&self.file)?;
        Ok(self.worker)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It is gone when the worker was let go, or has ended.
        drop(fs::remove_file(&self.file));
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
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
