//! The JSON of the HTTP interface, for both of its ends: the node writes what a [`Client`](crate::Client) reads.
//!
//! What a client sends refuses unknown fields, so that a misspelt option is not silently left out. What a node sends
//! may grow, so readers skip what they do not know.

mod cluster;
mod event;
mod explain;
mod namespace;
mod reading;
mod registration;
mod text;

pub use cluster::{
    Cluster, Cut, Eviction, Fork, Hindrance, Member, MemberState, Newcomer, Overdue, TokenBody, TokenIssued,
};
pub use event::{Event, EventData, Events, UnknownEventType, event_type_from_text, event_type_text};
pub use explain::{AwaitedMember, Case, DecidingOp, Explanation};
pub use namespace::{Lookalikes, Namespace, NamespaceBody, NamespaceBodyError, ProfileName, Version, VersionError};
pub use reading::{
    CheckedName, CheckedNames, Conflict, ConflictStatus, Conflicts, Contender, History, PlaceError, PlaceText,
    TakenName, TakenNames, Tenure,
};
pub use registration::{
    BatchLine, Claim, ExtensionBody, Metadata, MetadataError, Name, NameRef, Registration, RegistrationBody,
    Registrations, RejectedBy, ReplacesBody, Wait, Waiting,
};
pub(crate) use text::TextOrSeconds;
pub use text::{Span, SpanError, Time, TimeError, hlc, stamp};

/// For `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
