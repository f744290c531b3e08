//! The server as seen through its protocol: sessions, facts, definitions, locks and positions.
//! With `sql`, the only place that knows SQL text; the only one that knows the driver.

mod column;
pub mod connect;
pub mod error;
pub mod grants;
pub mod inspect;
pub mod locks;
pub mod position;
pub mod server;
pub mod session;
mod text;
