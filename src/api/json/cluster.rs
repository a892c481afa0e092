//! The cluster.

use serde::{Deserialize, Serialize};

use super::registration::Waiting;
use super::text::{Span, Time, hlc};
use crate::clock::{Hlc, Millis, NodeId};
use crate::crdt::Seq;
use crate::replica::{ClusterView, MemberView};

/// The cluster as one node sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// This node.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Whether it is a member, so that it takes registrations.
    pub member: bool,
    /// Its clock when it answered: what the other times are to be compared with.
    pub time: Time,
    /// All members and half-admitted newcomers, this node included, by id.
    pub members: Vec<Member>,
    /// Everything at or below it has arrived.
    #[serde(with = "hlc")]
    pub watermark: Hlc,
    /// Registrations not yet final here.
    pub pending: u64,
    /// Members that the oldest pending registration waits for.
    pub waiting_for: Vec<Waiting>,
    /// Where this node's clock is off from the median of its peers by more than allowed: by how much, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_suspect_ms: Option<i64>,
}

impl Cluster {
    /// What a node answered, at this time.
    #[must_use]
    pub fn new(view: ClusterView, time: Millis) -> Self {
        Self {
            node: view.node,
            label: view.label,
            member: view.member,
            time: Time(time),
            members: view.members.into_iter().map(Into::into).collect(),
            watermark: view.watermark,
            pending: view.pending,
            waiting_for: view.waiting_for.into_iter().map(Into::into).collect(),
            clock_suspect_ms: view.clock_suspect,
        }
    }
}

/// A member as another sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The member.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Where it listens.
    pub address: String,
    /// `false` for a newcomer that some members have yet to welcome.
    pub member: bool,
    /// Whether the answering node is connected to it now; true for itself.
    pub connected: bool,
    /// Its latest promise that the answering node believes.
    #[serde(with = "hlc")]
    pub promise: Hlc,
    /// When that last moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Time>,
    /// The prefix of its log that the answering node has.
    pub applied: Seq,
    /// How much of the answering node's log it says it holds.
    pub holds_ours: Seq,
    /// How far its clock is ahead, milliseconds; none where it is not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// How far ahead the timestamps were that the answering node last refused to take from it, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skewed_ms: Option<u64>,
}

impl From<MemberView> for Member {
    fn from(view: MemberView) -> Self {
        Self {
            node: view.node,
            label: view.label,
            address: view.address,
            member: view.member,
            connected: view.connected,
            promise: view.promise,
            heard_at: view.heard_at.map(Time),
            applied: view.applied,
            holds_ours: view.holds_ours,
            clock_offset_ms: view.clock_offset,
            skewed_ms: view.skewed,
        }
    }
}

/// What `POST /v1/cluster/tokens` takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// How long the token lets newcomers in; none for a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
}

/// A join token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenIssued {
    /// The token.
    pub token: String,
}
