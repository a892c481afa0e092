//! The progress of a webhook in memory, and the order in which its parts are written to disk.
//!
//! An event that is not delivered is at every moment in a file: it waits, or is a dead letter, or is after the place up to
//! which the feed was read. The letters are written before the place that does not have them as waiting any more. Letters that
//! are replayed stay in their file until the place that has them is written. Where a write fails, nothing is written after it
//! until it has succeeded.

use std::io;

use super::journal::{Item, Journal, Place};
use super::queue::{self, Failed, Schedule};
use crate::clock::Millis;

/// The progress of the deliveries to one webhook, and what of it is not on disk.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) place: Place,
    dead: Vec<Item>,
    /// Dead letters that are replayed. They are kept in their file until the place that has them is on disk.
    replayed: Vec<Item>,
    dead_changed: bool,
    /// True where an event was delivered, given up or replayed, or another node was taken over, since the place was written.
    place_changed: bool,
    /// True where the place has changed otherwise, so that nothing but work is lost with it.
    place_moved: bool,
}

/// The parts that are to be written.
#[derive(Debug)]
pub(super) struct Unsaved {
    place: Option<Place>,
    dead: Option<Vec<Item>>,
}

/// The parts that were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Saved {
    place: bool,
    dead: bool,
}

impl Record {
    /// Reads the files. Where there are none, the place is the one that `fresh` returns.
    pub(super) fn open(journal: &Journal, fresh: impl FnOnce() -> Place) -> io::Result<Self> {
        let (place, dead) = (journal.place()?, journal.dead()?);
        let place_changed = place.is_none();
        let place = place.unwrap_or_else(fresh);
        Ok(Self { place, dead, replayed: Vec::new(), dead_changed: false, place_changed, place_moved: false })
    }

    /// Returns the dead letters.
    pub(super) fn dead(&self) -> &[Item] {
        &self.dead
    }

    /// Notes a change with which a record on disk would have an event delivered again, or lost.
    pub(super) fn changed(&mut self) {
        self.place_changed = true;
    }

    /// Notes a change that costs nothing but work where it is lost.
    pub(super) fn moved(&mut self) {
        self.place_moved = true;
    }

    /// Notes that an event was delivered.
    pub(super) fn delivered(&mut self, id: &str, now: Millis) {
        queue::delivered(&mut self.place, id, now);
        self.changed();
    }

    /// Notes that an attempt failed; see [`queue::failed`].
    pub(super) fn failed(&mut self, what: (&str, String), when: (Millis, u64, u64), schedule: &Schedule) -> Failed {
        let failed = queue::failed(&mut self.place, &mut self.dead, what, when, schedule);
        if failed == Failed::Dead {
            (self.dead_changed, self.place_changed) = (true, true);
        }
        self.moved();
        failed
    }

    /// Lets the dead letters be delivered anew. Returns their number.
    pub(super) fn replay(&mut self, now: Millis) -> usize {
        queue::replay(&mut self.place, &self.dead, now);
        let count = self.dead.len();
        self.replayed.append(&mut self.dead);
        self.changed();
        count
    }

    /// Returns true where something is not on disk whose loss would repeat or lose an event.
    pub(super) fn is_urgent(&self) -> bool {
        self.place_changed || self.dead_changed
    }

    /// Returns the parts that are to be written now; none where all is on disk.
    pub(super) fn unsaved(&self) -> Option<Unsaved> {
        let place = (self.place_changed || self.place_moved).then(|| self.place.clone());
        let known = |item: &&Item| !self.dead.iter().any(|letter| letter.id == item.id);
        let dead = || self.replayed.iter().filter(known).chain(&self.dead).cloned().collect();
        let dead = self.dead_changed.then(dead);
        (place.is_some() || dead.is_some()).then_some(Unsaved { place, dead })
    }

    /// Notes which parts were written. Where the place has letters that are replayed, their file is to be written next.
    pub(super) fn saved(&mut self, Saved { place, dead }: Saved) {
        self.dead_changed &= !dead;
        if place {
            (self.place_changed, self.place_moved) = (false, false);
            self.dead_changed |= !std::mem::take(&mut self.replayed).is_empty();
        }
    }
}

