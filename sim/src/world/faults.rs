//! What goes wrong, and how it is put right.

use std::collections::BTreeSet;

use forename::replica::Input;

use crate::checks::ledger::Checked;
use crate::plan::{Host, Loss, Trouble};
use crate::trace::Note;
use crate::world::machine::EPOCH;
use crate::world::net::Micros;
use crate::world::{Event, World};

/// Milliseconds.
const DAY: i64 = 86_400_000;

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
            Trouble::Cloned { host, alone, .. } => {
                // Nobody hears what it says from now on.
                self.isolate(*host);
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
            Trouble::OldDisk { host, run, .. } => {
                self.crash(*host, 100);
                self.put_back(*host, index, *run);
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

    pub(crate) fn isolate(&mut self, host: Host) {
        for other in (0..self.machines.len()).filter(|other| *other != host) {
            self.cut(host, other, self.now);
            self.cut(other, host, self.now);
        }
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

    /// Whose clocks are not set right. Only those of a minority of the members: against a wrong majority nobody can tell what
    /// is right.
    fn stay_wrong(&mut self) -> Vec<Host> {
        let (plan, present) = (self.plan.clone(), self.present());
        // What all of them agree on, as members come and go.
        let knows = |host: Host, of: Host| self.knows_member(of, self.machines[host].node);
        let members: Vec<Host> = present.iter().copied().filter(|host| knows(*host, *host)).collect();
        let agreed = |host: &Host| members.iter().all(|of| knows(*host, *of));
        let members: Vec<Host> = members.iter().copied().filter(agreed).collect();
        let stay = members.iter().filter(|host| !self.may_go(**host)).count();
        let wrong: Vec<_> = plan.wrong_for_good.iter().filter(|wrong| members.contains(&wrong.host)).collect();
        if 2 * wrong.len() >= stay {
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

    /// A node that was put out, and whose clock is wrong, waits outside until its operator, who is told so, sets it right.
    /// So does one with a right clock where so few members are left that the wrong clocks among them are no minority any
    /// more: its operator finds its clock right, and sets right those of the members.
    pub(crate) fn mend_wrong_clocks(&mut self) {
        let present = self.present();
        let sees = |of: Host, host: Host| self.knows_member(of, self.machines[host].node);
        let members: BTreeSet<Host> = present.iter().copied().filter(|host| sees(*host, *host)).collect();
        // The dead count too: what is known of their clocks is kept.
        let all = (0..self.machines.len()).filter(|host| members.iter().any(|of| sees(*of, *host)));
        let wrong = members.iter().filter(|host| self.is_wrong_for_good(**host)).count();
        let is_minority = 2 * wrong < all.count();
        for host in present {
            let outside = !members.contains(&host);
            if (outside || !is_minority) && self.is_wrong_for_good(host) {
                self.mark(if outside {
                    "a newcomer waits until its clock is right"
                } else {
                    "wrong clocks are no minority of those left"
                });
                self.set_right_for_good(host);
            }
        }
    }

    fn set_right_for_good(&mut self, host: Host) {
        self.machines[host].mended = true;
        let era = self.era();
        self.machines[host].clock.set_right(self.now, era);
        self.watch_clock(host);
    }

    /// By how many milliseconds the right time is off from the virtual one: not at all, but where a story has set all clocks
    /// ahead by days, because so much time is to have passed.
    fn era(&self) -> i64 {
        let ahead =
            i64::try_from(self.common_time()).unwrap_or(0) - i64::try_from(EPOCH + self.now / 1000).unwrap_or(0);
        if ahead.abs() > DAY { ahead } else { 0 }
    }

    /// Whether a machine's clock stays wrong to the end.
    pub(crate) fn is_wrong_for_good(&self, host: Host) -> bool {
        !self.machines[host].mended && self.plan.wrong_for_good.iter().any(|wrong| wrong.host == host)
    }

    pub(crate) fn clock_turns(&mut self, host: Host, off: i64) {
        if self.machines[host].mended {
            return;
        }
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
        let (wrong, era) = (self.stay_wrong(), self.era());
        for host in 0..self.machines.len() {
            self.watch_healed(host);
            let machine = &mut self.machines[host];
            (machine.slow_disk, machine.full, machine.dies_after) = (1, false, None);
            machine.busy_until = machine.busy_until.min(self.now);
            machine.turn_planned = false;
            machine.gone |= lost.contains(&host) && how == Loss::Down;
            let down = machine.failing || machine.gone;
            if !lost.contains(&host) && !wrong.contains(&host) {
                machine.clock.set_right(self.now, era);
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
