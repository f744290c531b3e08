//! What a command does to a migration as it stands: a patch, nothing, or a refusal with its reason; and
//! whether the status shows the effect. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::control::{self, CutOverWord, annotation};
use super::hooks::{self, Approvable};
use super::legal::{self, Command, Stage};
use super::migration::SchemaMigration;
use super::ownership::Place;
use super::{names, owner};

/// What comes of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A patch to be merged, and what the user has to know, one sentence each.
    Patch {
        /// The patch.
        patch: Value,
        /// What to know.
        notes: Vec<String>,
    },
    /// It is so already, in words.
    Nothing(String),
    /// It makes no sense now; why, and what does.
    Refuse(String),
}

/// Whether the status shows what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Not yet.
    Pending,
    /// It does.
    Shown,
    /// It never will: something else happened before.
    Missed(String),
}

/// What was done, as kubectl says it.
pub fn done(command: Command) -> &'static str {
    match command {
        Command::Pause => "paused",
        Command::Resume => "resumed",
        Command::Postpone => "cut-over postponed",
        Command::CutOver => "cut-over allowed",
        Command::Panic => "stops by panic",
        Command::Abort => "aborts",
        Command::Retry => "is tried again",
        Command::Approve => "approved",
    }
}

/// What a command does to a migration.
pub fn answer(command: Command, migration: &SchemaMigration, now: Timestamp) -> Answer {
    let stage = Stage::of(migration);
    if let Err(why) = legal::check(command, stage) {
        return Answer::Refuse(why.to_owned());
    }
    if let Some(why) = already(command, migration) {
        return Answer::Nothing(why.to_owned());
    }
    let (patch, places) = patch(command, migration, now);
    let mut notes: Vec<String> =
        places.iter().filter_map(|place| owner::warning(migration, *place)).collect();
    notes.extend(remark(command, stage, migration));
    Answer::Patch { patch, notes }
}

/// The commands that would change something now, in the order in which they are shown.
pub fn possible(migration: &SchemaMigration, now: Timestamp) -> Vec<Command> {
    let changes =
        |command: &Command| matches!(answer(*command, migration, now), Answer::Patch { .. });
    Command::ALL.into_iter().filter(changes).collect()
}

/// Whether the status shows the effect of a command that was given.
pub fn effect(command: Command, migration: &SchemaMigration) -> Effect {
    let stage = Stage::of(migration);
    let shown = match command {
        Command::Pause => shows(migration, "Paused", "True") && is_held(migration),
        Command::Resume => shows(migration, "Paused", "False"),
        Command::Postpone => cut_over_state(migration) == Some("Postponed"),
        Command::CutOver => matches!(stage, Stage::Swapped | Stage::Succeeded),
        Command::Panic => stage == Stage::Panicked,
        Command::Abort => stage == Stage::Aborted,
        Command::Retry => was_retried(migration),
        Command::Approve => control::awaiting_approval(migration).is_none(),
    };
    match (shown, command) {
        (true, _) => Effect::Shown,
        // An end that was there before says nothing about what takes it up again.
        (false, Command::Retry) => Effect::Pending,
        (false, Command::Abort) if matches!(stage, Stage::Failed | Stage::Panicked) => {
            Effect::Pending
        }
        (false, _) if stage.is_end() || stage == Stage::Leaving => {
            let message = migration.status.as_ref().and_then(|status| status.message.clone());
            Effect::Missed(message.unwrap_or_else(|| "it has ended otherwise".to_owned()))
        }
        (false, _) => Effect::Pending,
    }
}

fn already(command: Command, migration: &SchemaMigration) -> Option<&'static str> {
    let spec = &migration.spec;
    match command {
        Command::Pause => (spec.paused == Some(true)).then_some("it is paused already"),
        Command::Resume => (spec.paused != Some(true)).then_some("it is not paused"),
        Command::Panic => (spec.panic == Some(true)).then_some("panic is asked for already"),
        Command::Abort => (spec.abort == Some(true) && !holds_back_abort(migration))
            .then_some("it is asked to abort already"),
        Command::Postpone => (control::cut_over_word(migration) == Some(CutOverWord::Postpone))
            .then_some("its cut-over is postponed already"),
        Command::CutOver if control::is_postponed(migration) => None,
        Command::CutOver => {
            Some("its cut-over is not postponed: it comes by itself when everything is ready")
        }
        Command::Retry => None,
        Command::Approve => control::awaiting_approval(migration)
            .is_none()
            .then_some("no stage waits for an approval now; it can be given once one does"),
    }
}

