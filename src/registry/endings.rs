//! When claims ended and registrations were rejected, as this node learnt it.
//!
//! Nothing is decided by these rows: they are for people who look at what became of a name. They are a node's own, like
//! its feed, and stay as long as the registration. What was over before a node joined it knows without the times.

use serde::{Deserialize, Serialize};

use super::{Reader, Writer};
use crate::clock::{Hlc, Millis, Stamp};
use crate::crdt::Registration;
use crate::store::schema::{self, EndingKey, Rows};

/// In the place of a claim's index: the registration's rejection. A registration has fewer claims.
const REJECTION: u8 = u8::MAX;

/// When something came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ending {
    /// When the op was issued that ended it, or its time was over.
    pub at: Millis,
    /// When this node knew that this is final.
    pub known: Millis,
}

impl Reader<'_> {
    /// When a claim ended, where this node has seen it.
    pub(crate) fn end_of(&self, registration: Stamp, claim: usize) -> Option<Ending> {
        self.ending(registration, u8::try_from(claim).ok()?)
    }

    /// When this node knew that a rejection is final, where it has seen it.
    pub(crate) fn rejected_at(&self, registration: Stamp) -> Option<Millis> {
        self.ending(registration, REJECTION).map(|ending| ending.known)
    }

    fn ending(&self, registration: Stamp, place: u8) -> Option<Ending> {
        schema::Endings::get(self.store, EndingKey { registration, place })
    }
}

impl Writer<'_> {
    /// Takes note of a claim's final end.
    pub(crate) fn note_end(&mut self, registration: Stamp, claim: usize, by: Hlc) {
        self.note(registration, u8::try_from(claim).unwrap_or(REJECTION), by.millis());
    }

    /// Takes note of a final rejection.
    pub(crate) fn note_rejection(&mut self, registration: Stamp) {
        self.note(registration, REJECTION, self.registry.now.wall);
    }

    fn note(&mut self, registration: Stamp, place: u8, at: Millis) {
        let ending = Ending { at, known: self.registry.now.wall };
        schema::Endings::put(self.store, EndingKey { registration, place }, &ending);
    }

    /// Drops what is known of a registration that is forgotten.
    pub(crate) fn forget_endings(&mut self, registration: &Registration) {
        let claims = u8::try_from(registration.claims.len()).unwrap_or(REJECTION);
        for place in (0..claims).chain([REJECTION]) {
            let key = EndingKey { registration: registration.stamp, place };
            schema::Endings::delete(self.store, key);
        }
    }
}
