//! Webhooks: where a cluster delivers its events to. Which ones exist is replicated like the rules of namespaces.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Millis, Stamp};
use crate::model::{EventType, Seq};
use crate::store::Store;
use crate::store::schema::{self, Rows};

/// The key with which deliveries are signed (HMAC-SHA256). Its debug output does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSecret(pub [u8; 32]);

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret(…)")
    }
}

/// A webhook as an op sets it, in full.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hook {
    /// Where events are posted to.
    pub url: String,
    /// True where each node delivers all events; false where a node delivers those of the registrations that it accepted.
    pub all: bool,
    /// Only these types of event; an empty list means all.
    pub types: Vec<EventType>,
    /// False where nothing is delivered for now.
    pub active: bool,
    /// The present secret.
    pub secret: HookSecret,
    /// The secret before it, with which deliveries are signed as well until this time.
    pub previous: Option<(HookSecret, Millis)>,
    /// When the webhook was made. Earlier events are not delivered.
    pub created: Millis,
}

/// What was said last of a webhook.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// The stamp of the op that said it.
    pub stamp: Stamp,
    /// The number of this op in its origin's log.
    pub seq: Seq,
    /// The webhook; none where it was removed. The row of a removed one stays, so that an earlier op that arrives later
    /// does not bring it back.
    pub hook: Option<Hook>,
}

impl Webhook {
    /// Loads what was said of a webhook; none where nobody has said anything.
    pub fn load(store: &dyn Store, id: Uuid) -> Option<Self> {
        schema::Webhooks::get(store, id)
    }

    /// Writes it to the store.
    pub fn save(&self, store: &mut dyn Store, id: Uuid) {
        schema::Webhooks::put(store, id, self);
    }
}
