//! Who is asked at the stages of a migration, who has to approve, and what has to hold: as it is written on
//! target and migration, and as it is meant.

#![expect(unreachable_pub, reason = "the derive copies structs into functions")]

use std::collections::BTreeSet;
use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hook_jobs::{self, JobHook, JobHookSpec};
use super::migration::SchemaMigration;
use super::validate::Violations;
use super::{names, throttle};

/// A URL without user and password.
pub(super) const URL: &str = r"^https?://[^\s@]+$";
/// How long a hook may take when nothing is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the status is told, and after which time a hold is long, when nothing is said.
const USUAL_INTERVAL: Duration = Duration::from_secs(60);
const USUAL_LONG: Duration = Duration::from_secs(600);

/// Who is asked at the stages of this target's migrations.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetHooks {
    /// Receivers that are asked by a signed HTTP request. The key is `hooks.key` of the target's Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub http: Option<Vec<HttpHook>>,
    /// Jobs whose exit code is the answer. In a cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 4),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub jobs: Option<Vec<JobHookSpec>>,
    /// Time between two tellings of stage Status, 1s to 24h; 1m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
            .message("statusInterval must be between 1s and 24h")
    )]
    pub status_interval: Option<String>,
    /// How long a migration is held for the application's sake before stage ThrottledLong is told, 1s to
    /// 24h; 10m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
            .message("throttledAfter must be between 1s and 24h")
    )]
    pub throttled_after: Option<String>,
}

/// A receiver that is asked by HTTP.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpHook {
    /// What it is called in messages.
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub name: String,
    /// The stages at which it is asked.
    #[schemars(length(min = 1, max = 11))]
    pub stages: Vec<HookStage>,
    /// Where. No redirect is followed, and nothing is sent to link-local addresses.
    #[schemars(length(min = 1, max = 1024), regex(pattern = URL))]
    pub url: String,
    /// How long it may take to answer, 1s to 5m; 10s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = crate::api::duration::PATTERN))]
    #[x_kube(
        validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('5m')")
            .message("timeout must be between 1s and 5m")
    )]
    pub timeout: Option<String>,
    /// What an answer that does not come, or makes no sense, means. `Hold`: the migration waits and asks
    /// again. `Ignore`: it goes on.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
}

/// What no answer means.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePolicy {
    #[default]
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Hold,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Ignore,
}

/// A stage at which somebody is asked or told.
#[derive(
    JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum HookStage {
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Validated,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    BeforeCopy,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    RowCopyComplete,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Verified,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Postponed,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    BeforeCutOver,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    AfterCutOver,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Success,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Failure,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    ThrottledLong,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Status,
}

/// What a person has to approve.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The stages that wait for it. Read when a run starts.
    #[schemars(length(max = 2))]
    pub before: Vec<Approvable>,
}

/// A stage that a person may have to approve.
#[derive(
    JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Approvable {
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    BeforeCopy,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    BeforeCutOver,
}

impl Approvable {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::BeforeCopy, Self::BeforeCutOver];

    /// The name, as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeCopy => "BeforeCopy",
            Self::BeforeCutOver => "BeforeCutOver",
        }
    }

    /// The stage of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// A query whose first value has to be the expected one before the tables are swapped.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckQuery {
    /// What it is called in messages.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// One SELECT. It runs in a read-only transaction and has 30 seconds.
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(
        validation = Rule::new("self.lowerAscii().matches('^(select|with)[^a-z0-9_]')")
            .message("query has to be one SELECT")
    )]
    pub query: String,
    /// The value that it has to answer, as text.
    #[schemars(length(max = 256))]
    pub expect: String,
}

/// What a migration tells those who are asked.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationHooks {
    /// A text that hooks get as it is. Read when a run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub hint: Option<String>,
}

/// What has to have happened before a migration begins. In a cluster only.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartAfter {
    /// Names of SchemaMigrations of the same namespace that have to succeed first.
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub migrations: Vec<String>,
}

/// What a target demands at the stages.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetStages {
    /// Who is asked by HTTP.
    pub http: Vec<Hook>,
    /// Which Jobs are asked.
    pub jobs: Vec<JobHook>,
    /// Time between two tellings of the status.
    pub status_interval: Duration,
    /// How long a hold is no long one.
    pub throttled_after: Duration,
    /// What has to be approved, whatever the migration says.
    pub approval: BTreeSet<Approvable>,
    /// What has to hold before the swap.
    pub checks: Vec<Check>,
}

