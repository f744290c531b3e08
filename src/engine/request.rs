//! What a run is asked to do, resolved and validated: the engine never sees a manifest.

use std::time::Duration;

use super::record::Record;
use super::stage;
use crate::mysql::connect::ConnectOptions;
use crate::schema::table::TableName;

/// One migration to be run.
#[derive(Clone)]
pub struct Request {
    /// Where the server is and how to log in.
    pub connect: ConnectOptions,
    /// Replicas that are watched.
    pub control_replicas: Vec<ControlReplica>,
    /// What the administrator has asked while it runs.
    pub probes: Probes,
    /// The table to be changed.
    pub table: TableName,
    /// The user's ALTER text.
    pub alter: String,
    /// Which road to take.
    pub strategy: Strategy,
    /// Whether conversions that lose information without an error are accepted.
    pub accept_lossy: bool,
    /// Confirmed column renames, old to new.
    pub renames: Vec<(String, String)>,
    /// How much is verified before the cut-over.
    pub verify: VerifyMode,
    /// How long the old table is kept; zero drops it at once.
    pub old_table_retain: Duration,
    /// Namespace and name of the migration.
    pub migration_name: String,
    /// UID of the resource, when there is one.
    pub migration_uid: Option<String>,
    /// Number of the attempt, when somebody counts them: a worker gives way to one of a higher number.
    pub attempt: Option<u64>,
    /// Who asked for it, as far as known; goes into the ledger.
    pub requested_by: String,
    /// Who is asked at the stages, and what else has to hold.
    pub stages: stage::Settings,
    /// Patterns of databases that may be changed; empty allows all but the system databases.
    pub allowed_databases: Vec<String>,
    /// Age at which rows of the ledger are removed; never when absent.
    pub ledger_retain: Option<Duration>,
    /// What is changed while it runs; goes into the ledger.
    pub record: Record,
}

/// What the administrator of the target has asked while a run goes on. None of it is shown.
#[derive(Clone, Default)]
pub struct Probes {
    /// A query whose first value has to be 0 for the run to go on.
    pub query: Option<String>,
    /// A URL that has to answer with success for the run to go on.
    pub url: Option<String>,
    /// A query whose first value is the free disk of the server, in bytes.
    pub free_disk: Option<String>,
}

/// A replica that is watched.
#[derive(Clone)]
pub struct ControlReplica {
    /// Where it is and how to log in.
    pub connect: ConnectOptions,
    /// By what its lag is known.
    pub lag_by: LagBy,
}

/// By what a replica's lag is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LagBy {
    /// By our heartbeats.
    Heartbeat,
    /// By what it says itself, in whole seconds: for one that does not get our heartbeats.
    Status,
}

/// Which road a migration takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// INSTANT where the server can and nothing is to be postponed, else a copy.
    Auto,
    /// INSTANT or nothing.
    Instant,
    /// Always a copy.
    Copy,
}

/// How much is verified before the cut-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyMode {
    /// Every row of both tables is compared.
    Full,
    /// Nothing is compared.
    Off,
}
