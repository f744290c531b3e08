//! What goes wrong between the server and us, and what it means for the caller.
//! Server messages carry row values: of them only codes, our wording and identifiers go on.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::mysql::position::ParseGtidError;

/// What a failure means: callers decide by this alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Lock wait, deadlock and their like: roll back and repeat the whole transaction.
    Retryable,
    /// The session is gone; what it was doing may or may not have happened.
    ConnectionLost,
    /// The account, its password or its right to connect was refused.
    AuthFailed,
    /// The files with the account's credentials are missing or unreadable.
    CredentialsUnavailable,
    /// The server takes no writes now, or is offline.
    ReadOnly,
    /// A privilege is missing.
    PermissionDenied,
    /// A value is already present in a unique index.
    DuplicateKey {
        /// The index, without its table, when the server named it.
        index: Option<String>,
    },
    /// A value does not fit its column, or breaks a constraint.
    DataDoesNotFit {
        /// The column or the constraint, when the server named it.
        column: Option<String>,
    },
    /// The disk or the table space is full.
    DiskFull,
    /// A packet or row event above `max_allowed_packet`.
    TooLarge,
    /// A table or database that does not exist.
    Missing,
    /// A table that exists already.
    AlreadyExists,
    /// The statement was killed, or ran into the server's own time limit.
    Interrupted,
    /// `max_connections` or a limit of the account is reached.
    TooManyConnections,
    /// No connection: name resolution, refusal, network, or no answer in time.
    Unreachable,
    /// TLS could not be had as demanded.
    TlsVerification,
    /// This session talks to another server than the one expected.
    WrongServer,
    /// Our own time limit passed; the statement may still run on the server.
    TimedOut,
    /// Anything else.
    Other,
}

/// A failure of this module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered a statement with an error.
    #[error("the server refused a statement: {0}")]
    RunStatement(ServerFault),
    /// The server answered the attempt to log in with an error.
    #[error("the server refused the account `{username}`: {fault}")]
    LogIn {
        /// The account's user name.
        username: String,
        /// What the server answered.
        fault: ServerFault,
    },
    /// No connection could be made.
    #[error("cannot reach {host}:{port}")]
    ReachServer {
        /// Host as configured.
        host: String,
        /// Port as configured.
        port: u16,
        /// What the network said.
        source: io::Error,
    },
    /// TLS could not be had as demanded.
    #[error("TLS with {host}, expecting a certificate for `{name}`: {reason}")]
    VerifyTls {
        /// Host as configured.
        host: String,
        /// The name that the certificate must bear.
        name: String,
        /// Which check failed.
        reason: String,
    },
    /// A file with credentials could not be read.
    #[error("cannot read the credentials' file `{file}`")]
    ReadCredentials {
        /// The file's name without its directory.
        file: String,
        /// What the file system said.
        source: io::Error,
    },
    /// Another server than the one expected answered.
    #[error("the session reached server {found}, expected {expected}")]
    WrongServer {
        /// The identity that was expected.
        expected: String,
        /// The identity that was found.
        found: String,
    },
    /// The connection broke during a statement.
    #[error("the connection to the server was lost")]
    LoseConnection {
        /// What the network said.
        source: io::Error,
    },
    /// The session is of no use: an earlier statement was broken off before its answer was read.
    #[error("the session was broken off during an earlier statement")]
    SessionLost,
    /// Our time limit passed. A statement may still be running on the server.
    #[error("no answer to {what} within {limit:?}")]
    TimeOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The driver could not speak with the server.
    #[error("the conversation with the server failed: {0}")]
    Converse(String),
    /// An answer lacks what it must hold.
    #[error("the server's answer lacks {0}")]
    ReadAnswer(&'static str),
    /// A set of GTIDs could not be read.
    #[error("the server's GTID set could not be read")]
    ReadGtids {
        /// Why.
        #[from]
        source: ParseGtidError,
    },
}

