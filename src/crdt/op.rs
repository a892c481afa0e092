//! What nodes tell each other about names. The log carries it, and does not look into it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Hlc, Stamp};
use crate::name::Rules;

/// What an op says about names. New ones are added at the end: the encoding counts them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NameOp {
    /// Claims names.
    Register(Register),
    /// Makes a reservation permanent.
    Activate {
        /// The reservation.
        registration: Stamp,
    },
    /// Ends a claim.
    Release(ClaimRef),
    /// Gives a namespace its rules. Of several the one with the greatest stamp stands.
    Namespace {
        /// The namespace.
        namespace: String,
        /// Its rules from now on.
        rules: Box<Rules>,
    },
    /// Lets a reservation last longer.
    Extend {
        /// The reservation.
        registration: Stamp,
        /// When it ends now, where this comes before its end and is later.
        expires: Hlc,
    },
    /// Ends all claims of a registration, and takes its owner, its names and its metadata from all nodes once that is
    /// final.
    Erase {
        /// The registration.
        registration: Stamp,
    },
}

impl NameOp {
    /// Its encoded size, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Register(register) => {
                let claims =
                    register.claims.iter().map(|claim| claim.namespace.len() + claim.key.len() + claim.name.len() + 24);
                register.owner.len() + register.metadata.as_ref().map_or(0, String::len) + claims.sum::<usize>()
            }
            Self::Namespace { namespace, rules } => {
                let reserved = rules.reserved_sizes().map(|(key, name)| key + name + 2);
                namespace.len() + reserved.sum::<usize>()
            }
            Self::Activate { .. } | Self::Release(_) | Self::Extend { .. } | Self::Erase { .. } => 0,
        }
    }
}

/// A registration as it travels: all of its claims or none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Register {
    /// The id that the client chose; none where the accepting node made it from the stamp.
    pub id: Option<Uuid>,
    /// The application's word for who holds the names.
    pub owner: String,
    /// The names; no two of one key.
    pub claims: Vec<Claim>,
    /// Where it is a reservation: when it ends unless it is activated before.
    pub expires: Option<Hlc>,
    /// The claim that ends when this registration is confirmed (rename).
    pub replaces: Option<ClaimRef>,
    /// The application's JSON object, kept as text.
    pub metadata: Option<String>,
    /// Where it is issued anew, because an eviction made its first op void: when it was accepted.
    pub accepted: Option<Hlc>,
}

/// One name of a registration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The namespace.
    pub namespace: String,
    /// The canonical form, or what stands for it in a private namespace, computed once by the accepting node.
    pub key: String,
    /// The name as typed; empty in a private namespace.
    pub name: String,
    /// The claim whose tenure this one follows; none for a name never held.
    pub after: Option<Stamp>,
}

/// Points at one claim.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ClaimRef {
    /// The claim's registration.
    pub registration: Stamp,
    /// Its namespace.
    pub namespace: String,
    /// Its key.
    pub key: String,
}
