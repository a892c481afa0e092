//! The event feed: events about registrations, in the order in which this node learned of them.
//!
//! A feed belongs to one incarnation; the next one begins a new feed (see [`retelling`]). Within it each process of the
//! node begins a part of its own, under an id that is drawn at random, and cursors carry the id of their part. So the
//! feed recognizes a cursor that this directory did not give, whether it is from another node, of an earlier
//! incarnation, or from another copy of this directory.
//!
//! The oldest events are dropped once they are older than the cluster keeps events, a whole chunk at a time. Two kinds
//! of events stay whatever their age: the newest chunk, so that cursors go on; and the events of undecided
//! registrations, whose readers still wait for the outcome.
//!
//! The content of an event is fixed when the event is written. It follows from the event's record and from the
//! unchanging part of the registration's row, which is kept as long as an event refers to it.

pub(super) mod retelling;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Millis, Stamp};
use crate::crdt::EndReason;
use crate::model::{Cursor, EventType, Status};
use crate::store::schema::{self, Cell, Rows, Span};
use crate::store::{Direction, Store};

/// Greatest number of events in one chunk. A guess.
const CHUNK: usize = 256;

/// Greatest number of chunks that one step drops, so that a step stays short. It must be more than a step writes. A
/// guess.
pub(super) const DROPPED_AT_ONCE: usize = 64;

/// An event as it is stored. All else is read from the registration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// The kind of event.
    pub kind: EventKind,
    /// The registration that the event is about.
    pub registration: Stamp,
    /// The wall clock of this node when the event was written.
    pub time: Millis,
}

/// The kind of an event, with the details that are fixed when it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventKind {
    /// The registration was accepted.
    Accepted,
    /// The registration lost, but not finally. Has the claim that it lost to, where that is known.
    Contested(Option<LostTo>),
    /// The registration has its names for good.
    Confirmed,
    /// The registration finally lost. Has the claim that it lost to, where that is known.
    Rejected(Option<LostTo>),
    /// The registration was a reservation and is now permanent.
    Activated,
    /// A claim of the registration ended: its index, and the reason.
    NameEnded(u8, EndReason),
}

/// The claim that a registration lost to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LostTo {
    /// The index of the losing claim in its registration.
    pub claim: u8,
    /// The stamp of the winning registration.
    pub winner: Stamp,
    /// The id of the winning registration.
    pub id: Uuid,
}

impl EventKind {
    pub(super) fn event_type(&self) -> EventType {
        match self {
            Self::Accepted => EventType::Accepted,
            Self::Contested(_) => EventType::Contested,
            Self::Confirmed => EventType::Confirmed,
            Self::Rejected(_) => EventType::Rejected,
            Self::Activated => EventType::Activated,
            Self::NameEnded(..) => EventType::NameEnded,
        }
    }

    /// Returns the status of the registration when the event was written.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Accepted => Status::Pending,
            Self::Contested(_) => Status::Contested,
            Self::Rejected(_) => Status::Rejected,
            Self::Confirmed | Self::Activated | Self::NameEnded(..) => Status::Confirmed,
        }
    }

    /// Returns the claim that the registration had lost to when the event was written.
    pub(super) fn lost_to(&self) -> Option<LostTo> {
        match self {
            Self::Contested(lost_to) | Self::Rejected(lost_to) => *lost_to,
            _ => None,
        }
    }
}

/// A part of a feed, which one process of the node wrote. It ends where the next part begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Drawn at random when the part begins.
    id: u64,
    /// The number of the part's first event.
    first: u64,
}

/// The parts of the feed, its range of numbers, and the events of the current step.
#[derive(Clone, Debug, Default)]
pub(super) struct Feed {
    parts: Vec<Part>,
    /// The number of the earliest event kept, or of the next event where none is kept.
    first: u64,
    next: u64,
    fresh: Vec<EventRecord>,
}

impl Feed {
    /// Continues the feed in a store with a new part of this id. Returns none where the store has no feed.
    pub(super) fn open(store: &mut dyn Store, id: u64) -> Option<Self> {
        let mut parts = schema::Feed::load(store)?;
        let last = schema::Events::first(store, &Span::all(), Direction::Down, |chunk| {
            chunk.key().map(|first| first + chunk.row().len() as u64)
        });
        let next = last.or_else(|| parts.last().map(|part| part.first)).unwrap_or(1);
        let first = schema::Events::first(store, &Span::all(), Direction::Up, |chunk| chunk.key()).unwrap_or(next);
        // The part of the last dropped event stays, because a reader may still have the cursor of that event.
        let gone = parts.partition_point(|part| part.first < first).saturating_sub(1);
        parts.drain(..gone);
        // The new part replaces a last part without events.
        parts.pop_if(|last| last.first == next);
        parts.push(Part { id, first: next });
        schema::Feed::save(store, &parts);
        Some(Self { parts, first, next, fresh: Vec::new() })
    }

