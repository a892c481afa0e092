//! The exception report: names that were claimed more than once in one tenure.

use std::ops::ControlFlow;

use super::super::Replica;
use super::super::limits::MAX_PAGE;
use super::{MAX_EXAMINED, Place, TenureView, Walk};
use crate::clock::Millis;
use crate::crdt::{Name, Tenure};
pub use crate::model::Precedence;
use crate::store::Store;

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
    /// The claims, the winner first.
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

impl<S: Store> Replica<S> {
    /// A page of the report, of one namespace or all, of what happened at or after a time.
    pub(in crate::replica) fn conflict_page(
        &self,
        namespace: Option<&str>,
        since: Option<Millis>,
        after: Option<&Place>,
        limit: usize,
    ) -> ConflictPage {
        let limit = limit.clamp(1, MAX_PAGE);
        let (mut conflicts, mut examined, mut next) = (Vec::new(), 0, None);
        self.walk(&Walk { namespace, prefix: "", from: after }, &mut |namespace, key, name| {
            let begin = after.filter(|place| place.namespace == namespace && place.key == key);
            let begin = begin.map_or(0, |place| place.tenures);
            let at = |tenures| Some(Place { namespace: namespace.to_owned(), key: key.to_owned(), tenures });
            for (index, tenure) in name.tenures.iter().enumerate().skip(begin) {
                if conflicts.len() >= limit || examined >= MAX_EXAMINED {
                    next = at(index);
                    return ControlFlow::Break(());
                }
                let conflict = self.conflict(namespace, key, &name, tenure);
                examined += tenure.claims.len();
                conflicts.extend(conflict.filter(|conflict| since.is_none_or(|since| conflict.concerns(since))));
            }
            ControlFlow::Continue(())
        });
        ConflictPage { conflicts, next }
    }

    /// The tenure as a conflict, where it is one: retries of one registration are none.
    fn conflict(&self, namespace: &str, key: &str, name: &Name, tenure: &Tenure) -> Option<Conflict> {
        let [first, second, ..] = tenure.claims.as_slice() else { return None };
        let precedence = if first.hlc == second.hlc { Precedence::LowestNode } else { Precedence::EarliestTimestamp };
        let tenure = self.tenure_view(namespace, key, name, tenure);
        let winner = tenure.claims.first()?.registration;
        if tenure.claims.iter().all(|claim| claim.registration == winner) {
            return None;
        }
        let mut conflict =
            Conflict { namespace: namespace.to_owned(), key: key.to_owned(), tenure, precedence, final_at: None };
        if conflict.is_final() {
            conflict.final_at = conflict.tenure.claims.iter().filter_map(|claim| claim.rejected_at).max();
        }
        Some(conflict)
    }
}
