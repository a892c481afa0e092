//! The cluster.

use serde::{Deserialize, Serialize};

use super::registration::Waiting;
use super::text::{Span, Time, hlc};
use crate::clock::{Hlc, Millis, NodeId};
use crate::crdt::Seq;
use crate::replica::{ClusterView, Cursor, EvictionView, MemberView};

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
    /// The eviction or departure that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eviction: Option<Eviction>,
    /// What the answering node keeps of its event feed.
    #[serde(default)]
    pub events: EventRange,
    /// Those who are out for good, each with how much of its log counts.
    #[serde(default)]
    pub evicted: Vec<Cut>,
}

/// The part of an event feed that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EventRange {
    /// The cursor of the earliest event kept.
    pub earliest: Cursor,
    /// The cursor of the last event; less than `earliest` where there is none.
    pub last: Cursor,
}

/// An eviction or departure that is not finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Eviction {
    /// Who goes.
    pub nodes: Vec<NodeId>,
    /// Who stays and has yet to join in.
    pub waiting_for: Vec<NodeId>,
    /// Ops that the answering node lacks: whose log, and up to which seq.
    pub missing: Vec<Cut>,
    /// Those who stay are a majority, or none is needed because all leave by themselves. `false`: it can never finish.
    pub possible: bool,
}

impl From<EvictionView> for Eviction {
    fn from(view: EvictionView) -> Self {
        Self {
            nodes: view.nodes,
            waiting_for: view.waiting_for,
            missing: view.missing.into_iter().map(Into::into).collect(),
            possible: view.possible,
        }
    }
}

/// A place in a node's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cut {
    /// Whose log.
    pub node: NodeId,
    /// The last op before the cut.
    pub seq: Seq,
}

impl From<(NodeId, Seq)> for Cut {
    fn from((node, seq): (NodeId, Seq)) -> Self {
        Self { node, seq }
    }
}

/// Where a node stands in the membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// It takes registrations.
    #[default]
    Member,
    /// A newcomer that some members have yet to welcome.
    Joining,
    /// It leaves by itself.
    Leaving,
    /// It is being evicted.
    Evicting,
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
            eviction: view.eviction.map(Into::into),
            events: EventRange { earliest: view.events.0, last: view.events.1 },
            evicted: view.evicted.into_iter().map(Into::into).collect(),
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
    /// The same in a word.
    #[serde(default)]
    pub state: MemberState,
    /// Who has joined in its eviction or departure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen_by: Vec<NodeId>,
    /// Whether the answering node is connected to it now; true for itself.
    pub connected: bool,
    /// The wire version that it speaks, like `1.1`; none where it is not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<String>,
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
        let state = match (view.leaving, view.frozen_by.is_empty(), view.member) {
            (true, _, _) => MemberState::Leaving,
            (false, false, _) => MemberState::Evicting,
            (false, true, true) => MemberState::Member,
            (false, true, false) => MemberState::Joining,
        };
        Self {
            node: view.node,
            label: view.label,
            address: view.address,
            member: view.member,
            state,
            frozen_by: view.frozen_by,
            connected: view.connected,
            wire: None,
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
