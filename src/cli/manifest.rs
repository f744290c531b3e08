//! Reads a file of manifests: one MigrationTarget, one SchemaMigration and perhaps the Secret that the
//! target names. Text in, checked values out; the text of a Secret never comes back in a message.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::api::effective::{Effective, effective};
use crate::api::validate::{self, Reason, ValidMigration, ValidTarget, Violation};
use crate::hooks;
use crate::mysql::connect::{ClientCertificate, Credentials};

/// The largest file that is read, in bytes.
pub const SIZE_LIMIT: u64 = 1 << 20;

/// A checked file.
#[derive(Clone)]
pub struct Manifest {
    /// The server.
    pub target: ValidTarget,
    /// The migration.
    pub migration: ValidMigration,
    /// The account, when the file holds the Secret.
    pub credentials: Option<Credentials>,
    /// What the Secret has for hooks, when the file holds it.
    pub hook_keys: Option<HookKeys>,
    /// The migration as it is written.
    pub document: Value,
}

/// What a Secret has for hooks.
#[derive(Clone)]
pub struct HookKeys {
    /// The signing key.
    pub key: Option<String>,
    /// Authorities of receivers.
    pub authorities: Option<String>,
}

impl Manifest {
    /// What holds now.
    pub fn effective(&self, now: Timestamp) -> Effective {
        effective(&self.target.settings, &self.migration, now)
    }
}

/// Reads and checks the text of a file.
///
/// # Errors
///
/// Every violation found.
pub fn parse(text: &str) -> Result<Manifest, Vec<Violation>> {
    let documents = documents(text)?;
    refuse_foreign(&documents)?;
    let target = only(&documents, "MigrationTarget").and_then(validate::target);
    let written = only(&documents, "SchemaMigration");
    let document = written.clone().cloned().unwrap_or_default();
    let migration = written.and_then(validate::migration);
    let (target, migration) = both(target, migration)?;
    validate::pair(&migration, &target).map_err(|violation| vec![violation])?;
    let secret = find_secret(&documents, &target).map_err(|violation| vec![violation])?;
    let (credentials, hook_keys) = secret.unzip();
    Ok(Manifest { target, migration, credentials, hook_keys, document })
}

/// Whether a file asks for panic, even if it is otherwise invalid or breaks off.
pub fn asks_for_panic(text: &str) -> bool {
    let readable =
        serde_yaml::Deserializer::from_str(text).map_while(|it| Value::deserialize(it).ok());
    readable.into_iter().any(|document| validate::asks_for_panic(&document))
}

/// The documents that are not empty. Read as YAML first, because only that refuses a field that is
/// given twice.
fn documents(text: &str) -> Result<Vec<Value>, Vec<Violation>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| {
        let document = serde_yaml::Value::deserialize(document)
            .map_err(|error| vec![not_yaml(error.location())])?;
        serde_json::to_value(document).map_err(|_| vec![not_yaml(None)])
    });
    let documents = documents.filter(|document| !matches!(document, Ok(Value::Null)));
    documents.collect()
}

/// The parser's own message may quote the file, so only the place is told.
fn not_yaml(place: Option<serde_yaml::Location>) -> Violation {
    let place = place.map_or_else(String::new, |place| {
        format!(" at line {}, column {}", place.line(), place.column())
    });
    let message = format!("the file is not valid YAML{place}");
    invalid(message, "check the indentation, the quotes and that no field is given twice")
}

