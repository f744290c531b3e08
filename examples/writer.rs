//! An application under load, for the demos: sessions that insert and update rows of table `orders` until
//! the process is told to end, and then look whether every acknowledged write is in the table.
//! In: a database's URL and how many sessions. Out: a few lines. Knows nothing of ghostship's work.

#![expect(clippy::print_stdout, reason = "its lines are what it is for")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ghostship::tasks::TaskGroup;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// The time between two statements of one session: a steady load that leaves room on two cores.
const PACE: Duration = Duration::from_millis(4);

/// What the server has acknowledged, and how long it took.
#[derive(Default)]
struct Acknowledged {
    quantities: HashMap<u64, u32>,
    waits: Vec<Duration>,
}

#[derive(Clone, Default)]
struct Shared {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, sessions] = arguments.as_slice() else { bail!("usage: writer URL SESSIONS") };
    let options: Opts = OptsBuilder::from_opts(Opts::from_url(url)?).prefer_socket(false).into();
    let shared = Shared::default();
    let (running, mut ended) = mpsc::channel::<()>(1);
    let mut writers = TaskGroup::new();
    for _ in 0..sessions.parse::<u8>().context("SESSIONS is a number up to 255")? {
        let (options, shared, running) = (options.clone(), shared.clone(), running.clone());
        writers.spawn("a writer", async move {
            let written = write(options, shared).await;
            drop(running);
            written
        });
    }
    let mut told_to_end = signal(SignalKind::terminate())?;
    drop(running);
    let end = async {
        told_to_end.recv().await;
        shared.stop.store(true, Ordering::SeqCst);
        // A statement that was sent is answered before anybody looks.
        ended.recv().await
    };
    writers.run(end).await?;
    let acknowledged = std::mem::take(&mut *lock(&shared.acknowledged));
    report(&acknowledged, &read_back(options).await?)
}

async fn write(options: Opts, shared: Shared) -> Result<(), mysql_async::Error> {
    let mut session = Conn::new(options).await?;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut mine: Vec<u64> = Vec::new();
    for turn in 1_u32.. {
        pace.tick().await;
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let began = Instant::now();
        let oldest = mine.first().copied().filter(|_| turn % 2 == 0);
        let id = match oldest {
            Some(id) => update(&mut session, id, turn).await?,
            None => insert(&mut session, turn).await?,
        };
        let mut acknowledged = lock(&shared.acknowledged);
        acknowledged.quantities.insert(id, turn);
        acknowledged.waits.push(began.elapsed());
        drop(acknowledged);
        mine.retain(|&other| other != id);
        mine.push(id);
    }
    session.disconnect().await
}

async fn insert(session: &mut Conn, quantity: u32) -> Result<u64, mysql_async::Error> {
    let statement = "INSERT INTO orders (customer, quantity, note) VALUES (?, ?, 'from the demo')";
    session.exec_drop(statement, (quantity % 1000, quantity)).await?;
    Ok(session.last_insert_id().unwrap_or_default())
}

async fn update(session: &mut Conn, id: u64, quantity: u32) -> Result<u64, mysql_async::Error> {
    session.exec_drop("UPDATE orders SET quantity = ? WHERE id = ?", (quantity, id)).await?;
    Ok(id)
}

async fn read_back(options: Opts) -> Result<HashMap<u64, u32>> {
    let mut session = Conn::new(options).await?;
    let rows = session.query("SELECT id, quantity FROM orders WHERE note = 'from the demo'").await;
    let rows: Vec<(u64, u32)> = rows.context("the rows cannot be read back")?;
    session.disconnect().await?;
    Ok(rows.into_iter().collect())
}

fn report(acknowledged: &Acknowledged, held: &HashMap<u64, u32>) -> Result<()> {
    let mut waits = acknowledged.waits.clone();
    waits.sort_unstable();
    let at = |index: usize| waits.get(index).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0);
    let found =
        acknowledged.quantities.iter().filter(|(id, quantity)| held.get(id) == Some(quantity));
    let found = found.count();
    println!("  writes acknowledged    {}", waits.len());
    println!("  rows written, found    {}, {found}", acknowledged.quantities.len());
    println!("  a write took           {:.1} ms (median)", at(waits.len() / 2));
    println!("  the longest write took {:.0} ms", at(waits.len().saturating_sub(1)));
    if found != acknowledged.quantities.len() || held.len() != found {
        bail!("{found} of {} rows are as acknowledged", acknowledged.quantities.len());
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
