//! Ops about names. The log carries them as opaque bodies.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::webhook::Hook;
use crate::clock::{Hlc, Stamp};
use crate::name::Rules;

/// An op about names. New variants are added at the end, because the encoding numbers them by position.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum NameOp {
    /// Claims names. All who hold the op share it.
    Register(Arc<Register>),
    /// Makes a reservation permanent.
    Activate {
        /// The reservation.
        registration: Stamp,
    },
    /// Ends a claim.
    Release(ClaimRef),
    /// Sets the rules of a namespace. Of several such ops the one with the greatest stamp counts.
    Namespace {
        /// The namespace's name.
        namespace: String,
        /// The new rules, in full.
        rules: Box<Rules>,
    },
    /// Extends a reservation.
    Extend {
        /// The reservation.
        registration: Stamp,
        /// The new end. It counts only where this op's timestamp is below the old end, and the new end is later.
        expires: Hlc,
    },
    /// Ends all claims of a registration. Once this is final, every node removes its owner, names and metadata.
    Erase {
        /// The registration.
        registration: Stamp,
    },
    /// Sets a webhook, or removes it. Of several such ops the one with the greatest stamp counts.
    Webhook {
        /// The webhook's id.
        id: Uuid,
        /// The webhook, in full; none removes it.
        hook: Option<Box<Hook>>,
    },
    /// Stops one version of a webhook. It counts only as long as no other op has set the webhook since.
    StopWebhook {
        /// The webhook's id.
        id: Uuid,
        /// The stamp of the op that set the version which is stopped.
        version: Stamp,
    },
}

/// A registration as it is sent to other nodes. It gets all of its names or none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Register {
    /// The id that the client chose; none where the accepting node made it from the stamp.
    pub id: Option<Uuid>,
    /// The application's identifier for the holder of the names, such as a user id.
    pub owner: String,
    /// The claimed names; no two have the same namespace and key.
    pub claims: Vec<Claim>,
    /// The end of a reservation, unless it is activated before; none for a permanent registration.
    pub expires: Option<Hlc>,
    /// The claim that ends when this registration is confirmed (a rename).
    pub replaces: Option<ClaimRef>,
    /// The application's JSON object, kept as text.
    pub metadata: Option<String>,
    /// The time of the first acceptance, where an eviction made the first op void and the registration is issued anew.
    pub accepted: Option<Hlc>,
}

/// One name of a registration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The namespace of the name.
    pub namespace: String,
    /// The canonical form, computed once by the accepting node; in a private namespace its keyed hash.
    pub key: String,
    /// The name as typed; empty in a private namespace.
    pub name: String,
    /// The claim whose tenure this one follows; none for a name never held.
    pub after: Option<Stamp>,
}

/// A reference to one claim.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ClaimRef {
    /// The claim's registration.
    pub registration: Stamp,
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's key.
    pub key: String,
}
