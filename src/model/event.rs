//! Events of the feed, as CloudEvents 1.0.

use serde::{Deserialize, Serialize};

use super::registration::{Claim, Registration, RejectedBy};
use super::text::Time;
use super::{Cursor, EndReason, EventType};

/// All types of event with their full names.
const TYPES: [(EventType, &str); 6] = [
    (EventType::Accepted, "forename.registration.accepted"),
    (EventType::Contested, "forename.registration.contested"),
    (EventType::Confirmed, "forename.registration.confirmed"),
    (EventType::Rejected, "forename.registration.rejected"),
    (EventType::Activated, "forename.registration.activated"),
    (EventType::NameEnded, "forename.name.ended"),
];

/// The text is not a type of event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a type of event: there are accepted, contested, confirmed, rejected, activated and name.ended")]
pub struct UnknownEventType(String);

/// Returns the full name of a type, like `forename.registration.accepted`.
#[must_use]
pub fn event_type_text(event_type: EventType) -> &'static str {
    TYPES.iter().find(|(listed, _)| *listed == event_type).map_or("forename.unknown", |(_, text)| text)
}

/// Returns the type with this name. The name may be full (`forename.registration.accepted`) or short
/// (`registration.accepted`, `accepted`).
///
/// # Errors
/// There is no such type.
pub fn event_type_from_text(text: &str) -> Result<EventType, UnknownEventType> {
    let names = |full: &str| full.strip_suffix(text).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    let found = TYPES.iter().find(|(_, full)| !text.is_empty() && names(full));
    found.map(|(event_type, _)| *event_type).ok_or_else(|| UnknownEventType(text.to_owned()))
}

mod type_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::EventType;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(event_type: &EventType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(super::event_type_text(*event_type))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventType, D::Error> {
        super::event_type_from_text(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A CloudEvents 1.0 object.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Event {
    /// Always `1.0`.
    pub specversion: String,
    /// `<registration>/<what happened>`, with the namespace and the key where a name ended: the same at every node and for
    /// ever. Whoever meets it again drops the event.
    pub id: String,
    /// `/nodes/<id>`: the node that learnt it, by the id of its first incarnation.
    pub source: String,
    /// What happened.
    #[serde(rename = "type", with = "type_text")]
    pub event_type: EventType,
    /// The registration's id, or `<namespace>/<name>` of a name that ended and was not erased.
    pub subject: String,
    /// When the node learnt it.
    pub time: Time,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Its place in the node's feed. In a stream it is the `id` of the message instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The particulars.
    pub data: EventData,
}

/// The particulars of an event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct EventData {
    /// The registration as it stood when the event was told, which may be further by now.
    pub registration: Registration,
    /// The claim that it lost to, where it is contested or rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_by: Option<RejectedBy>,
    /// The name that ended; none where it was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Claim>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
}

/// A page of the feed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Events {
    /// In order.
    pub events: Vec<Event>,
    /// Where the next page begins: give it as `after`.
    pub next: Cursor,
}
