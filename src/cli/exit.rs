//! Exit codes: how the end of a command becomes a number that scripts may rely on. The table is also
//! in `ghostship run --help`.

use std::process::ExitCode;

use crate::api::legal::{self, Stage};
use crate::api::migration::SchemaMigration;
use crate::engine::Failure;
use crate::engine::outcome::Outcome;
use crate::engine::phase::PhaseKind;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything is as asked.
    Done,
    /// It failed after it had begun to change something.
    Failed,
    /// Wrong usage or an invalid manifest.
    Usage,
    /// Refused before anything was changed.
    Refused,
    /// Left on request, to be continued.
    Left,
    /// Aborted on request.
    Aborted,
    /// Stopped by panic.
    Panicked,
    /// A migration in a cluster is under way.
    Running,
    /// A migration in a cluster waits for a human.
    Awaiting,
    /// The time for waiting is over.
    TimedOut,
    /// A cluster could not be asked, or does not know the migration.
    Unanswered,
    /// A run was ended at once by a second signal, or a look at a cluster by the first.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Left => 4,
            Self::Aborted => 5,
            Self::Panicked => 6,
            Self::Running => 7,
            Self::Awaiting => 8,
            Self::TimedOut => 9,
            Self::Unanswered => 10,
            Self::Interrupted => 130,
        }
    }

    /// The end of a run that has an outcome.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed(_) | Outcome::AlreadyApplied { .. } => Self::Done,
            Outcome::Left => Self::Left,
            Outcome::Aborted => Self::Aborted,
            Outcome::Panicked => Self::Panicked,
        }
    }

    /// How a migration in a cluster stands.
    pub fn of_migration(migration: &SchemaMigration) -> Self {
        let stage = Stage::of(migration);
        if stage.is_end() && !legal::is_over(migration) {
            return Self::Running;
        }
        match stage {
            Stage::Succeeded => Self::Done,
            Stage::Aborted => Self::Aborted,
            Stage::Panicked => Self::Panicked,
            Stage::Rejected | Stage::Refused => Self::Refused,
            Stage::Failed => Self::Failed,
            Stage::Waiting | Stage::Working | Stage::Retrying | Stage::Swapped | Stage::Leaving => {
                legal::awaited(migration).map_or(Self::Running, |_| Self::Awaiting)
            }
        }
    }

    /// The end of a run that failed in a phase.
    pub fn of_failure(failure: &Failure, phase: PhaseKind) -> Self {
        if failure.refused || phase == PhaseKind::Preflight { Self::Refused } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::samples::migration;
    use crate::engine::reason::Reason;

    fn failure(reason: Reason, refused: bool) -> Failure {
        let (message, remedy, kept) = (String::new(), String::new(), String::new());
        Failure { reason, message, remedy, kept, refused, others: Vec::new() }
    }

    #[test]
    fn outcomes_have_their_documented_codes() {
        let finished_at = String::new();
        let cases = [
            (Outcome::Completed(Default::default()), 0),
            (Outcome::AlreadyApplied { finished_at }, 0),
            (Outcome::Left, 4),
            (Outcome::Aborted, 5),
            (Outcome::Panicked, 6),
        ];
        for (outcome, code) in cases {
            assert_eq!(Exit::of_outcome(&outcome).code(), code, "{outcome:?}");
        }
        assert_eq!((Exit::Usage.code(), Exit::Interrupted.code()), (2, 130));
    }

    #[test]
    fn failures_have_their_documented_codes() {
        let cases = [
            (Reason::ForeignKeys, true, PhaseKind::Preflight, 3),
            (Reason::AuthFailed, false, PhaseKind::Preflight, 3),
            (Reason::AlterRejected, true, PhaseKind::Prepare, 3),
            (Reason::DuplicateKey, false, PhaseKind::RowCopy, 1),
        ];
        for (reason, refused, phase, code) in cases {
            let exit = Exit::of_failure(&failure(reason, refused), phase);
            assert_eq!(exit.code(), code, "{reason}");
        }
    }

    #[test]
    fn migrations_have_their_documented_codes() {
        let at = "2026-01-01T00:00:00Z";
        let refused = json!({"attempt": 1, "ending": {"outcome": "Refused"}});
        let ready = json!({"attempt": 1, "phase": "AwaitCutOver"});
        let rows = [
            (json!({}), json!({}), 7),
            (json!({}), json!({"phase": "RowCopy"}), 7),
            (json!({}), json!({"phase": "Retrying"}), 7),
            (json!({"paused": true}), json!({"phase": "RowCopy"}), 8),
            (
                json!({"postponeCutOver": true}),
                json!({"phase": "AwaitCutOver", "attempt": 1, "report": ready}),
                8,
            ),
            (json!({}), json!({"phase": "Succeeded", "completedAt": at}), 0),
            (json!({}), json!({"phase": "Failed", "completedAt": at}), 1),
            (json!({}), json!({"phase": "Failed", "completedAt": at, "report": refused}), 3),
            (json!({}), json!({"phase": "Failed"}), 3),
            (json!({"abort": true}), json!({"phase": "Failed", "completedAt": at}), 7),
            (json!({}), json!({"phase": "Aborted", "completedAt": at}), 5),
            (json!({}), json!({"phase": "Panicked", "completedAt": at}), 6),
        ];
        for (spec, status, code) in rows {
            let migration = migration(&json!({"spec": spec, "status": status}));
            assert_eq!(Exit::of_migration(&migration).code(), code, "{spec} {status}");
        }
    }
}
