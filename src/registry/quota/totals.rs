//! The counts that are kept at hand of how many registrations hold names.

use std::collections::BTreeMap;

use crate::clock::Millis;

/// Owners whose counts are kept at hand, twice. A guess: those who register within some minutes.
const MAX_COUNTED: usize = 1 << 14;
/// What is known of how many registrations hold names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// The counts of owners that were used since `old` was set aside.
    young: BTreeMap<String, Counted>,
    /// Those that were used before.
    old: BTreeMap<String, Counted>,
    /// Some registration is noted for a token.
    pub(super) notes: bool,
}

/// How many registrations of an owner hold names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) count: u32,
    /// When its registrations were counted last, in `elapsed` time.
    pub(super) at: Millis,
}

impl Totals {
    /// Nothing is counted yet.
    pub(super) fn new(notes: bool) -> Self {
        Self { notes, ..Self::default() }
    }

    /// The count of an owner, where it is at hand.
    pub(super) fn of(&mut self, owner: &str) -> Option<&mut Counted> {
        if !self.young.contains_key(owner) {
            let counted = self.old.remove(owner)?;
            self.keep(owner, counted);
        }
        self.young.get_mut(owner)
    }

    pub(super) fn keep(&mut self, owner: &str, counted: Counted) {
        if self.young.len() >= MAX_COUNTED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(owner.to_owned(), counted);
    }

    /// How many registrations of an owner count, where that is at hand.
    #[cfg(test)]
    pub(crate) fn known(&self, owner: &str) -> Option<u32> {
        self.young.get(owner).or_else(|| self.old.get(owner)).map(|counted| counted.count)
    }

    /// Nothing is to be left of an owner's name.
    pub(crate) fn forget(&mut self, owner: &str) {
        self.young.remove(owner);
        self.old.remove(owner);
    }
}
