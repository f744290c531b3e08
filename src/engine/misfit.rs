//! Values that the new definition cannot hold: how many rows of a failed chunk or batch have one, and
//! which, by digest. In: the rows that failed; out: the refusal. The look writes to the shadow table in
//! a transaction under the fence that is always rolled back; when it fails, the refusal is told plainly.

use std::ops::Range;
use std::time::Duration;

use super::applier::pieces;
use super::context::{Context, Deadline};
use super::control::{self, SHORT};
use super::error::Doing;
use super::reason::{Reason, Refusal};
use super::{Error, Result, rows};
use crate::mysql::connect::Role;
use crate::mysql::error::ErrorClass;
use crate::mysql::locks;
use crate::mysql::session::Session;
use crate::mysql::warnings;
use crate::schema::conversion::{Conversion, conversion};
use crate::schema::key::Key;
use crate::sql::conflict::Scope;
use crate::sql::key::digest_expression;
use crate::sql::sync::{self, Pair};

/// How long a look may take, and each of its statements once more.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// Rows that are looked at: the largest chunk.
const ROWS: usize = 100_000;
/// Rows that are named.
const EXAMPLES: usize = 3;

const LOOK: &str = "look which rows do not fit";

/// What a look found; what is unknown is left out.
#[derive(Debug, Default)]
struct Found {
    looked_at: usize,
    count: Option<Count>,
    examples: Vec<Key>,
    digests: Vec<String>,
}

/// Rows that do not fit.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rows: u64,
    /// Whether there may be more.
    more: bool,
}

impl Count {
    fn add(&mut self, rows: u64, more: bool) {
        self.rows += rows;
        self.more |= more;
    }
}

/// The refusal for rows of which one has a value that this column or constraint refused.
pub async fn refusal(
    context: &Context,
    session: &mut Session,
    scope: Scope<'_>,
    column: Option<&str>,
) -> Refusal {
    let mut found = Found::default();
    if let Err(error) = look(context, session, (scope, column), &mut found).await {
        tracing::debug!(error = %super::failure::chain(&error), "not all rows were looked at");
    }
    tell(&context.plan.pair, column, &found)
}

/// The refusal when nothing more is known.
pub fn plain(column: Option<&str>) -> Refusal {
    let named = named(column);
    Refusal::new(
        Reason::DataDoesNotFit,
        format!("a row of the source table has a value that {named} cannot hold any more"),
        remedy(&named),
    )
}

fn tell(pair: &Pair, column: Option<&str>, found: &Found) -> Refusal {
    let known = found.digests.len() as u64;
    let (count, more) = match found.count {
        Some(count) if count.rows >= known => (count.rows, count.more),
        _ => (known, true),
    };
    if count == 0 {
        return plain(column);
    }
    let named = named(column);
    let least = if more { "at least " } else { "" };
    let mut message = format!(
        "{} has values that {named} cannot hold any more, in {least}{count} of the {} rows that were \
         looked at",
        pair.source,
        found.looked_at.max(found.digests.len())
    );
    let mut remedy = remedy(&named);
    if known > 0 {
        message = format!("{message}; keys of such rows, hashed: {}", found.digests.join(", "));
        remedy =
            format!("{remedy}; the hash of a key is {}", digest_expression(&pair.source_key, ""));
    }
    Refusal::new(Reason::DataDoesNotFit, message, remedy)
}

fn named(column: Option<&str>) -> String {
    column.map_or_else(|| "a column".to_owned(), |column| format!("`{column}`"))
}

fn remedy(named: &str) -> String {
    format!(
        "change the rows whose value does not fit the new definition of {named}, or choose a wider \
         definition, and run the migration again"
    )
}

