//! Watches the disk of a data directory: how much space is free, because a store that runs out of space fails for good,
//! and whether the directory is still where it was.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use crate::replica::Refusal;

/// The time between two looks at the disk. A node whose directory is gone must not acknowledge for long what no later
/// start will find.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The file in the directory that is checked too. A node makes it once and holds its lock as long as it runs.
const FILE: &str = "LOCK";

/// The disk of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    /// The number of bytes that are kept free.
    least: u64,
    /// The files that the paths of the directory and of its lock file led to when the node started.
    found: [File; 2],
}

/// The identity of a file: its device and its inode. On systems other than Unix the time of its creation is used
/// instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct File {
    device: u64,
    inode: u64,
}

/// The data directory of a node is no longer where it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lost {
    dir: PathBuf,
    /// True where another directory or file is there now.
    replaced: bool,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.dir.display();
        let what = if self.replaced { "is another one than the node was started on" } else { "is gone" };
        write!(
            f,
            "the data directory {dir} {what}: it was removed, renamed or restored, or a file system was mounted or unmounted \
             there while the node ran. What the node wrote since is in no directory that a start would find, so it has \
             stopped; what was confirmed or rejected is at the other members too. Put the directory back in its place and \
             start the node. If it is lost, `forename restore` makes one of a backup, or replace the node: `forename member \
             evict` at another member, then start a new node on an empty directory with --join-token-file"
        )
    }
}

impl Disk {
    /// Begins to watch a directory whose store is open.
    pub(super) fn new(dir: &Path, least: u64) -> std::io::Result<Self> {
        let found = [look_at(dir)?, look_at(&dir.join(FILE))?];
        Ok(Self { dir: dir.to_owned(), least, found })
    }

    /// Changes the number of bytes that are kept free.
    pub(super) fn keep(&mut self, least: u64) {
        self.least = least;
    }

    /// Returns the refusal of registrations where the disk is low on space. Where the free space is unknown, the disk
    /// is taken to have room.
    pub(super) fn room(&self) -> Option<Refusal> {
        let space = fs4::available_space(&self.dir);
        let space = space
            .inspect_err(|error| tracing::debug!("the free space of {} is not known: {error}", self.dir.display()));
        let free = space.ok()?;
        (free < self.least).then_some(Refusal::DiskLow { free, least: self.least })
    }

    /// Returns an error where the directory has gone or was replaced. A directory that cannot be checked for another
    /// reason is taken to be there.
    pub(super) fn lost(&self) -> Option<Lost> {
        let paths = [self.dir.clone(), self.dir.join(FILE)];
        let replaced = paths.iter().zip(self.found).find_map(|(path, found)| match look_at(path) {
            Ok(there) => (there != found).then_some(true),
            Err(error) if is_gone(&error) => Some(false),
            Err(error) => {
                tracing::debug!("{} cannot be looked at: {error}", path.display());
                None
            }
        })?;
        Some(Lost { dir: self.dir.clone(), replaced })
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, StaleNetworkFileHandle};
    matches!(error.kind(), NotFound | NotADirectory | StaleNetworkFileHandle)
}

fn look_at(path: &Path) -> io::Result<File> {
    let metadata = std::fs::metadata(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok(File { device: metadata.dev(), inode: metadata.ino() })
    }
    #[cfg(not(unix))]
    {
        let made = metadata.created()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(File { device: 0, inode: u64::try_from(made.as_nanos()).unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(FILE), "").unwrap();
        (root, dir)
    }

    #[test]
    fn a_disk_is_low_below_what_is_kept() {
        let (_root, dir) = directory();
        let disk = |least| Disk::new(&dir, least).unwrap();
        assert_eq!(disk(0).room(), None);
        assert!(matches!(disk(u64::MAX).room(), Some(Refusal::DiskLow { free, least: u64::MAX }) if free > 0));
        let disk = disk(u64::MAX);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(disk.room(), None);
    }

    #[test]
    fn a_directory_that_goes_or_is_replaced_is_lost() {
        let (root, dir) = directory();
        let disk = Disk::new(&dir, 0).unwrap();
        assert_eq!(disk.lost(), None);
        let away = root.path().join("away");
        std::fs::rename(&dir, &away).unwrap();
        assert_eq!(disk.lost().map(|lost| lost.replaced), Some(false));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(FILE), "").unwrap();
        let lost = disk.lost().unwrap();
        assert!(lost.replaced && lost.to_string().contains("another one than the node was started on"), "{lost}");
        std::fs::remove_dir_all(&dir).unwrap();
        std::fs::rename(&away, &dir).unwrap();
        assert_eq!(disk.lost(), None, "it is back in time");
        // The directory stays and its contents are replaced, as by a restore into it.
        let kept = std::fs::File::open(dir.join(FILE)).unwrap();
        std::fs::remove_file(dir.join(FILE)).unwrap();
        std::fs::write(dir.join(FILE), "").unwrap();
        assert_eq!(disk.lost().map(|lost| lost.replaced), Some(true));
        drop(kept);
    }
}
