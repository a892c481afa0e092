//! The event feed: what became of registrations, in the order in which this node learnt it.
//!
//! Its oldest events are dropped once they are older than the node is told to keep them, a whole chunk at a time. Three
//! things stay whatever their age: the newest chunk, so that the cursor goes on; the events of a registration that is
//! undecided, whose outcome is to be told to whoever was told of it; and everything while this node comes back from an
//! eviction, when the feed is compared with the state.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::answer::EventType;
use super::request::Cursor;
use crate::clock::{Millis, Stamp};
use crate::codec;
use crate::crdt::{EndReason, read_record};
use crate::store::{Direction, Store, Table};

/// Cursors that a feed passes over at least where it may have gone on elsewhere: more events than any feed has.
pub(super) const GAP: Cursor = 1 << 32;

/// Cursors for each millisecond of the wall clock: more events than a node tells in one, and few enough that cursors stay
/// below 2^53, which is all that a number in JSON is sure to hold, until the year 2109.
const A_MILLISECOND: Cursor = 1 << 11;

/// Events in one chunk at most. A guess.
const CHUNK: usize = 256;

/// Chunks that are dropped in one step at most, so that a step stays short, and more than a step writes. A guess.
pub(super) const DROPPED_AT_ONCE: usize = 64;

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

/// Both ends of the feed and the events of the current step.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// The cursor of the earliest event kept; that of the next one where there is none.
    first: Cursor,
    next: Cursor,
    fresh: Vec<EventRecord>,
}

impl Feed {
    pub(super) fn empty() -> Self {
        Self { first: 1, next: 1, fresh: Vec::new() }
    }

    pub(super) fn open(store: &impl Store) -> Self {
        let mut next = 1;
        store.scan(Table::Events, &[], None, Direction::Down, &mut |key, chunk| {
            next = first_of(key) + read_record::<Vec<EventRecord>>(chunk, "chunk of events").len() as Cursor;
            ControlFlow::Break(())
        });
        let mut first = next;
        store.scan(Table::Events, &[], None, Direction::Up, &mut |key, _| {
            first = first_of(key);
            ControlFlow::Break(())
        });
        Self { first, next, ..Self::empty() }
    }

    pub(super) fn push(&mut self, kind: EventKind, registration: Stamp, time: Millis) {
        self.fresh.push(EventRecord { kind, registration, time });
    }

    /// The cursor of the last event written.
    pub(super) fn last(&self) -> Cursor {
        self.next - 1
    }

    /// The cursor of the event that would come next.
    pub(super) fn upcoming(&self) -> Cursor {
        self.next + self.fresh.len() as Cursor
    }

    /// The cursor of the earliest event kept; that of the next one where there is none.
    pub(super) fn earliest(&self) -> Cursor {
        self.first
    }

    /// How many chunks at the beginning of the feed have only events before a time, none of which is needed; at most so
    /// many as are dropped at once, and never the last one.
    pub(super) fn old_chunks(&self, store: &impl Store, before: Millis, needed: &dyn Fn(Stamp) -> bool) -> usize {
        let mut old = 0;
        store.scan(Table::Events, &self.first.to_be_bytes(), None, Direction::Up, &mut |key, chunk| {
            let events: Vec<EventRecord> = read_record(chunk, "chunk of events");
            let is_last = first_of(key) + events.len() as Cursor >= self.next;
            let stays = |event: &EventRecord| event.time >= before || needed(event.registration);
            if is_last || old == DROPPED_AT_ONCE || events.iter().any(stays) {
                return ControlFlow::Break(());
            }
            old += 1;
            ControlFlow::Continue(())
        });
        old
    }

    /// Drops so many chunks at the beginning of the feed.
    pub(super) fn drop_chunks(&mut self, store: &mut impl Store, count: usize) {
        let mut keys = Vec::new();
        store.scan(Table::Events, &self.first.to_be_bytes(), None, Direction::Up, &mut |key, _| {
            if keys.len() == count {
                self.first = first_of(key);
                return ControlFlow::Break(());
            }
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        });
        keys.into_iter().for_each(|key| store.delete(Table::Events, key));
    }

    /// Passes over the cursors of events that readers may have been given elsewhere, after the directory that holds the feed
    /// was copied: a reader that has such a one goes on with what comes now, and misses none of it.
    /// That may have happened before, to another copy of the same: so it goes on where the time is by now.
    pub(super) fn pass_over(&mut self, store: &mut impl Store, now: Millis) {
        self.next = (self.next + GAP).max(now.0.saturating_mul(A_MILLISECOND));
        store.put(Table::Events, self.next.to_be_bytes().to_vec(), codec::encode::<[EventRecord]>(&[]));
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
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Hlc, NodeId};
    use crate::store::memory::MemoryStore;

