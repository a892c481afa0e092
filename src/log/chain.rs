//! The hash that chains the ops of one log, so that two copies of a log which were continued apart are told apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Seq;

/// A hash over a log up to some op: 128 bits of BLAKE3, which no accident makes equal. The default is that of the empty
/// log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Chain([u8; 16]);

impl Chain {
    /// That of the empty log.
    pub const EMPTY: Self = Self([0; 16]);

    /// The hash of the log that goes on with an op of this encoding.
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

/// Where a log ends that counts no further: how many of its ops count, and their hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Cut {
    /// The last op that counts.
    pub seq: Seq,
    /// The hash of the log up to and with it.
    pub chain: Chain,
}
