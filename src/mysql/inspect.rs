//! Tables as the server's dictionary describes them: definition, identity, relations to other tables.
//! Reads only; what it means is for others to judge.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::mysql::column::read_column;
use crate::mysql::error::{Error, ErrorClass};
use crate::mysql::session::{Row, Session};
use crate::mysql::text::{file_name, literal};
use crate::schema::table::{Index, IndexPart, Table, TableName};
use crate::sql::ident::quote_table;

const LIMIT: Duration = Duration::from_secs(30);
/// How long DDL of others on a table is waited for before it is read.
const DDL_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The server skips a table whose definition is being changed.
const DEFINITION_IS_CHANGING: Option<u16> = Some(1684);

/// What stands behind a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// An ordinary table.
    Base,
    /// A view, also one of the server's own.
    View,
    /// Something else; the dictionary's name for it, for example `SEQUENCE`.
    Other(String),
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The table that refers.
    pub child: TableName,
    /// The table that is referred to.
    pub parent: TableName,
}

/// What stands behind the name, or `None` when nothing does that the account may see.
///
/// # Errors
/// When the session fails.
pub async fn table_kind(
    session: &mut Session,
    name: &TableName,
) -> Result<Option<TableKind>, Error> {
    let sql = format!("SELECT TABLE_TYPE FROM information_schema.TABLES WHERE {}", named(name));
    let row = session.query_optional(&sql, LIMIT).await?;
    Ok(row.and_then(|row| row.string(0)).map(|kind| match kind.as_str() {
        "BASE TABLE" => TableKind::Base,
        "VIEW" | "SYSTEM VIEW" => TableKind::View,
        _ => TableKind::Other(kind),
    }))
}

/// Whether anything stands behind the name that the account may see.
///
/// # Errors
/// When the session fails.
pub async fn table_exists(session: &mut Session, name: &TableName) -> Result<bool, Error> {
    Ok(table_kind(session, name).await?.is_some())
}

/// Whether the database exists and the account may see it.
///
/// # Errors
/// When the session fails.
pub async fn database_exists(session: &mut Session, database: &str) -> Result<bool, Error> {
    let sql = format!(
        "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
        literal(database)
    );
    Ok(session.query_optional(&sql, LIMIT).await?.is_some())
}

/// The table as the dictionary describes it, or `None` when there is no ordinary table of that name
/// (see [`table_kind`]). The parts come from several questions: under DDL by others they may differ. A
/// table that somebody changes or drops at this moment is read again, for some seconds.
///
/// # Errors
/// When the session fails.
pub async fn read_table(session: &mut Session, name: &TableName) -> Result<Option<Table>, Error> {
    let deadline = Instant::now() + DDL_PATIENCE;
    loop {
        match read_table_once(session, name).await {
            Err(error) if is_moving(&error) && Instant::now() < deadline => sleep(LOOK_AGAIN).await,
            result => return result,
        }
    }
}

fn is_moving(error: &Error) -> bool {
    error.code() == DEFINITION_IS_CHANGING || error.class() == ErrorClass::Missing
}

async fn read_table_once(session: &mut Session, name: &TableName) -> Result<Option<Table>, Error> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH, \
         AUTO_INCREMENT FROM information_schema.TABLES WHERE {} AND TABLE_TYPE = 'BASE TABLE'",
        named(name)
    );
    let Some(facts) = session.query_optional(&sql, LIMIT).await? else {
        return Ok(None);
    };
    let database = facts.expect_string(0, "the database's name")?;
    let spelled = TableName::new(database, facts.expect_string(1, "the table's name")?);
    let Some(definition) = read_definition(session, &spelled).await? else {
        return Ok(None);
    };
    let columns = session.query_rows(&columns_query(&spelled), LIMIT).await?;
    let indexes =
        session.query_rows(&format!("SHOW INDEX FROM {}", quote_table(&spelled)), LIMIT).await?;
    Ok(Some(Table {
        engine: facts.string(2).unwrap_or_default(),
        columns: columns.iter().map(read_column).collect::<Result<_, _>>()?,
        indexes: read_indexes(&indexes, session.is_mariadb())?,
        definition,
        estimated_rows: facts.u64(3).unwrap_or(0),
        size_bytes: facts.u64(4).unwrap_or(0),
        auto_increment: facts.u64(5),
        name: spelled,
    }))
}

