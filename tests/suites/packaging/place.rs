//! Where a test works: a namespace with restricted pods and a release of its own, both removed when they are dropped.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::support::cluster::{cluster, helm, kubectl, kubectl_with_input};

/// A label of every namespace of the tests.
pub(super) const TEST: &str = "ghostship.dev/test";

static KINDS: OnceLock<std::result::Result<(), String>> = OnceLock::new();
static MADE: AtomicU32 = AtomicU32::new(0);

/// A namespace of the test's own.
#[derive(Debug)]
pub(super) struct Namespace(String);

impl Namespace {
    /// Makes one; its name begins with `packaging-`, and its label [`TEST`] is its name.
    pub(super) fn create() -> Result<Self> {
        let name = fresh_name();
        Self::labelled(name.clone(), &name)
    }

    /// Makes one whose label [`TEST`] is the name of this one.
    pub(super) fn create_beside(&self) -> Result<Self> {
        Self::labelled(fresh_name(), &self.0)
    }

    fn labelled(name: String, label: &str) -> Result<Self> {
        install_kinds()?;
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
                "pod-security.kubernetes.io/enforce": "restricted", (TEST): label,
            }},
        });
        kubectl_with_input(&["create", "-f", "-"], &object.to_string())?;
        Ok(Self(name))
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Namespace {
    /// A migration that a test has held is let go: else it would hold the namespace.
    fn drop(&mut self) {
        let place = ["-n", self.0.as_str()];
        let held =
            kubectl(&[["get", "schemamigrations", "-o", "name"].as_slice(), &place].concat());
        for name in held.unwrap_or_default().lines() {
            let patch =
                ["patch", name, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#];
            drop(kubectl(&[patch.as_slice(), &place].concat()));
        }
        drop(kubectl(&["delete", "namespace", &self.0, "--ignore-not-found", "--wait=false"]));
    }
}

/// A release of the chart, or of a copy of it, in a namespace. Cluster-wide objects bear its name.
#[derive(Debug)]
pub(super) struct Release<'a> {
    chart: &'a str,
    namespace: &'a Namespace,
    extra: Value,
}

impl<'a> Release<'a> {
    /// A release that is not installed yet.
    pub(super) fn new(chart: &'a str, namespace: &'a Namespace) -> Self {
        Self { chart, namespace, extra: json!([]) }
    }

    /// With more objects.
    pub(super) fn with(mut self, extra: Value) -> Self {
        self.extra = extra;
        self
    }

    /// The release's name, and that of its objects.
    pub(super) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// `helm install` with values as `--set` takes them.
    pub(super) fn install(&self, values: &str) -> Result<String> {
        self.run("install", values)
    }

    /// `helm upgrade` with values as `--set` takes them.
    pub(super) fn upgrade(&self, values: &str) -> Result<String> {
        self.run("upgrade", values)
    }

    /// `helm test`.
    pub(super) fn test(&self) -> Result<String> {
        helm(&["test", self.name(), "--namespace", self.namespace.name(), "--timeout=2m"])
    }

    /// `helm uninstall`.
    pub(super) fn uninstall(&self) -> Result<String> {
        helm(&["uninstall", self.name(), "--namespace", self.namespace.name(), "--wait"])
    }

    /// The user that its controller is.
    pub(super) fn account(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace.name(), self.name())
    }

    fn run(&self, verb: &str, values: &str) -> Result<String> {
        let name = self.name();
        let own = format!("fullnameOverride={name}");
        let place = ["--namespace", self.namespace.name()];
        let extra = format!("extraObjects={}", self.extra);
        let values = ["--set", &own, "--set", values, "--set-json", &extra];
        helm(&[&[verb, name, self.chart], place.as_slice(), values.as_slice()].concat())
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let place = ["--namespace", self.namespace.name()];
        drop(helm(
            &[["uninstall", self.name()].as_slice(), &place, &["--ignore-not-found"]].concat(),
        ));
    }
}

/// Starts the cluster and tells it of the kinds, once per process.
fn install_kinds() -> Result<()> {
    let installed = KINDS.get_or_init(|| {
        let kinds = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", kinds];
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", kinds];
        let installed = cluster().and_then(|_| kubectl(&apply)).and_then(|_| kubectl(&wait));
        installed.map(drop).map_err(|error| format!("{error:#}"))
    });
    installed.clone().map_err(|words| anyhow!(words))
}

fn fresh_name() -> String {
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    format!("packaging-{}-{number}", std::process::id())
}
