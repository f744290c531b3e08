//! What follows from an error: another attempt, or the end with a reason, a cause and a remedy. The
//! default is to stop and ask.

use std::error::Error as StdError;

use super::changes::transaction::ChangeError;
use super::error::Error;
use super::misfit;
use super::phase::PhaseKind;
use super::reason::{Reason, Refusal};
use super::request::Request;
use crate::mysql::binlog::StreamError;
use crate::mysql::error::ErrorClass;

/// The server cannot serve the position that was asked for, as when its file was purged.
const ER_SOURCE_FATAL_READING_BINLOG: u16 = 1236;
/// A statement names a column that its table does not have.
const ER_BAD_FIELD: u16 = 1054;

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Another attempt continues from what is stored.
    Retry,
    /// The run ends.
    Fail,
}

/// A run that ended badly, as the user reads it.
#[derive(Debug)]
pub struct Failure {
    /// The stable token.
    pub reason: Reason,
    /// One sentence of cause.
    pub message: String,
    /// One sentence of remedy.
    pub remedy: String,
    /// What is left behind, and how to continue or clean up.
    pub kept: String,
    /// Whether preflight refused: then nothing was changed.
    pub refused: bool,
    /// Further refusals, when preflight found several.
    pub others: Vec<Refusal>,
}

/// Decides what follows from an error.
pub fn disposition(error: &Error) -> Disposition {
    match error {
        // A column that vanished: another attempt reads the definitions and names the table.
        Error::Query { source, .. } if source.code() == Some(ER_BAD_FIELD) => Disposition::Retry,
        Error::Query { source, .. } => of_class(&source.class()),
        Error::FollowBinlog { source } => of_change(source),
        Error::HandleKey { .. }
        | Error::Refused { .. }
        | Error::Blocked { .. }
        | Error::GivenUp { .. }
        | Error::Superseded
        | Error::BrokenInvariant { .. }
        | Error::Panicked { .. }
        | Error::Stopped => Disposition::Fail,
    }
}

fn of_class(class: &ErrorClass) -> Disposition {
    match class {
        ErrorClass::Retryable
        | ErrorClass::ConnectionLost
        | ErrorClass::Unreachable
        | ErrorClass::TimedOut
        | ErrorClass::Interrupted
        | ErrorClass::TooManyConnections
        | ErrorClass::ReadOnly
        | ErrorClass::DiskFull
        // A helper table that came into being since preflight: a CREATE of an earlier, broken-off
        // attempt that the server finished late, or somebody else's table, which preflight refuses.
        | ErrorClass::AlreadyExists
        // Another attempt looks which table is gone.
        | ErrorClass::Missing => Disposition::Retry,
        ErrorClass::AuthFailed
        | ErrorClass::CredentialsUnavailable
        | ErrorClass::PermissionDenied
        | ErrorClass::DuplicateKey { .. }
        | ErrorClass::DataDoesNotFit { .. }
        | ErrorClass::TooLarge
        | ErrorClass::TlsVerification
        | ErrorClass::WrongServer
        | ErrorClass::Other => Disposition::Fail,
    }
}

fn of_change(error: &ChangeError) -> Disposition {
    match error {
        ChangeError::ReadStream { source } => of_stream(source),
        ChangeError::ReadRow { .. }
        | ChangeError::StatementFormat { .. }
        | ChangeError::SourceChanged { .. }
        | ChangeError::HelperChanged { .. }
        | ChangeError::GtidAfterGtid
        | ChangeError::RotateInsideTransaction
        | ChangeError::UnexpectedEvent { .. }
        | ChangeError::RowsWithoutTableMap
        | ChangeError::Incident => Disposition::Fail,
    }
}

fn of_stream(error: &StreamError) -> Disposition {
    match error {
        StreamError::Receive { source } => of_class(&source.class()),
        StreamError::OpenTimedOut | StreamError::StreamSilent | StreamError::StreamEnded => {
            Disposition::Retry
        }
        StreamError::DecoderPanicked
        | StreamError::UnknownEvent { .. }
        | StreamError::InvalidEvent { .. }
        | StreamError::ChecksumMismatch { .. }
        | StreamError::PayloadLost
        | StreamError::OffsetTooLarge
        | StreamError::InvalidGtidSet => Disposition::Fail,
    }
}

impl Failure {
    /// What the user reads about an error in this stage.
    pub fn of(error: Error, request: &Request, phase: PhaseKind) -> Self {
        let text = chain(&error);
        let refused = matches!(error, Error::Refused { .. });
        let kept = match &error {
            Error::GivenUp { .. } => {
                format!("{} is untouched; the helper tables are dropped", request.table)
            }
            _ => kept(refused, request, phase),
        };
        let mut refusals = refusals(error, text);
        let first = refusals.remove(0);
        Self {
            reason: first.reason,
            message: first.message,
            remedy: first.remedy,
            kept,
            refused,
            others: refusals,
        }
    }
}

