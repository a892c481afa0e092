//! The tenures of a name, and the rows that hold them.
//!
//! All claims that follow the same claim form a tenure, and the one with the least stamp leads it. The row of a name in
//! [`schema::Names`] says which of its tenures is open and who leads it. Every other claim, whether it lost or led a
//! tenure that has ended, has a row of its own in [`schema::Claims`], ordered by tenure and then by stamp. So the cost
//! of one more claim does not depend on the history of the name.
//!
//! The open tenure is the first one whose leader had not ended when a claim to the name last began a tenure. Where all
//! leaders had ended, it is the last tenure. An end is never taken back, so the search for a vacant tenure begins at
//! the open one and not at the first. Nodes learn of ends at different times, so this row may differ between nodes, but
//! no answer that rests on it does.
//!
//! Whether a claim that others follow is displaced usually follows from its registration and from the leader of its
//! tenure. Where this is not enough, a row in [`schema::Followed`] says it: the claim is displaced, perhaps because a
//! claim that it follows is, or it led a tenure that has ended and its registration was forgotten.

mod enter;
mod leave;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::lattice::Lattice;
use super::record::Registration;
use crate::clock::Stamp;
pub use crate::model::ClaimPlace;
use crate::store::schema::{self, ClaimKey, FollowedKey, NameKey, Rows, Span};
use crate::store::{Direction, Store};

/// The open tenure of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Open {
    /// The claim that the tenure follows; none for the first one.
    pub after: Option<Stamp>,
    /// The claim that leads it.
    pub leader: Stamp,
}

/// The state of a claim that others follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Followed {
    /// The claim is displaced, by the leader of the tenure that follows the claim given here.
    Displaced(Option<Stamp>),
    /// The claim leads its tenure, but its registration was forgotten or erased.
    Forgotten,
}

/// Whether a name can be claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vacancy {
    /// The name is free. A new claim follows the one given here; none where the name was never held.
    Free(Option<Stamp>),
    /// The name is held by this claim, which leads its tenure and has not finally ended.
    Taken(Stamp),
}

/// The state of a claim, as far as it is known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// The claim leads its tenure, and is not displaced.
    Leads,
    /// The claim is displaced, by the leader of the tenure that follows the claim given here.
    Displaced(Option<Stamp>),
    /// The claim has not arrived.
    Unknown,
}

/// A view of the tenures of one name.
pub struct Tenures<'a> {
    lattice: &'a Lattice,
    store: &'a dyn Store,
    name: NameKey<'a>,
    open: Option<Open>,
}

impl Lattice {
    /// Returns the tenures of a name, whose row is read from the store.
    pub fn tenures<'a>(&'a self, store: &'a dyn Store, namespace: &'a str, key: &'a str) -> Tenures<'a> {
        self.tenures_of(store, NameKey::new(namespace, key))
    }

    /// Returns the tenures of a name whose row the caller has read already.
    pub fn tenures_from<'a>(
        &'a self,
        store: &'a dyn Store,
        namespace: &'a str,
        key: &'a str,
        open: Open,
    ) -> Tenures<'a> {
        Tenures { lattice: self, store, name: NameKey::new(namespace, key), open: Some(open) }
    }

    fn tenures_of<'a>(&'a self, store: &'a dyn Store, name: NameKey<'a>) -> Tenures<'a> {
        let open = schema::Names::get(store, name);
        let open = open.or_else(|| self.hidden(store, name).map(|leader| Open { after: None, leader }));
        Tenures { lattice: self, store, name, open }
    }

    /// Whether a name can be claimed here, and after which claim.
    pub fn vacancy(&self, store: &dyn Store, namespace: &str, key: &str) -> Vacancy {
        match self.tenures(store, namespace, key).walk(None) {
            None => Vacancy::Free(None),
            Some((open, Some(_))) => Vacancy::Taken(open.leader),
            Some((open, None)) => Vacancy::Free(Some(open.leader)),
        }
    }

    /// Returns the claim that a known claim to the name follows.
    pub fn followed_by(&self, store: &dyn Store, namespace: &str, key: &str, claim: Stamp) -> Option<Stamp> {
        self.claimed_after(store, NameKey::new(namespace, key), claim)?
    }

    /// Returns the claim that a claim to the name follows; the outer option is none where the registration is not
    /// known, was erased or does not claim the name.
    fn claimed_after(&self, store: &dyn Store, name: NameKey<'_>, claim: Stamp) -> Option<Option<Stamp>> {
        let registration = Registration::load(store, claim).filter(|known| !known.erased)?;
        let after = registration.claim(name.namespace, name.key)?.claim.after;
        Some(planted!(crdt::follows(after)))
    }
}

