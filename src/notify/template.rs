//! The text of a notice: a receiver's own template with named places, or the usual one. Pure.

use std::fmt::Write as _;

use super::notice::{Notice, shown};

/// The names of the places.
pub const PLACES: [&str; 10] = [
    "severity",
    "kind",
    "moment",
    "migration",
    "table",
    "phase",
    "reason",
    "message",
    "since",
    "at",
];
/// Notices that a digest shows; the others are counted.
const SHOWN: usize = 10;

/// A text with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(String),
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("a brace is not closed or not opened; write {{{{ and }}}} for braces of the text")]
    Unbalanced,
    /// A place that does not exist.
    #[error("there is no place {{{0}}}; the places are {places}", places = PLACES.join(", "))]
    UnknownPlace(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When a brace stands alone or a place is not known.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            plain.push_str(before);
            if let Some(tail) = brace.strip_prefix("{{") {
                plain.push('{');
                rest = tail;
            } else if let Some(tail) = brace.strip_prefix("}}") {
                plain.push('}');
                rest = tail;
            } else {
                let inner = brace.strip_prefix('{').ok_or(TemplateError::Unbalanced)?;
                let (name, tail) = inner.split_once('}').ok_or(TemplateError::Unbalanced)?;
                if !PLACES.contains(&name) {
                    return Err(TemplateError::UnknownPlace(name.to_owned()));
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Place(name.to_owned()));
                rest = tail;
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self { parts })
    }

    fn render(&self, notice: &Notice) -> String {
        let texts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Place(name) => place(name, notice),
        });
        texts.collect()
    }
}

fn place(name: &str, notice: &Notice) -> String {
    match name {
        "severity" => notice.severity().as_str().to_owned(),
        "kind" => notice.kind.as_str().to_owned(),
        "moment" => notice.moment.as_str().to_owned(),
        "migration" => notice.migration.clone(),
        "table" => notice.table.clone(),
        "phase" => notice.phase.clone(),
        "reason" => notice.reason.clone(),
        "message" => notice.message.clone(),
        "since" => shown(notice.since),
        "at" => shown(notice.at),
        _ => String::new(),
    }
}

/// The text of one notice, or of a digest of several and of some more that are only counted.
pub fn text(template: Option<&Template>, notices: &[Notice], more: usize) -> String {
    let of_one = |notice: &Notice| match template {
        Some(template) => template.render(notice),
        None => format!("{} ({}, {})", notice.line(), notice.table, notice.phase),
    };
    if let ([notice], 0) = (notices, more) {
        return of_one(notice);
    }
    let mut text = format!("{} notices:", notices.len() + more);
    for notice in notices.iter().take(SHOWN) {
        // Writing to a text cannot fail.
        let _written = write!(text, "\n- {}", of_one(notice));
    }
    let more = more + notices.len().saturating_sub(SHOWN);
    if more > 0 {
        let _written = write!(text, "\nand {more} more");
    }
    text
}

/// The head of a mail.
pub fn subject(notices: &[Notice], more: usize) -> String {
    let worst = notices.iter().map(Notice::severity).max();
    let severity = worst.map_or("Info", |severity| severity.as_str());
    match (notices, more) {
        ([notice], 0) => format!("[ghostship] {severity}: {}", notice.title()),
        _ => format!("[ghostship] {severity}: {} notices", notices.len() + more),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn notice() -> Notice {
        Notice::test("2026-01-01T12:00:00.5Z".parse::<Timestamp>().unwrap())
    }

    #[test]
    fn templates_are_read_and_filled() {
        let rows = [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("{kind} of {migration}", Ok("Test of test/test")),
            ("{{{phase}}}", Ok("{Test}")),
            ("{since}", Ok("2026-01-01T12:00:01Z")),
            ("{password}", Err(TemplateError::UnknownPlace("password".to_owned()))),
            ("{", Err(TemplateError::Unbalanced)),
            ("a } b", Err(TemplateError::Unbalanced)),
            ("{kind", Err(TemplateError::Unbalanced)),
        ];
        for (text, expected) in rows {
            let found = Template::parse(text).map(|template| template.render(&notice()));
            assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn every_place_is_filled() {
        let full = Notice { reason: "Paused".to_owned(), ..notice() };
        for name in PLACES {
            let template = Template::parse(&format!("{{{name}}}")).unwrap();
            assert_ne!(template.render(&full), "", "{name}");
        }
    }

    #[test]
    fn a_digest_shows_some_and_counts_the_others() {
        let many = vec![notice(); 12];
        let shown = text(None, &many, 10);
        assert!(shown.starts_with("22 notices:\n- Info: test/test Test:"), "{shown}");
        assert!(shown.ends_with("\nand 12 more"), "{shown}");
        assert_eq!(subject(&many, 10), "[ghostship] Info: 22 notices");
        assert_eq!(subject(&many[..1], 0), "[ghostship] Info: test/test Test");
    }
}
