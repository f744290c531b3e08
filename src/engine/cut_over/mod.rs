//! The cut-over: waits for permission and a quiet moment, then tries to swap within the lock budget,
//! with back-off between attempts. What happened is decided by looking which table bears the name,
//! never by the server's reply.

pub mod confirm;
mod swap;

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::blocker::{Blocker, Obstacle};
use super::context::{Context, Deadline, LaneMode};
use super::convergence::Convergence;
use super::error::Doing;
use super::gates::Beside;
use super::intent::Command;
use super::phase::PhaseKind;
use super::reason::{Reason, Refusal};
use super::stage::Stage;
use super::{Error, Result, backup, markers, verify};
use crate::mysql::connect::Role;
use crate::mysql::locks;
use crate::mysql::session::Session;

/// A transaction on the source table that is open for so many seconds would block the lock.
const OLD_TRANSACTION: u64 = 1;
/// The first pause after an attempt that did not swap, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often permission and quiet are looked at.
const POLL: Duration = Duration::from_millis(200);

/// Waits until a cut-over may begin: permission, no pause, all written keys compared, and everybody who is
/// asked agrees.
///
/// # Errors
///
/// What ends the attempt.
pub async fn wait_until_allowed(context: &Context) -> Result<()> {
    let mut session = context.open(Role::Verify).await?;
    loop {
        verify::pause_point(context, &mut session).await?;
        verify::compare_dirty(context, &mut session).await?;
        let Some(waits_for) = forbidden(context) else {
            context.meter.wait_for("");
            if context.gates.may_swap(&context.intent.borrow().clone()) {
                return Ok(());
            }
            // Meanwhile the permission may be taken back.
            context.gates.pass_before_swap(&mut Beside::Comparing(context, &mut session)).await?;
            continue;
        };
        // What was said before the permission comes does not count once it is there.
        context.gates.forget(Stage::BeforeCutOver);
        let is_postponed = context.intent.borrow().postpone_cut_over;
        if is_postponed {
            let mut beside = Beside::Comparing(context, &mut session);
            context.gates.pass(Stage::Postponed, &mut beside).await?;
        }
        context.meter.wait_for(&waits_for);
        context.pause_for(POLL * 5).await?;
    }
}

/// Tries to swap until it happened.
///
/// # Errors
///
/// What ends the attempt; a refusal when `maxAttempts` attempts did not swap.
pub async fn run(context: &Context) -> Result<()> {
    let mut side = context.open(Role::Verify).await?;
    let mut pause = BACK_OFF.0;
    loop {
        wait_for_quiet(context, &mut side).await?;
        if !may_begin(context).await? {
            wait_until_allowed(context).await?;
            continue;
        }
        let number = begin_attempt(context).await?;
        match attempt(context).await {
            Ok(seconds) => {
                tracing::info!(attempt = number, seconds, "the tables are swapped");
                return Ok(());
            }
            Err(swap::Failed::NotYet(why)) => {
                tracing::warn!(attempt = number, %why, "the cut-over was given up, to be tried again");
                context.meter.update(|progress| {
                    progress.last_cut_over_error.clone_from(&why.words);
                    progress.blocker.clone_from(&why.blocker);
                });
                limit_attempts(context, number, &why.words)?;
                let said = |why: &str| format!("the next cut-over attempt: {why}");
                context.meter.wait_for_obstacle(why.said(said));
                context.pause_for(pause).await?;
                pause = (pause * 2).min(BACK_OFF.1);
            }
            Err(swap::Failed::Ends(error)) => return Err(error),
        }
    }
}

/// Whether the user's wishes, read this moment, let an attempt begin: what was saved before it began
/// is never overtaken by the swap.
async fn may_begin(context: &Context) -> Result<bool> {
    if !context.read_wishes().await {
        context.meter.wait_for(
            "the manifest to be readable and valid: no cut-over begins on an earlier reading",
        );
        context.pause_for(POLL * 5).await?;
        return Ok(false);
    }
    if context.is_stopping() {
        return Err(Error::Stopped);
    }
    let held = context.hold().is_some();
    let wanted = context.intent.borrow().clone();
    let is_free = !held && wanted.command == Command::Run;
    let is_allowed = wanted.cut_over_hold(SystemTime::now()).is_none();
    Ok(is_free && is_allowed && context.gates.may_swap(&wanted))
}

/// What the user or the hour wants to be waited for before an attempt; the time is that of the call.
fn forbidden(context: &Context) -> Option<String> {
    context.intent.borrow().cut_over_hold(SystemTime::now())
}

