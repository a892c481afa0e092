//! The faults in a story, and what its operators do with disks.

use std::rc::Rc;

use super::{Copy, Story};
use crate::plan::{Ask, Fault, Forgery, Host, Lie, Mask, Trouble};
use crate::world::net::pair;
use crate::world::{connections, faults, lies, process, prospects};

impl Story {
    /// Cuts the links of these pairs in both directions.
    pub fn cut(&mut self, pairs: &[(Host, Host)]) {
        for (a, b) in pairs {
            self.cut_way(*a, *b);
            self.cut_way(*b, *a);
        }
    }

    /// Cuts a link in one direction.
    pub fn cut_way(&mut self, from: Host, to: Host) {
        let now = self.run.world.now;
        self.run.world.books.conditions.disturb(from, to, now);
        self.run.world.net.cut(from, to, now);
    }

    /// Cuts all links between these hosts and the others. Both sides notice it.
    pub fn split(&mut self, side: &[Host]) {
        let hosts = self.run.world.machines.len();
        let others: Vec<_> = (0..hosts).filter(|host| !side.contains(host)).collect();
        for (a, b) in side.iter().flat_map(|a| others.iter().map(move |b| (*a, *b))) {
            self.cut(&[pair(a, b)]);
            self.kill(a, b);
        }
    }

    /// Makes all links work again.
    pub fn heal(&mut self) {
        self.run.world.net.heal();
        let now = self.run.world.now;
        (0..self.run.world.machines.len()).for_each(|host| self.run.world.books.conditions.healed(host, now));
    }

    /// Breaks the connection of two nodes.
    pub fn kill(&mut self, a: Host, b: Host) {
        if let Some(epoch) = self.run.world.net.between(a, b) {
            connections::close(&mut self.run.world, epoch, 1000);
        }
    }

    /// Crashes the process. What was not synced is lost.
    pub fn crash(&mut self, host: Host) {
        process::crash(&mut self.run.world, host, 0);
    }

    /// Starts a machine, for the first time or again.
    pub fn start(&mut self, host: Host) {
        let started = process::start(&mut self.run.world, host);
        self.well(started);
    }

    /// Makes fsyncs of a host take this many times as long.
    pub fn slow_disk(&mut self, host: Host, factor: u64) {
        self.run.world.machines[host].drive.slow = factor;
    }

    /// Changes a clock by this many milliseconds.
    pub fn step_clock(&mut self, host: Host, by: i64) {
        self.run.world.machines[host].clock.step(by);
        let now = self.run.world.now;
        self.run.world.books.conditions.clock_set(host, now);
    }

    /// Starts a fault now, for this many milliseconds.
    pub fn suffers(&mut self, what: Trouble, lasts: u64) {
        let mut plan = (*self.run.world.plan).clone();
        plan.faults.push(Fault { at: self.run.world.now / 1000, lasts, what });
        let index = plan.faults.len() - 1;
        self.run.world.plan = Rc::new(plan);
        let suffered = faults::fault(&mut self.run.world, index);
        self.well(suffered);
    }

    /// Many clients claim a new name each at once, with this many bytes of metadata.
    pub fn imports(&mut self, host: Host, count: u32, metadata: usize) {
        self.slots += 1;
        self.asks(host, Ask::Import(self.slots, count, metadata));
    }

    /// Returns a copy of the disk as it is now, which can be put back later.
    #[must_use]
    pub fn copy_disk(&self, host: Host) -> Copy {
        prospects::copy_disk(&self.run.world, host)
    }

    /// Puts an old copy back while the process is down. The node stops when it meets others that know more, and a
    /// second later its operator has made it rejoin.
    pub fn restore_disk(&mut self, host: Host, copy: &Copy) {
        prospects::run_with(&mut self.run.world, host, copy.clone(), true);
        if let Some(old) = self.run.world.machines[host].old_mut() {
            old.shunned = false;
        }
    }

    /// Runs a copy in place of a directory while the process is down. Nobody may know more than the copy has.
    pub fn run_copy(&mut self, host: Host, copy: &Copy) {
        prospects::run_with(&mut self.run.world, host, copy.clone(), false);
    }

    /// Makes a new cluster from the directory of the only member that is not lost, which is down. It starts as the only
    /// member.
    ///
    /// # Panics
    /// The directory cannot be made a new cluster.
    pub fn recovers(&mut self, host: Host) {
        let now = self.run.world.now;
        match self.run.world.machines[host].recover(now) {
            Ok(()) => {}
            Err(why) => panic!("no cluster can be made of host {host}: {why}"),
        }
        self.run.world.recovered = Some(host);
        self.start(host);
        let node = self.run.world.machines[host].node;
        self.run.world.books.ledger.founded_anew(node);
    }

    /// Somebody who holds a join token and is not a member sends a message to a member.
    pub fn lies(&mut self, host: Host, mask: Mask, what: Forgery) {
        let mut plan = (*self.run.world.plan).clone();
        plan.lies.push(Lie { at: self.run.world.now / 1000, host, mask, what });
        let index = plan.lies.len() - 1;
        self.run.world.plan = Rc::new(plan);
        lies::lie(&mut self.run.world, index);
        self.passes(50);
    }
}
