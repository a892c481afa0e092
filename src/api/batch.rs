//! Batches: many registrations in one request. Each line of the body is a registration, and each line of the answer its
//! outcome.
//!
//! Answers come in the order of the lines. A few hundred lines are under way at a time, and the node reads no more from
//! the client until the client has taken the answers. So memory is bounded for a batch of any length.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{AnyDelimiterCodec, Decoder};

use super::auth::Caller;
use super::extract::{NoParams, Params, parse};
use super::header_names::IDEMPOTENCY_KEY;
use super::places::Place;
use super::registrations::{accepted, invalid, registered};
use super::{Api, Connections, MAX_BODY};
use crate::model::limits::MAX_BATCH;
use crate::model::{BatchLine, NDJSON, RegistrationBody};
use crate::model::{Problem, ProblemType};
use crate::node::Handle;

/// The path that batches are posted to.
pub(super) const PATH: &str = "/v1/registrations:batch";
/// The media types that a batch may have: the standard name, and others that are in use for the same format.
pub(super) const ALSO_NDJSON: [&str; 4] = [NDJSON, "application/ndjson", "application/jsonl", "application/json-lines"];

/// The number of lines of one batch that are under way at a time. A guess: a good part of what one fsync covers.
pub(crate) const AT_ONCE: usize = 256;
/// The number of finished lines that are sent in one chunk of the answer.
const TOGETHER: usize = 64;

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    caller: Caller,
    limits: Option<Extension<Connections>>,
    Params(NoParams {}): Params<NoParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Box<Problem>> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(invalid("a batch has no Idempotency-Key; give each line an id"));
    }
    let place = caller.place(&api.batches, "batches")?;
    let within = limits.map_or_else(Connections::default, |limits| limits.0).body_within;
    let (caller, tokens) = (Arc::new(caller), api.tokens.watch());
    let answers = lines(body.into_data_stream(), within, place).map(move |(number, line)| {
        // The API tokens were replaced meanwhile, so the caller's token may no longer be valid.
        let line = if tokens.has_changed().unwrap_or(true) { Err(let_in_before()) } else { line };
        answer(Arc::clone(&api), Arc::clone(&caller), number, line)
    });
    let pieces = answers.buffered(AT_ONCE).ready_chunks(TOGETHER).map(|lines| Ok::<_, std::io::Error>(written(&lines)));
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(pieces)).into_response())
}

fn let_in_before() -> Box<Problem> {
    let detail =
        "the node's API tokens were changed while it read the batch; the line was not registered, send it again";
    Box::new(Problem { retry_after: Some(1), ..Problem::new(ProblemType::Unavailable, detail) })
}

async fn answer(api: Arc<Api>, caller: Arc<Caller>, line: u64, text: Result<Bytes, Box<Problem>>) -> BatchLine {
    caller.bucket.wait().await;
    let body = text.and_then(|text| parse::<RegistrationBody>(&text));
    batch_line(&api.handle, Some(&caller), line, body).await
}

/// Registers one line of a batch, and returns its outcome.
pub(crate) async fn batch_line(
    handle: &Handle,
    caller: Option<&Caller>,
    line: u64,
    body: Result<RegistrationBody, Box<Problem>>,
) -> BatchLine {
    let outcome = async { registered(handle, caller, body?).await };
    match outcome.await {
        Ok(registration) => {
            let status = accepted(&registration).as_u16();
            BatchLine { line, status, registration: Some(registration), problem: None }
        }
        Err(problem) => BatchLine { line, status: problem.status, registration: None, problem: Some(problem) },
    }
}

fn written(lines: &[BatchLine]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        // A line consists of strings, numbers and maps with text keys, so serializing it cannot fail.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}

/// A request's body that is split into lines as it arrives.
struct Lines {
    body: BodyDataStream,
    codec: AnyDelimiterCodec,
    /// Bytes that have arrived and do not make a whole line yet.
    rest: BytesMut,
    /// True where the body has ended.
    ended: bool,
    number: u64,
    /// How long the next bytes may take.
    within: Duration,
    _place: Place,
}

/// Returns the lines of a body with their numbers. Empty lines are left out, and a line that is too long gives a
/// problem.
fn lines(
    body: BodyDataStream,
    within: Duration,
    place: Place,
) -> impl Stream<Item = (u64, Result<Bytes, Box<Problem>>)> {
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"\n".to_vec(), MAX_BODY);
    let lines = Lines { body, codec, rest: BytesMut::new(), ended: false, number: 0, within, _place: place };
    stream::unfold(lines, |mut lines| async move { lines.next().await.map(|line| (line, lines)) })
}

impl Lines {
    /// Returns a problem for the line that did not arrive in time, and ends the batch.
    fn too_slow(&mut self) -> (u64, Result<Bytes, Box<Problem>>) {
        let why = format!(
            "nothing came for {:?}, so the batch is over; this line and those after it were not registered, send them in \
             another batch",
            self.within
        );
        let number = self.number + 1;
        self.number = u64::MAX;
        (number, Err(Problem::boxed(ProblemType::TooSlow, why)))
    }

    async fn next(&mut self) -> Option<(u64, Result<Bytes, Box<Problem>>)> {
        while self.number <= MAX_BATCH {
            let decode = if self.ended { AnyDelimiterCodec::decode_eof } else { AnyDelimiterCodec::decode };
            let line = match decode(&mut self.codec, &mut self.rest) {
                Ok(None) if self.ended => return None,
                Ok(None) => {
                    match tokio::time::timeout(self.within, self.body.next()).await {
                        Ok(Some(Ok(bytes))) => self.rest.extend_from_slice(&bytes),
                        // A line that the client did not finish sending is not registered.
                        Ok(Some(Err(_))) => return None,
                        Ok(None) => self.ended = true,
                        Err(_) => return Some(self.too_slow()),
                    }
                    continue;
                }
                Ok(Some(line)) => Ok(line),
                Err(_) => {
                    let why =
                        format!("the line is longer than {MAX_BODY} bytes; nothing of it was recorded, send less");
                    Err(Problem::boxed(ProblemType::BodyTooLarge, why))
                }
            };
            self.number += 1;
            if self.number > MAX_BATCH {
                let why = format!(
                    "a batch has at most {MAX_BATCH} lines; this one and those after it were not read, send them in another"
                );
                return Some((self.number, Err(Problem::boxed(ProblemType::InvalidRequest, why))));
            }
            if !line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
                return Some((self.number, line));
            }
        }
        None
    }
}
