//! The ids of nodes and hosts, and constants of all runs.

use forename::clock::NodeId;

use crate::plan::Host;

/// Unix time at the start of every run. Any date between the epoch and the year 2109 would do.
pub(crate) const EPOCH: u64 = 1_700_000_000_000;

/// The secret of the cluster.
pub(crate) const SECRET: [u8; 32] = [7; 32];
/// The secret of a cluster that was recovered from the data directory of another one.
pub(crate) const RECOVERED: [u8; 32] = [8; 32];

/// Host numbers from here on belong to no machine. They leave room for a machine that is added at the end of a run.
const STRANGERS: usize = 1000;

/// Returns the first id of a host's node.
pub(crate) fn node_id(host: Host) -> NodeId {
    NodeId((host as u64 + 1) << 16)
}

/// Returns the host of a node.
pub(crate) fn host_of(node: NodeId) -> Host {
    usize::try_from(node.0 >> 16).unwrap_or(0).wrapping_sub(1)
}

/// Returns the id of a node that runs on no machine.
pub(crate) fn stranger(which: u8) -> NodeId {
    node_id(STRANGERS + usize::from(which))
}

/// Returns true for an id that belongs to no machine.
pub(crate) fn is_stranger(node: NodeId) -> bool {
    host_of(node) >= STRANGERS
}
