//! ghostship changes the schema of live MySQL tables without blocking the application.
//!
//! Modules in reading order:
//!
//! - [`engine`]: the migration; begin with `engine::phase`, then `engine`, then `engine::backlog`.
//! - [`schema`]: pure knowledge about tables, keys and ALTER statements.
//! - [`sql`]: pure text of generated statements.
//! - [`mysql`]: the only module that knows the driver.
//! - [`api`]: the resources, as in the CRDs; [`cli`]: what a person types and sees.
//!
//! `ARCHITECTURE.md` has the picture, the allowed edges and the invariants.

pub mod api;
pub mod args;
pub mod cli;
pub mod controller;
pub mod engine;
pub mod failpoint;
pub mod hooks;
pub mod http;
pub mod mysql;
pub mod notify;
pub mod probes;
pub mod resolve;
pub mod schedule;
pub mod schema;
pub mod serve;
pub mod shutdown;
pub mod sql;
pub mod tasks;
pub mod telemetry;
pub mod worker;
