//! Following forename's event feed into the read model.
//!
//! One node's feed is enough, and that node need not be the one that took a sign-up: every node tells of everything that
//! it hears of. So this asks for events of any origin, not of `origin=local`, which are those about registrations that the
//! node accepted itself: a sign-up that went to the second node, because the first one did not answer, would not be
//! among them, nor would anything of a node that is lost for good. What others register in the same cluster comes too,
//! and changes no row. Where that is most of it, narrow the query, by namespace for one.
//!
//! A feed belongs to its node, cursors and all. Where the node cannot be reached the next one is followed, by a cursor of
//! its own; that it tells again what the first one has told does no harm.

use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::client::{ClientError, FeedStore, Restart};
use forename::model::{Cursor, Event, EventQuery, ProblemType};
use tokio::time::sleep;

use crate::database::Connection;
use crate::{App, Failure};

/// Before the database is tried again. A guess.
const PAUSE: Duration = Duration::from_secs(2);

/// Keeps the read model up to date for as long as the application runs.
pub(crate) async fn follow(app: Arc<App>) {
    loop {
        let Err(why) = read(&app).await;
        tracing::warn!("the feed is not followed just now: {why}");
        sleep(PAUSE).await;
    }
}

async fn read(app: &App) -> Result<std::convert::Infallible, Failure> {
    let mut database = app.database.connect().await?;
    app.nodes.follow(&EventQuery::default(), &mut database).await
}

impl FeedStore for Connection {
    type Error = Failure;

    async fn cursor(&mut self, source: &str) -> Result<Option<Cursor>, Failure> {
        Self::cursor(self, source).await
    }

    async fn apply(&mut self, source: &str, cursor: Cursor, event: &Event) -> Result<(), Failure> {
        Self::apply(self, source, cursor, event).await
    }

    /// Registrations are as they were, so those that are open here are read one by one, each in a transaction of its own; the
    /// cursor comes last, so that a crash half way begins again.
    async fn restart(&mut self, source: &str, cursor: Cursor, why: Restart, node: &Client) -> Result<(), Failure> {
        for (registration, was_known) in self.open().await? {
            match node.registration(registration).await {
                Ok(registration) => self.learn(&registration).await?,
                Err(error) if is_other(&error) => return Err(error.into()),
                // It is over, for so long that it was forgotten.
                Err(_) if was_known && why == Restart::EventsCompacted => self.forgotten(registration).await?,
                // A node whose feed is new here may not have heard of it yet, and will tell.
                Err(_) => {}
            }
        }
        self.set_cursor(source, cursor).await
    }
}

/// True for every answer but "there is no such registration".
fn is_other(error: &ClientError) -> bool {
    error.problem().is_none_or(|problem| problem.problem_type != ProblemType::NoRegistration)
}
