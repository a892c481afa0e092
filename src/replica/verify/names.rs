//! The check that the rows of names fit together and belong to registrations.

use std::ops::ControlFlow;

use super::{Check, Fault};
use crate::clock::{Hlc, Stamp};
use crate::crdt::{Followed, Open};
use crate::store::schema::{self, ClaimKey, FollowedKey, NameKey, Rows, Span};
use crate::store::{Direction, Store};

impl<S: Store> Check<'_, S> {
    pub(super) fn names(&mut self) {
        let settled = self.single::<schema::Settled>().unwrap_or_default();
        self.each_readable::<schema::Names>(|check, _, name, Open { after, leader }| {
            let text = text(name);
            let gone = leader.hlc <= settled && check.is_gone(leader);
            let right = gone || check.claimed_after(name, leader) == Some(after);
            check.wrong_unless(right, Fault::Name, || format!("{text}: {leader} does not claim it"));
            let first = check.first_row(name, after).is_none_or(|first| leader < first);
            check.wrong_unless(first, Fault::Name, || format!("{text}: {leader} does not lead the open tenure"));
            let begun = after.is_none() || check.first_row(name, None).is_some();
            check.wrong_unless(begun, Fault::Name, || format!("{text}: it has no first tenure"));
        });
        self.each_readable::<schema::Claims>(|check, _, ClaimKey { name, after, stamp }, ()| {
            let text = text(name);
            let right = check.claims_or_is_remembered(name, after, stamp, settled);
            check.wrong_unless(right, Fault::Name, || format!("{text}: {stamp} does not claim it"));
            let open = schema::Names::try_get(check.store, name);
            check.wrong_unless(open.is_some() || after.is_some(), Fault::Name, || format!("{text}: no tenure is open"));
            let twice = open == Some(Open { after, leader: stamp });
            check.wrong_unless(!twice, Fault::Name, || format!("{text}: {stamp} leads it and has a row of its own"));
            let told = after.is_none_or(|after| check.standing_is_told(name, after, settled));
            check.wrong_unless(told, Fault::Name, || format!("{text}: no row says that {stamp} follows a loser"));
        });
        self.each_readable::<schema::Followed>(|check, _, FollowedKey { name, stamp }, followed| {
            let right = match followed {
                Followed::Displaced(_) => check.leader(name, Some(stamp)).is_some(),
                Followed::Forgotten => stamp.hlc <= settled && check.is_gone(stamp),
            };
            check.wrong_unless(right, Fault::Name, || format!("{}: {stamp} stands otherwise", text(name)));
        });
    }

    /// Returns true where a claim is entered under a tenure of a name.
    pub(super) fn is_entered(&self, name: NameKey<'_>, after: Option<Stamp>, stamp: Stamp) -> bool {
        let leads = schema::Names::try_get(self.store, name) == Some(Open { after, leader: stamp });
        leads || schema::Claims::has(self.store, ClaimKey { name, after, stamp })
    }

    /// Returns true where a registration was forgotten or erased.
    pub(super) fn is_gone(&self, stamp: Stamp) -> bool {
        self.registration(stamp).is_none_or(|known| known.erased)
    }

    /// Returns true where a registration claims a tenure of a name, or is gone and a row remembers its stamp.
    fn claims_or_is_remembered(&self, name: NameKey<'_>, after: Option<Stamp>, stamp: Stamp, settled: Hlc) -> bool {
        match self.claimed_after(name, stamp) {
            Some(claimed) => claimed == after,
            None => {
                stamp.hlc <= settled && self.is_gone(stamp) && self.followed(name, stamp) == Some(Followed::Forgotten)
            }
        }
    }

    /// Returns true where the standing of a claim that others follow is right: a row says so where the claim is
    /// displaced or was forgotten.
    fn standing_is_told(&self, name: NameKey<'_>, followed: Stamp, settled: Hlc) -> bool {
        if self.followed(name, followed).is_some() {
            return true;
        }
        match self.claimed_after(name, followed) {
            Some(after) => {
                let displaced = |after| matches!(self.followed(name, after), Some(Followed::Displaced(_)));
                self.leader(name, after) == Some(followed) && !after.is_some_and(displaced)
            }
            None => followed.hlc > settled || self.is_gone(followed),
        }
    }

    fn leader(&self, name: NameKey<'_>, after: Option<Stamp>) -> Option<Stamp> {
        let open = schema::Names::try_get(self.store, name).filter(|open| open.after == after);
        open.map(|open| open.leader).or_else(|| self.first_row(name, after))
    }

    fn followed(&self, name: NameKey<'_>, stamp: Stamp) -> Option<Followed> {
        schema::Followed::try_get(self.store, FollowedKey { name, stamp })
    }

    fn claimed_after(&self, name: NameKey<'_>, stamp: Stamp) -> Option<Option<Stamp>> {
        let known = self.registration(stamp).filter(|known| !known.erased)?;
        known.claim(name.namespace, name.key).map(|record| record.claim.after)
    }

    fn first_row(&self, name: NameKey<'_>, after: Option<Stamp>) -> Option<Stamp> {
        let mut first = None;
        let span = Span::<schema::Claims>::of_tenure(name, after);
        schema::Claims::scan(self.store, &span, Direction::Up, &mut |found| {
            first = found.key().filter(|key| key.name == name).map(|key| key.stamp);
            if first.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        first
    }
}

fn text(name: NameKey<'_>) -> String {
    format!("{}/{}", name.namespace, name.key)
}
