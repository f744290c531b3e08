//! `MigrationTarget`: where a server is, which Secret opens it and which databases may be changed.
//! Written by administrators; a migration only names one.

#![expect(unreachable_pub, reason = "the derive copies structs into functions")]
#![expect(clippy::duplicated_attributes, reason = "printer columns share their types")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::HistorySettings;
use super::hooks::{Approval, CheckQuery, TargetHooks};
use super::hours::{ProfileSettings, WindowSettings};
use super::migration::{CopySettings, CutOverSettings};
use super::throttle::{Probes, ThrottleSettings};

/// A MySQL server whose tables may be changed.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "ghostship.dev",
    version = "v1alpha1",
    kind = "MigrationTarget",
    namespaced,
    shortname = "mtgt",
    category = "database",
    derive = "PartialEq",
    doc = "A MySQL server whose tables may be changed by the SchemaMigrations of the same namespace.",
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.host"),
    printcolumn(name = "Port", type_ = "integer", json_path = ".spec.port"),
    printcolumn(name = "TLS", type_ = "string", json_path = ".spec.tls.mode", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MigrationTargetSpec {
    /// Host name or address of the primary server.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._:-]+$"))]
    pub host: String,
    /// TCP port of the server.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    pub port: u16,
    /// The Secret, in the same namespace, that holds the account.
    pub credentials_secret: SecretReference,
    /// How the connection is encrypted and how far the server has to prove who it is.
    #[serde(default)]
    pub tls: Tls,
    /// Replicas whose lag holds a migration that sets `throttle.maxLag`. The account and TLS are those of
    /// the primary; a certificate has to bear the replica's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub control_replicas: Option<Vec<ControlReplica>>,
    /// What is asked before a migration goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Who is asked at the stages of migrations, before they go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<TargetHooks>,
    /// What a person has to approve of every migration, whatever the migration itself says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What has to hold before the tables are swapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub checks: Option<Vec<CheckQuery>>,
    /// Databases that may be changed; `*` stands for any characters. Without it every database may
    /// be changed; the server's own databases never are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 64)))]
    #[x_kube(
        validation = Rule::new("self.all(pattern, !(pattern.lowerAscii() in ['information_schema', 'mysql', 'performance_schema', 'sys']))")
            .message("the server's own databases cannot be changed")
    )]
    pub allowed_databases: Option<Vec<String>>,
    /// Migrations that run on this server at a time; the others wait in the order of their creation.
    /// In a cluster only.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 64), extend("format" = "int32"))]
    pub max_concurrent_migrations: u8,
    /// Settings for a kind of server, below those of `defaults` and of each migration; docs/windows.md
    /// has the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Settings of the migrations that do not have them themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<TargetDefaults>,
    /// When something may happen on this server, and when nothing may. A migration can only narrow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowSettings>,
    /// How long what has ended is remembered; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistorySettings>,
}

/// Settings of the migrations that do not have them themselves.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetDefaults {
    /// Speed of the row copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopySettings>,
    /// When a migration yields to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSettings>,
    /// Limits of the cut-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_over: Option<CutOverSettings>,
    /// Other settings for some hours; they win over those of a migration, but not over its profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub profiles: Option<Vec<ProfileSettings>>,
}

/// What kind of server it is.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preset {
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Development,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Test,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Production,
}

/// A replica that is watched.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlReplica {
    /// Host name or address.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._:-]+$"))]
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    pub port: u16,
    /// By what its lag is known. `Heartbeat`: by what it shows of the migration's control table, to a
    /// tenth of a second. `Status`: by `Seconds_Behind_Source` of SHOW REPLICA STATUS, for a replica that
    /// does not get that table.
    #[serde(default)]
    pub lag: LagBy,
}

/// By what a replica's lag is known.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LagBy {
    #[default]
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Heartbeat,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Status,
}

/// Names a Secret of the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret. Its keys are `username` and `password`, and optionally `ca.crt` (trusted
    /// authorities), `tls.crt` and `tls.key` (client certificate). It is read anew for every
    /// connection, so a changed password needs no restart.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Encryption of the connection.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.serverName) || self.mode == 'VerifyIdentity'")
        .message("serverName has a meaning only with mode VerifyIdentity")
)]
pub struct Tls {
    /// `VerifyIdentity`: encrypted, and the certificate must come from a trusted authority and bear
    /// the name. `Required`: encrypted, but whoever answers is trusted. `Disabled`: plain text.
    #[serde(default)]
    pub mode: TlsMode,
    /// The name that the server's certificate must bear, when it is not `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// How far the server has to prove who it is.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsMode {
    #[default]
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    VerifyIdentity,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Required,
    #[expect(missing_docs, reason = "a text here would split the enum in the schema")]
    Disabled,
}

fn default_concurrency() -> u8 {
    1
}

fn default_port() -> u16 {
    3306
}
