//! Controllers under test: built from this checkout, each in a namespace of its own and deaf to
//! everything but the shops of its own, so that tests stand side by side and one may stop its
//! controller. An admission policy keeps other controllers of the cluster off those shops. Everything
//! bears a label with this process's number and is removed at its end, also by the next process.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::{cluster, kubectl, kubectl_with_input, script};

/// The label of everything that belongs to a process; its value is the process's number.
pub(crate) const PROCESS: &str = "ghostship-test";
/// The label of namespaces and migrations that belong to a controller; its value is its namespace.
pub(crate) const CONTROLLER: &str = "ghostship-test-controller";
/// The label of namespaces whose first workers have failpoints armed.
pub(crate) const ARMED: &str = "ghostship-test-armed";
/// The annotation of such a namespace that names the points and what happens there.
pub(crate) const POINTS: &str = "ghostship-test-points";
/// The name that the manifests give the controller's objects and namespace.
const GHOSTSHIP: &str = "ghostship";
/// What is removed at the end besides namespaces.
const CLUSTER_WIDE: &str = "clusterroles,clusterrolebindings,validatingadmissionpolicies,\
    validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings";

static IMAGE: OnceLock<std::result::Result<String, String>> = OnceLock::new();
static SHARED: OnceLock<std::result::Result<Operator, String>> = OnceLock::new();

/// Removes what this process has made in the cluster when it is dropped.
pub(crate) struct Leftovers(());

impl Leftovers {
    /// The guard of this process.
    pub(crate) fn guard() -> Self {
        Self(())
    }
}

impl Drop for Leftovers {
    #[expect(clippy::print_stderr, reason = "dropping cannot fail, and a person has to know")]
    fn drop(&mut self) {
        if IMAGE.get().is_none() {
            return;
        }
        super::shop::destroy_server();
        if let Err(error) = remove_all_of(&std::process::id().to_string()) {
            eprintln!("something is left over in the cluster: {error:#}");
        }
    }
}

/// A controller and its namespace.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// Its namespace, which is the value of its shops' label as well.
    pub(crate) namespace: String,
}

impl Operator {
    /// The controller that most tests share, started at most once.
    pub(crate) fn shared() -> Result<Self> {
        let started =
            SHARED.get_or_init(|| Self::start("all").map_err(|error| format!("{error:#}")));
        started.clone().map_err(|words| anyhow!("{words}"))
    }

    /// The name of controllers that run outside the cluster; none inside it touches their shops.
    pub(crate) fn outside() -> Result<Self> {
        static KEPT_OFF: OnceLock<std::result::Result<(), String>> = OnceLock::new();
        let namespace = format!("outside-{}", std::process::id());
        let keep_off = || apply(&policies(&namespace)).map(drop);
        let kept_off = KEPT_OFF.get_or_init(|| keep_off().map_err(|error| format!("{error:#}")));
        kept_off.clone().map_err(|words| anyhow!("{words}"))?;
        Ok(Self { namespace })
    }

    /// One for a test that stops it.
    pub(crate) fn start(label: &str) -> Result<Self> {
        Self::start_with_workers(label, image()?)
    }

    /// One whose workers have another image.
    pub(crate) fn start_with_workers(label: &str, workers: &str) -> Result<Self> {
        let namespace = format!("ghostship-{}-{label}", std::process::id());
        apply(&manifests(&namespace, image()?, workers)?)?;
        let operator = Self { namespace };
        operator.wait_until_ready()?;
        Ok(operator)
    }

    /// Replaces it, as an upgrade does: the new one and its workers have this image.
    pub(crate) fn upgrade(&self, image: &str) -> Result<()> {
        let in_own = |arguments: &[&str]| kubectl(&[&["-n", &self.namespace], arguments].concat());
        let former = in_own(&["get", "pods", "-o", "name"])?;
        apply(&manifests(&self.namespace, image, image)?)?;
        self.wait_until_ready()?;
        let gone = ["wait", "--for=delete", "--timeout=60s"];
        in_own(&[&gone[..], &former.lines().collect::<Vec<_>>()].concat()).map(drop)
    }

