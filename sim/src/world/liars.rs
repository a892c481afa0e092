//! What the liars are up to.

use std::collections::BTreeMap;

use forename::clock::NodeId;

use crate::plan::Host;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Liars {
    /// Whom they are connected to, under which id: the life of that process.
    pub(crate) connected: BTreeMap<(NodeId, Host), u32>,
    /// How many snapshots they have asked for.
    pub(crate) asked: u64,
}
