//! Turns checked manifests into what the engine takes. Pure.

use std::path::PathBuf;

use super::manifest::Manifest;
use crate::api::migration::{Strategy as ApiStrategy, VerifyMode as ApiVerifyMode};
use crate::api::target::TlsMode as ApiTlsMode;
use crate::api::validate::{Control, Reason, Violation, Wishes};
use crate::engine::intent::{Command, Intent, Tuning};
use crate::engine::request::{Request, Strategy, VerifyMode};
use crate::mysql::connect::{ConnectOptions, CredentialSource, TlsMode};
use crate::schema::table::TableName;

/// What the command line adds to the file.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Directory with the account's files, when given.
    pub credentials: Option<PathBuf>,
    /// Who asks.
    pub requested_by: String,
}

/// The request for a run.
///
/// # Errors
///
/// `CredentialsUnavailable` when neither the file nor the command line says where the account is.
pub fn request(manifest: Manifest, origin: Origin) -> Result<Request, Violation> {
    let Manifest { target, migration, credentials } = manifest;
    let name = format!("{}/{}", migration.namespace, migration.name);
    let inline = credentials.map(CredentialSource::Inline);
    let credentials = origin.credentials.map(CredentialSource::Directory).or(inline);
    let credentials = credentials.ok_or_else(|| no_credentials(&target.secret))?;
    Ok(Request {
        connect: ConnectOptions {
            host: target.host,
            port: target.port,
            credentials,
            tls: tls(target.tls),
            tls_host_name: target.server_name,
            expect_server: None,
            tag: name.clone(),
        },
        table: TableName::new(migration.identity.database, migration.identity.table),
        alter: migration.identity.alter,
        strategy: strategy(migration.identity.strategy),
        accept_lossy: migration.start.accept_lossy,
        renames: migration.start.renames,
        verify: match migration.start.verify {
            ApiVerifyMode::Full => VerifyMode::Full,
            ApiVerifyMode::Off => VerifyMode::Off,
        },
        old_table_retain: migration.start.retain,
        migration_name: name,
        migration_uid: migration.uid,
        requested_by: origin.requested_by,
        allowed_databases: target.allowed_databases,
    })
}

/// What a file asks of a run now.
pub fn intent(wishes: &Wishes) -> Intent {
    Intent {
        command: match wishes.control {
            Control::Run => Command::Run,
            Control::Pause => Command::Pause,
            Control::Abort => Command::Abort,
            Control::Panic => Command::Panic,
        },
        postpone_cut_over: wishes.postpone_cut_over,
        tuning: Tuning {
            copy_threads: usize::from(wishes.threads),
            chunk_time: wishes.chunk_time,
            max_rows_per_second: wishes.max_rows_per_second,
            lock_budget: wishes.lock_budget,
            max_cut_over_attempts: wishes.max_attempts,
            repair_limit: wishes.repair_limit,
        },
    }
}

fn tls(mode: ApiTlsMode) -> TlsMode {
    match mode {
        ApiTlsMode::VerifyIdentity => TlsMode::VerifyIdentity,
        ApiTlsMode::Required => TlsMode::Required,
        ApiTlsMode::Disabled => TlsMode::Disabled,
    }
}

fn strategy(strategy: ApiStrategy) -> Strategy {
    match strategy {
        ApiStrategy::Auto => Strategy::Auto,
        ApiStrategy::Instant => Strategy::Instant,
        ApiStrategy::Copy => Strategy::Copy,
    }
}

fn no_credentials(secret: &str) -> Violation {
    let message = format!("Secret {secret:?}, which the MigrationTarget names, is not in the file");
    let remedy = "add it to the file, or name a directory with the files username and password by --credentials";
    Violation::new(Reason::CredentialsUnavailable, message, remedy)
}
