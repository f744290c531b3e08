//! What makes a migration yield: the server's load is raised and lowered, and nothing is copied, compared
//! or swapped above the limit, while the binlog is followed all the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::scene::{RUN, Scene, Shape, expect_code};
use crate::support::server::{Flavour, Server};
use crate::support::strain::{
    QUIET, Replicated, applied_beyond, close, expect_standstill, gate, load, tells,
};
use crate::support::wait::let_time_pass;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        super::trial("throttle::load_holds_the_copy".to_owned(), || holds(Stage::RowCopy)),
        super::trial("throttle::load_holds_the_verification".to_owned(), || holds(Stage::Verify)),
        super::trial("throttle::load_holds_the_cut_over".to_owned(), || holds(Stage::CutOver)),
        super::trial("throttle::lag_keeps_a_complete_copy".to_owned(), || keeps(Cause::Lag)),
        super::trial("throttle::a_query_keeps_a_complete_copy".to_owned(), || keeps(Cause::Query)),
        super::trial("throttle::load_keeps_a_complete_copy".to_owned(), || keeps(Cause::Load)),
        super::trial("throttle::a_query_keeps_a_blocked_cut_over".to_owned(), blocked),
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
    let loaded = |line: &Value| tells(line, "maxLoad", "above its maxLoad of 60");
    let held = run.wait_until("the load is seen", RUN, loaded).await?;
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
    close(connections).await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
}

/// What a complete copy meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Lag,
    Query,
    Load,
}

impl Cause {
    /// The limit, and what is told beyond it.
    fn limit(self) -> (Value, (&'static str, &'static str)) {
        match self {
            Self::Lag => (json!({"maxLag": "1500ms"}), ("maxLag", "more than maxLag of 1.5 s")),
            Self::Query => (json!({}), ("query", "answers 1, and not 0")),
            Self::Load => {
                let limits = json!({"maxLoad": {"Threads_connected": QUIET}});
                (limits, ("maxLoad", "above its maxLoad of 60"))
            }
        }
    }
}

/// What is in the way, to be taken away again.
enum Raised {
    Stopped,
    Closed(Client),
    Connections(Vec<Client>),
}

async fn raise(cause: Cause, place: &Replicated, mut administrator: Client) -> Result<Raised> {
    match cause {
        Cause::Lag => {
            place.on(0, &["STOP REPLICA SQL_THREAD"]).await?;
            administrator.close().await?;
            Ok(Raised::Stopped)
        }
        Cause::Query => {
            administrator.exec("INSERT INTO closed VALUES (1)").await?;
            Ok(Raised::Closed(administrator))
        }
        Cause::Load => {
            administrator.close().await?;
            Ok(Raised::Connections(load(&place.scene).await?))
        }
    }
}

async fn take_away(raised: Raised, place: &Replicated) -> Result<()> {
    match raised {
        Raised::Stopped => place.on(0, &["START REPLICA SQL_THREAD"]).await,
        Raised::Closed(mut administrator) => {
            administrator.exec("DELETE FROM closed").await?;
            administrator.close().await
        }
        Raised::Connections(connections) => close(connections).await,
    }
}

/// Everything is copied and compared, a person lets the tables be swapped, and they are not.
async fn keeps(cause: Cause) -> Result<()> {
    let label = format!("throttle_complete_{cause:?}").to_lowercase();
    let replicas = usize::from(cause == Cause::Lag);
    let mut place = Replicated::lay_out(&label, replicas, &json!({})).await?;
    let administrator = gate(&mut place.scene).await?;
    let (limit, (signal, words)) = cause.limit();
    place.scene.manifest.set(&[
        ("/throttle", limit),
        ("/copy", json!({"threads": 2})),
        ("/postponeCutOver", json!(true)),
    ])?;
    let mut run = place.scene.run(None)?;
    run.wait_for("AwaitCutOver", RUN).await?;
    let raised = raise(cause, &place, administrator).await?;
    run.wait_until("it is held", RUN, |line| tells(line, signal, words)).await?;
    place.scene.manifest.set(&[("/postponeCutOver", json!(false))])?;
    let later = expect_standstill(&mut place.scene, &mut run).await?;
    ensure!(later["phase"] == "AwaitCutOver" && later["cutOverAttempts"] == 0, "it is at {later}");
    ensure!(tells(&later, signal, words), "void: it is no longer held: {later}");
    take_away(raised, &place).await?;
    place.expect_end(run).await
}

/// The swap was allowed already and waits for a transaction to end, when it is held.
async fn blocked() -> Result<()> {
    let mut scene = Scene::shared("throttle_blocked", Flavour::Gtid, Shape::default()).await?;
    scene.manifest.set(&[("/copy/chunkTime", json!("200ms"))])?;
    let mut administrator = gate(&mut scene).await?;
    let mut blocker = scene.database.connect().await?;
    blocker.exec("BEGIN").await?;
    blocker.texts("SELECT COUNT(*) FROM t WHERE id < 3").await?;
    let mut run = scene.run(None)?;
    let waits = |line: &Value| {
        line["waitingFor"].as_str().is_some_and(|text| text.contains("CutOverBlocked"))
    };
    run.wait_until("the transaction is in the way", RUN, waits).await?;
    administrator.exec("INSERT INTO closed VALUES (1)").await?;
    let closed = |line: &Value| tells(line, "query", "answers 1, and not 0");
    run.wait_until("it is held", RUN, closed).await?;
    blocker.exec("COMMIT").await?;
    blocker.close().await?;
    let later = expect_standstill(&mut scene, &mut run).await?;
    ensure!(later["phase"] == "CutOver" && closed(&later), "void: it is at {later}");
    administrator.exec("DELETE FROM closed").await?;
    administrator.close().await?;
    expect_code(&run.wait(RUN).await?, 0)?;
    scene.expect_completed().await
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
