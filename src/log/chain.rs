//! The hash that chains the ops of one log, so that two copies of a log that were continued differently are told apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Seq;

/// A hash over a log up to some op: 128 bits of BLAKE3, which are never equal by accident. The default is the hash of
/// the empty log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
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
