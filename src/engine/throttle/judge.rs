//! When a probe's readings make a reason, and when they take it back. Pure.

/// Failed readings in a row that count as bad news; a single one does when nothing was ever read.
const MISSES: u32 = 3;
/// Good readings in a row that take a reason back: what swings about a limit does not switch the copy on
/// and off.
const CALM: u32 = 4;

/// Judges one probe.
#[derive(Debug, Default)]
pub struct Judge {
    has_seen: bool,
    misses: u32,
    calm: u32,
    reason: Option<String>,
}

/// What a probe brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Everything is within its limits.
    Good,
    /// What is beyond its limit, in words.
    Bad(String),
    /// Nothing could be read: why.
    Blind(String),
}

impl Judge {
    /// The reason that stands after one more reading.
    pub fn hear(&mut self, reading: Reading) -> Option<String> {
        match reading {
            Reading::Bad(words) => {
                (self.has_seen, self.misses, self.calm) = (true, 0, 0);
                self.reason = Some(words);
            }
            Reading::Good => {
                (self.has_seen, self.misses) = (true, 0);
                self.calm += 1;
                if self.calm >= CALM {
                    self.reason = None;
                }
            }
            Reading::Blind(why) => {
                self.misses += 1;
                self.calm = 0;
                if self.misses >= MISSES || !self.has_seen {
                    self.reason = Some(why);
                }
            }
        }
        self.reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Reading::{Blind, Good};
    use super::*;

    fn bad() -> Reading {
        Reading::Bad("too much".to_owned())
    }

    fn blind() -> Reading {
        Blind("blind".to_owned())
    }

    #[test]
    fn bad_news_count_at_once_and_good_ones_when_they_last() {
        let rows = [
            ("nothing is wrong", vec![Good, Good], None),
            ("beyond the limit", vec![bad()], Some("too much")),
            ("good for a moment", vec![bad(), Good, Good, Good], Some("too much")),
            ("good for long", vec![bad(), Good, Good, Good, Good], None),
            ("swinging", vec![bad(), Good, Good, Good, bad(), Good, Good, Good], Some("too much")),
            ("two misses", vec![Good, blind(), blind()], None),
            ("three misses", vec![Good, blind(), blind(), blind()], Some("blind")),
            ("misses with a break", vec![Good, blind(), blind(), Good, blind(), blind()], None),
            ("blind from the start", vec![blind()], Some("blind")),
            ("blind while it is bad", vec![bad(), Good, Good, Good, blind()], Some("too much")),
            ("seeing again", vec![blind(), blind(), blind(), Good, Good, Good, Good], None),
        ];
        for (name, readings, expected) in rows {
            let mut judge = Judge::default();
            let last = readings.into_iter().map(|reading| judge.hear(reading)).last().flatten();
            assert_eq!(last.as_deref(), expected, "{name}");
        }
    }
}
