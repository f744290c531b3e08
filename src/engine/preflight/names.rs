//! The helper tables' names are free, or held by what an earlier run of ours left, and sort behind the
//! source table: metadata locks are taken in the order of names.

use super::{Facts, Reason, Request, Verdict};
use crate::schema::naming::HelperNames;

/// The comment by which a control table of ours is known.
const CONTROL_COMMENT: &str = "COMMENT='ghostship control table'";

pub(super) fn check(facts: &Facts, request: &Request, verdict: &mut Verdict) {
    for name in &facts.taken {
        verdict.refuse(
            Reason::NameTaken,
            format!("table {name} exists and is not ours, but its name is needed"),
            "rename or drop that table",
        );
    }
    let table = facts.source.as_ref().map_or(&request.table.table, |table| &table.name.table);
    if !facts.names.sort_after(table) {
        verdict.refuse(
            Reason::Internal,
            format!("the helper tables' names do not sort behind {table}"),
            "rename the table, and report its name",
        );
    }
}

/// Of the tables found under helper names, with their definitions: those that are not ours. A shadow
/// table is ours when its control table is; an old table of ours that is kept has its name passed over
/// before, and a control table of ours owns what a swap left under the old name.
pub(super) fn foreign(names: &HelperNames, found: &[(String, String)]) -> Vec<String> {
    let ours = found
        .iter()
        .any(|(name, definition)| *name == names.control && definition.contains(CONTROL_COMMENT));
    if ours { Vec::new() } else { found.iter().map(|(name, _)| name.clone()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;

    #[test]
    fn tables_of_others_are_told_from_leftovers_of_ours() {
        let names = HelperNames::of("orders", &[]);
        let ours = "CREATE TABLE `orders_ghc` (...) COMMENT='ghostship control table'";
        let rows: [(&[(&str, &str)], &[&str]); 5] = [
            (&[], &[]),
            (&[("orders_ghc", ours), ("orders_gho", "")], &[]),
            (&[("orders_ghc", "CREATE TABLE `orders_ghc` (...)")], &["orders_ghc"]),
            (&[("orders_gho", "")], &["orders_gho"]),
            (&[("orders_del", "")], &["orders_del"]),
        ];
        for (found, expected) in rows {
            let found: Vec<_> =
                found.iter().map(|(n, d)| ((*n).to_owned(), (*d).to_owned())).collect();
            assert_eq!(foreign(&names, &found), expected);
        }
    }

    #[test]
    fn taken_name_is_refused() {
        let mut facts = sample::facts();
        facts.taken = vec!["orders_gho".to_owned()];
        let found = sample::reasons(check, &facts, &sample::request());
        assert_eq!(found, [Reason::NameTaken]);
    }

    #[test]
    fn names_that_would_sort_before_the_table_are_refused() {
        let mut facts = sample::facts();
        facts.names.shadow = "a".to_owned();
        let found = sample::reasons(check, &facts, &sample::request());
        assert_eq!(found, [Reason::Internal]);
    }
}
