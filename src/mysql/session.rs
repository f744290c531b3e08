//! One connection to the server: runs statements as text within a time limit and reads their rows.
//! Knows nothing of what the statements mean; a session that was broken off is never used again.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};
use tokio::time::timeout;

use crate::mysql::error::Error;

/// How long a polite farewell may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// The longest tag that goes into statements.
const TAG_LENGTH: usize = 48;

/// One connection, set up and identified.
///
/// A statement whose future was dropped or whose time limit passed may still run on the server, and
/// its answer is still under way: from then on every call answers `SessionLost`.
pub struct Session {
    conn: Conn,
    comment: String,
    server: String,
    name: String,
    mariadb: bool,
    busy: bool,
}

/// What a statement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Rows changed, as the server counts them for the last statement of the text.
    pub rows: u64,
    /// Warnings of that statement.
    pub warnings: u16,
}

/// One row of an answer, every value as the text that the server sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    cells: Vec<Option<Vec<u8>>>,
}

impl Session {
    /// Wraps a connection that is set up and holds the lock of this name; `tag` is put into a comment
    /// before every statement.
    pub(super) fn new(conn: Conn, tag: &str, server: Identity, name: String) -> Self {
        let comment = comment(tag);
        Self { conn, comment, server: server.uuid, name, mariadb: server.mariadb, busy: false }
    }

    /// The name of the lock that the session holds as long as it lives. No other session ever bears it,
    /// unlike the connection's number, which another session gets after a restart of the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's number for this connection.
    pub fn connection_id(&self) -> u64 {
        u64::from(self.conn.id())
    }

    /// The identity of the server behind this session, as `ConnectOptions::expect_server` takes it.
    pub fn server_identity(&self) -> &str {
        &self.server
    }

    /// Whether the server is a MariaDB.
    pub fn is_mariadb(&self) -> bool {
        self.mariadb
    }

    /// Whether the session can still be used.
    pub fn is_usable(&self) -> bool {
        !self.busy
    }

    /// Runs a statement and throws its rows away.
    ///
    /// # Errors
    /// After a server error the session goes on; after any other error it is lost.
    pub async fn execute(&mut self, sql: &str, limit: Duration) -> Result<Affected, Error> {
        let text = self.start(sql)?;
        let work = async {
            self.conn.query_drop(text).await?;
            let (rows, warnings) = (self.conn.affected_rows(), self.conn.get_warnings());
            Ok(Affected { rows, warnings })
        };
        let result = timeout(limit, work).await;
        self.finish(result.ok(), limit)
    }

    /// Runs a statement and reads all its rows into memory.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn query_rows(&mut self, sql: &str, limit: Duration) -> Result<Vec<Row>, Error> {
        let text = self.start(sql)?;
        let result = timeout(limit, self.conn.query::<mysql_async::Row, _>(text)).await;
        let rows = self.finish(result.ok(), limit)?;
        rows.into_iter().map(Row::new).collect()
    }

    /// Runs a statement that answers with at most one row; further rows are thrown away.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn query_optional(
        &mut self,
        sql: &str,
        limit: Duration,
    ) -> Result<Option<Row>, Error> {
        Ok(self.query_rows(sql, limit).await?.into_iter().next())
    }

    /// Runs a statement that answers with at most one row, whose columns differ between versions:
    /// answers its values by their names in lower case, without those that are NULL.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn query_named(
        &mut self,
        sql: &str,
        limit: Duration,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let text = self.start(sql)?;
        let result = timeout(limit, self.conn.query_first::<mysql_async::Row, _>(text)).await;
        let Some(row) = self.finish(result.ok(), limit)? else { return Ok(None) };
        let columns = row.columns();
        let names = columns.iter().map(|column| column.name_str().to_lowercase());
        let row = Row::new(row)?;
        let values = names.enumerate().filter_map(|(at, name)| Some((name, row.string(at)?)));
        Ok(Some(values.collect()))
    }

    /// Runs a statement that answers with a row.
    ///
    /// # Errors
    /// As [`Session::execute`], and `ReadAnswer` when there is no row.
    pub async fn query_one(&mut self, sql: &str, limit: Duration) -> Result<Row, Error> {
        self.query_optional(sql, limit).await?.ok_or(Error::ReadAnswer("a row"))
    }

    /// Opens a transaction.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn begin(&mut self, limit: Duration) -> Result<(), Error> {
        self.execute("START TRANSACTION", limit).await.map(drop)
    }

    /// Opens a read-only transaction whose snapshot is taken now; `Role::Verify` sessions keep it.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn begin_snapshot(&mut self, limit: Duration) -> Result<(), Error> {
        self.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", limit).await.map(drop)
    }

    /// Commits. When the answer is lost the transaction may or may not have been committed.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn commit(&mut self, limit: Duration) -> Result<(), Error> {
        self.execute("COMMIT", limit).await.map(drop)
    }

    /// Rolls back; needed after each failed statement of a transaction, because a lock wait that
    /// timed out undoes its statement only.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub async fn roll_back(&mut self, limit: Duration) -> Result<(), Error> {
        self.execute("ROLLBACK", limit).await.map(drop)
    }

    /// Gives the connection away, for the binlog stream.
    ///
    /// # Errors
    /// `SessionLost` when it was broken off.
    pub fn into_conn(self) -> Result<Conn, Error> {
        if self.busy { Err(Error::SessionLost) } else { Ok(self.conn) }
    }

    /// Ends the session; one that was broken off is dropped without a word.
    pub async fn close(self) {
        if !self.busy {
            // Whatever the answer, the session is gone.
            drop(timeout(CLOSE_LIMIT, self.conn.disconnect()).await);
        }
    }

    fn start(&mut self, sql: &str) -> Result<String, Error> {
        if self.busy {
            return Err(Error::SessionLost);
        }
        self.busy = true;
        Ok(format!("{}{sql}", self.comment))
    }

    /// `None` is a time limit that passed.
    fn finish<T>(
        &mut self,
        result: Option<mysql_async::Result<T>>,
        limit: Duration,
    ) -> Result<T, Error> {
        let result = result.ok_or(Error::TimeOut { what: "a statement", limit })?;
        self.busy = matches!(&result, Err(error) if error.is_fatal());
        result.map_err(Error::from_statement)
    }
}

