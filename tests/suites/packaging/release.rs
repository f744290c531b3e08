//! A release comes, changes and goes; the kinds stay, unless they are told not to. What its controller may do is what
//! it needs, and where it watches only.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::place::{Namespace, Release};
use super::{CHART, SOON};
use crate::support::cluster::{kubectl, kubectl_with_input};
use crate::support::operator::image;
use crate::support::wait::wait_for;

const MIGRATIONS: &str = "schemamigrations.ghostship.dev";
const TARGETS: &str = "migrationtargets.ghostship.dev";
const EVENTS: &str = "events.events.k8s.io";
const ROLES: &str = "roles.rbac.authorization.k8s.io";
const LEASES: &str = "leases.coordination.k8s.io";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        super::super::trial("packaging::a_release_comes_and_goes_and_the_kinds_stay".into(), cycle),
        super::super::trial(
            "packaging::the_controller_may_what_it_needs_and_no_more".into(),
            rights,
        ),
        super::super::trial("packaging::the_controller_grants_only_what_it_has".into(), grants),
        super::super::trial("packaging::a_release_is_tested_by_helm".into(), tested),
    ]
}

/// A copy of the chart with kinds of a group of its own: the kinds of the shared cluster are not this test's to remove.
async fn cycle() -> Result<()> {
    let namespace = Namespace::create()?;
    let folder = tempfile::tempdir()?;
    let group = format!("{}.example.com", namespace.name());
    copy(Path::new(CHART), folder.path())?;
    rewrite(folder.path(), |text| text.replace("ghostship.dev", &group))?;
    let kinds = Kinds(format!("schemamigrations.{group}"), format!("migrationtargets.{group}"));
    let chart = folder.path().to_string_lossy().into_owned();
    let release = Release::new(&chart, &namespace);
    let place = format!("watchNamespaces={{{}}},replicas=1", namespace.name());

    let notes = release.install(&place)?;
    ensure!(notes.contains("rollout status"), "the notes name no next command: {notes}");
    ensure!(env_of(&release, "GHOSTSHIP_MAX_ACTIVE")? == "0");
    ensure!(!kinds.short_names()?.contains("newer"));
    let born = kinds.standing()?;

    rewrite(folder.path(), |text| text.replace("    - smig\n", "    - smig\n    - newer\n"))?;
    release.upgrade(&format!("{place},maxActive=7"))?;
    ensure!(env_of(&release, "GHOSTSHIP_MAX_ACTIVE")? == "7");
    ensure!(kinds.short_names()?.contains("newer"), "an upgrade does not reach the kinds");

    release.uninstall()?;
    ensure!(left_of(&release)?.is_empty(), "left behind: {}", left_of(&release)?);
    ensure!(
        kinds.standing()? == born && born.lines().count() == 2,
        "the kinds went with the release"
    );

    release.install(&place).context("beside the kinds that it left")?;
    release.upgrade(&format!("{place},crds.keep=false"))?;
    release.uninstall()?;
    wait_for("the kinds to go", SOON, async || {
        let standing = kinds.standing()?;
        Ok(if standing.is_empty() { Ok(()) } else { Err(standing) })
    })
    .await
}

/// The kinds of the copy, removed when this is dropped.
struct Kinds(String, String);

impl Kinds {
    /// Their UIDs, a line each, and when their deletion began.
    fn standing(&self) -> Result<String> {
        let columns = "custom-columns=:metadata.uid,:metadata.deletionTimestamp";
        let find = ["get", "crd", &self.0, &self.1, "--ignore-not-found"];
        kubectl(&[find.as_slice(), &["--no-headers", "-o", columns]].concat())
    }

    fn short_names(&self) -> Result<String> {
        kubectl(&["get", "crd", &self.0, "-o", "jsonpath={.spec.names.shortNames}"])
    }
}

