//! A backup of a node in this process.

use tokio::sync::mpsc;

use super::Result;
use crate::backup::Writer;
use crate::model::{Problem, ProblemType, Time};
use crate::node::{Backup, LastBackup, Node};
use crate::store::SnapshotPart;

impl Node {
    /// Begins a backup of the node, as the bytes of a file for `forename restore`. The file contains the node's key.
    ///
    /// # Errors
    /// [`ProblemType::NotMember`] while the node is joining.
    pub async fn backup(&self) -> Result<NodeBackup> {
        let Backup { head, parts, last } = self.admin().backup().await.map_err(|refusal| Box::new(refusal.into()))?;
        let record = Some((last, Time(head.time)));
        let (writer, bytes) = Writer::begin(head);
        Ok(NodeBackup { writer, bytes: Some(bytes), parts, ended: false, record })
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
    /// Where the backup is recorded once all of it was taken, and when it was begun; none afterwards.
    record: Option<(LastBackup, Time)>,
}

impl NodeBackup {
    /// Returns the next bytes; none at the end. The backup counts as taken, in [`Cluster::last_backup`], once this has
    /// returned none.
    ///
    /// [`Cluster::last_backup`]: crate::model::Cluster::last_backup
    ///
    /// # Errors
    /// The node stops, so the bytes that were read are not a whole backup.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(bytes) = self.bytes.take() {
            return Ok(Some(bytes));
        }
        if self.ended {
            if let Some((last, begun)) = self.record.take() {
                last.record(begun).await;
            }
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