/// Who the server is.
pub(super) struct Identity {
    pub(super) uuid: String,
    pub(super) mariadb: bool,
}

impl Row {
    pub(super) fn new(row: mysql_async::Row) -> Result<Self, Error> {
        let cell = |value| match value {
            Value::NULL => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            _ => Err(Error::ReadAnswer("values in text form")),
        };
        let cells = row.unwrap().into_iter().map(cell).collect::<Result<_, _>>()?;
        Ok(Self { cells })
    }

    /// The bytes of a column, counted from 0; `None` for NULL and for a column that is not there.
    pub fn text(&self, column: usize) -> Option<&[u8]> {
        self.cells.get(column)?.as_deref()
    }

    /// The column as a string; sessions speak utf8mb4, so only binary values are replaced in part.
    pub fn string(&self, column: usize) -> Option<String> {
        self.text(column).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// The column as a number; `None` also when it is not one.
    pub fn u64(&self, column: usize) -> Option<u64> {
        std::str::from_utf8(self.text(column)?).ok()?.parse().ok()
    }

    /// The column as a signed number; `None` also when it is not one.
    pub fn i64(&self, column: usize) -> Option<i64> {
        std::str::from_utf8(self.text(column)?).ok()?.parse().ok()
    }

    /// The column as a number with a fraction; `None` also when it is not one.
    pub fn f64(&self, column: usize) -> Option<f64> {
        std::str::from_utf8(self.text(column)?).ok()?.parse().ok()
    }

    /// The column as a string that must be there.
    ///
    /// # Errors
    /// `ReadAnswer` with `what` when it is NULL.
    pub fn expect_string(&self, column: usize, what: &'static str) -> Result<String, Error> {
        self.string(column).ok_or(Error::ReadAnswer(what))
    }

    /// The column as a number that must be there.
    ///
    /// # Errors
    /// `ReadAnswer` with `what` when it is NULL or no number.
    pub fn expect_u64(&self, column: usize, what: &'static str) -> Result<u64, Error> {
        self.u64(column).ok_or(Error::ReadAnswer(what))
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether the row has no column.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

/// The comment that leads every statement. The tag may not end it, whatever it is.
fn comment(tag: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let tag: String = tag.chars().filter(|&c| plain(c)).take(TAG_LENGTH).collect();
    format!("/* ghostship {tag} */ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_tag_inside_the_comment() {
        assert_eq!(comment("m-1"), "/* ghostship m-1 */ ");
        assert_eq!(comment("*/ DROP TABLE t; /*"), "/* ghostship DROPTABLEt */ ");
        assert_eq!(comment(&"x".repeat(99)).len(), "/* ghostship  */ ".len() + TAG_LENGTH);
    }

    #[test]
    fn reads_cells_by_kind() {
        let cell = |text: &str| Some(text.as_bytes().to_vec());
        let row = Row { cells: vec![cell("18446744073709551615"), cell("-5"), None, cell("é")] };
        assert_eq!((row.u64(0), row.i64(0)), (Some(u64::MAX), None));
        assert_eq!((row.u64(1), row.i64(1)), (None, Some(-5)));
        assert_eq!((row.text(2), row.string(2)), (None, None));
        assert_eq!(row.string(3).as_deref(), Some("é"));
        assert_eq!(row.text(4), None);
    }
}
