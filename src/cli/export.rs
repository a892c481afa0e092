//! `forename export`

use std::borrow::Cow;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::args::NodeArgs;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::client::Client;
use crate::files;
use crate::model::limits::MAX_PAGE;
use crate::model::{NameQuery, NameStatus};
use crate::model::{TakenName, Time};

/// Write all taken names to a file, to be imported elsewhere
///
/// Each line has one name, in a format that 'forename import' reads. Names that are claimed or released meanwhile may
/// be missing or not; names that are held all the time are included. A registration of several names has a line for
/// each of them.
#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// The file to write; an existing file is not overwritten
    #[arg(default_value = "-", value_name = "FILE|-")]
    file: PathBuf,
    /// Only names of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only names whose canonical form begins like this
    #[arg(long, requires = "namespace", default_value = "")]
    prefix: String,
    /// Lines of JSON, the default, or a table with a header
    #[arg(long, value_enum)]
    format: Option<Lines>,
    /// A table for a spreadsheet: with a byte order mark, and an apostrophe before each cell that a spreadsheet would
    /// take for a formula. 'forename import' takes that apostrophe for a part of the name
    #[arg(long)]
    spreadsheet: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// The formats of a file of rows.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Lines {
    Csv,
    Ndjson,
}

impl ExportArgs {
    fn format(&self) -> Lines {
        let by_default = if self.spreadsheet { Lines::Csv } else { Lines::Ndjson };
        self.format.unwrap_or(by_default)
    }
}

pub(super) async fn run(args: ExportArgs) -> Outcome {
    if args.spreadsheet && args.format() == Lines::Ndjson {
        return Err(Failure::usage("--spreadsheet is about a table; nothing was written, leave out --format ndjson"));
    }
    let client = args.node.client()?;
    if args.file == Path::new("-") {
        // Stdout is not locked, because a lock cannot be held across a request.
        export(&args, &client, io::stdout()).await?;
        return Ok(Exit::Done);
    }
    if args.file.symlink_metadata().is_ok() {
        let there = "is there already and is left as it is; nothing was exported, give another name";
        return Err(Failure::failed(format!("{} {there}", args.file.display())));
    }
    let part = files::part(&args.file);
    let written = export_whole(&args, &client, &part).await;
    if written.is_err() {
        // The file may not exist yet.
        let _ = fs::remove_file(&part);
    }
    output::line(&format!("{} names in {}", written?, args.file.display()))?;
    Ok(Exit::Done)
}

/// Writes `part`, and gives it its name once it is whole and durable: a reader could not know that names are missing. Returns
/// the number of names.
async fn export_whole(args: &ExportArgs, client: &Client, part: &Path) -> Result<u64, Failure> {
    let failed =
        |error: io::Error| Failure::failed(format!("cannot write {}: {error}; nothing was exported", part.display()));
    let file = files::private_file(part).map_err(failed)?;
    let count = export(args, client, &file).await?;
    file.sync_all().map_err(failed)?;
    files::rename(part, &args.file).map_err(failed)?;
    Ok(count)
}

/// Writes all pages. Returns the number of names.
async fn export(args: &ExportArgs, client: &Client, to: impl Write) -> Result<u64, Failure> {
    let query = NameQuery { namespace: args.namespace.clone(), limit: Some(MAX_PAGE) };
    let mut sink = Sink::new(args.format(), args.spreadsheet, to)?;
    let (mut count, mut after) = (0, None);
    loop {
        let page = client.names(&query, &args.prefix, after.as_ref()).await?;
        // A name that is about to become free is not exported.
        for name in page.names.iter().filter(|name| name.status != NameStatus::Ending) {
            sink.write(name)?;
            count += 1;
        }
        after = page.next;
        if after.is_none() {
            sink.finish()?;
            return Ok(count);
        }
    }
}

enum Sink<W: Write> {
    /// The writer of a table, and true where it is for a spreadsheet.
    Csv(Box<csv::Writer<W>>, bool),
    Ndjson(BufWriter<W>),
}

