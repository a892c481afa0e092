//! A machine: a replica as its process, a disk, clocks that may be wrong, and what waits for its attention.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{Millis, NodeId};
use forename::crdt::{Chain, Seq};
use forename::replica::{Config, Contact, Cursor, Input, Now, OpenError, Replica, SnapshotId, Start, node_in};
use forename::store::Write;
use forename::store::memory::MemoryStore;
use forename::store::schema::{self, Cell, Rows};

use crate::checks::known::Word;
use crate::dice::Dice;
use crate::plan::{Host, Plan};
use crate::world::disk::Disk;
use crate::world::net::Micros;

/// Unix time at the start of every run: any date between the epoch and the year 2109 would do.
pub(crate) const EPOCH: u64 = 1_700_000_000_000;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) host: Host,
    pub(crate) node: NodeId,
    pub(crate) replica: Option<Replica<MemoryStore>>,
    pub(crate) disk: Disk,
    /// Counts processes; what was meant for an earlier one is void.
    pub(crate) life: u32,
    pub(crate) inbox: Vec<Input>,
    /// The process is at work until then, or stands still.
    pub(crate) busy_until: Micros,
    pub(crate) turn_planned: bool,
    pub(crate) wake_planned: Option<Micros>,
    pub(crate) wanted: BTreeSet<Host>,
    /// Whom an operator told it to reach, whatever members it knows.
    pub(crate) named: BTreeSet<Host>,
    pub(crate) clock: WallClock,
    /// What takes how long.
    pub(crate) dice: Dice,
    pub(crate) slow_disk: u64,
    /// Dies in the next step that says something, after so many outputs.
    pub(crate) dies_after: Option<(usize, u64)>,
    /// Its store was made to fail; it has to stop.
    pub(crate) failing: bool,
    /// There is no room on its disk.
    pub(crate) full: bool,
    /// Its data directory was replaced by an older one: it has to stop, and comes back as its next incarnation.
    pub(crate) put_back: bool,
    /// Where the log ended that such a directory had of its own node, and whether the node had promised more than it knows of.
    pub(crate) put_back_at: (Seq, Chain, bool),
    /// What the node had said by then.
    pub(crate) word: Word,
    /// When a member first showed it what its directory lacks.
    pub(crate) shown_at: Option<Micros>,
    /// No client is let near it, because what it answers could not be kept.
    pub(crate) shunned: bool,
    /// That happened, and was noticed.
    pub(crate) restored: bool,
    /// Its disk is not the one that it had when it ran last.
    pub(crate) swapped: bool,
    /// It is not started any more.
    pub(crate) gone: bool,
    /// Its clock, which was to stay wrong, was set right.
    pub(crate) mended: bool,
    /// It is lost for good, down or cut off.
    pub(crate) lost: bool,
    /// It stopped by itself, with this word.
    pub(crate) halted: Option<String>,
    /// It has left the cluster for good.
    pub(crate) left: bool,
    /// It was evicted once and came back.
    pub(crate) came_back: bool,
    /// How far its reader has read; none for one that begins.
    pub(crate) cursor: Option<Cursor>,
    /// What it streams to newcomers that are not in yet.
    pub(crate) snapshots: BTreeMap<NodeId, (SnapshotId, Vec<Write>)>,
    pub(crate) feed_asked: bool,
    /// How far its feed goes, as it has said itself.
    pub(crate) told: Cursor,
}

/// The id of a host's node.
pub(crate) fn node_id(host: Host) -> NodeId {
    NodeId((host as u64 + 1) << 16)
}

/// The host of a node.
pub(crate) fn host_of(node: NodeId) -> Host {
    usize::try_from(node.0 >> 16).unwrap_or(0).wrapping_sub(1)
}

fn contact_of(node: NodeId, host: Host, as_of: Millis) -> Contact {
    let (address, label) = (format!("host{host}:7400"), format!("host{host}"));
    Contact { node, public_key: Vec::new(), address, label, as_of }
}

/// The secret of the cluster.
pub(crate) const SECRET: [u8; 32] = [7; 32];
/// That of a cluster which was made of what was left of it.
const RECOVERED: [u8; 32] = [8; 32];

impl Machine {
    pub(crate) fn new(host: Host, seed: u64, clock: (i64, i64)) -> Self {
        Self {
            host,
            node: node_id(host),
            replica: None,
            disk: Disk::default(),
            life: 0,
            inbox: Vec::new(),
            busy_until: 0,
            turn_planned: false,
            wake_planned: None,
            wanted: BTreeSet::new(),
            named: BTreeSet::new(),
            clock: WallClock::new(clock),
            dice: Dice::new(seed, "machine", host as u64),
            slow_disk: 1,
            dies_after: None,
            failing: false,
            full: false,
            put_back: false,
            put_back_at: (0, Chain::default(), false),
            word: Word::default(),
            shown_at: None,
            shunned: false,
            restored: false,
            swapped: false,
            gone: false,
            mended: false,
            lost: false,
            halted: None,
            left: false,
            came_back: false,
            cursor: None,
            snapshots: BTreeMap::new(),
            feed_asked: false,
            told: Cursor::default(),
        }
    }