/// Looks in a transaction that never commits. A statement that does not end in time is ended.
async fn look(
    context: &Context,
    session: &mut Session,
    (scope, column): (Scope<'_>, Option<&str>),
    found: &mut Found,
) -> Result<()> {
    session.begin(SHORT).await.doing(LOOK)?;
    let looked = async {
        control::check_fence(session, &context.plan.tables.control, context.epoch).await?;
        let mut look = Look::begin(context, session, (scope, column)).await?;
        found.looked_at = look.keys.len();
        found.count = look.count().await?;
        look.find(&mut found.examples).await
    }
    .await;
    if session.is_usable() {
        session.roll_back(SHORT).await.doing(LOOK)?;
        found.digests = digests(context, session, &found.examples).await?;
    } else {
        let mut side = context.open(Role::Control).await?;
        locks::kill_own(&mut side, &[session.connection_id()]).await.doing(LOOK)?;
        side.close().await;
    }
    looked
}

async fn digests(context: &Context, session: &mut Session, keys: &[Key]) -> Result<Vec<String>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let select = sync::select_digests(&context.plan.pair, keys)?;
    let rows = session.query_rows(&select, LOOK_TIME).await.doing(LOOK)?;
    Ok(rows.iter().filter_map(|row| row.string(0)).collect())
}

/// The rows in question inside the open transaction.
struct Look<'a> {
    pair: &'a Pair,
    session: &'a mut Session,
    scope: Scope<'a>,
    column: Option<&'a str>,
    keys: Vec<Key>,
    deadline: Deadline,
}

impl<'a> Look<'a> {
    async fn begin(
        context: &'a Context,
        session: &'a mut Session,
        (scope, column): (Scope<'a>, Option<&'a str>),
    ) -> Result<Self> {
        let pair = &context.plan.pair;
        let deadline = Deadline::after(LOOK_TIME);
        let keys = match scope {
            Scope::Keys(keys) => keys.to_vec(),
            Scope::Range(lower, upper) => {
                let select = sync::select_range(pair, lower, upper, ROWS)?;
                let found = session.query_rows(&select, LOOK_TIME).await.doing(LOOK)?;
                found
                    .iter()
                    .map(|row| rows::key_of(&pair.source_key, row))
                    .collect::<Result<_>>()?
            }
        };
        let mut look = Self { pair, session, scope, column, keys, deadline };
        look.clear().await?;
        look.run(sync::SAVEPOINT).await?;
        Ok(look)
    }

    async fn run(&mut self, statement: &str) -> Result<()> {
        self.session.execute(statement, LOOK_TIME).await.doing(LOOK).map(drop)
    }

    /// What the shadow table has of these rows would be a duplicate.
    async fn clear(&mut self) -> Result<()> {
        let statements: Vec<String> = match self.scope {
            Scope::Keys(keys) => pieces(keys)
                .map(|piece| sync::delete_keys(self.pair, piece))
                .collect::<std::result::Result<_, _>>()?,
            Scope::Range(lower, upper) => vec![sync::delete_range(self.pair, lower, upper)?],
        };
        for statement in statements {
            self.run(&statement).await?;
        }
        Ok(())
    }

    /// How many rows do not fit; `None` when the server does not ignore it, or it would not be undone.
    async fn count(&mut self) -> Result<Option<Count>> {
        if raises_counter(self.pair) {
            return Ok(None);
        }
        warnings::keep_all(self.session).await.doing(LOOK)?;
        let mut sum = Count::default();
        for part in self.parts() {
            let scope = match self.scope {
                Scope::Keys(_) => Scope::Keys(self.keys.get(part).unwrap_or_default()),
                range @ Scope::Range(..) => range,
            };
            let lenient = match scope {
                Scope::Keys(keys) => sync::insert_keys_leniently(self.pair, keys)?,
                Scope::Range(lower, upper) => sync::copy_range_leniently(self.pair, lower, upper)?,
            };
            let nulls = match self.column {
                Some(column) => sync::count_nulls(self.pair, scope, column)?,
                None => None,
            };
            match self.run(&lenient).await {
                Ok(()) => {}
                Err(error) if misfit(&error).is_some() => return Ok(None),
                Err(error) => return Err(error),
            }
            let refused = warnings::refused_rows(self.session, self.column).await.doing(LOOK)?;
            sum.add(refused.rows, refused.more);
            match nulls.filter(|_| refused.nulls) {
                Some(select) => {
                    let row = self.session.query_one(&select, LOOK_TIME).await.doing(LOOK)?;
                    sum.add(row.u64(0).unwrap_or_default(), false);
                }
                None => sum.add(u64::from(refused.nulls), refused.nulls),
            }
        }
        self.run(sync::UNDO).await?;
        Ok(Some(sum))
    }

