//! The server as seen through its protocol: sessions, facts, definitions, locks and positions.
//! With `sql`, the only place that knows SQL text; the only one that knows the driver.

pub mod binlog;
pub mod connect;
pub mod error;
pub mod position;
pub mod session;
