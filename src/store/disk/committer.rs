//! The thread that makes batches durable, and the thread that makes segments of the log for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::event::DiskEvent;
use super::shared::Shared;
use super::wal::{Log, MAX_FRAME, Segments};
use crate::store::Batch;

/// The size in bytes of the rows that one sync covers: as much as fits into a frame, with some room for the lengths of
/// the batches.
const GROUP_BYTES: usize = MAX_FRAME - (64 << 10);

/// Pauses add up, and the thread sleeps once their sum is this long. A shorter sleep takes longer than it should.
const LEAST_PAUSE: Duration = Duration::from_micros(200);

/// A task of the committer. The tasks are done in order.
#[derive(Debug)]
pub(super) enum Work {
    /// Make a batch durable. `rows` are its rows in the encoding of the log, and `memory` is the memory that they take.
    Commit { rows: Vec<u8>, memory: usize },
    /// The store failed in another thread: report it.
    Failed,
    /// Finish all earlier tasks and end.
    Stop,
}

/// The store's handle of its committer. Dropping it stops the committer.
pub(super) struct Committer {
    queue: Sender<Work>,
    threads: Vec<JoinHandle<()>>,
    segments: Arc<Segments>,
}

impl Committer {
    /// Starts the threads. Batches are reported under numbers from 1 on, where 1 is the batch after the last one that
    /// the log holds.
    pub(super) fn start(
        log: Log,
        shared: Arc<Shared>,
        most_memory: usize,
        on_event: Box<dyn Fn(DiskEvent) + Send>,
    ) -> io::Result<Self> {
        let (queue, work) = channel();
        let (ask, asked) = channel();
        let segments = log.segments().clone();
        let mut this = Self { queue, threads: Vec::new(), segments: segments.clone() };
        let worker = Worker { first: log.last(), log, shared, on_event, most_memory, owed: Duration::ZERO, ask };
        this.threads.push(thread::Builder::new().name("store-commit".into()).spawn(move || worker.run(&work))?);
        let preparing = move || prepare(&segments, &asked);
        this.threads.push(thread::Builder::new().name("store-segments".into()).spawn(preparing)?);
        Ok(this)
    }

    /// Sends a task. Returns false where the thread has ended.
    pub(super) fn send(&self, work: Work) -> bool {
        self.queue.send(work).is_ok()
    }

    /// The queue, for other threads that report a failure of the store.
    pub(super) fn queue(&self) -> Sender<Work> {
        self.queue.clone()
    }

    /// Stops the threads, and waits until all earlier tasks are done.
    pub(super) fn stop(&mut self) {
        self.send(Work::Stop);
        for thread in self.threads.drain(..) {
            // A panic of the thread was reported as a failure when it happened.
            let _ = thread.join();
            self.segments.stop();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a segment for each request, until the other end of the channel is gone.
fn prepare(segments: &Segments, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        if let Err(error) = segments.prepare() {
            // The committer makes a segment itself when it needs one, and the store fails where that fails.
            tracing::warn!("a segment of the log could not be made beforehand: {error}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a sync takes is reported")]
fn now() -> Instant {
    Instant::now()
}

/// The batches of one sync.
#[derive(Default)]
struct Group {
    batches: Vec<Vec<u8>>,
    bytes: usize,
    memory: usize,
    stop: bool,
}

struct Worker {
    log: Log,
    /// The last batch that the log held at the start.
    first: Batch,
    shared: Arc<Shared>,
    on_event: Box<dyn Fn(DiskEvent) + Send>,
    /// The memory in bytes that the generations may take.
    most_memory: usize,
    /// The sum of the pauses that were not slept yet.
    owed: Duration,
    /// Asks the other thread for a segment.
    ask: Sender<()>,
}

impl Worker {
    fn run(mut self, work: &Receiver<Work>) {
        // The task that did not fit into the last group.
        let mut left = None;
        while let Some(first) = left.take().or_else(|| work.recv().ok()) {
            let group = Self::gather(first, work, &mut left);
            if self.shared.failure().is_none()
                && let Err(error) = self.commit(&group)
            {
                self.shared.fail("writing to the log", &error);
            }
            if self.shared.failure().is_some() {
                return self.tell_failure();
            }
            if group.stop {
                return;
            }
        }
    }

    /// Takes the tasks that wait, as many as fit into a frame.
    fn gather(first: Work, work: &Receiver<Work>, left: &mut Option<Work>) -> Group {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Work::Commit { rows, memory } if group.bytes > 0 && group.bytes + rows.len() > GROUP_BYTES => {
                    *left = Some(Work::Commit { rows, memory });
                    break;
                }
                Work::Commit { rows, memory } => {
                    group.bytes += rows.len();
                    group.memory += memory;
                    group.batches.push(rows);
                }
                // `run` checks for the failure after the group.
                Work::Failed => break,
                Work::Stop => {
                    group.stop = true;
                    break;
                }
            }
            next = work.try_recv().ok();
        }
        group
    }

    /// Makes a group durable and reports that.
    fn commit(&mut self, group: &Group) -> io::Result<()> {
        if group.batches.is_empty() {
            return Ok(());
        }
        self.owed += self.shared.pause(group.memory, self.most_memory);
        if self.owed >= LEAST_PAUSE {
            thread::sleep(mem::take(&mut self.owed));
        }
        let wanted = self.log.wants_segment();
        let began = now();
        self.shared.add_logged(self.log.append(&group.batches)?);
        self.shared.add_sync(now() - began);
        if self.log.wants_segment() && !wanted {
            // The receiver exists as long as this thread, so sending cannot fail.
            let _ = self.ask.send(());
        }
        self.shared.set_durable(self.log.last());
        if self.shared.failure().is_none() {
            (self.on_event)(DiskEvent::Persisted(self.log.last() - self.first));
        }
        Ok(())
    }

    fn tell_failure(&self) {
        if let Some(failure) = self.shared.failure() {
            (self.on_event)(DiskEvent::Failed(failure.clone()));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.fail("the committer", &"it panicked");
            self.tell_failure();
        }
    }
}