/// Foreign keys from and to the table. Those of tables that the account may not see are missing.
///
/// # Errors
/// When the session fails.
pub async fn foreign_keys(
    session: &mut Session,
    name: &TableName,
) -> Result<Vec<ForeignKey>, Error> {
    let (database, table) = (literal(&name.database), literal(&name.table));
    let sql = format!(
        "SELECT CONSTRAINT_NAME, CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, \
         REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE (CONSTRAINT_SCHEMA = {database} AND TABLE_NAME = {table}) \
         OR (UNIQUE_CONSTRAINT_SCHEMA = {database} AND REFERENCED_TABLE_NAME = {table}) \
         ORDER BY CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME"
    );
    let rows = session.query_rows(&sql, LIMIT).await?;
    rows.iter().map(foreign_key).collect()
}

/// Names of the table's triggers. Without the TRIGGER privilege on the table the server hides them.
///
/// # Errors
/// When the session fails.
pub async fn triggers(session: &mut Session, name: &TableName) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = {} AND EVENT_OBJECT_TABLE = {} ORDER BY TRIGGER_NAME",
        literal(&name.database),
        literal(&name.table)
    );
    let rows = session.query_rows(&sql, LIMIT).await?;
    rows.iter().map(|row| row.expect_string(0, "a trigger's name")).collect()
}

/// Tables whose names differ from this one at most by case, this one included.
///
/// # Errors
/// When the session fails.
pub async fn tables_like_case(
    session: &mut Session,
    name: &TableName,
) -> Result<Vec<TableName>, Error> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
         WHERE LOWER(TABLE_SCHEMA) = LOWER({}) AND LOWER(TABLE_NAME) = LOWER({}) \
         ORDER BY TABLE_SCHEMA, TABLE_NAME",
        literal(&name.database),
        literal(&name.table)
    );
    let rows = session.query_rows(&sql, LIMIT).await?;
    rows.iter().map(|row| table_name(row, 0)).collect()
}

/// The name as the server spells it: the very name, or the only one that differs by nothing but case
/// where the server ignores case.
///
/// # Errors
/// When the session fails.
pub async fn real_name(
    session: &mut Session,
    name: &TableName,
) -> Result<Option<TableName>, Error> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE {}",
        named(name)
    );
    let row = session.query_optional(&sql, LIMIT).await?;
    row.map(|row| table_name(&row, 0)).transpose()
}

/// The table's comment, or `None` when there is no such table.
///
/// # Errors
/// When the session fails.
pub async fn table_comment(
    session: &mut Session,
    name: &TableName,
) -> Result<Option<String>, Error> {
    let sql = format!("SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE {}", named(name));
    Ok(session.query_optional(&sql, LIMIT).await?.and_then(|row| row.string(0)))
}

/// Whether the table is there and has a column of this name.
///
/// # Errors
/// When the session fails.
pub async fn column_exists(
    session: &mut Session,
    name: &TableName,
    column: &str,
) -> Result<bool, Error> {
    let sql = format!(
        "SELECT 1 FROM information_schema.COLUMNS WHERE {} AND COLUMN_NAME = {}",
        named(name),
        literal(column)
    );
    Ok(session.query_optional(&sql, LIMIT).await?.is_some())
}

/// The next AUTO_INCREMENT value, or `None` when the table has no such column.
///
/// # Errors
/// When the session fails.
pub async fn auto_increment(session: &mut Session, name: &TableName) -> Result<Option<u64>, Error> {
    let sql = format!("SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE {}", named(name));
    Ok(session.query_optional(&sql, LIMIT).await?.and_then(|row| row.u64(0)))
}

/// Whether the table has partitions.
///
/// # Errors
/// When the session fails.
pub async fn is_partitioned(session: &mut Session, name: &TableName) -> Result<bool, Error> {
    let sql = format!(
        "SELECT 1 FROM information_schema.PARTITIONS WHERE {} AND PARTITION_NAME IS NOT NULL LIMIT 1",
        named(name)
    );
    Ok(session.query_optional(&sql, LIMIT).await?.is_some())
}

/// InnoDB's number of the table that bears the name now: it stays with the table through a RENAME and
/// changes with a rebuild. For a partitioned table it is the smallest number of its partitions. `None`
/// when InnoDB has no such table.
///
/// # Errors
/// When the session fails, or PROCESS is missing.
pub async fn table_id(session: &mut Session, name: &TableName) -> Result<Option<u64>, Error> {
    let sql = table_id_query(name, session.is_mariadb());
    Ok(session.query_optional(&sql, LIMIT).await?.and_then(|row| row.u64(0)))
}

/// The number of the table space that only this table has: as its id it stays through a RENAME and changes
/// with a rebuild. Unlike the id it is read without a look at every table of the server, which takes long
/// where there are many and waits where DDL on any of them waits. `None` for tables without a file of their
/// own, for partitioned ones, and on MariaDB.
///
/// # Errors
/// When the session fails, or PROCESS is missing.
pub async fn space_id(session: &mut Session, name: &TableName) -> Result<Option<u64>, Error> {
    if session.is_mariadb() {
        return Ok(None);
    }
    let sql = format!(
        "SELECT SPACE FROM information_schema.INNODB_TABLESPACES_BRIEF WHERE NAME = {}",
        literal(&format!("{}/{}", name.database, name.table))
    );
    Ok(session.query_optional(&sql, LIMIT).await?.and_then(|row| row.u64(0)))
}

