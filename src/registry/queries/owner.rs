//! What became of an owner's registrations.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::Reader;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use crate::clock::Stamp;
use crate::crdt::Registration;
use crate::model::limits::MAX_PAGE;
use crate::model::{self, Registrations};
use crate::store::Direction;
use crate::store::schema::{self, OwnerKey, Rows, Span};

/// A page of an owner's registrations, earliest first.
#[derive(Clone, PartialEq, Debug)]
pub struct RegistrationsOf {
    /// The owner.
    pub owner: String,
    /// Only those after this one.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: usize,
    /// Up to where it has come.
    read: Option<Stamp>,
    found: Vec<model::Registration>,
}

impl RegistrationsOf {
    /// At most so many registrations of an owner, after one of them.
    #[must_use]
    pub fn new(owner: String, after: Option<Uuid>, limit: usize) -> Self {
        Self { owner, after, limit, read: None, found: Vec::new() }
    }
}

impl Query for RegistrationsOf {
    type Answer = Registrations;

    fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Result<Registrations, Refusal>> {
        let after = self.after.and_then(|id| reader.registry.lattice.find_stamp(reader.store, id));
        let mut span = Span::<schema::Owners>::of(&self.owner);
        if let Some(stamp) = self.read.or(after) {
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
        self.read = stamps.last().copied().or(self.read);
        self.found.extend(stamps.into_iter().filter_map(|stamp| reader.view_of_first(stamp)));
        // Later twins have rows too: the page is full once it has so many registrations.
        let full = self.found.len() >= limit;
        (at_end || full).then(|| {
            let registrations = std::mem::take(&mut self.found);
            let next = registrations.last().filter(|_| !at_end).map(|last| last.id);
            Ok(Registrations { registrations, next })
        })
    }
}

impl Reader<'_> {
    /// A registration as its owner sees it; none for a later twin, which is not a registration of its own.
    fn view_of_first(&self, stamp: Stamp) -> Option<model::Registration> {
        let registration = Registration::load(self.store, stamp)?;
        let first = |id| self.registry.lattice.find_stamp(self.store, id).is_none_or(|first| first == stamp);
        registration.chosen_id.is_none_or(first).then(|| self.registration_view(&registration))
    }
}
