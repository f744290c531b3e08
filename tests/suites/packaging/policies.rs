//! Who may let a migration cut over, panic and delete one that runs, asked of the API server in the name of four users:
//! a developer with Kubernetes' own role `edit`, an approver, the controller, and whoever ends the namespace.

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::place::{Namespace, Release, TEST};
use super::{CHART, SOON};
use crate::support::cluster::{kubectl, kubectl_with_input};
use crate::support::wait::wait_for;

const APPROVE: &str = "approve";
const CUT_OVER: &str = "cut-over";
const PANIC: &str = "panic";
const DELETE: &str = "delete-active";

pub(super) fn trials() -> Vec<Trial> {
    vec![
        super::super::trial("packaging::only_approvers_let_a_migration_cut_over".into(), cut_over),
        super::super::trial("packaging::only_approvers_approve".into(), approves),
        super::super::trial("packaging::what_is_latched_may_cut_over".into(), latched),
        super::super::trial("packaging::only_approvers_panic".into(), panics),
        super::super::trial("packaging::the_api_panics_for_those_who_may".into(), api_panics),
        super::super::trial("packaging::only_approvers_delete_what_runs".into(), deletes),
    ]
}

/// A namespace in which the policies hold, and people in it.
struct Stage<'a> {
    release: Release<'a>,
    namespace: &'a Namespace,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Who {
    Developer,
    Approver,
    Controller,
}

impl<'a> Stage<'a> {
    async fn set(namespace: &'a Namespace) -> Result<Self> {
        Self::set_with(namespace, "api.enabled=false").await
    }

    async fn set_with(namespace: &'a Namespace, more: &str) -> Result<Self> {
        let release = Release::new(CHART, namespace).with(quiet(namespace.name()));
        let (name, label) = (namespace.name(), TEST.replace('.', "\\."));
        release.install(&format!(
            "watchNamespaces={{{name}}},crds.enabled=false,replicas=0,policies.enabled=true,\
             policies.namespaceSelector.matchLabels.{label}={name},{more}"
        ))?;
        let stage = Self { release, namespace };
        stage.bind("edit", &["developer", "approver"])?;
        stage.bind(&format!("{name}-approver"), &["approver"])?;
        stage.wait_until_it_holds().await?;
        Ok(stage)
    }

    fn bind(&self, role: &str, users: &[&str]) -> Result<()> {
        let users: Vec<_> = users.iter().map(|user| format!("--user={user}")).collect();
        let users: Vec<_> = users.iter().map(String::as_str).collect();
        let (binding, role) = (format!("{role}-people"), format!("--clusterrole={role}"));
        let create = ["create", "rolebinding", &binding, &role, "-n", self.namespace.name()];
        kubectl(&[create.as_slice(), &users].concat()).map(drop)
    }

    /// Rights and policies reach the API server's caches within seconds, each by itself.
    async fn wait_until_it_holds(&self) -> Result<()> {
        wait_for("the developer's rights", SOON, async || {
            Ok(self
                .create(Who::Developer, &waiting("probe"), true)
                .map_err(|error| format!("{error:#}")))
        })
        .await?;
        kubectl_with_input(
            &["create", "-f", "-", "-n", self.namespace.name()],
            &waiting("probe").to_string(),
        )?;
        self.begin("probe")?;
        for (policy, ask) in [
            (APPROVE, annotate("ghostship.dev/approve", "BeforeCopy")),
            (CUT_OVER, annotate("ghostship.dev/cut-over", "allow")),
            (PANIC, json!({"spec": {"panic": true}})),
            (DELETE, annotate("ghostship.dev/delete", "allow")),
        ] {
            wait_for(policy, SOON, async || {
                Ok(refused(self.patch_dry(Who::Developer, "probe", &ask), policy)
                    .map_err(|error| format!("{error:#}")))
            })
            .await?;
        }
        kubectl(&["delete", "schemamigration", "probe", "-n", self.namespace.name()]).map(drop)
    }

    fn user(&self, who: Who) -> String {
        match who {
            Who::Developer => "--as=developer".to_owned(),
            Who::Approver => "--as=approver".to_owned(),
            Who::Controller => format!("--as={}", self.release.account()),
        }
    }

