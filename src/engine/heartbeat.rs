//! The periodic write: it measures how far the stream is behind, makes the durable position move when
//! the lanes have nothing to write, and stores the counters that survive a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Context;
use super::control::{self, SHORT, fenced};
use super::error::Doing;
use super::throttle::retention::{Durable, Reach};
use super::{Error, Result, backup};
use crate::failpoint::hit;
use crate::mysql::connect::Role;
use crate::sql::control::{Kind, put};

/// Time between two heartbeats.
const INTERVAL: Duration = Duration::from_millis(500);

/// Writes heartbeats until the attempt ends.
///
/// # Errors
///
/// What ends the attempt.
pub async fn beat(context: Arc<Context>) -> Result<()> {
    let mut session = context.open(Role::Control).await?;
    let plan = &context.plan;
    let mut number = 0;
    let (mut waits_for, mut durable) = (String::new(), Durable::default());
    loop {
        number += 1;
        let (position, reach) = {
            let mut flow = context.flow();
            flow.advance();
            (flow.durable.clone(), Reach::of(flow.backlog.pending()))
        };
        durable.watch(&context, reach);
        context.meter.send_heartbeat(number);
        let begun = Instant::now();
        hit("heartbeat.begin");
        let written = fenced(&mut session, &plan.tables.control, context.epoch, async |session| {
            let payload = format!("{}:{number}", context.epoch);
            let beat = put(&plan.tables.control, Kind::Heartbeat, 0, context.epoch, &payload);
            session.execute(&beat, SHORT).await.doing("write a heartbeat")?;
            let row =
                control::position_row(plan, context.epoch, control::HEARTBEAT_POSITION, &position);
            session.execute(&row, SHORT).await.doing("write the position")?;
            Ok(())
        })
        .await;
        match written {
            Ok(()) => {
                context.beats.committed(number, begun);
                context.meter.no_longer_wait_for(&std::mem::take(&mut waits_for));
            }
            Err(error) if is_table_locked(&error) => {
                if let Some(backup) = backup::holder(&mut session).await {
                    context.meter.wait_for(&backup.words);
                    waits_for = backup.words;
                }
            }
            Err(error) => return Err(error),
        }
        hit("heartbeat.written");
        context.sample();
        if context.pause_for(INTERVAL).await.is_err() {
            wait_for_end(&context).await;
            return Ok(());
        }
    }
}

/// During a cut-over the control table itself is locked, and a backup may lock all tables: this beat is
/// left out.
fn is_table_locked(error: &Error) -> bool {
    use crate::mysql::error::ErrorClass;
    matches!(error, Error::Query { source, .. } if source.class() == ErrorClass::Retryable)
}

/// The attempt winds down: whoever asked for the end cancels the group.
async fn wait_for_end(context: &Context) {
    context.stop.cancelled().await;
}