/// What a migration demands at the stages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationStages {
    /// A text for those who are asked.
    pub hint: String,
    /// What has to be approved besides.
    pub approval: BTreeSet<Approvable>,
}

/// A receiver, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// When it is asked.
    pub stages: BTreeSet<HookStage>,
    /// Where.
    pub url: String,
    /// How long it may take.
    pub timeout: Duration,
    /// What no answer means.
    pub failure_policy: FailurePolicy,
}

/// A check, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is called.
    pub name: String,
    /// One SELECT.
    pub query: String,
    /// The value that it has to answer.
    pub expect: String,
}

/// What a target's fields mean; what is wrong with them is noted.
pub(super) fn of_target(
    hooks: Option<TargetHooks>,
    approval: Option<Approval>,
    checks: Option<Vec<CheckQuery>>,
    found: &mut Violations,
) -> TargetStages {
    let hooks = hooks.unwrap_or_default();
    let bounds = (Duration::from_secs(1), Duration::from_hours(24));
    let mut time = |name: &str, text: Option<&String>, usual| {
        let field = format!("spec.hooks.{name}");
        text.map_or(usual, |text| found.duration(&field, text, bounds))
    };
    let status_interval = time("statusInterval", hooks.status_interval.as_ref(), USUAL_INTERVAL);
    let throttled_after = time("throttledAfter", hooks.throttled_after.as_ref(), USUAL_LONG);
    let http: Vec<_> =
        hooks.http.unwrap_or_default().into_iter().map(|one| hook(one, found)).collect();
    let names: BTreeSet<&str> = http.iter().map(|hook| hook.name.as_str()).collect();
    found.unless(
        names.len() == http.len(),
        "spec.hooks.http",
        "has two hooks of one name",
        "give each its own",
    );
    TargetStages {
        jobs: hook_jobs::of_target(hooks.jobs, found),
        status_interval,
        throttled_after,
        approval: approval.unwrap_or_default().before.into_iter().collect(),
        checks: checks.unwrap_or_default().into_iter().map(|one| check(one, found)).collect(),
        http,
    }
}

fn hook(hook: HttpHook, found: &mut Violations) -> Hook {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    found.unless(
        hook.name.chars().all(is_name),
        "spec.hooks.http.name",
        "has other letters",
        "use letters, digits and - _ .",
    );
    check_url("spec.hooks.http.url", &hook.url, found);
    let bounds = (Duration::from_secs(1), Duration::from_mins(5));
    let timeout = hook.timeout.as_ref();
    let timeout = timeout
        .map_or(USUAL_TIMEOUT, |text| found.duration("spec.hooks.http.timeout", text, bounds));
    Hook {
        name: hook.name,
        stages: hook.stages.into_iter().collect(),
        url: hook.url,
        timeout,
        failure_policy: hook.failure_policy,
    }
}

/// Notes when a URL is none, or has user and password.
pub(super) fn check_url(field: &str, url: &str, found: &mut Violations) {
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let is_plain =
        |rest: &str| !rest.is_empty() && !rest.contains('@') && !rest.contains(char::is_whitespace);
    found.unless(
        rest.is_some_and(is_plain),
        field,
        "is not a URL without user and password",
        "write it as https://host/path",
    );
}

fn check(check: CheckQuery, found: &mut Violations) -> Check {
    let CheckQuery { name, query, expect } = check;
    throttle::check_query("spec.checks.query", &query, found);
    Check { name, query, expect }
}

/// What a migration's fields mean.
pub(super) fn of_migration(resource: &SchemaMigration) -> MigrationStages {
    let spec = &resource.spec;
    let hint = spec.hooks.as_ref().and_then(|hooks| hooks.hint.clone());
    let approval = spec.approval.iter().flat_map(|approval| approval.before.iter().copied());
    MigrationStages { hint: hint.unwrap_or_default(), approval: approval.collect() }
}

/// What a migration's annotation approves: names of stages, separated by commas. Other words mean nothing.
pub fn approved(resource: &SchemaMigration) -> BTreeSet<Approvable> {
    let annotations = resource.metadata.annotations.as_ref();
    let words = annotations.and_then(|all| all.get(names::APPROVE)).map_or("", String::as_str);
    words.split(',').filter_map(|word| Approvable::named(word.trim())).collect()
}

impl Default for TargetStages {
    fn default() -> Self {
        Self {
            http: Vec::new(),
            jobs: Vec::new(),
            status_interval: USUAL_INTERVAL,
            throttled_after: USUAL_LONG,
            approval: BTreeSet::new(),
            checks: Vec::new(),
        }
    }
}

