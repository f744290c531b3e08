//! Everything that can end an attempt. What follows from an error is decided in `failure.rs` alone.

use crate::engine::changes::transaction::ChangeError;
use crate::engine::reason::Refusal;
use crate::mysql::error::Error as MysqlError;
use crate::schema::key::KeyError;

/// Why an attempt ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A statement or a connection failed.
    #[error("cannot {doing}")]
    Query {
        /// What the engine was doing, as a verb phrase.
        doing: &'static str,
        /// What the server or the driver said.
        source: MysqlError,
    },
    /// The binlog stream broke or showed something that must not be skipped.
    #[error("cannot follow the binlog")]
    FollowBinlog {
        /// What was seen.
        source: ChangeError,
    },
    /// A key could not be encoded, decoded or rendered.
    #[error("cannot handle a migration key")]
    HandleKey {
        /// What was wrong with it.
        source: KeyError,
    },
    /// Preflight refuses; nothing was changed.
    #[error("preflight refuses the migration")]
    Refused {
        /// Every check that failed.
        refusals: Vec<Refusal>,
    },
    /// The migration cannot go on because of the data or of somebody else's change.
    #[error("{}", .refusal.message)]
    Blocked {
        /// Reason, cause and remedy.
        refusal: Refusal,
    },
    /// The migration has ended itself and dropped what it had made.
    #[error("{}", .refusal.message)]
    GivenUp {
        /// Reason, cause and remedy.
        refusal: Refusal,
    },
    /// Another worker holds the fence.
    #[error("another worker has taken over")]
    Superseded,
    /// Something that cannot happen was seen.
    #[error("broken invariant: {what}")]
    BrokenInvariant {
        /// What was seen.
        what: &'static str,
    },
    /// A task of the run panicked.
    #[error("{name} panicked")]
    Panicked {
        /// Name of the task.
        name: &'static str,
    },
    /// The run was asked to stop.
    #[error("stopped on request")]
    Stopped,
}

impl From<KeyError> for Error {
    fn from(source: KeyError) -> Self {
        Self::HandleKey { source }
    }
}

impl From<ChangeError> for Error {
    fn from(source: ChangeError) -> Self {
        Self::FollowBinlog { source }
    }
}

/// Says what was being done when a statement failed.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, MysqlError> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Query { doing, source })
    }
}
