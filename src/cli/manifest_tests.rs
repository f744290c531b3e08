//! Manifests that are accepted and manifests that are refused, with what the user reads.

use super::*;
use crate::api::validate::TargetSettings;

const SAMPLE: &str = include_str!("../../config/samples/migration.yaml");
const TARGET_SAMPLE: &str = include_str!("../../config/samples/target.yaml");

/// The sample with one text replaced, and the reason and the start of the message that follow.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str);

const BAD_FIELDS: [Case<'_>; 50] = [
    (
        "  alter: ADD COLUMN note varchar(200) NULL, ADD INDEX (customer_id)\n",
        "",
        "InvalidSpec",
        "SchemaMigration spec.alter is missing",
    ),
    (
        "ADD COLUMN note varchar(200) NULL, ADD INDEX (customer_id)",
        "''",
        "InvalidSpec",
        "SchemaMigration spec.alter must not be empty",
    ),
    (
        "ADD COLUMN note varchar(200) NULL, ADD INDEX (customer_id)",
        "'  '",
        "InvalidSpec",
        "SchemaMigration spec.alter must not be empty",
    ),
    (
        "ADD COLUMN note varchar(200) NULL, ADD INDEX (customer_id)",
        "null",
        "InvalidSpec",
        "SchemaMigration spec.alter is missing",
    ),
    (
        "ADD COLUMN note varchar(200) NULL, ADD INDEX (customer_id)",
        "[ADD, DROP]",
        "InvalidSpec",
        "SchemaMigration spec.alter is of type array",
    ),
    (
        "threads: 2",
        "threads: 0",
        "InvalidSpec",
        "SchemaMigration spec.copy.threads is 0, outside of 1 to 16",
    ),
    ("threads: 2", "threads: -1", "InvalidSpec", "SchemaMigration spec.copy.threads is -1"),
    ("threads: 2", "threads: 17", "InvalidSpec", "SchemaMigration spec.copy.threads is 17"),
    (
        "threads: 2",
        "threads: 2.5",
        "InvalidSpec",
        "SchemaMigration spec.copy.threads is of type number",
    ),
    (
        "threads: 2",
        "threads: '2'",
        "InvalidSpec",
        "SchemaMigration spec.copy.threads is of type string",
    ),
    ("threads: 2", "treads: 2", "InvalidSpec", "SchemaMigration spec.copy.treads is not a field"),
    (
        "chunkTime: 500ms",
        "chunkTime: 500",
        "InvalidSpec",
        "SchemaMigration spec.copy.chunkTime is of type integer",
    ),
    (
        "chunkTime: 500ms",
        "chunkTime: '500'",
        "InvalidSpec",
        "SchemaMigration spec.copy.chunkTime is not a duration",
    ),
    (
        "chunkTime: 500ms",
        "chunkTime: 9ms",
        "InvalidSpec",
        "SchemaMigration spec.copy.chunkTime is not a duration between 10ms and 10s",
    ),
    ("chunkTime: 500ms", "chunkTime: 11s", "InvalidSpec", "SchemaMigration spec.copy.chunkTime"),
    (
        "maxRowsPerSecond: 0",
        "maxRowsPerSecond: -5",
        "InvalidSpec",
        "SchemaMigration spec.copy.maxRowsPerSecond is -5",
    ),
    (
        "maxRowsPerSecond: 0",
        "maxRowsPerSecond: 2000000000",
        "InvalidSpec",
        "SchemaMigration spec.copy.maxRowsPerSecond is",
    ),
    (
        "maxRowsPerSecond: 0",
        "maxRowsPerSecond: 0\n  throttle: {niceRatio: '100.5'}",
        "InvalidSpec",
        "SchemaMigration spec.throttle.niceRatio",
    ),
    (
        "maxRowsPerSecond: 0",
        "maxRowsPerSecond: 0\n  throttle: {niceRatio: 0.5}",
        "InvalidSpec",
        "SchemaMigration spec.throttle.niceRatio is of type number",
    ),
    (
        "maxRowsPerSecond: 0",
        "maxRowsPerSecond: 0\n  throttle: {maxLoad: {Threads running: 5}}",
        "InvalidSpec",
        "SchemaMigration spec.throttle.maxLoad has a name",
    ),
    (
        "maxRowsPerSecond: 0",
        "maxRowsPerSecond: 0\n  throttle: {maxLoad: {Threads_running: -1}}",
        "InvalidSpec",
        "SchemaMigration spec.throttle.maxLoad.Threads_running is -1",
    ),
    (
        "maxRowsPerSecond: 0",
        "maxRowsPerSecond: 0\n  throttle: {maxLoad: {Threads_running: many}}",
        "InvalidSpec",
        "SchemaMigration spec.throttle.maxLoad.Threads_running is of type string",
    ),
    ("lockBudget: 1s", "lockBudget: 0s", "InvalidSpec", "SchemaMigration spec.cutOver.lockBudget"),
    ("lockBudget: 1s", "lockBudget: 2m", "InvalidSpec", "SchemaMigration spec.cutOver.lockBudget"),
    (
        "maxAttempts: 0",
        "maxAttempts: many",
        "InvalidSpec",
        "SchemaMigration spec.cutOver.maxAttempts is of type string",
    ),
    (
        "mode: Full",
        "mode: Sample",
        "InvalidSpec",
        "SchemaMigration spec.verify.mode is none of the allowed words",
    ),
    ("mode: Full", "mode: full", "InvalidSpec", "SchemaMigration spec.verify.mode is none"),
    (
        "retain: 48h",
        "retain: 2d",
        "InvalidSpec",
        "SchemaMigration spec.oldTable.retain is not a duration",
    ),
    ("retain: 48h", "retain: 9000h", "InvalidSpec", "SchemaMigration spec.oldTable.retain"),
    ("strategy: Auto", "strategy: Inplace", "InvalidSpec", "SchemaMigration spec.strategy is none"),
    (
        "  copy:\n",
        "  paused: yes please\n  copy:\n",
        "InvalidSpec",
        "SchemaMigration spec.paused is of type string",
    ),
    (
        "  copy:\n",
        "  panic: 1\n  copy:\n",
        "InvalidSpec",
        "SchemaMigration spec.panic is of type integer",
    ),
    (
        "  copy:\n",
        "  dropOldTable: true\n  copy:\n",
        "InvalidSpec",
        "SchemaMigration spec.dropOldTable is not a field",
    ),
    (
        "  copy:\n",
        "  host: elsewhere\n  copy:\n",
        "InvalidSpec",
        "SchemaMigration spec.host is not a field",
    ),
    (
        "  copy:\n",
        "  renames: {a: 1}\n  copy:\n",
        "InvalidSpec",
        "SchemaMigration spec.renames.a is of type integer",
    ),
    (
        "  copy:\n",
        "  renames: {a: ''}\n  copy:\n",
        "InvalidSpec",
        "SchemaMigration spec.renames.a must not be empty",
    ),
    (
        "  copy:\n",
        "  renames: {'': a}\n  copy:\n",
        "InvalidSpec",
        "SchemaMigration spec.renames has an empty",
    ),
    (
        "  database: shop",
        "  database: MySQL",
        "NotAllowedSchema",
        "SchemaMigration spec.database names a database of the server",
    ),
    (
        "  database: shop",
        "  database: 'shop '",
        "InvalidSpec",
        "SchemaMigration spec.database ends with a space",
    ),
    (
        "  table: orders",
        "  table: 7",
        "InvalidSpec",
        "SchemaMigration spec.table is of type integer",
    ),
    (
        "  target: orders-db",
        "  target: other-db",
        "TargetNotAllowed",
        "SchemaMigration spec.target is \"other-db\"",
    ),
    (
        "kind: MigrationTarget\nmetadata:\n  name: orders-db\n  namespace: shop",
        "kind: MigrationTarget\nmetadata:\n  name: orders-db\n  namespace: bank",
        "TargetNotAllowed",
        "SchemaMigration metadata.namespace is \"shop\"",
    ),
    (
        "  host: orders-db.shop.svc",
        "  host: https://db",
        "InvalidSpec",
        "MigrationTarget spec.host is not a host name",
    ),
    (
        "  host: orders-db.shop.svc",
        "  host: db\n  port: 70000",
        "InvalidSpec",
        "MigrationTarget spec.port is 70000",
    ),
    (
        "  host: orders-db.shop.svc",
        "  host: db\n  password: hunter2",
        "InvalidSpec",
        "MigrationTarget spec.password is not a field",
    ),
    (
        "  host: orders-db.shop.svc",
        "  host: db\n  tls: {mode: Required, serverName: x}",
        "InvalidSpec",
        "MigrationTarget spec.tls.serverName has a meaning",
    ),
    (
        "allowedDatabases: [shop]",
        "allowedDatabases: [SYS]",
        "InvalidSpec",
        "MigrationTarget spec.allowedDatabases names a database",
    ),
    (
        "stringData:\n  username: ghostship\n",
        "stringData:\n",
        "CredentialsUnavailable",
        "Secret \"orders-db-migrations\" has no key username",
    ),
    (
        "stringData:",
        "data:",
        "CredentialsUnavailable",
        "Secret \"orders-db-migrations\" has data that is not base64",
    ),
    (
        "kind: Secret\nmetadata:\n  name: orders-db-migrations",
        "kind: Secret\nmetadata:\n  name: other",
        "CredentialsUnavailable",
        "MigrationTarget spec.credentialsSecret.name",
    ),
];

