//! Pure SQL text: identifiers, literals, conditions and statements. Nothing is sent from here.

pub mod checksum;
pub mod conflict;
pub mod control;
pub mod cut_over;
pub mod ddl;
pub mod ident;
pub mod key;
pub mod sync;
