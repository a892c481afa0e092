//! The tasks that dial peers and a sponsor, and that accept connections.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError, Incoming, VarInt};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::close::{self, CloseReason};
use super::complaint::{Complaint, Refused};
use super::config::Limits;
use super::hello::{self, HelloError, Introduction, Welcomed};
use super::identity::PublicKey;
use super::lobby::{Caller, Lobby, Place};
use super::probe::web_server_at;
use super::state::{Right, Shared, Sponsor};
use super::tls::SERVER_NAME;
use super::token::JoinToken;
use crate::clock::NodeId;
use crate::model::ClusterId;

/// The reason why a dial failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("the address cannot be looked up: {0}")]
    Lookup(#[from] io::Error),
    #[error("the address stands for nothing that can be reached from here")]
    NoAddress,
    #[error("nothing was heard in time")]
    Silent,
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("it cannot be dialed: {0}")]
    Connect(#[from] quinn::ConnectError),
    #[error("no connection: {0}")]
    Connection(#[from] ConnectionError),
    #[error("the peer refused: {reason}")]
    Refused { code: VarInt, reason: String },
    #[error("refused the peer: {0}")]
    Hello(HelloError),
}

impl DialError {
    /// Returns true where nothing has answered at all.
    fn is_silence(&self) -> bool {
        matches!(self, Self::Silent | Self::Connection(ConnectionError::TimedOut))
    }

    /// Returns true where a later incarnation of this node is connected to the peer and a member.
    fn is_outlived(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if close::is_outlived(*code))
    }

    fn is_duplicate(&self) -> bool {
        match self {
            Self::Refused { code, .. } => close::is_duplicate(*code),
            Self::Hello(HelloError::Refused(reason)) => *reason == CloseReason::Duplicate,
            _ => false,
        }
    }
}

/// Waits between dials. The wait is doubled at each failure up to a cap, and half of it is random, so that nodes which
/// failed together do not dial together.
pub(super) struct Backoff {
    failures: u32,
    first: Duration,
    cap: Duration,
}

impl Backoff {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { failures: 0, first: limits.backoff, cap: limits.backoff_cap }
    }

    pub(super) fn next(&mut self, chance: u64) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(16)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        let share = (chance % 1024) as u32;
        full / 2 + full / 2 * share / 1024
    }

    /// Resets the wait where the connection lasted. A connection that broke at once counts as another failure.
    pub(super) fn ended_after(&mut self, lasted: Duration) {
        if lasted >= self.cap {
            self.failures = 0;
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.next(super::random())).await;
    }
}

/// The pause after a refusal as outlived. Whether it lasts has to be known before a node that starts serves alone. A guess.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

/// Dials a peer whenever there is no connection to it, until the peer is removed.
pub(super) async fn keep_dialing(shared: Arc<Shared>, peer: NodeId) {
    let mut backoff = Backoff::new(&shared.limits);
    let mut complaint = Complaint::default();
    loop {
        shared.until(|state| state.cluster.is_some() && !state.is_linked(peer)).await;
        let Some((address, key)) = address_of(&shared, peer) else { return };
        match dial_peer(&shared, peer, &address, key).await {
            Ok(()) => {
                complaint = Complaint::default();
                let since = Instant::now();
                shared.until(|state| !state.is_linked(peer)).await;
                backoff.ended_after(since.elapsed());
            }
            Err(error) => {
                complaint.about(&shared.label(peer), &address, &error, error.is_duplicate());
                if error.is_outlived() {
                    shared.refused_as_outlived();
                    tokio::time::sleep(ASKED_AGAIN).await;
                    continue;
                }
            }
        }
        backoff.wait().await;
    }
}

fn address_of(shared: &Shared, peer: NodeId) -> Option<(String, PublicKey)> {
    shared.state().peers.get(&peer).map(|peer| (peer.contact.address.clone(), peer.key))
}

async fn dial_peer(shared: &Arc<Shared>, peer: NodeId, address: &str, key: PublicKey) -> Result<(), DialError> {
    let connection = connect(shared, address, Some(key)).await?;
    let (shown, sponsors) = {
        let state = shared.state();
        let sponsor_token = |sponsor: &Sponsor| (sponsor.node == peer).then(|| sponsor.token.clone());
        (state.shown.clone(), state.sponsor.as_ref().and_then(sponsor_token))
    };
    let right = if sponsors.is_some() { Right::Sponsor } else { Right::Member };
    let token = shown.or(sponsors);
    let welcomed = introduce(shared, &connection, Some(peer), token.as_ref()).await?;
    finish(shared, &connection, welcomed, right).await
}

