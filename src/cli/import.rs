//! `forename import`

mod check;
mod lines;
mod pieces;
mod progress;
mod rows;
mod send;
mod table;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use self::check::{Secrets, try_out};
use self::lines::Lines;
use self::pieces::Pieces;
use self::progress::{Checkpoint, Progress, Refused};
use self::rows::{Defaults, Options, Row, Rows};
use self::send::register;
use self::table::TableOptions;
use super::args::ClientArgs;
use super::claim::WaitArgs;
use super::export::Lines as Format;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::name::escaped;

/// Register many names from a file
///
/// A CSV file has a header. Its columns are: owner, and name; namespace, unless all names are in the one of
/// --namespace; name:NAMESPACE for further names of the same registration; and ttl, metadata (a JSON object) and id.
/// Lines of JSON have the same members, or those of a registration: {"owner": ..., "names": [{"namespace": ..., "name":
/// ...}]}. Other columns and members are ignored, and listed at the end, so a file from 'forename export' can be read.
/// A row that cannot be read or registered is refused alone, and reported with its line and the reason.
///
/// Each row is a registration of its own. Where it has no id, its id is derived from its content. So the same rows can
/// be imported again, at any node, and are registered once. Ids are seen by all nodes and in all events, so an id that
/// is derived from a private name needs a secret: a random UUID, kept for the next time, and given as --ids-under.
/// Where an import was interrupted, the same command continues after the last piece that was registered completely.
#[derive(Args, Debug)]
pub(super) struct ImportArgs {
    /// The file to read
    #[arg(default_value = "-", value_name = "FILE|-")]
    file: PathBuf,
    /// The namespace of names without one
    #[arg(long)]
    namespace: Option<String>,
    /// A secret UUID from which the ids of rows without one are derived, for private names; give the same each time
    #[arg(long, value_name = "UUID")]
    ids_under: Option<Uuid>,
    /// The format of the rows; by default the file's name or its first line decides
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What separates the cells of a table: a character, or 'tab'; by default a comma, semicolon or tab, as its header
    /// shows
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Allow line breaks in cells of the table, within quotes. Otherwise an open quote is an error of its line, and
    /// does not swallow the rows after it
    #[arg(long)]
    multiline: bool,
    /// Read a column of the table as another, like mail=name:email; several with commas, or given again
    #[arg(long, value_name = "COLUMN=AS", value_delimiter = ',', value_parser = mapping)]
    map: Vec<(String, String)>,
    /// Register nothing: read all rows, look up their names, and report what would be refused
    #[arg(long, conflicts_with_all = ["checkpoint", "wait"])]
    dry_run: bool,
    /// Skip this many rows
    #[arg(long, value_name = "ROWS", conflicts_with = "checkpoint")]
    skip: Option<u64>,
    /// The file that records the progress; by default FILE.checkpoint, which is removed at the end
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The file for refused rows, with the reasons, as lines of JSON; by default FILE.refused
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// The result of an import.
#[derive(Serialize, Debug, Default)]
struct Summary {
    /// Rows that were skipped.
    skipped: u64,
    /// Rows that were read.
    rows: u64,
    /// Rows whose registrations are confirmed.
    confirmed: u64,
    /// Rows whose outcome is not final yet.
    pending: u64,
    /// Rows that were refused or lost.
    refused: u64,
    /// Refused rows whose names are held by somebody else.
    taken: u64,
    /// With --dry-run: rows whose names are available.
    #[serde(skip_serializing_if = "is_zero")]
    possible: u64,
    /// Columns, or members of lines of JSON, that were ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
    /// The file with the refused rows; none where there are none or they went to stderr.
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
    let (source, length) = open(&args.file)?;
    let progress = Progress::new(length);
    let mut rows = read(&args, progress.watch(source))?;
    let checkpoint = args.checkpoint.clone().or_else(|| of_file(".checkpoint").filter(|_| args.skip.is_none()));
    let checkpoint = Checkpoint::at(checkpoint.filter(|_| !args.dry_run));
    let mut summary = Summary { skipped: skip(&args, &checkpoint, &mut rows)?, ..Summary::default() };
    let own_report = of_file(".refused").filter(|_| args.report.is_none());
    // A file that was named by the user is left alone until a row is refused: it may be any other file.
    if let Some(report) = own_report.as_deref().filter(|_| summary.skipped == 0) {
        Refused::remove(report)?;
    }
    let mut refused = Refused::at(own_report.or_else(|| args.report.clone()), summary.skipped > 0);
    let mut secrets = Secrets::default();
    let mut pieces = Pieces::read(rows, args.wait.clone())?;
    while let Some(piece) = pieces.next().await? {
        let Some(last) = piece.last().map(Row::mark) else { break };
        let count = piece.len() as u64;
        if args.ids_under.is_none() {
            secrets.check(&client, &piece).await?;
        }
        if args.dry_run {
            try_out(&client, &piece, &mut refused, &mut summary).await?;
        } else {
            let done = summary.skipped + summary.rows;
            register(&client, piece, &mut refused, &mut summary).await.map_err(|failure| cut_short(failure, done))?;
        }
        refused.flush()?;
        summary.rows += count;
        checkpoint.save(summary.skipped + summary.rows, &last)?;
        progress.tell(&counts(&summary, args.dry_run));
    }
    checkpoint.remove()?;
    summary.seconds = progress.finish().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = summary.rows as f64 / summary.seconds.max(0.001);
    summary.rows_per_second = rate.round();
    (summary.report, summary.ignored) = (refused.written(), pieces.ignored());
    output::print(&args.client, &summary, |summary| text(summary, args.dry_run))?;
    Ok(match summary.refused {
        0 => Exit::Done,
        refused if refused == summary.taken => Exit::Taken,
        _ => Exit::Failed,
    })
}

fn read(args: &ImportArgs, source: impl Read + Send + 'static) -> Result<Rows, Failure> {
    let mut lines = Lines::new(source);
    let format = match args.format {
        Some(format) => format,
        None => lines.format(&args.file)?,
    };
    let defaults = Defaults { namespace: args.namespace.clone(), ids_under: args.ids_under };
    let table = TableOptions { delimiter: args.delimiter, multiline: args.multiline, map: args.map.clone() };
    Rows::new(format, lines, Options { defaults, table })
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("give one character of ASCII, like ';', or 'tab'".to_owned()),
    }
}

