//! Settings with which a transport is started, and its limits.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, VarInt};
use tokio::sync::mpsc;

use super::LinkFilter;
use super::identity::Identity;
use super::wire::WireVersion;
use crate::clock::NodeId;
use crate::replica::Input;

/// Bulk messages and snapshots that a peer may send to this node at the same time. A guess: enough to fill a link with
/// small messages, and few enough that each has its own stream window.
const MAX_STREAMS: u32 = 16;
/// Bytes in flight on one stream: 100 ms of 160 Mbit/s, so that a snapshot fills a common WAN link.
const STREAM_WINDOW: u32 = 2 << 20;
/// Bytes in flight on one connection: more than the windows of all streams, so that bulk messages that nobody reads
/// never use up what the ordered stream needs.
const CONNECTION_WINDOW: u32 = (MAX_STREAMS + 2) * STREAM_WINDOW;
/// Bytes that a peer may send before its hello is over. Hellos are far smaller.
const STRANGER_WINDOW: u32 = 16 << 10;
/// The longest frame, and the most bytes in flight, from a peer that is not a member. It fits a joining request in a
/// cluster of a thousand nodes.
pub(super) const NEWCOMER_FRAME: usize = 256 << 10;
/// Streams that such a peer may have open: the ordered one, and one more.
const NEWCOMER_STREAMS: u32 = 2;
/// Bytes of a snapshot in flight to such a peer; unacknowledged bytes are kept in memory.
const NEWCOMER_SEND_WINDOW: u32 = 2 * STREAM_WINDOW;
/// The round trip that is assumed until one is measured. The first packet to a peer is sent again after three times this,
/// and then after twice as long each time, so that a link that has healed is mostly in use again within a second. Where a
/// round trip takes longer than those 300 ms, the first packets go twice. A guess: few are so long.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);

/// Flow control limits of a connection.
pub(super) struct Windows {
    /// Bytes in flight from the peer.
    pub(super) receive: u32,
    /// Bytes in flight to the peer.
    pub(super) send: u32,
    /// Streams that the peer may have open.
    pub(super) streams: u32,
}

impl Windows {
    /// The limits for a member.
    pub(super) const MEMBER: Self = Self { receive: CONNECTION_WINDOW, send: CONNECTION_WINDOW, streams: MAX_STREAMS };
    /// The limits for a peer that is not a member.
    pub(super) const NEWCOMER: Self =
        Self { receive: NEWCOMER_FRAME as u32, send: NEWCOMER_SEND_WINDOW, streams: NEWCOMER_STREAMS };

    pub(super) fn apply(&self, connection: &quinn::Connection) {
        connection.set_receive_window(self.receive.into());
        connection.set_send_window(self.send.into());
        connection.set_max_concurrent_uni_streams(self.streams.into());
    }
}

/// Settings with which a transport is started.
#[derive(Debug)]
pub struct TransportConfig {
    /// The node's key pair.
    pub identity: Identity,
    /// The node's id: an incarnation of that key.
    pub node: NodeId,
    /// The address to listen at; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The wire version to speak: the present one, or an older minor.
    pub wire: WireVersion,
    /// A filter that can cut links, for tests and demonstrations; none in production.
    pub links: Option<Arc<dyn LinkFilter>>,
    /// The channel for everything that happens. Where it is full the transport waits, and so slows the peers down.
    pub inputs: mpsc::Sender<Input>,
    /// Limits and time-outs.
    pub limits: Limits,
}

/// The limit of a queue: what may wait for one peer on one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimit {
    /// Number of messages.
    pub frames: usize,
    /// Total bytes of the messages.
    pub bytes: usize,
}

