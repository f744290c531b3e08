//! Pure SQL text: identifiers, literals, conditions and statements. Nothing is sent from here.

pub mod ident;
pub mod key;
