//! Reads the resources of an attempt once, and turns them into a request. I/O is two GETs, repeated
//! while the API server does not answer.

use std::time::Duration;

use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

use super::Assignment;
use crate::api::control;
use crate::api::migration::SchemaMigration;
use crate::api::target::MigrationTarget;
use crate::api::validate::{self, TargetSettings, ValidMigration, Violation};
use crate::engine::request::Request;
use crate::engine::stage::{self, Questions};
use crate::hooks::{Board, Hooks, Keys};
use crate::mysql::connect::CredentialSource;
use crate::resolve::{self, Origin};

/// How long one request to the API server may take.
pub(super) const CALL: Duration = Duration::from_secs(8);
/// How long the API server may be away before the attempt ends, to be made again later.
const AWAY: Duration = Duration::from_secs(60);
/// Pause between two tries.
const AGAIN: Duration = Duration::from_millis(500);

/// Why an attempt did not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// This process is not in a cluster, or its account is not mounted.
    #[error("cannot find the API server")]
    FindCluster {
        /// What is missing.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server does not answer, or refuses.
    #[error("cannot read {what}")]
    ReadResource {
        /// Which resource.
        what: String,
        /// The answer.
        source: kube::Error,
    },
    /// The API server does not answer in time.
    #[error("the API server did not answer within {} s when asked for {what}", AWAY.as_secs())]
    TimeOut {
        /// Which resource.
        what: String,
    },
    /// The resource is gone, or another one bears its name.
    #[error("{what} is not the resource that this worker was started for")]
    Gone {
        /// Which resource.
        what: String,
    },
    /// The resources do not allow a run.
    #[error("{}", violations.first().map_or("", |violation| violation.message.as_str()))]
    Refuse {
        /// Every violation.
        violations: Vec<Violation>,
    },
}

impl LoadError {
    pub(super) fn find_cluster(source: kube::Error) -> Self {
        Self::FindCluster { source: Box::new(source) }
    }

    /// Whether another attempt may find things different without anybody changing a resource.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::FindCluster { .. } | Self::ReadResource { .. } | Self::TimeOut { .. } => true,
            Self::Gone { .. } | Self::Refuse { .. } => false,
        }
    }
}

/// What an attempt begins with.
pub(super) struct Loaded {
    pub(super) request: Request,
    pub(super) migration: ValidMigration,
    /// Name of the target, and what may change of it.
    pub(super) target: (String, TargetSettings),
    /// Who is asked at the stages, and where the questions come from.
    pub(super) hooks: (Hooks, Questions),
    /// Where Jobs are asked.
    pub(super) board: Board,
}

/// Reads the migration and its target and checks both.
pub(super) async fn load(client: &Client, assignment: &Assignment) -> Result<Loaded, LoadError> {
    let namespace = &assignment.namespace;
    let what = format!("SchemaMigration {namespace}/{}", assignment.name);
    let api: Api<SchemaMigration> = Api::namespaced(client.clone(), namespace);
    let migration = fetch(&what, async || api.get_opt(&assignment.name).await).await?;
    if migration.metadata.uid.as_deref() != Some(&assignment.uid) {
        return Err(LoadError::Gone { what });
    }
    let what = format!("MigrationTarget {namespace}/{}", migration.spec.target);
    let api: Api<MigrationTarget> = Api::namespaced(client.clone(), namespace);
    let target = fetch(&what, async || api.get_opt(&migration.spec.target).await).await?;
    let credentials = CredentialSource::Directory(assignment.credentials.clone());
    let requested_by = requested_by(&migration);
    let origin = Origin { credentials, requested_by, attempt: Some(assignment.attempt) };
    let keys = Keys::Directory(assignment.credentials.clone());
    resolve((&migration, &target), (origin, keys))
        .map_err(|violations| LoadError::Refuse { violations })
}

/// Asks until there is an answer. Only a refusal of the server or its silence ends it.
async fn fetch<K>(
    what: &str,
    get: impl AsyncFn() -> Result<Option<K>, kube::Error>,
) -> Result<K, LoadError> {
    let deadline = Instant::now() + AWAY;
    loop {
        match timeout(CALL, get()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => return Err(LoadError::Gone { what: what.to_owned() }),
            Ok(Err(source)) if Instant::now() >= deadline => {
                return Err(LoadError::ReadResource { what: what.to_owned(), source });
            }
            Err(_) if Instant::now() >= deadline => {
                return Err(LoadError::TimeOut { what: what.to_owned() });
            }
            Ok(Err(error)) => tracing::warn!(%error, what, "the API server refused; asking again"),
            Err(_) => tracing::warn!(what, "the API server is silent; asking again"),
        }
        sleep(AGAIN).await;
    }
}

fn resolve(
    (migration, target): (&SchemaMigration, &MigrationTarget),
    (origin, keys): (Origin, Keys),
) -> Result<Loaded, Vec<Violation>> {
    let valid = control::wanted(migration)?.migration;
    let target = validate::target(&serde_json::to_value(target).unwrap_or_default())?;
    validate::pair(&valid, &target).map_err(|violation| vec![violation])?;
    let settings = (target.name.clone(), target.settings.clone());
    let board = Board::new(asked_before(migration));
    let hooks = Hooks::new(target.stages.http.clone(), keys, None)
        .with_jobs(target.stages.jobs.clone(), board.clone());
    let (asker, questions) = stage::channel(hooks.stages());
    let mut request = resolve::request(target, valid.clone(), origin);
    request.stages.asker = asker;
    Ok(Loaded { request, migration: valid, target: settings, hooks: (hooks, questions), board })
}

/// How often Jobs were asked by earlier workers: nobody takes an answer to them for an answer to this one.
fn asked_before(migration: &SchemaMigration) -> i64 {
    let status = migration.status.as_ref();
    let reported = status.and_then(|status| status.report.as_ref()).map(|report| report.asked);
    let known = status.iter().flat_map(|status| &status.hook_jobs).map(|job| job.number).max();
    reported.max(known).unwrap_or(0)
}

/// Who wrote the resource, as far as the API server tells: the field manager of its first write.
fn requested_by(migration: &SchemaMigration) -> String {
    let managers = migration.metadata.managed_fields.iter().flatten();
    let own = |manager: &&str| manager.starts_with("ghostship-");
    let mut foreign = managers.filter_map(|entry| entry.manager.as_deref());
    foreign.find(|manager| !own(manager)).unwrap_or("unknown").to_owned()
}
