//! A backup over HTTP.

use reqwest::Response;

use super::{Client, PATIENCE, Result};

impl Client {
    /// Returns the whole state of the node as the bytes of a file for `forename restore`. The node's key is in it.
    ///
    /// # Errors
    /// The node cannot be reached or is still joining.
    pub async fn backup(&self) -> Result<BackupStream> {
        // The whole has no time limit: it takes as long as the disks need.
        let client = self.first();
        let request = client.http.get(client.url(&["v1", "cluster", "backup"], &[])?);
        let sent = tokio::time::timeout(PATIENCE, client.send(request, true)).await;
        let response = sent.map_err(|_| client.silent())??;
        Ok(BackupStream { client, response })
    }
}

/// A backup as it arrives.
#[derive(Debug)]
pub struct BackupStream {
    client: Client,
    response: Response,
}

impl BackupStream {
    /// Returns the next bytes; none at the end.
    ///
    /// # Errors
    /// The node stops or cannot be reached any more. The backup is not complete.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.map_err(|_| self.client.silent())?;
        Ok(chunk.map_err(|error| self.client.unreachable(&error))?.map(Into::into))
    }
}
