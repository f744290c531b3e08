//! The name stands for one ordinary table, spelled as the server spells it.

use super::{Facts, Reason, Request, Verdict};
use crate::mysql::inspect::TableKind;

pub(super) fn check(facts: &Facts, request: &Request, verdict: &mut Verdict) {
    let name = &request.table;
    match &facts.kind {
        Some(TableKind::Base) if facts.spellings.len() > 1 => {
            let found: Vec<String> = facts.spellings.iter().map(ToString::to_string).collect();
            verdict.refuse(
                Reason::AmbiguousName,
                format!("several tables differ by case only: {}", found.join(", ")),
                "rename all but one of them: tools and people mix them up",
            );
        }
        Some(TableKind::Base) if facts.source.is_some() => {}
        Some(TableKind::Base) => verdict.refuse(
            Reason::SourceMissing,
            format!("the definition of {name} cannot be read"),
            "check that the table is sound and that the account may SELECT from it",
        ),
        Some(TableKind::View) => not_a_table(verdict, &format!("{name} is a view")),
        Some(TableKind::Other(kind)) => {
            not_a_table(verdict, &format!("{name} is a {}", kind.to_lowercase()));
        }
        None if facts.spellings.is_empty() => verdict.refuse(
            Reason::SourceMissing,
            format!("there is no table {name} that the account may see on this server"),
            "correct database and table, or grant the account its privileges there",
        ),
        None => {
            let found: Vec<String> = facts.spellings.iter().map(ToString::to_string).collect();
            verdict.refuse(
                Reason::AmbiguousName,
                format!("there is no table {name}, only {}", found.join(", ")),
                "spell database and table as the server does",
            );
        }
    }
}

fn not_a_table(verdict: &mut Verdict, message: &str) {
    verdict.refuse(Reason::NotABaseTable, message, "name an ordinary table");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;
    use crate::schema::table::TableName;

    #[test]
    fn missing_tables_views_and_other_spellings() {
        let other = || vec![TableName::new("shop", "Orders"), TableName::new("Shop", "orders")];
        let rows = [
            (Some(TableKind::Base), vec![], None),
            (Some(TableKind::View), vec![], Some(Reason::NotABaseTable)),
            (Some(TableKind::Other("SEQUENCE".into())), vec![], Some(Reason::NotABaseTable)),
            (None, vec![], Some(Reason::SourceMissing)),
            (None, other(), Some(Reason::AmbiguousName)),
        ];
        for (kind, spellings, expected) in rows {
            let mut facts = sample::facts();
            (facts.kind, facts.spellings) = (kind, spellings);
            let found = sample::reasons(check, &facts, &sample::request());
            assert_eq!(found.first().copied(), expected);
        }
    }
}
