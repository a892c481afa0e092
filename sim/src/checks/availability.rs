//! Refusals are judged: a node that refuses a request must have a reason for it in the state that the world is in. A
//! member with a right clock that is in contact with a majority refuses nothing but what the rules refuse.
//!
//! The reasons are looked for in the world (clocks, links, machines, the membership ops that a host has), not in what the
//! replica says of itself. What a node cannot know is taken into account: what it heard last of a clock may be out of date.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::{NodeId, Stamp};
use forename::crdt::{Body, Op};
use forename::replica::{Input, Message, Refusal, RegistrationView};

use crate::checks::ledger::{Checked, broken};
use crate::plan::{Host, Trouble};
use crate::world::World;
use crate::world::machine::{host_of, node_id};
use crate::world::net::{Micros, pair};
use crate::world::orders::{Asked, Order};

/// A node whose clock is off from the median of the members' by more than this is suspect, milliseconds: half of
/// `max_clock_skew` (design, section 4).
const LIMIT: i64 = 5000;

/// A difference that is not judged, milliseconds: rounding, and steps that take their time.
const SLACK: i64 = 300;

/// Two nodes that could have talked for so long know that they are in contact: ten heartbeats.
const KNOWN: Micros = 10_000_000;

/// After so long a node is done with its start: `start_grace`, and a second.
const STARTED: Micros = 6_000_000;

/// For how long a node may go by a reading of another's clock after it took a later one, microseconds. A heartbeat that was
/// delayed makes its sender's clock look behind, so a node takes the best reading of several heartbeats.
const LATELY: Micros = 8_000_000;

/// In larger clusters nothing is judged, because that would take longer than the run itself.
const LARGEST: usize = 32;

/// One reading that a node took of another's clock, from a message.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// Milliseconds by which that clock was ahead of the virtual time.
    ahead: i64,
    /// The sender was a newcomer, or one that the reader did not know to be a member yet.
    joining: bool,
    /// When the next one was taken.
    until: Option<Micros>,
}

/// Notes about one machine: its last faults, and what its node could learn from the messages that it was sent.
#[derive(Clone, Debug, Default)]
struct Watched {
    /// When its process started.
    started: Micros,
    /// Until when something befell the machine, other than its clock.
    upset: Micros,
    /// When its clock was last changed by a fault.
    clock_changed: Micros,
    /// Members that it knows of.
    members: BTreeSet<NodeId>,
    /// The readings it took of each other node's clock: the last one, and those that were the last within [`LATELY`].
    heard: BTreeMap<NodeId, Vec<Heard>>,
    /// When it last had reason to think that its clock is off.
    suspect_at: Option<Micros>,
    /// When it last had reason to think that it is no member.
    outside_at: Option<Micros>,
    /// Registrations that it issued although it must have known that its clock is off, and when.
    too_bold: BTreeMap<Stamp, Micros>,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    hosts: Vec<Watched>,
    /// When a fault of the plan last began or ended on a link.
    disturbed: BTreeMap<(Host, Host), Micros>,
    /// When each node last gave its promise to the network.
    said: BTreeMap<NodeId, Micros>,
}

impl Watch {
    pub(crate) fn new(hosts: usize) -> Self {
        Self { hosts: vec![Watched::default(); hosts], ..Self::default() }
    }

    /// One more machine.
    pub(crate) fn add(&mut self) {
        self.hosts.push(Watched::default());
    }

    /// A node's promise is on its way to somebody.
    pub(crate) fn says(&mut self, node: NodeId, now: Micros) {
        self.said.insert(node, now);
    }

    /// When a node last gave its promise to the network.
    pub(crate) fn said(&self, node: NodeId) -> Option<Micros> {
        self.said.get(&node).copied()
    }

    /// Whether a machine was started or paused after `since`, or its disk was slow or full after that time.
    pub(crate) fn was_upset(&self, host: Host, since: Micros) -> bool {
        self.hosts[host].upset > since
    }

