//! The files around the database: the lock and the format record.
//!
//! ```text
//! LOCK          held while a process has the store open
//! db/           fjall
//! db/FORMAT     which version of the tables it holds
//! db.new/       a database whose making was cut short
//! ```
//!
//! A database is made under another name, closed, and renamed when it is whole, so one that is there is whole.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{DiskOptions, OpenError, tuning};

/// What `FORMAT` says. It changes with the meaning of any table.
const FORMAT: &str = "forename store 1\n";

/// Takes the directory for this process.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(dir).map_err(|error| io_error(dir, error))?;
    let path = dir.join("LOCK");
    let file =
        File::options().create(true).write(true).truncate(false).open(&path).map_err(|error| io_error(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error(&path, error)),
    }
}

/// The directory of the database, which is made where there is none. The caller holds the lock.
pub(super) fn database(dir: &Path, options: &DiskOptions) -> Result<PathBuf, OpenError> {
    let path = dir.join("db");
    if path.try_exists().map_err(|error| io_error(&path, error))? {
        check_format(&path)?;
        return Ok(path);
    }
    let making = dir.join("db.new");
    match fs::remove_dir_all(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&making, error)),
        _ => {}
    }
    let made = tuning::open(&making, options).and_then(|tables| tables.database.persist(fjall::PersistMode::SyncAll));
    made.map_err(|error| OpenError::Database { path: making.clone(), error })?;
    let finish = || {
        let format = making.join("FORMAT");
        fs::write(&format, FORMAT)?;
        File::open(&format)?.sync_all()?;
        File::open(&making)?.sync_all()?;
        fs::rename(&making, &path)?;
        File::open(dir)?.sync_all()
    };
    finish().map_err(|error| io_error(&making, error))?;
    Ok(path)
}

fn check_format(path: &Path) -> Result<(), OpenError> {
    let record = path.join("FORMAT");
    match fs::read(&record) {
        Ok(found) if found == FORMAT.as_bytes() => Ok(()),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found).trim().to_owned();
            Err(OpenError::Format { path: path.to_owned(), found, expected: FORMAT.trim_ascii_end() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::Foreign(path.to_owned())),
        Err(error) => Err(io_error(&record, error)),
    }
}

fn io_error(path: &Path, error: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), error }
}
