//! The thread that makes batches durable, and the thread that makes segments of the log for it.
//!
//! A batch that comes alone is made durable by the store's owner itself, which spares a caller the waking of two threads, a
//! fifth of the time that the caller waits. Where several callers ask at once that would cost more than it gives, because
//! the owner does nothing else meanwhile. So it is done only while batches come one by one, and the disk is quick.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::event::DiskEvent;
use super::failer::Failer;
use super::options::DiskOptions;
use super::shared::Shared;
use super::wal::{Log, MAX_FRAME, Segments};
use crate::store::Batch;

/// The size in bytes of the rows that one sync covers: as much as fits into a frame, with some room for the lengths of
/// the batches.
const GROUP_BYTES: usize = MAX_FRAME - (64 << 10);

/// Pauses add up, and the thread sleeps once their sum is this long. A shorter sleep takes longer than it should.
const LEAST_PAUSE: Duration = Duration::from_micros(200);

/// So many batches in a row must have come alone before the owner makes one durable. A guess: where there are several
/// callers, one of so many syncs at most holds the owner up.
const ALONE: u32 = 16;
/// The owner makes only batches of up to so many bytes durable, one or two blocks of the log.
const SMALL: usize = 4 << 10;

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
    /// The thread's writer, as long as that runs. It keeps the other thread going.
    writer: Weak<Mutex<Writer>>,
    shared: Arc<Shared>,
    most_memory: usize,
    /// The owner makes a batch durable only where the last sync took no longer.
    quick: Duration,
    /// The number of batches in a row that came alone.
    alone: u32,
}

impl Committer {
    /// Starts the threads. Batches are reported under numbers from 1 on, where 1 is the batch after the last one that
    /// the log holds.
    pub(super) fn start(log: Log, failer: Failer, options: &DiskOptions) -> io::Result<Self> {
        let DiskOptions { memory_bytes: most_memory, quick_sync: quick, .. } = *options;
        let ((queue, work), (ask, asked)) = (channel(), channel());
        let (segments, shared) = (log.segments().clone(), failer.shared.clone());
        let writer = Writer { first: log.last(), log, failer: failer.clone(), ask };
        let writer = Arc::new(Mutex::new(writer));
        let mut this = Self {
            queue,
            threads: Vec::new(),
            segments: segments.clone(),
            writer: Arc::downgrade(&writer),
            shared,
            most_memory,
            quick,
            alone: 0,
        };
        let worker = Worker { writer, failer, most_memory, owed: Duration::ZERO };
        this.run("store-commit", move || worker.run(&work))?;
        this.run("store-segments", move || prepare(&segments, &asked))?;
        Ok(this)
    }

    fn run(&mut self, name: &str, task: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.into()).spawn(task)?);
        Ok(())
    }

    /// Has a batch made durable. `alone` says that all earlier ones are, and that nobody else waits for the caller. Returns
    /// false where the thread has ended.
    pub(super) fn commit(&mut self, written: Written, alone: bool) -> bool {
        self.alone = if alone { self.alone.saturating_add(1) } else { 0 };
        if self.alone > ALONE
            && written.rows.len() <= SMALL
            && self.shared.last_sync() <= self.quick
            && self.shared.pause(written.memory, self.most_memory).is_zero()
            && let Some(writer) = self.writer.upgrade()
            // The thread may still be about to let go of it.
            && let Ok(mut writer) = writer.try_lock()
        {
            writer.commit_or_fail(std::slice::from_ref(&written.rows));
            self.shared.give_back([written.rows]);
            return true;
        }
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

/// Writes batches to the end of the log.
struct Writer {
    log: Log,
    /// The last batch that the log held at the start.
    first: Batch,
    failer: Failer,
    /// Asks the other thread for a segment.
    ask: Sender<()>,
}

impl Writer {
    /// Makes batches durable and reports that. Returns false where the store has failed.
    fn commit_or_fail(&mut self, batches: &[Vec<u8>]) -> bool {
        if self.failer.shared.failure().is_none()
            && let Err(error) = self.commit(batches)
        {
            self.failer.fail("writing to the log", &error);
        }
        self.failer.shared.failure().is_none()
    }

    fn commit(&mut self, batches: &[Vec<u8>]) -> io::Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        let wanted = self.log.wants_segment();
        let began = now();
        let logged = self.log.append(batches)?;
        let took = now() - began;
        self.failer.shared.add_logged(logged);
        self.failer.shared.add_sync(took);
        if self.log.wants_segment() && !wanted {
            // The receiver exists as long as this writer, so sending cannot fail.
            let _ = self.ask.send(());
        }
        self.failer.shared.set_durable(self.log.last());
        self.failer.owner.tell(DiskEvent::Persisted(self.log.last() - self.first));
        Ok(())
    }
}

struct Worker {
    writer: Arc<Mutex<Writer>>,
    failer: Failer,
    /// The memory in bytes that the generations may take.
    most_memory: usize,
    /// The sum of the pauses that were not slept yet.
    owed: Duration,
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
            // Where the owner has panicked with it, the log takes nothing any more.
            let is_durable = self.writer.lock().unwrap_or_else(PoisonError::into_inner).commit_or_fail(&group.batches);
            if !is_durable || group.stop {
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
}

impl Drop for Worker {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failer.fail("the committer", &"it panicked");
        }
    }
}
