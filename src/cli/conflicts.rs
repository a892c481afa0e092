//! `forename conflicts`

use std::borrow::Cow;
use std::io;

use clap::Args;
use serde::Serialize;

use super::args::{Format, NodeArgs, Tabular};
use super::failure::{Exit, Failure, Outcome};
use super::output::{self, harmless};
use crate::model::limits::MAX_PAGE;
use crate::model::{Conflict, ConflictStatus, Conflicts, Contender, Time};
use crate::model::{NameQuery, Precedence, Status};
use crate::name::shown;

/// Show names that were claimed more than once, and who came first
///
/// Shows who claimed each of them, and why one claim won, as the node that is asked knows it. Once a conflict is final
/// all nodes show the same.
#[derive(Args, Debug)]
pub(super) struct ConflictsArgs {
    /// Only names of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only conflicts that changed at or after this time, like 2026-03-01T12:00:00Z, or are still open
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// How to print the report; in csv, a cell that a spreadsheet would take for a formula begins with an apostrophe
    #[arg(short, long, value_enum, default_value_t = Tabular::Text)]
    pub(super) output: Tabular,
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
        Tabular::Json => output::print_as(Format::Json, &all, |_| String::new())?,
        Tabular::Csv => csv(&all.conflicts, io::stdout().lock())?,
    }
    Ok(Exit::Done)
}

/// Adds a conflict, or joins it to the last one: a tenure with very many claims is reported in parts.
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

/// Describes the outcome of a claim in a conflict.
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

/// The first row of the table, which is there also where no name was claimed more than once.
const COLUMNS: [&str; 14] = [
    "namespace",
    "key",
    "status",
    "why",
    "final_at",
    "outcome",
    "name",
    "registration",
    "owner",
    "node",
    "label",
    "stamp",
    "accepted_at",
    "registration_status",
];

/// A row of the table: one claim of a conflict.
#[derive(Serialize)]
struct Row<'a> {
    namespace: Cow<'a, str>,
    key: Cow<'a, str>,
    status: ConflictStatus,
    why: Precedence,
    final_at: Option<Time>,
    outcome: &'static str,
    name: Cow<'a, str>,
    registration: String,
    owner: Cow<'a, str>,
    node: String,
    label: Cow<'a, str>,
    stamp: String,
    accepted_at: Time,
    registration_status: Status,
}

fn row<'a>(conflict: &'a Conflict, claim: &'a Contender) -> Row<'a> {
    Row {
        namespace: harmless(&conflict.namespace),
        key: harmless(&conflict.key),
        status: conflict.status,
        why: conflict.why,
        final_at: conflict.final_at,
        outcome: outcome(conflict, claim),
        name: harmless(&claim.name),
        registration: claim.registration.to_string(),
        owner: harmless(&claim.owner),
        node: claim.node.to_string(),
        label: harmless(&claim.label),
        stamp: claim.stamp.to_string(),
        accepted_at: claim.accepted_at,
        registration_status: claim.status,
    }
}

/// Writes a table that is safe to open in a spreadsheet: no text from users becomes a formula.
fn csv(conflicts: &[Conflict], to: impl io::Write) -> Result<(), Failure> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(to);
    writer.write_record(COLUMNS).map_err(output::csv_failure)?;
    for conflict in conflicts {
        for claim in &conflict.claims {
            writer.serialize(row(conflict, claim)).map_err(output::csv_failure)?;
        }
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_finds_no_formula_in_the_report() {
        let claim = |owner: &str| {
            serde_json::json!({
                "registration": "00000000-0000-4000-8000-000000000007", "owner": owner, "name": "=1+1", "label": "@label",
                "node": "00000000000000ab", "stamp": "7.0@00000000000000ab", "accepted_at": "2026-03-01T12:00:00Z",
                "status": "confirmed",
            })
        };
        let conflict = serde_json::json!({
            "namespace": "tag", "key": "=1+1", "status": "open", "winner": "00000000-0000-4000-8000-000000000007",
            "why": "earliest-timestamp", "claims": [claim("-2+3"), claim("ann")],
        });
        let conflict: Conflict = serde_json::from_value(conflict).unwrap();
        let mut table = Vec::new();
        // The names of the columns are those of the fields, in their order, also where there is no row.
        let mut named = csv::Writer::from_writer(Vec::new());
        named.serialize(row(&conflict, &conflict.claims[0])).unwrap();
        let named = String::from_utf8(named.into_inner().unwrap()).unwrap();
        let mut empty = Vec::new();
        csv(&[], &mut empty).unwrap();
        assert_eq!(named.lines().next(), String::from_utf8(empty).unwrap().lines().next());
        csv(&[conflict], &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        let rows: Vec<_> = table.lines().skip(1).collect();
        assert!(rows[0].starts_with("tag,'=1+1,open,") && rows[0].contains(",'=1+1,"), "{table}");
        assert!(rows[0].contains(",'-2+3,") && rows[0].contains(",'@label,"), "{table}");
        assert!(rows[1].contains(",ann,"), "{table}");
    }
}
