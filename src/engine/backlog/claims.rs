//! The key space as a row of ranges in key order: finished, in flight, unclaimed.
//!
//! Ranges are told apart by their place in this row, never by comparing bounds, so the same
//! bookkeeping serves keys that only the server can order. Only [`Claims::locate`] compares.

use crate::schema::key::Key;

/// Names a claimed range for as long as it is in flight.
pub type ChunkId = u64;

/// The key space, cut into ranges.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claims {
    segments: Vec<Segment>,
    last_chunk: ChunkId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Segment {
    /// Upper bound, inclusive; `None` is the end of the key space. The lower bound is that of the
    /// segment before.
    upper: Option<Key>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Unclaimed,
    InFlight(ChunkId),
    Finished(Vec<FinishedRow>),
}

/// A row of the control table that records a finished range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FinishedRow {
    /// Its id in the control table.
    pub id: u64,
    /// Rows copied in it.
    pub rows: u64,
}

/// A range with its bounds: lower exclusive, upper inclusive, `None` where it is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// Lower bound, exclusive.
    pub lower: Option<Key>,
    /// Upper bound, inclusive.
    pub upper: Option<Key>,
}

/// Where a key lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Nobody has claimed its range.
    Unclaimed,
    /// A chunk copies its range.
    InFlight(ChunkId),
    /// Its range is copied.
    Finished,
}

/// Adjacent finished rows that may become one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The row that stays.
    pub keep: u64,
    /// The rows that go.
    pub remove: Vec<u64>,
    /// Bounds of the merged range.
    pub range: Range,
    /// Rows copied in all of them.
    pub rows: u64,
}

impl Default for Claims {
    fn default() -> Self {
        Self::new()
    }
}

impl Claims {
    /// Nothing is claimed yet.
    pub fn new() -> Self {
        Self { segments: vec![Segment { upper: None, state: State::Unclaimed }], last_chunk: 0 }
    }

    /// Rebuilds the row of ranges from finished ones in key order, with gaps unclaimed.
    pub fn resume(finished: Vec<(Range, FinishedRow)>) -> Self {
        let mut claims = Self { segments: Vec::new(), last_chunk: 0 };
        let mut end = Some(None);
        for (range, row) in finished {
            if end.as_ref() != Some(&range.lower) {
                claims.push(range.lower.clone(), State::Unclaimed);
            }
            claims.push(range.upper.clone(), State::Finished(vec![row]));
            end = range.upper.map(Some);
        }
        if end.is_some() {
            claims.push(None, State::Unclaimed);
        }
        claims.join_neighbours();
        claims
    }

    fn push(&mut self, upper: Option<Key>, state: State) {
        self.segments.push(Segment { upper, state });
    }

    /// Where a key lies; meaningful only for keys whose bytes order as the server orders them.
    pub fn locate(&self, key: &Key) -> Location {
        let index = self
            .segments
            .partition_point(|segment| segment.upper.as_ref().is_some_and(|upper| upper < key));
        match self.segments.get(index).map(|segment| &segment.state) {
            Some(State::InFlight(chunk)) => Location::InFlight(*chunk),
            Some(State::Finished(_)) => Location::Finished,
            Some(State::Unclaimed) | None => Location::Unclaimed,
        }
    }

    /// The first unclaimed range, in which the next boundary has to be found.
    pub fn next_unclaimed(&self) -> Option<Range> {
        let index = self.first(|state| matches!(state, State::Unclaimed))?;
        Some(self.range(index))
    }

    /// Claims the part of the first unclaimed range up to `upper`, to its end when `None`.
    pub fn claim(&mut self, upper: Option<Key>) -> Option<ChunkId> {
        let index = self.first(|state| matches!(state, State::Unclaimed))?;
        let end = self.segments.get(index)?.upper.clone();
        let chunk = self.last_chunk + 1;
        self.last_chunk = chunk;
        let claimed = match upper {
            Some(upper) if Some(&upper) != end.as_ref() => Some(upper),
            _ => None,
        };
        match claimed {
            Some(upper) => self
                .segments
                .insert(index, Segment { upper: Some(upper), state: State::InFlight(chunk) }),
            None => self.set(index, State::InFlight(chunk)),
        }
        Some(chunk)
    }

    /// Chunks in flight, in key order.
    pub fn in_flight(&self) -> Vec<ChunkId> {
        self.segments
            .iter()
            .filter_map(|segment| match segment.state {
                State::InFlight(chunk) => Some(chunk),
                State::Unclaimed | State::Finished(_) => None,
            })
            .collect()
    }

