//! The whole check of a resource: document in, typed values out, or every violation with its reason,
//! cause and remedy. It demands all that the definitions' schemas and rules demand, so that a run
//! without an API server refuses the same manifests.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::crds::definition;
use super::history::{self, History};
use super::hooks::{self, Approvable, MigrationStages, TargetStages};
use super::hours::{self, Profile, Windows};
use super::layer::{Layer, Settings};
use super::migration::{SchemaMigration, Strategy, VerifyMode};
use super::structure::{Fault, faults};
use super::target::{ControlReplica, MigrationTarget, MigrationTargetSpec, Preset, TlsMode};
use super::throttle::{self, Probes};
use super::{API_VERSION, SYSTEM_DATABASES, duration};

/// Why a manifest is refused; the texts are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A field is unknown, missing, of the wrong type or out of range.
    InvalidSpec,
    /// The database belongs to the server itself.
    NotAllowedSchema,
    /// The named target does not exist or lies elsewhere.
    TargetNotAllowed,
    /// The Secret or one of its keys is missing.
    CredentialsUnavailable,
}

/// One thing that forbids a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The class of the cause.
    pub reason: Reason,
    /// The cause, one sentence that names the field; never a value of a Secret.
    pub message: String,
    /// What to do, one sentence.
    pub remedy: String,
}

/// A target that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidTarget {
    /// Its name.
    pub name: String,
    /// Its namespace; `default` when the manifest names none.
    pub namespace: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the Secret with the account.
    pub secret: String,
    /// How far TLS goes.
    pub tls: TlsMode,
    /// The name that the certificate must bear, when it is not `host`.
    pub server_name: Option<String>,
    /// Hosts and ports of the replicas whose lag is watched.
    pub control_replicas: Vec<ControlReplica>,
    /// What is asked before migrations go on.
    pub probes: Probes,
    /// What it demands at the stages.
    pub stages: TargetStages,
    /// Patterns of databases that may be changed; empty allows all.
    pub allowed_databases: Vec<String>,
    /// How long what has ended is remembered.
    pub history: History,
    /// What may change while a migration runs.
    pub settings: TargetSettings,
}

/// What a target says about how its migrations run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetSettings {
    /// What kind of server it is.
    pub preset: Option<Preset>,
    /// Settings of the migrations that do not have them themselves.
    pub defaults: Layer,
    /// Settings for some hours.
    pub profiles: Vec<Profile>,
    /// When what may happen.
    pub windows: Windows,
}

/// A migration that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidMigration {
    /// Its name.
    pub name: String,
    /// Its namespace; `default` when the manifest names none.
    pub namespace: String,
    /// UID, when the object comes from a cluster.
    pub uid: Option<String>,
    /// What never changes.
    pub identity: Identity,
    /// What is read when a run starts.
    pub start: StartSettings,
    /// The control fields, and what else may change at any time.
    pub asked: Asked,
    /// Its own settings.
    pub layer: Layer,
    /// Its settings for some hours.
    pub profiles: Vec<Profile>,
    /// When what may happen.
    pub windows: Windows,
}

/// The fields that make a migration this migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the target.
    pub target: String,
    /// Database of the table.
    pub database: String,
    /// The table.
    pub table: String,
    /// The user's ALTER text.
    pub alter: String,
    /// The road.
    pub strategy: Strategy,
}

/// Settings that a run takes when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartSettings {
    /// How much is verified.
    pub verify: VerifyMode,
    /// How long the old table is kept; zero drops it at once.
    pub retain: Duration,
    /// Whether lossy conversions are accepted.
    pub accept_lossy: bool,
    /// Confirmed renames, old to new.
    pub renames: Vec<(String, String)>,
    /// What it demands at the stages.
    pub stages: MigrationStages,
}

