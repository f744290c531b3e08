//! A disk that gets full: the migration waits and goes on where it was, and the application writes all the
//! time; and a limit below which it pauses before that.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::client::ident;
use crate::support::database::Database;
use crate::support::ghostship::Ghostship;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{Flavour, Server};

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("disk::a_full_disk_is_waited_for".to_owned(), full),
        super::trial("disk::little_free_disk_pauses".to_owned(), little),
        super::trial("disk::nobody_who_tells_the_free_disk_pauses".to_owned(), untold),
    ]
}

/// A small file system over the folder of a database; it is taken away when the value is dropped.
struct Small(PathBuf);

impl Small {
    fn over(folder: &Path) -> Result<Self> {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m,mode=0750", "tmpfs"])
            .arg(folder)
            .output()
            .context("mount does not run")?;
        let words = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.success(), "a small file system cannot be mounted: {words}");
        Ok(Self(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Fills it to the last byte.
    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast())?;
        for size in [1 << 16, 1 << 12, 1] {
            let part = vec![1; size];
            loop {
                match file.write_all(&part) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever has files open there ends with the server.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

fn slow() -> Value {
    json!({"threads": 1, "chunkTime": "10ms", "maxRowsPerSecond": 50})
}

async fn copies(run: &mut Ghostship) -> Result<Value> {
    let copied = |line: &Value| line["rowsCopied"].as_u64() > Some(0);
    run.wait_until("rows are copied", RUN, copied).await
}

async fn full() -> Result<()> {
    let server = Server::private("disk-full", &[])?;
    let database = Database::create(server.server(), "disk_full").await?;
    let mut root = database.connect().await?;
    let data = root.texts("SELECT @@datadir").await?.pop().context("there is no datadir")?;
    let small = Small::over(&Path::new(&data).join(&database.name))?;
    let shape = Shape { rows: 20_000, ..Shape::default() };
    let mut scene = Scene::within(server.server(), database, shape).await?;
    scene.manifest.set(&[("/copy", slow())])?;
    let mut run = scene.run(None)?;
    copies(&mut run).await?;
    small.fill()?;
    scene.manifest.set(&[("/copy", json!({"threads": 2, "maxRowsPerSecond": 0}))])?;
    let is_full = |line: &Value| line["waitingFor"].to_string().contains("space is full");
    run.wait_until("it waits for the disk", RUN, is_full).await?;
    scene.registers.wait_for_more(200).await.context("while the disk is full")?;
    small.free()?;
    expect_code(&run.wait(RUN).await?, 0)?;
    root.close().await?;
    scene.expect_completed_there().await
}

fn is_paused_for(line: &Value, words: &str) -> bool {
    let reasons = line["throttled"].as_array().into_iter().flatten();
    let of = |signal: &str, text: &str| {
        let mut reasons = reasons.clone();
        reasons.any(|one| one["signal"] == signal && one["reason"].to_string().contains(text))
    };
    of("minFreeDisk", words) && of("autoPause", words)
}

async fn little() -> Result<()> {
    let mut scene = Scene::shared("disk_little", Flavour::Gtid, Shape::default()).await?;
    let mut root = scene.database.connect_twin().await?;
    root.exec("CREATE TABLE disks (free BIGINT NOT NULL)").await?;
    root.exec("INSERT INTO disks VALUES (64424509440)").await?;
    let told = format!("SELECT free FROM {}.disks", ident(&scene.database.twin));
    scene.manifest.set_target(&[("/probes", json!({"freeDisk": told}))])?;
    let throttle = json!({"minFreeDisk": "20Gi", "autoResume": {"healthyFor": "1s"}});
    scene.manifest.set(&[("/copy", slow()), ("/throttle", throttle)])?;
    let mut run = scene.run(None)?;
    copies(&mut run).await?;
    root.exec("UPDATE disks SET free = 1073741824").await?;
    let words = "the disk has 1024 MiB free, below minFreeDisk of 20480 MiB";
    let paused = |line: &Value| is_paused_for(line, words);
    let held = run.wait_until("it pauses for the disk", RUN, paused).await?;
    scene.manifest.set(&[("/copy", json!({"threads": 2, "maxRowsPerSecond": 0}))])?;
    scene.registers.wait_for_more(200).await?;
    let is_later = |line: &Value| line["type"] == "progress" && *line != held;
    let later = run.wait_until("a later line", RUN, is_later).await?;
    ensure!(is_paused_for(&later, words), "it is no longer paused: {later}");
    root.exec("UPDATE disks SET free = 64424509440").await?;
    root.close().await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn untold() -> Result<()> {
    let mut scene = Scene::shared("disk_untold", Flavour::Gtid, Shape::default()).await?;
    let throttle = json!({"minFreeDisk": "1Ki", "autoResume": {"healthyFor": "1s"}});
    scene.manifest.set(&[("/copy", slow()), ("/throttle", throttle)])?;
    let mut run = scene.run(None)?;
    let words = "has no probes.freeDisk";
    run.wait_until("it says so", RUN, |line| is_paused_for(line, words)).await?;
    scene.manifest.set(&[("/throttle", json!({})), ("/copy/maxRowsPerSecond", json!(0))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}
