//! Follows forename's event feed and updates the read model.
//!
//! One node's feed is enough, and it need not be the node that accepted a sign-up, because every node tells the events
//! of all registrations that it learns of. So the query is for events of any origin. With `origin=local` the feed has
//! only events about registrations that the node accepted itself. A sign-up that went to the second node, because the
//! first one did not answer, would be missing, and so would those of a node that is lost for good. Registrations of
//! other applications in the same cluster come too, and change no row. Where most events are of that kind, narrow the
//! query, for example by namespace.
//!
//! A feed and its cursors belong to one node. Where that node cannot be reached the next one is followed, with a cursor
//! of its own. It repeats events that the first one has told, which does no harm.

use std::sync::Arc;
use std::time::Duration;

use forename::Client;
use forename::client::{ClientError, FeedStore, Restart};
use forename::model::{Cursor, Event, EventQuery, ProblemType};
use tokio::time::sleep;

use crate::database::Connection;
use crate::{App, Failure};

/// The time before the database is tried again. A guess.
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

    /// Reads the open registrations one by one, each in a transaction of its own, because events about them may be
    /// missing where the feed begins again. The cursor is stored last, so that after a crash the restart is done again.
    async fn restart(&mut self, source: &str, cursor: Cursor, why: Restart, node: &Client) -> Result<(), Failure> {
        for (registration, was_known) in self.open().await? {
            match node.registration(registration).await {
                Ok(registration) => self.learn(&registration).await?,
                Err(error) if is_other(&error) => return Err(error.into()),
                // The registration has been over for so long that the node forgot it.
                Err(_) if was_known && why == Restart::EventsCompacted => self.forgotten(registration).await?,
                // A node whose feed is followed for the first time may not know the registration yet, and will tell its
                // events later.
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
