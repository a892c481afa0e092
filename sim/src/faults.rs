//! What goes wrong, and how it is put right.

use forename::clock::NodeId;
use forename::codec;
use forename::crdt::Seq;
use forename::replica::{Contact, Input};
use forename::store::Table;

use crate::disk::Disk;
use crate::ledger::{Checked, Feed};
use crate::machine::Machine;
use crate::net::Micros;
use crate::plan::{Ending, Host, Loss, Trouble};
use crate::trace::Note;
use crate::world::{Event, World};

/// A copy of a disk, and what its feed had told.
#[derive(Clone, Debug)]
pub struct Copy {
    disk: Disk,
    feed: Feed,
    /// Outcomes that its node had been the first to tell.
    told_first: usize,
}

impl Copy {
    /// Whether there is anybody in it to ask for being let in again.
    fn knows_others(&self, node: NodeId) -> bool {
        let contacts = self.disk.durable().rows(Table::Contacts);
        let mut known = contacts.filter_map(|(_, bytes)| codec::decode::<Contact>(bytes).ok());
        known.any(|contact| contact.node.key_part() != node.key_part())
    }
}

/// A directory whose copy runs in its place.
#[derive(Debug)]
pub(crate) struct Original {
    node: NodeId,
    copy: Copy,
    /// The prefix of the node's log that the copy has.
    copied: Seq,
}

impl World {
    pub(crate) fn fault(&mut self, index: usize) -> Checked {
        let plan = self.plan.clone();
        let fault = &plan.faults[index];
        let lasts = fault.lasts * 1000;
        let ends = self.now + lasts;
        self.watch_fault(&fault.what, ends);
        if self.trace.is_on() {
            let severed = self.severed(&fault.what);
            self.trace.note(self.now, Note::Fault(index, fault.what.clone(), severed));
        }
        match &fault.what {
            Trouble::Crash { .. }
            | Trouble::CrashWithin { .. }
            | Trouble::ClockStepDown(..)
            | Trouble::OldDisk { .. } => {
                self.take_down(index, &fault.what);
                // It starts again some time after it died, whenever that was.
                self.at(ends, Event::Start(fault.what.host()));
            }
            Trouble::Cloned { host, alone } => {
                self.isolate(*host);
                // Nobody hears what it says from now on.
                let node = self.machines[*host].node;
                self.promised_before.insert(index, (node, self.ledger.promised(node)));
                self.at(self.now, Event::CopyDisk(index));
                self.at(self.now + alone * 1000, Event::Swap(index));
                self.at(self.now + alone * 1000 + lasts, Event::Swap(index));
            }
            Trouble::DiskFails(host) => {
                self.disk_fails(*host, "an fsync failed");
                self.at(ends, Event::Start(*host));
            }
            Trouble::Pause(host) => {
                let machine = &mut self.machines[*host];
                machine.busy_until = machine.busy_until.max(ends);
            }
            Trouble::Kill(a, b) => {
                if let Some(epoch) = self.net.between(*a, *b) {
                    self.close(epoch, 50_000);
                }
            }
            Trouble::ClockStep(host, by) => self.machines[*host].clock.step(*by),
            Trouble::Drift(host, drift) => self.machines[*host].clock.drift(self.now, *drift),
            Trouble::Flaps(..) => self.flap(index, ends),
            what => {
                self.begin(index, what);
                self.at(ends, Event::FaultEnds(index));
            }
        }
        Ok(())
    }

    /// What happens when a process goes down.
    fn take_down(&mut self, index: usize, what: &Trouble) {
        match what {
            Trouble::CrashWithin { host, outputs } if self.machines[*host].is_up() => {
                self.machines[*host].dies_after = Some((*outputs, 0));
            }
            Trouble::ClockStepDown(host, by) => {
                self.crash(*host, 100);
                self.machines[*host].clock.step(*by);
            }
            Trouble::OldDisk { host, .. } => {
                self.crash(*host, 100);
                self.put_back(*host, index);
            }
            Trouble::Crash { host, kept } => self.crash(*host, *kept),
            _ => {}
        }
    }