fn patch(command: Command, migration: &SchemaMigration, now: Timestamp) -> (Value, Vec<Place>) {
    match command {
        Command::Pause => field("paused", true),
        Command::Resume => field("paused", false),
        Command::Panic => field("panic", true),
        Command::Abort => abort(migration),
        Command::Postpone => annotate(names::CUT_OVER, "postpone"),
        Command::CutOver => annotate(names::CUT_OVER, "allow"),
        Command::Retry => retry(migration, now),
        Command::Approve => approve(migration),
    }
}

fn field(name: &'static str, value: bool) -> (Value, Vec<Place>) {
    (json!({"spec": {(name): value}}), vec![Place::Field(name)])
}

fn annotate(name: &'static str, value: &str) -> (Value, Vec<Place>) {
    let patch = json!({"metadata": {"annotations": {(name): value}}});
    (patch, vec![Place::Annotation(name)])
}

/// What was approved before stays approved.
fn approve(migration: &SchemaMigration) -> (Value, Vec<Place>) {
    let mut stages = hooks::approved(migration);
    stages.extend(control::awaiting_approval(migration));
    let names: Vec<&str> = stages.into_iter().map(Approvable::as_str).collect();
    annotate(names::APPROVE, &names.join(","))
}

/// What panic left is cleaned up only when panic is no longer asked for.
fn abort(migration: &SchemaMigration) -> (Value, Vec<Place>) {
    let (mut patch, mut places) = field("abort", true);
    if holds_back_abort(migration) {
        patch["spec"]["panic"] = json!(false);
        places.push(Place::Field("panic"));
    }
    (patch, places)
}

fn holds_back_abort(migration: &SchemaMigration) -> bool {
    migration.spec.panic == Some(true) && Stage::of(migration).is_end()
}

/// The wishes that ended the former attempt are taken back, or the next one would end at once.
fn retry(migration: &SchemaMigration, now: Timestamp) -> (Value, Vec<Place>) {
    let (mut patch, mut places) = annotate(names::RETRY, &now.to_string());
    let spec = &migration.spec;
    for (field, set) in [("panic", spec.panic), ("abort", spec.abort)] {
        if set == Some(true) {
            patch["spec"][field] = json!(false);
            places.push(Place::Field(field));
        }
    }
    (patch, places)
}

