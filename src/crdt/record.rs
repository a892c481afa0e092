//! What the registry keeps of a registration and of a name.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::extend::Extensions;
use super::op::{Claim, ClaimRef, Register, Seq};
use crate::clock::{Hlc, NodeId, Stamp};
pub use crate::model::EndReason;
use crate::name::Rules;
use crate::store::Store;
use crate::store::schema::{self, NameKey, Rows};

/// A claim and how far its end has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClaimRecord {
    /// The claim.
    pub claim: Claim,
    /// A release of it is known.
    pub released: bool,
    /// How it ended, once that is final.
    pub ended: Option<EndReason>,
}

/// A registration and what ops have said about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// Its stamp.
    pub stamp: Stamp,
    /// The place of its op in its origin's log.
    pub seq: Seq,
    /// The id that the client chose.
    pub chosen_id: Option<Uuid>,
    /// Whom the names are for.
    pub owner: String,
    /// Its claims.
    pub claims: Vec<ClaimRecord>,
    /// Where it is a reservation: when it ends unless activated before.
    pub expires: Option<Hlc>,
    /// The claim that ends when this registration is confirmed.
    pub replaces: Option<ClaimRef>,
    /// The application's JSON object as text.
    pub metadata: Option<String>,
    /// The least stamp of the ops that activate it.
    pub activated: Option<Stamp>,
    /// Some claim of it is displaced, or an earlier op carries its id. Never becomes false again.
    pub lost: bool,
    /// That it lost is final.
    pub rejected: bool,
    /// What has lengthened it, where it is a reservation.
    pub extensions: Extensions,
    /// The least stamp of the ops that erase it.
    pub erase: Option<Stamp>,
    /// It was erased: it has no owner, no metadata and no names, and hashes in place of its keys.
    pub erased: bool,
}

impl Registration {
    /// A registration as its op says it, before anything else is known.
    #[must_use]
    pub fn new(stamp: Stamp, seq: Seq, register: Register) -> Self {
        let record = |claim| ClaimRecord { claim, released: false, ended: None };
        Self {
            stamp,
            seq,
            chosen_id: register.id,
            owner: register.owner,
            claims: register.claims.into_iter().map(record).collect(),
            expires: register.expires,
            replaces: register.replaces,
            metadata: register.metadata,
            activated: None,
            lost: false,
            rejected: false,
            extensions: Extensions::default(),
            erase: None,
            erased: false,
        }
    }

    /// Its id: the client's, or else the one made from its stamp.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.chosen_id.unwrap_or_else(|| id_of_stamp(self.stamp))
    }

    /// Its claim to a key.
    #[must_use]
    pub fn claim(&self, namespace: &str, key: &str) -> Option<&ClaimRecord> {
        self.claims.iter().find(|record| record.claim.namespace == namespace && record.claim.key == key)
    }

    /// Where it is a reservation: when it ends unless it is activated before, by the ops that are here.
    #[must_use]
    pub fn end(&self) -> Option<Hlc> {
        Some(if planted!(ExtensionIgnored) { self.expires? } else { self.extensions.end(self.expires?) })
    }

    /// Whether it was activated before it expired.
    #[must_use]
    pub fn activated_in_time(&self) -> bool {
        matches!((self.end(), self.activated), (Some(end), Some(activated)) if activated.hlc < end)
    }

    /// Reads the registration of a stamp.
    pub fn load(store: &impl Store, stamp: Stamp) -> Option<Self> {
        schema::Registrations::get(store, stamp)
    }

    /// Writes it.
    pub fn save(&self, store: &mut impl Store) {
        schema::Registrations::put(store, self.stamp, self);
    }
}

/// Claims to one name that follow the same claim; the first leads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tenure {
    /// The claim whose tenure this one follows.
    pub after: Option<Stamp>,
    /// The registrations that claim it, by stamp.
    pub claims: Vec<Stamp>,
}

