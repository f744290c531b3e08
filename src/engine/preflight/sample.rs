//! A sound server and a plain table, for the tests of the checks to spoil.

use std::time::Duration;

use super::{Facts, Reason, Refusal, Request, Verdict};
use crate::engine::record::Record;
use crate::engine::request::{Strategy, VerifyMode};
use crate::mysql::connect::{ConnectOptions, CredentialSource, TlsMode};
use crate::mysql::grants::Grants;
use crate::mysql::inspect::TableKind;
use crate::mysql::server::{Flavour, Server};
use crate::schema::naming::HelperNames;
use crate::schema::table::{Column, ColumnType, Generation, Index, IndexPart, Table, TableName};

pub(in crate::engine) fn request() -> Request {
    Request {
        connect: ConnectOptions {
            host: "localhost".to_owned(),
            port: 3306,
            credentials: CredentialSource::Directory("/nowhere".into()),
            tls: TlsMode::Disabled,
            tls_host_name: None,
            expect_server: None,
            tag: String::new(),
        },
        control_replicas: Vec::new(),
        probes: crate::engine::request::Probes::default(),
        table: TableName::new("shop", "orders"),
        alter: "ENGINE=InnoDB".to_owned(),
        strategy: Strategy::Copy,
        accept_lossy: false,
        renames: Vec::new(),
        verify: VerifyMode::Full,
        old_table_retain: Duration::ZERO,
        migration_name: "shop/orders".to_owned(),
        migration_uid: None,
        attempt: None,
        requested_by: String::new(),
        stages: crate::engine::stage::Settings::default(),
        ledger_retain: None,
        record: Record::default(),
        allowed_databases: Vec::new(),
    }
}

pub(super) fn facts() -> Facts {
    with_variables(&[])
}

/// The sound server with further or other variables.
pub(super) fn with_variables(variables: &[(&str, &str)]) -> Facts {
    let sound = [("gtid_mode", "ON"), ("binlog_order_commits", "ON"), ("sync_binlog", "1")];
    let all: Vec<_> = sound.iter().chain(variables).copied().collect();
    with_server(Server::sample(Flavour::MySql, "9.7.4", &all))
}

pub(super) fn with_server(server: Server) -> Facts {
    let key = index("PRIMARY", true, &["id"]);
    let id = column("id", ColumnType::Integer { bytes: 4, unsigned: false }, "int");
    Facts {
        server,
        grants: Grants::parse(["GRANT ALL PRIVILEGES ON *.* TO `g`@`%`"], "`g`@`%`", false),
        kind: Some(TableKind::Base),
        source: Some(table(vec![id], vec![key])),
        spellings: vec![TableName::new("shop", "orders")],
        foreign_keys: Vec::new(),
        triggers: Vec::new(),
        names: HelperNames::of("orders", &[]),
        taken: Vec::new(),
        prepared_xa: 0,
        backup_running: false,
    }
}

pub(super) fn table(columns: Vec<Column>, indexes: Vec<Index>) -> Table {
    Table {
        name: TableName::new("shop", "orders"),
        engine: "InnoDB".to_owned(),
        columns,
        indexes,
        definition: String::new(),
        estimated_rows: 0,
        size_bytes: 0,
        auto_increment: None,
    }
}

/// A NOT NULL column without a default.
pub(super) fn column(name: &str, column_type: ColumnType, text: &str) -> Column {
    Column {
        name: name.to_owned(),
        column_type,
        type_text: text.to_owned(),
        nullable: false,
        has_default: false,
        generation: Generation::None,
        auto_increment: false,
        invisible: false,
    }
}

pub(super) fn index(name: &str, unique: bool, columns: &[&str]) -> Index {
    let part = |name: &&str| IndexPart {
        column: Some((*name).to_owned()),
        prefix: None,
        descending: false,
    };
    Index {
        name: name.to_owned(),
        unique,
        parts: columns.iter().map(part).collect(),
        visible: true,
        index_type: "BTREE".to_owned(),
    }
}

type Check = fn(&Facts, &Request, &mut Verdict);

fn run(check: Check, facts: &Facts, request: &Request) -> Verdict {
    let mut verdict = Verdict::default();
    check(facts, request, &mut verdict);
    verdict
}

fn tokens(found: &[Refusal]) -> Vec<Reason> {
    found.iter().map(|refusal| refusal.reason).collect()
}

/// Reasons for which one check refuses.
pub(super) fn reasons(check: Check, facts: &Facts, request: &Request) -> Vec<Reason> {
    tokens(&run(check, facts, request).refusals)
}

/// Reasons of which one check warns.
pub(super) fn warnings(check: Check, facts: &Facts, request: &Request) -> Vec<Reason> {
    tokens(&run(check, facts, request).warnings)
}
