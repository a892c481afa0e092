//! Serves the event feed as pages and as a stream of server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Api;
use super::auth::{ApiToken, Caller};
use super::extract::{Params, json};
use super::header_names::LAST_EVENT_ID;
use super::places::Place;
use super::registrations::page_limit;
use crate::model::{Cursor, Event, EventQuery, EventType, Time, event_type_from_text, event_type_text};
use crate::model::{Problem, ProblemType};
use crate::replica::EventsAfter;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedParams {
    /// The cursor of the last event that the reader has dealt with; without it, the feed begins with the earliest event kept.
    after: Option<Cursor>,
    /// Only events at or after this time.
    since: Option<Time>,
    /// Only these types, separated by commas. The last word of each will do: `confirmed,rejected`.
    #[param(value_type = Option<Vec<EventType>>, style = Form, explode = false)]
    types: Option<String>,
    /// Only registrations of this owner.
    owner: Option<String>,
    /// Only this registration.
    registration: Option<Uuid>,
    /// Only registrations with a name in this namespace.
    namespace: Option<String>,
    /// `local`: only registrations that this node accepted.
    #[param(inline)]
    origin: Option<Origin>,
    /// How many events a page has at most; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Local,
    Any,
}

impl FeedParams {
    fn query(self) -> Result<EventQuery, Box<Problem>> {
        let limit = page_limit(self.limit)?;
        let types = self.types.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|text| !text.is_empty());
        let types = types.map(event_type_from_text).collect::<Result<_, _>>().map_err(|error| {
            Problem::boxed(ProblemType::InvalidRequest, format!("types: {error}; nothing was read"))
        })?;
        Ok(EventQuery {
            types,
            owner: self.owner,
            registration: self.registration,
            namespace: self.namespace,
            local: self.origin == Some(Origin::Local),
            since: self.since,
            limit: Some(limit),
        })
    }
}

/// Serves a page, or a stream to clients that accept `text/event-stream`. For a stream, `limit` is the number of events
/// that are read at a time.
pub(super) async fn feed(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<FeedParams>,
) -> Result<Response, Box<Problem>> {
    let (last, after, query) = (last_event_id(&headers)?, params.after, params.query()?);
    if !wants_stream(&headers) {
        return Ok(json(StatusCode::OK, &api.query(EventsAfter::new(after, query), &caller).await?));
    }
    let feed = Feed::open(api, caller, last.or(after), query).await?;
    Ok(Sse::new(feed.into_stream()).keep_alive(KeepAlive::default()).into_response())
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        range.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("text/event-stream"))
    })
}

/// Returns the cursor from which a client goes on after a lost connection. It is newer than the one in the address,
/// which the client was given at first.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, Box<Problem>> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let detail =
            format!("the header Last-Event-ID is {text:?}; nothing was read, give the id of a message of this stream");
        Problem::boxed(ProblemType::InvalidRequest, detail)
    })
}

/// The position of one reader in the feed. It holds one page at most, and reads the next only when that has been sent.
struct Feed {
    api: Arc<Api>,
    caller: Caller,
    /// Where the next page begins; none before the first.
    after: Option<Cursor>,
    query: EventQuery,
    ready: VecDeque<Event>,
    /// True where the last read found nothing more.
    drained: bool,
    /// The last cursor that the reader was given; none before the first.
    told: Option<Cursor>,
    latest: watch::Receiver<Cursor>,
    stopping: watch::Receiver<bool>,
    /// Notified when the API tokens change. The stream ends then, because its reader was let in by the old ones.
    tokens: watch::Receiver<Arc<[ApiToken]>>,
    _place: Place,
}

impl Feed {
    /// Reads the first page at once, so that a refusal is an error and not an empty stream.
    async fn open(
        api: Arc<Api>,
        caller: Caller,
        after: Option<Cursor>,
        query: EventQuery,
    ) -> Result<Self, Box<Problem>> {
        let place = caller.place(&api.streams, "streams")?;
        let latest = api.handle.events();
        let (stopping, tokens) = (api.stopping.subscribe(), api.tokens.watch());
        let ready = VecDeque::new();
        let (drained, told) = (false, after);
        let mut feed =
            Self { api, caller, after, query, ready, drained, told, latest, stopping, tokens, _place: place };
        feed.read().await?;
        Ok(feed)
    }

    async fn read(&mut self) -> Result<(), Box<Problem>> {
        // The number is marked as seen before the read, so that an event that comes during the read wakes this task
        // again.
        self.latest.borrow_and_update();
        let page = self.api.query(EventsAfter::new(self.after, self.query.clone()), &self.caller).await?;
        // A page may end without events because its read has looked at as many as it may. The feed is read to its end
        // where the cursor has not moved.
        self.drained = page.events.is_empty() && self.after == Some(page.next);
        self.after = Some(page.next);
        self.ready = page.events.into();
        Ok(())
    }

    /// Returns the next event, or how far the reader has come without one. Returns `None` once the node or the server
    /// stops.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if *self.stopping.borrow() || self.tokens.has_changed().unwrap_or(true) {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                self.told = event.cursor.or(self.told);
                return Some(Told::Event(Box::new(event)));
            }
            if let Some(after) = self.after.filter(|after| self.drained && self.told != Some(*after)) {
                self.told = Some(after);
                return Some(Told::Passed(after));
            }
            if self.drained {
                tokio::select! {
                    moved = self.latest.changed() => moved.ok()?,
                    _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                    _ = self.tokens.changed() => return None,
                }
            }
            if let Err(problem) = self.read().await {
                tracing::debug!("an event stream ends: {problem}");
                return None;
            }
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<sse::Event, Infallible>> {
        stream::unfold(self, |mut feed| async move {
            let message = match feed.next().await? {
                Told::Event(event) => message(*event),
                Told::Passed(cursor) => sse::Event::default().id(cursor.to_string()),
            };
            Some((Ok(message), feed))
        })
    }
}

/// An item of the stream.
enum Told {
    Event(Box<Event>),
    /// There was no event for the reader up to this cursor. It is sent as a message without data: that moves the
    /// position from which the client resumes, and is no event to it (WHATWG HTML, section 9.2.6). Otherwise the client
    /// might resume from an old cursor that the feed has dropped meanwhile.
    Passed(Cursor),
}

/// Returns an event as a message of the stream. The cursor is the id of the message.
fn message(mut event: Event) -> sse::Event {
    let cursor = event.cursor.take().unwrap_or_default();
    let message = sse::Event::default().id(cursor.to_string()).event(event_type_text(event.event_type));
    message.json_data(&event).unwrap_or_else(|error| {
        tracing::error!("event {cursor} cannot be written as JSON: {error}");
        sse::Event::default().id(cursor.to_string())
    })
}
