//! The world: virtual time, and everything that happens in it, one event after another.

pub(crate) mod clients;
pub(crate) mod connections;
pub(crate) mod copies;
pub(crate) mod disk;
mod faults;
mod feeds;
pub(crate) mod liar;
pub(crate) mod machine;
pub(crate) mod net;
pub(crate) mod orders;
mod outputs;
pub(crate) mod permanent_loss;
mod queue;
pub(crate) mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use forename::clock::{Hlc, NodeId};
use forename::crdt::Op;
use forename::replica::{Input, Message, OpenError, Replica, Request, SnapshotId, Token};
use forename::store::schema::{self, Rows};
use forename::store::{Batch, Store, Write};

use crate::checks::availability::Watch;
use crate::checks::bounds::Burst;
use crate::checks::charges::Charges;
use crate::checks::held::Held;
use crate::checks::known::Known;
use crate::checks::ledger::{Checked, Ledger, broken};
use crate::checks::roll::Roll;
use crate::checks::secrets::Secrets;
use crate::dice::mix;
use crate::plan::{Host, Plan, Slot, Trouble};
use crate::trace::{Note, Trace};
use crate::world::clients::Clients;
use crate::world::connections::Traffic;
use crate::world::copies::{Copy, Original};
use crate::world::disk::{forgotten, frontiers, logged};
use crate::world::liar::Liars;
use crate::world::machine::{Machine, host_of, node_id};
use crate::world::net::{Epoch, Micros, Network};
use crate::world::orders::Orders;
use crate::world::queue::Queue;

/// What travels between machines.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    Message(Message),
    Rows(SnapshotId, Vec<Write>),
    SnapshotEnd(SnapshotId),
}

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Start(Host),
    Turn(Host, u32),
    Wake(Host, u32),
    Synced(Host, u32, Batch),
    Arrive {
        epoch: Epoch,
        from: Host,
        to: Host,
        packet: Packet,
    },
    Dial(Host, Host),
    HangUp(Epoch, Host, Host),
    IdleCheck(Epoch, Host, Host),
    Action(usize),
    Fault(usize),
    FaultEnds(usize),
    /// A liar says something.
    Lie(usize),
    /// A flapping link goes down, until some time.
    Flap(usize, Micros),
    /// The disk that a fault will put back is copied.
    CopyDisk(usize),
    /// The copy of a directory runs in place of the directory, or the other way round.
    Swap(usize),
    /// A clock that stays wrong is off by so many milliseconds from now on.
    ClockTurns(Host, i64),
    /// The reader of a feed takes what is new.
    ReadFeed(Host, u32),
    /// A client whose node died asks again, there or at the next.
    Again(Slot, Host),
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Rc<Plan>,
    pub(crate) now: Micros,
    queue: Queue,
    pub(crate) machines: Vec<Machine>,
    pub(crate) net: Network,
    pub(crate) clients: Clients,
    pub(crate) ledger: Ledger,
    pub(crate) held: Held,
    pub(crate) liars: Liars,
    pub(crate) secrets: Secrets,
    pub(crate) charges: Charges,
    pub(crate) orders: Orders,
    pub(crate) roll: Roll,
    pub(crate) watch: Watch,
    pub(crate) marks: BTreeSet<&'static str>,
    pub(crate) trace: Trace,
    /// Old disks, by the fault that puts them back.
    pub(crate) copies: BTreeMap<usize, Copy>,
    /// Directories whose copies run in their place, by the fault that copied them.
    pub(crate) originals: BTreeMap<usize, Original>,
    pub(crate) known: Known,
    /// Whose directory a new cluster was made of.
    pub(crate) recovered: Option<Host>,
    /// The last process that remembered what a directory lacks that was put back is gone.
    pub(crate) witness_gone: bool,
    /// What hosts let out at once at most.
    pub(crate) most_sent: BTreeMap<Host, Burst>,
    pub(crate) dialling: BTreeSet<(Host, Host)>,
    /// Which nodes met on a connection, the lesser host's first.
    pub(crate) met: BTreeMap<Epoch, (NodeId, NodeId)>,
    pub(crate) steps: u64,
    /// What was sent, where that is counted.
    pub(crate) traffic: Option<Traffic>,
}

