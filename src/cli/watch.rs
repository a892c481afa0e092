//! `forename watch`

use std::collections::{HashSet, VecDeque};

use clap::Args;
use uuid::Uuid;

use super::args::ClientArgs;
use super::failure::{Failure, Outcome};
use super::output;
use crate::client::ClientError;
use crate::model::ProblemType;
use crate::model::{Cursor, EventQuery, EventType};
use crate::model::{Time, event_type_from_text};

/// Number of event ids that are remembered. A guess: more than a node writes while it is away.
const REMEMBERED: usize = 1 << 16;

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    /// Begin after this cursor, the first word of a line; by default with the earliest event that the node has
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
    /// Only events at or after this time, like 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// Only these types: accepted, contested, confirmed, rejected, activated, name.ended
    #[arg(long, value_delimiter = ',', value_parser = event_type_from_text)]
    types: Vec<EventType>,
    /// Only registrations of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Only this registration
    #[arg(long, value_name = "UUID")]
    registration: Option<Uuid>,
    /// Only registrations with a name in this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only registrations that this node accepted
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: WatchArgs) -> Outcome {
    let query = EventQuery {
        since: args.since,
        types: args.types,
        owner: args.owner,
        registration: args.registration,
        namespace: args.namespace,
        local: args.local,
        limit: None,
    };
    let client = args.client.client()?;
    let (mut stream, mut shown) = (client.stream(args.after, query.clone()), Shown::default());
    loop {
        match stream.next().await {
            Ok(event) => {
                if shown.is_new(&event.id) {
                    output::print(&args.client, &event, output::event)?;
                }
            }
            Err(error) => {
                let Some(restart) = new_feed(&error) else { return Err(compacted(error)) };
                tracing::warn!("the node has begun a new feed, which is read from its beginning");
                stream = client.stream(Some(restart), query.clone());
            }
        }
    }
}

/// The ids of the events that were shown last, since a new feed repeats some of them.
#[derive(Default)]
struct Shown {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Shown {
    /// Returns true where an event was not shown lately, and remembers it.
    fn is_new(&mut self, id: &str) -> bool {
        let is_new = self.ids.insert(id.to_owned());
        if is_new {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        is_new
    }
}

/// Returns the cursor to continue after, where the node has begun a new feed.
fn new_feed(error: &ClientError) -> Option<Cursor> {
    error.problem().filter(|problem| problem.problem_type == ProblemType::CursorUnknown)?.restart
}

/// Adds the commands that help a reader whose events are no longer kept.
fn compacted(error: ClientError) -> Failure {
    let problem = error.problem().filter(|problem| problem.problem_type == ProblemType::EventsCompacted);
    let Some(restart) = problem.and_then(|problem| problem.restart) else { return error.into() };
    Failure::failed(format!("{error}: `forename show --owner OWNER`, then `forename watch --after {restart}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shown_once_as_long_as_it_is_remembered() {
        let mut shown = Shown::default();
        assert!(shown.is_new("a") && !shown.is_new("a"));
        assert!((0..REMEMBERED).all(|n| shown.is_new(&n.to_string())));
        assert!(shown.is_new("a") && shown.ids.len() == REMEMBERED && shown.order.len() == REMEMBERED);
    }
}
