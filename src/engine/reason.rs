//! Stable reason tokens and what people read beside them: one sentence of cause, one of remedy.
//! Conditions, events, exit messages and alerts depend on the tokens; row values never get in here.

use serde::{Serialize, Serializer};

/// The longest message or remedy in characters.
const TEXT_LIMIT: usize = 1024;

/// Defines the enum, its tokens and the list of all of them in one place, so that none is forgotten.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a migration is refused, waits, warns or fails.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable token.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// A field of the migration has a value that it cannot have.
    InvalidSpec,
    /// The ALTER cannot be parsed.
    AlterSyntax,
    /// The ALTER has a clause that may not run on a shadow table.
    AlterNotAllowed,
    /// The server refused the ALTER on the empty shadow table.
    AlterRejected,
    /// The ALTER leaves the definition as it is: the table is only rebuilt.
    NoStructuralChange,
    /// No unique key identifies the rows of both tables.
    NoUsableKey,
    /// A conversion loses information without an error.
    LossyChange,
    /// A value does not fit its new column.
    DataDoesNotFit,
    /// Two rows claim one value of a unique index.
    DuplicateKey,
    /// A rename, or a drop beside an add, is not confirmed.
    NeedsConfirmation,
    /// A conversion depends on a time zone.
    NeedsTimeZone,
    /// The table does not exist.
    SourceMissing,
    /// The name is a view's or a sequence's.
    NotABaseTable,
    /// The database may not be changed.
    NotAllowedSchema,
    /// Only a table whose name differs in case exists.
    AmbiguousName,
    /// A helper table's name is used by a table of somebody else.
    NameTaken,
    /// Foreign keys point from or to the table.
    ForeignKeys,
    /// The table has triggers.
    Triggers,
    /// The table has a feature that a copy would not preserve.
    UnsupportedTable,
    /// The table's storage engine is not InnoDB.
    UnsupportedEngine,
    /// The server's version is too old or of another family.
    UnsupportedVersion,
    /// The binlog is not written.
    BinlogOff,
    /// The binlog is not in row format.
    BinlogFormat,
    /// The database is left out of the binlog.
    BinlogFiltered,
    /// Commits may become visible in another order than the binlog's.
    CommitOrder,
    /// Binlog files may be purged before the migration has read them.
    RetentionShort,
    /// A crash of the server may lose binlog events of transactions that it keeps.
    DurabilityWarning,
    /// A session of the application logs in a way that cannot be followed.
    UnsafeSession,
    /// The tables differ beyond what may be repaired.
    ChecksumMismatch,
    /// Several servers take writes.
    UnsupportedTopology,
    /// The server is a replica.
    NotPrimary,
    /// The server takes no writes.
    ServerReadOnly,
    /// Privileges are missing.
    MissingPrivileges,
    /// The server did not let the account in.
    AuthFailed,
    /// The account's files are missing or unreadable.
    CredentialsUnavailable,
    /// TLS could not be had as demanded.
    TlsVerification,
    /// There is no connection to the server.
    Unreachable,
    /// The disk may not hold the shadow table.
    DiskSpace,
    /// The disk or the table space is full.
    DiskFull,
    /// The target does not exist or is not for this namespace.
    TargetNotAllowed,
    /// Another migration of the same table is under way.
    Blocked,
    /// Other sessions hold the table.
    CutOverBlocked,
    /// A prepared XA transaction must end first.
    XaPending,
    /// A backup holds its lock.
    BackupRunning,
    /// Writes arrive faster than they can be applied.
    NotConverging,
    /// Somebody else changed the source table's definition.
    SourceChanged,
    /// Somebody else changed a helper table.
    ShadowChanged,
    /// Another worker has taken over.
    Superseded,
    /// The binlog stream shows something that must not be skipped.
    StreamBroken,
    /// The binlog no longer holds the position to continue from.
    PositionPurged,
    /// Another server than the expected one answered.
    WrongServer,
    /// A privilege was refused in the middle of a run.
    PermissionDenied,
    /// A person has to approve the next stage.
    AwaitingApproval,
    /// A hook asks to wait.
    HookWaits,
    /// A hook gives no answer that counts.
    HookUnanswered,
    /// A hook denies the next stage.
    HookDenied,
    /// A check of the target does not hold.
    CheckNotMet,
    /// The change cannot be made with ALGORITHM=INSTANT.
    InstantImpossible,
    /// The tables are swapped: there is nothing to abort.
    TooLate,
    /// An invariant of the program is broken.
    Internal,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What is in the way: the same text in status, events and on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The stable token.
    pub reason: Reason,
    /// The cause, one sentence without row values.
    pub message: String,
    /// What can be done, one sentence.
    pub remedy: String,
}

impl Refusal {
    /// Puts a refusal together; texts beyond 1,024 characters are cut.
    pub fn new(reason: Reason, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason, message: bounded(message.into()), remedy: bounded(remedy.into()) }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.reason, self.message, self.remedy)
    }
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        None => text,
        Some(_) => text.chars().take(TEXT_LIMIT - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dashboards and alert rules name these; a change here is a change of the interface.
    const TOKENS: &str = "InvalidSpec AlterSyntax AlterNotAllowed AlterRejected NoStructuralChange \
        NoUsableKey LossyChange DataDoesNotFit DuplicateKey NeedsConfirmation NeedsTimeZone \
        SourceMissing NotABaseTable NotAllowedSchema AmbiguousName NameTaken ForeignKeys Triggers \
        UnsupportedTable UnsupportedEngine UnsupportedVersion BinlogOff BinlogFormat \
        BinlogFiltered CommitOrder RetentionShort \
        DurabilityWarning UnsafeSession ChecksumMismatch UnsupportedTopology NotPrimary \
        ServerReadOnly MissingPrivileges AuthFailed CredentialsUnavailable TlsVerification \
        Unreachable DiskSpace DiskFull TargetNotAllowed Blocked CutOverBlocked XaPending \
        BackupRunning NotConverging SourceChanged ShadowChanged Superseded \
        StreamBroken PositionPurged WrongServer PermissionDenied AwaitingApproval HookWaits \
        HookUnanswered HookDenied CheckNotMet InstantImpossible \
        TooLate Internal";

    #[test]
    fn tokens_are_stable() {
        let tokens: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(tokens, TOKENS.split_whitespace().collect::<Vec<_>>());
        let written = serde_json::to_string(&Reason::NoUsableKey).unwrap();
        assert_eq!(written, "\"NoUsableKey\"");
    }

    #[test]
    fn texts_are_bounded_in_characters() {
        let refusal = Refusal::new(Reason::Internal, "é".repeat(2000), "é".repeat(1024));
        assert_eq!(refusal.message.chars().count(), 1024);
        assert!(refusal.message.ends_with('…'));
        assert_eq!(refusal.remedy, "é".repeat(1024));
    }
}
