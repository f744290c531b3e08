//! Clients that run a hostile workload without pause and write down what they were told; readers that
//! watch versions; and the verdict over all of it once they have stopped.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;

use super::client::{Client, text};
use super::compare::Dump;
use super::database::Database;
use super::history::{self, Record, Told, Write};
use super::random::Random;
use super::wait::wait_for;
use super::workload::{Draw, Transaction, Workload};

/// The ticket of rows that nobody wrote.
const INITIAL: u64 = 0;
/// Duplicate key, lock wait, deadlock, XA rolled back by a deadlock: the clients' own doing.
const OWN_ERRORS: [u16; 4] = [1062, 1205, 1213, 1614];
/// Tickets between two seeds.
const TICKETS: u64 = 10_000_000;

/// The running clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Result<()>>,
}

/// All that was recorded.
#[derive(Debug)]
pub(crate) struct History(Vec<Record>);

struct Shared {
    workload: &'static Workload,
    rows: i64,
    stop: AtomicBool,
    ticket: AtomicU64,
    records: Mutex<Vec<Record>>,
    reads: AtomicU64,
}

/// Creates and fills `t` and its mirror `m`; answers the value of the invariant.
pub(crate) async fn lay_out(database: &Database, workload: &Workload, rows: i64) -> Result<String> {
    let mut client = database.connect().await?;
    client.exec("SET SESSION cte_max_recursion_depth = 100000000").await?;
    client.exec(&format!("CREATE TABLE t ({})", workload.columns)).await?;
    client.exec("CREATE TABLE m LIKE t").await?;
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
    );
    client.exec(&format!("INSERT INTO t {numbers} {}", workload.fill)).await?;
    client.exec("INSERT INTO m SELECT * FROM t").await?;
    let value = invariant(&mut client, workload).await?;
    client.close().await?;
    Ok(value)
}

/// Fails unless the changed table equals its mirror, agrees with the history and keeps the invariant.
pub(crate) async fn judge(
    database: &Database,
    workload: &Workload,
    history: &History,
    before: &str,
) -> Result<()> {
    let mut client = database.connect().await?;
    let migrated = Dump::read(&mut client, "t", workload.added).await?;
    let mirror = Dump::read(&mut client, "m", &[]).await?;
    migrated.expect_equal(&mirror, "the migrated table against its mirror")?;
    let query = format!("SELECT {}, ticket FROM t", workload.key);
    let rows = client.rows(&query).await?;
    let tickets: BTreeMap<String, u64> =
        rows.iter().map(|row| Ok((text(row, 0), text(row, 1).parse()?))).collect::<Result<_>>()?;
    ensure!(tickets.len() == rows.len(), "a key occurs twice");
    history::check(&history.0, &tickets, INITIAL)?;
    let after = invariant(&mut client, workload).await?;
    ensure!(after == before, "the invariant was {before} and is {after}");
    client.close().await
}

async fn invariant(client: &mut Client, workload: &Workload) -> Result<String> {
    if workload.invariant.is_empty() {
        return Ok(String::new());
    }
    Ok(client.texts(workload.invariant).await?.concat())
}

impl Load {
    /// Starts `count` clients on a table of `rows` rows, and a reader when the workload has versions.
    pub(crate) async fn start(
        database: &Database,
        workload: &'static Workload,
        (rows, count): (i64, usize),
        seed: u64,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            workload,
            rows,
            stop: AtomicBool::new(false),
            ticket: AtomicU64::new(seed.saturating_add(1).saturating_mul(TICKETS)),
            records: Mutex::default(),
            reads: AtomicU64::new(0),
        });
        let mut clients = JoinSet::new();
        for number in 0..count {
            let mut client = session(database).await?;
            let setting = workload.sessions[number % workload.sessions.len()];
            if !setting.is_empty() {
                client.exec(setting).await?;
            }
            let random = Random::new(seed.wrapping_add(number as u64));
            clients.spawn(write(Arc::clone(&shared), client, random));
        }
        if !workload.versions.is_empty() {
            let client = session(database).await?;
            clients.spawn(read(Arc::clone(&shared), client, Random::new(seed)));
        }
        Ok(Self { shared, clients })
    }

    /// Transactions that have committed so far.
    pub(crate) fn committed(&self) -> usize {
        let records = self.shared.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().filter(|record| record.told == Told::Ok).count()
    }

    /// Waits until `more` further transactions have committed; fails when a client has failed.
    pub(crate) async fn wait_for_more(&mut self, more: usize, deadline: Duration) -> Result<()> {
        let wanted = self.committed() + more;
        let probe = async || {
            if let Some(ended) = self.clients.try_join_next() {
                ended??;
                bail!("a client ended early");
            }
            let done = self.committed();
            Ok(if done >= wanted { Ok(()) } else { Err(done) })
        };
        wait_for("the clients to go on", deadline, probe).await
    }

    /// Ends the clients; fails when one of them met what no client should meet.
    pub(crate) async fn stop(mut self) -> Result<History> {
        self.shared.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        let watched = !self.shared.workload.versions.is_empty();
        if watched && self.shared.reads.load(Ordering::SeqCst) < 50 {
            bail!("void: the reader hardly read");
        }
        let mut records = self.shared.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(History(std::mem::take(&mut records)))
    }
}