    /// The store of a running process fails: it has to stop.
    pub(crate) fn disk_fails(&mut self, host: Host, why: &str) {
        if let Some(replica) = &mut self.machines[host].replica {
            replica.store_mut().poison(why);
            self.machines[host].failing = true;
            self.input(host, Input::Wake);
        }
    }

    /// Puts an old copy of a data directory back, where the node has to notice: all others hold every op that it ever
    /// issued, some of which the copy lacks, and nobody is about to be let in by it. With less, what it says first
    /// would be believed, or it would issue an op under a number that nobody knows to be used.
    fn put_back(&mut self, host: Host, index: usize) {
        let Some(copy) = self.copies.remove(&index) else { return };
        let node = self.machines[host].node;
        let issued = self.ledger.issued_by(node);
        let known = self.machines.iter().all(|machine| machine.host == host || machine.disk.log(node) == issued);
        let alone = self.machines.len() == 1 || self.machines.iter().any(|machine| machine.put_back);
        let alone = alone || self.machines[host].gone;
        let healed = self.plan.ending == Ending::Healed;
        if known && !alone && healed && copy.knows_others(node) && copy.disk.log(node) < issued {
            self.mark("an old disk is put back");
            self.run_with(host, copy, true);
        }
    }

    /// What a machine's disk holds as it is now.
    pub(crate) fn copy_disk(&self, host: Host) -> Copy {
        let (feed, told_first) = (self.ledger.feed(host), self.ledger.told_first(host));
        Copy { disk: self.machines[host].disk.clone(), feed, told_first }
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
        self.orders.forgotten(self.machines[host].node);
        let machine = &mut self.machines[host];
        (machine.disk, machine.swapped) = (copy.disk, true);
        (machine.put_back, machine.shunned) = (put_back, put_back);
        if put_back {
            self.clients.expect_halt(host);
        }
    }

    fn isolate(&mut self, host: Host) {
        for other in (0..self.machines.len()).filter(|other| *other != host) {
            self.cut(host, other, self.now);
            self.cut(other, host, self.now);
        }
    }

    /// The copy of a directory runs where nobody has seen what was done since it was made; the directory itself again
    /// once all have seen what the copy did.
    pub(crate) fn swap(&mut self, index: usize) -> Checked {
        if self.net.is_healed() {
            return Ok(());
        }
        let host = self.plan.faults[index].what.host();
        let node = self.machines[host].node;
        let seen = |world: &Self| {
            let others = world.machines.iter().filter(|machine| machine.host != host);
            let logs: Vec<_> = others.map(|machine| machine.disk.log(node)).collect();
            (logs.iter().copied().min().unwrap_or(0), logs.iter().copied().max().unwrap_or(0))
        };
        if let Some(original) = self.originals.remove(&index) {
            let issued = self.ledger.issued_by(node);
            let used = original.node == node && issued > original.copied && seen(self).0 == issued;
            if used && original.copy.knows_others(node) && self.machines[host].is_up() {
                self.mark("a copied directory runs again");
                self.crash(host, 100);
                self.run_with(host, original.copy, true);
                return self.start(host);
            }
            return Ok(());
        }
        for other in (0..self.machines.len()).filter(|other| *other != host) {
            self.net.mend(host, other);
            self.net.mend(other, host);
        }
        let (copy, before) = (self.copies.remove(&index), self.promised_before.remove(&index));
        let Some((copy, (was, promised))) = copy.zip(before) else { return Ok(()) };
        // It may have come back under another id meanwhile.
        let usable = was == node
            && seen(self).1 <= copy.disk.log(node)
            && self.machines[host].is_up()
            && !self.machines[host].put_back;
        // One that is the only member decides alone, and nobody could tell it from its copy.
        let is_member = |machine: &Machine| machine.replica.as_ref().is_some_and(|replica| replica.is_member());
        // Another that has left, as it knows, may not know so itself.
        let out = self.machines[host].replica.as_ref().map(|replica| replica.cuts().clone()).unwrap_or_default();
        let stays = |machine: &Machine| is_member(machine) && !out.contains_key(&machine.node);
        let other = self.machines.iter().any(|machine| machine.host != host && stays(machine));
        // An outcome may rest on what it held, which the copy lacks: an eviction of the others who hold it undoes that.
        let silent = self.ledger.told_first(host) == copy.told_first;
        if usable && other && silent && self.plan.ending == Ending::Healed {
            self.crash(host, 100);
            let (original, copied) = (self.copy_disk(host), copy.disk.log(node));
            self.ledger.forget_answers(node, copied);
            self.ledger.nobody_heard(node, promised);
            self.originals.insert(index, Original { node, copy: original, copied });
            self.run_with(host, copy, false);
            return self.start(host);
        }
        Ok(())
    }

