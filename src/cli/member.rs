//! `forename member`

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::time::timeout;

use super::args::{ClientArgs, Format};
use super::failure::{Exit, Failure, Outcome};
use super::{output, status};
use crate::client::{Client, ClientError};
use crate::clock::NodeId;
use crate::model::{Cluster, Cut, Span, TokenIssued};
use crate::name::escaped;

/// Pause between two requests for the state of an eviction, which takes a few round trips.
const LOOK: Duration = Duration::from_millis(100);
/// How long an eviction is followed where nobody asked to wait for its end. A guess: it is done by then where the
/// members that stay reach each other.
const SHORTLY: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(super) struct MemberArgs {
    #[command(subcommand)]
    command: MemberCommand,
}

/// Options for waiting until the command's effect is complete.
#[derive(Args, Debug)]
struct UntilDone {
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this; exit code 4 if it is not done then
    #[arg(long, default_value = "5s", requires = "wait")]
    timeout: Span,
}

#[derive(Subcommand, Debug)]
enum MemberCommand {
    /// List the members
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Evict a member for good, so that nobody waits for it; if it still runs, it comes back by itself as a newcomer
    Evict {
        /// The member's id, or its label where no other member has the same
        #[arg(value_name = "NODE")]
        member: String,
        /// Begin the eviction even where the node that is asked is not in contact with a majority that would stay. That
        /// node may be the one that is cut off, and the eviction is carried out all the same once a majority learns of
        /// it
        #[arg(long)]
        force: bool,
        /// Ban the member's key too: the node cannot come back, not even as its next incarnation. It still knows the
        /// cluster's secret, so where it is not trusted any more use 'forename cluster rotate-secret' too
        #[arg(long)]
        ban: bool,
        #[command(flatten)]
        wait: UntilDone,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Lift the ban on a node's key
    Unban {
        /// The node's id
        #[arg(value_name = "NODE")]
        node: NodeId,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Make the node that is asked leave its cluster for good, and stop
    Leave {
        /// Make it stay after all, where it has not departed yet
        #[arg(long, conflicts_with = "wait")]
        cancel: bool,
        #[command(flatten)]
        wait: UntilDone,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Make a token that lets a new node join, with the addresses of some members
    Token {
        /// How long the token is valid, at most 30d [default: 24h]; a reader's at most 3650d [default: 365d]
        #[arg(long)]
        ttl: Option<Span>,
        /// How many nodes can join with it [default: 1]
        #[arg(long, value_name = "COUNT", conflicts_with = "reader")]
        uses: Option<u32>,
        /// Make a reader's token, for 'forename serve --reader': with it any number of readers connect, and nobody becomes a
        /// member. A reader learns all that members know, private names included
        #[arg(long)]
        reader: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

impl MemberArgs {
    pub(super) fn format(&self) -> Format {
        match &self.command {
            MemberCommand::List { client, .. }
            | MemberCommand::Evict { client, .. }
            | MemberCommand::Unban { client, .. }
            | MemberCommand::Leave { client, .. }
            | MemberCommand::Token { client, .. } => client.output,
        }
    }
}

pub(super) async fn run(args: MemberArgs) -> Outcome {
    match args.command {
        MemberCommand::List { client } => {
            let cluster = client.client()?.cluster().await?;
            let members = &cluster.members;
            output::print(&client, members, |_| status::membership(&cluster))?;
        }
        MemberCommand::Evict { member, force, ban, wait, client } => {
            return evict(&member, force, ban, &wait, &client).await;
        }
        MemberCommand::Unban { node, client } => {
            let cluster = client.client()?.unban(node).await?;
            output::print(&client, &cluster, status::membership)?;
        }
        MemberCommand::Leave { cancel: true, wait: _, client } => {
            let cluster = client.client()?.stay().await?;
            output::print(&client, &cluster, |cluster| {
                format!("node {} is not on its way out\n\n{}", cluster.node, status::membership(cluster))
            })?;
        }
        MemberCommand::Leave { cancel: false, wait, client } => return leave(&wait, &client).await,
        MemberCommand::Token { ttl, uses, reader, client } => {
            let (asked, ttl) = (client.client()?, ttl.map(|ttl| ttl.0));
            let token = match uses {
                _ if reader => asked.mint_reader_token(ttl).await?,
                uses => asked.mint_token_for(uses.unwrap_or(1), ttl).await?,
            };
            // The token is alone on the last line, so that scripts can take it from there.
            output::print(&client, &TokenIssued { token }, |issued| issued.token.clone())?;
        }
    }
    Ok(Exit::Done)
}

async fn evict(member: &str, force: bool, ban: bool, wait: &UntilDone, args: &ClientArgs) -> Outcome {
    let client = args.client()?;
    let node = find(&client.cluster().await?, member)?;
    // The ban comes first, since the node could be back before otherwise.
    if ban {
        client.ban(node).await?;
    }
    let mut cluster = client.evict(node, force).await?;
    let patience = if wait.wait { wait.timeout.0 } else { SHORTLY };
    match timeout(patience, until_out(&client, node, &mut cluster)).await {
        // The eviction has begun, so a failure to follow it matters only to a caller who waits.
        Ok(Err(error)) if wait.wait => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    output::print(args, &cluster, |cluster| what_came_of(cluster, node, member))?;
    Ok(if is_out(&cluster.evicted, node) || !wait.wait { Exit::Done } else { Exit::Pending })
}

fn is_out(evicted: &[Cut], node: NodeId) -> bool {
    evicted.iter().any(|cut| cut.node == node)
}

/// Describes the state of a member's eviction, and the members.
fn what_came_of(cluster: &Cluster, node: NodeId, member: &str) -> String {
    let member = escaped(member);
    let outcome = match cluster.evicted.iter().find(|cut| cut.node == node) {
        Some(cut) => format!("{member} is evicted: of what it issued the first {} ops count", cut.seq),
        None => {
            format!("the eviction of {member} has begun and goes on by itself; 'forename status' shows how far it is")
        }
    };
    format!("{outcome}\n\n{}", status::membership(cluster))
}

/// Returns the member with an id or label.
fn find(cluster: &Cluster, member: &str) -> Result<NodeId, Failure> {
    if let Ok(node) = member.parse() {
        return Ok(node);
    }
    let of_label: Vec<_> = cluster.members.iter().filter(|known| known.label == member).collect();
    match of_label[..] {
        [one] => Ok(one.node),
        [] => Err(Failure::failed(format!(
            "no member has the label or id {member:?}; nobody was evicted. 'forename member list' shows the members"
        ))),
        _ => Err(Failure::usage(format!(
            "{} members have the label {member:?}; nobody was evicted. Give the id that 'forename member list' shows",
            of_label.len()
        ))),
    }
}

/// Waits until a node is out. `cluster` gets the last state seen.
async fn until_out(client: &Client, node: NodeId, cluster: &mut Cluster) -> Result<(), ClientError> {
    while !is_out(&cluster.evicted, node) {
        tokio::time::sleep(LOOK).await;
        *cluster = client.cluster().await?;
    }
    Ok(())
}

/// Waits until the node that is asked is out or unreachable, because a node that has left stops.
async fn until_gone(client: &Client, cluster: &mut Cluster) -> Result<(), ClientError> {
    let node = cluster.node;
    while !is_out(&cluster.evicted, node) {
        tokio::time::sleep(LOOK).await;
        match client.cluster().await {
            Ok(seen) => *cluster = seen,
            Err(ClientError::Unreachable { .. }) => break,
            // The node is stopping.
            Err(error) if error.problem().is_some_and(|problem| problem.status == 503) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn leave(wait: &UntilDone, args: &ClientArgs) -> Outcome {
    let client = args.client()?;
    let mut cluster = client.leave().await?;
    if !wait.wait {
        output::print(args, &cluster, status::membership)?;
        return Ok(Exit::Done);
    }
    match timeout(wait.timeout.0, until_gone(&client, &mut cluster)).await {
        Ok(gone) => {
            gone?;
            output::print(args, &cluster, |seen| format!("node {} has left its cluster and stops", seen.node))?;
            Ok(Exit::Done)
        }
        Err(_) => {
            output::print(args, &cluster, status::membership)?;
            Ok(Exit::Pending)
        }
    }
}
