//! The tenures of a name, and the rows that they are kept in.
//!
//! All claims that follow the same claim form a tenure, and the one with the least stamp leads it. The row of a name in
//! [`schema::Names`] says which of its tenures is open and who leads it. Every other claim, whether it lost or led a tenure
//! that has ended, has a row of its own in [`schema::Claims`], in the order of the tenures and of the stamps in each. So
//! what one more claim reads and writes does not depend on what happened to the name before.
//!
//! The open tenure is the first one whose leader had not ended when a claim to the name last began a tenure; where all had
//! ended, it is the last one. What has ended stays so, therefore the walk for a vacant place begins there and not at the
//! first tenure. Nodes learn of ends at different times, so the row may differ between them, but no answer that rests on it
//! does.
//!
//! How a claim stands that others follow is told by its registration and by who leads its tenure. A row in
//! [`schema::Followed`] tells it where that is not enough: the claim is displaced, perhaps because one that it follows is, or
//! it led a tenure that has ended and its registration was forgotten.

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

/// How a claim stands that others follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Followed {
    /// It is displaced by the leader of the tenure that follows this claim.
    Displaced(Option<Stamp>),
    /// It leads its tenure, but its registration was forgotten or erased.
    Forgotten,
}

/// Whether a name can be claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vacancy {
    /// It can, after this claim.
    Free(Option<Stamp>),
    /// This claim leads and has not finally ended.
    Taken(Stamp),
}

/// How a claim stands, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// It leads its tenure, and is not displaced.
    Leads,
    /// It is displaced by the leader of the tenure that follows this claim.
    Displaced(Option<Stamp>),
    /// It has not arrived.
    Unknown,
}

/// The tenures of one name, as they are in a registry.
pub struct Tenures<'a> {
    lattice: &'a Lattice,
    store: &'a dyn Store,
    name: NameKey<'a>,
    open: Option<Open>,
}

impl Lattice {
    /// The tenures of a name.
    pub fn tenures<'a>(&'a self, store: &'a dyn Store, namespace: &'a str, key: &'a str) -> Tenures<'a> {
        self.tenures_of(store, NameKey::new(namespace, key))
    }

    /// The same of a name whose row is at hand.
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

    /// What the tenure follows that a known claim is in.
    pub fn followed_by(&self, store: &dyn Store, namespace: &str, key: &str, claim: Stamp) -> Option<Stamp> {
        self.claimed_after(store, NameKey::new(namespace, key), claim)?
    }

    /// The same; none where the registration is not known, was erased or does not claim the name.
    fn claimed_after(&self, store: &dyn Store, name: NameKey<'_>, claim: Stamp) -> Option<Option<Stamp>> {
        let registration = Registration::load(store, claim).filter(|known| !known.erased)?;
        let after = registration.claim(name.namespace, name.key)?.claim.after;
        Some(planted!(crdt::follows(after)))
    }
}

impl Tenures<'_> {
    /// The claim that leads the tenure after another.
    #[must_use]
    pub fn leader(&self, after: Option<Stamp>) -> Option<Stamp> {
        match self.open {
            Some(open) if open.after == after => Some(open.leader),
            // Where there is a first tenure one is open.
            None if after.is_none() => None,
            _ => self.first_row(&Span::<schema::Claims>::of_tenure(self.name, after), Direction::Up).map(|p| p.stamp),
        }
    }

    /// The registration that holds the name: the first leader whose claim has not finally ended.
    #[must_use]
    pub fn holder(&self) -> Option<Registration> {
        self.walk(None)?.1
    }

    /// The claim that displaced one of a tenure: the leader of the tenure, or of that of a claim it follows. Where that one
    /// was forgotten, a claim that led the name later stands for it.
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

    /// Whether the first claim of a tenure leads it. Not where the claim that the tenure follows was forgotten and did not
    /// lead: then whoever led the tenure was forgotten as well, and who is left came too late.
    #[must_use]
    pub fn is_led(&self, after: Option<Stamp>) -> bool {
        after.is_none_or(|after| after.hlc > self.lattice.settled || self.is_known(after))
    }

    /// Visits the claims in the order of their tenures and stamps, from one on, until `visit` breaks. The tenures are in the
    /// order of what they follow, which is that of time: a claim is later than what it follows.
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

    /// The first claims to a tenure, the one that leads it before all.
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

    /// The latest tenure that anybody claimed, by what it follows.
    #[must_use]
    pub fn last(&self) -> Option<Option<Stamp>> {
        let row = self.first_row(&Span::<schema::Claims>::of(self.name), Direction::Down);
        row.map(|place| place.after).max(self.open.map(|open| open.after))
    }

    /// The first tenure from the open one on whose leader has not ended, with the leader's registration; the last one and no
    /// registration where all have. A claim that arrives now has not ended.
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

    /// The registration of a claim that has not ended. One that is not here any more, or was erased, has.
    fn held(&self, claim: Stamp) -> Option<Registration> {
        let registration = Registration::load(self.store, claim)?;
        let open = registration.claim(self.name.namespace, self.name.key).is_some_and(|claim| claim.ended.is_none());
        open.then_some(registration)
    }

    /// How the claim stands that a tenure follows; the first tenure is as sound as one that follows a leader.
    fn standing_before(&self, after: Option<Stamp>) -> Standing {
        match after {
            Some(after) if self.open.is_none_or(|open| open.after != Some(after)) => self.standing(after),
            _ => Standing::Leads,
        }
    }

    /// How a claim stands that others follow.
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

    /// One at or below `settled` that is not here was forgotten: the name has been through other tenures since.
    fn standing_of_absent(&self, claim: Stamp) -> Standing {
        let forgotten = claim.hlc <= self.lattice.settled && self.leader(None).is_some();
        if forgotten { Standing::Displaced(None) } else { Standing::Unknown }
    }

    /// Whether a claim is here, or is remembered as the leader of its tenure.
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

    /// Whether nobody but its leader claims a tenure.
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

    /// Whether the leader of the open tenure is all that there is of the name.
    fn is_alone(&self) -> bool {
        self.first_row(&Span::<schema::Claims>::of(self.name), Direction::Up).is_none()
    }

    /// The first row of a span in a direction.
    fn first_row(&self, span: &Span<schema::Claims>, direction: Direction) -> Option<ClaimPlace> {
        let mut first = None;
        schema::Claims::scan(self.store, span, direction, &mut |found| {
            first = self.place(found.key());
            if first.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        first
    }

    /// The place of a row of this name.
    fn place(&self, key: Option<ClaimKey<'_>>) -> Option<ClaimPlace> {
        let ClaimKey { after, stamp, .. } = key.filter(|key| key.name == self.name)?;
        Some(ClaimPlace { after, stamp })
    }
}

#[cfg(test)]
mod tests;
