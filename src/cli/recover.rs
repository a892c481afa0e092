//! `forename recover`

use clap::Args;
use serde::Serialize;

use super::args::OfflineArgs;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::clock::NodeId;
use crate::model::Time;
use crate::node::offline;
use crate::replica::Holdings;

/// Make a new cluster of one directory, where all others are lost
///
/// This is for the case that all other nodes are lost for good. Where a majority of them still runs, evict the lost
/// ones instead, and nothing is lost.
///
/// The node of the directory becomes the only member of a new cluster, under its next id. What it holds stays, and what
/// was pending is decided when it is served the next time. Other nodes of the old cluster that turn up join with
/// 'forename rejoin' on their directories, followed by 'forename serve --join-token-file' with a join token of the new
/// cluster.
#[derive(Args, Debug)]
pub(super) struct RecoverArgs {
    /// Carry it out; without this option, only show what the directory holds and what may be lost
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub(super) offline: OfflineArgs,
}

/// The warning about what may be lost, and what must not be done.
const WARNING: &str = "nothing was changed; --yes makes a new cluster of this. What only other nodes had is lost: \
    registrations that were confirmed there and that this node never heard of, whose names it gives to others from now \
    on. The old cluster and the new one must not both go on: be sure that no other node of the old one runs, or will. \
    While most of its members live, use 'forename member evict' there instead. If another node's directory or backup \
    has a later watermark, recover from that one; 'forename rejoin' then brings in the others' directories";

#[derive(Serialize, Debug)]
struct Recovery {
    recovered: bool,
    node: NodeId,
    was: NodeId,
    members: usize,
    registrations: u64,
    pending: u64,
    watermark: Time,
}

impl Recovery {
    fn new(recovered: Option<NodeId>, holdings: Holdings) -> Self {
        let Holdings { node, members, registrations, pending, watermark, .. } = holdings;
        Self {
            recovered: recovered.is_some(),
            node: recovered.unwrap_or(node),
            was: node,
            members,
            registrations,
            pending,
            watermark: Time(watermark.millis()),
        }
    }
}

pub(super) fn run(args: &RecoverArgs) -> Outcome {
    let dir = &args.offline.data_dir;
    if !args.yes {
        output::print_as(args.offline.output, &Recovery::new(None, offline::look(dir)?), holds)?;
        return Err(Failure::usage(WARNING).after_result());
    }
    let (node, holdings) = offline::recover(dir)?;
    output::print_as(args.offline.output, &Recovery::new(Some(node), holdings), |recovery| {
        format!(
            "{}\nnode {node} is the only member of a new cluster now; 'forename serve' on the directory starts it and \
             decides what was pending\nothers of the old cluster: 'forename rejoin' on their directories, then 'forename \
             serve' with a join token of the new one",
            holds(recovery)
        )
    })?;
    Ok(Exit::Done)
}

fn holds(recovery: &Recovery) -> String {
    let Recovery { was, members, registrations, pending, watermark, .. } = recovery;
    // A node that heard of nothing yet has the watermark of the beginning.
    let arrived = match watermark.0.0 {
        0 => "it had not heard all of the others up to any time".to_owned(),
        _ => format!("everything up to {watermark} had arrived"),
    };
    format!(
        "this directory is that of node {was}, of a cluster of {members}\nit holds {registrations} registrations, \
         {pending} of them pending; {arrived}"
    )
}
