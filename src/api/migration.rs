//! `SchemaMigration`: one change of one table. Identity fields never change; control fields have no
//! default, so that a tool that reverts to what Git holds changes nothing by accident; tuning is hot.

#![expect(unreachable_pub, reason = "the derive copies structs into functions")]
#![expect(clippy::duplicated_attributes, reason = "printer columns share their types")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hooks::{Approval, MigrationHooks, StartAfter};
use super::hours::{ProfileSettings, WindowSettings};
use super::status::SchemaMigrationStatus;
use super::throttle::ThrottleSettings;

/// One change of one table.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "ghostship.dev",
    version = "v1alpha1",
    kind = "SchemaMigration",
    namespaced,
    shortname = "smig",
    category = "database",
    derive = "PartialEq",
    doc = "One change of one table, made while the application keeps reading and writing it.",
    status = "SchemaMigrationStatus",
    selectable = ".spec.target",
    printcolumn(name = "Table", type_ = "string", json_path = ".spec.table"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "integer", json_path = ".status.progress.percent"),
    printcolumn(name = "ETA", type_ = "string", json_path = ".status.progress.eta"),
    printcolumn(name = "Lag", type_ = "string", json_path = ".status.progress.streamLag"),
    printcolumn(name = "Cut-over", type_ = "string", json_path = ".status.cutOver.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target", priority = 1),
    printcolumn(name = "Database", type_ = "string", json_path = ".spec.database", priority = 1),
    printcolumn(
        name = "Rows",
        type_ = "integer",
        json_path = ".status.progress.rowsCopied",
        priority = 1
    ),
    printcolumn(
        name = "Throttled",
        type_ = "string",
        json_path = ".status.progress.throttled[0].reason",
        priority = 1
    ),
    printcolumn(name = "Worker", type_ = "string", json_path = ".status.worker.pod", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.target == oldSelf.target")
        .message("target is fixed; create another SchemaMigration instead").field_path(".target"),
    validation = Rule::new("self.database == oldSelf.database")
        .message("database is fixed; create another SchemaMigration instead").field_path(".database"),
    validation = Rule::new("self.table == oldSelf.table")
        .message("table is fixed; create another SchemaMigration instead").field_path(".table"),
    validation = Rule::new("self.alter == oldSelf.alter")
        .message("alter is fixed; create another SchemaMigration instead").field_path(".alter"),
    validation = Rule::new("(has(self.strategy) ? self.strategy : 'Auto') == (has(oldSelf.strategy) ? oldSelf.strategy : 'Auto')")
        .message("strategy is fixed; create another SchemaMigration instead")
)]
pub struct SchemaMigrationSpec {
    /// Name of the MigrationTarget, in the same namespace. Fixed.
    #[schemars(length(min = 1, max = 253))]
    pub target: String,
    /// Database that holds the table. Fixed.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(
        validation = Rule::new("!(self.lowerAscii() in ['information_schema', 'mysql', 'performance_schema', 'sys'])")
            .message("the server's own databases cannot be changed"),
        validation = Rule::new("!self.endsWith(' ')").message("a name cannot end with a space")
    )]
    pub database: String,
    /// The table to be changed. Fixed.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("!self.endsWith(' ')").message("a name cannot end with a space"))]
    pub table: String,
    /// What follows `ALTER TABLE name` in SQL, for example `ADD COLUMN note varchar(200) NULL`. Fixed.
    #[schemars(length(min = 1, max = 65536))]
    #[x_kube(validation = Rule::new("self.trim().size() > 0").message("alter must not be empty"))]
    pub alter: String,
    /// `Auto` changes the dictionary alone where the server can (INSTANT) and copies the table
    /// otherwise; `Instant` refuses rather than copies; `Copy` always copies. Fixed; Auto when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,

    /// Holds copying and verification between chunks. Following the binlog goes on, so that the
    /// server can purge its logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Does everything up to the cut-over and then waits, with the copy kept current, until this is
    /// false or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postpone_cut_over: Option<bool>,
    /// Stops within a second, touches nothing and keeps every table. Wins over every other field,
    /// and setting it back does not undo it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<bool>,
    /// Stops and drops what the migration created; the table stays as it is. Wins over `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<bool>,

    /// Speed of the row copy. Takes effect within one chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopySettings>,
    /// When the migration yields to the application. Takes effect within one chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSettings>,
    /// Limits of the cut-over. Takes effect at the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_over: Option<CutOverSettings>,
    /// When something may happen, and when nothing may. The target's windows hold as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowSettings>,
    /// Other settings for some hours. A setting of a profile whose window is open wins over that of the
    /// migration; of several profiles that are open and have it the first one wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub profiles: Option<Vec<ProfileSettings>>,
    /// Comparing both tables before the cut-over.
    #[serde(default)]
    pub verify: VerifySettings,
    /// What becomes of the former table.
    #[serde(default)]
    pub old_table: OldTableSettings,
    /// Accepts conversions that lose information without an error, for example DATETIME(6) to
    /// DATETIME. Read when the run starts.
    #[serde(default)]
    pub accept_lossy: bool,
    /// Confirmed column renames, old name to new name. Without an entry a column that vanishes beside
    /// a new one is refused. Read when the run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        extend("maxProperties" = 256),
        extend("additionalProperties" = {"type": "string", "minLength": 1, "maxLength": 64})
    )]
    #[x_kube(
        validation = Rule::new("self.all(name, name.size() >= 1 && name.size() <= 64)")
            .message("a column name has 1 to 64 characters")
    )]
    pub renames: Option<BTreeMap<String, String>>,
    /// What has to have happened before it begins. In a cluster only; nothing once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<StartAfter>,
    /// What those learn who are asked at the stages, see the target's `hooks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<MigrationHooks>,
    /// What a person has to approve, besides what the target demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Where and with what a worker's pod runs. Takes effect at the next attempt; nothing without a
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerSettings>,
}

