//! The liars' connections and requests.

use std::collections::BTreeMap;

use forename::clock::NodeId;

use crate::plan::Host;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Liars {
    /// The hosts that liars are connected to, with the id that each uses; the value is the `life` of the host's
    /// process.
    pub(crate) connected: BTreeMap<(NodeId, Host), u32>,
    /// The number of snapshots that they have asked for.
    pub(crate) asked: u64,
}
