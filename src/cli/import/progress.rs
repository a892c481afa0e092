//! The progress of an import: on the terminal, in a file from which to continue, and the report of refused rows.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::failure::Failure;
use super::rows::Row;
use crate::files;

/// A bar on stderr, where that is a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Makes a bar for this many bytes, where their number is known.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent}% {eta} left; {msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {elapsed}; {msg}"),
        };
        // This cannot fail, because the templates are constants and valid.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// Counts the bytes that are read from a source.
    pub(super) fn watch(&self, source: Box<dyn Read + Send>) -> impl Read + Send + 'static {
        self.0.wrap_read(source)
    }

    pub(super) fn tell(&self, what: &str) {
        self.0.set_message(what.to_owned());
        self.0.tick();
    }

    /// Removes the bar. Returns the duration of the import.
    pub(super) fn finish(&self) -> Duration {
        let elapsed = self.0.elapsed();
        self.0.finish_and_clear();
        elapsed
    }
}

impl Drop for Progress {
    /// The bar is removed before an error is printed. The reader of the file has a clone of it, and lives on.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The content of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    /// The number of rows that are registered or refused.
    pub(super) rows: u64,
    /// The mark of the last of them.
    pub(super) last: Uuid,
}

/// The checkpoint file; none where no progress is saved.
pub(super) struct Checkpoint(Option<PathBuf>);

impl Checkpoint {
    pub(super) fn at(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    pub(super) fn display(&self) -> std::path::Display<'_> {
        self.0.as_deref().unwrap_or(Path::new("-")).display()
    }

    /// Returns what an earlier run has saved.
    pub(super) fn load(&self) -> Result<Option<Saved>, Failure> {
        let Some(path) = &self.0 else { return Ok(None) };
        let failed = |why: String| Failure::failed(format!("cannot read the checkpoint {}: {why}", path.display()));
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Replaces the checkpoint.
    pub(super) fn save(&self, rows: u64, last: &Uuid) -> Result<(), Failure> {
        let Some(path) = &self.0 else { return Ok(()) };
        let text = serde_json::to_vec(&Saved { rows, last: *last }).map_err(io::Error::from);
        let written = text.and_then(|text| files::replace(path, &text));
        written.map_err(|error| Failure::failed(format!("cannot write the checkpoint {}: {error}", path.display())))
    }

    pub(super) fn remove(&self) -> Result<(), Failure> {
        let Some(path) = &self.0 else { return Ok(()) };
        let failed = |error| Failure::failed(format!("cannot remove the checkpoint {}: {error}", path.display()));
        files::remove(path).map_err(failed)
    }
}

/// The report of refused rows: a file, or stderr where no file is given.
pub(super) struct Refused {
    path: Option<PathBuf>,
    /// True where it is appended to the report of an earlier run.
    goes_on: bool,
    out: Option<BufWriter<Box<dyn Write>>>,
}

/// A line of the report.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    reason: &'a str,
    row: &'a str,
}

impl Refused {
    pub(super) fn at(path: Option<PathBuf>, goes_on: bool) -> Self {
        Self { path, goes_on, out: None }
    }

    /// Removes the report of an earlier run: its rows may have been put right since.
    pub(super) fn remove(path: &Path) -> Result<(), Failure> {
        files::remove_if_there(path).map_err(|error| failed(Some(path), &error))
    }

    pub(super) fn add(&mut self, row: &Row, reason: &str) -> Result<(), Failure> {
        let out = match &mut self.out {
            Some(out) => out,
            None => self.out.insert(BufWriter::new(open(self.path.as_deref(), self.goes_on)?)),
        };
        let line = Line { line: row.line, reason, row: &row.text };
        let text = serde_json::to_string(&line).map_err(io::Error::from);
        text.and_then(|text| writeln!(out, "{text}")).map_err(|error| failed(self.path.as_deref(), &error))
    }

    /// Writes buffered lines.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.out.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| failed(self.path.as_deref(), &error))
    }

    /// Returns the file, where any row was refused.
    pub(super) fn written(&self) -> Option<PathBuf> {
        self.path.clone().filter(|_| self.out.is_some())
    }
}

fn open(path: Option<&Path>, goes_on: bool) -> Result<Box<dyn Write>, Failure> {
    let Some(path) = path else { return Ok(Box::new(io::stderr())) };
    let file = files::private(File::options().create(true).write(true).append(goes_on).truncate(!goes_on)).open(path);
    Ok(Box::new(file.map_err(|error| failed(Some(path), &error))?))
}

fn failed(path: Option<&Path>, error: &io::Error) -> Failure {
    let path = path.unwrap_or(Path::new("stderr")).display();
    Failure::failed(format!("cannot write the refused rows to {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_written_and_gone_when_removed() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::at(Some(dir.path().join("c")));
        assert_eq!(checkpoint.load().unwrap(), None);
        for rows in [7, 9] {
            checkpoint.save(rows, &Uuid::from_u128(1)).unwrap();
            assert_eq!(checkpoint.load().unwrap(), Some(Saved { rows, last: Uuid::from_u128(1) }));
        }
        checkpoint.remove().unwrap();
        checkpoint.remove().unwrap();
        assert_eq!(checkpoint.load().unwrap(), None);
        std::fs::write(dir.path().join("c"), "x").unwrap();
        assert!(checkpoint.load().is_err());
    }
}
