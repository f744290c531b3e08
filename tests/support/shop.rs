//! A shop: a namespace with a Secret and a target, a scene behind them (database, table under load,
//! oracles), and what its people do with kubectl: apply, patch, annotate, delete, and wait for a status.
//! All shops use one MySQL server, each a database and an account of its own. Status is read through
//! the API, so that waiting costs little.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::cluster::{cluster, kubectl, script};
use super::operator::{ARMED, CONTROLLER, Operator, POINTS, PROCESS, apply};
use super::registers::TABLE;
use super::scene::{Scene, Shape};
use super::server::{PrivateServer, Server};
use super::wait::{let_time_pass, wait_for};

/// The name of the target and of its Secret.
pub(crate) const TARGET: &str = "orders-db";
/// The change that migrations make unless they are told otherwise; it needs a copy.
const ALTER: &str = "MODIFY tag VARCHAR(60) NOT NULL, ADD COLUMN note INT NULL";
/// Between two looks at the API.
const PAUSE: Duration = Duration::from_millis(60);
/// How long after its last word a worker may be seen to run.
const WORKER_END: Duration = Duration::from_secs(15);
/// Lines of a log that a failure tells.
const TAIL: usize = 40;

static SERVER: OnceLock<std::result::Result<PodServer, String>> = OnceLock::new();

/// A MySQL server that pods reach, with TLS.
#[derive(Debug)]
pub(crate) struct PodServer {
    private: PrivateServer,
    /// Its name for pods, which its certificate bears.
    pub(crate) host: String,
    /// The certificate of its authority.
    pub(crate) authority: String,
}

impl PodServer {
    /// The one that all shops use unless they are told otherwise, started at most once.
    pub(crate) fn shared() -> Result<&'static Self> {
        let started =
            SERVER.get_or_init(|| Self::start("db").map_err(|error| format!("{error:#}")));
        started.as_ref().map_err(|words| anyhow!("{words}"))
    }

    /// One for a test that stops it; it is removed when the value is dropped.
    pub(crate) fn start(label: &str) -> Result<Self> {
        let process = std::process::id();
        let namespace = format!("test-{process}");
        apply(&[namespace_of(&namespace, json!({}))])?;
        let told = script("mysql", &[&namespace, &format!("{label}-{process}")], None)?;
        let value = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(str::to_owned).with_context(|| format!("the script told no {name}"))
        };
        let authority = fs::read_to_string(value("ca")?)?;
        Ok(Self { private: Server::started(&value("server")?)?, host: value("host")?, authority })
    }

    /// Ends and restarts it.
    pub(crate) fn private(&self) -> &PrivateServer {
        &self.private
    }
}

/// Ends the server that all shops used, when it was started.
pub(crate) fn destroy_server() {
    if let Some(Ok(server)) = SERVER.get() {
        server.private.server().destroy();
    }
}

/// Where a shop stands and what its table is like.
pub(crate) struct Site<'a> {
    /// Its name, in the names of its namespace and database.
    pub(crate) label: &'a str,
    /// Who minds its migrations.
    pub(crate) operator: Operator,
    /// Where its database is.
    pub(crate) server: &'a PodServer,
    /// Its table and load.
    pub(crate) shape: Shape,
}

/// A namespace with a target, and the scene behind it.
pub(crate) struct Shop {
    /// Database, table, writers and oracles.
    pub(crate) scene: Scene,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its controller.
    pub(crate) operator: Operator,
    client: Client,
}

/// A manifest of a SchemaMigration.
#[derive(Clone, Debug)]
pub(crate) struct Migration(pub(crate) Value);

impl Migration {
    /// Sets a field of the spec, named by a path like `/copy/threads`.
    pub(crate) fn with(mut self, path: &str, value: Value) -> Self {
        let names = path.trim_start_matches('/').split('/');
        *names.fold(&mut self.0["spec"], |place, name| &mut place[name]) = value;
        self
    }
}

impl Shop {
    /// Opens a shop.
    pub(crate) async fn open(site: Site<'_>) -> Result<Self> {
        let Site { label, operator, server, shape } = site;
        let namespace = format!("test-{}-{label}", std::process::id()).replace('_', "-");
        let scene = Scene::on(server.private.server(), &format!("cluster_{label}"), shape).await?;
        let labels = json!({
            CONTROLLER: operator.namespace,
            "pod-security.kubernetes.io/enforce": "restricted",
        });
        apply(&[namespace_of(&namespace, labels)])?;
        let shop = Self { scene, namespace, operator, client: client().await? };
        shop.set_password(&shop.scene.database.password, &server.authority)?;
        shop.apply(&shop.target(&server.host))?;
        Ok(shop)
    }

