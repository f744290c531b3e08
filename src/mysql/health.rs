//! What a server tells about how it fares: figures by which a migration judges whether it is in the way.
//! In: a session; out: numbers. Decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::Error;
use super::position::GtidSet;
use super::server;
use super::session::{Row, Session};

/// Such questions are answered from memory.
const LIMIT: Duration = Duration::from_secs(2);
/// Statements by which an application is served, with those that it prepared.
const STATEMENTS: &str = "'statement/sql/select','statement/sql/insert','statement/sql/update',\
    'statement/sql/delete','statement/sql/replace','statement/sql/commit','statement/com/Execute'";

/// Statements since the server's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// How many were executed.
    pub statements: u64,
    /// The time that they took in all.
    pub time: Duration,
}

/// What a replica tells about its replication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// How far it believes to be behind; `None` when it cannot tell.
    pub behind: Option<Duration>,
    /// Transactions that it has received and not applied; `None` without GTIDs.
    pub backlog: Option<u64>,
}

/// The processors that the server may use.
///
/// # Errors
/// When the session fails, or the server does not tell.
pub async fn read_cores(session: &mut Session) -> Result<u64, Error> {
    let query = "SELECT VCPU_IDS FROM information_schema.RESOURCE_GROUPS \
                 WHERE RESOURCE_GROUP_NAME = 'SYS_default'";
    let row = session.query_optional(query, LIMIT).await?;
    let ids = row.and_then(|row| row.string(0));
    ids.and_then(|ids| count(&ids)).ok_or(Error::ReadAnswer("the number of processors"))
}

/// Sessions that execute something now, ours as well.
///
/// # Errors
/// When the session fails.
pub async fn read_running(session: &mut Session) -> Result<u64, Error> {
    number(session, "Threads_running").await
}

/// Row versions that InnoDB has yet to purge, counted in transactions.
///
/// # Errors
/// When the session fails, or PROCESS is missing.
pub async fn read_history_length(session: &mut Session) -> Result<u64, Error> {
    let query = "SELECT `COUNT` FROM information_schema.INNODB_METRICS \
                 WHERE NAME = 'trx_rseg_history_len'";
    let row = session.query_optional(query, LIMIT).await?;
    row.and_then(|row| row.u64(0)).ok_or(Error::ReadAnswer("the length of the history list"))
}

/// How much of the redo log's capacity is written and not yet checkpointed, in percent.
///
/// # Errors
/// When the session fails, or the server is older than 8.0.30.
pub async fn read_redo_percent(session: &mut Session) -> Result<u64, Error> {
    let capacity = session.query_one("SELECT @@GLOBAL.innodb_redo_log_capacity", LIMIT).await?;
    let capacity = capacity.expect_u64(0, "the capacity of the redo log")?;
    let written = number(session, "Innodb_redo_log_current_lsn").await?;
    let kept = number(session, "Innodb_redo_log_checkpoint_lsn").await?;
    Ok(written.saturating_sub(kept).saturating_mul(100) / capacity.max(1))
}

/// What all accounts but this session's were served.
///
/// # Errors
/// When the session fails, or `performance_schema` cannot be read.
pub async fn read_served_to_others(session: &mut Session) -> Result<Served, Error> {
    let query = format!(
        "SELECT COALESCE(SUM(COUNT_STAR), 0), COALESCE(SUM(SUM_TIMER_WAIT), 0) DIV 1000000 \
         FROM performance_schema.events_statements_summary_by_account_by_event_name \
         WHERE EVENT_NAME IN ({STATEMENTS}) AND USER <> SUBSTRING_INDEX(USER(), '@', 1)"
    );
    let row = session.query_one(&query, LIMIT).await?;
    Ok(Served {
        statements: row.expect_u64(0, "the number of statements")?,
        time: Duration::from_micros(row.expect_u64(1, "the time of statements")?),
    })
}

