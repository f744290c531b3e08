//! Who stands in the way: holders of table locks, old and prepared transactions, backup locks, and
//! sessions of our own that must end. Shows digests of statements, never their values.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::mysql::error::Error;
use crate::mysql::session::{Row, Session};
use crate::mysql::text::literal;
use crate::schema::table::TableName;

const LIMIT: Duration = Duration::from_secs(10);
/// Pause between two looks at the process list.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Borne by the session that cuts over: one at a time on a server.
const CUT_OVER_TURN: &str = "'ghostship-cut-over'";
/// No such thread.
const GONE: Option<u16> = Some(1094);

/// A session that holds a lock, or waits for one, on a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The server's number for its connection.
    pub connection_id: u64,
    /// `user@host`.
    pub user: String,
    /// Age of its transaction, or of its current command when it has none.
    pub age_seconds: u64,
    /// `GRANTED`, `PENDING`, or the state in the process list.
    pub state: String,
    /// Its statement, the last one when it idles, without values and cut to 120 characters; its command
    /// when that is not known.
    pub digest: String,
}

/// A transaction that was prepared by XA and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedXa {
    /// Format number of the identity.
    pub format: i64,
    /// Identity as the server prints it in hexadecimal: both parts joined.
    pub xid: String,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection_id, user, age_seconds, digest, .. } = self;
        write!(f, "connection {connection_id} of {user}, {age_seconds} s old, {digest}")
    }
}

impl fmt::Display for PreparedXa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.xid)
    }
}

/// Sessions other than this one that hold or wait for a metadata lock on the table, oldest first. On
/// servers without Performance Schema, the sessions that wait for a table lock in that database and
/// the open InnoDB transactions, because nothing says which tables they touch.
///
/// # Errors
/// When the session fails, or the account may not read Performance Schema.
pub async fn blockers(session: &mut Session, table: &TableName) -> Result<Vec<Blocker>, Error> {
    let sql = match has_performance_schema(session).await? {
        true => lock_query(table),
        false => process_query(table),
    };
    let rows = session.query_rows(&sql, LIMIT).await?;
    rows.iter().map(blocker).collect()
}

/// Transactions in XA state prepared, of all connections and of none.
///
/// # Errors
/// When the session fails; MySQL wants XA_RECOVER_ADMIN.
pub async fn prepared_xa(session: &mut Session) -> Result<Vec<PreparedXa>, Error> {
    let sql = if session.is_mariadb() { "XA RECOVER" } else { "XA RECOVER CONVERT XID" };
    let rows = session.query_rows(sql, LIMIT).await?;
    let xid = |row: &Row| match row.text(3) {
        Some(bytes) if !bytes.starts_with(b"0x") => format!("0x{}", hex::encode(bytes)),
        _ => row.string(3).unwrap_or_default(),
    };
    Ok(rows
        .iter()
        .map(|row| PreparedXa { format: row.i64(0).unwrap_or(0), xid: xid(row) })
        .collect())
}

/// The session that holds the lock of a backup, or waits for it in front of others: that of the instance,
/// which makes DDL wait, or the global one, which makes every write wait. Its state names the lock. `None`
/// also where the server does not tell.
///
/// # Errors
/// When the session fails, or the account may not read Performance Schema.
pub async fn backup_holder(session: &mut Session) -> Result<Option<Blocker>, Error> {
    if !has_performance_schema(session).await? {
        return Ok(None);
    }
    let row = session.query_optional(BACKUP_HOLDER, LIMIT).await?;
    row.as_ref().map(blocker).transpose()
}

const BACKUP_HOLDER: &str = "SELECT th.PROCESSLIST_ID, \
     CONCAT(IFNULL(th.PROCESSLIST_USER, ''), '@', IFNULL(th.PROCESSLIST_HOST, '')), \
     IFNULL(th.PROCESSLIST_TIME, 0), \
     IF(ml.OBJECT_TYPE = 'GLOBAL', 'the global read lock', 'the lock of LOCK INSTANCE FOR BACKUP'), \
     LEFT(IFNULL(st.DIGEST_TEXT, IFNULL(th.PROCESSLIST_COMMAND, '')), 120) \
     FROM performance_schema.metadata_locks ml \
     JOIN performance_schema.threads th ON th.THREAD_ID = ml.OWNER_THREAD_ID \
     LEFT JOIN performance_schema.events_statements_current st \
     ON st.THREAD_ID = th.THREAD_ID \
     AND (st.NESTING_EVENT_ID IS NULL OR st.NESTING_EVENT_TYPE = 'TRANSACTION') \
     WHERE ml.OBJECT_TYPE IN ('BACKUP LOCK', 'GLOBAL') AND ml.LOCK_TYPE = 'SHARED' \
     AND th.PROCESSLIST_ID IS NOT NULL AND th.PROCESSLIST_ID <> CONNECTION_ID() \
     ORDER BY ml.LOCK_STATUS, th.PROCESSLIST_TIME DESC LIMIT 1";

