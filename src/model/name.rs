//! Names: their holders, histories, conflicts and lists.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::metadata::Metadata;
use super::text::{Time, stamp};
use super::{ClaimPlace, EndReason, NameStatus, Place, Precedence, Status, is_false};
use crate::clock::{NodeId, Stamp};

/// Whether a name can be had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The name as asked for.
    pub name: String,
    /// Its canonical form.
    pub key: String,
    /// Whether it can be claimed here and now.
    pub available: bool,
    /// The same with more detail.
    pub status: NameStatus,
    /// The registration that leads it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Uuid>,
    /// When that was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The name that this registration holds, where the two are one name only because they look alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks_like: Option<String>,
    /// Where it was given up and is kept from others for a while: until when. Its former owner may be let have it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_at: Option<Time>,
    /// Names like it that are free at the answering node, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
}

/// A claim among those of a tenure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Contender {
    /// Its registration.
    pub registration: Uuid,
    /// Whose it is.
    pub owner: String,
    /// The name as typed; left out, and empty here, where it is private and was not typed at the answering node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The node that accepted it.
    pub node: NodeId,
    /// That node's label, as far as it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Its stamp: of two claims the one with the lower stamp wins.
    #[serde(with = "stamp")]
    #[cfg_attr(feature = "node", schema(value_type = String, pattern = "^[0-9]+[.][0-9]+@[0-9a-f]{16}$"))]
    pub stamp: Stamp,
    /// When it was accepted.
    pub accepted_at: Time,
    /// Where an eviction had made that void, and it was registered again: when. Its stamp is of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reissued_at: Option<Time>,
    /// Where its registration stands.
    pub status: Status,
    /// It is a retry of a registration that was accepted earlier elsewhere, and counts for nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub twin: bool,
    /// It has been released, which may not be final.
    #[serde(default, skip_serializing_if = "is_false")]
    pub released: bool,
    /// How it ended, where it finally did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndReason>,
    /// Where it was rejected: when the answering node knew that this is final, if it has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_at: Option<Time>,
}

/// A tenure of a name: who held it, from when till when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Tenure {
    /// The claim that leads it, by stamp the first.
    pub holder: Contender,
    /// When that was accepted.
    pub since: Time,
    /// When it ended, where that is final and the answering node has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Claims that lost to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losers: Vec<Contender>,
}

/// A page of a name's tenures, earliest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct History {
    /// The namespace.
    pub namespace: String,
    /// The name as asked for.
    pub name: String,
    /// Its canonical form.
    pub key: String,
    /// This page of its tenures.
    pub tenures: Vec<Tenure>,
    /// Where there are more: give it as `after`. Where very many claimed one tenure, the next page may begin with the rest
    /// of it, and its holder once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ClaimPlace>,
}

/// A tenure of a name that more than one registration claimed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Conflict {
    /// The namespace.
    pub namespace: String,
    /// The name's canonical form.
    pub key: String,
    /// `final` once no outcome is open any more.
    pub status: ConflictStatus,
    /// The registration that came first. It need not have the name: it may have lost another one of its names.
    pub winner: Uuid,
    /// Why it comes before the others.
    pub why: Precedence,
    /// All claims, the winner's first.
    pub claims: Vec<Contender>,
    /// When the answering node knew that all outcomes are final, if it has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_at: Option<Time>,
}

/// Whether the outcomes of a conflict can still change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ConflictStatus {
    /// Some outcome is pending.
    Open,
    /// None is.
    Final,
}

/// A page of the exception report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Conflicts {
    /// By namespace and key; may be empty although there are more.
    pub conflicts: Vec<Conflict>,
    /// Where to go on: give it as `after`; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Place>,
}

/// A name that somebody has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TakenName {
    /// The namespace.
    pub namespace: String,
    /// The name as its holder typed it; left out, and empty here, where it is private and was not typed at the answering
    /// node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its canonical form.
    pub key: String,
    /// Where its claim stands.
    pub status: NameStatus,
    /// Its owner.
    pub owner: String,
    /// The registration that leads it.
    pub registration: Uuid,
    /// When that was accepted.
    pub since: Time,
    /// When the reservation ends, where it is one that has not been activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The application's JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// A page of the names that are taken, by namespace and key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TakenNames {
    /// May be empty although there are more.
    pub names: Vec<TakenName>,
    /// Where to go on: give it as `after`; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Place>,
}

/// Whether one of several names can be had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CheckedName {
    /// The namespace.
    pub namespace: String,
    /// The name as asked for.
    pub name: String,
    /// Whether it can be claimed here and now.
    pub available: bool,
    /// Its canonical form; none where it cannot be a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where it stands; none where it cannot be a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NameStatus>,
    /// Why it cannot be a name, as a code: that of `invalid-name`, or the type of another problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What `POST /v1/names:check` answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CheckedNames {
    /// In the order asked for.
    pub names: Vec<CheckedName>,
}
