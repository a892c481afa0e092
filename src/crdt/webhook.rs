//! Webhooks: the receivers to which a cluster delivers its events. They are replicated like the rules of namespaces.

use std::cmp::Reverse;
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

/// An op that stops one version of a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stop {
    /// The stamp of the op that set the version.
    pub version: Stamp,
    /// The stamp of the op that stops it.
    pub stamp: Stamp,
    /// The number of that op in its origin's log.
    pub seq: Seq,
}

/// The state of a webhook. It is the join of two lattices: the version with the greatest stamp, and of the ops that stop the
/// latest version that any of them names, the one with the least stamp. A stop of a version before the present one has no
/// effect any more and is not kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Webhook {
    /// The stamp of the op that set the present version; the least stamp where no such op has arrived, only one that stops a
    /// version.
    pub stamp: Stamp,
    /// The number of that op in its origin's log; 0 where none has arrived.
    pub seq: Seq,
    /// The webhook as that op set it; none where it was removed. The row of a removed one stays, so that an earlier op that
    /// arrives later does not bring it back.
    pub hook: Option<Hook>,
    /// The op that stops the present version, or a later one that has not arrived.
    pub stop: Option<Stop>,
}

impl Webhook {
    /// Returns the op that stops the present version; none where nothing stops it.
    #[must_use]
    pub fn stopped(&self) -> Option<Stop> {
        self.stop.filter(|stop| stop.version == self.stamp && self.hook.is_some())
    }

    /// Merges another state of the same webhook into this one. Returns true where that changed this one.
    pub fn join(&mut self, theirs: &Self) -> bool {
        let before = (self.stamp, self.stop);
        if self.stamp < theirs.stamp {
            (self.stamp, self.seq, self.hook) = (theirs.stamp, theirs.seq, theirs.hook.clone());
        }
        // A stop of a later version comes before one of an earlier version, and of one version the earliest stop counts.
        let rank = |stop: &Stop| (stop.version, Reverse(stop.stamp));
        let stop = self.stop.into_iter().chain(theirs.stop).max_by_key(rank);
        self.stop = stop.filter(|stop| stop.version >= self.stamp);
        before != (self.stamp, self.stop)
    }

    /// Returns true where another state says something else under the stamp of one op. A correct member issues no two ops
    /// under one stamp.
    #[must_use]
    pub fn contradicts(&self, theirs: &Self) -> bool {
        let sets_other = self.stamp == theirs.stamp && (self.seq, &self.hook) != (theirs.seq, &theirs.hook);
        let stops_other =
            self.stop.zip(theirs.stop).is_some_and(|(ours, theirs)| ours.stamp == theirs.stamp && ours != theirs);
        sets_other || stops_other
    }

    /// Loads the state of a webhook; none where this node knows of no op about it.
    pub fn load(store: &dyn Store, id: Uuid) -> Option<Self> {
        schema::Webhooks::get(store, id)
    }

    /// Writes it to the store.
    pub fn save(&self, store: &mut dyn Store, id: Uuid) {
        schema::Webhooks::put(store, id, self);
    }
}
