//! The registry's view of the log: which ops are decided, which members are waited for, and what this node may do.

use super::queries::Awaited;
use super::refusal::Refusal;
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::crdt::NameOp;
use crate::log::{Chain, Op, Seq};
use crate::model::Waiting;

/// Questions that the registry asks the log.
pub trait LogView {
    /// Returns the decided prefix of a log, as the number of its last op.
    fn decided(&self, origin: NodeId) -> Seq;

    /// Returns true where an applied op is decided.
    fn is_decided(&self, op: Stamp) -> bool;

    /// Returns the prefix of a log that a majority holds, as the number of its last op.
    fn majority(&self, origin: NodeId) -> Seq;

    /// The watermark: every op at or below it has arrived.
    fn watermark(&self) -> Hlc;

    /// Returns the least stamp among the undecided ops, with the op's number.
    fn oldest(&self) -> Option<(Stamp, Seq)>;

    /// Returns this node's last timestamp.
    fn last_timestamp(&self) -> Hlc;

    /// Returns the cluster time.
    fn cluster_time(&self) -> Millis;

    /// Returns when this node was admitted; 0 where it founded the cluster.
    fn let_in_at(&self) -> Millis;

    /// Returns the origins of which this node knows a log.
    fn logs(&self) -> Vec<NodeId>;

    /// Returns true where this op is the last known one of its log.
    fn ends_with(&self, origin: NodeId, seq: Seq, chain: Chain) -> bool;

    /// Returns the members whose promise or acknowledgement an op still waits for.
    fn waiting_for(&self, stamp: Stamp, seq: Seq) -> Vec<Waiting>;

    /// Returns the members that are silent or whose clocks are too far ahead, so that nobody knows when they will
    /// answer.
    fn out_of_reach(&self) -> Vec<NodeId>;

    /// Returns true where some other member may still issue an op with an earlier stamp.
    fn lacks_promises(&self, stamp: Stamp) -> bool;

    /// Returns how many members hold an op, and how many members there are.
    fn holders(&self, origin: NodeId, seq: Seq) -> (usize, usize);

    /// Returns the state of a member that is waited for.
    fn awaited(&self, waiting: Waiting) -> Awaited;

    /// Returns the operator's name for a node; empty where it has none.
    fn label(&self, node: NodeId) -> String;

    /// Returns true where the state is whole, so that clients can be answered.
    fn may_answer(&self) -> bool;

    /// Checks that this node has the key with which private names are hashed. A newcomer or a reader gets it after the state.
    ///
    /// # Errors
    /// Fails with the reason why it has not.
    fn may_hash(&self) -> Result<(), Refusal>;

    /// Returns true where no further op of a node will count, as far as this node knows.
    fn is_over(&self, node: NodeId) -> bool;

    /// Returns true where an origin has seen the outcomes of its registrations or will never ask for them: it is a
    /// member, in this or a later incarnation, or it has departed.
    fn is_told(&self, origin: NodeId) -> bool;

    /// Returns true where this node recovered a lost cluster, and so acts for all of its nodes.
    fn stands_for_all(&self) -> bool;

    /// Checks that this node may issue ops for its clients.
    ///
    /// # Errors
    /// Fails with the reason why it may not.
    fn may_issue(&self) -> Result<(), Refusal>;

    /// Returns true where it may issue again the ops that an eviction made void.
    fn may_issue_anew(&self) -> bool;

    /// Returns how long events are kept, in milliseconds of cluster time; none: for ever. A registration that is over
    /// is forgotten after its last event.
    fn keep_events(&self) -> Option<u64>;

    /// Returns true where this node may drop old data. A node that is joining or starting, or whose clock is suspect,
    /// may not, because it cannot judge ages.
    fn may_forget(&self) -> bool;
}

/// A log that accepts new ops.
pub trait Issuer: LogView {
    /// Issues an op of this node. The caller applies it.
    fn issue_name_op(&mut self, said: NameOp) -> Op;

    /// Called when something ended by the watermark in this step. The log then stores the watermark with the step, so
    /// that the watermark is not lower after a restart.
    fn keep_watermark(&mut self);
}