impl Error {
    /// What the failure means for the caller.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::RunStatement(fault) => fault.class(),
            Self::LogIn { fault, .. } => match fault.class() {
                ErrorClass::Other => ErrorClass::AuthFailed,
                class => class,
            },
            Self::ReachServer { .. } => ErrorClass::Unreachable,
            Self::VerifyTls { .. } => ErrorClass::TlsVerification,
            Self::ReadCredentials { .. } => ErrorClass::CredentialsUnavailable,
            Self::WrongServer { .. } => ErrorClass::WrongServer,
            Self::LoseConnection { .. } | Self::SessionLost => ErrorClass::ConnectionLost,
            Self::TimeOut { .. } => ErrorClass::TimedOut,
            Self::Converse(_) | Self::ReadAnswer(_) | Self::ReadGtids { .. } => ErrorClass::Other,
        }
    }

    /// The server's error number, when the failure is the server's answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::RunStatement(fault) | Self::LogIn { fault, .. } => Some(fault.code),
            _ => None,
        }
    }

    /// The driver's error during a statement.
    pub fn from_statement(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(fault) => Self::RunStatement(ServerFault::new(fault)),
            mysql_async::Error::Io(fault) => Self::LoseConnection { source: io_error(fault) },
            mysql_async::Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
                Self::LoseConnection { source: io::ErrorKind::UnexpectedEof.into() }
            }
            mysql_async::Error::Driver(fault) => Self::Converse(fault.to_string()),
            mysql_async::Error::Other(_) | mysql_async::Error::Url(_) => {
                Self::Converse("the driver failed".to_owned())
            }
        }
    }
}

/// An error that the server sent. Printed, it shows the number, our wording and identifiers only.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerFault {
    code: u16,
    message: String,
}

impl ServerFault {
    /// Takes over what the server sent.
    pub fn new(fault: mysql_async::ServerError) -> Self {
        Self { code: fault.code, message: fault.message }
    }

    /// The server's error number.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The server's own words. They can hold row values and pieces of SQL: to be shown only for a
    /// statement that the user wrote, run on a table without rows.
    pub fn server_text(&self) -> &str {
        &self.message
    }

    /// What the error means.
    pub fn class(&self) -> ErrorClass {
        match self.code {
            1205 | 1213 | 1020 | 1412 | 1614 | 1615 | 1637 | 1689 | 1206 | 3058 | 3101 | 3572 => {
                ErrorClass::Retryable
            }
            1053 | 1158..=1161 | 1184 | 1927 | 3168 | 3169 | 4031 => ErrorClass::ConnectionLost,
            1045 | 1130 | 1251 | 1524 | 1698 | 1820 | 1862 | 3118 | 3159 | 3955 | 4151 => {
                ErrorClass::AuthFailed
            }
            1290 if self.message.contains("read-only") || self.message.contains("read_only") => {
                ErrorClass::ReadOnly
            }
            1792 | 1836 | 3032 => ErrorClass::ReadOnly,
            1044 | 1095 | 1142 | 1143 | 1227 | 1370 | 1419 => ErrorClass::PermissionDenied,
            1062 | 1586 | 1859 => {
                ErrorClass::DuplicateKey { index: duplicate_index(&self.message) }
            }
            1040 | 1203 | 1226 => ErrorClass::TooManyConnections,
            1049 | 1051 | 1146 => ErrorClass::Missing,
            1050 => ErrorClass::AlreadyExists,
            1153 | 1301 => ErrorClass::TooLarge,
            1317 | 1969 | 3024 => ErrorClass::Interrupted,
            code if is_disk_full(code, &self.message) => ErrorClass::DiskFull,
            code if does_not_fit(code) => {
                ErrorClass::DataDoesNotFit { column: refused_column(&self.message) }
            }
            _ => ErrorClass::Other,
        }
    }

    fn wording(&self) -> String {
        match self.class() {
            ErrorClass::Retryable => "a lock conflict, worth another try".to_owned(),
            ErrorClass::ConnectionLost => "the connection ends".to_owned(),
            ErrorClass::AuthFailed => "the account was not let in".to_owned(),
            ErrorClass::ReadOnly => "the server takes no writes".to_owned(),
            ErrorClass::PermissionDenied => {
                let privilege = missing_privilege(&self.message);
                named("a privilege is missing", privilege.as_deref())
            }
            ErrorClass::DuplicateKey { index } => {
                named("a value exists already in a unique index", index.as_deref())
            }
            ErrorClass::DataDoesNotFit { column } => {
                named("a value does not fit the column or constraint", column.as_deref())
            }
            ErrorClass::DiskFull => "the disk or table space is full".to_owned(),
            ErrorClass::TooLarge => "larger than max_allowed_packet".to_owned(),
            ErrorClass::Missing => "a table or database does not exist".to_owned(),
            ErrorClass::AlreadyExists => "a table of that name exists already".to_owned(),
            ErrorClass::Interrupted => "the statement was interrupted".to_owned(),
            ErrorClass::TooManyConnections => "too many connections".to_owned(),
            _ => plain_wording(self.code).to_owned(),
        }
    }
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}, {}", self.code, self.wording())
    }
}

