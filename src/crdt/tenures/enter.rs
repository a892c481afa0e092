//! Entering a claim into a name: which claims it displaces, and whether it is displaced itself.

use super::super::lattice::{Effects, Lattice};
use super::{Followed, Open, Standing};
use crate::clock::Stamp;
use crate::store::Store;
use crate::store::schema::{self, ClaimKey, FollowedKey, NameKey, Rows};

/// The effect of a claim on a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::crdt) struct Entered {
    /// The claim that was entered.
    claim: Stamp,
    /// The claim that it follows.
    after: Option<Stamp>,
    /// The leader of its tenure that it has displaced.
    displaced: Option<Stamp>,
    /// Where the claim is displaced itself, by the leader of the tenure that follows the claim in the inner option.
    lost_to: Option<Option<Stamp>>,
}

impl Entered {
    /// Returns true where the claim is displaced.
    pub(in crate::crdt) fn has_lost(&self) -> bool {
        self.lost_to.is_some()
    }
}

impl Lattice {
    /// Enters a claim into the tenure that follows `claimed_after`.
    pub(in crate::crdt) fn enter(
        &self,
        store: &mut dyn Store,
        name: NameKey<'_>,
        claimed_after: Option<Stamp>,
        claim: Stamp,
    ) -> Entered {
        let after = planted!(crdt::follows(claimed_after));
        self.bring_back(store, name);
        let tenures = self.tenures_of(store, name);
        let (open, leader) = (tenures.open, tenures.leader(after));
        let follows = tenures.standing_before(after);
        let leads = planted!(crdt::leads(leader.is_none_or(|leader| claim <= leader), claim, leader));
        let displaced = leader.filter(|leader| claim < *leader);
        // A claim that displaces a leader whose claim had ended changes which tenures the name went through.
        let is_open = open.is_some_and(|open| open.after == after);
        let rewinds = leads && !is_open && displaced.is_some_and(|leader| tenures.held(leader).is_none());

        let is_first = open.is_none() && after.is_none();
        if is_first || leads && is_open {
            self.put_open(store, name, Open { after, leader: claim });
            displaced.into_iter().for_each(|displaced| self.put_claim(store, name, after, displaced));
        } else if leader != Some(claim) {
            self.put_claim(store, name, after, claim);
        }
        if let (Some(followed), Standing::Displaced(tenure)) = (after.filter(|_| leader.is_none()), follows) {
            schema::Followed::put(store, FollowedKey { name, stamp: followed }, &Followed::Displaced(tenure));
        }
        if rewinds {
            self.rewind(store, name);
        }
        if leads && after.is_some() {
            self.pass_ended(store, name, Some(claim));
        }
        let lost_to = match follows {
            _ if !leads => Some(after),
            Standing::Displaced(tenure) => Some(tenure),
            Standing::Leads | Standing::Unknown => None,
        };
        Entered { claim, after, displaced, lost_to }
    }

    /// Marks the registrations that lose because of a claim. These are the leader that it displaces, with all claims
    /// that follow this leader, and, where the claim is displaced itself, all claims that follow it and arrived before
    /// it.
    pub(in crate::crdt) fn displace(
        &self,
        store: &mut dyn Store,
        name: NameKey<'_>,
        entered: &Entered,
        effects: &mut Effects,
    ) {
        if let Some(displaced) = entered.displaced {
            self.lose(store, displaced, effects);
            self.displace_followers(store, name, displaced, entered.after, effects);
        }
        if let Some(tenure) = entered.lost_to {
            self.displace_followers(store, name, entered.claim, tenure, effects);
        }
    }

    /// Marks the claims that follow a displaced claim, directly or through others, as displaced by the same leader.
    /// Only the leaders of their tenures have to be marked: the other claims had lost before, and so had those that
    /// follow them.
    fn displace_followers(
        &self,
        store: &mut dyn Store,
        name: NameKey<'_>,
        mut followed: Stamp,
        tenure: Option<Stamp>,
        effects: &mut Effects,
    ) {
        let displaced = Followed::Displaced(tenure);
        loop {
            let tenures = self.tenures_of(store, name);
            let Some(leader) = tenures.leader(Some(followed)) else { return };
            if tenures.followed(followed) == Some(displaced) {
                return;
            }
            schema::Followed::put(store, FollowedKey { name, stamp: followed }, &displaced);
            self.lose(store, leader, effects);
            followed = leader;
        }
    }

    /// Enters the claim of a void registration among the losers of a tenure, where an earlier claim leads it.
    pub(in crate::crdt) fn enter_loser(
        &self,
        store: &mut dyn Store,
        name: NameKey<'_>,
        after: Option<Stamp>,
        claim: Stamp,
    ) {
        if self.tenures_of(store, name).leader(after).is_some_and(|leader| leader < claim) {
            self.bring_back(store, name);
            self.put_claim(store, name, after, claim);
        }
    }

    /// Moves the open tenure past tenures whose leaders have ended by now.
    pub(super) fn pass_ended(&self, store: &mut dyn Store, name: NameKey<'_>, arrives: Option<Stamp>) {
        let tenures = self.tenures_of(store, name);
        let (before, now) = (tenures.open, tenures.walk(arrives).map(|(open, _)| open));
        if let (Some(before), Some(now)) = (before, now.filter(|_| now != before)) {
            self.move_open(store, name, before, now);
        }
    }

    fn move_open(&self, store: &mut dyn Store, name: NameKey<'_>, from: Open, to: Open) {
        self.put_claim(store, name, from.after, from.leader);
        if !self.has_text(store, from.leader) {
            let followed = FollowedKey { name, stamp: from.leader };
            schema::Followed::put(store, followed, &Followed::Forgotten);
        }
        self.delete_claim(store, name, to.after, to.leader);
        self.put_open(store, name, to);
    }

    /// Makes the first tenure the open one again.
    fn rewind(&self, store: &mut dyn Store, name: NameKey<'_>) {
        let tenures = self.tenures_of(store, name);
        let (Some(open), Some(first)) = (tenures.open, tenures.leader(None)) else { return };
        if open.after.is_some() {
            self.move_open(store, name, open, Open { after: None, leader: first });
        }
    }

    pub(super) fn put_open(&self, store: &mut dyn Store, name: NameKey<'_>, open: Open) {
        schema::Names::put(store, name, &open);
    }

    pub(super) fn put_claim(&self, store: &mut dyn Store, name: NameKey<'_>, after: Option<Stamp>, stamp: Stamp) {
        schema::Claims::put(store, ClaimKey { name, after, stamp }, &());
    }

    pub(super) fn delete_claim(&self, store: &mut dyn Store, name: NameKey<'_>, after: Option<Stamp>, stamp: Stamp) {
        schema::Claims::delete(store, ClaimKey { name, after, stamp });
    }
}
