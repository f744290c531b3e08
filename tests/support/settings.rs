//! Settings of the tests: how often the repeated ones run, from the environment, and the few lines of
//! `case.toml`: `name = "text"`, `name = 'text'`, `name = true`, `name = 12` and
//! `name = ["one", "two"]`, one a line. Anything else is an error, so that no typing error goes unseen.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The environment variable that makes the repeated tests run so many times as often.
const RUNS: &str = "GHOSTSHIP_TEST_RUNS";

/// The environment variable that adds the long tests in a cluster.
const E2E: &str = "GHOSTSHIP_E2E";

/// Whether the long tests in a cluster are wanted: the variable is `long`.
pub(crate) fn is_long() -> bool {
    std::env::var(E2E).is_ok_and(|text| text == "long")
}

/// The environment variable that says how many seconds the long pause lasts.
const PAUSE: &str = "GHOSTSHIP_TEST_PAUSE";

/// How long the long pause lasts: `ordinary`, or as the variable says.
pub(crate) fn pause(ordinary: Duration) -> Duration {
    let set = std::env::var(PAUSE).ok().and_then(|text| text.parse().ok());
    set.map_or(ordinary, Duration::from_secs)
}

/// How often a repeated test runs: `ordinary`, times the variable when it is set.
pub(crate) fn runs(ordinary: u64) -> u64 {
    let set = std::env::var(RUNS).ok().and_then(|text| text.parse::<u64>().ok());
    ordinary * set.unwrap_or(1).max(1)
}

/// The settings of a case by name.
#[derive(Debug, Default)]
pub(crate) struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    /// Reads the file's text; `known` are the names that may occur.
    pub(crate) fn parse(text: &str, known: &[&str]) -> Result<Self> {
        let mut settings = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) =
                line.split_once('=').with_context(|| format!("no `=` in {line}"))?;
            let (name, value) = (name.trim(), values(value.trim())?);
            if !known.contains(&name) {
                bail!("unknown setting {name}; known are {known:?}");
            }
            settings.insert(name.to_owned(), value);
        }
        Ok(Self(settings))
    }

    /// All values of a setting; none when it is absent.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.get(name).into_iter().flatten().map(String::as_str).collect()
    }

    /// The one value of a setting.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|values| values.first()).map(String::as_str)
    }
}

fn values(text: &str) -> Result<Vec<String>> {
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let parts = inside.split(',').map(str::trim).filter(|part| !part.is_empty());
        return parts.map(scalar).collect();
    }
    Ok(vec![scalar(text)?])
}

fn scalar(text: &str) -> Result<String> {
    for quote in ['"', '\''] {
        let inside = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inside) = inside {
            return Ok(inside.to_owned());
        }
    }
    let bare = text == "true" || text == "false" || text.parse::<i64>().is_ok();
    if bare { Ok(text.to_owned()) } else { bail!("cannot read the value {text}") }
}
