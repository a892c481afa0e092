//! The end of an incarnation: this node has left, was evicted, holds void ops, or cannot catch up.

use super::phase::{Notice, Out};
use super::view::View;
use super::{Log, Return, StoredPhase};
use crate::clock::NodeId;
use crate::log::op::Seq;
use crate::store::Store;
use crate::store::schema::{self, Cell};

/// How an incarnation ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// The node has left, and stops for good.
    Left,
    /// The node begins anew under this id and takes the state from its cluster. Its own ops from this `seq` on may be
    /// void.
    Anew(NodeId, Seq),
    /// The node would have to begin its next incarnation and has none left. The text is the reason.
    UsedUp(&'static str),
}

impl Log {
    /// Handles a member's message that this node is out, and where its log ends.
    pub(super) fn on_evicted(&mut self, by: NodeId, cut: Seq) {
        let goes_on = self.view().goes_on_as(by);
        match self.phase.departed_mut() {
            // A later incarnation of a member has its state from nodes that know of the departure, or a recovered
            // cluster has begun with it. So this node need not wait for others.
            Some(departed) if cut >= departed.last && !goes_on => drop(departed.known_by.insert(by)),
            _ => self.notice = Some(Notice::Evicted(cut)),
        }
    }

    /// Ends this incarnation. Where the node begins anew, the next start deletes its state and asks the cluster for a
    /// new one.
    pub(crate) fn end(&mut self, store: &mut impl Store, exit: &Exit) {
        match exit {
            Exit::Left => schema::Phase::save(store, &StoredPhase::Left),
            Exit::Anew(next, _) => {
                let contacts = self.contacts.all().filter(|contact| contact.node != self.me).cloned().collect();
                // Without a state, the record that it began with still holds.
                if let Some(founding) = self.cluster.founding().cloned() {
                    let back = Return { was: self.me, founding, secret: self.cluster.secret(), contacts };
                    schema::Phase::save(store, &StoredPhase::Joining { back, set_aside: self.phase.may_answer() });
                }
                schema::Node::save(store, next);
            }
            Exit::UsedUp(_) => {}
        }
        self.phase.end();
    }
}

impl View<'_> {
    /// Returns how this incarnation is over; none where it goes on.
    pub(crate) fn exit(&self) -> Option<Exit> {
        if let Some(departed) = self.phase.departed() {
            // All that counts of its log was handed over before, so an eviction meanwhile makes no difference. Nor does
            // it matter whether the node can still learn which members are left: members that have truncated the ops
            // that it lacks know that it is out.
            let over =
                self.notice.is_some() || !self.membership.has_left(self.me) || self.departure_is_safe(departed.last);
            return over.then_some(Exit::Left);
        }
        // A member that stays has to declare the eviction first, and a majority has to hold what counts of this log: until
        // then the others may need ops that only this node has.
        match (self.notice, planted!(log::out(self.phase.out(), self.membership, self.me))) {
            (Some(Notice::Evicted(cut)), _) => Some(self.come_back(cut)),
            (_, Some(Out::Evicted(cut))) if self.is_handed_over(self.me, cut) => Some(self.come_back(cut)),
            (_, Some(Out::HoldsVoid)) => Some(self.drop_void()),
            // The comparison of logs must first show that the directory is the latest one.
            (Some(Notice::LeftBehind), None) if !self.phase.is_starting() => Some(self.catch_up_anew()),
            _ => None,
        }
    }

    /// Returns true where a majority holds the prefix of a log that counts. The one member that has declared an eviction may
    /// be lost before it has passed that prefix on.
    pub(super) fn is_handed_over(&self, node: NodeId, cut: Seq) -> bool {
        let holds = |member: NodeId| match member {
            _ if member == self.me => self.acknowledged(node).seq,
            _ => self.frontiers.held(member, node),
        };
        let holders = self.membership.members().filter(|member| holds(*member) >= cut).count();
        2 * holders > self.membership.count() || self.frontiers.decided(node) >= cut
    }

    /// The node was evicted, and joins again.
    fn come_back(&self, cut: Seq) -> Exit {
        let next = planted!(log::next_incarnation(self.me.next_incarnation(), self.me));
        let Some(next) = next else { return Exit::UsedUp("this node was evicted") };
        tracing::info!(cut, next = %next, "this node was evicted; it comes back under its next incarnation");
        Exit::Anew(next, self.frontiers.decided(self.me) + 1)
    }

    /// Only a snapshot can give the node what it lacks.
    fn catch_up_anew(&self) -> Exit {
        if self.phase.is_newcomer() {
            return Exit::Anew(self.me, 1);
        }
        let why = "nobody in reach has what this node lacks any more";
        let Some(next) = self.me.next_incarnation() else { return Exit::UsedUp(why) };
        // All members held the ops that were truncated everywhere. So this node was evicted, or its directory is an old
        // copy.
        Exit::Anew(next, self.frontiers.decided(self.me) + 1)
    }

    /// Some of the state rests on void ops. Where a void op admitted this node, it was never in; where it was in, it
    /// has acknowledged what it drops. Only a node that was never admitted keeps its id.
    fn drop_void(&self) -> Exit {
        if self.phase.is_newcomer() {
            return Exit::Anew(self.me, 1);
        }
        let why = "this node holds ops that an eviction has made void";
        let Some(next) = self.me.next_incarnation() else { return Exit::UsedUp(why) };
        tracing::info!(next = %next, "this node holds ops that an eviction has made void; it takes the state anew under its next incarnation");
        Exit::Anew(next, 1)
    }
}

/// Returns the reason why a node stops that would have to begin its next incarnation and has none left.
pub(crate) fn used_up(why: &str) -> String {
    format!("{why}, and it has used up its incarnations; start a new node on an empty data directory")
}
