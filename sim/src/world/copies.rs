//! Data directories that are not a node's latest: put back from a copy, or running twice.
//!
//! Whether a copy must be noticed follows from the simulator's own books ([`Known`](crate::checks::known::Known)) at the moment when
//! it takes the place of the directory:
//!
//! * Every other member knows of something that the copy lacks: an op of the node, a hold it told, a promise above the
//!   copy's ceiling. Then the node must stop, or come back under its next id, whoever it meets first.
//! * Nobody knows of anything that the copy lacks. Then nothing can come of it, and the node must simply go on.
//! * Some do and others do not. No comparison finds that for sure, so the simulator leaves it to stories.

use std::collections::BTreeSet;

use forename::clock::{Hlc, NodeId};
use forename::crdt::{Op, Seq};
use forename::replica::{Entry, Input, Message, Vector, node_in};
use forename::store::schema::{self, Rows, Span};

use crate::checks::ledger::{Checked, Feed, broken};
use crate::plan::{CopyRun, Ending, Host, Trouble};
use crate::world::World;
use crate::world::disk::Disk;
use crate::world::machine::{Machine, host_of};
use crate::world::net::Micros;

/// A node that was shown that its directory is not its latest stops within so long: an fsync on the slowest disk, and some.
const STOPS_WITHIN: Micros = 5_000_000;

/// A copy of a disk, and what its feed had told.
#[derive(Clone, Debug)]
pub struct Copy {
    disk: Disk,
    feed: Feed,
    /// Outcomes that its node had been the first to tell.
    told_first: usize,
    made: Micros,
}

impl Copy {
    /// Whether there is anybody in it to ask for being let in again.
    fn knows_others(&self, node: NodeId) -> bool {
        let mut others = false;
        schema::Contacts::each(self.disk.durable(), &Span::all(), |found| {
            others |= found.decode().is_ok_and(|contact| contact.node.key_part() != node.key_part());
        });
        others
    }

    /// Whether it holds a whole state of a node under this id.
    fn is_of(&self, node: NodeId) -> bool {
        node_in(self.disk.durable(), node) == node && self.disk.is_whole()
    }
}

/// A directory whose copy runs in its place.
#[derive(Debug)]
pub(crate) struct Original {
    node: NodeId,
    copy: Copy,
}

/// What becomes of a copy that takes the place of its directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Prospect {
    /// It must be noticed.
    Noticed,
    /// It goes on as if nothing had happened.
    GoesOn,
    /// Neither is sure.
    Unclear,
}

impl World {
    /// Puts an old copy of a data directory back while the process is down.
    pub(crate) fn put_back(&mut self, host: Host, index: usize, run: CopyRun) {
        let Some(copy) = self.copies.remove(&index) else { return };
        self.replace(host, copy, run, ["an old disk is put back", "an old disk goes on"]);
    }

