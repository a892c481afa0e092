//! A simulated network: connections between pairs of machines, faults of links, and the time at which each message
//! arrives.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::plan::{Host, Kind, Links, Pick};

/// Microseconds of virtual time.
pub(crate) type Micros = u64;

/// A connection's number, which is never reused.
pub(crate) type Epoch = u64;

/// A message that would wait longer than this for a narrow link is lost, as from a full queue.
const QUEUE: Micros = 3_000_000;

/// How messages are ordered on a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    /// In order with the other ordered messages.
    Ordered,
    /// In order with the other pieces of a snapshot.
    Snapshot,
    /// Independently of other messages.
    Bulk,
}

/// A connection, until both ends know that it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) ends: (Host, Host),
    /// When it was made.
    pub(crate) since: Micros,
    /// The ends that know that it is gone.
    pub(crate) hung_up: Vec<Host>,
    closing: bool,
    /// The last arrivals, by the sender's place in `ends` and by `Way`; bulk messages have none.
    last: [[Micros; 2]; 2],
}

/// One direction of a link between two machines.
#[derive(Clone, Debug)]
struct Link {
    cuts: u32,
    slow: u64,
    lossy: u64,
    rate: Option<u64>,
    /// When everything that was sent before is on the wire.
    free_at: Micros,
    /// Faults of single kinds of messages, by the number of the fault.
    picks: Vec<(usize, Pick)>,
    dice: Dice,
}

impl Link {
    fn new(seed: u64, (from, to): (Host, Host), rate: Option<u64>) -> Self {
        let dice = Dice::new(seed, "link", (from as u64) << 32 | to as u64);
        Self { cuts: 0, slow: 1, lossy: 0, rate, free_at: 0, picks: Vec::new(), dice }
    }
}

/// The times at which copies of a message arrive: none where it is lost, two where it is duplicated.
#[derive(Clone, Copy, Default)]
pub(crate) struct Arrivals {
    at: [Micros; 2],
    count: usize,
}

impl std::ops::Deref for Arrivals {
    type Target = [Micros];

    fn deref(&self) -> &[Micros] {
        &self.at[..self.count]
    }
}

/// All links and connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    hosts: usize,
    next: Epoch,
    connections: BTreeMap<Epoch, Connection>,
    /// By sender and receiver: `from * hosts + to`.
    links: Vec<Link>,
    /// By pair, the lesser first.
    by_pair: BTreeMap<(Host, Host), Epoch>,
    cut_since: BTreeMap<(Host, Host), Micros>,
    healed: bool,
    seed: u64,
    /// The rate of all links that no fault has made narrower, in bytes a second; none for no limit.
    rate: Option<u64>,
}

pub(crate) fn pair(a: Host, b: Host) -> (Host, Host) {
    (a.min(b), a.max(b))
}

impl Network {
    pub(crate) fn new(seed: u64, hosts: usize, rate: Option<u64>) -> Self {
        let links = (0..hosts).flat_map(|from| (0..hosts).map(move |to| Link::new(seed, (from, to), rate))).collect();
        Self { hosts, links, seed, rate, ..Self::default() }
    }

    /// Adds a machine, whose links have no faults.
    pub(crate) fn add(&mut self) {
        let (old, hosts, seed, rate) = (self.hosts, self.hosts + 1, self.seed, self.rate);
        let mut links = std::mem::take(&mut self.links).into_iter();
        let all = (0..hosts).flat_map(|from| (0..hosts).map(move |to| (from, to)));
        let link = |(from, to): (Host, Host)| {
            let known = if from < old && to < old { links.next() } else { None };
            known.unwrap_or_else(|| Link::new(seed, (from, to), rate))
        };
        self.links = all.map(link).collect();
        self.hosts = hosts;
    }

    fn link(&mut self, from: Host, to: Host) -> &mut Link {
        &mut self.links[from * self.hosts + to]
    }

    fn both(&mut self, a: Host, b: Host, change: impl Fn(&mut Link)) {
        change(self.link(a, b));
        change(self.link(b, a));
    }

    /// Connects two machines, which must have no connection.
    pub(crate) fn connect(&mut self, a: Host, b: Host, now: Micros) -> Epoch {
        self.next += 1;
        let (ends, hung_up) = (pair(a, b), Vec::new());
        let connection = Connection { ends, since: now, hung_up, closing: false, last: [[0; 2]; 2] };
        self.connections.insert(self.next, connection);
        self.by_pair.insert(pair(a, b), self.next);
        self.next
    }

    /// Returns the connection of a pair, including one that is being closed.
    pub(crate) fn between(&self, a: Host, b: Host) -> Option<Epoch> {
        self.by_pair.get(&pair(a, b)).copied()
    }

    /// Returns since when a pair is connected, where no fault of the plan affects the link now; none where one does, or
    /// there is no connection.
    pub(crate) fn sound_since(&self, a: Host, b: Host) -> Option<Micros> {
        let connection = self.connections.get(&self.between(a, b)?)?;
        let stands = connection.hung_up.is_empty() && !connection.closing;
        let sound = |from: Host, to: Host| {
            let link = &self.links[from * self.hosts + to];
            link.cuts == 0 && link.slow == 1 && link.lossy == 0 && link.rate.is_none() && link.picks.is_empty()
        };
        (stands && sound(a, b) && sound(b, a)).then_some(connection.since)
    }

    /// Returns the connections of a machine.
    pub(crate) fn of(&self, host: Host) -> Vec<(Epoch, Host)> {
        let other = |ends: (Host, Host)| if ends.0 == host { ends.1 } else { ends.0 };
        let of = self.connections.iter().filter(|(_, c)| c.ends.0 == host || c.ends.1 == host);
        of.map(|(epoch, c)| (*epoch, other(c.ends))).collect()
    }

