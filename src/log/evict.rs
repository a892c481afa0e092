//! Evictions: an operator or the silence of a member begins one, and all members that stay join in and declare it.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{Lane, Message};
use super::view::View;
use super::vote::{Ballot, VOTE_LASTS};
use super::{Denied, Log};
use crate::clock::{Millis, NodeId};
use crate::log::op::{Body, MemberOp};

/// How often a vote on silent members goes to all peers in a large cluster, in milliseconds. A guess: often enough that
/// one may be lost while the last one still counts.
const VOTE_EVERY: u64 = 300;
impl Log {
    /// Begins the eviction of a member that an operator has asked for.
    pub(crate) fn evict(&mut self, node: NodeId, force: bool) -> Result<(), Denied> {
        self.phase.may_change_membership()?;
        if node == self.me {
            return Err(Denied::Itself);
        }
        let is_done = self.membership.cut(node).is_some();
        if !is_done && !self.membership.is_member(node) {
            return Err(Denied::NoMember(node));
        }
        if !is_done && self.membership.freeze_by(self.me, node).is_none() {
            self.view().may_evict(node, force)?;
            tracing::info!(%node, label = self.contacts.label(node), force, "an operator evicts a member");
            self.freeze(node);
        }
        Ok(())
    }

    /// Bans the key of a node from the cluster or lifts the ban, as an operator has asked. A member with that key stays
    /// one until it is evicted.
    pub(crate) fn ban(&mut self, node: NodeId, banned: bool) -> Result<(), Denied> {
        self.phase.may_change_membership()?;
        let node = node.first_incarnation();
        if node == self.me.first_incarnation() {
            return Err(Denied::Itself);
        }
        if !self.membership.ever().any(|known| known.first_incarnation() == node) {
            return Err(Denied::NoMember(node));
        }
        if self.membership.barred().keys.contains(&node) != banned {
            let label = self.contacts.label(node);
            tracing::info!(%node, label, banned, "an operator says whether a key is kept out of the cluster");
            self.issue_membership(Body::Member(MemberOp::Ban { node, banned }));
        }
        Ok(())
    }

    /// Issues a freeze of a node's log at what this node has of it.
    fn freeze(&mut self, node: NodeId) {
        let here = self.frontiers.here(node);
        let (held, forked) = (self.frontiers.majority(node).min(here.seq), self.frontiers.fork(node).is_some());
        self.issue_membership(Body::Member(MemberOp::Freeze { node, seq: here.seq, chain: here.chain, held, forked }));
    }

    /// Freezes the nodes that others have frozen, and declares evictions that are done.
    pub(crate) fn join_evictions(&mut self) {
        if !self.phase.may_vote() {
            return;
        }
        self.freeze_silent();
        while let Some(node) = self.membership.to_freeze().first().copied() {
            self.freeze(node);
        }
        // After a cut is agreed, this node may have taken ops beyond its own freeze. It freezes again at what it has
        // before it acknowledges these ops.
        planted!(log::to_raise(self.view().outgrown_freezes())).into_iter().for_each(|node| self.freeze(node));
        // The declaration comes at once, and in this log before anything that rests on it, because nothing later may
        // undo it.
        let cuts = planted!(log::to_declare(self.membership.to_declare().clone()));
        if !cuts.is_empty() && !cuts.contains_key(&self.me) {
            self.issue_membership(Body::Member(MemberOp::Evict { cuts }));
        }
    }

    /// Begins an eviction once a majority of the members has said that the very same nodes are silent to them too: two
    /// freezes that cross could leave no majority, and a freeze cannot be taken back. The votes of frozen members do
    /// not count.
    fn freeze_silent(&mut self) {
        if self.cast_vote() {
            tracing::warn!(
                "a member is silent, and this node does not vote for its eviction: it voted for that of others before, and who \
                 was told so may have begun it out of this node's reach. If the silent member is gone for good, evict it with \
                 `forename member evict`"
            );
        }
        let silent = self.peers.vote.says().clone();
        if silent.is_empty() || self.phase.is_leaving() || !self.membership.could_evict(&silent) {
            return;
        }
        self.tell_votes();
        let now = self.now.elapsed;
        let agree = self.membership.members().filter(|member| {
            let word = self.peers.silent_to(*member);
            let agrees = word.is_some_and(|(at, nodes)| now.since(*at) <= VOTE_LASTS && *nodes == silent);
            *member == self.me || agrees && !self.membership.frozen().contains(member)
        });
        if 2 * agree.count() > self.membership.count() {
            let silent_members = self.contacts.named(silent.iter().copied());
            tracing::warn!(
                silent_members,
                "members are silent to a majority and are evicted, as evict_after says; look whether they run"
            );
            silent.into_iter().for_each(|node| self.freeze(node));
        }
    }

