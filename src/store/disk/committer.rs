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

/// A disk whose syncs take longer than this on average is slow. Waking a thread costs some tenths of it.
const SLOW: Duration = Duration::from_millis(1);

/// The number of syncs that are judged together. A guess.
const JUDGED: u32 = 32;

/// A disk of which a single sync takes so long is slow. A guess: longer than a busy disk takes once in a while.
const HANGS: Duration = Duration::from_millis(500);

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

/// Who makes batches durable: the store's owner, with the worker, or the thread at the end of a queue.
enum Place {
    Owner(Box<Worker>),
    Thread(Sender<Work>),
}

/// The store's handle of its committer. Dropping it stops the committer.
pub(super) struct Committer {
    place: Place,
    commits: Commits,
    /// The time before which the owner should write nothing more, where it makes batches durable itself.
    rests_until: Option<Instant>,
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
        let segments_too = segments.clone();
        let mut this =
            Self { place, commits, rests_until: None, committing: None, preparing: None, segments: segments_too };
        let preparing = move || prepare(&segments, &asked);
        this.preparing = Some(thread::Builder::new().name("store-segments".into()).spawn(preparing)?);
        let many = || thread::available_parallelism().is_ok_and(|processors| processors.get() >= MANY);
        if commits == Commits::ByThread || commits == Commits::AsSuits && many() {
            this.leave_owner()?;
        }
        Ok(this)
    }

    /// Makes a batch durable, now or soon. Returns false where the thread has ended.
    pub(super) fn commit(&mut self, written: Written) -> bool {
        match &mut self.place {
            Place::Thread(queue) => queue.send(Work::Commit(written)).is_ok(),
            Place::Owner(worker) => {
                let group = Group::of(written);
                self.rests_until = worker.owes(&group).map(|pause| now() + pause);
                worker.commit_or_fail(&group);
                let leaves = self.commits == Commits::AsSuits && worker.pace.is_slow;
                if leaves && let Err(error) = self.leave_owner() {
                    tracing::warn!("the disk is slow, and no thread can be made to wait for it: {error}");
                    self.commits = Commits::ByOwner;
                }
                true
            }
        }
    }

    /// Returns the time before which the owner should write nothing more, because the tables lag behind. The committer's own
    /// thread waits by itself.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// Has a thread of its own make batches durable from now on. Where there can be none, the owner goes on.
    pub(super) fn leave_owner(&mut self) -> io::Result<()> {
        let (queue, work) = channel();
        let (hand, handed) = channel::<Box<Worker>>();
        let run = move || handed.recv().map_or((), |worker| (*worker).run(&work));
        self.committing = Some(thread::Builder::new().name("store-commit".into()).spawn(run)?);
        self.rests_until = None;
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

/// How long the latest syncs took.
#[derive(Default)]
struct Pace {
    syncs: u32,
    took: Duration,
    /// True once the disk was slow.
    is_slow: bool,
}

impl Pace {
    fn note(&mut self, took: Duration) {
        self.syncs += 1;
        // On a busy machine one sync of a hundred takes much longer, and that alone does not make the disk slow.
        self.took += took.min(SLOW * 8);
        if took >= HANGS {
            self.is_slow = true;
        } else if self.syncs == JUDGED {
            *self = Self { is_slow: self.took > SLOW * JUDGED, ..Self::default() };
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
            if let Some(pause) = self.owes(&group) {
                thread::sleep(pause);
            }
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
    fn a_disk_is_slow_where_syncs_take_long_on_average_or_one_hangs() {
        let of = |syncs: &[Duration]| {
            let mut pace = Pace::default();
            syncs.iter().for_each(|took| pace.note(*took));
            pace.is_slow
        };
        let quick = vec![SLOW / 4; JUDGED as usize];
        assert!(!of(&quick));
        let mut once = quick.clone();
        once[7] = SLOW * 100;
        assert!(!of(&once), "a busy machine");
        let half: Vec<_> = (0..JUDGED).map(|sync| if sync % 2 == 0 { SLOW / 4 } else { SLOW * 50 }).collect();
        assert!(of(&half));
        assert!(of(&[HANGS]));
    }
}
