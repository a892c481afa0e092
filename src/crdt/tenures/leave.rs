//! Removing a claim from a name when its registration is forgotten or erased, and what the name must still remember of
//! it.

use super::super::lattice::Lattice;
use super::{Followed, Open, Standing};
use crate::clock::Stamp;
use crate::store::Store;
use crate::store::schema::{self, FollowedKey, NameKey, Rows};

impl Lattice {
    /// Removes a claim, unless other claims follow it or may yet follow it. The leader of a tenure that the name went
    /// through stays as a stamp until the next tenure is over too. The claim's registration must be deleted or erased
    /// already.
    pub(in crate::crdt) fn leave(
        &self,
        store: &mut dyn Store,
        name: NameKey<'_>,
        follows: Option<Stamp>,
        claim: Stamp,
    ) {
        let after = planted!(crdt::follows(follows));
        let tenures = self.tenures_of(store, name);
        let led = tenures.leader(after) == Some(claim) && tenures.standing_before(after) == Standing::Leads;
        if !led {
            self.delete_claim(store, name, after, claim);
            self.drop_empty(store, name, after);
        } else if tenures.open.is_none_or(|open| open.leader != claim) {
            schema::Followed::put(store, FollowedKey { name, stamp: claim }, &Followed::Forgotten);
        }
        self.pass_ended(store, name, None);
        while self.drop_first(store, name) {}
        let tenures = self.tenures_of(store, name);
        if let Some(Open { after: None, leader }) = tenures.open
            && !self.has_text(store, leader)
            && tenures.is_alone()
        {
            self.hide(store, name, leader);
        }
    }

    /// Deletes the row that says that a claim is displaced, once no claim follows it any more.
    fn drop_empty(&self, store: &mut dyn Store, name: NameKey<'_>, after: Option<Stamp>) {
        let Some(followed) = after else { return };
        let tenures = self.tenures_of(store, name);
        let displaced = matches!(tenures.followed(followed), Some(Followed::Displaced(_)));
        if displaced && tenures.leader(after).is_none() {
            schema::Followed::delete(store, FollowedKey { name, stamp: followed });
        }
    }

    /// Drops the first tenure of a name, where only the leaders' stamps are left of it and of the next tenure, which
    /// then becomes the first. Returns false where the first tenure stays.
    fn drop_first(&self, store: &mut dyn Store, name: NameKey<'_>) -> bool {
        let tenures = self.tenures_of(store, name);
        let over = |after, leader: &Stamp| !self.has_text(store, *leader) && tenures.is_sole(after);
        // Where the first tenure is over and has a next one, the open tenure is not the first.
        let Some(open) = tenures.open.filter(|open| open.after.is_some()) else { return false };
        let Some(first) = tenures.leader(None).filter(|first| over(None, first)) else { return false };
        let Some(next) = tenures.leader(Some(first)).filter(|next| over(Some(first), next)) else { return false };
        self.delete_claim(store, name, None, first);
        schema::Followed::delete(store, FollowedKey { name, stamp: first });
        if open.after == Some(first) {
            self.put_open(store, name, Open { after: None, ..open });
        } else {
            self.delete_claim(store, name, Some(first), next);
            self.put_claim(store, name, None, next);
        }
        true
    }
}
