//! `forename watch`

use clap::Args;
use uuid::Uuid;

use super::{ClientArgs, Failure, Outcome, output};
use crate::api::ProblemType;
use crate::api::json::{Time, event_type_from_text};
use crate::client::{ClientError, EventQuery};
use crate::replica::{Cursor, EventType};

#[derive(Args, Debug)]
pub(super) struct WatchArgs {
    /// Begin after this cursor, the first number of a line; 0 for all that the node has
    #[arg(long, value_name = "CURSOR", default_value_t = 0)]
    after: Cursor,
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
    client: ClientArgs,
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
    let mut stream = args.client.client()?.stream(args.after, query);
    loop {
        let event = stream.next().await.map_err(compacted)?;
        output::print(&args.client, &event, output::event)?;
    }
}

/// Adds the commands that help a reader whose events are gone.
fn compacted(error: ClientError) -> Failure {
    let problem = error.problem().filter(|problem| problem.problem_type == ProblemType::EventsCompacted);
    let Some(earliest) = problem.and_then(|problem| problem.earliest) else { return error.into() };
    let after = earliest.saturating_sub(1);
    Failure::failed(format!("{error}: `forename show --owner OWNER`, then `forename watch --after {after}`"))
}
