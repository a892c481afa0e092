//! Versions of the wire format.
//!
//! * Nodes of different major versions exchange nothing but the refusal. Nodes of one major version connect, whatever
//!   their minor versions are.
//! * A later minor version may have new kinds of messages and new bodies of ops, each at the end of its enum, and
//!   further fields at the end of its hello. Everything else stays the same: the content of messages and ops, the
//!   streams, the frames, the tables of a snapshot.
//! * A node that receives a message which its version does not have ignores the whole message and closes the
//!   connection, with a reason that names both versions. An op cannot be left out of a log, so that log does not arrive
//!   until the node is upgraded. Other logs arrive as before, over the next connection.

use std::fmt;

use serde::Serialize;

use crate::codec;
use crate::replica::Message;

/// Bytes of an encoded version.
pub(super) const BYTES: usize = 4;

/// A version of the wire format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct WireVersion {
    pub(super) major: u16,
    pub(super) minor: u16,
}

impl WireVersion {
    /// The version that this program speaks.
    pub const PRESENT: Self = Self { major: 1, minor: 0 };

    /// Returns true where two nodes can communicate.
    pub(super) fn understands(self, other: Self) -> bool {
        self.major == other.major
    }

    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        let ([a, b], [c, d]) = (self.major.to_be_bytes(), self.minor.to_be_bytes());
        [a, b, c, d]
    }

    pub(super) fn from_bytes([a, b, c, d]: [u8; BYTES]) -> Self {
        Self { major: u16::from_be_bytes([a, b]), minor: u16::from_be_bytes([c, d]) }
    }
}

impl Default for WireVersion {
    fn default() -> Self {
        Self::PRESENT
    }
}

impl fmt::Display for WireVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A message cannot be decoded. Nothing of it was used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error(
        "a message that cannot be read ({error}), from a node that speaks wire version {peer} to one that speaks {ours}: \
         nothing of it was taken, and what the later version added waits. Upgrade forename on the older node"
    )]
    Later { ours: WireVersion, peer: WireVersion, error: codec::DecodeError },
    #[error(transparent)]
    Malformed(#[from] codec::DecodeError),
}

/// Decodes the message in a frame from a peer that speaks some version.
pub(super) fn decode(bytes: &[u8], ours: WireVersion, peer: WireVersion) -> Result<Message, MessageError> {
    codec::decode(bytes).map_err(|error| match peer > ours {
        true => MessageError::Later { ours, peer, error },
        false => MessageError::Malformed(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_put_down_to_a_later_version_or_to_the_peer() {
        let (ours, later) = (WireVersion { major: 1, minor: 0 }, WireVersion { major: 1, minor: 1 });
        let bytes = codec::encode(&Message::Skewed { ahead: 7 });
        for peer in [ours, later] {
            assert_eq!(decode(&bytes, ours, peer), Ok(Message::Skewed { ahead: 7 }));
        }
        let unknown = codec::encode(&(99u32, "whatever"));
        let error = decode(&unknown, ours, later).unwrap_err().to_string();
        for part in ["speaks wire version 1.1 to one that speaks 1.0", "nothing of it was taken", "Upgrade"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(matches!(decode(&unknown, ours, ours), Err(MessageError::Malformed(_))));
        assert!(matches!(decode(&unknown, later, ours), Err(MessageError::Malformed(_))));
    }

    #[test]
    fn a_version_travels_in_four_bytes_and_another_major_is_not_understood() {
        let version = |major, minor| WireVersion { major, minor };
        let odd = version(0x0102, 0x0304);
        assert_eq!((odd.to_bytes(), WireVersion::from_bytes(odd.to_bytes())), ([1, 2, 3, 4], odd));
        assert!(version(1, 0).understands(version(1, 9)) && version(1, 9).understands(version(1, 0)));
        assert!(!version(1, 9).understands(version(2, 0)));
    }
}
