//! Calls about the settings of the cluster, and about who may join.

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

    /// Bans the key of a node that is or was a member. The node stays as long as it is a member, and cannot join again
    /// afterwards.
    ///
    /// # Errors
    /// [`ProblemType::NoMember`]; nothing was changed.
    pub async fn ban(&self, node: NodeId) -> Result<Cluster> {
        self.seen(ClusterCommand::Ban { node, banned: true }).await
    }

    /// Lifts the ban of a node's key.
    ///
    /// # Errors
    /// [`ProblemType::NoMember`]; nothing was changed.
    pub async fn unban(&self, node: NodeId) -> Result<Cluster> {
        self.seen(ClusterCommand::Ban { node, banned: false }).await
    }

    /// Gives the cluster another secret. Earlier join tokens and copies of the old secret are of no use once all
    /// members have the new one.
    ///
    /// # Errors
    /// [`ProblemType::NotMember`]; nothing was changed.
    pub async fn rotate_secret(&self) -> Result<Cluster> {
        let secret = self.admin().random().map_err(|refusal| Box::new(Problem::from(refusal)))?;
        self.seen(ClusterCommand::RotateSecret(ClusterSecret(secret))).await
    }

    /// Makes a token with which one newcomer can join within `ttl`; with none, within a day.
    ///
    /// # Errors
    /// [`ProblemType::NotMember`] while the node is joining, [`ProblemType::InvalidRequest`] where the time is zero or
    /// too long.
    pub async fn mint_token(&self, ttl: Option<Duration>) -> Result<String> {
        self.mint_token_for(1, ttl).await
    }

    /// Makes a token with which `uses` newcomers can join within `ttl`.
    ///
    /// # Errors
    /// The same as those of [`Node::mint_token`].
    #[expect(clippy::unused_async, reason = "as the client's call")]
    pub async fn mint_token_for(&self, uses: u32, ttl: Option<Duration>) -> Result<String> {
        self.mint(&TokenBody { ttl: ttl.map(Span), uses: Some(uses), reader: false })
    }

    /// Makes a token with which readers can connect within `ttl`; with none, within a year.
    ///
    /// # Errors
    /// The same as those of [`Node::mint_token`].
    #[expect(clippy::unused_async, reason = "as the client's call")]
    pub async fn mint_reader_token(&self, ttl: Option<Duration>) -> Result<String> {
        self.mint(&TokenBody { ttl: ttl.map(Span), uses: None, reader: true })
    }

    fn mint(&self, body: &TokenBody) -> Result<String> {
        let (ttl, uses) = body.checked().map_err(|why| Box::new(Problem::new(ProblemType::InvalidRequest, why)))?;
        self.admin().mint_token(ttl, uses, body.reader).map_err(|refusal| Box::new(refusal.into()))
    }
}
