//! `forename import`

mod progress;
mod rows;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use clap::Args;
use futures_util::stream;
use serde::Serialize;
use uuid::Uuid;

use self::progress::{Checkpoint, Progress, Refused};
use self::rows::{Defaults, Row, Rows};
use super::claim::WaitArgs;
use super::export::Lines;
use super::{ClientArgs, Exit, Failure, Outcome, output};
use crate::client::{Client, ClientError};
use crate::model::{BatchLine, Registration};
use crate::model::{Problem, ProblemType};
use crate::replica::Status;

/// Rows that go to the node at a time; a checkpoint is written after each such piece.
const PIECE: usize = 10_000;
/// The pauses before a piece is sent again where the node is away or busy, each twice as long as the one before.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(500))
    .with_max_delay(Duration::from_secs(10))
    .with_max_times(9);

/// Register many names from a file
///
/// CSV has a header; its columns are: owner, and name; namespace where the names are not all of the one of --namespace;
/// name:NAMESPACE for further names of the same registration; and ttl, metadata (a JSON object) and id. Lines of JSON
/// have the same members, or those of a registration: {"owner": ..., "names": [{"namespace": ..., "name": ...}]}. Other
/// columns and members are not looked at, so what 'forename export' wrote can be read.
///
/// Each row is a registration of its own; where it has no id, its id is made of what it says. So the same rows can be
/// imported again, at any node, and are registered once. Ids are seen by all nodes and in all events, so an id that is made
/// of a private name is made under a secret: a random UUID, kept for the next time, and given as --ids-under. Where an
/// import was cut short, the same command goes on after the last piece that was registered whole.
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// What to read
    #[arg(default_value = "-", value_name = "FILE|-")]
    file: PathBuf,
    /// The namespace of names that do not say theirs
    #[arg(long)]
    namespace: Option<String>,
    /// What the ids of rows are made under that have none: a secret, for private names. The same each time
    #[arg(long, value_name = "UUID")]
    ids_under: Option<Uuid>,
    /// How the rows are written; by default as the file's name ends, or else lines of JSON
    #[arg(long, value_enum)]
    format: Option<Lines>,
    /// Do not look at so many rows
    #[arg(long, value_name = "ROWS", conflicts_with = "checkpoint")]
    skip: Option<u64>,
    /// Where to keep how far it has come; by default FILE.checkpoint, which is removed at the end
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Where to write the rows that are refused, and why, as lines of JSON; by default FILE.refused
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// What came of an import.
#[derive(Serialize, Debug, Default)]
struct Summary {
    /// Rows that were not looked at.
    skipped: u64,
    /// Rows that were.
    rows: u64,
    /// Those that have their names.
    confirmed: u64,
    /// Those whose outcome is not final yet.
    pending: u64,
    /// Those that were refused or lost.
    refused: u64,
    /// Of these, those whose names somebody else has.
    taken: u64,
    /// Where the refused rows are.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<PathBuf>,
    seconds: f64,
    rows_per_second: f64,
}

pub(super) async fn run(args: ImportArgs) -> Outcome {
    let client = args.client.client()?;
    let of_file = |extension: &str| {
        let mut path = args.file.clone().into_os_string();
        path.push(extension);
        (args.file != Path::new("-")).then_some(PathBuf::from(path))
    };
    let format = args.format.unwrap_or_else(|| by_name(&args.file));
    let (source, length) = open(&args.file)?;
    let progress = Progress::new(length);
    let mut rows = Rows::new(
        format,
        progress.watch(source),
        Defaults { namespace: args.namespace.clone(), ids_under: args.ids_under },
    );
    let checkpoint = args.checkpoint.clone().or_else(|| of_file(".checkpoint").filter(|_| args.skip.is_none()));
    let checkpoint = Checkpoint::at(checkpoint);
    let mut summary = Summary { skipped: skip(&args, &checkpoint, &mut rows)?, ..Summary::default() };
    let mut refused = Refused::at(args.report.clone().or_else(|| of_file(".refused")), summary.skipped > 0);
    let mut secrets = Secrets::default();
    loop {
        let piece = next_piece(&mut rows, &args.wait)?;
        let Some(last) = piece.last().map(Row::mark) else { break };
        let count = piece.len() as u64;
        if args.ids_under.is_none() {
            secrets.check(&client, &piece).await?;
        }
        register(&client, piece, &mut refused, &mut summary).await.map_err(|failure| {
            let done = summary.skipped + summary.rows;
            let message = format!(
                "{}; the first {done} rows are dealt with, run the same command again to go on",
                failure.message
            );
            Failure { message, ..failure }
        })?;
        refused.flush()?;
        summary.rows += count;
        checkpoint.save(summary.skipped + summary.rows, &last)?;
        progress.tell(&format!(
            "{} confirmed, {} pending, {} refused",
            summary.confirmed, summary.pending, summary.refused
        ));
    }
    checkpoint.remove()?;
    summary.seconds = progress.finish().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = summary.rows as f64 / summary.seconds.max(0.001);
    summary.rows_per_second = rate.round();
    summary.report = refused.written();
    output::print(&args.client, &summary, text)?;
    Ok(match summary.refused {
        0 => Exit::Done,
        refused if refused == summary.taken => Exit::Taken,
        _ => Exit::Failed,
    })
}

