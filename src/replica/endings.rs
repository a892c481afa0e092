//! When claims ended and registrations were rejected, as this node learnt it.
//!
//! Nothing is decided by these rows: they are for people who look at what became of a name. They are a node's own, like
//! its feed, and stay as long as the registration. What was over before a node joined it knows without the times.

use serde::{Deserialize, Serialize};

use super::Replica;
use crate::clock::{Hlc, Millis, Stamp};
use crate::codec;
use crate::crdt::{Registration, read_record};
use crate::store::{Store, Table};

/// In the place of a claim's index: the registration's rejection. A registration has fewer claims.
const REJECTION: u8 = u8::MAX;

/// When something came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Ending {
    /// When the op was issued that ended it, or its time was over.
    pub(super) at: Millis,
    /// When this node knew that this is final.
    pub(super) known: Millis,
}

impl<S: Store> Replica<S> {
    /// Takes note of a claim's final end.
    pub(super) fn note_end(&mut self, registration: Stamp, claim: usize, by: Hlc) {
        self.note(registration, u8::try_from(claim).unwrap_or(REJECTION), by.millis());
    }

    /// Takes note of a final rejection.
    pub(super) fn note_rejection(&mut self, registration: Stamp) {
        self.note(registration, REJECTION, self.now.wall);
    }

    fn note(&mut self, registration: Stamp, place: u8, at: Millis) {
        let ending = Ending { at, known: self.now.wall };
        self.registry.store.put(Table::Endings, ending_key(registration, place), codec::encode(&ending));
    }

    /// When a claim ended, where this node has seen it.
    pub(super) fn end_of(&self, registration: Stamp, claim: usize) -> Option<Ending> {
        self.ending(registration, u8::try_from(claim).ok()?)
    }

    /// When this node knew that a rejection is final, where it has seen it.
    pub(super) fn rejected_at(&self, registration: Stamp) -> Option<Millis> {
        self.ending(registration, REJECTION).map(|ending| ending.known)
    }

    /// Drops what is known of a registration that is forgotten.
    pub(super) fn forget_endings(&mut self, registration: &Registration) {
        let claims = u8::try_from(registration.claims.len()).unwrap_or(REJECTION);
        for place in (0..claims).chain([REJECTION]) {
            self.registry.store.delete(Table::Endings, ending_key(registration.stamp, place));
        }
    }

    fn ending(&self, registration: Stamp, place: u8) -> Option<Ending> {
        let bytes = self.registry.store.get(Table::Endings, &ending_key(registration, place))?;
        Some(read_record(&bytes, "ending"))
    }
}

/// Whether a value is one of [`Table::Endings`].
pub(super) fn is_ending(value: &[u8]) -> bool {
    codec::decode::<Ending>(value).is_ok()
}

fn ending_key(registration: Stamp, place: u8) -> Vec<u8> {
    [registration.to_bytes().as_slice(), &[place]].concat()
}
