//! The cluster as one node sees it.

use serde::{Deserialize, Serialize};

use super::health::{Health, Verdict};
use super::object::object;
use super::registration::Waiting;
use super::text::{Span, Time, hlc};
use super::{ClusterId, ClusterSettings, Cursor, Seq};
use crate::clock::{Hlc, NodeId};

/// The cluster as one node sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Cluster {
    /// The cluster's id; none while the node is joining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ClusterId>,
    /// The settings that are in force at the node; the same at all members once they have heard of the latest change.
    #[serde(default)]
    #[cfg_attr(feature = "node", schema(required = true))]
    pub settings: ClusterSettings,
    /// This node.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Whether it is a member, so that it takes registrations.
    pub member: bool,
    /// Whether it is a reader: it answers what is asked and changes nothing, and nobody waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reader: bool,
    /// The readers that are connected to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<NodeId>,
    /// Its clock when it answered: what the other times are to be compared with.
    pub time: Time,
    /// All members, this node included, by id.
    pub members: Vec<Member>,
    /// The first member: the one that has been a member for longest. It lets newcomers in, and delivers to webhooks for
    /// nodes that are out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<NodeId>,
    /// Everything at or below it has arrived.
    #[serde(with = "hlc")]
    #[cfg_attr(feature = "node", schema(value_type = String, pattern = "^[0-9]+[.][0-9]+$"))]
    pub watermark: Hlc,
    /// Registrations not yet final here.
    pub pending: u64,
    /// When the earliest op was issued that is not decided here: a registration, or something that an operator does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided_since: Option<Time>,
    /// Members that the oldest pending registration waits for.
    pub waiting_for: Vec<Waiting>,
    /// A reservation whose time is over and which cannot end yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<Overdue>,
    /// Where this node's clock is off from the median of the members by more than allowed: by how much, milliseconds;
    /// positive where the others are ahead. It takes no registrations then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_suspect_ms: Option<i64>,
    /// Newcomers that wait to be let in, as far as this node was asked or told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub newcomers: Vec<Newcomer>,
    /// Where this node is a newcomer itself: what it waits for, as far as it was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joining_waits_for: Vec<Hindrance>,
    /// Where this node was asked to leave and has not departed: the members that do not hold yet what it hands over,
    /// and those out of contact where the members that are left would be too few to go on without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving_waits_for: Option<Vec<NodeId>>,
    /// The eviction that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction: Option<Eviction>,
    /// Logs of which two nodes hold different ops under one number: an alarm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Fork>,
    /// For how many milliseconds this node's disk has made nothing durable, where that is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_hangs_ms: Option<u64>,
    /// Up to when everything is in the last whole backup of this node that somebody took; none where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<Time>,
    /// What the answering node keeps of its event feed.
    #[serde(default)]
    #[cfg_attr(feature = "node", schema(required = true))]
    pub events: EventRange,
    /// Those who are out for good, each with how much of its log counts.
    #[serde(default)]
    #[cfg_attr(feature = "node", schema(required = true))]
    pub evicted: Vec<Cut>,
    /// Nodes whose keys are kept out, by their first ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub banned: Vec<NodeId>,
    /// How the node is, in words for its operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl Cluster {
    /// Returns true where the node finds nothing that an operator should look at. Otherwise `health` says what, and so does
    /// `forename status --check`.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.verdict == Verdict::Healthy)
    }
}

/// The part of an event feed that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct EventRange {
    /// The place before the earliest event kept.
    pub start: Cursor,
    /// The cursor of the last event; the same where there is none.
    pub last: Cursor,
}

/// A newcomer that is not let in for now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Newcomer {
    /// The newcomer.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Where it listens.
    pub address: String,
    /// What it waits for.
    pub waits_for: Vec<Hindrance>,
}

/// What keeps a newcomer out for now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Hindrance {
    /// As a code: `clock`, `eviction`, `silent`, `unsettled`, `first-out-of-reach`,
    /// `token-used` or `banned`.
    pub reason: String,
    /// The members that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeId>,
    /// The same as a sentence, with what to do.
    pub why: String,
}

/// A reservation whose time is over and which has not ended, because the watermark has not passed it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Overdue {
    /// When the earliest such one was to end.
    pub since: Time,
    /// Members whose clocks are not known to have passed that time.
    pub waiting_for: Vec<Waiting>,
}

