//! Less, not only stop: the row copy gets quicker by small steps and halves its speed whenever the
//! application's statements take longer than `throttle.maxSlowdown` allows, as senders share a line (additive
//! increase, multiplicative decrease; Chiu and Jain, 1989). A lowest speed makes sure that it ends.

use std::sync::Arc;
use std::time::Duration;

use super::Limits;
use super::signal::Signal;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::engine::phase::PhaseKind;
use crate::mysql::connect::Role;
use crate::mysql::health::{self, Served};
use crate::mysql::session::Session;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// The speed of one thread that never rests.
const THREAD: u32 = 1000;
/// The lowest speed: a thread that works a tenth of the time.
const FLOOR: u32 = 100;
/// What is added to the speed at a time.
const STEP: u32 = 50;
/// The highest speed that is counted; more threads than this are never allowed.
const CEILING: u32 = 16 * THREAD;
/// Fewer statements between two looks say nothing about the application.
const FEW: u64 = 25;
/// Looks that make a baseline.
const BASELINE_LOOKS: u32 = 4;
/// Looks at the lowest speed after which the baseline is taken anew: the application may have changed.
const STALE_LOOKS: u32 = 240;

/// How quickly the row copy may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// In thousandths of a thread that never rests.
    speed: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: CEILING }
    }
}

impl Pace {
    /// How many of the threads may work.
    pub fn threads(self, most: usize) -> usize {
        usize::try_from(self.speed.div_ceil(THREAD)).unwrap_or(most).clamp(1, most)
    }

    /// How long a thread rests after work of this time.
    pub fn rest(self, worked: Duration) -> Duration {
        match self.speed {
            speed if speed >= THREAD => Duration::ZERO,
            speed => worked * (THREAD - speed) / speed,
        }
    }

    /// How long one chunk should take when this is the time at full speed: short work disturbs less.
    pub fn chunk_time(self, full: Duration) -> Duration {
        const LEAST: Duration = Duration::from_millis(10);
        let part = full * self.speed.min(THREAD) / THREAD;
        part.max(LEAST.min(full))
    }
}

/// What the application was served between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    statements: u64,
    time: Duration,
}

/// What is done after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is copied: the application is measured without the migration.
    Measure,
    /// The copy goes at this speed.
    Go { pace: Pace, is_slower: bool },
}

/// Learns the baseline and steers the speed.
#[derive(Debug)]
struct Governor {
    baseline: Baseline,
    speed: u32,
    at_floor: u32,
}

#[derive(Debug)]
enum Baseline {
    Measuring {
        looks: u32,
        statements: u64,
        time: Duration,
    },
    /// Microseconds for each statement; `None` when the application was idle.
    Known(Option<u64>),
}

const MEASURING: Baseline = Baseline::Measuring { looks: 0, statements: 0, time: Duration::ZERO };

impl Default for Governor {
    fn default() -> Self {
        Self { baseline: MEASURING, speed: THREAD / 2, at_floor: 0 }
    }
}

impl Governor {
    /// Hears what was served since the last look; `most` is the speed of all threads.
    fn hear(&mut self, sample: Sample, limit_percent: u64, most: u32) -> Verdict {
        match &mut self.baseline {
            Baseline::Measuring { looks, statements, time } => {
                *looks += 1;
                *statements += sample.statements;
                *time += sample.time;
                if *looks < BASELINE_LOOKS {
                    return Verdict::Measure;
                }
                let enough = *statements >= FEW * u64::from(BASELINE_LOOKS);
                let known = enough.then(|| micros(*time) / (*statements).max(1));
                self.baseline = Baseline::Known(known);
                self.go(false)
            }
            Baseline::Known(baseline) => {
                let is_slower = match (baseline, sample.statements >= FEW) {
                    (_, false) => false,
                    (Some(baseline), true) => {
                        micros(sample.time) / sample.statements * 100 > *baseline * limit_percent
                    }
                    // It was idle and is no longer: what is normal has to be measured.
                    (None, true) => {
                        self.baseline = MEASURING;
                        return Verdict::Measure;
                    }
                };
                self.steer(is_slower, most)
            }
        }
    }

    fn steer(&mut self, is_slower: bool, most: u32) -> Verdict {
        self.speed = match is_slower {
            true => (self.speed / 2).max(FLOOR),
            false => (self.speed + STEP).min(most),
        };
        self.at_floor = if is_slower && self.speed == FLOOR { self.at_floor + 1 } else { 0 };
        if self.at_floor >= STALE_LOOKS {
            (self.at_floor, self.baseline) = (0, MEASURING);
            return Verdict::Measure;
        }
        self.go(is_slower)
    }

