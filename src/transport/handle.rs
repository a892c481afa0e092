//! What the driver calls.

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

/// A running transport. Dropping it ends everything at once; [`Transport::close`] does so in good order.
pub struct Transport {
    shared: Arc<Shared>,
    local: SocketAddr,
}

impl Transport {
    /// Listens and is ready to be told who the peers are. To be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`TransportError`]; nothing runs then.
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

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// To tell it things.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Goes on as another incarnation of the same key, at the same address: all connections are closed and nobody is
    /// known any more. What happens from now on goes to `inputs`; handles from before do nothing.
    ///
    /// # Errors
    /// The id is not one of the key's; nothing was changed.
    pub async fn reincarnate(&mut self, node: NodeId, inputs: mpsc::Sender<Input>) -> Result<(), TransportError> {
        if node.key_part() != self.shared.node.key_part() {
            return Err(TransportError::NotOurs(node));
        }
        self.shared.end_life().await;
        self.shared = Arc::new(self.shared.next_life(node, inputs));
        self.shared.spawn(dial::accept(Arc::clone(&self.shared)));
        Ok(())
    }

    /// Closes every connection, tells the peers why, and waits for both a bounded time. The last `Disconnected` come
    /// meanwhile, if somebody reads them.
    pub async fn close(self) {
        self.shared.begin_close();
        let mut tasks = std::mem::take(&mut *lock(&self.shared.tasks));
        let limit = self.shared.limits.close;
        // What has not ended by then is waiting for a driver that does not read.
        let _ = timeout(limit, async { while tasks.join_next().await.is_some() {} }).await;
        tasks.shutdown().await;
        // Peers that do not answer find out by their idle time-out.
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
    let socket = runtime.wrap_udp_socket(UdpSocket::bind(listen)?)?;
    let local = socket.local_addr()?;
    let socket: Arc<dyn AsyncUdpSocket> = match links {
        Some(filter) => Arc::new(FilteredSocket::new(socket, filter)?),
        None => socket,
    };
    // The key for stateless resets (RFC 9000, section 10.3) follows from the identity, so that a node which comes back
    // can tell its peers at once that their old connections are gone.
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.secret_pkcs8_der());
    let reset = ring::hmac::sign(&reset, b"forename stateless reset");
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, reset.as_ref());
    let config = EndpointConfig::new(Arc::new(reset));
    Ok((Endpoint::new_with_abstract_socket(config, Some(server), socket, runtime)?, local))
}

/// Tells a transport what to do; cheap to clone. After the transport has ended it does nothing.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

/// What a transport has done since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Messages that were not sent: no connection, no room in its queue, or a peer whose version does not know them.
    pub dropped: u64,
    /// Bytes of messages and snapshots received.
    pub bytes_in: u64,
    /// Bytes of messages and snapshots handed to QUIC.
    pub bytes_out: u64,
}

impl Handle {
    /// Names the cluster, and its key where known; without the key no newcomer is let in. Before this nobody is let in
    /// and no peer is dialed.
    pub fn set_cluster(&self, cluster: ClusterId, key: Option<ClusterKey>) {
        self.shared.state().cluster = Some((cluster, key));
        self.shared.changes.send_replace(());
    }

    /// Exactly these may connect from now on; `members` are dialed for as long as they are in the list, `former` ones
    /// are not. Those in neither are disconnected. Newcomers that have proved a token, and a newcomer's sponsor, may
    /// stay beside them; of newcomers the `barred` are refused.
    pub fn set_peers(&self, members: Vec<Contact>, former: Vec<Contact>, barred: Barred) {
        self.shared.set_peers(members, former, barred);
    }

    /// A peer that is connected is to be heard as a member is, though it is none by all that this node knows. Until then
    /// little is taken of it at a time, and nothing long.
    pub fn hear(&self, peer: NodeId) {
        if let Some(link) = self.shared.state().links.get(&peer) {
            link.hear();
        }
    }

    /// Shows this token to every peer that is dialed from now on: for a node that is no member yet, so that its way in
    /// does not hang on its sponsor alone.
    pub fn show_token(&self, token: Option<JoinToken>) {
        self.shared.state().shown = token;
    }

    /// Resolves once there is a connection to the peer, or none, as `linked` says.
    pub async fn until_linked(&self, peer: NodeId, linked: bool) {
        self.shared.until(|state| state.is_linked(peer) == linked).await;
    }

    /// Sends a message or drops it; never waits. Messages of the ordered lane arrive in the order of these calls as long as
    /// the peer stays connected.
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

    /// Streams a snapshot to a newcomer that is connected; where it is not, the channel is closed. Rows are taken from
    /// the channel as fast as the newcomer takes them.
    pub fn send_snapshot(&self, to: NodeId, snapshot: SnapshotId, parts: mpsc::Receiver<SnapshotPart>) {
        let link = self.shared.state().links.get(&to).filter(|link| link.is_up()).cloned();
        if let Some(link) = link {
            self.shared.spawn(link::write_snapshot(Arc::clone(&self.shared), link, snapshot, parts));
        }
    }

    /// Connects, as a newcomer, to a member at one of these addresses with a join token, and goes on trying while the network
    /// fails. The outcome comes once: the first connection to the sponsor, or an error that trying again cannot mend.
    /// It is never sent where the transport ends or another call of this takes over. One snapshot is taken from the
    /// sponsor after each call.
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

    /// Where the members that are connected now are reached.
    #[must_use]
    pub fn member_addresses(&self) -> Vec<String> {
        let state = self.shared.state();
        let members = state.peers.iter().filter(|(node, peer)| peer.is_member() && state.is_linked(**node));
        members.map(|(_, peer)| peer.contact.address.clone()).collect()
    }

    /// The peers that are connected now, by id.
    #[must_use]
    pub fn connected(&self) -> Vec<NodeId> {
        self.shared.state().links.values().filter(|link| link.is_up()).map(|link| link.peer).collect()
    }

    /// What this node and the peers that are connected now speak, by id.
    #[must_use]
    pub fn wires(&self) -> BTreeMap<NodeId, WireVersion> {
        let state = self.shared.state();
        let peers = state.links.values().filter(|link| link.is_up()).map(|link| (link.peer, link.speaks));
        peers.chain([(self.shared.node, self.shared.wire)]).collect()
    }

    /// Whether the peer is dialed whenever there is no connection to it.
    #[cfg(test)]
    pub(super) fn dials(&self, peer: NodeId) -> bool {
        self.shared.state().peers.get(&peer).is_some_and(super::state::Peer::is_member)
    }

    /// Counters, for the status.
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
