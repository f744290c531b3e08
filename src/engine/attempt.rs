//! One attempt: look what is stored, begin or continue, and drive the stages beside the tasks that
//! live across them. It ends by finishing, by the user's wish, or by an error.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::context::{Context, Start, Store};
use super::control::Worker;
use super::error::Doing;
use super::gate::Gate;
use super::gates::{Beside, Gates};
use super::intent::{Command, Intent, Wishes};
use super::meter::Meter;
use super::outcome::Outcome;
use super::phase::PhaseKind;
use super::prepare::Prepared;
use super::request::Request;
use super::resume::{self, Found, Unfinished};
use super::stage::Stage;
use super::{
    Error, Result, abort, applier, catch_up, changes, clean_up, control, cut_over, heartbeat,
    instant, preflight, prepare, retention, row_copy, throttle, verify,
};
use crate::mysql::binlog::{BinlogStream, StreamStart};
use crate::mysql::connect::Role;
use crate::mysql::position::Position;
use crate::mysql::session::Session;
use crate::tasks::{TaskError, TaskGroup};

/// How long an attempt may take to wind down after it was asked to end.
const WIND_DOWN: Duration = Duration::from_secs(8);

/// How often the hour is looked at while nothing else is to be done.
const WINDOW_POLL: Duration = Duration::from_secs(1);

/// How often one attempt looks anew because another worker changed the table before it could begin.
const BEGINNINGS: u32 = 5;

/// Runs one attempt.
pub(super) async fn run(
    request: &Request,
    (wishes, gates): (&Wishes, &Arc<Gates>),
    meter: &Meter,
    stop: &CancellationToken,
    worker: &mut Worker,
) -> Result<Outcome> {
    let intent = &wishes.intent;
    if let Some(outcome) = ended_before_start(intent, stop) {
        return Ok(outcome);
    }
    let mut session = request.connect.connect(Role::Control).await.doing("reach the server")?;
    let mut request = request.clone();
    request.connect.expect_server = Some(session.server_identity().to_owned());
    let begun = tokio::select! {
        biased;
        outcome = told_before_copy(intent, stop) => return Ok(outcome),
        begun = begin(&mut session, &request, (intent, gates, meter), worker) => begun?,
    };
    match begun {
        Begun::Ended(outcome) => Ok(outcome),
        Begun::Swapped(unfinished) => {
            meter.enter(PhaseKind::CleanUp);
            let (cleaned, ()) =
                tokio::join!(clean_up::run(session, *unfinished, meter), gates.tell_swapped(meter));
            cleaned
        }
        Begun::Aborting(unfinished) => abort::drop_helpers(session, *unfinished).await,
        Begun::Copying(prepared) => copy(session, *prepared, (wishes, gates, meter, stop)).await,
    }
}

/// What is asked for, the stages, and where it is shown how the run stands.
type Around<'a> = (&'a watch::Receiver<Intent>, &'a Gates, &'a Meter);

/// What there is to do after looking and preparing.
enum Begun {
    Ended(Outcome),
    Swapped(Box<Unfinished>),
    Aborting(Box<Unfinished>),
    Copying(Box<Prepared>),
}

/// Looks what is stored and prepares what is not. It may be dropped at any point: an interrupted
/// preparation is dropped by the next attempt. Looks again when another worker changed the table.
async fn begin(
    session: &mut Session,
    request: &Request,
    around: Around<'_>,
    worker: &mut Worker,
) -> Result<Begun> {
    let mut overtaken = 0;
    while overtaken < BEGINNINGS {
        match begin_once(session, request, around, worker).await? {
            Look::Begun(begun) => return Ok(*begun),
            Look::Overtaken => overtaken += 1,
            Look::TooEarly => wait_for_window(around).await,
        }
    }
    Err(Error::Superseded)
}

/// What a look came to.
enum Look {
    Begun(Box<Begun>),
    /// Another worker changed the table between the checks and the fence.
    Overtaken,
    /// All that there is to do is a change that this hour does not allow; nothing is left of the look.
    TooEarly,
}

/// Waits until the table may be changed, or something else is asked for.
async fn wait_for_window((intent, _, meter): Around<'_>) {
    let mut intent = intent.clone();
    let first = intent.borrow_and_update().command;
    loop {
        let words = instant::waits_for(&intent.borrow());
        let Some(words) = words.filter(|_| intent.borrow().command == first) else {
            meter.wait_for("");
            return;
        };
        meter.wait_for(&words);
        tokio::select! {
            changed = intent.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(WINDOW_POLL) => {}
        }
    }
}