impl fmt::Debug for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerFault({self})")
    }
}

/// The I/O error of the driver, without its wrapping.
pub(super) fn io_error(fault: mysql_async::IoError) -> io::Error {
    match fault {
        mysql_async::IoError::Io(error) => error,
        mysql_async::IoError::Tls(error) => io::Error::other(error.to_string()),
    }
}

fn named(what: &str, name: Option<&str>) -> String {
    name.map_or_else(|| what.to_owned(), |name| format!("{what}: `{name}`"))
}

fn plain_wording(code: u16) -> &'static str {
    match code {
        1054 => "a column does not exist",
        1064 => "the statement is not understood",
        1091 => "a column or index to be dropped does not exist",
        1100 => "a table was not locked",
        1193 => "a variable does not exist",
        1236 => "the binlog cannot be read from there",
        1451 | 1452 => "a foreign key is in the way",
        1845 | 1846 => "the chosen way to alter the table is not possible",
        _ => "not further known",
    }
}

fn is_disk_full(code: u16, message: &str) -> bool {
    let file_error = matches!(code, 3 | 1026 | 1030 | 1878);
    let no_space = ["errno: 28", "error 28", "No space left"].iter().any(|s| message.contains(s));
    matches!(code, 20 | 1021 | 1114) || (file_error && no_space)
}

fn does_not_fit(code: u16) -> bool {
    matches!(
        code,
        1048 | 1263..=1265 | 1292 | 1364..=1367 | 1406 | 1411 | 1416 | 1441 | 1452 | 1526 | 1566
            | 1690 | 1713 | 1748 | 3037 | 3140 | 3144 | 3156 | 3643 | 3751 | 3752 | 3819 | 3854
            | 3903 | 4025
    )
}

/// `Duplicate entry '...' for key 't.idx'`: the value comes first, so the last mark is the server's.
fn duplicate_index(message: &str) -> Option<String> {
    let (_, rest) = message.rsplit_once("for key '")?;
    let name = rest.strip_suffix('\'')?;
    let index = name.rsplit_once('.').map_or(name, |(_, index)| index);
    (!index.is_empty()).then(|| index.to_owned())
}

/// The column (or check constraint) of a refused value. Only the exact forms that end in the name
/// are trusted: a value could hold the same words.
fn refused_column(message: &str) -> Option<String> {
    let name = row_column(message)
        .or_else(|| between(message, "Column '", "' cannot be null"))
        .or_else(|| between(message, "Field '", "' doesn't have a default value"))
        .or_else(|| between(message, "Check constraint '", "' is violated."))
        .or_else(|| message.strip_prefix("CONSTRAINT `")?.split_once("` failed for ").map(first))?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// `... column 'c' at row 1` (MySQL) and ``... column `d`.`t`.`c` at row 1`` (MariaDB), or the
/// former with a full stop (JSON).
fn row_column(message: &str) -> Option<&str> {
    let message = message.strip_suffix('.').unwrap_or(message);
    let (head, row) = message.rsplit_once(" at row ").unwrap_or((message, "0"));
    if !row.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (_, quoted) = head.rsplit_once(" column ")?;
    let path = quoted.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    match path {
        Some(path) => path.rsplit("`.`").next(),
        // JSON errors name the table as well.
        None => quoted.strip_prefix('\'')?.strip_suffix('\'')?.rsplit('.').next(),
    }
}

/// `you need (at least one of) the X privilege(s)`, or `X command denied to user`.
fn missing_privilege(message: &str) -> Option<String> {
    let after = message.split_once("(at least one of) the ").map(|(_, rest)| rest);
    let name = after
        .and_then(|rest| rest.split_once(" privilege"))
        .or_else(|| message.split_once(" command denied"))
        .map(first)?;
    let word = |c: char| c.is_ascii_uppercase() || matches!(c, '_' | ' ' | ',');
    name.chars().all(word).then(|| name.to_owned())
}

fn between<'a>(message: &'a str, head: &str, tail: &str) -> Option<&'a str> {
    message.strip_prefix(head)?.strip_suffix(tail)
}

