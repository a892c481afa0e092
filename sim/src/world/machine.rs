//! A machine: a process or none, a disk, a clock that may be wrong, and what has become of it.

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
    /// Counts processes; what was meant for an earlier one is void.
    pub(crate) life: u32,
    pub(crate) process: Process,
    pub(crate) disk: Disk,
    pub(crate) drive: Drive,
    pub(crate) clock: WallClock,
    /// What takes how long.
    pub(crate) dice: Dice,
    pub(crate) directory: Directory,
    /// A directory that was not the latest was found out and put right.
    pub(crate) restored: bool,
    /// It was evicted once and came back.
    pub(crate) came_back: bool,
    pub(crate) stage: Stage,
    /// Whom it holds connections to of its own accord.
    pub(crate) wanted: BTreeSet<Host>,
    /// Whom an operator told it to reach, whatever members it knows.
    pub(crate) named: BTreeSet<Host>,
    /// How far the reader of its feed has read; none for one that begins.
    pub(crate) cursor: Option<Cursor>,
}

/// The process of a machine.
#[derive(Debug)]
pub(crate) enum Process {
    Down(Down),
    Up(Box<Running>),
}

/// What is remembered of a process that is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Down {
    /// It stopped by itself, with this word.
    pub(crate) halted: Option<String>,
    /// Another disk was put in since.
    pub(crate) swapped: bool,
}

/// A process: a replica, and what waits for its attention.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) replica: Replica<MemoryStore>,
    pub(crate) inbox: Vec<Input>,
    /// It is at work until then, or stands still.
    pub(crate) busy_until: Micros,
    pub(crate) turn_planned: bool,
    pub(crate) wake_planned: Option<Micros>,
    /// Dies in the next step that says something, after so many outputs.
    pub(crate) dies_after: Option<usize>,
    /// Its store was made to fail; it has to stop.
    pub(crate) failing: bool,
    /// What it streams to newcomers that are not in yet.
    pub(crate) snapshots: BTreeMap<NodeId, (SnapshotId, Vec<Write>)>,
    /// The reader of its feed is about to read.
    pub(crate) feed_asked: bool,
    /// How far its feed goes, as it has said itself.
    pub(crate) last_event: Cursor,
}

/// How a disk works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drive {
    /// An fsync takes so many times as long.
    pub(crate) slow: u64,
    /// There is no room on it.
    pub(crate) full: bool,
}

/// The disk works as it should.
pub(crate) const WELL: Drive = Drive { slow: 1, full: false };

/// Which of a node's data directories a machine has.
#[derive(Clone, Debug)]
pub(crate) enum Directory {
    /// The latest one, or a copy that lacks nothing of it that anybody knows of.
    Latest,
    /// An older one took its place: the process has to stop, and comes back as its next incarnation.
    Old(Box<OldDirectory>),
}

/// A directory that is not the latest.
#[derive(Clone, Debug)]
pub(crate) struct OldDirectory {
    /// Where the log of its own node ended in it.
    pub(crate) end: (Seq, Chain),
    /// The node had promised more than it knows of.
    pub(crate) promised_more: bool,
    /// What the node had said by the time of the change.
    pub(crate) word: Word,
    /// When a member first showed it what it lacks.
    pub(crate) shown_at: Option<Micros>,
    /// No client is let near it, because what it answers could not be kept.
    pub(crate) shunned: bool,
}

/// What has become of a machine in the course of the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It belongs to the cluster, or is on its way in.
    Present,
    /// It is not started before a new cluster was made of another's directory.
    Waiting,
    /// It is lost for good.
    Lost(Loss),
    /// It has left the cluster for good; perhaps after it was lost to the others.
    Left { lost: bool },
}

impl Stage {
    /// Whether it is not started any more.
    pub(crate) fn is_gone(self) -> bool {
        matches!(self, Self::Waiting | Self::Lost(Loss::Down) | Self::Left { .. })
    }

    pub(crate) fn is_lost(self) -> bool {
        matches!(self, Self::Lost(_) | Self::Left { lost: true })
    }

    pub(crate) fn has_left(self) -> bool {
        matches!(self, Self::Left { .. })
    }

    /// The same after the machine was lost.
    pub(crate) fn lost(self, how: Loss) -> Self {
        if self.has_left() { Self::Left { lost: true } } else { Self::Lost(how) }
    }

