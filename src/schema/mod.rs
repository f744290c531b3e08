//! Pure knowledge about tables and DDL: no I/O, no async, no SQL is sent from here.

pub mod alter;
pub mod key;
pub mod table;