    /// Whether every range is finished.
    pub fn is_complete(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment.state, State::Finished(_)))
    }

    /// The bounds of a chunk in flight.
    pub fn chunk_range(&self, chunk: ChunkId) -> Option<Range> {
        self.first(|state| *state == State::InFlight(chunk)).map(|index| self.range(index))
    }

    pub(super) fn finish(&mut self, chunk: ChunkId, row_id: u64, rows: u64) {
        if let Some(index) = self.first(|state| *state == State::InFlight(chunk)) {
            self.set(index, State::Finished(vec![FinishedRow { id: row_id, rows }]));
            self.join_neighbours();
        }
    }

    pub(super) fn give_up(&mut self, chunk: ChunkId) {
        if let Some(index) = self.first(|state| *state == State::InFlight(chunk)) {
            self.set(index, State::Unclaimed);
            self.join_neighbours();
        }
    }

    /// A run of at least `least` finished rows that lie side by side, if there is one.
    pub fn merge_candidate(&self, least: usize) -> Option<Merge> {
        self.segments.iter().enumerate().find_map(|(index, segment)| match &segment.state {
            State::Finished(rows) if rows.len() >= least.max(2) => Some(Merge {
                keep: rows.first()?.id,
                remove: rows.iter().skip(1).map(|row| row.id).collect(),
                range: self.range(index),
                rows: rows.iter().map(|row| row.rows).sum(),
            }),
            _ => None,
        })
    }

    /// The merge has been committed.
    pub fn merged(&mut self, merge: &Merge) {
        for segment in &mut self.segments {
            if let State::Finished(rows) = &mut segment.state
                && rows.iter().any(|row| row.id == merge.keep)
            {
                rows.retain(|row| row.id != merge.keep && !merge.remove.contains(&row.id));
                rows.insert(0, FinishedRow { id: merge.keep, rows: merge.rows });
            }
        }
    }

    /// Rows copied in all finished ranges.
    pub fn rows_copied(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| match &segment.state {
                State::Finished(rows) => rows.iter().map(|row| row.rows).sum(),
                State::Unclaimed | State::InFlight(_) => 0,
            })
            .sum()
    }

    /// The highest id of a finished row, 0 when there is none.
    pub fn last_row_id(&self) -> u64 {
        let ids = |segment: &Segment| match &segment.state {
            State::Finished(rows) => rows.iter().map(|row| row.id).max().unwrap_or(0),
            State::Unclaimed | State::InFlight(_) => 0,
        };
        self.segments.iter().map(ids).max().unwrap_or(0)
    }

    fn first(&self, wanted: impl Fn(&State) -> bool) -> Option<usize> {
        self.segments.iter().position(|segment| wanted(&segment.state))
    }

    fn range(&self, index: usize) -> Range {
        let lower = index.checked_sub(1).and_then(|before| self.segments.get(before));
        Range {
            lower: lower.and_then(|segment| segment.upper.clone()),
            upper: self.segments.get(index).and_then(|segment| segment.upper.clone()),
        }
    }

    fn set(&mut self, index: usize, state: State) {
        if let Some(segment) = self.segments.get_mut(index) {
            segment.state = state;
        }
    }

    fn join_neighbours(&mut self) {
        let mut joined: Vec<Segment> = Vec::with_capacity(self.segments.len());
        for segment in self.segments.drain(..) {
            match (joined.last_mut(), &segment.state) {
                (Some(Segment { upper, state: State::Unclaimed }), State::Unclaimed) => {
                    *upper = segment.upper;
                }
                (Some(Segment { upper, state: State::Finished(rows) }), State::Finished(more)) => {
                    rows.extend(more.iter().cloned());
                    *upper = segment.upper;
                }
                _ => joined.push(segment),
            }
        }
        self.segments = joined;
    }
}

#[cfg(test)]
impl Claims {
    /// Numbers the chunks in flight anew, from 1 in key order; returns their old numbers in this order.
    pub(super) fn renumber_in_flight(&mut self) -> Vec<ChunkId> {
        let mut old = Vec::new();
        for segment in &mut self.segments {
            if let State::InFlight(chunk) = &mut segment.state {
                old.push(*chunk);
                *chunk = old.len() as ChunkId;
            }
        }
        self.last_chunk = old.len() as ChunkId;
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::from_bytes(&[byte])
    }

    #[test]
    fn keys_are_located_by_the_state_of_their_range() {
        let mut claims = Claims::new();
        let first = claims.claim(Some(key(10))).unwrap();
        let second = claims.claim(Some(key(20))).unwrap();
        claims.finish(first, 1, 5);
        assert_eq!(claims.locate(&key(10)), Location::Finished);
        assert_eq!(claims.locate(&key(11)), Location::InFlight(second));
        assert_eq!(claims.locate(&key(21)), Location::Unclaimed);
    }

    #[test]
    fn range_that_is_given_up_is_claimed_again_with_what_follows() {
        let mut claims = Claims::new();
        let first = claims.claim(Some(key(10))).unwrap();
        claims.give_up(first);
        assert_eq!(claims.next_unclaimed(), Some(Range { lower: None, upper: None }));
    }

    #[test]
    fn resume_leaves_gaps_unclaimed_and_ends_when_all_is_finished() {
        let range = |lower: Option<u8>, upper: Option<u8>| Range {
            lower: lower.map(key),
            upper: upper.map(key),
        };
        let row = |id| FinishedRow { id, rows: 1 };
        let mut claims = Claims::resume(vec![
            (range(None, Some(10)), row(1)),
            (range(Some(20), Some(30)), row(2)),
        ]);
        assert_eq!(claims.next_unclaimed(), Some(range(Some(10), Some(20))));
        let gap = claims.claim(None).unwrap();
        claims.finish(gap, 3, 1);
        let merge = claims.merge_candidate(2).unwrap();
        assert_eq!((merge.keep, merge.remove.clone(), merge.rows), (1, vec![3, 2], 3));
        claims.merged(&merge);
        assert_eq!(claims.merge_candidate(2), None);
        let rest = claims.claim(None).unwrap();
        assert_eq!(claims.chunk_range(rest), Some(range(Some(30), None)));
        claims.finish(rest, 4, 0);
        assert!(claims.is_complete());
        let done = Claims::resume(vec![(range(None, None), row(1))]);
        assert!(done.is_complete());
    }
}
