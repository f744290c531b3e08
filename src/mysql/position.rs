//! Places in the binlog: file coordinates and sets of GTIDs, parsed, printed, compared and joined.
//! Pure; it knows the server's text forms and nothing of connections.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The largest transaction number that the server gives (2^63 - 2).
const LAST_NUMBER: u64 = (1 << 63) - 2;
/// The longest tag, in characters.
const TAG_LENGTH: usize = 32;

/// One transaction's global identity (MySQL's form).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gtid {
    /// The server it comes from.
    pub uuid: [u8; 16],
    /// Its tag in lower case; empty when it has none.
    pub tag: String,
    /// Its number, from 1.
    pub number: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, &self.uuid)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        write!(f, ":{}", self.number)
    }
}

/// Why a text is not a set of GTIDs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseGtidError {
    /// The part before the first colon is not a UUID.
    #[error("a GTID set holds `{0}` where a UUID is expected")]
    ReadUuid(String),
    /// A part is neither a tag nor an interval.
    #[error("a GTID set holds `{0}` where a tag or an interval is expected")]
    ReadInterval(String),
    /// A UUID or a tag has no interval.
    #[error("a GTID set names `{0}` without an interval")]
    FindInterval(String),
}

/// A set of GTIDs. Its text is the server's canonical one, so equal sets print alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GtidSet {
    sources: BTreeMap<([u8; 16], String), Intervals>,
}

/// Inclusive intervals: sorted, apart from each other, never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Intervals(Vec<(u64, u64)>);

impl GtidSet {
    /// Whether it holds no GTID.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many GTIDs of this set `other` lacks.
    pub fn count_beyond(&self, other: &Self) -> u64 {
        let mut both = other.clone();
        both.union(self);
        both.count() - other.count()
    }

    fn count(&self) -> u64 {
        let intervals = self.sources.values().flat_map(|intervals| &intervals.0);
        intervals.map(|(first, last)| last - first + 1).sum()
    }

    /// Adds one GTID. The number 0 does not exist and is ignored.
    pub fn insert(&mut self, gtid: &Gtid) {
        self.add(gtid.uuid, &gtid.tag, gtid.number, gtid.number);
    }

    /// Whether the GTID is in the set.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.sources
            .get(&(gtid.uuid, gtid.tag.to_ascii_lowercase()))
            .is_some_and(|intervals| intervals.contains(gtid.number, gtid.number))
    }

    /// Whether every GTID of `other` is in this set.
    pub fn is_superset_of(&self, other: &Self) -> bool {
        other.sources.iter().all(|(key, wanted)| {
            let Some(held) = self.sources.get(key) else {
                return false;
            };
            wanted.0.iter().all(|&(first, last)| held.contains(first, last))
        })
    }

    /// Adds every GTID of `other`.
    pub fn union(&mut self, other: &Self) {
        for ((uuid, tag), intervals) in &other.sources {
            for &(first, last) in &intervals.0 {
                self.add(*uuid, tag, first, last);
            }
        }
    }

    fn add(&mut self, uuid: [u8; 16], tag: &str, first: u64, last: u64) {
        let first = first.max(1);
        if first <= last {
            let key = (uuid, tag.to_ascii_lowercase());
            self.sources.entry(key).or_default().add(first, last);
        }
    }

    fn add_source(&mut self, text: &str) -> Result<(), ParseGtidError> {
        let mut parts = text.split(':').map(str::trim);
        let head = parts.next().unwrap_or_default();
        let uuid = parse_uuid(head).ok_or_else(|| ParseGtidError::ReadUuid(head.to_owned()))?;
        let mut tag = String::new();
        let mut waiting = Some(head);
        for part in parts {
            if let Some((first, last)) = parse_interval(part) {
                self.add(uuid, &tag, first, last);
                waiting = None;
            } else if is_tag(part) && (waiting.is_none() || tag.is_empty()) {
                tag = part.to_ascii_lowercase();
                waiting = Some(part);
            } else {
                return Err(ParseGtidError::ReadInterval(part.to_owned()));
            }
        }
        waiting.map_or(Ok(()), |name| Err(ParseGtidError::FindInterval(name.to_owned())))
    }
}

