//! What the user currently asks of a run. It arrives from outside (a saved file, a watched resource)
//! over a watch channel and is seen at defined points: between chunks, between batches, before each
//! cut-over attempt, and, for panic, everywhere. Before a cut-over it is read anew.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::stage::Stage;
use super::throttle::{Limits, recovery};

/// The latest wishes and settings, replaced as a whole on each change.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Where the migration shall go.
    pub command: Command,
    /// Why it is paused when no person did it, in words.
    pub paused_by: Option<String>,
    /// Whether the cut-over has to wait although everything is ready.
    pub postpone_cut_over: bool,
    /// Why nothing may be copied or compared at this hour, in words.
    pub copy_hold: Option<String>,
    /// Whether the hour lets a cut-over begin.
    pub cut_over: CutOverGate,
    /// Stages that a person has approved.
    pub approved: BTreeSet<Stage>,
    /// Settings that may change at any time.
    pub tuning: Tuning,
}

#[cfg(test)]
impl Intent {
    /// To go on to the end with the usual settings.
    pub(super) fn plain() -> Self {
        Self { postpone_cut_over: false, ..Self::only(Command::Run) }
    }
}

/// The end of the channel where a run hears what it is asked for.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The latest intent.
    pub intent: watch::Receiver<Intent>,
    questions: mpsc::Sender<Question>,
}

/// The end of the channel where intents are published and questions for a new reading arrive.
#[derive(Debug)]
pub struct Publisher {
    intent: watch::Sender<Intent>,
    questions: mpsc::Receiver<Question>,
}

/// The engine asks for a reading as of now.
#[derive(Debug)]
pub struct Question(oneshot::Sender<bool>);

/// A channel that begins with an intent.
pub fn channel(first: Intent) -> (Publisher, Wishes) {
    let (sender, intent) = watch::channel(first);
    let (asking, questions) = mpsc::channel(1);
    (Publisher { intent: sender, questions }, Wishes { intent, questions: asking })
}

impl Wishes {
    /// Has the intent read anew. Whether that succeeded within `limit`: then [`Self::intent`] is what
    /// the user wants now, not what was wanted when somebody last looked.
    pub async fn read_anew(&self, limit: Duration) -> bool {
        let (question, answer) = oneshot::channel();
        let asked = async {
            self.questions.send(Question(question)).await.ok()?;
            answer.await.ok()
        };
        matches!(timeout(limit, asked).await, Ok(Some(true)))
    }
}

impl Publisher {
    /// Publishes an intent, unless it is the current one. Panic is never taken back.
    pub fn publish(&self, wanted: Intent) {
        self.intent.send_if_modified(|current| replace(current, wanted));
    }

    /// Waits until the engine asks for a new reading, at most `limit`.
    pub async fn question(&mut self, limit: Duration) -> Option<Question> {
        match timeout(limit, self.questions.recv()).await {
            Ok(Some(question)) => Some(question),
            Ok(None) => pending().await,
            Err(_) => None,
        }
    }
}

impl Question {
    /// Tells whether the reading succeeded; what it found is published before.
    pub fn answer(self, is_current: bool) {
        // The engine no longer waits when its time for this was over.
        let _gone = self.0.send(is_current);
    }
}

fn replace(current: &mut Intent, mut wanted: Intent) -> bool {
    if current.command == Command::Panic {
        wanted.command = Command::Panic;
    }
    let differs = *current != wanted;
    *current = wanted;
    differs
}

/// The one thing asked for; the strongest wins when several are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Go on to the end.
    Run,
    /// Hold copying and verification between chunks; following the binlog and applying go on.
    Pause,
    /// Stop within a batch and leave everything so that a later run continues.
    Leave,
    /// Stop, drop what was created, leave the source table as it is.
    Abort,
    /// Stop within a second, touch nothing, keep every table.
    Panic,
}

/// Whether the hour lets a cut-over begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutOverGate {
    /// It does.
    Open {
        /// As long as this; absent when nothing ends it.
        until: Option<SystemTime>,
    },
    /// It does not.
    Closed {
        /// Why, and when it opens.
        words: String,
    },
}

/// What a run waits for when a person paused it.
const PAUSED: &str = "paused by the user";
/// What an attempt may take beside its lock budget.
const MARGIN: Duration = Duration::from_secs(1);

impl CutOverGate {
    /// Why an attempt of at most `budget` that begins `now` is not allowed, in words; `None` when it is.
    pub fn refusal(&self, now: SystemTime, budget: Duration) -> Option<String> {
        match self {
            Self::Closed { words } => Some(words.clone()),
            Self::Open { until: None } => None,
            Self::Open { until: Some(until) } => {
                let left = until.duration_since(now).unwrap_or_default();
                (left < budget + MARGIN).then(|| {
                    format!(
                        "the cut-over window is open for {left:.1?} more, which is too short for an \
                         attempt with a lock budget of {budget:?}"
                    )
                })
            }
        }
    }
}

