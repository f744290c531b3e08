//! One row into the shadow, with the row locks of InnoDB.

use super::Model;
use crate::engine::backlog::model::world::{Owner, World};

/// What an INSERT of one row met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    Done,
    Blocked,
    OwnKey,
    OtherUnique,
}

impl Model {
    pub(super) fn insert(
        &self,
        world: &mut World,
        owner: Owner,
        (key, value): (usize, u8),
    ) -> Inserted {
        if world.is_locked(key, owner) {
            return Inserted::Blocked;
        }
        if world.row(key, owner) != 0 {
            return Inserted::OwnKey;
        }
        if let Some(met) = self.meets_unique(world, owner, (key, value)) {
            return met;
        }
        world.write(key, owner, value);
        Inserted::Done
    }

    pub(super) fn meets_unique(
        &self,
        world: &World,
        owner: Owner,
        row: (usize, u8),
    ) -> Option<Inserted> {
        let (key, value) = row;
        let others = (0..self.config.keys).filter(|other| self.config.unique && *other != key);
        let mut met = None;
        for other in others {
            if world.is_locked(other, owner) {
                if world.shadow.at(other) == value || world.locked.at(other) == value {
                    return Some(Inserted::Blocked);
                }
            } else if world.row(other, owner) == value {
                met = Some(Inserted::OtherUnique);
            }
        }
        met
    }
}