const BAD_FILES: [Case<'_>; 9] = [
    (
        "apiVersion: ghostship.dev/v1alpha1\nkind: SchemaMigration",
        "apiVersion: ghostship.dev/v1\nkind: SchemaMigration",
        "InvalidSpec",
        "SchemaMigration apiVersion is none of the allowed words",
    ),
    (
        "kind: SchemaMigration",
        "kind: Migration",
        "InvalidSpec",
        "kind of document 1 is none that belongs here",
    ),
    (
        "kind: MigrationTarget",
        "kind: SchemaMigration",
        "TargetNotAllowed",
        "the file holds no MigrationTarget",
    ),
    (
        "kind: SchemaMigration",
        "kind: MigrationTarget",
        "InvalidSpec",
        "the file holds more than one MigrationTarget",
    ),
    (
        "kind: MigrationTarget",
        "kind: Secret",
        "TargetNotAllowed",
        "the file holds no MigrationTarget",
    ),
    ("  name: orders-add-note\n", "", "InvalidSpec", "SchemaMigration metadata.name is missing"),
    ("spec:\n  # Fixed", "specs:\n  # Fixed", "InvalidSpec", "SchemaMigration spec is missing"),
    (
        "strategy: Auto",
        "strategy: Auto\n  strategy: Copy",
        "InvalidSpec",
        "the file is not valid YAML",
    ),
    ("strategy: Auto", "strategy: {", "InvalidSpec", "the file is not valid YAML"),
];