impl Tenures<'_> {
    /// Returns the leader of the tenure that follows `after`.
    #[must_use]
    pub fn leader(&self, after: Option<Stamp>) -> Option<Stamp> {
        match self.open {
            Some(open) if open.after == after => Some(open.leader),
            // A name without an open tenure has no first tenure.
            None if after.is_none() => None,
            _ if schema::Claims::lacks_tenure(self.store, self.name, after) => None,
            _ => self.first_row(&Span::<schema::Claims>::of_tenure(self.name, after), Direction::Up).map(|p| p.stamp),
        }
    }

    /// The registration that holds the name: the first leader whose claim has not finally ended.
    #[must_use]
    pub fn holder(&self) -> Option<Registration> {
        self.walk(None)?.1
    }

    /// Returns the claim that displaced a claim which follows `follows`. This is the leader of the same tenure, or the
    /// leader of an earlier tenure that displaced a claim it follows. Where that leader was forgotten, a later leader
    /// of the name is returned in its place.
    #[must_use]
    pub fn displaced_by(&self, follows: Option<Stamp>, claim: Stamp) -> Option<Stamp> {
        let after = planted!(crdt::follows(follows));
        let leader = self.leader(after)?;
        if leader != claim {
            // A rejected registration that only this node knows may be in none of its tenures.
            return Some(leader).filter(|leader| *leader < claim);
        }
        match self.standing(after?) {
            Standing::Displaced(tenure) => self.winner(tenure),
            Standing::Leads | Standing::Unknown => None,
        }
    }

    /// Returns true where the first claim of a tenure leads it. It does not where the claim that the tenure follows was
    /// forgotten and did not lead: the leader of the tenure was then forgotten as well, and the claims that are left
    /// came too late.
    #[must_use]
    pub fn is_led(&self, after: Option<Stamp>) -> bool {
        after.is_none_or(|after| after.hlc > self.lattice.settled || self.is_known(after))
    }

    /// Visits the claims by tenure and then by stamp, starting at `from`, until `visit` breaks. Tenures are ordered by
    /// the stamp of the claim that they follow. This is the order of time, because a claim is later than the one that
    /// it follows.
    pub fn each(&self, from: Option<ClaimPlace>, visit: &mut dyn FnMut(ClaimPlace) -> ControlFlow<()>) {
        let mut span = Span::<schema::Claims>::of(self.name);
        if let Some(ClaimPlace { after, stamp }) = from {
            span = span.and_from(ClaimKey { name: self.name, after, stamp });
        }
        let leads = self.open.map(|Open { after, leader }| ClaimPlace { after, stamp: leader });
        let mut leads = leads.filter(|leads| from.is_none_or(|from| from <= *leads));
        let mut goes_on = ControlFlow::Continue(());
        schema::Claims::scan(self.store, &span, Direction::Up, &mut |found| {
            let Some(place) = self.place(found.key()) else { return ControlFlow::Continue(()) };
            if let Some(leads) = leads.take_if(|leads| *leads < place) {
                goes_on = visit(leads);
            }
            if goes_on.is_continue() {
                goes_on = visit(place);
            }
            goes_on
        });
        if let Some(leads) = leads.filter(|_| goes_on.is_continue()) {
            let _: ControlFlow<()> = visit(leads);
        }
    }

    /// Returns up to `limit` claims of a tenure by stamp, its leader first.
    #[must_use]
    pub fn claims(&self, after: Option<Stamp>, limit: usize) -> Vec<Stamp> {
        let mut claims = Vec::new();
        self.each(Some(ClaimPlace { after, stamp: Stamp::default() }), &mut |place| {
            if place.after != after || claims.len() == limit {
                return ControlFlow::Break(());
            }
            claims.push(place.stamp);
            ControlFlow::Continue(())
        });
        claims
    }

    /// Returns the latest tenure of the name, as the claim that it follows; the outer option is none where nobody has
    /// claimed the name.
    #[must_use]
    pub fn last(&self) -> Option<Option<Stamp>> {
        let row = self.first_row(&Span::<schema::Claims>::of(self.name), Direction::Down);
        row.map(|place| place.after).max(self.open.map(|open| open.after))
    }

    /// Returns the first tenure, starting at the open one, whose leader has not ended, with the registration of this
    /// leader. Where all leaders have ended, returns the last tenure and no registration. The claim `arrives` is being
    /// applied, so it has not ended although its registration is not saved yet.
    fn walk(&self, arrives: Option<Stamp>) -> Option<(Open, Option<Registration>)> {
        let mut open = self.open?;
        loop {
            let held = self.held(open.leader);
            if held.is_some() || Some(open.leader) == arrives {
                return Some((open, held));
            }
            let after = Some(open.leader);
            match self.leader(after) {
                Some(leader) => open = Open { after, leader },
                None => return Some((open, None)),
            }
        }
    }

    /// Returns the registration of a claim that has not ended. A claim whose registration was forgotten or erased has
    /// ended.
    fn held(&self, claim: Stamp) -> Option<Registration> {
        let registration = Registration::load(self.store, claim)?;
        let open = registration.claim(self.name.namespace, self.name.key).is_some_and(|claim| claim.ended.is_none());
        open.then_some(registration)
    }

    /// Returns the state of the claim that a tenure follows. The first tenure follows no claim, and counts as one that
    /// follows a leader.
    fn standing_before(&self, after: Option<Stamp>) -> Standing {
        match after {
            Some(after) if self.open.is_none_or(|open| open.after != Some(after)) => self.standing(after),
            _ => Standing::Leads,
        }
    }

    /// Returns the state of a claim that others follow.
    fn standing(&self, claim: Stamp) -> Standing {
        if self.open.is_some_and(|open| open.leader == claim) {
            return Standing::Leads;
        }
        match self.followed(claim) {
            Some(Followed::Displaced(tenure)) => return Standing::Displaced(tenure),
            Some(Followed::Forgotten) => return Standing::Leads,
            None => {}
        }
        let Some(after) = self.lattice.claimed_after(self.store, self.name, claim) else {
            return self.standing_of_absent(claim);
        };
        if self.leader(after) != Some(claim) {
            return Standing::Displaced(after);
        }
        let Some(before) = after else { return Standing::Leads };
        match self.followed(before) {
            Some(Followed::Displaced(tenure)) => Standing::Displaced(tenure),
            Some(Followed::Forgotten) => Standing::Leads,
            None if self.is_known(before) => Standing::Leads,
            None => match self.standing_of_absent(before) {
                Standing::Unknown => Standing::Leads,
                displaced => displaced,
            },
        }
    }

    /// Returns the state of a claim whose registration is absent. A claim at or below `settled` was forgotten, and the
    /// name has had other tenures since.
    fn standing_of_absent(&self, claim: Stamp) -> Standing {
        let forgotten = claim.hlc <= self.lattice.settled && self.leader(None).is_some();
        if forgotten { Standing::Displaced(None) } else { Standing::Unknown }
    }

    /// Returns true for a claim whose registration is known, or that is remembered as the leader of its tenure.
    fn is_known(&self, claim: Stamp) -> bool {
        self.open.is_some_and(|open| open.leader == claim)
            || self.followed(claim) == Some(Followed::Forgotten)
            || self.lattice.claimed_after(self.store, self.name, claim).is_some()
    }

    fn followed(&self, claim: Stamp) -> Option<Followed> {
        schema::Followed::get(self.store, FollowedKey { name: self.name, stamp: claim })
    }

    fn winner(&self, tenure: Option<Stamp>) -> Option<Stamp> {
        let leader = if self.is_led(tenure) { self.leader(tenure) } else { None };
        leader.or_else(|| self.leader(None))
    }

    /// Returns true where a tenure has no claim but its leader's.
    fn is_sole(&self, after: Option<Stamp>) -> bool {
        let most = if self.open.is_some_and(|open| open.after == after) { 0 } else { 1 };
        let mut rows = 0;
        let span = Span::<schema::Claims>::of_tenure(self.name, after);
        schema::Claims::scan(self.store, &span, Direction::Up, &mut |found| {
            rows += usize::from(self.place(found.key()).is_some());
            if rows <= most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        rows <= most
    }

    /// Returns true where the name has no claim but the leader of the open tenure.
    fn is_alone(&self) -> bool {
        self.first_row(&Span::<schema::Claims>::of(self.name), Direction::Up).is_none()
    }

    /// Returns the first row of a span, from its lower or its upper end.
    fn first_row(&self, span: &Span<schema::Claims>, direction: Direction) -> Option<ClaimPlace> {
        let mut first = None;
        schema::Claims::scan(self.store, span, direction, &mut |found| {
            first = self.place(found.key());
            if first.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        first
    }

    /// Returns the tenure and the stamp in a row's key, where the row is of this name.
    fn place(&self, key: Option<ClaimKey<'_>>) -> Option<ClaimPlace> {
        let ClaimKey { after, stamp, .. } = key.filter(|key| key.name == self.name)?;
        Some(ClaimPlace { after, stamp })
    }
}

#[cfg(test)]
mod tests;
