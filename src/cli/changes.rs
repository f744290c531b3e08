//! What is changed of a run through its file and its API: into the log, and into the record that the ledger
//! gets in the end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::audit;
use crate::api::status::ChangeStatus;
use crate::engine::record::Record;
use crate::resolve;

/// What was seen last, and where changes are written down.
pub struct Changes {
    seen: BTreeMap<String, String>,
    record: Record,
}

impl Changes {
    /// Begins with what the run was started with.
    pub fn since(document: &Value, record: Record) -> Self {
        Self { seen: audit::values(document), record }
    }

    /// Tells what this document changes, and who did it.
    pub fn tell(&mut self, document: &Value, by: &str, now: Timestamp) {
        let values = audit::values(document);
        if values == self.seen {
            return;
        }
        let changes = audit::between(&self.seen, &values, (by, now));
        for ChangeStatus { field, from, to, .. } in &changes {
            tracing::info!(field, from, to, by, "what is asked for was changed");
        }
        self.record.add(resolve::entries(changes));
        self.seen = values;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_written_down_once_with_its_source() {
        let record = Record::default();
        let file = |threads: u8| json!({"spec": {"copy": {"threads": threads}}});
        let mut changes = Changes::since(&file(1), record.clone());
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (threads, by) in [(1, "the file"), (2, "the file"), (2, "the API"), (3, "the API")] {
            changes.tell(&file(threads), by, now);
        }
        let told: Vec<String> = record
            .entries()
            .iter()
            .map(|one| format!("{} {} {}>{} {}", one.at, one.field, one.from, one.to, one.by))
            .collect();
        let expected = [
            "2026-01-01T00:00:00Z spec.copy.threads 1>2 the file",
            "2026-01-01T00:00:00Z spec.copy.threads 2>3 the API",
        ];
        assert_eq!(told, expected);
    }
}
