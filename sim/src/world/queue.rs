//! Planned events in order of time. Of two events at one time, the one that was planned first happens first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use forename::store::Batch;

use crate::plan::{Host, Slot};
use crate::world::net::{Epoch, Micros};
use crate::world::packet::Packet;

/// A planned event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Start(Host),
    Turn(Host, u32),
    Wake(Host, u32),
    Synced(Host, u32, Batch),
    Arrive {
        epoch: Epoch,
        from: Host,
        to: Host,
        packet: Packet,
    },
    Dial(Host, Host),
    HangUp(Epoch, Host, Host),
    IdleCheck(Epoch, Host, Host),
    Action(usize),
    Fault(usize),
    FaultEnds(usize),
    /// A liar sends a message.
    Lie(usize),
    /// A flapping link goes down again, unless this time has come.
    Flap(usize, Micros),
    /// The disk that a fault will restore is copied.
    CopyDisk(usize),
    /// A copy replaces a directory and runs in its place, or the directory replaces the copy.
    Swap(usize),
    /// A clock that stays wrong is off by this many milliseconds from now on.
    ClockTurns(Host, i64),
    /// The reader of a feed reads new events.
    ReadFeed(Host, u32),
    /// A client whose node died repeats its request, at this host or the next one that is up.
    Again(Slot, Host),
}

/// See the module's text. Events are large, so the heap holds only their indexes.
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

    /// Takes the next event at or before a time.
    pub(crate) fn pop_until(&mut self, until: Micros) -> Option<(Micros, Event)> {
        let Reverse((at, _, place)) = *self.heap.peek().filter(|next| next.0.0 <= until)?;
        self.heap.pop();
        self.free.push(place);
        self.events[place].take().map(|event| (at, event))
    }
}