    /// Begins a trouble that lasts.
    fn begin(&mut self, index: usize, what: &Trouble) {
        match what {
            Trouble::SlowDisk(host, factor) => self.machines[*host].slow_disk = *factor,
            Trouble::DiskFull(host) => self.machines[*host].full = true,
            Trouble::Frozen(host) => self.machines[*host].clock.freeze(self.now),
            Trouble::ClockOff(host, by) => self.machines[*host].clock.step(*by),
            Trouble::SlowLink(a, b, factor) => self.net.slow_down(*a, *b, *factor),
            Trouble::Narrow(a, b, rate) => self.net.narrow(*a, *b, Some(*rate)),
            Trouble::Lossy(a, b, percent) => self.net.lose(*a, *b, *percent),
            Trouble::Picky(pick) => self.net.pick(index, pick),
            what => {
                for (from, to) in self.severed(what) {
                    self.cut(from, to, self.now);
                }
            }
        }
    }

    pub(crate) fn fault_ends(&mut self, index: usize) -> Checked {
        let plan = self.plan.clone();
        self.watch_fault(&plan.faults[index].what, self.now);
        match &plan.faults[index].what {
            _ if self.net.is_healed() => {}
            Trouble::SlowDisk(host, _) => self.machines[*host].slow_disk = 1,
            Trouble::DiskFull(host) => {
                self.machines[*host].full = false;
                return self.start(*host);
            }
            Trouble::Frozen(host) => self.machines[*host].clock.thaw(self.now),
            Trouble::ClockOff(host, by) => self.machines[*host].clock.step(-by),
            Trouble::SlowLink(a, b, _) => self.net.slow_down(*a, *b, 1),
            Trouble::Narrow(a, b, _) => self.net.narrow(*a, *b, plan.links.rate),
            Trouble::Lossy(a, b, _) => self.net.lose(*a, *b, 0),
            Trouble::Picky(pick) => self.net.pick_no_more(index, pick),
            what => {
                for (from, to) in self.severed(what) {
                    self.net.mend(from, to);
                }
            }
        }
        Ok(())
    }

    /// A flapping link goes down, and plans when it comes up again and when it goes down next.
    pub(crate) fn flap(&mut self, index: usize, until: Micros) {
        let plan = self.plan.clone();
        let Trouble::Flaps(a, b, period) = &plan.faults[index].what else { return };
        if self.now >= until || self.net.is_healed() {
            return;
        }
        let period = (*period).max(1) * 1000;
        self.cut(*a, *b, self.now);
        self.cut(*b, *a, self.now);
        self.at((self.now + period).min(until), Event::FaultEnds(index));
        self.at(self.now + 2 * period, Event::Flap(index, until));
    }

    fn cut(&mut self, from: Host, to: Host, now: Micros) {
        self.watch_cut(from, to);
        self.net.cut(from, to, now);
        if let Some(epoch) = self.net.between(from, to) {
            let at = now + self.plan.links.idle * 1000;
            self.at(at, Event::IdleCheck(epoch, from, to));
        }
    }

