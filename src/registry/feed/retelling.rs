//! A new feed tells anew what this node accepted in any of its lives and has not forgotten.
//!
//! Readers of an earlier feed may have been told of it or not: a copy of the data directory may have run elsewhere since, or
//! the node may have gone down before they read on. They drop the events whose ids they know.
//!
//! All registrations are looked through in the order of their stamps, some in each step. What happens meanwhile to one that
//! has not been reached is told when it is.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::{Reader, Writer};
use super::{EventKind, Feed, LostTo};
use crate::clock::Stamp;
use crate::crdt::Registration;
use crate::model::Status;
use crate::store::Direction;
use crate::store::schema::{self, Cell, Rows, WalkedTo};

/// Registrations that one step looks at, so that a step stays short. A guess.
const AT_ONCE: usize = 512;

/// What is left to tell.
#[derive(Clone, Debug)]
pub(crate) struct Retelling {
    /// The registrations up to there were looked at.
    done: WalkedTo,
    /// Ids of registrations that an eviction has made void here: under each another node may have accepted one as well.
    void: BTreeSet<Uuid>,
}

impl Reader<'_> {
    fn is_told_later(&self, stamp: Stamp) -> bool {
        let Some(retelling) = self.registry.retelling.as_ref().filter(|left| left.done.is_ahead(stamp)) else {
            return false;
        };
        Registration::load(self.store, stamp).is_some_and(|known| self.was_accepted_here(&known, retelling))
    }

    /// Whether this node, in any of its lives, accepted a registration, or another one of its id. It stands for all nodes of a
    /// cluster that is lost but for what it has.
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

    /// The events that tell what is known of a registration.
    fn became(&self, registration: &Registration) -> Vec<EventKind> {
        let status = self.status(registration);
        let mut kinds = vec![EventKind::Accepted];
        match status {
            Status::Pending => {}
            Status::Contested => kinds.push(EventKind::Contested(self.lost_to(registration))),
            Status::Rejected => kinds.push(EventKind::Rejected(self.lost_to(registration))),
            Status::Confirmed => kinds.push(EventKind::Confirmed),
        }
        let activated = registration.activated.is_some_and(|by| self.log.is_decided(by));
        if status == Status::Confirmed && activated && registration.activated_in_time() {
            kinds.push(EventKind::Activated);
        }
        // What an erased one was called is not known any more, nor what the events about its names were called.
        if !registration.lost && !registration.erased {
            let ended = registration.claims.iter().enumerate().filter_map(|(index, record)| {
                Some(EventKind::NameEnded(u8::try_from(index).unwrap_or(u8::MAX), record.ended?))
            });
            kinds.extend(ended);
        }
        kinds
    }

    /// The claim that a registration has lost to, where it has.
    pub(crate) fn lost_to(&self, registration: &Registration) -> Option<LostTo> {
        let causes = self.registry.lattice.causes(self.store, registration);
        let (claim, winner) = causes.into_iter().find_map(|(claim, by)| Some((claim?, by)))?;
        let id = Registration::load(self.store, winner)?.id();
        Some(LostTo { claim: u8::try_from(claim).unwrap_or(u8::MAX), winner, id })
    }
}

impl Writer<'_> {
    /// Takes up the feed, or begins one where the state is new.
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

    /// Drops the feed. The state of the next incarnation has another.
    pub(crate) fn end_feed(&mut self) {
        let store = &mut *self.store;
        schema::Events::empty(store);
        schema::Over::empty(store);
        schema::Feed::clear_if_set(store);
        schema::Retelling::clear_if_set(store);
    }

    /// Adds an event to the feed, unless what became of its registration is told in its turn.
    pub(crate) fn tell(&mut self, kind: EventKind, registration: Stamp) {
        if !self.reader().is_told_later(registration) {
            self.registry.feed.push(kind, registration, self.registry.now.wall);
        }
    }

    /// Tells of some more of the registrations that are to be told of anew.
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
