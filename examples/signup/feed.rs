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
use forename::client::ClientError;
use forename::model::EventQuery;
use forename::model::ProblemType;
use forename::model::{Cluster, Cursor};
use tokio::time::{sleep, timeout};

use crate::database::Connection;
use crate::{App, Failure};

/// Between attempts: doubled from the first to the last. Guesses.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A feed that has been silent for so long is asked whether its node is still there: the stream itself waits for ever.
const SILENCE: Duration = Duration::from_secs(10);

/// Keeps the read model up to date for as long as the application runs.
pub(crate) async fn follow(app: Arc<App>) {
    let mut pause = FIRST_PAUSE;
    for node in app.nodes.iter().cycle() {
        let Err(why) = read(&app, node, &mut pause).await;
        tracing::warn!("the feed of {} is interrupted, the next node is tried: {why}", node.address());
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Follows one node's feed until that fails.
async fn read(app: &App, node: &Client, pause: &mut Duration) -> Result<std::convert::Infallible, Failure> {
    let mut database = app.database.connect().await?;
    let cluster = node.cluster().await?;
    let source = source(&cluster);
    let cursor = match database.cursor(&source).await? {
        Some(cursor) => cursor,
        None => read_again(&mut database, node, &source, cluster.events.start, false).await?,
    };
    let mut stream = node.stream(Some(cursor), EventQuery::default());
    loop {
        match timeout(SILENCE, stream.next()).await {
            Ok(Ok(event)) if event.source == source => {
                let cursor = event.cursor.ok_or("an event of the feed has no cursor")?;
                database.apply(&source, cursor, &event).await?;
            }
            Ok(Ok(event)) => return Err(format!("the feed of {} answers, not that of {source}", event.source).into()),
            Ok(Err(error)) => match error.problem().and_then(|problem| problem.restart) {
                Some(restart) => {
                    let has_had_all = !is(&error, ProblemType::CursorUnknown);
                    let cursor = read_again(&mut database, node, &source, restart, has_had_all).await?;
                    stream = node.stream(Some(cursor), EventQuery::default());
                }
                None => return Err(error.into()),
            },
            Err(_) => {
                node.cluster().await?;
            }
        }
        *pause = FIRST_PAUSE;
    }
}

/// Whose feed it is, as its events say: it stays that of the node's first life when the node was evicted and is back.
fn source(cluster: &Cluster) -> String {
    format!("/nodes/{}", cluster.node.first_incarnation())
}

/// Where the feed has no place to go on from: it was never read, or (410 `events-compacted`) what would come next is not
/// kept any more, or (410 `cursor-unknown`) the node has begun a new one. Registrations are as they were, so those that are open here are read one by one, each in a
/// transaction of its own; the cursor comes last, so that a crash half way begins again. Returns the cursor.
async fn read_again(
    database: &mut Connection,
    node: &Client,
    source: &str,
    restart: Cursor,
    has_had_all: bool,
) -> Result<Cursor, Failure> {
    for (registration, was_known) in database.open().await? {
        match node.registration(registration).await {
            Ok(registration) => database.learn(&registration).await?,
            // A node whose feed is new here may not have heard of it yet, and will tell.
            Err(error) if is_unknown(&error) && !(was_known && has_had_all) => {}
            Err(error) if is_unknown(&error) => database.forgotten(registration).await?,
            Err(error) => return Err(error.into()),
        }
    }
    database.set_cursor(source, restart).await?;
    Ok(restart)
}

fn is_unknown(error: &ClientError) -> bool {
    is(error, ProblemType::NoRegistration)
}

fn is(error: &ClientError, kind: ProblemType) -> bool {
    error.problem().is_some_and(|problem| problem.problem_type == kind)
}
