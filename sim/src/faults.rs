//! What goes wrong, and how it is put right.

use crate::ledger::Checked;
use crate::net::Micros;
use crate::plan::{Host, Trouble};
use crate::trace::Note;
use crate::world::{Event, World};

impl World {
    pub(crate) fn fault(&mut self, index: usize) -> Checked {
        let fault = self.plan.faults[index].clone();
        let lasts = fault.lasts * 1000;
        let ends = self.now + lasts;
        if self.trace.is_on() {
            let severed = self.severed(&fault.what);
            self.trace.note(self.now, Note::Fault(index, fault.what.clone(), severed));
        }
        match &fault.what {
            Trouble::Crash { host, kept } => {
                self.crash(*host, *kept);
                self.at(ends, Event::Start(*host));
            }
            Trouble::CrashWithin { host, outputs } => {
                if self.machines[*host].is_up() {
                    self.machines[*host].dies_after = Some((*outputs, 0));
                }
                // It starts again some time after it died, whenever that was.
                self.at(ends, Event::Start(*host));
            }
            Trouble::Pause(host) => {
                let machine = &mut self.machines[*host];
                machine.busy_until = machine.busy_until.max(ends);
            }
            Trouble::DiskFails(host) => {
                if let Some(replica) = &mut self.machines[*host].replica {
                    replica.store_mut().poison("an fsync failed");
                    self.machines[*host].failing = true;
                }
                self.at(ends, Event::Start(*host));
            }
            Trouble::SlowDisk(host, factor) => {
                self.machines[*host].slow_disk = *factor;
                self.at(ends, Event::FaultEnds(index));
            }
            Trouble::Kill(a, b) => {
                if let Some(epoch) = self.net.between(*a, *b) {
                    self.close(epoch, 50_000);
                }
            }
            Trouble::ClockStep(host, by) => self.machines[*host].clock.0 += by,
            Trouble::SlowLink(a, b, factor) => {
                self.net.slow_down(*a, *b, *factor);
                self.at(ends, Event::FaultEnds(index));
            }
            Trouble::Lossy(a, b, percent) => {
                self.net.lose(*a, *b, *percent);
                self.at(ends, Event::FaultEnds(index));
            }
            Trouble::Split(_) | Trouble::Cut(_) | Trouble::OneWay(_) => {
                for (from, to) in self.severed(&fault.what) {
                    self.cut(from, to, self.now);
                }
                self.at(ends, Event::FaultEnds(index));
            }
        }
        Ok(())
    }

    fn cut(&mut self, from: Host, to: Host, now: Micros) {
        self.net.cut(from, to, now);
        if let Some(epoch) = self.net.between(from, to) {
            let at = now + self.plan.links.idle * 1000;
            self.at(at, Event::IdleCheck(epoch, from, to));
        }
    }

    /// The directed links that a partition cuts.
    fn severed(&self, trouble: &Trouble) -> Vec<(Host, Host)> {
        match trouble {
            Trouble::Split(side) => {
                let hosts = self.plan.hosts();
                let across = |a: &Host, b: &Host| side.contains(a) != side.contains(b);
                let pairs = (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b)));
                pairs.filter(|(a, b)| across(a, b)).collect()
            }
            Trouble::Cut(pairs) => pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect(),
            Trouble::OneWay(pairs) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn fault_ends(&mut self, index: usize) {
        let what = self.plan.faults[index].what.clone();
        match &what {
            Trouble::SlowDisk(host, _) => self.machines[*host].slow_disk = 1,
            Trouble::SlowLink(a, b, _) => self.net.slow_down(*a, *b, 1),
            Trouble::Lossy(a, b, _) => self.net.lose(*a, *b, 0),
            _ => {
                for (from, to) in self.severed(&what) {
                    self.net.mend(from, to);
                }
            }
        }
    }

    /// Everything works again: links, disks, clocks and machines.
    pub(crate) fn heal(&mut self) -> Checked {
        self.net.heal();
        self.trace.note(self.now, Note::Healed);
        for host in 0..self.machines.len() {
            let machine = &mut self.machines[host];
            machine.clock = (machine.clock.0.clamp(-500, 500), 0);
            machine.slow_disk = 1;
            machine.dies_after = None;
            if self.machines[host].failing {
                self.crash(host, 0);
            }
            if !self.machines[host].is_up() {
                self.start(host)?;
            }
            self.machines[host].busy_until = self.machines[host].busy_until.min(self.now);
        }
        Ok(())
    }
}