impl Drop for Kinds {
    fn drop(&mut self) {
        drop(kubectl(&["delete", "crd", &self.0, &self.1, "--ignore-not-found", "--wait=false"]));
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

fn rewrite(chart: &Path, change: impl Fn(&str) -> String) -> Result<()> {
    for entry in fs::read_dir(chart.join("files/crds"))? {
        let path = entry?.path();
        fs::write(&path, change(&fs::read_to_string(&path)?))?;
    }
    Ok(())
}

fn env_of(release: &Release<'_>, name: &str) -> Result<String> {
    let path =
        format!("jsonpath={{.spec.template.spec.containers[0].env[?(@.name==\"{name}\")].value}}");
    kubectl(&["get", "deployment", release.name(), "-n", release.name(), "-o", &path])
}

/// Objects of a release, in its namespace and cluster-wide.
fn left_of(release: &Release<'_>) -> Result<String> {
    let label =
        format!("app.kubernetes.io/instance={},app.kubernetes.io/managed-by=Helm", release.name());
    let kinds = "deployment,service,serviceaccount,poddisruptionbudget,role,rolebinding,clusterrole,\
                 clusterrolebinding";
    kubectl(&["get", kinds, "-n", release.name(), "-l", &label, "-o", "name"])
}

/// With namespaces to watch: there, and nowhere else.
async fn rights() -> Result<()> {
    let (own, watched, other) = (Namespace::create()?, Namespace::create()?, Namespace::create()?);
    let release = Release::new(CHART, &own);
    release.install(&format!(
        "watchNamespaces={{{}}},crds.enabled=false,replicas=0",
        watched.name()
    ))?;
    let account = release.account();
    let (own, watched, other) = (own.name(), watched.name(), other.name());
    let cases = [
        (watched, MIGRATIONS, &["get", "list", "watch", "patch", "delete"][..], true),
        (watched, "schemamigrations.ghostship.dev/status", &["patch"], true),
        (watched, "schemamigrations.ghostship.dev/finalizers", &["update"], true),
        (watched, TARGETS, &["get", "list", "watch"], true),
        (watched, "jobs.batch", &["get", "list", "watch", "create", "patch", "delete"], true),
        (watched, "pods", &["get", "list", "watch"], true),
        (watched, "events", &["list", "watch"], true),
        (watched, EVENTS, &["create", "patch"], true),
        (watched, "serviceaccounts", &["create", "patch"], true),
        (watched, ROLES, &["create", "patch"], true),
        (watched, "rolebindings.rbac.authorization.k8s.io", &["create", "patch"], true),
        (own, LEASES, &["create"], true),
        (watched, MIGRATIONS, &["create", "update", "deletecollection"], false),
        (watched, TARGETS, &["create", "update", "patch", "delete"], false),
        (watched, "secrets", &["get", "list", "watch", "create", "patch"], false),
        (watched, "configmaps", &["get", "list", "create"], false),
        (watched, "pods", &["create", "delete", "patch"], false),
        (watched, "pods/exec", &["create"], false),
        (watched, ROLES, &["delete", "escalate", "bind"], false),
        (watched, LEASES, &["create", "get"], false),
        (watched, "schemamigrations.ghostship.dev/cutover", &["approve"], false),
        (own, MIGRATIONS, &["list"], false),
        (own, LEASES, &["list", "delete"], false),
        (own, "secrets", &["get", "list"], false),
        (other, MIGRATIONS, &["get", "list", "watch", "patch"], false),
        (other, "jobs.batch", &["create"], false),
    ];
    for (namespace, resource, verbs, expected) in cases {
        for verb in verbs {
            let may = may(&account, (namespace, resource, ""), verb)?;
            ensure!(may == expected, "{verb} {resource} in {namespace}: {may}");
        }
    }
    ensure!(may(&account, (own, LEASES, release.name()), "patch")?);
    ensure!(!may(&account, (own, LEASES, "another"), "patch")?);
    Ok(())
}

/// Whether a user may do this, in the API server's own words. The resource is `name.group/subresource`.
fn may(user: &str, (namespace, resource, name): (&str, &str, &str), verb: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {"namespace": namespace, "group": group, "name": name,
            "resource": resource, "subresource": subresource, "verb": verb}},
    });
    let answer = kubectl_with_input(&["create", "-f", "-", "-o", "json"], &review.to_string())?;
    let answer: Value = serde_json::from_str(&answer)?;
    answer["status"]["allowed"].as_bool().context("no answer")
}

/// The test passes beside a controller that watches all or some namespaces, leaves nothing, and fails without rights.
async fn tested() -> Result<()> {
    let (namespace, other) = (Namespace::create()?, Namespace::create()?);
    let release = Release::new(CHART, &namespace);
    let (repository, tag) = image()?.rsplit_once(':').context("an image without a tag")?;
    let base = format!(
        "image.repository={repository},image.tag={tag},image.pullPolicy=Never,replicas=1,\
         crds.enabled=false,rbac.people=false"
    );
    release.install(&format!(
        "{base},watchNamespaces={{{},{}}}",
        namespace.name(),
        other.name()
    ))?;
    release.test().context("in the namespaces that are watched")?;
    release.upgrade(&base)?;
    release.test().context("in all namespaces")?;
    let job = format!("{}-test", release.name());
    let find = ["get", "job", &job, "-n", namespace.name(), "-o", "name"];
    let left = kubectl(&[find.as_slice(), &["--ignore-not-found"]].concat())?;
    ensure!(left.is_empty(), "the test left {left}");
    release.upgrade(&format!("{base},rbac.create=false"))?;
    let failed = release.test().err().context("it passes without rights")?;
    ensure!(format!("{failed:#}").contains(&job), "{failed:#}");
    let log = kubectl(&["logs", &format!("job/{job}"), "-n", namespace.name()])?;
    ensure!(log.contains("does not let us list"), "it failed for another reason: {log}");
    Ok(())
}

/// The API server lets nobody grant what he has not: the worker's rights pass, and one more does not.
async fn grants() -> Result<()> {
    let namespace = Namespace::create()?;
    let release = Release::new(CHART, &namespace);
    release.install(&format!(
        "watchNamespaces={{{}}},crds.enabled=false,replicas=0,rbac.people=false",
        namespace.name()
    ))?;
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let mut rules = vec![
        rule("ghostship.dev", "schemamigrations", &["get", "list", "watch"]),
        rule("ghostship.dev", "schemamigrations/status", &["patch"]),
        rule("ghostship.dev", "migrationtargets", &["get"]),
        rule("events.k8s.io", "events", &["create"]),
    ];
    grant(&release, &namespace, &rules)?;
    rules.push(rule("", "secrets", &["get"]));
    match grant(&release, &namespace, &rules) {
        Err(error) if format!("{error:#}").contains("attempting to grant RBAC permissions") => {
            Ok(())
        }
        Err(error) => Err(error),
        Ok(()) => bail!("the controller grants reading Secrets"),
    }
}

fn grant(release: &Release<'_>, namespace: &Namespace, rules: &[Value]) -> Result<()> {
    let metadata = json!({"name": "worker", "namespace": namespace.name()});
    let version = "rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "worker"},
        "subjects": [{"kind": "ServiceAccount", "name": "worker", "namespace": namespace.name()}],
    });
    let user = format!("--as={}", release.account());
    let apply =
        ["apply", "--server-side", "--field-manager=ghostship-controller", "-f", "-", &user];
    kubectl_with_input(&apply, &format!("{role}\n---\n{binding}")).map(drop)
}
