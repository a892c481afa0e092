//! Registrations and their names.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cursor::OwnerPlace;
use super::is_false;
use super::metadata::Metadata;
use super::object::object;
use super::text::{Span, Time, stamp};
use super::{EndReason, Problem, ProfileName, Status};
#[cfg(feature = "core")]
use crate::clock::Hlc;
use crate::clock::{NodeId, Stamp};

/// A name as a client writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NameRef {
    /// The namespace.
    #[cfg_attr(feature = "node", schema(pattern = "^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$", max_length = 128))]
    pub namespace: String,
    /// The name as typed.
    #[cfg_attr(feature = "node", schema(min_length = 1, max_length = 256))]
    pub name: String,
}

object!(NameRef);

/// When to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// At once, with what is known.
    #[default]
    None,
    /// When the outcome is final, or at the timeout with what is known then; at once where it needs a member that is out
    /// of reach.
    Final,
    /// When the outcome is final, or at the timeout with what is known then, whoever is out of reach.
    Always,
}

impl Wait {
    /// Returns true where the answer may come later than at once.
    #[must_use]
    pub fn waits(self) -> bool {
        self != Self::None
    }
}

/// The claim that a rename ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ReplacesBody {
    /// Its registration.
    pub registration: Uuid,
    /// Its namespace.
    #[cfg_attr(feature = "node", schema(pattern = "^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$", max_length = 128))]
    pub namespace: String,
    /// The name.
    #[cfg_attr(feature = "node", schema(min_length = 1, max_length = 256))]
    pub name: String,
}

object!(ReplacesBody);

#[cfg(feature = "core")]
impl ReplacesBody {
    /// Returns the name that the claim is to.
    pub(crate) fn named(&self) -> NameRef {
        NameRef { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// What `POST /v1/registrations` takes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RegistrationBody {
    /// Chosen by the client, so that it may ask again, here or at another node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Who is to hold the names.
    #[cfg_attr(
        feature = "node",
        schema(min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")
    )]
    pub owner: String,
    /// The names: all or none.
    #[cfg_attr(feature = "node", schema(min_items = 1, max_items = 16))]
    pub names: Vec<NameRef>,
    /// How long the reservation lasts; none for a permanent registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// The claim that this registration takes the place of (rename).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ReplacesBody>,
    /// A JSON object, given back with the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// When to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// How long to wait at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// So many free alternatives are to be told for each name that is taken or lost; it does not belong to the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "node", schema(maximum = 10))]
    pub suggest: Option<usize>,
}

object!(RegistrationBody);

/// What `POST /v1/registrations/{id}/extend` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExtensionBody {
    /// How long the reservation lasts from now on.
    pub ttl: Span,
}

object!(ExtensionBody);

/// A line of what `POST /v1/registrations:batch` answers: the registration, or the problem.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct BatchLine {
    /// The number of the request's line that it answers, from 1.
    pub line: u64,
    /// The HTTP status that the line would have had by itself.
    pub status: u16,
    /// What was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Why nothing was, or it lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// Where a registration stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Registration {
    /// Its id.
    pub id: Uuid,
    /// Its owner; none where it was erased.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// Where it stands.
    pub status: Status,
    /// Its names; none where it was erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Claim>,
    /// Its owner, names and metadata were erased.
    #[serde(default, skip_serializing_if = "is_false")]
    pub erased: bool,
    /// The node that accepted it.
    pub node: NodeId,
    /// Its stamp: of two claims to a name the one with the lower stamp wins.
    #[serde(with = "stamp")]
    #[cfg_attr(feature = "node", schema(value_type = String, pattern = "^[0-9]+[.][0-9]+@[0-9a-f]{16}$"))]
    pub stamp: Stamp,
    /// When it was accepted. Never changes.
    pub accepted_at: Time,
    /// Where an eviction had made that void, and the node that accepted it registered it again: when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reissued_at: Option<Time>,
    /// When the reservation ends, where it is one that has not been activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whether it was a reservation that was activated in time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub activated: bool,
    /// The application's JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Where it is a rename: the claim that ends when it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<ReplacesBody>,
    /// Where it is the first to use them: the namespaces that it has made. Only in the answer to the request itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_namespaces: Vec<NewNamespace>,
    /// Members that a pending registration waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<Waiting>,
    /// The claim that it lost to, where it is contested or rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_by: Option<RejectedBy>,
}

/// A namespace that was made by its first claim.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct NewNamespace {
    /// Its name.
    pub namespace: String,
    /// The profile that it got.
    pub profile: ProfileName,
}

#[cfg(feature = "core")]
impl NewNamespace {
    pub(crate) fn new(namespace: String, profile: ProfileName) -> Self {
        Self { namespace, profile }
    }
}

/// One name of a registration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Claim {
    /// The namespace.
    pub namespace: String,
    /// The name as typed; left out, and empty here, where it is private and was not typed at the answering node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its canonical form, or the hash of a private one.
    pub key: String,
    /// It was released, which need not be final.
    #[serde(default, skip_serializing_if = "is_false")]
    pub released: bool,
    /// How the claim ended, where it finally did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndReason>,
}

/// A member that something waits for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Waiting {
    /// The member.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Why its word is not here.
    #[serde(default)]
    #[cfg_attr(feature = "node", schema(required = true))]
    pub reason: WaitReason,
    /// When its promise last moved; none where it has not been heard of since the answering node started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// Why a member's word is not here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, strum::IntoStaticStr)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[cfg_attr(test, derive(strum::VariantArray))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum WaitReason {
    /// It is in contact: its word is on its way.
    #[default]
    RoundTrip,
    /// Nothing has been heard of it for some seconds.
    OutOfReach,
    /// It is in contact, and its clock is so far ahead that its ops are not taken for now.
    ClockAhead,
    /// It is being evicted: what waits for it goes on when that is done.
    BeingEvicted,
    /// A reason that this version does not know; only in what a client reads.
    #[serde(other)]
    Unknown,
}

impl WaitReason {
    /// Returns true where the wait ends by itself, usually within a round trip.
    #[must_use]
    pub fn is_brief(self) -> bool {
        matches!(self, Self::RoundTrip)
    }

    /// Returns true where nobody knows how long the wait lasts: somebody has to bring the member back, correct its
    /// clock, or evict it.
    #[must_use]
    pub fn is_open_ended(self) -> bool {
        matches!(self, Self::OutOfReach | Self::ClockAhead)
    }
}

/// The claim that a registration lost to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct RejectedBy {
    /// The namespace of the lost name.
    pub namespace: String,
    /// The lost name, as the loser typed it; left out, and empty here, where it is private and was not typed at the
    /// answering node.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The winning registration.
    pub registration: Uuid,
    /// Its stamp.
    #[serde(with = "stamp")]
    #[cfg_attr(feature = "node", schema(value_type = String, pattern = "^[0-9]+[.][0-9]+@[0-9a-f]{16}$"))]
    pub stamp: Stamp,
    /// When it was accepted.
    pub accepted_at: Time,
}

#[cfg(feature = "core")]
impl RejectedBy {
    /// Returns this registration's claim to a name.
    pub(crate) fn new(namespace: String, name: String, registration: Uuid, stamp: Stamp, accepted: Hlc) -> Self {
        Self { namespace, name, registration, stamp, accepted_at: accepted.into() }
    }
}

/// An owner's registrations, earliest first.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Registrations {
    /// This page of them.
    pub registrations: Vec<Registration>,
    /// Where there may be more: give it as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<OwnerPlace>,
}
