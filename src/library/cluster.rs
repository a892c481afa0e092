//! The settings of the cluster, and who is let in.

use std::time::Duration;

use super::Result;
use crate::clock::NodeId;
use crate::model::{Cluster, ClusterSettingsBody, Problem, ProblemType, Span, TokenBody};
use crate::node::Node;
use crate::replica::{ClusterCommand, ClusterSecret};

impl Node {
    /// Changes settings of the cluster, which take effect at all members.
    ///
    /// # Errors
    /// A setting is out of its bounds, or the node is no member; nothing was changed.
    pub async fn configure(&self, change: &ClusterSettingsBody) -> Result<Cluster> {
        self.seen(ClusterCommand::Configure(*change)).await
    }

    /// Keeps the key of a member, or of one who was a member, out of the cluster from when it is out on.
    ///
    /// # Errors
    /// [`ProblemType::NoMember`]; nothing was changed.
    pub async fn ban(&self, node: NodeId) -> Result<Cluster> {
        self.seen(ClusterCommand::Ban { node, banned: true }).await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// [`ProblemType::NoMember`]; nothing was changed.
    pub async fn unban(&self, node: NodeId) -> Result<Cluster> {
        self.seen(ClusterCommand::Ban { node, banned: false }).await
    }

    /// Gives the cluster another secret: join tokens made before, and copies of the secret, are of no use once all members have it.
    ///
    /// # Errors
    /// [`ProblemType::NotMember`]; nothing was changed.
    pub async fn rotate_secret(&self) -> Result<Cluster> {
        let secret = self.admin().random().map_err(|refusal| Box::new(Problem::from(refusal)))?;
        self.seen(ClusterCommand::RotateSecret(ClusterSecret(secret))).await
    }

    /// A token that lets one newcomer join, for so long; none for a day.
    ///
    /// # Errors
    /// [`ProblemType::NotMember`] while the node is joining, [`ProblemType::InvalidRequest`] for no time, or too much.
    pub async fn mint_token(&self, ttl: Option<Duration>) -> Result<String> {
        self.mint_token_for(1, ttl).await
    }

    /// The same for so many newcomers.
    ///
    /// # Errors
    /// As those of [`Node::mint_token`].
    #[expect(clippy::unused_async, reason = "as the client's call")]
    pub async fn mint_token_for(&self, uses: u32, ttl: Option<Duration>) -> Result<String> {
        let body = TokenBody { ttl: ttl.map(Span), uses: Some(uses) };
        let (ttl, uses) = body.checked().map_err(|why| Box::new(Problem::new(ProblemType::InvalidRequest, why)))?;
        self.admin().mint_token(ttl, uses).map_err(|refusal| Box::new(refusal.into()))
    }
}