    /// The directed links that a partition cuts.
    pub(crate) fn severed(&self, trouble: &Trouble) -> Vec<(Host, Host)> {
        let hosts = self.plan.hosts();
        let between = |cut: &dyn Fn(Host, Host) -> bool| {
            let pairs = (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b)));
            pairs.filter(|(a, b)| a != b && cut(*a, *b)).collect()
        };
        let across = |side: &[Host], a: Host, b: Host| side.contains(&a) != side.contains(&b);
        match trouble {
            Trouble::Split(side) => between(&|a, b| across(side, a, b)),
            Trouble::Bridge { over, side } => between(&|a, b| a != *over && b != *over && across(side, a, b)),
            Trouble::Ring => between(&|a, b| (a + 1) % hosts != b && (b + 1) % hosts != a),
            Trouble::Cut(pairs) => pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect(),
            Trouble::Flaps(a, b, _) => vec![(*a, *b), (*b, *a)],
            Trouble::OneWay(pairs) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    /// Whose clocks are not set right. Only those of a minority: against a wrong majority nobody can tell what is right.
    fn stay_wrong(&mut self) -> Vec<Host> {
        let (plan, present) = (self.plan.clone(), self.present());
        let wrong: Vec<_> = plan.wrong_for_good.iter().filter(|wrong| present.contains(&wrong.host)).collect();
        if 2 * wrong.len() >= present.len() {
            return Vec::new();
        }
        for clock in &wrong {
            for (after, off) in &clock.off {
                self.at(self.now + after * 1000, Event::ClockTurns(clock.host, *off));
            }
        }
        if !wrong.is_empty() {
            self.mark("a clock stays wrong");
        }
        wrong.iter().map(|clock| clock.host).collect()
    }

    pub(crate) fn clock_turns(&mut self, host: Host, off: i64) {
        self.machines[host].clock.set_off(self.now, off);
        self.watch_clock(host);
    }

    /// Links, disks, clocks and machines work again, but for those that are lost for good.
    pub(crate) fn heal(&mut self, lost: &[Host], how: Loss) -> Checked {
        for epoch in self.net.clogged(self.now) {
            self.close(epoch, 1000);
        }
        self.net.heal();
        self.trace.note(self.now, Note::Healed);
        lost.iter().for_each(|host| self.machines[*host].lost = true);
        let wrong = self.stay_wrong();
        for host in 0..self.machines.len() {
            self.watch_healed(host);
            let machine = &mut self.machines[host];
            (machine.slow_disk, machine.full, machine.dies_after) = (1, false, None);
            machine.busy_until = machine.busy_until.min(self.now);
            machine.turn_planned = false;
            machine.gone |= lost.contains(&host) && how == Loss::Down;
            let down = machine.failing || machine.gone;
            if !lost.contains(&host) && !wrong.contains(&host) {
                machine.clock.set_right(self.now);
            }
            if down {
                self.crash(host, 0);
            }
            self.start(host)?;
            // One that stood still had a turn planned for later.
            self.input(host, Input::Wake);
        }
        for host in (0..self.machines.len()).filter(|host| !lost.contains(host)) {
            for other in lost.iter().copied().filter(|_| how != Loss::Down) {
                self.cut(other, host, self.now);
                if how == Loss::Cut {
                    self.cut(host, other, self.now);
                }
            }
            // An operator who sees that a sponsor is gone names others.
            if self.machines[host].replica.as_ref().is_some_and(|replica| !replica.is_member()) {
                let others = (0..self.machines.len()).filter(|other| *other != host);
                self.machines[host].named.extend(others);
                let named = self.machines[host].named.clone();
                self.machines[host].wanted.extend(named);
                self.dial_wanted(host);
            }
        }
        Ok(())
    }
}
