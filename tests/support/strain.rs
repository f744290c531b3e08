//! What makes a migration yield, made by hand: connections, an administrator's gate, replicas that fall
//! behind; and how to read from a run's lines that it does. In: scenes and lines; out: facts, or the
//! test's failure.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::caller::Caller;
use super::client::{Client, ident, literal};
use super::database::Database;
use super::ghostship::Ghostship;
use super::scene::{RUN, Scene, Shape, expect_code};
use super::server::{PrivateServer, Server};
use super::wait::wait_for;

/// Connections that a quiet test stays below, writers, worker and verification together.
pub(crate) const QUIET: u64 = 60;
/// Connections that a load has more.
const LOAD: usize = 80;
/// Rows of a table whose copy is watched for some seconds.
const ROWS: u64 = 12_000;
/// A transaction of ours that is open for longer is a snapshot that somebody forgot.
const LONGEST_TRANSACTION: u64 = 5;

/// Connections that do nothing but count.
pub(crate) async fn load(scene: &Scene) -> Result<Vec<Client>> {
    let mut connections = Vec::new();
    for _ in 0..LOAD {
        connections.push(scene.database.connect().await?);
    }
    Ok(connections)
}

/// Ends such a load.
pub(crate) async fn close(connections: Vec<Client>) -> Result<()> {
    for connection in connections {
        connection.close().await?;
    }
    Ok(())
}

/// A table `closed` by which an administrator stops migrations of the target as long as it has rows.
pub(crate) async fn gate(scene: &mut Scene) -> Result<Client> {
    let mut root = scene.database.connect_twin().await?;
    root.exec("CREATE TABLE closed (why INT NOT NULL)").await?;
    let gate = format!("SELECT COUNT(*) FROM {}.closed", ident(&scene.database.twin));
    scene.manifest.set_target(&[("/probes", json!({"query": gate}))])?;
    Ok(root)
}

/// Whether a line tells a reason of this signal with these words.
pub(crate) fn tells(line: &Value, signal: &str, words: &str) -> bool {
    let reasons = line["throttled"].as_array().into_iter().flatten();
    reasons.into_iter().any(|one| {
        one["signal"] == signal && one["reason"].as_str().is_some_and(|text| text.contains(words))
    })
}

/// A number of a line; 0 when it has none of this name.
pub(crate) fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_default()
}

/// A line that counts keys applied after `line`, so often.
pub(crate) async fn applied_beyond(run: &mut Ghostship, line: &Value, times: u32) -> Result<Value> {
    let mut last = line.clone();
    for _ in 0..times {
        let known = number(&last, "keysApplied");
        let more = |line: &Value| number(line, "keysApplied") > known;
        last = run.wait_until("more keys are applied", RUN, more).await?;
    }
    Ok(last)
}

/// Sees that a run that is held neither copies, compares nor swaps at full speed, while what the
/// application writes is applied and nothing of ours keeps the server from purging.
pub(crate) async fn expect_standstill(scene: &mut Scene, run: &mut Ghostship) -> Result<Value> {
    let full_speed = [("/copy/maxRowsPerSecond", json!(0)), ("/copy/chunkTime", json!("500ms"))];
    scene.manifest.set(&full_speed)?;
    // The counters of the first line may be of before, and chunks that were under way end.
    let next = run.next_line(RUN).await?;
    let settled = applied_beyond(run, &next, 2).await?;
    scene.registers.wait_for_more(200).await?;
    let later = applied_beyond(run, &settled, 2).await?;
    for field in ["phase", "rowsCopied", "verifiedPercent", "cutOverAttempts"] {
        ensure!(settled[field] == later[field], "{field} moved: {settled} {later}");
    }
    ensure!(!scene.is_swapped().await?, "it swapped while it was held: {later}");
    expect_no_old_transaction(scene).await?;
    Ok(later)
}

/// Waits until somebody waits for a row of the shadow table `t_gho`.
pub(crate) async fn wait_for_lock(database: &Database) -> Result<()> {
    let mut client = database.connect().await?;
    let query = format!(
        "SELECT COUNT(*) FROM performance_schema.data_locks WHERE LOCK_STATUS = 'WAITING' \
         AND OBJECT_SCHEMA = {} AND OBJECT_NAME = 't_gho'",
        literal(&database.name)
    );
    let probe = async || {
        let found = client.texts(&query).await?.concat();
        Ok(if found == "0" { Err(found) } else { Ok(()) })
    };
    wait_for("a batch to wait for a row", RUN, probe).await?;
    client.close().await
}