    fn create(&self, who: Who, object: &Value, dry: bool) -> Result<()> {
        let dry = if dry { "--dry-run=server" } else { "--dry-run=none" };
        let create = ["create", "-f", "-", dry, &self.user(who), "-n", self.namespace.name()];
        kubectl_with_input(&create, &object.to_string()).map(drop)
    }

    fn patch(&self, who: Who, name: &str, change: &Value) -> Result<()> {
        self.patch_with(&[&self.user(who)], name, change)
    }

    fn patch_dry(&self, who: Who, name: &str, change: &Value) -> Result<()> {
        self.patch_with(&[&self.user(who), "--dry-run=server"], name, change)
    }

    fn patch_with(&self, options: &[&str], name: &str, change: &Value) -> Result<()> {
        let change = change.to_string();
        let patch = ["patch", "schemamigration", name, "--type=merge", "-p", &change];
        let place = ["-n", self.namespace.name()];
        kubectl(&[patch.as_slice(), &place, options].concat()).map(drop)
    }

    fn delete_dry(&self, who: Who, name: &str) -> Result<()> {
        let user = self.user(who);
        let delete = ["delete", "schemamigration", name, "--dry-run=server", &user];
        kubectl(&[delete.as_slice(), &["-n", self.namespace.name()]].concat()).map(drop)
    }

    fn delete(&self, who: Who, name: &str) -> Result<()> {
        let user = self.user(who);
        let delete = ["delete", "schemamigration", name, "--wait=false", &user];
        kubectl(&[delete.as_slice(), &["-n", self.namespace.name()]].concat()).map(drop)
    }

    /// Writes into the status, as its writers do.
    fn status(&self, name: &str, status: &Value) -> Result<()> {
        self.patch_with(&["--subresource=status"], name, &json!({"status": status}))
    }

    fn begin(&self, name: &str) -> Result<()> {
        self.status(name, &json!({"startedAt": "2026-01-01T00:00:00Z", "completedAt": null}))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let find = ["get", "schemamigration", name, "-n", self.namespace.name()];
        Ok(!kubectl(&[find.as_slice(), &["--ignore-not-found", "-o", "name"]].concat())?.is_empty())
    }
}

/// Keeps controllers of other namespaces out: one that watches everything would write into what this test lays out.
fn quiet(namespace: &str) -> Value {
    let (version, name) = ("admissionregistration.k8s.io/v1", format!("{namespace}-quiet"));
    let everybody = "!request.userInfo.username.startsWith('system:serviceaccount:')";
    let own = format!("request.userInfo.username.startsWith('system:serviceaccount:{namespace}:')");
    json!([
        {"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["ghostship.dev"], "apiVersions": ["*"],
                "operations": ["UPDATE"], "resources": ["schemamigrations", "schemamigrations/status"]}]},
            "validations": [{"expression": format!("{everybody} || {own}")}],
        }},
        {"apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {(TEST): namespace}}},
        }},
    ])
}

fn migration(name: &str, control: Value) -> Value {
    let mut object = json!({
        "apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration", "metadata": {"name": name},
        "spec": {"target": "nowhere", "database": "shop", "table": "orders", "alter": "ENGINE=InnoDB"},
    });
    for (name, value) in control.as_object().into_iter().flatten() {
        object["spec"][name] = value.clone();
    }
    object
}

fn waiting(name: &str) -> Value {
    migration(name, json!({"postponeCutOver": true}))
}

fn annotate(name: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {name: value}}})
}

/// The request is refused, and by this policy.
fn refused(asked: Result<()>, policy: &str) -> Result<()> {
    let Err(error) = asked else { bail!("allowed in spite of {policy}") };
    let words = format!("{error:#}");
    ensure!(words.contains("ValidatingAdmissionPolicy"), "refused by something else: {words}");
    ensure!(words.contains(&format!("-{policy}'")), "refused by another policy: {words}");
    Ok(())
}