async fn begin_once(
    session: &mut Session,
    request: &Request,
    around: Around<'_>,
    worker: &mut Worker,
) -> Result<Look> {
    let command = command(around.0);
    let aborting = command == Command::Abort;
    let begun = match resume::look(session, request, command, worker).await? {
        Found::Finished { finished_at } => Begun::Ended(Outcome::AlreadyApplied { finished_at }),
        Found::Swapped(unfinished) => Begun::Swapped(Box::new(unfinished)),
        Found::Running(unfinished) if aborting => Begun::Aborting(Box::new(unfinished)),
        Found::Running(unfinished) => {
            Begun::Copying(Box::new(resume::rebuild(session, unfinished).await?))
        }
        Found::Nothing | Found::Gone if aborting => Begun::Ended(Outcome::Aborted),
        Found::Gone => return Err(Error::Superseded),
        Found::Nothing => return prepare_anew(session, request, around, worker).await,
    };
    Ok(Look::Begun(Box::new(begun)))
}

async fn prepare_anew(
    session: &mut Session,
    request: &Request,
    (intent, gates, meter): Around<'_>,
    worker: &mut Worker,
) -> Result<Look> {
    meter.enter(PhaseKind::Preflight);
    let (mut inspected, mut alter) = preflight::pass(session, request).await?;
    for warning in &inspected.warnings {
        tracing::warn!(reason = %warning.reason, "{}; {}", warning.message, warning.remedy);
    }
    meter.enter(PhaseKind::Prepare);
    let wishes = match pass_before_copy(request, (intent, gates, meter)).await {
        Ok((wishes, false)) => wishes,
        Ok((wishes, true)) => {
            // The server and the table may have changed meanwhile, and the session may be gone.
            *session = request.connect.connect(Role::Control).await.doing("reach the server")?;
            (inspected, alter) = preflight::pass(session, request).await?;
            wishes
        }
        // An abort: it looks first.
        Err(Error::Stopped) => return Ok(Look::Overtaken),
        Err(error) => return Err(error),
    };
    match prepare::run(session, request, (inspected, alter), &wishes, worker).await? {
        prepare::Road::Instant(done) => {
            Ok(Look::Begun(Box::new(Begun::Ended(instant::report(*done, meter)?))))
        }
        prepare::Road::Copy(prepared) => Ok(Look::Begun(Box::new(Begun::Copying(prepared)))),
        prepare::Road::Overtaken => Ok(Look::Overtaken),
        prepare::Road::TooEarly => Ok(Look::TooEarly),
    }
}

/// Waits until the copy may begin, or the change at once where the server can. Returns the wishes to go by,
/// and whether there was anything to wait for.
async fn pass_before_copy(
    request: &Request,
    (intent, gates, meter): Around<'_>,
) -> Result<(Intent, bool)> {
    let mut beside = Beside::Nothing { intent, meter };
    let mut waited = gates.pass(Stage::Validated, &mut beside).await?;
    waited |= gates.pass(Stage::BeforeCopy, &mut beside).await?;
    loop {
        let wishes = intent.borrow().clone();
        let is_now =
            prepare::wants_instant(request, &wishes) && instant::waits_for(&wishes).is_none();
        if !is_now || gates.may_swap(&wishes) {
            return Ok((wishes, waited));
        }
        gates.pass_before_swap(&mut beside).await?;
        waited = true;
    }
}

/// Waits for a panic or the wish to leave before the copy has begun. An abort has to look first.
async fn told_before_copy(intent: &watch::Receiver<Intent>, stop: &CancellationToken) -> Outcome {
    let mut intent = intent.clone();
    loop {
        match intent.borrow_and_update().command {
            Command::Panic => return Outcome::Panicked,
            Command::Leave => return Outcome::Left,
            Command::Run | Command::Pause | Command::Abort => {}
        }
        tokio::select! {
            changed = intent.changed() => if changed.is_err() { return Outcome::Left },
            () = stop.cancelled() => return Outcome::Left,
        }
    }
}

fn command(intent: &watch::Receiver<Intent>) -> Command {
    intent.borrow().command
}

/// The outcome when the user already asked for the end. An abort has to look first.
fn ended_before_start(
    intent: &watch::Receiver<Intent>,
    stop: &CancellationToken,
) -> Option<Outcome> {
    match command(intent) {
        Command::Panic => Some(Outcome::Panicked),
        Command::Leave => Some(Outcome::Left),
        Command::Run | Command::Pause | Command::Abort => {
            stop.is_cancelled().then_some(Outcome::Left)
        }
    }
}

/// Waits between two attempts; the outcome when the user asks for the end meanwhile.
pub(super) async fn wait_or_end(
    intent: &watch::Receiver<Intent>,
    stop: &CancellationToken,
    pause: Duration,
) -> Option<Outcome> {
    let mut changes = intent.clone();
    changes.borrow_and_update();
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = stop.cancelled() => {}
        Ok(()) = changes.changed() => {}
    }
    ended_before_start(intent, stop)
}

