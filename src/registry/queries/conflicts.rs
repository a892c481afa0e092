//! The exception report: names that were claimed more than once in one tenure.

use std::ops::ControlFlow;

use super::super::Reader;
use super::{MAX_EXAMINED, Place, TenureView};
use crate::clock::{Millis, Stamp};
use crate::crdt::ClaimPlace;
pub use crate::model::Precedence;
use crate::model::limits::MAX_PAGE;
use crate::store::Direction;
use crate::store::schema::{self, ClaimKey, NameKey, Rows, Span};

/// A page of the report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConflictPage {
    /// By namespace, key and tenure. May be empty although there are more.
    pub conflicts: Vec<Conflict>,
    /// Where to go on; none at the end of all names.
    pub next: Option<Place>,
}

/// A tenure of a name that more than one registration claimed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The namespace.
    pub namespace: String,
    /// The name's canonical form.
    pub key: String,
    /// The claims, the winner first. A tenure that very many claimed comes in parts, each with the winner.
    pub tenure: TenureView,
    /// Why the first of them comes before the second.
    pub precedence: Precedence,
    /// When this node knew that all outcomes are final; none where they are not, or it was not there.
    pub final_at: Option<Millis>,
}

impl Conflict {
    /// Whether no outcome is open any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.tenure.claims.iter().all(|claim| claim.status.is_final())
    }

    /// Whether any of it happened at or after a time, or is still open.
    fn concerns(&self, since: Millis) -> bool {
        let latest = self.tenure.claims.last().map(|claim| claim.stamp.hlc.millis());
        !self.is_final() || latest.max(self.final_at) >= Some(since)
    }
}

/// Claims to one tenure of a name that stand in rows next to each other.
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

impl Reader<'_> {
    /// A page of the report, of one namespace or all, of what happened at or after a time. Only names that were claimed more
    /// than once have rows in the table that is walked through.
    pub(crate) fn conflict_page(
        &self,
        namespace: Option<&str>,
        since: Option<Millis>,
        after: Option<&Place>,
        limit: usize,
    ) -> ConflictPage {
        let limit = limit.clamp(1, MAX_PAGE);
        let (mut conflicts, mut group, mut examined, mut next) = (Vec::new(), None::<Group>, 0, None);
        let finish = |group: Option<Group>, conflicts: &mut Vec<Conflict>| {
            let conflict = group.and_then(|group| self.conflict(group));
            conflicts.extend(conflict.filter(|conflict| since.is_none_or(|since| conflict.concerns(since))));
        };
        let span = span(namespace, after);
        schema::Claims::scan(self.store, &span, Direction::Up, &mut |found| {
            let Some(key) = found.key() else { return ControlFlow::Continue(()) };
            let begun = group.as_mut().filter(|group| group.has(key));
            match begun.filter(|_| examined < MAX_EXAMINED) {
                Some(group) => group.claims.push(key.stamp),
                None => {
                    finish(group.take(), &mut conflicts);
                    if conflicts.len() >= limit || examined >= MAX_EXAMINED {
                        next = Some(place(key));
                        return ControlFlow::Break(());
                    }
                    group = Some(Group::of(key));
                }
            }
            examined += 1;
            ControlFlow::Continue(())
        });
        finish(group, &mut conflicts);
        ConflictPage { conflicts, next }
    }

    /// The claims to a tenure as a conflict, where they are one: retries of one registration are none.
    fn conflict(&self, Group { namespace, key, after, claims }: Group) -> Option<Conflict> {
        let tenures = self.registry.lattice.tenures(self.store, &namespace, &key);
        let first = tenures.leader(after)?;
        let second = claims.iter().find(|claim| **claim != first)?;
        let precedence = if first.hlc == second.hlc { Precedence::LowestNode } else { Precedence::EarliestTimestamp };
        let tenure = self.tenure_view(&namespace, &key, &tenures, after, &claims);
        let winner = tenure.claims.first()?.registration;
        if tenure.claims.iter().all(|claim| claim.registration == winner) {
            return None;
        }
        let mut conflict = Conflict { namespace, key, tenure, precedence, final_at: None };
        if conflict.is_final() {
            conflict.final_at = conflict.tenure.claims.iter().filter_map(|claim| claim.rejected_at).max();
        }
        Some(conflict)
    }
}

/// The rows of one namespace or all, from a place on.
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