/// Dials the addresses that a host name resolves to, one after the other.
pub(super) async fn connect(
    shared: &Shared,
    address: &str,
    pinned: Option<PublicKey>,
) -> Result<Connection, DialError> {
    let limit = shared.limits.handshake;
    let found = timeout(limit, tokio::net::lookup_host(address)).await.map_err(|_| DialError::Silent)??;
    let mut config = quinn::ClientConfig::new(Arc::new(shared.credentials.client(pinned)?));
    config.transport_config(Arc::clone(&shared.quic));
    let mut failure = DialError::NoAddress;
    for address in found {
        let connecting = match shared.endpoint.connect_with(config.clone(), address, SERVER_NAME) {
            Ok(connecting) => connecting,
            Err(error) => {
                failure = error.into();
                continue;
            }
        };
        match timeout(limit, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => failure = error.into(),
            Err(_) => failure = DialError::Silent,
        }
    }
    Err(failure)
}

/// Does the hello. An error closes the connection; where the peer has closed it, the peer's reason is reported.
pub(super) async fn introduce(
    shared: &Shared,
    connection: &Connection,
    pinned: Option<NodeId>,
    token: Option<&JoinToken>,
) -> Result<Welcomed, DialError> {
    let introduced = timeout(shared.limits.handshake, hello::introduce(shared, connection, pinned, token)).await;
    match introduced {
        Ok(Ok(welcomed)) => Ok(welcomed),
        Ok(Err(error)) => Err(hang_up(connection, error)),
        Err(_) => {
            CloseReason::Violation("no welcome in time".to_owned()).close(connection);
            Err(DialError::Silent)
        }
    }
}

/// Keeps the connection, and tells the peer to keep it.
async fn finish(
    shared: &Arc<Shared>,
    connection: &Connection,
    welcomed: Welcomed,
    right: Right,
) -> Result<(), DialError> {
    if let Err(reason) = shared.keep(connection, welcomed.peer, right) {
        return Err(hang_up(connection, reason.into()));
    }
    welcomed.go().await.map_err(|error| hang_up(connection, error))
}

fn hang_up(connection: &Connection, error: HelloError) -> DialError {
    if let Some(ConnectionError::ApplicationClosed(close)) = connection.close_reason() {
        let reason = String::from_utf8_lossy(&close.reason).into_owned();
        return DialError::Refused { code: close.error_code, reason };
    }
    match &error {
        HelloError::Refused(reason) => reason.close(connection),
        other => CloseReason::Violation(other.to_string()).close(connection),
    }
    DialError::Hello(error)
}

/// The result of a newcomer's first contact with its sponsor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The member that answered.
    pub sponsor: NodeId,
    /// Its public key.
    pub public_key: PublicKey,
    /// The cluster.
    pub cluster: ClusterId,
}

/// The reason why a newcomer is not admitted. It has received nothing of the cluster's state, and has stopped asking.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JoinError {
    /// The member refused.
    #[error("the node at {address} does not let this node in: {reason}")]
    Refused {
        /// The address dialed.
        address: String,
        /// The member's reason, which says what to do.
        reason: String,
    },
    /// The two nodes speak different major versions of the wire format.
    #[error("cannot join through the node at {address}: {reason}")]
    Version {
        /// The address dialed.
        address: String,
        /// The versions of both nodes, and which of them must be upgraded.
        reason: String,
    },
    /// The node at the address does not know the token.
    #[error(
        "the node at {address} could not prove that it belongs to the cluster of the join token; nothing was told to \
         it. Check the address, and that the token was made in that cluster"
    )]
    Impostor {
        /// The address dialed.
        address: String,
    },
    /// Nothing answers over QUIC, but a web server answers over TCP.
    #[error(
        "what answers at {address} is a web server and no forename peer: the HTTP interface of a node, perhaps. Nothing was \
         told to it. Give the address that 'forename serve' prints there after 'peer', by default port 7401; where it is \
         that one, let UDP through to it"
    )]
    NoPeerPort {
        /// The address dialed.
        address: String,
    },
    /// The node at the address cannot be a sponsor.
    #[error("the node at {address} is no node to join through: {reason}; give the address of a member")]
    NoSponsor {
        /// The address dialed.
        address: String,
        /// The reason.
        reason: String,
    },
}

/// Returns the error with which a newcomer gives up; none where it tries again.
fn final_error(address: &str, error: &DialError) -> Option<JoinError> {
    let address = address.to_owned();
    match error {
        DialError::Refused { code, reason } if close::is_version(*code) => {
            Some(JoinError::Version { address, reason: reason.clone() })
        }
        DialError::Hello(HelloError::Refused(reason @ CloseReason::Version { .. })) => {
            Some(JoinError::Version { address, reason: reason.to_string() })
        }
        DialError::Refused { code, reason } if close::is_final_for_a_newcomer(*code) => {
            Some(JoinError::Refused { address, reason: reason.clone() })
        }
        DialError::Hello(HelloError::Refused(CloseReason::Impostor)) => Some(JoinError::Impostor { address }),
        DialError::Hello(HelloError::Refused(CloseReason::Duplicate | CloseReason::Stopping)) => None,
        DialError::Hello(HelloError::Refused(reason)) => {
            Some(JoinError::NoSponsor { address, reason: reason.to_string() })
        }
        _ => None,
    }
}

