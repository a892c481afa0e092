//! The history of a name: who held it, from when until when, and which claims lost.

use std::ops::ControlFlow;

use super::super::Reader;
use super::super::caller::Caller;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use crate::clock::Stamp;
use crate::crdt::{EndReason, Registration, Tenures};
use crate::model::limits::MAX_PAGE;
use crate::model::{ClaimPlace, Contender, History, NameRef, Tenure, Time};

/// The claims of one tenure.
pub(super) struct Claims {
    /// The claims that are not forgotten, by stamp, or those of them on this page. The first one leads, and the others
    /// lost to it. Empty where the leader is forgotten.
    pub(super) claims: Vec<Contender>,
    /// When the leader's claim ended, where that is final and this node has seen it.
    until: Option<Time>,
}

impl Claims {
    /// Returns the tenure; none where its leader is forgotten.
    pub(super) fn tenure(self) -> Option<Tenure> {
        let mut claims = self.claims.into_iter();
        let holder = claims.next()?;
        Some(Tenure { since: holder.accepted_at, until: self.until, losers: claims.collect(), holder })
    }
}

/// Query for a page of the tenures of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryOf {
    /// The name.
    pub name: NameRef,
    /// The claim to begin with, from `next` of the page before; none for the first page.
    pub after: Option<ClaimPlace>,
    /// Greatest number of tenures on the page.
    pub limit: usize,
}

impl Query for HistoryOf {
    type Answer = History;

    fn read(&mut self, reader: Reader<'_>, caller: &Caller, budget: &mut Budget) -> Option<Result<History, Refusal>> {
        let reached = caller.reach(&self.name.namespace);
        let page = reached.and_then(|()| reader.history(self.name.clone(), self.after, self.limit));
        budget.spend(page.as_ref().map_or(1, |page| page.tenures.iter().map(|tenure| 2 + tenure.losers.len()).sum()));
        Some(page)
    }
}

impl Reader<'_> {
    /// Returns a page of a name's tenures, starting at a claim.
    fn history(&self, request: NameRef, from: Option<ClaimPlace>, limit: usize) -> Result<History, Refusal> {
        let key = self.name_key(&request)?;
        let NameRef { namespace, name } = request;
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
        let tenure = |(after, claims): (_, Vec<_>)| self.claims_to(&namespace, &key, &tenures, after, &claims).tenure();
        let tenures = page.into_iter().filter_map(tenure).collect();
        Ok(History { tenures, next, namespace, name, key })
    }

    /// Returns these claims to a tenure, preceded by its leader.
    pub(super) fn claims_to(
        &self,
        namespace: &str,
        key: &str,
        tenures: &Tenures<'_>,
        after: Option<Stamp>,
        claims: &[Stamp],
    ) -> Claims {
        let leader = tenures.leader(after).filter(|_| tenures.is_led(after));
        let others = claims.iter().copied().filter(|claim| Some(*claim) != leader);
        let shown = leader.into_iter().chain(others).filter_map(|stamp| self.contender(namespace, key, stamp));
        let mut claims: Vec<_> = shown.collect();
        if leader.is_none() || claims.first().map(|claim| claim.stamp) != leader {
            claims.clear();
        }
        let until = leader.and_then(|leader| self.ended_at(namespace, key, leader));
        Claims { claims, until }
    }

    fn contender(&self, namespace: &str, key: &str, stamp: Stamp) -> Option<Contender> {
        let registration = Registration::load(self.store, stamp)?;
        let record = registration.claim(namespace, key)?;
        Some(Contender {
            registration: registration.id(),
            name: self.typed(registration.id(), &record.claim),
            node: stamp.node,
            stamp,
            accepted_at: registration.accepted_at().into(),
            reissued_at: registration.reissued_at().map(Time::from),
            label: self.log.label(stamp.node),
            status: self.status(&registration),
            twin: self.is_later_twin(&registration),
            released: record.released,
            ended: record.ended,
            rejected_at: self.rejected_at(stamp).map(Time),
            owner: registration.owner,
        })
    }

    /// Returns when a claim ended; none where it has not, or this node has not seen the end.
    pub(crate) fn ended_at(&self, namespace: &str, key: &str, stamp: Stamp) -> Option<Time> {
        let registration = Registration::load(self.store, stamp)?;
        let index = registration.claims.iter().position(|c| c.claim.namespace == namespace && c.claim.key == key)?;
        match registration.claims[index].ended? {
            EndReason::Expired => registration.end().map(Time::from),
            EndReason::Rejected => self.rejected_at(stamp).map(Time),
            EndReason::Released | EndReason::Replaced => self.end_of(stamp, index).map(|ending| Time(ending.at)),
        }
    }

    /// Returns true where an earlier registration has the same id.
    pub(crate) fn is_later_twin(&self, registration: &Registration) -> bool {
        let run = registration
            .chosen_id
            .map(|id| self.registry.lattice.run(self.store, id, registration.stamp))
            .unwrap_or_default();
        run.first().is_some_and(|first| *first != registration.stamp)
    }
}
