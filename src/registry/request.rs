//! What clients ask of a replica. The HTTP interface, the library and the simulator use these.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::answer::{EventType, RulesVersion};
use super::feed::Cursor;
use super::on_behalf::Bearer;
use super::queries::Place;
use super::quota::Charge;
use crate::clock::{Millis, NodeId};
use crate::crdt::ClaimPlace;
use crate::model::ClusterSettingsBody;
use crate::name::Rules;

/// Names a request until it is answered; chosen by whoever drives the replica.
pub type Token = u64;

/// A client's request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Claims names, all or none.
    Register(RegisterRequest),
    /// Makes a reservation permanent.
    Activate {
        /// The reservation.
        id: Uuid,
    },
    /// Lets a reservation last longer. Never shortens it.
    Extend {
        /// The reservation.
        id: Uuid,
        /// Milliseconds from now until it ends, 1 to [`MAX_TTL`](crate::model::limits::MAX_TTL).
        ttl: u64,
    },
    /// Releases all names of a registration.
    Release {
        /// The registration.
        id: Uuid,
    },
    /// Releases all names of a registration, and has its owner, its names and its metadata erased at all nodes once that
    /// is final; also where it is over already.
    Erase {
        /// The registration.
        id: Uuid,
    },
    /// Releases one name.
    ReleaseName {
        /// Whose claim it must be.
        owner: String,
        /// The name.
        name: NameRequest,
    },
    /// What became of a registration.
    Registration {
        /// Its id.
        id: Uuid,
        /// Answer only when it is final, or after so many milliseconds with what is known then.
        wait: Option<u64>,
    },
    /// Who holds a name.
    Name(NameRequest),
    /// The tenures of a name.
    History {
        /// The name.
        name: NameRequest,
        /// From this claim on, which a page before said under `next`.
        after: Option<ClaimPlace>,
        /// At most so many.
        limit: usize,
    },
    /// Names that were claimed more than once.
    Conflicts {
        /// Only of this namespace.
        namespace: Option<String>,
        /// Only what happened at or after this time, or is still open.
        since: Option<Millis>,
        /// Where the page before this one ended.
        after: Option<Place>,
        /// At most so many.
        limit: usize,
    },
    /// What decides a registration, and what it waits for.
    ExplainRegistration(Uuid),
    /// What decides a name, and what it waits for.
    ExplainName(NameRequest),
    /// Whether each of these names can be had, 1 to [`MAX_CHECKED`](crate::model::limits::MAX_CHECKED).
    Names(Vec<NameRequest>),
    /// Names like this one that are free.
    Suggest {
        /// The name that is taken.
        name: NameRequest,
        /// At most so many, up to [`MAX_SUGGESTIONS`](crate::model::limits::MAX_SUGGESTIONS).
        count: usize,
    },
    /// The names that are taken.
    List {
        /// Only of this namespace.
        namespace: Option<String>,
        /// Only names whose keys begin as that of this one does, with a namespace.
        prefix: String,
        /// Where the page before this one ended.
        after: Option<Place>,
        /// At most so many.
        limit: usize,
    },
    /// What became of an owner's registrations, earliest first.
    Owner {
        /// The owner.
        owner: String,
        /// Only those after this one.
        after: Option<Uuid>,
        /// At most so many.
        limit: usize,
    },
    /// A page of the event feed.
    Events {
        /// Only events after this cursor; none for all that are kept.
        after: Option<Cursor>,
        /// At most so many.
        limit: usize,
        /// Which ones.
        filter: EventFilter,
    },
    /// The rules of a namespace.
    Namespace(String),
    /// Give a namespace its rules. They apply at this node from its answer on, elsewhere once they arrive.
    SetNamespace {
        /// The namespace.
        namespace: String,
        /// The rules.
        rules: Box<Rules>,
        /// Only where this is the version in force here.
        if_version: Option<RulesVersion>,
    },
    /// Members, promises, settings, what the watermark waits for.
    Cluster,
    /// Change settings of the cluster, which are in force here at once. Answered as `Cluster` is.
    Configure(ClusterSettingsBody),
    /// Put a member out of the cluster for good. Answered as `Cluster` is once it has begun, or where it is done already; it
    /// is done when all who stay have joined in.
    Evict {
        /// The member.
        node: NodeId,
        /// Also where no majority is in contact that would stay: the eviction is carried out once one is.
        force: bool,
    },
    /// Keep the key of a member, or of one who was a member, out of the cluster from when it is out on; or let it in again.
    /// Answered as `Cluster` is.
    Ban {
        /// Any incarnation of the key.
        node: NodeId,
        /// Whether it is kept out.
        banned: bool,
    },
    /// Give the cluster another secret. Answered as `Cluster` is.
    RotateSecret(ClusterSecret),
    /// Leave the cluster. Answered as `Cluster` is once it has begun; the node is out when it has handed over what it holds.
    Leave {
        /// Stay after all, where the last op has not been issued.
        cancel: bool,
    },
    /// The same of somebody who may not be told what is known of private names: registers, activates, releases.
    Discreet(Box<Request>),
    /// The same of somebody who may change only some registrations: [`Activate`](Self::Activate),
    /// [`Extend`](Self::Extend), [`Release`](Self::Release) and [`Erase`](Self::Erase) are refused for others.
    OnBehalf {
        /// Who it is.
        bearer: Bearer,
        /// What is asked.
        request: Box<Request>,
    },
}

