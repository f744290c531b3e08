//! What people are told: the kinds of notices, how grave they are, and one notice with its words. Plain
//! data; no row value and no secret gets in here.

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// Defines the kinds, their words, their severities and the list of all of them in one place.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident: $severity:ident,)+) => {
        /// What a notice is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its word in files and messages.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// How grave it is.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }
        }
    };
}

kinds! {
    /// The first worker has begun, or the first after a retry.
    Started: Info,
    /// Everything is ready and the cut-over waits for a permission.
    Postponed: Info,
    /// The table has its new definition.
    Succeeded: Info,
    /// The migration ended badly or was refused.
    Failed: Critical,
    /// The migration was stopped by panic.
    Panicked: Critical,
    /// The migration was given up on request.
    Aborted: Warning,
    /// An attempt failed and another one follows.
    Error: Warning,
    /// The worker or a replica is far behind.
    Lag: Warning,
    /// The application's load holds the migration for long.
    Load: Warning,
    /// Nothing moves.
    Stuck: Warning,
    /// It is paused for long.
    LongPause: Warning,
    /// Cut-over attempts fail.
    CutOver: Warning,
    /// Writes arrive faster than they are applied.
    NotConverging: Warning,
    /// The server will soon purge binlogs that are still needed.
    Retention: Critical,
    /// Somebody tries whether the receiver can be reached.
    Test: Info,
}

/// How grave a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Its word in files and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Critical => "Critical",
        }
    }
}

/// Which moment of its subject a notice tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Moment {
    /// It happened; nothing follows.
    Happened,
    /// An alert begins.
    Begins,
    /// An alert that was told long ago still holds.
    Continues,
    /// An alert is over.
    Ends,
}

impl Moment {
    /// Its word in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Happened => "Happened",
            Self::Begins => "Begins",
            Self::Continues => "Continues",
            Self::Ends => "Ends",
        }
    }
}

/// One thing to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What it is about.
    pub kind: Kind,
    /// Which moment of that.
    pub moment: Moment,
    /// `namespace/name` of the migration.
    pub migration: String,
    /// `database.table`.
    pub table: String,
    /// Where the migration stands.
    pub phase: String,
    /// The stable word of the reason; empty when there is none.
    pub reason: String,
    /// What is the matter, in a sentence or two.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// When it was noticed.
    pub at: Timestamp,
}

impl Notice {
    /// How grave it is: the end of an alert as much as its beginning, for whoever heard the one shall
    /// hear the other.
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }

    /// The subject in a few words, for the head of a mail or a line of a digest.
    pub fn title(&self) -> String {
        let moment = match self.moment {
            Moment::Happened | Moment::Begins => "",
            Moment::Continues => " goes on",
            Moment::Ends => " is over",
        };
        format!("{} {}{moment}", self.migration, self.kind.as_str())
    }

    /// Everything in one line.
    pub fn line(&self) -> String {
        format!("{}: {}: {}", self.severity().as_str(), self.title(), self.message)
    }

    /// A notice that tells nothing but that it arrived.
    pub fn test(at: Timestamp) -> Self {
        Self {
            kind: Kind::Test,
            moment: Moment::Happened,
            migration: "test/test".to_owned(),
            table: "test.test".to_owned(),
            phase: "Test".to_owned(),
            reason: String::new(),
            message: "this is a test of ghostship's notifications; nothing has happened".to_owned(),
            since: at,
            at,
        }
    }
}

/// A time as messages show it: UTC, to the second.
pub fn shown(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}
