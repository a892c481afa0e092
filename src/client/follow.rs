//! Following the event feed for good: a cursor that is stored, several nodes, events that come once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use super::events::{FIRST_PAUSE, LAST_PAUSE};
use super::{Client, ClientError};
use crate::clock::NodeId;
use crate::model::{Cursor, Event, EventQuery, ProblemType};

/// Where a follower keeps how far it has come. Every node has a feed of its own, named by the `source` of its events.
pub trait FeedStore: Send {
    /// Why the store failed.
    type Error: From<ClientError> + Send;

    /// The cursor of this feed that was stored last.
    fn cursor(&mut self, source: &str) -> impl Future<Output = Result<Option<Cursor>, Self::Error>> + Send;

    /// Makes something of an event and stores the cursor, both or neither. An event whose id is known has to change nothing:
    /// another feed has told it before.
    fn apply(
        &mut self,
        source: &str,
        cursor: Cursor,
        event: &Event,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The feed goes on after this cursor, which is to be stored. What is not told any more has to be read anew before, from
    /// `node`.
    fn restart(
        &mut self,
        source: &str,
        cursor: Cursor,
        why: Restart,
        node: &Client,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a feed is not read on from where it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// It was never read: the earliest event that is kept comes next.
    New,
    /// Its node has begun a new one, which tells again what became of the registrations that the node knows. No event is lost.
    CursorUnknown,
    /// The events that would come next are no longer kept.
    EventsCompacted,
}

/// Why one node's feed is not followed any longer.
enum Interrupted<E> {
    /// The node cannot be followed now.
    Node(ClientError),
    /// There is no use in another attempt.
    For(E),
}

impl Client {
    /// Follows the event feed of one node after the other, whichever answers, and hands each event to the store. One node's feed
    /// is enough: every node tells of everything that it hears of.
    ///
    /// # Errors
    /// The store's, and a refusal that no other node would take back.
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

/// Whether another attempt, or another node, may do better.
fn goes_on(error: &ClientError) -> bool {
    error.is_unreachable() || error.is_passing() || matches!(error, ClientError::Answer { .. })
}

struct Follower<'a, S> {
    query: &'a EventQuery,
    store: &'a mut S,
    /// How far each feed has been read, where that is further than the last event: filters leave events out.
    passed: BTreeMap<String, Cursor>,
    /// Before the next node is tried.
    pause: Duration,
}

impl<S: FeedStore> Follower<'_, S> {
    async fn rest(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }

    /// Follows one node's feed until that fails.
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

/// Whose feed it is, as its events say: it stays that of the node's first incarnation.
fn source_of(node: NodeId) -> String {
    format!("/nodes/{}", node.first_incarnation())
}

#[cfg(test)]
mod tests;
