//! The event feed of a node in this process.

use std::collections::VecDeque;

use tokio::sync::watch;

use super::Result;
use crate::api::{or_problem, page_limit};
use crate::model::{Cursor, Event, EventQuery, Events, Problem, ProblemType};
use crate::node::Handle;
use crate::replica::{Caller, EventsAfter};

/// Reads a page of the feed.
pub(super) async fn page(handle: &Handle, after: Option<Cursor>, query: &EventQuery) -> Result<Events> {
    let query = EventQuery { limit: Some(page_limit(query.limit)?), ..query.clone() };
    or_problem(handle.query(EventsAfter::new(after, query), Caller::ANYBODY).await)
}

/// A stream of the event feed as it grows. Each event comes once, in order. The stream holds one page at most.
#[derive(Debug)]
pub struct NodeEvents {
    handle: Handle,
    latest: watch::Receiver<Cursor>,
    query: EventQuery,
    /// The cursor of the last event that was given out.
    after: Option<Cursor>,
    /// The cursor at which the next page begins.
    next: Option<Cursor>,
    ready: VecDeque<Event>,
    /// True where the last page had no more events.
    drained: bool,
}

impl NodeEvents {
    pub(super) fn new(handle: Handle, after: Option<Cursor>, query: EventQuery) -> Self {
        let latest = handle.events();
        Self { handle, latest, query, after, next: after, ready: VecDeque::new(), drained: false }
    }

    /// The cursor up to which the feed has been read. Another stream can go on from there.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        self.after
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// The node refuses the request, or stops. The call can be made again. Where the node has begun a new feed the
    /// problem is [`CursorUnknown`](ProblemType::CursorUnknown): begin another stream after [`Problem::restart`], and
    /// drop the events whose ids you know. Where the node no longer keeps the events that come next, it is
    /// [`EventsCompacted`](ProblemType::EventsCompacted): read the state, and begin another stream after
    /// [`Problem::restart`].
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.cursor;
                return Ok(event);
            }
            self.after = self.next;
            if self.drained && self.latest.changed().await.is_err() {
                let detail = "the node has stopped, so no more events come; go on with the cursor once it runs again";
                return Err(Box::new(Problem::new(ProblemType::Unavailable, detail)));
            }
            // The cursor is marked as seen before the page is read, so that an event that comes meanwhile wakes this
            // reader again.
            self.latest.borrow_and_update();
            self.drained = false;
            let page = page(&self.handle, self.next, &self.query).await?;
            self.drained = page.events.is_empty() && self.next == Some(page.next);
            self.next = Some(page.next);
            self.ready = page.events.into();
        }
    }
}