/// The control fields, and what no other source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The strongest of the control fields that are set.
    pub control: Control,
    /// Whether the cut-over has to wait.
    pub postpone_cut_over: bool,
    /// Stages that a person has approved.
    pub approved: BTreeSet<Approvable>,
    /// Rows that verification may repair.
    pub repair_limit: u64,
}

/// What the control fields ask for, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// Go on.
    Run,
    /// Hold.
    Pause,
    /// Stop and drop what was created.
    Abort,
    /// Stop at once and keep everything.
    Panic,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::InvalidSpec,
        Self::NotAllowedSchema,
        Self::TargetNotAllowed,
        Self::CredentialsUnavailable,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::NotAllowedSchema => "NotAllowedSchema",
            Self::TargetNotAllowed => "TargetNotAllowed",
            Self::CredentialsUnavailable => "CredentialsUnavailable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Violation {
    /// A violation with its three texts.
    pub fn new(reason: Reason, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason, message: message.into(), remedy: remedy.into() }
    }
}

/// Checks a `MigrationTarget` document.
///
/// # Errors
///
/// Every violation found.
pub fn target(document: &Value) -> Result<ValidTarget, Vec<Violation>> {
    let resource: MigrationTarget = typed(document, &TARGET_SCHEMA)?;
    let spec = resource.spec;
    let mut found = Violations::of("MigrationTarget");
    let settings = target_settings(&spec, &mut found);
    found.check_host("spec.host", &spec.host);
    let replicas = spec.control_replicas.unwrap_or_default();
    for replica in &replicas {
        found.check_host("spec.controlReplicas", &replica.host);
    }
    let named = spec.tls.server_name.is_none() || spec.tls.mode == TlsMode::VerifyIdentity;
    found.unless(
        named,
        "spec.tls.serverName",
        "has a meaning only with mode VerifyIdentity",
        "remove it or set spec.tls.mode to VerifyIdentity",
    );
    let allowed = spec.allowed_databases.unwrap_or_default();
    found.unless(
        !allowed.iter().any(|name| is_system(name)),
        "spec.allowedDatabases",
        "names a database of the server itself",
        "remove it; these databases cannot be changed",
    );
    let valid = ValidTarget {
        name: resource.metadata.name.unwrap_or_default(),
        namespace: namespace(resource.metadata.namespace),
        host: spec.host,
        port: spec.port,
        secret: spec.credentials_secret.name,
        tls: spec.tls.mode,
        server_name: spec.tls.server_name,
        control_replicas: replicas,
        probes: throttle::read_probes(spec.probes.unwrap_or_default(), &mut found),
        stages: hooks::of_target(spec.hooks, spec.approval, spec.checks, &mut found),
        allowed_databases: allowed,
        history: history::read(spec.history.as_ref(), &mut found),
        settings,
    };
    found.none(valid)
}

/// Checks a `SchemaMigration` document.
///
/// # Errors
///
/// Every violation found.
pub fn migration(document: &Value) -> Result<ValidMigration, Vec<Violation>> {
    let resource: SchemaMigration = typed(document, &MIGRATION_SCHEMA)?;
    let mut found = Violations::of("SchemaMigration");
    found.check_names(&resource);
    let asked = Asked {
        control: control(&resource),
        postpone_cut_over: resource.spec.postpone_cut_over.unwrap_or(false),
        approved: hooks::approved(&resource),
        repair_limit: resource.spec.verify.repair_limit,
    };
    let start = start_settings(&resource, &mut found);
    let spec = resource.spec;
    let written = Settings {
        copy: spec.copy.as_ref(),
        throttle: spec.throttle.as_ref(),
        cut_over: spec.cut_over.as_ref(),
    };
    let layer = Layer::check("spec", written, &mut found);
    let profiles = hours::profiles("spec.profiles", spec.profiles.as_ref(), &mut found);
    let windows = Windows::check(spec.windows.as_ref(), &mut found);
    let valid = ValidMigration {
        name: resource.metadata.name.unwrap_or_default(),
        namespace: namespace(resource.metadata.namespace),
        uid: resource.metadata.uid,
        identity: Identity {
            target: spec.target,
            database: spec.database,
            table: spec.table,
            alter: spec.alter,
            strategy: spec.strategy.unwrap_or_default(),
        },
        start,
        asked,
        layer,
        profiles,
        windows,
    };
    found.none(valid)
}