impl Request {
    /// Whether it takes names, or asks for them to be taken for longer.
    #[must_use]
    pub fn registers(&self) -> bool {
        match self {
            Self::Register(_) | Self::Extend { .. } => true,
            Self::Discreet(request) | Self::OnBehalf { request, .. } => request.registers(),
            _ => false,
        }
    }

    /// Whether it may have the node issue an op.
    pub(crate) fn issues_ops(&self) -> bool {
        match self {
            Self::Register(_) | Self::Activate { .. } | Self::Release { .. } | Self::ReleaseName { .. } => true,
            Self::Extend { .. } | Self::Erase { .. } | Self::SetNamespace { .. } | Self::Configure(_) => true,
            // Nobody may wait any more for what an operator asked when that is done at last.
            Self::Evict { .. } | Self::Ban { .. } | Self::RotateSecret(_) | Self::Leave { .. } => false,
            Self::Registration { .. } | Self::Name(_) | Self::Owner { .. } | Self::Events { .. } => false,
            Self::Namespace(_) | Self::Cluster => false,
            Self::History { .. } | Self::Conflicts { .. } | Self::ExplainRegistration(_) | Self::ExplainName(_) => {
                false
            }
            Self::Names(_) | Self::Suggest { .. } | Self::List { .. } => false,
            Self::Discreet(request) | Self::OnBehalf { request, .. } => request.issues_ops(),
        }
    }
}

/// A secret for a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(pub [u8; 32]);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

/// A name as a client writes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct NameRequest {
    /// The namespace.
    pub namespace: String,
    /// The name as typed.
    pub name: String,
}

/// A registration as a client asks for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegisterRequest {
    /// Chosen by the client, so that it may ask again, here or at another node.
    pub id: Option<Uuid>,
    /// Who is to hold the names.
    pub owner: String,
    /// The names, 1 to [`MAX_NAMES`](crate::model::limits::MAX_NAMES).
    pub names: Vec<NameRequest>,
    /// Milliseconds until the reservation ends; none for a permanent registration.
    pub ttl: Option<u64>,
    /// The claim that this registration takes the place of (rename).
    pub replaces: Option<Replaces>,
    /// A JSON object as text, given back with the outcome.
    pub metadata: Option<String>,
    /// Answer only when the outcome is final, or after so many milliseconds with what is known then; none: as soon as
    /// it is accepted.
    pub wait: Option<u64>,
    /// What it counts for at this node, where callers are told apart.
    pub charge: Option<Charge>,
    /// The client may not be told whether private names exist: taken or not, it is told that they are pending, at once. Set
    /// by [`Request::Discreet`].
    pub discreet: bool,
}

/// The claim that a rename ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaces {
    /// Its registration.
    pub registration: Uuid,
    /// The name.
    pub name: NameRequest,
}

/// Which events a page holds; every condition given must be met.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventFilter {
    /// Only these types; none for all.
    pub types: Vec<EventType>,
    /// Only registrations of this owner.
    pub owner: Option<String>,
    /// Only this registration.
    pub registration: Option<Uuid>,
    /// Only registrations with a name in this namespace.
    pub namespace: Option<String>,
    /// Only registrations that this node accepted, in this incarnation or an earlier one.
    pub local: bool,
    /// Only events at or after this time.
    pub since: Option<Millis>,
}
