//! Holds a run at its stages until those who are asked, the person who approves and the administrator's
//! checks let it pass. Waiting never keeps a wish of the user from being heard, nor the binlog from being
//! followed. What has passed is remembered until the process ends.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::failure::Failure;
use super::intent::{Command, Intent};
use super::meter::Meter;
use super::outcome::Outcome;
use super::reason::{Reason, Refusal};
use super::request::Request;
use super::stage::{Answer, Document, Settings, Stage, StageHold, Trouble};
use super::{Error, Result, checks, verify};
use crate::mysql::session::Session;

/// The first pause before somebody is asked again, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often what goes on beside the waiting is looked after.
const TICK: Duration = Duration::from_secs(1);
/// How long a check that held counts.
const CHECK_HOLDS: Duration = Duration::from_secs(30);
/// How long the end of a run waits for those who are only told, and how long when it was asked to leave.
const LAST_WORDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));

/// The stages of one run.
pub struct Gates {
    settings: Settings,
    request: Request,
    passed: Mutex<BTreeSet<Stage>>,
    checked: Mutex<Option<Instant>>,
    told: AtomicU64,
}

/// What goes on while a run waits.
pub enum Beside<'a> {
    /// Nothing is created yet.
    Nothing {
        /// What the user asks for.
        intent: &'a watch::Receiver<Intent>,
        /// Where it is shown what is waited for.
        meter: &'a Meter,
    },
    /// The binlog is followed by tasks of their own.
    Following(&'a Context),
    /// Written keys have to be compared as well.
    Comparing(&'a Context, &'a mut Session),
}

impl Beside<'_> {
    fn intent(&self) -> &watch::Receiver<Intent> {
        match self {
            Self::Nothing { intent, .. } => intent,
            Self::Following(context) | Self::Comparing(context, _) => &context.intent,
        }
    }

    fn meter(&self) -> &Meter {
        match self {
            Self::Nothing { meter, .. } => meter,
            Self::Following(context) | Self::Comparing(context, _) => &context.meter,
        }
    }

    /// Waits for a time or for another wish. Dropping it loses nothing.
    async fn pause_for(&self, time: Duration) -> Result<()> {
        match self {
            Self::Nothing { intent, .. } => {
                let mut changes = (*intent).clone();
                let asked = |intent: &watch::Receiver<Intent>| intent.borrow().command;
                if asked(intent) == Command::Abort {
                    return Err(Error::Stopped);
                }
                changes.borrow_and_update();
                let changed = tokio::time::timeout(time, changes.changed()).await;
                match changed {
                    Ok(Err(_)) => Err(Error::Stopped),
                    _ if asked(intent) == Command::Abort => Err(Error::Stopped),
                    _ => Ok(()),
                }
            }
            Self::Following(context) | Self::Comparing(context, _) => context.pause_for(time).await,
        }
    }

    /// Has what is told be that of now.
    fn sample(&self) {
        match self {
            Self::Nothing { .. } => {}
            Self::Following(context) | Self::Comparing(context, _) => context.sample(),
        }
    }

    /// Does what must not wait.
    async fn look_after(&mut self) -> Result<()> {
        match self {
            Self::Nothing { .. } | Self::Following(_) => Ok(()),
            Self::Comparing(context, session) => verify::compare_dirty(context, session).await,
        }
    }

    /// Waits for a time, or until the user asks for something else.
    async fn rest(&mut self, time: Duration) -> Result<()> {
        let mut changes = self.intent().clone();
        changes.borrow_and_update();
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.pause_for(left.min(TICK)).await?;
            self.look_after().await?;
            if left <= TICK || changes.has_changed().unwrap_or(true) {
                return Ok(());
            }
        }
    }

    /// What is found wrong on the way: before anything is created it is a refusal.
    fn denied(&self, refusal: Refusal) -> Error {
        match self {
            Self::Nothing { .. } => Error::Refused { refusals: vec![refusal] },
            Self::Following(_) | Self::Comparing(..) => Error::Blocked { refusal },
        }
    }
}

impl Gates {
    /// The stages of a run of this request.
    pub fn new(request: &Request) -> Self {
        Self {
            settings: request.stages.clone(),
            request: request.clone(),
            passed: Mutex::default(),
            checked: Mutex::default(),
            told: AtomicU64::new(0),
        }
    }

    /// Whether the tables may be swapped as far as stages go: everybody has agreed, the approval stands,
    /// and the checks held a moment ago.
    pub fn may_swap(&self, intent: &Intent) -> bool {
        let checked = lock(&self.checked).is_some_and(|at| at.elapsed() < CHECK_HOLDS);
        self.has_passed(Stage::BeforeCutOver)
            && self.is_approved(Stage::BeforeCutOver, intent)
            && (checked || self.settings.checks.is_empty())
    }

