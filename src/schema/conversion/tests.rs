//! Each row was tried on MySQL 9.7.4 with the sessions' SQL mode, at a value that tells the verdicts
//! apart; what the server answered stands beside it.

use super::*;
use crate::schema::table::{Generation, TextKind};

/// A column from a short form: a type, optionally with `charset/collation` behind a blank.
fn column(text: &str) -> Column {
    let (null, text) = text.strip_suffix("!").map_or((true, text), |text| (false, text));
    Column {
        name: "c".to_owned(),
        column_type: column_type(text),
        type_text: text.to_owned(),
        nullable: null,
        has_default: true,
        generation: Generation::None,
        auto_increment: text.contains("auto"),
        invisible: false,
    }
}

fn column_type(text: &str) -> ColumnType {
    use ColumnType as T;
    let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (name, arguments) = head.trim_end_matches(')').split_once('(').unwrap_or((head, ""));
    let number = |index| arguments.split(',').nth(index).and_then(|n| n.parse::<u64>().ok());
    let (first, second) = (number(0).unwrap_or(0), number(1).unwrap_or(0));
    let unsigned = rest.contains("unsigned");
    let collation = match rest {
        "" | "auto" => "utf8mb4_0900_ai_ci",
        other => other,
    };
    let charset = collation.split('_').next().unwrap_or_default().to_owned();
    let collation = collation.to_owned();
    let text = |kind, length| T::Text {
        kind,
        length,
        charset: charset.clone(),
        collation: collation.clone(),
    };
    let labels = || arguments.split(',').map(str::to_owned).collect();
    let integer = |bytes| T::Integer { bytes, unsigned };
    match name {
        "tinyint" => integer(1),
        "smallint" => integer(2),
        "mediumint" => integer(3),
        "int" => integer(4),
        "bigint" => integer(8),
        "decimal" => T::Decimal { precision: small(first), scale: small(second), unsigned },
        "float" => T::Float,
        "double" => T::Double,
        "bit" => T::Bit { bits: small(first) },
        "year" => T::Year,
        "date" => T::Date,
        "time" => T::Time { fsp: small(first) },
        "datetime" => T::DateTime { fsp: small(first) },
        "timestamp" => T::Timestamp { fsp: small(first) },
        "char" => text(TextKind::Char, first),
        "varchar" => text(TextKind::VarChar, first),
        "tinytext" => text(TextKind::Text, 255),
        "text" => text(TextKind::Text, 65_535),
        "binary" => T::Binary { length: first },
        "varbinary" => T::VarBinary { length: first },
        "tinyblob" => T::Blob { length: 255 },
        "blob" => T::Blob { length: 65_535 },
        "enum" => T::Enum { labels: labels(), charset, collation },
        "set" => T::Set { labels: labels(), charset, collation },
        "json" => T::Json,
        "point" | "geometry" => T::Geometry,
        "vector" => T::Vector,
        other => T::Other(other.to_owned()),
    }
}

/// The verdict as one letter: Unchanged, Widening, Checked, Silent, Zone, Impossible.
fn letter(source: &str, shadow: &str) -> char {
    match conversion(&column(source), &column(shadow)) {
        Conversion::Unchanged => 'U',
        Conversion::Widening => 'W',
        Conversion::Checked => 'C',
        Conversion::Silent { .. } => 'S',
        Conversion::NeedsTimeZone => 'Z',
        Conversion::Impossible => 'I',
    }
}

fn check(rows: &[(&str, &str, char, &str)]) {
    for (source, shadow, expected, seen) in rows {
        assert_eq!(letter(source, shadow), *expected, "{source} to {shadow}: {seen}");
    }
}

