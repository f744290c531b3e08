//! Changes the schema of live MySQL and MariaDB tables without blocking the application.

pub mod engine;
pub mod mysql;
pub mod schema;
pub mod sql;
