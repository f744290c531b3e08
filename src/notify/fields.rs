//! Reads YAML field by field and says in own words what is wrong, by the path of the field. No value is
//! ever repeated: it may be a secret that somebody put in the wrong place.

use std::fmt;
use std::time::Duration;

use serde_yaml::{Mapping, Value};

use crate::api::duration;

/// What is wrong with a field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Path of the field.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; {}", self.at, self.problem, self.remedy)
    }
}

impl Flaw {
    /// Puts a flaw together.
    pub fn new(at: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { at: at.to_owned(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// The fields of a mapping, each read once by its name.
pub struct Fields<'a> {
    at: String,
    map: Option<&'a Mapping>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of a value that has to be a mapping; of an absent one nothing.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn of(at: &str, value: Option<&'a Value>) -> Result<Self, Flaw> {
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Mapping(map)) => Some(map),
            Some(_) => {
                let remedy = "write its fields one below the other, each with a colon";
                return Err(Flaw::new(at, "is not a mapping", remedy));
            }
        };
        Ok(Self { at: at.to_owned(), map, known: Vec::new() })
    }

    /// The path of a field.
    pub fn path(&self, name: &str) -> String {
        match self.at.as_str() {
            "" => name.to_owned(),
            at => format!("{at}.{name}"),
        }
    }

    /// A flaw of one of the fields.
    pub fn flaw(&self, name: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Flaw {
        Flaw::new(&self.path(name), problem, remedy)
    }

    /// A field as it stands; absent when it is not there or null.
    pub fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.map?.get(name).filter(|value| !value.is_null())
    }

    /// A text; never empty.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Flaw> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(self.flaw(name, "is not a text", "write a text, in quotes if need be")),
        }
    }

    /// A text that has to be there.
    ///
    /// # Errors
    ///
    /// When it is missing or something else.
    pub fn needed(&mut self, name: &'static str) -> Result<String, Flaw> {
        let text = self.text(name)?;
        text.ok_or_else(|| self.flaw(name, "is missing", "add it"))
    }

    /// A list of texts, or one text.
    ///
    /// # Errors
    ///
    /// When it is something else, or empty.
    pub fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Flaw> {
        let value = self.value(name);
        let texts = match value {
            None => return Ok(None),
            Some(Value::String(text)) => Some(vec![text.clone()]),
            Some(Value::Sequence(items)) if !items.is_empty() => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
            }
            Some(_) => None,
        };
        let flaw = || self.flaw(name, "is not a list of texts", "write it as [one, other]");
        texts.map(Some).ok_or_else(flaw)
    }

    /// A whole number within limits.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn number(
        &mut self,
        name: &'static str,
        limits: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Flaw> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| limits.contains(number));
        let remedy = format!("write a number from {} to {}", limits.start(), limits.end());
        let flaw = || self.flaw(name, "is no such number", remedy);
        number.map(Some).ok_or_else(flaw)
    }

    /// A duration.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn duration(&mut self, name: &'static str, usual: Duration) -> Result<Duration, Flaw> {
        let Some(value) = self.value(name) else { return Ok(usual) };
        let parsed = value.as_str().and_then(duration::parse);
        let remedy = "write it as 30s, 10m or 1h30m; 0s turns the rule off";
        parsed.ok_or_else(|| self.flaw(name, "is not a duration", remedy))
    }

    /// Refuses what was not read.
    ///
    /// # Errors
    ///
    /// When there are more fields.
    pub fn finish(self) -> Result<(), Flaw> {
        let names = self.map.into_iter().flat_map(Mapping::keys);
        for name in names {
            let name = name.as_str().unwrap_or_default();
            if !self.known.contains(&name) {
                let remedy = format!("the fields are: {}", self.known.join(", "));
                return Err(self.flaw(harmless(name), "is not known here", remedy));
            }
        }
        Ok(())
    }
}

/// A name that looks like one; of anything else nobody knows what it is.
fn harmless(name: &str) -> &str {
    let fits = (1..=24).contains(&name.len()) && name.bytes().all(|one| one.is_ascii_alphabetic());
    if fits { name } else { "(a field)" }
}
