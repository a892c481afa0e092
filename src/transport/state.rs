//! Who may connect, which connections stand, and which of two is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use quinn::{Connection, Endpoint};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::close::CloseReason;
use super::config::Limits;
use super::hello::Introduction;
use super::identity::{PublicKey, node_id};
use super::link::{self, Link};
use super::tls::Credentials;
use super::token::{ClusterKey, JoinToken};
use super::{ClusterId, dial, lock};
use crate::clock::NodeId;
use crate::replica::{Contact, Input};

/// Refusals that are remembered, so that each is logged once. A guess: what an operator would read.
const MAX_REFUSALS: usize = 256;

/// What all tasks of a transport share.
pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) key: PublicKey,
    /// Tells this process from an earlier one of the same node.
    pub(super) instance: u64,
    pub(super) credentials: Credentials,
    pub(super) quic: Arc<quinn::TransportConfig>,
    pub(super) endpoint: Endpoint,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) limits: Limits,
    pub(super) counters: Counters,
    pub(super) runtime: runtime::Handle,
    pub(super) state: Mutex<State>,
    /// Marked whenever something in the state changed that a task may wait for.
    pub(super) changes: watch::Sender<()>,
    pub(super) tasks: Mutex<JoinSet<()>>,
}

/// What went in and out.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) dropped: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// What changes.
#[derive(Default)]
pub(super) struct State {
    pub(super) closing: bool,
    pub(super) cluster: Option<(ClusterId, Option<ClusterKey>)>,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    /// The one connection to each peer that is kept.
    pub(super) links: BTreeMap<NodeId, Arc<Link>>,
    /// Held by the connection whose `Connected` is out and whose `Disconnected` is not.
    turns: BTreeMap<NodeId, Arc<tokio::sync::Mutex<()>>>,
    /// Whom this node, a newcomer, joins through.
    pub(super) sponsor: Option<Sponsor>,
    pub(super) join: Option<AbortHandle>,
    /// What was logged already.
    refusals: BTreeSet<(IpAddr, String)>,
}

/// Somebody who may connect.
pub(super) struct Peer {
    pub(super) contact: Contact,
    pub(super) key: PublicKey,
    dialer: AbortHandle,
}

/// The member that lets this node in.
pub(super) struct Sponsor {
    pub(super) node: NodeId,
    /// Shown at every dial: the sponsor may not count this node among its peers yet.
    pub(super) token: JoinToken,
    pub(super) awaits_snapshot: bool,
}

/// Why a connection may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Right {
    /// Its key is pinned.
    Member,
    /// It has proved a token; or this node, a newcomer, has dialed it with one.
    Token,
}