fn mapping(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, to)) if !column.is_empty() && !to.is_empty() => Ok((column.to_owned(), to.to_owned())),
        _ => Err("write it as COLUMN=AS, like mail=name:email".to_owned()),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn cut_short(failure: Failure, done: u64) -> Failure {
    let message =
        format!("{}; the first {done} rows are dealt with, run the same command again to go on", failure.message);
    failure.saying(message)
}

fn counts(summary: &Summary, dry_run: bool) -> String {
    let Summary { confirmed, pending, refused, possible, .. } = summary;
    if dry_run {
        return format!("{possible} could be registered, {refused} would be refused");
    }
    format!("{confirmed} confirmed, {pending} pending, {refused} refused")
}

fn text(summary: &Summary, dry_run: bool) -> String {
    let Summary { rows, seconds, rows_per_second, .. } = summary;
    let counts = counts(summary, dry_run);
    let mut text = format!("{rows} rows in {seconds:.1} s ({rows_per_second} a second): {counts}\n");
    if dry_run {
        text += "nothing was registered\n";
    }
    if summary.skipped > 0 {
        text += &format!("{} rows before them were not looked at\n", summary.skipped);
    }
    if !summary.ignored.is_empty() {
        let ignored: Vec<_> = summary.ignored.iter().map(|column| escaped(column)).collect();
        text += &format!("columns that were not looked at: {}\n", ignored.join(", "));
    }
    if let Some(report) = &summary.report {
        text += &format!("the refused rows, and why, are in {}\n", report.display());
    }
    text
}

/// Opens the file, or stdin. Returns its length in bytes too, where this is known.
fn open(file: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |error| Failure::failed(format!("cannot read {}: {error}", file.display()));
    let opened = File::open(file).map_err(failed)?;
    let length = opened.metadata().map_err(failed)?.len();
    Ok((Box::new(opened), Some(length)))
}

/// Skips the rows that an earlier run has registered, or that are not wanted. Returns their number.
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
