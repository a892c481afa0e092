//! A new feed repeats the events of registrations that this node accepted in any incarnation and has not forgotten.
//!
//! Readers of an earlier feed may or may not have seen these events: a copy of the data directory may have run
//! elsewhere since, or the node may have stopped before they read on. They drop the events whose ids they know.
//!
//! All registrations are visited in the order of their stamps, some in each step. An event about a registration that
//! has not been visited yet is not written at once, but when the registration is visited.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::{Reader, Writer};
use super::{EventKind, Feed};
use crate::clock::Stamp;
use crate::crdt::Registration;
use crate::model::Status;
use crate::store::Direction;
use crate::store::schema::{self, Cell, Rows, WalkedTo};

/// Registrations that one step visits at most, so that a step stays short. A guess.
const AT_ONCE: usize = 512;

/// The part of the repetition that is still to be done.
#[derive(Clone, Debug)]
pub(crate) struct Retelling {
    /// Registrations up to this place were visited.
    done: WalkedTo,
    /// Ids of registrations that an eviction made void on this node. Another node may have accepted a registration with
    /// the same id.
    void: BTreeSet<Uuid>,
}

impl Reader<'_> {
    fn is_told_later(&self, stamp: Stamp) -> bool {
        let Some(retelling) = self.registry.retelling.as_ref().filter(|left| left.done.is_ahead(stamp)) else {
            return false;
        };
        Registration::load(self.store, stamp).is_some_and(|known| self.was_accepted_here(&known, retelling))
    }

    /// Returns true where this node, in any incarnation, accepted a registration, or another one with its id. After a
    /// recovery, this node counts as every node of the lost cluster.
    fn was_accepted_here(&self, registration: &Registration, retelling: &Retelling) -> bool {
        if self.log.stands_for_all() {
            return true;
        }
        let is_own = |stamp: &Stamp| stamp.node.key_part() == self.registry.me.key_part();
        let twin = |id| {
            retelling.void.contains(&id)
                || self.registry.lattice.run(self.store, id, registration.stamp).iter().any(is_own)
        };
        is_own(&registration.stamp)
            || retelling.void.contains(&registration.id())
            || registration.chosen_id.is_some_and(twin)
    }

    /// Returns the events that lead to the present state of a registration.
    fn became(&self, registration: &Registration) -> Vec<EventKind> {
        let status = self.status(registration);
        let mut kinds = vec![EventKind::Accepted];
        match status {
            Status::Pending => {}
            Status::Contested => kinds.push(EventKind::Contested(self.causes(registration).lost_to())),
            Status::Rejected => kinds.push(EventKind::Rejected(self.causes(registration).lost_to())),
            Status::Confirmed => kinds.push(EventKind::Confirmed),
        }
        let activated = registration.activated.is_some_and(|by| self.log.is_decided(by));
        if status == Status::Confirmed && activated && registration.activated_in_time() {
            kinds.push(EventKind::Activated);
        }
        // The keys of an erased registration are gone, and with them the ids of the events about the ends of its names.
        if !registration.lost && !registration.erased {
            let ended = registration.claims.iter().enumerate().filter_map(|(index, record)| {
                Some(EventKind::NameEnded(u8::try_from(index).unwrap_or(u8::MAX), record.ended?))
            });
            kinds.extend(ended);
        }
        kinds
    }
}

impl Writer<'_> {
    /// Opens the feed, or begins one where the state is new.
    pub(crate) fn load_feed(&mut self, id: u64) {
        let void = self.reader().void_ids();
        self.registry.feed = match Feed::open(self.store, id) {
            Some(feed) => feed,
            None if !self.log.may_answer() => Feed::default(),
            None => {
                if self.registry.me.incarnation() > 0 || !void.is_empty() {
                    schema::Retelling::save(self.store, &WalkedTo::default());
                }
                Feed::begin(self.store, id)
            }
        };
        self.registry.retelling = schema::Retelling::load(self.store).map(|done| Retelling { done, void });
    }

    /// Deletes the feed; the next incarnation begins another one.
    pub(crate) fn end_feed(&mut self) {
        let store = &mut *self.store;
        schema::Events::empty(store);
        schema::Over::empty(store);
        schema::Feed::clear_if_set(store);
        schema::Retelling::clear_if_set(store);
    }

    /// Adds an event to the feed, unless the registration is still to be visited by the repetition.
    pub(crate) fn tell(&mut self, kind: EventKind, registration: Stamp) {
        if !self.reader().is_told_later(registration) {
            self.registry.feed.push(kind, registration, self.registry.now.wall);
        }
    }

    /// Repeats the events of some more registrations.
    pub(crate) fn retell(&mut self) {
        let Some(retelling) = self.registry.retelling.take() else { return };
        let mut looked: Vec<Registration> = Vec::new();
        schema::Registrations::scan(self.store, &retelling.done.rest(), Direction::Up, &mut |found| {
            looked.push(found.row());
            if looked.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        for registration in &looked {
            let counts =
                !self.reader().is_twin(registration) && self.reader().was_accepted_here(registration, &retelling);
            for kind in self.reader().became(registration).into_iter().filter(|_| planted!(registry::retells(counts))) {
                self.registry.feed.push(kind, registration.stamp, self.registry.now.wall);
            }
        }
        match looked.last().filter(|_| looked.len() == AT_ONCE) {
            Some(last) => {
                let done = WalkedTo(Some(last.stamp));
                schema::Retelling::save(self.store, &done);
                self.registry.retelling = Some(Retelling { done, ..retelling });
            }
            None => schema::Retelling::clear(self.store),
        }
    }
}
