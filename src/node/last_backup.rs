//! When the last whole backup of a node was taken.
//!
//! The time is in a file of the data directory, so that it is known after a restart. It is no row of the store, because
//! a directory that is made of a backup must not claim to have one, and because the replica does not need it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, fs};

use tokio::sync::watch;

use crate::files;
use crate::model::Time;

/// The name of the file in the data directory. It has the time as in the API, and a line feed.
const FILE: &str = "last-backup";

/// The time of the last whole backup. All clones share it.
#[derive(Clone)]
pub struct LastBackup {
    path: Arc<PathBuf>,
    time: watch::Sender<Option<Time>>,
    /// Held while the file is written, as backups may end at the same time.
    writing: Arc<Mutex<()>>,
}

impl fmt::Debug for LastBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastBackup").field("path", &self.path).field("time", &self.get()).finish_non_exhaustive()
    }
}

impl LastBackup {
    /// Reads the file in a data directory. A file that cannot be read counts as none, and the log says so: nothing but
    /// the reported age of the backup depends on it.
    pub(crate) fn open(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let time = read(&path).unwrap_or_else(|error| {
            let file = path.display();
            tracing::warn!(
                "when the last backup was taken is not known: {file} cannot be read: {error}; take another one"
            );
            None
        });
        Self { path: Arc::new(path), time: watch::Sender::new(time), writing: Arc::default() }
    }

    /// Returns the time up to which everything is in the last whole backup; none where there was none.
    pub(crate) fn get(&self) -> Option<Time> {
        *self.time.borrow()
    }

    /// Records a whole backup that was begun at this time, durably. The one that ended last counts, also where it was
    /// begun before the recorded one: the clock may have been ahead then.
    pub(crate) async fn record(&self, begun: Time) {
        let this = self.clone();
        let written = tokio::task::spawn_blocking(move || this.write(begun)).await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let file = self.path.display();
        tracing::warn!(
            "a backup was taken, and {file} cannot be written: {error}; after a restart the node does not know of it"
        );
    }

    fn write(&self, begun: Time) -> io::Result<()> {
        // Nothing that can panic runs under the lock.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.time.send_replace(Some(begun));
        files::replace(&self.path, format!("{begun}\n").as_bytes())
    }
}

fn read(path: &Path) -> io::Result<Option<Time>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    text.trim().parse().map(Some).map_err(|_| io::Error::other("it does not hold a time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    #[tokio::test]
    async fn the_latest_backup_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let last = LastBackup::open(dir.path());
        assert_eq!(last.get(), None);
        for begun in [5000, 7000, 6000].map(|begun| Time(Millis(begun))) {
            last.clone().record(begun).await;
            assert_eq!(last.get(), Some(begun));
            assert_eq!(LastBackup::open(dir.path()).get(), Some(begun));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_file_that_says_nothing_is_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "yesterday").unwrap();
        assert_eq!(LastBackup::open(dir.path()).get(), None);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_no_reason_to_forget() {
        let dir = tempfile::tempdir().unwrap();
        let last = LastBackup::open(&dir.path().join("gone"));
        last.record(Time(Millis(5000))).await;
        assert_eq!(last.get(), Some(Time(Millis(5000))));
    }
}