async fn begin_attempt(context: &Context) -> Result<u32> {
    let mut number = 0;
    context
        .save(|state| {
            state.phase = PhaseKind::CutOver;
            state.cut_over_attempts += 1;
            number = state.cut_over_attempts;
        })
        .await?;
    context.meter.update(|progress| progress.cut_over_attempts = number);
    Ok(number)
}

fn limit_attempts(context: &Context, made: u32, why: &str) -> Result<()> {
    let limit = context.tuning().max_cut_over_attempts;
    if limit == 0 || made < limit {
        return Ok(());
    }
    Err(Error::Blocked {
        refusal: Refusal {
            reason: Reason::CutOverBlocked,
            message: format!("{made} cut-over attempts did not swap; the last one: {why}"),
            remedy:
                "end what blocks the table or raise cutOver.maxAttempts or cutOver.lockBudget, \
                     and run the same command again"
                    .to_owned(),
        },
    })
}

/// One attempt with the lanes held; they go on whatever happens.
async fn attempt(context: &Context) -> std::result::Result<f64, swap::Failed> {
    context.lane_mode.send_replace(LaneMode::Hold);
    let result = match lanes_are_idle(context).await {
        Ok(()) => swap::try_swap(context).await,
        Err(error) => Err(error.into()),
    };
    context.lane_mode.send_replace(LaneMode::Run);
    context.lane_work.notify_waiters();
    result
}

async fn lanes_are_idle(context: &Context) -> Result<()> {
    while context.flow().backlog.is_running() {
        context.lane_progress(Duration::from_millis(20)).await;
        if context.is_stopping() {
            return Err(Error::Stopped);
        }
    }
    Ok(())
}

/// Waits until an attempt has a chance: the stream keeps up, little is left, nobody blocks the table. Who
/// blocks it while no attempt may begin is nobody's business.
async fn wait_for_quiet(context: &Context, session: &mut Session) -> Result<()> {
    let mut convergence = Convergence::default();
    loop {
        verify::pause_point(context, session).await?;
        if forbidden(context).is_some() {
            return Ok(());
        }
        let budget = context.tuning().lock_budget;
        let number = markers::send(context, session).await?;
        let prompt = markers::wait(context, number, Deadline::after(budget / 2)).await?;
        verify::compare_dirty(context, session).await?;
        match obstacle(context, session, prompt).await? {
            None => {
                context.meter.wait_for("");
                return Ok(());
            }
            Some(obstacle) => {
                let said = |words: &str| convergence.watch(context, words.to_owned());
                context.meter.wait_for_obstacle(obstacle.said(said));
                context.pause_for(POLL).await?;
            }
        }
    }
}

/// What stands against an attempt now.
async fn obstacle(
    context: &Context,
    session: &mut Session,
    prompt: bool,
) -> Result<Option<Obstacle>> {
    let (backlog, dirty) = {
        let flow = context.flow();
        (flow.backlog.queued(), flow.backlog.dirty())
    };
    if !prompt {
        return Ok(Some("the stream to keep up with the server".into()));
    }
    // Half of the budget is for the prediction, the rest for being wrong.
    let (hold, budget) =
        (context.pace.predicted_hold(backlog, dirty), context.tuning().lock_budget);
    if hold > budget / 2 {
        return Ok(Some(format!(
            "the backlog to shrink: {backlog} keys to apply and {dirty} to compare would hold the \
             lock for {hold:.1?}, and half of the lock budget is {:.1?}",
            budget / 2
        ).into()));
    }
    if let Some(xid) = context.flow().backlog.prepared_xids().first() {
        let words =
            format!("the prepared XA transaction {xid} to end (XaPending): commit or roll it back");
        return Ok(Some(Obstacle { words, blocker: Some(Blocker::prepared(xid)) }));
    }
    if let Some(backup) = backup::holder(session).await {
        return Ok(Some(backup));
    }
    if let Some(id) = locks::cut_over_turn(session).await.doing("ask who cuts over")? {
        let words = format!("another cut-over on this server to end, that of connection {id}");
        return Ok(Some(words.into()));
    }
    for table in [&context.plan.tables.source, &context.plan.tables.shadow] {
        let blockers = locks::blockers(session, table).await.doing("find who uses the table")?;
        if let Some(old) = blockers.iter().find(|one| one.age_seconds >= OLD_TRANSACTION) {
            let words = format!("a transaction on {table} to end (CutOverBlocked): {old}");
            let blocker = Blocker::session(old, table.to_string(), Timestamp::now());
            return Ok(Some(Obstacle { words, blocker: Some(blocker) }));
        }
    }
    Ok(None)
}
