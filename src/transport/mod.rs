//! QUIC between nodes.

use std::net::SocketAddr;

/// Decides which datagrams pass: for demonstrations and tests that cut links between nodes of one process.
pub trait LinkFilter: Send + Sync + std::fmt::Debug {
    /// Whether a datagram between these two addresses passes; asked when one is sent and when one arrives.
    fn passes(&self, local: SocketAddr, remote: SocketAddr) -> bool;
}