    /// Whether a machine's clock has run without a change by a fault or an operator after `since`.
    pub(crate) fn is_clock_settled(&self, host: Host, since: Micros) -> bool {
        self.hosts[host].clock_changed <= since
    }

    /// A process starts: it knows nobody's clock.
    pub(crate) fn started(&mut self, host: Host, now: Micros) {
        let watched = &mut self.hosts[host];
        (watched.started, watched.upset) = (now, watched.upset.max(now));
        watched.heard.clear();
    }
}

impl World {
    fn is_watched(&self) -> bool {
        self.machines.len() <= LARGEST
    }

    /// A fault of the plan begins or ends; one that lasts ends then.
    pub(crate) fn watch_fault(&mut self, what: &Trouble, ends: Micros) {
        let now = self.now;
        match what {
            Trouble::ClockStep(host, _)
            | Trouble::ClockOff(host, _)
            | Trouble::ClockStepDown(host, _)
            | Trouble::Frozen(host)
            | Trouble::Drift(host, _) => self.watch.hosts[*host].clock_changed = now,
            Trouble::Pause(host) => self.watch.hosts[*host].upset = self.watch.hosts[*host].upset.max(ends),
            Trouble::SlowDisk(host, _) | Trouble::DiskFull(host) => self.watch.hosts[*host].upset = now,
            Trouble::SlowLink(a, b, _) | Trouble::Narrow(a, b, _) | Trouble::Lossy(a, b, _) => {
                self.watch.disturbed.insert(pair(*a, *b), now);
            }
            Trouble::Picky(pick) => drop(self.watch.disturbed.insert(pair(pick.from, pick.to), now)),
            what => {
                for (from, to) in self.severed(what) {
                    self.watch.disturbed.insert(pair(from, to), now);
                }
            }
        }
    }

    /// Nothing passes on a link any more.
    pub(crate) fn watch_cut(&mut self, from: Host, to: Host) {
        self.watch.disturbed.insert(pair(from, to), self.now);
    }

    /// All faults of a machine and of its links come to their end.
    pub(crate) fn watch_healed(&mut self, host: Host) {
        let watched = &mut self.watch.hosts[host];
        (watched.upset, watched.clock_changed) = (self.now, self.now);
    }

    /// A clock is set, by whatever.
    pub(crate) fn watch_clock(&mut self, host: Host) {
        self.watch.hosts[host].clock_changed = self.now;
    }

    /// Called before a host's step: takes the clock readings out of the messages that the step will handle, and notes whether
    /// any of them gives the host reason to take its own clock for wrong.
    pub(crate) fn watch_inbox(&mut self, host: Host) {
        if !self.is_watched() {
            return;
        }
        // Without a state it does not know who is a member, and listens to nobody's clock.
        let installed = self.machines[host].replica.as_ref().is_some_and(|replica| replica.founding().is_some());
        // A request may come before them in the inbox.
        self.watch_clocks(host);
        let inbox = std::mem::take(&mut self.machines[host].inbox);
        for input in inbox.iter().filter(|_| installed) {
            let Input::Message { from, message } = input else { continue };
            // A newcomer says what the clock of its machine is, which may have been a member before.
            let (wall, newcomer) = match message {
                Message::Vector(vector) => (vector.wall, false),
                Message::Join { wall, .. } | Message::Installed { wall, .. } => (*wall, true),
                _ => continue,
            };
            let ahead = i64::try_from(wall.0).unwrap_or(i64::MAX) - millis(self.now);
            let earlier = |member: &NodeId| newcomer && *member != *from && member.key_part() == from.key_part();
            let members = &self.watch.hosts[host].members;
            let joining = newcomer || !members.contains(from);
            let nodes: Vec<NodeId> = members.iter().copied().filter(earlier).chain([*from]).collect();
            for node in nodes {
                let heard = self.watch.hosts[host].heard.entry(node).or_default();
                if let Some(last) = heard.last_mut() {
                    last.until = Some(self.now);
                }
                heard.retain(|heard| heard.until.is_none_or(|until| until + LATELY >= self.now));
                heard.push(Heard { ahead, joining, until: None });
                self.watch_clocks(host);
            }
        }
        self.machines[host].inbox = inbox;
        self.watch_step(host);
    }

