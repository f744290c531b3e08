//! The fast road: `ALGORITHM=INSTANT` where the server can. It is tried on the empty shadow table first,
//! so that the source table only sees a statement that will succeed. The definition it leads to is
//! stored before it is sent, so that a restart can tell whether it happened.

use std::time::{Duration, Instant, SystemTime};

use super::clean_up;
use super::control::{self, SHORT};
use super::error::Doing;
use super::intent::Intent;
use super::meter::Meter;
use super::outcome::{Outcome, Report};
use super::phase::PhaseKind;
use super::plan::{Plan, Tables};
use super::progress::PlanSummary;
use super::reason::{Reason, Refusal};
use super::resume::Unfinished;
use super::{Error, Result, prepare};
use crate::failpoint::hit;
use crate::mysql::error::ErrorClass;
use crate::mysql::locks;
use crate::mysql::session::Session;
use crate::schema::alter::Alter;
use crate::sql::ddl;

/// Tries for a lock before the copy road is taken.
const TRIES: u32 = 3;

/// What an INSTANT change did.
pub struct Done {
    /// From sending the ALTER to its answer.
    lock_seconds: f64,
    /// What people are told of it.
    plan: PlanSummary,
}

/// Changes the table at once; `None` when the server cannot or the lock was not to be had.
///
/// # Errors
///
/// When it is unknown whether it happened; the next attempt looks.
pub async fn try_change(
    session: &mut Session,
    plan: &Plan,
    (alter, epoch): (&Alter, u64),
    budget: Duration,
) -> Result<Option<Done>> {
    if !is_possible(session, &plan.tables, alter).await? {
        return Ok(None);
    }
    let mut state = plan.stored.clone();
    state.instant_target = Some(state.shadow_definition.clone());
    control::save_state(session, &plan.tables.control, epoch, &state).await?;
    let wait = ddl::set_lock_wait(budget.as_secs().max(1));
    session.execute(&wait, SHORT).await.doing("limit the lock wait")?;
    let change = ddl::alter_instantly(&plan.tables.source, alter);
    for _ in 0..TRIES {
        hit("instant.send");
        let began = Instant::now();
        match session.execute(&change, SHORT).await {
            Ok(_) => {
                hit("instant.done");
                let done =
                    Done { lock_seconds: began.elapsed().as_secs_f64(), plan: summary(plan) };
                let found = Unfinished {
                    request: plan.request.clone(),
                    tables: plan.tables.clone(),
                    state,
                    epoch,
                };
                record(session, &found).await?;
                prepare::drop_helpers(session, &plan.tables).await?;
                return Ok(Some(done));
            }
            Err(error) if error.class() == ErrorClass::Retryable => {
                name_blockers(session, plan).await?;
            }
            Err(source) => return Err(Error::Query { doing: "change the table at once", source }),
        }
    }
    state.instant_target = None;
    control::save_state(session, &plan.tables.control, epoch, &state).await?;
    Ok(None)
}

/// Whether the server can, found out on an empty table with the source table's definition, which then has
/// the new definition either way.
///
/// # Errors
///
/// When the server refuses.
pub async fn is_possible(session: &mut Session, tables: &Tables, alter: &Alter) -> Result<bool> {
    for statement in
        [ddl::drop_table(&tables.shadow), ddl::create_like(&tables.shadow, &tables.source)]
    {
        session.execute(&statement, SHORT).await.doing("try INSTANT on an empty table")?;
        hit("instant.emptied");
    }
    let alter = prepare::alter_of_copy(session, tables, alter).await?;
    let possible =
        session.execute(&ddl::alter_instantly(&tables.shadow, &alter), SHORT).await.is_ok();
    if !possible {
        let change = ddl::alter(&tables.shadow, &alter);
        session.execute(&change, SHORT).await.doing("apply the ALTER to the empty shadow table")?;
    }
    Ok(possible)
}

/// What the table's change has to wait for, in words; `None` when it may be made now. A change that is
/// postponed takes the other road and does not come here, or is demanded.
pub fn waits_for(wishes: &Intent) -> Option<String> {
    if let Some(words) = wishes.paused() {
        return Some(words);
    }
    let longest = wishes.tuning.lock_budget.max(Duration::from_secs(1)) * TRIES;
    let refusal = wishes.cut_over.refusal(SystemTime::now(), longest)?;
    Some(format!("the cut-over window: {refusal}"))
}

async fn name_blockers(session: &mut Session, plan: &Plan) -> Result<()> {
    let source = &plan.tables.source;
    let blockers = locks::blockers(session, source).await.doing("find who uses the table")?;
    for blocker in blockers {
        tracing::warn!(%blocker, table = %source, "INSTANT has to wait");
    }
    Ok(())
}

/// Writes the ledger entry of an INSTANT change.
///
/// # Errors
///
/// When the server refuses.
pub async fn record(session: &mut Session, found: &Unfinished) -> Result<()> {
    let report = Report { strategy: "Instant".to_owned(), ..Report::default() };
    clean_up::write_ledger(session, found, ("Completed", &report), None).await?;
    hit("instant.recorded");
    Ok(())
}

/// The outcome of an INSTANT change.
pub fn report(done: Done, meter: &Meter) -> Result<Outcome> {
    meter.enter(PhaseKind::CleanUp);
    meter.update(|progress| progress.plan = Some(done.plan));
    Ok(Outcome::Completed(Report {
        strategy: "Instant".to_owned(),
        lock_seconds: done.lock_seconds,
        total_seconds: meter.total_seconds(),
        phase_seconds: meter.phase_seconds(),
        ..Report::default()
    }))
}

/// No row is looked for, and no table beside the source table stays.
fn summary(plan: &Plan) -> PlanSummary {
    let warnings = plan.summary().warnings;
    PlanSummary { strategy: "Instant".to_owned(), warnings, ..PlanSummary::default() }
}

/// The refusal when INSTANT was demanded and cannot be had.
pub fn impossible() -> Refusal {
    Refusal {
        reason: Reason::InstantImpossible,
        message:
            "the server cannot make this change with ALGORITHM=INSTANT, or the table's lock was \
                  not to be had"
                .to_owned(),
        remedy: "set strategy to Auto or Copy".to_owned(),
    }
}
