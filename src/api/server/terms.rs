//! What a connection has to keep to, and whose it is.

use std::net::IpAddr;
use std::time::Duration;

/// How many connections there may be, and how long each may stand idle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connections {
    /// At once, of all.
    pub most: usize,
    /// At once, of one address; for IPv6, of one network of 64 bits.
    pub most_of_address: usize,
    /// Until the headers of a request are there, from the connection's beginning or the answer before.
    pub headers_within: Duration,
    /// Until the body of a request is there, but for a batch; there, until the next bytes.
    pub body_within: Duration,
    /// Until a client has taken some bytes of an answer.
    pub answer_taken_within: Duration,
}

impl Default for Connections {
    /// Guesses: proxies keep connections for about a minute, and their pools and a few thousand streams fit in.
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

/// Whom a connection is from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::api) struct Peer(pub(in crate::api) IpAddr);
