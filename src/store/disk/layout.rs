//! The files around the database: the lock and the format record.
//!
//! ```text
//! LOCK          held while a process has the store open
//! db/           fjall
//! db/log/       the log: its segments, and NUMBER.wal.new for one whose making was cut short
//! db/FORMAT     which version of the tables it holds
//! db/FORMAT.new a format record whose writing was cut short
//! db.new/       a database whose making was cut short
//! ```
//!
//! A database is made under another name, closed, and renamed once it is whole. So a database with the final name is
//! whole.
//!
//! The format record says which version of the tables a database holds. A program that does not read this version
//! refuses the database before it changes anything.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::TryRng;

use super::error::OpenError;
use super::options::DiskOptions;
use super::tables::Tables;
use super::wal::{Directory, Log, Sizes};
use crate::files;

/// The version of the tables' meaning. A new minor version adds to the tables, and programs of that version read the
/// older ones too. A program of a new major version cannot read older tables as they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Format {
    major: u32,
    minor: u32,
}

impl Format {
    /// The format that this version of forename reads and writes.
    const PRESENT: Self = Self { major: 1, minor: 0 };

    /// Parses a format record; none where the text is no format record.
    fn parse(record: &str) -> Option<Self> {
        let version = record.strip_prefix("forename store ")?.strip_suffix('\n')?;
        let (major, minor) = version.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// Returns true where this version of forename can read the format.
    fn is_readable(self) -> bool {
        self.major == Self::PRESENT.major && self <= Self::PRESENT
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forename store {}.{}", self.major, self.minor)
    }
}

/// The version of the tables that this version of forename writes, like `1.0`.
#[cfg(feature = "cli")]
pub(crate) fn format_version() -> String {
    format!("{}.{}", Format::PRESENT.major, Format::PRESENT.minor)
}

/// The format record that this version of forename writes.
pub(crate) fn format_record() -> String {
    Format::PRESENT.to_string()
}

/// Returns true where this version of forename can read tables with this format record.
pub(crate) fn is_readable(record: &str) -> bool {
    Format::parse(&format!("{record}\n")).is_some_and(Format::is_readable)
}

/// Locks the directory for this process.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    files::private_dir(dir).map_err(|error| OpenError::io(dir, error))?;
    let path = dir.join("LOCK");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| OpenError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path, error)),
    }
}

/// The directory of the log, inside the directory of the database.
pub(super) fn log(database: &Path) -> PathBuf {
    database.join("log")
}

/// The directory of the database. It is made where there is none. The caller holds the lock.
pub(super) fn database(dir: &Path, options: &DiskOptions) -> Result<PathBuf, OpenError> {
    let path = dir.join("db");
    if path.try_exists().map_err(|error| OpenError::io(&path, error))? {
        check_format(&path)?;
        return Ok(path);
    }
    let making = dir.join("db.new");
    match fs::remove_dir_all(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::io(&making, error)),
        _ => {}
    }
    // Only the owner of the directory may read it, whatever umask the process has.
    files::private_dir(&log(&making)).map_err(|error| OpenError::io(&making, error))?;
    let seed = random_seed().map_err(|error| OpenError::io(&making, error))?;
    let made = Tables::open(&making, options.cache_bytes).and_then(|tables| tables.begin(seed));
    made.map_err(|error| OpenError::Database { path: making.clone(), error })?;
    let finish = || {
        Log::create(Arc::new(Directory::new(log(&making))), Sizes::new(options.segment_bytes))?;
        write_format(&making)?;
        fs::rename(&making, &path)?;
        files::sync_dir(dir)
    };
    finish().map_err(|error| OpenError::io(&making, error))?;
    Ok(path)
}

fn random_seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Refuses a format that this version cannot read.
fn check_format(path: &Path) -> Result<(), OpenError> {
    let record = path.join("FORMAT");
    let found = match fs::read(&record) {
        Ok(found) => String::from_utf8_lossy(&found).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Foreign(path.to_owned())),
        Err(error) => return Err(OpenError::io(&record, error)),
    };
    if Format::parse(&found).is_some_and(Format::is_readable) {
        return Ok(());
    }
    Err(OpenError::Format { path: path.to_owned(), found: found.trim().to_owned(), readable: format_record() })
}

/// Writes the record of the present format durably and atomically.
fn write_format(database: &Path) -> io::Result<()> {
    let (record, written) = (database.join("FORMAT"), database.join("FORMAT.new"));
    let mut file = File::create(&written)?;
    writeln!(file, "{}", Format::PRESENT)?;
    file.sync_all()?;
    fs::rename(&written, &record)?;
    files::sync_dir(database)
}
