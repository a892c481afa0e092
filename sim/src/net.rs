//! A simulated network: connections between pairs of machines, what is cut, slow or lossy, and when a message arrives.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::plan::{Host, Links};

/// Microseconds of virtual time.
pub(crate) type Micros = u64;

/// A connection's number; never used twice.
pub(crate) type Epoch = u64;

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    /// In order with all others of this way.
    Ordered,
    /// In order with the other pieces of a snapshot.
    Snapshot,
    /// By itself.
    Bulk,
}

/// A connection, until both ends know that it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) ends: (Host, Host),
    /// Ends that know it to be gone.
    pub(crate) hung_up: Vec<Host>,
    closing: bool,
    last: BTreeMap<(Host, Way), Micros>,
}

/// All links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    seed: u64,
    next: Epoch,
    connections: BTreeMap<Epoch, Connection>,
    by_pair: BTreeMap<(Host, Host), Epoch>,
    cuts: BTreeMap<(Host, Host), u32>,
    cut_since: BTreeMap<(Host, Host), Micros>,
    slow: BTreeMap<(Host, Host), u64>,
    lossy: BTreeMap<(Host, Host), u64>,
    dice: BTreeMap<(Host, Host), Dice>,
    healed: bool,
}

pub(crate) fn pair(a: Host, b: Host) -> (Host, Host) {
    (a.min(b), a.max(b))
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Connects two machines. They have no connection now.
    pub(crate) fn connect(&mut self, a: Host, b: Host) -> Epoch {
        self.next += 1;
        let connection = Connection { ends: pair(a, b), hung_up: Vec::new(), closing: false, last: BTreeMap::new() };
        self.connections.insert(self.next, connection);
        self.by_pair.insert(pair(a, b), self.next);
        self.next
    }

    /// The connection of a pair, also one that is going down.
    pub(crate) fn between(&self, a: Host, b: Host) -> Option<Epoch> {
        self.by_pair.get(&pair(a, b)).copied()
    }

    /// The connections that a machine has.
    pub(crate) fn of(&self, host: Host) -> Vec<(Epoch, Host)> {
        let other = |ends: (Host, Host)| if ends.0 == host { ends.1 } else { ends.0 };
        let of = self.connections.iter().filter(|(_, c)| c.ends.0 == host || c.ends.1 == host);
        of.map(|(epoch, c)| (*epoch, other(c.ends))).collect()
    }

    /// Nothing more is sent on it. Returns the ends that have yet to learn of it; none where it was closing before.
    pub(crate) fn close(&mut self, epoch: Epoch) -> Vec<Host> {
        let Some(connection) = self.connections.get_mut(&epoch) else { return Vec::new() };
        if std::mem::replace(&mut connection.closing, true) {
            return Vec::new();
        }
        vec![connection.ends.0, connection.ends.1]
    }

    /// One end learns that it is gone. True where it did not know.
    pub(crate) fn hang_up(&mut self, epoch: Epoch, host: Host) -> bool {
        let Some(connection) = self.connections.get_mut(&epoch) else { return false };
        if connection.hung_up.contains(&host) {
            return false;
        }
        connection.hung_up.push(host);
        if connection.hung_up.len() == 2 {
            self.by_pair.remove(&connection.ends);
            self.connections.remove(&epoch);
        }
        true
    }

    /// Whether a message on this connection still reaches that end.
    pub(crate) fn reaches(&self, epoch: Epoch, host: Host) -> bool {
        self.connections.get(&epoch).is_some_and(|connection| !connection.hung_up.contains(&host))
    }

    pub(crate) fn cut(&mut self, from: Host, to: Host, now: Micros) {
        *self.cuts.entry((from, to)).or_default() += 1;
        self.cut_since.entry(pair(from, to)).or_insert(now);
    }

    pub(crate) fn mend(&mut self, from: Host, to: Host) {
        if let Some(count) = self.cuts.get_mut(&(from, to)) {
            *count -= 1;
            if *count == 0 {
                self.cuts.remove(&(from, to));
            }
        }
        if !self.is_cut(from, to) && !self.is_cut(to, from) {
            self.cut_since.remove(&pair(from, to));
        }
    }

    pub(crate) fn is_cut(&self, from: Host, to: Host) -> bool {
        self.cuts.contains_key(&(from, to))
    }

    /// Since when a pair has been cut, either way.
    pub(crate) fn cut_since(&self, a: Host, b: Host) -> Option<Micros> {
        self.cut_since.get(&pair(a, b)).copied()
    }

    /// Makes a link slow by a factor; 1 makes it well again.
    pub(crate) fn slow_down(&mut self, a: Host, b: Host, factor: u64) {
        self.slow.insert(pair(a, b), factor);
    }

    /// Makes a link lose so many of a hundred messages.
    pub(crate) fn lose(&mut self, a: Host, b: Host, percent: u64) {
        self.lossy.insert(pair(a, b), percent);
    }

    /// Everything works from now on.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.cut_since.clear();
        self.slow.clear();
        self.lossy.clear();
        self.healed = true;
    }

    /// When copies of a message that is sent now arrive, and on which connection: none where it is lost.
    pub(crate) fn send(&mut self, from: Host, to: Host, way: Way, now: Micros, links: &Links) -> (Epoch, Vec<Micros>) {
        let Some(epoch) = self.between(from, to) else { return (0, Vec::new()) };
        let dice = self
            .dice
            .entry((from, to))
            .or_insert_with(|| Dice::new(self.seed, "link", (from as u64) << 32 | to as u64));
        // Every message takes the same number of throws, so that a change of one parameter shifts nothing.
        let (jitter, slow, loss, twice) = (dice.draw(), dice.below(100), dice.below(100), dice.below(100));
        let lossy = self.lossy.get(&pair(from, to)).copied().unwrap_or(0);
        let lost = !self.healed && loss < links.loss.max(lossy) && way != Way::Snapshot;
        let Some(connection) = self.connections.get_mut(&epoch) else { return (0, Vec::new()) };
        if connection.closing || lost || self.cuts.contains_key(&(from, to)) {
            return (epoch, Vec::new());
        }
        let factor = self.slow.get(&pair(from, to)).copied().unwrap_or(1) * if slow < links.slow { 10 } else { 1 };
        let mut at = now + (links.least + jitter % (links.jitter + 1)).max(1) * factor;
        if way != Way::Bulk {
            let last = connection.last.entry((from, way)).or_default();
            at = at.max(*last + 1);
            *last = at;
        }
        let again = !self.healed && twice < links.twice && way != Way::Snapshot;
        (epoch, if again { vec![at, at + jitter % 50_000] } else { vec![at] })
    }
}
