//! What makes a migration yield: the server's load is raised and lowered, and nothing is copied, compared
//! or swapped above the limit, while the binlog is followed all the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::ghostship::Ghostship;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{Flavour, PrivateServer, Server};
use crate::support::wait::let_time_pass;

/// Connections that a quiet test stays below, writers, worker and verification together.
const QUIET: u64 = 60;
/// Connections that the load has more.
const LOAD: usize = 80;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("throttle::load_holds_the_copy".to_owned(), || holds(Stage::RowCopy)),
        super::trial("throttle::load_holds_the_verification".to_owned(), || holds(Stage::Verify)),
        super::trial("throttle::load_holds_the_cut_over".to_owned(), || holds(Stage::CutOver)),
        super::trial("throttle::lag_of_a_replica_holds".to_owned(), lag),
        super::trial("throttle::a_replica_that_is_gone_holds".to_owned(), blind),
        super::trial("throttle::lag_without_replicas_holds".to_owned(), unwatched),
        super::trial("throttle::a_wrong_name_holds_until_it_is_corrected".to_owned(), wrong_name),
        super::trial("throttle::a_nice_copy_rests_after_each_chunk".to_owned(), nice),
    ]
}

/// What the load meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    RowCopy,
    Verify,
    CutOver,
}

/// Connections that do nothing but count.
async fn load(scene: &Scene) -> Result<Vec<Client>> {
    let mut connections = Vec::new();
    for _ in 0..LOAD {
        connections.push(scene.database.connect().await?);
    }
    Ok(connections)
}

