//! The warnings of a statement, as far as they tell which values do not fit. Their texts hold row
//! values, so only names and numbers of rows go on.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::mysql::error::{Error, ErrorClass, ServerFault};
use crate::mysql::session::{Row, Session};

const LIMIT: Duration = Duration::from_secs(10);
/// The most warnings that a server keeps.
const KEPT: usize = 65_535;
/// A column cannot be NULL.
const NULL: Option<u64> = Some(1048);

/// How many rows of a statement have a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Rows.
    pub rows: u64,
    /// Whether there may be more than the server keeps warnings for.
    pub more: bool,
    /// Whether NULL was refused, of which the server warns once, however many rows have it. They are
    /// not among `rows`.
    pub nulls: bool,
}

/// Lets the session keep as many warnings as it can, for [`refused_rows`].
///
/// # Errors
/// When the session fails.
pub async fn keep_all(session: &mut Session) -> Result<(), Error> {
    session.execute(&format!("SET SESSION max_error_count = {KEPT}"), LIMIT).await.map(drop)
}

/// How many rows the last statement would have been refused for because of this column or constraint
/// had it not been told to ignore that.
///
/// # Errors
/// When the session fails.
pub async fn refused_rows(session: &mut Session, column: Option<&str>) -> Result<Refused, Error> {
    let rows = session.query_rows("SHOW WARNINGS", LIMIT).await?;
    let (nulls, others): (Vec<&Row>, Vec<&Row>) =
        rows.iter().filter(|row| is_about(row, column)).partition(|row| row.u64(1) == NULL);
    let places: Vec<Option<u64>> = others.into_iter().map(place).collect();
    Ok(Refused { rows: count(&places), more: rows.len() >= KEPT, nulls: !nulls.is_empty() })
}

/// A note is no error in any mode.
fn is_about(row: &Row, column: Option<&str>) -> bool {
    let code = row.u64(1).and_then(|code| u16::try_from(code).ok()).unwrap_or_default();
    let message = row.string(2).unwrap_or_default();
    let fault = ServerFault::new(mysql_async::ServerError { code, message, state: String::new() });
    let ErrorClass::DataDoesNotFit { column: found } = fault.class() else { return false };
    row.string(0).as_deref() != Some("Note") && found.as_deref() == column
}

/// `... at row 7`, where the server says so.
fn place(row: &Row) -> Option<u64> {
    let message = row.string(2)?;
    message.rsplit_once(" at row ")?.1.parse().ok()
}

/// A row may be warned of twice; without its number each warning is another row.
fn count(places: &[Option<u64>]) -> u64 {
    let known: BTreeSet<u64> = places.iter().flatten().copied().collect();
    let unknown = places.iter().filter(|place| place.is_none()).count();
    (known.len() + unknown) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_once() {
        assert_eq!(count(&[Some(2), Some(2), Some(5)]), 2);
        assert_eq!(count(&[None, None, Some(2)]), 3);
        assert_eq!(count(&[]), 0);
    }
}
