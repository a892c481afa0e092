//! `forename export`

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Exit, Failure, NodeArgs, Outcome, output};
use crate::client::Client;
use crate::files;
use crate::model::NameQuery;
use crate::model::{TakenName, Time};
use crate::replica::NameStatus;
use crate::replica::limits::MAX_PAGE;

/// Write out all names that are taken, a line each, as 'forename import' reads them
///
/// Names that come and go meanwhile may be in it or not; what is there all the time is. A registration of several names
/// has a line for each of them.
#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// Where to write; a file that is there is not written over
    #[arg(default_value = "-", value_name = "FILE|-")]
    file: PathBuf,
    /// Only names of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only names that begin so, by their canonical form
    #[arg(long, requires = "namespace", default_value = "")]
    prefix: String,
    /// Lines of JSON, or a table with a header
    #[arg(long, value_enum, default_value_t = Lines::Ndjson)]
    format: Lines,
    #[command(flatten)]
    node: NodeArgs,
}

/// How many rows of data are written down.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Lines {
    Csv,
    Ndjson,
}

pub(super) async fn run(args: ExportArgs) -> Outcome {
    let client = args.node.client()?;
    if args.file == Path::new("-") {
        // Not the locked one: that could not be held across a request.
        export(&args, &client, io::stdout()).await?;
        return Ok(Exit::Done);
    }
    let failed = |error: io::Error| Failure::failed(format!("cannot write {}: {error}", args.file.display()));
    let file = files::private_file(&args.file).map_err(failed)?;
    let written = export(&args, &client, &file).await.and_then(|count| file.sync_all().map_err(failed).map(|()| count));
    match written {
        Ok(count) => {
            output::line(&format!("{count} names in {}", args.file.display()))?;
            Ok(Exit::Done)
        }
        Err(failure) => {
            // It is not whole, and whoever finds it could not tell.
            let _ = fs::remove_file(&args.file);
            Err(failure)
        }
    }
}

/// Writes all pages; how many names there were.
async fn export(args: &ExportArgs, client: &Client, to: impl Write) -> Result<u64, Failure> {
    let query = NameQuery { namespace: args.namespace.clone(), limit: Some(MAX_PAGE) };
    let mut sink = Sink::new(args.format, to);
    let (mut count, mut after) = (0, None);
    loop {
        let page = client.names(&query, &args.prefix, after.as_ref()).await?;
        // What is on its way out is not to be brought in again elsewhere.
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
    Csv(Box<csv::Writer<W>>),
    Ndjson(BufWriter<W>),
}

/// A name as a row of a table.
#[derive(Serialize)]
struct Row<'a> {
    namespace: &'a str,
    name: &'a str,
    owner: &'a str,
    key: &'a str,
    status: NameStatus,
    registration: String,
    since: Time,
    expires_at: Option<Time>,
    metadata: &'a str,
}

impl<W: Write> Sink<W> {
    fn new(format: Lines, to: W) -> Self {
        match format {
            Lines::Csv => Self::Csv(Box::new(csv::Writer::from_writer(to))),
            Lines::Ndjson => Self::Ndjson(BufWriter::new(to)),
        }
    }

    fn write(&mut self, name: &TakenName) -> Result<(), Failure> {
        match self {
            Self::Csv(writer) => {
                let row = Row {
                    namespace: &name.namespace,
                    name: &name.name,
                    owner: &name.owner,
                    key: &name.key,
                    status: name.status,
                    registration: name.registration.to_string(),
                    since: name.since,
                    expires_at: name.expires_at,
                    metadata: name.metadata.as_ref().map_or("", |metadata| metadata.as_str()),
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
            Self::Csv(mut writer) => Ok(writer.flush()?),
            Self::Ndjson(mut writer) => Ok(writer.flush()?),
        }
    }
}
