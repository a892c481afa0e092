//! What became of an owner's registrations.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::Reader;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::super::views::RegistrationView;
use crate::clock::Stamp;
use crate::crdt::Registration;
use crate::model::limits::MAX_PAGE;
use crate::store::Direction;
use crate::store::schema::{self, OwnerKey, Rows, Span};

/// A page of an owner's registrations, earliest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationsOf {
    /// The owner.
    pub owner: String,
    /// Only those after this one.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: usize,
    /// Up to where it has come, and with how many rows.
    read: (Option<Stamp>, usize),
    views: Vec<RegistrationView>,
}

impl RegistrationsOf {
    /// At most so many registrations of an owner, after one of them.
    #[must_use]
    pub fn new(owner: String, after: Option<Uuid>, limit: usize) -> Self {
        Self { owner, after, limit, read: (None, 0), views: Vec::new() }
    }
}

impl Query for RegistrationsOf {
    type Answer = Vec<RegistrationView>;

    fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Result<Vec<RegistrationView>, Refusal>> {
        let after = self.after.and_then(|id| reader.registry.lattice.find_stamp(reader.store, id));
        let mut span = Span::<schema::Owners>::of(&self.owner);
        if let Some(stamp) = self.read.0.or(after) {
            span = span.and_after(OwnerKey { owner: &self.owner, stamp });
        }
        let left = self.limit.min(MAX_PAGE) - self.read.1;
        let most = left.min(budget.left());
        let mut stamps = Vec::new();
        if most > 0 {
            schema::Owners::scan(reader.store, &span, Direction::Up, &mut |found| {
                stamps.extend(found.key().map(|key| key.stamp));
                if stamps.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        budget.spend(stamps.len());
        let whole = stamps.len() < most || most == left;
        self.read = (stamps.last().copied().or(self.read.0), self.read.1 + stamps.len());
        self.views.extend(stamps.into_iter().filter_map(|stamp| reader.view_of_first(stamp)));
        whole.then(|| Ok(std::mem::take(&mut self.views)))
    }
}

impl Reader<'_> {
    /// A registration as its owner sees it; none for a later twin, which is not a registration of its own.
    fn view_of_first(&self, stamp: Stamp) -> Option<RegistrationView> {
        let registration = Registration::load(self.store, stamp)?;
        let first = |id| self.registry.lattice.find_stamp(self.store, id).is_none_or(|first| first == stamp);
        registration.chosen_id.is_none_or(first).then(|| self.registration_view(registration))
    }
}
