//! The Job of a hook: one pod with the container of the target's template, no second try, and an end in time.
//! Pure; its name follows from the migration's UID and the asking, so that making it twice is once.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::asked::Asked;
use super::document::{self, drop_absent};
use crate::api::hook_jobs::{HookPod, JobHook, QuestionStatus};
use crate::api::migration::SchemaMigration;
use crate::api::{API_VERSION, names};

/// Characters of a migration's name that its Jobs bear.
const NAME_PART: usize = 40;
/// Where the program finds its document.
const FOLDER: &str = "/ghostship";
/// The user that it runs as, unless the template says otherwise.
const USER: i64 = 65532;
/// Seconds from SIGTERM to SIGKILL.
const GRACE: u32 = 5;
/// Seconds that an ended Job is kept for those who want to read its log.
const KEEP: u32 = 86_400;
/// What may be written to /tmp.
const SCRATCH: &str = "64Mi";

/// The name of a Job: the same for the same asking of a hook, another one for any other.
pub(super) fn job_name(migration: &SchemaMigration, asked: &Asked) -> String {
    let own = &migration.metadata;
    let name: String = own.name.iter().flat_map(|name| name.chars()).take(NAME_PART).collect();
    let uid = own.uid.as_deref().unwrap_or_default();
    let Asked { question: QuestionStatus { id, number, .. }, name: hook, .. } = asked;
    let hash = Sha256::digest(format!("{uid}\n{id}\n{hook}\n{number}"));
    let hash: String = hex::encode(hash).chars().take(16).collect();
    format!("{}-hook-{hash}", name.trim_end_matches(['-', '.']).replace('.', "-"))
}

/// Since when a question is asked, as its Jobs tell it.
pub(super) fn asked_at(question: &QuestionStatus) -> String {
    question.since.as_ref().map(|since| since.0.to_string()).unwrap_or_default()
}

/// The Job.
///
/// # Errors
///
/// In words, when the hook is no longer there or cannot be put into a Job.
pub(super) fn job(migration: &SchemaMigration, asked: &Asked) -> Result<Job, String> {
    let hook = asked.hook.as_ref().ok_or("the MigrationTarget has no such hook")?;
    let own = &migration.metadata;
    let labels = labels(migration, asked);
    let document = document::document(migration, &asked.question).to_string();
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(migration, asked),
            "namespace": own.namespace,
            "labels": labels,
            "annotations": {(names::ASKED_AT): asked_at(&asked.question)},
            "ownerReferences": [{"apiVersion": API_VERSION, "kind": "SchemaMigration",
                "name": own.name, "uid": own.uid, "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": hook.timeout.as_secs(),
            "ttlSecondsAfterFinished": KEEP,
            "template": {
                "metadata": {"labels": labels, "annotations": {(names::DOCUMENT): document}},
                "spec": pod(migration, asked, hook),
            },
        },
    });
    serde_json::from_value(job).map_err(|error| format!("its template makes no Job: {error}"))
}

