//! Listing an owner's registrations.

use std::ops::ControlFlow;

use super::super::Reader;
use super::super::caller::Caller;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::MAX_EXAMINED;
use crate::clock::Stamp;
use crate::crdt::Registration;
use crate::model::limits::MAX_PAGE;
use crate::model::{self, OwnerPlace, Registrations};
use crate::store::Direction;
use crate::store::schema::{self, OwnerKey, Rows, Span};

/// Query for a page of an owner's registrations, earliest first.
#[derive(Clone, PartialEq, Debug)]
pub struct RegistrationsOf {
    /// The owner.
    pub owner: String,
    /// The place where the page before this one ended.
    pub after: Option<OwnerPlace>,
    /// Greatest number of registrations on the page.
    pub limit: usize,
    found: Vec<model::Registration>,
    examined: usize,
}

impl RegistrationsOf {
    /// Makes the query for at most `limit` registrations of an owner after a place.
    #[must_use]
    pub fn new(owner: String, after: Option<OwnerPlace>, limit: usize) -> Self {
        Self { owner, after, limit, found: Vec::new(), examined: 0 }
    }
}

impl Query for RegistrationsOf {
    type Answer = Registrations;

    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<Registrations, Refusal>> {
        let mut span = Span::<schema::Owners>::of(&self.owner);
        if let Some(OwnerPlace(stamp)) = self.after {
            span = span.and_after(OwnerKey { owner: &self.owner, stamp });
        }
        let limit = self.limit.clamp(1, MAX_PAGE);
        let most = budget.left().min(limit - self.found.len());
        let mut stamps = Vec::new();
        if most > 0 {
            schema::Owners::scan(reader.store, &span, Direction::Up, &mut |found| {
                stamps.extend(found.key().map(|key| key.stamp));
                if stamps.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        budget.spend(stamps.len());
        let at_end = stamps.len() < most;
        self.examined += stamps.len();
        self.after = stamps.last().copied().map(OwnerPlace).or(self.after);
        self.found.extend(stamps.into_iter().filter_map(|stamp| reader.view_of_first(stamp, caller)));
        // Some rows give no registration: later twins, and registrations that the caller may not see. The page is full
        // once it has `limit` registrations.
        let full = self.found.len() >= limit || self.examined >= MAX_EXAMINED;
        (at_end || full).then(|| {
            let next = self.after.take().filter(|_| !at_end);
            Ok(Registrations { registrations: std::mem::take(&mut self.found), next })
        })
    }
}

impl Reader<'_> {
    /// Returns a registration as its owner sees it. Returns none where the caller may not use its namespaces, and for a
    /// later twin, which is not a registration of its own.
    fn view_of_first(&self, stamp: Stamp, caller: &Caller) -> Option<model::Registration> {
        let registration =
            Registration::load(self.store, stamp).filter(|registration| caller.reach_all_of(registration).is_ok())?;
        let first = |id| self.registry.lattice.find_stamp(self.store, id).is_none_or(|first| first == stamp);
        registration.chosen_id.is_none_or(first).then(|| self.registration_view(&registration))
    }
}
