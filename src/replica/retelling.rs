//! A new feed tells anew what this node accepted in any of its lives and has not forgotten.
//!
//! Readers of an earlier feed may have been told of it or not: a copy of the data directory may have run elsewhere since, or
//! the node may have gone down before they read on. They drop the events whose ids they know.
//!
//! All registrations are looked through in the order of their stamps, some in each step. What happens meanwhile to one that
//! has not been reached is told when it is.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rand_chacha::rand_core::Rng;
use uuid::Uuid;

use super::answer::Status;
use super::feed::{EventKind, Feed, LostTo, META_FEED};
use super::{Founding, Replica};
use crate::clock::Stamp;
use crate::codec;
use crate::crdt::{Registration, read_record};
use crate::store::{Direction, Store, Table};

/// The row of [`Table::Meta`] with the key of the first registration that was not looked at; none where all were.
pub(super) const META_RETELLING: &[u8] = b"retelling";

/// Registrations that one step looks at, so that a step stays short. A guess.
const AT_ONCE: usize = 512;

/// What is left to tell.
#[derive(Clone, Debug)]
pub(super) struct Retelling {
    /// The key of the first registration that was not looked at.
    next: Vec<u8>,
    /// Ids of registrations that an eviction has made void here: under each another node may have accepted one as well.
    void: BTreeSet<Uuid>,
}

impl<S: Store> Replica<S> {
    /// Takes up the feed, or begins one where the state is new.
    pub(super) fn load_feed(&mut self) {
        let (void, id) = (self.void_ids(), self.rng.next_u64());
        self.feed = match Feed::open(&mut self.registry.store, id) {
            Some(feed) => feed,
            None if !self.installed => Feed::default(),
            None => {
                if self.me.incarnation() > 0 || !void.is_empty() {
                    self.registry.store.put(Table::Meta, META_RETELLING.to_vec(), codec::encode(&Vec::<u8>::new()));
                }
                Feed::begin(&mut self.registry.store, id)
            }
        };
        let next = self.registry.store.get(Table::Meta, META_RETELLING);
        self.retelling = next.map(|bytes| Retelling { next: read_record(&bytes, "place in the registrations"), void });
    }

    /// Drops the feed. The state of the next incarnation has another.
    pub(super) fn end_feed(&mut self) {
        self.empty(Table::Events);
        self.empty(Table::Over);
        for row in [META_FEED, META_RETELLING] {
            if self.registry.store.get(Table::Meta, row).is_some() {
                self.registry.store.delete(Table::Meta, row.to_vec());
            }
        }
    }

    /// Adds an event to the feed, unless what became of its registration is told in its turn.
    pub(super) fn tell(&mut self, kind: EventKind, registration: Stamp) {
        if !self.is_told_later(registration) {
            self.feed.push(kind, registration, self.now.wall);
        }
    }

    fn is_told_later(&self, stamp: Stamp) -> bool {
        let Some(retelling) =
            self.retelling.as_ref().filter(|left| stamp.to_bytes().as_slice() >= left.next.as_slice())
        else {
            return false;
        };
        Registration::load(&self.registry.store, stamp).is_some_and(|known| self.was_accepted_here(&known, retelling))
    }

    /// Whether this node, in any of its lives, accepted a registration, or another one of its id. It stands for all nodes of a
    /// cluster that is lost but for what it has.
    fn was_accepted_here(&self, registration: &Registration, retelling: &Retelling) -> bool {
        let recovered = |founding: &Founding| !founding.former.is_empty() && founding.founders.contains(&self.me);
        if self.founding.as_ref().is_some_and(recovered) {
            return true;
        }
        let is_own = |stamp: &Stamp| stamp.node.key_part() == self.me.key_part();
        let twin = |id| retelling.void.contains(&id) || self.registry.run(id, registration.stamp).iter().any(is_own);
        is_own(&registration.stamp)
            || retelling.void.contains(&registration.id())
            || registration.chosen_id.is_some_and(twin)
    }

    /// Tells of some more of the registrations that are to be told of anew.
    pub(super) fn retell(&mut self) {
        let Some(retelling) = self.retelling.take() else { return };
        let mut looked: Vec<Registration> = Vec::new();
        self.registry.store.scan(Table::Registrations, &retelling.next, None, Direction::Up, &mut |_, bytes| {
            looked.push(Registration::read(bytes));
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
                let next = [last.stamp.to_bytes().as_slice(), &[0]].concat();
                self.registry.store.put(Table::Meta, META_RETELLING.to_vec(), codec::encode(&next));
                self.retelling = Some(Retelling { next, ..retelling });
            }
            None => self.registry.store.delete(Table::Meta, META_RETELLING.to_vec()),
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
        let activated = registration.activated.is_some_and(|by| self.finality.is_decided(by));
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
    pub(super) fn lost_to(&self, registration: &Registration) -> Option<LostTo> {
        let causes = self.registry.causes(registration);
        let (claim, winner) = causes.into_iter().find_map(|(claim, by)| Some((claim?, by)))?;
        let id = Registration::load(&self.registry.store, winner)?.id();
        Some(LostTo { claim: u8::try_from(claim).unwrap_or(u8::MAX), winner, id })
    }
}