impl Intervals {
    fn contains(&self, first: u64, last: u64) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= first);
        let before = after.checked_sub(1).and_then(|at| self.0.get(at));
        before.is_some_and(|&(_, end)| last <= end)
    }

    fn add(&mut self, first: u64, last: u64) {
        let from = self.0.partition_point(|&(_, end)| end.saturating_add(1) < first);
        let to = self.0.partition_point(|&(start, _)| start <= last.saturating_add(1));
        let touched = self.0.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(first, |&(start, _)| start.min(first));
        let end = touched.last().map_or(last, |&(_, end)| end.max(last));
        self.0.splice(from..to.max(from), [(start, end)]);
    }
}

impl FromStr for GtidSet {
    type Err = ParseGtidError;

    fn from_str(text: &str) -> Result<Self, ParseGtidError> {
        let mut set = Self::default();
        for source in text.split(',').map(str::trim).filter(|source| !source.is_empty()) {
            set.add_source(source)?;
        }
        Ok(set)
    }
}

impl TryFrom<String> for GtidSet {
    type Error = ParseGtidError;

    fn try_from(text: String) -> Result<Self, ParseGtidError> {
        text.parse()
    }
}

impl From<GtidSet> for String {
    fn from(set: GtidSet) -> Self {
        set.to_string()
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous: Option<&[u8; 16]> = None;
        for ((uuid, tag), intervals) in &self.sources {
            if previous != Some(uuid) {
                f.write_str(if previous.is_some() { ",\n" } else { "" })?;
                write_uuid(f, uuid)?;
            }
            previous = Some(uuid);
            if !tag.is_empty() {
                write!(f, ":{tag}")?;
            }
            write_intervals(f, intervals)?;
        }
        Ok(())
    }
}

/// A place in the binlog files of one server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Coordinates {
    /// The file's name without a directory.
    pub file: String,
    /// The offset in bytes.
    pub offset: u64,
}

impl Coordinates {
    /// The file's name without its number, and the number.
    fn base_and_number(&self) -> (&str, Option<u64>) {
        match self.file.rsplit_once('.') {
            Some((base, number)) => (base, number.parse().ok()),
            None => (&self.file, None),
        }
    }
}

impl Ord for Coordinates {
    /// By the number at the end of the file's name, then by offset: `.999999` is before `.1000000`.
    fn cmp(&self, other: &Self) -> Ordering {
        self.base_and_number()
            .cmp(&other.base_and_number())
            .then_with(|| self.file.cmp(&other.file))
            .then_with(|| self.offset.cmp(&other.offset))
    }
}

impl PartialOrd for Coordinates {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

/// Where a stream stands: coordinates always, the executed GTIDs when the server has them on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The place in the files.
    pub coordinates: Coordinates,
    /// All GTIDs up to there; `None` when the server works without GTIDs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtids: Option<GtidSet>,
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &[u8; 16]) -> fmt::Result {
    for (at, byte) in uuid.iter().enumerate() {
        f.write_str(if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" })?;
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn write_intervals(f: &mut fmt::Formatter<'_>, intervals: &Intervals) -> fmt::Result {
    for &(first, last) in &intervals.0 {
        write!(f, ":{first}")?;
        if last > first {
            write!(f, "-{last}")?;
        }
    }
    Ok(())
}

/// The bytes of a UUID in its usual form with four dashes, or without any.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    if !matches!(groups.as_slice(), [8, 4, 4, 4, 12] | [32]) {
        return None;
    }
    let mut uuid = [0; 16];
    hex::decode_to_slice(text.replace('-', ""), &mut uuid).ok()?;
    Some(uuid)
}

fn parse_interval(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_number(first)?, parse_number(last)?);
    (first <= last).then_some((first, last))
}

