//! What goes wrong in a story, and what its operators do about disks.

use std::rc::Rc;

use super::{Copy, Story};
use crate::plan::{Ask, Fault, Forgery, Host, Lie, Mask, Trouble};
use crate::world::net::pair;
use crate::world::{connections, faults, lies, process, prospects};

impl Story {
    /// Nothing passes between the pairs any more.
    pub fn cut(&mut self, pairs: &[(Host, Host)]) {
        for (a, b) in pairs {
            self.cut_way(*a, *b);
            self.cut_way(*b, *a);
        }
    }

    /// Nothing passes from one to the other any more.
    pub fn cut_way(&mut self, from: Host, to: Host) {
        let now = self.run.world.now;
        self.run.world.books.conditions.disturb(from, to, now);
        self.run.world.net.cut(from, to, now);
    }

    /// Nothing passes between these hosts and the others any more; both sides notice.
    pub fn split(&mut self, side: &[Host]) {
        let hosts = self.run.world.machines.len();
        let others: Vec<_> = (0..hosts).filter(|host| !side.contains(host)).collect();
        for (a, b) in side.iter().flat_map(|a| others.iter().map(move |b| (*a, *b))) {
            self.cut(&[pair(a, b)]);
            self.kill(a, b);
        }
    }

    /// All links work again.
    pub fn heal(&mut self) {
        self.run.world.net.heal();
        let now = self.run.world.now;
        (0..self.run.world.machines.len()).for_each(|host| self.run.world.books.conditions.healed(host, now));
    }

    /// The connection of two nodes dies.
    pub fn kill(&mut self, a: Host, b: Host) {
        if let Some(epoch) = self.run.world.net.between(a, b) {
            connections::close(&mut self.run.world, epoch, 1000);
        }
    }

    /// The process dies; what was not synced is lost.
    pub fn crash(&mut self, host: Host) {
        process::crash(&mut self.run.world, host, 0);
    }

    /// A machine starts, for the first time or again.
    pub fn start(&mut self, host: Host) {
        let started = process::start(&mut self.run.world, host);
        self.well(started);
    }

    /// Fsyncs of a host take so many times as long.
    pub fn slow_disk(&mut self, host: Host, factor: u64) {
        self.run.world.machines[host].drive.slow = factor;
    }

    /// A clock is set by so many milliseconds.
    pub fn step_clock(&mut self, host: Host, by: i64) {
        self.run.world.machines[host].clock.step(by);
        let now = self.run.world.now;
        self.run.world.books.conditions.clock_set(host, now);
    }

    /// Something goes wrong, now, for so many milliseconds.
    pub fn suffers(&mut self, what: Trouble, lasts: u64) {
        let mut plan = (*self.run.world.plan).clone();
        plan.faults.push(Fault { at: self.run.world.now / 1000, lasts, what });
        let index = plan.faults.len() - 1;
        self.run.world.plan = Rc::new(plan);
        let suffered = faults::fault(&mut self.run.world, index);
        self.well(suffered);
    }

    /// Many clients claim a new name each at once, with so many bytes of metadata.
    pub fn imports(&mut self, host: Host, count: u32, metadata: usize) {
        self.slots += 1;
        self.asks(host, Ask::Import(self.slots, count, metadata));
    }

    /// The disk as it is now, to be put back later.
    #[must_use]
    pub fn copy_disk(&self, host: Host) -> Copy {
        prospects::copy_disk(&self.run.world, host)
    }

    /// An old copy is put back while the process is down. It stops when it meets others who know better; a second later
    /// its operator has made it rejoin.
    pub fn restore_disk(&mut self, host: Host, copy: &Copy) {
        prospects::run_with(&mut self.run.world, host, copy.clone(), true);
        if let Some(old) = self.run.world.machines[host].old_mut() {
            old.shunned = false;
        }
    }

    /// A copy runs in place of a directory of which nobody knows more than the copy has, while the process is down.
    pub fn run_copy(&mut self, host: Host, copy: &Copy) {
        prospects::run_with(&mut self.run.world, host, copy.clone(), false);
    }

    /// All members are lost but one, which is down, and a new cluster is made of what its directory holds. It starts as the only
    /// member.
    ///
    /// # Panics
    /// Where no cluster can be made of it.
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

    /// Somebody who holds a join token and is no member says something to a member.
    pub fn lies(&mut self, host: Host, mask: Mask, what: Forgery) {
        let mut plan = (*self.run.world.plan).clone();
        plan.lies.push(Lie { at: self.run.world.now / 1000, host, mask, what });
        let index = plan.lies.len() - 1;
        self.run.world.plan = Rc::new(plan);
        lies::lie(&mut self.run.world, index);
        self.passes(50);
    }
}