#[test]
fn numbers() {
    check(&[
        ("int", "int", 'U', ""),
        ("int", "bigint", 'W', ""),
        ("int", "tinyint", 'C', "1264 for 300"),
        ("int", "int unsigned", 'C', "1264 for -1"),
        ("int unsigned", "bigint", 'W', ""),
        ("bigint unsigned", "bigint", 'C', "1264 for 2^64-1"),
        ("bigint unsigned", "decimal(20,0)", 'W', "exact"),
        ("int", "decimal(2,0)", 'C', "1264 for 123"),
        ("int", "decimal(12,2)", 'W', "exact"),
        ("int", "double", 'W', "16777217 exact"),
        ("int", "float", 'S', "16777217 becomes 16777216"),
        ("bigint", "double", 'S', "9007199254740993 loses its last digit"),
        ("int", "varchar(2)", 'C', "1406 for 123"),
        ("int", "varchar(11)", 'W', "exact"),
        ("int", "year", 'S', "5 becomes 2005"),
        ("int", "date", 'S', "20200101 becomes a date"),
        ("int", "time", 'S', "2000 becomes 00:20:00"),
        ("int", "enum(a,b)", 'S', "1 becomes a"),
        ("int", "set(a,b)", 'S', "3 becomes a,b"),
        ("int", "json", 'I', "3140 for 5"),
        ("int", "geometry", 'I', "1416 for 1"),
        ("int", "bit(64)", 'S', "-1 becomes 2^64-1"),
        ("int unsigned", "bit(4)", 'C', "1406 for 65"),
        ("decimal(10,4)", "decimal(10,2)", 'S', "1.2345 becomes 1.23 with a note"),
        ("decimal(10,2)", "decimal(5,2)", 'C', "1264 for 12345678.90"),
        ("decimal(10,2)", "decimal(12,4)", 'W', "exact"),
        ("decimal(10,2)", "decimal(10,2) unsigned", 'C', "1264 for -1.5"),
        ("decimal(10,2)", "int", 'S', "1.50 becomes 2"),
        ("decimal(10,0)", "int", 'C', "exact or 1264"),
        ("decimal(20,0)", "bigint", 'C', "1264 for 12345678901234567890"),
        ("decimal(15,2)", "double", 'W', "1234567890123.45 reads the same"),
        ("decimal(20,0)", "double", 'S', "12345678901234567890 is rounded"),
        ("decimal(10,2)", "char(2)", 'C', "1406 for 1.50"),
        ("double", "int", 'S', "1.6 becomes 2"),
        ("double", "float", 'S', "0.12345678901 is rounded"),
        ("double", "decimal(5,2)", 'S', "1.005 becomes 1.01 with a note"),
        ("double", "varchar(30)", 'C', "exact or 1406"),
        ("double", "double unsigned", 'C', "1264 for -1"),
        ("double", "json", 'I', "3140 for 1.0"),
        ("double", "year", 'S', "2000.4 becomes 2000"),
        ("float", "double", 'W', "the same binary number"),
        ("float", "float(5,2)", 'S', "1.23457 becomes 1.23"),
        ("float", "decimal(10,2)", 'S', "0.1 changes with a note"),
        ("bit(8)", "int", 'W', "b'1000001' becomes 65"),
        ("bit(8)", "tinyint", 'C', "1264 for b'11000001'"),
        ("bit(16)", "bit(8)", 'C', "1406 for b'111111111'"),
        ("bit(8)", "json", 'I', "3140"),
        ("bit(8)", "double", 'W', "5"),
    ]);
}

#[test]
fn dates_and_times() {
    check(&[
        ("datetime(6)", "datetime", 'S', "00.6 is rounded to 01"),
        ("datetime", "datetime(6)", 'W', ""),
        ("timestamp(6)", "timestamp", 'S', "00.9 is rounded to 01"),
        ("time(6)", "time", 'S', "00.9 is rounded to 01"),
        ("datetime", "timestamp", 'Z', "read in the session's zone"),
        ("timestamp", "datetime", 'Z', "written in the session's zone"),
        ("timestamp", "varchar(30)", 'Z', "written in the session's zone"),
        ("date", "timestamp", 'Z', "read in the session's zone"),
        ("datetime", "date", 'S', "cut with a note"),
        ("datetime", "time", 'S', "cut without a note"),
        ("datetime", "varchar(10)", 'C', "1406"),
        ("datetime", "varchar(19)", 'W', "exact"),
        ("datetime", "bigint", 'W', "20200101100000"),
        ("datetime(6)", "bigint", 'S', "rounded"),
        ("datetime", "year", 'I', "1264"),
        ("date", "datetime", 'W', "also the zero date"),
        ("date", "int", 'W', "20200101"),
        ("date", "time", 'S', "00:00:00"),
        ("date", "year", 'S', "2020"),
        ("date", "json", 'I', "3140"),
        ("time", "datetime", 'S', "the day of the copy"),
        ("time", "timestamp", 'S', "the day of the copy"),
        ("time", "varchar(5)", 'C', "1406"),
        ("time", "varchar(12)", 'W', "-838:59:59"),
        ("year", "int", 'W', "1999"),
        ("year", "tinyint", 'C', "1264"),
        ("year", "date", 'I', "1292 for 2020"),
        ("year", "varchar(4)", 'W', "1999"),
    ]);
}