fn pod(migration: &SchemaMigration, asked: &Asked, hook: &JobHook) -> Value {
    let template = &hook.pod;
    let security = template.security_context.clone().unwrap_or_default();
    let group = security.run_as_group.unwrap_or(USER);
    let mut pod = json!({
        "restartPolicy": "Never",
        "serviceAccountName": template.service_account_name,
        "automountServiceAccountToken": template.service_account_name.is_some(),
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {
            "runAsNonRoot": security.run_as_non_root.unwrap_or(true),
            "runAsUser": security.run_as_user.unwrap_or(USER),
            "runAsGroup": group,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "imagePullSecrets": template.image_pull_secrets,
        "nodeSelector": template.node_selector,
        "tolerations": template.tolerations,
        "containers": [container(migration, asked, template)],
        "volumes": [
            {"name": "document", "downwardAPI": {"items": [{"path": "document.json", "fieldRef":
                {"fieldPath": format!("metadata.annotations['{}']", names::DOCUMENT)}}]}},
            {"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH}},
        ],
    });
    drop_absent(&mut pod);
    pod
}

fn container(migration: &SchemaMigration, asked: &Asked, template: &HookPod) -> Value {
    let security = template.security_context.clone().unwrap_or_default();
    let text = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut env: Vec<Value> = template.env.iter().flatten().map(|one| json!(one)).collect();
    env.extend([
        text("GHOSTSHIP_STAGE", &asked.question.stage),
        text("GHOSTSHIP_MIGRATION", &document::migration_name(migration)),
        text("GHOSTSHIP_HOOK_ID", &asked.question.id),
    ]);
    let resources = template.resources.as_ref().map_or_else(
        || json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}),
        |resources| json!(resources),
    );
    let mut container = json!({
        "name": "hook",
        "image": template.image,
        "imagePullPolicy": template.image_pull_policy,
        "command": template.command,
        "args": template.args,
        "env": env,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": security.read_only_root_filesystem.unwrap_or(true),
            "capabilities": {"drop": ["ALL"]},
        },
        // Who writes no message of its own is quoted by the end of its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "document", "mountPath": FOLDER, "readOnly": true},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    });
    drop_absent(&mut container);
    container
}

/// None of them is a worker's: what is set for workers does not hold for hooks.
fn labels(migration: &SchemaMigration, asked: &Asked) -> Value {
    let name: String =
        migration.metadata.name.iter().flat_map(|name| name.chars()).take(63).collect();
    json!({
        "app.kubernetes.io/name": "ghostship",
        "app.kubernetes.io/component": "hook",
        "app.kubernetes.io/managed-by": "ghostship",
        (names::MIGRATION): name.trim_end_matches(['-', '.']),
        (names::HOOK): asked.name,
        (names::STAGE): asked.question.stage,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::controller::hook_jobs::asked::open;
    use crate::controller::samples::{active, observed};

    fn sample(template: &Value) -> (SchemaMigration, Asked) {
        let question = json!({"id": "uid/1/BeforeCopy", "stage": "BeforeCopy", "try": 3,
            "hooks": ["backup"], "since": "2026-01-01T11:59:00Z"});
        let mut observed = observed(
            &json!({"status": {"attempt": 1, "report": {"attempt": 1, "questions": [question]}}}),
            active(),
        );
        let hooks = json!({"jobs": [{"name": "backup", "stages": ["BeforeCopy"],
            "template": template, "timeout": "90s"}]});
        observed.target.as_mut().unwrap().spec.hooks = serde_json::from_value(hooks).unwrap();
        let asked = open(&observed.migration, observed.target.as_ref()).remove(0);
        (observed.migration, asked)
    }

    fn built(template: &Value) -> Value {
        let (migration, asked) = sample(template);
        serde_json::to_value(job(&migration, &asked).unwrap()).unwrap()
    }

    #[test]
    fn each_asking_of_a_hook_has_a_name_of_its_own() {
        let (migration, asked) = sample(&json!({"image": "i"}));
        let mut names = BTreeSet::new();
        let mut add = |migration: &SchemaMigration, asked: &Asked| {
            let name = job_name(migration, asked);
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.len() <= 63 && name.chars().all(fits), "{name}");
            names.insert(name);
        };
        add(&migration, &asked);
        add(&migration, &asked);
        let mut other = asked.clone();
        other.question.number = 4;
        add(&migration, &other);
        other = asked.clone();
        other.question.id = "uid/2/BeforeCopy".to_owned();
        add(&migration, &other);
        other = asked.clone();
        other.name = "another".to_owned();
        add(&migration, &other);
        let mut anew = migration.clone();
        anew.metadata.uid = Some("another".to_owned());
        add(&anew, &asked);
        anew.metadata.name = Some("a.b".repeat(80));
        add(&anew, &asked);
        assert_eq!(names.len(), 6, "{names:?}");
    }

    #[test]
    fn a_job_is_tried_once_and_ends_in_time() {
        let job = built(&json!({"image": "i:1"}));
        let spec = &job["spec"];
        assert_eq!(
            (&spec["backoffLimit"], &spec["activeDeadlineSeconds"]),
            (&json!(0), &json!(90))
        );
        assert_eq!(spec["ttlSecondsAfterFinished"], KEEP);
        assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
        let owner = &job["metadata"]["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["name"]),
            (&json!("SchemaMigration"), &json!("add-note"))
        );
        let labels = &spec["template"]["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/component"], "hook");
        assert!(labels.get(names::ATTEMPT).is_none(), "{labels}");
    }

    #[test]
    fn a_pod_is_confined_unless_the_template_says_otherwise() {
        let pod = built(&json!({"image": "i"}))["spec"]["template"]["spec"].clone();
        let security = &pod["securityContext"];
        assert_eq!(
            (&security["runAsNonRoot"], &security["runAsUser"]),
            (&json!(true), &json!(USER))
        );
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        let security = &pod["containers"][0]["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        let pod = built(&json!({"image": "i", "serviceAccountName": "backup", "securityContext":
            {"runAsNonRoot": false, "runAsUser": 0, "readOnlyRootFilesystem": false}}));
        let pod = &pod["spec"]["template"]["spec"];
        let security = &pod["securityContext"];
        assert_eq!((&security["runAsNonRoot"], &security["runAsUser"]), (&json!(false), &json!(0)));
        assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], false);
        assert_eq!(pod["automountServiceAccountToken"], true);
        assert_eq!(pod["serviceAccountName"], "backup");
    }

    #[test]
    fn the_template_is_in_the_container_and_the_document_in_a_file() {
        let key = json!({"name": "s", "key": "k"});
        let template = json!({"image": "i", "imagePullPolicy": "Never", "command": ["sh"],
            "args": ["-c"], "env": [{"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"secretKeyRef": key}}],
            "imagePullSecrets": [{"name": "p"}], "resources": {"requests": {"cpu": "1"}}});
        let job = built(&template);
        let pod = &job["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        for field in ["image", "imagePullPolicy", "command", "args", "resources"] {
            assert_eq!(container[field], template[field], "{field}");
        }
        assert_eq!(pod["imagePullSecrets"], template["imagePullSecrets"]);
        let env: Vec<_> =
            container["env"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        let own = ["A", "B", "GHOSTSHIP_STAGE", "GHOSTSHIP_MIGRATION", "GHOSTSHIP_HOOK_ID"];
        assert_eq!(env, own);
        assert_eq!(container["env"][1]["valueFrom"]["secretKeyRef"]["key"], "k");
        let file = &pod["volumes"][0]["downwardAPI"]["items"][0];
        assert_eq!(file["path"], "document.json");
        let text = &job["spec"]["template"]["metadata"]["annotations"]["ghostship.dev/document"];
        let document: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!(document["id"], "uid/1/BeforeCopy");
    }
}