    /// Begins a feed in a store that has none.
    pub(super) fn begin(store: &mut dyn Store, id: u64) -> Self {
        let parts = vec![Part { id, first: 1 }];
        schema::Feed::save(store, &parts);
        Self { parts, first: 1, next: 1, fresh: Vec::new() }
    }

    pub(super) fn push(&mut self, kind: EventKind, registration: Stamp, time: Millis) {
        self.fresh.push(EventRecord { kind, registration, time });
    }

    /// Returns the cursor of an event of this feed, or of the place before the first event.
    pub(super) fn at(&self, number: u64) -> Cursor {
        let place = self.parts.partition_point(|part| part.first <= number.max(1)).saturating_sub(1);
        Cursor { feed: self.parts.get(place).map_or(0, |part| part.id), number }
    }

    /// Returns true where this feed gave a cursor, as far as it can tell.
    pub(super) fn gave(&self, cursor: Cursor) -> bool {
        cursor.number < self.next && self.at(cursor.number) == cursor
    }

    /// The cursor of the last written event.
    pub(super) fn last(&self) -> Cursor {
        self.at(self.next.saturating_sub(1))
    }

    /// The place before the earliest event kept.
    pub(super) fn start(&self) -> Cursor {
        self.at(self.first.saturating_sub(1))
    }

    /// The number that the next event will get.
    pub(super) fn upcoming(&self) -> u64 {
        self.next + self.fresh.len() as u64
    }

    /// The events of the current step.
    pub(super) fn fresh(&self) -> &[EventRecord] {
        &self.fresh
    }

    /// The number of the earliest event kept, or of the next event where none is kept.
    pub(super) fn earliest(&self) -> u64 {
        self.first
    }

    /// Returns how many chunks at the beginning of the feed can be dropped: all their events are older than `before`,
    /// and `needed` is false for all of them. At most [`DROPPED_AT_ONCE`], and never the last chunk.
    pub(super) fn old_chunks(&self, store: &dyn Store, before: Millis, needed: &dyn Fn(Stamp) -> bool) -> usize {
        let mut old = 0;
        schema::Events::scan(store, &Span::from(self.first), Direction::Up, &mut |chunk| {
            let events = chunk.row();
            let is_last = chunk.key().is_some_and(|first| first + events.len() as u64 >= self.next);
            let stays = |event: &EventRecord| event.time >= before || needed(event.registration);
            if is_last || old == DROPPED_AT_ONCE || events.iter().any(stays) {
                return ControlFlow::Break(());
            }
            old += 1;
            ControlFlow::Continue(())
        });
        old
    }

    /// Drops this many chunks at the beginning of the feed.
    pub(super) fn drop_chunks(&mut self, store: &mut dyn Store, count: usize) {
        let mut gone = Vec::new();
        schema::Events::scan(store, &Span::from(self.first), Direction::Up, &mut |chunk| {
            if gone.len() == count {
                self.first = chunk.key().unwrap_or(self.first);
                return ControlFlow::Break(());
            }
            gone.push(chunk.address());
            ControlFlow::Continue(())
        });
        gone.iter().for_each(|chunk| schema::Events::delete_at(store, chunk));
    }

    /// Writes the step's events. Returns the last cursor where there were any.
    pub(super) fn write(&mut self, store: &mut dyn Store) -> Option<Cursor> {
        for chunk in self.fresh.chunks(CHUNK) {
            schema::Events::put(store, self.next, chunk);
            self.next += chunk.len() as u64;
        }
        let any = !self.fresh.is_empty();
        self.fresh.clear();
        any.then_some(self.last())
    }
}