/// Whether a migration and a target belong together.
///
/// # Errors
///
/// `TargetNotAllowed` when the names or the namespaces differ.
pub fn pair(migration: &ValidMigration, target: &ValidTarget) -> Result<(), Violation> {
    let asked = &migration.identity.target;
    if *asked != target.name {
        let message = format!(
            "SchemaMigration spec.target is {asked:?}, but the MigrationTarget is called {:?}",
            target.name
        );
        return Err(Violation::new(Reason::TargetNotAllowed, message, "make both names the same"));
    }
    if migration.namespace != target.namespace {
        let message = format!(
            "SchemaMigration metadata.namespace is {:?}, but its MigrationTarget lies in {:?}",
            migration.namespace, target.namespace
        );
        let remedy = "move both into one namespace; a target serves its own namespace only";
        return Err(Violation::new(Reason::TargetNotAllowed, message, remedy));
    }
    Ok(())
}

/// Whether a `SchemaMigration` document asks for panic, however wrong its other fields may be.
pub fn asks_for_panic(document: &Value) -> bool {
    document["kind"] == "SchemaMigration" && document["spec"]["panic"] == true
}

static TARGET_SCHEMA: LazyLock<Value> = LazyLock::new(|| schema(&definition::<MigrationTarget>()));
static MIGRATION_SCHEMA: LazyLock<Value> =
    LazyLock::new(|| schema(&definition::<SchemaMigration>()));

fn schema(crd: &CustomResourceDefinition) -> Value {
    let mut crd = serde_json::to_value(crd).unwrap_or_default();
    let kind = crd["spec"]["names"]["kind"].clone();
    let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
    schema["properties"]["apiVersion"] =
        serde_json::json!({"type": "string", "enum": [API_VERSION]});
    schema["properties"]["kind"] = serde_json::json!({"type": "string", "enum": [kind]});
    schema["properties"]["metadata"] = metadata_schema();
    schema["required"] = serde_json::json!(["apiVersion", "kind", "metadata", "spec"]);
    schema
}

/// Metadata that a person writes; an API server adds more, which `typed` does not look at.
fn metadata_schema() -> Value {
    let name = serde_json::json!({"type": "string", "minLength": 1, "maxLength": 253});
    serde_json::json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": {},
        "properties": {"name": name, "namespace": name, "uid": {"type": "string"}}
    })
}

fn typed<T: DeserializeOwned>(document: &Value, schema: &Value) -> Result<T, Vec<Violation>> {
    let kind = document["kind"].as_str().unwrap_or("document");
    let found = faults(schema, "", document);
    if !found.is_empty() {
        return Err(found.into_iter().map(|fault| from_fault(kind, fault)).collect());
    }
    let mut document = document.clone();
    drop_nulls(&mut document);
    T::deserialize(document).map_err(|_| {
        let message = format!("{kind}: metadata is not what Kubernetes expects");
        vec![Violation::new(
            Reason::InvalidSpec,
            message,
            "keep name, namespace, labels and annotations only",
        )]
    })
}

/// An API server treats a field that is null as absent.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn from_fault(kind: &str, fault: Fault) -> Violation {
    let field = fault.field.trim_start_matches('.');
    let field = if field.is_empty() { "the document" } else { field };
    Violation::new(Reason::InvalidSpec, format!("{kind} {field} {}", fault.problem), fault.remedy)
}