#[test]
fn strings() {
    check(&[
        ("varchar(10)", "varchar(20)", 'W', ""),
        ("varchar(10)", "varchar(2)", 'C', "1265 for abc and for 'ab '"),
        ("varchar(10)", "varchar(2) utf8mb4_bin", 'S', "'ab ' loses its space with a note"),
        ("varchar(10)", "varchar(2) latin1_bin", 'S', "'ab ' loses its space with a note"),
        ("varchar(10)", "varchar(10) utf8mb4_bin", 'W', "exact"),
        ("varchar(10)", "char(10)", 'S', "'ab ' loses its space"),
        ("char(10)", "varchar(10)", 'W', "exact"),
        ("char(5)", "char(2)", 'C', "1406 for abc"),
        ("text", "varchar(5)", 'S', "spaces beyond the length are cut with a note"),
        ("text", "tinytext", 'C', "1406, also for spaces"),
        ("varchar(300)", "tinytext", 'C', "1406"),
        ("text latin1_bin", "tinytext utf8mb4_bin", 'S', "spaces beyond the length are cut"),
        ("varchar(10)", "varchar(10) latin1_bin", 'C', "1366 for a character it lacks"),
        ("varchar(10)", "varchar(10) utf8mb3_bin", 'C', "1366 for an emoji"),
        ("varchar(10) latin1_bin", "varchar(10) utf8mb4_bin", 'W', "also byte 81"),
        (
            "varchar(10) gbk_bin",
            "varchar(10) utf8mb4_bin",
            'C',
            "1366 for a code without a character",
        ),
        ("text gbk_bin", "text utf8mb3_bin", 'S', "spaces beyond the length are cut"),
        ("tinytext gbk_bin", "text utf8mb4_bin", 'C', "two bytes become three"),
        ("varchar(10)", "varchar(10) euckr_bin", 'C', "1366 for a character it lacks"),
        ("varchar(10) big5_bin", "varchar(10) utf8mb4_bin", 'S', "two codes for one character"),
        ("varchar(10) sjis_bin", "varchar(10) utf8mb4_bin", 'S', "815F becomes 5C"),
        ("varchar(10)", "varbinary(1)", 'C', "1406"),
        ("varchar(10)", "binary(4)", 'S', "padded"),
        ("varchar(10)", "int", 'S', "1.6 becomes 2, ' 12' becomes 12"),
        ("varchar(10)", "double", 'S', "digits are rounded"),
        ("varchar(10)", "date", 'S', "a time of day is cut with a note"),
        ("varchar(10)", "datetime", 'S', "fractions are rounded"),
        ("varchar(10)", "timestamp", 'Z', "read in the session's zone"),
        ("varchar(10)", "enum(a,b)", 'S', "A becomes a, 2 becomes b"),
        ("varchar(10)", "set(a,b)", 'S', "3 becomes a,b"),
        ("varchar(10)", "json", 'C', "3140 for what is not JSON"),
        ("varchar(10)", "geometry", 'I', "1416"),
        ("varbinary(10)", "varchar(10)", 'S', "1366 for byte FF, but spaces are cut with a note"),
        ("varbinary(10)", "binary(10)", 'S', "61 and 6100 become one"),
        ("binary(4)", "binary(2)", 'C', "1406"),
        ("binary(4)", "binary(6)", 'W', "padded, all of them alike"),
        ("blob", "tinyblob", 'C', "1406"),
        ("blob", "varbinary(2)", 'C', "1406, also for spaces"),
        ("blob", "json", 'I', "3144"),
        ("blob", "point", 'C', "1416 for what is no geometry"),
        ("json", "text", 'C', "exact or 1406"),
        ("json", "varchar(4)", 'C', "1406"),
        ("json", "text latin1_bin", 'C', "1366 for a character it lacks"),
        ("json", "int", 'S', "1.7 becomes 2"),
        ("json", "date", 'S', "a string becomes a date"),
        ("geometry", "point", 'C', "1416 for another kind, 3643 for another SRID"),
        ("geometry", "varchar(100)", 'I', "1366"),
        ("vector(4)", "vector(2)", 'C', "1406"),
        ("uuid", "varchar(36)", 'S', "not tried"),
    ]);
}

