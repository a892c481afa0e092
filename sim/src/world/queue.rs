//! What is going to happen, in order of time; of two events at one time the one planned first comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use forename::store::Batch;

use crate::plan::{Host, Slot};
use crate::world::net::{Epoch, Micros};
use crate::world::packet::Packet;

/// Something that is going to happen.
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
    /// A liar says something.
    Lie(usize),
    /// A flapping link goes down, until some time.
    Flap(usize, Micros),
    /// The disk that a fault will put back is copied.
    CopyDisk(usize),
    /// The copy of a directory runs in place of the directory, or the other way round.
    Swap(usize),
    /// A clock that stays wrong is off by so many milliseconds from now on.
    ClockTurns(Host, i64),
    /// The reader of a feed takes what is new.
    ReadFeed(Host, u32),
    /// A client whose node died asks again, there or at the next.
    Again(Slot, Host),
}

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
