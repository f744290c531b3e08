//! The rules that the tree itself keeps: edges between modules, files, generated files, documents.
//! In: the checkout; out: one trial per rule. Needs no server and runs in a second.

mod architecture;
mod documents;
mod files;
mod source;

use libtest_mimic::{Failed, Trial};

/// What a rule finds: one line per violation.
type Violations = Vec<String>;

/// A rule and its name.
type Rule = (&'static str, fn() -> Violations);

/// One trial per rule; `repository::` in front of every name.
pub fn trials() -> Vec<Trial> {
    [architecture::RULES, files::RULES, documents::RULES].concat().into_iter().map(trial).collect()
}

fn trial((name, rule): Rule) -> Trial {
    Trial::test(format!("repository::{name}"), move || {
        let violations = rule();
        if violations.is_empty() { Ok(()) } else { Err(Failed::from(violations.join("\n"))) }
    })
}
