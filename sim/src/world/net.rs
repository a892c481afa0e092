//! A simulated network: connections between pairs of machines, what is cut, slow, narrow or lossy, and when a message
//! arrives.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::plan::{Host, Kind, Links, Pick};

/// Microseconds of virtual time.
pub(crate) type Micros = u64;

/// A connection's number; never used twice.
pub(crate) type Epoch = u64;

/// What waits for a narrow link longer than this is lost, as where a queue is full.
const QUEUE: Micros = 3_000_000;

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
    /// When it was made.
    pub(crate) since: Micros,
    /// Ends that know it to be gone.
    pub(crate) hung_up: Vec<Host>,
    closing: bool,
    /// The last arrivals, by the sender's place among the ends and by the way.
    last: [[Micros; 2]; 2],
}

/// One direction between two machines.
#[derive(Clone, Debug)]
struct Link {
    cuts: u32,
    slow: u64,
    lossy: u64,
    rate: Option<u64>,
    /// When all that was sent before is on the wire.
    free_at: Micros,
    /// Faults of single kinds of message, by the number of the fault.
    picks: Vec<(usize, Pick)>,
    dice: Dice,
}

impl Link {
    fn new(seed: u64, (from, to): (Host, Host), rate: Option<u64>) -> Self {
        let dice = Dice::new(seed, "link", (from as u64) << 32 | to as u64);
        Self { cuts: 0, slow: 1, lossy: 0, rate, free_at: 0, picks: Vec::new(), dice }
    }
}

/// When copies of a message arrive: none where it is lost, two where it is doubled.
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

/// All links.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    hosts: usize,
    next: Epoch,
    connections: BTreeMap<Epoch, Connection>,
    /// By sender and receiver.
    links: Vec<Link>,
    /// By pair, the lesser first.
    by_pair: BTreeMap<(Host, Host), Epoch>,
    cut_since: BTreeMap<(Host, Host), Micros>,
    healed: bool,
    seed: u64,
    /// What all links carry that no fault has made narrower.
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

    /// One more machine, whose links have no faults.
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

    /// Connects two machines. They have no connection now.
    pub(crate) fn connect(&mut self, a: Host, b: Host, now: Micros) -> Epoch {
        self.next += 1;
        let (ends, hung_up) = (pair(a, b), Vec::new());
        let connection = Connection { ends, since: now, hung_up, closing: false, last: [[0; 2]; 2] };
        self.connections.insert(self.next, connection);
        self.by_pair.insert(pair(a, b), self.next);
        self.next
    }

    /// The connection of a pair, also one that is going down.
    pub(crate) fn between(&self, a: Host, b: Host) -> Option<Epoch> {
        self.by_pair.get(&pair(a, b)).copied()
    }

    /// Since when a connection of a pair stands on which no fault of the plan is at work now; none where there is none.
    pub(crate) fn sound_since(&self, a: Host, b: Host) -> Option<Micros> {
        let connection = self.connections.get(&self.between(a, b)?)?;
        let stands = connection.hung_up.is_empty() && !connection.closing;
        let sound = |from: Host, to: Host| {
            let link = &self.links[from * self.hosts + to];
            link.cuts == 0 && link.slow == 1 && link.lossy == 0 && link.rate.is_none() && link.picks.is_empty()
        };
        (stands && sound(a, b) && sound(b, a)).then_some(connection.since)
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

    /// Since when a pair has been cut, either way.
    pub(crate) fn cut_since(&self, a: Host, b: Host) -> Option<Micros> {
        self.cut_since.get(&pair(a, b)).copied()
    }

    /// Makes a link slow by a factor; 1 makes it well again.
    pub(crate) fn slow_down(&mut self, a: Host, b: Host, factor: u64) {
        self.both(a, b, |link| link.slow = factor);
    }

    /// Makes a link lose so many of a hundred messages.
    pub(crate) fn lose(&mut self, a: Host, b: Host, percent: u64) {
        self.both(a, b, |link| link.lossy = percent);
    }

    /// Makes a link carry so many bytes a second each way.
    pub(crate) fn narrow(&mut self, a: Host, b: Host, rate: Option<u64>) {
        self.both(a, b, |link| (link.rate, link.free_at) = (rate.map(|rate| rate.max(1)), 0));
    }

    /// Whether the size of a message matters to when it arrives.
    pub(crate) fn is_narrow(&self, from: Host, to: Host) -> bool {
        self.links[from * self.hosts + to].rate.is_some()
    }

    pub(crate) fn pick(&mut self, fault: usize, pick: &Pick) {
        self.link(pick.from, pick.to).picks.push((fault, pick.clone()));
    }

    pub(crate) fn pick_no_more(&mut self, fault: usize, pick: &Pick) {
        self.link(pick.from, pick.to).picks.retain(|(number, _)| *number != fault);
    }

    /// Connections with something under way that takes long: a healed link would still be held up by it.
    pub(crate) fn clogged(&self, now: Micros) -> Vec<Epoch> {
        let late = |connection: &Connection| connection.last.as_flattened().iter().any(|at| *at > now + QUEUE);
        self.connections.iter().filter(|(_, connection)| late(connection)).map(|(epoch, _)| *epoch).collect()
    }

    /// Everything works from now on.
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

    /// When copies of a message of so many bytes that is sent now arrive, and on which connection: none where it is
    /// lost.
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
        // Every message takes the same number of throws, so that a change of one parameter shifts nothing.
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
