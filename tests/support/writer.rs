//! The background load of a case: connections that run its workload's entries in random order, with a
//! printed seed. It can be held between entries. What the application may see by its own doing
//! (duplicate keys, deadlocks, lock waits) is counted; any other error fails the test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::case::Case;
use super::client::Client;
use super::database::Database;
use super::random::Random;
use super::statements::fill_entry;
use super::wait::wait_for;

/// Milliseconds between two entries of one writer: a steady load that leaves room on two cores.
const PACE: u64 = 4;
const OWN_ERRORS: [u16; 3] = [1062, 1205, 1213];

/// The running writers.
pub(crate) struct Writers {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<()>>,
}

/// What the writers did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Entries that were carried out.
    pub(crate) done: u64,
    /// Entries that met an error of the application's own doing.
    pub(crate) collided: u64,
    /// Rows written.
    pub(crate) rows: u64,
}

struct Shared {
    gate: RwLock<()>,
    stop: AtomicBool,
    done: AtomicU64,
    collided: AtomicU64,
    rows: AtomicU64,
}

impl Writers {
    /// Starts `count` writers of the case's workload.
    #[expect(clippy::disallowed_methods, reason = "the writers are the application, not ghostship")]
    pub(crate) async fn start(
        database: &Database,
        case: &Arc<Case>,
        count: u64,
        seed: u64,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            gate: RwLock::new(()),
            stop: AtomicBool::new(false),
            done: AtomicU64::new(0),
            collided: AtomicU64::new(0),
            rows: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let client = session(database, case).await?;
            let random = Random::new(seed.wrapping_add(number));
            tasks.spawn(write(Arc::clone(&shared), Arc::clone(case), client, random));
        }
        Ok(Self { shared, tasks })
    }

    /// Holds all writers between two entries until the guard is dropped.
    pub(crate) async fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.gate.write().await
    }

    /// What they did so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            done: self.shared.done.load(Ordering::SeqCst),
            collided: self.shared.collided.load(Ordering::SeqCst),
            rows: self.shared.rows.load(Ordering::SeqCst),
        }
    }

    /// Waits until they have carried out `more` further entries; fails when one of them has failed.
    pub(crate) async fn wait_for_more(&mut self, more: u64, deadline: Duration) -> Result<()> {
        let wanted = self.counts().done + more;
        let (shared, tasks) = (&self.shared, &mut self.tasks);
        let probe = async || {
            if let Some(ended) = tasks.try_join_next() {
                ended??;
                bail!("a writer ended early");
            }
            let done = shared.done.load(Ordering::SeqCst);
            Ok(if done >= wanted { Ok(()) } else { Err(done) })
        };
        wait_for("the writers to go on", deadline, probe).await
    }

    /// Ends them and answers what they did; fails when one of them has failed.
    pub(crate) async fn stop(mut self) -> Result<Counts> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(self.counts())
    }
}

/// Runs each entry of the workload once, in order.
pub(crate) async fn run_each_once(database: &Database, case: &Case, seed: u64) -> Result<()> {
    let mut client = session(database, case).await?;
    let mut random = Random::new(seed);
    for entry in &case.workload {
        if let Entry::Failed(error) = carry_out(&mut client, entry, &mut random).await? {
            return Err(error);
        }
    }
    client.close().await
}

enum Entry {
    Done(u64),
    Collided,
    Failed(anyhow::Error),
}

async fn session(database: &Database, case: &Case) -> Result<Client> {
    let mut client = database.connect().await?;
    case.prepare(&mut client).await?;
    client.exec("SET SESSION innodb_lock_wait_timeout = 10, lock_wait_timeout = 20").await?;
    for statement in &case.session {
        client.exec(statement).await?;
    }
    Ok(client)
}

async fn write(
    shared: Arc<Shared>,
    case: Arc<Case>,
    mut client: Client,
    mut random: Random,
) -> Result<()> {
    let milliseconds = case.setting("pace_ms").map_or(Ok(PACE), str::parse)?;
    let mut pace = interval(Duration::from_millis(milliseconds));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let _between = shared.gate.read().await;
        let Some(entry) = case.workload.get(random.below(case.workload.len())) else {
            break;
        };
        match carry_out(&mut client, entry, &mut random).await? {
            Entry::Done(rows) => {
                shared.done.fetch_add(1, Ordering::SeqCst);
                shared.rows.fetch_add(rows, Ordering::SeqCst);
            }
            Entry::Collided => {
                shared.collided.fetch_add(1, Ordering::SeqCst);
            }
            Entry::Failed(error) => return Err(error),
        }
    }
    client.close().await
}

async fn carry_out(client: &mut Client, entry: &[String], random: &mut Random) -> Result<Entry> {
    let mut rows = 0;
    let entry = fill_entry(entry, random);
    for statement in &entry {
        match client.try_exec(statement).await {
            Ok(affected) => rows += affected,
            Err(mysql_async::Error::Server(error)) if OWN_ERRORS.contains(&error.code) => {
                roll_back(client, &entry).await.context("a writer's ROLLBACK")?;
                return Ok(Entry::Collided);
            }
            Err(error) => {
                let words = format!("a writer's statement failed: {statement}");
                return Ok(Entry::Failed(anyhow::Error::new(error).context(words)));
            }
        }
    }
    Ok(Entry::Done(rows))
}

async fn roll_back(client: &mut Client, entry: &[String]) -> Result<u64> {
    let Some(xid) = entry.first().and_then(|first| first.strip_prefix("XA START ")) else {
        return client.exec("ROLLBACK").await;
    };
    // A deadlock has ended the branch already, which XA END then says.
    drop(client.try_exec(&format!("XA END {xid}")).await);
    client.exec(&format!("XA ROLLBACK {xid}")).await
}