/// Copies, verifies and swaps from wherever the stored stage stands.
async fn copy(
    session: Session,
    prepared: Prepared,
    (wishes, gates, meter, stop): (&Wishes, &Arc<Gates>, &Meter, &CancellationToken),
) -> Result<Outcome> {
    let Prepared { plan, epoch, claims, position } = prepared;
    // What was said of a change at once is not said of this one.
    gates.forget(Stage::BeforeCutOver);
    meter.restore(plan.stored.keys_applied, plan.stored.rows_verified);
    meter.update(|progress| {
        progress.rows_estimated = plan.stored.rows_estimated;
        progress.rows_repaired = plan.stored.rows_repaired;
        progress.cut_over_attempts = plan.stored.cut_over_attempts;
        progress.plan = Some(plan.summary());
    });
    let gtid = plan.server.has_gtids();
    let state = plan.stored.clone();
    let ending = CancellationToken::new();
    let context = Arc::new(Context::new(Start {
        plan,
        epoch,
        claims,
        position: position.clone(),
        gate: Gate::for_server(gtid),
        wishes: wishes.clone(),
        gates: Arc::clone(gates),
        leave: stop.clone(),
        stop: ending.clone(),
        meter: meter.clone(),
        store: Store { session, state },
    }));
    let stream = open_stream(&context, position).await?;
    if context.plan.stored.phase.compares_written_keys() {
        context.flow().backlog.track_dirty();
    }
    throttle::hold_until_known(&context);
    let mut tasks = TaskGroup::new();
    tasks.spawn("the stream", changes::follow::follow(Arc::clone(&context), stream));
    tasks.spawn("the heartbeat", heartbeat::beat(Arc::clone(&context)));
    tasks.spawn("the watch of replicas", throttle::replicas::watch(Arc::clone(&context)));
    tasks.spawn("the watch of the server", throttle::server::watch(Arc::clone(&context)));
    tasks.spawn("the target's query", throttle::query::watch(Arc::clone(&context)));
    tasks.spawn("the target's URL", throttle::http::watch(Arc::clone(&context)));
    tasks.spawn("the watch of slowness", throttle::slowdown::watch(Arc::clone(&context)));
    tasks.spawn("auto-pause", throttle::recovery::watch(Arc::clone(&context)));
    if let Gate::Barrier(barrier) = &context.gate {
        tasks.spawn("the commit barrier", Arc::clone(barrier).serve(Arc::clone(&context)));
    }
    for lane in 0..context.plan.lanes() {
        tasks.spawn("a lane", applier::run_lane(Arc::clone(&context), lane));
    }
    let end = tasks.run(drive_until_told(&context, stop, ending)).await;
    let end = match end {
        Ok(end) => end,
        Err(TaskError::Failed { source, .. }) => Err(source),
        Err(TaskError::Panicked { name }) => Err(Error::Panicked { name }),
    };
    finish(context, end, meter).await
}

async fn open_stream(context: &Context, position: Position) -> Result<BinlogStream> {
    let mut session = context.open(Role::Stream).await?;
    retention::expect_held(&mut session, &position).await?;
    let start = match position.gtids {
        Some(gtids) if context.plan.server.has_gtids() => StreamStart::Gtid(gtids),
        _ => StreamStart::Coordinates(position.coordinates),
    };
    let server_id = stream_server_id(context.epoch, session.connection_id());
    let conn = session.into_conn().doing("open the binlog stream")?;
    let stream = BinlogStream::open(conn, &start, server_id).await;
    Ok(stream.map_err(changes::transaction::ChangeError::from)?)
}

/// Two readers with one server id push each other out, so each stream has its own.
fn stream_server_id(epoch: u64, connection: u64) -> u32 {
    let low = u32::try_from((epoch.wrapping_mul(65_537) ^ connection) & 0x3fff_ffff);
    0x4000_0000 | low.unwrap_or_default()
}

/// How driving ended.
enum End {
    Swapped,
    Told(Told),
}

/// Why it has to end early.
#[derive(Clone, Copy)]
enum Told {
    /// The user wants it.
    Wish(Command),
    /// The server is about to purge what is still needed.
    RetentionOver,
}

/// Drives the stages; when the user asks for the end, gives the running step a short time to finish.
async fn drive_until_told(
    context: &Context,
    stop: &CancellationToken,
    ending: CancellationToken,
) -> Result<End> {
    let mut driving = std::pin::pin!(drive(context));
    let told = tokio::select! {
        biased;
        told = told_to_end(context, stop) => told,
        result = &mut driving => return result.map(|()| End::Swapped),
    };
    let limit = match (context.swap_sent.load(Ordering::Acquire), told) {
        (true, _) => WIND_DOWN * 10,
        (false, Told::Wish(Command::Panic)) => Duration::ZERO,
        (false, _) => WIND_DOWN,
    };
    let mut result = tokio::time::timeout(limit, &mut driving).await;
    if result.is_err() && context.swap_sent.load(Ordering::Acquire) {
        // It was sent in the last moment: only the tables tell what became of it.
        result = tokio::time::timeout(WIND_DOWN * 10, &mut driving).await;
    }
    ending.cancel();
    match result {
        Ok(Ok(())) => Ok(End::Swapped),
        Ok(Err(Error::Stopped)) | Err(_) => Ok(End::Told(told)),
        Ok(Err(error)) => Err(error),
    }
}

