//! The durable stages of a migration. Following the binlog is not one of them: it is a task that
//! lives from the first position to the swap.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stage. The control table holds the stage from `RowCopy` on; before it, a restart begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PhaseKind {
    /// Reading and refusing; nothing is changed. A restart runs it again.
    Preflight,
    /// Shadow and control table are created. A restart drops what we own and runs it again.
    Prepare,
    /// Ranges flow into the shadow table. A restart goes on behind the finished ranges.
    RowCopy,
    /// All ranges are copied; the backlog is drained. A restart goes on.
    CatchUp,
    /// Every row of both tables is compared. A restart goes on behind the verified ranges.
    Verify,
    /// Ready; waits for permission and a quiet moment. A restart goes on.
    AwaitCutOver,
    /// An attempt to swap has begun. A restart looks which table bears the name before anything.
    CutOver,
    /// The swap happened; helpers are dropped and the ledger is written. A restart goes on.
    CleanUp,
}

impl PhaseKind {
    /// All stages in order.
    pub const ALL: [Self; 8] = [
        Self::Preflight,
        Self::Prepare,
        Self::RowCopy,
        Self::CatchUp,
        Self::Verify,
        Self::AwaitCutOver,
        Self::CutOver,
        Self::CleanUp,
    ];

    /// Stages that may follow.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Preflight => &[Self::Prepare],
            Self::Prepare => &[Self::RowCopy],
            Self::RowCopy => &[Self::CatchUp],
            Self::CatchUp => &[Self::Verify, Self::AwaitCutOver],
            Self::Verify => &[Self::AwaitCutOver],
            Self::AwaitCutOver => &[Self::CutOver],
            Self::CutOver => &[Self::AwaitCutOver, Self::CleanUp],
            Self::CleanUp => &[],
        }
    }

    /// Whether the swap may already have happened when this stage is found stored.
    pub fn swap_may_have_happened(self) -> bool {
        match self {
            Self::CutOver | Self::CleanUp => true,
            Self::Preflight
            | Self::Prepare
            | Self::RowCopy
            | Self::CatchUp
            | Self::Verify
            | Self::AwaitCutOver => false,
        }
    }

    /// Whether keys written in this stage have to be compared once more.
    pub fn compares_written_keys(self) -> bool {
        match self {
            Self::Verify | Self::AwaitCutOver | Self::CutOver => true,
            Self::Preflight | Self::Prepare | Self::RowCopy | Self::CatchUp | Self::CleanUp => {
                false
            }
        }
    }

    /// The name shown to people and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "Preflight",
            Self::Prepare => "Prepare",
            Self::RowCopy => "RowCopy",
            Self::CatchUp => "CatchUp",
            Self::Verify => "Verify",
            Self::AwaitCutOver => "AwaitCutOver",
            Self::CutOver => "CutOver",
            Self::CleanUp => "CleanUp",
        }
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_but_the_first_is_reachable_and_stored_under_its_name() {
        for stage in PhaseKind::ALL {
            let reachable = PhaseKind::ALL.iter().any(|from| from.next().contains(&stage));
            assert_eq!(reachable, stage != PhaseKind::Preflight, "{stage}");
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{stage}\""));
        }
    }
}
