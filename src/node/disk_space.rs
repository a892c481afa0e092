//! How much room the disk has left: a store that finds none fails for good, so registrations are refused before.

use std::path::PathBuf;
use std::time::Duration;

use crate::replica::Refusal;

/// Between two looks. A guess: a busy node writes far less than [`MIN_FREE`](super::MIN_FREE) meanwhile.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The disk of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) dir: PathBuf,
    /// Bytes that are kept.
    pub(super) least: u64,
}

impl Disk {
    /// Why nothing more is to be registered, where the disk is low. A disk that does not say is taken to have room.
    pub(super) fn look(&self) -> Option<Refusal> {
        let space = rustix::fs::statvfs(&self.dir);
        let space = space
            .inspect_err(|error| tracing::debug!("the free space of {} is not known: {error}", self.dir.display()));
        let free = space.ok().map(|space| space.f_bavail.saturating_mul(space.f_frsize))?;
        (free < self.least).then_some(Refusal::DiskLow { free, least: self.least })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let disk = |least| Disk { dir: dir.path().to_owned(), least }.look();
        assert_eq!(disk(0), None);
        assert!(matches!(disk(u64::MAX), Some(Refusal::DiskLow { free, least: u64::MAX }) if free > 0));
        assert_eq!(Disk { dir: dir.path().join("none"), least: u64::MAX }.look(), None);
    }
}