async fn told_to_end(context: &Context, stop: &CancellationToken) -> Told {
    let mut intent = context.intent.clone();
    loop {
        let command = intent.borrow_and_update().command;
        if matches!(command, Command::Panic | Command::Abort | Command::Leave) {
            return Told::Wish(command);
        }
        tokio::select! {
            changed = intent.changed() => if changed.is_err() { return Told::Wish(Command::Leave) },
            () = stop.cancelled() => return Told::Wish(Command::Leave),
            () = context.retention_over.cancelled() => {
                tracing::warn!(
                    "the migration gives up: the server is about to purge what it has yet to read"
                );
                return Told::RetentionOver;
            }
        }
    }
}

/// Runs stage after stage, storing each before it begins.
async fn drive(context: &Context) -> Result<()> {
    let mut phase = context.plan.stored.phase;
    loop {
        context.meter.enter(phase);
        // What the stage before was held by does not concern this one.
        context.outside_copy_window();
        phase = match phase {
            PhaseKind::Preflight | PhaseKind::Prepare | PhaseKind::RowCopy => {
                row_copy::run(context).await?;
                let mut beside = Beside::Following(context);
                context.gates.pass(Stage::RowCopyComplete, &mut beside).await?;
                PhaseKind::CatchUp
            }
            PhaseKind::CatchUp => {
                catch_up::run(context).await?;
                prepare::analyze(context).await?;
                PhaseKind::Verify
            }
            PhaseKind::Verify => {
                verify::run(context).await?;
                let mut session = context.open(Role::Verify).await?;
                let mut beside = Beside::Comparing(context, &mut session);
                context.gates.pass(Stage::Verified, &mut beside).await?;
                PhaseKind::AwaitCutOver
            }
            PhaseKind::AwaitCutOver => {
                cut_over::wait_until_allowed(context).await?;
                PhaseKind::CutOver
            }
            // Permission was taken back, or the window closed, while nobody ran.
            PhaseKind::CutOver
                if context.intent.borrow().cut_over_hold(SystemTime::now()).is_some() =>
            {
                PhaseKind::AwaitCutOver
            }
            PhaseKind::CutOver => {
                cut_over::run(context).await?;
                return Ok(());
            }
            PhaseKind::CleanUp => return Ok(()),
        };
        if phase != PhaseKind::CutOver {
            context.save(|state| state.phase = phase).await?;
        }
    }
}

/// What counts when the tables are about to be dropped: a panic that came since keeps every one.
async fn told_last(context: &Context, told: Told) -> Told {
    if matches!(told, Told::RetentionOver | Told::Wish(Command::Abort)) {
        // Where the wishes cannot be read the last ones count.
        context.read_wishes().await;
    }
    match context.command() {
        Command::Panic => Told::Wish(Command::Panic),
        _ => told,
    }
}

/// Ends the attempt after the tasks have stopped.
async fn finish(context: Arc<Context>, end: Result<End>, meter: &Meter) -> Result<Outcome> {
    let end = match end? {
        End::Told(told) => End::Told(told_last(&context, told).await),
        End::Swapped => End::Swapped,
    };
    if let End::Told(Told::Wish(command)) = end
        && command != Command::Abort
    {
        return Ok(match command {
            Command::Panic => {
                abort::end_sessions(&context).await;
                Outcome::Panicked
            }
            _ => Outcome::Left,
        });
    }
    let mut session = context.open(Role::Control).await?;
    let control = &context.plan.tables.control;
    control::check_fence(&mut session, control, context.epoch).await?;
    let stored = control::load_state(&mut session, control).await?;
    let state = context.counted(&stored.unwrap_or(context.state().await));
    let unfinished = resume::unfinished(&context.plan.request, state, context.epoch);
    match end {
        End::Swapped => {
            meter.enter(PhaseKind::CleanUp);
            let (cleaned, ()) = tokio::join!(
                clean_up::run(session, unfinished, meter),
                context.gates.tell_swapped(meter)
            );
            cleaned
        }
        End::Told(Told::Wish(_)) => abort::drop_helpers(session, unfinished).await,
        End::Told(Told::RetentionOver) => {
            abort::drop_helpers(session, unfinished).await?;
            Err(Error::GivenUp { refusal: throttle::retention::given_up() })
        }
    }
}
