//! A node in this process, with the calls of a [`Client`](crate::Client) over HTTP: the same calls, arguments and
//! answers.
//!
//! Where a client returns a `ClientError`, a node returns the [`Problem`] that it would have sent. A `Problem` can be
//! converted into a `ClientError`, so an application may use either.

mod backup;
mod batch;
mod cluster;
mod events;
mod reading;

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use uuid::Uuid;

pub use backup::NodeBackup;
pub use batch::NodeBatch;
pub use events::NodeEvents;

use crate::api::{changed, cluster_of, longest, or_problem, page_limit, registered, rules_of};
use crate::clock::NodeId;
use crate::config::Doors;
#[cfg(doc)]
use crate::model::ProblemType;
use crate::model::{
    Cluster, Cursor, EventQuery, Events, Name, NameRef, Namespace, NamespaceBody, NamespacePatch, OwnerPlace, Problem,
    Registration, RegistrationBody, Registrations, Span, Wait,
};
use crate::node::Node;
use crate::replica::{AwaitFinal, Caller, ClusterCommand, Command, RegistrationsOf, RulesOf, SetRules};

type Result<T> = std::result::Result<T, Box<Problem>>;

/// The calls of [`Client`](crate::Client), answered in this process. Every caller has all permissions.
impl Node {
    /// Claims names, all or none.
    ///
    /// # Errors
    /// A rejected registration is an error too: [`Problem::is_taken`] is true then, and the problem contains the
    /// registration.
    pub async fn register(&self, body: &RegistrationBody) -> Result<Registration> {
        registered(&self.handle(), None, body.clone()).await
    }