    /// Closes a connection for further messages. Returns the ends that have yet to learn of it; none where it was
    /// closing before.
    pub(crate) fn close(&mut self, epoch: Epoch) -> Vec<Host> {
        let Some(connection) = self.connections.get_mut(&epoch) else { return Vec::new() };
        if std::mem::replace(&mut connection.closing, true) {
            return Vec::new();
        }
        vec![connection.ends.0, connection.ends.1]
    }

    /// Notes that one end learns that the connection is gone. Returns true where it did not know.
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

    /// Returns true where a message on this connection still reaches that end.
    pub(crate) fn reaches(&self, epoch: Epoch, host: Host) -> bool {
        self.connections.get(&epoch).is_some_and(|connection| !connection.hung_up.contains(&host))
    }

    pub(crate) fn cut(&mut self, from: Host, to: Host, now: Micros) {
        self.link(from, to).cuts += 1;
        self.cut_since.entry(pair(from, to)).or_insert(now);
    }

    pub(crate) fn mend(&mut self, from: Host, to: Host) {
        let link = self.link(from, to);
        link.cuts = link.cuts.saturating_sub(1);
        if !self.is_cut(from, to) && !self.is_cut(to, from) {
            self.cut_since.remove(&pair(from, to));
        }
    }

    pub(crate) fn is_cut(&self, from: Host, to: Host) -> bool {
        self.links[from * self.hosts + to].cuts > 0
    }

    /// Returns since when a link of a pair has been cut, in either direction.
    pub(crate) fn cut_since(&self, a: Host, b: Host) -> Option<Micros> {
        self.cut_since.get(&pair(a, b)).copied()
    }

    /// Makes a link slow by a factor; 1 restores it.
    pub(crate) fn slow_down(&mut self, a: Host, b: Host, factor: u64) {
        self.both(a, b, |link| link.slow = factor);
    }

    /// Makes a link lose this percentage of its messages.
    pub(crate) fn lose(&mut self, a: Host, b: Host, percent: u64) {
        self.both(a, b, |link| link.lossy = percent);
    }

    /// Limits a link to this many bytes a second in each direction.
    pub(crate) fn narrow(&mut self, a: Host, b: Host, rate: Option<u64>) {
        self.both(a, b, |link| (link.rate, link.free_at) = (rate.map(|rate| rate.max(1)), 0));
    }

    /// Returns true where the size of a message affects its arrival.
    pub(crate) fn is_narrow(&self, from: Host, to: Host) -> bool {
        self.links[from * self.hosts + to].rate.is_some()
    }

    pub(crate) fn pick(&mut self, fault: usize, pick: &Pick) {
        self.link(pick.from, pick.to).picks.push((fault, pick.clone()));
    }

    pub(crate) fn pick_no_more(&mut self, fault: usize, pick: &Pick) {
        self.link(pick.from, pick.to).picks.retain(|(number, _)| *number != fault);
    }

    /// Returns connections on which something sent arrives much later, since it would delay messages even after the
    /// healing.
    pub(crate) fn clogged(&self, now: Micros) -> Vec<Epoch> {
        let late = |connection: &Connection| connection.last.as_flattened().iter().any(|at| *at > now + QUEUE);
        self.connections.iter().filter(|(_, connection)| late(connection)).map(|(epoch, _)| *epoch).collect()
    }

    /// Removes all faults.
    pub(crate) fn heal(&mut self) {
        for link in &mut self.links {
            (link.cuts, link.slow, link.lossy, link.rate) = (0, 1, 0, None);
            link.picks.clear();
        }
        self.cut_since.clear();
        self.healed = true;
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.healed
    }

    /// Returns the connection on which a message of this size is sent now, and the arrivals of its copies: none where
    /// it is lost.
    pub(crate) fn send(
        &mut self,
        (from, to): (Host, Host),
        (way, kind, bytes): (Way, Kind, u64),
        now: Micros,
        links: &Links,
    ) -> (Epoch, Arrivals) {
        let Some(epoch) = self.between(from, to) else { return (0, Arrivals::default()) };
        let healed = self.healed;
        let link = &mut self.links[from * self.hosts + to];
        // Every message draws the same number of random values, so that a change of one parameter shifts nothing.
        let (jitter, slow, loss, twice) =
            (link.dice.draw(), link.dice.below(100), link.dice.below(100), link.dice.below(100));
        let picked = || link.picks.iter().map(|(_, pick)| pick).filter(|pick| pick.kind == kind);
        let picky = picked().map(|pick| pick.lost).max().unwrap_or(0);
        let late = picked().map(|pick| pick.late).max().unwrap_or(0) * 1000;
        let lost = loss < picky || (!healed && loss < links.loss.max(link.lossy) && way != Way::Snapshot);
        let Some(connection) = self.connections.get_mut(&epoch) else { return (0, Arrivals::default()) };
        if connection.closing || lost || link.cuts > 0 {
            return (epoch, Arrivals::default());
        }
        let sent = link.rate.map_or(now, |rate| link.free_at.max(now) + bytes * 1_000_000 / rate);
        if sent > now + QUEUE && way != Way::Snapshot {
            return (epoch, Arrivals::default());
        }
        link.free_at = sent;
        let factor = link.slow * if slow < links.slow { 10 } else { 1 };
        let mut at = sent + late + (links.least + jitter % (links.jitter + 1)).max(1) * factor;
        if way != Way::Bulk {
            let last = &mut connection.last[usize::from(connection.ends.1 == from)][usize::from(way == Way::Snapshot)];
            at = at.max(*last + 1);
            *last = at;
        }
        let again = !healed && twice < links.twice && way != Way::Snapshot;
        (epoch, Arrivals { at: [at, at + jitter % 50_000], count: if again { 2 } else { 1 } })
    }
}
