//! A machine: a replica as its process, a disk, clocks that may be wrong, and what waits for its attention.

use std::collections::BTreeSet;

use forename::clock::{Millis, NodeId};
use forename::replica::{Config, Contact, Founding, Input, Now, Replica, Start, node_in};
use forename::store::memory::MemoryStore;

use crate::disk::Disk;
use crate::net::Micros;
use crate::plan::Host;

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
    /// The clock's error, milliseconds, and its drift, parts per million.
    pub(crate) clock: (i64, i64),
    pub(crate) slow_disk: u64,
    /// Dies in the next step that says something, after so many outputs.
    pub(crate) dies_after: Option<(usize, u64)>,
    /// Its store was made to fail; it has to stop.
    pub(crate) failing: bool,
    /// It stopped by itself, with this word.
    pub(crate) halted: Option<String>,
    /// It has left the cluster for good.
    pub(crate) left: bool,
    /// It was evicted once and came back.
    pub(crate) came_back: bool,
    /// How far its feed has been read in this life.
    pub(crate) cursor: u64,
    pub(crate) feed_asked: bool,
}

/// The id of a host's node.
pub(crate) fn node_id(host: Host) -> NodeId {
    NodeId((host as u64 + 1) << 16)
}

/// The host of a node.
pub(crate) fn host_of(node: NodeId) -> Host {
    usize::try_from(node.0 >> 16).unwrap_or(0).wrapping_sub(1)
}

impl Machine {
    pub(crate) fn new(host: Host, clock: (i64, i64)) -> Self {
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
            clock,
            slow_disk: 1,
            dies_after: None,
            failing: false,
            halted: None,
            left: false,
            came_back: false,
            cursor: 0,
            feed_asked: false,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.replica.is_some()
    }

    pub(crate) fn now(&self, time: Micros) -> Now {
        let millis = time / 1000;
        let drift = i64::try_from(millis).unwrap_or(0) * self.clock.1 / 1_000_000;
        let wall = (EPOCH + millis).saturating_add_signed(self.clock.0 + drift);
        Now { wall: Millis(wall), elapsed: Millis(millis) }
    }

    /// Starts the process on whatever its disk holds.
    pub(crate) fn start(
        &mut self,
        time: Micros,
        seed: u64,
        founders: usize,
        patience: (u64, u64),
        evict_after: Option<u64>,
    ) -> Result<(), String> {
        self.life += 1;
        let store = self.disk.mount();
        self.node = node_in(&store, node_id(self.host));
        let contact = Contact {
            node: self.node,
            public_key: Vec::new(),
            address: format!("host{}:7400", self.host),
            label: format!("host{}", self.host),
            as_of: self.now(time).wall,
        };
        let mut config = Config::new(contact, crate::dice::mix(seed ^ self.node.0 ^ u64::from(self.life)));
        (config.heartbeat, config.busy_heartbeat) = patience;
        config.evict_after = evict_after;
        let start = if self.host < founders {
            Start::Found(Founding { founders: (0..founders).map(node_id).collect(), secret: [7; 32] })
        } else {
            Start::Join
        };
        let replica = Replica::open(config, store, Some(start), self.now(time)).map_err(|error| error.to_string())?;
        self.replica = Some(replica);
        self.inbox = vec![Input::Wake];
        self.busy_until = time;
        self.turn_planned = false;
        self.wake_planned = None;
        self.cursor = 0;
        self.feed_asked = false;
        self.failing = false;
        self.halted = None;
        Ok(())
    }

    /// The process is gone. Returns how many batches were lost with it.
    pub(crate) fn die(&mut self, kept: u64) -> usize {
        self.life += 1;
        self.replica = None;
        self.inbox.clear();
        self.dies_after = None;
        self.disk.crash(kept)
    }
}
