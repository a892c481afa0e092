//! A node in this process, asked as a [`Client`](crate::Client) asks one over HTTP: the same calls, arguments and answers.
//!
//! Where a client has a `ClientError`, a node gives the [`Problem`] that it would have sent. A `ClientError` can be made of
//! one, so an application may take either.

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

use crate::api::{asked, changed, cluster_of, longest, page_limit, registered, rules_of};
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

/// The calls of [`Client`](crate::Client), answered in this process. Every caller may do everything.
impl Node {
    /// Claims names, all or none.
    ///
    /// # Errors
    /// Also where the registration is rejected: [`Problem::is_taken`], the problem has it.
    pub async fn register(&self, body: &RegistrationBody) -> Result<Registration> {
        registered(&self.handle(), None, body.clone()).await
    }

    /// What became of a registration.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn registration(&self, id: Uuid) -> Result<Registration> {
        self.outcome(id, None).await
    }

    /// The same when it is final, or after `timeout` with what is known then, whoever is out of reach.
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

    /// Lets a reservation last for so long from now on; one that lasts longer anyway stays as it is.
    ///
    /// # Errors
    /// [`ProblemType::TooLate`] where it has ended or lost, [`ProblemType::Permanent`] where it is none.
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

    /// Releases all names of a registration and has its owner, its names and its metadata erased at all nodes, which is
    /// done once the release is final ([`Registration::erased`]). Also where it is over already.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`] where the node knows none of this id.
    pub async fn erase(&self, id: Uuid) -> Result<Registration> {
        self.change(Command::Erase { id }).await
    }

    /// Releases one name of an owner's.
    ///
    /// # Errors
    /// [`ProblemType::NotHeld`] where the owner does not hold it.
    pub async fn release_name(&self, namespace: &str, name: &str, owner: &str) -> Result<Registration> {
        self.change(Command::ReleaseName { owner: owner.to_owned(), name: named(namespace, name) }).await
    }

    /// Who holds a name.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`] where it breaks a rule of its namespace.
    pub async fn name(&self, namespace: &str, name: &str) -> Result<Name> {
        self.name_or_others(namespace, name, 0).await
    }

    /// The rules of a namespace.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where no namespace can have this name.
    pub async fn namespace(&self, namespace: &str) -> Result<Namespace> {
        asked(self.handle().query(RulesOf(namespace.to_owned()), Caller::ANYBODY)).await
    }

    /// Changes what a patch names of a namespace's rules. They apply at this node from the answer on, at the others as soon
    /// as they arrive.
    ///
    /// # Errors
    /// [`ProblemType::InvalidRequest`] where there cannot be such rules, [`ProblemType::NamespaceInUse`] where names of it are
    /// taken that would not be found by them, [`ProblemType::RulesChanged`] where the patch is meant for other ones.
    pub async fn change_namespace(&self, namespace: &str, patch: &NamespacePatch) -> Result<Namespace> {
        changed(&self.handle(), namespace, patch, &Caller::ANYBODY).await
    }

    /// Gives a namespace its rules. They apply at this node from the answer on, at the others as soon as they arrive.
    ///
    /// # Errors
    /// [`ProblemType::RulesChanged`] where the node has another version than `if_version`,
    /// [`ProblemType::NamespaceInUse`] where names are taken whose keys would be others; nothing was changed.
    pub async fn set_namespace(&self, namespace: &str, body: &NamespaceBody) -> Result<Namespace> {
        let rules = Box::new(rules_of(namespace, body)?);
        let set = SetRules { namespace: namespace.to_owned(), rules, if_version: body.if_version };
        asked(self.handle().set_rules(set, Caller::ANYBODY)).await
    }

    /// A page of an owner's registrations, earliest first, after a place that the page before it gave.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn owner(&self, owner: &str, after: Option<OwnerPlace>, limit: Option<usize>) -> Result<Registrations> {
        let limit = page_limit(limit)?;
        let query = RegistrationsOf::new(owner.to_owned(), after, limit);
        asked(self.handle().query(query, Caller::ANYBODY)).await
    }

    /// A page of the event feed, after this cursor; none for the first page of what the node keeps.
    ///
    /// # Errors
    /// [`ProblemType::EventsCompacted`] where the node no longer keeps all events after the cursor,
    /// [`ProblemType::CursorUnknown`] where the node has begun a new feed since; both say after which one to go on.
    pub async fn events(&self, after: Option<Cursor>, query: &EventQuery) -> Result<Events> {
        events::page(&self.handle(), after, query).await
    }

    /// The event feed after this cursor as it grows, or, with none, all of it that the node keeps.
    #[must_use]
    pub fn stream(&self, after: Option<Cursor>, query: EventQuery) -> NodeEvents {
        NodeEvents::new(self.handle(), after, query)
    }

    /// The cluster as the node sees it.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn cluster(&self) -> Result<Cluster> {
        self.seen(ClusterCommand::Show).await
    }

    /// Puts a member out of the cluster for good, whom everybody waits for. Begun when this returns; done once it is
    /// among [`Cluster::evicted`].
    ///
    /// # Errors
    /// [`ProblemType::NoMember`], [`ProblemType::NoMajority`], [`ProblemType::NotInContact`] unless it is forced, or
    /// [`ProblemType::Leaving`]; nothing was changed.
    pub async fn evict(&self, node: NodeId, force: bool) -> Result<Cluster> {
        self.seen(ClusterCommand::Evict { node, force }).await
    }

    /// Has the node leave its cluster for good. Begun when this returns; the node stops once all others know.
    ///
    /// # Errors
    /// [`ProblemType::LastMember`]; nothing was changed.
    pub async fn leave(&self) -> Result<Cluster> {
        self.seen(ClusterCommand::Leave { cancel: false }).await
    }

    /// Has the node stay that was asked to leave and has not departed.
    ///
    /// # Errors
    /// [`ProblemType::Departed`]; nothing was changed.
    pub async fn stay(&self) -> Result<Cluster> {
        self.seen(ClusterCommand::Leave { cancel: true }).await
    }

    /// Serves the HTTP interface of the node until `shutdown` resolves; then ends event streams and gives requests under way
    /// a few seconds. Without tokens among the doors every caller may do everything.
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
        asked(self.handle().command(command, Caller::ANYBODY)).await
    }

    async fn outcome(&self, id: Uuid, wait: Option<AwaitFinal>) -> Result<Registration> {
        asked(self.handle().outcome(id, wait, Caller::ANYBODY)).await
    }

    async fn seen(&self, command: ClusterCommand) -> Result<Cluster> {
        let view = asked(self.handle().operate(command)).await?;
        Ok(cluster_of(&*self.admin(), &self.handle(), view))
    }
}

fn named(namespace: &str, name: &str) -> NameRef {
    NameRef { namespace: namespace.to_owned(), name: name.to_owned() }
}
