//! Which command makes sense for a migration as it stands, and what lets a waiting one go on. The user's
//! verbs refuse by this table; the controller may warn by it. Pure.

use super::control;
use super::migration::SchemaMigration;
use super::names;
use super::status::{EndingKind, SchemaMigrationStatus};

/// What a user may ask of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Hold the copy and the cut-over.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Let the cut-over wait, whatever was allowed before.
    Postpone,
    /// Allow the cut-over.
    CutOver,
    /// Stop at once and keep everything.
    Panic,
    /// Stop and drop what was created.
    Abort,
    /// Another attempt.
    Retry,
    /// Let the stage pass that waits for a person.
    Approve,
}

/// Where a migration stands, as far as commands depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has begun to work on it.
    Waiting,
    /// A worker works on it; the tables are not swapped.
    Working,
    /// An attempt ended early, the next one follows by itself.
    Retrying,
    /// The tables are swapped; the rest is cleaning up.
    Swapped,
    /// It cannot be run as it is written, or as its target is.
    Rejected,
    /// It has ended: the table has its new definition.
    Succeeded,
    /// It has ended on request and was cleaned up.
    Aborted,
    /// It has ended by panic; everything is kept.
    Panicked,
    /// It has ended with a failure; what was created may be left.
    Failed,
    /// It has ended with a refusal, before anything was changed.
    Refused,
    /// The resource is being deleted.
    Leaving,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pause,
        Self::Resume,
        Self::Postpone,
        Self::CutOver,
        Self::Panic,
        Self::Abort,
        Self::Retry,
        Self::Approve,
    ];

    /// The verb, as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Postpone => "postpone",
            Self::CutOver => "cut-over",
            Self::Panic => "panic",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Approve => "approve",
        }
    }
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::Working,
        Self::Retrying,
        Self::Swapped,
        Self::Rejected,
        Self::Succeeded,
        Self::Aborted,
        Self::Panicked,
        Self::Failed,
        Self::Refused,
        Self::Leaving,
    ];

    /// Where a migration stands. What its worker reports counts before what the controller shows: it is
    /// newer, and is there when no controller is.
    pub fn of(migration: &SchemaMigration) -> Self {
        if migration.metadata.deletion_timestamp.is_some() {
            return Self::Leaving;
        }
        let Some(status) = &migration.status else {
            return Self::Waiting;
        };
        match (status.phase.as_deref().unwrap_or_default(), &status.completed_at) {
            ("Succeeded", _) => Self::Succeeded,
            ("Aborted", _) => Self::Aborted,
            ("Panicked", _) => Self::Panicked,
            ("Failed", Some(_)) if was_refused(status) => Self::Refused,
            ("Failed", Some(_)) => Self::Failed,
            ("Failed", None) => Self::Rejected,
            ("Terminating", _) => Self::Leaving,
            ("Retrying", _) => Self::Retrying,
            (phase, _) => Self::of_worker(phase, status),
        }
    }

    fn of_worker(phase: &str, status: &SchemaMigrationStatus) -> Self {
        let report = status.report.as_ref().filter(|it| Some(it.attempt) == status.attempt);
        match report.map_or(phase, |report| report.phase.as_str()) {
            "" | "Pending" | "Queued" | "Starting" => Self::Waiting,
            "CleanUp" => Self::Swapped,
            _ => Self::Working,
        }
    }

    /// Whether it has ended: nothing happens any more by itself.
    pub fn is_end(self) -> bool {
        match self {
            Self::Succeeded | Self::Aborted | Self::Panicked | Self::Failed | Self::Refused => true,
            Self::Waiting
            | Self::Working
            | Self::Retrying
            | Self::Swapped
            | Self::Rejected
            | Self::Leaving => false,
        }
    }
}