    /// Returns a registration in its current state.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn registration(&self, id: Uuid) -> Result<Registration> {
        self.outcome(id, None).await
    }

    /// Returns a registration once it is final, or after `timeout` in the state that it has then, whichever members are
    /// out of reach.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn wait_for(&self, id: Uuid, timeout: Duration) -> Result<Registration> {
        self.outcome(id, longest(Some(Wait::Always), Some(Span(timeout)))).await
    }

    /// Makes a reservation permanent.
    ///
    /// # Errors
    /// [`ProblemType::TooLate`] where it has ended or lost.
    pub async fn activate(&self, id: Uuid) -> Result<Registration> {
        self.change(Command::Activate { id }).await
    }

    /// Lets a reservation last for `ttl` from now on. A reservation that lasts longer already stays as it is.
    ///
    /// # Errors
    /// [`ProblemType::TooLate`] where it has ended or lost, [`ProblemType::Permanent`] where it is no reservation.
    pub async fn extend(&self, id: Uuid, ttl: Duration) -> Result<Registration> {
        self.change(Command::Extend { id, ttl: Span(ttl).millis() }).await
    }

    /// Releases all names of a registration.
    ///
    /// # Errors
    /// [`ProblemType::TooLate`] where it has ended or lost.
    pub async fn release(&self, id: Uuid) -> Result<Registration> {
        self.change(Command::Release { id }).await
    }

    /// Releases all names of a registration, and has its owner, its names and its metadata erased at all nodes, which
    /// is done once the release is final ([`Registration::erased`]). A registration that is over can be erased too.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn erase(&self, id: Uuid) -> Result<Registration> {
        self.change(Command::Erase { id }).await
    }

    /// Releases one name of an owner.
    ///
    /// # Errors
    /// [`ProblemType::NotHeld`] where the owner does not hold it.
    pub async fn release_name(&self, namespace: &str, name: &str, owner: &str) -> Result<Registration> {
        self.change(Command::ReleaseName { owner: owner.to_owned(), name: named(namespace, name) }).await
    }

    /// Looks up a name and its holder.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`] where it breaks a rule of its namespace.
    pub async fn name(&self, namespace: &str, name: &str) -> Result<Name> {
        self.name_or_others(namespace, name, 0).await
    }

    /// Returns the rules of a namespace.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where no namespace can have this name.
    pub async fn namespace(&self, namespace: &str) -> Result<Namespace> {
        or_problem(self.handle().query(RulesOf(namespace.to_owned()), Caller::ANYBODY).await)
    }

    /// Changes those rules of a namespace that are in the patch. They apply at this node from the answer on, and at
    /// other nodes as soon as they arrive.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where the rules are not valid, [`ProblemType::NamespaceInUse`] where names are
    /// taken that could not be found under the new rules, [`ProblemType::RulesChanged`] where the patch is for another
    /// version of the rules.
    pub async fn change_namespace(&self, namespace: &str, patch: &NamespacePatch) -> Result<Namespace> {
        changed(&self.handle(), namespace, patch, &Caller::ANYBODY).await
    }

    /// Sets the rules of a namespace. They apply at this node from the answer on, and at other nodes as soon as they
    /// arrive.
    ///
    /// # Errors
    /// [`ProblemType::RulesChanged`] where the node has another version than `if_version`,
    /// [`ProblemType::NamespaceInUse`] where names are taken whose keys would change. Nothing was changed.
    pub async fn set_namespace(&self, namespace: &str, body: &NamespaceBody) -> Result<Namespace> {
        let rules = Box::new(rules_of(namespace, body)?);
        let set = SetRules { namespace: namespace.to_owned(), rules, if_version: body.if_version };
        or_problem(self.handle().set_rules(set, Caller::ANYBODY).await)
    }

    /// Returns a page of an owner's registrations, earliest first, after a place that the page before gave.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn owner(&self, owner: &str, after: Option<OwnerPlace>, limit: Option<usize>) -> Result<Registrations> {
        let limit = page_limit(limit)?;
        let query = RegistrationsOf::new(owner.to_owned(), after, limit);
        or_problem(self.handle().query(query, Caller::ANYBODY).await)
    }

    /// Returns a page of the event feed after this cursor. With none it is the first page of the events that the node
    /// keeps.
    ///
    /// # Errors
    /// [`ProblemType::EventsCompacted`] where the node no longer keeps all events after the cursor,
    /// [`ProblemType::CursorUnknown`] where the node has begun a new feed since. Both give the cursor after which to go
    /// on.
    pub async fn events(&self, after: Option<Cursor>, query: &EventQuery) -> Result<Events> {
        events::page(&self.handle(), after, query).await
    }

    /// Streams the event feed after this cursor as it grows. With none the stream begins with the first event that the
    /// node keeps.
    #[must_use]
    pub fn stream(&self, after: Option<Cursor>, query: EventQuery) -> NodeEvents {
        NodeEvents::new(self.handle(), after, query)
    }

    /// Returns the cluster as the node sees it.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn cluster(&self) -> Result<Cluster> {
        self.seen(ClusterCommand::Show).await
    }

    /// Evicts a member for good, so that the others do not wait for it any longer. The eviction has begun when this
    /// returns, and is done once the member is among [`Cluster::evicted`].
    ///
    /// # Errors
    /// [`ProblemType::NoMember`], [`ProblemType::NoMajority`], [`ProblemType::NotInContact`] unless it is forced, or
    /// [`ProblemType::Leaving`]. Nothing was changed.
    pub async fn evict(&self, node: NodeId, force: bool) -> Result<Cluster> {
        self.seen(ClusterCommand::Evict { node, force }).await
    }

    /// Lets the node leave its cluster for good. The leave has begun when this returns, and the node stops once all
    /// others know of it.
    ///
    /// # Errors
    /// [`ProblemType::LastMember`]; nothing was changed.
    pub async fn leave(&self) -> Result<Cluster> {
        self.seen(ClusterCommand::Leave { cancel: false }).await
    }

    /// Lets a node stay that was asked to leave and has not departed yet.
    ///
    /// # Errors
    /// [`ProblemType::Departed`]; nothing was changed.
    pub async fn stay(&self) -> Result<Cluster> {
        self.seen(ClusterCommand::Leave { cancel: true }).await
    }

    /// Serves the HTTP interface of the node until `shutdown` resolves. It then ends the event streams, and gives
    /// requests that are under way a few seconds. Where `doors` has no tokens every caller has all permissions.
    ///
    /// # Errors
    /// The listener fails for good.
    pub fn serve(
        &self,
        listener: TcpListener,
        doors: Doors,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        crate::api::serve(listener, self.handle(), self.admin(), doors, shutdown)
    }

    async fn change(&self, command: Command) -> Result<Registration> {
        or_problem(self.handle().command(command, Caller::ANYBODY).await)
    }

    async fn outcome(&self, id: Uuid, wait: Option<AwaitFinal>) -> Result<Registration> {
        or_problem(self.handle().outcome(id, wait, Caller::ANYBODY).await)
    }

    async fn seen(&self, command: ClusterCommand) -> Result<Cluster> {
        let view = or_problem(self.handle().operate(command).await)?;
        Ok(cluster_of(&*self.admin(), &self.handle(), view))
    }
}

fn named(namespace: &str, name: &str) -> NameRef {
    NameRef { namespace: namespace.to_owned(), name: name.to_owned() }
}
