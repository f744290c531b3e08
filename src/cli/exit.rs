//! Exit codes: how the end of a command becomes a number that scripts may rely on. The table is also
//! in `ghostship run --help`.

use std::process::ExitCode;

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
    /// Ended at once by a second signal.
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
    use super::*;
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
}