    fn go(&self, is_slower: bool) -> Verdict {
        Verdict::Go { pace: Pace { speed: self.speed }, is_slower }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Watches until the attempt ends. What cannot be read makes the copy go at the lowest speed.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let (mut session, mut known): (Option<Session>, Option<Served>) = (None, None);
    let mut governor = Governor::default();
    loop {
        let limits = context.tuning().throttle;
        let heavy = matches!(context.meter.phase(), PhaseKind::RowCopy | PhaseKind::Verify);
        match limits.max_slowdown_percent {
            Some(limit) if heavy => match read(&context, &mut session).await {
                Ok(served) => {
                    let sample = known.replace(served).map(|known| since(known, served));
                    let verdict = sample.map_or(Verdict::Measure, |sample| {
                        governor.hear(sample, limit, full(&context))
                    });
                    state(&context, &limits, limit, verdict);
                }
                Err(why) => be_careful(&context, &limits, &why),
            },
            _ => {
                (known, governor) = (None, Governor::default());
                context.throttle.set_pace(Pace::default());
                context.throttle.judge(Signal::MaxSlowdown, &limits, None);
                context.throttle.judge(Signal::Baseline, &limits, None);
            }
        }
        if context.pause_for(INTERVAL).await.is_err() {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}

fn full(context: &Context) -> u32 {
    u32::try_from(context.tuning().copy_threads).unwrap_or(1).saturating_mul(THREAD)
}

fn since(known: Served, now: Served) -> Sample {
    Sample {
        statements: now.statements.saturating_sub(known.statements),
        time: now.time.saturating_sub(known.time),
    }
}

fn state(context: &Context, limits: &Limits, limit: u64, verdict: Verdict) {
    let (baseline, slower) = match verdict {
        Verdict::Measure => (Some(MEASURES.to_owned()), None),
        Verdict::Go { pace, is_slower } => {
            context.throttle.set_pace(pace);
            let words = format!(
                "the application's statements take longer than maxSlowdown of {} allows: the copy \
                 goes at {} % of one thread",
                hundredths(limit),
                pace.speed / 10
            );
            (None, (is_slower || pace.speed < THREAD).then_some(words))
        }
    };
    context.throttle.judge(Signal::Baseline, limits, baseline);
    context.throttle.judge(Signal::MaxSlowdown, limits, slower);
}

const MEASURES: &str =
    "the application is measured without the migration, for maxSlowdown; this takes two seconds";

fn be_careful(context: &Context, limits: &Limits, why: &str) {
    context.throttle.set_pace(Pace { speed: FLOOR });
    let words = format!("{} cannot be read: {why}", Signal::MaxSlowdown.subject());
    context.throttle.judge(Signal::Baseline, limits, None);
    context.throttle.judge(Signal::MaxSlowdown, limits, Some(words));
}

async fn read(
    context: &Context,
    session: &mut Option<Session>,
) -> std::result::Result<Served, String> {
    let known = session.take().filter(Session::is_usable);
    let mut usable = match known {
        Some(session) => session,
        None => {
            let connect = &context.plan.request.connect;
            connect.connect(Role::Inspect).await.map_err(|error| error.to_string())?
        }
    };
    let served = health::read_served_to_others(&mut usable).await;
    *session = Some(usable);
    served.map_err(|error| error.to_string())
}

/// Percent as a number with a fraction, for example 1.4.
fn hundredths(percent: u64) -> String {
    let text = format!("{}.{:02}", percent / 100, percent % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred statements that took so many milliseconds each.
    fn sample(millis: u64) -> Sample {
        Sample { statements: 100, time: Duration::from_millis(millis * 100) }
    }

    fn measured(millis: u64) -> Governor {
        let mut governor = Governor::default();
        for _ in 1..BASELINE_LOOKS {
            assert_eq!(governor.hear(sample(millis), 140, THREAD), Verdict::Measure);
        }
        assert!(matches!(governor.hear(sample(millis), 140, THREAD), Verdict::Go { .. }));
        governor
    }

    #[test]
    fn speed_halves_at_once_and_returns_by_steps() {
        let mut governor = measured(10);
        let mut hear = |millis| {
            governor.hear(sample(millis), 140, 2 * THREAD);
            governor.speed
        };
        assert_eq!(hear(14), THREAD / 2 + STEP, "within the limit");
        assert_eq!(hear(15), (THREAD / 2 + STEP) / 2);
        let slowed = hear(90);
        assert_eq!((0..3).map(|_| hear(90)).last(), Some(FLOOR), "after {slowed}");
        assert_eq!(hear(10), FLOOR + STEP);
        assert_eq!((0..100).map(|_| hear(10)).last(), Some(2 * THREAD), "all threads");
    }

    #[test]
    fn an_idle_application_limits_nothing() {
        let mut governor = Governor::default();
        for _ in 0..BASELINE_LOOKS {
            governor.hear(Sample::default(), 140, THREAD);
        }
        assert!(matches!(governor.baseline, Baseline::Known(None)));
        let before = governor.speed;
        governor.hear(Sample { statements: FEW - 1, time: Duration::from_secs(9) }, 140, THREAD);
        assert_eq!(governor.speed, before + STEP, "a few statements say nothing");
        assert_eq!(governor.hear(sample(10), 140, THREAD), Verdict::Measure, "it woke up");
    }

    #[test]
    fn baseline_is_taken_anew_when_nothing_helps() {
        let mut governor = measured(10);
        let verdicts: Vec<Verdict> =
            (0..STALE_LOOKS + 10).map(|_| governor.hear(sample(50), 140, THREAD)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Measure).count(), 4);
        assert!(matches!(governor.baseline, Baseline::Known(Some(50_000))));
    }

    #[test]
    fn pace_is_threads_then_rest_then_shorter_chunks() {
        let at = |speed| Pace { speed };
        let ms = Duration::from_millis;
        assert_eq!([at(4000), at(1001), at(300)].map(|pace| pace.threads(4)), [4, 2, 1]);
        assert_eq!(Pace::default().threads(3), 3);
        let rests = [at(2000), at(1000), at(500), at(100)].map(|pace| pace.rest(ms(100)));
        assert_eq!(rests, [ms(0), ms(0), ms(100), ms(900)]);
        let chunks = [at(2000), at(500), at(100)].map(|pace| pace.chunk_time(ms(500)));
        assert_eq!(chunks, [ms(500), ms(250), ms(50)]);
        assert_eq!(at(100).chunk_time(ms(10)), ms(10), "as short as was asked for");
    }

    #[test]
    fn percent_is_told_as_a_ratio() {
        assert_eq!([140, 200, 105].map(hundredths), ["1.4", "2", "1.05"]);
    }
}
