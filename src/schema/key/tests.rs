//! Keys through their encoding and back, in the order of their values.

use proptest::prelude::*;

use super::*;

fn key_of(kinds: Vec<KeyKind>) -> MigrationKey {
    let columns = kinds.into_iter().enumerate();
    let columns =
        columns.map(|(position, kind)| KeyColumn { name: format!("c{position}"), position, kind });
    MigrationKey { index: "PRIMARY".to_owned(), columns: columns.collect() }
}

fn text_kind() -> KeyKind {
    KeyKind::Text { charset: "utf8mb4".to_owned(), collation: "utf8mb4_0900_ai_ci".to_owned() }
}

/// Every canonical text survives, and encodings rise strictly with the values.
fn assert_rising(kind: KeyKind, texts: &[&str]) {
    let key = key_of(vec![kind.clone()]);
    let mut previous: Option<Key> = None;
    for text in texts {
        let part = key.part_from_select(0, text.as_bytes()).expect(text);
        let encoded = key.encode(std::slice::from_ref(&part)).expect(text);
        assert_eq!(key.decode(&encoded).expect(text), vec![part.clone()], "{kind:?} {text}");
        if let KeyPart::Decimal(shown) | KeyPart::Temporal(shown) = &part {
            assert_eq!(shown, text);
        }
        assert!(previous.as_ref().is_none_or(|earlier| *earlier < encoded), "{kind:?} {text}");
        previous = Some(encoded);
    }
}

#[test]
fn encodings_rise_with_the_values() {
    assert_rising(KeyKind::Int { bytes: 3 }, &["-8388608", "-1", "0", "1", "8388607"]);
    assert_rising(
        KeyKind::UInt { bytes: 8 },
        &["0", "9223372036854775808", "18446744073709551615"],
    );
    assert_rising(KeyKind::Bit { bits: 64 }, &["0", "1", "256", "18446744073709551615"]);
    assert_rising(KeyKind::Year, &["0", "1901", "2024", "2155"]);
    assert_rising(KeyKind::Enum { labels: 300 }, &["0", "1", "255", "256", "300"]);
    assert_rising(KeyKind::Set { labels: 64 }, &["0", "1", "9223372036854775808"]);
    assert_rising(KeyKind::Date, &["0000-00-00", "0000-00-01", "1999-12-31", "9999-12-31"]);
    assert_rising(
        KeyKind::Decimal { precision: 12, scale: 3 },
        &[
            "-999999999.999",
            "-1.001",
            "-1.000",
            "-0.001",
            "0.000",
            "0.001",
            "10.500",
            "999999999.999",
        ],
    );
    assert_rising(KeyKind::Decimal { precision: 4, scale: 4 }, &["-0.9999", "0.0000", "0.0100"]);
    assert_rising(
        KeyKind::Decimal { precision: 30, scale: 0 },
        &["-5", "0", "123456789012345678901234567890"],
    );
}

#[test]
fn times_rise_at_every_precision() {
    assert_rising(KeyKind::Time { fsp: 0 }, &["-838:59:59", "-00:00:01", "00:00:00", "838:59:59"]);
    assert_rising(
        KeyKind::Time { fsp: 1 },
        &["-838:59:58.9", "-00:00:01.0", "-00:00:00.9", "-00:00:00.1", "00:00:00.0", "00:00:00.1"],
    );
    assert_rising(
        KeyKind::Time { fsp: 4 },
        &["-01:00:00.0001", "-01:00:00.0000", "-00:00:00.9999", "00:00:00.0000", "12:00:00.5000"],
    );
    assert_rising(
        KeyKind::Time { fsp: 6 },
        &["-00:00:01.000001", "-00:00:01.000000", "-00:00:00.999999", "00:00:00.000001"],
    );
    assert_rising(
        KeyKind::DateTime { fsp: 3 },
        &["0000-00-00 00:00:00.000", "2024-02-29 23:59:59.999", "2024-03-01 00:00:00.000"],
    );
    assert_rising(
        KeyKind::Timestamp { fsp: 2 },
        &[
            "0000-00-00 00:00:00.00",
            "1970-01-01 00:00:01.00",
            "2024-02-29 12:00:00.25",
            "2038-01-19 03:14:07.99",
        ],
    );
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let cases: &[(KeyKind, &str)] = &[
        (KeyKind::Int { bytes: 1 }, "128"),
        (KeyKind::UInt { bytes: 1 }, "256"),
        (KeyKind::UInt { bytes: 1 }, "-1"),
        (KeyKind::Bit { bits: 3 }, "8"),
        (KeyKind::Year, "1900"),
        (KeyKind::Decimal { precision: 4, scale: 2 }, "100.00"),
        (KeyKind::Decimal { precision: 4, scale: 2 }, "1.001"),
        (KeyKind::Decimal { precision: 4, scale: 2 }, ""),
        (KeyKind::Date, "2024-13-01"),
        (KeyKind::Time { fsp: 0 }, "1:2"),
        (KeyKind::DateTime { fsp: 0 }, "2024-01-01 00:00:00.5"),
        (KeyKind::Binary { length: 1 }, "ab"),
    ];
    for (kind, text) in cases {
        let key = key_of(vec![kind.clone()]);
        let refused = Err(KeyError::InvalidPart("c0".to_owned()));
        assert_eq!(key.part_from_select(0, text.as_bytes()), refused, "{kind:?} {text}");
    }
}

