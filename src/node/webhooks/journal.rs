//! The files in which a node records its deliveries: two for each webhook, in the data directory.
//!
//! ```text
//! webhooks/ID.json       how far the feed was read, and the events that are read and not delivered
//! webhooks/ID.dead.json  dead letters: events that were given up, whole
//! ```
//!
//! A file is written beside its place, synced and renamed. So after a crash it is whole and at most a moment old, and
//! what was delivered in that moment is delivered again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::{Millis, NodeId};
use crate::files;
use crate::model::{Cursor, MissedEvents};

/// An event that is to be delivered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Item {
    /// The event's id.
    pub(super) id: String,
    /// The registration that it is about.
    pub(super) registration: Uuid,
    /// The event as JSON, byte by byte as it is signed.
    pub(super) body: String,
    /// How often its delivery was attempted.
    pub(super) attempts: u32,
    /// The sum of the pauses before its attempts, in milliseconds. Time in which the node or the webhook was stopped is no
    /// part of it.
    pub(super) tried: u64,
    /// The pause before the next attempt, in milliseconds.
    pub(super) pause: u64,
    /// When it is to be attempted next.
    pub(super) due: Millis,
    /// The receiver has asked that it is not attempted before this time.
    pub(super) not_before: Millis,
    /// Why the last attempt failed.
    pub(super) error: Option<String>,
    /// True while an attempt is under way.
    #[serde(skip)]
    pub(super) under_way: bool,
}

impl Item {
    /// Returns an event that was not attempted yet, and may be at once.
    pub(super) fn new(id: String, registration: Uuid, body: String) -> Self {
        let (due, not_before) = (Millis(0), Millis(0));
        Self { id, registration, body, attempts: 0, tried: 0, pause: 0, due, not_before, error: None, under_way: false }
    }
}

/// A second reading of the feed for nodes that are out, up to where the first one has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Pass {
    /// The keys of the nodes whose registrations it is for.
    pub(super) keys: BTreeSet<u64>,
    /// How far it has come; none for the beginning of the feed.
    pub(super) cursor: Option<Cursor>,
    /// The number of the last event that it reads.
    pub(super) until: u64,
}

/// The progress of the deliveries to one webhook.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// How far the feed was read; none for its beginning.
    pub(super) cursor: Option<Cursor>,
    /// The last event of the feed when this node first knew of the webhook, or of a feed that repeats events, when that was
    /// done. Later events are delivered whatever their time. None while the feed repeats events.
    pub(super) known_from: Option<u64>,
    /// True where the feed repeats the events of an earlier one up to `known_from`. Their times are those of the repetition.
    pub(super) repeats: bool,
    /// The earliest acceptance of a registration that was undecided when this node first knew of the webhook. Its outcome is
    /// later than the webhook. None where there was no such registration.
    pub(super) undecided: Option<Millis>,
    /// Nodes that are out and for which this node delivers.
    pub(super) taken: BTreeSet<NodeId>,
    /// Readings for such nodes that are not done, in order.
    pub(super) passes: Vec<Pass>,
    /// Events that are read and not delivered, in the order of the feed.
    pub(super) waiting: Vec<Item>,
    /// The last gap: events that the node no longer kept when they were to be read.
    pub(super) missed: Option<MissedEvents>,
}

/// The files of one webhook.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    id: Uuid,
}

impl Journal {
    pub(super) fn new(dir: &Path, id: Uuid) -> Self {
        Self { dir: dir.to_owned(), id }
    }

    /// Reads the progress; none where there is no file yet.
    pub(super) fn place(&self) -> io::Result<Option<Place>> {
        read(&self.path("json"))
    }

    /// Reads the dead letters.
    pub(super) fn dead(&self) -> io::Result<Vec<Item>> {
        Ok(read(&self.path("dead.json"))?.unwrap_or_default())
    }

    pub(super) fn save_place(&self, place: &Place) -> io::Result<()> {
        self.write("json", place)
    }

    pub(super) fn save_dead(&self, dead: &[Item]) -> io::Result<()> {
        self.write("dead.json", dead)
    }

    /// Removes the files.
    pub(super) fn remove(&self) -> io::Result<()> {
        files::remove(&self.path("json"))?;
        files::remove(&self.path("dead.json"))
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.dir.join(format!("{}.{kind}", self.id))
    }

    fn write<T: Serialize + ?Sized>(&self, kind: &str, value: &T) -> io::Result<()> {
        files::private_dir(&self.dir)?;
        files::replace(&self.path(kind), &serde_json::to_vec(value)?)
    }
}

/// Returns the ids of the webhooks that have files.
pub(super) fn known(dir: &Path) -> io::Result<BTreeSet<Uuid>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let id = |name: &str| name.split_once('.')?.0.parse::<Uuid>().ok();
    let names = entries.map(|entry| Ok(entry?.file_name().to_str().and_then(id)));
    names.filter_map(Result::transpose).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_goes_with_the_webhook() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, id) = (dir.path().join("webhooks"), Uuid::from_u128(7));
        let journal = Journal::new(&dir, id);
        assert_eq!((journal.place().unwrap(), journal.dead().unwrap().len()), (None, 0));
        let new = Item::new("a/confirmed".into(), id, "{}".into());
        let item = Item { attempts: 3, tried: 5, pause: 4, due: Millis(9), error: Some("500".into()), ..new };
        let pass = Pass { keys: BTreeSet::from([4]), cursor: None, until: 12 };
        let place = Place { passes: vec![pass], waiting: vec![item.clone()], ..Place::default() };
        journal.save_place(&place).unwrap();
        fs::write(dir.join(format!("{id}.json.new")), "torn").unwrap();
        journal.save_place(&place).unwrap();
        journal.save_dead(std::slice::from_ref(&item)).unwrap();
        assert_eq!((journal.place().unwrap(), journal.dead().unwrap()), (Some(place), vec![item]));
        assert_eq!(known(&dir).unwrap(), BTreeSet::from([id]));
        // A crash has left a part of each file.
        for torn in ["json.new", "dead.json.new"] {
            fs::write(dir.join(format!("{id}.{torn}")), "torn").unwrap();
        }
        journal.remove().unwrap();
        assert!(known(&dir).unwrap().is_empty());
    }
}
