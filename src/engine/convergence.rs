//! Whether a run that waits for its backlog gets nearer to its end. In: samples of how many keys wait
//! and how far the stream is behind; out: words when one of them grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::context::Context;
use super::reason::Reason;

/// Growth is concluded from samples over at least this time, and forgotten after twice as long.
const WINDOW: Duration = Duration::from_secs(30);
/// Less growth than this within a window is noise, in keys and in milliseconds of the stream.
const NOISE: (u64, u64) = (200, 1000);

/// What was seen while the run waited.
#[derive(Debug, Default)]
pub struct Convergence {
    backlog: Samples,
    lag: Samples,
}

type Samples = VecDeque<(Instant, u64)>;

impl Convergence {
    /// Takes a sample of the run and adds to what it waits for that this does not come nearer.
    pub fn watch(&mut self, context: &Context, waits_for: String) -> String {
        let backlog = context.flow().backlog.queued() as u64;
        let lag = context.meter.stream_lag().unwrap_or_default();
        let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.observe(Instant::now(), (backlog, lag))
            .map_or(waits_for.clone(), |growth| format!("{waits_for}, but {growth}"))
    }

    /// Takes a sample; words when the backlog or the lag grows.
    fn observe(&mut self, now: Instant, (backlog, lag): (u64, u64)) -> Option<String> {
        remember(&mut self.backlog, (now, backlog));
        remember(&mut self.lag, (now, lag));
        let keys = growth(self.backlog.make_contiguous(), NOISE.0)
            .map(|keys| format!("the backlog grows by {keys} keys per minute"));
        let lag = growth(self.lag.make_contiguous(), NOISE.1).map(|millis| {
            format!("the stream falls behind by {} s per minute", millis.div_ceil(1000))
        });
        let what = keys.or(lag)?;
        Some(format!(
            "{what} ({}): let fewer writes come, or wait for a quieter time",
            Reason::NotConverging
        ))
    }
}

fn remember(samples: &mut Samples, sample: (Instant, u64)) {
    samples.push_back(sample);
    while samples.front().is_some_and(|(at, _)| sample.0 - *at > WINDOW * 2) {
        samples.pop_front();
    }
}

/// How much the value grows per minute: the means of the first, the second and the last third of the
/// time rise, by more than noise and a tenth. `None` when they do not, or the time is short.
fn growth(samples: &[(Instant, u64)], noise: u64) -> Option<u64> {
    let (first, last) = (samples.first()?.0, samples.last()?.0);
    let time = last - first;
    if time < WINDOW {
        return None;
    }
    let third = |number: u32| {
        let (from, to) = (first + time / 3 * number, first + time / 3 * (number + 1));
        mean(samples.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, value)| *value))
    };
    let (early, middle, late) = (third(0)?, third(1)?, third(2)?);
    let grown = late.checked_sub(early)?;
    let rises = early < middle && middle < late && grown > noise.max(early / 10);
    // Between the middles of the first and the last third lie two thirds of the time.
    let millis = u64::try_from((time * 2 / 3).as_millis()).ok()?.max(1);
    rises.then(|| grown.saturating_mul(60_000) / millis)
}

fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let (sum, count) =
        values.fold((0u64, 0u64), |(sum, count), value| (sum.saturating_add(value), count + 1));
    sum.checked_div(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample a second of what the function says.
    fn samples(seconds: u64, value: impl Fn(u64) -> u64) -> Vec<(Instant, u64)> {
        let now = Instant::now();
        (0..=seconds).map(|second| (now + Duration::from_secs(second), value(second))).collect()
    }

    #[test]
    fn growth_is_told_when_it_lasts() {
        let rows: [(&str, Vec<(Instant, u64)>, Option<u64>); 8] = [
            ("nothing", Vec::new(), None),
            ("too short", samples(29, |s| s * 1000), None),
            ("steady growth", samples(30, |s| 1000 + s * 100), Some(6000)),
            ("a plain", samples(60, |_| 5000), None),
            ("noise", samples(60, |s| 5000 + s % 7), None),
            ("shrinking", samples(60, |s| 100_000 - s * 100), None),
            ("a hill", samples(60, |s| if s < 30 { s * 1000 } else { (60 - s) * 1000 }), None),
            ("little of much", samples(60, |s| 1_000_000 + s * 10), None),
        ];
        for (name, samples, expected) in rows {
            let found = growth(&samples, 200);
            let near = match (found, expected) {
                (Some(found), Some(expected)) => found.abs_diff(expected) < expected / 10,
                (found, expected) => found == expected,
            };
            assert!(near, "{name}: {found:?}");
        }
    }

    #[test]
    fn words_come_with_growth_and_go_with_it() {
        let (mut seen, begin) = (Convergence::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..150 {
            let backlog = if second < 60 { second * 500 } else { (120 - second.min(120)) * 500 };
            let words = seen.observe(begin + Duration::from_secs(second), (backlog, 0));
            told.push(words.is_some());
            if let Some(words) = words {
                assert!(
                    words.contains("NotConverging") && words.contains("keys per minute"),
                    "{words}"
                );
            }
        }
        assert!(!told[29] && told[30] && told[60], "after half a minute");
        assert!(!told[85..].contains(&true), "soon after it shrinks");
        assert!(seen.backlog.len() <= 61, "old samples are forgotten");
    }

    #[test]
    fn a_stream_that_falls_behind_is_told_too() {
        let (mut seen, begin) = (Convergence::default(), Instant::now());
        let mut words = None;
        for second in 0..40 {
            words = seen.observe(begin + Duration::from_secs(second), (10, second * 500));
        }
        assert!(words.unwrap().contains("falls behind by 30 s per minute"));
    }
}
