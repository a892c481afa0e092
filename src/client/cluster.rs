//! The cluster that a client talks to, and calls about its settings, bans, secret and join tokens.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};

use super::error::ClientError;
use super::{Client, Result};
use crate::clock::NodeId;
use crate::model::{CLUSTER_HEADER, Cluster, ClusterId, ClusterSettingsBody, Span, TokenBody, TokenIssued};

/// The cluster that a client talks to: the one that was set, or else the first one that answered. All clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<OnceLock<ClusterId>>);

impl Client {
    /// Returns this client for one cluster. An answer of another cluster is an error, and a node of another cluster
    /// does nothing. Where no cluster is set, the client and its clones keep to the first cluster that answers.
    #[must_use]
    pub fn of_cluster(self, cluster: ClusterId) -> Self {
        Self { known: Known(Arc::new(OnceLock::from(cluster))), ..self }
    }

    /// Returns the cluster that the client talks to, where it was set or one has answered.
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

    /// Keeps the key of a member, or of a former member, out of the cluster. For a member it takes effect once the
    /// member is out.
    ///
    /// # Errors
    /// There is no such node, or the node that is asked cannot be reached; nothing was changed.
    pub async fn ban(&self, node: NodeId) -> Result<Cluster> {
        self.answer(self.call(Method::POST, &["v1", "cluster", "members", &node.to_string(), "ban"], &[])?).await
    }

    /// Lifts the ban of a node.
    ///
    /// # Errors
    /// The same as those of [`Client::ban`].
    pub async fn unban(&self, node: NodeId) -> Result<Cluster> {
        self.answer(self.call(Method::DELETE, &["v1", "cluster", "members", &node.to_string(), "ban"], &[])?).await
    }

    /// Gives the cluster a new secret. Earlier join tokens, and copies of the old secret, are useless once all members
    /// have the new one.
    ///
    /// # Errors
    /// The node is not a member, or cannot be reached; nothing was changed.
    pub async fn rotate_secret(&self) -> Result<Cluster> {
        self.answer(self.call(Method::POST, &["v1", "cluster", "secret"], &[])?).await
    }

    /// Makes a join token for one newcomer. It is valid for `ttl`, by default for a day.
    ///
    /// # Errors
    /// The node cannot be reached or cannot make a token.
    pub async fn mint_token(&self, ttl: Option<Duration>) -> Result<String> {
        self.mint_token_for(1, ttl).await
    }

    /// Makes a join token for this number of newcomers.
    ///
    /// # Errors
    /// The node cannot be reached or cannot make a token.
    pub async fn mint_token_for(&self, uses: u32, ttl: Option<Duration>) -> Result<String> {
        self.mint(&TokenBody { ttl: ttl.map(Span), uses: Some(uses), reader: false }).await
    }

    /// Makes a token with which readers can connect for `ttl`, by default for a year.
    ///
    /// # Errors
    /// The node cannot be reached or cannot make a token.
    pub async fn mint_reader_token(&self, ttl: Option<Duration>) -> Result<String> {
        self.mint(&TokenBody { ttl: ttl.map(Span), uses: None, reader: true }).await
    }

    async fn mint(&self, body: &TokenBody) -> Result<String> {
        let request = self.call(Method::POST, &["v1", "cluster", "tokens"], &[])?;
        let issued: TokenIssued = self.answer(request.json(body)).await?;
        Ok(issued.token)
    }

    /// Adds the header that names the cluster.
    pub(super) fn meant(&self, request: RequestBuilder) -> RequestBuilder {
        match self.cluster_id() {
            Some(cluster) => request.header(CLUSTER_HEADER, cluster.to_string()),
            None => request,
        }
    }

    /// Returns an error where an answer comes from another cluster.
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
