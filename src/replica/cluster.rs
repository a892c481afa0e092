//! The state of the cluster, as this node sees it.

use super::Replica;
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::log::{Fork, Newcomer, Obstacle, Seq, Settings};
use crate::model::{ClusterId, Cursor, Fork as ForkView, Waiting};
use crate::registry::LogView;
use crate::store::Store;

/// The cluster as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterView {
    /// The cluster's id; none while a newcomer has no state.
    pub id: Option<ClusterId>,
    /// The settings that are in force here.
    pub settings: Settings,
    /// This node.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Whether it is a member, so that it takes registrations.
    pub member: bool,
    /// All members, this node included, by id.
    pub members: Vec<MemberView>,
    /// Everything at or below it has arrived.
    pub watermark: Hlc,
    /// Registrations not yet final here.
    pub pending: u64,
    /// Members that the oldest pending registration waits for.
    pub waiting_for: Vec<Waiting>,
    /// A reservation whose time is over and which cannot end yet.
    pub overdue: Option<OverdueView>,
    /// Where this node's clock is off from the median of the members by more than allowed: by how much, milliseconds;
    /// positive where the others are ahead.
    pub clock_suspect: Option<i64>,
    /// Newcomers that wait to be let in, as far as this node was asked or told.
    pub newcomers: Vec<NewcomerView>,
    /// Where this node is a newcomer itself, what it waits for, as far as it was told.
    pub waits_for: Option<Vec<Obstacle>>,
    /// Where this node was asked to leave and has not departed: members that do not hold yet what it hands over, or without which too few would be left in contact.
    pub leaving: Option<Vec<NodeId>>,
    /// The eviction that is under way.
    pub eviction: Option<EvictionView>,
    /// Logs of which two nodes hold different ops under one number.
    pub forks: Vec<ForkView>,
    /// For how many milliseconds the disk has made nothing durable, where that is long.
    pub disk_hangs: Option<u64>,
    /// The places before the earliest event that this node keeps, and of the last; the same where there is none.
    pub events: (Cursor, Cursor),
    /// Those who are out, each with the prefix of its log that counts.
    pub evicted: Vec<(NodeId, Seq)>,
    /// Keys that are kept out, by their first incarnations.
    pub banned: Vec<NodeId>,
}

/// A newcomer that is not let in for now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewcomerView {
    /// The newcomer.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Where it listens.
    pub address: String,
    /// What it waits for.
    pub waits_for: Vec<Obstacle>,
}

/// A reservation whose time is over and which has not ended, because the watermark has not passed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OverdueView {
    /// When the earliest such one was to end.
    pub since: Millis,
    /// Members whose clocks are not known to have passed that time.
    pub waiting_for: Vec<Waiting>,
}

/// An eviction that is not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvictionView {
    /// Who goes.
    pub nodes: Vec<NodeId>,
    /// Who stays and has yet to freeze some of them.
    pub waiting_for: Vec<NodeId>,
    /// Ops that are missing here: whose log, and up to which seq.
    pub missing: Vec<(NodeId, Seq)>,
    /// Those who stay are a majority, or none is needed because the others have come back under new ids.
    pub possible: bool,
}

/// A member as another sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    /// The member.
    pub node: NodeId,
    /// Its label.
    pub label: String,
    /// Where it listens.
    pub address: String,
    /// It was asked to leave: known of the answering node alone.
    pub leaving: bool,
    /// Who has frozen it: an eviction is under way.
    pub frozen_by: Vec<NodeId>,
    /// Whether this node is connected to it now; true for itself.
    pub connected: bool,
    /// Its latest promise that this node believes.
    pub promise: Hlc,
    /// When that last moved, by this node's clock.
    pub heard_at: Option<Millis>,
    /// The prefix of its log that this node has.
    pub applied: Seq,
    /// How much of this node's log it says it holds.
    pub holds_ours: Seq,
    /// How far its clock is ahead of this node's, milliseconds, by its last heartbeat; none where it was never heard.
    pub clock_offset: Option<i64>,
    /// How far ahead the timestamps of its ops are that this node does not take for now, milliseconds.
    pub skewed: Option<u64>,
    /// How far ahead the timestamps of this node's ops are for it, where it does not take them for now, milliseconds.
    pub refuses_ours: Option<u64>,
}

