//! An event store in a file: a line of JSON for each event. A line is synced before anybody learns of the event.
//!
//! An event that an event of the feed led to has the feed's cursor in the same line, so both are stored or neither. A
//! real event store does the same with one transaction, or with the metadata of an event.

use forename::model::Cursor;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account::{Account, Command, Event};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A line of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) account: Uuid,
    #[serde(flatten)]
    pub(crate) event: Event,
    /// The cursor up to which forename's feed has been read with this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
}

#[derive(Debug)]
pub(crate) struct EventStore {
    file: File,
    history: Vec<Record>,
    accounts: BTreeMap<Uuid, Account>,
}

impl EventStore {
    /// Opens the file, or makes it, and replays its events.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let mut file = File::options().create(true).read(true).append(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line without an end was being written when the program was killed, and nobody has learnt of its event.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(u64::try_from(whole)?)?;
        let mut store = Self { file, history: Vec::new(), accounts: BTreeMap::new() };
        for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            store.take(serde_json::from_slice(line)?);
        }
        Ok(store)
    }

    /// Gives an account a command, and stores the event that it leads to, with the cursor of the feed's event that
    /// caused the command.
    pub(crate) fn dispatch(&mut self, id: Uuid, command: Command, cursor: Option<Cursor>) -> Result<(), Failure> {
        let Some(event) = self.account(id).decide(command)? else { return Ok(()) };
        let record = Record { account: id, event, cursor };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.take(record);
        Ok(())
    }

    fn take(&mut self, record: Record) {
        let account = self.accounts.remove(&record.account).unwrap_or_default().apply(&record.event);
        self.accounts.insert(record.account, account);
        self.history.push(record);
    }

    pub(crate) fn account(&self, id: Uuid) -> Account {
        self.accounts.get(&id).cloned().unwrap_or_default()
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = (Uuid, &Account)> {
        self.accounts.iter().map(|(id, account)| (*id, account))
    }

    pub(crate) fn history(&self) -> &[Record] {
        &self.history
    }

    /// The cursor of the last event of forename's feed that led to an event here; none at first.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.history.iter().rev().find_map(|record| record.cursor)
    }
}
