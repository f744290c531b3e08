//! What a verb does to a migration as it stands: a patch, nothing, or a refusal with its reason. Pure; the
//! table of legal commands is tested row by row.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::control::{self, CutOverWord, annotation};
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::status::EndingKind;
use crate::cli::exit::Exit;

/// The verbs that change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Hold the copy.
    Pause,
    /// Go on.
    Resume,
    /// Let the cut-over wait, whatever was allowed before.
    Postpone,
    /// Allow the cut-over.
    CutOver,
    /// Stop at once and keep everything.
    Panic,
    /// Stop and drop what was created.
    Abort,
    /// Another attempt after a failure or a panic.
    Retry,
}

/// What comes of a verb.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A patch to be merged, and what the user has to know.
    Patch {
        /// The patch.
        patch: Value,
        /// One sentence each.
        notes: Vec<String>,
    },
    /// It is so already.
    Nothing {
        /// In words.
        why: String,
    },
    /// It makes no sense now.
    Refuse {
        /// Why, and what does.
        why: String,
    },
}

impl Verb {
    /// What was done, as kubectl says it.
    pub fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Postpone => "postponed",
            Self::CutOver => "may cut over",
            Self::Panic => "stops by panic",
            Self::Abort => "aborts",
            Self::Retry => "is tried again",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Pause | Self::Resume => "paused",
            Self::Postpone => "postponeCutOver",
            Self::Panic => "panic",
            Self::Abort => "abort",
            Self::CutOver | Self::Retry => "",
        }
    }
}

/// What a verb does to a migration.
///
/// | verb | running | ended well | ended badly |
/// |---|---|---|---|
/// | pause, resume | patch | refuse | refuse |
/// | postpone, cut-over | patch | refuse | refuse |
/// | panic, abort | patch | refuse | refuse |
/// | retry | refuse | refuse | patch |
pub fn answer(verb: Verb, migration: &SchemaMigration, now: Timestamp) -> Answer {
    let ended = ending(migration);
    match (verb, ended) {
        (Verb::Retry, Some(EndingKind::Completed | EndingKind::AlreadyApplied)) => {
            refuse("the table has its new definition: there is nothing to try again")
        }
        (Verb::Retry, None) => refuse("it has not ended: there is nothing to try again"),
        (Verb::Retry, Some(_)) => retry(migration, now),
        (_, Some(EndingKind::Completed | EndingKind::AlreadyApplied)) => {
            refuse("the tables are swapped: it is too late for that")
        }
        (_, Some(_)) => refuse("it has ended; `retry` begins another attempt"),
        (Verb::CutOver, None) if !control::is_postponed(migration) => Answer::Nothing {
            why: "the cut-over is not postponed: it comes by itself when everything is ready".into(),
        },
        (verb, None) => patch(verb, migration),
    }
}

/// The exit code of a migration that has ended; `None` while it runs.
pub fn end_of(migration: &SchemaMigration) -> Option<Exit> {
    ending(migration).map(|ending| match ending {
        EndingKind::Completed | EndingKind::AlreadyApplied => Exit::Done,
        EndingKind::Aborted => Exit::Aborted,
        EndingKind::Panicked => Exit::Panicked,
        EndingKind::Refused => Exit::Refused,
        EndingKind::Left | EndingKind::Superseded | EndingKind::Failed => Exit::Failed,
    })
}

/// How it ended, if the controller has settled it.
fn ending(migration: &SchemaMigration) -> Option<EndingKind> {
    let status = migration.status.as_ref()?;
    status.completed_at.as_ref()?;
    let reported = status.report.as_ref().and_then(|report| report.ending.as_ref());
    Some(match (reported, &status.panicked) {
        (_, Some(_)) => EndingKind::Panicked,
        (Some(ending), None) => ending.outcome,
        (None, None) => EndingKind::Failed,
    })
}

fn patch(verb: Verb, migration: &SchemaMigration) -> Answer {
    let patch = match verb {
        Verb::CutOver => annotate(names::CUT_OVER, "allow"),
        Verb::Postpone => {
            let mut patch = annotate(names::CUT_OVER, "postpone");
            patch["spec"] = json!({"postponeCutOver": true});
            patch
        }
        Verb::Resume if control::cut_over_word(migration) == Some(CutOverWord::Postpone) => {
            json!({"spec": {"paused": false}})
        }
        verb => json!({"spec": {(verb.field()): verb != Verb::Resume}}),
    };
    Answer::Patch { patch, notes: foreign_owner(verb, migration).into_iter().collect() }
}

fn retry(migration: &SchemaMigration, now: Timestamp) -> Answer {
    let mut patch = annotate(names::RETRY, &now.to_string());
    let spec = &migration.spec;
    let mut notes = Vec::new();
    for (field, set) in [("panic", spec.panic), ("abort", spec.abort)] {
        if set == Some(true) {
            patch["spec"][field] = json!(false);
            notes.push(format!("spec.{field} is set to false, or the next attempt would end at once"));
        }
    }
    Answer::Patch { patch, notes }
}

fn annotate(name: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {(name): value}}})
}

fn refuse(why: &str) -> Answer {
    Answer::Refuse { why: why.to_owned() }
}

/// A warning when a GitOps tool owns the field and will write it back.
fn foreign_owner(verb: Verb, migration: &SchemaMigration) -> Option<String> {
    let needle = format!("\"f:{}\"", verb.field());
    let tools = ["argocd", "kustomize-controller", "flux", "helm-controller"];
    let managers = migration.metadata.managed_fields.iter().flatten();
    let owner = managers
        .filter(|entry| !verb.field().is_empty() && entry.subresource.is_none())
        .filter(|entry| {
            serde_json::to_string(&entry.fields_v1).is_ok_and(|fields| fields.contains(&needle))
        })
        .filter_map(|entry| entry.manager.as_deref())
        .find(|manager| tools.iter().any(|tool| manager.contains(tool)))?;
    let field = verb.field();
    Some(format!("{owner} owns spec.{field} and may write it back: change it in Git as well"))
}

/// Whether the last retry was acted upon.
pub fn is_retried(migration: &SchemaMigration) -> bool {
    let asked = annotation(migration, names::RETRY);
    let done = migration.status.as_ref().and_then(|status| status.retried.as_deref());
    asked == done
}
