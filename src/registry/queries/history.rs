//! The tenures of a name: who held it, from when till when, and who lost it.

use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::Reader;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::super::request::NameRequest;
use super::super::views::Status;
use crate::clock::{Hlc, Millis, Stamp};
use crate::crdt::{ClaimPlace, EndReason, Registration, Tenures};
use crate::model::limits::MAX_PAGE;

/// A page of a name's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryPage {
    /// The namespace.
    pub namespace: String,
    /// The name as asked for.
    pub name: String,
    /// Its canonical form.
    pub key: String,
    /// Its tenures, earliest first.
    pub tenures: Vec<TenureView>,
    /// Where there are more: the claim that the next page begins with. It is one of a tenure that this page has begun, where
    /// very many claimed that; then the next page shows the leader again and goes on.
    pub next: Option<ClaimPlace>,
}

/// Claims to one name that follow the same claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenureView {
    /// The claim whose tenure this one follows; none for the first.
    pub after: Option<Stamp>,
    /// The claims that are not forgotten, by stamp, or those of them that are on this page; the first leads, and the others
    /// lost to it. None where the first is forgotten.
    pub claims: Vec<TenureClaim>,
    /// When the first of them ended, where that is final and this node has seen it.
    pub until: Option<Millis>,
}

/// A claim among those of a tenure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenureClaim {
    /// Its registration.
    pub registration: Uuid,
    /// Whose it is.
    pub owner: String,
    /// The name as typed; empty for a private one that was not typed at this node.
    pub name: String,
    /// Its stamp.
    pub stamp: Stamp,
    /// The label of the node that accepted it; empty where this node does not know it.
    pub label: String,
    /// Where its registration stands.
    pub status: Status,
    /// It is a retry of a registration that was accepted earlier elsewhere, and counts for nothing.
    pub twin: bool,
    /// A release of it is known, which may not be final.
    pub released: bool,
    /// How it ended, where it finally did.
    pub ended: Option<EndReason>,
    /// Where it was rejected: when this node knew that this is final, if it has seen it.
    pub rejected_at: Option<Millis>,
}

/// A page of the tenures of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryOf {
    /// The name.
    pub name: NameRequest,
    /// From this claim on, which a page before said under `next`.
    pub after: Option<ClaimPlace>,
    /// At most so many.
    pub limit: usize,
}

impl Query for HistoryOf {
    type Answer = HistoryPage;

    fn read(&mut self, reader: Reader<'_>, budget: &mut Budget) -> Option<Result<HistoryPage, Refusal>> {
        let page = reader.history(self.name.clone(), self.after, self.limit);
        budget.spend(page.as_ref().map_or(1, |page| page.tenures.iter().map(|tenure| 1 + tenure.claims.len()).sum()));
        Some(page)
    }
}

impl Reader<'_> {
    /// A page of a name's tenures, from a claim on.
    fn history(&self, request: NameRequest, from: Option<ClaimPlace>, limit: usize) -> Result<HistoryPage, Refusal> {
        let key = self.name_key(&request)?;
        let NameRequest { namespace, name } = request;
        let tenures = self.registry.lattice.tenures(self.store, &namespace, &key);
        let (limit, mut read, mut next) = (limit.clamp(1, MAX_PAGE), 0, None);
        let mut page: Vec<(Option<Stamp>, Vec<Stamp>)> = Vec::new();
        tenures.each(from, &mut |place| {
            let begun = page.last().is_some_and(|(after, _)| *after == place.after);
            if read == MAX_PAGE || !begun && page.len() == limit {
                next = Some(place);
                return ControlFlow::Break(());
            }
            read += 1;
            match page.last_mut().filter(|_| begun) {
                Some((_, claims)) => claims.push(place.stamp),
                None => page.push((place.after, vec![place.stamp])),
            }
            ControlFlow::Continue(())
        });
        let view = |(after, claims): (_, Vec<_>)| self.tenure_view(&namespace, &key, &tenures, after, &claims);
        let page = page.into_iter().map(view).collect();
        Ok(HistoryPage { tenures: page, next, namespace, name, key })
    }

    /// A tenure with these of its claims, and with the one that leads it.
    pub(crate) fn tenure_view(
        &self,
        namespace: &str,
        key: &str,
        tenures: &Tenures<'_>,
        after: Option<Stamp>,
        claims: &[Stamp],
    ) -> TenureView {
        let leader = tenures.leader(after).filter(|_| tenures.is_led(after));
        let others = claims.iter().copied().filter(|claim| Some(*claim) != leader);
        let shown = leader.into_iter().chain(others).filter_map(|stamp| self.tenure_claim(namespace, key, stamp));
        let mut claims: Vec<_> = shown.collect();
        if leader.is_none() || claims.first().map(|claim| claim.stamp) != leader {
            claims.clear();
        }
        let until = leader.and_then(|leader| self.ended_at(namespace, key, leader));
        TenureView { after, claims, until }
    }

    fn tenure_claim(&self, namespace: &str, key: &str, stamp: Stamp) -> Option<TenureClaim> {
        let registration = Registration::load(self.store, stamp)?;
        let record = registration.claim(namespace, key)?;
        Some(TenureClaim {
            registration: registration.id(),
            name: self.typed(registration.id(), &record.claim),
            stamp,
            label: self.log.label(stamp.node),
            status: self.status(&registration),
            twin: self.is_later_twin(&registration),
            released: record.released,
            ended: record.ended,
            rejected_at: self.rejected_at(stamp),
            owner: registration.owner,
        })
    }

    /// When a claim ended, where this node can tell.
    pub(crate) fn ended_at(&self, namespace: &str, key: &str, stamp: Stamp) -> Option<Millis> {
        let registration = Registration::load(self.store, stamp)?;
        let index = registration.claims.iter().position(|c| c.claim.namespace == namespace && c.claim.key == key)?;
        match registration.claims[index].ended? {
            EndReason::Expired => registration.end().map(Hlc::millis),
            EndReason::Rejected => self.rejected_at(stamp),
            EndReason::Released | EndReason::Replaced => self.end_of(stamp, index).map(|ending| ending.at),
        }
    }

    /// Whether an earlier op carries the registration's id.
    pub(crate) fn is_later_twin(&self, registration: &Registration) -> bool {
        let run = registration
            .chosen_id
            .map(|id| self.registry.lattice.run(self.store, id, registration.stamp))
            .unwrap_or_default();
        run.first().is_some_and(|first| *first != registration.stamp)
    }
}