#[test]
fn a_short_binary_is_padded_and_debug_hides_the_value() {
    let key = key_of(vec![KeyKind::Binary { length: 4 }]);
    let part = key.part_from_select(0, b"Zz").unwrap();
    assert_eq!(part, KeyPart::Bytes(b"Zz\0\0".to_vec()));
    let encoded = key.encode(std::slice::from_ref(&part)).unwrap();
    assert_eq!(Key::from_hex(&encoded.to_hex()), Ok(encoded.clone()));
    assert!(!format!("{encoded:?} {part:?}").contains("5a"));
    assert!(key_of(vec![KeyKind::VarBinary]).is_ordered());
    assert!(!key_of(vec![KeyKind::VarBinary, text_kind()]).is_ordered());
}

proptest! {
    #[test]
    fn composite_keys_survive_and_order(
        a in any::<(i32, Vec<u8>, u64, i64)>(),
        b in any::<(i32, Vec<u8>, u64, i64)>(),
    ) {
        let key = key_of(vec![
            KeyKind::Int { bytes: 4 },
            KeyKind::VarBinary,
            KeyKind::UInt { bytes: 8 },
            KeyKind::Int { bytes: 8 },
        ]);
        let parts = |(i, v, u, l): &(i32, Vec<u8>, u64, i64)| {
            [KeyPart::Int((*i).into()), KeyPart::Bytes(v.clone()), KeyPart::UInt(*u), KeyPart::Int(*l)]
        };
        let encoded = key.encode(&parts(&a)).unwrap();
        prop_assert_eq!(key.decode(&encoded).unwrap(), parts(&a).to_vec());
        prop_assert_eq!(encoded.cmp(&key.encode(&parts(&b)).unwrap()), a.cmp(&b));
    }

    #[test]
    fn byte_strings_order_like_bytes(a in prop::collection::vec(0..3_u8, 0..6), b in prop::collection::vec(0..3_u8, 0..6)) {
        let key = key_of(vec![KeyKind::VarBinary, KeyKind::UInt { bytes: 1 }]);
        let encode = |bytes: &[u8]| key.encode(&[KeyPart::Bytes(bytes.to_vec()), KeyPart::UInt(1)]).unwrap();
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
    }

    #[test]
    fn decimals_survive_and_order(a in -99_999_999_999_i64..=99_999_999_999, b in -99_999_999_999_i64..=99_999_999_999, scale in 0_u8..=11) {
        let key = key_of(vec![KeyKind::Decimal { precision: 11, scale }]);
        let text = |value: i64| {
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
            let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
            let point = if scale > 0 { "." } else { "" };
            format!("{}{whole}{point}{fraction}", if value < 0 { "-" } else { "" })
        };
        let encoded = key.encode(&[KeyPart::Decimal(text(a))]).unwrap();
        prop_assert_eq!(key.decode(&encoded).unwrap(), vec![KeyPart::Decimal(text(a))]);
        prop_assert_eq!(encoded.cmp(&key.encode(&[KeyPart::Decimal(text(b))]).unwrap()), a.cmp(&b));
    }

    #[test]
    fn times_survive_and_order(a in -3_020_398_999_999_i64..=3_020_398_999_999, b in -3_020_398_999_999_i64..=3_020_398_999_999, fsp in 0_u8..=6) {
        let unit = 10_i64.pow(6 - u32::from(fsp));
        let (a, b) = (a / unit * unit, b / unit * unit);
        let text = |micros: i64| {
            let all = micros.unsigned_abs();
            let seconds = all / 1_000_000;
            let fraction = format!(".{:06}", all % 1_000_000);
            let fraction = if fsp == 0 { "" } else { &fraction[..=usize::from(fsp)] };
            let sign = if micros < 0 { "-" } else { "" };
            format!("{sign}{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        };
        let key = key_of(vec![KeyKind::Time { fsp }]);
        let encoded = key.encode(&[KeyPart::Temporal(text(a))]).unwrap();
        prop_assert_eq!(key.decode(&encoded).unwrap(), vec![KeyPart::Temporal(text(a))]);
        prop_assert_eq!(encoded.cmp(&key.encode(&[KeyPart::Temporal(text(b))]).unwrap()), a.cmp(&b));
    }

    #[test]
    fn timestamps_survive_and_order(a in 1_u32.., b in 1_u32..) {
        let key = key_of(vec![KeyKind::Timestamp { fsp: 0 }]);
        let (low, high) = (Key::from_bytes(&a.to_be_bytes()), Key::from_bytes(&b.to_be_bytes()));
        let (first, second) = (key.decode(&low).unwrap(), key.decode(&high).unwrap());
        prop_assert_eq!(key.encode(&first).unwrap(), low);
        let text = |parts: &[KeyPart]| match &parts[0] {
            KeyPart::Temporal(text) => text.clone(),
            _ => String::new(),
        };
        prop_assert_eq!(text(&first).cmp(&text(&second)), a.cmp(&b));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), fsp in 0_u8..=6) {
        let kinds = vec![
            KeyKind::Time { fsp }, KeyKind::DateTime { fsp }, KeyKind::Timestamp { fsp }, KeyKind::Date,
            KeyKind::Decimal { precision: 20, scale: 7 }, KeyKind::VarBinary, KeyKind::Int { bytes: 8 },
            KeyKind::Binary { length: 3 }, KeyKind::Year, text_kind(),
        ];
        for kind in kinds {
            let key = key_of(vec![kind]);
            let _ = key.decode(&Key::from_bytes(&bytes));
            let _ = key.part_from_select(0, &bytes);
        }
    }
}
