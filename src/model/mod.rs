//! The types that clients and nodes exchange: bodies of requests, answers, problems.
//!
//! The HTTP interface, [`Client`](crate::Client), [`Node`](crate::Node) and the command line use the same types. A type
//! that a client sends refuses unknown fields, so that a misspelt option is not ignored. A type that a node sends may
//! get more fields, so readers skip fields that they do not know.
//!
//! This module depends on `clock` and on nothing else of this crate.

mod cluster;
mod cursor;
mod event;
mod explain;
mod health;
pub mod limits;
mod metadata;
mod name;
mod namespace;
mod namespaces;
pub(crate) mod object;
mod problem;
mod query;
mod registration;
#[cfg(feature = "node")]
mod schema;
mod scope;
mod settings;
mod status;
mod text;
mod webhook;

pub use cluster::{
    Cluster, Cut, EventRange, Eviction, Fork, Hindrance, Member, MemberState, Newcomer, Overdue, TokenBody, TokenIssued,
};
pub use cursor::{ClaimPlace, Cursor, CursorError, OwnerPlace, Place, PlaceError};
pub use event::{Event, EventData, Events, UnknownEventType, event_type_from_text, event_type_text};
pub use explain::{AwaitedMember, Case, DecidingOp, Explanation};
pub use health::{Health, Trouble, Verdict};
pub use metadata::{Metadata, MetadataError};
pub use name::{
    CheckedName, CheckedNames, Conflict, ConflictStatus, Conflicts, Contender, History, Name, TakenName, TakenNames,
    Tenure,
};
pub use namespace::{Characters, HeldFor, Lookalikes, Namespace, NamespaceBody, NamespacePatch, ProfileName};
pub use namespaces::{ListedNamespace, Namespaces};
pub use problem::{Problem, ProblemType};
pub use query::{EventQuery, NameQuery};
pub use registration::{
    BatchLine, Claim, ExtensionBody, NameRef, NewNamespace, Registration, RegistrationBody, Registrations, RejectedBy,
    ReplacesBody, Wait, WaitReason, Waiting,
};
pub use scope::Scope;
pub use settings::{
    CLUSTER_HEADER, ClusterId, ClusterIdError, ClusterSettings, ClusterSettingsBody, EvictAfter, EvictAfterError, Keep,
    KeepError, SettingsError,
};
pub use status::{EndReason, EventType, NameStatus, Precedence, RulesVersion, RulesVersionError, Status};
pub use text::{Span, SpanError, Time, TimeError, hlc, stamp};
pub use webhook::{
    DeadLetter, DeadLetters, Deliver, EventKind, MissedEvents, Replayed, RotationBody, Webhook, WebhookBody,
    WebhookDelivery, WebhookPatch, WebhookTest, Webhooks,
};

pub use crate::clock::{Hlc, Millis, NodeId, Stamp};

/// The number of an op in its origin's log, from 1.
pub type Seq = u64;

/// The media type of lines of JSON. Batches are sent and answered in it.
pub const NDJSON: &str = "application/x-ndjson";

/// Used in `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
