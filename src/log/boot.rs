//! How a log begins: with nothing, with what it left in its store, or with a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster_time::ClusterTime;
use super::frontiers::Frontiers;
use super::gossip::Peers;
use super::membership::Membership;
use super::message::Secrets;
use super::ops::LogBuffer;
use super::{Config, Contact, Founding, Log, Now, Phase, StoredPhase};
use crate::clock::{Clock, Hlc};
use crate::crdt::{Op, Settings};
use crate::store::schema::{self, Cell, Rows, Span};
use crate::store::{Store, Table, empty};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

impl Log {
    /// A log that has read nothing yet. `ceiling` is what this node had stored that it might promise.
    pub(crate) fn new(config: Config, ceiling: Option<Hlc>, now: Now) -> Self {
        Self {
            me: config.contact.node,
            now,
            clock: Clock::starting_above(ceiling.filter(|_| !planted!(CeilingForgotten)).unwrap_or_default()),
            time: ClusterTime::default(),
            ceiling: ceiling.unwrap_or_default(),
            opened_at: ceiling.unwrap_or_default(),
            has_promised: false,
            founding: None,
            settings: Settings::default(),
            secret: None,
            phase: Phase::Joining,
            notice: None,
            buffer: LogBuffer::default(),
            frontiers: Frontiers::default(),
            membership: Membership::default(),
            contacts: BTreeMap::new(),
            contacts_changed: true,
            fresh_contacts: BTreeSet::new(),
            unsaved_contacts: BTreeSet::new(),
            peers: Peers::new(config.seed, now),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            leavers: BTreeSet::new(),
            events: Vec::new(),
            config,
        }
    }

    /// The store holds a whole state that this node left in it.
    pub(crate) fn resume(&mut self) {
        self.start();
    }

    fn start(&mut self) {
        self.phase.start(self.now);
        if planted!(NothingCompared) {
            self.phase.settle();
        }
    }

    /// A founder's first state. Its first timestamps, too, wait for what a majority's clocks say.
    pub(crate) fn found(&mut self, store: &mut impl Store, founding: &Founding, secrets: &Secrets) {
        self.start();
        write_founding(store, founding);
        write_secrets(store, secrets);
        self.keep_state(store);
        schema::Swept::save(store, &());
    }

    /// What only members know; none where this node was not let in.
    pub(crate) fn secrets(&self, store: &impl Store) -> Option<Secrets> {
        let pepper = schema::Pepper::load(store)?;
        Some(Secrets { cluster: self.secret?, pepper })
    }

    /// Stores that the tables hold a whole state of this node. Whether what came with it is over is yet to be looked at.
    pub(super) fn keep_state(&mut self, store: &mut impl Store) {
        schema::Node::save(store, &self.me);
        schema::Phase::save(store, &StoredPhase::Whole { leaving: false });
        schema::Swept::clear(store);
    }

    /// Forgets a snapshot that did not come to its end.
    pub(crate) fn wipe(&mut self, store: &mut impl Store) {
        let tables = Table::ALL.into_iter().filter(|table| table.in_snapshot());
        tables.for_each(|table| empty(store, table));
        // Whoever is let in is told the secrets of the cluster that it is let into.
        schema::Secret::clear_if_set(store);
        schema::Pepper::clear_if_set(store);
        if let Some(StoredPhase::Joining { back, set_aside: true }) = schema::Phase::load(store) {
            schema::Phase::save(store, &StoredPhase::Joining { back, set_aside: false });
        }
        self.events.push(super::Event::Wiped);
    }

    /// Takes up what the store holds, and this node's own contact.
    pub(crate) fn load(&mut self, store: &mut impl Store) {
        self.founding = if self.phase.may_answer() { schema::Founding::load(store) } else { None };
        self.secret = schema::Secret::load(store);
        if self.secret.is_some() {
            self.phase.learn_secrets();
        }
        let Founding { founders, former, .. } = self.founding.clone().unwrap_or_default();
        let mut ops: Vec<Op> = Vec::new();
        let mut contacts: Vec<Contact> = Vec::new();
        schema::Membership::each(store, &Span::all(), |found| ops.push(found.row()));
        schema::Contacts::each(store, &Span::all(), |found| contacts.push(found.row()));
        self.contacts = contacts.into_iter().map(|contact| (contact.node, contact)).collect();
        self.unsaved_contacts.clear();
        self.frontiers = Frontiers::load(store);
        let frontiers = &self.frontiers;
        self.membership = Membership::new(self.me, founders, former, ops, &|node| frontiers.here(node));
        let (membership, watermark) = (&self.membership, self.frontiers.watermark());
        // One that was let in at the watermark need not have promised anything.
        let promised =
            membership.members().filter(|member| *member != self.me && membership.floor(*member) < watermark);
        self.frontiers.recall(promised);
        self.membership_changed();
        // Whatever it issues follows all that it knows of, also where that came by a snapshot.
        self.clock.observe(self.frontiers.latest());
        let mut own = self.config.contact.clone();
        // A clock set back must not make this node's new address look old.
        own.as_of = self.contacts.get(&self.me).map_or(own.as_of, |known| own.as_of.max(known.as_of.plus(1)));
        self.learn_contacts(vec![own]);
        // A leave that was asked for before a restart goes on.
        if schema::Phase::load(store) == Some(StoredPhase::Whole { leaving: true }) {
            self.begin_to_leave();
        }
    }
}

/// What a cluster has in common from its first day.
pub(crate) fn write_founding(store: &mut impl Store, founding: &Founding) {
    schema::Founding::save(store, founding);
}

/// What only members know.
pub(crate) fn write_secrets(store: &mut impl Store, secrets: &Secrets) {
    schema::Secret::save(store, &secrets.cluster);
    schema::Pepper::save(store, &secrets.pepper);
}
