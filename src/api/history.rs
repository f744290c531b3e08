//! `spec.history` of a target: how long what has ended is remembered, as it is written and as it is meant.

#![expect(unreachable_pub, reason = "the derive copies structs into functions")]

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::validate::Violations;

/// How long anything may be remembered before it goes: a minute to ten years.
const AGES: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(87_600));

/// How long what has ended is remembered. What is absent is kept for ever.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistorySettings {
    /// Age at which rows of the ledger `ghostship_history` are removed, 1m to 87600h, by the next run that
    /// ends on their database. The newest completed row of each table stays, and so does one whose old
    /// table was not dropped yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('87600h')")
            .message("ledger must be between 1m and 87600h")
    )]
    pub ledger: Option<String>,
    /// Time after its end at which a SchemaMigration is deleted, 1m to 87600h. Those that Argo CD, Flux
    /// or Helm would make anew stay, and so do those that failed or whose old table is kept. In a cluster
    /// only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('87600h')")
            .message("migrations must be between 1m and 87600h")
    )]
    pub migrations: Option<String>,
}

/// How long what has ended is remembered; for ever when absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Rows of the ledger.
    pub ledger: Option<Duration>,
    /// SchemaMigrations.
    pub migrations: Option<Duration>,
}

/// What is written below `spec.history`; what is wrong with it is noted.
pub(super) fn read(written: Option<&HistorySettings>, found: &mut Violations) -> History {
    let mut age = |field: &str, text: &Option<String>| {
        text.as_ref().map(|text| found.duration(&format!("spec.history.{field}"), text, AGES))
    };
    let Some(HistorySettings { ledger, migrations }) = written else { return History::default() };
    History { ledger: age("ledger", ledger), migrations: age("migrations", migrations) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::validate;

    fn target(history: &Value) -> Value {
        json!({"apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
            "metadata": {"name": "db"},
            "spec": {"host": "db", "credentialsSecret": {"name": "db"}, "history": history}})
    }

    #[test]
    fn ages_have_their_bounds() {
        let hours = Duration::from_hours;
        let none = History::default();
        let rows = [
            (json!(null), Some(none)),
            (json!({}), Some(none)),
            (
                json!({"ledger": "8760h", "migrations": "2160h"}),
                Some(History { ledger: Some(hours(8760)), migrations: Some(hours(2160)) }),
            ),
            (json!({"migrations": "1m"}), Some(History { migrations: Some(AGES.0), ..none })),
            (json!({"ledger": "87600h"}), Some(History { ledger: Some(AGES.1), ..none })),
            (json!({"ledger": "59s"}), None),
            (json!({"migrations": "87601h"}), None),
            (json!({"migrations": "90d"}), None),
            (json!({"jobs": "1h"}), None),
        ];
        for (written, expected) in rows {
            let read = validate::target(&target(&written)).ok().map(|target| target.history);
            assert_eq!(read, expected, "{written}");
        }
    }
}
