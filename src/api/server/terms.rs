//! The limits of connections, and the address that a connection comes from.

use std::net::IpAddr;
use std::time::Duration;

/// The number of connections, and how long each may be idle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connections {
    /// The number of connections that may be open at once.
    pub most: usize,
    /// The number of connections that may be open at once from one address; for IPv6, from one network of 64 bits.
    pub most_of_address: usize,
    /// How long the headers of a request may take, counted from the beginning of the connection or from the answer
    /// before.
    pub headers_within: Duration,
    /// How long the body of a request may take. For a batch this is the time until the next bytes.
    pub body_within: Duration,
    /// How long a client may take to accept some bytes of an answer.
    pub answer_taken_within: Duration,
}

impl Default for Connections {
    /// The values are guesses: proxies keep connections for about a minute, and their pools and a few thousand event
    /// streams fit in.
    fn default() -> Self {
        Self {
            most: 4096,
            most_of_address: 1024,
            headers_within: Duration::from_secs(60),
            body_within: Duration::from_secs(60),
            answer_taken_within: Duration::from_secs(60),
        }
    }
}

/// The address that a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::api) struct Peer(pub(in crate::api) IpAddr);
