//! Facts about a server: version, binlog settings, role in a topology, and where its binlog stands.
//! Reads only, judges nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mysql::error::{Error, ErrorClass};
use crate::mysql::position::{Coordinates, GtidSet, Position};
use crate::mysql::session::{Row, Session};
use crate::mysql::text;

const LIMIT: Duration = Duration::from_secs(10);
/// A server that takes longer to tell its status is in trouble.
const STATUS_LIMIT: Duration = Duration::from_secs(2);

/// Which server family it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// MySQL and what calls itself so.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A version in numbers; they compare in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

/// What is known about a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Its family.
    pub flavour: Flavour,
    /// Its version.
    pub version: Version,
    /// The version as it prints it.
    pub version_text: String,
    /// Its identity, as `ConnectOptions::expect_server` takes it.
    pub identity: String,
    /// Whether the binlog is written.
    pub log_bin: bool,
    /// Databases that alone are written to the binlog, and those that are left out (comma lists).
    pub binlog_filters: (String, String),
    /// The host that it replicates from, when it is a replica.
    pub replica_of: Option<String>,
    variables: BTreeMap<String, String>,
}

impl Server {
    /// A global variable by its lower-case name; `None` when the server does not know it.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A global variable as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.variable(name)?.parse().ok()
    }

    /// Whether a global variable is ON (or 1).
    pub fn is_on(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("ON"))
    }

    /// `server_id`, 0 when it has none.
    pub fn server_id(&self) -> u64 {
        self.number("server_id").unwrap_or(0)
    }

    /// Whether it works with MySQL's GTIDs in full (`gtid_mode = ON`).
    pub fn has_gtids(&self) -> bool {
        self.flavour == Flavour::MySql && self.is_on("gtid_mode")
    }

    /// Whether engine commits happen in binlog order. MariaDB always does so.
    pub fn commits_in_binlog_order(&self) -> bool {
        self.flavour == Flavour::MariaDb || self.is_on("binlog_order_commits")
    }

    /// Whether every commit is in the binlog on disk before it is acknowledged.
    pub fn syncs_binlog(&self) -> bool {
        self.number("sync_binlog") == Some(1)
    }

    /// `binlog_format`; servers that no longer have the variable always write rows.
    pub fn binlog_format(&self) -> &str {
        self.variable("binlog_format").unwrap_or("ROW")
    }

    /// `binlog_row_image`.
    pub fn binlog_row_image(&self) -> &str {
        self.variable("binlog_row_image").unwrap_or("FULL")
    }

    /// Whether JSON changes are written as differences.
    pub fn writes_partial_json(&self) -> bool {
        self.variable("binlog_row_value_options").is_some_and(|value| !value.is_empty())
    }

    /// Whether transactions are written compressed.
    pub fn compresses_transactions(&self) -> bool {
        self.is_on("binlog_transaction_compression") || self.is_on("log_bin_compress")
    }

    /// How long binlog files are kept; `None` when they are kept for ever.
    pub fn binlog_retention(&self) -> Option<Duration> {
        let seconds = self.number("binlog_expire_logs_seconds").filter(|seconds| *seconds > 0);
        let days = || self.number("expire_logs_days").filter(|days| *days > 0);
        let seconds = seconds.or_else(|| days().map(|days| days.saturating_mul(86_400)));
        seconds.map(Duration::from_secs)
    }

    /// Whether it refuses writes of ordinary accounts.
    pub fn is_read_only(&self) -> bool {
        let read_only =
            self.variable("read_only").is_some_and(|value| value.starts_with("READ_ONLY"));
        read_only || self.is_on("read_only") || self.is_on("super_read_only")
    }

    /// Whether names of tables are compared without case.
    pub fn ignores_table_case(&self) -> bool {
        self.number("lower_case_table_names").is_some_and(|value| value != 0)
    }

    /// The largest statement in bytes that it takes.
    pub fn max_allowed_packet(&self) -> u64 {
        self.number("max_allowed_packet").unwrap_or(4 << 20)
    }

    /// Whether several servers of its cluster take writes: Galera, or Group Replication multi-primary.
    pub fn has_several_writers(&self) -> bool {
        let group =
            self.variable("group_replication_group_name").is_some_and(|name| !name.is_empty());
        let single = self.is_on("group_replication_single_primary_mode");
        self.is_on("wsrep_on") || (group && !single)
    }

    /// Whether the swap can be a RENAME under LOCK TABLES by one session (MySQL from 8.0.13).
    pub fn renames_locked_tables(&self) -> bool {
        let since = Version { major: 8, minor: 0, patch: 13 };
        self.flavour == Flavour::MySql && self.version >= since
    }
}

