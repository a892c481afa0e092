//! The records that the registry keeps of registrations and namespaces.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::extend::Extensions;
use super::op::{Claim, ClaimRef, Register};
use crate::clock::{Hlc, NodeId, Stamp};
pub use crate::model::EndReason;
use crate::model::Seq;
use crate::name::Rules;
use crate::store::Store;
use crate::store::schema::{self, Rows};

/// A claim and the state of its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClaimRecord {
    /// The claim as the op had it, or with a hash as its key once it is erased.
    pub claim: Claim,
    /// True once an op that releases the claim is known, final or not.
    pub released: bool,
    /// The reason of its end, once that is final.
    pub ended: Option<EndReason>,
}

/// A registration together with the effects of later ops.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// The stamp of its op.
    pub stamp: Stamp,
    /// The number of its op in its origin's log.
    pub seq: Seq,
    /// The id that the client chose; none where the id is made from the stamp.
    pub chosen_id: Option<Uuid>,
    /// True once a twin of it has arrived: another registration with this id, see [`ID_WINDOW`](super::ID_WINDOW). Hardly any has
    /// one, so most losers need no look into the table of ids.
    pub has_twins: bool,
    /// The application's identifier for the holder of the names; empty once erased.
    pub owner: String,
    /// Its claims, in the order of the request.
    pub claims: Vec<ClaimRecord>,
    /// The end that a reservation began with; none for a permanent registration.
    pub expires: Option<Hlc>,
    /// The claim that ends when this registration is confirmed.
    pub replaces: Option<ClaimRef>,
    /// The application's JSON object as text.
    pub metadata: Option<String>,
    /// The time of the first acceptance, where the registration was issued anew.
    pub accepted: Option<Hlc>,
    /// The least stamp of the ops that activate it.
    pub activated: Option<Stamp>,
    /// True where some claim of it is displaced, or an earlier op carries its id. It never becomes false again.
    pub lost: bool,
    /// True once it is final that it lost.
    pub rejected: bool,
    /// The ops that extended it, where it is a reservation.
    pub extensions: Extensions,
    /// The least stamp of the ops that erase it.
    pub erase: Option<Stamp>,
    /// It was erased: it has no owner, no metadata and no names, and hashes in place of its keys.
    pub erased: bool,
}

impl Registration {
    /// Makes the record of a registration from its op, before any other op is applied to it.
    #[must_use]
    pub fn new(stamp: Stamp, seq: Seq, register: Register) -> Self {
        let record = |claim| ClaimRecord { claim, released: false, ended: None };
        Self {
            stamp,
            seq,
            chosen_id: register.id,
            has_twins: false,
            owner: register.owner,
            claims: register.claims.into_iter().map(record).collect(),
            expires: register.expires,
            replaces: register.replaces,
            metadata: register.metadata,
            accepted: register.accepted,
            activated: None,
            lost: false,
            rejected: false,
            extensions: Extensions::default(),
            erase: None,
            erased: false,
        }
    }

    /// Returns its id: the one that the client chose, or else the one made from its stamp.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.chosen_id.unwrap_or_else(|| id_of_stamp(self.stamp))
    }

    /// Returns the time of the first acceptance, also where the first op became void and the registration was issued
    /// anew.
    #[must_use]
    pub fn accepted_at(&self) -> Hlc {
        self.accepted.unwrap_or(self.stamp.hlc)
    }

    /// Returns when it was issued anew; none where it was not.
    #[must_use]
    pub fn reissued_at(&self) -> Option<Hlc> {
        self.accepted.map(|_| self.stamp.hlc)
    }

    /// Returns its claim to a key.
    #[must_use]
    pub fn claim(&self, namespace: &str, key: &str) -> Option<&ClaimRecord> {
        self.claims.iter().find(|record| record.claim.namespace == namespace && record.claim.key == key)
    }

    /// Returns when a reservation ends unless it is activated before, by the ops that have arrived here; none for a
    /// permanent registration.
    #[must_use]
    pub fn end(&self) -> Option<Hlc> {
        let expires = self.expires?;
        Some(planted!(crdt::end(self.extensions.end(expires), expires)))
    }

    /// Returns true where it was activated before it expired.
    #[must_use]
    pub fn activated_in_time(&self) -> bool {
        matches!((self.end(), self.activated), (Some(end), Some(activated)) if activated.hlc < end)
    }

    /// Loads the registration with a stamp.
    pub fn load(store: &dyn Store, stamp: Stamp) -> Option<Self> {
        schema::Registrations::get(store, stamp)
    }

    /// Writes the registration to the store.
    pub fn save(&self, store: &mut dyn Store) {
        schema::Registrations::put(store, self.stamp, self);
    }
}

/// The rules that were set for a namespace last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Namespace {
    /// The stamp of the op that set them.
    pub stamp: Stamp,
    /// The number of this op in its origin's log.
    pub seq: Seq,
    /// The rules in force.
    pub rules: Rules,
}

impl Namespace {
    /// Loads the rules of a namespace; none where nobody has set any.
    pub fn load(store: &dyn Store, namespace: &str) -> Option<Self> {
        schema::Namespaces::get(store, namespace)
    }

    /// Writes the rules to the store.
    pub fn save(&self, store: &mut dyn Store, namespace: &str) {
        schema::Namespaces::put(store, namespace, self);
    }
}

/// Milliseconds that fit into an id made from a stamp: until the year 2109.
const ID_MILLIS: u64 = (1 << 42) - 1;

/// The id of a registration whose client chose none: its stamp, in the 122 free bits of a UUID of version 8 (RFC 9562,
/// section 5.8). Such an id needs no index, and sorts by time.
#[must_use]
pub fn id_of_stamp(stamp: Stamp) -> Uuid {
    let bits = (u128::from(stamp.hlc.0 & ((ID_MILLIS << 16) | 0xffff)) << 64) | u128::from(stamp.node.0);
    let (high, middle, low) = (bits >> 74, (bits >> 62) & 0xfff, bits & ((1 << 62) - 1));
    Uuid::from_u128((high << 80) | (8 << 76) | (middle << 64) | (0b10 << 62) | low)
}

/// The inverse of [`id_of_stamp`]; none for an id of another version.
#[must_use]
pub fn stamp_of_id(id: Uuid) -> Option<Stamp> {
    if id.get_version_num() != 8 {
        return None;
    }
    let id = id.as_u128();
    let bits = ((id >> 80) << 74) | (((id >> 64) & 0xfff) << 62) | (id & ((1 << 62) - 1));
    let node = u64::try_from(bits & u128::from(u64::MAX)).ok()?;
    let hlc = u64::try_from(bits >> 64).ok()?;
    Some(Stamp { hlc: Hlc(hlc), node: NodeId(node) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_made_from_a_stamp_gives_it_back(millis in 0..=ID_MILLIS, counter: u16, node: u64) {
            let stamp = Stamp { hlc: Hlc((millis << 16) | u64::from(counter)), node: NodeId(node) };
            prop_assert_eq!(stamp_of_id(id_of_stamp(stamp)), Some(stamp));
        }

        #[test]
        fn ids_made_from_stamps_sort_by_time(a in 0u64..1 << 58, b in 0u64..1 << 58, node: u64) {
            let id = |hlc| id_of_stamp(Stamp { hlc: Hlc(hlc), node: NodeId(node) });
            prop_assert_eq!(a.cmp(&b), id(a).cmp(&id(b)));
        }
    }
}
