//! The names of migrations, for whoever presses the tabulator: within a second or two, or none.

use std::time::Duration;

use tokio::time::timeout;

use super::cluster::{Migrations, Scope};
use crate::args::verbs::Place;

/// How long a person waits at the most.
const LIMIT: Duration = Duration::from_secs(2);

/// Names of migrations that begin so; none when the cluster cannot be asked in time.
pub async fn names(place: &Place, beginning: &str) -> Vec<String> {
    let listing = async { Migrations::of(place, Scope::Namespace).await.ok()?.names().await.ok() };
    let mut names = timeout(LIMIT, listing).await.ok().flatten().unwrap_or_default();
    names.retain(|name| name.starts_with(beginning));
    names
}
