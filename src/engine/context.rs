//! What the tasks of one attempt share: the plan, the backlog with the stream's positions, wishes and
//! counters. Locks are held for a few instructions and never across an await.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::backlog::claims::Claims;
use super::changes::transaction::EndMark;
use super::conflict::Streak;
use super::gate::Gate;
use super::gates::Gates;
use super::intent::{Command, Intent, Tuning, Wishes};
use super::meter::Meter;
use super::pace::Pace;
use super::phase::PhaseKind;
use super::plan::{Plan, StoredState};
use super::throttle::replicas::Beats;
use super::throttle::{Signal, Throttle};
use super::{Error, Result};
use crate::mysql::connect::Role;
use crate::mysql::position::{GtidSet, Position};
use crate::mysql::session::Session;

/// How long a new reading of the user's wishes may take.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Positions and keys: everything that the stream writes and the others read.
pub struct Flow {
    /// Keys and ranges.
    pub backlog: Backlog<EndMark>,
    /// Everything before this is dropped or committed.
    pub durable: Position,
    /// GTIDs of all transactions that began to arrive, with everything before the start.
    pub received: GtidSet,
    /// Transactions that began to arrive.
    pub begun: u64,
}

impl Flow {
    /// Moves the durable position as far as it may go.
    pub fn advance(&mut self) {
        for mark in self.backlog.advance() {
            mark.pass(&mut self.durable);
        }
    }

    /// The durable position as it will be when the running batch of `lane` commits.
    pub fn durable_with(&self, lane: usize) -> Option<Position> {
        let marks = self.backlog.advance_with(lane);
        let mut position = (!marks.is_empty()).then(|| self.durable.clone())?;
        for mark in marks {
            mark.pass(&mut position);
        }
        Some(position)
    }
}

/// Where the stream stands with respect to our own writes.
#[derive(Default)]
pub struct Echoes {
    /// The last marker written.
    pub marker_sent: AtomicU64,
    /// The marker behind which the stream stops until it is released; 0 is none.
    pub hold_at: AtomicU64,
}

/// What the lanes may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneMode {
    /// Take batches.
    Run,
    /// Finish the running batch and wait.
    Hold,
}

/// The session that stores the state, and the state as stored.
pub struct Store {
    /// Writes nothing else.
    pub session: Session,
    /// As the control table has it.
    pub state: StoredState,
}

/// The shared state of one attempt.
pub struct Context {
    /// The immutable inputs.
    pub plan: Plan,
    /// The epoch that this attempt holds.
    pub epoch: u64,
    /// Makes received transactions visible before anything reads the source table for them.
    pub gate: Gate,
    /// What the user asks for.
    pub intent: watch::Receiver<Intent>,
    wishes: Wishes,
    /// The stages that have passed, and who is asked for the next.
    pub gates: Arc<Gates>,
    /// Cancelled when the user wants the run to leave: seen between chunks and batches.
    pub leave: CancellationToken,
    /// Cancelled when everything of this attempt has to end now.
    pub stop: CancellationToken,
    /// Woken when a lane may have work.
    pub lane_work: Notify,
    /// Woken when a batch or a chunk has committed.
    pub lane_done: Notify,
    /// What the lanes may do.
    pub lane_mode: watch::Sender<LaneMode>,
    /// The last own marker seen in the stream.
    pub marker_seen: watch::Sender<u64>,
    /// Cancelled when the server is about to purge what is still needed, and the migration shall give up.
    pub retention_over: CancellationToken,
    /// Counts releases of a stream that holds behind a marker.
    pub stream_released: watch::Sender<u64>,
    /// Markers sent and held.
    pub echoes: Echoes,
    /// Counters and the published snapshot.
    pub meter: Meter,
    /// What makes the attempt go slower or stand still.
    pub throttle: Throttle,
    /// The heartbeats of this attempt.
    pub beats: Beats,
    /// How quickly keys are applied and compared.
    pub pace: Pace,
    /// Whether the RENAME was sent: from then on the run looks what happened before it ends.
    pub swap_sent: AtomicBool,
    /// Chunks given up in a row because of an index whose values cannot be computed.
    given_up: Mutex<Streak>,
    /// The next row id for a finished range.
    pub next_range_row: AtomicU64,
    flow: Mutex<Flow>,
    store: tokio::sync::Mutex<Store>,
}