/// The first row of the table, which is there also where there is no name.
const COLUMNS: [&str; 9] =
    ["namespace", "name", "owner", "key", "status", "registration", "since", "expires_at", "metadata"];

/// A row of the table: one name.
#[derive(Serialize)]
struct Row<'a> {
    namespace: Cow<'a, str>,
    name: Cow<'a, str>,
    owner: Cow<'a, str>,
    key: Cow<'a, str>,
    status: NameStatus,
    registration: String,
    since: Time,
    expires_at: Option<Time>,
    metadata: Cow<'a, str>,
}

impl<W: Write> Sink<W> {
    fn new(format: Lines, spreadsheet: bool, mut to: W) -> Result<Self, Failure> {
        Ok(match format {
            Lines::Csv => {
                if spreadsheet {
                    to.write_all(b"\xef\xbb\xbf")?;
                }
                let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(to);
                writer.write_record(COLUMNS).map_err(output::csv_failure)?;
                Self::Csv(Box::new(writer), spreadsheet)
            }
            Lines::Ndjson => Self::Ndjson(BufWriter::new(to)),
        })
    }

    fn write(&mut self, name: &TakenName) -> Result<(), Failure> {
        match self {
            Self::Csv(writer, spreadsheet) => {
                let cell = |text| if *spreadsheet { output::harmless(text) } else { Cow::Borrowed(text) };
                let row = Row {
                    namespace: cell(&name.namespace),
                    name: cell(&name.name),
                    owner: cell(&name.owner),
                    key: cell(&name.key),
                    status: name.status,
                    registration: name.registration.to_string(),
                    since: name.since,
                    expires_at: name.expires_at,
                    metadata: cell(name.metadata.as_ref().map_or("", |metadata| metadata.as_str())),
                };
                writer.serialize(row).map_err(output::csv_failure)
            }
            Self::Ndjson(writer) => {
                serde_json::to_writer(&mut *writer, name).map_err(io::Error::from)?;
                Ok(writer.write_all(b"\n")?)
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Csv(mut writer, _) => Ok(writer.flush()?),
            Self::Ndjson(mut writer) => Ok(writer.flush()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::Millis;

    fn written(spreadsheet: bool, name: &str) -> String {
        let mut bytes = Vec::new();
        let mut sink = Sink::new(Lines::Csv, spreadsheet, &mut bytes).unwrap();
        let taken = TakenName {
            namespace: "tag".to_owned(),
            name: name.to_owned(),
            key: name.to_owned(),
            status: NameStatus::Held,
            owner: "-o".to_owned(),
            registration: Uuid::from_u128(7),
            since: Time(Millis(0)),
            expires_at: None,
            metadata: None,
        };
        sink.write(&taken).unwrap();
        sink.finish().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_table_without_names_has_its_columns() {
        let mut bytes = Vec::new();
        Sink::new(Lines::Csv, false, &mut bytes).unwrap().finish().unwrap();
        let (empty, full) = (String::from_utf8(bytes).unwrap(), written(false, "a"));
        assert_eq!(empty, COLUMNS.join(",") + "\n");
        let row = full.strip_prefix(&empty).unwrap();
        assert_eq!(row.trim_end().split(',').count(), COLUMNS.len(), "{row}");
    }

    #[test]
    fn a_spreadsheet_gets_no_formulas() {
        for name in ["=1+1", "+1", "-1", "@x", "\t=1", "＝1"] {
            let text = written(true, name);
            assert!(text.starts_with("\u{feff}namespace,name,owner,"), "{text}");
            assert!(text.contains(&format!("tag,'{name},'-o,'{name},held")), "{text}");
        }
        assert!(written(true, "a=1").contains("tag,a=1,'-o,a=1,held"));
        assert!(written(false, "=1+1").contains("\ntag,=1+1,-o,=1+1,held"));
    }
}
