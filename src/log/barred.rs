//! Who is not let in: keys that are banned, and tokens that have let in as many newcomers as they were made for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::NodeId;
use crate::log::op::TokenNonce;

/// What a newcomer comes with: a token that lets in a limited number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pass {
    /// Which token.
    pub nonce: TokenNonce,
    /// How many it lets in, by what its maker said.
    pub uses: u32,
}

/// Who is not let in, as far as a node knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Barred {
    /// The first incarnations of keys that are banned.
    pub keys: BTreeSet<NodeId>,
    /// How many newcomers each token has let in.
    pub spent: BTreeMap<TokenNonce, u32>,
}

impl Barred {
    /// Whether a token has let in as many as it may.
    #[must_use]
    pub fn is_used_up(&self, pass: &Pass) -> bool {
        self.spent.get(&pass.nonce).is_some_and(|spent| *spent >= pass.uses)
    }
}