impl History {
    /// Transactions that committed between two moments.
    pub(crate) fn committed_between(&self, from: Instant, to: Instant) -> usize {
        let ok = self.0.iter().filter(|record| record.told == Told::Ok);
        ok.filter(|record| record.ended >= from && record.ended <= to).count()
    }

    /// The longest time from the begin of a transaction to its answer.
    pub(crate) fn longest(&self) -> Duration {
        let times = self.0.iter().map(|record| record.ended - record.begun);
        times.max().unwrap_or_default()
    }

    /// Numbers of transactions: committed, failed or rolled back, unknown.
    pub(crate) fn counts(&self) -> HashMap<&'static str, usize> {
        let mut counts = HashMap::new();
        for record in &self.0 {
            let told = match record.told {
                Told::Ok => "ok",
                Told::Failed => "failed",
                Told::Unknown => "unknown",
            };
            *counts.entry(told).or_default() += 1;
        }
        counts
    }
}

async fn session(database: &Database) -> Result<Client> {
    let mut client = database.connect().await?;
    client.exec("SET SESSION innodb_lock_wait_timeout = 5, lock_wait_timeout = 20").await?;
    Ok(client)
}

async fn write(shared: Arc<Shared>, mut client: Client, mut random: Random) -> Result<()> {
    while !shared.stop.load(Ordering::SeqCst) {
        let ticket = shared.ticket.fetch_add(4, Ordering::SeqCst);
        let draw = Draw { rows: shared.rows, ticket };
        let transaction = (shared.workload.next)(&mut random, draw);
        let begun = Instant::now();
        let told = carry_out(&mut client, &transaction).await?;
        let record = recorded(transaction, (begun, Instant::now()), told);
        shared.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        if told == Told::Unknown {
            bail!("a client lost its connection, which nothing in this test explains");
        }
    }
    client.close().await
}

fn recorded(transaction: Transaction, (begun, ended): (Instant, Instant), told: Told) -> Record {
    let undone = !transaction.undone.is_empty();
    let writes: Vec<Write> = if undone { transaction.undone } else { transaction.writes };
    let told = if undone && told == Told::Ok { Told::Failed } else { told };
    Record { begun, ended, told, writes }
}

/// Runs a transaction on the table and its mirror.
async fn carry_out(client: &mut Client, transaction: &Transaction) -> Result<Told> {
    let on = |table: &str| {
        let body = transaction.body.iter();
        body.map(|(sql, least)| (sql.replace("{t}", table), *least)).collect::<Vec<_>>()
    };
    let plain =
        |statements: &[String]| statements.iter().map(|sql| (sql.clone(), 0)).collect::<Vec<_>>();
    let all = [plain(&transaction.begin), on("t"), on("m"), plain(&transaction.finish)].concat();
    for (sql, least) in &all {
        match client.try_exec(sql).await {
            Ok(affected) if affected >= *least => {}
            Ok(_) => return give_up(client, transaction).await,
            Err(mysql_async::Error::Server(error)) if OWN_ERRORS.contains(&error.code) => {
                return give_up(client, transaction).await;
            }
            Err(error @ mysql_async::Error::Server(_)) => {
                return Err(error).with_context(|| format!("a client's statement: {sql}"));
            }
            Err(_) => return Ok(Told::Unknown),
        }
    }
    Ok(Told::Ok)
}

async fn give_up(client: &mut Client, transaction: &Transaction) -> Result<Told> {
    let Some((last, before)) = transaction.give_up.split_last() else { bail!("no way out") };
    for sql in before {
        // A deadlock has ended the branch already, which XA END then says.
        drop(client.try_exec(sql).await);
    }
    client.exec(last).await?;
    Ok(Told::Failed)
}

/// Fails when a version that this reader saw goes back, or a row that it saw is missing.
async fn read(shared: Arc<Shared>, mut client: Client, mut random: Random) -> Result<()> {
    let mut seen: HashMap<String, i64> = HashMap::new();
    while !shared.stop.load(Ordering::SeqCst) {
        let from = random.between(1, (shared.rows - 40).max(1));
        let query = shared.workload.versions.replace("{from}", &from.to_string());
        let rows = client.rows(&query).await?;
        ensure!(rows.len() >= 41, "a reader found {} rows from {from} on", rows.len());
        for row in &rows {
            let (key, version): (_, i64) = (text(row, 0), text(row, 1).parse()?);
            let known = seen.insert(key.clone(), version).unwrap_or(0);
            ensure!(version >= known, "row {key} went back from version {known} to {version}");
        }
        shared.reads.fetch_add(1, Ordering::SeqCst);
    }
    client.close().await
}