impl HookStage {
    /// The name, as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validated => "Validated",
            Self::BeforeCopy => "BeforeCopy",
            Self::RowCopyComplete => "RowCopyComplete",
            Self::Verified => "Verified",
            Self::Postponed => "Postponed",
            Self::BeforeCutOver => "BeforeCutOver",
            Self::AfterCutOver => "AfterCutOver",
            Self::Success => "Success",
            Self::Failure => "Failure",
            Self::ThrottledLong => "ThrottledLong",
            Self::Status => "Status",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::validate;

    fn target(spec: &Value) -> Result<TargetStages, String> {
        let mut document = json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
            "metadata": {"name": "db"},
            "spec": {"host": "db", "credentialsSecret": {"name": "db"}},
        });
        for (name, value) in spec.as_object().unwrap() {
            document["spec"][name] = value.clone();
        }
        let read = validate::target(&document);
        read.map(|valid| valid.stages).map_err(|found| found[0].message.clone())
    }

    fn migration(annotation: &str, spec: &Value) -> validate::ValidMigration {
        let mut document = json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": "one", "annotations": {"ghostship.dev/approve": annotation}},
            "spec": {"target": "db", "database": "shop", "table": "t", "alter": "ENGINE=InnoDB"},
        });
        for (name, value) in spec.as_object().unwrap() {
            document["spec"][name] = value.clone();
        }
        validate::migration(&document).unwrap()
    }

    #[test]
    fn hooks_have_their_usual_limits() {
        let hook = json!({"name": "backup", "stages": ["BeforeCopy"], "url": "https://h/x"});
        let stages = target(&json!({"hooks": {"http": [hook], "statusInterval": "5s"}})).unwrap();
        assert_eq!((stages.http[0].timeout, stages.status_interval.as_secs()), (USUAL_TIMEOUT, 5));
        assert_eq!(stages.http[0].failure_policy, FailurePolicy::Hold);
        assert_eq!(target(&json!({})).unwrap(), TargetStages::default());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let hook = |changes: Value| {
            let mut hook = json!({"name": "one", "stages": ["BeforeCopy"], "url": "https://h/x"});
            for (name, value) in changes.as_object().unwrap() {
                hook[name] = value.clone();
            }
            json!({"hooks": {"http": [hook]}})
        };
        let check = |query: &str| json!({"checks": [{"name": "c", "query": query, "expect": "0"}]});
        let twice = hook(json!({}))["hooks"]["http"][0].clone();
        let rows = [
            (hook(json!({"url": "ftp://h/x"})), "url"),
            (hook(json!({"url": "https://user:password@h/x"})), "url"),
            (hook(json!({"url": "https://h/ x"})), "url"),
            (hook(json!({"timeout": "10m"})), "timeout"),
            (hook(json!({"name": "a b"})), "name"),
            (hook(json!({"stages": ["Sometime"]})), "stages"),
            (json!({"hooks": {"http": [twice, twice]}}), "two hooks"),
            (check("DELETE FROM t"), "spec.checks.query"),
            (check("SELECT 1; SELECT 2"), "spec.checks.query"),
            (json!({"approval": {"before": ["Verified"]}}), "approval"),
        ];
        for (spec, expected) in rows {
            let message = target(&spec).unwrap_err();
            assert!(message.contains(expected), "{spec}: {message}");
            assert!(!message.contains("password@"), "{message}");
        }
    }

    #[test]
    fn an_annotation_approves_by_name() {
        let rows: [(&str, &[Approvable]); 6] = [
            ("", &[]),
            ("BeforeCopy", &[Approvable::BeforeCopy]),
            ("BeforeCutOver, BeforeCopy", &[Approvable::BeforeCopy, Approvable::BeforeCutOver]),
            ("true", &[]),
            ("beforecopy", &[]),
            ("Verified", &[]),
        ];
        for (annotation, expected) in rows {
            let approved = migration(annotation, &json!({})).asked.approved;
            assert_eq!(approved.into_iter().collect::<Vec<_>>(), expected, "{annotation:?}");
        }
    }

    #[test]
    fn a_migration_has_a_hint_and_may_ask_for_approval() {
        let spec = json!({"hooks": {"hint": "ticket 1"}, "approval": {"before": ["BeforeCopy"]}});
        let stages = migration("", &spec).start.stages;
        assert_eq!(stages.hint, "ticket 1");
        assert!(stages.approval.contains(&Approvable::BeforeCopy));
        assert_eq!(migration("", &json!({})).start.stages, MigrationStages::default());
    }
}