fn remark(command: Command, stage: Stage, migration: &SchemaMigration) -> Option<String> {
    let text = match (command, stage) {
        (_, Stage::Rejected) => "it is rejected as it is; this counts once it is accepted",
        (Command::CutOver, _) if migration.spec.paused == Some(true) => {
            "it is paused: nothing is swapped before it is resumed"
        }
        (Command::CutOver, _) if legal::awaited(migration) != Some(Command::CutOver) => {
            "it is not ready yet; the tables are swapped as soon as everything is copied and verified"
        }
        (Command::Abort | Command::Panic, Stage::Retrying) => {
            "no worker runs now; this counts at the latest when the next attempt begins"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// Whether a condition that is about the present spec has this value.
fn shows(migration: &SchemaMigration, condition: &str, value: &str) -> bool {
    let Some(status) = &migration.status else {
        return false;
    };
    let is_current = status.observed_generation >= migration.metadata.generation;
    is_current && status.conditions.iter().any(|one| one.type_ == condition && one.status == value)
}

/// Whether no worker copies or verifies any more: none is there, or it says that it waits.
fn is_held(migration: &SchemaMigration) -> bool {
    let Some(status) = &migration.status else {
        return true;
    };
    let report = status.report.as_ref().filter(|report| Some(report.attempt) == status.attempt);
    report.is_none_or(|report| {
        let works = matches!(report.phase.as_str(), "RowCopy" | "Verify");
        !works || report.waiting_for.is_some() || report.ending.is_some()
    })
}

fn cut_over_state(migration: &SchemaMigration) -> Option<&str> {
    Some(migration.status.as_ref()?.cut_over.as_ref()?.state.as_str())
}

fn was_retried(migration: &SchemaMigration) -> bool {
    let asked = annotation(migration, names::RETRY);
    let done = migration.status.as_ref().and_then(|status| status.retried.as_deref());
    asked.is_some() && asked == done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples::{copying, copying_with, merge, migration, now};

    fn ended(phase: &str) -> Value {
        json!({"status": {"phase": phase, "completedAt": "2026-01-01T02:00:00Z",
            "message": "how it ended"}})
    }

    #[test]
    fn every_command_writes_what_the_api_says() {
        let allow = json!({"metadata": {"annotations": {"ghostship.dev/cut-over": "allow"}}});
        let postpone = json!({"metadata": {"annotations": {"ghostship.dev/cut-over": "postpone"}}});
        let retry =
            json!({"metadata": {"annotations": {"ghostship.dev/retry": "2026-01-01T02:30:00Z"}}});
        let mut again = retry.clone();
        merge(&mut again, &json!({"spec": {"panic": false}}));
        let mut panicked = ended("Panicked");
        merge(&mut panicked, &json!({"spec": {"panic": true}}));
        let rows = [
            (Command::Pause, copying(), json!({"spec": {"paused": true}})),
            (
                Command::Resume,
                json!({"spec": {"paused": true}}),
                json!({"spec": {"paused": false}}),
            ),
            (Command::Panic, copying(), json!({"spec": {"panic": true}})),
            (Command::Abort, copying(), json!({"spec": {"abort": true}})),
            (Command::Postpone, copying(), postpone),
            (Command::CutOver, json!({"spec": {"postponeCutOver": true}}), allow),
            (Command::Retry, ended("Failed"), retry),
            (Command::Abort, ended("Failed"), json!({"spec": {"abort": true}})),
            (Command::Abort, panicked.clone(), json!({"spec": {"abort": true, "panic": false}})),
            (Command::Retry, panicked, again),
        ];
        for (command, changes, expected) in rows {
            match answer(command, &migration(&changes), now()) {
                Answer::Patch { patch, .. } => assert_eq!(patch, expected, "{command:?}"),
                other => panic!("{command:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_so_already_is_not_written_again() {
        let word = |word: &str| {
            json!({"metadata": {"annotations": {"ghostship.dev/cut-over": word}},
                "spec": {"postponeCutOver": true}})
        };
        let rows = [
            (Command::Pause, json!({"spec": {"paused": true}})),
            (Command::Resume, json!({"spec": {"paused": false}})),
            (Command::Resume, json!({})),
            (Command::Panic, json!({"spec": {"panic": true}})),
            (Command::Abort, json!({"spec": {"abort": true}})),
            (Command::Postpone, word("postpone")),
            (Command::CutOver, word("allow")),
            (Command::CutOver, json!({})),
        ];
        for (command, changes) in rows {
            let answer = answer(command, &migration(&changes), now());
            assert!(matches!(answer, Answer::Nothing(_)), "{command:?} {changes}: {answer:?}");
        }
    }

    #[test]
    fn senseless_commands_are_refused_in_the_words_of_the_table() {
        let succeeded = migration(&ended("Succeeded"));
        for command in Command::ALL {
            let why = legal::check(command, Stage::Succeeded).unwrap_err();
            assert_eq!(answer(command, &succeeded, now()), Answer::Refuse(why.to_owned()));
        }
    }

    #[test]
    fn only_commands_that_change_something_are_offered() {
        let word = json!({"metadata": {"annotations": {"ghostship.dev/cut-over": "postpone"}}});
        let rows: [(Value, &[Command]); 5] = [
            (copying(), &[Command::Pause, Command::Postpone, Command::Panic, Command::Abort]),
            (
                json!({"spec": {"paused": true}}),
                &[Command::Resume, Command::Postpone, Command::Panic, Command::Abort],
            ),
            (word, &[Command::Pause, Command::CutOver, Command::Panic, Command::Abort]),
            (ended("Failed"), &[Command::Abort, Command::Retry]),
            (ended("Aborted"), &[Command::Retry]),
        ];
        for (changes, expected) in rows {
            assert_eq!(possible(&migration(&changes), now()), expected, "{changes}");
        }
    }

    #[test]
    fn the_user_learns_what_else_has_to_be_known() {
        let owned = json!({"manager": "argocd-controller", "operation": "Apply",
            "fieldsV1": {"f:spec": {"f:paused": {}}}});
        let rows = [
            (Command::Pause, json!({"metadata": {"managedFields": [owned]}}), "argocd-controller"),
            (Command::CutOver, json!({"spec": {"postponeCutOver": true}}), "not ready yet"),
            (
                Command::CutOver,
                json!({"spec": {"postponeCutOver": true, "paused": true}}),
                "resumed",
            ),
            (Command::Abort, json!({"status": {"phase": "Retrying"}}), "no worker runs"),
            (Command::Pause, json!({"status": {"phase": "Failed"}}), "rejected"),
        ];
        for (command, changes, expected) in rows {
            let Answer::Patch { notes, .. } = answer(command, &migration(&changes), now()) else {
                panic!("{command:?}");
            };
            assert!(notes.iter().any(|note| note.contains(expected)), "{command:?}: {notes:?}");
        }
    }

    #[test]
    fn an_effect_is_shown_by_a_status_that_is_about_it() {
        let paused = |observed: i64, value: &str| {
            json!({"status": {"observedGeneration": observed, "conditions": [{"type": "Paused",
                "status": value, "reason": "Paused", "message": "",
                "lastTransitionTime": "2026-01-01T02:00:00Z"}]}})
        };
        let mut still = copying();
        merge(&mut still, &paused(3, "True"));
        let mut held = still.clone();
        merge(&mut held, &json!({"status": {"report": {"waitingFor": "paused"}}}));
        let retry = |done: &str| {
            json!({"metadata": {"annotations": {"ghostship.dev/retry": "two"}},
                "status": {"phase": "Failed", "completedAt": "2026-01-01T02:00:00Z", "retried": done}})
        };
        let state =
            |state: &str| json!({"status": {"phase": "RowCopy", "cutOver": {"state": state}}});
        let rows = [
            (Command::Pause, paused(3, "True"), Effect::Shown),
            (Command::Pause, paused(2, "True"), Effect::Pending),
            (Command::Pause, still, Effect::Pending),
            (Command::Pause, held, Effect::Shown),
            (Command::Pause, ended("Succeeded"), Effect::Missed("how it ended".into())),
            (Command::Resume, paused(3, "False"), Effect::Shown),
            (Command::Resume, paused(3, "True"), Effect::Pending),
            (Command::Postpone, state("Postponed"), Effect::Shown),
            (Command::Postpone, state("Allowed"), Effect::Pending),
            (Command::CutOver, state("Allowed"), Effect::Pending),
            (Command::CutOver, json!({"status": {"phase": "CleanUp"}}), Effect::Shown),
            (Command::CutOver, ended("Succeeded"), Effect::Shown),
            (Command::CutOver, ended("Failed"), Effect::Missed("how it ended".into())),
            (Command::Panic, ended("Panicked"), Effect::Shown),
            (Command::Panic, ended("Succeeded"), Effect::Missed("how it ended".into())),
            (Command::Abort, ended("Aborted"), Effect::Shown),
            (Command::Abort, ended("Failed"), Effect::Pending),
            (Command::Abort, ended("Succeeded"), Effect::Missed("how it ended".into())),
            (Command::Retry, retry("one"), Effect::Pending),
            (Command::Retry, retry("two"), Effect::Shown),
        ];
        for (command, changes, expected) in rows {
            assert_eq!(effect(command, &migration(&changes)), expected, "{command:?} {changes}");
        }
        let panicking = copying_with(&json!({"spec": {"panic": true}}));
        assert_eq!(effect(Command::Panic, &panicking), Effect::Pending);
    }
}
