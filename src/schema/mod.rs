//! Pure knowledge about tables and DDL: no I/O, no async, no SQL is sent from here.

pub mod alter;
pub mod conversion;
pub mod definition;
pub mod key;
pub mod mapping;
pub mod naming;
pub mod pattern;
pub mod statement;
pub mod table;