/// Dials sponsors at these addresses in turn, until one of them is among the peers and is dialed as such. Gives up once
/// all of them have refused for good.
pub(super) async fn join(
    shared: Arc<Shared>,
    addresses: Vec<String>,
    token: JoinToken,
    outcome: oneshot::Sender<Result<Joined, JoinError>>,
) {
    let mut outcome = Some(outcome);
    let mut backoff = Backoff::new(&shared.limits);
    let mut complaint = Complaint::default();
    let mut refusals: BTreeMap<&str, JoinError> = BTreeMap::new();
    for address in addresses.iter().cycle() {
        match dial_sponsor(&shared, address, &token).await {
            Ok(joined) => {
                complaint = Complaint::default();
                if let Some(outcome) = outcome.take() {
                    // The receiver may have been dropped.
                    let _ = outcome.send(Ok(joined));
                }
                let since = Instant::now();
                shared.until(|state| !state.is_linked(joined.sponsor)).await;
                if shared.state().peers.contains_key(&joined.sponsor) {
                    return;
                }
                backoff.ended_after(since.elapsed());
            }
            Err(error) => {
                // After the first contact with the cluster, only the driver decides to give up.
                let mut refusal = final_error(address, &error).filter(|_| outcome.is_some());
                if outcome.is_some() && error.is_silence() && web_server_at(address).await {
                    refusal = Some(JoinError::NoPeerPort { address: address.clone() });
                }
                match refusal {
                    Some(refusal) => drop(refusals.insert(address, refusal)),
                    None => drop(refusals.remove(address.as_str())),
                }
                if addresses.iter().all(|address| refusals.contains_key(address.as_str())) {
                    let first = refusals.into_values().next();
                    let _ = outcome.take().zip(first).map(|(outcome, first)| outcome.send(Err(first)));
                    return;
                }
                complaint.about("", address, &error, error.is_duplicate());
            }
        }
        backoff.wait().await;
    }
}

async fn dial_sponsor(shared: &Arc<Shared>, address: &str, token: &JoinToken) -> Result<Joined, DialError> {
    let connection = connect(shared, address, None).await?;
    let welcomed = introduce(shared, &connection, None, Some(token)).await?;
    let Introduction { node, key, .. } = welcomed.peer;
    let joined = Joined { sponsor: node, public_key: key, cluster: welcomed.cluster };
    shared.state().sponsor = Some(Sponsor { node, token: token.clone() });
    finish(shared, &connection, welcomed, Right::Sponsor).await?;
    Ok(joined)
}

/// Accepts connections until the endpoint is closed.
pub(super) async fn accept(shared: Arc<Shared>) {
    let lobby = Lobby::new(&shared.limits);
    while let Some(incoming) = shared.endpoint.accept().await {
        let caller = Caller {
            proved: incoming.remote_address_validated(),
            member: shared.state().is_members(incoming.remote_address()),
        };
        match lobby.place(caller) {
            // A node that is not in a cluster yet accepts nobody: it has nothing to offer, and cannot tell a member
            // from a stranger.
            Place::Taken(permit) if shared.cluster().is_some() => {
                let task = accept_one(Arc::clone(&shared), incoming);
                shared.spawn(async move {
                    task.await;
                    drop(permit);
                });
            }
            // Dropping the error refuses the connection, where no proof can be demanded.
            Place::Prove => drop(incoming.retry()),
            Place::Taken(_) | Place::Full => incoming.refuse(),
        }
    }
}

async fn accept_one(shared: Arc<Shared>, incoming: Incoming) {
    let from = incoming.remote_address();
    let limit = shared.limits.handshake;
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return complain(&shared, from, &error.to_string()),
    };
    let connection = match timeout(limit, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return complain(&shared, from, &error.to_string()),
        Err(_) => return,
    };
    match timeout(shared.limits.hello, hello::receive(&shared, &connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(HelloError::Refused(reason))) => {
            reason.close(&connection);
            if reason != CloseReason::Duplicate {
                complain(&shared, from, &reason.to_string());
            }
        }
        // The dialer closed the connection, perhaps because it has another one already.
        Ok(Err(HelloError::Lost(_) | HelloError::Deaf(_))) => {}
        Ok(Err(error)) if connection.close_reason().is_none() => {
            CloseReason::Violation(error.to_string()).close(&connection);
            complain(&shared, from, &error.to_string());
        }
        Ok(Err(_)) => {}
        Err(_) => CloseReason::Violation("no hello in time".to_owned()).close(&connection),
    }
}

fn complain(shared: &Shared, from: SocketAddr, reason: &str) {
    match shared.refused(from.ip(), reason) {
        Some(Refused::At(_)) => tracing::info!(%from, reason, "refused a connection"),
        Some(Refused::Still) => {
            tracing::warn!(%from, reason, "refuses connections for a while; look who calls from there, and whether it is a member");
        }
        None => {}
    }
}
