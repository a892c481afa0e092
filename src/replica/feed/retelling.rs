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

use super::super::Replica;
use super::super::answer::Status;
use super::{EventKind, Feed, LostTo};
use crate::clock::Stamp;
use crate::crdt::Registration;
use crate::log::Founding;
use crate::store::schema::{self, Cell, Rows, WalkedTo};
use crate::store::{Direction, Store};

/// Registrations that one step looks at, so that a step stays short. A guess.
const AT_ONCE: usize = 512;

/// What is left to tell.
#[derive(Clone, Debug)]
pub(in crate::replica) struct Retelling {
    /// The registrations up to there were looked at.
    done: WalkedTo,
    /// Ids of registrations that an eviction has made void here: under each another node may have accepted one as well.
    void: BTreeSet<Uuid>,
}

impl<S: Store> Replica<S> {
    /// Takes up the feed, or begins one where the state is new.
    pub(in crate::replica) fn load_feed(&mut self) {
        let (void, id) = (self.void_ids(), self.log.random());
        self.feed = match Feed::open(&mut self.store, id) {
            Some(feed) => feed,
            None if !self.log.phase().may_answer() => Feed::default(),
            None => {
                if self.me.incarnation() > 0 || !void.is_empty() {
                    schema::Retelling::save(&mut self.store, &WalkedTo::default());
                }
                Feed::begin(&mut self.store, id)
            }
        };
        self.retelling = schema::Retelling::load(&self.store).map(|done| Retelling { done, void });
    }

    /// Drops the feed. The state of the next incarnation has another.
    pub(in crate::replica) fn end_feed(&mut self) {
        let store = &mut self.store;
        schema::Events::empty(store);
        schema::Over::empty(store);
        schema::Feed::clear_if_set(store);
        schema::Retelling::clear_if_set(store);
    }

    /// Adds an event to the feed, unless what became of its registration is told in its turn.
    pub(in crate::replica) fn tell(&mut self, kind: EventKind, registration: Stamp) {
        if !self.is_told_later(registration) {
            self.feed.push(kind, registration, self.now.wall);
        }
    }

    fn is_told_later(&self, stamp: Stamp) -> bool {
        let Some(retelling) = self.retelling.as_ref().filter(|left| left.done.is_ahead(stamp)) else { return false };
        Registration::load(&self.store, stamp).is_some_and(|known| self.was_accepted_here(&known, retelling))
    }

    /// Whether this node, in any of its lives, accepted a registration, or another one of its id. It stands for all nodes of a
    /// cluster that is lost but for what it has.
    fn was_accepted_here(&self, registration: &Registration, retelling: &Retelling) -> bool {
        let recovered = |founding: &Founding| !founding.former.is_empty() && founding.founders.contains(&self.me);
        if self.log.cluster().founding().is_some_and(recovered) {
            return true;
        }
        let is_own = |stamp: &Stamp| stamp.node.key_part() == self.me.key_part();
        let twin = |id| {
            retelling.void.contains(&id) || self.registry.run(&self.store, id, registration.stamp).iter().any(is_own)
        };
        is_own(&registration.stamp)
            || retelling.void.contains(&registration.id())
            || registration.chosen_id.is_some_and(twin)
    }

    /// Tells of some more of the registrations that are to be told of anew.
    pub(in crate::replica) fn retell(&mut self) {
        let Some(retelling) = self.retelling.take() else { return };
        let mut looked: Vec<Registration> = Vec::new();
        schema::Registrations::scan(&self.store, &retelling.done.rest(), Direction::Up, &mut |found| {
            looked.push(found.row());
            if looked.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        for registration in &looked {
            let counts = !self.is_twin(registration) && self.was_accepted_here(registration, &retelling);
            for kind in self.became(registration).into_iter().filter(|_| counts && !planted!(NothingRetold)) {
                self.feed.push(kind, registration.stamp, self.now.wall);
            }
        }
        match looked.last().filter(|_| looked.len() == AT_ONCE) {
            Some(last) => {
                let done = WalkedTo(Some(last.stamp));
                schema::Retelling::save(&mut self.store, &done);
                self.retelling = Some(Retelling { done, ..retelling });
            }
            None => schema::Retelling::clear(&mut self.store),
        }
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
        let activated = registration.activated.is_some_and(|by| self.log.frontiers().is_decided(by));
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
    pub(in crate::replica) fn lost_to(&self, registration: &Registration) -> Option<LostTo> {
        let causes = self.registry.causes(&self.store, registration);
        let (claim, winner) = causes.into_iter().find_map(|(claim, by)| Some((claim?, by)))?;
        let id = Registration::load(&self.store, winner)?.id();
        Some(LostTo { claim: u8::try_from(claim).unwrap_or(u8::MAX), winner, id })
    }
}
