//! After the swap: the ledger entry, the old table kept or dropped, the control table last. Every step
//! can be repeated.

use super::control::{self, SHORT, fenced};
use super::error::Doing;
use super::meter::Meter;
use super::outcome::{Outcome, Report};
use super::plan::StoredState;
use super::resume::Unfinished;
use super::{Result, old_table};
use crate::failpoint::hit;
use crate::mysql::inspect;
use crate::mysql::session::Session;
use crate::sql::control::{Kind, ledger, put};
use crate::sql::ddl;

/// Finishes a migration whose tables are swapped.
///
/// # Errors
///
/// When the server refuses; the next attempt goes on.
pub async fn run(mut session: Session, mut found: Unfinished, meter: &Meter) -> Result<Outcome> {
    let keep = !found.request.old_table_retain.is_zero();
    let mut report = report(&found, meter);
    hit("cleanup.begin");
    if !found.state.in_ledger {
        let old = old_table_id(&mut session, &found).await?;
        write_ledger(&mut session, &found, ("Completed", &report), old).await?;
        found.state.in_ledger = true;
    }
    hit("cleanup.ledger");
    if keep {
        let expiry = old_table::expiry(&mut session, &found.tables).await?;
        report.old_table = expiry.as_ref().map(|_| found.tables.old.table.clone());
        report.old_table_expires = expiry;
    } else {
        old_table::drop_now(&mut session, &found.tables).await?;
    }
    hit("cleanup.old");
    let drop = ddl::drop_table(&found.tables.control);
    session.execute(&drop, SHORT).await.doing("drop the control table")?;
    hit("cleanup.control");
    session.close().await;
    report.total_seconds = meter.total_seconds();
    report.phase_seconds = meter.phase_seconds();
    Ok(Outcome::Completed(report))
}

fn report(found: &Unfinished, meter: &Meter) -> Report {
    Report {
        phase_seconds: meter.phase_seconds(),
        total_seconds: meter.total_seconds(),
        ..counted(&found.state)
    }
}

/// The figures of a copy, as far as they are stored.
pub fn counted(state: &StoredState) -> Report {
    Report {
        strategy: "Copy".to_owned(),
        rows_copied: state.rows_copied,
        keys_applied: state.keys_applied,
        rows_verified: state.rows_verified,
        rows_repaired: state.rows_repaired,
        lock_seconds: state.lock_seconds,
        cut_over_attempts: state.cut_over_attempts,
        ..Report::default()
    }
}

/// The old table's id. It is the id that the source table had, or the name is not ours.
async fn old_table_id(session: &mut Session, found: &Unfinished) -> Result<Option<u64>> {
    let id = inspect::table_id(session, &found.tables.old).await.doing("look up the old table")?;
    Ok(id.filter(|id| *id == found.state.source_id))
}

/// Writes the ledger entry and notes in the control table that it is there, in one transaction. Then removes
/// rows of the ledger whose time is over.
///
/// # Errors
///
/// When the server refuses.
pub async fn write_ledger(
    session: &mut Session,
    found: &Unfinished,
    (outcome, report): (&str, &Report),
    old_table: Option<u64>,
) -> Result<()> {
    let database = &found.tables.source.database;
    session.execute(&ledger::create(database), SHORT).await.doing("create the ledger")?;
    hit("ledger.created");
    let figures = control::json(report);
    let changes = control::json(&found.request.record.entries());
    let has_changes = super::ledger::has_changes(session, database).await?;
    let entry = ledger::Entry {
        table: &found.tables.source.table,
        digest: &found.state.digest,
        migration: &found.state.migration,
        uid: found.state.uid.as_deref().unwrap_or_default(),
        outcome,
        requested_by: &found.request.requested_by,
        figures: &figures,
        changes: has_changes.then_some(changes.as_str()),
        old_table: old_table.map_or("", |_| found.tables.old.table.as_str()),
        old_table_id: old_table.unwrap_or_default(),
        retain_seconds: found.request.old_table_retain.as_secs(),
    };
    let insert = ledger::insert(database, &entry);
    let control = &found.tables.control;
    let mut state = found.state.clone();
    state.in_ledger = true;
    let noted = put(control, Kind::State, 0, found.epoch, &control::json(&state));
    fenced(session, control, found.epoch, async |session| {
        session.execute(&insert, SHORT).await.doing("write the ledger")?;
        hit("ledger.written");
        session.execute(&noted, SHORT).await.doing("note the ledger entry")?;
        Ok(())
    })
    .await?;
    super::ledger::prune(session, found).await
}
