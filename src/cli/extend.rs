//! `forename extend`

use clap::Args;
use uuid::Uuid;

use super::args::ClientArgs;
use super::failure::{Exit, Outcome};
use super::output;
use crate::model::Span;

#[derive(Args, Debug)]
pub(super) struct ExtendArgs {
    /// The reservation's id
    #[arg(value_name = "REGISTRATION-ID")]
    id: Uuid,
    /// The owner of the reservation; needed with an API token that has not opened it
    #[arg(long)]
    owner: Option<String>,
    /// How long it lasts from now on; a reservation that lasts longer already is not changed
    #[arg(long, value_name = "SPAN")]
    ttl: Span,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

pub(super) async fn run(args: ExtendArgs) -> Outcome {
    let registration = args.client.client_for(args.owner.as_deref())?.extend(args.id, args.ttl.0).await?;
    output::print(&args.client, &registration, output::registration)?;
    Ok(Exit::Done)
}
