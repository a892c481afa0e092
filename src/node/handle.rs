//! The handle through which a running node is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::health::Health;
use super::incarnations::{KnownCluster, Watches};
use super::last_backup::LastBackup;
use super::nearby::Nearby;
use crate::clock::NodeId;
use crate::metrics::Metrics;
use crate::model::{Cluster, ClusterId, Cursor, Namespace, Registration, Time};
use crate::replica::{
    Asked, AwaitFinal, Caller, ClusterCommand, Command, KnownWebhook, Query, Refusal, Reply, Request, SetRules,
    SetWebhook,
};

/// A handle on a running node. It is cheap to clone.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Handle(Arc<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    node: watch::Receiver<NodeId>,
    calls: mpsc::Sender<Request>,
    events: watch::Receiver<Cursor>,
    /// The refusal of registrations, where the disk is low on space.
    disk_low: watch::Receiver<Option<Refusal>>,
    cluster: watch::Receiver<Option<KnownCluster>>,
    /// The namespaces whose names are private.
    private: watch::Receiver<Private>,
    health: watch::Receiver<Health>,
    metrics: Arc<Metrics>,
    last_backup: Option<LastBackup>,
    /// The driver's thread; none for a handle without a node.
    nearby: Option<Nearby>,
}

/// Namespaces whose names are private.
type Private = Arc<BTreeSet<String>>;

impl Handle {
    /// Makes a handle on the receiver of `calls`.
    #[must_use]
    pub fn new(node: watch::Receiver<NodeId>, calls: mpsc::Sender<Request>, events: watch::Receiver<Cursor>) -> Self {
        let (disk_low, cluster) = (watch::channel(None).1, watch::channel(None).1);
        let (private, health) = (watch::channel(Private::default()).1, watch::channel(Health::default()).1);
        let metrics = Arc::default();
        let (last_backup, nearby) = (None, None);
        Self(Arc::new(Parts { node, calls, events, disk_low, cluster, private, health, metrics, last_backup, nearby }))
    }

    /// Returns this handle after a change to its parts. Other clones of it are not changed.
    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The same handle, with the values that others may read of the node at any time.
    #[must_use]
    pub(super) fn with_watches(self, watches: &Watches) -> Self {
        self.with(|parts| {
            parts.disk_low = watches.disk_low.subscribe();
            parts.cluster = watches.cluster.subscribe();
            parts.private = watches.private.subscribe();
            parts.health = watches.health.subscribe();
            parts.metrics = Arc::clone(&watches.metrics);
        })
    }

    /// The same handle, with the record of the last backup.
    #[must_use]
    pub(crate) fn with_last_backup(self, last: LastBackup) -> Self {
        self.with(|parts| parts.last_backup = Some(last))
    }

    /// The same handle, with the thread of the driver.
    #[must_use]
    pub(crate) fn with_nearby(self, nearby: Nearby) -> Self {
        self.with(|parts| parts.nearby = Some(nearby))
    }

    /// Returns the driver's thread, for tasks that ask the node often; none while it is held up.
    #[must_use]
    pub(crate) fn nearby(&self) -> Option<&Nearby> {
        self.0.nearby.as_ref().filter(|_| self.0.health.borrow().comes_round())
    }

    /// The same handle, with the namespaces that are private.
    #[cfg(test)]
    pub(crate) fn with_private(self, private: watch::Receiver<Private>) -> Self {
        self.with(|parts| parts.private = private)
    }

    /// The same handle, with the health of the node.
    #[cfg(test)]
    pub(crate) fn with_health(self, health: watch::Receiver<Health>) -> Self {
        self.with(|parts| parts.health = health)
    }

    /// Returns the refusal of registrations, where the disk is low on space.
    #[must_use]
    pub(crate) fn disk_low(&self) -> Option<Refusal> {
        self.0.disk_low.borrow().clone()
    }

    /// Returns what keeps the node from answering, as far as it is known.
    #[must_use]
    pub(crate) fn hindrance(&self) -> Option<String> {
        self.0.health.borrow().hindrance()
    }