    /// Sets the number of its pods and waits until it is so.
    pub(crate) fn scale(&self, replicas: u32) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        kubectl(&["-n", &self.namespace, "scale", "deployment", GHOSTSHIP, &replicas])?;
        if replicas.ends_with("=0") {
            let gone = ["wait", "--for=delete", "pod", "--all", "--timeout=60s"];
            return kubectl(&[&["-n", &self.namespace], &gone[..]].concat()).map(drop);
        }
        self.wait_until_ready()
    }

    /// What its pods have logged.
    pub(crate) fn log(&self) -> Result<String> {
        let selector = format!("app.kubernetes.io/name={GHOSTSHIP}");
        kubectl(&["-n", &self.namespace, "logs", "-l", &selector, "--tail=-1", "--prefix=false"])
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deployment = format!("deployment/{GHOSTSHIP}");
        kubectl(&["-n", &self.namespace, "rollout", "status", &deployment, "--timeout=90s"])
            .map(drop)
            .with_context(|| format!("the controller in {} does not start", self.namespace))
    }
}

/// The image of this checkout's program. The first call starts the cluster, removes what ended
/// processes have left there, and installs the kinds.
pub(crate) fn image() -> Result<&'static str> {
    let installed = IMAGE.get_or_init(|| install().map_err(|error| format!("{error:#}")));
    installed.as_deref().map_err(|words| anyhow!("{words}"))
}

/// An image of the same program that has another name and other bytes, as a later version's has.
pub(crate) fn later_image() -> Result<String> {
    let later = image()?.replace(':', ":later-");
    let folder = tempfile::tempdir()?;
    let (program, archive) = (folder.path().join("ghostship"), folder.path().join("image.tar"));
    let stripped = Command::new("strip").arg("-o").arg(&program).arg(static_program()?).status()?;
    ensure!(stripped.success(), "the program could not be stripped");
    OpenOptions::new().append(true).open(&program)?.write_all(b"later")?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    script("image", &[&text(&archive), &later, &text(&program)], None)?;
    script("cluster", &["load", &text(&archive)], None)?;
    Ok(later)
}

/// The program that is in the image.
fn static_program() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_ghostship")).ancestors().nth(2);
    let target = target.context("the program lies in no folder of builds")?;
    let arch = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    Ok(target.join(arch).join("debug").join("ghostship"))
}

/// Applies some documents as one person would, with the file on the standard input.
pub(crate) fn apply(documents: &[Value]) -> Result<String> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": documents});
    kubectl_with_input(
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &list.to_string(),
    )
}

/// Removes everything of a process; its migrations are let go at once.
fn remove_all_of(process: &str) -> Result<()> {
    let label = format!("{PROCESS}={process}");
    let list = ["get", "namespaces", "-l", &label, "-o", "jsonpath={.items[*].metadata.name}"];
    for namespace in kubectl(&list)?.split_whitespace() {
        kubectl(&["-n", namespace, "delete", "smig", "--all", "--wait=false"])?;
        for name in kubectl(&["-n", namespace, "get", "smig", "-o", "name"])?.lines() {
            let nothing = r#"{"metadata": {"finalizers": null}}"#;
            // It may have gone of itself meanwhile.
            drop(kubectl(&["-n", namespace, "patch", name, "--type=merge", "-p", nothing]));
        }
        kubectl(&["delete", "namespace", namespace, "--wait=false", "--ignore-not-found"])?;
    }
    kubectl(&["delete", CLUSTER_WIDE, "-l", &label, "--ignore-not-found"]).map(drop)
}

fn install() -> Result<String> {
    cluster()?;
    let crds: PathBuf = [env!("CARGO_MANIFEST_DIR"), "crds"].iter().collect();
    let crds = crds.to_string_lossy().into_owned();
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crds])?;
    kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "-f", &crds])?;
    remove_orphans()?;
    script("ghostship", &[], None)
}

fn remove_orphans() -> Result<()> {
    let column = format!("jsonpath={{.items[*].metadata.labels.{PROCESS}}}");
    for kind in ["namespaces", CLUSTER_WIDE] {
        let processes = kubectl(&["get", kind, "-l", PROCESS, "-o", &column])?;
        let gone = |process: &&str| !Path::new("/proc").join(process).exists();
        for process in processes.split_whitespace().filter(gone) {
            remove_all_of(process)?;
        }
    }
    Ok(())
}

