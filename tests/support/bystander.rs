//! Somebody who writes to a table of their own beside a test, and whom nothing but the machine makes
//! wait: what they waited is what a limit of time in a test has to allow for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinHandle;

use super::client::Client;
use super::database::Database;
use super::wait::let_time_pass;

const PACE: Duration = Duration::from_millis(10);

/// A writer to a table of its own.
pub(crate) struct Bystander {
    longest_micros: Arc<AtomicU64>,
    task: JoinHandle<Result<()>>,
}

impl Bystander {
    /// Begins to write.
    pub(crate) async fn start(database: &Database) -> Result<Self> {
        let mut client = database.connect().await?;
        client.exec("CREATE TABLE bystander (id INT PRIMARY KEY, n BIGINT NOT NULL)").await?;
        client.exec("INSERT INTO bystander VALUES (1, 0)").await?;
        let longest_micros = Arc::new(AtomicU64::new(0));
        let task = tokio::task::spawn(write(client, Arc::clone(&longest_micros)));
        Ok(Self { longest_micros, task })
    }

    /// The longest time between two answers so far, pauses included.
    pub(crate) fn longest(&self) -> Result<Duration> {
        ensure!(!self.task.is_finished(), "the bystander ended early");
        Ok(Duration::from_micros(self.longest_micros.load(Ordering::SeqCst)))
    }

    /// Ends it and its table.
    pub(crate) async fn end(self, database: &Database) -> Result<()> {
        drop(self);
        let mut client = database.connect().await?;
        client.exec("DROP TABLE bystander").await?;
        client.close().await
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(mut client: Client, longest_micros: Arc<AtomicU64>) -> Result<()> {
    loop {
        let began = Instant::now();
        let_time_pass(PACE).await;
        client.exec("UPDATE bystander SET n = n + 1").await?;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        longest_micros.fetch_max(took, Ordering::SeqCst);
    }
}