/// What a new attempt starts from.
pub struct Start {
    /// The immutable inputs.
    pub plan: Plan,
    /// The epoch taken.
    pub epoch: u64,
    /// Ranges already copied.
    pub claims: Claims,
    /// Where the stream starts.
    pub position: Position,
    /// The gate for this server.
    pub gate: Gate,
    /// What the user asks for.
    pub wishes: Wishes,
    /// The stages of the run.
    pub gates: Arc<Gates>,
    /// Cancelled when the user wants the run to leave: seen between chunks and batches.
    pub leave: CancellationToken,
    /// Cancelled when everything of this attempt has to end now.
    pub stop: CancellationToken,
    /// Counters and the published snapshot.
    pub meter: Meter,
    /// Stores the state.
    pub store: Store,
}

impl Context {
    /// Puts the shared state of an attempt together.
    pub fn new(start: Start) -> Self {
        let next_range_row = AtomicU64::new(start.claims.last_row_id() + 1);
        let backlog = Backlog::new(start.plan.order, start.plan.lanes(), start.claims);
        let received = start.position.gtids.clone().unwrap_or_default();
        Self {
            plan: start.plan,
            epoch: start.epoch,
            gate: start.gate,
            intent: start.wishes.intent.clone(),
            wishes: start.wishes,
            gates: start.gates,
            leave: start.leave,
            stop: start.stop,
            lane_work: Notify::new(),
            lane_done: Notify::new(),
            lane_mode: watch::Sender::new(LaneMode::Run),
            marker_seen: watch::Sender::new(0),
            retention_over: CancellationToken::new(),
            stream_released: watch::Sender::new(0),
            echoes: Echoes::default(),
            beats: Beats::default(),
            throttle: Throttle::new(start.meter.clone()),
            meter: start.meter,
            pace: Pace::default(),
            given_up: Mutex::default(),
            swap_sent: AtomicBool::new(false),
            next_range_row,
            flow: Mutex::new(Flow { backlog, durable: start.position, received, begun: 0 }),
            store: tokio::sync::Mutex::new(start.store),
        }
    }

    /// The backlog and the positions, locked.
    pub fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunks given up in a row, locked.
    pub fn given_up(&self) -> MutexGuard<'_, Streak> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings in force.
    pub fn tuning(&self) -> Tuning {
        self.intent.borrow().tuning.clone()
    }

    /// The command in force.
    pub fn command(&self) -> Command {
        self.intent.borrow().command
    }

    /// Why nothing may be copied, compared or swapped for the application's sake; `None` when all may.
    pub fn hold(&self) -> Option<String> {
        let outside = self.outside_copy_window().map(|why| format!("the copy window: {why}"));
        outside.or_else(|| {
            let held = self.throttle.hold(&self.intent.borrow().tuning.throttle);
            held.map(|why| format!("less load: {why}"))
        })
    }

    /// Why the hour does not allow what this stage does, and states it: only copying and the comparison
    /// of all rows need a copy window.
    pub fn outside_copy_window(&self) -> Option<String> {
        let words = match self.meter.phase() {
            PhaseKind::RowCopy | PhaseKind::Verify => self.intent.borrow().copy_hold.clone(),
            PhaseKind::Preflight
            | PhaseKind::Prepare
            | PhaseKind::CatchUp
            | PhaseKind::AwaitCutOver
            | PhaseKind::CutOver
            | PhaseKind::CleanUp => None,
        };
        self.throttle.state(Signal::Window, words.clone());
        words
    }

    /// What a paused run waits for; `None` when it is not paused.
    pub fn paused(&self) -> Option<String> {
        self.intent.borrow().paused()
    }

    /// Publishes how far it is.
    pub fn sample(&self) {
        let (rows, backlog) = {
            let flow = self.flow();
            (flow.backlog.claims().rows_copied(), flow.backlog.queued() + flow.backlog.held())
        };
        self.meter.sample(rows, backlog as u64);
    }

