//! Webhooks: the receivers to which a cluster delivers its events. They are replicated like the rules of namespaces.

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

/// The content of a webhook. An op that sets a webhook has all of it.
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

/// The state of a webhook, which the op with the greatest stamp gives it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// The stamp of that op.
    pub stamp: Stamp,
    /// The number of that op in its origin's log.
    pub seq: Seq,
    /// The webhook; none where it was removed. The row of a removed one stays, so that an earlier op that arrives later
    /// does not bring it back.
    pub hook: Option<Hook>,
}

impl Webhook {
    /// Loads the state of a webhook; none where this node knows of no op about it.
    pub fn load(store: &dyn Store, id: Uuid) -> Option<Self> {
        schema::Webhooks::get(store, id)
    }

    /// Writes it to the store.
    pub fn save(&self, store: &mut dyn Store, id: Uuid) {
        schema::Webhooks::put(store, id, self);
    }
}
