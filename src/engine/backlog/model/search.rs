//! Breadth-first search over all states of a configuration: the shortest way to a violation, or that
//! there is none and that an end can be reached from everywhere.

use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use super::steps::{Model, Step};
use super::world::{Config, World};

/// No state.
const NONE: u32 = u32::MAX;

/// What a search found.
pub struct Report {
    pub states: usize,
    pub backlogs: usize,
    pub steps: usize,
    pub ends: usize,
    pub time: Duration,
    pub violation: Option<Violation>,
}

/// A wrong state and the shortest way to it.
pub struct Violation {
    pub what: &'static str,
    /// Steps from the start.
    pub length: usize,
    pub trace: String,
}

struct Search {
    model: Model,
    worlds: Vec<World>,
    /// How each state was first reached.
    origins: Vec<(u32, Step)>,
    /// Open addressing over `worlds`.
    table: Vec<u32>,
    /// From, to.
    edges: Vec<(u32, u32)>,
}

/// Explores everything, up to the first violation.
pub fn explore(config: Config) -> Report {
    let began = Instant::now();
    let mut search = Search::new(Model::new(config));
    let wrong = search.run();
    let ends: Vec<u32> = search.ends();
    let wrong = wrong.or_else(|| {
        let stuck = search.stuck(&ends)?;
        Some((stuck, "no end can be reached from here"))
    });
    Report {
        states: search.worlds.len(),
        backlogs: search.model.backlogs.count(),
        steps: search.edges.len(),
        ends: ends.len(),
        time: began.elapsed(),
        violation: wrong.map(|(state, what)| search.tell(state, what)),
    }
}

impl Search {
    fn new(model: Model) -> Self {
        let table = vec![NONE; 1 << 16];
        Self { model, worlds: Vec::new(), origins: Vec::new(), table, edges: Vec::new() }
    }

    fn run(&mut self) -> Option<(u32, &'static str)> {
        for world in self.model.initial() {
            self.add(world, (NONE, Step::Start));
        }
        let mut next = 0;
        while let Some(world) = self.worlds.get(next).copied() {
            let state = number(next);
            if let Some(what) = self.model.violation(&world) {
                return Some((state, what));
            }
            for (after, step) in self.model.successors(&world) {
                let to = self.add(after, (state, step));
                self.edges.push((state, to));
            }
            next += 1;
        }
        None
    }

    fn add(&mut self, world: World, origin: (u32, Step)) -> u32 {
        if self.worlds.len() * 4 > self.table.len() * 3 {
            self.grow();
        }
        let slot = self.slot(&world);
        if self.table[slot] == NONE {
            self.table[slot] = number(self.worlds.len());
            self.worlds.push(world);
            self.origins.push(origin);
        }
        self.table[slot]
    }

    fn grow(&mut self) {
        self.table = vec![NONE; self.table.len() * 2];
        for index in 0..self.worlds.len() {
            let slot = self.slot(&self.worlds[index]);
            self.table[slot] = number(index);
        }
    }

    /// Where the world is, or the free place where it belongs.
    fn slot(&self, world: &World) -> usize {
        let mut hasher = Fold(0);
        world.hash(&mut hasher);
        let last = self.table.len() - 1;
        let mut slot = hasher.finish() as usize & last;
        while self.table[slot] != NONE && self.worlds[self.table[slot] as usize] != *world {
            slot = (slot + 1) & last;
        }
        slot
    }

    fn ends(&self) -> Vec<u32> {
        let all = self.worlds.iter().enumerate();
        all.filter(|(_, world)| self.model.is_final(world))
            .map(|(index, _)| number(index))
            .collect()
    }

    /// The first state from which no end can be reached.
    fn stuck(&self, ends: &[u32]) -> Option<u32> {
        let mut starts = vec![0u32; self.worlds.len() + 1];
        for (_, to) in &self.edges {
            starts[*to as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut before = vec![NONE; self.edges.len()];
        let mut filled = starts.clone();
        for (from, to) in &self.edges {
            before[filled[*to as usize] as usize] = *from;
            filled[*to as usize] += 1;
        }
        let mut good = vec![false; self.worlds.len()];
        let mut open = ends.to_vec();
        while let Some(state) = open.pop() {
            let state = state as usize;
            if !std::mem::replace(&mut good[state], true) {
                open.extend(&before[starts[state] as usize..starts[state + 1] as usize]);
            }
        }
        good.iter().position(|good| !good).map(number)
    }

    fn tell(&self, state: u32, what: &'static str) -> Violation {
        let mut path = Vec::new();
        let mut at = state;
        while at != NONE {
            path.push(at);
            at = self.origins[at as usize].0;
        }
        let mut trace = format!("{what}\n");
        for state in path.iter().rev() {
            let (world, keys) = (&self.worlds[*state as usize], self.model.config.keys);
            let last = usize::from(world.logged);
            writeln!(
                trace,
                "  source {} readable {} shadow {}  {:?}",
                world.source[last].show(keys),
                world.readable().show(keys),
                world.shadow.show(keys),
                self.origins[*state as usize].1
            )
            .unwrap();
        }
        Violation { what, length: path.len() - 1, trace }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap()
}

/// A quick hash over small fields.
struct Fold(u64);

impl Fold {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.add(u64::from(value));
    }

    fn write_isize(&mut self, value: isize) {
        self.add(value as u64);
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}
