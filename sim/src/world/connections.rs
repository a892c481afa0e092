//! How machines are connected: dialling, messages, connections that die.

use std::collections::BTreeSet;

use forename::codec;
use forename::replica::{Founding, Input, Message};

use crate::checks::issued::is_promise;
use crate::dice::Dice;
use crate::plan::{Host, Kind};
use crate::trace::Note;
use crate::world::net::{Epoch, Micros, Way, pair};
use crate::world::{Event, Packet, World};

/// How often a lost connection is dialled again, microseconds. A guess at what the driver will do.
const REDIAL: Micros = 200_000;

/// What was sent: messages and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Of the bytes, those of messages that carry ops.
    pub(crate) op_bytes: u64,
}

impl Traffic {
    fn count(&mut self, packet: &Packet) {
        let bytes = size(packet);
        self.messages += 1;
        self.bytes += bytes;
        if kind(packet) == Kind::Ops {
            self.op_bytes += bytes;
        }
    }
}

impl World {
    pub(crate) fn send(&mut self, from: Host, to: Host, way: Way, packet: Packet) {
        let bytes = if self.net.is_narrow(from, to) { size(&packet) } else { 0 };
        if let Some(traffic) = &mut self.traffic {
            traffic.count(&packet);
        }
        let parcel = (way, kind(&packet), bytes);
        let (epoch, arrivals) = self.net.send((from, to), parcel, self.now, &self.plan.links);
        self.trace.message(self.now, from, to, &packet, &arrivals);
        if arrivals.is_empty() && way == Way::Snapshot && self.net.reaches(epoch, to) {
            // A stream loses nothing from its middle: it ends with its connection.
            self.mark("a snapshot is cut off");
            self.close(epoch, 1000);
        }
        if let Some((last, earlier)) = arrivals.split_last() {
            let node = self.machines[from].node;
            if matches!(&packet, Packet::Message(message) if is_promise(message, node)) {
                self.watch.says(node, self.now);
            }
            self.known.left(self.machines[from].node, &packet, &self.machines[from].disk);
            for at in earlier {
                self.at(*at, Event::Arrive { epoch, from, to, packet: packet.clone() });
            }
            self.at(*last, Event::Arrive { epoch, from, to, packet });
        }
    }

    pub(crate) fn arrive(&mut self, epoch: Epoch, from: Host, to: Host, packet: Packet) {
        if !self.net.reaches(epoch, to) {
            self.mark("a sent message dies with its connection");
            self.trace.note(self.now, Note::Died(from, to));
            return;
        }
        // Who said it, which the sender's host may be no more.
        let (a, b) = self.met.get(&epoch).copied().unwrap_or_default();
        let from = if from < to { a } else { b };
        let input = match packet {
            Packet::Message(message) => Input::Message { from, message },
            Packet::Rows(snapshot, rows) => Input::SnapshotRows { from, snapshot, rows },
            Packet::SnapshotEnd(snapshot) => Input::SnapshotEnd { from, snapshot },
        };
        self.input(to, input);
    }

    /// The founders that a founder holds connections to of its own accord.
    pub(crate) fn founders_of(&self, host: Host) -> BTreeSet<Host> {
        let founders = self.plan.founders;
        let mut dice = Dice::new(self.plan.seed, "dials", host as u64);
        match self.plan.dials.filter(|dials| *dials + 1 < founders) {
            None => (0..founders).filter(|other| *other != host).collect(),
            Some(dials) => {
                let mut chosen = BTreeSet::new();
                while chosen.len() < dials {
                    let other = usize::try_from(dice.below(founders as u64)).unwrap_or(0);
                    if other != host {
                        chosen.insert(other);
                    }
                }
                chosen
            }
        }
    }

    pub(crate) fn dial_wanted(&mut self, host: Host) {
        let free = |peer: &Host| *peer != host && self.net.between(host, *peer).is_none();
        let peers: Vec<_> = self.machines[host].wanted.iter().copied().filter(free).collect();
        for (a, b) in peers.into_iter().map(|peer| pair(host, peer)) {
            if self.dialling.insert((a, b)) {
                let at = self.now + 1000 + self.machines[host].dice.below(20_000);
                self.at(at, Event::Dial(a, b));
            }
        }
    }