    /// Votes for the eviction of the members that are silent. Returns true where the vote is withheld from now on, because an
    /// earlier one binds.
    fn cast_vote(&mut self) -> bool {
        let goes = self.membership.frozen().contains(&self.me);
        let silent = if goes { BTreeSet::new() } else { self.view().silent() };
        // This is asked in every step, and hardly ever is anybody silent.
        if silent.is_empty() && !self.peers.vote.is_bound() {
            return false;
        }
        let others = self.membership.members().filter(|member| *member != self.me);
        let promised: BTreeMap<_, _> =
            others.map(|member| (member, self.frontiers.promise(member).hlc.millis())).collect();
        let told = promised.keys().copied().filter(|member| self.peers.is_connected(*member)).collect();
        let (time, skew) = (self.view().cluster_time(), self.cluster.settings().max_clock_skew / 2);
        let ballot = Ballot { time, skew, silent, told, promised: &promised };
        self.peers.vote.cast(ballot, |together| self.membership.could_evict(together))
    }

    /// Sends this node's vote to all peers in a large cluster. In a small one every heartbeat is a vote; in a large one
    /// each heartbeat reaches a few members, and the votes of a majority would not arrive while they count.
    fn tell_votes(&mut self) {
        let now = self.now.elapsed;
        if self.view().is_small() || now < self.peers.next_vote {
            return;
        }
        self.peers.next_vote = now.plus(VOTE_EVERY);
        let vote = self.vector_of(Vec::new(), None, false, false);
        for peer in self.peers.connected() {
            self.events.send(peer, Lane::Ordered, Message::Vector(vote.clone()));
        }
    }
}

impl View<'_> {
    /// Returns the frozen nodes of whose logs this node has more than it has frozen, while no cut of them counts yet.
    fn outgrown_freezes(&self) -> Vec<NodeId> {
        if self.membership.frozen().is_empty() {
            return Vec::new();
        }
        let has_more =
            |(node, seq): &(NodeId, u64)| self.membership.cut(*node).is_none() && self.frontiers.seq(*node) > *seq;
        self.membership.freezes_by(self.me).filter(has_more).map(|(node, _)| node).collect()
    }

    /// Checks that a majority would stay and, unless forced, that this majority is in contact. An eviction that was
    /// begun on the smaller side of a partition would be carried out after it, against the others.
    fn may_evict(&self, node: NodeId, force: bool) -> Result<(), Denied> {
        let members = self.membership.count();
        let staying: Vec<_> = self.membership.staying_without(&[node].into()).collect();
        if !self.membership.could_evict(&[node].into()) {
            return Err(Denied::NoMajority { node, members, staying: staying.len() });
        }
        let (heard, unheard): (Vec<_>, Vec<_>) = staying.into_iter().partition(|member| self.is_in_contact(*member));
        if planted!(log::is_in_reach(2 * heard.len() > members || force)) {
            return Ok(());
        }
        Err(Denied::NotInContact { node, members, heard: heard.len(), unheard })
    }

    /// Returns true where this node could begin an eviction of a member now.
    pub(crate) fn can_evict(&self, node: NodeId) -> bool {
        node != self.me && self.phase.may_change_membership().is_ok() && self.may_evict(node, false).is_ok()
    }

    /// Returns true where a member's promise has moved lately, by whatever relay. This node is in contact with itself.
    pub(super) fn is_in_contact(&self, member: NodeId) -> bool {
        member == self.me || self.frontiers.heard_at(member).is_some() && !self.is_silent(member)
    }

    /// Returns true where a member's promise has not moved for some heartbeats, counted at the earliest from the start
    /// of this node and the admission of the member.
    pub(crate) fn is_silent(&self, member: NodeId) -> bool {
        // In a larger cluster a promise takes some rounds of gossip to reach everybody.
        let rounds = if self.is_small() { 3 } else { 10 };
        let moved = self.now.elapsed.since(self.frontiers.moved_at(member));
        member != self.me && moved > rounds * self.heartbeat()
    }

    /// Returns the members whose believed promises have not moved for `evict_after`; none where that is not set.
    pub(super) fn silent(&self) -> BTreeSet<NodeId> {
        let Some(evict_after) = self.settings.evict_after else { return BTreeSet::new() };
        let frozen = |node: &NodeId| self.membership.freeze_by(self.me, *node).is_some();
        let others = self.membership.members().filter(|node| *node != self.me && !frozen(node));
        others.filter(|node| self.now.elapsed.since(self.frontiers.moved_at(*node)) >= evict_after).collect()
    }

    /// Returns when to look for silent members again; none where they are not evicted.
    pub(super) fn next_silence(&self) -> Option<Millis> {
        self.settings.evict_after.map(|after| self.now.elapsed.plus((after / 4).min(VOTE_EVERY) + 1))
    }
}