impl Unsaved {
    /// Writes the parts: the letters first, and the place only where that has succeeded.
    pub(super) fn write(self, journal: &Journal) -> (Saved, io::Result<()>) {
        let mut saved = Saved::default();
        let mut write = || {
            if let Some(dead) = &self.dead {
                journal.save_dead(dead)?;
                saved.dead = true;
            }
            if let Some(place) = &self.place {
                journal.save_place(place)?;
                saved.place = true;
            }
            Ok(())
        };
        let result = write();
        (saved, result)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    const ID: Uuid = Uuid::from_u128(7);
    const AT_ONCE: Schedule =
        Schedule { first: Duration::from_secs(1), longest: Duration::from_secs(1), give_up: Duration::ZERO };

    fn item(id: &str) -> Item {
        Item::new(id.into(), ID, "{}".into())
    }

    fn write(record: &mut Record, journal: &Journal) -> bool {
        while let Some(unsaved) = record.unsaved() {
            let (saved, result) = unsaved.write(journal);
            record.saved(saved);
            if result.is_err() {
                return false;
            }
        }
        true
    }

    /// Lets writes of a file fail: a directory is in its place, and what the file had is put aside.
    fn fails(dir: &Path, kind: &str, fails: bool) {
        let (path, aside) = (dir.join(format!("{ID}.{kind}")), dir.join(format!("{ID}.{kind}.aside")));
        if fails {
            // The file may not have been written yet.
            let _ = fs::rename(&path, &aside);
            fs::create_dir(&path).unwrap();
        } else {
            fs::remove_dir(&path).unwrap();
            let _ = fs::rename(&aside, &path);
        }
    }

    /// The ids of all events that are in the files after a kill.
    fn kept(journal: &Journal) -> Vec<String> {
        let again = Record::open(journal, Place::default).unwrap();
        let mut kept: Vec<_> = again.place.waiting.iter().chain(again.dead()).map(|item| item.id.clone()).collect();
        kept.sort();
        kept.dedup();
        kept
    }

    fn begun(dir: &Path) -> (Journal, Record) {
        let journal = Journal::new(dir, ID);
        let fresh = || Place { waiting: vec![item("a"), item("b")], ..Place::default() };
        let mut record = Record::open(&journal, fresh).unwrap();
        assert!(write(&mut record, &journal) && !record.is_urgent());
        (journal, record)
    }

    #[test]
    fn an_event_that_is_given_up_is_in_a_file_whatever_write_fails() {
        for broken in ["json", "dead.json"] {
            let dir = tempfile::tempdir().unwrap();
            let (journal, mut record) = begun(dir.path());
            fails(dir.path(), broken, true);
            assert_eq!(record.failed(("a", "500".into()), (Millis(1), 0, 0), &AT_ONCE), Failed::Dead);
            assert!(!write(&mut record, &journal) && !write(&mut record, &journal), "{broken}");
            fails(dir.path(), broken, false);
            assert_eq!(kept(&journal), ["a", "b"], "{broken}");
            assert!(write(&mut record, &journal));
            let again = Record::open(&journal, Place::default).unwrap();
            assert_eq!((again.dead()[0].id.as_str(), again.place.waiting.len()), ("a", 1), "{broken}");
        }
    }

    #[test]
    fn a_letter_that_is_replayed_is_in_a_file_whatever_write_fails() {
        for broken in ["json", "dead.json"] {
            let dir = tempfile::tempdir().unwrap();
            let (journal, mut record) = begun(dir.path());
            record.failed(("a", "500".into()), (Millis(1), 0, 0), &AT_ONCE);
            assert!(write(&mut record, &journal));
            fails(dir.path(), broken, true);
            assert_eq!((record.replay(Millis(2)), record.dead().len()), (1, 0));
            assert!(!write(&mut record, &journal), "{broken}");
            // Another event is given up meanwhile, so that the letters are written again.
            record.failed(("b", "500".into()), (Millis(3), 0, 0), &AT_ONCE);
            assert!(!write(&mut record, &journal), "{broken}");
            fails(dir.path(), broken, false);
            assert_eq!(kept(&journal), ["a", "b"], "{broken}");
            assert!(write(&mut record, &journal));
            let again = Record::open(&journal, Place::default).unwrap();
            assert_eq!((again.dead()[0].id.as_str(), again.place.waiting[0].id.as_str()), ("b", "a"), "{broken}");
        }
    }

    #[test]
    fn what_only_moves_is_not_urgent() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, mut record) = begun(dir.path());
        record.moved();
        assert!(!record.is_urgent() && record.unsaved().is_some());
        record.delivered("a", Millis(1));
        assert!(record.is_urgent() && write(&mut record, &journal) && !record.is_urgent());
    }
}
