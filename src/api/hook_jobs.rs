//! Hooks that run as Jobs: as they are written on a target, as they are meant, and what the status tells of
//! them: the questions that a worker has, and what became of the Jobs that answer. Pure.

#![expect(unreachable_pub, reason = "the derive copies structs into functions")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hooks::{FailurePolicy, HookStage};
use super::migration::WorkerResources;
use super::validate::Violations;

/// How long a Job may take when nothing is said, and within which bounds it may be said.
const USUAL_TIMEOUT: Duration = Duration::from_mins(5);
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));
/// What the names of our own variables begin with.
const OWN: &str = "GHOSTSHIP_";
/// The longest text of a hook that is shown, in characters.
const TEXT_LIMIT: usize = 256;

/// A hook that runs as a Job.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobHookSpec {
    /// What it is called in messages and labels.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// The stages at which it runs; not Status, which would be a Job a minute.
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(
        validation = Rule::new("!('Status' in self)")
            .message("stage Status is told too often for Jobs")
    )]
    pub stages: Vec<HookStage>,
    /// What runs. Its exit code is the answer: 0 allows, 75 asks to wait, any other denies.
    pub template: HookPod,
    /// How long the Job may take, the start of its pod included, 5s to 10m; 5m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('10m')")
            .message("timeout must be between 5s and 10m")
    )]
    pub timeout: Option<String>,
    /// What a Job that gives no answer means. `Hold`: the migration waits and asks again. `Ignore`: it
    /// goes on.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
}

/// The pod of a hook: one container, in the words of Kubernetes.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookPod {
    /// The image.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\s]+$"))]
    pub image: String,
    /// When the image is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the namespace with which it is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Option<Vec<PullSecret>>,
    /// The program, instead of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 16384)))]
    pub command: Option<Vec<String>>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 16384)))]
    pub args: Option<Vec<String>>,
    /// Variables of its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(
        validation = Rule::new("self.all(one, !one.name.startsWith('GHOSTSHIP_'))")
            .message("variables that begin with GHOSTSHIP_ are ghostship's own")
    )]
    pub env: Option<Vec<HookVariable>>,
    /// The ServiceAccount of the namespace that it runs as; without it the pod gets no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// What the container asks for and may use; as a worker's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<WorkerResources>,
    /// As whom it runs; what is absent is as for workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<HookSecurity>,
    /// Labels that the node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints that the pod tolerates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub tolerations: Option<Vec<Toleration>>,
}

/// When an image is pulled.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Always,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    IfNotPresent,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Never,
}

/// A Secret with which an image is pulled.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullSecret {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A variable of a hook's environment.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.value) != has(self.valueFrom)")
        .message("a variable has either value or valueFrom")
)]
pub struct HookVariable {
    /// Its name.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where its value is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<VariableSource>,
}

/// Where a variable's value is.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)")
        .message("valueFrom has either secretKeyRef or configMapKeyRef")
)]
pub struct VariableSource {
    /// A key of a Secret of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
    /// A key of a ConfigMap of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,
}

/// A key of a Secret or ConfigMap.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReference {
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// As whom a hook runs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookSecurity {
    /// Whether a user other than root is demanded; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// The user; 65532 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// The group; 65532 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,
    /// Whether nothing can be written but below /tmp; true when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}

/// A hook that runs as a Job, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct JobHook {
    /// What it is called.
    pub name: String,
    /// When it runs.
    pub stages: BTreeSet<HookStage>,
    /// What runs.
    pub pod: HookPod,
    /// How long it may take.
    pub timeout: Duration,
    /// What no answer means.
    pub failure_policy: FailurePolicy,
}

/// A question of a worker that Jobs answer.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QuestionStatus {
    /// The `id` of its document.
    pub id: String,
    /// The stage.
    pub stage: String,
    /// Its number among all that this migration has asked Jobs; another one each time that it asks.
    #[serde(rename = "try")]
    pub number: i64,
    /// The hooks that are asked.
    #[schemars(length(max = 4))]
    pub hooks: Vec<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What became of the Job of a question.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HookJobStatus {
    /// The `id` of the question.
    pub id: String,
    /// The hook.
    pub hook: String,
    /// The number of the question.
    #[serde(rename = "try")]
    pub number: i64,
    /// Name of the Job.
    pub job: String,
    /// The answer; absent until there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<JobAnswer>,
    /// What it says, or why its pod does not start.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When this was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// What a Job answers.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobAnswer {
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Allow,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Wait,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Deny,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Unanswered,
}

impl QuestionStatus {
    /// A question that begins now.
    pub fn new((id, number): (String, i64), stage: &str, hooks: Vec<String>) -> Self {
        let since = Some(Time(Timestamp::now()));
        Self { id, stage: stage.to_owned(), number, hooks, since }
    }
}

impl HookJobStatus {
    /// Whether this is about a hook of that question.
    pub fn is_about(&self, question: &QuestionStatus, hook: &str) -> bool {
        self.id == question.id && self.number == question.number && self.hook == hook
    }
}

/// What a target's Jobs mean; what is wrong with them is noted.
pub(super) fn of_target(jobs: Option<Vec<JobHookSpec>>, found: &mut Violations) -> Vec<JobHook> {
    let jobs: Vec<_> = jobs.unwrap_or_default().into_iter().map(|one| hook(one, found)).collect();
    let names: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    found.unless(
        names.len() == jobs.len(),
        "spec.hooks.jobs",
        "has two hooks of one name",
        "give each its own",
    );
    jobs
}

