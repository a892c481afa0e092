//! What is going to happen, in order of time; of two events at one time the one planned first comes first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::net::Micros;
use crate::world::Event;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Planned>,
    count: u64,
}

#[derive(Clone, Debug)]
struct Planned {
    at: (Micros, u64),
    event: Event,
}

impl Queue {
    pub(crate) fn push(&mut self, time: Micros, event: Event) {
        self.count += 1;
        self.heap.push(Planned { at: (time, self.count), event });
    }

    /// Takes the next event that happens at or before a time.
    pub(crate) fn pop_until(&mut self, until: Micros) -> Option<(Micros, Event)> {
        if self.heap.peek().is_none_or(|next| next.at.0 > until) {
            return None;
        }
        self.heap.pop().map(|planned| (planned.at.0, planned.event))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    /// The other way round: the greatest comes off a heap first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}
