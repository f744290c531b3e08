//! Conversions of strings, labels and JSON.

use super::{Conversion, fits, silent};
use crate::schema::table::{ColumnType, TextKind};

/// Character sets whose conversions are exact or raise an error. Some East Asian ones have two codes
/// for one character, which the server makes one without a word.
const EXACT: [&str; 14] = [
    "ascii", "latin1", "latin2", "utf8", "utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32",
    "cp1251", "gbk", "gb2312", "euckr",
];
/// Those of them that store codes to which no character is assigned: an error in any other one.
const GAPS: [&str; 3] = ["gbk", "gb2312", "euckr"];
const BLANKS: &str = "trailing spaces are cut off";

/// CHAR to LONGTEXT and BINARY to LONGBLOB.
pub(super) fn from_string(from: &ColumnType, to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match (from, to) {
        (T::Text { .. }, T::Text { .. }) => text_to_text(from, to),
        (T::Text { .. }, T::Json) => Conversion::Checked,
        (_, T::Json | T::Vector) | (T::Text { .. }, T::Geometry) => Conversion::Impossible,
        (_, T::Geometry) => Conversion::Checked,
        (_, T::Text { .. }) => {
            silent("bytes are read as characters and trailing spaces may be cut off")
        }
        (T::Binary { length }, T::Binary { length: new }) => fits(new >= length),
        (_, T::Binary { .. }) => silent("values are padded with zero bytes"),
        (T::Text { .. }, T::VarBinary { .. } | T::Blob { .. }) => Conversion::Checked,
        (
            T::Binary { length } | T::VarBinary { length } | T::Blob { length },
            T::VarBinary { length: new } | T::Blob { length: new },
        ) => fits(new >= length),
        (_, T::Timestamp { .. }) => Conversion::NeedsTimeZone,
        (_, T::Enum { .. } | T::Set { .. }) => {
            silent("other spellings and numbers are read as labels")
        }
        (_, T::Date | T::Time { .. } | T::DateTime { .. } | T::Year) => {
            silent("text is read as a date or time and may be cut or rounded")
        }
        (_, T::Other(_)) => silent("this conversion is not known to be exact"),
        _ => silent("text is read as a number and may be rounded"),
    }
}

fn text_to_text(from: &ColumnType, to: &ColumnType) -> Conversion {
    let (
        ColumnType::Text { kind, length, charset, collation },
        ColumnType::Text {
            kind: new_kind,
            length: new_length,
            charset: new_charset,
            collation: new_collation,
        },
    ) = (from, to)
    else {
        return silent("this conversion is not known to be exact");
    };
    let exact = |name: &String| EXACT.contains(&name.as_str());
    if charset != new_charset && !(exact(charset) && exact(new_charset)) {
        return silent("some characters have no exact counterpart in the other character set");
    }
    if *kind != TextKind::Char && *new_kind == TextKind::Char {
        return silent(BLANKS);
    }
    let room = |kind: TextKind, charset: &str| match kind {
        TextKind::Text => 1,
        TextKind::Char | TextKind::VarChar => widest(charset),
    };
    let same_unit = (*kind == TextKind::Text) == (*new_kind == TextKind::Text);
    let holds_all = if same_unit && (*kind != TextKind::Text || charset == new_charset) {
        new_length >= length
    } else {
        *new_length >= length * room(*kind, charset) * widest(new_charset)
    };
    // The server raises an error for spaces beyond the length only if it need not convert: the same
    // collation, and either VARCHAR to VARCHAR or a TEXT type as the target.
    let trims = (charset, collation) != (new_charset, new_collation)
        || (*kind == TextKind::Text && *new_kind == TextKind::VarChar);
    match (holds_all, trims && *kind != TextKind::Char) {
        (false, true) => silent("trailing spaces beyond the new length are cut off"),
        (true, _) if charset == new_charset || superset(new_charset, charset) => {
            Conversion::Widening
        }
        _ => Conversion::Checked,
    }
}

/// Whether the first character set has every character of the second.
fn superset(wide: &str, narrow: &str) -> bool {
    if GAPS.contains(&narrow) {
        return false;
    }
    let all = matches!(wide, "utf8mb4" | "utf16" | "utf16le" | "utf32");
    all || (matches!(wide, "utf8" | "utf8mb3" | "ucs2") && widest(narrow) < 4)
}

/// Bytes of a character at most.
fn widest(charset: &str) -> u64 {
    match charset {
        "ascii" | "latin1" | "latin2" | "cp1251" | "binary" => 1,
        "gbk" | "gb2312" | "euckr" => 2,
        "utf8" | "utf8mb3" => 3,
        _ => 4,
    }
}

/// ENUM and SET: the server maps them by text, whatever their order.
pub(super) fn from_labels(from: &ColumnType, to: &ColumnType) -> Conversion {
    use ColumnType as T;
    let (T::Enum { labels, .. } | T::Set { labels, .. }) = from else {
        return silent("this conversion is not known to be exact");
    };
    match to {
        T::Enum { labels: new, collation, .. } | T::Set { labels: new, collation, .. } => {
            match (from, to) {
                (T::Set { .. }, T::Enum { .. }) => worse(labels_kept(labels, new, collation)),
                _ => labels_kept(labels, new, collation),
            }
        }
        T::Text { length, .. } if matches!(from, T::Enum { .. }) => {
            fits(labels.iter().all(|label| label.len() as u64 <= *length))
        }
        T::Text { .. } | T::VarBinary { .. } | T::Blob { .. } | T::Json => Conversion::Checked,
        T::Binary { .. } => silent("values are padded with zero bytes"),
        T::Geometry | T::Vector => Conversion::Impossible,
        _ => silent("the number of the label is stored, not its text"),
    }
}

fn worse(conversion: Conversion) -> Conversion {
    match conversion {
        Conversion::Unchanged | Conversion::Widening => Conversion::Checked,
        other => other,
    }
}

/// A label that is gone raises an error, unless the server finds another label for its text: one that
/// the collation takes for the same, or the one whose number it spells.
fn labels_kept(old: &[String], new: &[String], collation: &str) -> Conversion {
    let gone = || old.iter().filter(|label| !new.contains(label));
    let exact = collation.ends_with("_bin") || collation == "binary";
    let mistaken = |label: &String| {
        let number = label.trim().parse::<f64>().is_ok();
        let ascii = label.is_ascii() && new.iter().all(|other| other.is_ascii());
        let alike = |other: &String| other.trim_end().eq_ignore_ascii_case(label.trim_end());
        number || (!exact && (!ascii || new.iter().any(alike)))
    };
    if gone().next().is_none() {
        Conversion::Widening
    } else if gone().any(mistaken) {
        silent("a removed label is taken for another one")
    } else {
        Conversion::Checked
    }
}

/// JSON.
pub(super) fn from_json(to: &ColumnType) -> Conversion {
    use ColumnType as T;
    match to {
        T::Text { .. } | T::VarBinary { .. } | T::Blob { .. } => Conversion::Checked,
        T::Binary { .. } => silent("values are padded with zero bytes"),
        T::Geometry | T::Vector => Conversion::Impossible,
        T::Timestamp { .. } => Conversion::NeedsTimeZone,
        _ => silent("JSON values are rounded or read in another meaning"),
    }
}
