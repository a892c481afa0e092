//! Entering ops into the logs: those of this node, and those of others.

use std::collections::BTreeMap;

use super::Log;
use super::event::Event;
use super::message::{Lane, Message};
use super::phase::Out;
use crate::clock::NodeId;
use crate::log::op::{Body, MemberOp, Op};
use crate::log::settings::Setting;
use crate::store::Store;

impl Log {
    /// Issues an op of this node. The caller applies it to the registry.
    ///
    /// # Panics
    /// In a phase that does not allow it: the op could get a used number, or a timestamp below a promise.
    pub(crate) fn issue(&mut self, body: Body) -> Op {
        assert!(self.phase.may_issue(), "an op is issued by members alone, once they have compared: {:?}", self.phase);
        let hlc = self.own.issue(self.view().time_to_follow());
        let here = self.frontiers.here(self.me);
        let op = Op::new(self.me, here.seq + 1, hlc, here.chain, body);
        self.enter(&op);
        op
    }

    /// Issues an op about the membership.
    pub(super) fn issue_membership(&mut self, body: Body) {
        let op = self.issue(body);
        self.events.push(Event::Applied(op));
    }

    /// Issues an op that changes settings of the cluster.
    pub(crate) fn configure(&mut self, settings: Vec<Setting>) {
        self.issue_membership(Body::Member(MemberOp::Configure { settings }));
    }

    /// Takes the next op of another member's log.
    pub(super) fn take(&mut self, op: &Op) {
        self.own.observe(op.hlc);
        self.enter(op);
        self.events.push(Event::Applied(op.clone()));
    }

    fn enter(&mut self, op: &Op) {
        self.frontiers.applied(op);
        if op.body().is_membership() {
            let frontiers = &self.frontiers;
            self.membership.add(op.clone(), &|node| frontiers.here(node));
            self.membership_changed();
        } else {
            self.note_use();
        }
        let frontiers = &self.frontiers;
        if self.membership.try_finish(&|node| frontiers.here(node)) {
            self.membership_changed();
        }
        self.buffer.push(op.clone());
    }

    /// Computes again what depends on the membership.
    pub(super) fn membership_changed(&mut self) {
        self.cluster.membership_changed(&self.membership);
        self.frontiers.membership_changed(self.membership.members(), self.now.elapsed);
        let membership = &self.membership;
        self.frontiers.forget_rows(|node| membership.is_member(node));
        self.peers.leavers.retain(|node| membership.is_member(*node));
        self.contacts.members_changed();
        let out: Vec<_> = self.membership.cuts().keys().copied().collect();
        self.follow_logs();
        out.into_iter().for_each(|node| self.frontiers.end_fork(node));
    }

    /// Changes the phase where the logs say that this node was admitted, is out, or has departed.
    fn follow_logs(&mut self) {
        let membership = &self.membership;
        if let Some(last) = membership.departed(self.me) {
            self.phase.depart(last);
        } else if let Some(cut) = membership.cut(self.me) {
            self.phase.go_out(Out::Evicted(cut.seq));
        } else if membership.is_member(self.me) {
            self.phase.be_admitted();
        } else {
            self.phase.lose_admission();
        }
        if membership.cuts().keys().any(|node| membership.is_void_beyond(*node, self.frontiers.here(*node))) {
            self.phase.go_out(Out::HoldsVoid);
        }
    }

    /// Writes this step's ops and contacts. Returns the ops by origin.
    pub(crate) fn write(&mut self, store: &mut impl Store) -> BTreeMap<NodeId, Vec<Op>> {
        self.contacts.save(store);
        self.buffer.write(store)
    }

    /// Writes how far each log has come, and a higher promise ceiling where this step's timestamps have reached it. A
    /// node that starts promises nothing, and keeps the ceiling of the processes before it. If this process ends before
    /// it has compared logs, peers can still show the next one a promise that the directory does not know of.
    pub(crate) fn save(&mut self, store: &mut impl Store) {
        self.frontiers.save(store);
        if self.phase.may_promise() {
            self.own.save(store, self.cluster.settings().max_clock_skew);
        }
    }

    /// Informs the origins of newly forked logs, and logs an error, once for each.
    pub(crate) fn tell_forks(&mut self) {
        for origin in self.frontiers.take_new_forks() {
            let Some(fork) = self.frontiers.fork(origin) else { continue };
            tracing::error!(
                %origin, label = self.contacts.label(origin), seq = fork.seq, other = %fork.by,
                "two nodes hold different ops under one number of a log: its data directory was put back or ran twice; nothing \
                 more of that log is decided until the node has come back under a new id"
            );
            if self.peers.is_connected(origin) {
                self.events.send(origin, Lane::Ordered, Message::Forked { seq: fork.seq });
            }
        }
    }
}
