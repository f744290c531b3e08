//! The only module that knows the driver. Opens sessions, reads the server's facts and dictionary,
//! follows the binlog; fixed administrative statements live beside the function that sends them.

pub mod binlog;
pub mod connect;
pub mod error;
pub mod grants;
pub mod health;
pub mod inspect;
pub mod locks;
pub mod position;
pub mod server;
pub mod session;
pub mod warnings;

mod column;
mod text;
