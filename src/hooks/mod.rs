//! Answers the engine's questions at its stages: asks receivers by HTTP, runs commands and waits for Jobs, all of
//! a stage at once, and puts their answers together. Who does not answer is no reason to go on. Decides nothing else.

mod command;
mod http;
mod job;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep;

pub use self::command::{Folder, FolderError};
pub use self::job::{Board, Posted};
use crate::api::hook_jobs::{JobHook, shown};
use crate::api::hooks::{FailurePolicy, Hook};
use crate::engine::stage::{Answer, Document, Question, Questions, Stage};
use crate::http::secret::Secret;

/// The file, or key of a Secret, with which requests are signed.
pub const KEY: &str = "hooks.key";
/// The file, or key of a Secret, with authorities that receivers' certificates may come from.
pub const AUTHORITIES: &str = "hooks.ca.crt";

/// Tries of one that is only told, and the pause between two of them.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// Where the signing key is.
#[derive(Clone, Debug)]
pub enum Keys {
    /// A directory with the files; read anew for every request.
    Directory(PathBuf),
    /// Given by value.
    Inline {
        /// The signing key.
        key: Option<Secret>,
        /// Authorities of receivers.
        authorities: Option<String>,
    },
}

/// Who is asked.
#[derive(Debug)]
pub struct Hooks {
    http: Vec<Hook>,
    keys: Keys,
    commands: Option<Folder>,
    jobs: (Vec<JobHook>, Board),
}

impl Hooks {
    /// These receivers and commands.
    pub fn new(http: Vec<Hook>, keys: Keys, commands: Option<Folder>) -> Self {
        Self { http, keys, commands, jobs: (Vec::new(), Board::default()) }
    }

    /// The same with these Jobs, which are asked on this board.
    pub fn with_jobs(self, jobs: Vec<JobHook>, board: Board) -> Self {
        Self { jobs: (jobs, board), ..self }
    }

    /// The stages at which somebody may be asked. For commands these are all: their files come and go.
    pub fn stages(&self) -> BTreeSet<Stage> {
        if self.commands.is_some() {
            return Stage::ALL.into();
        }
        let http = self.http.iter().flat_map(|hook| &hook.stages);
        let names = http.chain(self.jobs.0.iter().flat_map(|hook| &hook.stages));
        names.filter_map(|stage| Stage::named(stage.as_str())).collect()
    }

    /// Whether requests can be signed, as far as is known now.
    pub async fn has_key(&self) -> bool {
        self.http.is_empty() || self.keys.read().await.is_ok()
    }

    /// Answers questions side by side, for ever.
    pub async fn serve(&self, mut questions: Questions) -> Infallible {
        let mut asked = FuturesUnordered::new();
        loop {
            tokio::select! {
                question = questions.next() => match question {
                    Some(question) => asked.push(self.answer(question)),
                    None => pending().await,
                },
                Some(()) = asked.next() => {}
            }
        }
    }

    async fn answer(&self, mut question: Question) {
        let document = question.document.clone();
        let answer = tokio::select! {
            answer = self.ask_all(&document) => answer,
            () = question.is_taken_back() => return,
        };
        question.answer(answer);
    }

    async fn ask_all(&self, document: &Document) -> Answer {
        let concerned = |hook: &&Hook| {
            hook.stages.iter().any(|stage| stage.as_str() == document.stage.as_str())
        };
        let asked = self.http.iter().filter(concerned).map(|hook| self.ask_http(hook, document));
        let (http, command, jobs) =
            tokio::join!(join_all(asked), self.ask_command(document), self.ask_jobs(document));
        http.into_iter().fold(command.and(jobs), Answer::and)
    }

    async fn ask_http(&self, hook: &Hook, document: &Document) -> Answer {
        let ask = async || match self.keys.read().await {
            Ok(keys) => http::ask(hook, &keys, document).await,
            Err(why) => Answer::Unanswered(format!("hook {:?} {why}", hook.name)),
        };
        match persist(document.stage, ask).await {
            Answer::Unanswered(why) if hook.failure_policy == FailurePolicy::Ignore => {
                tracing::warn!(stage = %document.stage, why, "a hook is ignored, as it is set");
                Answer::Allow
            }
            answer => answer,
        }
    }

    async fn ask_jobs(&self, document: &Document) -> Answer {
        let (jobs, board) = &self.jobs;
        let concerned = jobs.iter().filter(|hook| {
            hook.stages.iter().any(|stage| stage.as_str() == document.stage.as_str())
        });
        board.ask(&concerned.collect::<Vec<_>>(), document).await
    }

    async fn ask_command(&self, document: &Document) -> Answer {
        let Some(folder) = &self.commands else { return Answer::Allow };
        persist(document.stage, async || folder.ask(document).await).await
    }
}

/// At a gate the engine asks again as long as it takes; who is only told is tried a few times.
async fn persist(stage: Stage, ask: impl AsyncFn() -> Answer) -> Answer {
    let tries = if stage.is_gate() { 1 } else { TRIES };
    for _ in 1..tries {
        match ask().await {
            Answer::Unanswered(_) => sleep(PAUSE).await,
            answer => return answer,
        }
    }
    ask().await
}

/// What is needed for a request.
struct Loaded {
    key: Secret,
    authorities: Option<String>,
}

impl Keys {
    /// Reads them; or says in words what is missing.
    async fn read(&self) -> Result<Loaded, &'static str> {
        let (key, authorities) = match self {
            Self::Inline { key, authorities } => (key.clone(), authorities.clone()),
            Self::Directory(directory) => {
                let read = async |name| tokio::fs::read_to_string(directory.join(name)).await.ok();
                let key =
                    read(KEY).await.map(|key| Secret::new(key.trim_end_matches(['\r', '\n'])));
                (key, read(AUTHORITIES).await)
            }
        };
        let key = key.filter(|key| !key.expose().is_empty());
        let key = key.ok_or("cannot be asked: the Secret has no key hooks.key to sign with")?;
        Ok(Loaded { key, authorities })
    }
}

/// Who says what, and why when that is known.
fn said(who: &str, what: &str, why: &str) -> String {
    let why = shown(why);
    if why.is_empty() { format!("{who} {what}") } else { format!("{who} {what}: {why}") }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_hook_says_what_and_why() {
        assert_eq!(said("hook \"one\"", "denies", ""), "hook \"one\" denies");
        assert_eq!(said("hook \"one\"", "denies", "no\tbackup"), "hook \"one\" denies: no backup");
    }

    #[tokio::test]
    async fn only_who_is_told_is_tried_again_here() {
        for (stage, expected) in [(Stage::BeforeCopy, 1), (Stage::Success, TRIES)] {
            let tries = AtomicU32::new(0);
            let ask = async || {
                tries.fetch_add(1, Ordering::Relaxed);
                Answer::Unanswered("nobody".into())
            };
            assert!(matches!(persist(stage, ask).await, Answer::Unanswered(_)));
            assert_eq!(tries.load(Ordering::Relaxed), expected, "{stage}");
        }
    }

    #[tokio::test]
    async fn a_key_is_read_from_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::Directory(folder.path().to_owned());
        assert!(keys.read().await.is_err());
        std::fs::write(folder.path().join(KEY), "canary\n").unwrap();
        assert_eq!(keys.read().await.map(|it| it.key).ok(), Some(Secret::new("canary")));
        let empty = Keys::Inline { key: Some(Secret::new("")), authorities: None };
        assert!(empty.read().await.is_err());
    }
}
