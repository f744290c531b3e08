//! Bytes of events as servers write them.

use super::*;

#[test]
fn offsets_go_on_behind_four_gibibytes() {
    let lap = WIDTH_OF_OFFSETS;
    let cases = [
        (4, 126, 19, 126),
        (126, 0, 19, 126),
        (200, 126, 27, 200),
        (lap - 10, 50, 31, lap + 50),
        (lap + 50, 90, 16, lap + 90),
        (2 * lap - 1, 7, 16, 2 * lap + 7),
        (500, 480, 15, 500),
    ];
    for (current, low, kind, expected) in cases {
        assert_eq!(end_offset(current, low, kind), expected, "{current} {low}");
    }
}

#[test]
fn silence_counts_only_while_somebody_listens() {
    let start = Instant::now();
    let mut silence = Silence::default();
    let first = silence.listen(start);
    assert_eq!(first, start + SILENCE_LIMIT);
    assert_eq!(silence.listen(start + SILENCE_LIMIT / 2), first, "a call that was repeated");
    silence.end();
    let held_back = start + SILENCE_LIMIT * 5;
    assert_eq!(silence.listen(held_back), held_back + SILENCE_LIMIT);
}

#[test]
fn a_set_is_sent_in_pieces_of_one_tag() {
    let text = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:one:1-3:two:4,\n\
                4e11fa47-71ca-11e1-9e33-c80aa9429562:x:1";
    let pieces = event::set_pieces(text);
    assert_eq!(
        pieces,
        [
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:one:1-3",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:two:4",
            "4e11fa47-71ca-11e1-9e33-c80aa9429562:x:1",
        ]
    );
    assert!(pieces.iter().all(|piece| piece.parse::<Sid<'static>>().is_ok()));
    assert!(event::set_pieces("").is_empty());
}

mod images {
    use proptest::prelude::*;

    use super::super::*;
    use crate::schema::key::{KeyColumn, KeyKind, KeyPart, MigrationKey};

    fn key(position: usize, kind: KeyKind) -> MigrationKey {
        let column = KeyColumn { name: "k".into(), position, kind };
        MigrationKey { index: "PRIMARY".into(), columns: vec![column] }
    }

    fn reader(columns: &[u8], key: &MigrationKey) -> KeyReader {
        KeyReader::new(Layout::parse(columns).unwrap(), key).unwrap()
    }

    /// One inserted row of one column.
    fn decoded(kind: KeyKind, columns: &[u8], stored: &[u8]) -> Vec<KeyPart> {
        let key = key(0, kind);
        let mut body = vec![1, 1, 0];
        body.extend(stored);
        let keys = reader(columns, &key).keys(RowsKind::Write, &body).unwrap();
        assert_eq!(keys.len(), 1);
        key.decode(&keys[0]).unwrap()
    }

    #[test]
    fn stored_values_become_key_parts() {
        let temporal = |text: &str| KeyPart::Temporal(text.into());
        let cases: Vec<(KeyKind, &[u8], &[u8], KeyPart)> = vec![
            (KeyKind::Int { bytes: 3 }, &[1, 9, 0], &[0xFE, 0xFF, 0xFF], KeyPart::Int(-2)),
            (KeyKind::UInt { bytes: 8 }, &[1, 8, 0], &[0xFF; 8], KeyPart::UInt(u64::MAX)),
            (KeyKind::Bit { bits: 9 }, &[1, 16, 2, 1, 1], &[1, 2], KeyPart::UInt(258)),
            (KeyKind::Year, &[1, 13, 0], &[0], KeyPart::UInt(0)),
            (KeyKind::Date, &[1, 10, 0], &[0x22, 0xD0, 0x0F], temporal("2024-01-02")),
            (
                KeyKind::Time { fsp: 1 },
                &[1, 19, 1, 1],
                &[0x7F, 0xFF, 0xFF, 0xCE],
                temporal("-00:00:00.5"),
            ),
            (
                KeyKind::Decimal { precision: 4, scale: 2 },
                &[1, 246, 2, 4, 2],
                &[0x7E, 0xCD],
                KeyPart::Decimal("-1.50".into()),
            ),
            (
                KeyKind::Binary { length: 3 },
                &[1, 254, 2, 254, 3],
                &[1, b'a'],
                KeyPart::Bytes(vec![b'a', 0, 0]),
            ),
            (KeyKind::Enum { labels: 300 }, &[1, 254, 2, 247, 2], &[44, 1], KeyPart::UInt(300)),
            (KeyKind::Set { labels: 9 }, &[1, 254, 2, 248, 2], &[1, 1], KeyPart::UInt(257)),
            (KeyKind::VarBinary, &[1, 15, 2, 44, 1], &[1, 0, 0], KeyPart::Bytes(vec![0])),
        ];
        for (kind, columns, stored, expected) in cases {
            assert_eq!(decoded(kind.clone(), columns, stored), vec![expected], "{kind:?}");
        }
    }

    #[test]
    fn a_long_char_hides_its_length_in_the_type() {
        let kind = KeyKind::Text { charset: "utf8mb4".into(), collation: "any".into() };
        let stored = [&[3, 1][..], &[b'x'; 259]].concat();
        // CHAR(255) in utf8mb4 is 1020 bytes: EE FC.
        let part = decoded(kind, &[1, 254, 2, 0xCE, 0xFC], &stored);
        assert_eq!(part, vec![KeyPart::Bytes(vec![b'x'; 259])]);
    }

    #[test]
    fn a_wide_row_with_nulls_is_stepped_over() {
        let count = 300_usize;
        let mut columns = vec![0xFC, 44, 1];
        columns.extend(vec![3; count]);
        columns.push(0);
        let key = key(count - 1, KeyKind::Int { bytes: 4 });
        let mut body = vec![0xFC, 44, 1];
        body.extend(vec![0xFF; count.div_ceil(8)]);
        for id in [7_i32, -7] {
            let mut nulls = vec![0b0101_0101_u8; count.div_ceil(8)];
            nulls[37] = 0b0000_0101;
            let set: u32 = nulls.iter().map(|bits| bits.count_ones()).sum();
            body.extend(&nulls);
            body.extend(vec![1; 4 * (count - set as usize - 1)]);
            body.extend(id.to_le_bytes());
        }
        let keys = reader(&columns, &key).keys(RowsKind::Write, &body).unwrap();
        let parts: Vec<_> = keys.iter().flat_map(|one| key.decode(one).unwrap()).collect();
        assert_eq!(parts, vec![KeyPart::Int(7), KeyPart::Int(-7)]);
    }

    #[test]
    fn a_partial_update_keeps_its_key() {
        // INT, JSON; minimal: the key before, the document's difference after.
        let key = key(0, KeyKind::Int { bytes: 4 });
        let reader = reader(&[2, 3, 245, 1, 4], &key);
        let body = [&[2, 1, 2][..], &[0, 5, 0, 0, 0], &[1, 1, 0, 3, 0, 0, 0, 9, 9, 9]].concat();
        let keys = reader.keys(RowsKind::PartialUpdate, &body).unwrap();
        assert_eq!(keys, vec![key.encode(&[KeyPart::Int(5)]).unwrap()]);
    }

    #[test]
    fn an_image_without_the_key_is_refused() {
        let key = key(0, KeyKind::Int { bytes: 4 });
        let reader = reader(&[2, 3, 1, 0], &key);
        let missing = Err(RowImageError::KeyNotInRowImage("k".into()));
        assert_eq!(reader.keys(RowsKind::Delete, &[2, 2, 0, 1]), missing);
        let short = Err(RowImageError::InvalidRows);
        assert_eq!(reader.keys(RowsKind::Delete, &[2, 3, 0, 1, 0, 0, 0]), short);
        assert_eq!(reader.keys(RowsKind::Delete, &[2, 0]), Ok(vec![]));
        assert_eq!(reader.keys(RowsKind::Delete, &[3, 7, 0]), short);
        assert_eq!(Layout::parse(&[1, 20, 2, 8, 0]), Err(RowImageError::UnknownColumnType(20)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(
            map in prop::collection::vec(any::<u8>(), 0..24),
            body in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let known = [4, 8, 15, 245, 254, 4, 44, 1, 4, 206, 252];
            for columns in [map.as_slice(), &known] {
                let Ok(layout) = Layout::parse(columns) else { continue };
                let Ok(reader) = KeyReader::new(layout, &key(0, KeyKind::Int { bytes: 8 })) else { continue };
                for kind in [RowsKind::Write, RowsKind::Update, RowsKind::Delete, RowsKind::PartialUpdate] {
                    let _ = reader.keys(kind, &body);
                    let _ = reader.keys(kind, &[&[4, 15, 15], body.as_slice()].concat());
                }
            }
        }
    }
}
