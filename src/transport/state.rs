//! The shared state: who may connect, which connections exist, and which of two is kept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use quinn::{Connection, Endpoint};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::close::CloseReason;
use super::complaint::{QUIET, Refused};
use super::config::Limits;
use super::hello::Introduction;
use super::identity::{PublicKey, node_id};
use super::link::{self, Link, Shown};
use super::tls::Credentials;
use super::token::{ClusterKey, JoinToken};
use super::wire::WireVersion;
use super::{dial, lock};
use crate::clock::NodeId;
use crate::log::{Barred, Pass};
use crate::model::ClusterId;
use crate::replica::{Contact, Input};

/// Number of refusals that are remembered, so that each is logged once. A guess: as many as an operator would read.
const MAX_REFUSALS: usize = 256;

/// The state that all tasks of a transport share.
pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) key: PublicKey,
    /// A random number that distinguishes this process from an earlier one of the same node.
    pub(super) instance: u64,
    pub(super) wire: WireVersion,
    pub(super) credentials: Arc<Credentials>,
    pub(super) quic: Arc<quinn::TransportConfig>,
    pub(super) endpoint: Endpoint,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) limits: Limits,
    pub(super) counters: Counters,
    pub(super) runtime: runtime::Handle,
    pub(super) state: Mutex<State>,
    /// Notified whenever something in the state changed that a task may wait for.
    pub(super) changes: watch::Sender<()>,
    pub(super) tasks: Mutex<JoinSet<()>>,
}

/// Counts of sent, received and dropped data.
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

/// The part of the shared state that changes.
#[derive(Default)]
pub(super) struct State {
    pub(super) closing: bool,
    /// When a member first refused this node because a later incarnation of its key, which is a member, is connected there; none
    /// once a connection was kept.
    outlived_since: Option<Instant>,
    /// True once a member has refused it so for longer than the connection of a process that is gone lasts.
    pub(super) outlived: bool,
    pub(super) cluster: Option<(ClusterId, Option<ClusterKey>)>,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    /// The keys and tokens that are refused.
    pub(super) barred: Barred,
    /// The connection to each peer.
    pub(super) links: BTreeMap<NodeId, Arc<Link>>,
    /// Locks held by the connection whose `Connected` is out and whose `Disconnected` is not.
    turns: BTreeMap<NodeId, Arc<tokio::sync::Mutex<()>>>,
    /// The member through which this node joins.
    pub(super) sponsor: Option<Sponsor>,
    /// The token to show at every dial, while peers may not know this node yet.
    pub(super) shown: Option<JoinToken>,
    pub(super) join: Option<AbortHandle>,
    /// The refusals that have been logged.
    refusals: BTreeMap<(IpAddr, String), Refused>,
}

/// A node that may connect.
pub(super) struct Peer {
    pub(super) contact: Contact,
    pub(super) key: PublicKey,
    /// The task that dials it; none for former members, who are not dialed.
    dialer: Option<AbortHandle>,
    /// The remote address of its last connection.
    seen: Option<SocketAddr>,
}

impl Peer {
    /// Returns true for a member, and false for a former member, who is not dialed.
    pub(super) fn is_member(&self) -> bool {
        self.dialer.is_some()
    }

    fn stop_dialing(&mut self) {
        if let Some(dialer) = self.dialer.take() {
            dialer.abort();
        }
    }
}

/// The member through which this node joins.
pub(super) struct Sponsor {
    pub(super) node: NodeId,
    /// The token to show at every dial, since the sponsor may not have this node among its peers yet.
    pub(super) token: JoinToken,
}

/// The right by which a connection exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Right {
    /// The peer's key is pinned: it is a member, or was one.
    Member,
    /// The peer has proved a token. Has the token where its uses are limited; none for tokens that members make for
    /// themselves, which have no limit.
    Newcomer(Option<Pass>),
    /// The peer has proved a reader's token.
    Reader,
    /// This node is joining, and has dialed the peer with a token.
    Sponsor,
}

