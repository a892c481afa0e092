//! Problems: why something was not done, as RFC 9457 problems with a stable `type`.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::EnumProperty;
use uuid::Uuid;

use super::{Cursor, Name, Registration, Scope};

/// The prefix of the `type` of every problem.
const URN: &str = "urn:forename:problem:";

/// The kind of a problem. It gives the `type` member, the HTTP status and the title.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::IntoStaticStr, strum::EnumString, strum::EnumProperty)]
#[cfg_attr(any(test, feature = "node"), derive(strum::VariantArray))]
#[strum(serialize_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemType {
    /// Some of the names are held by others.
    #[strum(props(status = 409, title = "Name taken"))]
    NameTaken,
    /// The registration lost a name to an earlier claim. This is final.
    #[strum(props(status = 409, title = "Registration rejected"))]
    RegistrationRejected,
    /// The id belongs to a registration with other content.
    #[strum(props(status = 409, title = "Registration id used before"))]
    IdReused,
    /// The registration has ended or lost.
    #[strum(props(status = 409, title = "Too late"))]
    TooLate,
    /// The registration is permanent, so there is nothing to extend.
    #[strum(props(status = 409, title = "Not a reservation"))]
    Permanent,
    /// The reservation was extended too often for now.
    #[strum(props(status = 429, title = "Too many extensions"))]
    TooManyExtensions,
    /// A name breaks a rule of its namespace.
    #[strum(props(status = 422, title = "Invalid name"))]
    InvalidName,
    /// The namespace has other rules than the caller has seen.
    #[strum(props(status = 409, title = "Rules changed"))]
    RulesChanged,
    /// Names of the namespace are taken, and the change would give the same names other keys.
    #[strum(props(status = 409, title = "Namespace has names"))]
    NamespaceInUse,
    /// The request breaks a limit, has the wrong shape or contradicts itself.
    #[strum(props(status = 400, title = "Invalid request"))]
    InvalidRequest,
    /// The body is not JSON.
    #[strum(props(status = 400, title = "Malformed JSON"))]
    MalformedJson,
    /// The body is larger than the node accepts.
    #[strum(props(status = 413, title = "Body too large"))]
    BodyTooLarge,
    /// The body takes too long to arrive.
    #[strum(props(status = 408, title = "Too slow"))]
    TooSlow,
    /// The body is not declared to be JSON.
    #[strum(props(status = 415, title = "Unsupported media type"))]
    UnsupportedMediaType,
    /// The owner, or the API token, has as many open registrations as it may have.
    #[strum(props(status = 429, title = "Too many open registrations"))]
    TooManyOpen,
    /// The owner, or the API token, has as many registrations that hold names as it may have.
    #[strum(props(status = 429, title = "Too many held registrations"))]
    TooManyHeld,
    /// The API token, or the address, has just sent as many requests as it may send.
    #[strum(props(status = 429, title = "Too many requests"))]
    TooManyRequests,
    /// The disk is nearly full.
    #[strum(props(status = 507, title = "Disk low"))]
    DiskLow,
    /// The call has no API token of this node.
    #[strum(props(status = 401, title = "API token needed"))]
    Unauthorized,
    /// The API token does not allow its bearer this call, or does not allow it to read what the answer would show.
    #[strum(props(status = 403, title = "Scope missing"))]
    Forbidden,
    /// The call names a host that is not this node.
    #[strum(props(status = 421, title = "Unknown host"))]
    HostUnknown,
    /// The call is meant for another cluster than the node's.
    #[strum(props(status = 421, title = "Other cluster"))]
    OtherCluster,
    /// The call comes from a web page that may not call the node.
    #[strum(props(status = 403, title = "Origin refused"))]
    OriginRefused,
    /// The caller has not named the owner of the registration, and may change only its own registrations.
    #[strum(props(status = 403, title = "Not the owner"))]
    NotOwner,
    /// The API token does not reach the namespace.
    #[strum(props(status = 403, title = "Namespace out of reach"))]
    OutOfReach,
    /// The node knows no such registration.
    #[strum(props(status = 404, title = "No such registration"))]
    NoRegistration,
    /// The node knows no such webhook.
    #[strum(props(status = 404, title = "No such webhook"))]
    NoWebhook,
    /// The name is not held by that owner.
    #[strum(props(status = 404, title = "Name not held"))]
    NotHeld,
    /// No call has this path.
    #[strum(props(status = 404, title = "No such resource"))]
    NoRoute,
    /// No call with this path has this method.
    #[strum(props(status = 405, title = "Method not allowed"))]
    MethodNotAllowed,
    /// There is no such member.
    #[strum(props(status = 404, title = "No such member"))]
    NoMember,
    /// The members that would stay are no majority.
    #[strum(props(status = 409, title = "No majority would stay"))]
    NoMajority,
    /// A majority that would stay is not in contact.
    #[strum(props(status = 409, title = "No majority in contact"))]
    NotInContact,
    /// The node has issued its last op and cannot stay.
    #[strum(props(status = 409, title = "Departed already"))]
    Departed,
    /// The last member cannot leave.
    #[strum(props(status = 409, title = "Last member"))]
    LastMember,
    /// The events after the given cursor are no longer kept.
    #[strum(props(status = 410, title = "Events no longer kept"))]
    EventsCompacted,
    /// The cursor does not belong to the node's present feed.
    #[strum(props(status = 410, title = "Cursor of another feed"))]
    CursorUnknown,
    /// The node is leaving the cluster.
    #[strum(props(status = 503, title = "Leaving"))]
    Leaving,
    /// The node is still joining.
    #[strum(props(status = 503, title = "Not a member yet"))]
    NotMember,
    /// The node is a reader, which changes nothing. Another node has to be asked.
    #[strum(props(status = 503, title = "Reader"))]
    Reader,
    /// The node's clock is wrong.
    #[strum(props(status = 503, title = "Clock suspect"))]
    ClockSuspect,
    /// The node is stopping or cannot keep up.
    #[strum(props(status = 503, title = "Unavailable"))]
    Unavailable,
    /// The node has a fault.
    #[strum(props(status = 500, title = "Internal error"))]
    Internal,
    /// This version does not know the kind. Only clients meet it, in an answer.
    #[strum(props(status = 500, title = "Unknown problem"))]
    Unknown,
}

