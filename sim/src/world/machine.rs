//! A machine: a process or none, a disk, a clock that may be wrong, and the machine's state in the run.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Millis, NodeId};
use forename::log::StoredPhase;
use forename::log::{Chain, Seq, Settings};
use forename::model::{ClusterId, Cursor};
use forename::replica::{Config, Contact, Founding, Input, Now, OpenError, Replica, SnapshotId, Start, node_in};
use forename::store::Write;
use forename::store::memory::MemoryStore;
use forename::store::schema::{self, Cell, Rows};

use crate::dice::Dice;
use crate::plan::{Host, Loss, Plan};
use crate::world::books::known::Word;
use crate::world::clock::WallClock;
use crate::world::disk::Disk;
use crate::world::ids::{RECOVERED, SECRET, node_id};
use crate::world::net::Micros;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) node: NodeId,
    /// The number of processes so far. Events for an earlier process are ignored.
    pub(crate) life: u32,
    pub(crate) process: Process,
    pub(crate) disk: Disk,
    pub(crate) drive: Drive,
    pub(crate) clock: WallClock,
    /// Random numbers for the duration of its actions.
    pub(crate) dice: Dice,
    pub(crate) directory: Directory,
    /// True where an old copy of its directory was noticed and repaired.
    pub(crate) restored: bool,
    /// True where it was evicted once and returned.
    pub(crate) came_back: bool,
    pub(crate) stage: Stage,
    /// The hosts that it dials by itself.
    pub(crate) wanted: BTreeSet<Host>,
    /// The hosts that an operator told it to dial, whatever members it knows.
    pub(crate) named: BTreeSet<Host>,
    /// The cursor of the reader of its feed; none for a new reader.
    pub(crate) cursor: Option<Cursor>,
}

/// The process of a machine.
#[derive(Debug)]
pub(crate) enum Process {
    Down(Down),
    Up(Box<Running>),
}

/// The state of a machine without a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Down {
    /// The reason, where the process stopped by itself.
    pub(crate) halted: Option<String>,
    /// True where the disk has been replaced since.
    pub(crate) swapped: bool,
}

/// A process: a replica, and the inputs that wait for it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) replica: Replica<MemoryStore>,
    pub(crate) inbox: Vec<Input>,
    /// The time until which it is at work or stands still.
    pub(crate) busy_until: Micros,
    pub(crate) turn_planned: bool,
    pub(crate) wake_planned: Option<Micros>,
    /// The process dies in the next step with outputs, after this many of them.
    pub(crate) dies_after: Option<usize>,
    /// True where its store was made to fail, so that it must stop.
    pub(crate) failing: bool,
    /// The snapshots that it streams to newcomers.
    pub(crate) snapshots: BTreeMap<NodeId, (SnapshotId, Vec<Write>)>,
    /// True where the reader of its feed is about to read.
    pub(crate) feed_asked: bool,
    /// The last event of its feed, as the replica reported it.
    pub(crate) last_event: Cursor,
}

/// The performance of a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drive {
    /// The factor by which an fsync takes longer.
    pub(crate) slow: u64,
    /// True where there is no room on it.
    pub(crate) full: bool,
}

/// A disk without faults.
pub(crate) const WELL: Drive = Drive { slow: 1, full: false };

/// Which of a node's data directories a machine has.
#[derive(Clone, Debug)]
pub(crate) enum Directory {
    /// The latest one, or a copy that lacks nothing that any other node knows of.
    Latest,
    /// An older copy took its place. The process must stop, and returns as its next incarnation.
    Old(Box<OldDirectory>),
}

/// A directory that is an old copy.
#[derive(Clone, Debug)]
pub(crate) struct OldDirectory {
    /// The end of the node's own log in it.
    pub(crate) end: (Seq, Chain),
    /// True where the node had promised more than the copy knows.
    pub(crate) promised_more: bool,
    /// The statements that the node had made by the time of the replacement.
    pub(crate) word: Word,
    /// When a member first showed it what it lacks.
    pub(crate) shown_at: Option<Micros>,
    /// True where clients do not use it, because its answers could not be kept.
    pub(crate) shunned: bool,
}