/// Takes the server's turn to cut over for as long as this session lives. `false` when another session
/// has it, whichever migration's of whichever cluster.
///
/// # Errors
/// When the session fails.
pub async fn take_cut_over_turn(session: &mut Session) -> Result<bool, Error> {
    let taken = session.query_one(&format!("SELECT GET_LOCK({CUT_OVER_TURN}, 0)"), LIMIT).await?;
    Ok(taken.u64(0) == Some(1))
}

/// The connection that has the server's turn to cut over.
///
/// # Errors
/// When the session fails.
pub async fn cut_over_turn(session: &mut Session) -> Result<Option<u64>, Error> {
    let held = session.query_one(&format!("SELECT IS_USED_LOCK({CUT_OVER_TURN})"), LIMIT).await?;
    Ok(held.u64(0))
}

/// Connection ids of sessions that this tool opened with the same account, this one left out. Where
/// the server does not keep what clients tell about themselves: all of the account's sessions.
///
/// # Errors
/// When the session fails.
pub async fn own_sessions(session: &mut Session) -> Result<Vec<u64>, Error> {
    let own = session.connection_id();
    let mut ids = match has_performance_schema(session).await? {
        true => ids(session, TOLD_SESSIONS).await?,
        false => Vec::new(),
    };
    if !ids.contains(&own) {
        ids = self::ids(session, ACCOUNT_SESSIONS).await?;
    }
    ids.retain(|id| *id != own);
    Ok(ids)
}

/// Numbers of our own sessions that hold a metadata lock on the table, this one left out; none where
/// the server does not tell who holds one.
///
/// # Errors
/// As [`blockers`].
pub async fn own_holders(session: &mut Session, table: &TableName) -> Result<Vec<u64>, Error> {
    if !has_performance_schema(session).await? {
        return Ok(Vec::new());
    }
    let own = own_sessions(session).await?;
    let holders = blockers(session, table).await?.into_iter();
    let holders = holders.filter(|holder| holder.state == "GRANTED");
    Ok(holders.map(|holder| holder.connection_id).filter(|id| own.contains(id)).collect())
}

/// Ends the sessions that bear these names ([`Session::name`]) and waits until none of them is left. Names
/// that nobody bears any more, for example after a restart of the server, are passed over.
///
/// # Errors
/// When the session fails, and `TimeOut` after `limit`.
pub async fn end_named(
    session: &mut Session,
    names: &[String],
    limit: Duration,
) -> Result<(), Error> {
    let bearers: Vec<String> =
        names.iter().map(|name| format!("IS_USED_LOCK({})", literal(name))).collect();
    let bearers = format!("SELECT {}", bearers.join(", "));
    let deadline = Instant::now() + limit;
    while !names.is_empty() {
        let row = session.query_one(&bearers, LIMIT).await?;
        let ids: Vec<u64> = (0..names.len()).filter_map(|column| row.u64(column)).collect();
        if ids.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(Error::TimeOut { what: "the end of earlier sessions", limit });
        }
        for id in ids {
            kill_connection(session, id).await?;
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Ends those of the sessions that are our own. The numbers must be of this very run of the server:
/// after a restart they belong to somebody else.
///
/// # Errors
/// When the session fails.
pub async fn kill_own(session: &mut Session, ids: &[u64]) -> Result<(), Error> {
    let own = own_sessions(session).await?;
    for id in ids.iter().filter(|id| own.contains(id)) {
        kill_connection(session, *id).await?;
    }
    Ok(())
}

/// Ends a connection. One that is gone already is no error.
///
/// # Errors
/// When the session fails, or the connection belongs to another account and CONNECTION_ADMIN is missing.
pub async fn kill_connection(session: &mut Session, id: u64) -> Result<(), Error> {
    kill(session, &format!("KILL CONNECTION {id}")).await
}

/// Ends the statement that a connection runs, from this session beside it. A connection that is gone
/// is no error.
///
/// # Errors
/// As [`kill_connection`].
pub async fn kill_query(side: &mut Session, id: u64) -> Result<(), Error> {
    kill(side, &format!("KILL QUERY {id}")).await
}

/// Waits until none of our own sessions among `ids` is in the process list.
///
/// # Errors
/// When the session fails, and `TimeOut` after `limit`.
pub async fn wait_until_gone(
    session: &mut Session,
    ids: &[u64],
    limit: Duration,
) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    loop {
        let own = own_sessions(session).await?;
        if !ids.iter().any(|id| own.contains(id)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::TimeOut { what: "the end of earlier sessions", limit });
        }
        sleep(LOOK_AGAIN).await;
    }
}