/// Which namespaces are private, as far as they were asked about.
#[derive(Default)]
struct Secrets(BTreeMap<String, bool>);

impl Secrets {
    /// Refuses rows of private names whose ids would tell the names to whoever guesses what a row says, and those of which
    /// that cannot be told.
    async fn check(&mut self, client: &Client, piece: &[Row]) -> Result<(), Failure> {
        let bodies =
            piece.iter().filter(|row| row.made).filter_map(|row| row.body.as_ref().ok().map(|body| (row, body)));
        for (row, name) in bodies.flat_map(|(row, body)| body.names.iter().map(move |name| (row, name))) {
            let namespace = &name.namespace;
            if !self.0.contains_key(namespace) {
                let private = is_private(client, namespace).await?;
                self.0.insert(namespace.clone(), private);
            }
            if self.0[namespace] {
                return Err(Failure::usage(format!(
                    "names of {namespace} are private, or this API token may not read whether they are, and line {} has no \
                     id: one that is made of what the row says would tell a private name to whoever guesses it; nothing was \
                     registered from there on. Give the rows ids of their own, or --ids-under with a random UUID that you \
                     keep secret, the same each time",
                    row.line
                )));
            }
        }
        Ok(())
    }
}

/// Asks again and again while the node is away or busy.
async fn is_private(client: &Client, namespace: &str) -> Result<bool, Failure> {
    match (|| client.namespace(namespace)).retry(PAUSES).when(passes).await {
        Ok(rules) => Ok(rules.private),
        Err(error) => match error.problem().map(|problem| problem.status) {
            Some(403) => Ok(true),
            // It is refused with its rows.
            Some(422) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

fn text(summary: &Summary) -> String {
    let Summary { rows, confirmed, pending, refused, seconds, rows_per_second, .. } = summary;
    let mut text = format!(
        "{rows} rows in {seconds:.1} s ({rows_per_second} a second): {confirmed} confirmed, {pending} pending, {refused} refused\n"
    );
    if summary.skipped > 0 {
        text += &format!("{} rows before them were not looked at\n", summary.skipped);
    }
    if let Some(report) = &summary.report {
        text += &format!("the refused rows, and why, are in {}\n", report.display());
    }
    text
}

fn by_name(file: &Path) -> Lines {
    let csv = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if csv { Lines::Csv } else { Lines::Ndjson }
}

/// What is read, and how many bytes that is, where it can be told.
fn open(file: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |error| Failure::failed(format!("cannot read {}: {error}", file.display()));
    let opened = File::open(file).map_err(failed)?;
    let length = opened.metadata().map_err(failed)?.len();
    Ok((Box::new(opened), Some(length)))
}

/// Passes over the rows that an earlier run has registered, or that are not wanted; how many.
fn skip(args: &ImportArgs, checkpoint: &Checkpoint, rows: &mut Rows) -> Result<u64, Failure> {
    let saved = checkpoint.load()?;
    let count = saved.as_ref().map_or(args.skip.unwrap_or(0), |saved| saved.rows);
    let mut last = None;
    for skipped in 0..count {
        match rows.next()? {
            Some(row) => last = Some(row.mark()),
            None if saved.is_none() => return Ok(skipped),
            None => break,
        }
    }
    match saved {
        Some(saved) if last.as_ref() != Some(&saved.last) => Err(Failure::failed(format!(
            "{} is of other rows than these: row {count} is not the same. Remove it to begin with the first row; what is \
             registered already is not registered twice",
            checkpoint.display()
        ))),
        _ => Ok(count),
    }
}

fn next_piece(rows: &mut Rows, wait: &WaitArgs) -> Result<Vec<Row>, Failure> {
    let mut piece = Vec::new();
    while piece.len() < PIECE
        && let Some(mut row) = rows.next()?
    {
        if let Ok(body) = &mut row.body {
            wait.fill(body);
        }
        piece.push(row);
    }
    Ok(piece)
}

/// Registers a piece, again and again while the node is away or busy; what was answered is not sent again.
async fn register(
    client: &Client,
    piece: Vec<Row>,
    refused: &mut Refused,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut waiting = Vec::new();
    for row in piece {
        match &row.body {
            Ok(_) => waiting.push(row),
            Err(why) => {
                summary.refused += 1;
                refused.add(&row, why)?;
            }
        }
    }
    let mut pauses = PAUSES.build();
    while !waiting.is_empty() {
        let why;
        (waiting, why) = send(client, waiting, refused, summary).await?;
        if let Some(why) = why.filter(|_| !waiting.is_empty()) {
            tokio::time::sleep(pauses.next().ok_or(why)?).await;
        }
    }
    Ok(())
}

/// Sends rows; those to be sent again, and why.
async fn send(
    client: &Client,
    rows: Vec<Row>,
    refused: &mut Refused,
    summary: &mut Summary,
) -> Result<(Vec<Row>, Option<ClientError>), Failure> {
    let bodies: Vec<_> = rows.iter().filter_map(|row| row.body.clone().ok()).collect();
    let mut rows = rows.into_iter();
    let mut answers = match client.register_all(stream::iter(bodies)).await {
        Ok(answers) => answers,
        Err(error) if passes(&error) => return Ok((rows.collect(), Some(error))),
        Err(error) => return Err(error.into()),
    };
    let (mut again, mut why) = (Vec::new(), None);
    loop {
        match answers.next().await {
            Ok(Some(answer)) => {
                // One line, one answer, in order.
                let Some(row) = rows.next() else { break };
                if let Some(problem) = answer.problem.as_deref().filter(|problem| is_busy(problem)) {
                    why = Some(ClientError::Problem(Box::new(problem.clone())));
                    again.push(row);
                } else {
                    count(&row, answer, refused, summary)?;
                }
            }
            Ok(None) => break,
            Err(error) if passes(&error) => {
                why = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let unanswered: Vec<_> = rows.collect();
    if why.is_none() && !unanswered.is_empty() {
        let message = "the node ended its answer before the last row; it may be stopping".to_owned();
        why = Some(ClientError::Unreachable { address: client.address().to_owned(), why: message, sent: true });
    }
    again.extend(unanswered);
    Ok((again, why))
}

/// Whether it may be otherwise later.
fn passes(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. }) || error.problem().is_some_and(is_busy)
}

fn is_busy(problem: &Problem) -> bool {
    matches!(problem.status, 429 | 503)
}

fn count(row: &Row, answer: BatchLine, refused: &mut Refused, summary: &mut Summary) -> Result<(), Failure> {
    let over = |registration: &Registration| registration.names.iter().all(|name| name.ended.is_some());
    match (answer.registration, answer.problem) {
        (Some(registration), _) if over(&registration) => {
            summary.refused += 1;
            refused.add(row, "it was registered before under the same id, and has ended since; give it another id")
        }
        (Some(registration), _) => {
            match registration.status {
                Status::Confirmed => summary.confirmed += 1,
                _ => summary.pending += 1,
            }
            Ok(())
        }
        (None, problem) => {
            let taken = [ProblemType::NameTaken, ProblemType::RegistrationRejected];
            let problem =
                problem.unwrap_or_else(|| Box::new(Problem::new(ProblemType::Unknown, "no reason was given")));
            summary.refused += 1;
            summary.taken += u64::from(taken.contains(&problem.problem_type));
            refused.add(row, &problem.detail)
        }
    }
}
