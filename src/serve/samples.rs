//! How migrations went: samples of each in a ring of bounded size. Pure; views and times go in.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::Selection;
use super::view::Migration;

/// Migrations that are remembered at the most.
const MIGRATIONS: usize = 128;

/// One look at a migration.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Its phase.
    pub phase: String,
    /// Rows copied.
    pub rows_copied: u64,
    /// Rows copied per second.
    pub rows_per_second: f64,
    /// Keys applied.
    pub keys_applied: u64,
    /// Keys that wait.
    pub backlog: u64,
    /// Lag of the stream in seconds.
    pub stream_lag: Option<f64>,
    /// Lag of the control replica that is furthest behind, in seconds.
    pub replica_lag: Option<f64>,
    /// The signals that made it go slower.
    pub throttled: Vec<String>,
}

/// The samples of one migration, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// The samples of all.
#[derive(Debug)]
pub struct Rings {
    length: usize,
    rings: BTreeMap<(String, String), VecDeque<Sample>>,
}

impl Rings {
    /// Rings of this length.
    pub fn new(length: usize) -> Self {
        Self { length, rings: BTreeMap::new() }
    }

    /// Takes a look at all that there are. One that has ended gets no more samples; one that is gone loses
    /// those that it has.
    pub fn take(&mut self, all: &[Migration], at: Timestamp) {
        let key = |one: &Migration| (one.namespace.clone(), one.name.clone());
        let known: Vec<_> = all.iter().map(key).collect();
        self.rings.retain(|name, _| known.contains(name));
        for migration in all.iter().filter(|one| !one.ended) {
            let key = key(migration);
            if self.rings.len() >= MIGRATIONS && !self.rings.contains_key(&key) {
                continue;
            }
            let ring = self.rings.entry(key).or_default();
            if ring.len() >= self.length {
                ring.pop_front();
            }
            ring.push_back(sample(migration, at));
        }
    }

    /// The samples of those that are meant.
    pub fn series(&self, selection: &Selection) -> Vec<Series> {
        let meant = self.rings.iter().filter(|((space, name), _)| selection.fits(space, name));
        meant
            .map(|((namespace, name), ring)| Series {
                namespace: namespace.clone(),
                name: name.clone(),
                samples: ring.iter().cloned().collect(),
            })
            .collect()
    }
}

fn sample(migration: &Migration, at: Timestamp) -> Sample {
    let figures = &migration.figures;
    Sample {
        at,
        phase: migration.phase.clone(),
        rows_copied: figures.rows_copied,
        rows_per_second: figures.rows_per_second,
        keys_applied: figures.keys_applied,
        backlog: figures.backlog,
        stream_lag: figures.stream_lag_seconds,
        replica_lag: figures.replica_lag_seconds,
        throttled: migration.throttled.iter().map(|one| one.signal.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::view::Figures;

    fn migration(name: &str, rows_copied: u64, ended: bool) -> Migration {
        let figures = Figures { rows_copied, ..Figures::default() };
        Migration { name: name.to_owned(), figures, ended, ..Migration::default() }
    }

    #[test]
    fn a_ring_keeps_the_newest_and_forgets_who_is_gone() {
        let mut rings = Rings::new(3);
        let at = Timestamp::UNIX_EPOCH;
        for rows in 0..5 {
            rings.take(&[migration("one", rows, false), migration("two", rows, rows > 1)], at);
        }
        let all = rings.series(&Selection::default());
        let rows = |series: &Series| {
            series.samples.iter().map(|sample| sample.rows_copied).collect::<Vec<_>>()
        };
        assert_eq!(all.iter().map(rows).collect::<Vec<_>>(), [vec![2, 3, 4], vec![0, 1]]);
        rings.take(&[migration("two", 9, true)], at);
        let left = rings.series(&Selection::default());
        assert_eq!(left.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["two"]);
    }

    #[test]
    fn the_number_of_rings_is_bounded() {
        let mut rings = Rings::new(3);
        let all: Vec<_> = (0..500).map(|it| migration(&it.to_string(), 0, false)).collect();
        rings.take(&all, Timestamp::UNIX_EPOCH);
        assert_eq!(rings.series(&Selection::default()).len(), MIGRATIONS);
    }
}
