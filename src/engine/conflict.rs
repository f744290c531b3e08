//! What a duplicate-key error of the shadow table means. A duplicate is concluded only from two rows of
//! the source table that claim one value in one snapshot; otherwise a row of the shadow table is behind
//! and its key joins the batch, or the source table has moved on and the statement is tried again.

use super::context::Context;
use super::error::Doing;
use super::plan::SyncShape;
use super::reason::{Reason, Refusal};
use super::{Error, Result, rows};
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::sql::conflict::{
    OtherUnique, Scope, duplicates_across, duplicates_within, rows_in_the_way,
};

use super::applier::BATCH_LIMIT;

/// Rows looked at per index.
const LOOK_LIMIT: usize = 1000;

/// Failures in a row after which a duplicate is assumed in an index whose values cannot be computed.
const UNPROVEN_LIMIT: u32 = 200;

/// What was found.
pub enum Finding {
    /// Keys of shadow rows that bear a value which is needed elsewhere.
    InTheWay(Vec<Key>),
    /// Two source rows claim one value.
    Duplicate(Refusal),
    /// Nothing now: try again.
    Nothing,
}

/// Looks what is in the way of the rows in scope. Reads only; no transaction may be open.
///
/// # Errors
///
/// When a look fails.
pub async fn look(context: &Context, session: &mut Session, scope: Scope<'_>) -> Result<Finding> {
    let SyncShape::DeleteInsert(others) = &context.plan.shape else {
        return Err(Error::BrokenInvariant { what: "a row of the shadow table was there already" });
    };
    let mut keys = Vec::new();
    for unique in others.iter().filter(|unique| !unique.columns.is_empty()) {
        if let Some(count) = duplicates(context, session, unique, scope).await? {
            return Ok(Finding::Duplicate(duplicate_key(&unique.index, count)));
        }
        keys.extend(in_the_way(context, session, unique, scope).await?);
    }
    if let Scope::Keys(batch) = scope {
        keys.retain(|key| !batch.contains(key));
    }
    keys.sort();
    keys.dedup();
    Ok(if keys.is_empty() { Finding::Nothing } else { Finding::InTheWay(keys) })
}

async fn duplicates(
    context: &Context,
    session: &mut Session,
    unique: &OtherUnique,
    scope: Scope<'_>,
) -> Result<Option<usize>> {
    let pair = &context.plan.pair;
    let within = duplicates_within(pair, unique, scope, LOOK_LIMIT)?;
    let within = session.query_rows(&within, BATCH_LIMIT).await.doing("look for duplicates")?;
    let across = duplicates_across(pair, unique, scope, LOOK_LIMIT)?;
    let across = session.query_rows(&across, BATCH_LIMIT).await.doing("look for duplicates")?;
    let count = within.len() + across.len();
    Ok((count > 0).then_some(count))
}

async fn in_the_way(
    context: &Context,
    session: &mut Session,
    unique: &OtherUnique,
    scope: Scope<'_>,
) -> Result<Vec<Key>> {
    let pair = &context.plan.pair;
    let statement = rows_in_the_way(pair, unique, scope, LOOK_LIMIT)?;
    let found = session
        .query_rows(&statement, BATCH_LIMIT)
        .await
        .doing("look for rows that are in the way")?;
    found.iter().map(|row| rows::key_of(&pair.shadow_key, row)).collect()
}

/// The refusal when an index whose values cannot be computed from the source table refused the same
/// rows again and again; no proof is possible there.
pub fn unproven(context: &Context, tries: u32) -> Option<Refusal> {
    let SyncShape::DeleteInsert(others) = &context.plan.shape else { return None };
    let opaque = others.iter().find(|unique| unique.columns.is_empty())?;
    (tries >= UNPROVEN_LIMIT).then(|| duplicate_key(&opaque.index, 1))
}

fn duplicate_key(index: &str, count: usize) -> Refusal {
    Refusal {
        reason: Reason::DuplicateKey,
        message: format!(
            "rows of the source table share a value that the unique index `{index}` allows only \
             once ({count} found so far)"
        ),
        remedy: format!(
            "find them by grouping the table by the columns of `{index}` HAVING COUNT(*) > 1, make \
             them unique and run the migration again"
        ),
    }
}

/// The refusal for a value that the new definition cannot hold.
pub fn does_not_fit(column: Option<&str>) -> Refusal {
    let named = column.map_or_else(|| "a column".to_owned(), |column| format!("`{column}`"));
    Refusal {
        reason: Reason::DataDoesNotFit,
        message: format!("a row of the source table has a value that {named} cannot hold any more"),
        remedy: format!(
            "change the rows whose value does not fit the new definition of {named}, or choose a \
             wider definition, and run the migration again"
        ),
    }
}
