//! The cluster.

use crate::clock::{Millis, NodeId};
use crate::model::{Cluster, Cut, EventRange, Eviction, Hindrance, Member, MemberState, Newcomer, Overdue, Seq, Time};
use crate::replica::{ClusterView, EvictionView, MemberView, NewcomerView, Obstacle};

impl From<Obstacle> for Hindrance {
    fn from(obstacle: Obstacle) -> Self {
        let list = |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (kind, nodes): (_, Vec<NodeId>) = match &obstacle {
            Obstacle::Clock { .. } => ("clock", Vec::new()),
            Obstacle::Eviction(nodes) => ("eviction", nodes.iter().copied().collect()),
            Obstacle::Silent(nodes) => ("silent", nodes.iter().copied().collect()),
            Obstacle::Unsettled(nodes) => ("unsettled", nodes.iter().copied().collect()),
            Obstacle::FirstOutOfReach(node) => ("first-out-of-reach", vec![*node]),
            Obstacle::FirstStarts(node) => ("first-starts", vec![*node]),
            Obstacle::TokenUsed => ("token-used", Vec::new()),
            Obstacle::Banned => ("banned", Vec::new()),
        };
        let why = match obstacle {
            Obstacle::Clock { ahead } => {
                let which = if ahead > 0 { "ahead of" } else { "behind" };
                format!("its clock is {} ms {which} the cluster's time; set it right", ahead.unsigned_abs())
            }
            Obstacle::Eviction(_) => {
                format!(
                    "the eviction of {} is not finished; 'forename member list' shows what it waits for",
                    list(&nodes)
                )
            }
            Obstacle::Silent(_) => format!(
                "all members must have been heard of just now, and {} was not; bring it back or evict it",
                list(&nodes)
            ),
            Obstacle::Unsettled(_) => {
                format!("a majority must hold the admissions before, and {} is not known to", list(&nodes))
            }
            Obstacle::FirstOutOfReach(_) => format!(
                "{}, the longest member, lets newcomers in and is out of reach; bring it back or evict it",
                list(&nodes)
            ),
            Obstacle::TokenUsed => {
                "its join token has let in as many nodes as it was made for; start it with a new one of 'forename \
                                    member token'"
                    .to_owned()
            }
            Obstacle::Banned => "its key is banned; 'forename member unban' lets it in".to_owned(),
            Obstacle::FirstStarts(_) => {
                format!("{}, the longest member, lets newcomers in and has just started", list(&nodes))
            }
        };
        Self { kind: kind.to_owned(), nodes, why }
    }
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

impl From<(NodeId, Seq)> for Cut {
    fn from((node, seq): (NodeId, Seq)) -> Self {
        Self { node, seq }
    }
}

impl Cluster {
    /// What a node answered, at this time.
    pub(crate) fn new(view: ClusterView, time: Millis) -> Self {
        Self {
            id: view.id,
            settings: view.settings.into(),
            node: view.node,
            label: view.label,
            member: view.member,
            time: Time(time),
            members: view.members.into_iter().map(Into::into).collect(),
            watermark: view.watermark,
            pending: view.pending,
            waiting_for: view.waiting_for,
            overdue: view
                .overdue
                .map(|overdue| Overdue { since: Time(overdue.since), waiting_for: overdue.waiting_for }),
            clock_suspect_ms: view.clock_suspect,
            newcomers: view.newcomers.into_iter().map(newcomer).collect(),
            joining_waits_for: view.waits_for.unwrap_or_default().into_iter().map(Into::into).collect(),
            leaving_waits_for: view.leaving,
            forks: view.forks,
            disk_hangs_ms: view.disk_hangs,
            eviction: view.eviction.map(Into::into),
            events: EventRange { start: view.events.0, last: view.events.1 },
            banned: view.banned,
            evicted: view.evicted.into_iter().map(Into::into).collect(),
        }
    }
}

fn newcomer(view: NewcomerView) -> Newcomer {
    let NewcomerView { node, label, address, waits_for } = view;
    Newcomer { node, label, address, waits_for: waits_for.into_iter().map(Into::into).collect() }
}

impl From<MemberView> for Member {
    fn from(view: MemberView) -> Self {
        let state = match (view.leaving, view.frozen_by.is_empty()) {
            (true, _) => MemberState::Leaving,
            (false, false) => MemberState::Evicting,
            (false, true) => MemberState::Member,
        };
        Self {
            node: view.node,
            label: view.label,
            address: view.address,
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
            refuses_ours_ms: view.refuses_ours,
        }
    }
}
