//! Chunks: claimed, through the gate, one snapshot, row by row, commit or not.

use super::insert::Inserted;
use super::{Model, Out, Step};
use crate::engine::backlog::KeyOrder;
use crate::engine::backlog::model::backlogs::Call;
use crate::engine::backlog::model::world::{
    ChunkPhase, Fault, Mutation, RANGES, Rows, World, bit, chunk_owner, first,
};

impl Model {
    pub(super) fn chunks(&mut self, world: &World, out: &mut Out) {
        let busy = world.chunks.iter().filter(|chunk| chunk.phase != ChunkPhase::None).count();
        let next = self.backlogs.facts(world.backlog).next_range;
        for range in 0..RANGES {
            match world.chunks[range].phase {
                ChunkPhase::None if next == Some(range) && busy < self.config.in_flight => {
                    self.claim(world, range, out);
                }
                ChunkPhase::None => {}
                ChunkPhase::Targeted => {
                    let mut world = *world;
                    self.call(&mut world, Call::Claim { range });
                    world.chunks[range].phase = ChunkPhase::Claimed;
                    out.push((world, Step::ChunkClaims(range)));
                }
                ChunkPhase::Claimed => self.chunk_begins(world, range, out),
                ChunkPhase::Cleared => self.chunk_reads(*world, range, out),
                ChunkPhase::Open => self.chunk_goes_on(world, range, out),
                ChunkPhase::Committed => {
                    self.note_chunk(*world, range, Step::ChunkIsNoted(range), out);
                }
            }
        }
    }

    fn claim(&mut self, world: &World, range: usize, out: &mut Out) {
        let mut world = *world;
        world.chunks[range].target = self.chunk_target(&world);
        if self.config.has(Mutation::EarlyTarget) {
            world.chunks[range].phase = ChunkPhase::Targeted;
            out.push((world, Step::ChunkTargets(range)));
        } else {
            self.call(&mut world, Call::Claim { range });
            world.chunks[range].phase = ChunkPhase::Claimed;
            out.push((world, Step::ChunkClaims(range)));
        }
    }

    fn chunk_begins(&self, world: &World, range: usize, out: &mut Out) {
        let owner = chunk_owner(range);
        if world.visible < world.chunks[range].target {
            return;
        }
        if !world.chunks[range].clear {
            self.chunk_reads(*world, range, out);
        } else if !self.config.keys_of_range(range).any(|key| world.is_locked(key, owner)) {
            let mut next = *world;
            for key in self.config.keys_of_range(range).filter(|key| world.shadow.at(*key) != 0) {
                next.write(key, owner, 0);
            }
            next.chunks[range].phase = ChunkPhase::Cleared;
            out.push((next, Step::ChunkClears(range)));
        }
    }

    fn chunk_reads(&self, mut world: World, range: usize, out: &mut Out) {
        let mask = self.config.keys_of_range(range).fold(0, |mask, key| mask | bit(key));
        world.chunks[range].rows = world.readable().only(mask);
        world.chunks[range].phase = ChunkPhase::Open;
        out.push((world, Step::ChunkReads(range)));
    }

    fn chunk_goes_on(&mut self, world: &World, range: usize, out: &mut Out) {
        let rows = world.chunks[range].rows;
        let mut next = *world;
        let Some(key) = first(rows.keys()) else {
            next.commit(chunk_owner(range));
            next.finished |= 1 << range;
            if self.config.late {
                next.chunks[range].phase = ChunkPhase::Committed;
                out.push((next, Step::ChunkCommits(range)));
            } else {
                self.note_chunk(next, range, Step::ChunkCommits(range), out);
            }
            return;
        };
        match self.insert(&mut next, chunk_owner(range), (key, rows.at(key))) {
            Inserted::Done => {}
            failed => return self.chunk_fails(world, range, failed, out),
        }
        next.chunks[range].rows = rows.with(key, 0);
        out.push((next, Step::ChunkInserts { range, key }));
    }

    fn note_chunk(&mut self, mut world: World, range: usize, step: Step, out: &mut Out) {
        self.call(&mut world, Call::Finish { range });
        world.chunks[range] = Default::default();
        out.push((world, step));
    }

    fn chunk_fails(&mut self, world: &World, range: usize, failed: Inserted, out: &mut Out) {
        let mut world = *world;
        world.roll_back(chunk_owner(range));
        if failed == Inserted::OtherUnique {
            self.call(&mut world, Call::GiveUp { range });
            world.chunks[range] = Default::default();
            return out.push((world, Step::ChunkGivesUp(range)));
        }
        let ordered = self.config.order == KeyOrder::Ours;
        let target = self.chunk_target(&world);
        let chunk = &mut world.chunks[range];
        chunk.phase = ChunkPhase::Claimed;
        chunk.rows = Rows(0);
        chunk.target = target;
        if failed == Inserted::OwnKey {
            chunk.clear = true;
            if ordered && self.config.asserts {
                world.fault = Fault::ChunkMetRow;
            }
        }
        out.push((world, Step::ChunkRollsBack(range)));
    }
}
