//! `forename backup`

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::args::ClientArgs;
use super::failure::{Exit, Failure, Outcome};
use super::output;
use crate::backup::{BackupError, Head, Reader};
use crate::client::Client;
use crate::clock::NodeId;
use crate::files;
use crate::model::Time;

/// Write a backup of a running node into a file, its key included
///
/// The node keeps running; the backup has everything that the node had acknowledged when the backup began.
///
/// The file contains the node's identity key and the cluster's secret: it is as secret as the data directory, and only
/// its owner may read it. 'forename restore' makes a data directory of it.
#[derive(Args, Debug)]
pub(super) struct BackupArgs {
    /// The file to write; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

#[derive(Serialize, Debug)]
struct BackupTaken {
    file: PathBuf,
    node: NodeId,
    time: Time,
    rows: u64,
    bytes: u64,
}

pub(super) async fn run(args: BackupArgs) -> Outcome {
    let path = &args.file;
    if path.symlink_metadata().is_ok() {
        return Err(Failure::failed(format!(
            "{} is there already and is left as it is; no backup was taken, give another name",
            path.display()
        )));
    }
    let part = files::part(path);
    let taken = take(&args.client.client()?, path, &part).await;
    if taken.is_err() {
        // The file may not exist yet.
        let _ = fs::remove_file(&part);
    }
    output::print(&args.client, &taken?, |taken| {
        let BackupTaken { file, node, time, rows, bytes } = taken;
        format!(
            "{}: node {node} at {time}, {rows} rows, {bytes} bytes\nit has the node's key: keep it as secret as the data \
             directory",
            file.display()
        )
    })?;
    Ok(Exit::Done)
}

/// Writes what the node sends into `part`, and renames it once it is whole and durable.
async fn take(client: &Client, path: &Path, part: &Path) -> Result<BackupTaken, Failure> {
    let failed = |error: io::Error| {
        Failure::failed(format!("no backup was taken: {} cannot be written: {error}", part.display()))
    };
    let mut stream = client.backup().await?;
    let mut file = files::private_file(part).map_err(failed)?;
    while let Some(bytes) = stream.next().await? {
        file.write_all(&bytes).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    let bytes = file.stream_position().map_err(failed)?;
    let (head, rows) = check(part).map_err(|error| {
        Failure::failed(format!("no backup was taken: what the node sent is not whole, as {error}"))
    })?;
    files::rename(part, path).map_err(failed)?;
    Ok(BackupTaken { file: path.to_owned(), node: head.node, time: Time(head.time), rows, bytes })
}

fn check(file: &Path) -> Result<(Head, u64), BackupError> {
    let (reader, head) = Reader::open(io::BufReader::new(File::open(file)?))?;
    Ok((head, reader.check()?))
}