impl World {
    pub(crate) fn new(plan: Plan, tracing: bool) -> Self {
        let hosts = plan.hosts();
        let clock = |host: Host| plan.clocks.get(host).copied().unwrap_or_default();
        let machines: Vec<_> = (0..hosts).map(|host| Machine::new(host, plan.seed, clock(host))).collect();
        let mut world = Self {
            now: 0,
            queue: Queue::default(),
            machines,
            net: Network::new(plan.seed, hosts, plan.links.rate),
            clients: Clients::default(),
            ledger: Ledger::new((0..hosts).map(node_id).collect(), plan.founders, plan.keep_events.is_some()),
            held: Held::default(),
            liars: Liars::default(),
            secrets: Secrets::default(),
            charges: Charges::new(),
            orders: Orders::default(),
            roll: Roll::default(),
            watch: Watch::new(hosts),
            marks: BTreeSet::new(),
            trace: Trace::new(tracing),
            copies: BTreeMap::new(),
            originals: BTreeMap::new(),
            known: Known::default(),
            recovered: None,
            witness_gone: false,
            most_sent: BTreeMap::new(),
            dialling: BTreeSet::new(),
            met: BTreeMap::new(),
            steps: 0,
            traffic: None,
            plan: Rc::new(plan),
        };
        world.load_plan();
        world
    }

    fn load_plan(&mut self) {
        for host in 0..self.plan.founders {
            self.at(0, Event::Start(host));
        }
        for index in 0..self.plan.joiners.len() {
            self.at(self.plan.joiners[index].at * 1000, Event::Start(self.plan.founders + index));
        }
        for index in 0..self.plan.actions.len() {
            self.at(self.plan.actions[index].at * 1000, Event::Action(index));
        }
        for index in 0..self.plan.lies.len() {
            self.at(self.plan.lies[index].at * 1000, Event::Lie(index));
        }
        for index in 0..self.plan.faults.len() {
            let fault = &self.plan.faults[index];
            let (at, what) = (fault.at, fault.what.clone());
            self.at(at * 1000, Event::Fault(index));
            if matches!(what, Trouble::OldDisk { .. } | Trouble::Cloned { .. }) {
                self.known.keep();
            }
            if let Trouble::OldDisk { back, .. } = what {
                self.at(at.saturating_sub(back) * 1000, Event::CopyDisk(index));
            }
        }
    }

    pub(crate) fn at(&mut self, time: Micros, event: Event) {
        self.queue.push(time.max(self.now), event);
    }

    pub(crate) fn mark(&mut self, mark: &'static str) {
        self.marks.insert(mark);
    }