async fn holds(stage: Stage) -> Result<()> {
    let label = format!("{stage:?}").to_lowercase();
    let server = Server::private(&format!("throttle-{label}"), &[])?;
    let shape = Shape { rows: 8000, ..Shape::default() };
    let mut scene = Scene::on(server.server(), &format!("throttle_{label}"), shape).await?;
    let limits = json!({"maxLoad": {"Threads_connected": QUIET}});
    let copy = json!({"threads": 2, "chunkTime": "100ms", "maxRowsPerSecond": 2000});
    scene.manifest.set(&[("/throttle", limits), ("/copy", copy)])?;
    let point = match stage {
        Stage::RowCopy => "chunk.committed=stop@3",
        Stage::Verify => "verify.range=stop",
        Stage::CutOver => "state.AwaitCutOver.after=stop",
    };
    let mut run = scene.run(Some(point))?;
    run.wait_until_stopped(RUN).await?;
    // The pause holds the stage until the load is seen; from then on the load alone does.
    scene.manifest.set(&[("/paused", json!(true))])?;
    let connections = load(&scene).await?;
    run.signal("CONT")?;
    let held = run.wait_until("the load is seen", RUN, names_load).await?;
    scene.manifest.set(&[("/paused", json!(false))])?;
    let is_paused = |line: &Value| line["waitingFor"].to_string().contains("paused");
    run.wait_until("the pause is over", RUN, |line| !is_paused(line)).await?;
    // The counters of the first line may be of before.
    let settled = applied_beyond(&mut run, &held, 2).await?;
    scene.registers.wait_for_more(200).await?;
    let later = applied_beyond(&mut run, &settled, 2).await?;
    for field in ["phase", "rowsCopied", "verifiedPercent", "cutOverAttempts"] {
        ensure!(settled[field] == later[field], "{field} moved under load: {settled} {later}");
    }
    let meant = match stage {
        Stage::RowCopy => ["RowCopy"].as_slice(),
        Stage::Verify => &["Verify"],
        Stage::CutOver => &["AwaitCutOver", "CutOver"],
    };
    let phase = later["phase"].as_str().unwrap_or_default();
    ensure!(meant.contains(&phase), "void: the load met {phase}: {later}");
    ensure!(!scene.is_swapped().await?, "swapped under load");
    for connection in connections {
        connection.close().await?;
    }
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

fn names_load(line: &Value) -> bool {
    line["throttled"].as_array().into_iter().flatten().any(|one| {
        let reason = one["reason"].as_str().unwrap_or_default();
        one["signal"] == "maxLoad" && reason.contains("above its maxLoad of 60")
    })
}

/// A line that counts keys applied after `line`, so often.
async fn applied_beyond(run: &mut Ghostship, line: &Value, times: u32) -> Result<Value> {
    let applied = |line: &Value| line["keysApplied"].as_u64().unwrap_or_default();
    let mut last = line.clone();
    for _ in 0..times {
        let known = applied(&last);
        last = run.wait_until("more keys are applied", RUN, |line| applied(line) > known).await?;
    }
    Ok(last)
}

/// A primary with a replica, and a slow copy that has begun and is watched.
struct Watched {
    primary: PrivateServer,
    replica: PrivateServer,
    scene: Scene,
    run: Ghostship,
}

impl Watched {
    async fn start(label: &str) -> Result<Self> {
        let primary = Server::private(&format!("{label}-primary"), &[])?;
        let replica = primary.replica(&format!("{label}-replica"))?;
        let shape = Shape { rows: 8000, ..Shape::default() };
        let mut scene = Scene::on(primary.server(), &format!("throttle_{label}"), shape).await?;
        let (host, port) = replica.server().address()?;
        scene
            .manifest
            .set_target(&[("/controlReplicas", json!([{"host": host, "port": port}]))])?;
        let copy = json!({"threads": 1, "chunkTime": "100ms", "maxRowsPerSecond": 200});
        scene.manifest.set(&[("/throttle", json!({"maxLag": "1s"})), ("/copy", copy)])?;
        let mut run = scene.run(None)?;
        let seen = |line: &Value| {
            line["replicaLag"].as_f64().is_some_and(|lag| lag < 1.0)
                && line["rowsCopied"].as_u64() > Some(0)
        };
        run.wait_until("the replica is seen", RUN, seen).await?;
        Ok(Self { primary, replica, scene, run })
    }

    async fn on_replica(&self, statement: &str) -> Result<()> {
        let mut client = Client::connect(self.replica.server().url(), None).await?;
        client.exec(statement).await?;
        client.close().await
    }

    /// Waits until it is held for this reason, and sees that nothing but applying goes on.
    async fn expect_held(&mut self, words: &str) -> Result<Value> {
        let told = |line: &Value| line["throttled"].to_string().contains(words);
        let held = self.run.wait_until("it is held", RUN, told).await?;
        // At the full speed the copy would be over at once.
        self.scene.manifest.set(&[("/copy/maxRowsPerSecond", json!(0))])?;
        let settled = applied_beyond(&mut self.run, &held, 3).await?;
        self.scene.registers.wait_for_more(100).await?;
        let later = applied_beyond(&mut self.run, &settled, 3).await?;
        let same = settled["rowsCopied"] == later["rowsCopied"];
        ensure!(same && later["phase"] == "RowCopy", "it went on: {settled} {later}");
        Ok(held)
    }

    async fn expect_end(self) -> Result<()> {
        expect_code(&self.run.wait(RUN).await?, 0)?;
        let ended = self.scene.expect_completed().await;
        drop((self.primary, self.replica));
        ended
    }
}

async fn lag() -> Result<()> {
    let mut watched = Watched::start("lag").await?;
    watched.on_replica("STOP REPLICA SQL_THREAD").await?;
    let held = watched.expect_held("behind, more than maxLag of 1 s").await?;
    let lag = held["replicaLag"].as_f64().unwrap_or_default();
    ensure!(lag >= 1.0, "it is held, and the replica is {lag} s behind");
    watched.on_replica("START REPLICA SQL_THREAD").await?;
    watched.expect_end().await
}

async fn blind() -> Result<()> {
    let mut watched = Watched::start("blind").await?;
    watched.replica.kill()?;
    watched.expect_held("cannot be read").await?;
    watched.replica.restart()?;
    watched.expect_end().await
}

async fn unwatched() -> Result<()> {
    let mut scene = Scene::shared("throttle_unwatched", Flavour::Gtid, Shape::default()).await?;
    let slow = json!({"threads": 1, "chunkTime": "10ms", "maxRowsPerSecond": 100});
    scene.manifest.set(&[("/throttle", json!({"maxLag": "1s"})), ("/copy", slow)])?;
    let mut run = scene.run(None)?;
    let told = |line: &Value| line["throttled"].to_string().contains("no controlReplicas");
    run.wait_until("it is told", RUN, told).await?;
    scene.manifest.set(&[("/throttle", json!({})), ("/copy/maxRowsPerSecond", json!(0))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn wrong_name() -> Result<()> {
    let mut scene = Scene::shared("throttle_wrong_name", Flavour::Gtid, Shape::default()).await?;
    let limits = json!({"maxLoad": {"Threads_runing": 30}});
    // No word is lost by a copy that is over too soon.
    let slow = json!({"threads": 1, "chunkTime": "10ms", "maxRowsPerSecond": 100});
    scene.manifest.set(&[("/throttle", limits), ("/copy", slow)])?;
    let mut run = scene.run(None)?;
    let told = |line: &Value| line["throttled"].to_string().contains("no status variable");
    run.wait_until("the wrong name is told", RUN, told).await?;
    let right = json!({"maxLoad": {"Threads_running": 30_000}});
    scene.manifest.set(&[("/throttle", right), ("/copy/maxRowsPerSecond", json!(0))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

async fn nice() -> Result<()> {
    let mut scene = Scene::shared("throttle_nice", Flavour::Gtid, Shape::default()).await?;
    let copy = json!({"threads": 1, "chunkTime": "10ms"});
    scene.manifest.set(&[("/throttle", json!({"niceRatio": "100"})), ("/copy", copy)])?;
    let mut run = scene.run(Some("chunk.inserted=stop"))?;
    run.wait_until_stopped(RUN).await?;
    // The chunk takes at least this long now, and the rest a hundred times that.
    let_time_pass(Duration::from_secs(1)).await;
    run.signal("CONT")?;
    let nice = |line: &Value| line["throttled"].to_string().contains("niceRatio is 100");
    let begun = |line: &Value| nice(line) && line["rowsCopied"].as_u64() > Some(0);
    let first = run.wait_until("the first chunk is copied", RUN, begun).await?;
    let later = applied_beyond(&mut run, &first, 4).await?;
    ensure!(first["rowsCopied"] == later["rowsCopied"], "it did not rest: {first} {later}");
    // A change cuts the rest short.
    scene.manifest.set(&[("/throttle/niceRatio", json!("0"))])?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}
