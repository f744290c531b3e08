//! What clients did and what they were told, and whether a final state can follow from it. A row is
//! known by its key in one spelling; each write puts a ticket that occurs once into it.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};

/// What a client was told about its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Committed.
    Ok,
    /// Not committed, or rolled back on purpose.
    Failed,
    /// The connection ended before the answer.
    Unknown,
}

/// What a transaction does to a row: the ticket that it puts in, or `None` when it deletes the row.
pub(crate) type Write = (String, Option<u64>);

/// One transaction as its client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Before the first statement.
    pub(crate) begun: Instant,
    /// After the last answer.
    pub(crate) ended: Instant,
    /// The last answer.
    pub(crate) told: Told,
    /// The rows it writes, each once.
    pub(crate) writes: Vec<Write>,
}

/// Fails when the final rows (key to ticket) miss an acknowledged write, hold one that failed, or went
/// back to an earlier one. `initial` is the ticket of rows that nobody wrote.
pub(crate) fn check(records: &[Record], rows: &BTreeMap<String, u64>, initial: u64) -> Result<()> {
    let mut of_key: BTreeMap<&str, Vec<(&Record, Option<u64>)>> = BTreeMap::new();
    for record in records {
        for (key, ticket) in &record.writes {
            of_key.entry(key).or_default().push((record, *ticket));
        }
    }
    let mut wrong = Vec::new();
    for (key, writes) in &of_key {
        if let Some(what) = fault(writes, rows.get(*key).copied(), initial) {
            wrong.push(format!("row {key}: {what}"));
        }
    }
    let foreign = rows
        .iter()
        .filter(|(key, ticket)| **ticket != initial && !of_key.contains_key(key.as_str()));
    wrong.extend(foreign.map(|(key, ticket)| format!("row {key}: nobody wrote ticket {ticket}")));
    if wrong.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = wrong.iter().take(5).cloned().collect();
    bail!("{} rows do not follow from what clients were told:\n{}", wrong.len(), shown.join("\n"))
}

fn fault(writes: &[(&Record, Option<u64>)], found: Option<u64>, initial: u64) -> Option<String> {
    let possible = |told: Told| told != Told::Failed;
    let explains =
        |(record, ticket): &&(&Record, Option<u64>)| possible(record.told) && *ticket == found;
    let last_ok = writes.iter().filter(|(record, _)| record.told == Told::Ok);
    let begun_last = last_ok.max_by_key(|(record, _)| record.begun);
    // Rows that nobody wrote: absent ones and those of the start.
    let untouched = found.is_none() || found == Some(initial);
    match writes.iter().filter(explains).max_by_key(|(record, _)| record.ended) {
        Some((source, _)) => begun_last
            .filter(|(record, _)| record.begun > source.ended)
            .map(|lost| format!("holds {found:?}, which {:?} replaced later", lost.1)),
        None if !untouched => Some(format!("holds {found:?}, which nobody was told of")),
        None => begun_last.map(|lost| format!("holds {found:?} and misses {:?}", lost.1)),
    }
}

/// Fails unless the checker finds each planted fault; the harness runs it once before it relies on it.
pub(crate) fn self_test() -> Result<()> {
    let start = Instant::now();
    let at = |millis: u64| start + std::time::Duration::from_millis(millis);
    let record = |begun: u64, told: Told, key: &str, ticket: Option<u64>| Record {
        begun: at(begun),
        ended: at(begun + 5),
        told,
        writes: vec![(key.to_owned(), ticket)],
    };
    let records = [
        record(0, Told::Ok, "a", Some(1)),
        record(10, Told::Ok, "a", Some(2)),
        record(20, Told::Failed, "a", Some(3)),
        record(30, Told::Ok, "b", None),
        record(40, Told::Unknown, "c", Some(4)),
    ];
    let judge = |rows: &[(&str, u64)]| {
        let rows = rows.iter().map(|(key, ticket)| ((*key).to_owned(), *ticket)).collect();
        check(&records, &rows, 0).is_ok()
    };
    let right = [judge(&[("a", 2), ("c", 4)]), judge(&[("a", 2), ("c", 0), ("d", 0)])];
    let wrong = [
        judge(&[("a", 1)]),
        judge(&[("a", 3)]),
        judge(&[]),
        judge(&[("a", 0)]),
        judge(&[("a", 2), ("b", 0)]),
        judge(&[("a", 2), ("d", 9)]),
    ];
    if right.contains(&false) || wrong.contains(&true) {
        bail!("the checker is blind: right {right:?}, wrong {wrong:?}");
    }
    Ok(())
}
