//! A backup of a node in this process.

use tokio::sync::mpsc;

use super::Result;
use crate::backup::Writer;
use crate::model::{Problem, ProblemType};
use crate::node::{Backup, Node};
use crate::store::SnapshotPart;

impl Node {
    /// Begins a backup of the node, as the bytes of a file for `forename restore`. The file contains the node's key.
    ///
    /// # Errors
    /// [`ProblemType::NotMember`] while the node is joining.
    pub async fn backup(&self) -> Result<NodeBackup> {
        let Backup { head, parts } = self.admin().backup().await.map_err(|refusal| Box::new(refusal.into()))?;
        let (writer, bytes) = Writer::begin(head);
        Ok(NodeBackup { writer, bytes: Some(bytes), parts, ended: false })
    }
}

/// A backup that is being read from the disk. Drop it to stop it.
#[derive(Debug)]
pub struct NodeBackup {
    writer: Writer,
    /// The bytes before the first part.
    bytes: Option<Vec<u8>>,
    parts: mpsc::Receiver<SnapshotPart>,
    ended: bool,
}

impl NodeBackup {
    /// Returns the next bytes; none at the end.
    ///
    /// # Errors
    /// The node stops, so the bytes that were read are not a whole backup.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(bytes) = self.bytes.take() {
            return Ok(Some(bytes));
        }
        if self.ended {
            return Ok(None);
        }
        let Some(part) = self.parts.recv().await else {
            let detail = "the node stops, so the backup is not whole; throw it away and take another";
            return Err(Box::new(Problem::new(ProblemType::Unavailable, detail)));
        };
        self.ended = part == SnapshotPart::End;
        Ok(Some(self.writer.part(part)))
    }
}