/// No session of the tool has a transaction that is open for long.
pub(crate) async fn expect_no_old_transaction(scene: &Scene) -> Result<()> {
    let query = format!(
        "SELECT CONCAT(th.PROCESSLIST_ID, ' ', trx.trx_started, ' ', COALESCE(trx.trx_query, '')) \
         FROM information_schema.INNODB_TRX trx \
         JOIN performance_schema.threads th ON th.PROCESSLIST_ID = trx.trx_mysql_thread_id \
         WHERE th.PROCESSLIST_USER = {} \
         AND trx.trx_started < NOW() - INTERVAL {LONGEST_TRANSACTION} SECOND",
        literal(&scene.database.account)
    );
    let mut client = scene.database.connect().await?;
    let found = client.texts(&query).await?;
    client.close().await?;
    ensure!(
        found.is_empty(),
        "transactions are open for more than {LONGEST_TRANSACTION} s: {found:?}"
    );
    Ok(())
}

/// A primary under load with replicas that its migration watches.
pub(crate) struct Replicated {
    /// Table, writers and manifest on the primary.
    pub(crate) scene: Scene,
    /// The replicas.
    pub(crate) replicas: Vec<PrivateServer>,
    _primary: PrivateServer,
}

impl Replicated {
    /// Starts the servers; `fields` are further ones of each control replica.
    pub(crate) async fn lay_out(label: &str, replicas: usize, fields: &Value) -> Result<Self> {
        let name = label.replace('_', "-");
        let primary = Server::private(&format!("{name}-p"), &[])?;
        let mut started = Vec::new();
        for number in 0..replicas {
            started.push(primary.replica(&format!("{name}-r{number}"))?);
        }
        let shape = Shape { rows: ROWS, ..Shape::default() };
        let scene = Scene::on(primary.server(), label, shape).await?;
        let mut it = Self { scene, replicas: started, _primary: primary };
        let mut places = Vec::new();
        for number in 0..replicas {
            // A replica that has to wait for its disk is behind for reasons that are not the test's.
            it.on(number, &["SET GLOBAL sync_binlog = 0, innodb_flush_log_at_trx_commit = 2"])
                .await?;
            let (host, port) = it.replicas[number].server().address()?;
            let mut place = json!({"host": host, "port": port});
            if let (Some(place), Some(fields)) = (place.as_object_mut(), fields.as_object()) {
                place.extend(fields.clone());
            }
            places.push(place);
        }
        it.scene.manifest.set_target(&[("/controlReplicas", json!(places))])?;
        Ok(it)
    }

    /// Starts a copy at this speed under these limits, and waits until it copies with its replicas in
    /// view.
    pub(crate) async fn begin(
        &mut self,
        throttle: Value,
        rows_per_second: u64,
    ) -> Result<(Ghostship, Caller)> {
        let slow = json!({"threads": 2, "chunkTime": "200ms", "maxRowsPerSecond": rows_per_second});
        self.scene.manifest.set(&[("/throttle", throttle), ("/copy", slow)])?;
        let (mut run, caller) = Caller::of_run(&self.scene.manifest, None, &[]).await?;
        let seen = |line: &Value| line["replicaLag"].is_number() && number(line, "rowsCopied") > 0;
        run.wait_until("the replicas are seen", RUN, seen).await?;
        Ok((run, caller))
    }

    /// A replica as reasons name it.
    pub(crate) fn name(&self, number: usize) -> Result<String> {
        let (host, port) = self.replicas[number].server().address()?;
        Ok(format!("{host}:{port}"))
    }

    /// Runs statements as root of a replica.
    pub(crate) async fn on(&self, number: usize, statements: &[&str]) -> Result<()> {
        let mut client = Client::connect(self.replicas[number].server().url(), None).await?;
        for statement in statements {
            client.exec(statement).await?;
        }
        client.close().await
    }

    /// Ends the sessions of the tool's account on a replica; answers how many.
    pub(crate) async fn end_sessions(&self, number: usize) -> Result<usize> {
        let mut client = Client::connect(self.replicas[number].server().url(), None).await?;
        let sessions = format!(
            "SELECT ID FROM performance_schema.processlist WHERE USER = {}",
            literal(&self.scene.database.account)
        );
        let sessions = client.texts(&sessions).await?;
        for session in &sessions {
            client.exec(&format!("KILL {session}")).await?;
        }
        client.close().await?;
        Ok(sessions.len())
    }

    /// Waits for the end, which has to be success, and looks at everything.
    pub(crate) async fn expect_end(self, run: Ghostship) -> Result<()> {
        expect_code(&run.wait(RUN).await?, 0)?;
        self.expect_completed().await
    }

    /// Looks at everything after the end.
    pub(crate) async fn expect_completed(self) -> Result<()> {
        self.scene.expect_completed().await
    }
}