fn first<'a>(pair: (&'a str, &'a str)) -> &'a str {
    pair.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: u16, message: &str) -> ServerFault {
        ServerFault { code, message: message.to_owned() }
    }

    fn misfit(column: Option<&str>) -> ErrorClass {
        ErrorClass::DataDoesNotFit { column: column.map(str::to_owned) }
    }

    fn duplicate(index: &str) -> ErrorClass {
        ErrorClass::DuplicateKey { index: Some(index.to_owned()) }
    }

    #[test]
    fn tells_the_class_by_code_and_name() {
        let read_only = "The MySQL server is running with the --super-read-only option so it \
                         cannot execute this statement";
        let secure = "The MySQL server is running with the --secure-file-priv option so it cannot \
                      execute this statement";
        let cases = [
            (1205, "Lock wait timeout exceeded", ErrorClass::Retryable),
            (
                3572,
                "Statement aborted because lock(s) could not be acquired",
                ErrorClass::Retryable,
            ),
            (1045, "Access denied for user 'u'@'h' (using password: YES)", ErrorClass::AuthFailed),
            (1290, read_only, ErrorClass::ReadOnly),
            (1290, secure, ErrorClass::Other),
            (1030, "Got error 28 - 'No space left on device' from engine", ErrorClass::DiskFull),
            (1030, "Got error 168 - 'Unknown (generic) error from engine'", ErrorClass::Other),
            (1062, "Duplicate entry 'secret' for key 't.idx'", duplicate("idx")),
            (1062, "Duplicate entry 'for key 'x'' for key 'PRIMARY'", duplicate("PRIMARY")),
            (1264, "Out of range value for column 'c' at row 7", misfit(Some("c"))),
            (
                1366,
                "Incorrect string value: '\\xF0' for column 'it's' at row 1",
                misfit(Some("it's")),
            ),
            (
                1366,
                "Incorrect integer value: 's' for column `d`.`t`.`c` at row 1",
                misfit(Some("c")),
            ),
            (1292, "Truncated incorrect DOUBLE value: 'column 'secret' at row 1'", misfit(None)),
            (1048, "Column 'c' cannot be null", misfit(Some("c"))),
            (1364, "Field 'c' doesn't have a default value", misfit(Some("c"))),
            (
                3140,
                "Invalid JSON text: \"s\" at position 0 in value for column 't.c'.",
                misfit(Some("c")),
            ),
            (3819, "Check constraint 'k' is violated.", misfit(Some("k"))),
            (4025, "CONSTRAINT `k` failed for `d`.`t`", misfit(Some("k"))),
            (1064, "You have an error in your SQL syntax near 'secret'", ErrorClass::Other),
        ];
        for (code, message, class) in cases {
            assert_eq!(fault(code, message).class(), class, "{message}");
        }
    }

    #[test]
    fn prints_no_value() {
        let messages = [
            (1062, "Duplicate entry 'secret' for key 't.idx'"),
            (1366, "Incorrect string value: 'secret' for column 'c' at row 1"),
            (1292, "Truncated incorrect DOUBLE value: 'column 'secret' at row 1'"),
            (1411, "Incorrect datetime value: 'secret' for function str_to_date"),
            (1064, "You have an error in your SQL syntax near 'secret'"),
            (1690, "BIGINT value is out of range in '(secret + 1)'"),
            (1644, "secret"),
        ];
        for (code, message) in messages {
            let error = Error::RunStatement(fault(code, message));
            let printed = format!("{error} {error:?} {error:#?}");
            assert!(
                !printed.contains("secret") && printed.contains(&code.to_string()),
                "{printed}"
            );
        }
    }

    #[test]
    fn names_the_missing_privilege() {
        let cases = [
            (
                1227,
                "Access denied; you need (at least one of) the PROCESS privilege(s) for this operation",
                "PROCESS",
            ),
            (1142, "LOCK TABLES command denied to user 'u'@'h' for table 't'", "LOCK TABLES"),
        ];
        for (code, message, privilege) in cases {
            let printed = fault(code, message).to_string();
            assert!(printed.ends_with(&format!("`{privilege}`")), "{printed}");
        }
    }
}
