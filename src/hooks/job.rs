//! Questions that Jobs answer. Nobody here makes a Job: a question is posted on a board, from which it gets
//! into the worker's report, and what the status tells of its Jobs comes back to the board. Each asking has
//! a number of its own, so that no answer to an earlier one is taken for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::api::hook_jobs::{HookJobStatus, JobAnswer, JobHook, QuestionStatus};
use crate::api::hooks::FailurePolicy;
use crate::engine::stage::{Answer, Document, Stage};

/// How much longer than its Job is waited for an answer: the controller may be about to change.
const PATIENCE: Duration = Duration::from_secs(120);
/// Questions that are posted at a time.
const POSTED: usize = 4;

/// What is asked of Jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Posted {
    /// How often Jobs were asked, by all attempts.
    pub count: i64,
    /// What is asked now, and what is told and whose Jobs have not ended yet.
    pub open: Vec<QuestionStatus>,
}

/// Where questions are posted, and where it is known what became of their Jobs. Clones are one board.
#[derive(Clone, Debug)]
pub struct Board {
    posted: Arc<watch::Sender<Posted>>,
    known: Arc<watch::Sender<Vec<HookJobStatus>>>,
    patience: Duration,
}

impl Default for Board {
    fn default() -> Self {
        Self { posted: Arc::default(), known: Arc::default(), patience: PATIENCE }
    }
}

/// A question that is taken off the board when nobody waits for its answer any more.
struct Waiting<'a> {
    board: &'a Board,
    question: QuestionStatus,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let number = self.question.number;
        self.board.posted.send_modify(|posted| posted.open.retain(|one| one.number != number));
    }
}

impl Board {
    /// An empty board; so often Jobs were asked before.
    pub fn new(count: i64) -> Self {
        let board = Self::default();
        board.posted.send_modify(|posted| posted.count = count);
        board
    }

    /// What is asked, as it changes.
    pub fn posted(&self) -> watch::Receiver<Posted> {
        self.posted.subscribe()
    }

    /// Takes what the status tells of Jobs.
    pub fn hear(&self, jobs: &[HookJobStatus]) {
        self.known.send_if_modified(|known| {
            let differs = known != jobs;
            jobs.clone_into(known);
            differs
        });
        self.posted.send_if_modified(|posted| {
            let before = posted.open.len();
            posted.open.retain(|one| is_gate(one) || !is_answered(one, jobs));
            posted.open.len() != before
        });
    }

    /// Asks these hooks, and waits for the answers of all. At a stage that is only told nobody is waited for.
    pub(super) async fn ask(&self, hooks: &[&JobHook], document: &Document) -> Answer {
        if hooks.is_empty() {
            return Answer::Allow;
        }
        let question = self.post(hooks, document);
        if !document.stage.is_gate() {
            return Answer::Allow;
        }
        let waiting = Waiting { board: self, question };
        let answers = hooks.iter().map(|hook| self.wait(hook, &waiting.question));
        join_all(answers).await.into_iter().fold(Answer::Allow, Answer::and)
    }

    fn post(&self, hooks: &[&JobHook], document: &Document) -> QuestionStatus {
        let mut question = QuestionStatus::default();
        self.posted.send_modify(|posted| {
            posted.count += 1;
            let names = hooks.iter().map(|hook| hook.name.clone()).collect();
            let key = (document.id.clone(), posted.count);
            question = QuestionStatus::new(key, document.stage.as_str(), names);
            posted.open.push(question.clone());
            if posted.open.len() > POSTED
                && let Some(oldest) = posted.open.iter().position(|one| !is_gate(one))
            {
                posted.open.remove(oldest);
            }
        });
        question
    }

    async fn wait(&self, hook: &JobHook, question: &QuestionStatus) -> Answer {
        let mut known = self.known.subscribe();
        let heard = known.wait_for(|known| answer(known, question, &hook.name).is_some());
        let answer = match timeout(hook.timeout + self.patience, heard).await {
            Ok(Ok(known)) => answer(&known, question, &hook.name),
            Ok(Err(_)) | Err(_) => None,
        };
        let silent = || Answer::Unanswered(format!("hook {:?}: no Job has answered", hook.name));
        match answer.unwrap_or_else(silent) {
            Answer::Unanswered(why) if hook.failure_policy == FailurePolicy::Ignore => {
                tracing::warn!(question.stage, why, "a hook is ignored, as it is set");
                Answer::Allow
            }
            answer => answer,
        }
    }
}

/// What the Job of this very asking says.
fn answer(known: &[HookJobStatus], question: &QuestionStatus, hook: &str) -> Option<Answer> {
    let job = known.iter().find(|one| one.is_about(question, hook))?;
    let words = || format!("hook {hook:?} {}", job.message);
    Some(match job.answer? {
        JobAnswer::Allow => Answer::Allow,
        JobAnswer::Wait => Answer::Wait(words()),
        JobAnswer::Deny => Answer::Deny(words()),
        JobAnswer::Unanswered => Answer::Unanswered(words()),
    })
}

fn is_gate(question: &QuestionStatus) -> bool {
    Stage::named(&question.stage).is_some_and(Stage::is_gate)
}

