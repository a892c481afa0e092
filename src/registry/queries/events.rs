//! Pages of the event feed.

use std::ops::ControlFlow;

use super::super::Reader;
use super::super::caller::Caller;
use super::super::feed::{self, EventKind, EventRecord};
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::MAX_EXAMINED;
use crate::clock::Millis;
use crate::crdt::{Claim, EndReason, Registration};
use crate::model::limits::{DEFAULT_PAGE, MAX_PAGE};
use crate::model::{self, Cursor, Event, EventData, EventQuery, EventType, Events, RejectedBy, Time};

/// Query for a page of the event feed.
#[derive(Clone, PartialEq, Debug)]
pub struct EventsAfter {
    /// Only events after this cursor; none for all that are kept.
    pub after: Option<Cursor>,
    /// The filter, and the greatest number of events.
    pub query: EventQuery,
    /// Events that are left out because they are older than the reader; none where all are read.
    pub since_made: Option<SinceMade>,
    read: Progress,
}

/// Leaves old events out of a feed that repeats events, for a reader of the feed that is younger than they are, such as a
/// webhook. The time of a repeated event is that of its repetition, so its age is derived from the registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SinceMade {
    /// The number of the last event that may be a repetition.
    pub until: u64,
    /// When the reader was made. Earlier events are left out, where their time is known.
    pub made: Millis,
    /// The earliest acceptance of the registrations that were undecided when the reader was made. When an outcome was decided is
    /// recorded nowhere. So the outcomes of earlier registrations are left out.
    pub undecided: Millis,
}

/// Query for the number of the last event of the feed, once it repeats no more events; none while it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RepeatedUntil;

impl Query for RepeatedUntil {
    type Answer = Option<u64>;

    fn read(&mut self, reader: Reader<'_>, _: &Caller, budget: &mut Budget) -> Option<Result<Option<u64>, Refusal>> {
        budget.spend(1);
        let is_over = reader.registry.retelling.is_none() && reader.log.may_answer();
        Some(Ok(is_over.then(|| reader.registry.feed.upcoming().saturating_sub(1))))
    }
}

/// The state of a page that is read in several slices.
#[derive(Clone, PartialEq, Debug, Default)]
struct Progress {
    /// The cursor to continue after; none before the first slice.
    next: Option<Cursor>,
    events: Vec<Event>,
    examined: usize,
}

impl EventsAfter {
    /// Makes the query for the events after a cursor that match a filter.
    #[must_use]
    pub fn new(after: Option<Cursor>, query: EventQuery) -> Self {
        Self { after, query, since_made: None, read: Progress::default() }
    }

    /// Leaves out repeated events that are older than the reader.
    #[must_use]
    pub fn since_made(self, since_made: Option<SinceMade>) -> Self {
        Self { since_made, ..self }
    }
}

impl Query for EventsAfter {
    type Answer = Events;

    fn read(&mut self, reader: Reader<'_>, caller: &Caller, budget: &mut Budget) -> Option<Result<Events, Refusal>> {
        if let Some(Err(refusal)) = self.query.namespace.as_ref().map(|namespace| caller.reach(namespace)) {
            return Some(Err(refusal));
        }
        let next = match reader.feed_place(self.read.next.or(self.after)) {
            Ok(next) => next,
            // The next events were dropped between two slices.
            Err(_) if let Some(next) = self.read.next => {
                return Some(Ok(Events { events: std::mem::take(&mut self.read.events), next }));
            }
            Err(refusal) => return Some(Err(refusal)),
        };
        let limit = self.query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
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
            let is_history =
                self.since_made.is_some_and(|since| number <= since.until && reader.is_history(&record, since));
            if !is_history {
                read.events.extend(reader.event(cursor, &record, &self.query, caller));
            }
            (read.examined, left, whole) = (read.examined + 1, left - 1, true);
            ControlFlow::Continue(())
        });
        budget.spend(budget.left() - left);
        let next = read.next.unwrap_or(next);
        whole.then(|| Ok(Events { events: std::mem::take(&mut read.events), next }))
    }
}

