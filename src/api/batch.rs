//! Many registrations in one request: a line each, in and out, as they come.
//!
//! Answers come in the order of the lines. A few hundred lines are under way at a time, and no more is read from the
//! client before it has taken the answers, so memory is bounded whatever the length of the batch.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::auth::Caller;
use super::extract::{NoParams, Params, check_type, parse};
use super::json::{BatchLine, RegistrationBody};
use super::problem::{Problem, ProblemType};
use super::registrations::{invalid, registered};
use super::{Api, MAX_BODY};
use crate::replica::limits::MAX_BATCH;

/// The media type of lines of JSON.
pub const NDJSON: &str = "application/x-ndjson";
/// Other names for it that are in use.
const ALSO_NDJSON: [&str; 4] = [NDJSON, "application/ndjson", "application/jsonl", "application/json-lines"];

/// Lines of one batch that are under way at a time: a good part of what one fsync covers. A guess.
const AT_ONCE: usize = 256;
/// Lines of an answer that go out in one piece, where they are ready.
const TOGETHER: usize = 64;

pub(super) async fn register(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Box<Problem>> {
    check_type(&headers, &ALSO_NDJSON)?;
    if headers.contains_key("idempotency-key") {
        return Err(invalid("a batch has no Idempotency-Key; give each line an id"));
    }
    let Ok(permit) = Arc::clone(&api.batches).try_acquire_owned() else {
        let detail =
            "as many batches are under way as this node takes at a time; nothing was done, send it again later";
        return Err(Box::new(Problem { retry_after: Some(1), ..Problem::new(ProblemType::Unavailable, detail) }));
    };
    let (caller, tokens) = (Arc::new(caller), api.tokens.watch());
    let answers = lines(body.into_data_stream(), permit).map(move |(number, line)| {
        // Whoever was let in may have been shut out since.
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

/// What becomes of a line.
async fn answer(api: Arc<Api>, caller: Arc<Caller>, line: u64, text: Result<Bytes, Box<Problem>>) -> BatchLine {
    let outcome = async { registered(&api, &caller, parse::<RegistrationBody>(&text?)?).await };
    match outcome.await {
        Ok((registration, status)) => {
            BatchLine { line, status: status.as_u16(), registration: Some(registration), problem: None }
        }
        Err(problem) => BatchLine { line, status: problem.status, registration: None, problem: Some(problem) },
    }
}

fn written(lines: &[BatchLine]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        // Of strings, numbers and maps with text for keys, so it cannot fail.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
        }
    }
    text.into()
}

/// A request's body on its way into lines.
struct Lines {
    body: BodyDataStream,
    /// What has arrived and is not a whole line.
    rest: Vec<u8>,
    /// How much of it has no end of line.
    searched: usize,
    /// The line under way is too long: what comes of it is dropped.
    drops: bool,
    number: u64,
    /// Nothing more arrives.
    ended: bool,
    /// Nothing more is read.
    over: bool,
    _permit: OwnedSemaphorePermit,
}

/// The lines of a body with their numbers, without empty ones; a problem in the place of one that is too long.
fn lines(body: BodyDataStream, permit: OwnedSemaphorePermit) -> impl Stream<Item = (u64, Result<Bytes, Box<Problem>>)> {
    let lines = Lines {
        body,
        rest: Vec::new(),
        searched: 0,
        drops: false,
        number: 0,
        ended: false,
        over: false,
        _permit: permit,
    };
    stream::unfold(lines, |mut lines| async move { lines.next().await.map(|line| (line, lines)) })
}

impl Lines {
    async fn next(&mut self) -> Option<(u64, Result<Bytes, Box<Problem>>)> {
        while !self.over {
            if let Some(end) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(self.searched + end + 1);
                let line = std::mem::replace(&mut self.rest, rest);
                self.searched = 0;
                if let Some(line) = self.whole(line) {
                    return Some(line);
                }
            } else if self.ended {
                self.over = true;
                let line = std::mem::take(&mut self.rest);
                return self.whole(line);
            } else {
                self.read().await;
            }
        }
        None
    }

    async fn read(&mut self) {
        self.searched = self.rest.len();
        if self.searched > MAX_BODY {
            (self.drops, self.searched) = (true, 0);
            self.rest.clear();
        }
        match self.body.next().await {
            Some(Ok(bytes)) => self.rest.extend_from_slice(&bytes),
            // What the client did not finish to send is not registered.
            Some(Err(_)) => (self.over, self.ended) = (true, true),
            None => self.ended = true,
        }
    }

    /// A line that is whole, or what there is at the end; none for an empty one.
    fn whole(&mut self, line: Vec<u8>) -> Option<(u64, Result<Bytes, Box<Problem>>)> {
        let dropped = std::mem::take(&mut self.drops);
        if line.is_empty() && !dropped {
            return None;
        }
        self.number += 1;
        if self.number > MAX_BATCH {
            self.over = true;
            let why = format!(
                "a batch has at most {MAX_BATCH} lines; this one and those after it were not read, send them in another"
            );
            return Some((self.number, Err(Problem::boxed(ProblemType::InvalidRequest, why))));
        }
        if dropped || line.len() > MAX_BODY {
            let why = format!("the line is longer than {MAX_BODY} bytes; nothing of it was recorded, send less");
            return Some((self.number, Err(Problem::boxed(ProblemType::BodyTooLarge, why))));
        }
        if line.trim_ascii().is_empty() {
            return None;
        }
        Some((self.number, Ok(line.into())))
    }
}