/// Whether the status has the end of each Job: the controller looks only at those that are asked about.
fn is_answered(question: &QuestionStatus, jobs: &[HookJobStatus]) -> bool {
    question.hooks.iter().all(|hook| answer(jobs, question, hook).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(stage: Stage) -> Document {
        Document {
            id: format!("uid/1/{stage}"),
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

    fn hook(name: &str, failure_policy: FailurePolicy) -> JobHook {
        JobHook {
            name: name.to_owned(),
            stages: [].into(),
            pod: crate::api::hook_jobs::HookPod::default(),
            timeout: Duration::ZERO,
            failure_policy,
        }
    }

    fn job(number: i64, hook: &str, answer: Option<JobAnswer>) -> HookJobStatus {
        HookJobStatus {
            id: "uid/1/BeforeCopy".to_owned(),
            hook: hook.to_owned(),
            number,
            answer,
            message: "says so".to_owned(),
            ..HookJobStatus::default()
        }
    }

    /// Asks at stage BeforeCopy and lets the status tell these, one after the other, once it is posted.
    async fn asked(
        patience: Duration,
        hooks: &[&JobHook],
        told: Vec<Vec<HookJobStatus>>,
    ) -> Answer {
        let board = Board { patience, ..Board::new(6) };
        let document = document(Stage::BeforeCopy);
        let telling = async {
            let mut posted = board.posted();
            posted.wait_for(|posted| posted.count == 7).await.unwrap();
            for jobs in told {
                board.hear(&jobs);
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            answer = board.ask(hooks, &document) => answer,
            () = telling => panic!("it never ends"),
        };
        assert_eq!(board.posted().borrow().open, [], "it is taken off");
        answer
    }

    #[tokio::test]
    async fn only_an_answer_to_this_asking_counts() {
        let one = hook("one", FailurePolicy::Hold);
        let words = "hook \"one\" says so".to_owned();
        let other_id = HookJobStatus {
            id: "uid/1/Verified".to_owned(),
            ..job(7, "one", Some(JobAnswer::Allow))
        };
        let rows = [
            (vec![job(7, "one", Some(JobAnswer::Allow))], Answer::Allow),
            (vec![job(7, "one", Some(JobAnswer::Wait))], Answer::Wait(words.clone())),
            (vec![job(7, "one", Some(JobAnswer::Deny))], Answer::Deny(words.clone())),
            (vec![job(7, "one", Some(JobAnswer::Unanswered))], Answer::Unanswered(words)),
        ];
        for (jobs, expected) in rows {
            let earlier = vec![
                job(6, "one", Some(JobAnswer::Allow)),
                job(7, "two", Some(JobAnswer::Allow)),
                job(7, "one", None),
                other_id.clone(),
            ];
            assert_eq!(asked(PATIENCE, &[&one], vec![earlier, jobs]).await, expected);
        }
    }

    #[tokio::test]
    async fn silence_is_no_answer_unless_it_is_ignored() {
        for (policy, is_held) in [(FailurePolicy::Hold, true), (FailurePolicy::Ignore, false)] {
            let one = hook("one", policy);
            let earlier = vec![job(6, "one", Some(JobAnswer::Allow))];
            let answer = asked(Duration::from_millis(50), &[&one], vec![earlier]).await;
            assert_eq!(matches!(answer, Answer::Unanswered(_)), is_held, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn all_have_to_allow() {
        let (one, two) = (hook("one", FailurePolicy::Hold), hook("two", FailurePolicy::Ignore));
        let first = job(7, "one", Some(JobAnswer::Allow));
        let both = |second| vec![first.clone(), job(7, "two", Some(second))];
        for (second, expected) in [
            (JobAnswer::Allow, Answer::Allow),
            (JobAnswer::Wait, Answer::Wait("hook \"two\" says so".into())),
            (JobAnswer::Unanswered, Answer::Allow),
        ] {
            let told = vec![vec![first.clone()], both(second)];
            assert_eq!(asked(PATIENCE, &[&one, &two], told).await, expected);
        }
    }

    #[tokio::test]
    async fn what_is_told_stays_until_its_job_has_ended() {
        let (board, one) = (Board::new(0), hook("one", FailurePolicy::Hold));
        assert_eq!(board.ask(&[&one], &document(Stage::Success)).await, Answer::Allow);
        let open = || board.posted().borrow().open.clone();
        assert_eq!((open().len(), open()[0].stage.as_str()), (1, "Success"));
        board.hear(&[job(1, "one", None)]);
        assert_eq!(open().len(), 1, "that is another question's");
        let known =
            |answer| HookJobStatus { id: "uid/1/Success".to_owned(), ..job(1, "one", answer) };
        board.hear(&[known(None)]);
        assert_eq!(open().len(), 1, "its Job runs");
        board.hear(&[known(Some(JobAnswer::Deny))]);
        assert_eq!(open(), []);
        for _ in 0..9 {
            board.ask(&[&one], &document(Stage::ThrottledLong)).await;
        }
        let numbers: Vec<i64> = open().iter().map(|one| one.number).collect();
        assert_eq!(numbers, [7, 8, 9, 10]);
        assert_eq!(board.ask(&[], &document(Stage::Success)).await, Answer::Allow);
        assert_eq!(board.posted().borrow().count, 10);
    }
}
