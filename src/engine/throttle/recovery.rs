//! Auto-pause and auto-resume: on danger the migration pauses, and it goes on by itself when nothing was in
//! its way for some time. After so many times it waits for a person. Also tells what a pause has cost.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::signal::Signal;
use crate::engine::Result;
use crate::engine::context::Context;
use crate::engine::intent::Command;

/// Time between two looks: shorter than the time for which a reason stands at least.
const INTERVAL: Duration = Duration::from_millis(250);

/// When a migration that paused itself goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long nothing may be in its way before it does.
    pub healthy_for: Duration,
    /// How often it does without a person.
    pub max_resumes: u32,
    /// Whether it gives up before the server purges what it has yet to read.
    pub gives_up: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { healthy_for: Duration::from_secs(30), max_resumes: 10, gives_up: false }
    }
}

/// What stands against a migration now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dangers {
    /// Why it has to pause.
    pub(super) pausing: Option<String>,
    /// Why it could not go on; what pauses it is among that.
    pub(super) holding: Option<String>,
}

/// What a pause has cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PauseReport {
    /// Why it was paused.
    pub reason: String,
    /// When it began.
    #[serde(skip)]
    pub since: SystemTime,
    /// How long it lasted.
    pub seconds: u64,
    /// Keys that were applied meanwhile: work that a pause does not save.
    pub keys_applied: u64,
    /// Keys that waited to be applied at its end.
    pub backlog: u64,
    /// Time that applying them is expected to take, in seconds.
    pub catch_up_seconds: u64,
}

/// Whether the migration has paused itself.
#[derive(Debug, Default)]
enum State {
    #[default]
    Working,
    Paused {
        why: String,
        healthy_since: Option<Instant>,
    },
}

/// Pauses and resumes of an attempt.
#[derive(Debug, Default)]
struct Recovery {
    state: State,
    resumes: u32,
}

impl Recovery {
    /// The reason that holds after a look at `now`; `None` when the migration may go on.
    fn look(&mut self, dangers: &Dangers, settings: Settings, now: Instant) -> Option<String> {
        if let (State::Working, Some(why)) = (&self.state, &dangers.pausing) {
            self.state = State::Paused { why: why.clone(), healthy_since: None };
        }
        let used_up = self.resumes >= settings.max_resumes;
        let State::Paused { why, healthy_since } = &mut self.state else { return None };
        if let Some(newer) = &dangers.pausing {
            why.clone_from(newer);
        }
        match &dangers.holding {
            Some(_) => *healthy_since = None,
            None if !used_up => {
                let since = *healthy_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= settings.healthy_for {
                    self.state = State::Working;
                    self.resumes += 1;
                    return None;
                }
            }
            None => {}
        }
        Some(words(why, settings, used_up))
    }

    /// A person has set it going again.
    fn resume(&mut self) {
        *self = Self::default();
    }
}

fn words(why: &str, settings: Settings, used_up: bool) -> String {
    let Settings { healthy_for, max_resumes, .. } = settings;
    match used_up {
        false => format!(
            "paused itself: {why}; it goes on when nothing was in its way for {healthy_for:?}"
        ),
        true => format!(
            "paused itself: {why}; it went on by itself {max_resumes} times already \
             (autoResume.max): set paused to true and back to false to make it go on"
        ),
    }
}

/// A pause that lasts.
struct Pause {
    reason: String,
    since: SystemTime,
    begun: Instant,
    keys: u64,
}

/// Watches until the attempt ends.
///
/// # Errors
///
/// None.
pub async fn watch(context: Arc<Context>) -> Result<()> {
    let (mut recovery, mut pause) = (Recovery::default(), None);
    let mut was_paused = false;
    loop {
        let is_paused = is_paused_by_a_person(&context);
        if was_paused && !is_paused {
            recovery.resume();
        }
        was_paused = is_paused;
        let settings = context.tuning().recovery;
        let reason = recovery.look(&context.throttle.dangers(), settings, Instant::now());
        context.throttle.state(Signal::AutoPause, reason.clone());
        let reason = context.paused().or(reason);
        note(&context, &mut pause, reason);
        if context.pause_for(INTERVAL).await.is_err() {
            context.stop.cancelled().await;
            return Ok(());
        }
    }
}

/// The end of a pause window is nobody's word that the server is well.
fn is_paused_by_a_person(context: &Context) -> bool {
    let intent = context.intent.borrow();
    intent.command == Command::Pause && intent.paused_by.is_none()
}

/// Tells that a pause begins, and at its end what it has cost.
fn note(context: &Context, pause: &mut Option<Pause>, reason: Option<String>) {
    let keys = context.meter.keys_applied();
    match (pause.take(), reason) {
        (None, Some(reason)) => {
            tracing::warn!(%reason, "the migration pauses");
            let (since, begun) = (SystemTime::now(), Instant::now());
            *pause = Some(Pause { reason, since, begun, keys });
        }
        (Some(ended), None) => {
            let backlog = context.flow().backlog.queued();
            let report = PauseReport {
                seconds: ended.begun.elapsed().as_secs(),
                keys_applied: keys.saturating_sub(ended.keys),
                backlog: backlog as u64,
                catch_up_seconds: context.pace.time_to_apply(backlog).as_secs(),
                reason: ended.reason,
                since: ended.since,
            };
            tracing::info!(
                seconds = report.seconds,
                keys_applied = report.keys_applied,
                backlog = report.backlog,
                catch_up_seconds = report.catch_up_seconds,
                reason = %report.reason,
                "the migration goes on after a pause"
            );
            context.meter.update(|progress| progress.last_pause = Some(report));
        }
        (known, _) => *pause = known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings =
        Settings { healthy_for: Duration::from_secs(30), max_resumes: 2, gives_up: false };

    fn critical() -> Dangers {
        let words = Some("too much".to_owned());
        Dangers { pausing: words.clone(), holding: words }
    }

    fn held() -> Dangers {
        Dangers { pausing: None, holding: Some("some lag".to_owned()) }
    }

    /// Looks at these seconds; whether it holds after each.
    fn play(recovery: &mut Recovery, start: Instant, looks: &[(u64, Dangers)]) -> Vec<bool> {
        let look = |(second, dangers): &(u64, Dangers)| {
            let now = start + Duration::from_secs(*second);
            recovery.look(dangers, SETTINGS, now).is_some()
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn goes_on_only_after_health_that_lasts() {
        let (mut recovery, start) = (Recovery::default(), Instant::now());
        let well = Dangers::default;
        let looks = [
            (0, well()),
            (1, held()),
            (2, critical()),
            (3, well()),
            (20, held()),
            (40, well()),
            (69, well()),
            (70, well()),
        ];
        let held = play(&mut recovery, start, &looks);
        assert_eq!(held, [false, false, true, true, true, true, true, false]);
    }

    #[test]
    fn a_person_is_needed_when_all_resumes_are_used_up() {
        let (mut recovery, start) = (Recovery::default(), Instant::now());
        let well = Dangers::default;
        let once = |from: u64| [(from, critical()), (from + 1, well()), (from + 31, well())];
        for round in 0..2 {
            let held = play(&mut recovery, start, &once(round * 100));
            assert_eq!(held, [true, true, false], "round {round}");
        }
        assert_eq!(play(&mut recovery, start, &once(200)), [true; 3]);
        let now = start + Duration::from_secs(900);
        let words = recovery.look(&well(), SETTINGS, now).unwrap_or_default();
        assert!(words.contains("too much") && words.contains("2 times already"), "{words}");
        recovery.resume();
        assert_eq!(play(&mut recovery, start, &once(1000)), [true, true, false]);
    }
}
