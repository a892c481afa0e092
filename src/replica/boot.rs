//! How a replica begins: with nothing, with what it left in its store, or with a snapshot.

use std::collections::VecDeque;

use super::news::News;
use super::open_batch::OpenBatch;
use super::outbox::Outbox;
use super::readings::Readings;
use super::{Config, Replica};
use crate::clock::{NodeId, Stamp};
use crate::log::{Log, Now, Return, Secrets, Start, StoredPhase};
use crate::name::Pepper;
use crate::registry::Registry;
use crate::store::Store;
use crate::store::schema::{self, Cell};

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
    #[error("the data directory holds no cluster; found one in it, once, or join one")]
    NotStarted,
    /// The node has left its cluster.
    #[error(
        "the node of this data directory has left its cluster; to take part again, start a new node on an empty directory with --join"
    )]
    Left,
    /// It was restored from a backup, and its node knew of no other.
    #[error(
        "the data directory was restored from a backup, and its node had been alone in its cluster, so that nobody can tell what came after the backup; nothing was changed. If the cluster is lost, `forename recover --data-dir DIR` makes a new one of what is here; if it goes on at other nodes, start this one with --join-token-file, a file with a join token of one of them"
    )]
    Alone,
}

impl<S: Store> Replica<S> {
    /// Opens the state in `store`. With an empty one, `start` says what to do; otherwise it is not looked at.
    ///
    /// # Errors
    /// The store belongs to another node, or is empty and `start` is none.
    pub fn open(config: Config, store: S, start: Option<Start>, now: Now) -> Result<Self, OpenError> {
        let me = config.log.contact.node;
        if let Some(found) = schema::Node::load(&store).filter(|found| *found != me) {
            return Err(OpenError::OtherNode { found, expected: me });
        }
        let ceiling = schema::Ceiling::load(&store);
        let (whole, returning) = match schema::Phase::load(&store) {
            Some(StoredPhase::Left) => return Err(OpenError::Left),
            Some(StoredPhase::Whole { .. }) => (true, None),
            Some(StoredPhase::Joining { back, .. }) => (false, Some(back)),
            None => (false, None),
        };
        // What an earlier incarnation promised does not bind this one.
        let ceiling = ceiling.filter(|_| returning.as_ref().is_none_or(|returning| returning.was == me));
        let knows_others = |back: &Return| back.contacts.iter().any(|other| other.node.key_part() != me.key_part());
        if returning.as_ref().is_some_and(|back| !knows_others(back)) && !matches!(start, Some(Start::Join)) {
            return Err(OpenError::Alone);
        }
        let returning = returning.is_some();
        if !whole && !returning && start.is_none() {
            return Err(OpenError::NotStarted);
        }
        let mut replica = Self {
            me,
            now,
            log: Log::new(config.log.clone(), ceiling, now),
            store: OpenBatch::new(store),
            registry: Registry::new(config.registry(), me, now),
            waiting_for_start: VecDeque::new(),
            readings: Readings::default(),
            outbox: Outbox::default(),
            unannounced: None,
            news: News::default(),
            config,
        };
        match (whole, start) {
            (false, Some(Start::Found { founding, secret })) if !returning => {
                let secrets = Secrets { cluster: secret, age: Stamp::default(), pepper: Pepper::derive(&secret) };
                replica.log.found(&mut replica.store, &founding, &secrets);
            }
            (false, _) => replica.log.wipe(&mut replica.store),
            (true, _) => replica.log.resume(),
        }
        replica.take_events();
        replica.load();
        Ok(replica)
    }

    /// Takes up what the store holds.
    pub(super) fn load(&mut self) {
        self.log.load(&mut self.store);
        let feed = self.log.random();
        self.writer().load(feed);
        self.news = News::of(&self.log);
    }
}

/// The id of the node that a store belongs to: that of its key, in the incarnation that the store says.
#[must_use]
pub fn node_in(store: &impl Store, first: NodeId) -> NodeId {
    schema::Node::load(store).filter(|stored| stored.key_part() == first.key_part()).unwrap_or(first)
}
