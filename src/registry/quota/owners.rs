//! Limits on the open registrations of an owner, so that nobody can reserve all common names.
//!
//! Open registrations are undecided ones, and reservations that are neither activated nor ended. They are counted among
//! the owner's latest registrations, as this node knows them. To keep this cheap, an owner is counted again only after
//! it has used up the room that its last count left, and then only what it has registered since: what was counted before
//! can only have become less. All is counted once more before an owner is refused. Owners share counters by a hash that is
//! secret to each node: two owners with one hash share a counter, and after a start each counter has a small credit. So an
//! owner may exceed the limit by a little, but is never refused below it.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::ops::ControlFlow;

use rustc_hash::FxHasher;

use super::super::private::has_hidden;
use super::super::refusal::Refusal;
use super::super::{Reader, Writer};
use crate::clock::{Millis, Stamp};
use crate::crdt::Registration;
use crate::store::Direction;
use crate::store::schema::{self, Rows, Span};

/// Number of counters, to which owners are assigned by their hash.
const BUCKETS: usize = 1 << 14;
/// Registrations that each counter allows after a start without a count.
const CREDIT: u32 = 64;
/// Registrations of an owner that are examined beyond the limit, since decided ones lie between the open ones. A guess.
pub(super) const BEYOND: usize = 5000;
/// Milliseconds during which an owner over the limit is refused without another count.
const REFUSED_FOR: u64 = 1000;
/// Number of owners over the limit that are remembered, and number of owners whose last counts are.
const MAX_REMEMBERED: usize = 1024;

/// The counters of open registrations.
#[derive(Clone, Debug)]
pub(crate) struct OwnerQuota {
    /// The seed of the hash.
    seed: usize,
    /// Registrations that each counter still allows before the next count. Empty until there is a limit.
    left: Vec<u32>,
    /// Owners over the limit, and until when each is refused without another count.
    refused: BTreeMap<String, Millis>,
    /// The last counts of owners that have used up their room.
    counts: BTreeMap<String, Count>,
}

/// The open registrations of an owner, as they were counted last.
#[derive(Clone, Copy, Debug)]
struct Count {
    /// The latest registration that was counted.
    upto: Stamp,
    /// At most as many of those up to it are open.
    open: u32,
}

impl OwnerQuota {
    pub(crate) fn new(seed: u64) -> Self {
        // The low bits are as secret as the high ones.
        let seed = usize::try_from(seed & u64::from(u32::MAX)).unwrap_or_default();
        Self { seed, left: Vec::new(), refused: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Forgets an owner, because its registration is being erased.
    pub(crate) fn forget(&mut self, owner: &str) {
        self.refused.remove(owner);
        self.counts.remove(owner);
    }

    fn bucket(&self, owner: &str) -> usize {
        let mut hasher = FxHasher::with_seed(self.seed);
        hasher.write(owner.as_bytes());
        usize::try_from(hasher.finish() >> 32).unwrap_or_default() % BUCKETS
    }
}

impl Reader<'_> {
    /// Counts the open registrations of an owner, latest first, up to a limit.
    fn open_of(&self, owner: &str, limit: u32) -> u32 {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(BEYOND);
        self.count_of(owner, limit, most, |registration| self.is_open_to_owner(registration))
    }

    /// Counts those that are later than the last count, up to a limit, and adds that count.
    fn open_since(&self, owner: &str, limit: u32, Count { upto, open }: Count) -> u32 {
        let mut count = open;
        schema::Owners::scan(self.store, &Span::<schema::Owners>::of(owner), Direction::Down, &mut |found| {
            let later = found.key().map(|key| key.stamp).filter(|stamp| *stamp > upto);
            let registration = later.and_then(|stamp| Registration::load(self.store, stamp));
            count += u32::from(registration.is_some_and(|registration| self.is_open_to_owner(&registration)));
            if later.is_some() && count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        count
    }

    fn latest_of(&self, owner: &str) -> Option<Stamp> {
        let span = Span::<schema::Owners>::of(owner);
        schema::Owners::first(self.store, &span, Direction::Down, |found| found.key().map(|key| key.stamp))
    }

    /// Counts the registrations of an owner for which `holds` is true, up to a limit, among the `most` latest.
    pub(super) fn count_of(&self, owner: &str, limit: u32, most: usize, holds: impl Fn(&Registration) -> bool) -> u32 {
        let (mut count, mut examined) = (0, 0);
        schema::Owners::scan(self.store, &Span::<schema::Owners>::of(owner), Direction::Down, &mut |found| {
            let registration = found.key().and_then(|key| Registration::load(self.store, key.stamp));
            count += u32::from(registration.is_some_and(|registration| holds(&registration)));
            examined += 1;
            if count >= limit || examined >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        count
    }

    /// Returns true where a registration counts as open: it is undecided, or a reservation that is neither activated
    /// nor over.
    pub(crate) fn is_open_to_owner(&self, registration: &Registration) -> bool {
        if has_hidden(registration) {
            return self.is_open_in_private(registration);
        }
        let reserved = registration.expires.is_some() && !registration.activated_in_time();
        let lasts = registration.claims.iter().any(|record| record.ended.is_none());
        !self.status(registration).is_final() || (reserved && lasts && !registration.rejected)
    }
}

impl Writer<'_> {
    /// Takes one from the owner's counter for a new registration. Refuses an owner that has as many open registrations
    /// as it may.
    pub(crate) fn check_allowance(&mut self, owner: &str) -> Result<(), Refusal> {
        let Some(limit) = self.registry.config.max_open_of_owner else { return Ok(()) };
        let refusal = || Refusal::TooManyOpen { owner: owner.to_owned(), limit };
        if self.registry.allowances.refused.get(owner).is_some_and(|until| self.registry.now.elapsed < *until) {
            return Err(refusal());
        }
        let bucket = self.registry.allowances.bucket(owner);
        if self.registry.allowances.left.is_empty() {
            self.registry.allowances.left = vec![CREDIT.min(limit); BUCKETS];
        }
        if self.registry.allowances.left[bucket] == 0 {
            let left = limit.saturating_sub(self.count_open(owner, limit));
            if left == 0 {
                self.refuse_for_now(owner);
                return Err(refusal());
            }
            self.registry.allowances.left[bucket] = left;
        }
        self.registry.allowances.left[bucket] -= 1;
        Ok(())
    }

    fn count_open(&mut self, owner: &str, limit: u32) -> u32 {
        let last = self.registry.allowances.counts.get(owner).copied();
        let since = last.map(|last| self.reader().open_since(owner, limit, last)).filter(|open| *open < limit);
        let open = since.unwrap_or_else(|| self.reader().open_of(owner, limit));
        // A count that has reached the limit is no exact one.
        let upto = self.reader().latest_of(owner).filter(|_| open < limit);
        let counts = &mut self.registry.allowances.counts;
        if counts.len() >= MAX_REMEMBERED {
            counts.clear();
        }
        match upto {
            Some(upto) => drop(counts.insert(owner.to_owned(), Count { upto, open })),
            None => drop(counts.remove(owner)),
        }
        open
    }

    fn refuse_for_now(&mut self, owner: &str) {
        let now = self.registry.now.elapsed;
        let refused = &mut self.registry.allowances.refused;
        refused.retain(|_, until| now < *until);
        if refused.len() < MAX_REMEMBERED {
            refused.insert(owner.to_owned(), now.plus(REFUSED_FOR));
        }
    }
}
