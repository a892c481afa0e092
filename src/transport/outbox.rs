//! Bounded queues of frames to one peer, one for each lane. The sender never waits for them.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::config::QueueLimit;
use super::lock;

/// A bounded queue of frames with one reader. A frame that does not fit is dropped; the others keep their order.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
    limit: QueueLimit,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn new(limit: QueueLimit) -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), limit }
    }

    /// Queues a frame. Returns `false` where there is no room. An empty queue has room for any frame.
    pub(super) fn push(&self, frame: Vec<u8>) -> bool {
        let mut queue = lock(&self.queue);
        let fits = queue.frames.len() < self.limit.frames && queue.bytes + frame.len() <= self.limit.bytes;
        if !fits && !queue.frames.is_empty() {
            return false;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        drop(queue);
        self.filled.notify_one();
        true
    }

    /// Returns the next frame, once there is one.
    pub(super) async fn pop(&self) -> Vec<u8> {
        loop {
            if let Some(frame) = self.take() {
                return frame;
            }
            self.filled.notified().await;
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        lock(&self.queue).bytes
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut queue = lock(&self.queue);
        let frame = queue.frames.pop_front()?;
        queue.bytes -= frame.len();
        Some(frame)
    }
}
