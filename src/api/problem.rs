//! Problems of the HTTP interface: how a refusal becomes one, and how it is sent.

use axum::body::Body;
use axum::http::{self, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::{Problem, ProblemType, Registration, Scope};
use crate::name::shown;
use crate::replica::Refusal;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    /// Makes a problem in a box, as the handlers return it.
    pub(super) fn boxed(problem_type: ProblemType, detail: impl Into<String>) -> Box<Self> {
        Box::new(Self::new(problem_type, detail))
    }

    /// Returns the value of the header `WWW-Authenticate` (RFC 6750, section 3).
    fn challenge(&self) -> Option<HeaderValue> {
        let realm = "Bearer realm=\"forename\"";
        let text = match (self.problem_type, self.scope) {
            (ProblemType::Unauthorized, _) => realm.to_owned(),
            (ProblemType::Forbidden, Some(scope)) => {
                format!("{realm}, error=\"insufficient_scope\", scope=\"{scope}\"")
            }
            _ => return None,
        };
        HeaderValue::try_from(text).ok()
    }

    /// The problem of a registration that was accepted and then rejected.
    pub(super) fn rejected(registration: Registration) -> Self {
        let lost = match &registration.rejected_by {
            Some(by) => format!("{}/{} went to an earlier claim", by.namespace, shown(&by.name)),
            None => "an earlier claim has one of the names".to_owned(),
        };
        let detail = format!("{lost}; the registration is rejected for good and holds no name, choose another name");
        Self { registration: Some(Box::new(registration)), ..Self::new(ProblemType::RegistrationRejected, detail) }
    }
}

fn code(reason: impl Into<&'static str>) -> String {
    reason.into().to_owned()
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let problem = |problem_type| Self::new(problem_type, detail);
        match refusal {
            Refusal::NameTaken { names } => Self { names, ..problem(ProblemType::NameTaken) },
            Refusal::InvalidName { namespace, name, reason, why } => Self {
                namespace: Some(namespace),
                name: Some(name),
                reason: Some(reason.to_owned()),
                why: Some(why),
                ..problem(ProblemType::InvalidName)
            },
            Refusal::InvalidRequest(_) => problem(ProblemType::InvalidRequest),
            Refusal::IdReused(id) => Self { id: Some(id), ..problem(ProblemType::IdReused) },
            // The count goes down when somebody activates a reservation, or when a member can be reached again.
            Refusal::TooManyOpen { owner: _, limit } | Refusal::TokenTooManyOpen { token: _, limit } => {
                Self { limit: Some(limit), retry_after: Some(30), ..problem(ProblemType::TooManyOpen) }
            }
            // A client has to release something first.
            Refusal::TooManyHeld { owner: _, limit } | Refusal::TokenTooManyHeld { token: _, limit } => {
                Self { limit: Some(limit), retry_after: Some(30), ..problem(ProblemType::TooManyHeld) }
            }
            Refusal::NoWebhook(id) => Self { id: Some(id), ..problem(ProblemType::NoWebhook) },
            Refusal::NoRegistration(id) => Self { id: Some(id), ..problem(ProblemType::NoRegistration) },
            Refusal::NotHeld { namespace, name, owner: _ } => {
                Self { namespace: Some(namespace), name: Some(name), ..problem(ProblemType::NotHeld) }
            }
            Refusal::TooLate { id, reason } => {
                Self { id: Some(id), reason: Some(code(reason)), ..problem(ProblemType::TooLate) }
            }
            Refusal::Permanent { id, reason } => {
                Self { id: Some(id), reason: Some(code(reason)), ..problem(ProblemType::Permanent) }
            }
            Refusal::TooManyExtensions { id, limit: _ } => {
                Self { id: Some(id), retry_after: Some(1), ..problem(ProblemType::TooManyExtensions) }
            }
            Refusal::RulesChanged { namespace, version: _ } => {
                Self { namespace: Some(namespace), ..problem(ProblemType::RulesChanged) }
            }
            Refusal::NamespaceInUse { namespace, profile: _ } => {
                Self { namespace: Some(namespace), ..problem(ProblemType::NamespaceInUse) }
            }
            Refusal::NeedsRead(_) => Self { scope: Some(Scope::Read), ..problem(ProblemType::Forbidden) },
            // An operator has to free disk space. Another node may have some.
            Refusal::DiskLow { .. } => Self { retry_after: Some(60), ..problem(ProblemType::DiskLow) },
            Refusal::NotOwner(id) => Self { id: Some(id), ..problem(ProblemType::NotOwner) },
            Refusal::OutOfReach(_) => problem(ProblemType::OutOfReach),
            Refusal::Reader { .. } => problem(ProblemType::Reader),
            Refusal::NotMember => Self { retry_after: Some(1), ..problem(ProblemType::NotMember) },
            // Putting a clock right takes minutes rather than seconds, so another node is the better choice.
            Refusal::ClockSuspect { offset } => {
                Self { offset_ms: Some(offset), retry_after: Some(30), ..problem(ProblemType::ClockSuspect) }
            }
            Refusal::NoMember(_) => problem(ProblemType::NoMember),
            Refusal::NoMajority { .. } => problem(ProblemType::NoMajority),
            Refusal::NotInContact { .. } => problem(ProblemType::NotInContact),
            Refusal::Departed => problem(ProblemType::Departed),
            Refusal::LastMember => problem(ProblemType::LastMember),
            Refusal::Leaving => problem(ProblemType::Leaving),
            Refusal::EventsCompacted { after: _, restart } => {
                Self { restart: Some(restart), ..problem(ProblemType::EventsCompacted) }
            }
            Refusal::CursorUnknown { after: _, restart } => {
                Self { restart: Some(restart), ..problem(ProblemType::CursorUnknown) }
            }
            Refusal::Unavailable(_) => Self { retry_after: Some(1), ..problem(ProblemType::Unavailable) },
        }
    }
}

impl Problem {
    /// Makes the answer that says it, with its whole body.
    pub(super) fn whole(&self) -> http::Response<Vec<u8>> {
        let mut response = http::Response::new(serde_json::to_vec(self).unwrap_or_default());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self.problem_type);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.whole().map(Body::from)
    }
}

impl IntoResponse for Box<Problem> {
    fn into_response(self) -> Response {
        (*self).into_response()
    }
}