fn refuse_foreign(documents: &[Value]) -> Result<(), Vec<Violation>> {
    let known = ["MigrationTarget", "SchemaMigration", "Secret"];
    let foreign = documents.iter().enumerate().filter(|(_, document)| {
        !document["kind"].as_str().is_some_and(|kind| known.contains(&kind))
    });
    let found: Vec<Violation> = foreign
        .map(|(position, _)| {
            let message = format!("kind of document {} is none that belongs here", position + 1);
            invalid(message, "keep one MigrationTarget, one SchemaMigration and at most one Secret")
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn only<'a>(documents: &'a [Value], kind: &str) -> Result<&'a Value, Vec<Violation>> {
    let mut found = documents.iter().filter(|document| document["kind"] == kind);
    match (found.next(), found.next()) {
        (Some(document), None) => Ok(document),
        (Some(_), Some(_)) => {
            let message = format!("the file holds more than one {kind}");
            Err(vec![invalid(message, "keep one per file")])
        }
        (None, _) if kind == "MigrationTarget" => {
            let message = "the file holds no MigrationTarget";
            let remedy = "add the document that spec.target names, behind a line with ---";
            Err(vec![Violation::new(Reason::TargetNotAllowed, message, remedy)])
        }
        (None, _) => {
            let message = format!("the file holds no {kind}");
            Err(vec![invalid(message, "add the document, behind a line with ---")])
        }
    }
}

fn both<A, B>(
    one: Result<A, Vec<Violation>>,
    other: Result<B, Vec<Violation>>,
) -> Result<(A, B), Vec<Violation>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) => Err([one, other].concat()),
        (Err(found), Ok(_)) | (Ok(_), Err(found)) => Err(found),
    }
}

fn find_secret(
    documents: &[Value],
    target: &ValidTarget,
) -> Result<Option<(Credentials, HookKeys)>, Violation> {
    let mut secrets = documents.iter().filter(|document| document["kind"] == "Secret");
    let Some(secret) = secrets.next() else {
        return Ok(None);
    };
    if secrets.next().is_some() {
        return Err(invalid(
            "the file holds more than one Secret",
            "keep the one that the target names",
        ));
    }
    let metadata = &secret["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    if metadata["name"] != *target.secret || namespace != target.namespace {
        let message = format!(
            "MigrationTarget spec.credentialsSecret.name is {:?} in namespace {:?}, which the Secret in the file is not",
            target.secret, target.namespace
        );
        return Err(unavailable(message, "make name and namespace the same"));
    }
    credentials(secret, &target.secret).map(Some)
}

fn credentials(document: &Value, name: &str) -> Result<(Credentials, HookKeys), Violation> {
    let secret = k8s_openapi::api::core::v1::Secret::deserialize(document).map_err(|_| {
        let message =
            format!("Secret {name:?} has data that is not base64 or stringData that is not text");
        unavailable(message, "write plain text below stringData, in quotes")
    })?;
    let data = secret.data.unwrap_or_default();
    let texts = secret.string_data.unwrap_or_default();
    let bytes = |key: &str| {
        let plain = texts.get(key).map(|text| text.clone().into_bytes());
        plain.or_else(|| data.get(key).map(|value| value.0.clone()))
    };
    let text = |key: &str| {
        let value = bytes(key).ok_or_else(|| missing_key(name, key))?;
        String::from_utf8(value).map_err(|_| {
            let message = format!("Secret {name:?} key {key} is not text");
            unavailable(message, "write it as UTF-8")
        })
    };
    let client = match (bytes("tls.crt"), bytes("tls.key")) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(missing_key(name, "tls.key")),
        (None, Some(_)) => return Err(missing_key(name, "tls.crt")),
    };
    let optional = |key: &str| bytes(key).is_some().then(|| text(key)).transpose();
    let keys = HookKeys { key: optional(hooks::KEY)?, authorities: optional(hooks::AUTHORITIES)? };
    let credentials = Credentials {
        username: text("username")?,
        password: text("password")?,
        authorities: bytes("ca.crt"),
        client,
    };
    Ok((credentials, keys))
}

fn missing_key(name: &str, key: &str) -> Violation {
    let message = format!("Secret {name:?} has no key {key}");
    unavailable(message, "add it below stringData")
}

fn invalid(message: impl Into<String>, remedy: &str) -> Violation {
    Violation::new(Reason::InvalidSpec, message, remedy)
}

fn unavailable(message: String, remedy: &str) -> Violation {
    Violation::new(Reason::CredentialsUnavailable, message, remedy)
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
