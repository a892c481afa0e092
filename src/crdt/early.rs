//! Ops that speak of a registration, which may not have arrived yet: they are kept until it does.

use serde::{Deserialize, Serialize};

use super::op::{Claim, ClaimRef};
use super::record::{Registration, look};
use super::registry::{Effects, Registry};
use crate::clock::{Hlc, Stamp};
use crate::codec;
use crate::store::{Store, Table};

/// An op that speaks of a registration which has not arrived yet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) enum Early {
    Activate(Stamp),
    Release(ClaimRef),
    Extend(Stamp, Hlc),
    Erase(Stamp),
}

impl<S: Store> Registry<S> {
    /// An op about a registration, which may not have arrived yet.
    pub(super) fn early(&mut self, stamp: Stamp, early: Early) -> Effects {
        if let Some(mut registration) = Registration::load(&self.store, stamp) {
            let end = registration.end();
            early.tell(&mut registration);
            self.index_end(&registration, end);
            if let Early::Erase(_) = early
                && let Some(by) = registration.erase.filter(|_| !registration.erased)
            {
                self.enter_erasing(stamp, by);
            }
            registration.save(&mut self.store);
        } else if stamp.hlc > self.settled {
            let mut waiting = self.waiting(stamp);
            if let Err(place) = waiting.binary_search(&early) {
                waiting.insert(place, early);
                self.store.put(Table::Early, stamp.to_bytes().to_vec(), codec::encode(&waiting));
            }
        }
        Effects::default()
    }

    /// An op about a registration is decided, so whatever came before it is here. A registration that is not was void.
    pub(crate) fn give_up_early(&mut self, stamp: Stamp) {
        if self.store.get(Table::Early, &stamp.to_bytes()).is_some() {
            self.store.delete(Table::Early, stamp.to_bytes().to_vec());
        }
    }

    fn waiting(&self, stamp: Stamp) -> Vec<Early> {
        look(&self.store, Table::Early, &stamp.to_bytes(), "early op").unwrap_or_default()
    }

    pub(super) fn take_early(&mut self, new: &mut Registration) {
        let waiting = self.waiting(new.stamp);
        if !waiting.is_empty() {
            waiting.iter().for_each(|early| early.tell(new));
            self.store.delete(Table::Early, new.stamp.to_bytes().to_vec());
        }
    }
}

impl Early {
    fn tell(&self, registration: &mut Registration) {
        match self {
            Self::Activate(stamp) => {
                registration.activated = registration.activated.into_iter().chain([*stamp]).min();
            }
            // What was erased has ended, whoever says so again.
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

/// Whether a value is one of [`Table::Early`].
pub(crate) fn is_early(value: &[u8]) -> bool {
    codec::decode::<Vec<Early>>(value).is_ok()
}
