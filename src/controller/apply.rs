//! Carries a decision out, in an order in which a crash after any write is harmless: an attempt is
//! counted by a compare-and-set on the status before anything of it is made, and everything is made by
//! server-side apply under names that follow from the count.

use k8s_openapi::api::batch::v1::Job;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams,
    PropagationPolicy,
};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::decide::{Decision, Observed};
use super::observe::{turn, within};
use super::{Context, Error, build, events, publish};
use crate::api::migration::SchemaMigration;
use crate::api::status::SchemaMigrationStatus;
use crate::api::{API_VERSION, names};

/// Carries the decision out and writes the status when it differs.
pub(super) async fn apply(
    context: &Context,
    observed: &Observed,
    decision: &Decision,
) -> Result<(), Error> {
    let (client, migration) = (&context.client, &observed.migration);
    take_turn(context, observed, decision)?;
    match decision {
        Decision::Ignore => return Ok(()),
        Decision::Hold => return set_finalizer(client, migration, true).await,
        Decision::Release { .. } => {
            events::tell_release(&context.recorder, observed, decision).await;
            return set_finalizer(client, migration, false).await;
        }
        Decision::Stop => stop(client, migration).await?,
        Decision::Launch { number, clean_up } => {
            launch(context, observed, (*number, *clean_up)).await?;
        }
        Decision::Attempt { .. }
        | Decision::Follow { .. }
        | Decision::Wait { .. }
        | Decision::Queue { .. }
        | Decision::Depend { .. }
        | Decision::Reject { .. }
        | Decision::Settle { .. } => {}
    }
    write_status(context, observed, decision).await?;
    if let Decision::Attempt { number, clean_up, .. } = decision {
        launch(context, observed, (*number, *clean_up)).await?;
    }
    Ok(())
}

/// Whoever begins holds its turn until everybody can see in its status that it has begun.
fn take_turn(context: &Context, observed: &Observed, decision: &Decision) -> Result<(), Error> {
    let migration = &observed.migration;
    match (decision, &observed.target) {
        (Decision::Attempt { clean_up: false, .. }, Some(target)) => {
            let turn = turn(context, migration, target);
            context.turns.take(&turn).map_err(|_| Error::MissTurn)
        }
        _ => {
            context.turns.give_back(migration);
            Ok(())
        }
    }
}

/// Writes the controller's part of the status when it differs. The write fails when the resource has
/// changed since it was read: then everything is looked at again.
async fn write_status(
    context: &Context,
    observed: &Observed,
    decision: &Decision,
) -> Result<(), Error> {
    let migration = &observed.migration;
    let mut status = publish::status(observed, decision);
    if let Some(worker) = status.worker.as_mut().filter(|worker| worker.image.is_empty()) {
        worker.image.clone_from(&context.settings.worker_image);
    }
    let old = migration.status.clone().unwrap_or_default();
    let effective = Vec::new();
    let own = SchemaMigrationStatus { plan: None, progress: None, report: None, effective, ..old };
    if status == own {
        return Ok(());
    }
    let patch = Patch::Apply(json!({
        "apiVersion": API_VERSION,
        "kind": "SchemaMigration",
        "metadata": {"name": migration.metadata.name,
            "resourceVersion": migration.metadata.resource_version},
        "status": status,
    }));
    let parameters = PatchParams::apply(names::CONTROLLER).force();
    let api = migrations(&context.client, migration);
    within("write the status", api.patch_status(name(migration), &parameters, &patch)).await?;
    events::tell(&context.recorder, observed, &status).await;
    Ok(())
}

async fn launch(
    context: &Context,
    observed: &Observed,
    (attempt, clean_up): (i64, bool),
) -> Result<(), Error> {
    let migration = &observed.migration;
    let Some(target) = &observed.target else { return Err(Error::NoTarget) };
    let pinned = migration.status.as_ref().and_then(|status| status.worker.as_ref());
    let image = pinned.map(|worker| worker.image.as_str()).filter(|image| !image.is_empty());
    let plan = build::Plan {
        migration,
        secret: &target.spec.credentials_secret.name,
        image: image.unwrap_or(&context.settings.worker_image),
        attempt,
        clean_up,
        common: &context.settings.workers,
    };
    for object in build::objects(&plan) {
        apply_object(&context.client, migration, &object).await?;
    }
    Ok(())
}

async fn apply_object(
    client: &Client,
    migration: &SchemaMigration,
    object: &Value,
) -> Result<(), Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let kind = GroupVersionKind::gvk(group, version, &text(&object["kind"]));
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let parameters = PatchParams::apply(names::CONTROLLER).force();
    let name = text(&object["metadata"]["name"]);
    within("make an object of a worker", api.patch(&name, &parameters, &Patch::Apply(object)))
        .await?;
    Ok(())
}

/// Deletes the Job of the newest attempt; its pod gets SIGTERM and leaves.
async fn stop(client: &Client, migration: &SchemaMigration) -> Result<(), Error> {
    let attempt = migration.status.as_ref().and_then(|status| status.attempt).unwrap_or(0);
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    let name = build::job_name(migration, attempt);
    match within("stop a worker", api.delete(&name, &parameters)).await {
        Err(Error::Ask { source, .. }) if is_gone(&source) => Ok(()),
        stopped => stopped.map(drop),
    }
}

async fn set_finalizer(
    client: &Client,
    migration: &SchemaMigration,
    held: bool,
) -> Result<(), Error> {
    let mut finalizers = migration.metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|name| name != names::FINALIZER);
    finalizers.extend(held.then(|| names::FINALIZER.to_owned()));
    let patch = json!({"metadata": {"finalizers": finalizers,
        "resourceVersion": migration.metadata.resource_version}});
    let parameters =
        PatchParams { field_manager: Some(names::CONTROLLER.to_owned()), ..PatchParams::default() };
    let api = migrations(client, migration);
    let patch = Patch::Merge(&patch);
    let patched = api.patch(name(migration), &parameters, &patch);
    match within("set the finalizer", patched).await {
        Err(Error::Ask { source, .. }) if is_gone(&source) => Ok(()),
        done => done.map(drop),
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

fn migrations(client: &Client, migration: &SchemaMigration) -> Api<SchemaMigration> {
    let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
    Api::namespaced(client.clone(), namespace)
}

fn name(migration: &SchemaMigration) -> &str {
    migration.metadata.name.as_deref().unwrap_or_default()
}
