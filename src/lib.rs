//! Changes the schema of live MySQL and MariaDB tables without blocking the application.

pub mod api;
pub mod args;
pub mod cli;
pub mod engine;
pub mod mysql;
pub mod schema;
pub mod shutdown;
pub mod telemetry;