/// The state of a machine in the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It belongs to the cluster, or is about to join.
    Present,
    /// It is not started before a new cluster is made from another machine's directory.
    Waiting,
    /// It is lost for good.
    Lost(Loss),
    /// It has left the cluster for good; `lost` where it was also lost to the others.
    Left { lost: bool },
}

impl Stage {
    /// Returns true where it is not started any more.
    pub(crate) fn is_gone(self) -> bool {
        matches!(self, Self::Waiting | Self::Lost(Loss::Down) | Self::Left { .. })
    }

    pub(crate) fn is_lost(self) -> bool {
        matches!(self, Self::Lost(_) | Self::Left { lost: true })
    }

    pub(crate) fn has_left(self) -> bool {
        matches!(self, Self::Left { .. })
    }

    /// Returns the state after the machine was lost.
    pub(crate) fn lost(self, how: Loss) -> Self {
        if self.has_left() { Self::Left { lost: true } } else { Self::Lost(how) }
    }

    /// Returns the state after the node has left.
    pub(crate) fn left(self) -> Self {
        Self::Left { lost: self.is_lost() }
    }
}

fn contact_of(node: NodeId, host: Host, as_of: Millis) -> Contact {
    let (address, label) = (format!("host{host}:7400"), format!("host{host}"));
    Contact { node, public_key: Vec::new(), address, label, as_of }
}

impl Machine {
    pub(crate) fn new(host: Host, seed: u64, clock: (i64, i64)) -> Self {
        Self {
            host,
            node: node_id(host),
            life: 0,
            process: Process::Down(Down::default()),
            disk: Disk::default(),
            drive: WELL,
            clock: WallClock::new(clock),
            dice: Dice::new(seed, "machine", host as u64),
            directory: Directory::Latest,
            restored: false,
            came_back: false,
            stage: Stage::Present,
            wanted: BTreeSet::new(),
            named: BTreeSet::new(),
            cursor: None,
        }
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        if let Process::Up(running) = &self.process { Some(running) } else { None }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        if let Process::Up(running) = &mut self.process { Some(running) } else { None }
    }

    /// Returns the process, where it is the one with this number.
    pub(crate) fn running_mut_of(&mut self, life: u32) -> Option<&mut Running> {
        if self.life == life { self.running_mut() } else { None }
    }

    pub(crate) fn replica(&self) -> Option<&Replica<MemoryStore>> {
        self.running().map(|running| &running.replica)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running().is_some()
    }

    /// Returns true where clients can use it.
    pub(crate) fn serves(&self) -> bool {
        self.is_up() && !self.old().is_some_and(|old| old.shunned)
    }

    /// Returns true where its process considers itself a member.
    pub(crate) fn is_member(&self) -> bool {
        self.replica().is_some_and(Replica::is_member)
    }

    /// Returns true where its process has a state, and so knows the cluster's founding.
    pub(crate) fn is_installed(&self) -> bool {
        self.replica().is_some_and(|replica| replica.founding().is_some())
    }

    /// Returns true where its store was made to fail.
    pub(crate) fn is_failing(&self) -> bool {
        self.running().is_some_and(|running| running.failing)
    }

    /// Returns the reason for which its process stopped by itself; none where it did not.
    pub(crate) fn halted(&self) -> Option<&str> {
        if let Process::Down(Down { halted: Some(why), .. }) = &self.process { Some(why) } else { None }
    }

    /// Returns its directory, where it is an old copy.
    pub(crate) fn old(&self) -> Option<&OldDirectory> {
        if let Directory::Old(old) = &self.directory { Some(old) } else { None }
    }

    pub(crate) fn old_mut(&mut self) -> Option<&mut OldDirectory> {
        if let Directory::Old(old) = &mut self.directory { Some(old) } else { None }
    }

    /// Returns true where its directory is an old copy.
    pub(crate) fn is_old(&self) -> bool {
        self.old().is_some()
    }