impl State {
    /// Whether there is a connection to the peer, up or about to be.
    pub(super) fn is_linked(&self, peer: NodeId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.connection.close_reason().is_none())
    }

    fn may_stand(&self, peer: &Introduction, right: Right) -> bool {
        right == Right::Token || self.peers.get(&peer.node).is_some_and(|known| known.key == peer.key)
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn cluster(&self) -> Option<(ClusterId, Option<ClusterKey>)> {
        self.state().cluster.clone()
    }

    /// Whether this is a peer's id and its key.
    pub(super) fn is_peer(&self, node: NodeId, key: &PublicKey) -> bool {
        self.state().peers.get(&node).is_some_and(|peer| peer.key == *key)
    }

    /// Whether the id follows from a known node's key too, which is another one: 48 bits can be made to collide.
    pub(super) fn is_taken(&self, node: NodeId, key: &PublicKey) -> bool {
        let ours = node.key_part() == self.node.key_part();
        let collides = |peer: &Peer| peer.contact.node.key_part() == node.key_part() && peer.key != *key;
        ours || self.state().peers.values().any(collides)
    }

    /// Waits until the state is so.
    pub(super) async fn until(&self, condition: impl Fn(&State) -> bool) {
        let mut changes = self.changes.subscribe();
        while !condition(&self.state()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime)
    }

    /// Keeps a connection whose hello is over, unless there is one already that is better, and starts its tasks.
    ///
    /// The lesser node of the two keeps what it has, unless the peer's process is another; the greater follows.
    pub(super) fn keep(
        self: &Arc<Self>,
        connection: &Connection,
        peer: Introduction,
        right: Right,
    ) -> Result<(), CloseReason> {
        let mut state = self.state();
        if state.closing {
            return Err(CloseReason::Stopping);
        }
        if !state.may_stand(&peer, right) {
            return Err(CloseReason::Stranger);
        }
        if let Some(old) = state.links.get(&peer.node).filter(|old| old.connection.close_reason().is_none()) {
            if self.node < peer.node && old.instance == peer.instance {
                return Err(CloseReason::Duplicate);
            }
            CloseReason::Replaced.close(&old.connection);
        }
        let link = Arc::new(Link::new(connection.clone(), &peer, &self.limits));
        state.links.insert(peer.node, Arc::clone(&link));
        let from = connection.remote_address().ip();
        state.refusals.retain(|(refused, _)| *refused != from);
        let turn = Arc::clone(state.turns.entry(peer.node).or_default());
        self.spawn(link::run(Arc::clone(self), link, turn));
        drop(state);
        self.changes.send_replace(());
        Ok(())
    }

    /// Forgets a connection that has ended, where no other has taken its place.
    pub(super) fn forget(&self, link: &Arc<Link>) {
        let mut state = self.state();
        if state.links.get(&link.peer).is_some_and(|current| Arc::ptr_eq(current, link)) {
            state.links.remove(&link.peer);
        }
        // The caller still holds its own turn, which goes with the next one's end.
        state.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        drop(state);
        self.changes.send_replace(());
    }

    /// Exactly these may connect from now on, and are dialed.
    pub(super) fn set_peers(self: &Arc<Self>, contacts: Vec<Contact>) {
        let mut wanted: BTreeMap<NodeId, (Contact, PublicKey)> = BTreeMap::new();
        for contact in contacts.into_iter().filter(|contact| contact.node != self.node) {
            match key_of(&contact) {
                Some(key) => drop(wanted.insert(contact.node, (contact, key))),
                None => tracing::warn!(peer = %contact.node, "left out a member whose public key does not give its id"),
            }
        }
        let mut state = self.state();
        if state.closing {
            return;
        }
        let State { peers, links, .. } = &mut *state;
        peers.retain(|node, peer| {
            let stays = wanted.get(node).is_some_and(|(_, key)| *key == peer.key);
            if !stays {
                peer.dialer.abort();
                if let Some(link) = links.get(node) {
                    CloseReason::Removed.close(&link.connection);
                }
            }
            stays
        });
        for (node, (contact, key)) in wanted {
            match peers.get_mut(&node) {
                Some(peer) => peer.contact = contact,
                None => {
                    let dialer = self.spawn(dial::keep_dialing(Arc::clone(self), node));
                    peers.insert(node, Peer { contact, key, dialer });
                }
            }
        }
        drop(state);
        self.changes.send_replace(());
    }

    /// Whether a refusal is news, and so worth a line in the log.
    pub(super) fn is_new_refusal(&self, from: IpAddr, reason: &str) -> bool {
        let mut state = self.state();
        if state.refusals.len() >= MAX_REFUSALS {
            state.refusals.clear();
        }
        state.refusals.insert((from, reason.to_owned()))
    }

    /// Ends everything that does not end by itself when the endpoint is closed.
    pub(super) fn begin_close(&self) {
        let mut state = self.state();
        state.closing = true;
        for peer in state.peers.values() {
            peer.dialer.abort();
        }
        if let Some(join) = state.join.take() {
            join.abort();
        }
        drop(state);
        let reason = CloseReason::Stopping;
        self.endpoint.close(reason.code(), reason.to_string().as_bytes());
        self.changes.send_replace(());
    }
}

/// A contact's key, where its id follows from it.
fn key_of(contact: &Contact) -> Option<PublicKey> {
    let key = PublicKey::try_from(contact.public_key.as_slice()).ok()?;
    (node_id(&key, contact.node.incarnation()) == contact.node).then_some(key)
}
