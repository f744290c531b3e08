//! The stages at which a run asks its surroundings, what it tells them, and what they answer. One channel
//! carries every question; who answers, and how, is not known here.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::progress::Progress;
use super::reason::Reason;

/// Nobody is waited for longer than this with one question, whatever the surroundings do.
const ANSWER_LIMIT: Duration = Duration::from_secs(900);
/// Questions that wait to be taken up.
const QUESTIONS: usize = 8;

/// A point of a run at which others are asked or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The preflight checks have passed; nothing is created yet.
    Validated,
    /// The copy is about to begin.
    BeforeCopy,
    /// Every row is copied once.
    RowCopyComplete,
    /// Every row is compared.
    Verified,
    /// Everything is ready, and permission is waited for.
    Postponed,
    /// The tables are about to be swapped.
    BeforeCutOver,
    /// The tables are swapped.
    AfterCutOver,
    /// The run has ended well.
    Success,
    /// The run has ended badly.
    Failure,
    /// The run has been held for the application's sake for long.
    ThrottledLong,
    /// How the run stands, told again and again.
    Status,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Validated,
        Self::BeforeCopy,
        Self::RowCopyComplete,
        Self::Verified,
        Self::Postponed,
        Self::BeforeCutOver,
        Self::AfterCutOver,
        Self::Success,
        Self::Failure,
        Self::ThrottledLong,
        Self::Status,
    ];

    /// The name in manifests and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validated => "Validated",
            Self::BeforeCopy => "BeforeCopy",
            Self::RowCopyComplete => "RowCopyComplete",
            Self::Verified => "Verified",
            Self::Postponed => "Postponed",
            Self::BeforeCutOver => "BeforeCutOver",
            Self::AfterCutOver => "AfterCutOver",
            Self::Success => "Success",
            Self::Failure => "Failure",
            Self::ThrottledLong => "ThrottledLong",
            Self::Status => "Status",
        }
    }

    /// The stage of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// The name of an executable for it.
    pub fn file_name(self) -> String {
        let mut name = String::new();
        for letter in self.as_str().chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Whether the run goes on only with an answer that allows it. At the others it only tells.
    pub fn is_gate(self) -> bool {
        match self {
            Self::Validated
            | Self::BeforeCopy
            | Self::RowCopyComplete
            | Self::Verified
            | Self::Postponed
            | Self::BeforeCutOver => true,
            Self::AfterCutOver
            | Self::Success
            | Self::Failure
            | Self::ThrottledLong
            | Self::Status => false,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a run asks for at its stages.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who is asked.
    pub asker: Asker,
    /// Stages that a person has to approve.
    pub approval: BTreeSet<Stage>,
    /// What has to hold before the tables are swapped.
    pub checks: Vec<Check>,
    /// A text of the user for those who are asked.
    pub hint: String,
    /// Time between two tellings of how the run stands.
    pub status_interval: Duration,
    /// How long the run is held before that is told.
    pub throttled_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            asker: Asker::default(),
            approval: BTreeSet::new(),
            checks: Vec::new(),
            hint: String::new(),
            status_interval: Duration::from_secs(60),
            throttled_after: Duration::from_secs(600),
        }
    }
}

/// A query of the administrator whose first value has to be the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is called in messages.
    pub name: String,
    /// One SELECT.
    pub query: String,
    /// The value that lets the tables be swapped.
    pub expect: String,
}

/// What those who are asked are told. Holds no secret and no row value.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The same for every time that this stage of this attempt is asked: who acts by it acts once.
    pub id: String,
    /// The stage.
    pub stage: Stage,
    /// Namespace and name of the migration.
    pub migration: String,
    /// UID of the resource; absent without a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Number of the attempt; absent without a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Database and table.
    pub table: String,
    /// The change.
    pub alter: String,
    /// The user's text; absent when there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// When this was written.
    pub at: jiff::Timestamp,
    /// How the run stands, with the reasons for which it is held.
    pub progress: Progress,
    /// Why it failed; absent when it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Trouble>,
}

/// Why a run failed.
#[derive(Clone, Debug, Serialize)]
pub struct Trouble {
    /// The stable token.
    pub reason: Reason,
    /// One sentence of cause.
    pub message: String,
    /// One sentence of remedy.
    pub remedy: String,
}

/// What those who are asked say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Allow,
    /// Ask again later; who says so, and why.
    Wait(String),
    /// Do not go on; who says so, and why.
    Deny(String),
    /// Somebody gave no answer that counts; who, and what was wrong.
    Unanswered(String),
}

impl Answer {
    /// The answer of two: the one that lets less happen.
    pub fn and(self, other: Self) -> Self {
        let weight = |answer: &Self| match answer {
            Self::Allow => 0,
            Self::Wait(_) => 1,
            Self::Unanswered(_) => 2,
            Self::Deny(_) => 3,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }
}

/// What holds a run at a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageHold {
    /// The stage.
    pub stage: Stage,
    /// The stable token.
    pub reason: Reason,
    /// Who or what is waited for, in words.
    pub message: String,
    /// Since when.
    #[serde(serialize_with = "in_utc")]
    pub since: SystemTime,
}

impl StageHold {
    /// This one, since when it was first told.
    pub fn after(self, before: Option<&Self>) -> Self {
        let same = before.filter(|it| (it.stage, it.reason) == (self.stage, self.reason));
        Self { since: same.map_or(self.since, |same| same.since), ..self }
    }
}

fn in_utc<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::try_from(*time).unwrap_or_default();
    serializer.collect_str(&time)
}

