//! Members that go: frozen by an operator or because they are silent, or of their own will.

use std::collections::BTreeSet;

use super::answer::{Answer, Outcome};
use super::input::Output;
use super::refusal::Refusal;
use super::returning::Return;
use super::{META_INSTALLED, META_LEFT, META_NODE, META_RETURNING, META_SET_ASIDE, Replica};
use crate::clock::{Millis, NodeId};
use crate::codec;
use crate::crdt::{Body, Seq};
use crate::store::{Store, Table};

/// How fresh the word of a peer on who is silent must be, milliseconds (design, section 5).
const VOTE_LASTS: u64 = 1000;

impl<S: Store> Replica<S> {
    /// An operator wants a member out.
    pub(super) fn on_evict(&mut self, node: NodeId) -> Outcome {
        self.may_change_membership()?;
        if node == self.me {
            let why = "a node does not evict itself; ask it to leave, or ask another member".to_owned();
            return Err(Refusal::InvalidRequest(why));
        }
        if !self.membership.knows(node) {
            return Err(Refusal::NoMember(node));
        }
        if self.membership.freeze_by(self.me, node).is_some() {
            return Err(Refusal::BeingEvicted(node));
        }
        if !self.membership.could_evict(self.me, &[node].into()) {
            let (members, joining) = (self.membership.count(), self.membership.half_admitted().count());
            return Err(Refusal::NoMajority { node, members, joining });
        }
        self.freeze(node);
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    /// An operator wants this node to leave.
    pub(super) fn on_leave(&mut self) -> Outcome {
        self.may_change_membership()?;
        if self.membership.count() == 1 {
            return Err(Refusal::LastMember);
        }
        if let Some(node) = self.membership.frozen().first() {
            return Err(Refusal::BeingEvicted(*node));
        }
        if self.has_void() {
            let why = "it registers again what an eviction had made void".to_owned();
            return Err(Refusal::Unavailable(why));
        }
        self.issue(Body::Depart);
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    fn may_change_membership(&self) -> Result<(), Refusal> {
        if !self.is_member() {
            return Err(Refusal::NotMember);
        }
        if self.membership.departing(self.me).is_some() { Err(Refusal::Leaving) } else { Ok(()) }
    }

    /// Takes nothing more of a node's log, nor of any newcomer's that is half-way in: with a survivor that had welcomed
    /// one, two majorities could form.
    fn freeze(&mut self, node: NodeId) {
        let newcomers = if planted!(NewcomersNotFrozen) { Vec::new() } else { self.membership.half_welcomed(self.me) };
        for node in [vec![node], newcomers].concat() {
            if self.membership.freeze_by(self.me, node).is_none() {
                let seq = self.registry.applied_of(node);
                self.issue(Body::Freeze { node, seq });
            }
        }
    }

    /// Freezes whomever others have frozen, and those who leave.
    pub(super) fn join_freezes(&mut self) {
        if !self.is_member() || self.membership.departing(self.me).is_some() || self.is_starting() {
            return;
        }
        self.freeze_silent();
        loop {
            let registry = &self.registry;
            let Some(node) = self.membership.to_freeze(self.me, &|node| registry.applied_of(node)) else { break };
            self.freeze(node);
        }
        // Said at once, and in this log before anything that rests on it: what comes later must not undo it.
        let cuts = self.membership.decided();
        if !cuts.is_empty() && !cuts.contains_key(&self.me) && !planted!(EvictionNotDeclared) {
            self.issue(Body::Evict { cuts: cuts.clone() });
        }
    }

    /// The members whose believed promises have not moved for so long that they are to go; none where the operator has
    /// not asked for that.
    pub(super) fn silent(&self) -> BTreeSet<NodeId> {
        let Some(evict_after) = self.config.evict_after else { return BTreeSet::new() };
        let frozen = |node: &NodeId| self.membership.freeze_by(self.me, *node).is_some();
        let others = self.membership.members().filter(|node| *node != self.me && !frozen(node));
        others.filter(|node| self.now.elapsed.since(self.finality.moved_at(*node)) >= evict_after).collect()
    }

    /// When a member that has been silent so far is to go at the earliest.
    pub(super) fn next_silence(&self) -> Option<Millis> {
        self.config.evict_after.map(|after| self.now.elapsed.plus(after / 4 + 1))
    }

    /// Begins an eviction once a majority of the members says that the very same nodes are silent to them too: freezes
    /// that cross could leave no majority, and cannot be taken back.
    fn freeze_silent(&mut self) {
        let silent = self.silent();
        if silent.is_empty() || !self.membership.could_evict(self.me, &silent) {
            return;
        }
        let now = self.now.elapsed;
        let agree = self.membership.members().filter(|member| {
            let word = self.peers.silent_to(*member);
            *member == self.me || word.is_some_and(|(at, nodes)| now.since(*at) <= VOTE_LASTS && *nodes == silent)
        });
        if 2 * agree.count() > self.membership.count() {
            tracing::warn!(?silent, "members are silent to a majority and are evicted, as evict_after says");
            silent.into_iter().for_each(|node| self.freeze(node));
        }
    }

    /// A member says that this node is out.
    pub(super) fn on_evicted(&mut self, cut: Seq) {
        self.evicted = Some(cut);
    }

    /// What is left to do where this node is out: the last output, after all others of this step.
    pub(super) fn farewell(&mut self) -> Option<Output> {
        // Not before a member that stays has declared it: until then the others may need ops that only this node has.
        let early = || {
            let derived = self.membership.decided().get(&self.me).or(self.membership.agreed().get(&self.me));
            derived.copied().filter(|_| planted!(OpsDroppedEarly))
        };
        if let Some(cut) = self.evicted.or_else(|| self.membership.cut(self.me)).or_else(early) {
            if self.membership.departed(self.me).is_some_and(|last| last <= cut) {
                self.registry.store.put(Table::Meta, META_LEFT.to_vec(), Vec::new());
                return Some(Output::Left);
            }
            let Some(next) = self.me.next_incarnation() else { return Some(used_up("this node was evicted")) };
            self.leave_copied_feed_beyond(cut);
            tracing::warn!(cut, next = %next, "this node was evicted; it comes back under its next incarnation");
            self.keep_void(self.finality.decided(self.me) + 1);
            return Some(self.start_over(if planted!(SameIncarnation) { self.me } else { next }));
        }
        // Whether its directory is its latest is to be known first.
        if self.left_behind && !self.is_starting() {
            let why = "nobody in reach has what this node lacks any more";
            let Some(next) = self.me.next_incarnation() else { return Some(used_up(why)) };
            self.keep_void(self.finality.decided(self.me) + 1);
            return Some(self.start_over(next));
        }
        if self.holds_void {
            self.keep_void(self.finality.decided(self.me) + 1);
            return Some(self.start_over(self.me));
        }
        None
    }

    /// The state is dropped at the next start, which asks the cluster for it anew.
    pub(super) fn start_over(&mut self, node: NodeId) -> Output {
        let contacts = self.contacts.values().filter(|contact| contact.node != self.me).cloned().collect();
        let store = &mut self.registry.store;
        // Without the cluster's state it knows nothing better than what it began with.
        if let Some(founding) = self.founding.clone() {
            let back = Return { was: self.me, founding, contacts };
            store.put(Table::Meta, META_RETURNING.to_vec(), codec::encode(&back));
        }
        store.put(Table::Meta, META_NODE.to_vec(), codec::encode(&node));
        store.delete(Table::Meta, META_INSTALLED.to_vec());
        if self.installed {
            store.put(Table::Meta, META_SET_ASIDE.to_vec(), Vec::new());
            self.note_told(false);
        }
        Output::Rejoin(node)
    }
}

/// A node that would have to begin its next life has none left.
fn used_up(why: &str) -> Output {
    Output::Halt(format!("{why}, and it has used up its incarnations; start a new node on an empty data directory"))
}