/// All tenures of one name, by what they follow.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Name {
    /// Sorted by `after`; the first tenure follows none.
    pub tenures: Vec<Tenure>,
}

impl Name {
    /// The tenure that follows a claim.
    #[must_use]
    pub fn following(&self, after: Option<Stamp>) -> Option<&Tenure> {
        let index = self.tenures.binary_search_by_key(&after, |tenure| tenure.after).ok()?;
        self.tenures.get(index)
    }

    /// The claim that leads the tenure after another.
    #[must_use]
    pub fn leader(&self, after: Option<Stamp>) -> Option<Stamp> {
        self.following(after)?.claims.first().copied()
    }

    /// The claim that displaced this one: the leader of its tenure, or of that of a claim it follows. Where it follows one
    /// at or below `settled` that is not here, that was forgotten: the name has been through other tenures since.
    #[must_use]
    pub fn displaced_by(&self, claim: Stamp, settled: Hlc) -> Option<Stamp> {
        let mut claim = claim;
        loop {
            let tenure = self.tenures.iter().find(|tenure| tenure.claims.binary_search(&claim).is_ok())?;
            if tenure.claims.first() != Some(&claim) {
                return tenure.claims.first().copied();
            }
            claim = tenure.after?;
            if claim.hlc <= settled && !self.tenures.iter().any(|tenure| tenure.claims.contains(&claim)) {
                return self.leader(None);
            }
        }
    }

    /// Whether the first claim of a tenure leads it. Not where the claim that the tenure follows was forgotten, being at or
    /// below `settled`: then whoever led it was forgotten as well, and who is left came too late.
    #[must_use]
    pub fn is_led(&self, tenure: &Tenure, settled: Hlc) -> bool {
        let known = |after: &Stamp| self.tenures.iter().any(|tenure| tenure.claims.contains(after));
        tenure.after.is_none_or(|after| after.hlc > settled || known(&after))
    }

    /// Adds a claim; returns the leader that it displaces, where there was one.
    pub fn insert(&mut self, after: Option<Stamp>, claim: Stamp) -> Option<Stamp> {
        let after = after.filter(|_| !planted!(AfterIgnored));
        let index = match self.tenures.binary_search_by_key(&after, |tenure| tenure.after) {
            Ok(index) => index,
            Err(index) => {
                self.tenures.insert(index, Tenure { after, claims: Vec::new() });
                index
            }
        };
        let claims = &mut self.tenures[index].claims;
        let leader = claims.first().copied();
        if let Err(place) = claims.binary_search(&claim) {
            claims.insert(if planted!(TieByArrival) { claims.len() } else { place }, claim);
        }
        leader.filter(|leader| claim < *leader)
    }

    /// What the tenure follows that a claim is in.
    #[must_use]
    pub fn followed_by(&self, claim: Stamp) -> Option<Stamp> {
        self.tenures.iter().find(|tenure| tenure.claims.binary_search(&claim).is_ok())?.after
    }

    /// Reads a name; none where nothing is known of it, or it is found by its hash alone.
    pub(super) fn find(store: &impl Store, namespace: &str, key: &str) -> Option<Self> {
        schema::Names::get(store, NameKey::new(namespace, key))
    }

    /// Writes it.
    pub(super) fn save(&self, store: &mut impl Store, namespace: &str, key: &str) {
        schema::Names::put(store, NameKey::new(namespace, key), self);
    }
}

/// The rules that were set for a namespace last.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Namespace {
    /// The op that set them.
    pub stamp: Stamp,
    /// Its place in its origin's log.
    pub seq: Seq,
    /// The rules.
    pub rules: Rules,
}

impl Namespace {
    /// Reads the rules of a namespace; none where nobody has set any.
    pub fn load(store: &impl Store, namespace: &str) -> Option<Self> {
        schema::Namespaces::get(store, namespace)
    }

    /// Writes them.
    pub fn save(&self, store: &mut impl Store, namespace: &str) {
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
