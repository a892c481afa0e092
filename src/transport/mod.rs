//! QUIC between nodes.
//!
//! One connection for each pair of peers, dialed by whichever comes first, over TLS 1.3 with both keys pinned to the
//! membership. What a node is told to say it says at once or not at all: queues are bounded, and what does not fit is
//! left to anti-entropy. What arrives goes to the driver's inbox, whose bound is the only backpressure.
//!
//! | module | what |
//! | --- | --- |
//! | `config` | how a transport is started, its limits |
//! | `handle` | what the driver calls |
//! | `state` | who may connect, which connections stand, and which of two is kept |
//! | `identity`, `tls` | a node's key, certificates, pinning |
//! | `token` | join tokens and their proof |
//! | `wire` | the version of what is said, and who knows which messages |
//! | `hello` | the first words on a connection, both sides |
//! | `dial`, `probe` | the tasks that dial peers and a sponsor, and accept others; what is at an address that does not answer |
//! | `lobby` | the places for connections whose peers have not said who they are |
//! | `link` | an established connection: its streams in and out |
//! | `frame`, `outbox`, `close`, `socket` | frames, queues, reasons for closing, links that can be cut |
//!
//! # Invariants
//!
//! * Nothing but a version is read from, and nothing but one is told to, a node of another major wire version.
//! * Nothing but a bounded hello is read from, and nothing of the cluster is told to, a connection whose key is not
//!   pinned or whose token is not proved.
//! * Whoever is no member may have 256 KiB and two streams under way, and nothing longer is read, until the membership has
//!   it, or the replica says that it is to be heard.
//! * `Connected` and `Disconnected` of one peer alternate, and whatever came from the peer lies between them.
//! * Of two connections between the same nodes the node with the lesser id keeps the one it knew first; the other
//!   node follows. So none is closed on one side and kept on the other.
//! * Of the incarnations of one key only the latest is connected. An evicted one is let in, so that it hears of it, and
//!   is never dialed.

mod close;
mod complaint;
mod config;
mod dial;
mod frame;
mod handle;
mod hello;
mod identity;
mod link;
mod lobby;
mod outbox;
mod probe;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod wire;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;

pub use config::{Limits, QueueLimit, TransportConfig, TransportError};
pub use dial::{JoinError, Joined};
pub use handle::{Handle, Stats, Transport};
pub use identity::{Identity, IdentityError, PublicKey, node_id};
pub use socket::Cuts;
pub use token::{ClusterKey, JoinToken, TokenError, TokenId};
pub use wire::WireVersion;

/// Decides which datagrams pass: for demonstrations and tests that cut links between nodes of one process.
pub trait LinkFilter: Send + Sync + std::fmt::Debug {
    /// Whether a datagram from one address to the other passes; asked when one is sent and when one arrives. Of the
    /// two, the node's own address is the one it listens at.
    fn passes(&self, from: SocketAddr, to: SocketAddr) -> bool;
}

/// The state behind these locks is valid after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock, for the expiry of tokens.
fn now() -> Millis {
    #[expect(clippy::disallowed_methods, reason = "the transport is no pure part; a token's expiry is wall-clock time")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// For jitter and to tell one process from the next: nothing secret hangs on it, so a failing source yields 0.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes) {
        Ok(()) => u64::from_be_bytes(bytes),
        Err(_) => 0,
    }
}
