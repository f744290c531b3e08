//! Transactions as a server writes them, and what each one means to the migration.

use super::*;
use crate::{
    mysql::binlog::RowsKind,
    schema::key::{KeyColumn, KeyKind, KeyPart},
};

/// BIGINT id, TINY other.
const COLUMNS: &[u8] = &[2, 8, 1, 0, 0];
/// VARCHAR(16), BIGINT, BIGINT, LONGTEXT.
const CONTROL: &[u8] = &[4, 15, 8, 8, 252, 3, 16, 0, 4, 0];

fn key() -> MigrationKey {
    let column = KeyColumn { name: "id".into(), position: 0, kind: KeyKind::UInt { bytes: 8 } };
    MigrationKey { index: "PRIMARY".into(), columns: vec![column] }
}

fn machine() -> Transactions {
    let name = |table: &str| TableName::new("shop", table);
    Transactions::new(Watched {
        source: name("orders"),
        shadow: name("orders_gho"),
        control: name("orders_ghc"),
        key: key(),
        column_count: 2,
    })
}

fn place(offset: u64) -> Coordinates {
    Coordinates { file: "binlog.000007".into(), offset }
}

fn gtid(number: u64) -> Option<Gtid> {
    Some(Gtid { uuid: [7; 16], tag: String::new(), number })
}

fn announce(number: u64) -> BinlogEvent {
    BinlogEvent::Gtid { gtid: gtid(number) }
}

fn query(statement: &str) -> BinlogEvent {
    BinlogEvent::Query { database: "shop".into(), statement: statement.into(), end: place(90) }
}

fn xid() -> BinlogEvent {
    BinlogEvent::Xid { end: place(100) }
}

fn prepare(one_phase: bool) -> BinlogEvent {
    BinlogEvent::XaPrepare { xid: "X'61',X'',1".into(), one_phase, end: place(100) }
}

fn map(table: &str) -> BinlogEvent {
    let columns = if table == "orders_ghc" { CONTROL } else { COLUMNS };
    BinlogEvent::table_map(70, TableName::new("shop", table), columns)
}

fn insert(ids: &[u64]) -> BinlogEvent {
    let mut body = vec![2, 3];
    for id in ids {
        body.push(0);
        body.extend(id.to_le_bytes());
        body.push(9);
    }
    BinlogEvent::rows(70, RowsKind::Write, &body)
}

fn update(before: u64, after: u64) -> BinlogEvent {
    let mut body = vec![2, 3, 3];
    for id in [before, after] {
        body.push(0);
        body.extend(id.to_le_bytes());
        body.push(9);
    }
    BinlogEvent::rows(70, RowsKind::Update, &body)
}

fn keys(ids: &[u64]) -> Change {
    Change::Keys(ids.iter().map(|id| key().encode(&[KeyPart::UInt(*id)]).unwrap()).collect())
}

fn mark(offset: u64, number: u64) -> EndMark {
    let mut gtids = GtidSet::default();
    if number > 0 {
        gtids.insert(&gtid(number).unwrap());
    }
    EndMark { coordinates: place(offset), gtids }
}

fn begin(number: u64) -> Change {
    Change::Begin { gtid: if number == 0 { None } else { gtid(number) } }
}

fn run(events: Vec<BinlogEvent>) -> Result<Vec<Change>, ChangeError> {
    let mut machine = machine();
    let mut changes = Vec::new();
    for event in events {
        changes.extend(machine.accept(event)?);
    }
    Ok(changes)
}

fn refusal(events: Vec<BinlogEvent>) -> String {
    run(events).expect_err("refused").to_string()
}

#[test]
fn a_transaction_yields_its_keys() {
    let events = vec![
        announce(1),
        query("BEGIN"),
        map("orders"),
        insert(&[5, 6]),
        update(5, 5),
        update(6, 8),
        map("items"),
        insert(&[99]),
        xid(),
    ];
    let end = Change::End { at: mark(100, 1) };
    let expected = vec![begin(1), keys(&[5, 6]), keys(&[5]), keys(&[6, 8]), end];
    assert_eq!(run(events).unwrap(), expected);
}