    /// Whether a stage has passed.
    pub fn has_passed(&self, stage: Stage) -> bool {
        lock(&self.passed).contains(&stage)
    }

    /// Lets a stage be asked anew.
    pub fn forget(&self, stage: Stage) {
        lock(&self.passed).remove(&stage);
    }

    /// Waits until the tables may be swapped, see [`Self::may_swap`].
    ///
    /// # Errors
    ///
    /// As [`Self::pass`].
    pub async fn pass_before_swap(&self, beside: &mut Beside<'_>) -> Result<()> {
        self.pass(Stage::BeforeCutOver, beside).await?;
        let stage = Stage::BeforeCutOver;
        let mut pause = BACK_OFF.0;
        while let Some(why) = checks::unmet(&self.request.connect, &self.settings.checks).await {
            let (reason, message) = (Reason::CheckNotMet, why);
            self.hold(beside.meter(), StageHold { stage, reason, message, since: now() });
            beside.rest(pause).await?;
            pause = (pause * 2).min(CHECK_HOLDS);
        }
        *lock(&self.checked) = Some(Instant::now());
        beside.meter().release();
        Ok(())
    }

    /// Waits until a stage has passed; returns whether there was anything to wait for.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] when the run shall end, a refusal when somebody denies.
    pub async fn pass(&self, stage: Stage, beside: &mut Beside<'_>) -> Result<bool> {
        if self.has_passed(stage) && self.is_approved(stage, &beside.intent().borrow()) {
            return Ok(false);
        }
        let (mut waited, mut pause) = (false, BACK_OFF.0);
        while let Some(hold) = self.ask_to_pass(stage, beside).await? {
            waited = true;
            let is_hook = hold.reason != Reason::AwaitingApproval;
            self.hold(beside.meter(), hold);
            beside.rest(if is_hook { pause } else { TICK }).await?;
            pause = if is_hook { (pause * 2).min(BACK_OFF.1) } else { BACK_OFF.0 };
        }
        beside.meter().release();
        lock(&self.passed).insert(stage);
        Ok(waited || self.settings.asker.asks(stage))
    }

    /// What holds the run at this stage now; `None` when it may pass.
    async fn ask_to_pass(
        &self,
        stage: Stage,
        beside: &mut Beside<'_>,
    ) -> Result<Option<StageHold>> {
        let is_asked = !self.has_passed(stage) && self.settings.asker.asks(stage);
        if !is_asked && self.is_approved(stage, &beside.intent().borrow()) {
            return Ok(None);
        }
        self.wait_while_paused(beside).await?;
        if !self.is_approved(stage, &beside.intent().borrow()) {
            let message = format!("approval of {stage} by a person");
            let reason = Reason::AwaitingApproval;
            return Ok(Some(StageHold { stage, reason, message, since: now() }));
        }
        if !is_asked {
            return Ok(None);
        }
        let (reason, message) = match self.hear(stage, beside).await? {
            Answer::Allow => return Ok(None),
            Answer::Wait(why) => (Reason::HookWaits, why),
            Answer::Unanswered(why) => (Reason::HookUnanswered, why),
            Answer::Deny(why) => {
                let remedy = "change what the hook looks at, and run the same command again";
                let message = format!("at stage {stage}, {why}");
                return Err(beside.denied(Refusal::new(Reason::HookDenied, message, remedy)));
            }
        };
        Ok(Some(StageHold { stage, reason, message, since: now() }))
    }

    async fn wait_while_paused(&self, beside: &mut Beside<'_>) -> Result<()> {
        loop {
            let paused = beside.intent().borrow().paused();
            let Some(words) = paused else { return Ok(()) };
            beside.meter().wait_for(&words);
            beside.rest(TICK).await?;
            beside.meter().no_longer_wait_for(&words);
        }
    }

    /// Asks, and does meanwhile what must not wait.
    async fn hear(&self, stage: Stage, beside: &mut Beside<'_>) -> Result<Answer> {
        beside.sample();
        let document = self.document(stage, beside.meter(), None);
        let mut asking = pin!(self.settings.asker.ask(document));
        let began = Instant::now();
        loop {
            tokio::select! {
                answer = &mut asking => return Ok(answer),
                rested = beside.pause_for(TICK) => rested?,
            }
            beside.look_after().await?;
            if began.elapsed() > TICK {
                let message = format!("the hooks of {stage} to answer");
                let (reason, since) = (Reason::HookWaits, now());
                self.hold(beside.meter(), StageHold { stage, reason, message, since });
            }
        }
    }

    fn is_approved(&self, stage: Stage, intent: &Intent) -> bool {
        !self.settings.approval.contains(&stage) || intent.approved.contains(&stage)
    }

    fn hold(&self, meter: &Meter, hold: StageHold) {
        meter.hold(hold);
    }

