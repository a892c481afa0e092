//! `forename verify`

use clap::Args;
use serde::Serialize;

use super::args::OfflineArgs;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::node::offline;
use crate::replica::Verification;

/// Check what a stopped node's data directory holds
///
/// Reads everything and changes nothing. It checks that the logs have no gaps and their hashes continue, that every
/// registration is found by its id, its owner and its names, that the members follow from the logs, and that the event
/// feed has no gap. Exits with 1 where something is wrong.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) offline: OfflineArgs,
}

#[derive(Serialize, Debug)]
struct Verified {
    ok: bool,
    #[serde(flatten)]
    found: Verification,
}

pub(super) fn run(args: &VerifyArgs) -> Outcome {
    let found = offline::verify(&args.offline.data_dir)?;
    let wrong: u64 = found.findings.iter().map(|finding| finding.count).sum();
    output::print_as(args.offline.output, &Verified { ok: wrong == 0, found }, render)?;
    if wrong == 0 {
        return Ok(Exit::Done);
    }
    Err(Failure::failed(format!("{wrong} things are wrong with this directory; nothing was changed")).after_result())
}

fn render(verified: &Verified) -> String {
    let Verified { ok, found } = verified;
    let node = found.node.map_or_else(|| "no node yet".to_owned(), |node| format!("node {node}"));
    let state = if found.whole { "" } else { ", on its way into a cluster, whose state it takes anew" };
    let registrations = found.tables.get("registrations").copied().unwrap_or(0);
    let mut text =
        format!("{node}{state}\n{registrations} registrations, {} ops, {} events\n", found.ops, found.events);
    let rows: Vec<_> = found.tables.iter().map(|(table, rows)| vec![format!("  {table}"), rows.to_string()]).collect();
    text += &output::table(&rows);
    for finding in &found.findings {
        text += &format!("\n{} wrong: {:?}\n", finding.count, finding.fault);
        finding.examples.iter().for_each(|example| text += &format!("  {example}\n"));
        text += &format!("  {}\n", finding.fault.advice());
    }
    if *ok {
        text += "ok";
    }
    text
}