impl<S: Store> Replica<S> {
    pub(super) fn cluster_view(&self) -> ClusterView {
        let members = self.log.membership().members().map(|node| self.member_view(node)).collect();
        let oldest = self.log.frontiers().oldest();
        ClusterView {
            id: self.log.cluster().founding().map(|founding| founding.id),
            settings: self.log.cluster().settings(),
            node: self.me,
            label: self.config.log.contact.label.clone(),
            member: self.is_member(),
            members,
            watermark: self.log.frontiers().watermark(),
            pending: self.registry.verdicts().pending(),
            waiting_for: oldest.map(|(stamp, seq)| LogView::waiting_for(&self.log, stamp, seq)).unwrap_or_default(),
            overdue: self.overdue(),
            clock_suspect: self.log.view().clock_suspect(),
            newcomers: self.log.peers().newcomers.values().map(newcomer_view).collect(),
            waits_for: self.log.peers().waits_for.clone().filter(|_| !self.is_member()),
            leaving: self.log.phase().is_leaving().then(|| self.log.view().leave_waits_for().into_iter().collect()),
            eviction: self.eviction_view(),
            forks: self
                .log
                .frontiers()
                .forks()
                .map(|(origin, Fork { by, seq })| ForkView { origin, by, seq })
                .collect(),
            disk_hangs: self.outbox.disk_hangs(self.now.elapsed),
            events: self.registry.events(),
            banned: self.log.membership().barred().keys.iter().copied().collect(),
            evicted: self.log.membership().cuts().iter().map(|(node, cut)| (*node, cut.seq)).collect(),
        }
    }

    /// The earliest reservation whose time is over and which has not ended, because the watermark has not passed it, and whom
    /// that waits for.
    fn overdue(&self) -> Option<OverdueView> {
        let end = self.registry.verdicts().next_expiry().filter(|end| end.millis() < self.log.view().cluster_time())?;
        let waiting_for = LogView::waiting_for(&self.log, Stamp { hlc: end, node: NodeId::default() }, Seq::MAX);
        (self.log.frontiers().watermark() < end && !waiting_for.is_empty())
            .then(|| OverdueView { since: end.millis(), waiting_for })
    }

    fn eviction_view(&self) -> Option<EvictionView> {
        let frozen = self.log.membership().frozen();
        let stays = |member: &NodeId| !frozen.contains(member);
        let lacks = |by: &NodeId| frozen.iter().any(|node| self.log.membership().freeze_by(*by, *node).is_none());
        let missing =
            self.log.membership().agreed().iter().filter(|(node, cut)| self.log.frontiers().seq(**node) < cut.seq);
        (!frozen.is_empty()).then(|| EvictionView {
            nodes: frozen.iter().copied().collect(),
            waiting_for: self.log.membership().members().filter(stays).filter(lacks).collect(),
            missing: missing.map(|(node, cut)| (*node, cut.seq)).collect(),
            possible: self.log.membership().can_finish(),
        })
    }

    fn member_view(&self, node: NodeId) -> MemberView {
        let me = node == self.me;
        MemberView {
            node,
            label: self.log.contacts().label(node),
            address: self.log.contacts().get(node).map(|contact| contact.address.clone()).unwrap_or_default(),
            leaving: me && self.log.phase().is_leaving(),
            frozen_by: self.log.membership().frozen_by(node),
            connected: me || self.log.peers().is_connected(node),
            promise: if me { self.log.own().last() } else { self.log.frontiers().promise(node).hlc },
            heard_at: if me { Some(self.now.wall) } else { self.log.frontiers().heard_at(node) },
            applied: self.log.frontiers().seq(node),
            holds_ours: if me { self.log.frontiers().seq(node) } else { self.log.frontiers().held(node, self.me) },
            clock_offset: if me { None } else { self.log.view().clock_offset(node) },
            skewed: self.log.peers().skewed(node),
            refuses_ours: self.log.peers().refused_by(node),
        }
    }
}

fn newcomer_view(newcomer: &Newcomer) -> NewcomerView {
    let Newcomer { contact, obstacles, .. } = newcomer;
    NewcomerView {
        node: contact.node,
        label: contact.label.clone(),
        address: contact.address.clone(),
        waits_for: obstacles.clone(),
    }
}
