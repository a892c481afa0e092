//! Backups: all tables of a node at one moment, and its identity, in one file.
//!
//! ```text
//! "forename backup\n"            16 bytes
//! format version                 u16
//! length, frame                  u32 and so many bytes; the first frame is the head, the last the end
//! ```
//! Integers are little-endian, and frames have the encoding of records. The end has the number of rows and a BLAKE3
//! hash of all bytes before its length, so that a file that was cut short or damaged is recognised. Nothing is
//! encrypted: the file is as secret as the data directory.

use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::clock::{Millis, NodeId};
use crate::codec;
use crate::store::{SnapshotPart, Table, Write};

const MAGIC: &[u8; 16] = b"forename backup\n";
/// The version of the file's format. It changes when the meaning of any frame changes.
const VERSION: u16 = 1;

/// The first frame of a backup. It says which node the backup is of.
#[derive(Clone, Serialize, Deserialize)]
pub struct Head {
    /// The node.
    pub node: NodeId,
    /// The time at which the backup was begun, by the node's clock. Everything before that is in it.
    pub time: Millis,
    /// The format of the tables, as in the store's format record.
    pub store: String,
    /// The node's key, as PKCS #8.
    pub(crate) key: Vec<u8>,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, time, store, key: _ } = self;
        f.debug_struct("Head").field("node", node).field("time", time).field("store", store).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
enum Frame {
    Head(Head),
    /// Rows of one table, with its name on disk.
    Rows(String, Vec<(Vec<u8>, Vec<u8>)>),
    End {
        rows: u64,
        checksum: [u8; 32],
    },
}

/// The reasons why a backup cannot be read. Nothing of it was used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is no backup.
    #[error("it is no backup of a forename node")]
    Foreign,
    /// Another version of forename wrote it.
    #[error(
        "it is a backup of format {0}, and this version of forename reads format {VERSION}; use the version that wrote it"
    )]
    Version(u16),
    /// The file ends early, because the backup or a copy of it was interrupted.
    #[error("it is cut short, and what is left of it is not whole; take another backup, or copy this one again")]
    Short,
    /// The file is damaged.
    #[error("it is damaged: {0}; take another backup, or copy this one again")]
    Damaged(String),
}

/// Turns the parts of a snapshot into the bytes of a file.
#[derive(Debug)]
pub struct Writer {
    hasher: blake3::Hasher,
    rows: u64,
}

impl Writer {
    /// Begins a file. Returns its first bytes.
    #[must_use]
    pub fn begin(head: Head) -> (Self, Vec<u8>) {
        let mut writer = Self { hasher: blake3::Hasher::new(), rows: 0 };
        let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
        writer.hasher.update(&bytes);
        writer.frame(&Frame::Head(head), &mut bytes);
        (writer, bytes)
    }

    /// Returns the bytes of the next part. No part may follow the end.
    #[must_use]
    pub fn part(&mut self, part: SnapshotPart) -> Vec<u8> {
        let mut bytes = Vec::new();
        match part {
            SnapshotPart::Rows(rows) => {
                for rows in rows.chunk_by(|a, b| a.table == b.table) {
                    let Some(first) = rows.first() else { continue };
                    let pair = |row: &Write| (row.key.clone(), row.value.clone().unwrap_or_default());
                    self.rows += rows.len() as u64;
                    self.frame(
                        &Frame::Rows(first.table.name().to_owned(), rows.iter().map(pair).collect()),
                        &mut bytes,
                    );
                }
            }
            SnapshotPart::End => {
                let end = Frame::End { rows: self.rows, checksum: *self.hasher.finalize().as_bytes() };
                self.frame(&end, &mut bytes);
            }
        }
        bytes
    }

    fn frame(&mut self, frame: &Frame, bytes: &mut Vec<u8>) {
        let encoded = codec::encode(frame);
        // A frame has one part of a snapshot, whose size is far below the limit of a u32.
        let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.hasher.update(&length).update(&encoded);
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&encoded);
    }
}

