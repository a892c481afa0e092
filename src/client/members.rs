//! Calls about the members of the cluster.

use reqwest::Method;
use serde::de::IgnoredAny;

use super::{Client, Result};
use crate::clock::NodeId;
use crate::model::Cluster;
#[cfg(doc)]
use crate::model::ProblemType;

impl Client {
    /// Returns the cluster as the node sees it.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn cluster(&self) -> Result<Cluster> {
        self.answer(self.call(Method::GET, &["v1", "cluster"], &[])?).await
    }

    /// Asks whether the node takes registrations. It needs no API token.
    ///
    /// # Errors
    /// The node refuses registrations, and the problem says why; or it cannot be reached.
    pub async fn ready(&self) -> Result<()> {
        let _: IgnoredAny = self.answer(self.call(Method::GET, &["readyz"], &[])?).await?;
        Ok(())
    }

    /// Evicts a member for good, one that all others wait for. When this returns the eviction has begun; it is done
    /// once the member is among [`Cluster::evicted`].
    ///
    /// # Errors
    /// [`ProblemType::NoMember`], [`ProblemType::NoMajority`], [`ProblemType::NotInContact`] unless `force` is true, or
    /// [`ProblemType::Leaving`]; nothing was changed.
    pub async fn evict(&self, node: NodeId, force: bool) -> Result<Cluster> {
        let path = ["v1", "cluster", "members", &node.to_string(), "evict"];
        let force = force.then(|| ("force", "true".to_owned()));
        self.answer(self.call(Method::POST, &path, force.as_slice())?).await
    }

    /// Makes the node leave its cluster for good. When this returns the leave has begun; the node stops once all others
    /// know.
    ///
    /// # Errors
    /// [`ProblemType::LastMember`]; nothing was changed.
    pub async fn leave(&self) -> Result<Cluster> {
        let first = self.first();
        first.answer(first.call(Method::POST, &["v1", "cluster", "leave"], &[])?).await
    }

    /// Makes a node stay that was asked to leave and has not departed.
    ///
    /// # Errors
    /// [`ProblemType::Departed`]; nothing was changed.
    pub async fn stay(&self) -> Result<Cluster> {
        let first = self.first();
        first.answer(first.call(Method::DELETE, &["v1", "cluster", "leave"], &[])?).await
    }
}
