//! Which cluster a client talks to, and its settings.

use std::sync::{Arc, OnceLock};

use reqwest::{Method, RequestBuilder, Response};

use super::{Client, ClientError, Result};
use crate::model::{CLUSTER_HEADER, Cluster, ClusterId, ClusterSettingsBody};

/// The cluster that a client talks to: the one that it was told, or else the first that it saw. Shared by its clones.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<OnceLock<ClusterId>>);

impl Client {
    /// The same for a node of this cluster alone: an answer of another one is an error, and such a node does nothing. A client
    /// that is not told takes the first cluster that it sees for it, as do its clones.
    #[must_use]
    pub fn of_cluster(self, cluster: ClusterId) -> Self {
        Self { known: Known(Arc::new(OnceLock::from(cluster))), ..self }
    }

    /// The cluster that it talks to, where it was told or has seen one.
    #[must_use]
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.known.0.get().copied()
    }

    /// Changes settings of the cluster, which take effect at all members.
    ///
    /// # Errors
    /// A setting is out of its bounds, or the node cannot be reached; nothing was changed.
    pub async fn configure(&self, change: &ClusterSettingsBody) -> Result<Cluster> {
        let request = self.call(Method::PATCH, &["v1", "cluster", "settings"], &[])?;
        self.answer(request.json(change)).await
    }

    /// Says which cluster is meant.
    pub(super) fn meant(&self, request: RequestBuilder) -> RequestBuilder {
        match self.cluster_id() {
            Some(cluster) => request.header(CLUSTER_HEADER, cluster.to_string()),
            None => request,
        }
    }

    /// Refuses an answer of another cluster.
    pub(super) fn checked(&self, response: Response) -> Result<Response> {
        let found = response.headers().get(CLUSTER_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(found) = found else { return Ok(response) };
        let meant = *self.known.0.get_or_init(|| found);
        if meant == found {
            return Ok(response);
        }
        Err(ClientError::OtherCluster { address: self.address().to_owned(), meant, found })
    }
}