/// What `config/default` installs but the kinds and the roles of people, moved to another namespace, for
/// the shops with this label alone.
fn manifests(namespace: &str, image: &str, workers: &str) -> Result<Vec<Value>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "config", "default"].iter().collect();
    let text = kubectl(&["kustomize", &folder.to_string_lossy()])?;
    let mut documents = policies(namespace).to_vec();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let document = Value::deserialize(document)?;
        let kind = document["kind"].as_str().unwrap_or_default();
        let of_people = kind == "ClusterRole" && document["metadata"]["name"] != GHOSTSHIP;
        if kind != "CustomResourceDefinition" && !of_people {
            documents.push(moved(document, namespace, (image, workers))?);
        }
    }
    // The namespace has to be there before what is in it.
    documents.sort_by_key(|document| document["kind"] != "Namespace");
    Ok(documents)
}

/// What keeps other controllers off the shops of this one, and arms the workers there.
fn policies(namespace: &str) -> [Value; 4] {
    [policy(namespace), policy_binding(namespace), arming(namespace), arming_binding(namespace)]
}

fn moved(mut document: Value, namespace: &str, (image, workers): (&str, &str)) -> Result<Value> {
    rename(&mut document, namespace);
    let kind = document["kind"].as_str().unwrap_or_default().to_owned();
    if ["Namespace", "ClusterRole", "ClusterRoleBinding"].contains(&kind.as_str()) {
        document["metadata"]["name"] = json!(namespace);
        document["metadata"]["labels"][PROCESS] = json!(std::process::id().to_string());
    }
    if document["roleRef"]["kind"] == "ClusterRole" {
        document["roleRef"]["name"] = json!(namespace);
    }
    if kind == "Deployment" {
        let container = &mut document["spec"]["template"]["spec"]["containers"][0];
        container["image"] = json!(image);
        let environment = container["env"].as_array_mut().context("no environment")?;
        let ours = [
            ("GHOSTSHIP_WORKER_IMAGE", workers.to_owned()),
            ("GHOSTSHIP_SELECTOR", format!("{CONTROLLER}={namespace}")),
            ("GHOSTSHIP_LOG", "info,ghostship=debug".to_owned()),
        ];
        environment.retain(|one| ours.iter().all(|(name, _)| one["name"] != *name));
        environment.extend(ours.map(|(name, value)| json!({"name": name, "value": value})));
    }
    Ok(document)
}

/// Writes the namespace wherever an object names the one that it was made for.
fn rename(value: &mut Value, namespace: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "namespace" && field == GHOSTSHIP {
                    *field = json!(namespace);
                }
                rename(field, namespace);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, namespace)),
        _ => {}
    }
}

fn policy(namespace: &str) -> Value {
    let prefix = "system:serviceaccount:";
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": cluster_wide(namespace),
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": ["ghostship.dev"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["schemamigrations", "schemamigrations/status"]},
                {"apiGroups": ["batch"], "apiVersions": ["*"], "operations": ["CREATE"],
                    "resources": ["jobs"]},
            ]},
            "validations": [{
                "expression": format!("!request.userInfo.username.startsWith('{prefix}') || \
                    ['kube-system', '{namespace}', request.namespace].exists(one, \
                    request.userInfo.username.startsWith('{prefix}' + one + ':'))"),
                "message": "these migrations belong to another controller",
            }],
        },
    })
}

fn policy_binding(namespace: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": cluster_wide(namespace),
        "spec": {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {CONTROLLER: namespace}}},
        },
    })
}

/// Gives the first workers of armed shops their failpoints: nothing of the product passes them on.
fn arming(namespace: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": cluster_wide(namespace),
        "spec": {
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["pods"]}]},
            "matchConditions": [{"name": "first",
                "expression": "object.metadata.?labels['ghostship.dev/attempt'].orValue('') == '1'"}],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!(
                "[JSONPatch{{op: 'add', path: '/spec/containers/0/env/-', \
                 value: Object.spec.containers.env{{name: 'GHOSTSHIP_FAILPOINTS', \
                 value: namespaceObject.metadata.annotations['{POINTS}']}}}}]")}}],
        },
    })
}

fn arming_binding(namespace: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": cluster_wide(namespace),
        "spec": {
            "policyName": namespace,
            "matchResources": {"namespaceSelector":
                {"matchLabels": {CONTROLLER: namespace, ARMED: "true"}}},
        },
    })
}

fn cluster_wide(name: &str) -> Value {
    json!({"name": name, "labels": {PROCESS: std::process::id().to_string()}})
}
