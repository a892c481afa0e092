//! How a replica begins: with nothing, with what it left in its store, or with a snapshot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crdts::{Dot, VClock};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::chain_check::ChainCheck;
use super::cluster_time::ClusterTime;
use super::commands::Waiters;
use super::feed::Feed;
use super::finality::Finality;
use super::gossip::Peers;
use super::log::LogBuffer;
use super::membership::Membership;
use super::message::Secrets;
use super::quota::OwnerQuota;
use super::quota::TokenQuota;
use super::reissue::{Reissue, Return};
use super::retention::Retention;
use super::{Config, Contact, Founding, Now, Replica, Start};
use crate::clock::{Clock, NodeId};
use crate::crdt::{Op, Registry};
use crate::name::Pepper;
use crate::store::schema::{self, Cell, Rows, Span};
use crate::store::{Store, Table, empty};

/// The store does not fit this node. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else's state.
    #[error(
        "the data directory belongs to node {found}, but the identity in it is that of {expected}; restore the pair, or start a new node on an empty directory"
    )]
    OtherNode {
        /// Whose state it is.
        found: NodeId,
        /// Whose identity was given.
        expected: NodeId,
    },
    /// There is no state and no word what to do.
    #[error("the data directory holds no cluster yet: start with an address and a token to join one")]
    NotStarted,
    /// The node has left its cluster.
    #[error(
        "the node of this data directory has left its cluster; to take part again, start a new node on an empty directory with --join"
    )]
    Left,
    /// It was restored from a backup, and its node knew of no other.
    #[error(
        "the data directory was restored from a backup, and its node had been alone in its cluster, so that nobody can tell what came after the backup; nothing was changed. If the cluster is lost, `forename recover --data-dir DIR` makes a new one of what is here; if it goes on at other nodes, start this one with --join and --token of one of them"
    )]
    Alone,
}

