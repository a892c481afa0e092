//! Follows the event feed for good: with a stored cursor, several nodes, and each event only once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use super::events::{FIRST_PAUSE, LAST_PAUSE};
use super::{Client, ClientError};
use crate::clock::NodeId;
use crate::model::{Cursor, Event, EventQuery, ProblemType};

/// A store of how far a follower has come. Every node has a feed of its own, which the `source` of its events names.
pub trait FeedStore: Send {
    /// The error of the store.
    type Error: From<ClientError> + Send;

    /// Returns the cursor that was stored last for this feed.
    fn cursor(&mut self, source: &str) -> impl Future<Output = Result<Option<Cursor>, Self::Error>> + Send;

    /// Handles an event and stores the cursor: both or neither. An event whose id is known must change nothing, because
    /// it was already handled from another feed.
    fn apply(
        &mut self,
        source: &str,
        cursor: Cursor,
        event: &Event,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Stores the cursor from which the feed goes on. Before that, whatever its events no longer say must be read anew
    /// from `node`.
    fn restart(
        &mut self,
        source: &str,
        cursor: Cursor,
        why: Restart,
        node: &Client,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The reason why a feed is not read on from the stored cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// The feed was never read. The earliest event that is kept comes next.
    New,
    /// The node has begun a new feed, which tells again what became of the registrations that the node knows. No event
    /// is lost.
    CursorUnknown,
    /// The events that would come next are no longer kept.
    EventsCompacted,
}

/// The reason why one node's feed is not followed any longer.
enum Interrupted<E> {
    /// The node cannot be followed now.
    Node(ClientError),
    /// Another attempt would not help.
    For(E),
}

impl Client {
    /// Follows the event feed of one node after the other, whichever answers, and gives each event to the store. The
    /// feed of one node is enough: every node tells of all registrations that it knows.
    ///
    /// # Errors
    /// An error of the store, or a refusal that no other node would take back.
    pub async fn follow<S: FeedStore>(&self, query: &EventQuery, store: &mut S) -> Result<Infallible, S::Error> {
        let mut follower = Follower { query, store, passed: BTreeMap::new(), pause: FIRST_PAUSE };
        loop {
            for node in self.each() {
                match follower.read(&node).await {
                    Err(Interrupted::For(error)) => return Err(error),
                    Err(Interrupted::Node(error)) if goes_on(&error) => {
                        tracing::warn!(
                            "the feed of {} is interrupted, the next node is tried: {error}",
                            node.address()
                        );
                    }
                    Err(Interrupted::Node(error)) => return Err(error.into()),
                }
                follower.rest().await;
            }
        }
    }
}

/// Returns true where another attempt, or another node, may succeed.
fn goes_on(error: &ClientError) -> bool {
    error.is_unreachable() || error.is_passing() || matches!(error, ClientError::Answer { .. })
}

struct Follower<'a, S> {
    query: &'a EventQuery,
    store: &'a mut S,
    /// How far each feed has been read where that is past the last event, because a filter left events out.
    passed: BTreeMap<String, Cursor>,
    /// The pause before the next node is tried.
    pause: Duration,
}

impl<S: FeedStore> Follower<'_, S> {
    async fn rest(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    /// Follows one node's feed until an error.
    async fn read(&mut self, node: &Client) -> Result<Infallible, Interrupted<S::Error>> {
        let cluster = node.cluster().await.map_err(Interrupted::Node)?;
        let source = source_of(cluster.node);
        let known = match self.passed.remove(&source) {
            Some(cursor) => Some(cursor),
            None => self.store.cursor(&source).await.map_err(Interrupted::For)?,
        };
        let cursor = match known {
            Some(cursor) => cursor,
            None => self.begin(&source, cluster.events.start, Restart::New, node).await?,
        };
        let mut stream = node.stream(Some(cursor), self.query.clone());
        loop {
            match stream.next_of_connection().await {
                Ok(event) => self.take(&source, stream.cursor(), &event, node).await?,
                Err(error) => {
                    match error.problem().and_then(|problem| Some((problem.problem_type, problem.restart?))) {
                        Some((kind, restart)) => {
                            let is_new = kind == ProblemType::CursorUnknown;
                            let why = if is_new { Restart::CursorUnknown } else { Restart::EventsCompacted };
                            let cursor = self.begin(&source, restart, why, node).await?;
                            stream = node.stream(Some(cursor), self.query.clone());
                        }
                        None => {
                            self.passed.extend(stream.cursor().map(|cursor| (source, cursor)));
                            return Err(Interrupted::Node(error));
                        }
                    }
                }
            }
        }
    }

    async fn take(
        &mut self,
        source: &str,
        cursor: Option<Cursor>,
        event: &Event,
        node: &Client,
    ) -> Result<(), Interrupted<S::Error>> {
        if event.source != source {
            let why = format!("the feed of {} answers, not that of {source}", event.source);
            let address = node.address().to_owned();
            return Err(Interrupted::Node(ClientError::Unreachable { address, why, sent: true }));
        }
        if let Some(cursor) = cursor {
            self.store.apply(source, cursor, event).await.map_err(Interrupted::For)?;
        }
        self.pause = FIRST_PAUSE;
        Ok(())
    }

    async fn begin(
        &mut self,
        source: &str,
        cursor: Cursor,
        why: Restart,
        node: &Client,
    ) -> Result<Cursor, Interrupted<S::Error>> {
        self.store.restart(source, cursor, why, node).await.map_err(Interrupted::For)?;
        Ok(cursor)
    }
}

/// Returns the source of a node's feed, as its events name it: the id of the node's first incarnation.
fn source_of(node: NodeId) -> String {
    format!("/nodes/{}", node.first_incarnation())
}

#[cfg(test)]
mod tests;
