//! Jobs of hooks: a worker that wants to know something says so in its report, and the controller makes the
//! Jobs that answer, looks at them, and tells what came of them in its part of the status. I/O is here;
//! what is asked, what a Job means and what a Job is made of are pure. Reads no Secret.

pub mod asked;
mod build;
mod document;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use self::asked::{Asked, HookJob};
use super::Error;
use super::decide::Observed;
use super::observe::{problem, within};
use crate::api::hook_jobs::shown;
use crate::api::migration::SchemaMigration;
use crate::api::names;
use crate::api::target::MigrationTarget;

/// Looks at the Jobs of all questions that are not answered.
pub(super) async fn observe(
    client: &Client,
    migration: &SchemaMigration,
    target: Option<&MigrationTarget>,
) -> Result<Vec<Asked>, Error> {
    let mut all = asked::open(migration, target);
    for one in &mut all {
        one.job = look(client, migration, one).await?;
    }
    Ok(all)
}

async fn look(
    client: &Client,
    migration: &SchemaMigration,
    asked: &Asked,
) -> Result<HookJob, Error> {
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let name = build::job_name(migration, asked);
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let Some(job) = within("read a hook's Job", jobs.get_opt(&name)).await? else {
        return Ok(HookJob::Absent);
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    // Later than the Job: once that has ended, they have their last words.
    let pods = within("list a hook's pods", pods.list(&of_job)).await?.items;
    Ok(match asked::found((&job, &pods), asked) {
        HookJob::Runs { .. } => {
            let problem = problem(client, (namespace, &name), &pods).await?;
            HookJob::Runs { problem: problem.map(|why| shown(&why)) }
        }
        ended => ended,
    })
}

/// Makes the Jobs that are missing. A name that exists already is a Job that was made before; what the API
/// server refuses is no answer.
pub(super) async fn make(client: &Client, observed: &mut Observed) -> Result<(), Error> {
    let migration = &observed.migration;
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let parameters =
        PostParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PostParams::default() };
    for asked in observed.asked.iter_mut().filter(|asked| asked.is_to_be_made()) {
        let refused = |why: &str| HookJob::Refused(shown(why));
        asked.job = match build::job(migration, asked) {
            Err(why) => refused(&why),
            Ok(job) => match within("make a hook's Job", jobs.create(&parameters, &job)).await {
                Ok(_) => HookJob::Runs { problem: None },
                Err(Error::Ask { source: kube::Error::Api(status), .. })
                    if status.is_already_exists() =>
                {
                    HookJob::Runs { problem: None }
                }
                Err(Error::Ask { source: kube::Error::Api(status), .. })
                    if (400..500).contains(&status.code) && status.code != 429 =>
                {
                    refused(&status.message)
                }
                Err(error) => return Err(error),
            },
        };
        let (id, number, hook) = (&asked.question.id, asked.question.number, &asked.name);
        tracing::info!(namespace, id, number, hook, job = ?asked.job, "a hook is asked");
    }
    Ok(())
}
