//! Turns checked resources into what the engine takes, for `run` and for the worker alike, and hands the
//! settings on to those who show them.

use std::time::SystemTime;

use tokio::sync::watch;

use crate::api::effective::{self, Change, Gate, Setting, Wishes};
use crate::api::hooks::{Approvable, Check, MigrationStages, TargetStages};
use crate::api::migration::{Strategy as ApiStrategy, VerifyMode as ApiVerifyMode};
use crate::api::status::ChangeStatus;
use crate::api::target::{LagBy as ApiLagBy, TlsMode as ApiTlsMode};
use crate::api::throttle::{ShortBinlog, Throttle};
use crate::api::validate::{Control, ValidMigration, ValidTarget};
use crate::engine::intent::{Command, CutOverGate, Intent, Tuning};
use crate::engine::record::{Entry, Record};
use crate::engine::request::{ControlReplica, LagBy, Probes, Request, Strategy, VerifyMode};
use crate::engine::stage::{self, Stage};
use crate::engine::throttle::Limits;
use crate::engine::throttle::recovery;
use crate::mysql::connect::{ConnectOptions, CredentialSource, TlsMode};
use crate::schema::table::TableName;

/// What the resources do not say.
#[derive(Clone)]
pub struct Origin {
    /// Where the account is read.
    pub credentials: CredentialSource,
    /// Who asks.
    pub requested_by: String,
    /// Number of the attempt, when somebody counts them.
    pub attempt: Option<u64>,
}

/// The request for a run.
pub fn request(target: ValidTarget, migration: ValidMigration, origin: Origin) -> Request {
    let name = format!("{}/{}", migration.namespace, migration.name);
    let connect = ConnectOptions {
        host: target.host,
        port: target.port,
        credentials: origin.credentials,
        tls: tls(target.tls),
        tls_host_name: target.server_name,
        expect_server: None,
        tag: name.clone(),
    };
    let replicas = target.control_replicas.into_iter();
    let control_replicas = replicas.map(|replica| ControlReplica {
        connect: ConnectOptions {
            host: replica.host,
            port: replica.port,
            tls_host_name: None,
            ..connect.clone()
        },
        lag_by: match replica.lag {
            ApiLagBy::Heartbeat => LagBy::Heartbeat,
            ApiLagBy::Status => LagBy::Status,
        },
    });
    Request {
        control_replicas: control_replicas.collect(),
        probes: Probes {
            query: target.probes.query,
            url: target.probes.http.map(|http| http.url),
            free_disk: target.probes.free_disk,
        },
        connect,
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
        attempt: origin.attempt,
        requested_by: origin.requested_by,
        stages: stages(target.stages, &migration.start.stages),
        allowed_databases: target.allowed_databases,
        ledger_retain: target.history.ledger,
        record: Record::default(),
    }
}

/// Changes as the ledger has them.
pub fn entries(changes: impl IntoIterator<Item = ChangeStatus>) -> Vec<Entry> {
    let entry = |ChangeStatus { at, field, from, to, by }| Entry {
        at: at.map(|at| at.0.to_string()).unwrap_or_default(),
        field,
        from,
        to,
        by,
    };
    changes.into_iter().map(entry).collect()
}

/// What a resource asks of a run now.
pub fn intent(wishes: &Wishes) -> Intent {
    Intent {
        command: match wishes.control {
            Control::Run => Command::Run,
            Control::Pause => Command::Pause,
            Control::Abort => Command::Abort,
            Control::Panic => Command::Panic,
        },
        paused_by: wishes.pause_window.clone(),
        postpone_cut_over: wishes.postpone_cut_over,
        copy_hold: wishes.copy_hold.clone(),
        cut_over: match &wishes.cut_over {
            Gate::Open { until } => CutOverGate::Open { until: until.map(SystemTime::from) },
            Gate::Closed { words } => CutOverGate::Closed { words: words.clone() },
        },
        approved: wishes.approved.iter().map(|one| approvable(*one)).collect(),
        tuning: Tuning {
            copy_threads: usize::from(wishes.threads),
            chunk_time: wishes.chunk_time,
            max_rows_per_second: wishes.max_rows_per_second,
            throttle: limits(&wishes.throttle),
            recovery: recovery(&wishes.throttle),
            nice_percent: wishes.throttle.nice_percent.unwrap_or_default(),
            lock_budget: wishes.lock_budget,
            max_cut_over_attempts: wishes.max_attempts,
            repair_limit: wishes.repair_limit,
        },
    }
}

/// Who is asked is filled in by who asks them.
fn stages(target: TargetStages, migration: &MigrationStages) -> stage::Settings {
    let approval = target.approval.iter().chain(&migration.approval);
    let checks = target.checks.into_iter();
    stage::Settings {
        approval: approval.map(|one| approvable(*one)).collect(),
        checks: checks
            .map(|Check { name, query, expect }| stage::Check { name, query, expect })
            .collect(),
        hint: migration.hint.clone(),
        status_interval: target.status_interval,
        throttled_after: target.throttled_after,
        ..stage::Settings::default()
    }
}

fn approvable(stage: Approvable) -> Stage {
    match stage {
        Approvable::BeforeCopy => Stage::BeforeCopy,
        Approvable::BeforeCutOver => Stage::BeforeCutOver,
    }
}

fn limits(throttle: &Throttle) -> Limits {
    let throttle = throttle.clone();
    Limits {
        max_lag: throttle.max_lag,
        critical_lag: throttle.critical_lag,
        max_apply_backlog: throttle.max_apply_backlog,
        max_stream_lag: throttle.max_stream_lag,
        max_load: throttle.max_load.unwrap_or_default(),
        critical_load: throttle.critical_load.unwrap_or_default(),
        max_running_per_core: throttle.max_running_per_core,
        max_commit_latency: throttle.max_commit_latency,
        max_history_list_length: throttle.max_history_list_length,
        max_redo_percent: throttle.max_redo_percent,
        min_free_disk: throttle.min_free_disk,
        max_retries_per_minute: throttle.max_retries_per_minute,
        max_slowdown_percent: throttle.max_slowdown_percent,
    }
}

fn recovery(throttle: &Throttle) -> recovery::Settings {
    let default = recovery::Settings::default();
    recovery::Settings {
        healthy_for: throttle.healthy_for.unwrap_or(default.healthy_for),
        max_resumes: throttle.max_resumes.unwrap_or(default.max_resumes),
        gives_up: throttle.on_short_binlog == Some(ShortBinlog::GiveUp),
    }
}

/// Hands settings on to whoever shows them.
pub struct Settings(watch::Sender<Vec<Setting>>);

impl Settings {
    /// The settings that a run begins with, and the end at which they are seen.
    pub fn channel(first: Vec<Setting>) -> (Self, watch::Receiver<Vec<Setting>>) {
        let (sender, receiver) = watch::channel(first);
        (Self(sender), receiver)
    }

    /// Takes what holds now; what changed, for the log.
    pub fn tell(&self, now: Vec<Setting>) -> Vec<Change> {
        let changes = effective::changes(&self.0.borrow(), &now);
        if !changes.is_empty() {
            self.0.send_replace(now);
        }
        changes
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