/// How a replica's replication stands.
///
/// # Errors
/// When the session fails, REPLICATION CLIENT is missing, or the server replicates from nobody.
pub async fn read_replication(session: &mut Session) -> Result<Replication, Error> {
    let status = session.query_named("SHOW REPLICA STATUS", LIMIT).await?;
    let status = status.ok_or(Error::ReadAnswer("a replica's status"))?;
    Ok(replication(&status))
}

fn replication(status: &BTreeMap<String, String>) -> Replication {
    let set = |name: &str| -> Option<GtidSet> { status.get(name)?.replace('\n', "").parse().ok() };
    let received = set("retrieved_gtid_set").filter(|received| !received.is_empty());
    let executed = set("executed_gtid_set");
    let behind = status.get("seconds_behind_source").and_then(|text| text.parse().ok());
    Replication {
        behind: behind.map(Duration::from_secs),
        backlog: received
            .zip(executed)
            .map(|(received, executed)| received.count_beyond(&executed)),
    }
}

/// The first value of somebody's query as a number; `None` when it is none. It is asked in a read-only
/// transaction, and the server ends it when the time is over.
///
/// # Errors
/// When the session fails, or the query.
pub async fn ask(
    session: &mut Session,
    query: &str,
    limit: Duration,
) -> Result<Option<f64>, Error> {
    Ok(first_row(session, query, limit).await?.and_then(|row| row.f64(0)))
}

/// The same as a text; `None` when it is NULL or no row is there.
///
/// # Errors
/// When the session fails, or the query.
pub async fn ask_text(
    session: &mut Session,
    query: &str,
    limit: Duration,
) -> Result<Option<String>, Error> {
    let row = first_row(session, query, limit).await?;
    Ok(row.and_then(|row| row.string(0)))
}

async fn first_row(
    session: &mut Session,
    query: &str,
    limit: Duration,
) -> Result<Option<Row>, Error> {
    if !session.is_mariadb() {
        let end = format!("SET SESSION max_execution_time = {}", limit.as_millis());
        session.execute(&end, limit).await?;
    }
    session.begin_snapshot(limit).await?;
    let row = session.query_optional(query, limit).await;
    session.roll_back(limit).await?;
    row
}

async fn number(session: &mut Session, name: &'static str) -> Result<u64, Error> {
    let values = server::read_status(session, &[name]).await?;
    let value = values.get(&name.to_lowercase()).and_then(|value| value.parse().ok());
    value.ok_or(Error::ReadAnswer(name))
}

/// Counts processors in a list such as `0-3,8`.
fn count(ids: &str) -> Option<u64> {
    let mut cores = 0;
    for part in ids.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        cores += last.checked_sub(first)? + 1;
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        let rows = [("0", 1), ("0-1", 2), ("0-3,8", 5), ("0-3, 8-9", 6)];
        for (ids, cores) in rows {
            assert_eq!(count(ids), Some(cores), "{ids}");
        }
        assert_eq!([count(""), count("3-1"), count("a")], [None; 3]);
    }

    #[test]
    fn replication_is_read_from_its_status() {
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let status = |received: &str, executed: &str, behind: Option<&str>| {
            let mut status = BTreeMap::new();
            status.insert("retrieved_gtid_set".to_owned(), received.to_owned());
            status.insert("executed_gtid_set".to_owned(), executed.to_owned());
            let behind =
                behind.map(|behind| ("seconds_behind_source".to_owned(), behind.to_owned()));
            status.extend(behind);
            replication(&status)
        };
        let found = status(&format!("{uuid}:5-20"), &format!("{uuid}:1-17"), Some("3"));
        assert_eq!((found.backlog, found.behind), (Some(3), Some(Duration::from_secs(3))));
        let found = status(&format!("{uuid}:5-20"), &format!("{uuid}:1-30"), None);
        assert_eq!((found.backlog, found.behind), (Some(0), None));
        assert_eq!(status("", "", None).backlog, None, "without GTIDs");
    }
}
