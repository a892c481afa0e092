//! The event feed: what became of registrations, in the order in which this node learnt it.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::request::{Cursor, EventType};
use crate::clock::{Millis, Stamp};
use crate::codec;
use crate::crdt::{EndReason, read_record};
use crate::store::{Direction, Store, Table};

/// Events in one chunk at most. A guess.
const CHUNK: usize = 256;

/// An event as it is stored: the rest is read from the registration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct EventRecord {
    pub(super) kind: EventKind,
    pub(super) registration: Stamp,
    pub(super) time: Millis,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum EventKind {
    Accepted,
    Contested,
    Confirmed,
    Rejected,
    Activated,
    /// The claim's index in its registration, and why it ended.
    NameEnded(u8, EndReason),
}

impl EventKind {
    pub(super) fn event_type(&self) -> EventType {
        match self {
            Self::Accepted => EventType::Accepted,
            Self::Contested => EventType::Contested,
            Self::Confirmed => EventType::Confirmed,
            Self::Rejected => EventType::Rejected,
            Self::Activated => EventType::Activated,
            Self::NameEnded(..) => EventType::NameEnded,
        }
    }
}

/// The end of the feed and the events of the current step.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    next: Cursor,
    fresh: Vec<EventRecord>,
}

impl Feed {
    pub(super) fn empty() -> Self {
        Self { next: 1, fresh: Vec::new() }
    }

    pub(super) fn open(store: &impl Store) -> Self {
        let mut next = 1;
        store.scan(Table::Events, &[], None, Direction::Down, &mut |key, chunk| {
            next = first_of(key) + read_record::<Vec<EventRecord>>(chunk, "chunk of events").len() as Cursor;
            ControlFlow::Break(())
        });
        Self { next, fresh: Vec::new() }
    }

    pub(super) fn push(&mut self, kind: EventKind, registration: Stamp, time: Millis) {
        self.fresh.push(EventRecord { kind, registration, time });
    }

    /// The cursor of the last event written.
    pub(super) fn last(&self) -> Cursor {
        self.next - 1
    }

    /// Writes the step's events; returns the last cursor where there were any.
    pub(super) fn write(&mut self, store: &mut impl Store) -> Option<Cursor> {
        for chunk in self.fresh.chunks(CHUNK) {
            store.put(Table::Events, self.next.to_be_bytes().to_vec(), codec::encode(chunk));
            self.next += chunk.len() as Cursor;
        }
        let any = !self.fresh.is_empty();
        self.fresh.clear();
        any.then_some(self.last())
    }
}

/// Visits the stored events after a cursor, until `visit` breaks.
pub(super) fn read(store: &impl Store, after: Cursor, visit: &mut dyn FnMut(Cursor, EventRecord) -> ControlFlow<()>) {
    let wanted = after.saturating_add(1);
    let mut from = wanted.to_be_bytes().to_vec();
    let to = wanted.saturating_add(1).to_be_bytes();
    store.scan(Table::Events, &[], Some(&to), Direction::Down, &mut |key, _| {
        from = key.to_vec();
        ControlFlow::Break(())
    });
    store.scan(Table::Events, &from, None, Direction::Up, &mut |key, chunk| {
        let events: Vec<EventRecord> = read_record(chunk, "chunk of events");
        let mut events = (first_of(key)..).zip(events).filter(|(cursor, _)| *cursor > after);
        events.try_for_each(|(cursor, event)| visit(cursor, event))
    });
}

fn first_of(key: &[u8]) -> Cursor {
    key.try_into().map(Cursor::from_be_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[test]
    fn the_feed_is_read_from_any_cursor_and_goes_on_after_a_restart() {
        let mut store = MemoryStore::new();
        let mut total = 0;
        for count in [0, 3, 1, 700] {
            let mut feed = Feed::open(&store);
            assert_eq!(feed.next, total + 1);
            for n in 0..count {
                feed.push(EventKind::Accepted, Stamp::default(), Millis(total + n + 1));
            }
            total += count;
            assert_eq!(feed.write(&mut store), (count > 0).then_some(total));
        }
        for after in [0, 1, 3, 4, 258, 259, 260, 703, 704, 900] {
            let mut cursors = Vec::new();
            read(&store, after, &mut |cursor, event| {
                assert_eq!(event.time, Millis(cursor));
                cursors.push(cursor);
                ControlFlow::Continue(())
            });
            assert_eq!(cursors, (after + 1..=total).collect::<Vec<_>>());
        }
    }
}
