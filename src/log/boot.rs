//! The start of a log: with an empty store, with the state in its store, or with a snapshot.

use super::cluster::{Cluster, write_founding, write_secrets};
use super::cluster_time::ClusterTime;
use super::contacts::Contacts;
use super::event::Events;
use super::frontiers::Frontiers;
use super::gossip::Peers;
use super::membership::Membership;
use super::message::Secrets;
use super::ops::LogBuffer;
use super::own_clock::OwnClock;
use super::{Config, Founding, Log, Now, Phase, StoredPhase};
use crate::clock::Hlc;
use crate::log::op::Op;
use crate::store::schema::{self, Cell, Rows, Span};
use crate::store::{Store, Table, empty};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

impl Log {
    /// Makes a log that has read nothing yet. `ceiling` is the promise ceiling that was stored.
    pub(crate) fn new(config: Config, ceiling: Option<Hlc>, now: Now) -> Self {
        Self {
            me: config.contact.node,
            now,
            own: OwnClock::above(ceiling),
            time: ClusterTime::default(),
            cluster: Cluster::default(),
            phase: Phase::Joining,
            notice: None,
            buffer: LogBuffer::default(),
            frontiers: Frontiers::default(),
            membership: Membership::default(),
            contacts: Contacts::default(),
            peers: Peers::new(config.seed, now),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            events: Events::default(),
            config,
        }
    }

    /// Starts with a whole state of this node that is in the store.
    pub(crate) fn resume(&mut self) {
        self.phase.start(self.config.reads);
    }

    /// Writes the first state of a founder. It starts by comparing like any other process, so that its first
    /// timestamps, too, wait for the clocks of a majority.
    pub(crate) fn found(&mut self, store: &mut impl Store, founding: &Founding, secrets: &Secrets) {
        self.phase.start(false);
        write_founding(store, founding);
        write_secrets(store, secrets);
        self.keep_state(store);
        schema::Swept::save(store, &());
    }

    /// Stores that the tables hold a whole state of this node. Which of the registrations that came with the state are
    /// over is found out later.
    pub(super) fn keep_state(&mut self, store: &mut impl Store) {
        schema::Node::save(store, &self.me);
        schema::Phase::save(store, &StoredPhase::Whole { leaving: false });
        schema::Swept::clear(store);
    }

    /// Deletes the state in the store: a snapshot that broke off, or what an earlier incarnation has left.
    pub(crate) fn wipe(&mut self, store: &mut impl Store) {
        // From the first batch on there is no whole state any more that somebody could go back to.
        if let Some(StoredPhase::Joining { back, set_aside: true }) = schema::Phase::load(store) {
            schema::Phase::save(store, &StoredPhase::Joining { back, set_aside: false });
        }
        let tables = Table::ALL.into_iter().filter(|table| table.in_snapshot());
        tables.for_each(|table| empty(store, table, self.config.wipes_in_batches));
        self.peers.truncated.clear();
        // A newcomer that is admitted gets the secrets of its cluster anew.
        schema::Secret::clear_if_set(store);
        schema::SecretAge::clear_if_set(store);
        schema::Pepper::clear_if_set(store);
        self.events.push(super::Event::Wiped);
    }

    /// Loads the state from the store, and adds this node's own contact.
    pub(crate) fn load(&mut self, store: &mut impl Store) {
        self.cluster = Cluster::load(store, self.phase.may_answer());
        if self.cluster.secret().is_some() {
            self.phase.learn_secrets();
        } else if schema::Pepper::load(store).is_some() {
            self.phase.learn_key();
        }
        let Founding { founders, former, .. } = self.cluster.founding().cloned().unwrap_or_default();
        let mut ops: Vec<Op> = Vec::new();
        schema::Membership::each(store, &Span::all(), |found| ops.push(found.row()));
        self.contacts.load(store);
        self.frontiers = Frontiers::load(store);
        let frontiers = &self.frontiers;
        self.membership = Membership::new(self.me, founders, former, ops, &|node| frontiers.here(node));
        let (membership, watermark) = (&self.membership, self.frontiers.watermark());
        // A member whose admission is at the watermark need not have promised anything.
        let promised =
            membership.members().filter(|member| *member != self.me && membership.floor(*member) < watermark);
        self.frontiers.recall(promised);
        self.membership_changed();
        // The timestamps of this node follow all that it knows of, also where it came with a snapshot.
        self.own.observe(self.frontiers.latest());
        let mut own = self.config.contact.clone();
        // A clock that was set back must not make this node's new address look old.
        own.as_of = self.contacts.get(self.me).map_or(own.as_of, |known| own.as_of.max(known.as_of.plus(1)));
        self.contacts.learn([own]);
        // A leave that was asked for before a restart goes on.
        if schema::Phase::load(store) == Some(StoredPhase::Whole { leaving: true }) {
            self.begin_to_leave();
        }
    }
}
