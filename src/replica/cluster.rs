//! The view of the cluster from this node.

use super::Replica;
use crate::clock::{NodeId, Stamp};
use crate::log;
use crate::model::{Cluster, Cut, EventRange, Eviction, Fork, Member, MemberState, Newcomer, Overdue, Seq, Time};
use crate::registry::LogView;
use crate::store::Store;

impl<S: Store> Replica<S> {
    pub(super) fn cluster_view(&self) -> Cluster {
        let members = self.log.membership().members().map(|node| self.member_view(node)).collect();
        let oldest = self.log.frontiers().oldest();
        let joins = self.log.peers().waits_for.iter().filter(|_| !self.is_member()).flatten();
        let forks = self.log.frontiers().forks();
        let (start, last) = self.registry.events();
        Cluster {
            id: self.log.cluster().founding().map(|founding| founding.id),
            settings: self.log.cluster().settings().into(),
            node: self.me,
            label: self.config.log.contact.label.clone(),
            member: self.is_member(),
            reader: self.log.phase().is_reader(),
            readers: self.log.peers().readers(),
            time: Time(self.now.wall),
            members,
            first: self.log.membership().first(),
            watermark: self.log.frontiers().watermark(),
            pending: self.registry.verdicts().pending(),
            undecided_since: oldest.map(|(stamp, _)| Time(stamp.hlc.millis())),
            waiting_for: oldest.map(|(stamp, seq)| LogView::waiting_for(&self.log, stamp, seq)).unwrap_or_default(),
            overdue: self.overdue(),
            clock_suspect_ms: self.log.view().clock_suspect(),
            newcomers: self.log.peers().newcomers.values().map(newcomer_view).collect(),
            joining_waits_for: joins.cloned().map(Into::into).collect(),
            leaving_waits_for: self
                .log
                .phase()
                .is_leaving()
                .then(|| self.log.view().leave_waits_for().into_iter().collect()),
            eviction: self.eviction_view(),
            forks: forks.map(|(origin, log::Fork { by, seq })| Fork { origin, by, seq }).collect(),
            disk_hangs_ms: self.disk_hangs(),
            events: EventRange { start, last },
            banned: self.log.membership().barred().keys.iter().copied().collect(),
            evicted: self.log.membership().cuts().iter().map(|(node, cut)| Cut { node: *node, seq: cut.seq }).collect(),
            // The interface adds these.
            last_backup: None,
            health: None,
        }
    }

    /// Returns the earliest reservation whose time is over and which has not ended because the watermark has not passed
    /// its end, and the members that this waits for.
    fn overdue(&self) -> Option<Overdue> {
        let end = self.registry.verdicts().next_expiry().filter(|end| end.millis() < self.log.view().cluster_time())?;
        let waiting_for = LogView::waiting_for(&self.log, Stamp { hlc: end, node: NodeId::default() }, Seq::MAX);
        (self.log.frontiers().watermark() < end && !waiting_for.is_empty())
            .then(|| Overdue { since: Time(end.millis()), waiting_for })
    }

    fn eviction_view(&self) -> Option<Eviction> {
        let frozen = self.log.membership().frozen();
        let stays = |member: &NodeId| !frozen.contains(member);
        let lacks = |by: &NodeId| frozen.iter().any(|node| self.log.membership().freeze_by(*by, *node).is_none());
        let missing =
            self.log.membership().agreed().iter().filter(|(node, cut)| self.log.frontiers().seq(**node) < cut.seq);
        (!frozen.is_empty()).then(|| Eviction {
            nodes: frozen.iter().copied().collect(),
            waiting_for: self.log.membership().members().filter(stays).filter(lacks).collect(),
            missing: missing.map(|(node, cut)| Cut { node: *node, seq: cut.seq }).collect(),
            possible: self.log.membership().can_finish(),
        })
    }

    fn member_view(&self, node: NodeId) -> Member {
        let me = node == self.me;
        let frozen_by = self.log.membership().frozen_by(node);
        let state = if me && self.log.phase().is_leaving() {
            MemberState::Leaving
        } else if !frozen_by.is_empty() {
            MemberState::Evicting
        } else if self.log.view().still_leaves(node) {
            MemberState::Leaving
        } else {
            MemberState::Member
        };
        let heard_at = if me { Some(self.now.wall) } else { self.log.frontiers().heard_at(node) };
        Member {
            node,
            label: self.log.contacts().label(node),
            address: self.log.contacts().get(node).map(|contact| contact.address.clone()).unwrap_or_default(),
            state,
            frozen_by,
            connected: me || self.log.peers().is_connected(node),
            // The transport adds it.
            wire: None,
            promise: if me { self.log.own().last() } else { self.log.frontiers().promise(node).hlc },
            heard_at: heard_at.map(Time),
            applied: self.log.frontiers().seq(node),
            holds_ours: if me { self.log.frontiers().seq(node) } else { self.log.frontiers().held(node, self.me) },
            clock_offset_ms: if me { None } else { self.log.view().clock_offset(node) },
            skewed_ms: self.log.peers().skewed(node),
            refuses_ours_ms: self.log.peers().refused_by(node),
        }
    }
}

fn newcomer_view(newcomer: &log::Newcomer) -> Newcomer {
    let log::Newcomer { contact, obstacles, .. } = newcomer;
    Newcomer {
        node: contact.node,
        label: contact.label.clone(),
        address: contact.address.clone(),
        waits_for: obstacles.iter().cloned().map(Into::into).collect(),
    }
}
