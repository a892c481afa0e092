//! Which cluster a client talks to, and its settings.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};

use super::error::ClientError;
use super::{Client, Result};
use crate::clock::NodeId;
use crate::model::{CLUSTER_HEADER, Cluster, ClusterId, ClusterSettingsBody, Span, TokenBody, TokenIssued};

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

    /// Keeps the key of a member, or of one who was a member, out of the cluster from when it is out on.
    ///
    /// # Errors
    /// There is no such node, or the one that is asked cannot be reached; nothing was changed.
    pub async fn ban(&self, node: NodeId) -> Result<Cluster> {
        self.answer(self.call(Method::POST, &["v1", "cluster", "members", &node.to_string(), "ban"], &[])?).await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// As those of [`Client::ban`].
    pub async fn unban(&self, node: NodeId) -> Result<Cluster> {
        self.answer(self.call(Method::DELETE, &["v1", "cluster", "members", &node.to_string(), "ban"], &[])?).await
    }

    /// Gives the cluster another secret: join tokens made before, and copies of the secret, are of no use once all members have it.
    ///
    /// # Errors
    /// The node is no member, or cannot be reached; nothing was changed.
    pub async fn rotate_secret(&self) -> Result<Cluster> {
        self.answer(self.call(Method::POST, &["v1", "cluster", "secret"], &[])?).await
    }

    /// A token that lets one newcomer join, for so long; none for a day.
    ///
    /// # Errors
    /// The node cannot be reached or cannot make one.
    pub async fn mint_token(&self, ttl: Option<Duration>) -> Result<String> {
        self.mint_token_for(1, ttl).await
    }

    /// The same for so many newcomers.
    ///
    /// # Errors
    /// The node cannot be reached or cannot make one.
    pub async fn mint_token_for(&self, uses: u32, ttl: Option<Duration>) -> Result<String> {
        let request = self.call(Method::POST, &["v1", "cluster", "tokens"], &[])?;
        let body = TokenBody { ttl: ttl.map(Span), uses: Some(uses) };
        let issued: TokenIssued = self.answer(request.json(&body)).await?;
        Ok(issued.token)
    }

    /// Says which cluster is meant.
    pub(super) fn meant(&self, request: RequestBuilder) -> RequestBuilder {
        match self.cluster_id() {
            Some(cluster) => request.header(CLUSTER_HEADER, cluster.to_string()),
            None => request,
        }
    }

    /// Refuses an answer of another cluster.
    pub(super) fn checked(&self, response: Response, address: &str) -> Result<Response> {
        let found = response.headers().get(CLUSTER_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(found) = found else { return Ok(response) };
        let meant = *self.known.0.get_or_init(|| found);
        if meant == found {
            return Ok(response);
        }
        Err(ClientError::OtherCluster { address: address.to_owned(), meant, found })
    }
}
