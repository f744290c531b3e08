//! Looks at everything that a decision depends on: the resource, its target, the Job of its newest
//! attempt and that Job's pod. I/O only; reads no Secret.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::time::timeout;

use super::decide::{Observed, Worker};
use super::turns::Turn;
use super::{Context, Error, after, build, hook_jobs, validate};
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::target::MigrationTarget;

/// How long one request to the API server may take.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// Observes one migration.
pub(super) async fn observe(
    context: &Context,
    migration: &SchemaMigration,
) -> Result<Observed, Error> {
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let targets: Api<MigrationTarget> = Api::namespaced(context.client.clone(), namespace);
    // Side by side: what a look costs is the time that its requests wait for the API server.
    let (target, worker) = tokio::try_join!(
        within("read a target", targets.get_opt(&migration.spec.target)),
        Box::pin(worker(&context.client, migration, namespace))
    )?;
    let asked = hook_jobs::observe(&context.client, migration, target.as_ref()).await?;
    // Who works already waits for nobody.
    let waits = !matches!(worker, Worker::Active { .. });
    let in_front = target
        .as_ref()
        .filter(|_| waits)
        .and_then(|target| context.turns.in_front(&turn(context, migration, target)));
    let all = context.everything();
    let mut violations = validate::violations(migration, target.as_ref());
    violations.extend(after::cycle(migration, &all));
    Ok(Observed {
        violations,
        after: after::awaited(migration, &all),
        migration: migration.clone(),
        target,
        worker,
        in_front,
        asked,
        now: Timestamp::now(),
    })
}

/// A migration that wants to begin, among all that are known.
pub(super) fn turn<'a>(
    context: &Context,
    migration: &'a SchemaMigration,
    target: &'a MigrationTarget,
) -> Turn<'a> {
    Turn { migration, target, all: context.everything(), max_active: context.settings.max_active }
}

/// Runs one request with its time limit.
pub(super) async fn within<T>(
    doing: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match timeout(CALL, request).await {
        Ok(answer) => answer.map_err(|source| Error::Ask { doing, source }),
        Err(_) => Err(Error::TimeOut { doing }),
    }
}

async fn worker(
    client: &Client,
    migration: &SchemaMigration,
    namespace: &str,
) -> Result<Worker, Error> {
    let attempt = migration.status.as_ref().and_then(|status| status.attempt);
    let Some(attempt) = attempt else { return Ok(Worker::Absent) };
    let name = build::job_name(migration, attempt);
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let list = async || within("list a Job's pods", pods.list(&of_job)).await;
    let (job, pods) = tokio::try_join!(within("read a Job", jobs.get_opt(&name)), list())?;
    let Some(job) = job else { return Ok(Worker::Absent) };
    let clean_up = label(&job, names::PURPOSE) == Some("clean-up");
    if has_ended(&job) {
        // Only a list that is later than the Job's end surely has the last words of its pod.
        return Ok(Worker::Ended { clean_up, last_words: last_words(&list().await?.items) });
    }
    let problem = problem(client, (namespace, &name), &pods.items).await?;
    let problem = problem.map(|why| format!("the worker's pod does not start: {why}"));
    Ok(Worker::Active { clean_up, problem })
}

fn label<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    job.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn has_ended(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.status == "True")
        .any(|condition| ["Complete", "Failed"].contains(&condition.type_.as_str()))
}

/// Exit code and termination message of the newest pod that has ended.
fn last_words(pods: &[Pod]) -> Option<(i32, String)> {
    let mut newest: Vec<&Pod> = pods.iter().collect();
    newest.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    newest.into_iter().rev().find_map(|pod| {
        let ended =
            containers(pod).find_map(|container| container.state.as_ref()?.terminated.as_ref())?;
        let reason = ended.reason.clone().unwrap_or_default();
        Some((ended.exit_code, ended.message.clone().unwrap_or(reason)))
    })
}

/// Why the pod of a Job does not run, in the words of the scheduler, the kubelet or admission.
pub(super) async fn problem(
    client: &Client,
    (namespace, job): (&str, &str),
    pods: &[Pod],
) -> Result<Option<String>, Error> {
    let pending = pods.iter().find(|pod| phase(pod) == "Pending");
    match pending {
        None if !pods.is_empty() => Ok(None),
        None => warning(client, namespace, job).await,
        Some(pod) => match pod_problem(pod) {
            Some(told) => Ok(Some(told)),
            None => warning(client, namespace, &pod.name_any()).await,
        },
    }
}

/// The newest warning about an object.
async fn warning(client: &Client, namespace: &str, name: &str) -> Result<Option<String>, Error> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let about = ListParams::default().fields(&format!("involvedObject.name={name},type=Warning"));
    let mut found = within("list events", events.list(&about)).await?.items;
    found.sort_by_key(|event| event.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let newest = found.pop();
    Ok(newest.map(|event| {
        let words = [event.reason, event.message].into_iter().flatten();
        words.collect::<Vec<_>>().join(": ")
    }))
}

fn pod_problem(pod: &Pod) -> Option<String> {
    let waiting = containers(pod).find_map(|container| container.state.as_ref()?.waiting.as_ref());
    let told = waiting.and_then(|waiting| {
        let reason = waiting.reason.clone().filter(|reason| reason != "ContainerCreating")?;
        Some(format!("{reason}: {}", waiting.message.clone().unwrap_or_default()))
    });
    told.or_else(|| unscheduled(pod))
}

fn unscheduled(pod: &Pod) -> Option<String> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let condition = conditions.find(|one| one.type_ == "PodScheduled" && one.status == "False")?;
    condition.message.clone()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}
