//! The reasons why a store cannot be opened.

use std::io;
use std::path::{Path, PathBuf};

use super::wal::LogError;

/// Why a store could not be opened. Nothing in the directory was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open.
    #[error("the store in {} is in use by another process; stop that one, or use another data directory", .0.display())]
    InUse(PathBuf),
    /// The store has a format that this version of forename does not read.
    #[error(
        "the store in {} has format {found:?}, and this version of forename reads {readable}; nothing was changed. Use \
         the version that wrote it, or a later one, or start on an empty directory and join again",
        path.display()
    )]
    Format {
        /// The store.
        path: PathBuf,
        /// The format in its format record.
        found: String,
        /// The format that this version reads.
        readable: String,
    },
    /// There is a database without a format record.
    #[error("{} holds a database that forename did not make; use another data directory", .0.display())]
    Foreign(PathBuf),
    /// A file could not be made, read or locked.
    #[error("{}: {error}; check that the directory exists, is writable and has space", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// Bytes of the log that were durable are missing or changed.
    #[error(
        "the log of the store is damaged: {}: {what}. What the node acknowledged since its tables were last written may be \
         lost here, though other members have what was confirmed. Nothing was changed. Put the file back if the disk has a \
         good copy of it; otherwise restore the node from a backup, or evict it at another member and start a new node on an \
         empty directory with --join-token-file",
        path.display()
    )]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// The kind of damage.
        what: String,
    },
    /// fjall could not open or recover its files.
    #[error(
        "the database in {} cannot be opened: {error}. It is left as it is; the other members have what was confirmed. Look after \
         the disk first, and put the files back if there is a good copy of them; otherwise restore the node from a backup, or evict \
         it at another member and start a new node on an empty directory with --join-token-file",
        path.display()
    )]
    Database {
        /// The directory of the database.
        path: PathBuf,
        /// The error of fjall.
        error: fjall::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { path, error } => Self::Io { path, error },
            LogError::Damaged { path, what } => Self::Damaged { path, what },
        }
    }
}
