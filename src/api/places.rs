//! Limits how many event streams, backups and batches are open at once. No caller gets all places, and some are kept
//! for administrators, so that they can look at a node that is full.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The holder of a place: a token, or an address where the node has no tokens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Holder {
    Token(String),
    Address(IpAddr),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(name) => write!(f, "the API token {name:?}"),
            Self::Address(address) => write!(f, "the address {address}"),
        }
    }
}

/// The reason why a caller gets no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// All places are taken, except those that are kept for administrators.
    All,
    /// The caller has as many places as one caller may have.
    Own(usize),
}

#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_of_one: usize,
    for_admins: usize,
    held: Mutex<Held>,
}

#[derive(Default, Debug)]
struct Held {
    all: usize,
    /// The number of places of each holder. A holder without places has no entry.
    of: HashMap<Holder, usize>,
}

/// A place that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    holder: Holder,
}

impl Places {
    /// Takes the number of places in all, the number that one holder may have, and the number kept for administrators.
    pub(super) fn new(most: usize, most_of_one: usize, for_admins: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, for_admins, held: Mutex::default() })
    }

    /// Takes a place for a holder.
    pub(super) fn take(self: &Arc<Self>, holder: Holder, is_admin: bool) -> Result<Place, Taken> {
        let mut held = self.held();
        let most = if is_admin { self.most } else { self.most - self.for_admins };
        if held.all >= most {
            return Err(Taken::All);
        }
        let own = held.of.entry(holder.clone()).or_default();
        if *own >= self.most_of_one {
            return Err(Taken::Own(self.most_of_one));
        }
        *own += 1;
        held.all += 1;
        Ok(Place { places: Arc::clone(self), holder })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A thread that panicked between two additions has left numbers that are off by one at most.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.all = held.all.saturating_sub(1);
        let left = held.of.get(&self.holder).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            held.of.remove(&self.holder);
        } else {
            held.of.insert(self.holder.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_all_places_and_some_are_kept() {
        let places = Places::new(6, 3, 1);
        let take = |name: &str, is_admin| places.take(Holder::Token(name.to_owned()), is_admin);
        let mut a: Vec<_> = (0..3).map(|_| take("a", false).unwrap()).collect();
        assert_eq!(take("a", false).unwrap_err(), Taken::Own(3));
        let _b: Vec<_> = (0..2).map(|_| take("b", false).unwrap()).collect();
        assert_eq!(take("c", false).unwrap_err(), Taken::All);
        let _admin = take("ops", true).unwrap();
        assert_eq!(take("ops", true).unwrap_err(), Taken::All);
        a.pop();
        assert!(take("c", true).is_ok(), "a place was given back");
        drop(a);
        let held = places.held();
        assert_eq!((held.all, held.of.len()), (3, 2));
    }
}