fn hook(hook: JobHookSpec, found: &mut Violations) -> JobHook {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    found.unless(
        hook.name.chars().all(is_inner) && !hook.name.starts_with('-') && !hook.name.ends_with('-'),
        "spec.hooks.jobs.name",
        "is no name for labels",
        "use lower-case letters, digits and -, the last only inside",
    );
    found.unless(
        !hook.stages.is_empty() && !hook.stages.contains(&HookStage::Status),
        "spec.hooks.jobs.stages",
        "has no stage, or stage Status, which is told too often for Jobs",
        "name the stages; for Status use spec.hooks.http",
    );
    check_pod(&hook.template, found);
    let timeout = hook.timeout.as_ref();
    let timeout = timeout
        .map_or(USUAL_TIMEOUT, |text| found.duration("spec.hooks.jobs.timeout", text, TIMEOUTS));
    JobHook {
        name: hook.name,
        stages: hook.stages.into_iter().collect(),
        pod: hook.template,
        timeout,
        failure_policy: hook.failure_policy,
    }
}

fn check_pod(pod: &HookPod, found: &mut Violations) {
    found.unless(
        !pod.image.contains(char::is_whitespace),
        "spec.hooks.jobs.template.image",
        "has a space",
        "write it as registry/name:tag",
    );
    for one in pod.env.iter().flatten() {
        let field = "spec.hooks.jobs.template.env";
        let is_inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let begins = one.name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        found.unless(
            begins && one.name.chars().all(is_inner) && !one.name.starts_with(OWN),
            field,
            "has a name that is none, or one of ghostship's own",
            "use letters, digits and _, and do not begin with GHOSTSHIP_",
        );
        let source = one.value_from.as_ref();
        let is_one =
            source.is_none_or(|it| it.secret_key_ref.is_some() != it.config_map_key_ref.is_some());
        found.unless(
            one.value.is_some() != source.is_some() && is_one,
            field,
            "has a variable without a value or with two",
            "give it one of value, valueFrom.secretKeyRef and valueFrom.configMapKeyRef",
        );
    }
}

/// A text of a hook that can be shown: one line, not long, nothing that steers a terminal.
pub fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.trim().chars().map(clean).take(TEXT_LIMIT).collect();
    if text.trim().chars().count() > TEXT_LIMIT {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::validate;

    fn jobs(changes: &Value) -> Result<Vec<JobHook>, String> {
        let mut job =
            json!({"name": "backup", "stages": ["BeforeCopy"], "template": {"image": "i:1"}});
        for (name, value) in changes.as_object().unwrap() {
            job[name] = value.clone();
        }
        target(&json!([job]))
    }

    fn target(jobs: &Value) -> Result<Vec<JobHook>, String> {
        let document = json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
            "metadata": {"name": "db"},
            "spec": {"host": "db", "credentialsSecret": {"name": "db"}, "hooks": {"jobs": jobs}},
        });
        let read = validate::target(&document);
        read.map(|valid| valid.stages.jobs).map_err(|found| found[0].message.clone())
    }

    #[test]
    fn a_job_has_its_usual_limits() {
        let jobs = jobs(&json!({})).unwrap();
        assert_eq!((jobs[0].timeout, jobs[0].failure_policy), (USUAL_TIMEOUT, FailurePolicy::Hold));
        assert_eq!(jobs[0].stages, BTreeSet::from([HookStage::BeforeCopy]));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let env = |one: Value| json!({"template": {"image": "i", "env": [one]}});
        let key = json!({"name": "s", "key": "k"});
        let rows = [
            (json!({"stages": ["BeforeCopy", "Status"]}), "stages"),
            (json!({"stages": []}), "stages"),
            (json!({"stages": ["Sometime"]}), "stages"),
            (json!({"name": "Backup"}), "name"),
            (json!({"name": "-backup"}), "name"),
            (json!({"name": "b".repeat(41)}), "name"),
            (json!({"timeout": "11m"}), "timeout"),
            (json!({"timeout": "1s"}), "timeout"),
            (json!({"template": {}}), "image"),
            (json!({"template": {"image": "a b"}}), "image"),
            (json!({"template": {"image": "i", "volumes": []}}), "volumes"),
            (env(json!({"name": "GHOSTSHIP_STAGE", "value": "x"})), "env"),
            (env(json!({"name": "1", "value": "x"})), "env"),
            (env(json!({"name": "A"})), "env"),
            (env(json!({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": key}})), "env"),
            (env(json!({"name": "A", "valueFrom": {}})), "env"),
            (
                env(json!({"name": "A",
                    "valueFrom": {"secretKeyRef": key, "configMapKeyRef": key}})),
                "env",
            ),
        ];
        for (changes, expected) in rows {
            let message = jobs(&changes).unwrap_err();
            assert!(message.contains(expected), "{changes}: {message}");
        }
        let one = json!({"name": "one", "stages": ["Verified"], "template": {"image": "i"}});
        assert!(target(&json!([one, one])).unwrap_err().contains("two hooks"));
        assert!(target(&json!([one, one, one, one, one])).unwrap_err().contains("more than 4"));
    }

    #[test]
    fn a_variable_comes_from_one_place() {
        let key = json!({"name": "s", "key": "k"});
        for one in [
            json!({"name": "A", "value": ""}),
            json!({"name": "A", "valueFrom": {"secretKeyRef": key}}),
            json!({"name": "A", "valueFrom": {"configMapKeyRef": key}}),
        ] {
            let template = json!({"template": {"image": "i", "env": [one]}});
            jobs(&template).unwrap_or_else(|message| panic!("{one}: {message}"));
        }
    }

    #[test]
    fn a_text_is_one_short_line() {
        assert_eq!(shown(" a\u{1b}[31mred\nb "), "a [31mred b");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), TEXT_LIMIT + 1);
    }
}
