//! The call that makes many registrations, in order.

use std::fmt;
use std::pin::Pin;

use futures_util::{Stream, StreamExt};

use super::Result;
use crate::api::{AT_ONCE, batch_line};
use crate::model::{BatchLine, RegistrationBody};
use crate::node::Node;

impl Node {
    /// Registers many bodies, in order, each by itself. The answers come while later bodies are still being read. They
    /// must be taken, because the node reads only a few hundred bodies beyond the last answer that was taken.
    ///
    /// # Errors
    /// There are none. The signature is that of the client's call.
    #[expect(clippy::unused_async, reason = "as the client's call")]
    pub async fn register_all(
        &self,
        bodies: impl Stream<Item = RegistrationBody> + Send + 'static,
    ) -> Result<NodeBatch> {
        let handle = self.handle();
        let answers = bodies.enumerate().map(move |(index, body)| {
            let handle = handle.clone();
            async move { batch_line(&handle, None, index as u64 + 1, Ok(body)).await }
        });
        Ok(NodeBatch(Box::pin(answers.buffered(AT_ONCE))))
    }
}

/// The answers to a batch, line by line.
pub struct NodeBatch(Pin<Box<dyn Stream<Item = BatchLine> + Send>>);

impl fmt::Debug for NodeBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBatch").finish_non_exhaustive()
    }
}

impl NodeBatch {
    /// Returns the answer to the next body; none after the last.
    ///
    /// # Errors
    /// There are none. The signature is that of the client's call.
    pub async fn next(&mut self) -> Result<Option<BatchLine>> {
        Ok(self.0.next().await)
    }
}
