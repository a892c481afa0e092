//! How many registrations an owner may have open at once, so that nobody can reserve the dictionary.
//!
//! Open are those that are undecided, and reservations that are not activated and have not ended. They are counted by
//! what this node knows, among the owner's latest registrations. So that this costs next to nothing, a count is good for
//! as many registrations more as it leaves room for, and owners are told apart by a hash of their own at each node: two
//! of one hash share a count's room, and after a start each has a little. So an owner may come to have somewhat more than
//! the limit, never fewer.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::ops::ControlFlow;

use rustc_hash::FxHasher;

use super::super::private::has_hidden;
use super::super::refusal::Refusal;
use super::super::{Reader, Writer};
use crate::clock::Millis;
use crate::crdt::Registration;
use crate::store::Direction;
use crate::store::schema::{self, Rows, Span};

/// Owners that are told apart, by the bits of their hash.
const BUCKETS: usize = 1 << 14;
/// Registrations that an owner has without a count.
const CREDIT: u32 = 64;
/// Latest registrations of an owner that are looked at beyond the limit: its decided ones stand between. A guess.
pub(super) const BEYOND: usize = 5000;
/// For how long an owner that has too many is refused without another count, milliseconds.
const REFUSED_FOR: u64 = 1000;
/// Owners that are remembered to have too many.
const MAX_REFUSED: usize = 1024;

/// What is left of each count.
#[derive(Clone, Debug)]
pub(crate) struct OwnerQuota {
    /// What the hash begins with.
    seed: usize,
    /// Registrations until the next count; made when there is a limit.
    left: Vec<u32>,
    /// Who has too many, and until when that is not looked at again.
    refused: BTreeMap<String, Millis>,
}

impl OwnerQuota {
    pub(crate) fn new(seed: u64) -> Self {
        // Its low bits are as good as any; what counts is that nobody else knows them.
        let seed = usize::try_from(seed & u64::from(u32::MAX)).unwrap_or_default();
        Self { seed, left: Vec::new(), refused: BTreeMap::new() }
    }

    /// Nothing is to be left of an owner's name.
    pub(crate) fn forget(&mut self, owner: &str) {
        self.refused.remove(owner);
    }

    fn bucket(&self, owner: &str) -> usize {
        let mut hasher = FxHasher::with_seed(self.seed);
        hasher.write(owner.as_bytes());
        usize::try_from(hasher.finish() >> 32).unwrap_or_default() % BUCKETS
    }
}

impl Reader<'_> {
    /// Open registrations of an owner, up to a limit, latest first.
    fn open_of(&self, owner: &str, limit: u32) -> u32 {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(BEYOND);
        self.count_of(owner, limit, most, |registration| self.is_open_to_owner(registration))
    }

    /// Registrations of an owner of which something holds, up to a limit, among so many of the latest.
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

    /// Whether a registration counts as open: it is undecided, or a reservation that is neither activated nor over.
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
    /// Whether an owner may open another registration, which it then does.
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
            let left = limit.saturating_sub(self.reader().open_of(owner, limit));
            if left == 0 {
                self.refuse_for_now(owner);
                return Err(refusal());
            }
            self.registry.allowances.left[bucket] = left;
        }
        self.registry.allowances.left[bucket] -= 1;
        Ok(())
    }

    fn refuse_for_now(&mut self, owner: &str) {
        let now = self.registry.now.elapsed;
        let refused = &mut self.registry.allowances.refused;
        refused.retain(|_, until| now < *until);
        if refused.len() < MAX_REFUSED {
            refused.insert(owner.to_owned(), now.plus(REFUSED_FOR));
        }
    }
}
