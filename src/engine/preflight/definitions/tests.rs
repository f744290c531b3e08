//! Pairs of definitions, and what preflight says about each.

use super::*;
use crate::engine::preflight::sample::{self, column, index, table};
use crate::schema::table::{ColumnType, TextKind};

fn int(name: &str) -> Column {
    column(name, ColumnType::Integer { bytes: 4, unsigned: false }, "int")
}

fn text(name: &str, collation: &str) -> Column {
    let column_type = ColumnType::Text {
        kind: TextKind::VarChar,
        length: 20,
        charset: "utf8mb4".to_owned(),
        collation: collation.to_owned(),
    };
    column(name, column_type, "varchar(20)")
}

fn nullable(mut column: Column) -> Column {
    column.nullable = true;
    column
}

fn found(source: &Table, shadow: &Table) -> Vec<Reason> {
    let refusals = check_definitions(&sample::request(), source, shadow).err().unwrap_or_default();
    refusals.iter().map(|refusal| refusal.reason).collect()
}

#[test]
fn keys_that_cannot_identify_rows_are_refused() {
    let double = || column("d", ColumnType::Double, "double");
    let by_id = || table(vec![int("id"), int("a")], vec![index("PRIMARY", true, &["id"])]);
    let by_a = || table(vec![int("id"), int("a")], vec![index("PRIMARY", true, &["a"])]);
    let generated = || {
        let mut column = int("g");
        column.generation = Generation::Virtual;
        table(vec![column], vec![index("u", true, &["g"])])
    };
    let rows: [(&str, Table, Table, bool); 8] = [
        ("unchanged", by_id(), by_id(), true),
        ("only key dropped", by_id(), table(vec![int("id"), int("a")], vec![]), false),
        ("no key", table(vec![int("id")], vec![]), table(vec![int("id")], vec![]), false),
        ("primary key moved", by_id(), by_a(), false),
        ("virtual generated", generated(), generated(), false),
        (
            "nullable",
            table(vec![nullable(int("a"))], vec![index("u", true, &["a"])]),
            table(vec![nullable(int("a"))], vec![index("u", true, &["a"])]),
            false,
        ),
        (
            "float",
            table(vec![double()], vec![index("PRIMARY", true, &["d"])]),
            table(vec![double()], vec![index("PRIMARY", true, &["d"])]),
            false,
        ),
        (
            "coarser collation",
            table(vec![text("c", "utf8mb4_bin")], vec![index("PRIMARY", true, &["c"])]),
            table(vec![text("c", "utf8mb4_0900_ai_ci")], vec![index("PRIMARY", true, &["c"])]),
            false,
        ),
    ];
    for (what, source, shadow, usable) in rows {
        let expected = if usable { vec![] } else { vec![Reason::NoUsableKey] };
        assert_eq!(found(&source, &shadow), expected, "{what}");
    }
}

#[test]
fn another_key_is_taken_when_the_best_one_changes() {
    let indexes = || vec![index("PRIMARY", true, &["id"]), index("u", true, &["c"])];
    let source = table(vec![int("id"), text("c", "utf8mb4_bin")], indexes());
    let words = column("id", text("id", "utf8mb4_bin").column_type, "varchar(20)");
    let shadow = table(vec![words, text("c", "utf8mb4_bin")], indexes());
    let definitions = check_definitions(&sample::request(), &source, &shadow).unwrap();
    assert_eq!(definitions.pair.source_key.index, "u");
    assert_eq!(definitions.other_uniques.len(), 1);
}

#[test]
fn key_keeps_the_source_s_form_in_a_wider_column() {
    let big = column("id", ColumnType::Integer { bytes: 8, unsigned: false }, "bigint");
    let primary = || vec![index("PRIMARY", true, &["id"])];
    let (source, shadow) = (table(vec![int("id")], primary()), table(vec![big], primary()));
    let pair = check_definitions(&sample::request(), &source, &shadow).unwrap().pair;
    assert_eq!(pair.shadow_key.columns[0].kind, pair.source_key.columns[0].kind);
}

#[test]
fn conversions_that_lose_something_need_an_acceptance() {
    let primary = || vec![index("PRIMARY", true, &["id"])];
    let rows = [
        (ColumnType::Double, int("v").column_type, Some(Reason::LossyChange)),
        (
            ColumnType::DateTime { fsp: 6 },
            ColumnType::DateTime { fsp: 0 },
            Some(Reason::LossyChange),
        ),
        (
            ColumnType::DateTime { fsp: 0 },
            ColumnType::Timestamp { fsp: 0 },
            Some(Reason::NeedsTimeZone),
        ),
        (int("v").column_type, ColumnType::Double, None),
    ];
    for (from, to, expected) in rows {
        let source = table(vec![int("id"), column("v", from, "from")], primary());
        let shadow = table(vec![int("id"), column("v", to, "to")], primary());
        assert_eq!(found(&source, &shadow).first().copied(), expected);
        let mut accepting = sample::request();
        accepting.accept_lossy = true;
        let accepted = check_definitions(&accepting, &source, &shadow).unwrap();
        assert_eq!(accepted.warnings.first().map(|warning| warning.reason), expected);
    }
    let source = table(vec![int("id"), int("v")], primary());
    let shadow = table(vec![int("id"), column("v", ColumnType::Json, "json")], primary());
    assert_eq!(found(&source, &shadow), [Reason::DataDoesNotFit]);
}

#[test]
fn new_columns_need_a_value_and_generated_ones_replace_theirs() {
    let primary = || vec![index("PRIMARY", true, &["id"])];
    let source = table(vec![int("id"), int("v")], primary());
    let mut generated = int("v");
    generated.generation = Generation::Stored;
    let mut with_default = int("n");
    with_default.has_default = true;
    let rows = [
        (vec![int("id"), int("v"), int("n")], vec![Reason::LossyChange]),
        (vec![int("id"), int("v"), with_default], vec![]),
        (vec![int("id"), int("v"), nullable(int("n"))], vec![]),
        (vec![int("id"), generated], vec![Reason::LossyChange]),
        (vec![int("id")], vec![]),
    ];
    for (columns, expected) in rows {
        assert_eq!(found(&source, &table(columns, primary())), expected);
    }
}

#[test]
fn unchanged_definition_is_told_as_a_rebuild() {
    let primary = || vec![index("PRIMARY", true, &["id"])];
    let mut source = table(vec![int("id")], primary());
    let mut shadow = source.clone();
    source.definition =
        "CREATE TABLE `orders` (\n  `id` int\n) AUTO_INCREMENT=7 COMMENT='a'".to_owned();
    shadow.definition = "CREATE TABLE `orders_gho` (\n  `id` int\n) COMMENT='a'".to_owned();
    let warnings = |shadow: &Table| {
        let definitions = check_definitions(&sample::request(), &source, shadow).unwrap();
        definitions.warnings.iter().map(|warning| warning.reason).collect::<Vec<_>>()
    };
    assert_eq!(warnings(&shadow), [Reason::NoStructuralChange]);
    shadow.definition = shadow.definition.replace("'a'", "'b'");
    assert_eq!(warnings(&shadow), []);
}