#[test]
fn savepoints_and_created_tables_do_not_end_a_group() {
    let events = vec![
        announce(1),
        query("BEGIN"),
        query("SAVEPOINT `a`"),
        query("CREATE TABLE `other` (`id` int) START TRANSACTION"),
        map("orders"),
        insert(&[1]),
        query("ROLLBACK TO `a`"),
        insert(&[2]),
        query("COMMIT"),
    ];
    let end = Change::End { at: mark(90, 1) };
    assert_eq!(run(events).unwrap(), vec![begin(1), keys(&[1]), keys(&[2]), end]);
}

#[test]
fn groups_without_gtid_begin_by_themselves() {
    let anonymous = vec![BinlogEvent::Gtid { gtid: None }, query("BEGIN"), xid()];
    let end = Change::End { at: mark(100, 0) };
    assert_eq!(run(anonymous).unwrap(), vec![begin(0), end.clone()]);
    assert_eq!(run(vec![query("BEGIN"), xid()]).unwrap(), vec![begin(0), end]);
    let end = Change::End { at: mark(90, 0) };
    assert_eq!(run(vec![query("DROP TABLE x")]).unwrap(), vec![begin(0), end]);
}

#[test]
fn xa_transactions_are_kept_aside() {
    let xid = || "X'61',X'',1".to_owned();
    let group = |one_phase| {
        vec![
            announce(1),
            query("XA START X'61',X'',1"),
            map("orders"),
            insert(&[3]),
            query("XA END X'61',X'',1"),
            prepare(one_phase),
        ]
    };
    let prepared = Change::XaPrepared { xid: xid(), at: mark(100, 1) };
    assert_eq!(run(group(false)).unwrap(), vec![begin(1), Change::XaStarted, keys(&[3]), prepared]);
    let end = Change::End { at: mark(100, 1) };
    assert_eq!(run(group(true)).unwrap(), vec![begin(1), Change::XaStarted, keys(&[3]), end]);
    let committed = Change::XaCommitted { xid: xid(), at: mark(90, 2) };
    let events = vec![announce(2), query("XA COMMIT X'61',X'',1")];
    assert_eq!(run(events).unwrap(), vec![begin(2), committed]);
    let rolled_back = Change::XaRolledBack { xid: xid(), at: mark(90, 2) };
    let events = vec![announce(2), query("XA ROLLBACK X'61',X'',1")];
    assert_eq!(run(events).unwrap(), vec![begin(2), rolled_back]);
}

#[test]
fn gaps_are_refused() {
    let rotate = || BinlogEvent::Rotate { to: place(4) };
    let cases = vec![
        (vec![announce(1), announce(2)], "a transaction ended in the binlog without COMMIT"),
        (
            vec![announce(1), query("BEGIN"), announce(2)],
            "a transaction ended in the binlog without COMMIT",
        ),
        (vec![announce(1), query("BEGIN"), rotate()], "a binlog file ended inside a transaction"),
        (vec![announce(1), rotate()], "a binlog file ended inside a transaction"),
        (vec![xid()], "the binlog holds an end without a begin where none may be"),
        (vec![map("orders")], "the binlog holds rows outside a transaction where none may be"),
        (
            vec![announce(1), query("BEGIN"), query("BEGIN")],
            "the binlog holds a nested BEGIN where none may be",
        ),
        (
            vec![announce(1), query("BEGIN"), prepare(false)],
            "the binlog holds an XA PREPARE without XA START where none may be",
        ),
        (
            vec![announce(1), query("BEGIN"), insert(&[1])],
            "the binlog holds rows of a table that it did not name",
        ),
        (vec![BinlogEvent::Incident], "the server reports that its binlog lacks changes"),
    ];
    for (events, expected) in cases {
        assert_eq!(refusal(events), expected);
    }
    assert_eq!(run(vec![rotate(), BinlogEvent::Other]).unwrap(), vec![]);
}

