//! Foreign keys and triggers: both stay with the old table when it is renamed away.

use super::{Facts, Reason, Request, Verdict};

pub(super) fn check(facts: &Facts, request: &Request, verdict: &mut Verdict) {
    if !facts.foreign_keys.is_empty() {
        let list: Vec<String> = facts
            .foreign_keys
            .iter()
            .map(|key| format!("{} from {} to {}", key.name, key.child, key.parent))
            .collect();
        verdict.refuse(
            Reason::ForeignKeys,
            format!("foreign keys would follow the old table: {}", list.join(", ")),
            "drop them, or change the table with the server's own ALTER TABLE",
        );
    }
    if !facts.triggers.is_empty() {
        verdict.refuse(
            Reason::Triggers,
            format!(
                "{} has triggers, which would follow the old table: {}",
                request.table,
                facts.triggers.join(", ")
            ),
            "drop the triggers before the migration and create them again after it",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::preflight::sample;
    use crate::mysql::inspect::ForeignKey;
    use crate::schema::table::TableName;

    #[test]
    fn foreign_keys_of_both_directions_and_triggers_are_listed() {
        let mut facts = sample::facts();
        let key = |name: &str, child: &str, parent: &str| ForeignKey {
            name: name.to_owned(),
            child: TableName::new("shop", child),
            parent: TableName::new("shop", parent),
        };
        facts.foreign_keys = vec![key("fk1", "orders", "users"), key("fk2", "lines", "orders")];
        facts.triggers = vec!["audit".to_owned()];
        let mut verdict = Verdict::default();
        check(&facts, &sample::request(), &mut verdict);
        let texts: Vec<_> =
            verdict.refusals.iter().map(|r| (r.reason, r.message.as_str())).collect();
        assert_eq!(
            texts,
            [
                (
                    Reason::ForeignKeys,
                    "foreign keys would follow the old table: fk1 from shop.orders to shop.users, \
                     fk2 from shop.lines to shop.orders"
                ),
                (
                    Reason::Triggers,
                    "shop.orders has triggers, which would follow the old table: audit"
                ),
            ]
        );
    }
}