fn refused(text: &str) -> Vec<Violation> {
    parse(text).err().unwrap_or_default()
}

#[test]
fn the_samples_are_accepted() {
    let manifest = parse(SAMPLE).map_err(|found| format!("{found:?}")).unwrap();
    assert_eq!(manifest.migration.identity.table, "orders");
    assert_eq!(manifest.target.port, 3306);
    assert_eq!(manifest.credentials.unwrap().password, "replace-me");
    let [migration, _, secret] = SAMPLE.split("---\n").collect::<Vec<_>>()[..] else {
        panic!("the sample has three documents")
    };
    let apart = [migration, TARGET_SAMPLE, secret].join("\n---\n");
    assert!(parse(&apart).is_ok());
}

#[test]
fn a_short_manifest_has_the_documented_defaults() {
    let start = SAMPLE.find("  copy:").unwrap();
    let end = SAMPLE.find("---\n").unwrap();
    let short = format!("{}{}", &SAMPLE[..start], &SAMPLE[end..]);
    let short = parse(&short).map_err(|found| format!("{found:?}")).unwrap().migration;
    let full = parse(SAMPLE).map_err(|found| format!("{found:?}")).unwrap().migration;
    assert_eq!(short.start, full.start);
    let now = Timestamp::UNIX_EPOCH;
    let values = |migration| effective(&TargetSettings::default(), migration, now).wishes;
    assert_eq!(values(&short), values(&full));
}