fn target_settings(spec: &MigrationTargetSpec, found: &mut Violations) -> TargetSettings {
    let defaults = spec.defaults.clone().unwrap_or_default();
    let written = Settings {
        copy: defaults.copy.as_ref(),
        throttle: defaults.throttle.as_ref(),
        cut_over: defaults.cut_over.as_ref(),
    };
    TargetSettings {
        preset: spec.preset,
        defaults: Layer::check("spec.defaults", written, found),
        profiles: hours::profiles("spec.defaults.profiles", defaults.profiles.as_ref(), found),
        windows: Windows::check(spec.windows.as_ref(), found),
    }
}

fn control(resource: &SchemaMigration) -> Control {
    let spec = &resource.spec;
    let asked =
        [(spec.panic, Control::Panic), (spec.abort, Control::Abort), (spec.paused, Control::Pause)];
    let strongest = asked.into_iter().find(|(field, _)| *field == Some(true));
    strongest.map_or(Control::Run, |(_, control)| control)
}

fn start_settings(resource: &SchemaMigration, found: &mut Violations) -> StartSettings {
    let spec = &resource.spec;
    let bounds = (Duration::ZERO, Duration::from_hours(8760));
    let renames: Vec<(String, String)> =
        spec.renames.clone().unwrap_or_default().into_iter().collect();
    let fits = renames.iter().all(|(old, _)| (1..=64).contains(&old.chars().count()));
    found.unless(
        fits,
        "spec.renames",
        "has an empty or too long column name",
        "name the column as it is called now",
    );
    StartSettings {
        verify: spec.verify.mode,
        retain: found.duration("spec.oldTable.retain", &spec.old_table.retain, bounds),
        accept_lossy: spec.accept_lossy,
        renames,
        stages: hooks::of_migration(resource),
    }
}

fn namespace(written: Option<String>) -> String {
    written.unwrap_or_else(|| "default".to_owned())
}

fn is_system(database: &str) -> bool {
    SYSTEM_DATABASES.contains(&database.to_ascii_lowercase().as_str())
}

/// Collects violations of one kind.
pub(super) struct Violations {
    kind: &'static str,
    found: Vec<Violation>,
}

impl Violations {
    pub(super) fn of(kind: &'static str) -> Self {
        Self { kind, found: Vec::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    pub(super) fn unless(&mut self, holds: bool, field: &str, problem: &str, remedy: &str) {
        if !holds {
            let message = format!("{} {field} {problem}", self.kind);
            self.found.push(Violation::new(Reason::InvalidSpec, message, remedy));
        }
    }

    fn check_host(&mut self, field: &str, host: &str) {
        self.unless(
            host.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c)),
            field,
            "is not a host name or an address",
            "write the host alone, without scheme, port or user",
        );
    }

    fn check_names(&mut self, resource: &SchemaMigration) {
        let spec = &resource.spec;
        self.unless(
            !spec.alter.trim().is_empty(),
            "spec.alter",
            "must not be empty",
            "write what follows ALTER TABLE name",
        );
        for (field, name) in [("spec.database", &spec.database), ("spec.table", &spec.table)] {
            self.unless(
                !name.ends_with(' '),
                field,
                "ends with a space, which no name does",
                "remove the space",
            );
        }
        if is_system(&spec.database) {
            let message =
                format!("{} spec.database names a database of the server itself", self.kind);
            let remedy = "name a database of the application";
            self.found.push(Violation::new(Reason::NotAllowedSchema, message, remedy));
        }
    }

    pub(super) fn duration(
        &mut self,
        field: &str,
        text: &str,
        bounds: (Duration, Duration),
    ) -> Duration {
        let value = duration::parse(text).filter(|value| *value >= bounds.0 && *value <= bounds.1);
        let (low, high) = (duration::format(bounds.0), duration::format(bounds.1));
        let problem = format!("is not a duration between {low} and {high}");
        self.unless(
            value.is_some(),
            field,
            &problem,
            "write a number with ms, s, m or h, for example 500ms",
        );
        value.unwrap_or_default()
    }

    pub(super) fn none<T>(self, value: T) -> Result<T, Vec<Violation>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }
}