    /// Replaces the disk of a machine that is down by a copy, where it is clear what becomes of it, and comes by a mark:
    /// the first where it must be noticed, the second where it goes on. False where nothing was done.
    fn replace(&mut self, host: Host, copy: Copy, run: CopyRun, marks: [&'static str; 2]) -> bool {
        let prospect = self.prospect(host, &copy);
        if prospect == Prospect::Unclear {
            return false;
        }
        // What it counts against limits is what the copy knows of.
        self.charges.remove(&host);
        if run.clock {
            let back = i64::try_from((self.now - copy.made) / 1000).unwrap_or(0);
            self.machines[host].clock.step(-back);
            self.mark("a machine's clock goes back with its disk");
        }
        if prospect == Prospect::Noticed {
            self.mark(marks[0]);
            let node = self.machines[host].node;
            let others = self.machines.iter().filter(|other| other.host != host);
            let elsewhere = others.map(|other| other.disk.log(node)).max().unwrap_or(0);
            self.ledger.replaced(node, copy.disk.head(node), elsewhere);
            self.run_with(host, copy, true);
            self.machines[host].shunned = !run.served;
        } else {
            self.mark(marks[1]);
            let node = self.machines[host].node;
            let promised = self.known.said(node).promised();
            self.ledger.nobody_heard(node, promised);
            self.run_with(host, copy, false);
        }
        true
    }

    /// What becomes of a copy that takes the place of a host's directory now.
    fn prospect(&self, host: Host, copy: &Copy) -> Prospect {
        let machine = &self.machines[host];
        let node = machine.node;
        let others = || self.machines.iter().filter(|other| other.host != host);
        // Its operator has made the directory that of its next incarnation, which has not been started.
        let is_next = node_in(machine.disk.durable(), node) != node;
        // Who leaves takes with it what it knows.
        let leaves = others().any(|other| self.orders.wanted_to_leave(other.node) && !other.left);
        let unsure = machine.gone || is_next || leaves || self.plan.ending != Ending::Healed;
        let unsure = unsure || others().any(|other| other.put_back);
        // What is not durable there may be lost there too.
        let may_forget = |other: &Machine| {
            let mut durable = other.disk.clone();
            durable.crash(0);
            self.ledger.applied(other.host).get(&node).is_some_and(|applied| *applied > durable.log(node))
        };
        if unsure || others().any(may_forget) {
            return Prospect::Unclear;
        }
        // An outcome that it was the first to tell may rest on what it alone held, which the copy lacks.
        let silent = self.ledger.told_first(host) == copy.told_first;
        let said = self.known.said(node);
        if copy.is_of(node) && !said.exceeds(&copy.disk, node, &BTreeSet::new(), Some(Seq::MAX)) {
            // With an op below what the other directory promised it lacks nothing, but others will not take that op.
            let goes_on = silent && !said.denies(&copy.disk, node);
            return if goes_on { Prospect::GoesOn } else { Prospect::Unclear };
        }
        let out: BTreeSet<_> = self.ledger.out().collect();
        let stays: Vec<_> = others().filter(|other| !other.gone && !other.left).collect();
        let all_know = stays.iter().all(|other| self.knows_more(other, node, copy));
        // What one confirmed that was the only member by then is lost with its directory.
        let members = || stays.iter().filter(|other| !out.contains(&other.node));
        let kept =
            |op: &Op| op.seq <= copy.disk.log(op.node) || members().any(|other| op.seq <= other.disk.log(op.node));
        let all_kept = self.ledger.confirmed_ops().all(kept);
        let noticed = all_know && all_kept && members().next().is_some() && copy.knows_others(node);
        if noticed { Prospect::Noticed } else { Prospect::Unclear }
    }

    /// Whether a machine would show a node that its directory is an old copy.
    fn knows_more(&self, other: &Machine, node: NodeId, copy: &Copy) -> bool {
        let out: BTreeSet<_> = self.ledger.out().collect();
        let is_member = other.replica.as_ref().is_none_or(|replica| replica.is_member());
        let has_ops = !copy.disk.passes(node, other.disk.head(node));
        let applied = self.ledger.applied(other.host).get(&node).copied().unwrap_or(0);
        let applied = Some(applied).filter(|_| !self.known.is_promising(node));
        let heard = self.known.heard(other.host, node).filter(|_| other.is_up());
        is_member && (has_ops || heard.is_some_and(|word| word.exceeds(&copy.disk, node, &out, applied)))
    }

    /// A node whose directory is not its latest takes messages in: takes note of when a member first showed it all that it
    /// knows, where that is more than the directory has.
    pub(crate) fn note_shown(&mut self, host: Host) {
        let machine = &self.machines[host];
        if !machine.put_back || machine.shown_at.is_some() {
            return;
        }
        // What it has just been given it does not lack any more.
        let given = self.ledger.applied(host).iter().any(|(origin, seq)| *seq > machine.disk.log(*origin));
        if given {
            return;
        }
        let copy = self.copy_disk(host);
        let shows = |input: &Input| match input {
            Input::Message { from, message: Message::Vector(vector) } => {
                let other = self.machines.get(host_of(*from)).filter(|other| other.node == *from && other.is_up());
                let knows = other.is_some_and(|other| self.knows_more(other, machine.node, &copy));
                // What it knows by now it need not have known when it said this.
                knows && vector.wants && says_more(vector, machine.node, &copy.disk)
            }
            _ => false,
        };
        if machine.inbox.iter().any(shows) {
            self.machines[host].shown_at = Some(self.now);
        }
    }

    /// A node whose directory is not its latest may be given what that lacks before anybody notices. If it has issued nothing
    /// meanwhile, and may have promised what it had promised, it is as its latest directory was.
    pub(crate) fn note_caught_up(&mut self, host: Host) {
        let machine = &self.machines[host];
        let node = machine.node;
        if !machine.put_back || !machine.is_up() || machine.shown_at.is_some() {
            return;
        }
        let mut durable = machine.disk.clone();
        durable.crash(0);
        let word = &machine.word;
        let lacks = word.exceeds(&durable, node, &BTreeSet::new(), Some(Seq::MAX)) || word.denies(&durable, node);
        let (seq, chain, promised_more) = machine.put_back_at;
        if lacks || promised_more || durable.head(node) != (seq, chain) {
            return;
        }
        self.mark("an old disk catches up");
        self.ledger.caught_up(host);
        let machine = &mut self.machines[host];
        (machine.put_back, machine.shunned, machine.restored) = (false, false, true);
    }

    /// A process is about to be gone. Where nobody else remembers what a directory that was put back lacks, nobody can tell what
    /// is to come of this run.
    pub(crate) fn witness_goes(&mut self, host: Host) {
        let old = |machine: &&Machine| machine.put_back && machine.host != host;
        for other in self.machines.iter().filter(old).map(|machine| machine.host).collect::<Vec<_>>() {
            let (node, copy) = (self.machines[other].node, self.copy_disk(other));
            let knows = |machine: &&Machine| machine.host != other && self.knows_more(machine, node, &copy);
            let witnesses: Vec<Host> = self.machines.iter().filter(knows).map(|machine| machine.host).collect();
            let on_disk = !copy.disk.passes(node, self.machines[host].disk.head(node));
            self.witness_gone |= witnesses == [host] && !on_disk;
        }
    }

    /// Whether nobody whom a node reaches knows more of it than its directory has: whoever did has forgotten it with its process,
    /// or what it knew was a promise, and the node has promised more by itself; or those whom the directory knows have left.
    pub(crate) fn is_past_notice(&self, host: Host) -> bool {
        let copy = self.copy_disk(host);
        let mut others = self.machines.iter().filter(|other| self.net.between(host, other.host).is_some());
        !others.any(|other| self.knows_more(other, self.machines[host].node, &copy))
    }

    /// A node speaks: not of its own log any more, where it was shown before that its directory is not its latest.
    pub(crate) fn check_shown(&self, host: Host, message: &Message) -> Checked {
        let machine = &self.machines[host];
        let shown = machine.shown_at.filter(|at| machine.put_back && self.now > *at + STOPS_WITHIN);
        let speaks = match message {
            Message::Ops { ops, .. } => ops.iter().any(|op| op.node == machine.node),
            Message::Vector(vector) => {
                vector.entries.iter().any(|entry| entry.origin == machine.node && entry.promise.hlc > Hlc::ZERO)
            }
            _ => false,
        };
        if shown.is_some() && speaks {
            let text =
                format!("host {host} goes on with an old disk although it was shown what that lacks: {message:?}");
            return broken("halt", text);
        }
        Ok(())
    }

    /// What a machine's disk holds as it is now.
    pub(crate) fn copy_disk(&self, host: Host) -> Copy {
        let (feed, told_first) = (self.ledger.feed(host), self.ledger.told_first(host));
        Copy { disk: self.machines[host].disk.clone(), feed, told_first, made: self.now }
    }

    /// The same of what is durable, for a fault that uses it later.
    pub(crate) fn keep_copy(&mut self, index: usize) {
        let mut copy = self.copy_disk(self.plan.faults[index].what.host());
        copy.disk.crash(0);
        self.copies.insert(index, copy);
    }

    /// A machine runs with another disk; with one that is older than what the others know it has to stop.
    pub(crate) fn run_with(&mut self, host: Host, copy: Copy, put_back: bool) {
        self.ledger.set_feed(host, copy.feed);
        let node = self.machines[host].node;
        if copy.disk.leaves() {
            self.orders.remembered(node)
        } else {
            self.orders.forgotten(node)
        }
        let ((seq, chain), word) = (copy.disk.head(node), self.known.said(node));
        let machine = &mut self.machines[host];
        machine.put_back_at = (seq, chain, word.promised() > copy.disk.ceiling());
        machine.word = word;
        (machine.disk, machine.swapped) = (copy.disk, true);
        (machine.put_back, machine.shunned) = (put_back, put_back);
    }

    /// The copy of a directory runs in its place, where nobody has seen what was done since it was made; at the next call
    /// the directory itself runs again.
    pub(crate) fn swap(&mut self, index: usize) -> Checked {
        let plan = self.plan.clone();
        let Trouble::Cloned { host, run, .. } = &plan.faults[index].what else { return Ok(()) };
        let (host, run) = (*host, *run);
        if self.net.is_healed() {
            return Ok(());
        }
        let node = self.machines[host].node;
        let runs = self.machines[host].is_up() && !self.machines[host].put_back;
        if let Some(original) = self.originals.remove(&index) {
            let usable = original.node == node && runs && self.prospect(host, &original.copy) != Prospect::Unclear;
            if usable {
                self.crash(host, 100);
                let marks = ["a copied directory runs again", "a copied directory goes on"];
                self.replace(host, original.copy, CopyRun { clock: false, ..run }, marks);
                return self.start(host);
            }
            return Ok(());
        }
        for other in (0..self.machines.len()).filter(|other| *other != host) {
            self.net.mend(host, other);
            self.net.mend(other, host);
        }
        let Some(copy) = self.copies.remove(&index) else { return Ok(()) };
        if runs && self.prospect(host, &copy) == Prospect::GoesOn {
            self.crash(host, 100);
            let original = Original { node, copy: self.copy_disk(host) };
            self.replace(host, copy, run, ["a copy of a directory runs in its place"; 2]);
            self.originals.insert(index, original);
            return self.start(host);
        }
        Ok(())
    }
}

/// Whether a message shows a node that its directory lacks something.
fn says_more(vector: &Vector, node: NodeId, disk: &Disk) -> bool {
    let own = |entry: &&Entry| entry.origin == node;
    let more = |entry: &Entry| {
        entry.has.max(entry.promise.seq) > disk.log(node)
            || entry.promise.hlc > disk.ceiling()
            || !disk.passes(node, (entry.holds, entry.chain))
    };
    let held = vector.rows.iter().filter(|row| row.by == node).flat_map(|row| &row.held);
    vector.entries.iter().filter(own).any(more) || held.clone().any(|(origin, seq, _)| *seq > disk.log(*origin))
}
