//! The transport's interface for the driver.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, TokioRuntime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::close::CloseReason;
use super::config::{TransportConfig, TransportError};
use super::dial::{self, JoinError, Joined};
use super::frame::frame;
use super::link;
use super::socket::FilteredSocket;
use super::state::{Counters, Shared, State};
use super::tls::Credentials;
use super::token::{ClusterKey, JoinToken};
use super::wire::WireVersion;
use super::{LinkFilter, lock, random};
use crate::clock::NodeId;
use crate::log::Barred;
use crate::model::ClusterId;
use crate::replica::{Contact, Input, Lane, Message, SnapshotId};
use crate::store::SnapshotPart;

/// A running transport. Dropping it ends everything at once; [`Transport::close`] ends it in good order.
pub struct Transport {
    shared: Arc<Shared>,
    local: SocketAddr,
}

impl Transport {
    /// Listens, and is ready for the list of peers. Must be called within a tokio runtime, in which all of its tasks run.
    ///
    /// # Errors
    /// See [`TransportError`]; nothing is left running then.
    pub fn start(config: TransportConfig) -> Result<Self, TransportError> {
        let TransportConfig { identity, node, listen, wire, links, inputs, limits } = config;
        if identity.node_id(node.incarnation()) != node {
            return Err(TransportError::NotOurs(node));
        }
        let credentials = Credentials::new(&identity).map_err(|error| TransportError::Tls(error.to_string()))?;
        let credentials = Arc::new(credentials);
        let quic = Arc::new(limits.quic());
        let tls = credentials.server().map_err(|error| TransportError::Tls(error.to_string()))?;
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(Arc::clone(&quic));
        let (endpoint, local) = endpoint(listen, links, server, &identity.pkcs8())
            .map_err(|source| TransportError::Listen { listen, source })?;
        let shared = Arc::new(Shared {
            node,
            key: identity.public_key(),
            instance: random(),
            wire,
            credentials,
            quic,
            endpoint,
            inputs,
            limits,
            counters: Counters::default(),
            runtime: tokio::runtime::Handle::current(),
            state: Mutex::new(State::default()),
            changes: watch::Sender::new(()),
            tasks: Mutex::new(JoinSet::new()),
        });
        shared.spawn(dial::accept(Arc::clone(&shared)));
        Ok(Self { shared, local })
    }

    /// Returns the address that it listens at.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns a handle for controlling the transport.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Continues as another incarnation of the same key, at the same address. All connections are closed and the list
    /// of peers is empty. From now on events go to `inputs`; handles from before do nothing.
    ///
    /// # Errors
    /// Fails where the id does not belong to the key; nothing was changed.
    pub async fn reincarnate(&mut self, node: NodeId, inputs: mpsc::Sender<Input>) -> Result<(), TransportError> {
        if node.key_part() != self.shared.node.key_part() {
            return Err(TransportError::NotOurs(node));
        }
        self.shared.end_life().await;
        self.shared = Arc::new(self.shared.next_life(node, inputs));
        self.shared.spawn(dial::accept(Arc::clone(&self.shared)));
        Ok(())
    }

    /// Closes every connection and tells the peers why. Waits a bounded time for the tasks to end and for the peers to
    /// acknowledge. The last `Disconnected` inputs arrive meanwhile, if somebody reads them.
    pub async fn close(self) {
        self.shared.begin_close();
        let mut tasks = std::mem::take(&mut *lock(&self.shared.tasks));
        let limit = self.shared.limits.close;
        // A task that has not ended by then is waiting for a driver that does not read.
        let _ = timeout(limit, async { while tasks.join_next().await.is_some() {} }).await;
        tasks.shutdown().await;
        // Peers that do not answer notice by their idle time-out.
        let _ = timeout(limit, self.shared.endpoint.wait_idle()).await;
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.shared.begin_close();
        lock(&self.shared.tasks).abort_all();
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("node", &self.shared.node).field("local", &self.local).finish_non_exhaustive()
    }
}

fn endpoint(
    listen: SocketAddr,
    links: Option<Arc<dyn LinkFilter>>,
    server: quinn::ServerConfig,
    key: &rustls::pki_types::PrivatePkcs8KeyDer<'_>,
) -> io::Result<(Endpoint, SocketAddr)> {
    let runtime = Arc::new(TokioRuntime);
    let socket = UdpSocket::bind(listen)?;
    #[cfg(unix)]
    super::socket::enlarge(&socket);
    let socket = runtime.wrap_udp_socket(socket)?;
    let local = socket.local_addr()?;
    let socket: Arc<dyn AsyncUdpSocket> = match links {
        Some(filter) => Arc::new(FilteredSocket::new(socket, filter)?),
        None => socket,
    };
    // The key for stateless resets (RFC 9000, section 10.3) follows from the identity, so that a restarted node can
    // tell its peers at once that their old connections are gone.
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.secret_pkcs8_der());
    let reset = ring::hmac::sign(&reset, b"forename stateless reset");
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, reset.as_ref());
    let config = EndpointConfig::new(Arc::new(reset));
    Ok((Endpoint::new_with_abstract_socket(config, Some(server), socket, runtime)?, local))
}

/// Controls a transport; cheap to clone. After the transport has ended its methods do nothing.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

/// Counters of a transport since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Messages that were not sent, because there was no connection, no room in the queue, or the message was too long,
    /// and bulk messages that the peer refused.
    pub dropped: u64,
    /// Bytes of messages and snapshots received.
    pub bytes_in: u64,
    /// Bytes of messages and snapshots handed to QUIC.
    pub bytes_out: u64,
}