    /// A host has made a step, or is about to.
    pub(crate) fn watch_step(&mut self, host: Host) {
        if !self.is_watched() {
            return;
        }
        self.watch_clocks(host);
        let says_so = self.machines[host].replica.as_ref().is_some_and(|replica| !replica.is_member());
        if says_so && self.is_outside(host) {
            self.watch.hosts[host].outside_at = Some(self.now);
        }
    }

    fn watch_clocks(&mut self, host: Host) {
        if self.may_be_suspect(host) {
            self.watch.hosts[host].suspect_at = Some(self.now);
        }
    }

    /// The wall-clock time that a machine reads now, milliseconds since 1970.
    fn clock_of(&self, host: Host) -> i64 {
        i64::try_from(self.machines[host].now(self.now).wall.0).unwrap_or(i64::MAX)
    }

    /// What the clocks of those who are present say together: the lower median, milliseconds.
    pub(crate) fn common_time(&self) -> u64 {
        let clocks = self.present().into_iter().map(|host| self.clock_of(host)).collect();
        u64::try_from(lower_median(clocks)).unwrap_or(0)
    }

    /// Members that a host knows of.
    fn known_members(&self, host: Host) -> &BTreeSet<NodeId> {
        &self.watch.hosts[host].members
    }

    /// Whether a host knows a node to be a member.
    pub(crate) fn knows_member(&self, host: Host, node: NodeId) -> bool {
        self.known_members(host).contains(&node)
    }

    /// Whether a host's node may be on its way out: by an order, because it was silent, or because its directory is an old one.
    pub(crate) fn may_go(&self, host: Host) -> bool {
        let node = self.machines[host].node;
        let ordered = self.orders.wanted_out(node) || self.orders.wanted_to_leave(node) || self.roll.departs(node);
        let heard = self.machines.iter().any(|other| other.host != host && self.in_contact(host, other.node, self.now));
        let old = self.machines[host].put_back;
        ordered || old || self.roll.frozen().contains(&node) || (self.plan.evict_after.is_some() && !heard)
    }

    /// Who is a member may have changed for a host.
    pub(crate) fn watch_members(&mut self, host: Host) {
        let (members, me) = (self.roll.members(&self.ledger, host, self.plan.founders), self.machines[host].node);
        if members.len() == 1 && members.contains(&me) {
            // The last one stays, whatever it was asked.
            self.orders.forgotten(me);
        }
        self.watch.hosts[host].members = members;
    }

    /// Whether a host may take its own clock for wrong. Of each other clock it knows what it heard last, and the truth may
    /// be another by now; so each is somewhere between these. Members that it has not heard of since its start, or not since they were let in, count or do
    /// not: it cannot know their clocks.
    fn may_be_suspect(&self, host: Host) -> bool {
        let (own, heard) = (self.clock_of(host), &self.watch.hosts[host].heard);
        let ahead = own - millis(self.now);
        let far = |offset: i64| offset.abs() > LIMIT - SLACK;
        // Most of the time nobody's is, and this is asked in every step.
        let truths = (0..self.machines.len()).map(|other| self.clock_of(other) - own);
        let any = truths.chain(heard.values().flatten().map(|heard| heard.ahead - ahead)).any(far);
        if !any {
            return false;
        }
        let me = self.machines[host].node;
        let (mut members, mut lasts, mut alls) = (vec![(0, 0)], vec![(0, 0)], vec![(0, 0)]);
        for member in self.known_members(host).iter().copied().filter(|member| *member != me) {
            let mut bounds: Vec<i64> =
                self.machines.get(host_of(member)).map(|m| self.clock_of(m.host) - own).into_iter().collect();
            if let Some(heard) = heard.get(&member) {
                bounds.extend(heard.iter().map(|heard| heard.ahead - ahead));
            }
            let least = bounds.iter().copied().min().unwrap_or(0);
            let most = bounds.iter().copied().max().unwrap_or(0);
            alls.push((least, most));
            lasts.extend(heard.contains_key(&member).then_some((least, most)));
            let by_heartbeat = heard.get(&member).is_some_and(|heard| heard.iter().any(|heard| !heard.joining));
            members.extend(by_heartbeat.then_some((least, most)));
        }
        [members, lasts, alls].into_iter().any(|bounds| {
            let least = lower_median(bounds.iter().map(|(least, _)| *least).collect());
            let most = lower_median(bounds.iter().map(|(_, most)| *most).collect());
            most > LIMIT - SLACK || least < SLACK - LIMIT
        })
    }

