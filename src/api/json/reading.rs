//! Histories, conflicts, lists of names.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::is_false;
use super::registration::{Metadata, NameRef};
use super::text::{Time, stamp};
use crate::clock::{NodeId, Stamp};
use crate::replica::{
    self, EndReason, HistoryPage, ListedName, NameStatus, NameView, Place, Precedence, Refusal, Status, TenureClaim,
    TenureView,
};

/// A claim among those of a tenure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    pub stamp: Stamp,
    /// When it was accepted.
    pub accepted_at: Time,
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

impl From<TenureClaim> for Contender {
    fn from(claim: TenureClaim) -> Self {
        Self {
            registration: claim.registration,
            owner: claim.owner,
            name: claim.name,
            node: claim.stamp.node,
            label: claim.label,
            stamp: claim.stamp,
            accepted_at: Time(claim.stamp.hlc.millis()),
            status: claim.status,
            twin: claim.twin,
            released: claim.released,
            ended: claim.ended,
            rejected_at: claim.rejected_at.map(Time),
        }
    }
}

/// A tenure of a name: who held it, from when till when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

impl Tenure {
    /// None for a tenure without claims, which no node has.
    fn new(view: TenureView) -> Option<Self> {
        let mut claims = view.claims.into_iter().map(Contender::from);
        let holder = claims.next()?;
        Some(Self { since: holder.accepted_at, until: view.until.map(Time), losers: claims.collect(), holder })
    }
}

/// A page of a name's tenures, earliest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct History {
    /// The namespace.
    pub namespace: String,
    /// The name as asked for.
    pub name: String,
    /// Its canonical form.
    pub key: String,
    /// This page of its tenures.
    pub tenures: Vec<Tenure>,
    /// Where there are more: give it as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
}

impl From<HistoryPage> for History {
    fn from(page: HistoryPage) -> Self {
        let tenures = page.tenures.into_iter().filter_map(Tenure::new).collect();
        Self { namespace: page.namespace, name: page.name, key: page.key, tenures, next: page.next }
    }
}

/// Where a page of names or conflicts goes on. Travels as text that only a node needs to understand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceText(pub Place);

/// The text is no cursor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a cursor: give what a page before this one said under next")]
pub struct PlaceError(String);

impl std::fmt::Display for PlaceText {
    /// A namespace has no blanks.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { namespace, key, tenures } = &self.0;
        write!(f, "{tenures} {namespace} {key}")
    }
}

impl FromStr for PlaceText {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let parse = || {
            let (tenures, rest) = text.split_once(' ')?;
            let (namespace, key) = rest.split_once(' ')?;
            Some(Place { namespace: namespace.to_owned(), key: key.to_owned(), tenures: tenures.parse().ok()? })
        };
        parse().map(Self).ok_or_else(|| PlaceError(text.to_owned()))
    }
}

impl Serialize for PlaceText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PlaceText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A tenure of a name that more than one registration claimed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[serde(rename_all = "lowercase")]
pub enum ConflictStatus {
    /// Some outcome is pending.
    Open,
    /// None is.
    Final,
}

impl Conflict {
    fn new(conflict: replica::Conflict) -> Option<Self> {
        let status = if conflict.is_final() { ConflictStatus::Final } else { ConflictStatus::Open };
        let winner = conflict.tenure.claims.first()?.registration;
        Some(Self {
            namespace: conflict.namespace,
            key: conflict.key,
            status,
            winner,
            why: conflict.precedence,
            claims: conflict.tenure.claims.into_iter().map(Into::into).collect(),
            final_at: conflict.final_at.map(Time),
        })
    }
}

/// A page of the exception report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Conflicts {
    /// By namespace and key; may be empty although there are more.
    pub conflicts: Vec<Conflict>,
    /// Where to go on: give it as `after`; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PlaceText>,
}

impl From<replica::ConflictPage> for Conflicts {
    fn from(page: replica::ConflictPage) -> Self {
        let conflicts = page.conflicts.into_iter().filter_map(Conflict::new).collect();
        Self { conflicts, next: page.next.map(PlaceText) }
    }
}

/// A name that somebody has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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

impl From<ListedName> for TakenName {
    fn from(name: ListedName) -> Self {
        Self {
            namespace: name.namespace,
            name: name.name,
            key: name.key,
            status: name.status,
            owner: name.owner,
            registration: name.registration,
            since: Time(name.since),
            expires_at: name.expires.map(Time),
            metadata: name.metadata.and_then(|text| Metadata::new(text).ok()),
        }
    }
}

/// A page of the names that are taken, by namespace and key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TakenNames {
    /// May be empty although there are more.
    pub names: Vec<TakenName>,
    /// Where to go on: give it as `after`; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PlaceText>,
}

impl From<replica::NamePage> for TakenNames {
    fn from(page: replica::NamePage) -> Self {
        Self { names: page.names.into_iter().map(Into::into).collect(), next: page.next.map(PlaceText) }
    }
}

/// Whether one of several names can be had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// Why it cannot be a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CheckedName {
    pub(in crate::api) fn new(asked: NameRef, view: Result<NameView, Refusal>) -> Self {
        let NameRef { namespace, name } = asked;
        let (available, key, status, reason) = match view {
            Ok(view) => (view.status == NameStatus::Available, Some(view.key), Some(view.status), None),
            Err(Refusal::InvalidName { reason, .. }) => (false, None, None, Some(reason)),
            Err(refusal) => (false, None, None, Some(refusal.to_string())),
        };
        Self { namespace, name, available, key, status, reason }
    }
}

/// What `POST /v1/names:check` answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckedNames {
    /// In the order asked for.
    pub names: Vec<CheckedName>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_written(namespace in "[a-z0-9/._-]{1,20}", key in "\\PC{1,20}", tenures: usize) {
            let place = PlaceText(Place { namespace, key, tenures });
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }
    }

    #[test]
    fn other_text_is_no_cursor() {
        for text in ["", "7", "7 username", "x username alice"] {
            assert!(text.parse::<PlaceText>().is_err(), "{text:?}");
        }
    }
}