/// Reads a file from its beginning to its verified end.
#[derive(Debug)]
pub struct Reader<R> {
    file: R,
    hasher: blake3::Hasher,
    rows: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// The file is no backup that this version reads.
    pub fn open(mut file: R) -> Result<(Self, Head), BackupError> {
        let mut begin = [0; MAGIC.len() + 2];
        file.read_exact(&mut begin).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::Foreign,
            _ => error.into(),
        })?;
        let (magic, version) = begin.split_at(MAGIC.len());
        let version = u16::from_le_bytes([version[0], version[1]]);
        if magic != MAGIC {
            return Err(BackupError::Foreign);
        }
        if version != VERSION {
            return Err(BackupError::Version(version));
        }
        let mut reader = Self { file, hasher: blake3::Hasher::new(), rows: 0, ended: false };
        reader.hasher.update(&begin);
        match reader.frame()? {
            (Frame::Head(head), _) => Ok((reader, head)),
            _ => Err(BackupError::Damaged("it does not begin with a head".to_owned())),
        }
    }

    /// Returns the next rows. Returns none at the end, once the checksum of the file was found to be right.
    ///
    /// # Errors
    /// The file is not whole, and none of the earlier rows may be used.
    pub fn rows(&mut self) -> Result<Option<Vec<Write>>, BackupError> {
        if self.ended {
            return Ok(None);
        }
        let damaged = |what: &str| Err(BackupError::Damaged(what.to_owned()));
        match self.frame()? {
            (Frame::Rows(name, rows), _) => {
                let Some(table) = Table::ALL.into_iter().find(|table| table.name() == name) else {
                    return damaged("it has rows of an unknown table");
                };
                self.rows += rows.len() as u64;
                Ok(Some(rows.into_iter().map(|(key, value)| Write { table, key, value: Some(value) }).collect()))
            }
            (Frame::End { rows, checksum }, before) => {
                if rows != self.rows || checksum != *before.as_bytes() {
                    return damaged("its checksum is that of something else");
                }
                if self.file.read(&mut [0])? > 0 {
                    return damaged("something follows its end");
                }
                self.ended = true;
                Ok(None)
            }
            (Frame::Head(_), _) => damaged("it has two heads"),
        }
    }

    /// Reads the file to its end. Returns the number of rows.
    ///
    /// # Errors
    /// The file is not whole.
    pub fn check(mut self) -> Result<u64, BackupError> {
        while self.rows()?.is_some() {}
        Ok(self.rows)
    }

    /// Reads the next frame. Returns it with the hash of all bytes before it.
    fn frame(&mut self) -> Result<(Frame, blake3::Hash), BackupError> {
        let before = self.hasher.finalize();
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let size = u32::from_le_bytes(length) as usize;
        if size > codec::MAX_ENCODED {
            return Err(BackupError::Damaged("a frame has an impossible length".to_owned()));
        }
        let mut encoded = vec![0; size];
        self.fill(&mut encoded)?;
        let frame = codec::decode(&encoded).map_err(|error| BackupError::Damaged(error.to_string()))?;
        Ok((frame, before))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.file.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::Short,
            _ => error.into(),
        })?;
        self.hasher.update(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Vec<u8>, Vec<Write>) {
        let row = |table, key: u8| Write { table, key: vec![key], value: Some(vec![key; 7]) };
        let rows = vec![row(Table::Meta, 1), row(Table::Meta, 2), row(Table::Void, 3)];
        let head = Head { node: NodeId(7), time: Millis(1), store: "1".to_owned(), key: vec![9; 32] };
        let (mut writer, mut bytes) = Writer::begin(head);
        bytes.extend(writer.part(SnapshotPart::Rows(rows.clone())));
        bytes.extend(writer.part(SnapshotPart::End));
        (bytes, rows)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Write>, BackupError> {
        let (mut reader, head) = Reader::open(bytes)?;
        assert_eq!((head.node, head.key), (NodeId(7), vec![9; 32]));
        let mut found = Vec::new();
        while let Some(rows) = reader.rows()? {
            found.extend(rows);
        }
        assert!(reader.rows()?.is_none(), "the end stays the end");
        Ok(found)
    }

    #[test]
    fn a_backup_is_read_as_written() {
        let (bytes, rows) = file();
        assert_eq!(read(&bytes).unwrap(), rows);
        assert_eq!(Reader::open(bytes.as_slice()).unwrap().0.check().unwrap(), 3);
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_noticed() {
        let (bytes, _) = file();
        let check = |bytes: &[u8]| Reader::open(bytes).and_then(|(reader, _)| reader.check());
        for length in 0..bytes.len() {
            let error = check(&bytes[..length]).unwrap_err();
            assert!(matches!(error, BackupError::Foreign | BackupError::Short), "{length}: {error}");
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert!(check(&damaged).is_err(), "byte {place}");
        }
        assert!(check(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn another_version_is_told_apart() {
        let (mut bytes, _) = file();
        bytes[MAGIC.len()] = 2;
        assert!(matches!(Reader::open(bytes.as_slice()), Err(BackupError::Version(2))));
    }
}
