//! Ops that refer to a registration which may not have arrived yet. They are kept until it arrives.

use serde::{Deserialize, Serialize};

use super::lattice::{Effects, Lattice};
use super::op::{Claim, ClaimRef};
use super::record::Registration;
use crate::clock::{Hlc, Stamp};
use crate::store::Store;
use crate::store::schema::{self, Rows};

/// An op that refers to a registration which has not arrived yet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Early {
    /// The op with this stamp activates the registration.
    Activate(Stamp),
    /// An op releases this claim of the registration.
    Release(ClaimRef),
    /// The op with this stamp extends the registration until this time.
    Extend(Stamp, Hlc),
    /// The op with this stamp erases the registration.
    Erase(Stamp),
}

impl Lattice {
    /// Applies an op that refers to a registration, or keeps it where the registration has not arrived yet.
    pub(super) fn early(&mut self, store: &mut dyn Store, stamp: Stamp, early: Early) -> Effects {
        if let Some(mut registration) = Registration::load(store, stamp) {
            let end = registration.end();
            early.tell(&mut registration);
            self.index_end(store, &registration, end);
            if let Early::Erase(_) = early
                && let Some(by) = registration.erase.filter(|_| !registration.erased)
            {
                self.enter_erasing(store, stamp, by);
            }
            registration.save(store);
        } else if stamp.hlc > self.settled {
            let mut waiting = self.waiting(store, stamp);
            if let Err(place) = waiting.binary_search(&early) {
                waiting.insert(place, early);
                schema::Early::put(store, stamp, &waiting);
            }
        }
        Effects::default()
    }

    /// Drops the kept ops about a registration, once one of them is decided: every earlier op has arrived by then, so a
    /// registration that is absent was void.
    pub(crate) fn give_up_early(&self, store: &mut dyn Store, stamp: Stamp) {
        if schema::Early::has(store, stamp) {
            schema::Early::delete(store, stamp);
        }
    }

    fn waiting(&self, store: &dyn Store, stamp: Stamp) -> Vec<Early> {
        schema::Early::get(store, stamp).unwrap_or_default()
    }

    pub(super) fn take_early(&self, store: &mut dyn Store, new: &mut Registration) {
        let waiting = self.waiting(store, new.stamp);
        if !waiting.is_empty() {
            waiting.iter().for_each(|early| early.tell(new));
            schema::Early::delete(store, new.stamp);
        }
    }
}

impl Early {
    fn tell(&self, registration: &mut Registration) {
        match self {
            Self::Activate(stamp) => {
                registration.activated = registration.activated.into_iter().chain([*stamp]).min();
            }
            // The claims of an erased registration have ended already.
            Self::Erase(_) if registration.erased => {}
            Self::Erase(by) => {
                registration.erase = registration.erase.into_iter().chain([*by]).min();
                registration.claims.iter_mut().for_each(|record| record.released = true);
            }
            Self::Extend(by, expires) => registration.extensions.add(*by, *expires),
            Self::Release(released) => {
                let named = |claim: &Claim| claim.namespace == released.namespace && claim.key == released.key;
                for record in registration.claims.iter_mut().filter(|record| named(&record.claim)) {
                    record.released = true;
                }
            }
        }
    }
}