#[test]
fn windows_and_profiles_are_refused_with_their_place() {
    let recurring = |fields: &str| format!("windows: {{copy: [{{{fields}}}]}}");
    let night = "cron: '0 22 * * *', duration: 8h";
    let profile = |fields: &str| format!("profiles: [{{{fields}}}]");
    let rows = [
        (recurring(night), ""),
        (recurring(&format!("{night}, timeZone: Europe/Berlin")), ""),
        (recurring("from: '2026-01-01T00:00:00Z', until: '2026-01-01T00:00:05.5+00:00'"), ""),
        ("windows: {copy: [], cutOver: [], pause: []}".to_owned(), ""),
        (recurring("cron: '0 25 * * *', duration: 8h"), "windows.copy[0].cron is no cron"),
        (recurring("cron: '0 0 22 * * *', duration: 8h"), "windows.copy[0].cron is no cron"),
        (recurring("cron: '0 0 31 2 *', duration: 8h"), "windows.copy[0].cron is no cron"),
        (recurring("cron: '0 22 * * *', duration: 0s"), "windows.copy[0].duration is not"),
        (recurring("cron: '0 22 * * *', duration: 169h"), "windows.copy[0].duration is not"),
        (recurring("cron: '0 22 * * *'"), "windows.copy[0] is neither"),
        (
            recurring(&format!("{night}, from: '2026-01-01T00:00:00Z'")),
            "windows.copy[0] is neither",
        ),
        (recurring(&format!("{night}, timeZone: Berlin")), "windows.copy[0].timeZone is no time"),
        (recurring("from: yesterday, until: today"), "windows.copy[0].from or until is no"),
        (
            recurring("from: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z'"),
            "windows.copy[0].until is over",
        ),
        (format!("windows: {{pause: [{}]}}", vec!["{}"; 17].join(", ")), "windows.pause has 17"),
        (profile(&format!("name: night, window: {{{night}}}, copy: {{threads: 4}}")), ""),
        (profile(&format!("window: {{{night}}}")), "profiles[0].name is missing"),
        (profile("name: night, window: {}"), "profiles[0].window is neither"),
        (profile(&format!("name: a b, window: {{{night}}}")), "profiles[0].name is no name"),
        (
            profile(&format!("name: a, window: {{{night}}}, copy: {{chunkTime: 1h}}")),
            "profiles[0].copy.chunkTime is not a duration",
        ),
        (
            format!("profiles: [{0}, {0}]", format_args!("{{name: a, window: {{{night}}}}}")),
            "profiles[1].name is no name",
        ),
    ];
    for (fields, message) in rows {
        let text = SAMPLE.replacen("  copy:\n", &format!("  {fields}\n  copy:\n"), 1);
        let found = refused(&text);
        let first = found.first().map(|first| first.message.clone()).unwrap_or_default();
        let fits = match message {
            "" => found.is_empty(),
            _ => first.starts_with(&format!("SchemaMigration spec.{message}")),
        };
        assert!(fits, "{fields}: {found:?}");
    }
    let server = "  host: orders-db.shop.svc";
    let rows = [
        ("preset: Staging", "MigrationTarget spec.preset is none of the allowed words"),
        (
            "defaults: {copy: {chunkTime: 1h}}",
            "MigrationTarget spec.defaults.copy.chunkTime is not a duration",
        ),
        (
            "defaults: {profiles: [{name: a, window: {}}]}",
            "MigrationTarget spec.defaults.profiles[0].window is neither",
        ),
        ("windows: {cutOver: [{}]}", "MigrationTarget spec.windows.cutOver[0] is neither"),
    ];
    for (fields, message) in rows {
        let found = refused(&SAMPLE.replacen(server, &format!("{server}\n  {fields}"), 1));
        let first = found.first().map(|first| first.message.clone()).unwrap_or_default();
        assert!(first.starts_with(message), "{fields}: {found:?}");
    }
}

