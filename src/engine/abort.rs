//! Giving up on the user's wish: what was created is dropped, the source table stays as it is. After
//! the swap there is nothing to give up; the migration is finished instead.

use std::time::Duration;

use super::Result;
use super::clean_up;
use super::context::Context;
use super::control::SHORT;
use super::cut_over::confirm;
use super::error::Doing;
use super::outcome::{Outcome, Report};
use super::resume::Unfinished;
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::mysql::session::Session;
use crate::mysql::{inspect, locks};
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
    let source =
        inspect::table_id(&mut session, &tables.source).await.doing("look up the table")?;
    if source == Some(found.state.shadow_id) {
        return Err(super::Error::Blocked { refusal: confirm::too_late(&tables.source) });
    }
    let shadow =
        inspect::table_id(&mut session, &tables.shadow).await.doing("look up the table")?;
    hit("abort.begin");
    if shadow == Some(found.state.shadow_id) {
        let drop = ddl::drop_table(&tables.shadow);
        session.execute(&drop, DROP_LIMIT).await.doing("drop the shadow table")?;
    }
    hit("abort.shadow");
    if !found.state.in_ledger {
        let report = Report { strategy: "Copy".to_owned(), ..Report::default() };
        clean_up::write_ledger(&mut session, &found, ("Aborted", &report), None).await?;
    }
    hit("abort.ledger");
    let drop = ddl::drop_table(&tables.control);
    session.execute(&drop, SHORT).await.doing("drop the control table")?;
    hit("abort.control");
    session.close().await;
    Ok(Outcome::Aborted)
}

/// Ends what the sessions of this attempt still execute, within a second. Panic touches nothing else.
pub async fn end_sessions(context: &Context) {
    let plan = &context.plan;
    let ending = async {
        let mut session = plan.request.connect.connect(Role::Inspect).await.ok()?;
        let select =
            crate::sql::control::select(&plan.tables.control, crate::sql::control::Kind::Session);
        let rows = session.query_rows(&select, Duration::from_secs(1)).await.ok()?;
        let own: Vec<u64> = rows
            .iter()
            .filter(|row| row.u64(1) == Some(context.epoch))
            .filter_map(|row| row.u64(0))
            .collect();
        locks::kill_own(&mut session, &own).await.ok()
    };
    let _limited = tokio::time::timeout(Duration::from_secs(1), ending).await;
}
