//! The events that readers of the nodes' feeds have received.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{NodeId, Stamp};
use forename::model::{Cursor, Event, EventType, Registration, Status};
use uuid::Uuid;

use crate::plan::Host;

/// Returns the cursor of an event, which the replica sets in each event.
pub(crate) fn cursor_of(event: &Event) -> Cursor {
    event.cursor.unwrap_or_default()
}

/// The events of one feed that its reader has received, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed {
    /// The node that the feed belongs to.
    node: NodeId,
    events: BTreeMap<u64, Event>,
    ids: BTreeSet<String>,
}

impl Feed {
    /// Drops the events after this one, for a disk that does not have them.
    fn upto(mut self, last: Cursor) -> Self {
        self.events.retain(|number, _| *number <= last.number);
        let ids = self.events.values().map(|event| event.id.clone()).collect();
        Self { ids, ..self }
    }
}

/// The knowledge of the reader of a host's feeds. The reader continues over restarts, copies and new feeds, and drops
/// events whose ids it knows.
#[derive(Clone, Debug, Default)]
struct Reader {
    /// True where some events had left a feed before they were read.
    missed: bool,
    told: BTreeSet<(EventType, Stamp)>,
    accepted: BTreeSet<Uuid>,
    decided: BTreeMap<Uuid, Status>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feeds {
    /// The present feed and its reader, by host.
    feeds: Vec<(Feed, Reader)>,
}

impl Feeds {
    pub(crate) fn new(hosts: usize) -> Self {
        Self { feeds: vec![Default::default(); hosts] }
    }

    /// Adds a machine.
    pub(crate) fn add(&mut self) {
        self.feeds.push(Default::default());
    }

    /// Notes that the reader of a host's feed receives a page that was read after `after`. Returns the number that the
    /// first event of the page must have.
    pub(crate) fn opens(&mut self, host: Host, node: NodeId, after: Option<Cursor>, events: &[Event]) -> u64 {
        let first = events.first().map_or(1, |event| cursor_of(event).number);
        let (feed, _) = &mut self.feeds[host];
        let other = |event: &Event| {
            feed.events
                .get(&cursor_of(event).number)
                .is_some_and(|before| cursor_of(before).feed != cursor_of(event).feed)
        };
        if feed.node != node || events.iter().any(other) {
            *feed = Feed { node, ..Feed::default() };
        }
        // A reader without a cursor receives all events that are kept.
        if after.is_none() {
            self.begins_after(host, first - 1);
        }
        after.map_or(first, |after| after.number + 1)
    }

    /// Records an event that was not read before.
    pub(crate) fn takes(&mut self, host: Host, event: &Event) {
        let Registration { id, stamp, status, .. } = event.data.registration;
        let (feed, reader) = &mut self.feeds[host];
        feed.ids.insert(event.id.clone());
        feed.events.insert(cursor_of(event).number, event.clone());
        reader.told.insert((event.event_type, stamp));
        match event.event_type {
            EventType::Accepted => drop(reader.accepted.insert(id)),
            EventType::Confirmed | EventType::Rejected => drop(reader.decided.insert(id, status)),
            _ => {}
        }
    }

    /// Notes that the events up to this number have left a host's feed, or belong to another feed.
    pub(crate) fn begins_after(&mut self, host: Host, start: u64) {
        let (feed, reader) = &mut self.feeds[host];
        reader.missed |= (1..=start).any(|number| !feed.events.contains_key(&number));
    }

    /// Returns the event with a number in a host's feed.
    pub(crate) fn event(&self, host: Host, number: u64) -> Option<&Event> {
        self.feeds[host].0.events.get(&number)
    }

    /// Returns true where a host's feed has had an event with this id.
    pub(crate) fn has_told(&self, host: Host, id: &str) -> bool {
        self.feeds[host].0.ids.contains(id)
    }

    /// Returns true where a host's reader has missed events.
    pub(crate) fn missed(&self, host: Host) -> bool {
        self.feeds[host].1.missed
    }

    /// Returns the outcomes that a host's reader knows.
    pub(crate) fn decided(&self, host: Host) -> &BTreeMap<Uuid, Status> {
        &self.feeds[host].1.decided
    }

    /// Returns the registrations of which a host's reader knows that they were accepted.
    pub(crate) fn accepted(&self, host: Host) -> &BTreeSet<Uuid> {
        &self.feeds[host].1.accepted
    }

    /// Returns the types of events that a host's reader has received, with their registrations.
    pub(crate) fn told(&self, host: Host) -> impl Iterator<Item = (EventType, Stamp)> {
        self.feeds[host].1.told.iter().copied()
    }

    /// Returns the cursor of the last event that was read from a host's feed.
    pub(crate) fn last_event(&self, host: Host) -> Cursor {
        self.feeds[host].0.events.last_key_value().map(|(_, event)| cursor_of(event)).unwrap_or_default()
    }

    /// Cuts a host's feed at the last event that its replaced disk has.
    pub(crate) fn put_back(&mut self, host: Host, last: Cursor) {
        let (feed, _) = &mut self.feeds[host];
        *feed = std::mem::take(feed).upto(last);
    }

    pub(crate) fn feed(&self, host: Host) -> Feed {
        self.feeds[host].0.clone()
    }

    pub(crate) fn set(&mut self, host: Host, feed: Feed) {
        self.feeds[host].0 = feed;
    }
}
