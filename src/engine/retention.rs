//! Whether the server still has what the stream starts from. In: the position and what the binlog holds;
//! out: nothing, or the refusal. Asked before the stream opens, where the cause can be told from others.

use super::error::Doing;
use super::reason::{Reason, Refusal};
use super::{Error, Result};
use crate::mysql::position::{Coordinates, Position};
use crate::mysql::server::{self, GtidSets};
use crate::mysql::session::Session;

/// Makes sure that the binlog holds everything behind the position.
///
/// # Errors
///
/// A refusal when it does not.
pub async fn expect_held(session: &mut Session, position: &Position) -> Result<()> {
    let sets = server::read_gtid_sets(session).await.doing("read the purged GTIDs")?;
    let lack = match sets {
        Some(sets) if position.gtids.is_some() => lacks_gtids(&sets, position),
        Some(_) | None => {
            let files = server::read_binlogs(session).await.doing("list the binlog files")?;
            lacks_place(&files, &position.coordinates)
        }
    };
    lack.map_or(Ok(()), |lack| Err(Error::Blocked { refusal: purged(lack) }))
}

fn lacks_gtids(sets: &GtidSets, position: &Position) -> Option<String> {
    let stored = position.gtids.as_ref()?;
    if !stored.is_superset_of(&sets.purged) {
        return Some("transactions behind the stored position were purged from the binlog".into());
    }
    let is_reset = !sets.executed.is_superset_of(stored);
    is_reset.then(|| {
        "the server does not have all transactions of the stored position: its binlog was reset"
            .into()
    })
}

fn lacks_place(files: &[Coordinates], at: &Coordinates) -> Option<String> {
    match files.iter().find(|end| end.file == at.file) {
        None => Some(format!("the binlog file {} was purged", at.file)),
        Some(end) if end.offset < at.offset => {
            Some(format!("the binlog file {} is not the one of the stored position", at.file))
        }
        Some(_) => None,
    }
}

fn purged(lack: String) -> Refusal {
    let remedy = "run the manifest with `abort: true`, raise the binlog retention and start again";
    Refusal::new(Reason::PositionPurged, format!("cannot continue: {lack}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn at(file: &str, offset: u64) -> Coordinates {
        Coordinates { file: file.to_owned(), offset }
    }

    #[test]
    fn purged_and_reset_gtids_are_told_apart() {
        let set = |numbers: &str| format!("{SERVER}:{numbers}").parse().expect("a set");
        let cases = [
            ("1-9", "1-5", "1-7", None),
            ("1-9", "1-7", "1-7", None),
            ("1-9", "1-8", "1-7", Some("purged")),
            ("1-6", "1-5", "1-7", Some("reset")),
        ];
        for (executed, purged, stored, expected) in cases {
            let sets = GtidSets { executed: set(executed), purged: set(purged) };
            let position = Position { coordinates: at("b.1", 4), gtids: Some(set(stored)) };
            let lack = lacks_gtids(&sets, &position);
            let fits = expected.is_some_and(|word| lack.as_ref().is_some_and(|l| l.contains(word)));
            assert!(fits || (lack.is_none() && expected.is_none()), "{executed} {lack:?}");
        }
    }

    #[test]
    fn place_must_lie_in_a_file_that_is_left() {
        let files = [at("b.000002", 900), at("b.000003", 200)];
        let cases = [
            (at("b.000002", 900), true),
            (at("b.000003", 4), true),
            (at("b.000001", 4), false),
            (at("b.000003", 201), false),
        ];
        for (place, expected) in cases {
            assert_eq!(lacks_place(&files, &place).is_none(), expected, "{place}");
        }
    }
}