    /// Whether a host must know that its clock is off: it has heard all members lately, no clock has changed meanwhile, and
    /// by all of them it is off.
    fn must_be_suspect(&self, host: Host) -> bool {
        let (own, links) = (self.clock_of(host), &self.plan.links);
        let members = self.known_members(host);
        let quiet = |host: Host| self.watch.hosts[host].clock_changed + KNOWN <= self.now;
        let simple = links.loss == 0 && members.len() <= self.plan.spread.small;
        let me = self.machines[host].node;
        let near = |member: &NodeId| *member == me || self.in_contact(host, *member, self.now);
        let still = members.iter().all(|member| quiet(host_of(*member)) && near(member));
        if !simple || !still || !quiet(host) || self.machines[host].came_back {
            return false;
        }
        let delay = i64::try_from((links.least + links.jitter) / 100).unwrap_or(0);
        let offsets = members.iter().map(|member| self.clock_of(host_of(*member)) - own);
        lower_median(offsets.collect()).abs() > LIMIT + SLACK + delay
    }

    /// A host issues ops.
    pub(crate) fn watch_issued(&mut self, host: Host, ops: &[Op]) {
        let me = self.machines[host].node;
        for op in ops.iter().filter(|op| op.node == me) {
            if !self.machines[host].put_back {
                self.roll.issued(op);
            }
            if matches!(op.body, Body::Register(_)) && self.is_watched() && self.must_be_suspect(host) {
                self.watch.hosts[host].too_bold.insert(op.stamp(), self.now);
            }
        }
    }

    /// A client is told of its registration: it must not be one that was taken under a clock known to be off.
    pub(crate) fn judge_taken(&self, host: Host, asked: Micros, view: &RegistrationView) -> Checked {
        if self.watch.hosts[host].too_bold.get(&view.stamp).is_some_and(|at| *at >= asked) {
            return broken("suspect", format!("host {host} takes {} though its clock is off", view.stamp));
        }
        Ok(())
    }

    /// Whether a host has reason to think that it is no member: it has no state, is not let in as far as it knows, is out,
    /// or holds what an eviction has made void.
    fn is_outside(&self, host: Host) -> bool {
        let machine = &self.machines[host];
        let installed = machine.replica.as_ref().is_some_and(|replica| replica.founding().is_some());
        !installed
            || self.ledger.is_out(machine.node)
            || self.ledger.holds_void(host)
            || !self.known_members(host).contains(&machine.node)
    }

    /// Whether two nodes have been able to talk for long enough before some time: nothing was wrong with their link, nor
    /// with their machines.
    fn in_contact(&self, host: Host, node: NodeId, at: Micros) -> bool {
        let other = host_of(node);
        if other == host {
            return self.machines[host].node == node;
        }
        let up = self.machines.get(other).is_some_and(|machine| machine.is_up() && machine.node == node);
        let Some(since) = self.net.sound_since(host, other).filter(|_| up) else { return false };
        let disturbed = self.watch.disturbed.get(&pair(host, other)).copied().unwrap_or(0);
        let (a, b) = (&self.watch.hosts[host], &self.watch.hosts[other]);
        let slow = |host: Host| self.machines[host].slow_disk > 1 || self.machines[host].full;
        let since = since.max(disturbed).max(a.upset).max(b.upset);
        since + KNOWN <= at && !slow(host) && !slow(other)
    }