fn parse_number(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = text.parse().ok().filter(|number| (1..=LAST_NUMBER).contains(number));
    number.filter(|_| text.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_tag(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=TAG_LENGTH).contains(&text.len())
        && text.chars().all(letters)
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn prints_what_the_server_would() {
        let cases = [
            (String::new(), String::new()),
            (format!("{A}:1-5:6"), format!("{A}:1-6")),
            (format!("{A}:7:1-3,\n{A}:5"), format!("{A}:1-3:5:7")),
            (format!(" {B}:1 , {A}:2-3 "), format!("{A}:2-3,\n{B}:1")),
            (format!("{A}:tag:1-5:other:7"), format!("{A}:other:7:tag:1-5")),
            (format!("{A}:TAG:9,{A}:1,{A}:tag:8"), format!("{A}:1:tag:8-9")),
            (A.replace('-', "").to_uppercase() + ":1", format!("{A}:1")),
            (format!("{A}:1,,"), format!("{A}:1")),
        ];
        for (text, expected) in cases {
            let set: GtidSet = text.parse().expect(&text);
            assert_eq!(set.to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_set() {
        let texts = [
            A.to_owned(),
            format!("{A}:"),
            format!("{A}:tag"),
            format!("{A}:tag:other:1"),
            format!("{A}:0"),
            format!("{A}:5-3"),
            format!("{A}:+5"),
            format!("{A}:9223372036854775807"),
            format!("{A}:1-2-3"),
            "0-1-17".to_owned(),
            "x:1".to_owned(),
        ];
        for text in texts {
            assert!(text.parse::<GtidSet>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn orders_files_by_number() {
        let at = |file: &str, offset| Coordinates { file: file.to_owned(), offset };
        let ordered = [
            at("binlog.000001", 4),
            at("binlog.000001", 90),
            at("binlog.000002", 4),
            at("binlog.999999", 200),
            at("binlog.1000000", 4),
        ];
        assert!(ordered.is_sorted());
        assert!(at("binlog.1000000", 4) > at("binlog.999999", 9));
    }

    #[test]
    fn stores_a_position_as_text() {
        let gtids = Some(format!("{A}:1-5").parse().expect("a set"));
        let coordinates = Coordinates { file: "binlog.000003".to_owned(), offset: 1 << 40 };
        let position = Position { coordinates, gtids };
        let json = serde_json::to_string(&position).expect("json");
        assert!(json.contains(&format!("\"{A}:1-5\"")), "{json}");
        assert_eq!(serde_json::from_str::<Position>(&json).expect("position"), position);
    }

    fn gtids() -> impl Strategy<Value = BTreeSet<Gtid>> {
        let gtid = (0u8..3, prop_oneof!["", "tag", "other"], 1u64..40)
            .prop_map(|(uuid, tag, number)| Gtid { uuid: [uuid; 16], tag, number });
        proptest::collection::btree_set(gtid, 0..60)
    }

    fn set_of(gtids: &BTreeSet<Gtid>) -> GtidSet {
        let mut set = GtidSet::default();
        gtids.iter().rev().for_each(|gtid| set.insert(gtid));
        set
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(one in gtids(), other in gtids()) {
            let (left, right) = (set_of(&one), set_of(&other));
            prop_assert_eq!(left.is_superset_of(&right), one.is_superset(&other));
            prop_assert_eq!(left.is_empty(), one.is_empty());
            for gtid in &other {
                prop_assert_eq!(left.contains(gtid), one.contains(gtid));
            }
            let mut both = left;
            both.union(&right);
            prop_assert_eq!(both, set_of(&one.union(&other).cloned().collect()));
        }

        #[test]
        fn reads_its_own_text(gtids in gtids()) {
            let set = set_of(&gtids);
            prop_assert_eq!(set.to_string().parse::<GtidSet>(), Ok(set.clone()));
            let one_by_one: Vec<String> = gtids.iter().map(Gtid::to_string).collect();
            prop_assert_eq!(one_by_one.join(",").parse::<GtidSet>(), Ok(set));
        }
    }
}
