//! Batches: many registrations in one request.

use futures_util::{Stream, StreamExt};
use reqwest::{Body, Response, Url, header};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, LinesCodec};

use super::nodes::shown;
use super::{Client, ClientError, MAX_MESSAGE, PATIENCE, Result};
use crate::model::limits::MAX_WAIT;
use crate::model::{BatchLine, NDJSON, RegistrationBody};

/// The number of lines that are sent in one chunk where they are ready.
const TOGETHER: usize = 64;

impl Client {
    /// Registers many in order, each by itself, and [`MAX_BATCH`](crate::model::limits::MAX_BATCH) at most. The answers
    /// arrive while the rest is still being sent, and must be read: the node reads only some hundred lines ahead of its
    /// answers.
    ///
    /// # Errors
    /// The node cannot be reached, or refuses batches for now.
    pub async fn register_all(
        &self,
        bodies: impl Stream<Item = RegistrationBody> + Send + 'static,
    ) -> Result<BatchAnswers> {
        let pieces = bodies.ready_chunks(TOGETHER).map(|bodies| lines(&bodies));
        // The whole has no time limit: it takes as long as there are lines. The lines can be sent only once, so there
        // is no second attempt; the next batch goes to another node.
        let node = self.nodes.present();
        let url = self.nodes.rebased(&self.url(&["v1", "registrations:batch"], &[])?, node);
        let request = self.meant(self.http.post(url));
        let request = request.header(header::CONTENT_TYPE, NDJSON).body(Body::wrap_stream(pieces)).send();
        let response = tokio::time::timeout(PATIENCE, request).await.map_err(|_| self.silent());
        let response =
            match response.and_then(|sent| sent.map_err(|error| ClientError::unreachable(shown(node), &error))) {
                Ok(response) if response.status().is_success() => self.checked(response, shown(node))?,
                Ok(refused) => return Err(self.passed_over(node, self.failure(refused).await)),
                Err(error) => return Err(self.passed_over(node, error)),
            };
        let codec = LinesCodec::new_with_max_length(MAX_MESSAGE);
        let node = node.clone();
        Ok(BatchAnswers { client: self.clone(), node, response, codec, rest: BytesMut::new(), ended: false })
    }

    /// Returns this error of a node. Where another node may do better, the next batch goes to that one.
    fn passed_over(&self, node: &Url, error: ClientError) -> ClientError {
        if error.is_unreachable() || error.is_passing() {
            self.nodes.pass_over(node);
        }
        error
    }
}

fn lines(bodies: &[RegistrationBody]) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for body in bodies {
        serde_json::to_writer(&mut text, body)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The outcomes of a batch, line by line.
#[derive(Debug)]
pub struct BatchAnswers {
    client: Client,
    /// The node that was asked.
    node: Url,
    response: Response,
    codec: LinesCodec,
    /// Bytes that have arrived and do not make a whole line yet.
    rest: BytesMut,
    /// True where the answer has ended.
    ended: bool,
}

impl BatchAnswers {
    /// Returns the answer to the next line; none after the last.
    ///
    /// # Errors
    /// The node stops or cannot be reached any more. Whether the lines without an answer were registered is not known.
    /// Lines with ids of their own can be sent again safely.
    pub async fn next(&mut self) -> Result<Option<BatchLine>> {
        loop {
            let decode = if self.ended { LinesCodec::decode_eof } else { LinesCodec::decode };
            match decode(&mut self.codec, &mut self.rest) {
                Ok(Some(line)) => return serde_json::from_str(&line).map(Some).map_err(|error| self.bad(&error)),
                Ok(None) if self.ended => return Ok(None),
                Ok(None) => match self.chunk().await? {
                    Some(bytes) => self.rest.extend_from_slice(&bytes),
                    None => self.ended = true,
                },
                Err(error) => return Err(self.bad(&error)),
            }
        }
    }

    fn bad(&self, error: &dyn std::error::Error) -> ClientError {
        self.client.not_understood(self.response.status(), error.to_string())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let patience = PATIENCE + MAX_WAIT;
        let chunk = tokio::time::timeout(patience, self.response.chunk()).await.map_err(|_| self.client.silent());
        let chunk =
            chunk.and_then(|arrived| arrived.map_err(|error| ClientError::unreachable(shown(&self.node), &error)));
        chunk.map_err(|error| self.client.passed_over(&self.node, error))
    }
}