#[test]
fn changes_of_watched_tables_are_refused() {
    let statements = [
        ("ALTER TABLE orders ADD COLUMN x INT", "the table was changed by ALTER"),
        ("TRUNCATE `shop`.`orders`", "the table was changed by TRUNCATE"),
        ("DROP TABLE orders_gho", "a helper table was changed by DROP"),
        ("RENAME TABLE a TO orders_ghc", "a helper table was changed by RENAME"),
        ("DROP DATABASE shop", "the table was changed by DROP"),
        ("UPDATE orders SET a = 1", "a session wrote UPDATE in statement format"),
        ("UPDATE a_view SET a = 1", "a session wrote UPDATE in statement format"),
        ("INSERT/**/INTO/**/orders/**/VALUES('x')", "a session wrote INSERT in statement format"),
        ("UPDATE orders_gho SET a = 1", "a session wrote UPDATE in statement format"),
        ("DELETE FROM a_view", "a session wrote DELETE in statement format"),
        ("SELECT `shop`.`change_orders`()", "a session wrote SELECT in statement format"),
    ];
    for (text, expected) in statements {
        assert_eq!(refusal(vec![announce(1), query(text)]), expected, "{text}");
    }
    let harmless = [
        "ALTER TABLE other.orders ADD COLUMN x INT",
        "GRANT SELECT ON orders TO app",
        "CREATE TABLE other LIKE orders",
        "DROP TEMPORARY TABLE orders",
        "/* ghostship cut-over */ ALTER TABLE orders_gho AUTO_INCREMENT = 9",
    ];
    for text in harmless {
        let end = Change::End { at: mark(90, 1) };
        assert_eq!(run(vec![announce(1), query(text)]).unwrap(), vec![begin(1), end], "{text}");
    }
}

#[test]
fn another_shape_of_the_source_is_refused() {
    let shape = |columns: &[u8]| {
        let map = BinlogEvent::table_map(70, TableName::new("shop", "orders"), columns);
        refusal(vec![announce(1), query("BEGIN"), map])
    };
    assert_eq!(shape(&[1, 8, 0, 0]), "the table was changed by another number of columns");
    assert_eq!(shape(&[2, 3, 1, 0, 0]), "the table was changed by another type of column id");
}

#[test]
fn only_markers_and_heartbeats_come_from_the_control_table() {
    let row = |kind: &str, id: u64| {
        let mut body = vec![4, 15, 0, u8::try_from(kind.len()).unwrap()];
        body.extend(kind.as_bytes());
        body.extend(id.to_le_bytes());
        body.extend(3_u64.to_le_bytes());
        body.extend([2, 0, 0, 0, b'h', b'i']);
        BinlogEvent::rows(70, RowsKind::Write, &body)
    };
    let events = vec![
        announce(1),
        query("BEGIN"),
        map("orders_ghc"),
        row("range", 1),
        row("marker", 12),
        row("heartbeat", 1 << 40),
        xid(),
    ];
    let control = |kind: &str, id| Change::Control { kind: kind.into(), id, payload: b"hi".into() };
    let end = Change::End { at: mark(100, 1) };
    let expected = vec![begin(1), control("marker", 12), control("heartbeat", 1 << 40), end];
    assert_eq!(run(events).unwrap(), expected);
}

#[test]
fn a_mark_moves_a_position() {
    let mut position = Position { coordinates: place(4), gtids: None };
    mark(50, 0).pass(&mut position);
    assert_eq!(position, Position { coordinates: place(50), gtids: None });
    mark(60, 3).pass(&mut position);
    assert_eq!(position.coordinates, place(60));
    assert!(position.gtids.unwrap().contains(&gtid(3).unwrap()));
}