    /// A registration's stamp for each event, so that they can be told apart.
    fn stamp(cursor: Cursor) -> Stamp {
        Stamp { hlc: Hlc(cursor), node: NodeId(1) }
    }

    /// The feed's cursors as a reader from the beginning sees them.
    fn cursors(store: &MemoryStore) -> Vec<Cursor> {
        let mut cursors = Vec::new();
        read(store, 0, &mut |cursor, event| {
            assert_eq!(event.registration, stamp(cursor));
            cursors.push(cursor);
            ControlFlow::Continue(())
        });
        cursors
    }

    proptest! {
        /// Whatever the sizes of the steps, the times and what is needed: what is left is the end of the feed from the
        /// earliest cursor on, nothing needed or young is gone, nothing old is left where nothing stands in the way, and
        /// the cursor goes on, also after a restart.
        #[test]
        fn whole_chunks_go_from_the_beginning_and_the_newest_stays(
            steps in prop::collection::vec((1..400_u64, 0..100_u64), 1..8),
            before in 0..120_u64,
            needed in prop::collection::btree_set(1..3000_u64, 0..4),
        ) {
            let mut store = MemoryStore::new();
            let mut feed = Feed::open(&store);
            let (mut chunks, mut total) = (Vec::new(), 0);
            for (count, time) in steps {
                for cursor in total + 1..=total + count {
                    feed.push(EventKind::Accepted, stamp(cursor), Millis(time));
                }
                for first in (total + 1..=total + count).step_by(CHUNK) {
                    chunks.push((first..(first + CHUNK as u64).min(total + count + 1), time));
                }
                total += count;
                feed.write(&mut store);
            }
            let needed: BTreeSet<_> = needed.into_iter().map(stamp).collect();
            let old = feed.old_chunks(&store, Millis(before), &|registration| needed.contains(&registration));
            feed.drop_chunks(&mut store, old);

            let last = chunks.len() - 1;
            let may_go = |(index, (range, time)): (usize, &(std::ops::Range<u64>, u64))| {
                index < last && *time < before && !range.clone().any(|cursor| needed.contains(&stamp(cursor)))
            };
            let gone = chunks.iter().enumerate().take_while(|chunk| may_go(*chunk)).count();
            prop_assert_eq!(old, gone);
            prop_assert_eq!(feed.earliest(), chunks[gone].0.start);
            prop_assert_eq!(cursors(&store), (feed.earliest()..=total).collect::<Vec<_>>());
            let reopened = Feed::open(&store);
            prop_assert_eq!((reopened.earliest(), reopened.last()), (feed.earliest(), total));
        }
    }

    #[test]
    fn a_feed_that_went_on_elsewhere_passes_over_what_was_told_there() {
        let mut store = MemoryStore::new();
        for told in [3, 0] {
            let mut feed = Feed::open(&store);
            (0..told).for_each(|_| feed.push(EventKind::Accepted, Stamp::default(), Millis(0)));
            feed.write(&mut store);
            feed.pass_over(&mut store, Millis(0));
        }
        let mut feed = Feed::open(&store);
        assert_eq!((feed.earliest(), feed.last()), (1, 2 * GAP + 3));
        feed.push(EventKind::Confirmed, Stamp::default(), Millis(9));
        assert_eq!(feed.write(&mut store), Some(2 * GAP + 4));
        for (after, wanted) in [(0, 4), (3, 1), (4, 1), (GAP + 3, 1), (2 * GAP + 3, 1), (2 * GAP + 4, 0)] {
            let mut count = 0;
            read(&store, after, &mut |_, _| {
                count += 1;
                ControlFlow::Continue(())
            });
            assert_eq!(count, wanted, "after {after}");
        }
        // What is before the gap goes as any chunk does.
        let old = feed.old_chunks(&store, Millis(5), &|_| false);
        feed.drop_chunks(&mut store, old);
        assert_eq!((old, feed.earliest(), feed.last()), (2, 2 * GAP + 4, 2 * GAP + 4));
    }

    #[test]
    fn a_step_drops_no_more_than_its_share() {
        let mut store = MemoryStore::new();
        let mut feed = Feed::open(&store);
        for cursor in 1..=150 {
            feed.push(EventKind::Accepted, stamp(cursor), Millis(0));
            feed.write(&mut store);
        }
        for earliest in [65, 129, 150, 150] {
            let old = feed.old_chunks(&store, Millis(1), &|_| false);
            feed.drop_chunks(&mut store, old);
            assert_eq!(feed.earliest(), earliest);
        }
        assert_eq!(cursors(&store), [150]);
    }

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
