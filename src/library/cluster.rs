//! The settings of the cluster.

use super::Result;
use crate::model::{Cluster, ClusterSettingsBody};
use crate::node::Node;
use crate::replica::Request;

impl Node {
    /// Changes settings of the cluster, which take effect at all members.
    ///
    /// # Errors
    /// A setting is out of its bounds, or the node is no member; nothing was changed.
    pub async fn configure(&self, change: &ClusterSettingsBody) -> Result<Cluster> {
        self.seen(Request::Configure(*change)).await
    }
}