/// Limits and time-outs of a transport.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Limit of the ordered lane. A guess: a second of ops on a busy node.
    pub ordered: QueueLimit,
    /// Limit of the bulk lane. A guess: two of the longest messages.
    pub bulk: QueueLimit,
    /// Interval of probes on an idle connection, which also keep a NAT's mapping open. When the cluster is idle,
    /// promises are sent once a second too.
    pub keep_alive: Duration,
    /// A connection on which nothing arrives for this long is closed. It is longer than several probes, in case they
    /// are lost, and short enough for a person who watches, since the last probe may restart the time-out. The only
    /// consequence is a reconnect.
    pub idle_timeout: Duration,
    /// Time limit for each of: resolving an address, a handshake, and the hello of a dialed node. A guess, generous for
    /// a satellite link.
    pub handshake: Duration,
    /// The first wait before dialing again; doubled at each failure, with jitter.
    pub backoff: Duration,
    /// The longest wait before dialing again, so that a healed link is used within seconds. A guess.
    pub backoff_cap: Duration,
    /// Time limit for the hello of a node that has connected. A guess: a round trip by satellite and some more.
    pub hello: Duration,
    /// Connections that may be in their handshake or hello at once. A guess: all members of a large cluster, and few
    /// enough that strangers cost little.
    pub handshakes: usize,
    /// Further such connections from the addresses of members. A guess: all members of a common cluster.
    pub handshakes_of_members: usize,
    /// The number of handshakes a second without a proof of the address, and of those with strangers that have proved theirs,
    /// and how many of them may come at once. A handshake takes some 0.3 ms of the driver's thread. Guesses: a twentieth of
    /// that thread for each, and all places twice.
    pub handshake_rate: NonZeroU32,
    /// See `handshake_rate`.
    pub handshake_burst: NonZeroU32,
    /// How long closing waits for the tasks and for the peers' acknowledgement. A guess.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ordered: QueueLimit { frames: 4096, bytes: 16 << 20 },
            bulk: QueueLimit { frames: 256, bytes: 32 << 20 },
            keep_alive: Duration::from_millis(600),
            idle_timeout: Duration::from_secs(3),
            handshake: Duration::from_secs(5),
            hello: Duration::from_secs(2),
            backoff: Duration::from_millis(50),
            backoff_cap: Duration::from_secs(1),
            handshakes: 128,
            handshakes_of_members: 32,
            handshake_rate: const { NonZeroU32::new(150).expect("it is not 0") },
            handshake_burst: const { NonZeroU32::new(256).expect("it is not 0") },
            close: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// Returns the parameters of every connection in both directions. Until the hello is over they are those for a
    /// stranger.
    pub(super) fn quic(&self) -> quinn::TransportConfig {
        let mut quic = quinn::TransportConfig::default();
        let idle = IdleTimeout::try_from(self.idle_timeout).unwrap_or_else(|_| VarInt::MAX.into());
        quic.max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(self.keep_alive))
            .initial_rtt(FIRST_ROUND_TRIP)
            .max_concurrent_bidi_streams(1u32.into())
            .max_concurrent_uni_streams(0u32.into())
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(STRANGER_WINDOW.into())
            .send_window(CONNECTION_WINDOW.into())
            .datagram_receive_buffer_size(None);
        quic
    }
}

/// The reason why a transport cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The transport cannot listen at the address.
    #[error("cannot listen for peers at {listen} (UDP): {source}; choose another address or stop what uses it")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The node id does not follow from the key.
    #[error("node id {0} does not follow from the identity's key; use the data directory that belongs to the node")]
    NotOurs(NodeId),
    /// No certificate or TLS configuration can be made from the key.
    #[error("the identity cannot be used for TLS: {0}; if its file is sound, this is a bug")]
    Tls(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_peer_is_noticed_within_five_seconds_and_a_lost_probe_is_none() {
        let limits = Limits::default();
        // The last probe, which gets no answer, restarts the time-out.
        assert!(limits.keep_alive + limits.idle_timeout < Duration::from_secs(5));
        assert!(limits.keep_alive * 4 < limits.idle_timeout);
    }
}