impl State {
    /// Returns true where there is a connection to the peer, announced to the driver or not yet.
    pub(super) fn is_linked(&self, peer: NodeId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.connection.close_reason().is_none())
    }

    /// Returns the connections to other incarnations of a peer's key.
    fn other_lives(&self, peer: NodeId) -> impl Iterator<Item = &Arc<Link>> {
        let other = move |link: &&Arc<Link>| link.peer != peer && link.peer.key_part() == peer.key_part();
        self.links.values().filter(other).filter(|link| link.connection.close_reason().is_none())
    }

    /// Returns the reason for which a peer is refused while a later incarnation of its key is connected.
    pub(super) fn outlived(&self, peer: NodeId) -> Option<CloseReason> {
        let is_member = |life: &Arc<Link>| self.peers.get(&life.peer).is_some_and(Peer::is_member);
        let later = self.other_lives(peer).filter(|life| life.peer > peer).max_by_key(|life| life.peer)?;
        Some(if is_member(later) { CloseReason::Outlived } else { CloseReason::Overtaken })
    }

    /// Returns true where this is the address of a member.
    pub(super) fn is_members(&self, address: SocketAddr) -> bool {
        let there = |peer: &Peer| peer.seen == Some(address) || peer.contact.address.parse() == Ok(address);
        self.peers.values().any(|peer| peer.is_member() && there(peer))
    }

    fn may_stand(&self, peer: &Introduction, right: Right) -> bool {
        right != Right::Member || self.peers.get(&peer.node).is_some_and(|known| known.key == peer.key)
    }
}

impl Shared {
    /// Returns a peer's label, for logs.
    pub(super) fn label(&self, peer: NodeId) -> String {
        self.state().peers.get(&peer).map(|peer| peer.contact.label.clone()).unwrap_or_default()
    }

