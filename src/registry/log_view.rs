//! What the registry is lent of the log: which ops are decided, who is waited for, and what this node may do.

use super::queries::Awaited;
use super::refusal::Refusal;
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::crdt::NameOp;
use crate::log::{Chain, Op, Seq};
use crate::model::Waiting;

/// What the registry asks of the log.
pub trait LogView {
    /// The prefix of a log that is decided.
    fn decided(&self, origin: NodeId) -> Seq;

    /// Whether an op that was applied is decided.
    fn is_decided(&self, op: Stamp) -> bool;

    /// The prefix of a log that a majority holds.
    fn majority(&self, origin: NodeId) -> Seq;

    /// Everything at or below it has arrived.
    fn watermark(&self) -> Hlc;

    /// The least op that is not decided.
    fn oldest(&self) -> Option<(Stamp, Seq)>;

    /// This node's last timestamp.
    fn last_timestamp(&self) -> Hlc;

    /// The time of the cluster.
    fn cluster_time(&self) -> Millis;

    /// When this node was let in; 0 where it founded the cluster.
    fn let_in_at(&self) -> Millis;

    /// The logs of which something is here.
    fn logs(&self) -> Vec<NodeId>;

    /// Whether this op is the last one that is here of its log.
    fn ends_with(&self, origin: NodeId, seq: Seq, chain: Chain) -> bool;

    /// The members whose word an op with this stamp still waits for.
    fn waiting_for(&self, stamp: Stamp, seq: Seq) -> Vec<Waiting>;

    /// The members whose word is not to be expected: nothing is heard of them, or their clocks are too far ahead.
    fn out_of_reach(&self) -> Vec<NodeId>;

    /// Whether some other member may yet issue something with an earlier timestamp.
    fn lacks_promises(&self, stamp: Stamp) -> bool;

    /// How many members hold an op, and of how many.
    fn holders(&self, origin: NodeId, seq: Seq) -> (usize, usize);

    /// What is known of a member that is waited for.
    fn awaited(&self, waiting: Waiting) -> Awaited;

    /// The operator's name for a node; empty where there is none.
    fn label(&self, node: NodeId) -> String;

    /// Whether the state is whole, so that clients can be answered.
    fn may_answer(&self) -> bool;

    /// Whether a node issues nothing more that counts, as far as is known here.
    fn is_over(&self, node: NodeId) -> bool;

    /// Whether an origin knows what became of its registrations, or never asks: it is here, or has left of its own accord.
    fn is_told(&self, origin: NodeId) -> bool;

    /// Whether this node stands for all nodes of a cluster that is lost.
    fn stands_for_all(&self) -> bool;

    /// Whether this node may issue ops for its clients.
    ///
    /// # Errors
    /// Why not.
    fn may_issue(&self) -> Result<(), Refusal>;

    /// Whether it may issue anew what an eviction had made void.
    fn may_issue_anew(&self) -> bool;

    /// Events of the feed that are older than so many milliseconds, by the time of the cluster, are dropped, and what is over is
    /// forgotten with its last event; none: never.
    fn keep_events(&self) -> Option<u64>;

    /// Whether it may drop what is old: whoever is on the way in, or has a clock that is off from all others', is no judge
    /// of age.
    fn may_forget(&self) -> bool;
}

/// A log that takes ops.
pub trait Issuer: LogView {
    /// Issues an op of this node's own. The caller applies it.
    fn issue_name_op(&mut self, said: NameOp) -> Op;

    /// Something ended by the watermark in this step, which must not be known for longer than the watermark is.
    fn keep_watermark(&mut self);
}