impl Reader<'_> {
    /// Returns the cursor after which a reader continues. A reader without a cursor begins at the earliest event kept.
    fn feed_place(&self, after: Option<Cursor>) -> Result<Cursor, Refusal> {
        let restart = self.registry.feed.start();
        let after = after.unwrap_or(restart);
        if !self.registry.feed.gave(after) {
            return Err(Refusal::CursorUnknown { after, restart });
        }
        if after.number < restart.number { Err(Refusal::EventsCompacted { after, restart }) } else { Ok(after) }
    }

    /// Returns true where an event is known to be older than a reader, whatever the time of the event says.
    fn is_history(&self, record: &EventRecord, SinceMade { made, undecided, .. }: SinceMade) -> bool {
        let Some(registration) = Registration::load(self.store, record.registration) else { return false };
        let accepted = registration.accepted_at();
        let (time, earliest) = match record.kind {
            EventKind::Accepted | EventKind::Contested(_) => (accepted, made),
            EventKind::Confirmed | EventKind::Rejected(_) | EventKind::NameEnded(_, EndReason::Rejected) => {
                (accepted, undecided.min(made))
            }
            EventKind::Activated => (registration.activated.map_or(accepted, |by| by.hlc), made),
            EventKind::NameEnded(_, EndReason::Expired) => (registration.end().unwrap_or(accepted), made),
            // When it was released is recorded nowhere. Registrations that are over are forgotten some time later, so these
            // are few.
            EventKind::NameEnded(_, EndReason::Released | EndReason::Replaced) => return false,
        };
        time.millis() < earliest
    }

    /// Returns an event as its reader sees it; none where the filter or the caller's rights exclude it.
    fn event(&self, cursor: Cursor, record: &EventRecord, query: &EventQuery, caller: &Caller) -> Option<Event> {
        let event_type = record.kind.event_type();
        let wanted = (query.types.is_empty() || query.types.contains(&event_type))
            && (!query.local || record.registration.node.key_part() == self.registry.me.key_part())
            && query.since.is_none_or(|since| record.time >= since.0);
        let registration = Registration::load(self.store, record.registration).filter(|_| wanted)?;
        let about = caller.reaches_any_of(&registration)
            && query.owner.as_ref().is_none_or(|owner| *owner == registration.owner)
            && query.registration.is_none_or(|id| id == registration.id())
            && query
                .namespace
                .as_ref()
                .is_none_or(|namespace| registration.claims.iter().any(|record| record.claim.namespace == *namespace));
        if !about {
            return None;
        }
        let ended = match record.kind {
            EventKind::NameEnded(index, reason) => {
                registration.claims.get(usize::from(index)).map(|record| (index, &record.claim, reason))
            }
            _ => None,
        };
        let view = self.as_told(record, &registration);
        let name = ended.and_then(|(index, ..)| view.names.get(usize::from(index)).cloned());
        let subject = match &name {
            // A private name is shown by its key everywhere.
            Some(name) if name.name.is_empty() => format!("{}/{}", name.namespace, name.key),
            Some(name) => format!("{}/{}", name.namespace, name.name),
            None => view.id.to_string(),
        };
        Some(Event {
            specversion: "1.0".to_owned(),
            id: id_of(&registration, event_type, ended.map(|(index, claim, _)| (index, claim))),
            // The source names the node's first incarnation, because later incarnations repeat the events of a
            // registration, and an event must be the same however often it is read.
            source: format!("/nodes/{}", self.registry.me.first_incarnation()),
            event_type,
            subject,
            time: Time(record.time),
            datacontenttype: "application/json".to_owned(),
            cursor: Some(cursor),
            data: EventData {
                rejected_by: view.rejected_by.clone(),
                registration: view,
                name,
                reason: ended.map(|(.., reason)| reason),
            },
        })
    }

    /// Returns the registration as the event shows it, which never changes: of the row only the op's content is used.
    /// Text that was erased since is missing from the event as well.
    fn as_told(&self, record: &EventRecord, registration: &Registration) -> model::Registration {
        let mut view = self.content_view(registration, record.kind.status());
        if let EventKind::NameEnded(index, reason) = record.kind
            && let Some(name) = view.names.get_mut(usize::from(index))
        {
            name.ended = Some(reason);
        }
        let rejected_by = record.kind.lost_to().and_then(|lost_to| {
            let lost = &registration.claims.get(usize::from(lost_to.claim))?.claim;
            let name = self.typed(registration.id(), lost);
            let winner = Registration::load(self.store, lost_to.winner);
            let accepted = winner.map_or(lost_to.winner.hlc, |winner| winner.accepted_at());
            Some(RejectedBy::new(lost.namespace.clone(), name, lost_to.id, lost_to.winner, accepted))
        });
        let is_reservation =
            matches!(record.kind, EventKind::Accepted | EventKind::Contested(_) | EventKind::Confirmed);
        model::Registration {
            expires_at: registration.expires.filter(|_| is_reservation).map(Time::from),
            activated: record.kind == EventKind::Activated,
            rejected_by,
            ..view
        }
    }
}

/// Returns the id of an event, which is the same at every node and for ever. It has the registration's id and the kind
/// of event, and for the end of a name also its namespace and key. Where the registration was erased, the name's index
/// takes the place of the key.
fn id_of(registration: &Registration, event_type: EventType, ended: Option<(u8, &Claim)>) -> String {
    let id = registration.id();
    let what = match event_type {
        EventType::Accepted => "accepted",
        EventType::Contested => "contested",
        EventType::Confirmed => "confirmed",
        EventType::Rejected => "rejected",
        EventType::Activated => "activated",
        EventType::NameEnded => "ended",
    };
    match ended {
        None => format!("{id}/{what}"),
        Some((index, claim)) if registration.erased => format!("{id}/{what}/{}/#{index}", claim.namespace),
        Some((_, claim)) => format!("{id}/{what}/{}/{}", claim.namespace, claim.key),
    }
}
