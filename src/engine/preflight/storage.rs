//! The table's engine and features: what a copy on the same server preserves.

use super::{Facts, Reason, Request, Verdict};
use crate::schema::alter::lexer;

/// Words of a definition that name a feature which a copy does not preserve, and its name for people.
const FEATURES: [(&[&str], &str); 6] = [
    (&["SYSTEM", "VERSIONING"], "system versioning"),
    (&["COLUMN_FORMAT", "COMPRESSED"], "compressed columns"),
    (&["DATA", "DIRECTORY"], "a data directory of its own"),
    (&["UNION"], "a union of tables"),
    (&["CONNECTION"], "a connection to another server"),
    (&["SECONDARY_ENGINE"], "a secondary engine"),
];

pub(super) fn check(facts: &Facts, _: &Request, verdict: &mut Verdict) {
    let Some(table) = &facts.source else { return };
    if !table.engine.eq_ignore_ascii_case("InnoDB") {
        verdict.refuse(
            Reason::UnsupportedEngine,
            format!("{} uses the storage engine {}, not InnoDB", table.name, table.engine),
            "convert the table to InnoDB in a maintenance window first",
        );
    }
    for feature in features(&table.definition) {
        verdict.refuse(
            Reason::UnsupportedTable,
            format!("{} has {feature}, which a copy would not preserve", table.name),
            "remove that feature first or change the table with the server's own ALTER TABLE",
        );
    }
}

/// Features in a definition; names, comments and defaults of the user are quoted and do not count.
fn features(definition: &str) -> Vec<&'static str> {
    let tokens = lexer::tolerant_tokens(definition);
    let holds = |wanted: &[&str]| {
        tokens
            .windows(wanted.len())
            .any(|found| found.iter().zip(wanted).all(|(f, w)| f.is_word(w)))
    };
    FEATURES.iter().filter(|(wanted, _)| holds(wanted)).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn engines_other_than_innodb_are_refused() {
        for engine in ["MyISAM", "Aria", "MEMORY", "ndbcluster"] {
            let mut facts = sample::facts();
            facts.source.as_mut().unwrap().engine = engine.to_owned();
            let found = sample::reasons(check, &facts, &sample::request());
            assert_eq!(found, [Reason::UnsupportedEngine], "{engine}");
        }
    }

    #[test]
    fn features_are_found_outside_quotes_only() {
        let rows: [(&str, &[&str]); 5] = [
            ("CREATE TABLE `t` (`union` int COMMENT 'DATA DIRECTORY') ENGINE=InnoDB", &[]),
            ("CREATE TABLE `t` (`a` int) WITH SYSTEM VERSIONING", &["system versioning"]),
            (
                "CREATE TABLE `t` (`a` text /*!50633 COLUMN_FORMAT COMPRESSED */)",
                &["compressed columns"],
            ),
            (
                "CREATE TABLE `t` (`a` int) ENGINE=InnoDB DATA DIRECTORY='/x/'",
                &["a data directory of its own"],
            ),
            ("CREATE TABLE `t` (`a` int) SECONDARY_ENGINE=RAPID", &["a secondary engine"]),
        ];
        for (definition, expected) in rows {
            assert_eq!(features(definition), expected, "{definition}");
        }
    }
}
