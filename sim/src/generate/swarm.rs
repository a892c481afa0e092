//! The size of runs, and what a seed switches on.

use crate::dice::Dice;

/// The size of runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// The greatest number of machines.
    pub hosts: usize,
    /// The greatest number of operations of clients.
    pub actions: u64,
    /// The greatest virtual time until everything is healed, in milliseconds.
    pub lasts: u64,
}

impl Default for Size {
    /// Five nodes and some two hundred operations are enough for every rule, and small enough for a hundred runs a
    /// second.
    fn default() -> Self {
        Self { hosts: 5, actions: 240, lasts: 20_000 }
    }
}

/// Switches kinds of operation and fault on or off for a seed.
pub(super) struct Swarm {
    dice: Dice,
}

impl Swarm {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed, "swarm", 0) }
    }

    /// Returns true where something is on that is on in `percent` of the seeds.
    pub(super) fn on(&mut self, percent: u64) -> bool {
        self.dice.percent(percent)
    }
}