impl Handle {
    /// Sets the cluster, and its key where known. Without a cluster no connection is accepted and no peer is dialed;
    /// without the key no newcomer is accepted.
    pub fn set_cluster(&self, cluster: ClusterId, key: Option<ClusterKey>) {
        let mut state = self.shared.state();
        let replaced = state.cluster.as_ref().is_some_and(|(_, before)| before.is_some() && *before != key);
        // A reader has no right but its token, which another key makes useless.
        for link in state.links.values().filter(|link| replaced && link.shown.reads) {
            CloseReason::TokenWrong.close(&link.connection);
        }
        state.cluster = Some((cluster, key));
        drop(state);
        self.shared.changes.send_replace(());
    }

    /// Sets exactly the nodes that may connect from now on. `members` are dialed as long as they are in the list,
    /// `former` members are not. Peers in neither list are disconnected. Newcomers that have proved a token may connect
    /// too, except those in `barred`, and so may a newcomer's sponsor.
    pub fn set_peers(&self, members: Vec<Contact>, former: Vec<Contact>, barred: Barred) {
        self.shared.set_peers(members, former, barred);
    }

    /// Accepts everything from a connected peer as from a member, although this node does not know it as one. Before
    /// this call its messages and windows are limited.
    pub fn hear(&self, peer: NodeId) {
        if let Some(link) = self.shared.state().links.get(&peer) {
            link.hear();
        }
    }

    /// Shows this token to every peer that is dialed from now on. For a node that is not a member yet, so that it can
    /// reach the cluster without its sponsor.
    pub fn show_token(&self, token: Option<JoinToken>) {
        self.shared.state().shown = token;
    }

    /// Resolves once members have refused this node for some seconds because a later incarnation of its key, which is a
    /// member, is connected to them: another process goes on as this node.
    pub async fn outlived(&self) {
        self.shared.until(|state| state.outlived).await;
    }

    /// Resolves once the peer is connected, or not connected, as `linked` says.
    pub async fn until_linked(&self, peer: NodeId, linked: bool) {
        self.shared.until(|state| state.is_linked(peer) == linked).await;
    }

    /// Sends a message or drops it, and never waits. Messages of the ordered lane arrive in the order of these calls as
    /// long as the peer stays connected.
    pub fn send(&self, to: NodeId, lane: Lane, message: &Message) {
        let link = self.shared.state().links.get(&to).filter(|link| link.is_up()).cloned();
        let sent = link.is_some_and(|link| match frame(message) {
            Ok(frame) => link.push(lane, frame),
            Err(error) => {
                tracing::warn!(peer = %to, %error, "a message is too long to be sent");
                false
            }
        });
        if !sent {
            Counters::add(&self.shared.counters.dropped, 1);
        }
    }

    /// Streams a snapshot to a connected newcomer. Where it is not connected the channel is closed. Rows are taken from
    /// the channel as fast as the newcomer reads them.
    pub fn send_snapshot(&self, to: NodeId, snapshot: SnapshotId, parts: mpsc::Receiver<SnapshotPart>) {
        let link = self.shared.state().links.get(&to).filter(|link| link.is_up()).cloned();
        if let Some(link) = link {
            self.shared.spawn(link::write_snapshot(Arc::clone(&self.shared), link, snapshot, parts));
        }
    }

    /// Connects, as a newcomer, to a member at one of these addresses with a join token, and keeps trying while the
    /// network fails. The outcome is sent once: the first connection to the sponsor, or an error that trying again
    /// cannot mend. It is never sent where the transport ends or `join` is called again. Each call allows one snapshot
    /// from the sponsor.
    #[must_use]
    pub fn join(&self, addresses: Vec<String>, token: JoinToken) -> oneshot::Receiver<Result<Joined, JoinError>> {
        let (outcome, receiver) = oneshot::channel();
        let mut state = self.shared.state();
        if !state.closing {
            state.sponsor = None;
            let task = self.shared.spawn(dial::join(Arc::clone(&self.shared), addresses, token, outcome));
            if let Some(earlier) = state.join.replace(task) {
                earlier.abort();
            }
        }
        receiver
    }

    /// Returns the addresses of the connected members.
    #[must_use]
    pub fn member_addresses(&self) -> Vec<String> {
        let state = self.shared.state();
        let members = state.peers.iter().filter(|(node, peer)| peer.is_member() && state.is_linked(**node));
        members.map(|(_, peer)| peer.contact.address.clone()).collect()
    }

    /// Returns the ids of the connected peers.
    #[must_use]
    pub fn connected(&self) -> Vec<NodeId> {
        self.shared.state().links.values().filter(|link| link.is_up()).map(|link| link.peer).collect()
    }

    /// Returns the wire versions of this node and of the connected peers, by id.
    #[must_use]
    pub fn wires(&self) -> BTreeMap<NodeId, WireVersion> {
        let state = self.shared.state();
        let peers = state.links.values().filter(|link| link.is_up()).map(|link| (link.peer, link.speaks));
        peers.chain([(self.shared.node, self.shared.wire)]).collect()
    }

    /// Bytes of messages that wait to be sent to the peers that are connected now, by id.
    #[must_use]
    pub fn queued(&self) -> BTreeMap<NodeId, usize> {
        let state = self.shared.state();
        state.links.values().filter(|link| link.is_up()).map(|link| (link.peer, link.queued())).collect()
    }

    /// Returns true where the peer is dialed whenever there is no connection to it.
    #[cfg(test)]
    pub(super) fn dials(&self, peer: NodeId) -> bool {
        self.shared.state().peers.get(&peer).is_some_and(super::state::Peer::is_member)
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        Stats {
            dropped: counters.dropped.load(Ordering::Relaxed),
            bytes_in: counters.bytes_in.load(Ordering::Relaxed),
            bytes_out: counters.bytes_out.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("node", &self.shared.node).finish_non_exhaustive()
    }
}