async fn cut_over() -> Result<()> {
    use Who::{Approver, Controller, Developer};
    let namespace = Namespace::create()?;
    let stage = Stage::set(&namespace).await?;
    let (allow, hold) = (
        annotate("ghostship.dev/cut-over", "allow"),
        annotate("ghostship.dev/cut-over", "postpone"),
    );
    let silent = json!({"metadata": {"annotations": {"ghostship.dev/cut-over": null}}});
    let (go, unset) =
        (json!({"spec": {"postponeCutOver": false}}), json!({"spec": {"postponeCutOver": null}}));

    let hasty = migration("hasty", json!({}));
    refused(stage.create(Developer, &hasty, true), CUT_OVER).context("created without waiting")?;
    stage.create(Approver, &hasty, true).context("created without waiting, by the approver")?;
    stage.create(Approver, &hasty, false)?;
    refused(stage.patch(Developer, "hasty", &allow), CUT_OVER).context("a word for later")?;
    stage
        .patch(Developer, "hasty", &json!({"spec": {"paused": true}}))
        .context("it never waited")?;
    stage.create(Developer, &waiting("one"), false)?;

    for (what, change) in [("annotated", &allow), ("false", &go), ("removed", &unset)] {
        refused(stage.patch(Developer, "one", change), CUT_OVER).context(what)?;
        refused(stage.patch(Controller, "one", change), CUT_OVER).context(what)?;
    }
    stage.patch(Developer, "one", &json!({"spec": {"paused": true, "copy": {"threads": 1}}}))?;
    stage.patch(Developer, "one", &hold).context("to hold it back needs nobody's leave")?;
    stage.patch(Developer, "one", &unset).context("the annotation holds it")?;
    refused(stage.patch(Developer, "one", &silent), CUT_OVER).context("the hold is taken off")?;
    stage.patch(Developer, "one", &json!({"spec": {"postponeCutOver": true}}))?;
    stage.patch(Developer, "one", &silent).context("the field holds it")?;

    // A tool re-applies what it holds: that only ever makes a migration wait again.
    stage.patch(Approver, "one", &go)?;
    stage.patch(Developer, "one", &json!({"spec": {"postponeCutOver": true}}))?;
    refused(stage.patch(Developer, "one", &go), CUT_OVER).context("lifted once is not for ever")?;
    stage.patch(Approver, "one", &allow)?;
    stage.patch(Developer, "one", &silent)?;
    refused(stage.patch(Developer, "one", &allow), CUT_OVER).context("allowed once is not for ever")
}

/// What the controller has latched needs no second leave, and what has succeeded needs none.
async fn latched() -> Result<()> {
    use Who::Developer;
    let namespace = Namespace::create()?;
    let stage = Stage::set(&namespace).await?;
    let go = json!({"spec": {"postponeCutOver": false}});
    let permission = json!({"cutOver": {"state": "Allowed", "permission": {"by": "approver"}}});
    for (name, status, goes) in [
        ("waiting", json!({"message": ""}), false),
        ("permitted", permission, true),
        ("failed", json!({"conditions": [condition("Succeeded", "False")]}), false),
        ("succeeded", json!({"conditions": [condition("Succeeded", "True")]}), true),
    ] {
        stage.create(Developer, &waiting(name), false)?;
        stage.status(name, &status)?;
        let asked = stage.patch_dry(Developer, name, &go);
        if goes { asked } else { refused(asked, CUT_OVER) }.context(name)?;
    }
    Ok(())
}