    /// Writes the Secret of the target.
    pub(crate) fn set_password(&self, password: &str, authority: &str) -> Result<()> {
        let account = &self.scene.database.account;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": TARGET, "namespace": self.namespace},
            "stringData": {"username": account, "password": password, "ca.crt": authority},
        });
        apply(&[secret]).map(drop)
    }

    fn target(&self, host: &str) -> Value {
        json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "MigrationTarget",
            "metadata": {"name": TARGET, "namespace": self.namespace},
            "spec": {"host": host, "credentialsSecret": {"name": TARGET},
                "allowedDatabases": [self.scene.database.name]},
        })
    }

    /// A migration of the shop's table that copies `rate` rows a second; 0 is no limit.
    pub(crate) fn migration(&self, name: &str, rate: u64) -> Migration {
        Migration(json!({
            "apiVersion": "ghostship.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": name, "namespace": self.namespace,
                "labels": {CONTROLLER: self.operator.namespace}},
            "spec": {"target": TARGET, "database": self.scene.database.name, "table": TABLE,
                "alter": ALTER, "strategy": "Copy",
                "copy": {"threads": 1, "chunkTime": "100ms", "maxRowsPerSecond": rate}},
        }))
    }

    /// Arms failpoints of the first workers of the shop's migrations.
    pub(crate) fn arm(&self, points: &str) -> Result<()> {
        let armed = format!("{POINTS}={points}");
        kubectl(&["annotate", "namespace", &self.namespace, &armed])?;
        kubectl(&["label", "namespace", &self.namespace, &format!("{ARMED}=true")]).map(drop)
    }

    /// The UID of a migration.
    pub(crate) async fn uid(&self, name: &str) -> Result<String> {
        let found = self.read(name).await?.unwrap_or_default();
        let uid = found["metadata"]["uid"].as_str();
        uid.map(str::to_owned).with_context(|| format!("{name} has no UID"))
    }

    /// Applies a document.
    pub(crate) fn apply(&self, document: &Value) -> Result<()> {
        apply(std::slice::from_ref(document)).map(drop)
    }

    /// Runs kubectl in the namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&[&["-n", &self.namespace], arguments].concat())
    }

    /// Merges a change into a migration's spec.
    pub(crate) fn patch(&self, name: &str, spec: &Value) -> Result<()> {
        let patch = json!({ "spec": spec }).to_string();
        self.kubectl(&["patch", "smig", name, "--type=merge", "-p", &patch]).map(drop)
    }

    /// Sets an annotation of a migration.
    pub(crate) fn annotate(&self, name: &str, annotation: &str) -> Result<()> {
        self.kubectl(&["annotate", "--overwrite", "smig", name, annotation]).map(drop)
    }

    /// Deletes a migration and does not wait for its end.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        self.kubectl(&["delete", "smig", name, "--wait=false"]).map(drop)
    }

    /// The migration as it is; `None` when it is gone.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Value>> {
        let kind = GroupVersionKind::gvk("ghostship.dev", "v1alpha1", "SchemaMigration");
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        Ok(api.get_opt(name).await?.map(serde_json::to_value).transpose()?)
    }

    /// Waits until the migration's status fits; answers it.
    pub(crate) async fn wait_for_status(
        &self,
        name: &str,
        (what, deadline): (&str, Duration),
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let probe = async || {
            let found = self.read(name).await?;
            let found = found.with_context(|| format!("{name} is gone"))?;
            let status = found["status"].clone();
            if fits(&status) {
                return Ok(Ok(status));
            }
            let_time_pass(PAUSE).await;
            Ok(Err(brief(&status)))
        };
        wait_for(&format!("{name}: {what}"), deadline, probe).await
    }

    /// Waits until the migration's phase is this one; answers the status.
    pub(crate) async fn wait_for_phase(
        &self,
        name: &str,
        phase: &str,
        deadline: Duration,
    ) -> Result<Value> {
        self.wait_for_status(name, (phase, deadline), |status| status["phase"] == phase).await
    }

    /// Waits until its condition Ready has this reason; answers the status.
    pub(crate) async fn wait_for_reason(
        &self,
        name: &str,
        reason: &str,
        deadline: Duration,
    ) -> Result<Value> {
        self.wait_for_status(name, (reason, deadline), |status| ready_reason(status) == reason)
            .await
    }

    /// Waits until rows are being copied, some are and most are not.
    pub(crate) async fn wait_until_copying(&self, name: &str, deadline: Duration) -> Result<()> {
        let copying = |status: &Value| status["report"]["phase"] == "RowCopy";
        self.wait_for_status(name, ("the row copy", deadline), copying).await?;
        let probe = async || {
            let rows = self.scene.recorded().await?;
            Ok(if rows > 0 { Ok(rows) } else { Err("no row is copied") })
        };
        wait_for("the first rows", deadline, probe).await.map(drop)
    }

    /// The migration's phase.
    pub(crate) async fn phase(&self, name: &str) -> Result<String> {
        let found = self.read(name).await?.unwrap_or_default();
        Ok(found["status"]["phase"].as_str().unwrap_or_default().to_owned())
    }

    /// A time of the migration's status; such texts sort as the times do.
    pub(crate) async fn time(&self, name: &str, field: &str) -> Result<String> {
        let found = self.read(name).await?.unwrap_or_default();
        let text = found["status"][field].as_str();
        text.map(str::to_owned).with_context(|| format!("{name} has no {field}"))
    }

    /// Waits until the migration is gone.
    pub(crate) async fn wait_until_gone(&self, name: &str, deadline: Duration) -> Result<()> {
        let probe = async || match self.read(name).await? {
            None => Ok(Ok(())),
            Some(found) => {
                let_time_pass(PAUSE).await;
                Ok(Err(brief(&found["status"])))
            }
        };
        wait_for(&format!("{name} to be gone"), deadline, probe).await
    }

    /// The pods of a migration's workers that have not ended.
    pub(crate) fn live_pods(&self) -> Result<Vec<String>> {
        let running = "--field-selector=status.phase!=Succeeded,status.phase!=Failed";
        let names = self.kubectl(&["get", "pods", running, "-o", "name"])?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Removes what a failed test leaves, which would take the others' time; answers how it came about.
    pub(crate) fn give_up(&self) -> String {
        let story = self.story();
        let removed = kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
        removed.map_or_else(|error| format!("{story}\n{error:#}"), |_| story.clone())
    }

    /// Everything that tells how a failure came about: resources, events and the ends of the logs.
    pub(crate) fn story(&self) -> String {
        let tail = format!("--tail={TAIL}");
        let parts: [(&str, Vec<&str>); 4] = [
            ("migrations", vec!["get", "smig", "-o", "yaml"]),
            ("objects", vec!["get", "jobs,pods", "-o", "wide"]),
            ("events", vec!["get", "events", "--sort-by=.metadata.creationTimestamp"]),
            (
                "workers",
                vec!["logs", "-l", "app.kubernetes.io/component=worker", &tail, "--prefix"],
            ),
        ];
        let mut story = String::new();
        for (title, arguments) in parts {
            let text = self.kubectl(&arguments).unwrap_or_else(|error| format!("{error:#}"));
            story.push_str(&format!("\n=== {title} of {}\n{text}", self.namespace));
        }
        story
    }

    /// Checks what has to hold after one migration that was completed.
    pub(crate) async fn expect_completed(self) -> Result<()> {
        self.wait_for_no_worker().await?;
        self.scene.expect_completed().await
    }

    /// Checks what has to hold when nothing may be left and the table is as before.
    pub(crate) async fn expect_untouched(self) -> Result<()> {
        self.wait_for_no_worker().await?;
        self.scene.expect_untouched().await
    }

    /// Checks what always has to hold, whatever became of the migrations.
    pub(crate) async fn expect_written(self) -> Result<()> {
        self.wait_for_no_worker().await?;
        self.scene.end().await
    }

    /// A worker that has told its end needs a moment to be seen as ended.
    async fn wait_for_no_worker(&self) -> Result<()> {
        let probe = async || {
            let live = self.live_pods()?;
            Ok(if live.is_empty() { Ok(()) } else { Err(live) })
        };
        wait_for("the workers to end", WORKER_END, probe).await
    }
}

fn namespace_of(name: &str, mut labels: Value) -> Value {
    labels[PROCESS] = json!(std::process::id().to_string());
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A client of the API server with the rights of its administrator.
pub(crate) async fn client() -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(cluster()?)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The part of a status that tells where it stands.
fn brief(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let reason = ready_reason(status);
    let rows = &status["progress"]["rowsCopied"];
    format!(
        "{} {reason} (attempt {}, rows {rows}): {}",
        text(&status["phase"]),
        status["attempt"],
        text(&status["message"])
    )
}

/// The reason of the condition Ready.
fn ready_reason(status: &Value) -> &str {
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    ready.and_then(|ready| ready["reason"].as_str()).unwrap_or_default()
}
