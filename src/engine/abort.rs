//! Giving up on the user's wish: what was created is dropped, the source table stays as it is. After
//! the swap there is nothing to give up; the migration is finished instead.

use std::time::Duration;

use super::clean_up;
use super::context::Context;
use super::control::{self, SHORT};
use super::cut_over::confirm;
use super::error::Doing;
use super::outcome::Outcome;
use super::plan::Tables;
use super::reason::{Reason, Refusal};
use super::resume::Unfinished;
use super::{Error, Result};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::inspect;
use crate::mysql::session::Session;
use crate::sql::ddl;

/// Dropping a filled shadow table may take a while.
const DROP_LIMIT: Duration = Duration::from_secs(600);

/// Drops the shadow table by its id and the control table, and writes the ledger entry.
///
/// # Errors
///
/// When the server refuses, or somebody else changed the tables.
pub async fn drop_helpers(mut session: Session, found: Unfinished) -> Result<Outcome> {
    let tables = &found.tables;
    let has_shadow = match found.state.is_at_home(&session) {
        true => look_by_id(&mut session, &found).await?,
        false => look_by_name(&mut session, &found).await?,
    };
    hit("abort.begin");
    if has_shadow {
        let drop = ddl::drop_table(&tables.shadow);
        session.execute(&drop, DROP_LIMIT).await.doing("drop the shadow table")?;
    }
    hit("abort.shadow");
    if !found.state.in_ledger {
        let report = clean_up::counted(&found.state);
        clean_up::write_ledger(&mut session, &found, ("Aborted", &report), None).await?;
    }
    hit("abort.ledger");
    let drop = ddl::drop_table(&tables.control);
    session.execute(&drop, SHORT).await.doing("drop the control table")?;
    hit("abort.control");
    session.close().await;
    Ok(Outcome::Aborted)
}

/// Whether our shadow table is there.
async fn look_by_id(session: &mut Session, found: &Unfinished) -> Result<bool> {
    let Unfinished { tables, state, .. } = found;
    let source = inspect::table_id(session, &tables.source).await.doing("look up the table")?;
    if source == Some(state.shadow_id) {
        return Err(Error::Blocked { refusal: confirm::too_late(&tables.source) });
    }
    let shadow = inspect::table_id(session, &tables.shadow).await.doing("look up the table")?;
    Ok(shadow == Some(state.shadow_id))
}

/// The same on another server than the migration's, where ids mean nothing. A table under the shadow's name
/// is ours as long as our control table is there; a swap has left the old table in its place.
async fn look_by_name(session: &mut Session, found: &Unfinished) -> Result<bool> {
    let Unfinished { tables, state, .. } = found;
    let [shadow, old] = [&tables.shadow, &tables.old];
    let shadow = inspect::table_exists(session, shadow).await.doing("look up the table")?;
    let old = inspect::table_exists(session, old).await.doing("look up the old table")?;
    if !shadow && old && state.phase.swap_may_have_happened() {
        return Err(Error::Blocked { refusal: swapped_elsewhere(tables) });
    }
    Ok(shadow)
}

fn swapped_elsewhere(tables: &Tables) -> Refusal {
    Refusal::new(
        Reason::TooLate,
        format!(
            "{} has its new definition already, and got it on another server: there is nothing to abort",
            tables.source
        ),
        format!("drop {}, and {} when it is needed no more", tables.control, tables.old),
    )
}

/// Ends what the sessions of this attempt still execute, within a second. Panic touches nothing else.
pub async fn end_sessions(context: &Context) {
    let plan = &context.plan;
    let ending = async {
        let mut session = plan.request.connect.connect(Role::Inspect).await.ok()?;
        let limit = Duration::from_secs(1);
        let control = &plan.tables.control;
        control::end_sessions_of(&mut session, control, context.epoch, limit).await.ok()
    };
    let _limited = tokio::time::timeout(Duration::from_secs(1), ending).await;
}
