//! The exception report: names that were claimed more than once in one tenure.

use std::ops::ControlFlow;

use super::super::Reader;
use super::super::caller::Caller;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::MAX_EXAMINED;
use crate::clock::Stamp;
use crate::model::limits::MAX_PAGE;
use crate::model::{ClaimPlace, Conflict, ConflictStatus, Conflicts, Place, Precedence, Time};
use crate::store::Direction;
use crate::store::schema::{self, ClaimKey, NameKey, Rows, Span};

/// Claims of one tenure that one conflict shows at most. A tenure with more claims is reported in parts.
const PART: usize = MAX_PAGE;

/// Adjacent rows of claims to one tenure of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Group {
    namespace: String,
    key: String,
    after: Option<Stamp>,
    claims: Vec<Stamp>,
}

impl Group {
    fn of(key: ClaimKey<'_>) -> Self {
        let ClaimKey { name, after, stamp } = key;
        Self { namespace: name.namespace.to_owned(), key: name.key.to_owned(), after, claims: vec![stamp] }
    }

    fn has(&self, key: ClaimKey<'_>) -> bool {
        key.name == NameKey::new(&self.namespace, &self.key) && key.after == self.after
    }
}

/// Query for a page of the report, of one namespace or all. Only names that were claimed more than once have rows in
/// the table that is scanned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConflictsOf {
    /// Only conflicts in this namespace; none for all.
    pub namespace: Option<String>,
    /// Only conflicts that changed at or after this time, or are still open.
    pub since: Option<Time>,
    /// The place where the page before this one ended.
    pub after: Option<Place>,
    /// Greatest number of conflicts on the page.
    pub limit: usize,
    read: Vec<Conflict>,
    /// The claims read so far of the current tenure.
    group: Option<Group>,
    examined: usize,
}

impl ConflictsOf {
    /// Makes the query for at most `limit` conflicts after a place.
    #[must_use]
    pub fn new(namespace: Option<String>, since: Option<Time>, after: Option<Place>, limit: usize) -> Self {
        Self { namespace, since, after, limit, read: Vec::new(), group: None, examined: 0 }
    }

    /// Adds the current group to the page, once all claims of its tenure are read, or as many as one part has.
    fn finish(&mut self, reader: Reader<'_>, caller: &Caller, budget: &mut Budget) {
        let Some(group) = self.group.take().filter(|group| caller.reaches(&group.namespace)) else { return };
        budget.spend(group.claims.len());
        let conflict = reader.conflict(group);
        self.read.extend(conflict.filter(|conflict| self.since.is_none_or(|since| concerns(conflict, since))));
    }
}

impl Query for ConflictsOf {
    type Answer = Conflicts;

    fn read(&mut self, reader: Reader<'_>, caller: &Caller, budget: &mut Budget) -> Option<Result<Conflicts, Refusal>> {
        if let Some(Err(refusal)) = self.namespace.as_ref().map(|namespace| caller.reach(namespace)) {
            return Some(Err(refusal));
        }
        let limit = self.limit.clamp(1, MAX_PAGE);
        while budget.left() > 0 {
            // Scans to the end of a tenure, or of a part of one.
            let (mut stopped_at, mut out_of_budget) = (None, false);
            let (group, examined) = (&mut self.group, &mut self.examined);
            schema::Claims::scan(
                reader.store,
                &span(self.namespace.as_deref(), self.after.as_ref()),
                Direction::Up,
                &mut |found| {
                    let Some(key) = found.key() else { return ControlFlow::Continue(()) };
                    let goes_on = group.as_ref().is_none_or(|group| group.has(key) && group.claims.len() < PART);
                    out_of_budget = budget.left() == 0;
                    if !goes_on || out_of_budget || *examined >= MAX_EXAMINED {
                        stopped_at = Some(place(key));
                        return ControlFlow::Break(());
                    }
                    match group {
                        Some(group) => group.claims.push(key.stamp),
                        None => *group = Some(Group::of(key)),
                    }
                    budget.spend(1);
                    *examined += 1;
                    ControlFlow::Continue(())
                },
            );
            self.after = stopped_at;
            if out_of_budget && self.after.is_some() {
                return None;
            }
            self.finish(reader, caller, budget);
            let full = self.read.len() >= limit || self.examined >= MAX_EXAMINED;
            if self.after.is_none() || full {
                return Some(Ok(Conflicts { conflicts: std::mem::take(&mut self.read), next: self.after.take() }));
            }
        }
        None
    }
}

impl Reader<'_> {
    /// Returns the claims to a tenure as a conflict. Returns none where all claims are retries of one registration.
    fn conflict(&self, Group { namespace, key, after, claims }: Group) -> Option<Conflict> {
        let tenures = self.registry.lattice.tenures(self.store, &namespace, &key);
        let first = tenures.leader(after)?;
        let second = claims.iter().find(|claim| **claim != first)?;
        let why = if first.hlc == second.hlc { Precedence::LowestNode } else { Precedence::EarliestTimestamp };
        let claims = self.claims_to(&namespace, &key, &tenures, after, &claims).claims;
        let winner = claims.first()?.registration;
        if claims.iter().all(|claim| claim.registration == winner) {
            return None;
        }
        let is_final = claims.iter().all(|claim| claim.status.is_final());
        let (status, final_at) = match is_final {
            true => (ConflictStatus::Final, claims.iter().filter_map(|claim| claim.rejected_at).max()),
            false => (ConflictStatus::Open, None),
        };
        Some(Conflict { namespace, key, status, winner, why, claims, final_at })
    }
}

/// Returns true where a conflict changed at or after a time, or is still open.
fn concerns(conflict: &Conflict, since: Time) -> bool {
    let latest = conflict.claims.last().map(|claim| claim.accepted_at);
    conflict.status == ConflictStatus::Open || latest.max(conflict.final_at) >= Some(since)
}

/// Returns the rows of one namespace or all, starting at a place.
fn span(namespace: Option<&str>, from: Option<&Place>) -> Span<schema::Claims> {
    let span = namespace.map_or_else(Span::all, Span::<schema::Claims>::of_namespace);
    let Some(Place { namespace, key, claim }) = from else { return span };
    let name = NameKey::new(namespace, key);
    let ClaimPlace { after, stamp } = claim.unwrap_or_default();
    span.and_from(ClaimKey { name, after, stamp })
}

fn place(ClaimKey { name, after, stamp }: ClaimKey<'_>) -> Place {
    let (namespace, key) = (name.namespace.to_owned(), name.key.to_owned());
    Place { namespace, key, claim: Some(ClaimPlace { after, stamp }) }
}
