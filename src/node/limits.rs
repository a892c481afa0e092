//! Limits that may be changed while a node runs.

/// What a node takes at most, and what it keeps free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeLimits {
    /// As [`NodeConfig::max_open`](super::NodeConfig::max_open).
    pub max_open: Option<u32>,
    /// As [`NodeConfig::max_total`](super::NodeConfig::max_total).
    pub max_total: Option<u32>,
    /// As [`NodeConfig::min_free`](super::NodeConfig::min_free).
    pub min_free: u64,
}