    /// Has the user's wishes read anew; whether that succeeded.
    pub async fn read_wishes(&self) -> bool {
        self.wishes.read_anew(READ_LIMIT).await
    }

    /// Whether this attempt must stop at the next point where it can.
    pub fn is_stopping(&self) -> bool {
        self.leave.is_cancelled()
            || self.stop.is_cancelled()
            || self.retention_over.is_cancelled()
            || matches!(self.command(), Command::Leave | Command::Abort | Command::Panic)
    }

    /// Goes on at once unless the user paused; then waits for the resume or the end.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] when the attempt must stop.
    pub async fn wait_while_paused(&self) -> Result<()> {
        let mut intent = self.intent.clone();
        let mut said = None;
        loop {
            intent.borrow_and_update();
            if self.is_stopping() {
                return Err(Error::Stopped);
            }
            let Some(words) = self.paused() else {
                said.iter().for_each(|words: &String| self.meter.no_longer_wait_for(words));
                return Ok(());
            };
            self.meter.wait_for(&words);
            said = Some(words);
            tokio::select! {
                changed = intent.changed() => changed.map_err(|_| Error::Stopped)?,
                () = self.leave.cancelled() => return Err(Error::Stopped),
                () = self.stop.cancelled() => return Err(Error::Stopped),
            }
        }
    }

    /// Leaves the server to others for a share of the time that some work took, as the settings and the
    /// application's slowness ask. A change of the settings or the end of the attempt cut it short.
    pub async fn rest_after(&self, worked: Duration) {
        let nice = worked * self.tuning().nice_percent / 100;
        let rest = nice.max(self.throttle.pace().rest(worked));
        if !rest.is_zero() {
            let _stopped = self.pause_for(rest).await;
        }
    }

    /// Waits for a time, for a change of the user's wishes, or for the end.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] when the attempt must stop.
    pub async fn pause_for(&self, time: Duration) -> Result<()> {
        let mut intent = self.intent.clone();
        intent.borrow_and_update();
        let deadline = tokio::time::Instant::now() + time;
        tokio::select! {
            () = tokio::time::sleep_until(deadline) => {}
            changed = intent.changed() => changed.map_err(|_| Error::Stopped)?,
            () = self.leave.cancelled() => {}
            () = self.stop.cancelled() => {}
        }
        if self.is_stopping() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Changes the stored state, with the counters of now.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then the stored state is as before.
    pub async fn save(&self, change: impl FnOnce(&mut StoredState)) -> Result<()> {
        let mut store = self.store.lock().await;
        let mut state = self.counted(&store.state);
        change(&mut state);
        let control = &self.plan.tables.control;
        super::control::save_state(&mut store.session, control, self.epoch, &state).await?;
        store.state = state;
        Ok(())
    }

    /// The state as last stored, with the counters of now.
    pub async fn state(&self) -> StoredState {
        self.counted(&self.store.lock().await.state)
    }

    /// A state with the counters of now.
    pub fn counted(&self, state: &StoredState) -> StoredState {
        StoredState {
            keys_applied: self.meter.keys_applied(),
            rows_verified: self.meter.rows_verified(),
            rows_copied: self.flow().backlog.claims().rows_copied(),
            changes: self.plan.request.record.entries(),
            ..state.clone()
        }
    }

    /// Opens a session for this attempt and records it, so that a successor can kill it.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or the record cannot be written.
    pub async fn open(&self, role: Role) -> Result<Session> {
        super::control::open_session(&self.plan, self.epoch, role).await
    }

    /// Waits until a batch or a chunk commits, at most `limit`.
    pub async fn lane_progress(&self, limit: Duration) {
        let _elapsed = tokio::time::timeout(limit, self.lane_done.notified()).await;
    }

    /// The id for the next finished range.
    pub fn range_row_id(&self) -> u64 {
        self.next_range_row.fetch_add(1, Ordering::Relaxed)
    }
}

/// A deadline that errors can name.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Time left; zero when it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
}
