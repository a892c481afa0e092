//! QUIC between nodes.
//!
//! There is one connection for each pair of peers, dialed by whichever node comes first, over TLS 1.3 with both keys
//! pinned to the membership. A message is sent at once or dropped: queues are bounded, and anti-entropy makes up for
//! what does not fit. Received messages go to the driver's inbox, whose bound is the only backpressure.
//!
//! | module | what |
//! | --- | --- |
//! | `config` | settings and limits of a transport |
//! | `handle` | the interface for the driver |
//! | `state` | who may connect, which connections stand, and which of two is kept |
//! | `identity`, `tls` | a node's key, certificates, pinning |
//! | `token` | join tokens and their proof |
//! | `wire` | wire versions, and what a later minor may add |
//! | `hello` | the hello of both sides on a new connection |
//! | `dial`, `probe` | the tasks that dial and accept; finding out what is at an address that does not answer |
//! | `lobby` | places for connections whose hello is not over |
//! | `link` | an established connection and its streams |
//! | `frame`, `outbox`, `close`, `socket` | frames, queues, reasons for closing, links that can be cut |
//!
//! # Invariants
//!
//! * With a node of another major wire version nothing is exchanged but versions and the refusal.
//! * From a connection whose key is not pinned and whose token is not proved, nothing is read but a bounded hello, and
//!   nothing about the cluster is sent to it.
//! * A peer that is not a member may have 256 KiB in flight and two streams open, and longer frames are not read, until
//!   it is in the membership or the replica accepts it as a member.
//! * `Connected` and `Disconnected` of one peer alternate, and all input from the peer lies between them.
//! * Of two connections between the same nodes, the node with the lesser id keeps the one that it knew first, and the
//!   other node follows. So no connection is closed on one side and kept on the other.
//! * Of the incarnations of one key only the latest is connected. An evicted one may connect, so that it learns of its
//!   eviction, but is never dialed.

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

/// Decides which datagrams pass, for demonstrations and tests that cut links between nodes of one process.
pub trait LinkFilter: Send + Sync + std::fmt::Debug {
    /// Returns true where a datagram from one address to the other passes. It is called when a datagram is sent and
    /// when one arrives. The node's own address in it is the one that the node listens at.
    fn passes(&self, from: SocketAddr, to: SocketAddr) -> bool;
}

/// Locks a mutex. The state behind these locks is valid after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the wall clock, for the expiry of tokens.
fn now() -> Millis {
    #[expect(clippy::disallowed_methods, reason = "the transport is no pure part; a token's expiry is wall-clock time")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Returns a random number, for jitter and to tell one process from the next. It need not be secret, so a failing
/// source yields 0.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes) {
        Ok(()) => u64::from_be_bytes(bytes),
        Err(_) => 0,
    }
}
