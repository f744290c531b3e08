//! What a writer of the registers does: one operation on its own rows, as statements and as the effect
//! that it has when it happens.

use super::random::Random;
use super::registers::{Row, Rows, TABLE};

/// A key and its row afterwards; `None` is no row.
pub(crate) type Effect = (u64, Option<Row>);

/// Statements that happen together or not at all.
#[derive(Debug)]
pub(crate) struct Operation {
    writes: Vec<String>,
    /// What is different afterwards.
    pub(crate) effects: Vec<Effect>,
}

impl Operation {
    /// Chooses one for these rows; `new` is a key that was never used.
    pub(crate) fn choose(own: &Rows, new: u64, random: &mut Random) -> Self {
        let any = |random: &mut Random| {
            let index = random.below(own.len());
            own.iter().nth(index).map(|(id, row)| (*id, row.clone()))
        };
        let (Some(one), Some(other)) = (any(random), any(random)) else { return insert(new) };
        match random.below(10) {
            0 | 1 => insert(new),
            2 if own.len() > 20 => delete(one.0),
            3 => change_key(one, new),
            4 | 5 if one.0 != other.0 => swap(one, other),
            _ => update(one, random),
        }
    }

    /// The statements in order.
    pub(crate) fn statements(&self) -> Vec<String> {
        match self.writes.len() {
            1 => self.writes.clone(),
            _ => {
                let ends = ["BEGIN".to_owned(), "COMMIT".to_owned()];
                [&ends[..1], &self.writes[..], &ends[1..]].concat()
            }
        }
    }

    /// Whether this statement writes exactly one row.
    pub(crate) fn is_write(&self, statement: &str) -> bool {
        self.writes.iter().any(|write| write == statement)
    }
}

fn insert(id: u64) -> Operation {
    let row = (Some(id * 10), 0, "new".to_owned());
    let write = format!("INSERT INTO {TABLE} (id, u, version, tag) VALUES ({id}, {id}0, 0, 'new')");
    Operation { writes: vec![write], effects: vec![(id, Some(row))] }
}

fn delete(id: u64) -> Operation {
    let write = format!("DELETE FROM {TABLE} WHERE id = {id}");
    Operation { writes: vec![write], effects: vec![(id, None)] }
}

fn change_key((id, row): (u64, Row), new: u64) -> Operation {
    let write = format!("UPDATE {TABLE} SET id = {new} WHERE id = {id}");
    Operation { writes: vec![write], effects: vec![(id, None), (new, Some(row))] }
}

fn update((id, (unique, version, _)): (u64, Row), random: &mut Random) -> Operation {
    let (next, tag) = (version + 1, format!("{:016x}", random.bits()));
    let write = format!(
        "UPDATE {TABLE} SET version = {next}, tag = '{tag}' WHERE id = {id} AND version = {version}"
    );
    Operation { writes: vec![write], effects: vec![(id, Some((unique, next, tag)))] }
}

/// Two rows exchange their unique values.
fn swap(one: (u64, Row), other: (u64, Row)) -> Operation {
    let set = |id: u64, value: Option<u64>| {
        let value = value.map_or("NULL".to_owned(), |value| value.to_string());
        format!("UPDATE {TABLE} SET u = {value} WHERE id = {id}")
    };
    let ((id, row), (other_id, other_row)) = (one, other);
    Operation {
        writes: vec![set(id, None), set(other_id, row.0), set(id, other_row.0)],
        effects: vec![
            (id, Some((other_row.0, row.1, row.2))),
            (other_id, Some((row.0, other_row.1, other_row.2))),
        ],
    }
}
