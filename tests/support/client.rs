//! A connection for tests: plain statements in the text protocol, rows as bytes, nothing interpreted.

use anyhow::{Context, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value};

/// One row: each column as the server printed it, `None` for NULL.
pub(crate) type Cells = Vec<Option<Vec<u8>>>;

/// Tries to connect.
const CONNECTS: u32 = 5;

/// A session on a server.
pub(crate) struct Client {
    conn: Conn,
}

impl Client {
    /// Opens a session at this URL, in `database` when one is named.
    pub(crate) async fn connect(url: &str, database: Option<&str>) -> Result<Self> {
        let builder =
            OptsBuilder::from_opts(Opts::from_url(url)?).prefer_socket(false).db_name(database);
        // On a busy machine the server gives a connection up that takes long to be greeted.
        for _ in 1..CONNECTS {
            match Conn::new(builder.clone()).await {
                Err(mysql_async::Error::Io(_)) => {}
                conn => return Ok(Self { conn: conn.context("a test could not connect")? }),
            }
        }
        let conn = Conn::new(builder).await.context("a test could not connect")?;
        Ok(Self { conn })
    }

    /// Runs one statement; answers the rows it affected.
    pub(crate) async fn exec(&mut self, statement: &str) -> Result<u64> {
        let affected = self.try_exec(statement).await;
        affected.with_context(|| format!("in the statement: {}", shortened(statement)))
    }

    /// Like `exec`, with the driver's own error, so that its code can be looked at.
    pub(crate) async fn try_exec(&mut self, statement: &str) -> Result<u64, mysql_async::Error> {
        let result = self.conn.query_iter(statement).await?;
        let affected = result.affected_rows();
        result.drop_result().await?;
        Ok(affected)
    }

    /// Runs one statement and answers all its rows.
    pub(crate) async fn rows(&mut self, statement: &str) -> Result<Vec<Cells>> {
        let rows: std::result::Result<Vec<Row>, _> = self.conn.query(statement).await;
        let rows = rows.with_context(|| format!("in the query: {}", shortened(statement)))?;
        Ok(rows.into_iter().map(cells).collect())
    }

    /// The first column of all rows, as text; NULL is the empty text.
    pub(crate) async fn texts(&mut self, statement: &str) -> Result<Vec<String>> {
        let rows = self.rows(statement).await?;
        Ok(rows.iter().map(|row| text(row, 0)).collect())
    }

    /// Closes the session and waits until the server knows it.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.conn.disconnect().await?)
    }
}

/// One cell as text; NULL and a missing cell are the empty text.
pub(crate) fn text(row: &Cells, column: usize) -> String {
    let bytes = row.get(column).and_then(Option::as_deref).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// A name as an identifier.
pub(crate) fn ident(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as a literal that needs no escapes.
pub(crate) fn literal(text: &str) -> String {
    format!("_utf8mb4 X'{}'", hex::encode(text))
}

fn cells(row: Row) -> Cells {
    let bytes = |value| match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        other => Some(other.as_sql(true).into_bytes()),
    };
    row.unwrap().into_iter().map(bytes).collect()
}

fn shortened(statement: &str) -> String {
    statement.chars().take(400).collect()
}
