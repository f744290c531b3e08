//! A load whose every answer is remembered: connections that insert, change, delete, swap and move rows
//! of their own, so that at any time the exact content of the table is known. A write that was
//! acknowledged must be there, one that failed must not; of one whose answer was lost the table itself
//! tells after the connection is back, and it must be there whole or not at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::client::{Client, text};
use super::database::Database;
use super::operation::{Effect, Operation};
use super::random::Random;
use super::wait::{let_time_pass, wait_for};

/// The table that is written.
pub(crate) const TABLE: &str = "t";
/// The time between two operations of one writer.
const PACE: Duration = Duration::from_millis(4);
/// Errors of the application's own doing; the transaction has not happened.
const OWN_ERRORS: [u16; 4] = [1062, 1205, 1213, 1412];
/// How long the server may be away.
const AWAY: Duration = Duration::from_secs(60);

/// One row besides its key: the unique value, the version and the tag.
pub(crate) type Row = (Option<u64>, u64, String);
/// The rows by their keys.
pub(crate) type Rows = BTreeMap<u64, Row>;

/// The running writers.
pub(crate) struct Registers {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<()>>,
}

struct Shared {
    gate: RwLock<()>,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    longest_micros: AtomicU64,
    known: Mutex<Rows>,
}

struct Writer {
    shared: Arc<Shared>,
    database: Arc<Database>,
    client: Client,
    random: Random,
    /// The rows that only this writer changes.
    own: Rows,
    number: u64,
    writers: u64,
    next: u64,
}

/// Creates the table and fills it with `rows` rows; `unique` adds a second unique index.
pub(crate) async fn lay_out(database: &Database, rows: u64, unique: bool) -> Result<Rows> {
    let index = if unique { ", UNIQUE KEY u (u)" } else { "" };
    let mut client = database.connect().await?;
    client
        .exec(&format!(
            "CREATE TABLE {TABLE} (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
             u BIGINT UNSIGNED NULL, version BIGINT UNSIGNED NOT NULL, tag VARCHAR(40) NOT NULL{index})"
        ))
        .await?;
    client.exec("SET SESSION cte_max_recursion_depth = 1000000").await?;
    client
        .exec(&format!(
            "INSERT INTO {TABLE} WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
             WHERE i < {rows}) SELECT i, i * 10, 0, 'seed' FROM n"
        ))
        .await?;
    client.close().await?;
    Ok((1..=rows).map(|id| (id, (Some(id * 10), 0, "seed".to_owned()))).collect())
}

/// Reads the table.
pub(crate) async fn read(client: &mut Client, condition: &str) -> Result<Rows> {
    let query = format!("SELECT id, u, version, tag FROM {TABLE} WHERE {condition}");
    let rows = client.rows(&query).await?;
    let row = |cells| {
        Ok((text(&cells, 0).parse()?, {
            let unique = text(&cells, 1);
            let unique = if unique.is_empty() { None } else { Some(unique.parse()?) };
            (unique, text(&cells, 2).parse()?, text(&cells, 3))
        }))
    };
    rows.into_iter().map(row).collect()
}

impl Registers {
    /// Starts `writers` writers on the rows of the table.
    pub(crate) async fn start(
        database: &Arc<Database>,
        rows: Rows,
        writers: u64,
        seed: u64,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            gate: RwLock::new(()),
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            longest_micros: AtomicU64::new(0),
            known: Mutex::new(rows.clone()),
        });
        let mut tasks = JoinSet::new();
        for number in 0..writers {
            let own = rows.iter().filter(|(id, _)| *id % writers == number);
            let mut writer = Writer {
                shared: Arc::clone(&shared),
                database: Arc::clone(database),
                client: session(database).await?,
                random: Random::new(seed.wrapping_add(number)),
                own: own.map(|(id, row)| (*id, row.clone())).collect(),
                number,
                writers,
                next: rows.len() as u64 / writers + 1,
            };
            tasks.spawn(async move { writer.write().await });
        }
        Ok(Self { shared, tasks })
    }

    /// Operations that were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// The longest time an acknowledged operation took since the last call.
    pub(crate) fn take_longest(&self) -> Duration {
        Duration::from_micros(self.shared.longest_micros.swap(0, Ordering::SeqCst))
    }

    /// Waits for `more` further operations; fails when a writer has failed.
    pub(crate) async fn wait_for_more(&mut self, more: u64) -> Result<()> {
        let wanted = self.acknowledged() + more;
        let (shared, tasks) = (&self.shared, &mut self.tasks);
        let probe = async || {
            if let Some(ended) = tasks.try_join_next() {
                ended??;
                bail!("a writer ended early");
            }
            let now = shared.acknowledged.load(Ordering::SeqCst);
            Ok(if now >= wanted { Ok(()) } else { Err(now) })
        };
        wait_for("the writers to go on", AWAY, probe).await
    }

    /// Adds a row that somebody else writes and no writer touches.
    pub(crate) fn add(&self, id: u64, row: Row) {
        self.known().insert(id, row);
    }

    /// The rows as they were acknowledged.
    pub(crate) fn rows(&self) -> Rows {
        self.known().clone()
    }

    /// Compares the table with what was acknowledged, while the writers are held.
    pub(crate) async fn compare(&self, database: &Database) -> Result<()> {
        let _held = self.hold().await;
        let mut client = database.connect().await?;
        let found = read(&mut client, "TRUE").await?;
        client.close().await?;
        expect_equal(&found, &self.known())
    }

    /// Ends the writers, compares the table and answers how many operations were acknowledged.
    pub(crate) async fn stop(mut self, database: &Database) -> Result<u64> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        self.compare(database).await?;
        Ok(self.acknowledged())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Rows> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds all writers between two operations until the guard is dropped.
    pub(crate) async fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.gate.write().await
    }
}

