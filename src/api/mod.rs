//! The Kubernetes types: what users write. Structs with their schema and rules, one function that checks a
//! resource completely, and one that says what holds now; nothing here knows an engine, a cluster client
//! or a database.

pub mod audit;
pub mod command;
pub mod control;
pub mod crds;
pub mod duration;
pub mod effective;
pub mod history;
pub mod hook_jobs;
pub mod hooks;
pub mod hours;
pub mod layer;
pub mod legal;
pub mod migration;
pub mod names;
pub mod owner;
pub mod ownership;
pub mod samples;
pub mod status;
pub mod structure;
pub mod target;
pub mod throttle;
pub mod validate;

/// Group of all kinds.
pub const GROUP: &str = "ghostship.dev";
/// Group and version, as `apiVersion` spells them.
pub const API_VERSION: &str = "ghostship.dev/v1alpha1";
/// Databases that belong to the server; no migration may touch them.
pub const SYSTEM_DATABASES: [&str; 4] =
    ["information_schema", "mysql", "performance_schema", "sys"];
