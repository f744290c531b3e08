//! What every test that needs a server uses: servers, databases, connections, the child process under
//! test, the background writer and the checks at the end. Knows ghostship only by its command line.

pub(crate) mod bystander;
pub(crate) mod case;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod compare;
pub(crate) mod controller;
pub(crate) mod database;
pub(crate) mod flux;
pub(crate) mod ghostship;
pub(crate) mod history;
pub(crate) mod kstatus;
pub(crate) mod leftovers;
pub(crate) mod load;
pub(crate) mod lua;
pub(crate) mod machine;
pub(crate) mod manifest;
pub(crate) mod operation;
pub(crate) mod operator;
pub(crate) mod plain_alter;
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod registers;
pub(crate) mod runtime;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod shop;
pub(crate) mod stage;
pub(crate) mod statements;
pub(crate) mod states;
pub(crate) mod twin;
pub(crate) mod wait;
pub(crate) mod workload;
pub(crate) mod writer;
