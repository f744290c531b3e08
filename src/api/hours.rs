//! Settings that depend on the hour: windows and profiles as manifests write them, and their check, which
//! makes windows of the schedule from them.

#![expect(unreachable_pub, reason = "the derive copies structs into functions")]

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::layer::{Layer, Settings};
use super::migration::CopySettings;
use super::throttle::ThrottleSettings;
use super::validate::Violations;
use crate::schedule::{self, WindowError};

/// How long a window may last that recurs.
const LENGTHS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_hours(168));

/// When something may happen, and when nothing may.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowSettings {
    /// When rows are copied and compared; always when absent or empty. Following the binlog and applying
    /// go on outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub copy: Option<Vec<WindowSpec>>,
    /// When a cut-over may be attempted, or the table changed by INSTANT; always when absent or empty. An
    /// attempt that could not end inside is not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub cut_over: Option<Vec<WindowSpec>>,
    /// When the migration is paused as by `paused: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub pause: Option<Vec<WindowSpec>>,
}

/// A span of time: either `cron`, `duration` and perhaps `timeZone`, or `from` and `until`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.from) ? has(self.until) && !has(self.cron) && !has(self.duration) && !has(self.timeZone) : has(self.cron) && has(self.duration) && !has(self.until)")
        .message("a window has either cron and duration, or from and until"),
    validation = Rule::new("!has(self.from) || !has(self.until) || timestamp(self.from) < timestamp(self.until)")
        .message("a window must begin before it ends")
)]
pub struct WindowSpec {
    /// When it opens: minute, hour, day of the month, month and day of the week, as cron writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[^ @]+( +[^ ]+){4}$"))]
    pub cron: Option<String>,
    /// How long it is open, 1m to 168h, whatever the clocks do meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('168h')")
            .message("duration must be between 1m and 168h")
    )]
    pub duration: Option<String>,
    /// Whose clocks `cron` is about, by its IANA name; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_+/-]+$"))]
    pub time_zone: Option<String>,
    /// When it opens once, as RFC 3339 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), regex(pattern = INSTANT))]
    pub from: Option<String>,
    /// When that closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40), regex(pattern = INSTANT))]
    pub until: Option<String>,
}

/// Other settings for some hours.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileSettings {
    /// Its name, by which the status says where a value comes from.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
    )]
    pub name: String,
    /// While this is open it holds.
    pub window: WindowSpec,
    /// Speed of the row copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopySettings>,
    /// When the migration yields to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSettings>,
}

/// What a point in time looks like.
const INSTANT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$";

/// Windows that passed every check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    /// When rows are copied and compared; empty means always.
    pub copy: Vec<schedule::Window>,
    /// When a cut-over may be attempted; empty means always.
    pub cut_over: Vec<schedule::Window>,
    /// When the migration is paused.
    pub pause: Vec<schedule::Window>,
}

/// A profile that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// When it holds.
    pub window: schedule::Window,
    /// What it sets.
    pub layer: Layer,
}

impl Windows {
    /// Checks the windows of a resource.
    pub(super) fn check(written: Option<&WindowSettings>, found: &mut Violations) -> Self {
        let Some(written) = written else { return Self::default() };
        let mut all = |name: &str, list: &Option<Vec<WindowSpec>>| -> Vec<schedule::Window> {
            let list = list.iter().flatten().enumerate();
            list.filter_map(|(at, one)| window(&format!("spec.windows.{name}[{at}]"), one, found))
                .collect()
        };
        Self {
            copy: all("copy", &written.copy),
            cut_over: all("cutOver", &written.cut_over),
            pause: all("pause", &written.pause),
        }
    }
}

/// Checks a list of profiles that stands at `field`.
pub(super) fn profiles(
    field: &str,
    written: Option<&Vec<ProfileSettings>>,
    found: &mut Violations,
) -> Vec<Profile> {
    let mut all: Vec<Profile> = Vec::new();
    for (at, one) in written.into_iter().flatten().enumerate() {
        let field = format!("{field}[{at}]");
        found.unless(
            is_name(&one.name) && all.iter().all(|known| known.name != one.name),
            &format!("{field}.name"),
            "is no name of its own",
            "name it by letters, digits, dots, dashes and underscores, and each differently",
        );
        let settings =
            Settings { copy: one.copy.as_ref(), throttle: one.throttle.as_ref(), cut_over: None };
        let layer = Layer::check(&field, settings, found);
        if let Some(window) = window(&format!("{field}.window"), &one.window, found) {
            all.push(Profile { name: one.name.clone(), window, layer });
        }
    }
    all
}

fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.chars().all(inner) && outer(name.chars().next()) && outer(name.chars().next_back())
}

fn window(field: &str, written: &WindowSpec, found: &mut Violations) -> Option<schedule::Window> {
    let WindowSpec { cron, duration, time_zone, from, until } = written;
    match (cron, duration, time_zone, from, until) {
        (Some(cron), Some(duration), zone, None, None) => {
            let before = found.count();
            let duration = found.duration(&format!("{field}.duration"), duration, LENGTHS);
            if found.count() > before {
                return None;
            }
            let zone = zone.as_deref().unwrap_or("UTC");
            let opened = schedule::Window::recurring(cron, duration, zone);
            accepted(field, opened, found)
        }
        (None, None, None, Some(from), Some(until)) => {
            accepted(field, schedule::Window::once(from, until), found)
        }
        _ => {
            found.unless(
                false,
                field,
                "is neither a window that recurs nor one that happens once",
                "write cron and duration and perhaps timeZone, or from and until",
            );
            None
        }
    }
}

fn accepted(
    field: &str,
    window: Result<schedule::Window, WindowError>,
    found: &mut Violations,
) -> Option<schedule::Window> {
    let error = match window {
        Ok(window) => return Some(window),
        Err(error) => error,
    };
    let (name, remedy) = match error {
        WindowError::ReadCron { .. } => {
            ("cron", "write minute, hour, day, month and weekday, for example \"0 22 * * 1-5\"")
        }
        WindowError::FindZone => ("timeZone", "write a name such as Europe/Berlin or UTC"),
        WindowError::Empty => ("until", "write a later time"),
        WindowError::ReadInstant => {
            ("from or until", "write it like 2026-11-22T22:00:00+01:00 or 2026-11-22T21:00:00Z")
        }
    };
    found.unless(false, &format!("{field}.{name}"), &error.to_string(), remedy);
    None
}