/// Settings that take effect within one chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Ranges copied at a time.
    pub copy_threads: usize,
    /// How long one chunk should take.
    pub chunk_time: Duration,
    /// Upper limit of copied rows per second; 0 means none.
    pub max_rows_per_second: u64,
    /// What has to be within its limit for the run to go on.
    pub throttle: Limits,
    /// When a run that paused itself goes on.
    pub recovery: recovery::Settings,
    /// Time that a copying thread rests after a chunk, in percent of the time that the chunk took.
    pub nice_percent: u32,
    /// Longest time that writers may be blocked by one cut-over attempt.
    pub lock_budget: Duration,
    /// Cut-over attempts before the migration fails; 0 means no limit.
    pub max_cut_over_attempts: u32,
    /// Rows that verification may repair before the migration fails.
    pub repair_limit: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            copy_threads: 2,
            chunk_time: Duration::from_millis(500),
            max_rows_per_second: 0,
            throttle: Limits::default(),
            recovery: recovery::Settings::default(),
            nice_percent: 0,
            lock_budget: Duration::from_secs(1),
            max_cut_over_attempts: 0,
            repair_limit: 0,
        }
    }
}

impl Intent {
    /// Only this is asked for; a cut-over is not.
    pub fn only(command: Command) -> Self {
        Self {
            command,
            paused_by: None,
            postpone_cut_over: true,
            copy_hold: None,
            cut_over: CutOverGate::Open { until: None },
            approved: BTreeSet::new(),
            tuning: Tuning::default(),
        }
    }

    /// Why it is paused, in words; `None` when it is not.
    pub fn paused(&self) -> Option<String> {
        let words = || self.paused_by.clone().unwrap_or_else(|| PAUSED.to_owned());
        (self.command == Command::Pause).then(words)
    }

    /// Why the table may not be changed now although everything is ready, in words; `None` when it may.
    pub fn cut_over_hold(&self, now: SystemTime) -> Option<String> {
        if self.postpone_cut_over {
            return Some("permission to cut over (postponeCutOver is true)".to_owned());
        }
        let refusal = self.cut_over.refusal(now, self.tuning.lock_budget)?;
        Some(format!("the cut-over window: {refusal}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn intent(command: Command) -> Intent {
        Intent::only(command)
    }

    #[test]
    fn panic_is_not_taken_back() {
        let (publisher, wishes) = channel(intent(Command::Panic));
        publisher.publish(intent(Command::Run));
        assert_eq!(wishes.intent.borrow().command, Command::Panic);
    }

    #[test]
    fn an_attempt_begins_only_where_it_can_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let open = |millis| CutOverGate::Open { until: Some(now + Duration::from_millis(millis)) };
        let past = CutOverGate::Open { until: Some(now - Duration::from_secs(1)) };
        let closed = CutOverGate::Closed { words: "it opens at noon".to_owned() };
        let rows = [
            (CutOverGate::Open { until: None }, None),
            (open(3000), None),
            (open(2999), Some("open for 3.0s more, which is too short")),
            (open(0), Some("too short for an attempt with a lock budget of 2s")),
            (past, Some("open for 0.0ns more")),
            (closed, Some("it opens at noon")),
        ];
        for (gate, expected) in rows {
            let refusal = gate.refusal(now, Duration::from_secs(2));
            assert_eq!(refusal.is_some(), expected.is_some(), "{gate:?} {refusal:?}");
            let words = refusal.unwrap_or_default();
            assert!(words.contains(expected.unwrap_or_default()), "{words}");
        }
    }

    #[tokio::test]
    async fn reading_tells_what_is_wanted_now() {
        let (mut publisher, wishes) = channel(intent(Command::Run));
        let source = async {
            let question = publisher.question(LIMIT).await.unwrap();
            publisher.publish(intent(Command::Abort));
            question.answer(true);
        };
        let (read, ()) = tokio::join!(wishes.read_anew(LIMIT), source);
        assert!(read);
        assert_eq!(wishes.intent.borrow().command, Command::Abort);
    }

    #[tokio::test]
    async fn no_answer_and_a_bad_answer_are_no_reading() {
        let (mut publisher, wishes) = channel(intent(Command::Run));
        let source = async { publisher.question(LIMIT).await.unwrap().answer(false) };
        let (read, ()) = tokio::join!(wishes.read_anew(LIMIT), source);
        assert!(!read, "the source could not read");
        assert!(!wishes.read_anew(Duration::from_millis(1)).await, "nobody answers");
        drop(publisher);
        assert!(!wishes.read_anew(LIMIT).await, "nobody is there");
    }
}
