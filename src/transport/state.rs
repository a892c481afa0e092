//! Who may connect, which connections stand, and which of two is kept.

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
use super::link::{self, Link};
use super::tls::Credentials;
use super::token::{ClusterKey, JoinToken};
use super::wire::WireVersion;
use super::{dial, lock};
use crate::clock::NodeId;
use crate::log::{Barred, Pass};
use crate::model::ClusterId;
use crate::replica::{Contact, Input};

/// Refusals that are remembered, so that each is logged once. A guess: what an operator would read.
const MAX_REFUSALS: usize = 256;

/// What all tasks of a transport share.
pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) key: PublicKey,
    /// Tells this process from an earlier one of the same node.
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
    /// Who is not let in, with whatever token.
    pub(super) barred: Barred,
    /// The one connection to each peer that is kept.
    pub(super) links: BTreeMap<NodeId, Arc<Link>>,
    /// Held by the connection whose `Connected` is out and whose `Disconnected` is not.
    turns: BTreeMap<NodeId, Arc<tokio::sync::Mutex<()>>>,
    /// Whom this node, a newcomer, joins through.
    pub(super) sponsor: Option<Sponsor>,
    /// Shown at every dial by a node that its peers may not know yet.
    pub(super) shown: Option<JoinToken>,
    pub(super) join: Option<AbortHandle>,
    /// What was logged already.
    refusals: BTreeMap<(IpAddr, String), Refused>,
}

/// Somebody who may connect.
pub(super) struct Peer {
    pub(super) contact: Contact,
    pub(super) key: PublicKey,
    /// None for the evicted, who are not dialed.
    dialer: Option<AbortHandle>,
    /// Where it was last connected from or to.
    seen: Option<SocketAddr>,
}

impl Peer {
    /// Members are dialed, those who were members are not.
    pub(super) fn is_member(&self) -> bool {
        self.dialer.is_some()
    }

    fn stop_dialing(&mut self) {
        if let Some(dialer) = self.dialer.take() {
            dialer.abort();
        }
    }
}

/// The member that lets this node in.
pub(super) struct Sponsor {
    pub(super) node: NodeId,
    /// Shown at every dial: the sponsor may not count this node among its peers yet.
    pub(super) token: JoinToken,
}

/// Why a connection may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Right {
    /// Its key is pinned: it is a member, or was one.
    Member,
    /// It has proved a token; none for one that members make for themselves, which lets in any number.
    Newcomer(Option<Pass>),
    /// This node, a newcomer, has dialed it with a token.
    Sponsor,
}

impl State {
    /// Whether there is a connection to the peer, up or about to be.
    pub(super) fn is_linked(&self, peer: NodeId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.connection.close_reason().is_none())
    }

    /// Connections to other incarnations of a peer's key.
    fn other_lives(&self, peer: NodeId) -> impl Iterator<Item = &Arc<Link>> {
        let other = move |link: &&Arc<Link>| link.peer != peer && link.peer.key_part() == peer.key_part();
        self.links.values().filter(other).filter(|link| link.connection.close_reason().is_none())
    }

    /// Whether a later incarnation of a peer's key is connected.
    pub(super) fn is_outlived(&self, peer: NodeId) -> bool {
        self.other_lives(peer).any(|life| life.peer > peer)
    }

    /// Whether a member is reached at an address.
    pub(super) fn is_members(&self, address: SocketAddr) -> bool {
        let there = |peer: &Peer| peer.seen == Some(address) || peer.contact.address.parse() == Ok(address);
        self.peers.values().any(|peer| peer.is_member() && there(peer))
    }

    fn may_stand(&self, peer: &Introduction, right: Right) -> bool {
        right != Right::Member || self.peers.get(&peer.node).is_some_and(|known| known.key == peer.key)
    }
}

impl Shared {
    /// A peer's label, for logs.
    pub(super) fn label(&self, peer: NodeId) -> String {
        self.state().peers.get(&peer).map(|peer| peer.contact.label.clone()).unwrap_or_default()
    }

    /// The same socket and key under another id, knowing nobody.
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
        if state.is_outlived(peer.node) {
            return Err(CloseReason::Outlived);
        }
        // An earlier life of this one is over, whatever its connection says.
        state.other_lives(peer.node).for_each(|life| CloseReason::Replaced.close(&life.connection));
        let is_member = state.peers.get(&peer.node).is_some_and(Peer::is_member);
        let is_heard = right == Right::Sponsor || is_member;
        let pass = if let Right::Newcomer(pass) = right { pass } else { None };
        let link = Arc::new(Link::new(connection.clone(), &peer, &self.limits, is_heard, pass));
        state.links.insert(peer.node, Arc::clone(&link));
        let from = connection.remote_address();
        state.refusals.retain(|(refused, _), _| *refused != from.ip());
        if let Some(known) = state.peers.get_mut(&peer.node) {
            known.seen = Some(from);
        }
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

    /// Exactly these may connect from now on; the members among them are dialed.
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

    /// Takes note of a refusal. Says whether it is news, and so worth a line in the log.
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

    /// Nothing is begun any more.
    fn retire(&self) {
        let mut state = self.state();
        state.closing = true;
        state.peers.values_mut().for_each(Peer::stop_dialing);
        if let Some(join) = state.join.take() {
            join.abort();
        }
    }

    /// Ends everything but the endpoint, which the next incarnation goes on with.
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

/// A contact's key, where its id follows from it.
fn key_of(contact: &Contact) -> Option<PublicKey> {
    let key = PublicKey::try_from(contact.public_key.as_slice()).ok()?;
    (node_id(&key, contact.node.incarnation()) == contact.node).then_some(key)
}
