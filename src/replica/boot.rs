//! The start of a replica: with an empty store, with the state in its store, or with a snapshot.

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

/// The reason why a store cannot be opened. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The state belongs to another node.
    #[error(
        "the data directory belongs to node {found}, but the identity in it is that of {expected}; restore the pair, or start a new node on an empty directory"
    )]
    OtherNode {
        /// The node that the state belongs to.
        found: NodeId,
        /// The node of the given identity.
        expected: NodeId,
    },
    /// The store is empty, and nothing says what to do.
    #[error("the data directory holds no cluster; found one in it, once, or join one")]
    NotStarted,
    /// The node has left its cluster.
    #[error(
        "the node of this data directory has left its cluster; to take part again, start a new node on an empty directory with --join-token-file"
    )]
    Left,
    /// The directory is a reader's, and the node is not to be one.
    #[error(
        "the data directory is that of a reader, which is no member; nothing was changed. Start it with --reader, or start a member \
         on an empty directory with a token of `forename member token`"
    )]
    Reader,
    /// The node is to be a reader, and the directory is not a reader's.
    #[error(
        "the data directory is that of a member, or of a node that joins as one, and does not become a reader's; nothing was changed. \
         Start it without --reader, or start a reader on an empty directory"
    )]
    NotReader,
    /// The directory was restored from a backup, and its node knew of no other node.
    #[error(
        "the data directory was restored from a backup, and its node had been alone in its cluster, so that nobody can tell what came after the backup; nothing was changed. If the cluster is lost, `forename recover --data-dir DIR` makes a new one of what is here; if it goes on at other nodes, start this one with --join-token-file, a file with a join token of one of them"
    )]
    Alone,
}

impl<S: Store> Replica<S> {
    /// Opens the state in `store`. Where the store is empty, `start` says what to do; otherwise `start` is ignored,
    /// unless a restored node that knows of no other is told to join.
    ///
    /// # Errors
    /// The store belongs to another node, its node has left, it is empty and `start` is none, or it was restored from a
    /// backup of a node that knew of no other and `start` is not a join.
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
        match (config.log.reads, schema::Reads::load(&store).is_some()) {
            (false, true) => return Err(OpenError::Reader),
            (true, false) if whole || returning.is_some() => return Err(OpenError::NotReader),
            _ => {}
        }
        // A promise of an earlier incarnation does not bind this one.
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
            (false, _) => {
                replica.log.wipe(&mut replica.store);
                if replica.config.log.reads {
                    schema::Reads::save(&mut replica.store, &());
                }
            }
            (true, _) => replica.log.resume(),
        }
        replica.take_events();
        replica.load();
        Ok(replica)
    }

    /// Loads the state from the store.
    pub(super) fn load(&mut self) {
        self.log.load(&mut self.store);
        let feed = self.log.random();
        self.writer().load(feed);
        self.news = News::of(&self.log);
    }
}

/// Returns the id of the node that a store belongs to: the key is that of `first`, and the store says the incarnation.
#[must_use]
pub fn node_in(store: &impl Store, first: NodeId) -> NodeId {
    schema::Node::load(store).filter(|stored| stored.key_part() == first.key_part()).unwrap_or(first)
}
