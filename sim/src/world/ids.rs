//! Which node runs on which host, and what all runs have in common.

use forename::clock::NodeId;

use crate::plan::Host;

/// Unix time at the start of every run: any date between the epoch and the year 2109 would do.
pub(crate) const EPOCH: u64 = 1_700_000_000_000;

/// The secret of the cluster.
pub(crate) const SECRET: [u8; 32] = [7; 32];
/// That of a cluster which was made of what was left of it.
pub(crate) const RECOVERED: [u8; 32] = [8; 32];

/// From here on ids of hosts are those of nobody; a machine may be added at the end of a run.
const STRANGERS: usize = 1000;

/// The id of a host's node.
pub(crate) fn node_id(host: Host) -> NodeId {
    NodeId((host as u64 + 1) << 16)
}

/// The host of a node.
pub(crate) fn host_of(node: NodeId) -> Host {
    usize::try_from(node.0 >> 16).unwrap_or(0).wrapping_sub(1)
}

/// The id of a node that no machine of the plan has.
pub(crate) fn stranger(which: u8) -> NodeId {
    node_id(STRANGERS + usize::from(which))
}

/// Whether an id is one of those that no machine has.
pub(crate) fn is_stranger(node: NodeId) -> bool {
    host_of(node) >= STRANGERS
}