    pub(crate) fn dial(&mut self, a: Host, b: Host) {
        self.dialling.remove(&(a, b));
        let wants = |x: Host, y: Host| self.machines[x].is_up() && self.machines[x].wanted.contains(&y);
        if !wants(a, b) && !wants(b, a) {
            return;
        }
        // Who knows no cluster can check nobody's token.
        let knows = |x: Host| self.machines[x].replica.as_ref().is_some_and(|replica| replica.founding().is_some());
        let up = self.machines[a].is_up() && self.machines[b].is_up() && (knows(a) || knows(b));
        let up = up && self.may_meet(a, b);
        let free = self.net.between(a, b).is_none() && !self.net.is_cut(a, b) && !self.net.is_cut(b, a);
        if up && free {
            let epoch = self.net.connect(a, b, self.now);
            self.met.insert(epoch, (self.machines[a].node, self.machines[b].node));
            self.trace.connected(self.now, a, b, epoch);
            self.input(a, Input::Connected(self.machines[b].node));
            self.input(b, Input::Connected(self.machines[a].node));
        } else if self.dialling.insert((a, b)) {
            let at = self.now + REDIAL + self.machines[a].dice.below(REDIAL);
            self.at(at, Event::Dial(a, b));
        }
    }

    /// Where a new cluster was made of what was left of another, its tokens and keys are other ones: whoever is not in it
    /// reaches only the machine that it was made at, and those of the lost cluster do not meet any more.
    fn may_meet(&self, a: Host, b: Host) -> bool {
        let cluster = |x: Host| self.machines[x].replica.as_ref()?.founding().map(Founding::cluster_id);
        self.recovered.is_none_or(|new| a == new || b == new || [a, b].iter().all(|x| cluster(*x) == cluster(new)))
    }

    /// A connection dies; its ends learn of it within so many microseconds.
    pub(crate) fn close(&mut self, epoch: Epoch, within: Micros) {
        let ends = self.net.close(epoch);
        let [a, b] = ends[..] else { return };
        for (host, peer) in [(a, b), (b, a)] {
            let at = self.now + 1 + self.machines[host].dice.below(within + 1);
            self.at(at, Event::HangUp(epoch, host, peer));
        }
    }

    pub(crate) fn hang_up(&mut self, epoch: Epoch, host: Host, peer: Host) {
        if self.net.hang_up(epoch, host) {
            // The peer may be another incarnation by now.
            let (a, b) = self.met.get(&epoch).copied().unwrap_or_default();
            self.input(host, Input::Disconnected(if host < peer { b } else { a }));
            self.dial_wanted(host);
            self.dial_wanted(peer);
        }
    }
}

fn kind(packet: &Packet) -> Kind {
    match packet {
        Packet::Rows(..) | Packet::SnapshotEnd(_) => Kind::Snapshot,
        Packet::Message(Message::Join { .. } | Message::Resume { .. }) => Kind::Join,
        Packet::Message(Message::Installed { .. }) => Kind::Installed,
        Packet::Message(
            Message::Contacts(_) | Message::Secrets(_) | Message::Member { .. } | Message::Waits { .. },
        ) => Kind::Contacts,
        Packet::Message(Message::Ops { .. }) => Kind::Ops,
        Packet::Message(Message::Vector(_)) => Kind::Vector,
        Packet::Message(Message::Nominate(_)) => Kind::Nominate,
        Packet::Message(Message::Evicted { .. } | Message::Used) => Kind::Evicted,
        Packet::Message(Message::Gone(_) | Message::Forked { .. }) => Kind::Vector,
        Packet::Message(Message::Skewed { .. }) => Kind::Skewed,
    }
}

/// What a packet weighs on the wire, in bytes, headers left out.
fn size(packet: &Packet) -> u64 {
    let bytes = match packet {
        Packet::Message(message) => codec::encoded_len(message),
        Packet::Rows(_, rows) => rows.iter().map(|row| row.key.len() + row.value.as_ref().map_or(0, Vec::len)).sum(),
        Packet::SnapshotEnd(_) => 1,
    };
    bytes as u64
}