    /// Whether clients reach it.
    pub(crate) fn serves(&self) -> bool {
        self.is_up() && !self.shunned
    }

    pub(crate) fn is_up(&self) -> bool {
        self.replica.is_some()
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
        (config.log.spread, config.log.evict_after) = (plan.spread, plan.evict_after);
        (config.log.keep_log, config.keep_events) = (plan.keep_log, plan.keep_events);
        config.log.snapshot_ttl = plan.snapshot_ttl;
        // Whoever comes back joins, whatever it was once.
        let returns = schema::Returning::is_set(&store);
        let start = if self.host < plan.founders && !returns {
            Start::Found { founders: (0..plan.founders).map(node_id).collect(), secret: SECRET }
        } else {
            Start::Join
        };
        let replica = Replica::open(config, store, Some(start), self.now(time))?;
        self.told = replica.last_event();
        self.replica = Some(replica);
        self.inbox = vec![Input::Wake];
        self.busy_until = time;
        self.turn_planned = false;
        self.wake_planned = None;
        // Every other time the reader has lost its place.
        self.cursor = self.cursor.filter(|_| !(self.life / 2).is_multiple_of(2));
        self.feed_asked = false;
        self.failing = false;
        self.shown_at = None;
        self.halted = None;
        Ok(())
    }

    /// What its operator does with a data directory that is not the node's latest: it becomes its next incarnation's.
    pub(crate) fn rejoin(&mut self, time: Micros) -> Result<(), String> {
        let store = self.disk.mount();
        let config = Config::new(contact_of(self.node, self.host, self.now(time).wall), 0);
        let replica = Replica::open(config, store, None, self.now(time)).map_err(|error| error.to_string())?;
        let (mut store, _) = replica.rejoin().map_err(|error| error.to_string())?;
        self.disk.rewrite(store.take_writes());
        (self.put_back, self.shunned, self.came_back, self.restored) = (false, false, true, true);
        Ok(())
    }

    /// What an operator does with the directory that is left of a lost cluster: it becomes that of a new one, whose only
    /// member is the next incarnation.
    pub(crate) fn recover(&mut self, time: Micros) -> Result<(), String> {
        let store = self.disk.mount();
        let config = Config::new(contact_of(self.node, self.host, self.now(time).wall), 0);
        let replica = Replica::open(config, store, None, self.now(time)).map_err(|error| error.to_string())?;
        let (mut store, _) = replica.recover(RECOVERED).map_err(|error| error.to_string())?;
        self.disk.rewrite(store.take_writes());
        (self.came_back, self.restored) = (true, true);
        Ok(())
    }

    /// The process is gone. Returns how many batches were lost with it.
    pub(crate) fn die(&mut self, kept: u64) -> usize {
        self.life += 1;
        self.replica = None;
        self.inbox.clear();
        self.dies_after = None;
        self.snapshots.clear();
        self.disk.crash(kept)
    }
}

/// A clock that may be wrong.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    /// By how many milliseconds it was off at `since`.
    offset: i64,
    /// Parts per million by which it goes fast.
    drift: i64,
    since: Micros,
    /// It stands at this time.
    frozen: Option<u64>,
}

impl WallClock {
    fn new((offset, drift): (i64, i64)) -> Self {
        Self { offset, drift, since: 0, frozen: None }
    }

    /// Unix time in milliseconds, as this clock has it.
    fn read(&self, time: Micros) -> u64 {
        let drift = i64::try_from((time - self.since) / 1000).unwrap_or(0) * self.drift / 1_000_000;
        self.frozen.unwrap_or_else(|| (EPOCH + time / 1000).saturating_add_signed(self.offset + drift))
    }

    /// What it shows from now on is as far off as it is now.
    fn rebase(&mut self, time: Micros) {
        let (shows, right) = (self.read(time), EPOCH + time / 1000);
        self.offset = i64::try_from(i128::from(shows) - i128::from(right)).unwrap_or(0);
        self.since = time;
    }

    pub(crate) fn step(&mut self, by: i64) {
        self.offset += by;
        self.frozen = self.frozen.map(|at| at.saturating_add_signed(by));
    }

    pub(crate) fn drift(&mut self, time: Micros, drift: i64) {
        self.rebase(time);
        self.drift = drift;
    }

    pub(crate) fn freeze(&mut self, time: Micros) {
        self.frozen = Some(self.read(time));
    }

    pub(crate) fn thaw(&mut self, time: Micros) {
        if self.frozen.is_some() {
            self.rebase(time);
            self.frozen = None;
        }
    }

    /// It is off by so many milliseconds from now on, and goes at the right speed.
    pub(crate) fn set_off(&mut self, time: Micros, by: i64) {
        self.drift(time, 0);
        (self.frozen, self.offset) = (None, by);
    }

    /// It is right again, or nearly, where the right time is off from the virtual one by so many milliseconds.
    pub(crate) fn set_right(&mut self, time: Micros, era: i64) {
        self.drift(time, 0);
        self.frozen = None;
        self.offset = self.offset.clamp(era - 500, era + 500);
    }
}
