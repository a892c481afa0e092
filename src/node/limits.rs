//! Limits that may be changed while a node runs.

/// The limits of a node for registrations and for the space on its disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeLimits {
    /// See [`NodeConfig::max_open`](super::NodeConfig::max_open).
    pub max_open: Option<u32>,
    /// See [`NodeConfig::max_total`](super::NodeConfig::max_total).
    pub max_total: Option<u32>,
    /// See [`NodeConfig::min_free`](super::NodeConfig::min_free).
    pub min_free: u64,
}
