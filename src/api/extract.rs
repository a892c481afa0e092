//! Extracts bodies, parameters and path segments from requests. Each failure is a [`Problem`].

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{self, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use uuid::Uuid;

use super::{Connections, MAX_BODY};
use crate::model::{Problem, ProblemType};

/// A JSON body. The gate has already checked that it is declared as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Box<Problem>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Box<Problem>> {
        parse(&read(request, state).await?).map(Body)
    }
}

/// A JSON body that may be left out.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Box<Problem>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Box<Problem>> {
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        parse(&bytes).map(Self)
    }
}

/// Refuses forms, and other bodies that a browser sends across sites without asking for permission first.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Box<Problem>> {
    check_type(headers, &["application/json"])
}

/// Refuses a body whose media type is not one of these. The refusal names the first one.
pub(super) fn check_type(headers: &HeaderMap, taken: &[&str]) -> Result<(), Box<Problem>> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if taken.iter().any(|taken| essence.eq_ignore_ascii_case(taken)) {
        return Ok(());
    }
    let detail = format!(
        "the body is declared as {declared:?}; nothing was read or done. Send JSON with the header 'Content-Type: {}', and \
         the same header with a call that has no body",
        taken.first().unwrap_or(&"")
    );
    Err(Problem::boxed(ProblemType::UnsupportedMediaType, detail))
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Box<Problem>> {
    let limits = request.extensions().get::<Connections>().copied().unwrap_or_default();
    arrived(Bytes::from_request(request, state), limits).await
}

/// Reads the whole of a body that is known to be small.
pub(super) async fn whole(body: axum::body::Body, limits: Connections) -> Result<Bytes, Box<Problem>> {
    arrived(Bytes::from_request(Request::new(body), &()), limits).await
}

async fn arrived(
    body: impl Future<Output = Result<Bytes, BytesRejection>>,
    limits: Connections,
) -> Result<Bytes, Box<Problem>> {
    let body = tokio::time::timeout(limits.body_within, body).await.map_err(|_| too_slow(limits))?;
    body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("the body is larger than {MAX_BODY} bytes; nothing was recorded, send less");
            return Problem::boxed(ProblemType::BodyTooLarge, detail);
        }
        let detail = format!("the body did not arrive whole ({rejection}); nothing was recorded, send it again");
        Problem::boxed(ProblemType::InvalidRequest, detail)
    })
}

/// The problem of a body that was not there within the limit.
pub(super) fn too_slow(limits: Connections) -> Box<Problem> {
    let detail =
        format!("the body did not arrive within {:?}; nothing was recorded, send it again", limits.body_within);
    Problem::boxed(ProblemType::TooSlow, detail)
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Box<Problem>> {
    // RFC 8259 lets a reader ignore a byte order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(text).map_err(|error| match error.classify() {
        Category::Data => {
            let detail = format!("the body does not fit: {error}; nothing was recorded, correct it");
            Problem::boxed(ProblemType::InvalidRequest, detail)
        }
        Category::Syntax | Category::Eof | Category::Io => {
            let detail = format!("the body is not JSON: {error}; nothing was recorded, correct it");
            Problem::boxed(ProblemType::MalformedJson, detail)
        }
    })
}

/// The query parameters.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Box<Problem>> {
        let Query(params) = Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            let detail = format!("{}; nothing was done, correct the parameters after the '?'", rejection.body_text());
            Problem::boxed(ProblemType::InvalidRequest, detail)
        })?;
        Ok(Self(params))
    }
}

/// The parameters of calls that take none: every parameter is refused.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParams {}

/// The variable segments of the path, percent-decoded.
pub(super) struct Segments<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Box<Problem>> {
        let Path(segments) =
            Path::<T>::from_request_parts(parts, state).await.map_err(|rejection: PathRejection| {
                let detail = format!("{}; nothing was done, correct the path", rejection.body_text());
                Problem::boxed(ProblemType::InvalidRequest, detail)
            })?;
        Ok(Self(segments))
    }
}

/// The registration id in a path.
pub(super) struct Id(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Box<Problem>> {
        let Segments(text) = Segments::<String>::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|error| {
            let detail = format!("{text:?} is not a registration id ({error}); nothing was done, give a UUID");
            Problem::boxed(ProblemType::InvalidRequest, detail)
        })
    }
}

/// Returns a JSON answer.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    whole_json(status, value).map(axum::body::Body::from)
}

/// Makes an answer with its whole body.
pub(super) fn whole_json<T: Serialize>(status: StatusCode, value: &T) -> http::Response<Vec<u8>> {
    let body = match serde_json::to_vec(value) {
        Ok(body) => body,
        Err(error) => return internal(&format!("the answer cannot be written as JSON: {error}")).whole(),
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Logs a fault of this node, and returns it as a problem.
pub(super) fn internal(what: &str) -> Box<Problem> {
    tracing::error!("{what}");
    let detail = format!("{what}; whether the request was done is not known, look before you ask again");
    Problem::boxed(ProblemType::Internal, detail)
}
