//! What clients are shown.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::Reader;
use super::super::answer::{
    ClaimView, Event, EventPage, NameEnd, NameStatus, NameView, RegistrationView, RejectedBy, Status, Waiting,
};
use super::super::feed::{self, Cursor, EventKind, EventRecord};
use super::super::refusal::Refusal;
use super::super::request::{EventFilter, NameRequest};
use crate::clock::{NodeId, Stamp};
use crate::crdt::{Claim, ClaimRecord, Registration, Tenures};
use crate::log::Seq;
use crate::model::limits::MAX_PAGE;
use crate::store::Direction;
use crate::store::schema::{self, OwnerKey, Rows, Span};

/// Events that one page looks at, so that a filter that matches little does not hold up the node. A guess.
const MAX_EXAMINED: usize = 5000;

impl Reader<'_> {
    /// Where a registration stands.
    pub(crate) fn status(&self, registration: &Registration) -> Status {
        if registration.rejected {
            Status::Rejected
        } else if self.registry.verdicts.is_contested(registration.stamp) {
            Status::Contested
        } else if registration.seq <= self.log.decided(registration.stamp.node) {
            Status::Confirmed
        } else {
            Status::Pending
        }
    }

    pub(crate) fn registration_view(&self, registration: Registration) -> RegistrationView {
        let status = self.status(&registration);
        let (id, erased) = (registration.id(), registration.erased);
        let claim = |ClaimRecord { claim, ended, .. }| ClaimView { ended, ..self.claim_view(id, &claim, erased) };
        let activated = registration.activated_in_time();
        let expires = registration.end().filter(|_| !activated);
        let waiting_for =
            if status.is_final() { self.holds_its_end(&registration) } else { self.blockers(&registration) };
        let rejected_by = registration.lost.then(|| self.winner(&registration)).flatten();
        RegistrationView {
            id: registration.id(),
            owner: registration.owner,
            status,
            names: registration.claims.into_iter().map(claim).collect(),
            node: registration.stamp.node,
            stamp: registration.stamp,
            expires: expires.map(crate::clock::Hlc::millis),
            activated,
            metadata: registration.metadata,
            erased,
            waiting_for,
            rejected_by,
        }
    }

    fn claim_view(&self, registration: Uuid, claim: &Claim, erased: bool) -> ClaimView {
        // The hash in the place of an erased key is nobody's business.
        let key = if erased { String::new() } else { claim.key.clone() };
        ClaimView { namespace: claim.namespace.clone(), name: self.typed(registration, claim), key, ended: None }
    }

    /// Whom a reservation waits for whose time is over and which has not ended: they may have activated it.
    fn holds_its_end(&self, registration: &Registration) -> Vec<Waiting> {
        let open = !registration.lost && registration.claims.iter().any(|record| record.ended.is_none());
        match registration.end().filter(|_| open && !registration.activated_in_time()) {
            Some(end) if end.millis() < self.log.cluster_time() && self.log.watermark() < end => {
                self.log.waiting_for(Stamp { hlc: end, node: NodeId::default() }, Seq::MAX)
            }
            _ => Vec::new(),
        }
    }

    /// Whom a registration waits for: a lost one whose own op is decided waits for the op that displaced it.
    fn blockers(&self, registration: &Registration) -> Vec<Waiting> {
        let waiting = self.log.waiting_for(registration.stamp, registration.seq);
        if !waiting.is_empty() || !registration.lost {
            return waiting;
        }
        let causes = self.registry.lattice.causes(self.store, registration);
        let winner = causes.first().and_then(|(_, cause)| Registration::load(self.store, *cause));
        winner.map(|winner| self.log.waiting_for(winner.stamp, winner.seq)).unwrap_or_default()
    }

    fn winner(&self, registration: &Registration) -> Option<RejectedBy> {
        let (index, stamp) =
            self.registry.lattice.causes(self.store, registration).into_iter().find_map(|(i, by)| Some((i?, by)))?;
        let lost = &registration.claims.get(index)?.claim;
        let winner = Registration::load(self.store, stamp)?.id();
        Some(RejectedBy::new(lost.namespace.clone(), self.typed(registration.id(), lost), winner, stamp))
    }

    pub(crate) fn name_view(&self, request: NameRequest) -> Result<NameView, Refusal> {
        let key = self.name_key(&request)?;
        let tenures = self.registry.lattice.tenures(self.store, &request.namespace, &key);
        let (status, holder) = self.holder(&request.namespace, &key, &tenures).unzip();
        if holder.is_none() {
            self.claimable_key(&request)?;
        }
        let NameRequest { namespace, name } = request;
        let free_at = self.kept_until(&namespace, &key, None);
        let status = status.unwrap_or(if free_at.is_some() { NameStatus::Ending } else { NameStatus::Available });
        let registration = holder.as_ref().map(Registration::id);
        let since = holder.as_ref().map(|holder| holder.stamp.hlc.millis());
        let rules = self.registry.lattice.rules(self.store, &namespace);
        // Of a private name there is nothing to tell but the name that was asked for.
        let public = holder.filter(|_| !rules.is_private());
        let held = public.and_then(|holder| holder.claim(&namespace, &key).map(|record| record.claim.name.clone()));
        let looks_like = held.filter(|held| !held.is_empty() && rules.look_alike(&name, held));
        Ok(NameView { namespace, name, key, status, registration, since, looks_like, free_at })
    }

    /// The registration whose claim leads a name and has not finally ended, and where it stands.
    pub(crate) fn holder(
        &self,
        namespace: &str,
        key: &str,
        tenures: &Tenures<'_>,
    ) -> Option<(NameStatus, Registration)> {
        let registration = tenures.holder()?;
        let released = registration.claim(namespace, key).is_some_and(|claim| claim.released);
        let status = match self.status(&registration) {
            _ if released => NameStatus::Ending,
            Status::Confirmed => NameStatus::Held,
            Status::Pending => NameStatus::Pending,
            Status::Contested | Status::Rejected => NameStatus::Ending,
        };
        Some((status, registration))
    }

    pub(crate) fn owner_views(&self, owner: &str, after: Option<Uuid>, limit: usize) -> Vec<RegistrationView> {
        let after = after.and_then(|id| self.registry.lattice.find_stamp(self.store, id));
        let mut span = Span::<schema::Owners>::of(owner);
        if let Some(stamp) = after {
            span = span.and_after(OwnerKey { owner, stamp });
        }
        let mut stamps = Vec::new();
        schema::Owners::scan(self.store, &span, Direction::Up, &mut |found| {
            stamps.extend(found.key().map(|key| key.stamp));
            if stamps.len() < limit.min(MAX_PAGE) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let registrations = stamps.into_iter().filter_map(|stamp| Registration::load(self.store, stamp));
        // A later twin is not a registration of its own.
        let first = |registration: &Registration| {
            registration.chosen_id.is_none_or(|id| {
                self.registry.lattice.find_stamp(self.store, id).is_none_or(|first| first == registration.stamp)
            })
        };
        registrations.filter(first).map(|registration| self.registration_view(registration)).collect()
    }

    /// A page of the feed; whoever has read nothing begins at the earliest event kept.
    pub(crate) fn event_page(
        &self,
        after: Option<Cursor>,
        limit: usize,
        filter: &EventFilter,
    ) -> Result<EventPage, Refusal> {
        let restart = self.registry.feed.start();
        let after = after.unwrap_or(restart);
        if !self.registry.feed.gave(after) {
            return Err(Refusal::CursorUnknown { after, restart });
        }
        if after.number < restart.number {
            return Err(Refusal::EventsCompacted { after, restart });
        }
        let (mut page, mut examined) = (EventPage { events: Vec::new(), next: after }, 0);
        let limit = limit.clamp(1, MAX_PAGE);
        feed::read(self.store, after.number, &mut |number, record| {
            page.next = self.registry.feed.at(number);
            page.events.extend(self.event(page.next, &record, filter));
            examined += 1;
            if page.events.len() < limit && examined < MAX_EXAMINED {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        Ok(page)
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