    /// A request was refused: there must be a reason for it. What the rules of names and registrations refuse is not judged
    /// here: the oracle does that at the end.
    pub(crate) fn judge(&self, host: Host, asked: Asked, refusal: &Refusal) -> Checked {
        if !self.is_watched() || self.machines[host].put_back {
            return Ok(());
        }
        let watched = &self.watch.hosts[host];
        let since = |at: Option<Micros>| at.is_some_and(|at| at >= asked.at);
        let why = match refusal {
            Refusal::ClockSuspect { .. } if !since(watched.suspect_at) => "its clock is right",
            Refusal::NotMember if !since(watched.outside_at) => "it is a member",
            Refusal::Leaving if !self.is_asked_to_leave(host) => "nobody asked it to leave",
            Refusal::NoMajority { .. } | Refusal::NotInContact { .. } if self.has_majority(host, asked) => {
                "a majority that would stay is in contact"
            }
            Refusal::Unavailable(_) if !self.is_hindered(host, asked.at) => {
                "it has been up for long, and nothing is wrong"
            }
            Refusal::LastMember if self.has_company(host, asked.at) => "it is in contact with another member",
            Refusal::NoMember(node) if (0..self.plan.founders).any(|host| node_id(host) == *node) => {
                "that one is a founder"
            }
            _ => return Ok(()),
        };
        let clocks =
            if matches!(refusal, Refusal::ClockSuspect { .. }) { self.clocks_known(host) } else { String::new() };
        broken("refused", format!("host {host} refuses a request, though {why}{clocks}: {refusal}"))
    }

    /// By how much each clock that counts for a host is ahead of its own, as it heard last, and in truth.
    fn clocks_known(&self, host: Host) -> String {
        let own = self.clock_of(host);
        let of = |member: &NodeId| {
            let truth = self.machines.get(host_of(*member)).map_or(0, |machine| self.clock_of(machine.host) - own);
            let heard = self.watch.hosts[host].heard.get(member).and_then(|heard| heard.last());
            let heard = heard.map(|heard| heard.ahead + millis(self.now) - own);
            format!("{member}: {heard:?}, in truth {truth}")
        };
        let clocks: Vec<_> = self.known_members(host).iter().map(of).collect();
        format!(" ({})", clocks.join("; "))
    }

    fn is_asked_to_leave(&self, host: Host) -> bool {
        let node = self.machines[host].node;
        self.roll.departs(node) || self.orders.wanted_to_leave(node)
    }

    /// Whether more than half of the members are in contact with a host, itself counted, and would stay after what was
    /// asked for, by what the host knows.
    fn has_majority(&self, host: Host, asked: Asked) -> bool {
        let Order::Evict(whom) = asked.order else { return false };
        let (members, mut going) = (self.known_members(host), self.roll.going(&self.ledger, host));
        going.insert(whom);
        let stay = members.iter().filter(|member| !going.contains(member));
        2 * stay.filter(|member| self.in_contact(host, **member, asked.at)).count() > members.len()
    }

    fn has_company(&self, host: Host, at: Micros) -> bool {
        let (me, going) = (self.machines[host].node, self.roll.going(&self.ledger, host));
        let mut others = self.known_members(host).iter().filter(|member| **member != me && !going.contains(member));
        others.any(|member| self.in_contact(host, *member, at))
    }

    /// Whether a machine has just started, or its disk is slow or full, or it makes good what an eviction made void.
    fn is_hindered(&self, host: Host, at: Micros) -> bool {
        let (machine, watched) = (&self.machines[host], &self.watch.hosts[host]);
        let slow = machine.slow_disk > 1 || machine.full || watched.upset + KNOWN > at;
        slow || machine.came_back || watched.started + STARTED > at
    }
}

fn millis(time: Micros) -> i64 {
    i64::try_from(time / 1000).unwrap_or(i64::MAX)
}

/// The middle of an odd number of values, the lower one of the two in the middle of an even number.
fn lower_median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}
