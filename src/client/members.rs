//! Who is a member of the cluster.

use reqwest::Method;
use serde::de::IgnoredAny;

use super::{Client, Result};
use crate::clock::NodeId;
use crate::model::Cluster;
#[cfg(doc)]
use crate::model::ProblemType;

impl Client {
    /// The cluster as the node sees it.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn cluster(&self) -> Result<Cluster> {
        self.answer(self.call(Method::GET, &["v1", "cluster"], &[])?).await
    }

    /// Asks whether the node takes registrations. It needs no API token.
    ///
    /// # Errors
    /// The node takes none, and the problem says why; or it cannot be reached.
    pub async fn ready(&self) -> Result<()> {
        let _: IgnoredAny = self.answer(self.call(Method::GET, &["readyz"], &[])?).await?;
        Ok(())
    }

    /// Puts a member out of the cluster for good, whom everybody waits for. Begun when this returns; done once it is
    /// among [`Cluster::evicted`].
    ///
    /// # Errors
    /// [`ProblemType::NoMember`], [`ProblemType::NoMajority`], [`ProblemType::NotInContact`] unless it is forced, or
    /// [`ProblemType::Leaving`]; nothing was changed.
    pub async fn evict(&self, node: NodeId, force: bool) -> Result<Cluster> {
        let path = ["v1", "cluster", "members", &node.to_string(), "evict"];
        let force = force.then(|| ("force", "true".to_owned()));
        self.answer(self.call(Method::POST, &path, force.as_slice())?).await
    }

    /// Has the node leave its cluster for good. Begun when this returns; the node stops once all others know.
    ///
    /// # Errors
    /// [`ProblemType::LastMember`]; nothing was changed.
    pub async fn leave(&self) -> Result<Cluster> {
        let first = self.first();
        first.answer(first.call(Method::POST, &["v1", "cluster", "leave"], &[])?).await
    }

    /// Has a node stay that was asked to leave and has not departed.
    ///
    /// # Errors
    /// [`ProblemType::Departed`]; nothing was changed.
    pub async fn stay(&self) -> Result<Cluster> {
        let first = self.first();
        first.answer(first.call(Method::DELETE, &["v1", "cluster", "leave"], &[])?).await
    }
}
