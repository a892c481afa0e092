//! The keys and tokens that admit nobody: banned keys, and tokens that have admitted as many newcomers as they were
//! made for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::NodeId;
use crate::log::op::TokenNonce;

/// A join token that admits a limited number of newcomers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pass {
    /// The random number that identifies the token.
    pub nonce: TokenNonce,
    /// How many newcomers it admits, as its maker decided.
    pub uses: u32,
}

/// The keys and tokens that admit nobody, as far as a node knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Barred {
    /// The first incarnations of keys that are banned.
    pub keys: BTreeSet<NodeId>,
    /// How many newcomers each token has admitted.
    pub spent: BTreeMap<TokenNonce, u32>,
}

impl Barred {
    /// Returns true where a token has admitted as many newcomers as it may.
    #[must_use]
    pub fn is_used_up(&self, pass: &Pass) -> bool {
        self.spent.get(&pass.nonce).is_some_and(|spent| *spent >= pass.uses)
    }
}
