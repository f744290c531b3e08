//! What a duplicate-key error of the shadow table means. A duplicate is concluded only from two rows of
//! the source table that claim one value in one snapshot; otherwise a row of the shadow table is behind
//! and its key joins the batch, or the source table has moved on and the statement is tried again.

use std::collections::BTreeMap;

use super::context::Context;
use super::error::Doing;
use super::plan::SyncShape;
use super::reason::{Reason, Refusal};
use super::{Error, Result, rows};
use crate::mysql::session::Session;
use crate::schema::key::Key;
use crate::sql::conflict::{
    OtherUnique, Scope, duplicates_across, duplicates_within, list_duplicates, rows_in_the_way,
};
use crate::sql::key::digest_expression;
use crate::sql::sync::Pair;

use super::applier::BATCH_LIMIT;

/// Rows looked at per index.
const LOOK_LIMIT: usize = 1000;
/// Groups of duplicates of which a row is named.
const EXAMPLES: usize = 3;

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
        let groups = duplicates(context, session, unique, scope).await?;
        if !groups.is_empty() {
            return Ok(Finding::Duplicate(duplicate_key(&context.plan.pair, unique, &groups)));
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

/// The digest of one row of each group of duplicates, at most [`LOOK_LIMIT`].
async fn duplicates(
    context: &Context,
    session: &mut Session,
    unique: &OtherUnique,
    scope: Scope<'_>,
) -> Result<Vec<String>> {
    let pair = &context.plan.pair;
    let within = duplicates_within(pair, unique, scope, LOOK_LIMIT)?;
    let mut rows = session.query_rows(&within, BATCH_LIMIT).await.doing("look for duplicates")?;
    if rows.is_empty() {
        let across = duplicates_across(pair, unique, scope, LOOK_LIMIT)?;
        rows = session.query_rows(&across, BATCH_LIMIT).await.doing("look for duplicates")?;
    }
    Ok(rows.iter().filter_map(|row| row.string(0)).collect())
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

/// How often indexes whose values cannot be computed refused rows, with no success in between.
#[derive(Debug, Default)]
pub struct Streak(BTreeMap<String, u32>);

impl Streak {
    /// Forgets everything: there was a success.
    pub fn end(&mut self) {
        self.0.clear();
    }

    /// Counts a failure because of `index`, unless its values can be computed; returns how many there
    /// were of that index.
    fn count(&mut self, others: &[OtherUnique], index: &str) -> u32 {
        let opaque = |unique: &&OtherUnique| unique.columns.is_empty() && unique.index == index;
        if others.iter().find(opaque).is_none() {
            return 0;
        }
        let count = self.0.entry(index.to_owned()).or_default();
        *count += 1;
        *count
    }
}

/// The refusal when an index whose values cannot be computed from the source table refused rows again
/// and again; no proof is possible there.
pub fn unproven(context: &Context, streak: &mut Streak, index: Option<&str>) -> Option<Refusal> {
    let SyncShape::DeleteInsert(others) = &context.plan.shape else { return None };
    let index = index?;
    let refused = streak.count(others, index);
    (refused >= UNPROVEN_LIMIT).then(|| {
        let source = &context.plan.pair.source;
        Refusal::new(
            Reason::DuplicateKey,
            format!(
                "the unique index `{index}` refused rows of {source} {refused} times in a row; \
                 duplicates are the likely cause, but this is not proven, because the values of \
                 `{index}` cannot be computed from {source}"
            ),
            format!(
                "group the rows of {source} by the values that `{index}` will have and look for \
                 groups of more than one row; make them unique, or abort and make `{index}` an \
                 ordinary index, and run the migration again"
            ),
        )
    })
}

fn duplicate_key(pair: &Pair, unique: &OtherUnique, groups: &[String]) -> Refusal {
    let index = &unique.index;
    let (least, number) = match groups.len() {
        LOOK_LIMIT => ("at least ", LOOK_LIMIT),
        number => ("", number),
    };
    let noun = if number == 1 { "group" } else { "groups" };
    let examples: Vec<&str> = groups.iter().take(EXAMPLES).map(String::as_str).collect();
    Refusal::new(
        Reason::DuplicateKey,
        format!(
            "rows of {} share a value that the unique index `{index}` allows only once: {least}{number} \
             {noun} of such rows found so far; a key of each, hashed: {}",
            pair.source,
            examples.join(", ")
        ),
        format!(
            "make them unique and run the migration again; {} lists them; the hash of a key is {}",
            list_duplicates(pair, unique),
            digest_expression(&pair.source_key, "")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_an_opaque_index_count() {
        let unique = |index: &str| OtherUnique { index: index.to_owned(), columns: Vec::new() };
        let others = [unique("e"), unique("f")];
        let mut streak = Streak::default();
        assert_eq!(streak.count(&others, "e"), 1);
        assert_eq!(streak.count(&others, "known"), 0);
        assert_eq!(streak.count(&others, "f"), 1);
        assert_eq!(streak.count(&others, "e"), 2);
        streak.end();
        assert_eq!(streak.count(&others, "e"), 1);
    }
}