#[test]
fn ratios_are_read_as_hundredths() {
    for (text, percent) in [("0", 0), ("0.2", 20), ("0.05", 5), ("1.5", 150), ("100", 10_000)] {
        let line = format!("maxRowsPerSecond: 0\n  throttle: {{niceRatio: '{text}'}}");
        let manifest = parse(&SAMPLE.replacen("maxRowsPerSecond: 0", &line, 1));
        let layer = manifest.map_err(|found| format!("{found:?}")).unwrap().migration.layer;
        assert_eq!(layer.throttle.nice_percent, Some(percent), "{text}");
    }
}

#[test]
fn bad_manifests_are_refused_with_reason_cause_and_remedy() {
    for (from, to, reason, message) in BAD_FIELDS.into_iter().chain(BAD_FILES) {
        assert!(SAMPLE.contains(from), "{from} is not in the sample");
        let found = refused(&SAMPLE.replacen(from, to, 1));
        let told = found.iter().any(|violation| {
            violation.reason.as_str() == reason && violation.message.starts_with(message)
        });
        assert!(told, "{to}: {found:?}");
        for Violation { message, remedy, .. } in found {
            assert!(!remedy.is_empty() && message.len() + remedy.len() < 1024, "{message}");
            assert!(!message.contains("hunter2") && !message.contains("replace-me"), "{message}");
        }
    }
}

#[test]
fn files_without_a_migration_are_refused() {
    for text in ["", "# nothing\n", "---\n---\n", "text", "[1, 2]"] {
        assert!(!refused(text).is_empty(), "{text:?}");
    }
    assert_eq!(refused(TARGET_SAMPLE)[0].message, "the file holds no SchemaMigration");
}

#[test]
fn an_alter_is_limited_in_length() {
    let long = format!("ADD COLUMN c int COMMENT '{}'", "x".repeat(65_536));
    let text = SAMPLE.replace("ADD COLUMN note varchar(200) NULL, ADD INDEX (customer_id)", &long);
    assert!(refused(&text)[0].message.contains("longer than 65536 characters"));
}

#[test]
fn all_violations_are_told_at_once() {
    let text = SAMPLE.replace("threads: 2", "threads: 0").replace("host: orders", "hosts: orders");
    let found = refused(&text);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn secrets_are_read_from_both_forms() {
    let encoded = SAMPLE.replace(
        "stringData:\n  username: ghostship\n  password: replace-me",
        "data:\n  username: Z2hvc3RzaGlw\n  password: cMOkc3M=\n  ca.crt: UEVN",
    );
    let account =
        parse(&encoded).map_err(|found| format!("{found:?}")).unwrap().credentials.unwrap();
    assert_eq!((account.username.as_str(), account.password.as_str()), ("ghostship", "päss"));
    assert_eq!(account.authorities.as_deref(), Some(b"PEM".as_slice()));
    let half = SAMPLE.replace("  password: replace-me", "  password: replace-me\n  tls.crt: x");
    assert!(refused(&half)[0].message.ends_with("has no key tls.key"));
}

#[test]
fn objects_as_a_cluster_returns_them_are_accepted() {
    let text = SAMPLE.replacen(
        "  name: orders-add-note\n",
        "  name: orders-add-note\n  uid: u-1\n  generation: 3\n  labels: {a: b}\n  creationTimestamp: '2026-01-02T03:04:05Z'\n",
        1,
    );
    let manifest = parse(&text).map_err(|found| format!("{found:?}")).unwrap();
    assert_eq!(manifest.migration.uid.as_deref(), Some("u-1"));
}