/// Where and with what a worker's pod runs.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerSettings {
    /// What the container asks for and may use; 100m and 64Mi, at most 512Mi, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<WorkerResources>,
    /// Labels that the node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints that the pod tolerates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub tolerations: Option<Vec<Toleration>>,
    /// The pod's PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,
}

/// What a worker's container asks for and may use.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerResources {
    /// What is set aside for it, for example `cpu: 500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<BTreeMap<String, Quantity>>,
    /// What it may not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<BTreeMap<String, Quantity>>,
}

/// Which road a migration takes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    #[default]
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Auto,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Instant,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Copy,
}

/// Speed of the row copy. What is absent is as the target or its preset has it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopySettings {
    /// Ranges copied at a time; 2 when nobody says otherwise.
    #[schemars(range(min = 1, max = 16), extend("format" = "int32"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u8>,
    /// How long one chunk should take, 10ms to 10s; the number of rows in a chunk follows. 500ms when
    /// nobody says otherwise.
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('10s')")
            .message("chunkTime must be between 10ms and 10s")
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_time: Option<String>,
    /// Upper limit of copied rows per second; 0, which is what holds when nobody says otherwise, means
    /// none.
    #[schemars(range(min = 0, max = 1_000_000_000), extend("format" = "int64"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows_per_second: Option<u64>,
}

/// Limits of the cut-over. What is absent is as the target or its preset has it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CutOverSettings {
    /// Longest time that one attempt may block writers, 100ms to 60s. An attempt that would take
    /// longer lets go and is repeated later. 1s when nobody says otherwise.
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('60s')")
            .message("lockBudget must be between 100ms and 60s")
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_budget: Option<String>,
    /// Attempts before the migration fails; 0, which is what holds when nobody says otherwise, means no
    /// limit.
    #[schemars(range(min = 0, max = 1_000_000), extend("format" = "int32"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
}

/// Comparing both tables before the cut-over.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifySettings {
    /// `Full` compares every row of both tables. `Off` compares nothing: a write that bypassed the
    /// binlog then goes unnoticed. Read when the run starts.
    #[serde(default)]
    pub mode: VerifyMode,
    /// Rows that may be repaired before the migration fails.
    #[schemars(range(min = 0, max = 1_000_000_000), extend("format" = "int64"))]
    #[serde(default)]
    pub repair_limit: u64,
}

/// How much is compared.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerifyMode {
    #[default]
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Full,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Off,
}

/// What becomes of the former table.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OldTableSettings {
    /// How long it is kept after the cut-over, at most 8760h; `0s` drops it at once. The first run on
    /// the table after that time drops it. Read when the run starts.
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) <= duration('8760h')")
            .message("retain must be at most 8760h")
    )]
    #[serde(default = "default_retain")]
    pub retain: String,
}

impl Default for OldTableSettings {
    fn default() -> Self {
        Self { retain: default_retain() }
    }
}

fn default_retain() -> String {
    "48h".to_owned()
}
