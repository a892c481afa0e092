//! How a transport is started, and its limits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, VarInt};
use tokio::sync::mpsc;

use super::LinkFilter;
use super::identity::Identity;
use super::wire::WireVersion;
use crate::clock::NodeId;
use crate::replica::Input;

/// Bulk messages and snapshots that a peer may have under way to us at once. A guess: enough to fill a link with
/// small messages, and few enough that each has its own stream window.
const MAX_STREAMS: u32 = 16;
/// Bytes in flight on one stream: 100 ms of 160 Mbit/s, so that a snapshot fills a common WAN link.
const STREAM_WINDOW: u32 = 2 << 20;
/// Bytes in flight on one connection: every stream's window and then some, so that bulk which nobody reads never uses
/// up what the ordered stream needs.
const CONNECTION_WINDOW: u32 = (MAX_STREAMS + 2) * STREAM_WINDOW;
/// Bytes that whoever has not yet been let in may send: hellos are far smaller.
const STRANGER_WINDOW: u32 = 16 << 10;
/// The longest frame that is read of a peer that is no member, and the bytes in flight from it: what it says about its
/// joining, in a cluster of a thousand nodes.
pub(super) const NEWCOMER_FRAME: usize = 256 << 10;
/// Streams that such a peer may have open: the ordered one, and one to begin a snapshot anew beside it.
const NEWCOMER_STREAMS: u32 = 2;
/// Bytes of a snapshot that may be under way to such a peer: what it does not acknowledge is kept.
const NEWCOMER_SEND_WINDOW: u32 = 2 * STREAM_WINDOW;

/// What may be under way on a connection.
pub(super) struct Windows {
    /// Bytes to us.
    pub(super) receive: u32,
    /// Bytes from us.
    pub(super) send: u32,
    /// Streams to us.
    pub(super) streams: u32,
}

impl Windows {
    /// Of a member's connection.
    pub(super) const MEMBER: Self = Self { receive: CONNECTION_WINDOW, send: CONNECTION_WINDOW, streams: MAX_STREAMS };
    /// Of that of somebody who is none.
    pub(super) const NEWCOMER: Self =
        Self { receive: NEWCOMER_FRAME as u32, send: NEWCOMER_SEND_WINDOW, streams: NEWCOMER_STREAMS };

    pub(super) fn apply(&self, connection: &quinn::Connection) {
        connection.set_receive_window(self.receive.into());
        connection.set_send_window(self.send.into());
        connection.set_max_concurrent_uni_streams(self.streams.into());
    }
}

/// How a transport is started.
#[derive(Debug)]
pub struct TransportConfig {
    /// The node's key.
    pub identity: Identity,
    /// The node's id, an incarnation of that key.
    pub node: NodeId,
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// What it speaks: the present version, or an older minor.
    pub wire: WireVersion,
    /// Cuts links; none in earnest.
    pub links: Option<Arc<dyn LinkFilter>>,
    /// Where everything goes that happens. It is waited for when full, and with it the peers.
    pub inputs: mpsc::Sender<Input>,
    /// Sizes and times.
    pub limits: Limits,
}

/// How much may wait for one peer on one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimit {
    /// Messages.
    pub frames: usize,
    /// Bytes.
    pub bytes: usize,
}

/// Sizes and times of a transport.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// What may wait on the ordered lane. A guess: a second of ops on a busy node.
    pub ordered: QueueLimit,
    /// What may wait on the bulk lane. A guess: two of the longest messages.
    pub bulk: QueueLimit,
    /// An idle connection is probed this often, which also keeps a NAT's mapping. Promises idle at once a second too.
    pub keep_alive: Duration,
    /// A peer that is not heard of for so long is gone: several probes lost in a row, and soon enough for a person who
    /// watches, because the last probe may begin the time anew. Nothing but reconnecting hangs on it.
    pub idle_timeout: Duration,
    /// An address is found, a handshake is done, and a dialed node is heard within this each. A guess, generous for a satellite.
    pub handshake: Duration,
    /// The first wait before dialing again; doubled at each failure, with jitter.
    pub backoff: Duration,
    /// The longest wait: a healed link is used within seconds. A guess.
    pub backoff_cap: Duration,
    /// Whoever has connected says who it is within this. A round trip by satellite and then some.
    pub hello: Duration,
    /// Connections that may be in their handshake at once. A guess: all members of a large cluster, and few enough that
    /// strangers cost little.
    pub handshakes: usize,
    /// How many more of them there may be from where members are reached. A guess: all members of a common cluster.
    pub handshakes_of_members: usize,
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
            backoff_cap: Duration::from_secs(2),
            handshakes: 128,
            handshakes_of_members: 32,
            close: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// The parameters of every connection, both ways. They are a stranger's until the hello is over.
    pub(super) fn quic(&self) -> quinn::TransportConfig {
        let mut quic = quinn::TransportConfig::default();
        let idle = IdleTimeout::try_from(self.idle_timeout).unwrap_or_else(|_| VarInt::MAX.into());
        quic.max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(self.keep_alive))
            .max_concurrent_bidi_streams(1u32.into())
            .max_concurrent_uni_streams(0u32.into())
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(STRANGER_WINDOW.into())
            .send_window(CONNECTION_WINDOW.into())
            .datagram_receive_buffer_size(None);
        quic
    }
}

/// Why a transport does not start.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address cannot be listened at.
    #[error("cannot listen for peers at {listen} (UDP): {source}; choose another address or stop what uses it")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The node id is not one of the key's.
    #[error("node id {0} does not follow from the identity's key; use the data directory that belongs to the node")]
    NotOurs(NodeId),
    /// No certificate or TLS configuration could be made from the key.
    #[error("the identity cannot be used for TLS: {0}; if its file is sound, this is a bug")]
    Tls(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_peer_is_noticed_within_five_seconds_and_a_lost_probe_is_none() {
        let limits = Limits::default();
        // The last probe, which is sent into the void, begins the time anew.
        assert!(limits.keep_alive + limits.idle_timeout < Duration::from_secs(5));
        assert!(limits.keep_alive * 4 < limits.idle_timeout);
    }
}