impl<S: Store> Replica<S> {
    /// Opens the state in `store`. With an empty one, `start` says what to do; otherwise it is not looked at.
    ///
    /// # Errors
    /// The store belongs to another node, or is empty and `start` is none.
    pub fn open(config: Config, store: S, start: Option<Start>, now: Now) -> Result<Self, OpenError> {
        let me = config.contact.node;
        if let Some(found) = schema::Node::load(&store).filter(|found| *found != me) {
            return Err(OpenError::OtherNode { found, expected: me });
        }
        let installed = schema::Installed::is_set(&store);
        let ceiling = schema::Ceiling::load(&store);
        if schema::Left::is_set(&store) {
            return Err(OpenError::Left);
        }
        let returning = schema::Returning::load(&store);
        // What an earlier incarnation promised does not bind this one.
        let ceiling = ceiling.filter(|_| returning.as_ref().is_none_or(|returning| returning.was == me));
        let knows_others = |back: &Return| back.contacts.iter().any(|other| other.node.key_part() != me.key_part());
        if returning.as_ref().is_some_and(|back| !knows_others(back)) && !matches!(start, Some(Start::Join)) {
            return Err(OpenError::Alone);
        }
        let returning = returning.is_some();
        if !installed && !returning && start.is_none() {
            return Err(OpenError::NotStarted);
        }
        let mut replica = Self {
            me,
            now,
            clock: Clock::starting_above(ceiling.filter(|_| !planted!(CeilingForgotten)).unwrap_or_default()),
            time: ClusterTime::default(),
            ceiling: ceiling.unwrap_or_default(),
            opened_at: ceiling.unwrap_or_default(),
            has_promised: false,
            founding: None,
            secret: None,
            installed,
            starting: installed.then(|| ChainCheck::at(now)),
            registry: Registry::new(store, VClock::new()),
            log: LogBuffer::default(),
            feed: Feed::default(),
            membership: Membership::default(),
            contacts: BTreeMap::new(),
            contacts_changed: true,
            fresh_contacts: BTreeSet::new(),
            finality: Finality::default(),
            peers: Peers::new(config.seed, now),
            waiters: Waiters::default(),
            allowances: OwnerQuota::new(config.seed),
            charges: TokenQuota::default(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            outbox: Vec::new(),
            at_once: Vec::new(),
            gated: VecDeque::new(),
            persisted: 0,
            disk_waits: None,
            disk_logged: false,
            halted: false,
            gone: false,
            handed_over: BTreeMap::new(),
            leaving: None,
            leavers: BTreeSet::new(),
            departure_known: BTreeSet::new(),
            evicted: None,
            holds_void: false,
            left_behind: false,
            reissue: Reissue::default(),
            retelling: None,
            retention: Retention::default(),
            config,
        };
        match (installed, start) {
            (false, Some(Start::Found { founders, secret })) if !returning => {
                // Its first timestamps, too, wait for what a majority's clocks say.
                replica.starting = Some(ChainCheck::at(now));
                let pepper = Pepper::derive(&secret);
                replica.found(&Founding { founders, ..Founding::default() }, &Secrets { cluster: secret, pepper });
            }
            (false, _) => replica.wipe(),
            (true, _) => {}
        }
        replica.load();
        // A leave that was asked for before a restart goes on.
        if replica.installed && schema::Leaving::is_set(&replica.registry.store) {
            replica.begin_to_leave();
        }
        Ok(replica)
    }

    /// A founder's first state.
    pub(super) fn found(&mut self, founding: &Founding, secrets: &Secrets) {
        self.write_founding(founding);
        self.write_secrets(secrets);
        self.mark_installed();
        schema::Swept::save(&mut self.registry.store, &());
    }

    pub(super) fn write_founding(&mut self, founding: &Founding) {
        schema::Founding::save(&mut self.registry.store, founding);
    }

    pub(super) fn write_secrets(&mut self, secrets: &Secrets) {
        let store = &mut self.registry.store;
        schema::Secret::save(store, &secrets.cluster);
        schema::Pepper::save(store, &secrets.pepper);
    }

    /// What only members know; none where this node was not let in.
    pub(super) fn secrets(&self) -> Option<Secrets> {
        let pepper = schema::Pepper::load(&self.registry.store)?;
        Some(Secrets { cluster: self.secret?, pepper })
    }

    pub(super) fn mark_installed(&mut self) {
        self.installed = true;
        schema::Node::save(&mut self.registry.store, &self.me);
        schema::Installed::save(&mut self.registry.store, &());
        schema::Swept::clear(&mut self.registry.store);
    }

    /// Forgets a snapshot that did not come to its end.
    pub(super) fn wipe(&mut self) {
        let tables = Table::ALL.into_iter().filter(|table| table.in_snapshot());
        tables.for_each(|table| empty(&mut self.registry.store, table));
        self.end_feed();
        // Whoever is let in is told the secrets of the cluster that it is let into.
        let store = &mut self.registry.store;
        schema::Secret::clear_if_set(store);
        schema::Pepper::clear_if_set(store);
        schema::Leaving::clear_if_set(store);
        schema::SetAside::clear_if_set(store);
    }

    /// Takes up what the store holds, and this node's own contact.
    pub(super) fn load(&mut self) {
        let store = &self.registry.store;
        self.founding = if self.installed { schema::Founding::load(store) } else { None };
        self.secret = schema::Secret::load(store);
        let Founding { founders, former } = self.founding.clone().unwrap_or_default();
        let mut ops: Vec<Op> = Vec::new();
        let mut contacts: Vec<Contact> = Vec::new();
        schema::Membership::each(store, &Span::all(), |found| ops.push(found.row()));
        schema::Contacts::each(store, &Span::all(), |found| contacts.push(found.row()));
        self.contacts = contacts.into_iter().map(|contact| (contact.node, contact)).collect();
        self.finality = Finality::default();
        let applied = self.finality.load(&self.registry.store);
        let finality = &self.finality;
        self.membership = Membership::new(self.me, founders, former, ops, &|node| finality.here(node));
        let dots = applied.iter().map(|(origin, seq)| Dot::new(*origin, *seq));
        self.registry.resume(dots.collect());
        let (membership, watermark) = (&self.membership, self.finality.watermark());
        // One that was let in at the watermark need not have promised anything.
        let promised =
            membership.members().filter(|member| *member != self.me && membership.floor(*member) < watermark);
        self.finality.recall(promised);
        self.membership_changed();
        // Whatever it issues follows all that it knows of, also where that came by a snapshot.
        self.clock.observe(self.finality.latest());
        self.load_undecided(&applied);
        self.load_reissue();
        self.load_feed();
        self.load_retention();
        let mut own = self.config.contact.clone();
        // A clock set back must not make this node's new address look old.
        own.as_of = self.contacts.get(&self.me).map_or(own.as_of, |known| own.as_of.max(known.as_of.plus(1)));
        self.learn_contacts(vec![own]);
    }
}
