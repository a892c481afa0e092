//! How large runs are, and what a seed switches on.

use crate::dice::Dice;

/// How large the runs are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Machines at most.
    pub hosts: usize,
    /// Operations of clients at most.
    pub actions: u64,
    /// Virtual milliseconds until everything is healed, at most.
    pub lasts: u64,
}

impl Default for Size {
    /// Five nodes and some two hundred operations: enough for every rule, small enough for a hundred runs a second.
    fn default() -> Self {
        Self { hosts: 5, actions: 240, lasts: 20_000 }
    }
}

/// What a seed switches on.
pub(super) struct Swarm {
    dice: Dice,
}

impl Swarm {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed, "swarm", 0) }
    }

    /// Whether something is on that is in so many of a hundred seeds.
    pub(super) fn on(&mut self, percent: u64) -> bool {
        self.dice.percent(percent)
    }
}