/// Whether a command makes sense.
///
/// | stage | pause, resume, postpone, cut-over, approve, abort | panic | retry |
/// |---|---|---|---|
/// | waiting, working | yes | yes | no |
/// | rejected | yes, for later | yes | no |
/// | retrying | yes | yes | yes, the pause ends |
/// | swapped | no | yes, it stops cleaning up | no |
/// | succeeded, leaving | no | no | no |
/// | panicked, failed | abort only: it drops what is left | no | yes |
/// | aborted, refused | no | no | yes |
///
/// # Errors
///
/// A sentence that says why not, and what does instead.
pub fn check(command: Command, stage: Stage) -> Result<(), &'static str> {
    match (stage, command) {
        (Stage::Leaving, _) => Err("it is being deleted, which cleans up what it left; the \
                                    annotation ghostship.dev/abandon=true lets it go without that"),
        (Stage::Succeeded, _) => Err("it has succeeded: the table has its new definition"),
        (Stage::Swapped, Command::Retry) | (Stage::Waiting | Stage::Working, Command::Retry) => {
            Err("it has not ended: there is nothing to try again")
        }
        (Stage::Rejected, Command::Retry) => Err(
            "it was rejected and never begun: correct it or its target, and it begins by itself",
        ),
        (Stage::Swapped, Command::Panic) => Ok(()),
        (Stage::Swapped, _) => Err("the tables are swapped: it is too late for that"),
        (Stage::Panicked | Stage::Failed, Command::Abort | Command::Retry)
        | (Stage::Aborted | Stage::Refused, Command::Retry) => Ok(()),
        (Stage::Aborted | Stage::Refused, Command::Abort) => {
            Err("it has ended and left nothing on the server that an abort could drop")
        }
        (Stage::Aborted | Stage::Refused | Stage::Panicked | Stage::Failed, _) => {
            Err("it has ended and nothing runs; retry begins another attempt")
        }
        (Stage::Waiting | Stage::Working | Stage::Retrying | Stage::Rejected, _) => Ok(()),
    }
}

/// Whether a migration has ended and nothing is asked for that makes the controller take it up again.
pub fn is_over(migration: &SchemaMigration) -> bool {
    let stage = Stage::of(migration);
    let spec = &migration.spec;
    let retried = migration.status.as_ref().and_then(|status| status.retried.as_deref());
    let retries =
        control::annotation(migration, names::RETRY).is_some_and(|token| retried != Some(token));
    let aborts = spec.abort == Some(true) && spec.panic != Some(true);
    match stage {
        Stage::Succeeded => true,
        Stage::Aborted | Stage::Refused => !retries,
        Stage::Panicked | Stage::Failed => !retries && !aborts,
        Stage::Waiting
        | Stage::Working
        | Stage::Retrying
        | Stage::Swapped
        | Stage::Rejected
        | Stage::Leaving => false,
    }
}

