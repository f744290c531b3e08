//! The immutable inputs of an attempt, known once preflight has passed and the shadow table exists.

use serde::{Deserialize, Serialize};

use crate::engine::backlog::KeyOrder;
use crate::engine::phase::PhaseKind;
use crate::engine::progress::PlanSummary;
use crate::engine::record::Entry;
use crate::engine::request::Request;
use crate::mysql::server::Server;
use crate::mysql::session::Session;
use crate::schema::table::TableName;
use crate::sql::checksum::Comparison;
use crate::sql::conflict::OtherUnique;
use crate::sql::sync::Pair;

/// Version of the stored form; a worker refuses a newer one.
pub const FORMAT: u32 = 1;

/// The tables of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The table being changed.
    pub source: TableName,
    /// The copy with the new definition.
    pub shadow: TableName,
    /// The name of the former source table after the swap.
    pub old: TableName,
    /// The control table.
    pub control: TableName,
}

/// How keys are made equal.
#[derive(Clone, Debug, PartialEq)]
pub enum SyncShape {
    /// The shadow table's only unique index is the migration key.
    Upsert,
    /// The shadow table has further unique indexes.
    DeleteInsert(Vec<OtherUnique>),
}

/// Everything an attempt needs to know and never changes.
#[derive(Clone)]
pub struct Plan {
    /// What was asked for.
    pub request: Request,
    /// The server as it is now.
    pub server: Server,
    /// The tables.
    pub tables: Tables,
    /// The two definitions and what connects them.
    pub pair: Pair,
    /// Whether keys can be ordered here.
    pub order: KeyOrder,
    /// How keys are made equal.
    pub shape: SyncShape,
    /// How rows are compared.
    pub comparison: Comparison,
    /// Columns of a row image of the source table.
    pub column_count: usize,
    /// Whether the source table has an AUTO_INCREMENT column.
    pub auto_increment: bool,
    /// What comparing the definitions warns of.
    pub warnings: Vec<String>,
    /// What the control table says about the migration as a whole.
    pub stored: StoredState,
}

impl Plan {
    /// What people are told of it.
    pub fn summary(&self) -> PlanSummary {
        PlanSummary {
            strategy: "Copy".to_owned(),
            key: self.pair.source_key.to_string(),
            shadow_table: self.tables.shadow.table.clone(),
            old_table: self.tables.old.table.clone(),
            control_table: self.tables.control.table.clone(),
            warnings: self.stored.warnings.iter().chain(&self.warnings).cloned().collect(),
        }
    }

    /// Lanes that may run side by side. With a second unique index, or with keys whose bytes do not
    /// identify them, there must be only one.
    pub fn lanes(&self) -> usize {
        match (self.order, &self.shape) {
            (KeyOrder::Ours, SyncShape::Upsert) => 2,
            (KeyOrder::Server, _) | (_, SyncShape::DeleteInsert(_)) => 1,
        }
    }
}

/// The row `state` of the control table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredState {
    /// Version of this form.
    pub format: u32,
    /// Namespace and name of the migration.
    pub migration: String,
    /// UID of the resource, when there is one.
    pub uid: Option<String>,
    /// Digest of the ALTER.
    pub digest: String,
    /// The stage reached.
    pub phase: PhaseKind,
    /// The server on which it runs.
    pub server_uuid: String,
    /// InnoDB id of the source table.
    pub source_id: u64,
    /// InnoDB id of the shadow table, 0 before it exists.
    pub shadow_id: u64,
    /// Name for the old table.
    pub old_table: String,
    /// Hash of the source table's definition.
    pub source_definition: String,
    /// Hash of the shadow table's definition, empty before it exists.
    pub shadow_definition: String,
    /// Rows estimated at the start.
    pub rows_estimated: u64,
    /// Keys made equal on behalf of events, as last written.
    pub keys_applied: u64,
    /// Rows compared so far.
    pub rows_verified: u64,
    /// Rows repaired so far.
    pub rows_repaired: u64,
    /// Upper bound of the verified ranges, encoded and in hex.
    pub verified_up_to: Option<String>,
    /// Cut-over attempts made.
    pub cut_over_attempts: u32,
    /// How long the last attempt held the lock.
    pub lock_seconds: f64,
    /// Rows copied, once the copy has ended.
    pub rows_copied: u64,
    /// Definition that an INSTANT change leads to, stored before it is sent.
    pub instant_target: Option<String>,
    /// Whether the ledger has the entry of this migration.
    pub in_ledger: bool,
    /// What preflight warned of.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What was changed while it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Entry>,
}

impl StoredState {
    /// Whether this is the server on which the migration began: ids of tables mean nothing elsewhere.
    pub fn is_at_home(&self, session: &Session) -> bool {
        self.server_uuid == session.server_identity()
    }
}
