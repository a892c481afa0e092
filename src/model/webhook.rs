//! Webhooks, and where their deliveries stand.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::object::object;
use super::text::{Span, Time};
use super::{Cursor, EventType, event_type_from_text, event_type_text};

/// Which events a node delivers to a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Deliver {
    /// Those of the registrations that it accepted: each event comes from one node
    #[default]
    Accepted,
    /// All: each event comes from every node, at the latest when the node learns of it
    All,
}

/// A type of event as text: `registration.confirmed`, `name.ended`; the full names are taken too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EventKind(pub EventType);

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(event_type_text(self.0))
    }
}

impl FromStr for EventKind {
    type Err = super::UnknownEventType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        event_type_from_text(text).map(Self)
    }
}

impl Serialize for EventKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What `POST /v1/webhooks` takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct WebhookBody {
    /// Where events are posted to: an `http` or `https` URL.
    #[cfg_attr(feature = "node", schema(min_length = 1, max_length = 2048))]
    pub url: String,
    /// Which events a node delivers; those of the registrations that it accepted by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<Deliver>,
    /// Only these types of event, as the feed names them; all by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "node", schema(value_type = Vec<String>))]
    pub types: Vec<EventKind>,
}

object!(WebhookBody);

/// What `PATCH /v1/webhooks/{id}` takes: what is left out stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct WebhookPatch {
    /// Where events are posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "node", schema(min_length = 1, max_length = 2048))]
    pub url: Option<String>,
    /// Which events a node delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<Deliver>,
    /// Only these types of event; an empty list for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "node", schema(value_type = Option<Vec<String>>))]
    pub types: Option<Vec<EventKind>>,
    /// `false` stops the deliveries, `true` lets them go on where they stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

object!(WebhookPatch);

/// What `POST /v1/webhooks/{id}/rotate` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RotationBody {
    /// For how long deliveries are signed with the present secret as well; none for a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_old: Option<Span>,
}

object!(RotationBody);

/// A webhook: where the nodes of the cluster post events to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Webhook {
    /// Its id.
    pub id: Uuid,
    /// Where events are posted to.
    pub url: String,
    /// Which events a node delivers.
    pub deliver: Deliver,
    /// Only these types of event; an empty list means all.
    #[cfg_attr(feature = "node", schema(value_type = Vec<String>))]
    pub types: Vec<EventKind>,
    /// Whether anything is delivered.
    pub active: bool,
    /// When it was made. Earlier events are not delivered.
    pub created_at: Time,
    /// When it was changed last.
    pub changed_at: Time,
    /// The change cannot be lost any more, whoever is evicted.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Until when deliveries are signed with the secret before the present one as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_secret_until: Option<Time>,
    /// The secret, in the answer that makes it and never again: `whsec_` and base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How the deliveries of the answering node stand; none where it has not begun, or the webhook was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<WebhookDelivery>,
}

#[cfg(feature = "node")]
impl Webhook {
    /// Makes a webhook that is active, without a secret and without deliveries.
    pub(crate) fn new(id: Uuid, url: String, created_at: Time, changed_at: Time) -> Self {
        Self {
            id,
            url,
            deliver: Deliver::Accepted,
            types: Vec::new(),
            active: true,
            created_at,
            changed_at,
            is_final: false,
            old_secret_until: None,
            secret: None,
            delivery: None,
        }
    }
}

/// How the deliveries of one node to a webhook stand.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WebhookDelivery {
    /// Events of the feed that were not read yet, whether they are for this webhook or not, and those that wait.
    pub lag_events: u64,
    /// Events that are read and not delivered.
    pub waiting: u64,
    /// Dead letters: events that were given up, and can be replayed.
    pub dead: u64,
    /// Events that were delivered since the node started.
    pub delivered: u64,
    /// When that was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Time>,
    /// Why an attempt failed last, where none has succeeded since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Time>,
    /// Events that the node no longer kept when it was to read them, so that they were not delivered: the last such gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedEvents>,
}

/// A gap in what was delivered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct MissedEvents {
    /// The cursor of the last event that was read before it.
    pub after: Cursor,
    /// The cursor after which the events are kept.
    pub until: Cursor,
    /// When it was noticed.
    pub at: Time,
}

#[cfg(feature = "node")]
impl MissedEvents {
    pub(crate) fn new(after: Cursor, until: Cursor, at: Time) -> Self {
        Self { after, until, at }
    }
}

/// All webhooks of a cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Webhooks {
    /// In the order of their ids.
    pub webhooks: Vec<Webhook>,
}

/// A dead letter.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DeadLetter {
    /// The event's id.
    pub id: String,
    /// The event, as it would have been delivered.
    #[cfg_attr(feature = "node", schema(value_type = super::Event))]
    pub event: serde_json::Value,
    /// How often its delivery was attempted.
    pub attempts: u32,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Dead letters of one node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DeadLetters {
    /// The oldest first.
    pub dead_letters: Vec<DeadLetter>,
}

/// What became of a test of a webhook.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WebhookTest {
    /// Whether the receiver took the test event.
    pub delivered: bool,
    /// The HTTP status of its answer, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a replay does.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Replayed {
    /// Dead letters of the answering node that are delivered anew.
    pub replayed: u64,
}