impl Writer {
    async fn write(&mut self) -> Result<()> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = Arc::clone(&self.shared);
        while !shared.stop.load(Ordering::SeqCst) {
            pace.tick().await;
            let _between = shared.gate.read().await;
            let id = self.next * self.writers + self.number;
            self.next += 1;
            let operation = Operation::choose(&self.own, id, &mut self.random);
            if self.carry_out(&operation).await? {
                self.remember(&operation.effects);
            }
        }
        Ok(())
    }

    /// Whether the operation has happened, as far as it takes to know that for sure.
    async fn carry_out(&mut self, operation: &Operation) -> Result<bool> {
        let began = Instant::now();
        for statement in operation.statements() {
            match self.client.try_exec(&statement).await {
                Ok(affected) => ensure!(
                    affected == 1 || !operation.is_write(&statement),
                    "an acknowledged row is not there: {statement} wrote {affected} rows"
                ),
                Err(mysql_async::Error::Server(error)) if OWN_ERRORS.contains(&error.code) => {
                    self.client.exec("ROLLBACK").await.context("a writer's ROLLBACK")?;
                    return Ok(false);
                }
                Err(mysql_async::Error::Server(error)) if !is_shutdown(error.code) => {
                    bail!("a writer's statement failed: {statement}: {error}")
                }
                Err(_) => return self.look_after(operation).await,
            }
        }
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.longest_micros.fetch_max(took, Ordering::SeqCst);
        self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }

    /// Connects anew and looks whether an operation whose answer was lost has happened.
    async fn look_after(&mut self, operation: &Operation) -> Result<bool> {
        self.client = reconnect(&self.database).await?;
        let ids: Vec<String> = operation.effects.iter().map(|(id, _)| id.to_string()).collect();
        let found = read(&mut self.client, &format!("id IN ({})", ids.join(", "))).await?;
        let is = |row: &dyn Fn(&Effect) -> Option<Row>| {
            operation.effects.iter().all(|effect| found.get(&effect.0).cloned() == row(effect))
        };
        match (is(&|effect| effect.1.clone()), is(&|effect| self.own.get(&effect.0).cloned())) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => {
                bail!("an operation happened by half: {operation:?}, found {found:?}")
            }
        }
    }

    fn remember(&mut self, effects: &[Effect]) {
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, row) in effects {
            for rows in [&mut self.own, &mut known] {
                match row {
                    Some(row) => rows.insert(*id, row.clone()),
                    None => rows.remove(id),
                };
            }
        }
    }
}

async fn session(database: &Database) -> Result<Client> {
    let mut client = database.connect().await?;
    client.exec("SET SESSION innodb_lock_wait_timeout = 20, lock_wait_timeout = 20").await?;
    Ok(client)
}

async fn reconnect(database: &Database) -> Result<Client> {
    let end = Instant::now() + AWAY;
    loop {
        match session(database).await {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => let_time_pass(PACE * 5).await,
        }
    }
}

/// The server says farewell: whether the statement happened is unknown.
fn is_shutdown(code: u16) -> bool {
    [1053, 1077, 1317, 1927, 3169, 4031].contains(&code)
}

fn expect_equal(found: &Rows, known: &Rows) -> Result<()> {
    let lost = known.iter().filter(|(id, row)| found.get(id) != Some(row));
    let lost: Vec<_> = lost.map(|(id, row)| (id, row, found.get(id))).take(5).collect();
    ensure!(lost.is_empty(), "acknowledged writes are lost (key, written, found): {lost:?}");
    let invented: Vec<_> = found.iter().filter(|(id, _)| !known.contains_key(id)).take(5).collect();
    ensure!(invented.is_empty(), "rows that nobody wrote are there: {invented:?}");
    Ok(())
}
