//! The times at which claims ended and registrations were rejected, as this node saw it.
//!
//! These rows are shown to people who ask about the history of a name; no decision rests on them. They are local to a
//! node, like its feed, and are dropped with the registration. For claims that had ended before a node joined, the node
//! does not know the times.

use serde::{Deserialize, Serialize};

use super::{Reader, Writer};
use crate::clock::{Hlc, Millis, Stamp};
use crate::crdt::Registration;
use crate::store::schema::{self, EndingKey, Rows};

/// Takes the place of a claim's index in the row of a registration's rejection. A registration always has fewer claims.
const REJECTION: u8 = u8::MAX;

/// The times of one end or rejection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ending {
    /// The time of the op that ended it, or the end of the reservation.
    pub at: Millis,
    /// The time at which this node knew that the end was final.
    pub known: Millis,
}

impl Reader<'_> {
    /// Returns when a claim ended; none where this node has not seen it.
    pub(crate) fn end_of(&self, registration: Stamp, claim: usize) -> Option<Ending> {
        self.ending(registration, u8::try_from(claim).ok()?)
    }

    /// Returns when this node knew that a rejection was final; none where it has not seen it.
    pub(crate) fn rejected_at(&self, registration: Stamp) -> Option<Millis> {
        self.ending(registration, REJECTION).map(|ending| ending.known)
    }

    fn ending(&self, registration: Stamp, place: u8) -> Option<Ending> {
        schema::Endings::get(self.store, EndingKey { registration, place })
    }
}

impl Writer<'_> {
    /// Records a claim's final end.
    pub(crate) fn note_end(&mut self, registration: Stamp, claim: usize, by: Hlc) {
        self.note(registration, u8::try_from(claim).unwrap_or(REJECTION), by.millis());
    }

    /// Records a final rejection.
    pub(crate) fn note_rejection(&mut self, registration: Stamp) {
        self.note(registration, REJECTION, self.registry.now.wall);
    }

    fn note(&mut self, registration: Stamp, place: u8, at: Millis) {
        let ending = Ending { at, known: self.registry.now.wall };
        schema::Endings::put(self.store, EndingKey { registration, place }, &ending);
    }

    /// Drops the times of a registration that is being forgotten.
    pub(crate) fn forget_endings(&mut self, registration: &Registration) {
        let claims = u8::try_from(registration.claims.len()).unwrap_or(REJECTION);
        for place in (0..claims).chain([REJECTION]) {
            let key = EndingKey { registration: registration.stamp, place };
            schema::Endings::delete(self.store, key);
        }
    }
}
