//! `forename rejoin`

use clap::Args;
use serde::Serialize;

use super::args::OfflineArgs;
use super::failure::{Exit, Outcome};
use super::output;
use crate::clock::NodeId;
use crate::node::offline::{self, NextLife};

/// Bring the node of an old data directory back under a new id
///
/// This is for a node that stops because its data directory is older than what its peers have seen, or was used twice:
/// a copy or a snapshot of the machine was restored, or the disk lost writes. The directory must not run anywhere else.
///
/// This command sends nothing. When the node is served on the directory the next time, it comes back to its cluster by
/// itself, under its next id. It registers again everything that the cluster does not know, under the ids that its
/// clients have.
#[derive(Args, Debug)]
pub(super) struct RejoinArgs {
    #[command(flatten)]
    pub(super) offline: OfflineArgs,
}

#[derive(Serialize, Debug)]
struct Rejoined {
    was: NodeId,
    node: NodeId,
}

pub(super) fn run(args: &RejoinArgs) -> Outcome {
    let NextLife { was, node } = offline::rejoin(&args.offline.data_dir)?;
    output::print_as(args.offline.output, &Rejoined { was, node }, |_| {
        format!(
            "this directory was that of node {was} and is that of {node} now\n'forename serve' on it comes back to its \
             cluster by itself, and registers again what the cluster does not know of"
        )
    })?;
    Ok(Exit::Done)
}