/// What is asked for and has no effect any more, or not yet, in a sentence; `None` when all is heard.
pub fn ignored(migration: &SchemaMigration) -> Option<String> {
    let (stage, spec) = (Stage::of(migration), &migration.spec);
    let asked = [
        (spec.paused == Some(true), Command::Pause, "spec.paused"),
        (spec.panic == Some(true) && stage != Stage::Panicked, Command::Panic, "spec.panic"),
        (spec.abort == Some(true) && stage != Stage::Aborted, Command::Abort, "spec.abort"),
    ];
    let answers = asked.into_iter().filter(|(is_asked, ..)| *is_asked && stage != Stage::Leaving);
    let refused = answers.filter_map(|(_, command, field)| {
        let why = check(command, stage).err()?;
        Some(format!("{field} has no effect: {why}"))
    });
    let all: Vec<String> = refused.collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The command that a human is waited for with; `None` when it goes on by itself, or has ended.
pub fn awaited(migration: &SchemaMigration) -> Option<Command> {
    let stage = Stage::of(migration);
    if matches!(stage, Stage::Swapped | Stage::Leaving | Stage::Rejected) || stage.is_end() {
        return None;
    }
    if migration.spec.paused == Some(true) {
        return Some(Command::Resume);
    }
    if stage == Stage::Working && control::awaiting_approval(migration).is_some() {
        return Some(Command::Approve);
    }
    let report = migration.status.as_ref().and_then(|status| status.report.as_ref());
    let is_ready = report.is_some_and(|report| report.phase == "AwaitCutOver");
    (stage == Stage::Working && is_ready && control::is_postponed(migration))
        .then_some(Command::CutOver)
}

fn was_refused(status: &SchemaMigrationStatus) -> bool {
    let reported = status.report.as_ref().and_then(|report| report.ending.as_ref());
    status.ending.as_ref().or(reported).is_some_and(|ending| ending.outcome == EndingKind::Refused)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn migration(metadata: Value, spec: Value, status: Value) -> SchemaMigration {
        let mut document = json!({
            "apiVersion": "ghostship.dev/v1alpha1",
            "kind": "SchemaMigration",
            "metadata": {"name": "one", "namespace": "shop"},
            "spec": {"target": "db", "database": "shop", "table": "t", "alter": "ENGINE=InnoDB"},
            "status": status,
        });
        for (part, changes) in [("metadata", metadata), ("spec", spec)] {
            for (name, value) in changes.as_object().unwrap() {
                document[part][name] = value.clone();
            }
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn every_phase_has_its_stage() {
        let at = "2026-01-01T00:00:00Z";
        let rows = [
            (json!({}), Stage::Waiting),
            (json!({"observedGeneration": -1}), Stage::Waiting),
            (json!({"phase": "Pending"}), Stage::Waiting),
            (json!({"phase": "Queued"}), Stage::Waiting),
            (json!({"phase": "Starting", "attempt": 1}), Stage::Waiting),
            (json!({"phase": "Preflight"}), Stage::Working),
            (json!({"phase": "Prepare"}), Stage::Working),
            (json!({"phase": "RowCopy"}), Stage::Working),
            (json!({"phase": "CatchUp"}), Stage::Working),
            (json!({"phase": "Verify"}), Stage::Working),
            (json!({"phase": "AwaitCutOver"}), Stage::Working),
            (json!({"phase": "CutOver"}), Stage::Working),
            (json!({"phase": "CleanUp"}), Stage::Swapped),
            (json!({"phase": "Retrying"}), Stage::Retrying),
            (json!({"phase": "Failed"}), Stage::Rejected),
            (json!({"phase": "Failed", "completedAt": at}), Stage::Failed),
            (
                json!({"phase": "Failed", "completedAt": at,
                    "report": {"ending": {"outcome": "Refused"}}}),
                Stage::Refused,
            ),
            (
                json!({"phase": "Failed", "completedAt": at, "ending": {"outcome": "Refused"}}),
                Stage::Refused,
            ),
            (json!({"phase": "Succeeded", "completedAt": at}), Stage::Succeeded),
            (json!({"phase": "Aborted", "completedAt": at}), Stage::Aborted),
            (json!({"phase": "Panicked", "completedAt": at}), Stage::Panicked),
            (json!({"phase": "Terminating"}), Stage::Leaving),
            // The worker is ahead of the controller; a report of an earlier attempt says nothing.
            (
                json!({"phase": "CutOver", "attempt": 1, "report": {"attempt": 1, "phase": "CleanUp"}}),
                Stage::Swapped,
            ),
            (
                json!({"phase": "Starting", "attempt": 1, "report": {"attempt": 1, "phase": "RowCopy"}}),
                Stage::Working,
            ),
            (
                json!({"phase": "Starting", "attempt": 2, "report": {"attempt": 1, "phase": "RowCopy"}}),
                Stage::Waiting,
            ),
        ];
        for (status, stage) in rows {
            let migration = migration(json!({}), json!({}), status.clone());
            assert_eq!(Stage::of(&migration), stage, "{status}");
        }
        let metadata = json!({"deletionTimestamp": at, "finalizers": ["ghostship.dev/clean-up"]});
        let migration = migration(metadata, json!({}), json!({"phase": "RowCopy"}));
        assert_eq!(Stage::of(&migration), Stage::Leaving);
    }

    /// One line per stage; `+` is legal, in the order of `Command::ALL`.
    #[test]
    fn every_command_has_its_answer_in_every_stage() {
        let rows = [
            (Stage::Waiting, "++++++-+"),
            (Stage::Working, "++++++-+"),
            (Stage::Retrying, "++++++++"),
            (Stage::Swapped, "----+---"),
            (Stage::Rejected, "++++++-+"),
            (Stage::Succeeded, "--------"),
            (Stage::Aborted, "------+-"),
            (Stage::Panicked, "-----++-"),
            (Stage::Failed, "-----++-"),
            (Stage::Refused, "------+-"),
            (Stage::Leaving, "--------"),
        ];
        assert_eq!(rows.map(|(stage, _)| stage), Stage::ALL);
        for (stage, expected) in rows {
            let found = Command::ALL.map(|it| if check(it, stage).is_ok() { '+' } else { '-' });
            assert_eq!(found.iter().collect::<String>(), expected, "{stage:?}");
        }
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let done = json!({"phase": "Succeeded", "completedAt": "2026-01-01T00:00:00Z"});
        let panicked = json!({"phase": "Panicked", "completedAt": "2026-01-01T00:00:00Z"});
        let rows = [
            (
                json!({"abort": true}),
                done.clone(),
                Some("spec.abort has no effect: it has succeeded"),
            ),
            (json!({"postponeCutOver": true}), done, None),
            (json!({"abort": true}), json!({"phase": "RowCopy"}), None),
            (json!({"abort": true}), json!({"phase": "CleanUp"}), Some("too late")),
            (json!({"panic": true}), panicked.clone(), None),
            (json!({"paused": true}), panicked, Some("retry begins another")),
        ];
        for (spec, status, expected) in rows {
            let found = ignored(&migration(json!({}), spec.clone(), status.clone()));
            match expected {
                None => assert_eq!(found, None, "{spec} {status}"),
                Some(words) => {
                    let found = found.unwrap_or_default();
                    assert!(found.contains(words), "{spec} {status}: {found}");
                }
            }
        }
    }

    #[test]
    fn refusals_are_whole_sentences() {
        for (stage, command) in
            Stage::ALL.into_iter().flat_map(|stage| Command::ALL.map(|command| (stage, command)))
        {
            if let Err(why) = check(command, stage) {
                assert!(why.len() > 20 && !why.contains("  "), "{command:?} {stage:?}: {why}");
            }
        }
    }

    #[test]
    fn a_human_is_waited_for_when_only_a_command_helps() {
        let ready = json!({"phase": "AwaitCutOver", "attempt": 1,
            "report": {"attempt": 1, "phase": "AwaitCutOver"}});
        let ended = json!({"phase": "Aborted", "completedAt": "2026-01-01T00:00:00Z"});
        let postponed = json!({"postponeCutOver": true});
        let rows = [
            (json!({}), json!({"phase": "RowCopy"}), None),
            (json!({"paused": true}), json!({"phase": "RowCopy"}), Some(Command::Resume)),
            (json!({"paused": true}), json!({}), Some(Command::Resume)),
            (json!({"paused": true}), ended, None),
            (json!({"paused": true}), json!({"phase": "CleanUp"}), None),
            (postponed.clone(), ready.clone(), Some(Command::CutOver)),
            (postponed, json!({"phase": "RowCopy"}), None),
            (json!({}), ready, None),
        ];
        for (spec, status, expected) in rows {
            let migration = migration(json!({}), spec.clone(), status.clone());
            assert_eq!(awaited(&migration), expected, "{spec} {status}");
        }
    }

    #[test]
    fn an_end_is_none_while_it_is_about_to_be_taken_up_again() {
        let ended = |phase: &str, retried: Option<&str>| json!({"phase": phase, "completedAt": "2026-01-01T00:00:00Z", "retried": retried});
        let token = json!({"annotations": {"ghostship.dev/retry": "two"}});
        let abort = json!({"abort": true});
        let rows = [
            (json!({}), json!({}), ended("Failed", None), true),
            (token.clone(), json!({}), ended("Failed", Some("one")), false),
            (token.clone(), json!({}), ended("Failed", Some("two")), true),
            (token.clone(), json!({}), ended("Succeeded", None), true),
            (token, json!({}), ended("Aborted", None), false),
            (json!({}), abort.clone(), ended("Panicked", None), false),
            (json!({}), json!({"abort": true, "panic": true}), ended("Panicked", None), true),
            (json!({}), abort, ended("Aborted", None), true),
            (json!({}), json!({}), json!({"phase": "RowCopy"}), false),
        ];
        for (metadata, spec, status, over) in rows {
            let migration = migration(metadata.clone(), spec.clone(), status.clone());
            assert_eq!(is_over(&migration), over, "{metadata} {spec} {status}");
        }
    }
}
