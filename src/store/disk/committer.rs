//! The thread that makes batches durable, and the thread that makes segments of the log for it.
//!
//! The store's owner could sync by itself, which saves a caller who asks alone the time of waking a thread: a tenth of the
//! whole. With four callers it takes twice as much away, because the owner does nothing else meanwhile.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::event::DiskEvent;
use super::failer::Failer;
use super::wal::{Log, MAX_FRAME, Segments};
use crate::store::Batch;

/// The size in bytes of the rows that one sync covers: as much as fits into a frame, with some room for the lengths of
/// the batches.
const GROUP_BYTES: usize = MAX_FRAME - (64 << 10);

/// Pauses add up, and the thread sleeps once their sum is this long. A shorter sleep takes longer than it should.
const LEAST_PAUSE: Duration = Duration::from_micros(200);

/// A task of the committer's thread. The tasks are done in order.
#[derive(Debug)]
enum Work {
    /// Make a batch durable.
    Commit(Written),
    /// Finish all earlier tasks and end.
    Stop,
}

/// A batch that is to be made durable.
#[derive(Debug)]
pub(super) struct Written {
    /// Its rows in the encoding of the log.
    pub(super) rows: Vec<u8>,
    /// The memory in bytes that the rows take.
    pub(super) memory: usize,
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
    pub(super) fn start(log: Log, failer: Failer, most_memory: usize) -> io::Result<Self> {
        let ((queue, work), (ask, asked)) = (channel(), channel());
        let segments = log.segments().clone();
        let mut this = Self { queue, threads: Vec::new(), segments: segments.clone() };
        let worker = Worker { first: log.last(), log, failer, most_memory, owed: Duration::ZERO, ask };
        this.run("store-commit", move || worker.run(&work))?;
        this.run("store-segments", move || prepare(&segments, &asked))?;
        Ok(this)
    }

    fn run(&mut self, name: &str, task: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.into()).spawn(task)?);
        Ok(())
    }

    /// Has a batch made durable. Returns false where the thread has ended.
    pub(super) fn commit(&self, written: Written) -> bool {
        self.queue.send(Work::Commit(written)).is_ok()
    }

    /// Stops the threads, and waits until all earlier tasks are done.
    pub(super) fn stop(&mut self) {
        // Sending fails where the thread has ended.
        let _ = self.queue.send(Work::Stop);
        for thread in self.threads.drain(..) {
            // A panic of a thread was reported as a failure when it happened.
            let _ = thread.join();
            // The thread that makes segments comes second: until here it makes them for the first.
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

impl Group {
    fn add(&mut self, Written { rows, memory }: Written) {
        self.bytes += rows.len();
        self.memory += memory;
        self.batches.push(rows);
    }
}

struct Worker {
    log: Log,
    /// The last batch that the log held at the start.
    first: Batch,
    failer: Failer,
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
            if let Some(pause) = self.owes(&group) {
                thread::sleep(pause);
            }
            if !self.commit_or_fail(&group) || group.stop {
                return;
            }
            self.failer.shared.give_back(group.batches);
        }
    }

    /// Takes the tasks that wait, as many as fit into a frame.
    fn gather(first: Work, work: &Receiver<Work>, left: &mut Option<Work>) -> Group {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Work::Commit(written) if group.bytes > 0 && group.bytes + written.rows.len() > GROUP_BYTES => {
                    *left = Some(Work::Commit(written));
                    break;
                }
                Work::Commit(written) => group.add(written),
                Work::Stop => {
                    group.stop = true;
                    break;
                }
            }
            next = work.try_recv().ok();
        }
        group
    }

    /// Adds the pause that a group's writes take while the tables lag behind. Returns the pauses that are due.
    fn owes(&mut self, group: &Group) -> Option<Duration> {
        self.owed += self.failer.shared.pause(group.memory, self.most_memory);
        (self.owed >= LEAST_PAUSE).then(|| mem::take(&mut self.owed))
    }

    /// Makes a group durable and reports that. Returns false where the store has failed.
    fn commit_or_fail(&mut self, group: &Group) -> bool {
        if self.failer.shared.failure().is_none()
            && let Err(error) = self.commit(group)
        {
            self.failer.fail("writing to the log", &error);
        }
        self.failer.shared.failure().is_none()
    }

    fn commit(&mut self, group: &Group) -> io::Result<()> {
        if group.batches.is_empty() {
            return Ok(());
        }
        let wanted = self.log.wants_segment();
        let began = now();
        let logged = self.log.append(&group.batches)?;
        let took = now() - began;
        self.failer.shared.add_logged(logged);
        self.failer.shared.add_sync(took);
        if self.log.wants_segment() && !wanted {
            // The receiver exists as long as this worker, so sending cannot fail.
            let _ = self.ask.send(());
        }
        self.failer.shared.set_durable(self.log.last());
        self.failer.owner.tell(DiskEvent::Persisted(self.log.last() - self.first));
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failer.fail("the committer", &"it panicked");
        }
    }
}