    /// Tells of a stage that holds nothing, and waits until those who are told have confirmed or were
    /// given up.
    pub async fn tell(&self, stage: Stage, meter: &Meter, error: Option<Trouble>) {
        if !self.settings.asker.asks(stage) {
            return;
        }
        match self.settings.asker.ask(self.document(stage, meter, error)).await {
            Answer::Allow => {}
            Answer::Wait(why) | Answer::Deny(why) | Answer::Unanswered(why) => {
                tracing::warn!(%stage, why, "a hook did not agree; it is only told of this stage");
            }
        }
    }

    /// Tells of the swap, once.
    pub async fn tell_swapped(&self, meter: &Meter) {
        if lock(&self.passed).insert(Stage::AfterCutOver) {
            self.tell(Stage::AfterCutOver, meter, None).await;
        }
    }

    /// Tells how the run ended. What was asked for by a person is told to nobody.
    pub async fn tell_end(
        &self,
        ended: &std::result::Result<Outcome, Failure>,
        (meter, stop): (&Meter, &CancellationToken),
    ) {
        let telling = async {
            match ended {
                Ok(Outcome::Completed(_)) => {
                    self.tell_swapped(meter).await;
                    self.tell(Stage::Success, meter, None).await;
                }
                Ok(Outcome::AlreadyApplied { .. }) => {
                    self.tell(Stage::Success, meter, None).await;
                }
                Err(failure) if failure.reason != Reason::Superseded => {
                    self.tell(Stage::Failure, meter, Some(trouble(failure))).await;
                }
                Ok(Outcome::Left | Outcome::Aborted | Outcome::Panicked) | Err(_) => {}
            }
        };
        let limit = if stop.is_cancelled() { LAST_WORDS.1 } else { LAST_WORDS.0 };
        tokio::select! {
            ended = tokio::time::timeout(limit, telling) => if ended.is_err() {
                tracing::warn!("a hook was not told of the end in time");
            },
            () = stop.cancelled(), if !stop.is_cancelled() => {}
        }
    }

    /// Tells how the run stands, and when it is held for long, for as long as it goes on.
    pub async fn tell_along(&self, meter: &Meter) -> Infallible {
        let mut status_at = Instant::now() + self.settings.status_interval;
        let mut is_told = false;
        loop {
            tokio::time::sleep(TICK).await;
            let held = held_for(meter).is_some_and(|time| time >= self.settings.throttled_after);
            if held && !is_told {
                self.tell(Stage::ThrottledLong, meter, None).await;
            }
            is_told = held;
            if Instant::now() >= status_at {
                self.tell(Stage::Status, meter, None).await;
                status_at = Instant::now() + self.settings.status_interval;
            }
        }
    }

    fn document(&self, stage: Stage, meter: &Meter, error: Option<Trouble>) -> Document {
        let request = &self.request;
        Document {
            id: self.id(stage),
            stage,
            migration: request.migration_name.clone(),
            uid: request.migration_uid.clone(),
            attempt: request.attempt,
            table: request.table.to_string(),
            alter: request.alter.clone(),
            hint: self.settings.hint.clone(),
            at: Timestamp::now(),
            progress: meter.snapshot(),
            error,
        }
    }

    fn id(&self, stage: Stage) -> String {
        let request = &self.request;
        let who = request.migration_uid.as_ref().unwrap_or(&request.migration_name);
        let id = format!("{who}/{}/{stage}", request.attempt.unwrap_or_default());
        // It goes into a header, whose signature separates its parts by dots.
        let fits = |c: char| if c.is_ascii_alphanumeric() || "-_/".contains(c) { c } else { '-' };
        let id: String = id.chars().map(fits).collect();
        match stage {
            // What is told again and again is another message each time.
            Stage::Status | Stage::ThrottledLong => {
                format!("{id}/{}", self.told.fetch_add(1, Ordering::Relaxed))
            }
            _ => id,
        }
    }
}

fn trouble(failure: &Failure) -> Trouble {
    let Failure { reason, message, remedy, .. } = failure;
    Trouble { reason: *reason, message: message.clone(), remedy: remedy.clone() }
}

/// How long the run has been held for the application's sake.
fn held_for(meter: &Meter) -> Option<Duration> {
    let progress = meter.snapshot();
    let holding = progress.throttled.iter().filter(|reason| reason.signal.holds());
    holding.filter_map(|reason| reason.since.elapsed().ok()).max()
}

