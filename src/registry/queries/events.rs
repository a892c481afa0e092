//! Pages of the event feed.

use std::ops::ControlFlow;

use super::super::Reader;
use super::super::feed::{self, Cursor, EventKind, EventRecord};
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::super::request::EventFilter;
use super::super::views::{ClaimView, Event, EventPage, NameEnd, RegistrationView, RejectedBy};
use super::MAX_EXAMINED;
use crate::crdt::{ClaimRecord, Registration};
use crate::model::limits::MAX_PAGE;

/// A page of the event feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventsAfter {
    /// Only events after this cursor; none for all that are kept.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
    /// Which ones.
    pub filter: EventFilter,
    read: Progress,
}

/// How far a page has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Progress {
    /// Where it goes on; none before it has begun.
    next: Option<Cursor>,
    events: Vec<Event>,
    examined: usize,
}

impl EventsAfter {
    /// At most so many events after a cursor, of those that the filter wants.
    #[must_use]
    pub fn new(after: Option<Cursor>, limit: usize, filter: EventFilter) -> Self {
        Self { after, limit, filter, read: Progress::default() }
    }
}

impl Query for EventsAfter {
    type Answer = EventPage;

    fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Result<EventPage, Refusal>> {
        let next = match reader.feed_place(self.read.next.or(self.after)) {
            Ok(next) => next,
            // What comes next was dropped while it was reading.
            Err(_) if let Some(next) = self.read.next => {
                return Some(Ok(EventPage { events: std::mem::take(&mut self.read.events), next }));
            }
            Err(refusal) => return Some(Err(refusal)),
        };
        let limit = self.limit.clamp(1, MAX_PAGE);
        let (mut left, mut whole) = (budget.left(), true);
        let read = &mut self.read;
        read.next = Some(next);
        feed::read(reader.store, next.number, &mut |number, record| {
            whole = read.events.len() >= limit || read.examined >= MAX_EXAMINED;
            if whole || left == 0 {
                return ControlFlow::Break(());
            }
            let cursor = reader.registry.feed.at(number);
            read.next = Some(cursor);
            read.events.extend(reader.event(cursor, &record, &self.filter));
            (read.examined, left, whole) = (read.examined + 1, left - 1, true);
            ControlFlow::Continue(())
        });
        budget.spend(budget.left() - left);
        let next = read.next.unwrap_or(next);
        whole.then(|| Ok(EventPage { events: std::mem::take(&mut read.events), next }))
    }
}

impl Reader<'_> {
    /// Where a reader of the feed goes on; whoever has read nothing begins at the earliest event kept.
    fn feed_place(&self, after: Option<Cursor>) -> Result<Cursor, Refusal> {
        let restart = self.registry.feed.start();
        let after = after.unwrap_or(restart);
        if !self.registry.feed.gave(after) {
            return Err(Refusal::CursorUnknown { after, restart });
        }
        if after.number < restart.number { Err(Refusal::EventsCompacted { after, restart }) } else { Ok(after) }
    }

    /// The event as its reader sees it; none where the filter does not want it.
    fn event(&self, cursor: Cursor, record: &EventRecord, filter: &EventFilter) -> Option<Event> {
        let event_type = record.kind.event_type();
        let wanted = (filter.types.is_empty() || filter.types.contains(&event_type))
            && (!filter.local || record.registration.node.key_part() == self.registry.me.key_part())
            && filter.since.is_none_or(|since| record.time >= since);
        let registration = Registration::load(self.store, record.registration).filter(|_| wanted)?;
        let about = filter.owner.as_ref().is_none_or(|owner| *owner == registration.owner)
            && filter.registration.is_none_or(|id| id == registration.id())
            && filter
                .namespace
                .as_ref()
                .is_none_or(|namespace| registration.claims.iter().any(|record| record.claim.namespace == *namespace));
        if !about {
            return None;
        }
        let registration = self.as_told(record, registration);
        let ended = match record.kind {
            EventKind::NameEnded(index, reason) => {
                let index = usize::from(index);
                registration.names.get(index).map(|name| NameEnd { index, name: name.clone(), reason })
            }
            _ => None,
        };
        Some(Event { cursor, event_type, time: record.time, registration, ended })
    }

    /// The registration as an event told of it, which it does for good: of what the row says, only what its op said. What was
    /// erased since is gone from its events as well.
    fn as_told(&self, record: &EventRecord, registration: Registration) -> RegistrationView {
        let (id, erased) = (registration.id(), registration.erased);
        let ended = |index: usize| match record.kind {
            EventKind::NameEnded(ended, reason) if usize::from(ended) == index => Some(reason),
            _ => None,
        };
        let claims = registration.claims.iter().enumerate();
        let name = |(index, record): (usize, &ClaimRecord)| ClaimView {
            ended: ended(index),
            ..self.claim_view(id, &record.claim, erased)
        };
        let names = claims.map(name).collect();
        let rejected_by = record.kind.lost_to().and_then(|lost_to| {
            let lost = &registration.claims.get(usize::from(lost_to.claim))?.claim;
            Some(RejectedBy::new(lost.namespace.clone(), self.typed(id, lost), lost_to.id, lost_to.winner))
        });
        let is_reservation =
            matches!(record.kind, EventKind::Accepted | EventKind::Contested(_) | EventKind::Confirmed);
        RegistrationView {
            id,
            owner: registration.owner,
            status: record.kind.status(),
            names,
            node: registration.stamp.node,
            stamp: registration.stamp,
            expires: registration.expires.filter(|_| is_reservation).map(crate::clock::Hlc::millis),
            activated: record.kind == EventKind::Activated,
            metadata: registration.metadata,
            erased,
            waiting_for: Vec::new(),
            rejected_by,
        }
    }
}
