//! The HTTP API and the page: what is asked comes in, what the backend says goes out. Who may do what, and what
//! an action does, is the backend's: one of `run` knows one migration, one of the controller those of a cluster.
//! Must not know: engines, clusters, terminals.

mod csv;
mod guard;
pub mod limit;
mod problem;
mod routes;
pub mod samples;
pub mod tls;
pub mod tuning;
pub mod view;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::problem::Problem;
use self::samples::Series;
use self::view::Migration;
use crate::api::legal::Command;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name by which actions are recorded.
    pub name: String,
    /// Identifier of the account, when it has one.
    pub uid: String,
    /// Groups of the account.
    pub groups: Vec<String>,
    /// What else is known of the account.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Which migrations are meant; all when nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Their namespace.
    pub namespace: Option<String>,
    /// The name of one.
    pub name: Option<String>,
}

impl Selection {
    /// Whether it means this migration.
    pub fn fits(&self, namespace: &str, name: &str) -> bool {
        self.namespace.as_deref().is_none_or(|asked| asked == namespace)
            && self.name.as_deref().is_none_or(|asked| asked == name)
    }
}

/// What is to be done with a migration.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A command.
    Command(Command),
    /// A patch of `spec.copy` and `spec.throttle`, as [`tuning::read`] gives it.
    Tune(Value),
}

impl Action {
    /// One word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Command(command) => command.as_str(),
            Self::Tune(_) => "tuning",
        }
    }
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Whether anything is another than before.
    pub changed: bool,
    /// What holds now, in words.
    pub message: String,
    /// What the caller has to know, one sentence each.
    pub notes: Vec<String>,
}

/// Who knows migrations and carries actions out. Each call answers within a time limit of its own.
pub trait Backend: Send + Sync + 'static {
    /// Who bears this token. Says 401 when nobody does.
    fn identify(&self, token: &str) -> impl Future<Output = Result<Caller, Problem>> + Send;

    /// The migrations that are meant and that the caller may see, by namespace and name. Says 403 when the
    /// caller may see none of them, and 404 when one is meant that is not there.
    fn show(
        &self,
        caller: &Caller,
        selection: &Selection,
    ) -> impl Future<Output = Result<Vec<Migration>, Problem>> + Send;

    /// How they went; answers as [`Self::show`] does.
    fn samples(
        &self,
        caller: &Caller,
        selection: &Selection,
    ) -> impl Future<Output = Result<Vec<Series>, Problem>> + Send;

    /// Does something with one. Says 403, 404, 409 when it has no effect in the phase, and 422 for settings
    /// that a manifest could not have either.
    fn act(
        &self,
        caller: &Caller,
        selection: &Selection,
        action: Action,
    ) -> impl Future<Output = Result<Done, Problem>> + Send;
}

/// By which names the server is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Those of this machine alone, with the port of this address: another name in the request is another
    /// page's that had its name resolved to here.
    Loopback(SocketAddr),
    /// Any: who asks is known by a token that no browser sends by itself.
    Any,
}

/// Serves until it is dropped.
///
/// # Errors
///
/// When the socket fails.
pub async fn serve<B: Backend>(
    listener: impl Listener<Addr = SocketAddr>,
    hosts: Hosts,
    backend: Arc<B>,
) -> io::Result<Infallible> {
    axum::serve(listener, routes::router(hosts, backend)).await?;
    Err(io::ErrorKind::ConnectionAborted.into())
}
