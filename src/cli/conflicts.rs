//! `forename conflicts`

use std::io;

use clap::Args;
use serde::Serialize;

use super::{Exit, Failure, NodeArgs, Outcome, Tabular, output};
use crate::model::NameQuery;
use crate::model::{Conflict, ConflictStatus, Conflicts, Contender, Time};
use crate::name::shown;
use crate::replica::limits::MAX_PAGE;
use crate::replica::{Precedence, Status};

/// Show names that were claimed more than once: by whom, who came first, and why
///
/// As the asked node knows it: all nodes know the same of conflicts that are final.
#[derive(Args, Debug)]
pub(super) struct ConflictsArgs {
    /// Only names of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only where something happened at or after this time, like 2026-03-01T12:00:00Z, or is still open
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = Tabular::Text)]
    output: Tabular,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) async fn run(args: ConflictsArgs) -> Outcome {
    let client = args.node.client()?;
    let query = NameQuery { namespace: args.namespace, limit: Some(MAX_PAGE) };
    let mut all = Conflicts { conflicts: Vec::new(), next: None };
    loop {
        let page = client.conflicts(&query, args.since, all.next.as_ref()).await?;
        page.conflicts.into_iter().for_each(|conflict| add(&mut all.conflicts, conflict));
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    match args.output {
        Tabular::Text => output::line(&text(&all.conflicts))?,
        Tabular::Json => output::print_as(super::Format::Json, &all, |_| String::new())?,
        Tabular::Csv => csv(&all.conflicts)?,
    }
    Ok(Exit::Done)
}

/// Adds a conflict, which may be the rest of the last one: a tenure that very many claimed comes in parts.
fn add(all: &mut Vec<Conflict>, mut next: Conflict) {
    let first = |conflict: &Conflict| conflict.claims.first().map(|claim| claim.stamp);
    let same =
        |last: &&mut Conflict| (&last.namespace, &last.key, first(last)) == (&next.namespace, &next.key, first(&next));
    let Some(last) = all.last_mut().filter(same) else { return all.push(next) };
    last.claims.extend(next.claims.drain(1..));
    let open = [last.status, next.status].contains(&ConflictStatus::Open);
    last.status = if open { ConflictStatus::Open } else { ConflictStatus::Final };
    last.final_at = last.final_at.max(next.final_at).filter(|_| !open);
}

fn why(conflict: &Conflict) -> &'static str {
    match conflict.why {
        Precedence::EarliestTimestamp => "earliest timestamp",
        Precedence::LowestNode => "same timestamp, lowest node id",
    }
}

/// What a claim came to in the conflict.
fn outcome(conflict: &Conflict, claim: &Contender) -> &'static str {
    let first = claim.registration == conflict.winner && !claim.twin;
    match (first, claim.twin, claim.status) {
        (_, true, _) => "a retry, counts for nothing",
        (true, _, Status::Rejected) => "first, lost another name",
        (true, _, Status::Confirmed) => "won",
        (true, _, Status::Pending | Status::Contested) => "first so far",
        (false, _, Status::Rejected) => "lost",
        (false, ..) => "losing",
    }
}

fn text(conflicts: &[Conflict]) -> String {
    if conflicts.is_empty() {
        return "no name was claimed more than once".to_owned();
    }
    let header = ["NAME", "OUTCOME", "OWNER", "NODE", "ACCEPTED", "REGISTRATION", "WHY", "FINAL"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for conflict in conflicts {
        for (index, claim) in conflict.claims.iter().enumerate() {
            let first = index == 0;
            let of_first = |text: String| if first { text } else { String::new() };
            rows.push(vec![
                of_first(format!("{}/{}", conflict.namespace, shown(&claim.name))),
                outcome(conflict, claim).to_owned(),
                claim.owner.clone(),
                node(claim),
                claim.accepted_at.to_string(),
                claim.registration.to_string(),
                of_first(why(conflict).to_owned()),
                of_first(is_final(conflict)),
            ]);
        }
    }
    output::table(&rows)
}

fn node(claim: &Contender) -> String {
    if claim.label.is_empty() { claim.node.to_string() } else { claim.label.clone() }
}

fn is_final(conflict: &Conflict) -> String {
    match (conflict.status, conflict.final_at) {
        (ConflictStatus::Open, _) => "no".to_owned(),
        (ConflictStatus::Final, Some(at)) => at.to_string(),
        (ConflictStatus::Final, None) => "yes".to_owned(),
    }
}

/// A claim of a conflict, in a row of its own.
#[derive(Serialize)]
struct Row<'a> {
    namespace: &'a str,
    key: &'a str,
    status: ConflictStatus,
    why: Precedence,
    final_at: Option<Time>,
    outcome: &'static str,
    name: &'a str,
    registration: String,
    owner: &'a str,
    node: String,
    label: &'a str,
    stamp: String,
    accepted_at: Time,
    registration_status: Status,
}

fn csv(conflicts: &[Conflict]) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(io::stdout().lock());
    for conflict in conflicts {
        for claim in &conflict.claims {
            writer
                .serialize(Row {
                    namespace: &conflict.namespace,
                    key: &conflict.key,
                    status: conflict.status,
                    why: conflict.why,
                    final_at: conflict.final_at,
                    outcome: outcome(conflict, claim),
                    name: &claim.name,
                    registration: claim.registration.to_string(),
                    owner: &claim.owner,
                    node: claim.node.to_string(),
                    label: &claim.label,
                    stamp: claim.stamp.to_string(),
                    accepted_at: claim.accepted_at,
                    registration_status: claim.status,
                })
                .map_err(output::csv_failure)?;
        }
    }
    Ok(writer.flush()?)
}