    /// The same after it has left.
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

    /// The process, where it is that one.
    pub(crate) fn running_mut_of(&mut self, life: u32) -> Option<&mut Running> {
        if self.life == life { self.running_mut() } else { None }
    }

    pub(crate) fn replica(&self) -> Option<&Replica<MemoryStore>> {
        self.running().map(|running| &running.replica)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running().is_some()
    }

    /// Whether clients reach it.
    pub(crate) fn serves(&self) -> bool {
        self.is_up() && !self.old().is_some_and(|old| old.shunned)
    }

    /// Whether its process takes itself for a member.
    pub(crate) fn is_member(&self) -> bool {
        self.replica().is_some_and(Replica::is_member)
    }

    /// Whether its process knows the cluster's founding: it has a state.
    pub(crate) fn is_installed(&self) -> bool {
        self.replica().is_some_and(|replica| replica.founding().is_some())
    }

    /// Whether its store was made to fail.
    pub(crate) fn is_failing(&self) -> bool {
        self.running().is_some_and(|running| running.failing)
    }

    /// The word with which its process stopped by itself, where it did.
    pub(crate) fn halted(&self) -> Option<&str> {
        if let Process::Down(Down { halted: Some(why), .. }) = &self.process { Some(why) } else { None }
    }

    /// Its directory, where it is not the latest.
    pub(crate) fn old(&self) -> Option<&OldDirectory> {
        if let Directory::Old(old) = &self.directory { Some(old) } else { None }
    }

    pub(crate) fn old_mut(&mut self) -> Option<&mut OldDirectory> {
        if let Directory::Old(old) = &mut self.directory { Some(old) } else { None }
    }

    /// Whether its directory is not the latest.
    pub(crate) fn is_old(&self) -> bool {
        self.old().is_some()
    }

    pub(crate) fn now(&self, time: Micros) -> Now {
        Now { wall: Millis(self.clock.read(time)), elapsed: Millis(time / 1000) }
    }

    /// Starts the process on whatever its disk holds.
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
        // Whoever comes back joins, whatever it was once.
        let returns = matches!(schema::Phase::load(&store), Some(StoredPhase::Joining { .. }));
        let start = if self.host < plan.founders && !returns {
            Start::Found { founding: founding(plan), secret: SECRET }
        } else {
            Start::Join
        };
        let replica = Replica::open(config, store, Some(start), self.now(time))?;
        // Every other time the reader has lost its place.
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

    /// What its operator does with a data directory that is not the node's latest: it becomes its next incarnation's.
    pub(crate) fn rejoin(&mut self, time: Micros) -> Result<(), String> {
        let replica = self.offline(time)?;
        let (mut store, _) = replica.rejoin().map_err(|error| error.to_string())?;
        self.disk.rewrite(store.take_writes());
        self.directory = Directory::Latest;
        (self.came_back, self.restored) = (true, true);
        Ok(())
    }

    /// What an operator does with the directory that is left of a lost cluster: it becomes that of a new one, whose only
    /// member is the next incarnation.
    pub(crate) fn recover(&mut self, time: Micros) -> Result<(), String> {
        let replica = self.offline(time)?;
        let (mut store, _) =
            replica.recover(ClusterId::from_random([1; 16]), RECOVERED).map_err(|error| error.to_string())?;
        self.disk.rewrite(store.take_writes());
        (self.came_back, self.restored) = (true, true);
        Ok(())
    }

    /// A replica on the directory, for a command of the operator while no process runs.
    fn offline(&mut self, time: Micros) -> Result<Replica<MemoryStore>, String> {
        let store = self.disk.mount();
        let config = Config::new(contact_of(self.node, self.host, self.now(time).wall), 0);
        Replica::open(config, store, None, self.now(time)).map_err(|error| error.to_string())
    }

    /// The process is gone. Returns how many batches were lost with it.
    pub(crate) fn die(&mut self, kept: u64) -> usize {
        self.life += 1;
        self.process = Process::Down(Down::default());
        self.disk.crash(kept)
    }
}

/// The founding of a simulated cluster: its first members and the settings that its plan gives.
fn founding(plan: &Plan) -> Founding {
    let settings = Settings { evict_after: plan.evict_after, keep_events: plan.keep_events, ..Settings::default() };
    Founding { founders: (0..plan.founders).map(node_id).collect(), settings, ..Founding::default() }
}