    /// Returns the time up to which everything is in the last whole backup of the node; none where there was none.
    #[must_use]
    pub(crate) fn last_backup(&self) -> Option<Time> {
        self.0.last_backup.as_ref().and_then(LastBackup::get)
    }

    /// The metrics of the node.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Returns true where the names of a namespace are private, as far as the node knows.
    pub(crate) fn is_private(&self, namespace: &str) -> bool {
        self.0.private.borrow().contains(namespace)
    }

    /// Returns true where any namespace is private.
    pub(crate) fn has_private(&self) -> bool {
        !self.0.private.borrow().is_empty()
    }

    /// The id of the node's cluster; none while it has no state.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.0.cluster.borrow().as_ref().map(|cluster| cluster.id)
    }

    /// The current id of the node. It changes when the node comes back after an eviction.
    #[must_use]
    pub fn node(&self) -> NodeId {
        *self.0.node.borrow()
    }

    /// Asks for a change. Returns the registration that the change is about.
    ///
    /// # Errors
    /// The registry's refusal, or [`Refusal::Unavailable`] where the node stops before it answers.
    pub async fn command(&self, command: Command, caller: Caller) -> Result<Registration, Refusal> {
        let registers = matches!(command, Command::Register(_));
        let low = self.disk_low().filter(|_| command.takes_names());
        let answer = match low {
            Some(low) => Err(low),
            None => self.ask(|reply| Request::Command(Box::new(command), caller, reply)).await,
        };
        if registers && answer.is_err() {
            self.0.metrics.refused();
        }
        answer
    }

    /// Returns a registration once its outcome is final, or in its current state when the wait ends.
    ///
    /// # Errors
    /// The same as [`Handle::command`].
    pub async fn outcome(&self, id: Uuid, wait: Option<AwaitFinal>, caller: Caller) -> Result<Registration, Refusal> {
        self.ask(|reply| Request::Outcome { id, wait, caller, reply }).await
    }

    /// Sets the rules of a namespace.
    ///
    /// # Errors
    /// The same as [`Handle::command`].
    pub async fn set_rules(&self, set: SetRules, caller: Caller) -> Result<Namespace, Refusal> {
        self.ask(|reply| Request::SetRules(set, caller, reply)).await
    }

    /// Makes, changes or removes a webhook.
    ///
    /// # Errors
    /// The same as [`Handle::command`].
    pub async fn set_webhook(&self, set: SetWebhook) -> Result<KnownWebhook, Refusal> {
        self.ask(|reply| Request::SetWebhook(set, reply)).await
    }

    /// Answers a query.
    ///
    /// # Errors
    /// The same as [`Handle::command`].
    pub async fn query<Q: Query>(&self, query: Q, caller: Caller) -> Result<Q::Answer, Refusal> {
        self.ask(|reply| Request::Query(Asked::new(query, caller, reply))).await
    }

    /// Runs a command about the cluster, and returns the cluster as the node sees it.
    ///
    /// # Errors
    /// The same as [`Handle::command`].
    pub async fn operate(&self, command: ClusterCommand) -> Result<Cluster, Refusal> {
        self.ask(|reply| Request::Cluster(command, reply)).await
    }

    async fn ask<A: Send + 'static>(&self, request: impl FnOnce(Reply<A>) -> Request) -> Result<A, Refusal> {
        let (sender, answer) = oneshot::channel();
        let gone = || {
            let halted = self.0.health.borrow().halted.clone();
            let why = halted.map(|why| format!("it has stopped: {why}"));
            Refusal::Unavailable(why.unwrap_or_else(|| "it is stopping, or was evicted and comes back".to_owned()))
        };
        // Sending fails where the caller has gone.
        let reply = Reply::to(move |answer| drop(sender.send(answer)));
        self.0.calls.send(request(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Watches the cursor of the latest durable event.
    #[must_use]
    pub fn events(&self) -> watch::Receiver<Cursor> {
        self.0.events.clone()
    }
}
