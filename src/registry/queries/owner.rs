//! What became of an owner's registrations.

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

/// A page of an owner's registrations, earliest first.
#[derive(Clone, PartialEq, Debug)]
pub struct RegistrationsOf {
    /// The owner.
    pub owner: String,
    /// Where the page before this one ended.
    pub after: Option<OwnerPlace>,
    /// At most so many.
    pub limit: usize,
    found: Vec<model::Registration>,
    examined: usize,
}

impl RegistrationsOf {
    /// At most so many registrations of an owner after a place.
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
        // Later twins have rows too, and what the caller does not reach: the page is full once it has so many registrations.
        let full = self.found.len() >= limit || self.examined >= MAX_EXAMINED;
        (at_end || full).then(|| {
            let next = self.after.take().filter(|_| !at_end);
            Ok(Registrations { registrations: std::mem::take(&mut self.found), next })
        })
    }
}

impl Reader<'_> {
    /// A registration as its owner sees it; none where the caller does not reach it, or for a later twin, which is not a
    /// registration of its own.
    fn view_of_first(&self, stamp: Stamp, caller: &Caller) -> Option<model::Registration> {
        let registration =
            Registration::load(self.store, stamp).filter(|registration| caller.reach_all_of(registration).is_ok())?;
        let first = |id| self.registry.lattice.find_stamp(self.store, id).is_none_or(|first| first == stamp);
        registration.chosen_id.is_none_or(first).then(|| self.registration_view(&registration))
    }
}