    /// Adds up to three keys whose row alone is refused because of the column.
    async fn find(&mut self, examples: &mut Vec<Key>) -> Result<()> {
        for Range { mut start, end } in self.parts() {
            while examples.len() < EXAMPLES && self.refuses(start..end).await?.is_some() {
                let row = self.first_refused(start..end).await?;
                if self.refuses(row..row + 1).await?.flatten().as_deref() == self.column {
                    examples.extend(self.keys.get(row).cloned());
                }
                start = row + 1;
            }
        }
        Ok(())
    }

    /// The first row that is refused, of rows of which one is.
    async fn first_refused(&mut self, among: Range<usize>) -> Result<usize> {
        let Range { mut start, mut end } = among;
        while end - start > 1 {
            let middle = start + (end - start) / 2;
            match self.refuses(start..middle).await? {
                Some(_) => end = middle,
                None => start = middle,
            }
        }
        Ok(start)
    }

    /// Whether the server refuses one of these rows, and because of which column. Leaves no row.
    async fn refuses(&mut self, part: Range<usize>) -> Result<Option<Option<String>>> {
        if part.is_empty() || self.deadline.is_over() {
            return Ok(None);
        }
        let statement = self.insert(&part)?;
        match self.run(&statement).await {
            Ok(()) => self.run(sync::UNDO).await.map(|()| None),
            Err(error) => misfit(&error).map(Some).ok_or(error),
        }
    }

    fn insert(&self, part: &Range<usize>) -> Result<String> {
        Ok(match self.scope {
            Scope::Keys(_) => sync::insert_keys(self.pair, self.slice(part))?,
            Scope::Range(lower, _) => {
                let below = part.start.checked_sub(1).and_then(|row| self.keys.get(row));
                let last = self.keys.get(part.end.saturating_sub(1));
                sync::copy_range(self.pair, below.or(lower), last)?
            }
        })
    }

    fn slice(&self, part: &Range<usize>) -> &[Key] {
        self.keys.get(part.clone()).unwrap_or_default()
    }

    /// The rows in parts that one statement may name.
    fn parts(&self) -> Vec<Range<usize>> {
        let sizes: Vec<usize> = match self.scope {
            Scope::Keys(_) => pieces(&self.keys).map(<[Key]>::len).collect(),
            Scope::Range(..) => vec![self.keys.len()],
        };
        let mut start = 0;
        let part = |size| {
            start += size;
            start - size..start
        };
        sizes.into_iter().map(part).collect()
    }
}

/// The column or constraint that refused a value, when that is what the error says.
fn misfit(error: &Error) -> Option<Option<String>> {
    let Error::Query { source, .. } = error else { return None };
    match source.class() {
        ErrorClass::DataDoesNotFit { column } => Some(column),
        _ => None,
    }
}

/// Whether ignored errors could store a wrong, large value in the AUTO_INCREMENT column: its counter
/// is not rolled back.
fn raises_counter(pair: &Pair) -> bool {
    let exact = |kind| matches!(kind, Conversion::Unchanged | Conversion::Widening);
    pair.mapping.pairs.iter().any(|columns| {
        columns.shadow.auto_increment && !exact(conversion(&columns.source, &columns.shadow))
    })
}