impl ProblemType {
    /// Returns the HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.get_int("status").and_then(|status| u16::try_from(status).ok()).unwrap_or(500)
    }

    /// Returns the URN of the kind with this name.
    #[cfg(feature = "cli")]
    pub(crate) fn urn(name: &str) -> String {
        format!("{URN}{name}")
    }

    /// Returns the name at the end of the URN, like `name-taken`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{URN}{}", self.name()))
    }
}

impl<'de> Deserialize<'de> for ProblemType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.strip_prefix(URN).and_then(|name| name.parse().ok()).unwrap_or(Self::Unknown))
    }
}

/// A problem, as it travels.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[error("{detail}")]
#[non_exhaustive]
pub struct Problem {
    /// Which kind.
    #[serde(rename = "type")]
    pub problem_type: ProblemType,
    /// The same for all of its kind.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What happened, what it means for the data, what to do next.
    pub detail: String,
    /// With `name-taken`: which names, and by whom; with `registration-rejected` the lost one, where alternatives were asked
    /// for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Name>,
    /// With `registration-rejected`: the registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Box<Registration>>,
    /// With `id-reused`, `no-registration`, `too-late`, `permanent` and `too-many-extensions`: which registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// With `invalid-name`, `not-held`, `rules-changed` and `namespace-in-use`: which, or of which name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// With `invalid-name` and `not-held`: as typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `invalid-name`, `too-late` and `permanent`: a code for why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `invalid-name`: which rule it breaks, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// With `clock-suspect`: how far the peers are ahead, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<i64>,
    /// With `cursor-unknown` and `events-compacted`: the cursor to go on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Cursor>,
    /// With `too-many-open` and `too-many-held`: how many the owner, or the API token, may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// With `forbidden`: what the API token lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Seconds after which to ask again; also in the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// Returns true where the names went to another registration, now or for good.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.problem_type, ProblemType::NameTaken | ProblemType::RegistrationRejected)
    }

    /// Returns a problem without further fields.
    #[must_use]
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            problem_type,
            title: Cow::Borrowed(problem_type.get_str("title").unwrap_or_default()),
            status: problem_type.status(),
            detail: detail.into(),
            names: Vec::new(),
            registration: None,
            id: None,
            namespace: None,
            name: None,
            reason: None,
            why: None,
            offset_ms: None,
            restart: None,
            limit: None,
            scope: None,
            retry_after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn every_kind_has_its_own_urn_and_is_read_as_written() {
        for &kind in ProblemType::VARIANTS {
            let problem = Problem::new(kind, "why");
            assert!(kind.get_int("status") == Some(problem.status.into()) && !problem.title.is_empty(), "{problem:?}");
            let text = serde_json::to_string(&problem).unwrap();
            assert!(text.contains(&format!("\"urn:forename:problem:{}\"", kind.name())), "{text}");
            assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        }
    }

    #[test]
    fn a_client_reads_kinds_it_does_not_know() {
        let text = r#"{"type": "urn:forename:problem:quota", "title": "t", "status": 429, "detail": "d", "more": 1}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!((problem.problem_type, problem.status), (ProblemType::Unknown, 429));
    }
}
