//! Which of several controllers works: the one that holds a Lease. Losing it ends the process, so that
//! nothing of a former leader goes on. The Lease is no fence: what two leaders write at the same moment is
//! decided by the API server's compare-and-set, and two workers by the fence in the database.

use std::time::Duration;

use kube::{Client, Config};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};

use super::Error;

/// How long a leader that falls silent keeps the Lease, and how long before that it renews, in seconds.
const LEASE: (u64, u64) = (15, 5);
/// An API server that is silent for so long while the Lease is renewed counts as lost.
const SILENCE: Duration = Duration::from_secs(5);

/// The Lease and who wants it.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// Name of the Lease.
    pub lease: String,
    /// Its namespace; the client's own when empty.
    pub namespace: String,
    /// Name of this process: its pod.
    pub identity: String,
}

/// Waits until this process holds the Lease.
///
/// # Errors
///
/// When the Lease cannot be read or written.
pub(super) async fn win(candidacy: &Candidacy) -> Result<LeaseManager, Error> {
    let mut config = Config::infer().await.map_err(|source| Error::FindCluster {
        source: Box::new(kube::Error::InferConfig(source)),
    })?;
    config.connect_timeout = Some(SILENCE);
    config.read_timeout = Some(SILENCE);
    config.default_retry = false;
    let namespace = match candidacy.namespace.is_empty() {
        true => config.default_namespace.clone(),
        false => candidacy.namespace.clone(),
    };
    let client = Client::try_from(config)
        .map_err(|source| Error::FindCluster { source: Box::new(source) })?;
    let lease = LeaseManagerBuilder::new(client, &candidacy.lease)
        .with_namespace(namespace)
        .with_identity(&candidacy.identity)
        .with_duration(LEASE.0)
        .with_grace(LEASE.1)
        .build()
        .await
        .map_err(|source| Error::Elect { source: Box::new(source) })?;
    tracing::info!(lease = candidacy.lease, "waiting to lead");
    while !changed(&lease).await? {}
    tracing::info!(lease = candidacy.lease, "leading");
    Ok(lease)
}

/// Renews the Lease until it is lost. Never returns `Ok`.
///
/// # Errors
///
/// When another process holds it, or it could not be renewed.
pub(super) async fn hold(lease: &LeaseManager) -> Result<std::convert::Infallible, Error> {
    while changed(lease).await? {}
    Err(Error::LoseLease)
}

/// Gives the Lease to whoever waits for it; when that fails it runs out.
pub(super) async fn release(lease: &LeaseManager) {
    match tokio::time::timeout(SILENCE, lease.release()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be released; it runs out"),
        Err(_) => tracing::warn!("the Lease could not be released; it runs out"),
    }
}

async fn changed(lease: &LeaseManager) -> Result<bool, Error> {
    lease.changed().await.map_err(|source| Error::Elect { source: Box::new(source) })
}