#[test]
fn labels() {
    check(&[
        ("enum(a,b,c)", "enum(c,b,a)", 'W', "mapped by text, also the error value"),
        ("enum(1,2)", "enum(2,1)", 'W', "mapped by text"),
        ("enum(a,b,c)", "enum(a,b)", 'C', "1265 for c"),
        ("enum(a,2,b)", "enum(x,a,b)", 'S', "2 becomes the second label, a"),
        ("enum(a,b)", "enum(A,b)", 'S', "a becomes A"),
        ("enum(a,A) utf8mb4_bin", "enum(a,x)", 'S', "A becomes a"),
        ("enum(a,A) utf8mb4_bin", "enum(A,a,x) utf8mb4_bin", 'W', "mapped by text"),
        ("enum(é,b)", "enum(b) latin1_bin", 'C', "1265"),
        ("enum(é,b)", "enum(b,é) latin1_bin", 'W', "mapped by text"),
        ("enum(a,b)", "set(b,a)", 'W', "mapped by text"),
        ("enum(aa,b)", "varchar(1)", 'C', "1406"),
        ("enum(aa,b)", "varchar(5)", 'W', "exact"),
        ("enum(5,x)", "tinyint", 'S', "5 becomes 1"),
        ("enum(a,b)", "json", 'C', "3140"),
        ("enum(a,b)", "blob", 'C', "exact"),
        ("set(a,b,c)", "set(c,b,a)", 'W', "mapped by text"),
        ("set(a,b,c)", "set(b,c)", 'C', "1265"),
        ("set(a,b)", "enum(a,b)", 'C', "1265 for two labels and for none"),
        ("set(a,b)", "varchar(2)", 'C', "1406"),
        ("set(a,b)", "int", 'S', "a,b becomes 3"),
    ]);
}

#[test]
fn null() {
    check(&[
        ("int", "int!", 'C', "1048"),
        ("varchar(5)", "varchar(5)!", 'C', "1048 in spite of a default"),
        ("timestamp", "timestamp!", 'C', "1048"),
        ("int", "int auto!", 'S', "NULL becomes the next number"),
        ("int!", "int", 'U', ""),
    ]);
}

#[test]
fn key_columns_change_only_where_keys_stay_distinct_and_in_order() {
    let rows = [
        ("int", "bigint", true),
        ("bigint", "int", true),
        ("int", "varchar(20)", false),
        ("varchar(20)", "int", false),
        ("int", "decimal(12,2)", false),
        ("decimal(10,2)", "decimal(12,2)", true),
        ("decimal(10,2)", "decimal(10,1)", false),
        ("datetime(6)", "datetime", false),
        ("datetime", "timestamp", false),
        ("varchar(10)", "varchar(20)", true),
        ("varchar(10)", "char(10)", false),
        ("char(10)", "varchar(10)", true),
        ("varchar(10) utf8mb4_bin", "varchar(10) utf8mb4_general_ci", false),
        ("varchar(10) utf8mb4_0900_ai_ci", "varchar(10) utf8mb4_bin", false),
        ("varchar(10) utf8mb4_general_ci", "varchar(10) utf8mb4_bin", false),
        ("varchar(10) utf8mb3_general_ci", "varchar(10) utf8mb4_general_ci", true),
        ("varchar(10) utf8mb3_general_ci", "varchar(10) utf8mb4_0900_ai_ci", false),
        ("varchar(10) ascii_bin", "varchar(10) utf8mb4_bin", true),
        ("varchar(10) latin1_bin", "varchar(10) utf8mb4_bin", false),
        ("binary(4)", "binary(6)", false),
        ("varbinary(4)", "varbinary(6)", true),
        ("enum(a,b)", "enum(a,b,c)", true),
        ("enum(a,b)", "enum(b,a)", false),
        ("bit(4)", "int", false),
    ];
    for (source, shadow, safe) in rows {
        let found = key_change(&column(source), &column(shadow)) == KeyChange::Safe;
        assert_eq!(found, safe, "{source} to {shadow}");
    }
}

fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap()
}
