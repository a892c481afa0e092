//! What is going to happen, in order of time; of two events at one time the one planned first comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::world::Event;
use crate::world::net::Micros;

/// See the module's text. Events are large, so the heap moves their places only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    count: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, time: Micros, event: Event) {
        self.count += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.heap.push(Reverse((time, self.count, place)));
    }

    /// Takes the next event that happens at or before a time.
    pub(crate) fn pop_until(&mut self, until: Micros) -> Option<(Micros, Event)> {
        let Reverse((at, _, place)) = *self.heap.peek().filter(|next| next.0.0 <= until)?;
        self.heap.pop();
        self.free.push(place);
        self.events[place].take().map(|event| (at, event))
    }
}