fn condition(name: &str, status: &str) -> Value {
    json!({"type": name, "status": status, "reason": "Test", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

async fn approves() -> Result<()> {
    use Who::{Approver, Controller, Developer};
    let namespace = Namespace::create()?;
    let stage = Stage::set(&namespace).await?;
    let word = |stages: &str| annotate("ghostship.dev/approve", stages);
    let silent = json!({"metadata": {"annotations": {"ghostship.dev/approve": null}}});
    let demand = json!({"postponeCutOver": true, "approval": {"before": ["BeforeCopy"]}});
    stage.create(Developer, &migration("one", demand), false)?;
    let mut born = waiting("born");
    born["metadata"]["annotations"] = json!({"ghostship.dev/approve": "BeforeCopy"});
    refused(stage.create(Developer, &born, true), APPROVE).context("created with it")?;
    refused(stage.patch(Developer, "one", &word("BeforeCopy")), APPROVE)?;
    refused(stage.patch(Controller, "one", &word("BeforeCopy")), APPROVE)?;
    let less = json!({"spec": {"approval": null}});
    refused(stage.patch(Developer, "one", &less), APPROVE).context("it demands less")?;
    let more = json!({"spec": {"approval": {"before": ["BeforeCopy", "BeforeCutOver"]}}});
    stage.patch(Developer, "one", &more).context("it demands more")?;
    stage.patch(Approver, "one", &word("BeforeCopy"))?;
    stage.patch(Developer, "one", &json!({"spec": {"paused": true}}))?;
    let both = word("BeforeCopy,BeforeCutOver");
    refused(stage.patch(Developer, "one", &both), APPROVE).context("another stage")?;
    stage.patch(Developer, "one", &silent).context("a tool re-applies what it holds")
}

async fn panics() -> Result<()> {
    use Who::{Approver, Controller, Developer};
    let namespace = Namespace::create()?;
    let stage = Stage::set(&namespace).await?;
    let (panic, calm) = (json!({"spec": {"panic": true}}), json!({"spec": {"panic": null}}));
    stage.create(Developer, &waiting("one"), false)?;
    for who in [Developer, Controller] {
        refused(stage.patch(who, "one", &panic), PANIC)?;
    }
    let born = migration("born", json!({"postponeCutOver": true, "panic": true}));
    refused(stage.create(Developer, &born, true), PANIC).context("created with it")?;
    stage.create(Approver, &born, true)?;
    stage.patch(Approver, "one", &panic)?;
    stage
        .patch(Developer, "one", &json!({"spec": {"paused": true}}))
        .context("it is already set")?;
    stage.patch(Developer, "one", &calm).context("a tool re-applies what it holds")?;
    refused(stage.patch(Developer, "one", &panic), PANIC).context("once more")
}

/// With the API the controller's account acts for callers whose rights it has asked for.
async fn api_panics() -> Result<()> {
    use Who::{Controller, Developer};
    let namespace = Namespace::create()?;
    let stage = Stage::set_with(&namespace, "api.enabled=true").await?;
    let panic = json!({"spec": {"panic": true}});
    stage.create(Developer, &waiting("one"), false)?;
    refused(stage.patch(Developer, "one", &panic), PANIC)?;
    wait_for("the API's right", SOON, async || {
        Ok(stage.patch(Controller, "one", &panic).map_err(|error| format!("{error:#}")))
    })
    .await
}

async fn deletes() -> Result<()> {
    use Who::{Approver, Controller, Developer};
    let namespace = Namespace::create()?;
    let stage = Stage::set(&namespace).await?;
    let (leave, finalizer) = (annotate("ghostship.dev/delete", "allow"), "example.com/held");
    for name in ["one", "two"] {
        stage.create(Developer, &waiting(name), false)?;
        stage.delete_dry(Developer, name).context("it has not begun")?;
        stage.patch(Controller, name, &json!({"metadata": {"finalizers": [finalizer]}}))?;
        stage.begin(name)?;
        refused(stage.delete_dry(Developer, name), DELETE)?;
        refused(stage.delete_dry(Developer, name), DELETE).context("again")?;
        refused(stage.patch(Developer, name, &leave), DELETE).context("annotated")?;
    }
    stage.status("one", &json!({"completedAt": "2026-01-02T00:00:00Z"}))?;
    stage.delete_dry(Developer, "one").context("it has ended")?;

    stage.begin("one")?;
    stage.delete(Approver, "one")?;
    stage
        .status("one", &json!({"message": "cleaning up"}))
        .context("the status of a deleted one")?;
    stage.patch(Controller, "one", &json!({"metadata": {"finalizers": null}}))?;
    ensure!(!stage.exists("one")?, "the finalizer is gone, and it is still there");

    stage.begin("two")?;
    stage.patch(Approver, "two", &leave)?;
    stage.delete(Developer, "two").context("with an approver's leave")?;
    stage.patch(Controller, "two", &json!({"metadata": {"finalizers": null}}))?;

    let ending = namespace.create_beside()?;
    let place = ["-n", ending.name()];
    kubectl_with_input(
        &[["create", "-f", "-"].as_slice(), &place].concat(),
        &waiting("three").to_string(),
    )?;
    let begun = json!({"status": {"startedAt": "2026-01-01T00:00:00Z"}}).to_string();
    let patch =
        ["patch", "schemamigration", "three", "--subresource=status", "--type=merge", "-p", &begun];
    kubectl(&[patch.as_slice(), &place].concat())?;
    kubectl(&["delete", "namespace", ending.name(), "--wait=false"])?;
    wait_for("the namespace to take it along", SOON, async || {
        let left =
            kubectl(&["get", "namespace", ending.name(), "--ignore-not-found", "-o", "name"])?;
        Ok(if left.is_empty() { Ok(()) } else { Err(left) })
    })
    .await
}