    pub(crate) fn now(&self, time: Micros) -> Now {
        Now { wall: Millis(self.clock.read(time)), elapsed: Millis(time / 1000) }
    }

    /// Starts the process on the present content of its disk.
    pub(crate) fn start(&mut self, time: Micros, plan: &Plan) -> Result<(), OpenError> {
        self.life += 1;
        let mut store = self.disk.mount();
        self.node = node_in(&store, node_id(self.host));
        let as_of = self.now(time).wall;
        if plan.acquainted && self.life == 1 {
            for other in (0..plan.founders).filter(|other| *other != self.host) {
                let contact = contact_of(node_id(other), other, as_of);
                schema::Contacts::put(&mut store, contact.node, &contact);
            }
        }
        let contact = contact_of(self.node, self.host, as_of);
        let mut config = Config::new(contact, crate::dice::mix(plan.seed ^ self.node.0 ^ u64::from(self.life)));
        (config.log.spread, config.log.keep_log) = (plan.spread, plan.keep_log);
        config.log.snapshot_ttl = plan.snapshot_ttl;
        config.log.reads = plan.reads(self.host);
        // A node that returns after an eviction joins, even if it was a founder.
        let returns = matches!(schema::Phase::load(&store), Some(StoredPhase::Joining { .. }));
        let start = if self.host < plan.founders && !returns {
            Start::Found { founding: founding(plan), secret: SECRET }
        } else {
            Start::Join
        };
        let replica = Replica::open(config, store, Some(start), self.now(time))?;
        // At every other start the reader of the feed has lost its cursor.
        self.cursor = self.cursor.filter(|_| !(self.life / 2).is_multiple_of(2));
        if let Some(old) = self.old_mut() {
            old.shown_at = None;
        }
        self.process = Process::Up(Box::new(Running {
            last_event: replica.last_event(),
            replica,
            inbox: vec![Input::Wake],
            busy_until: time,
            turn_planned: false,
            wake_planned: None,
            dies_after: None,
            failing: false,
            snapshots: BTreeMap::new(),
            feed_asked: false,
        }));
        Ok(())
    }

    /// Does what an operator does with an old copy of a data directory: makes it that of the node's next incarnation.
    pub(crate) fn rejoin(&mut self, time: Micros) -> Result<(), String> {
        let replica = self.offline(time)?;
        let (mut store, _) = replica.rejoin().map_err(|error| error.to_string())?;
        self.disk.rewrite(store.take_writes());
        self.directory = Directory::Latest;
        (self.came_back, self.restored) = (true, true);
        Ok(())
    }

    /// Does what an operator does with the last directory of a lost cluster: makes it that of a new cluster, whose only
    /// member is the node's next incarnation.
    pub(crate) fn recover(&mut self, time: Micros) -> Result<(), String> {
        let replica = self.offline(time)?;
        let (mut store, _) =
            replica.recover(ClusterId::from_random([1; 16]), RECOVERED).map_err(|error| error.to_string())?;
        self.disk.rewrite(store.take_writes());
        (self.came_back, self.restored) = (true, true);
        Ok(())
    }

    /// Opens a replica on the directory, for an operator's command while no process runs.
    fn offline(&mut self, time: Micros) -> Result<Replica<MemoryStore>, String> {
        let store = self.disk.mount();
        let config = Config::new(contact_of(self.node, self.host, self.now(time).wall), 0);
        Replica::open(config, store, None, self.now(time)).map_err(|error| error.to_string())
    }

    /// Ends the process. Returns how many batches were lost.
    pub(crate) fn die(&mut self, kept: u64) -> usize {
        self.life += 1;
        self.process = Process::Down(Down::default());
        self.disk.crash(kept)
    }
}

/// Returns the founding of a simulated cluster: its first members and the settings of the plan.
fn founding(plan: &Plan) -> Founding {
    let Plan { evict_after, keep_events, promise_every, .. } = *plan;
    let settings = Settings { evict_after, keep_events, promise_every, ..Settings::default() };
    Founding { founders: (0..plan.founders).map(node_id).collect(), settings, ..Founding::default() }
}
