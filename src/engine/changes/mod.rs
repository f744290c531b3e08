//! From binlog events to "these keys changed in this transaction". Pure: events in, changes out; no connection, no
//! values other than keys and the control table's own payload.

pub mod follow;
pub mod transaction;
