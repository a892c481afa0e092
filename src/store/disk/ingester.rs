//! The thread that hands generations over to the tables, and then lets the log forget them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::failer::Failer;
use super::generation::Generation;
use super::shared::Shared;
use super::snapshots::Stream;
use super::tables::{Tables, take_over};
use super::wal::Segments;
use crate::store::Batch;

/// A task of the ingester. The tasks are done in order.
#[derive(Debug)]
pub(super) enum Work {
    /// Hand a generation over to the tables.
    TakeOver {
        generation: Arc<Generation>,
        last: Batch,
        /// The size in bytes of all rows that were written up to the end of this generation.
        written: u64,
    },
    /// Empty a generation that was handed over. This takes too long for the thread that read from it.
    Forget(Arc<Generation>),
    /// Send the rows of the tables.
    Send(Stream),
    /// Finish all earlier tasks and end.
    Stop,
}

/// The store's handle of its ingester. Dropping it stops the ingester, and must come after the committer has stopped.
pub(super) struct Ingester {
    queue: Sender<Work>,
    thread: Option<JoinHandle<()>>,
}

impl Ingester {
    pub(super) fn start(
        tables: Tables,
        segments: Arc<Segments>,
        shared: Arc<Shared>,
        failer: Failer,
    ) -> io::Result<Self> {
        let (queue, work) = channel();
        let worker = Worker { tables, segments, shared, failer };
        let thread = thread::Builder::new().name("store-tables".into()).spawn(move || worker.run(&work))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Sends a task. The task is dropped where the store has failed.
    pub(super) fn send(&self, work: Work) {
        let _ = self.queue.send(work);
    }
}

impl Drop for Ingester {
    fn drop(&mut self) {
        self.send(Work::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported as a failure when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker {
    tables: Tables,
    segments: Arc<Segments>,
    shared: Arc<Shared>,
    failer: Failer,
}

impl Worker {
    fn run(self, work: &Receiver<Work>) {
        while let Ok(next) = work.recv() {
            if self.shared.failure().is_some() {
                return;
            }
            match next {
                Work::TakeOver { generation, last, written } => {
                    if !self.shared.await_durable(last) {
                        return;
                    }
                    if let Err(error) = self.take_over(&generation, last, written) {
                        return self.failer.fail("writing the tables", &error);
                    }
                }
                Work::Forget(generation) => {
                    if let Some(generation) = Arc::into_inner(generation) {
                        self.shared.empty(generation);
                    }
                }
                Work::Send(stream) => self.send(stream),
                Work::Stop => return,
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "how fast the disk is decides how fast is written")]
    fn take_over(&self, generation: &Generation, last: Batch, written: u64) -> fjall::Result<()> {
        let began = Instant::now();
        self.tables.await_compactions()?;
        take_over(&self.tables, generation, last, &|bytes| self.shared.add_taken_over(bytes))?;
        self.shared.set_taken_over(written, generation.bytes(), began.elapsed());
        self.shared.set_applied(last);
        // A file that cannot be removed does no harm.
        if let Err(error) = self.segments.release(last) {
            tracing::warn!("a file of the log that is not needed any more could not be removed: {error}");
        }
        Ok(())
    }

    fn send(&self, stream: Stream) {
        stream.view.take(&self.tables);
        let failer = self.failer.clone();
        let started = stream.start(self.tables.clone(), move |error| failer.fail("reading a snapshot", error));
        if let Err(error) = started {
            self.failer.fail("sending a snapshot", &error);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failer.fail("writing the tables", &"the thread panicked");
        }
    }
}