fn now() -> SystemTime {
    SystemTime::now()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::intent;
    use crate::engine::preflight::sample;
    use crate::engine::stage::{self, Questions};

    fn intent(command: Command, approved: &[Stage]) -> Intent {
        Intent { command, approved: approved.iter().copied().collect(), ..Intent::plain() }
    }

    fn gates(asked: &[Stage], approval: &[Stage]) -> (Gates, Questions) {
        let (asker, questions) = stage::channel(asked.iter().copied().collect());
        let approval = approval.iter().copied().collect();
        let stages = Settings { asker, approval, ..Settings::default() };
        (Gates::new(&Request { stages, ..sample::request() }), questions)
    }

    fn meter() -> Meter {
        Meter::new(watch::Sender::new(Meter::blank()))
    }

    /// Answers one question after the other; then nobody is there any more.
    async fn answers(mut questions: Questions, answers: Vec<Answer>) -> Vec<String> {
        let mut ids = Vec::new();
        for answer in answers {
            let Some(question) = questions.next().await else { break };
            ids.push(question.document.id.clone());
            question.answer(answer);
        }
        ids
    }

    #[tokio::test]
    async fn who_waits_or_is_silent_is_asked_again() {
        let (gates, questions) = gates(&[Stage::BeforeCopy], &[]);
        let (_publisher, wishes) = intent::channel(intent(Command::Run, &[]));
        let meter = meter();
        let mut beside = Beside::Nothing { intent: &wishes.intent, meter: &meter };
        let said =
            vec![Answer::Wait("busy".into()), Answer::Unanswered("broken".into()), Answer::Allow];
        let (passed, ids) =
            tokio::join!(gates.pass(Stage::BeforeCopy, &mut beside), answers(questions, said));
        assert!(passed.unwrap() && gates.has_passed(Stage::BeforeCopy));
        assert_eq!(ids, vec![ids[0].clone(); 3], "an id is kept");
        assert!(meter.snapshot().stage_hold.is_none() && meter.snapshot().waiting_for.is_empty());
        let again = gates.pass(Stage::BeforeCopy, &mut beside).await;
        assert!(!again.unwrap(), "what has passed is not asked again");
    }

    #[tokio::test]
    async fn a_denial_ends_the_run() {
        let (gates, questions) = gates(&[Stage::Validated], &[]);
        let (_publisher, wishes) = intent::channel(intent(Command::Run, &[]));
        let meter = meter();
        let mut beside = Beside::Nothing { intent: &wishes.intent, meter: &meter };
        let said = vec![Answer::Deny("hook \"one\" denies".into())];
        let (passed, _) =
            tokio::join!(gates.pass(Stage::Validated, &mut beside), answers(questions, said));
        let Err(Error::Refused { refusals }) = passed else { panic!("{passed:?}") };
        assert_eq!(refusals[0].reason, Reason::HookDenied);
        assert!(!gates.has_passed(Stage::Validated));
    }

    #[tokio::test]
    async fn an_approval_is_waited_for_and_has_to_stand_at_the_swap() {
        let (gates, _questions) = gates(&[], &[Stage::BeforeCutOver]);
        let (publisher, wishes) = intent::channel(intent(Command::Run, &[Stage::BeforeCopy]));
        let meter = meter();
        let mut beside = Beside::Nothing { intent: &wishes.intent, meter: &meter };
        let approving = async {
            let mut changes = meter.subscribe();
            changes.wait_for(|progress| progress.stage_hold.is_some()).await.unwrap();
            let hold = meter.snapshot().stage_hold.unwrap();
            assert_eq!(hold.reason, Reason::AwaitingApproval);
            assert!(!gates.may_swap(&wishes.intent.borrow()));
            publisher.publish(intent(Command::Run, &[Stage::BeforeCutOver]));
        };
        let (passed, ()) = tokio::join!(gates.pass(Stage::BeforeCutOver, &mut beside), approving);
        passed.unwrap();
        assert!(gates.may_swap(&wishes.intent.borrow()));
        assert!(!gates.may_swap(&intent(Command::Run, &[])), "it was taken back");
    }

    #[tokio::test]
    async fn an_abort_is_heard_while_a_hook_hangs() {
        let (gates, mut questions) = gates(&[Stage::BeforeCopy], &[]);
        let (publisher, wishes) = intent::channel(intent(Command::Run, &[]));
        let meter = meter();
        let mut beside = Beside::Nothing { intent: &wishes.intent, meter: &meter };
        let aborting = async {
            let question = questions.next().await;
            publisher.publish(intent(Command::Abort, &[]));
            question
        };
        let (passed, _question) =
            tokio::join!(gates.pass(Stage::BeforeCopy, &mut beside), aborting);
        assert!(matches!(passed, Err(Error::Stopped)), "{passed:?}");
    }

    #[test]
    fn ids_tell_migration_attempt_and_stage() {
        let (gates, _questions) = gates(&[], &[]);
        let name = gates.request.migration_name.clone();
        assert_eq!(gates.id(Stage::BeforeCopy), format!("{name}/0/BeforeCopy"));
        assert_eq!(gates.id(Stage::BeforeCopy), gates.id(Stage::BeforeCopy));
        assert_ne!(gates.id(Stage::Status), gates.id(Stage::Status));
    }
}
