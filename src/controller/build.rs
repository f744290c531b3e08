//! The objects of an attempt, as documents for server-side apply: account, rights and Job of its worker.
//! Pure; every name follows from the migration's UID and the attempt, so that making it twice is once.

use serde_json::{Value, json};

use crate::api::migration::SchemaMigration;
use crate::api::{API_VERSION, GROUP, names};

/// Characters of a migration's name that its objects bear.
const NAME_PART: usize = 40;
/// Where the worker finds the account.
const CREDENTIALS: &str = "/credentials";
/// The user that the worker runs as.
const USER: u32 = 65532;
/// Seconds from SIGTERM to SIGKILL: the worker leaves within ten, and ends a swap that is under way.
const GRACE: u32 = 90;
/// Where a worker serves health and metrics.
const METRICS_PORT: u16 = 8080;
const METRICS_ADDRESS: &str = "0.0.0.0:8080";
/// Seconds that an ended Job is kept for those who want to read its log.
const KEEP: u32 = 86_400;

/// What the objects are made of.
pub struct Plan<'a> {
    /// The migration.
    pub migration: &'a SchemaMigration,
    /// The Secret with the account.
    pub secret: &'a str,
    /// The image.
    pub image: &'a str,
    /// The attempt's number.
    pub attempt: i64,
    /// Whether it only cleans up.
    pub clean_up: bool,
    /// What holds for every worker.
    pub common: &'a Common,
}

/// What holds for the workers of all migrations.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// How they log: `text` or `json`.
    pub log_format: String,
    /// How much they log.
    pub log_level: String,
    /// When their image is pulled: `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    /// Secrets, in the migrations' namespaces, with which it is pulled.
    pub pull_secrets: Vec<String>,
}

/// The name of the worker's account and rights, the same for all attempts.
pub fn account_name(migration: &SchemaMigration) -> String {
    let name: String =
        migration.metadata.name.iter().flat_map(|name| name.chars()).take(NAME_PART).collect();
    let uid = migration.metadata.uid.as_deref().unwrap_or_default();
    let short: String = uid.chars().take(8).collect();
    format!("{}-{short}", name.trim_end_matches(['-', '.']).replace('.', "-"))
}

/// The name of an attempt's Job.
pub fn job_name(migration: &SchemaMigration, attempt: i64) -> String {
    format!("{}-{attempt}", account_name(migration))
}

/// Everything that an attempt needs, in the order in which it is made.
pub fn objects(plan: &Plan<'_>) -> [Value; 4] {
    [service_account(plan), role(plan), role_binding(plan), job(plan)]
}

fn service_account(plan: &Plan<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(plan, &account_name(plan.migration)),
        "automountServiceAccountToken": false,
    })
}

/// The worker reads its own resource and its target, and writes its part of one status.
fn role(plan: &Plan<'_>) -> Value {
    let own = plan.migration.metadata.name.clone().unwrap_or_default();
    let rule = |resource: &str, name: &str, verbs: &[&str]| {
        json!({"apiGroups": [GROUP], "resources": [resource], "resourceNames": [name],
            "verbs": verbs})
    };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(plan, &account_name(plan.migration)),
        "rules": [
            rule("schemamigrations", &own, &["get", "list", "watch"]),
            rule("schemamigrations/status", &own, &["patch"]),
            rule("migrationtargets", &plan.migration.spec.target, &["get", "list", "watch"]),
        ],
    })
}

fn role_binding(plan: &Plan<'_>) -> Value {
    let name = account_name(plan.migration);
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(plan, &name),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name,
            "namespace": plan.migration.metadata.namespace}],
    })
}

/// One pod per Job: the next attempt is the controller's. A pod that was disrupted is replaced by the
/// Job itself, after the old one has ended.
fn job(plan: &Plan<'_>) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(plan, &job_name(plan.migration, plan.attempt)),
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": KEEP,
            "podFailurePolicy": {"rules": [
                {"action": "FailJob", "onExitCodes": {"containerName": "worker", "operator": "In",
                    "values": [1, 2, 3, 5, 6]}},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            ]},
            "template": {"metadata": {"labels": labels(plan)}, "spec": pod(plan)},
        },
    })
}

fn pod(plan: &Plan<'_>) -> Value {
    let settings = plan.migration.spec.worker.clone().unwrap_or_default();
    let secrets: Vec<Value> =
        plan.common.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    let mut pod = json!({
        "restartPolicy": "Never",
        "serviceAccountName": account_name(plan.migration),
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {"runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER,
            "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container(plan)],
        "volumes": [{"name": "credentials", "secret": {"secretName": plan.secret,
            "defaultMode": 0o440}}],
        "imagePullSecrets": secrets,
        "nodeSelector": settings.node_selector,
        "tolerations": settings.tolerations,
        "priorityClassName": settings.priority_class_name,
    });
    if let Some(fields) = pod.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && *value != json!([]));
    }
    pod
}

/// What a container asks for and may use when the migration says nothing.
fn resources(plan: &Plan<'_>) -> Value {
    let settings = plan.migration.spec.worker.as_ref();
    match settings.and_then(|worker| worker.resources.as_ref()) {
        Some(resources) => json!(resources),
        None => {
            json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}})
        }
    }
}

fn container(plan: &Plan<'_>) -> Value {
    let common = plan.common;
    let text = |name: &str, value: &str| json!({"name": name, "value": value});
    let metadata = &plan.migration.metadata;
    let mut arguments = vec!["worker".to_owned(), format!("--credentials={CREDENTIALS}")];
    arguments.extend(plan.clean_up.then(|| "--clean-up".to_owned()));
    json!({
        "name": "worker",
        "image": plan.image,
        "imagePullPolicy": common.pull_policy,
        "args": arguments,
        "env": [
            text("GHOSTSHIP_NAMESPACE", metadata.namespace.as_deref().unwrap_or_default()),
            text("GHOSTSHIP_NAME", metadata.name.as_deref().unwrap_or_default()),
            text("GHOSTSHIP_UID", metadata.uid.as_deref().unwrap_or_default()),
            text("GHOSTSHIP_ATTEMPT", &plan.attempt.to_string()),
            text("GHOSTSHIP_LISTEN", METRICS_ADDRESS),
            text("GHOSTSHIP_LOG_FORMAT", &common.log_format),
            text("GHOSTSHIP_LOG", &common.log_level),
            {"name": "GHOSTSHIP_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
        "resources": resources(plan),
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "credentials", "mountPath": CREDENTIALS, "readOnly": true}],
    })
}

fn metadata(plan: &Plan<'_>, name: &str) -> Value {
    let own = &plan.migration.metadata;
    json!({
        "name": name,
        "namespace": own.namespace,
        "labels": labels(plan),
        "ownerReferences": [{"apiVersion": API_VERSION, "kind": "SchemaMigration",
            "name": own.name, "uid": own.uid, "controller": true, "blockOwnerDeletion": true}],
    })
}

fn labels(plan: &Plan<'_>) -> Value {
    let name: String =
        plan.migration.metadata.name.iter().flat_map(|name| name.chars()).take(63).collect();
    json!({
        "app.kubernetes.io/name": "ghostship",
        "app.kubernetes.io/component": "worker",
        "app.kubernetes.io/managed-by": "ghostship",
        (names::MIGRATION): name.trim_end_matches(['-', '.']),
        (names::ATTEMPT): plan.attempt.to_string(),
        (names::PURPOSE): if plan.clean_up { "clean-up" } else { "migrate" },
    })
}
