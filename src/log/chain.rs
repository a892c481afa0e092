//! The hash that chains the ops of one log, so that two copies of a log that were continued differently are told apart.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Seq;

/// A hash over a log up to some op: 128 bits of BLAKE3, which are never equal by accident. The default is the hash of
/// the empty log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Chain([u8; 16]);

impl Chain {
    /// The hash of the empty log.
    pub const EMPTY: Self = Self([0; 16]);

    /// Returns the hash of the log after an op with this encoding.
    #[must_use]
    pub fn then(self, encoded: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(encoded);
        let mut hash = [0; 16];
        hasher.finalize_xof().fill(&mut hash);
        Self(hash)
    }
}

/// A hash is serialised as bytes and not as sixteen numbers, which takes several times as long.
impl Serialize for Chain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Hash)
    }
}

/// Takes the bytes of a hash.
struct Hash;

impl Visitor<'_> for Hash {
    type Value = Chain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("16 bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Chain, E> {
        bytes.try_into().map(Chain).map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The prefix of a log that counts, where the log is cut: its last op and its hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Cut {
    /// The number of the last op that counts.
    pub seq: Seq,
    /// The hash of the log up to and with this op.
    pub chain: Chain,
}
