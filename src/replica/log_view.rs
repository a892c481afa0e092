//! The view of the log that the registry borrows.

use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::crdt::NameOp;
use crate::log::{Body, Chain, Denied, Log, Op, Seq};
use crate::model::{Time, WaitReason, Waiting};
use crate::registry::{Awaited, Issuer, LogView, Refusal};

impl LogView for Log {
    fn decided(&self, origin: NodeId) -> Seq {
        self.frontiers().decided(origin)
    }

    fn is_decided(&self, op: Stamp) -> bool {
        self.frontiers().is_decided(op)
    }

    fn majority(&self, origin: NodeId) -> Seq {
        self.frontiers().majority(origin)
    }

    fn watermark(&self) -> Hlc {
        self.frontiers().watermark()
    }

    fn oldest(&self) -> Option<(Stamp, Seq)> {
        self.frontiers().oldest()
    }

    fn last_timestamp(&self) -> Hlc {
        self.own().last()
    }

    fn cluster_time(&self) -> Millis {
        self.view().cluster_time()
    }

    fn let_in_at(&self) -> Millis {
        self.membership().floor(self.me()).millis()
    }

    fn logs(&self) -> Vec<NodeId> {
        self.frontiers().logs().collect()
    }

    fn ends_with(&self, origin: NodeId, seq: Seq, chain: Chain) -> bool {
        self.frontiers().seq(origin) == seq && self.frontiers().chain(origin) == chain
    }

    fn waiting_for(&self, stamp: Stamp, seq: Seq) -> Vec<Waiting> {
        let describe = |node| Waiting {
            node,
            label: self.label(node),
            reason: wait_reason(self, node),
            since: self.frontiers().heard_at(node).map(Time),
        };
        self.view().waiting_for(stamp, seq).into_iter().map(describe).collect()
    }

    fn out_of_reach(&self) -> Vec<NodeId> {
        self.membership().members().filter(|member| wait_reason(self, *member).is_open_ended()).collect()
    }

    fn lacks_promises(&self, stamp: Stamp) -> bool {
        self.view().lacks_promises(stamp)
    }

    fn holders(&self, origin: NodeId, seq: Seq) -> (usize, usize) {
        self.view().holders(origin, seq)
    }

    fn awaited(&self, waiting: Waiting) -> Awaited {
        Awaited {
            connected: self.peers().is_connected(waiting.node),
            leaves: self.membership().frozen().contains(&waiting.node),
            evictable: self.view().can_evict(waiting.node),
            skewed: self.peers().skewed(waiting.node),
            waiting,
        }
    }

    fn label(&self, node: NodeId) -> String {
        self.contacts().label(node)
    }

    fn may_answer(&self) -> bool {
        self.phase().may_answer()
    }

    fn may_hash(&self) -> Result<(), Refusal> {
        match self.phase() {
            phase if !phase.is_untold() => Ok(()),
            phase if phase.is_reader() => {
                let why = "it has not got the key of private names yet, and cannot look them up";
                Err(Refusal::Unavailable(why.to_owned()))
            }
            _ => Err(Refusal::NotMember),
        }
    }

    /// Returns true where it is known how much of an earlier incarnation's log counts: once its eviction is final on
    /// this node. Where the incarnation was never admitted, as far as this member knows, nothing of it counts.
    fn is_over(&self, node: NodeId) -> bool {
        self.membership().cut(node).is_some() || !self.membership().is_known(node)
    }

    fn is_told(&self, origin: NodeId) -> bool {
        let same = |member: NodeId| member.key_part() == origin.key_part();
        self.membership().members().any(same) || self.membership().departed(origin).is_some()
    }

    fn stands_for_all(&self) -> bool {
        let me = self.me();
        self.cluster().founding().is_some_and(|founding| !founding.former.is_empty() && founding.founders.contains(&me))
    }

    /// Returns no error for a member whose clock can be trusted: only such a node issues ops.
    fn may_issue(&self) -> Result<(), Refusal> {
        match (self.phase().may_register(), planted!(replica::suspect(self.view().clock_suspect()))) {
            (Err(Denied::Reader), _) => Err(refusal_of_reader(self)),
            (Err(Denied::Leaving | Denied::Departed), _) => Err(Refusal::Leaving),
            (Err(_), _) => Err(Refusal::NotMember),
            (Ok(()), Some(offset)) => Err(Refusal::ClockSuspect { offset }),
            _ => Ok(()),
        }
    }

    fn may_issue_anew(&self) -> bool {
        let phase = self.phase();
        phase.may_issue() && !phase.is_leaving() && self.membership().frozen().is_empty()
    }

    fn keep_events(&self) -> Option<u64> {
        self.cluster().settings().keep_events
    }

    fn may_forget(&self) -> bool {
        let keeps = self.phase().is_member() || self.phase().is_reader();
        keeps && !self.phase().is_starting() && self.view().clock_suspect().is_none()
    }
}

impl Issuer for Log {
    fn issue_name_op(&mut self, said: NameOp) -> Op {
        self.issue(Body::Name(said))
    }

    fn keep_watermark(&mut self) {
        self.keep_watermark();
    }
}

/// Returns the refusal of a reader, which names the members.
pub(super) fn refusal_of_reader(log: &Log) -> Refusal {
    Refusal::Reader { members: log.members_named() }
}

fn wait_reason(log: &Log, member: NodeId) -> WaitReason {
    if log.membership().frozen().contains(&member) {
        WaitReason::BeingEvicted
    } else if log.view().is_silent(member) {
        WaitReason::OutOfReach
    } else if log.peers().skewed(member).is_some() {
        WaitReason::ClockAhead
    } else {
        WaitReason::RoundTrip
    }
}
