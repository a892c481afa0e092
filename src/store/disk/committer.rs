//! Makes batches durable: on the thread of the store's owner while the disk is quick, on a thread of its own otherwise. A
//! second thread makes segments of the log for it.
//!
//! Waking a thread and being woken by it takes about as long as a quick disk takes for a sync. Where the machine has few
//! processors, nothing is won by going on meanwhile. A slow disk must not hold up the owner.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::event::DiskEvent;
use super::failer::Failer;
use super::options::Commits;
use super::wal::{Log, MAX_FRAME, Segments};
use crate::store::Batch;

/// The size in bytes of the rows that one sync covers: as much as fits into a frame, with some room for the lengths of
/// the batches.
const GROUP_BYTES: usize = MAX_FRAME - (64 << 10);

/// Pauses add up, and the thread sleeps once their sum is this long. A shorter sleep takes longer than it should.
const LEAST_PAUSE: Duration = Duration::from_micros(200);

/// A sync that takes longer than this is slow. A thread that is woken costs some tenths of it.
const SLOW: Duration = Duration::from_millis(1);

/// The number of syncs that are judged together. Where more than half of them are slow, the disk is. A guess.
const JUDGED: u32 = 32;

/// On a machine with so many processors the owner goes on while another thread waits for the disk.
const MANY: usize = 4;

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

/// The thread that makes batches durable.
enum Place {
    Owner(Box<Worker>),
    Thread(Sender<Work>),
}

/// The store's handle of its committer. Dropping it stops the committer.
pub(super) struct Committer {
    place: Place,
    committing: Option<JoinHandle<()>>,
    preparing: Option<JoinHandle<()>>,
    segments: Arc<Segments>,
}

impl Committer {
    /// Starts the threads. Batches are reported under numbers from 1 on, where 1 is the batch after the last one that
    /// the log holds.
    pub(super) fn start(log: Log, failer: Failer, most_memory: usize, commits: Commits) -> io::Result<Self> {
        let (ask, asked) = channel();
        let segments = log.segments().clone();
        let (first, pace) = (log.last(), Pace::default());
        let worker = Box::new(Worker { first, log, failer, most_memory, owed: Duration::ZERO, ask, pace });
        let place = Place::Owner(worker);
        let mut this = Self { place, committing: None, preparing: None, segments: segments.clone() };
        let preparing = move || prepare(&segments, &asked);
        this.preparing = Some(thread::Builder::new().name("store-segments".into()).spawn(preparing)?);
        let many = || thread::available_parallelism().is_ok_and(|processors| processors.get() >= MANY);
        if commits == Commits::ByThread || commits == Commits::AsSuits && many() {
            this.leave_owner()?;
        }
        Ok(this)
    }

    /// Makes a batch durable, now or soon. Returns false where the thread has ended.
    pub(super) fn commit(&mut self, written: Written, commits: Commits) -> bool {
        match &mut self.place {
            Place::Thread(queue) => queue.send(Work::Commit(written)).is_ok(),
            Place::Owner(worker) => {
                worker.commit_or_fail(&Group::of(written));
                if commits == Commits::AsSuits
                    && worker.pace.is_slow
                    && let Err(error) = self.leave_owner()
                {
                    tracing::warn!("the disk is slow, and no thread can be made to wait for it: {error}");
                }
                true
            }
        }
    }

    /// Has a thread of its own make batches durable from now on. Where there can be none, the owner goes on.
    fn leave_owner(&mut self) -> io::Result<()> {
        let (queue, work) = channel();
        let (hand, handed) = channel::<Box<Worker>>();
        let run = move || handed.recv().map_or((), |worker| (*worker).run(&work));
        self.committing = Some(thread::Builder::new().name("store-commit".into()).spawn(run)?);
        if let Place::Owner(worker) = mem::replace(&mut self.place, Place::Thread(queue)) {
            // The thread waits for its worker, so sending cannot fail.
            let _ = hand.send(worker);
        }
        Ok(())
    }

    /// Stops the threads, and waits until all earlier tasks are done.
    pub(super) fn stop(&mut self) {
        // The worker goes with its place, and with the worker the other thread's queue.
        if let Place::Thread(queue) = mem::replace(&mut self.place, Place::Thread(channel().0)) {
            // Sending fails where the thread has ended.
            let _ = queue.send(Work::Stop);
        }
        // A panic of a thread was reported as a failure when it happened.
        let _ = self.committing.take().map(JoinHandle::join);
        self.segments.stop();
        let _ = self.preparing.take().map(JoinHandle::join);
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

/// Judges by the latest syncs whether the disk is slow.
#[derive(Default)]
struct Pace {
    syncs: u32,
    slow: u32,
    /// True once most of the syncs that were judged together were slow.
    is_slow: bool,
}

impl Pace {
    fn note(&mut self, took: Duration) {
        self.syncs += 1;
        self.slow += u32::from(took > SLOW);
        if self.syncs == JUDGED {
            *self = Self { is_slow: self.slow > JUDGED / 2, ..Self::default() };
        }
    }
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
    fn of(written: Written) -> Self {
        let mut group = Self::default();
        group.add(written);
        group
    }

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
    pace: Pace,
}

impl Worker {
    /// Does the tasks of a thread of its own.
    fn run(mut self, work: &Receiver<Work>) {
        // The task that did not fit into the last group.
        let mut left = None;
        while let Some(first) = left.take().or_else(|| work.recv().ok()) {
            let group = Self::gather(first, work, &mut left);
            if !self.commit_or_fail(&group) || group.stop {
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
        self.owed += self.failer.shared.pause(group.memory, self.most_memory);
        if self.owed >= LEAST_PAUSE {
            thread::sleep(mem::take(&mut self.owed));
        }
        let wanted = self.log.wants_segment();
        let began = now();
        let logged = self.log.append(&group.batches)?;
        let took = now() - began;
        self.pace.note(took);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_slow_once_most_syncs_are() {
        let mut pace = Pace::default();
        for sync in 0..JUDGED * 2 {
            pace.note(if sync % 2 == 0 { SLOW * 50 } else { SLOW / 2 });
        }
        assert!(!pace.is_slow, "half of them were quick");
        for _ in 0..JUDGED {
            assert!(!pace.is_slow);
            pace.note(SLOW * 2);
        }
        assert!(pace.is_slow);
    }
}
