//! `forename member`

use clap::{Args, Subcommand};

use super::{ClientArgs, Exit, Outcome, output, status};
use crate::api::json::{Span, TokenIssued};

#[derive(Args, Debug)]
pub(super) struct MemberArgs {
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Subcommand, Debug)]
enum MemberCommand {
    /// List the members
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Make a token that lets new nodes join
    Token {
        /// How long it lets them in
        #[arg(long, default_value = "24h")]
        ttl: Span,
        #[command(flatten)]
        client: ClientArgs,
    },
}

pub(super) async fn run(args: MemberArgs) -> Outcome {
    match args.command {
        MemberCommand::List { client } => {
            let cluster = client.client()?.cluster().await?;
            let members = &cluster.members;
            output::print(&client, members, |_| status::members(&cluster))?;
        }
        MemberCommand::Token { ttl, client } => {
            let token = client.client()?.mint_token(Some(ttl.0)).await?;
            // Alone on the last line, so that scripts can take it from there.
            output::print(&client, &TokenIssued { token }, |issued| issued.token.clone())?;
        }
    }
    Ok(Exit::Done)
}