    /// Makes the state for another incarnation, with the same socket and key and an empty list of peers.
    pub(super) fn next_life(&self, node: NodeId, inputs: mpsc::Sender<Input>) -> Self {
        Self {
            node,
            key: self.key,
            instance: super::random(),
            wire: self.wire,
            credentials: Arc::clone(&self.credentials),
            quic: Arc::clone(&self.quic),
            endpoint: self.endpoint.clone(),
            inputs,
            limits: self.limits.clone(),
            counters: Counters::default(),
            runtime: self.runtime.clone(),
            state: Mutex::new(State::default()),
            changes: watch::Sender::new(()),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn cluster(&self) -> Option<(ClusterId, Option<ClusterKey>)> {
        self.state().cluster.clone()
    }

    /// Returns true where this is the id and the key of a peer.
    pub(super) fn is_peer(&self, node: NodeId, key: &PublicKey) -> bool {
        self.state().peers.get(&node).is_some_and(|peer| peer.key == *key)
    }

    /// Returns true where the id belongs to another key already, this node's or a peer's: ids have only 48 bits of a
    /// hash, so they can be made to collide.
    pub(super) fn is_taken(&self, node: NodeId, key: &PublicKey) -> bool {
        let ours = node.key_part() == self.node.key_part();
        let collides = |peer: &Peer| peer.contact.node.key_part() == node.key_part() && peer.key != *key;
        ours || self.state().peers.values().any(collides)
    }

    /// Notes that a member has refused this node as outlived.
    pub(super) fn refused_as_outlived(&self) {
        let mut state = self.state();
        let since = *state.outlived_since.get_or_insert_with(Instant::now);
        state.outlived |= since.elapsed() > self.limits.idle_timeout;
        drop(state);
        self.changes.send_replace(());
    }

    /// Waits until a condition on the state is true.
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

    /// Keeps a connection whose hello is over and starts its tasks, unless a better one exists.
    ///
    /// The node with the lesser id keeps the connection that it has, unless the peer's process is another one; the
    /// other node follows.
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
        if let Some(reason) = state.outlived(peer.node) {
            return Err(reason);
        }
        // The peer's earlier incarnations are over, even where their connections have not ended.
        state.other_lives(peer.node).for_each(|life| CloseReason::Replaced.close(&life.connection));
        let is_member = state.peers.get(&peer.node).is_some_and(Peer::is_member);
        let is_heard = right == Right::Sponsor || is_member;
        let pass = if let Right::Newcomer(pass) = right { pass } else { None };
        let shown = Shown { pass, reads: right == Right::Reader };
        let link = Arc::new(Link::new(connection.clone(), &peer, &self.limits, is_heard, shown));
        state.links.insert(peer.node, Arc::clone(&link));
        let from = connection.remote_address();
        state.refusals.retain(|(refused, _), _| *refused != from.ip());
        if let Some(known) = state.peers.get_mut(&peer.node) {
            known.seen = Some(from);
        }
        state.outlived_since = None;
        let turn = Arc::clone(state.turns.entry(peer.node).or_default());
        self.spawn(link::run(Arc::clone(self), link, turn));
        drop(state);
        self.changes.send_replace(());
        Ok(())
    }

    /// Removes a connection that has ended, unless another one has replaced it.
    pub(super) fn forget(&self, link: &Arc<Link>) {
        let mut state = self.state();
        if state.links.get(&link.peer).is_some_and(|current| Arc::ptr_eq(current, link)) {
            state.links.remove(&link.peer);
        }
        // The caller still holds its own lock here, which is removed when the next connection ends.
        state.turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        drop(state);
        self.changes.send_replace(());
    }

    /// Sets exactly the nodes that may connect from now on, and dials the members among them.
    pub(super) fn set_peers(self: &Arc<Self>, members: Vec<Contact>, former: Vec<Contact>, barred: Barred) {
        let mut wanted: BTreeMap<NodeId, (Contact, PublicKey, bool)> = BTreeMap::new();
        let members = members.into_iter().map(|contact| (contact, true));
        for (contact, dials) in former.into_iter().map(|contact| (contact, false)).chain(members) {
            match key_of(&contact) {
                _ if contact.node == self.node => {}
                Some(key) => drop(wanted.insert(contact.node, (contact, key, dials))),
                None => tracing::warn!(peer = %contact.node, "left out a member whose public key does not give its id"),
            }
        }
        let mut state = self.state();
        if state.closing {
            return;
        }
        state.barred = barred;
        let banned = |link: &&Arc<Link>| state.barred.keys.contains(&link.peer.first_incarnation());
        let banned = state.links.values().filter(|link| link.shown.reads).filter(banned);
        banned.for_each(|link| CloseReason::Banned(link.peer.first_incarnation()).close(&link.connection));
        let State { peers, links, .. } = &mut *state;
        peers.retain(|node, peer| {
            let stays = wanted.get(node).is_some_and(|(_, key, _)| *key == peer.key);
            if !stays {
                peer.stop_dialing();
                if let Some(link) = links.get(node) {
                    CloseReason::Removed.close(&link.connection);
                }
            }
            stays
        });
        for (node, (contact, key, dials)) in wanted {
            let peer =
                peers.entry(node).or_insert_with(|| Peer { contact: contact.clone(), key, dialer: None, seen: None });
            peer.contact = contact;
            if !dials {
                peer.stop_dialing();
                continue;
            }
            if peer.dialer.is_none() {
                peer.dialer = Some(self.spawn(dial::keep_dialing(Arc::clone(self), node)));
            }
            if let Some(link) = links.get(&node) {
                link.hear();
            }
        }
        drop(state);
        self.changes.send_replace(());
    }

    /// Notes a refusal. Returns how it should be logged; none where it was logged already.
    pub(super) fn refused(&self, from: IpAddr, reason: &str) -> Option<Refused> {
        let mut state = self.state();
        if state.refusals.len() >= MAX_REFUSALS {
            state.refusals.clear();
        }
        match state.refusals.entry((from, reason.to_owned())) {
            Entry::Vacant(entry) => Some(*entry.insert(Refused::At(Instant::now()))),
            Entry::Occupied(mut entry) => match *entry.get() {
                Refused::At(since) if since.elapsed() >= QUIET => {
                    entry.insert(Refused::Still);
                    Some(Refused::Still)
                }
                Refused::At(_) | Refused::Still => None,
            },
        }
    }

    /// Stops dialing and joining, and lets nothing new begin.
    fn retire(&self) {
        let mut state = self.state();
        state.closing = true;
        state.peers.values_mut().for_each(Peer::stop_dialing);
        if let Some(join) = state.join.take() {
            join.abort();
        }
    }

    /// Ends everything but the endpoint, which the next incarnation continues to use.
    pub(super) async fn end_life(&self) {
        self.retire();
        let links = std::mem::take(&mut self.state().links);
        links.values().for_each(|link| CloseReason::Stopping.close(&link.connection));
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    /// Ends everything that does not end by itself when the endpoint is closed.
    pub(super) fn begin_close(&self) {
        self.retire();
        let reason = CloseReason::Stopping;
        self.endpoint.close(reason.code(), reason.to_string().as_bytes());
        self.changes.send_replace(());
    }
}

/// Returns a contact's key; none where its id does not follow from the key.
fn key_of(contact: &Contact) -> Option<PublicKey> {
    let key = PublicKey::try_from(contact.public_key.as_slice()).ok()?;
    (node_id(&key, contact.node.incarnation()) == contact.node).then_some(key)
}