/// The end of the channel where the engine asks. The default asks nobody.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    questions: Option<mpsc::Sender<Question>>,
    stages: BTreeSet<Stage>,
}

/// The end of the channel where questions arrive.
#[derive(Debug)]
pub struct Questions(mpsc::Receiver<Question>);

/// A question, which is over when it is dropped.
#[derive(Debug)]
pub struct Question {
    /// What is told.
    pub document: Box<Document>,
    answer: oneshot::Sender<Answer>,
}

/// A channel for questions about these stages.
pub fn channel(stages: BTreeSet<Stage>) -> (Asker, Questions) {
    let (sender, questions) = mpsc::channel(QUESTIONS);
    (Asker { questions: Some(sender), stages }, Questions(questions))
}

impl Asker {
    /// Whether anybody is to be asked at this stage.
    pub fn asks(&self, stage: Stage) -> bool {
        self.stages.contains(&stage)
    }

    /// Asks, and waits for the answer. Who drops this future takes the question back.
    pub async fn ask(&self, document: Document) -> Answer {
        if !self.asks(document.stage) {
            return Answer::Allow;
        }
        let Some(questions) = &self.questions else { return Answer::Allow };
        let asked = async {
            let (answer, heard) = oneshot::channel();
            let document = Box::new(document);
            questions.send(Question { document, answer }).await.ok()?;
            heard.await.ok()
        };
        let heard = timeout(ANSWER_LIMIT, asked).await.ok().flatten();
        heard.unwrap_or_else(|| Answer::Unanswered("nobody answers".to_owned()))
    }
}

impl Questions {
    /// The next question; `None` when the engine is gone.
    pub async fn next(&mut self) -> Option<Question> {
        self.0.recv().await
    }
}

impl Question {
    /// Waits until the engine no longer wants to know.
    pub async fn is_taken_back(&mut self) {
        self.answer.closed().await;
    }

    /// Answers.
    pub fn answer(self, answer: Answer) {
        // The engine no longer waits when it was told to end.
        let _gone = self.answer.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(stage: Stage) -> Document {
        Document {
            id: "1".to_owned(),
            stage,
            migration: "shop/one".to_owned(),
            uid: None,
            attempt: None,
            table: "shop.orders".to_owned(),
            alter: "ENGINE=InnoDB".to_owned(),
            hint: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            progress: crate::engine::blank_progress(),
            error: None,
        }
    }

    #[test]
    fn every_stage_has_its_names() {
        let names: Vec<String> = Stage::ALL.iter().map(|stage| stage.file_name()).collect();
        let expected = "validated before-copy row-copy-complete verified postponed before-cut-over \
            after-cut-over success failure throttled-long status";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        for stage in Stage::ALL {
            assert_eq!(Stage::named(stage.as_str()), Some(stage));
            assert_eq!(serde_json::to_string(&stage).unwrap(), format!("\"{stage}\""));
        }
        assert_eq!(Stage::named("beforeCopy"), None);
    }

    #[test]
    fn a_run_is_held_until_the_swap_and_never_after_it() {
        let gates: Vec<_> = Stage::ALL.into_iter().filter(|stage| stage.is_gate()).collect();
        assert_eq!(gates.last(), Some(&Stage::BeforeCutOver));
        assert!(Stage::ALL[..gates.len()].iter().all(|stage| stage.is_gate()));
    }

    #[test]
    fn the_stricter_answer_counts() {
        let rank = [
            Answer::Allow,
            Answer::Wait("w".into()),
            Answer::Unanswered("u".into()),
            Answer::Deny("d".into()),
        ];
        for (low, one) in rank.iter().enumerate() {
            for (high, other) in rank.iter().enumerate() {
                let both = one.clone().and(other.clone());
                assert_eq!(both, rank[low.max(high)], "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_hold_keeps_its_time_until_the_reason_changes() {
        let hold = |reason, second| StageHold {
            stage: Stage::BeforeCopy,
            reason,
            message: format!("at {second}"),
            since: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        };
        let first = hold(Reason::HookWaits, 1);
        let same = hold(Reason::HookWaits, 2).after(Some(&first));
        assert_eq!((same.since, same.message.as_str()), (first.since, "at 2"));
        let other = hold(Reason::HookUnanswered, 3);
        assert_eq!(other.clone().after(Some(&first)), other);
    }

    #[tokio::test]
    async fn only_who_is_there_is_asked() {
        assert_eq!(Asker::default().ask(document(Stage::BeforeCopy)).await, Answer::Allow);
        let (asker, mut questions) = channel([Stage::BeforeCopy].into());
        assert_eq!(asker.ask(document(Stage::Verified)).await, Answer::Allow);
        let answering = async {
            let question = questions.next().await.unwrap();
            question.answer(Answer::Wait("not now".into()));
        };
        let (answer, ()) = tokio::join!(asker.ask(document(Stage::BeforeCopy)), answering);
        assert_eq!(answer, Answer::Wait("not now".into()));
        drop(questions);
        let gone = asker.ask(document(Stage::BeforeCopy)).await;
        assert!(matches!(gone, Answer::Unanswered(_)), "nobody may be taken for a yes: {gone:?}");
    }

    #[tokio::test]
    async fn a_question_can_be_taken_back() {
        let (asker, mut questions) = channel([Stage::BeforeCopy].into());
        let asking = asker.ask(document(Stage::BeforeCopy));
        let taking = async {
            let question = questions.next().await.unwrap();
            assert_eq!(question.document.stage, Stage::BeforeCopy);
            question
        };
        let mut question = tokio::select! {
            _ = asking => panic!("nobody has answered"),
            question = taking => question,
        };
        question.is_taken_back().await;
    }
}