/// What is left behind, by the stage in which it failed.
fn kept(refused: bool, request: &Request, phase: PhaseKind) -> String {
    let table = &request.table;
    match phase {
        _ if refused => "nothing was changed".to_owned(),
        PhaseKind::Preflight => format!(
            "this run changed nothing; helper tables of an earlier run of this migration of {table}, if \
             there are any, are kept"
        ),
        PhaseKind::CutOver | PhaseKind::CleanUp => format!(
            "every table is kept; run the same command again: it looks whether {table} has its new \
             definition already, and finishes"
        ),
        PhaseKind::Prepare
        | PhaseKind::RowCopy
        | PhaseKind::CatchUp
        | PhaseKind::Verify
        | PhaseKind::AwaitCutOver => format!(
            "{table} is untouched; the helper tables are kept, so that running the same command again \
             continues and setting `abort: true` drops them"
        ),
    }
}

/// At least one refusal.
fn refusals(error: Error, text: String) -> Vec<Refusal> {
    let of =
        |reason, remedy: &str| vec![Refusal { reason, message: text, remedy: remedy.to_owned() }];
    match error {
        Error::Refused { refusals } if !refusals.is_empty() => refusals,
        Error::Blocked { refusal } | Error::GivenUp { refusal } => vec![refusal],
        Error::Query { source, .. } => match source.class() {
            ErrorClass::DataDoesNotFit { column } => vec![misfit::plain(column.as_deref())],
            class => {
                let (reason, remedy) = advice(&class);
                of(reason, remedy)
            }
        },
        Error::FollowBinlog { source } => {
            let (reason, remedy) = stream_advice(&source);
            of(reason, remedy)
        }
        Error::Superseded => of(
            Reason::Superseded,
            "the worker that took over goes on; look there, and start only one at a time",
        ),
        Error::Refused { .. }
        | Error::HandleKey { .. }
        | Error::BrokenInvariant { .. }
        | Error::Panicked { .. }
        | Error::Stopped => of(
            Reason::Internal,
            "keep the log, report this as a bug, and run the same command again to continue",
        ),
    }
}

/// Reason and remedy of what the stream showed.
fn stream_advice(error: &ChangeError) -> (Reason, &'static str) {
    match error {
        ChangeError::StatementFormat { .. } | ChangeError::ReadRow { .. } => (
            Reason::UnsafeSession,
            "make the session that wrote it use binlog_format=ROW with the key columns in every row \
             image, abort this migration and start it again",
        ),
        ChangeError::SourceChanged { .. } => (
            Reason::SourceChanged,
            "abort this migration and start it again from the new definition",
        ),
        ChangeError::HelperChanged { .. } => (
            Reason::ShadowChanged,
            "find out who changed it; abort this migration and start it again",
        ),
        ChangeError::ReadStream { source: StreamError::Receive { source } }
            if source.code() == Some(ER_SOURCE_FATAL_READING_BINLOG) =>
        {
            (
                Reason::PositionPurged,
                "abort this migration, raise the binlog retention and start again",
            )
        }
        ChangeError::ReadStream { .. }
        | ChangeError::GtidAfterGtid
        | ChangeError::RotateInsideTransaction
        | ChangeError::UnexpectedEvent { .. }
        | ChangeError::RowsWithoutTableMap
        | ChangeError::Incident => (
            Reason::StreamBroken,
            "run the same command again; when it fails at the same place, abort and start anew",
        ),
    }
}

/// Reason and remedy of an error of the server or the network.
fn advice(class: &ErrorClass) -> (Reason, &'static str) {
    match class {
        ErrorClass::AuthFailed => (
            Reason::AuthFailed,
            "check user name and password in the Secret, and that the account may log in from here",
        ),
        ErrorClass::CredentialsUnavailable => (
            Reason::CredentialsUnavailable,
            "provide the keys `username` and `password` in the Secret or the credentials directory",
        ),
        ErrorClass::PermissionDenied => {
            (Reason::PermissionDenied, "grant what docs/grants.md lists, and run it again")
        }
        ErrorClass::TlsVerification => (
            Reason::TlsVerification,
            "provide the authority in `ca.crt`, correct the host name or set tls.serverName",
        ),
        ErrorClass::Unreachable | ErrorClass::TooManyConnections => {
            (Reason::Unreachable, "check host, port and network, and run it again")
        }
        ErrorClass::WrongServer => (
            Reason::WrongServer,
            "point the target at one server, not at a load balancer, and run it again",
        ),
        ErrorClass::ReadOnly => (Reason::ServerReadOnly, "make the server writable"),
        ErrorClass::DiskFull => (Reason::DiskFull, "free disk space and run it again"),
        ErrorClass::Retryable
        | ErrorClass::ConnectionLost
        | ErrorClass::TimedOut
        | ErrorClass::Interrupted
        | ErrorClass::DuplicateKey { .. }
        | ErrorClass::DataDoesNotFit { .. }
        | ErrorClass::TooLarge
        | ErrorClass::Missing
        | ErrorClass::AlreadyExists
        | ErrorClass::Other => {
            (Reason::Internal, "look at the server's error log, and run it again")
        }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.chars().take(1024).collect()
}
