//! The counts of registrations that hold names, in memory.

use std::collections::BTreeMap;

use crate::clock::Millis;

/// Owners whose counts are kept in memory; up to twice as many with the older half. A guess: the owners that register
/// within some minutes.
const MAX_COUNTED: usize = 1 << 14;
/// How many registrations of each owner hold names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// The counts that were used since `old` was set aside.
    young: BTreeMap<String, Counted>,
    /// The counts that were last used before that.
    old: BTreeMap<String, Counted>,
    /// True where the store may have records of tokens' registrations.
    pub(super) notes: bool,
}

/// The number of an owner's registrations that hold names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) count: u32,
    /// When they were last counted, in `elapsed` time.
    pub(super) at: Millis,
}

impl Totals {
    /// Makes a table without counts.
    pub(super) fn new(notes: bool) -> Self {
        Self { notes, ..Self::default() }
    }

    /// Returns the count of an owner, where it is in memory.
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

    /// Returns the number of an owner's registrations that hold names, where it is in memory.
    #[cfg(test)]
    pub(crate) fn known(&self, owner: &str) -> Option<u32> {
        self.young.get(owner).or_else(|| self.old.get(owner)).map(|counted| counted.count)
    }

    /// Forgets an owner, because its registration is being erased.
    pub(crate) fn forget(&mut self, owner: &str) {
        self.young.remove(owner);
        self.old.remove(owner);
    }
}
