//! The state of the cluster, as this node sees it.

use super::Replica;
use crate::clock::{NodeId, Stamp};
use crate::log::Seq;
use crate::log::{Fork, Newcomer};
use crate::registry::{ClusterView, EvictionView, ForkView, LogView, MemberView, NewcomerView, OverdueView};
use crate::store::Store;

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