fn named(name: &TableName) -> String {
    format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(&name.database), literal(&name.table))
}

async fn read_definition(session: &mut Session, name: &TableName) -> Result<Option<String>, Error> {
    let sql = format!("SHOW CREATE TABLE {}", quote_table(name));
    match session.query_one(&sql, LIMIT).await {
        Ok(row) => row.expect_string(1, "the definition").map(Some),
        Err(error) if error.class() == ErrorClass::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

fn columns_query(name: &TableName) -> String {
    format!(
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, \
         CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, \
         CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS WHERE {} \
         ORDER BY ORDINAL_POSITION",
        named(name)
    )
}

/// Indexes from `SHOW INDEX`, one row per part; the primary key first.
fn read_indexes(rows: &[Row], mariadb: bool) -> Result<Vec<Index>, Error> {
    let mut indexes: Vec<Index> = Vec::new();
    for row in rows {
        let name = row.expect_string(2, "an index's name")?;
        if indexes.last().is_none_or(|last| last.name != name) {
            indexes.push(index(name, row, mariadb));
        }
        if let Some(last) = indexes.last_mut() {
            last.parts.push(index_part(row));
        }
    }
    indexes.sort_by_key(|index| !index.is_primary());
    Ok(indexes)
}

fn index(name: String, row: &Row, mariadb: bool) -> Index {
    // MySQL says whether it is visible, MariaDB whether it is ignored.
    let visible = row.text(13).is_none_or(|text| (text == b"YES") != mariadb);
    Index {
        name,
        unique: row.u64(1) == Some(0),
        parts: Vec::new(),
        visible,
        index_type: row.string(10).unwrap_or_default(),
    }
}

fn index_part(row: &Row) -> IndexPart {
    let descending = row.text(5) == Some(b"D");
    IndexPart { column: row.string(4), prefix: row.u64(7), descending }
}

fn foreign_key(row: &Row) -> Result<ForeignKey, Error> {
    let name = row.expect_string(0, "a foreign key's name")?;
    Ok(ForeignKey { name, child: table_name(row, 1)?, parent: table_name(row, 3)? })
}

fn table_name(row: &Row, column: usize) -> Result<TableName, Error> {
    let database = row.expect_string(column, "a database's name")?;
    Ok(TableName::new(database, row.expect_string(column + 1, "a table's name")?))
}

/// InnoDB's list of tables holds names as in file names, whose rule for letters beyond ASCII is the
/// server's secret; its list of table spaces holds them in clear, but only of tables with a file of
/// their own.
fn table_id_query(name: &TableName, mariadb: bool) -> String {
    let encoded = file_name(&name.database).zip(file_name(&name.table));
    let encoded = encoded.map(|(database, table)| literal(&format!("{database}/{table}")));
    match (encoded, mariadb) {
        (Some(path), false) => pick("INNODB_TABLES t", "t.NAME", &path),
        (Some(path), true) => pick("INNODB_SYS_TABLES t", "t.NAME", &path),
        (None, false) => pick(
            "INNODB_TABLES t JOIN information_schema.INNODB_TABLESPACES s ON s.SPACE = t.SPACE",
            "s.NAME",
            &literal(&format!("{}/{}", name.database, name.table)),
        ),
        (None, true) => pick("INNODB_SYS_TABLES t", "t.NAME", &converted(name)),
    }
}

/// MariaDB knows the character set of file names.
fn converted(name: &TableName) -> String {
    let part = |text| format!("UNHEX(HEX(CONVERT({} USING filename)))", literal(text));
    let (database, table) = (part(&name.database), part(&name.table));
    format!("CONVERT(CONCAT({database}, '/', {table}) USING utf8mb4)")
}

/// The table itself before its partitions (`#p#` follows the name; `#P#` on older servers).
fn pick(from: &str, column: &str, path: &str) -> String {
    let prefix = format!("CONCAT({path}, '#p#')");
    let length = format!("CHAR_LENGTH({prefix})");
    format!(
        "SELECT t.TABLE_ID FROM information_schema.{from} \
         WHERE {column} = {path} COLLATE utf8mb4_bin \
         OR REPLACE(LEFT({column}, {length}), '#P#', '#p#') = {prefix} COLLATE utf8mb4_bin \
         ORDER BY {column} = {path} COLLATE utf8mb4_bin DESC, t.TABLE_ID LIMIT 1"
    )
}
