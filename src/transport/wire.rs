//! The version of what nodes say to each other.
//!
//! * Nodes of different majors exchange nothing but the refusal. Nodes of one major connect, whatever their minors are.
//! * A later minor may have new kinds of messages and new bodies of ops, each at its enum's end, and may say more at the end of
//!   its hello. Everything else stays as it is: what a message or an op holds, the streams, the frames, the tables of a snapshot.
//! * Whoever is sent what its version does not have takes nothing of that message and closes the connection, in words that
//!   name both versions. An op cannot be left out of a log, so all of that log waits for the node to be upgraded; other logs
//!   reach it as before, with the next connection.

use std::fmt;

use serde::Serialize;

use crate::codec;
use crate::replica::Message;

/// Bytes of a version on the wire.
pub(super) const BYTES: usize = 4;

/// A version of the wire format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct WireVersion {
    pub(super) major: u16,
    pub(super) minor: u16,
}

impl WireVersion {
    /// What this program speaks.
    pub const PRESENT: Self = Self { major: 1, minor: 0 };

    /// Whether two nodes can speak to each other.
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

/// A message that cannot be read. Nothing of it was taken.
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

/// The message in a frame of a peer that speaks some version.
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