#[cfg(test)]
impl Server {
    /// A server that writes its binlog, with these variables; a later one of the same name counts.
    pub(crate) fn sample(flavour: Flavour, version: &str, pairs: &[(&str, &str)]) -> Self {
        let variables = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self {
            flavour,
            version: Version::parse(version),
            version_text: version.to_owned(),
            identity: String::new(),
            log_bin: true,
            binlog_filters: Default::default(),
            replica_of: None,
            variables,
        }
    }
}

impl Version {
    /// The first three numbers of a version's text; what is missing is 0.
    pub fn parse(text: &str) -> Self {
        let mut numbers =
            text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { major: next(), minor: next(), patch: next() }
    }
}

/// Reads the facts. Needs REPLICATION CLIENT to tell filters and replication; without it they are
/// left empty, because the check of grants names what is missing.
///
/// # Errors
/// When the session fails.
pub async fn read_server(session: &mut Session) -> Result<Server, Error> {
    let rows = session.query_rows(&variables_query(), LIMIT).await?;
    let variables: BTreeMap<String, String> = rows
        .iter()
        .filter_map(|row| Some((row.string(0)?.to_lowercase(), row.string(1)?)))
        .collect();
    let version_text = variables.get("version").cloned().ok_or(Error::ReadAnswer("the version"))?;
    let log_bin = variables.get("log_bin").is_some_and(|value| value == "ON" || value == "1");
    let filters = if log_bin { permitted(binlog_status(session).await)? } else { None };
    let filter = |column| filters.as_ref().and_then(|row| row.string(column)).unwrap_or_default();
    Ok(Server {
        flavour: if session.is_mariadb() { Flavour::MariaDb } else { Flavour::MySql },
        version: Version::parse(&version_text),
        version_text,
        identity: session.server_identity().to_owned(),
        log_bin,
        binlog_filters: (filter(2), filter(3)),
        replica_of: permitted(replica_source(session).await)?,
        variables,
    })
}

/// Values of status variables by their lower-case names; those that the server does not know are absent.
///
/// # Errors
/// When the session fails.
pub async fn read_status(
    session: &mut Session,
    names: &[&str],
) -> Result<BTreeMap<String, String>, Error> {
    let names: Vec<String> = names.iter().map(|name| text::literal(name)).collect();
    let query = format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({})", names.join(","));
    let rows = session.query_rows(&query, STATUS_LIMIT).await?;
    let pairs = rows.iter().filter_map(|row| Some((row.string(0)?.to_lowercase(), row.string(1)?)));
    Ok(pairs.collect())
}

/// The end of the binlog, with the executed GTIDs where they are on; both come from one answer. Every
/// transaction in the set is visible to readers, so a stream that starts behind it misses nothing.
///
/// # Errors
/// When the session fails, the binlog is off, or REPLICATION CLIENT is missing.
pub async fn read_position(session: &mut Session, server: &Server) -> Result<Position, Error> {
    let row = binlog_status(session).await?.ok_or(Error::ReadAnswer("the binlog's position"))?;
    let file = row.expect_string(0, "the binlog's file")?;
    let offset = row.expect_u64(1, "the binlog's offset")?;
    let gtids = match server.has_gtids() {
        true => Some(row.expect_string(4, "the executed GTIDs")?.parse()?),
        false => None,
    };
    Ok(Position { coordinates: Coordinates { file, offset }, gtids })
}

/// Waits until every transaction of the set is executed, which makes it visible to readers. `false` when
/// the time is over first.
///
/// # Errors
/// When the session fails or the server works without GTIDs.
pub async fn wait_for_executed(
    session: &mut Session,
    set: &GtidSet,
    time: Duration,
) -> Result<bool, Error> {
    let sql = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', {:.3})", time.as_secs_f64());
    Ok(session.query_one(&sql, time + LIMIT).await?.u64(0) == Some(0))
}

/// GTIDs of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GtidSets {
    /// Of all transactions that it has.
    pub executed: GtidSet,
    /// Of those that its binlog no longer holds, or never held.
    pub purged: GtidSet,
}

/// The executed and the purged GTIDs; `None` when the server works without MySQL's GTIDs.
///
/// # Errors
/// When the session fails.
pub async fn read_gtid_sets(session: &mut Session) -> Result<Option<GtidSets>, Error> {
    if session.is_mariadb() {
        return Ok(None);
    }
    let sql = "SELECT @@GLOBAL.gtid_mode, @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged";
    let row = session.query_one(sql, LIMIT).await?;
    if row.string(0).as_deref() != Some("ON") {
        return Ok(None);
    }
    let executed = row.expect_string(1, "the executed GTIDs")?.parse()?;
    let purged = row.expect_string(2, "the purged GTIDs")?.parse()?;
    Ok(Some(GtidSets { executed, purged }))
}

