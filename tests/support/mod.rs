//! What every test that needs a server uses: servers, databases, connections, the child process under
//! test, the background writer and the checks at the end. Knows ghostship only by its command line.

pub mod case;
pub mod client;
pub mod compare;
pub mod database;
pub mod ghostship;
pub mod leftovers;
pub mod manifest;
pub mod random;
pub mod runtime;
pub mod server;
pub mod settings;
pub mod statements;
pub mod twin;
pub mod wait;
pub mod writer;