const TOLD_SESSIONS: &str = "SELECT PROCESSLIST_ID \
     FROM performance_schema.session_account_connect_attrs \
     WHERE ATTR_NAME = 'program_name' AND ATTR_VALUE = 'ghostship'";

const ACCOUNT_SESSIONS: &str = "SELECT ID FROM information_schema.PROCESSLIST \
     WHERE USER = SUBSTRING_INDEX(USER(), '@', 1) AND COMMAND <> 'Daemon'";

async fn has_performance_schema(session: &mut Session) -> Result<bool, Error> {
    Ok(session.query_one("SELECT @@performance_schema", LIMIT).await?.u64(0) == Some(1)
        && !session.is_mariadb())
}

async fn ids(session: &mut Session, sql: &str) -> Result<Vec<u64>, Error> {
    Ok(session.query_rows(sql, LIMIT).await?.iter().filter_map(|row| row.u64(0)).collect())
}

async fn kill(session: &mut Session, sql: &str) -> Result<(), Error> {
    match session.execute(sql, LIMIT).await {
        Err(error) if error.code() == GONE => Ok(()),
        result => result.map(drop),
    }
}

fn lock_query(table: &TableName) -> String {
    format!(
        "SELECT th.PROCESSLIST_ID, \
         CONCAT(IFNULL(th.PROCESSLIST_USER, ''), '@', IFNULL(th.PROCESSLIST_HOST, '')), \
         CAST(GREATEST(IFNULL(MAX(trx.TIMER_WAIT) DIV 1000000000000, 0), \
         IF(th.PROCESSLIST_COMMAND = 'Sleep', 0, IFNULL(th.PROCESSLIST_TIME, 0))) AS UNSIGNED) age, \
         MIN(ml.LOCK_STATUS), \
         LEFT(IFNULL(MAX(st.DIGEST_TEXT), IFNULL(th.PROCESSLIST_COMMAND, '')), 120) \
         FROM performance_schema.metadata_locks ml \
         JOIN performance_schema.threads th ON th.THREAD_ID = ml.OWNER_THREAD_ID \
         LEFT JOIN performance_schema.events_statements_current st \
         ON st.THREAD_ID = th.THREAD_ID \
         AND (st.NESTING_EVENT_ID IS NULL OR st.NESTING_EVENT_TYPE = 'TRANSACTION') \
         LEFT JOIN performance_schema.events_transactions_current trx \
         ON trx.THREAD_ID = th.THREAD_ID AND trx.STATE = 'ACTIVE' \
         WHERE ml.OBJECT_TYPE = 'TABLE' AND ml.OBJECT_SCHEMA = {database} \
         AND ml.OBJECT_NAME = {table} AND th.PROCESSLIST_ID IS NOT NULL \
         AND th.PROCESSLIST_ID <> CONNECTION_ID() \
         GROUP BY th.THREAD_ID, th.PROCESSLIST_ID, th.PROCESSLIST_USER, th.PROCESSLIST_HOST, \
         th.PROCESSLIST_COMMAND, th.PROCESSLIST_TIME ORDER BY age DESC",
        database = literal(&table.database),
        table = literal(&table.table),
    )
}

fn process_query(table: &TableName) -> String {
    format!(
        "SELECT p.ID, CONCAT(p.USER, '@', p.HOST), \
         GREATEST(IFNULL(TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), 0), \
         IF(p.COMMAND = 'Sleep', 0, IFNULL(p.TIME, 0))) age, IFNULL(p.STATE, ''), p.COMMAND \
         FROM information_schema.PROCESSLIST p \
         LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID \
         WHERE p.ID <> CONNECTION_ID() AND (t.trx_id IS NOT NULL \
         OR (p.DB = {database} AND p.STATE LIKE 'Waiting for table%')) ORDER BY age DESC",
        database = literal(&table.database),
    )
}

fn blocker(row: &Row) -> Result<Blocker, Error> {
    Ok(Blocker {
        connection_id: row.expect_u64(0, "a connection's number")?,
        user: row.string(1).unwrap_or_default(),
        age_seconds: row.u64(2).unwrap_or(0),
        state: row.string(3).unwrap_or_default(),
        digest: row.string(4).unwrap_or_default(),
    })
}