/// The ends of the binlog files that are left, oldest first.
///
/// # Errors
/// When the session fails, the binlog is off, or REPLICATION CLIENT is missing.
pub async fn read_binlogs(session: &mut Session) -> Result<Vec<Coordinates>, Error> {
    let rows = session.query_rows("SHOW BINARY LOGS", LIMIT).await?;
    let end = |row: &Row| {
        let file = row.expect_string(0, "a binlog file's name")?;
        Ok(Coordinates { file, offset: row.expect_u64(1, "a binlog file's size")? })
    };
    rows.iter().map(end).collect()
}

fn variables_query() -> String {
    let names = [
        "version",
        "server_id",
        "log_bin",
        "binlog_format",
        "binlog_row_image",
        "binlog_row_value_options",
        "binlog_row_metadata",
        "binlog_checksum",
        "gtid_mode",
        "binlog_order_commits",
        "sync_binlog",
        "innodb_flush_log_at_trx_commit",
        "read_only",
        "super_read_only",
        "lower_case_table_names",
        "innodb_autoinc_lock_mode",
        "max_allowed_packet",
        "binlog_expire_logs_seconds",
        "expire_logs_days",
        "binlog_transaction_compression",
        "log_bin_compress",
        "wsrep_on",
        "group_replication_group_name",
        "group_replication_single_primary_mode",
        "performance_schema",
        "binlog_encryption",
        "sql_generate_invisible_primary_key",
        "default_storage_engine",
        "mysql56_temporal_format",
        "binlog_storage_engine",
    ];
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(","))
}

/// The row with file, offset and filters; its name depends on the version.
async fn binlog_status(session: &mut Session) -> Result<Option<Row>, Error> {
    newer_or_older(session, "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS").await
}

async fn replica_source(session: &mut Session) -> Result<Option<String>, Error> {
    let row = newer_or_older(session, "SHOW REPLICA STATUS", "SHOW SLAVE STATUS").await?;
    Ok(row.and_then(|row| row.string(1)))
}

/// Tries the statement of newer servers, then the one of older servers if that is not understood.
async fn newer_or_older(
    session: &mut Session,
    newer: &str,
    older: &str,
) -> Result<Option<Row>, Error> {
    match session.query_optional(newer, LIMIT).await {
        Err(error) if error.code() == Some(1064) => session.query_optional(older, LIMIT).await,
        result => result,
    }
}

fn permitted<T>(result: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(error) if error.class() == ErrorClass::PermissionDenied => Ok(None),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(flavour: Flavour, version: &str, pairs: &[(&str, &str)]) -> Server {
        Server::sample(flavour, version, pairs)
    }

    #[test]
    fn reads_versions() {
        let of = |major, minor, patch| Version { major, minor, patch };
        assert_eq!(Version::parse("9.7.4-2"), of(9, 7, 4));
        assert_eq!(Version::parse("10.11.6-MariaDB-log"), of(10, 11, 6));
        assert_eq!(Version::parse("8.4"), of(8, 4, 0));
    }

    #[test]
    fn knows_which_servers_rename_under_lock() {
        let cases = [
            (Flavour::MySql, "8.0.12", false),
            (Flavour::MySql, "8.0.13", true),
            (Flavour::MySql, "9.7.4", true),
            (Flavour::MariaDb, "11.8.3-MariaDB", false),
        ];
        for (flavour, version, expected) in cases {
            assert_eq!(
                server(flavour, version, &[]).renames_locked_tables(),
                expected,
                "{version}"
            );
        }
    }

    #[test]
    fn tells_retention_and_writers() {
        let of = |pairs: &[(&str, &str)]| server(Flavour::MySql, "8.4.0", pairs);
        assert_eq!(of(&[("binlog_expire_logs_seconds", "0")]).binlog_retention(), None);
        let days = of(&[("binlog_expire_logs_seconds", "0"), ("expire_logs_days", "2")]);
        assert_eq!(days.binlog_retention(), Some(Duration::from_secs(172_800)));
        assert!(of(&[("wsrep_on", "ON")]).has_several_writers());
        let group = ("group_replication_group_name", "x");
        assert!(of(&[group]).has_several_writers());
        assert!(
            !of(&[group, ("group_replication_single_primary_mode", "ON")]).has_several_writers()
        );
        assert!(of(&[("read_only", "READ_ONLY_NO_LOCK")]).is_read_only());
        assert!(!of(&[("read_only", "OFF")]).is_read_only());
    }
}