    /// Lets time pass until then.
    pub(crate) fn run_until(&mut self, until: Micros) -> Checked {
        while let Some((at, event)) = self.queue.pop_until(until) {
            self.now = at;
            self.happen(event)?;
        }
        self.now = until;
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Start(host) => return self.start(host),
            Event::Turn(host, life) => return self.turn(host, life),
            Event::Wake(host, life) => {
                if self.machines[host].life == life {
                    self.machines[host].wake_planned = None;
                    self.input(host, Input::Wake);
                }
            }
            Event::Synced(host, life, batch) => self.synced(host, life, batch),
            Event::Arrive { epoch, from, to, packet } => self.arrive(epoch, from, to, packet),
            Event::Dial(a, b) => self.dial(a, b),
            Event::HangUp(epoch, host, peer) => self.hang_up(epoch, host, peer),
            Event::IdleCheck(epoch, a, b) => {
                let idle = self.plan.links.idle * 1000;
                if self.net.cut_since(a, b).is_some_and(|since| self.now >= since + idle) {
                    self.close(epoch, 0);
                }
            }
            Event::Action(index) => return self.act(index),
            // A plot's faults may be due later.
            Event::Fault(_) if self.net.is_healed() => {}
            Event::Fault(index) => return self.fault(index),
            Event::FaultEnds(index) => return self.fault_ends(index),
            Event::Lie(index) => self.lie(index),
            Event::Flap(index, until) => self.flap(index, until),
            Event::CopyDisk(index) => self.keep_copy(index),
            Event::Swap(index) => return self.swap(index),
            Event::ClockTurns(host, off) => self.clock_turns(host, off),
            Event::ReadFeed(host, life) => {
                if self.machines[host].life == life {
                    self.ask_feed(host);
                }
            }
            Event::Again(slot, host) => self.ask_again(slot, host),
        }
        Ok(())
    }

    /// Starts a machine's process; nothing where it runs, or is gone for good.
    pub(crate) fn start(&mut self, host: Host) -> Checked {
        if self.machines[host].is_up() || self.machines[host].gone {
            return Ok(());
        }
        let (now, founders) = (self.now, self.plan.founders);
        let machine = &mut self.machines[host];
        if let Err(error) = machine.start(now, &self.plan) {
            if error == OpenError::Left {
                // It died between its last fsync and its last word.
                (machine.left, machine.gone) = (true, true);
                return Ok(());
            }
            return broken("start", format!("host {host} does not start: {error}"));
        }
        self.ledger.restarted(host, &self.machines[host]);
        let swapped = std::mem::take(&mut self.machines[host].swapped);
        let replica = self.machines[host].replica.as_ref();
        if let Some(last) = replica.filter(|_| swapped).map(Replica::last_event) {
            self.ledger.feed_put_back(host, last);
        }
        self.trace.note(now, Note::Start(host));
        self.watch.started(host, now);
        self.watch_members(host);
        // Who it is connected to at first: whom it knew before it was evicted, the other founders, or its sponsor.
        let returning = self.machines[host].replica.as_ref().and_then(Replica::returning);
        // It may have died before its last word.
        self.machines[host].came_back |= returning.is_some();
        self.machines[host].wanted = if let Some(back) = returning {
            match self.recovered {
                // Its operator has it join the new cluster.
                Some(new) => BTreeSet::from([new]),
                None => back.contacts.iter().map(|contact| host_of(contact.node)).collect(),
            }
        } else if host < founders {
            self.founders_of(host)
        } else {
            match self.plan.joiners.get(host - founders) {
                Some(joiner) => [joiner.sponsor].into_iter().chain(joiner.also).collect(),
                None => self.present().into_iter().filter(|other| *other != host).collect(),
            }
        };
        let named = self.machines[host].named.clone();
        self.machines[host].wanted.extend(named);
        self.plan_turn(host);
        self.read_feed(host);
        self.dial_wanted(host);
        Ok(())
    }

    pub(crate) fn input(&mut self, host: Host, input: Input) {
        if self.machines[host].is_up() {
            self.machines[host].inbox.push(input);
            self.plan_turn(host);
        }
    }

    fn plan_turn(&mut self, host: Host) {
        let machine = &mut self.machines[host];
        if !std::mem::replace(&mut machine.turn_planned, true) {
            let (at, life) = (machine.busy_until, machine.life);
            self.at(at, Event::Turn(host, life));
        }
    }

    /// The process takes all that has come in and ends the step.
    fn turn(&mut self, host: Host, life: u32) -> Checked {
        let machine = &mut self.machines[host];
        if machine.life != life {
            return Ok(());
        }
        if machine.busy_until > self.now {
            let at = machine.busy_until;
            self.at(at, Event::Turn(host, life));
            return Ok(());
        }
        machine.turn_planned = false;
        self.watch_inbox(host);
        self.note_shown(host);
        self.note_caught_up(host);
        let machine = &mut self.machines[host];
        let now = machine.now(self.now);
        let Some(replica) = &mut machine.replica else { return Ok(()) };
        let taken = machine.inbox.len();
        for input in &machine.inbox {
            if let Input::Message { from, message } = input {
                self.known.arrived(host, *from, message);
            }
        }
        machine.inbox.drain(..).for_each(|input| replica.handle(now, input));
        let outputs = replica.flush(now);
        let writes = replica.store_mut().take_writes();
        let batch = replica.store_mut().commit();
        let other_cuts = self.ledger.cuts(host, replica.cuts());
        let (watermark, wake) = (replica.watermark(), replica.wake_at().0.saturating_mul(1000));
        machine.busy_until = self.now + 20 + machine.dice.below(200);
        self.steps += 1;
        self.trace.step(self.now, host, taken, &writes, outputs.len());
        self.wrote(host, batch, writes, watermark)?;
        if other_cuts {
            self.watch_members(host);
        }
        self.plan_wake(host, wake);
        self.carry_out(host, outputs)
    }

    fn wrote(&mut self, host: Host, batch: Batch, writes: Vec<Write>, watermark: Hlc) -> Checked {
        if self.machines[host].failing {
            return Ok(());
        }
        let ops = logged(&writes);
        if writes.iter().filter_map(schema::Log::written).any(|(_, chunk)| chunk.is_none()) {
            self.mark("ops leave a log");
        }
        // A newcomer that starts over.
        forgotten(&writes).for_each(|origin| self.ledger.forgot(host, origin));
        let given = frontiers(&writes);
        self.trace.ops(self.now, host, &ops);
        for op in &ops {
            let machine = &self.machines[host];
            self.secrets.wrote(op, op.node == machine.node, &machine.disk)?;
        }
        if self.machines[host].disk.take(batch, writes, &ops) {
            self.plan_sync(host);
        }
        self.watch_issued(host, &ops);
        let membership = ops.iter().any(|op| op.body.is_membership()) || (ops.is_empty() && !given.is_empty());
        let own: Vec<Op> = ops.iter().filter(|op| membership && op.node == self.machines[host].node).cloned().collect();
        self.judge_admissions(host, &own)?;
        self.ledger.wrote(host, ops)?;
        self.ledger.given(host, given);
        if membership {
            self.watch_members(host);
            self.judge_issued(host, &own)?;
        }
        self.watch_step(host);
        self.trace.watermark(self.now, host, watermark);
        self.ledger.watermark(host, watermark)
    }

    fn plan_sync(&mut self, host: Host) {
        let machine = &mut self.machines[host];
        let took = self.plan.disk.least + machine.dice.below(self.plan.disk.jitter + 1);
        let (life, upto, took) = (machine.life, machine.disk.covers(), took * machine.slow_disk);
        self.at(self.now + took, Event::Synced(host, life, upto));
    }

    fn synced(&mut self, host: Host, life: u32, upto: Batch) {
        if self.machines[host].life != life {
            return;
        }
        if self.machines[host].full {
            self.mark("a disk is full");
            return self.disk_fails(host, "no space left on the device");
        }
        if self.machines[host].disk.synced(upto) {
            self.plan_sync(host);
        }
        self.trace.durable(self.now, host, self.machines[host].disk.logs());
        self.held.synced(self.machines[host].node, self.machines[host].disk.logs());
        self.input(host, Input::Persisted(upto));
    }

    fn plan_wake(&mut self, host: Host, wake: Micros) {
        let machine = &mut self.machines[host];
        let wake = wake.max(self.now + 1000);
        if machine.wake_planned.is_none_or(|planned| planned > wake) {
            machine.wake_planned = Some(wake);
            let life = machine.life;
            self.at(wake, Event::Wake(host, life));
        }
    }

    pub(crate) fn crash(&mut self, host: Host, kept: u64) {
        if !self.machines[host].is_up() {
            return;
        }
        self.witness_goes(host);
        self.trace.note(self.now, Note::Crash(host));
        self.known.forgot(host, self.machines[host].node);
        if self.machines[host].die(kept) > 0 {
            self.mark("a crash loses a batch");
        }
        self.trace.durable(self.now, host, self.machines[host].disk.logs());
        self.orders.lost(host);
        for slot in self.clients.lost(host) {
            let at = self.now + 300_000;
            self.at(at, Event::Again(slot, (host + 1) % self.machines.len()));
        }
        for (epoch, peer) in self.net.of(host) {
            self.net.close(epoch);
            self.net.hang_up(epoch, host);
            // Where the peer had gone before and is back already, nothing else makes it dial again.
            self.dial_wanted(peer);
            let at = self.now + self.machines[host].dice.below(self.plan.links.idle * 1000);
            self.at(at, Event::HangUp(epoch, peer, host));
        }
    }

    pub(crate) fn request(&mut self, host: Host, token: Token, request: Request) {
        self.orders.asked(token, host, self.machines[host].node, &request, self.now);
        self.input(host, Input::Request { token, request });
    }

    /// The machines that belong to the cluster: they have not left it, and are not lost for good.
    pub(crate) fn present(&self) -> Vec<Host> {
        let present = self.machines.iter().filter(|machine| !machine.left && !machine.lost);
        present.map(|machine| machine.host).collect()
    }

    /// One more machine, which is not in the plan. It asks whoever is present to let it in.
    pub(crate) fn add_machine(&mut self) -> Host {
        let host = self.machines.len();
        self.machines.push(Machine::new(host, self.plan.seed, (0, 0)));
        self.net.add();
        self.watch.add();
        self.ledger.add(node_id(host));
        host
    }

    /// A number that tells two runs apart.
    pub(crate) fn hash(&self) -> u64 {
        mix(self.trace.hash() ^ self.now)
    }
}
