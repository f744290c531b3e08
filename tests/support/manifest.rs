//! The manifest that a run reads: target, Secret and migration. Written as JSON documents, which are
//! YAML too, so that no name of a table needs quoting rules; replaced as a whole, never half.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::database::Database;
use super::server::Server;

/// A manifest in a file.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    target: Value,
    secret: Value,
    migration: Value,
}

impl Manifest {
    /// Writes a manifest into `directory` that changes `table` by `alter`.
    pub(crate) fn write(
        directory: &Path,
        server: &Server,
        database: &Database,
        (table, alter): (&str, &str),
    ) -> Result<Self> {
        let (host, port) = server.address()?;
        let manifest = Self {
            path: directory.join("migration.yaml"),
            target: object(
                "MigrationTarget",
                "target",
                json!({
                    "host": host, "port": port, "credentialsSecret": {"name": "credentials"}, "tls": {"mode": "Disabled"},
                }),
            ),
            secret: json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials", "namespace": "test"},
                "stringData": {"username": database.account, "password": database.password},
            }),
            migration: object(
                "SchemaMigration",
                "migration",
                json!({
                    "target": "target", "database": database.name, "table": table, "alter": alter,
                }),
            ),
        };
        manifest.store()?;
        Ok(manifest)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Sets fields of the migration's spec, each named by a path like `/copy/threads`.
    pub(crate) fn set(&mut self, fields: &[(&str, Value)]) -> Result<()> {
        for (path, value) in fields {
            assign(&mut self.migration["spec"], path, value.clone());
        }
        self.store()
    }

    /// Makes it another migration: another name, another change.
    pub(crate) fn rename(&mut self, name: &str, alter: &str) -> Result<()> {
        self.migration["metadata"]["name"] = json!(name);
        self.set(&[("/alter", json!(alter))])
    }

    /// Sets fields of the target's spec, named in the same way.
    pub(crate) fn set_target(&mut self, fields: &[(&str, Value)]) -> Result<()> {
        for (path, value) in fields {
            assign(&mut self.target["spec"], path, value.clone());
        }
        self.store()
    }

    /// Sets another password than the account's.
    pub(crate) fn set_password(&mut self, password: &str) -> Result<()> {
        self.secret["stringData"]["password"] = json!(password);
        self.store()
    }

    /// Sets an annotation of the migration.
    pub(crate) fn annotate(&mut self, name: &str, value: &str) -> Result<()> {
        self.migration["metadata"]["annotations"][name] = json!(value);
        self.store()
    }

    /// Adds a key to the Secret.
    pub(crate) fn set_secret(&mut self, key: &str, value: &str) -> Result<()> {
        self.secret["stringData"][key] = json!(value);
        self.store()
    }

    /// Lets it use another account.
    pub(crate) fn set_account(&mut self, account: &str, password: &str) -> Result<()> {
        self.secret["stringData"]["username"] = json!(account);
        self.set_password(password)
    }

    fn store(&self) -> Result<()> {
        let documents = [&self.target, &self.secret, &self.migration];
        let text: Vec<String> = documents.iter().map(|one| format!("{one:#}")).collect();
        let next = self.path.with_extension("next");
        fs::write(&next, text.join("\n---\n")).context("the manifest cannot be written")?;
        fs::rename(&next, &self.path).context("the manifest cannot be replaced")
    }
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "ghostship.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "test"}, "spec": spec,
    })
}

fn assign(spec: &mut Value, path: &str, value: Value) {
    let mut place = spec;
    for name in path.trim_start_matches('/').split('/') {
        place = &mut place[name];
    }
    *place = value;
}
