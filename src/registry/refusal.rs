//! The reasons why a request is refused.

use uuid::Uuid;

use crate::clock::NodeId;
use crate::log::{Denied, STARTS};
use crate::model::{Cursor, Name, RulesVersion};
use crate::name::Profile;

/// The reason why a registration cannot be changed any more. As a static text it is a stable code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Over {
    /// The registration lost.
    #[error("was rejected")]
    Rejected,
    /// The reservation has expired.
    #[error("is a reservation that has expired")]
    Expired,
    /// All names of the registration were released.
    #[error("has given up its names")]
    Released,
}

/// The reason why a registration does not end by itself. As a static text it is a stable code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Lasting {
    /// The registration was made without an end.
    #[error("was never a reservation")]
    NeverReserved,
    /// The registration was a reservation, and was activated.
    #[error("was activated")]
    Activated,
}

/// The reason why a request was refused. Nothing was recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Some of the names are held by others.
    #[error("not available: {}; nothing was registered, choose another name", list(.names))]
    NameTaken {
        /// The names that are not available, with their holders.
        names: Vec<Name>,
    },
    /// A name breaks a rule of its namespace.
    #[error("{namespace}/{name:?} is not a valid name: {why}")]
    InvalidName {
        /// The namespace.
        namespace: String,
        /// The name as typed.
        name: String,
        /// The rule that it breaks, as a stable code.
        reason: &'static str,
        /// The rule that it breaks, in words.
        why: String,
    },
    /// The request breaks a limit or contradicts itself.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The id belongs to a registration with other content.
    #[error("registration id {0} was used before with other content; nothing was registered, choose a new id")]
    IdReused(Uuid),
    /// The owner has as many open registrations as it may.
    #[error(
        "owner {owner:?} has {limit} registrations that are undecided or reservations not activated, which is the limit \
         per owner at this node; nothing was registered. Activate or release some, or wait until they are decided"
    )]
    TooManyOpen {
        /// The owner.
        owner: String,
        /// The limit.
        limit: u32,
    },
    /// The API token has as many open registrations as it may.
    #[error(
        "the API token {token:?} has {limit} registrations that are undecided or reservations not activated, which is its \
         limit at this node; nothing was registered. Activate or release some, or wait until they are decided"
    )]
    TokenTooManyOpen {
        /// The token's name.
        token: String,
        /// The limit.
        limit: u32,
    },
    /// The owner has as many registrations that hold names as it may.
    #[error(
        "owner {owner:?} has {limit} registrations that hold names, permanent ones counted, which is the limit per owner at \
         this node (max_total); nothing was registered. Release what is not needed, or have the node's operator raise the limit"
    )]
    TooManyHeld {
        /// The owner.
        owner: String,
        /// The limit.
        limit: u32,
    },
    /// The API token has as many registrations that hold names as it may.
    #[error(
        "the API token {token:?} has registered {limit} times at this node what still holds names, permanent registrations \
         counted, which is its limit (max_total); nothing was registered. Release what is not needed, or have the node's \
         operator raise the token's limit"
    )]
    TokenTooManyHeld {
        /// The token's name.
        token: String,
        /// The limit.
        limit: u32,
    },
    /// No such registration is known here.
    #[error("no registration {0} is known to this node; if it was accepted elsewhere, it may not have arrived yet")]
    NoRegistration(Uuid),
    /// The name is not held by the given owner, so nothing can be released or replaced.
    #[error("{namespace}/{name} is not held by owner {owner:?}; nothing was released")]
    NotHeld {
        /// The namespace.
        namespace: String,
        /// The name as typed.
        name: String,
        /// The given owner.
        owner: String,
    },
    /// The registration has ended or lost, so the request has no effect any more.
    #[error("registration {id} {reason}; nothing was changed")]
    TooLate {
        /// The registration's id.
        id: Uuid,
        /// The reason why it cannot be changed.
        reason: Over,
    },
    /// The registration is permanent, so there is nothing to extend.
    #[error(
        "registration {id} {reason}, so it does not end by itself and there is nothing to extend; nothing was changed"
    )]
    Permanent {
        /// The registration's id.
        id: Uuid,
        /// The reason why it is permanent.
        reason: Lasting,
    },
    /// The reservation has too many extensions that are not final yet.
    #[error(
        "reservation {id} was extended {limit} times, and not all nodes are known to know of that, so no more extensions \
         are taken here; it lasts as long as it was last told. Extend it by more at once, or again once that is final: \
         `forename status` shows which member is waited for"
    )]
    TooManyExtensions {
        /// The registration's id.
        id: Uuid,
        /// The limit of extensions that are not final.
        limit: usize,
    },
    /// The namespace has other rules than the version that the caller gave.
    #[error(
        "namespace {namespace} has other rules by now: version {version}; nothing was changed, look at them and set yours again"
    )]
    RulesChanged {
        /// The namespace.
        namespace: String,
        /// The version in force here.
        version: RulesVersion,
    },
    /// Names of the namespace are taken, and the change would give them other keys.
    #[error(
        "namespace {namespace} has names already, whose keys follow profile {} and whether they are private; they would not be \
         found under other ones, and could be taken twice. Nothing was changed: keep that, or begin a new namespace",
        .profile.name()
    )]
    NamespaceInUse {
        /// The namespace.
        namespace: String,
        /// The namespace's present profile.
        profile: Profile,
    },
    /// The cluster has no webhook of this id, as far as this node knows.
    #[error("there is no webhook {0} here; nothing was done, and one that was made at another node may be on its way")]
    NoWebhook(Uuid),
    /// The caller may not read, and the answer could show whether a private name exists.
    #[error(
        "{0}: only callers who may read are answered about that, since it would tell whether a private name exists; nothing \
         was done"
    )]
    NeedsRead(
        /// The kind of request, in words.
        &'static str,
    ),
    /// The disk is nearly full; the remaining room is reserved for what the node must still write.
    #[error(
        "the disk of this node has {free} bytes free, less than the {least} that it keeps for what it must still write; nothing \
         was registered, and what is registered is safe. Ask another node; its operator should make room"
    )]
    DiskLow {
        /// Free bytes.
        free: u64,
        /// Reserved bytes.
        least: u64,
    },
    /// The caller may change only registrations whose owner it names, or which its token opened.
    #[error(
        "registration {0} is not of the owner given, and is not one that this API token has opened here and that is undecided or \
         reserved; nothing was changed. Give the owner that it was registered for, as ?owner="
    )]
    NotOwner(Uuid),
    /// The caller's API token is limited to other namespaces.
    #[error("the API token does not reach {0}; nothing was done, use one that does")]
    OutOfReach(
        /// The namespace.
        String,
    ),
    /// This node is not a member yet, or no longer one.
    #[error("this node is still joining the cluster and takes no requests; ask another node, or again later")]
    NotMember,
    /// This node is a reader, which changes nothing.
    #[error(
        "this node is a reader: it answers what is asked and changes nothing, and nothing was changed. Ask a member{}",
        .members.iter().map(|member| format!(", {member}")).collect::<String>()
    )]
    Reader {
        /// The members that it knows, each with its label and the address of its peers' listener.
        members: Vec<String>,
    },
    /// This node's clock differs too much from its peers' clocks.
    #[error(
        "this node's clock is off from the median of the members by {offset} ms; nothing was registered, and it takes no \
         registrations until its clock is right. Ask another node; its operator should look at the machine's time service"
    )]
    ClockSuspect {
        /// The difference in milliseconds; positive where the peers are ahead.
        offset: i64,
    },
    /// There is no such member.
    #[error("{0} is no member of this cluster; nothing was changed. `forename member list` shows the members")]
    NoMember(NodeId),
    /// The members that would stay after the eviction are no majority.
    #[error(
        "evicting {node} would leave {staying} of the {members} members, which is no majority; nothing was changed. Bring another \
         node back first; where all others are lost for good, `forename recover` makes a cluster of what one directory holds"
    )]
    NoMajority {
        /// The member that was to be evicted.
        node: NodeId,
        /// The number of members.
        members: usize,
        /// The number of members that would stay.
        staying: usize,
    },
    /// The members that would stay are a majority, but this node is not in contact with a majority of all members.
    #[error(
        "of the {members} members this node is in contact with {heard} that would stay without {node}, itself counted, which is \
         no majority; it may be the one that is cut off. Nothing was changed. Not heard of: {}. Ask a node that reaches more of \
         them; with --force the eviction begins all the same and is carried out, whatever has happened meanwhile, as soon as a \
         majority hears of it", list_nodes(.unheard)
    )]
    NotInContact {
        /// The member that was to be evicted.
        node: NodeId,
        /// The number of members.
        members: usize,
        /// The number of staying members that this node has just heard from, itself included.
        heard: usize,
        /// The staying members that it has not heard from.
        unheard: Vec<NodeId>,
    },
    /// The node is the last member, which cannot leave or be evicted.
    #[error("this is the last member; with it the cluster would end. Stop the node instead")]
    LastMember,
    /// The node is leaving.
    #[error("this node is leaving the cluster and takes no more requests; ask another node")]
    Leaving,
    /// The node has issued its `Depart` op, which is the last op of its log.
    #[error(
        "this node has departed: its last op is out, so it cannot stay; to take part again, start a new node on an empty data directory"
    )]
    Departed,
    /// Some events after the given cursor are no longer kept.
    #[error(
        "the events after cursor {after} are no longer all kept. No registration or name is lost, but events that you have not \
         read are; read anew what became of the owners or registrations that you follow, and go on after cursor {restart}"
    )]
    EventsCompacted {
        /// The cursor that was given.
        after: Cursor,
        /// The place before the earliest event kept.
        restart: Cursor,
    },
    /// The cursor was not given by this node's present feed.
    #[error(
        "cursor {after} is none of this node's present feed: it is another node's, or this node has begun a new feed since, as \
         it does when it comes back from an eviction or a backup. No event is lost: the new feed tells anew what this node \
         accepted. Go on after cursor {restart}, and drop the events whose ids you know"
    )]
    CursorUnknown {
        /// The cursor that was given.
        after: Cursor,
        /// The place before the earliest event kept.
        restart: Cursor,
    },
    /// The node is stopping or cannot keep up.
    #[error("the node cannot take the request now: {0}; nothing is known of it, ask again with the same id")]
    Unavailable(String),
}

fn list_nodes(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn list(names: &[Name]) -> String {
    let why = |name: &Name| match (&name.looks_like, name.free_at) {
        (Some(held), _) => format!(" (it looks like {held:?}, which is taken)"),
        (None, Some(at)) => format!(" (it was given up, and is kept from others until {at})"),
        (None, None) => String::new(),
    };
    let names: Vec<_> = names.iter().map(|name| format!("{}/{}{}", name.namespace, name.name, why(name))).collect();
    names.join(", ")
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotMember => Self::NotMember,
            Denied::Reader => Self::Reader { members: Vec::new() },
            Denied::Leaving => Self::Leaving,
            Denied::Departed => Self::Departed,
            Denied::LastMember => Self::LastMember,
            Denied::Starts => Self::Unavailable(STARTS.to_owned()),
            Denied::Itself => {
                Self::InvalidRequest("a node does not evict itself; ask it to leave, or ask another member".to_owned())
            }
            Denied::NoMember(node) => Self::NoMember(node),
            Denied::NoMajority { node, members, staying } => Self::NoMajority { node, members, staying },
            Denied::NotInContact { node, members, heard, unheard } => {
                Self::NotInContact { node, members, heard, unheard }
            }
        }
    }
}