/// Visits the stored events after event number `after`, until `visit` breaks.
pub(super) fn read(store: &dyn Store, after: u64, visit: &mut dyn FnMut(u64, EventRecord) -> ControlFlow<()>) {
    let wanted = after.saturating_add(1);
    // The chunk with the wanted event may begin before it.
    let begins = schema::Events::first(store, &Span::all().up_to(wanted), Direction::Down, |chunk| chunk.key());
    schema::Events::scan(store, &Span::from(begins.unwrap_or(wanted)), Direction::Up, &mut |chunk| {
        let first = chunk.key().unwrap_or_default();
        let mut events = (first..).zip(chunk.row()).filter(|(number, _)| *number > after);
        events.try_for_each(|(number, event)| visit(number, event))
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Hlc, NodeId};
    use crate::store::memory::MemoryStore;

    const FEED: u64 = 0xfeed;

    fn begun(store: &mut MemoryStore) -> Feed {
        Feed::begin(store, FEED)
    }

    /// A stamp that differs for each event, so that the events can be told apart.
    fn stamp(number: u64) -> Stamp {
        Stamp { hlc: Hlc(number), node: NodeId(1) }
    }

    /// The numbers of all events, as a reader from the beginning sees them.
    fn cursors(store: &MemoryStore) -> Vec<u64> {
        let mut cursors = Vec::new();
        read(store, 0, &mut |cursor, event| {
            assert_eq!(event.registration, stamp(cursor));
            cursors.push(cursor);
            ControlFlow::Continue(())
        });
        cursors
    }

    proptest! {
        /// For any sizes of steps, times and needed events: the kept events are the end of the feed from the earliest
        /// cursor on, no needed or young event is dropped, no old event is kept without a reason, and the cursor goes
        /// on, also after a restart.
        #[test]
        fn whole_chunks_go_from_the_beginning_and_the_newest_stays(
            steps in prop::collection::vec((1..400_u64, 0..100_u64), 1..8),
            before in 0..120_u64,
            needed in prop::collection::btree_set(1..3000_u64, 0..4),
        ) {
            let mut store = MemoryStore::new();
            let mut feed = begun(&mut store);
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
            let reopened = Feed::open(&mut store, 7).unwrap();
            prop_assert_eq!((reopened.earliest(), reopened.last()), (feed.earliest(), feed.at(total)));
        }
    }

    /// A reader has read seven events of a directory. Another copy of the directory has other events from the sixth on,
    /// and refuses the reader's cursor however many events it has.
    #[test]
    fn a_cursor_of_another_copy_of_the_directory_is_known_for_one() {
        let mut store = MemoryStore::new();
        let mut feed = begun(&mut store);
        let tell = |feed: &mut Feed, store: &mut MemoryStore, count: u64| {
            (0..count).for_each(|_| feed.push(EventKind::Accepted, stamp(1), Millis(0)));
            feed.write(store);
        };
        tell(&mut feed, &mut store, 3);
        let mut feed = Feed::open(&mut store, 1).unwrap();
        tell(&mut feed, &mut store, 2);
        let mut copy = store.clone();
        tell(&mut feed, &mut store, 2);
        let reader = feed.last();
        assert!(feed.gave(reader));
        let mut other = Feed::open(&mut copy, 2).unwrap();
        for _ in 0..3 {
            assert!(!other.gave(reader));
            tell(&mut other, &mut copy, 1);
        }
        let earlier = (0..=5).map(|number| feed.at(number));
        assert!(earlier.clone().all(|cursor| other.gave(cursor)), "what both have told");
        assert_eq!(earlier.map(|cursor| cursor.feed).collect::<Vec<_>>(), [FEED, FEED, FEED, FEED, 1, 1]);
        assert_eq!(other.at(6).feed, 2);
        let reopened = Feed::open(&mut copy, 3).unwrap();
        assert!(reopened.gave(other.last()) && reopened.gave(feed.at(4)) && !reopened.gave(reader));
    }

    #[test]
    fn parts_go_with_their_events_and_those_that_told_nothing_at_once() {
        let mut store = MemoryStore::new();
        begun(&mut store);
        for id in 1..=70 {
            let mut feed = Feed::open(&mut store, id).unwrap();
            if id % 2 == 0 {
                feed.push(EventKind::Accepted, stamp(id), Millis(0));
                feed.write(&mut store);
            }
        }
        let mut feed = Feed::open(&mut store, 99).unwrap();
        assert_eq!(feed.parts.len(), 36);
        let old = feed.old_chunks(&store, Millis(1), &|_| false);
        feed.drop_chunks(&mut store, old);
        let last_gone = feed.start();
        let feed = Feed::open(&mut store, 100).unwrap();
        assert_eq!((feed.parts.len(), feed.start(), feed.gave(last_gone)), (3, last_gone, true));
    }

    #[test]
    fn a_step_drops_no_more_than_its_share() {
        let mut store = MemoryStore::new();
        let mut feed = begun(&mut store);
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
        begun(&mut store);
        for count in [0, 3, 1, 700] {
            let mut feed = Feed::open(&mut store, count).unwrap();
            assert_eq!(feed.next, total + 1);
            for n in 0..count {
                feed.push(EventKind::Accepted, Stamp::default(), Millis(total + n + 1));
            }
            total += count;
            assert_eq!(feed.write(&mut store), (count > 0).then_some(Cursor { feed: count, number: total }));
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
