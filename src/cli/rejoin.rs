//! `forename rejoin`

use clap::Args;
use serde::Serialize;

use super::args::OfflineArgs;
use super::failure::{Exit, Outcome};
use super::output;
use crate::clock::NodeId;
use crate::node::offline::{self, NextLife};

/// Have the node of an old data directory come back under a new id
///
/// For a node that stops because its data directory is older than what its peers have seen, or was used twice: a copy was
/// put back, a snapshot of the machine, or the disk lost writes. The directory must not run anywhere else.
///
/// Nothing is sent. When the node is next served on the directory it comes back to its cluster by itself, under its next
/// id, and registers again whatever the cluster does not know of, under the ids that its clients have.
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