/// Two nodes hold different ops under one number of a log. Nothing more of it is decided until its origin has come back under
/// a new id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Fork {
    /// Whose log.
    pub origin: NodeId,
    /// A node that holds another op than the one that answers.
    pub by: NodeId,
    /// The number, or a later one.
    #[cfg_attr(feature = "node", schema(value_type = u64))]
    pub seq: Seq,
}

/// An eviction that is not finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Eviction {
    /// Who goes.
    pub nodes: Vec<NodeId>,
    /// Who stays and has yet to join in.
    pub waiting_for: Vec<NodeId>,
    /// Ops that the answering node lacks: whose log, and up to which seq.
    pub missing: Vec<Cut>,
    /// Those who stay are a majority, or none is needed because the others have come back under new ids. `false`: it can
    /// never finish.
    pub possible: bool,
}

/// A place in a node's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Cut {
    /// Whose log.
    pub node: NodeId,
    /// The last op before the cut.
    #[cfg_attr(feature = "node", schema(value_type = u64))]
    pub seq: Seq,
}

/// Where a node stands in the membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MemberState {
    /// It takes registrations.
    #[default]
    Member,
    /// It was asked to leave.
    Leaving,
    /// It is being evicted.
    Evicting,
}

/// A member as another sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Member {
    /// The member.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Where it listens.
    pub address: String,
    /// Where it stands.
    #[serde(default)]
    #[cfg_attr(feature = "node", schema(required = true))]
    pub state: MemberState,
    /// Who has joined in its eviction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen_by: Vec<NodeId>,
    /// Whether the answering node is connected to it now; true for itself.
    pub connected: bool,
    /// The wire version that it speaks, like `1.1`; none where it is not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<String>,
    /// Its latest promise that the answering node believes.
    #[serde(with = "hlc")]
    #[cfg_attr(feature = "node", schema(value_type = String, pattern = "^[0-9]+[.][0-9]+$"))]
    pub promise: Hlc,
    /// When that last moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Time>,
    /// The prefix of its log that the answering node has.
    #[cfg_attr(feature = "node", schema(value_type = u64))]
    pub applied: Seq,
    /// How much of the answering node's log it says it holds.
    #[cfg_attr(feature = "node", schema(value_type = u64))]
    pub holds_ours: Seq,
    /// How far its clock is ahead of the answering node's, milliseconds, by its last heartbeat; none where it was never heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// How far ahead the timestamps of its ops are that the answering node does not take for now, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skewed_ms: Option<u64>,
    /// How far ahead the timestamps of the answering node's ops are for it, where it does not take them for now, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuses_ours_ms: Option<u64>,
}

/// What `POST /v1/cluster/tokens` takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TokenBody {
    /// How many newcomers the token lets in; none for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "node", schema(minimum = 1, maximum = 1000))]
    pub uses: Option<u32>,
    /// How long the token lets newcomers in, at most 30 days; none for a day. For a reader's token at most ten years; none
    /// for a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Whether it is a reader's token: with it any number of readers connect, and nobody becomes a member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reader: bool,
}

object!(TokenBody);

impl TokenBody {
    /// Returns how long the join token is valid and how many newcomers it lets in, or what is out of bounds.
    #[cfg(feature = "node")]
    pub(crate) fn checked(&self) -> Result<(std::time::Duration, u32), String> {
        use super::limits::{DEFAULT_READER_TTL, DEFAULT_TOKEN_TTL, MAX_READER_TTL, MAX_TOKEN_TTL, MAX_TOKEN_USES};
        if self.reader {
            let ttl = self.ttl.map_or(DEFAULT_READER_TTL, |ttl| ttl.0);
            if self.uses.is_some() || ttl.is_zero() || ttl > MAX_READER_TTL {
                let most = Span(MAX_READER_TTL);
                return Err(format!(
                    "a reader's token has no uses, and a ttl above 0 and of {most} at most; none was made"
                ));
            }
            return Ok((ttl, 0));
        }
        let (ttl, uses) = (self.ttl.map_or(DEFAULT_TOKEN_TTL, |ttl| ttl.0), self.uses.unwrap_or(1));
        if ttl.is_zero() || uses == 0 {
            return Err("a token with a ttl of 0, or with no uses, lets nobody in; none was made".to_owned());
        }
        if ttl > MAX_TOKEN_TTL || uses > MAX_TOKEN_USES {
            let most = Span(MAX_TOKEN_TTL);
            return Err(format!("a token holds for {most} and lets in {MAX_TOKEN_USES} nodes at most; none was made"));
        }
        Ok((ttl, uses))
    }
}

/// A join token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct TokenIssued {
    /// The token.
    pub token: String,
}
