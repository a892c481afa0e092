//! Limits on the registrations of an owner or an API token that hold names, permanent ones counted, so that nobody can
//! take all common names for good.
//!
//! A registration counts from the moment it is known until all its names have ended for good, or it is rejected. A
//! registration that lost private names counts as long as if it had won, so that a count does not show that it lost.
//!
//! * An owner's registrations are counted as this node knows them, whichever node accepted them. The count is computed
//!   from the owner's latest registrations when the owner first registers here, and then updated as registrations begin
//!   and end. It is computed again after a restart, and after a while where the owner is at the limit.
//! * A token's registrations are those that it made at this node. They are recorded in a table of this node, with their
//!   number, by ids, which stay the same where an eviction makes a registration void and it is issued anew. So a
//!   restart forgets nothing.
//!
//! A rename replaces a registration that counts until the rename is confirmed, so it may exceed a limit by one.

use uuid::Uuid;

use super::super::refusal::Refusal;
use super::super::request::RegisterRequest;
use super::super::retention::has_ended;
use super::super::{Reader, Writer};
use super::owners::BEYOND;
use super::totals::{Counted, Totals};
use crate::crdt::Registration;
use crate::store::Direction;
use crate::store::schema::{self, Rows, Span};

/// Milliseconds after which the count of an owner at the limit is computed again.
const COUNT_AGAIN: u64 = 60_000;

impl Reader<'_> {
    /// Returns true where a registration counts as one that holds names.
    fn counts(&self, registration: &Registration) -> bool {
        let lasts = || registration.end().is_none_or(|end| end > self.log.watermark());
        !has_ended(registration) || (self.lost_in_private(registration) && lasts())
    }

    fn counts_by_id(&self, id: Uuid) -> bool {
        self.void_registration(id).is_some()
            || self.registry.lattice.find(self.store, id).is_some_and(|registration| self.counts(&registration))
    }

    /// Counts the registrations of an owner that hold names, among its latest ones.
    fn held_by(&self, owner: &str, limit: u32) -> u32 {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(BEYOND);
        self.count_of(owner, u32::MAX, most, |registration| self.counts(registration))
    }
}

impl Writer<'_> {
    pub(crate) fn load_totals(&mut self) {
        let noted = schema::HeldBy::first(self.store, &Span::all(), Direction::Up, |found| found.key());
        self.registry.totals = Totals::new(noted.is_some());
    }

    /// Refuses a registration whose owner or token already holds as many names as it may.
    pub(crate) fn check_totals(&mut self, request: &RegisterRequest) -> Result<(), Refusal> {
        let renames = u32::from(request.replaces.is_some());
        if let Some(limit) = self.registry.config.max_total_of_owner {
            let owner = &request.owner;
            if self.total_of(owner, limit) >= limit.saturating_add(renames) {
                return Err(Refusal::TooManyHeld { owner: owner.clone(), limit });
            }
        }
        let limited = request.charge.as_ref().and_then(|charge| Some((&charge.token, charge.max_total?)));
        let Some((token, limit)) = limited else { return Ok(()) };
        let held = schema::HeldCounts::get(self.store, token).unwrap_or_default();
        if held >= u64::from(limit.saturating_add(renames)) {
            return Err(Refusal::TokenTooManyHeld { token: token.clone(), limit });
        }
        Ok(())
    }

    fn total_of(&mut self, owner: &str, limit: u32) -> u32 {
        let now = self.registry.now.elapsed;
        if let Some(counted) = self.registry.totals.of(owner)
            && (counted.count < limit || now < counted.at.plus(COUNT_AGAIN))
        {
            return counted.count;
        }
        let count = self.reader().held_by(owner, limit);
        self.registry.totals.keep(owner, Counted { count, at: now });
        count
    }

    /// Counts a registration that has become known.
    pub(crate) fn begins_to_hold(&mut self, registration: &Registration) {
        if let Some(counted) = self.registry.totals.of(&registration.owner) {
            counted.count = counted.count.saturating_add(1);
        }
    }

    /// Records a registration that a token has made.
    pub(crate) fn note_held(&mut self, token: &str, id: Uuid) {
        if !schema::HeldBy::has(self.store, id) {
            schema::HeldBy::put(self.store, id, token);
            let count = schema::HeldCounts::get(self.store, token).unwrap_or_default();
            schema::HeldCounts::put(self.store, token, &(count + 1));
            self.registry.totals.notes = true;
        }
    }

    /// Updates the counts after some names of a registration that counted have ended.
    pub(crate) fn may_hold_no_more(&mut self, registration: &Registration) {
        if !self.reader().counts(registration) {
            self.holds_no_more(registration);
        }
    }

    /// Updates the counts before a registration whose names have all ended is erased. It may still count where it lost
    /// private names.
    pub(crate) fn holds_no_more_when_erased(&mut self, registration: &Registration) {
        if self.reader().counts(registration) {
            self.holds_no_more(registration);
        }
        self.registry.totals.forget(&registration.owner);
    }

    fn holds_no_more(&mut self, registration: &Registration) {
        if let Some(counted) = self.registry.totals.of(&registration.owner) {
            counted.count = counted.count.saturating_sub(1);
        }
        let id = registration.id();
        let first = self.registry.lattice.find_stamp(self.store, id);
        // A later twin may end while the registration with the same id goes on.
        let stands = first.is_none_or(|first| first == registration.stamp);
        if self.registry.totals.notes && (stands || !self.reader().counts_by_id(id)) {
            self.drop_held(id);
        }
    }

    fn drop_held(&mut self, id: Uuid) {
        let Some(token) = schema::HeldBy::get(self.store, id) else { return };
        schema::HeldBy::delete(self.store, id);
        match schema::HeldCounts::get(self.store, &token).unwrap_or_default() {
            0 | 1 => schema::HeldCounts::delete(self.store, &token),
            count => schema::HeldCounts::put(self.store, &token, &(count - 1)),
        }
    }

    /// Drops the records of registrations that ended while this node was not a member.
    pub(crate) fn sweep_held(&mut self) {
        let mut ended = Vec::new();
        schema::HeldBy::each(self.store, &Span::all(), |found| {
            ended.extend(found.key().filter(|id| !self.reader().counts_by_id(*id)));
        });
        ended.into_iter().for_each(|id| self.drop_held(id));
    }
}
