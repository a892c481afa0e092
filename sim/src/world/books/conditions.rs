//! Faults of machines and links, with their times: they excuse what a node does.

use std::collections::BTreeMap;

use forename::clock::NodeId;

use crate::plan::{Host, Trouble};
use crate::world::net::{Micros, pair};

/// The faults of one machine.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    /// When its process started.
    started: Micros,
    /// Until when a fault other than of its clock lasts or lasted.
    upset: Micros,
    /// When its clock was last changed by a fault.
    clock_changed: Micros,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    hosts: Vec<Condition>,
    /// When a fault of the plan last began or ended on a link.
    disturbed: BTreeMap<(Host, Host), Micros>,
    /// When each node last sent its promise to any peer.
    said: BTreeMap<NodeId, Micros>,
}

impl Conditions {
    pub(crate) fn new(hosts: usize) -> Self {
        Self { hosts: vec![Condition::default(); hosts], ..Self::default() }
    }

    /// Adds a machine.
    pub(crate) fn add(&mut self) {
        self.hosts.push(Condition::default());
    }

    /// Notes that a process starts.
    pub(crate) fn started(&mut self, host: Host, now: Micros) {
        let condition = &mut self.hosts[host];
        (condition.started, condition.upset) = (now, condition.upset.max(now));
    }

    /// When a host's process started.
    pub(crate) fn started_at(&self, host: Host) -> Micros {
        self.hosts[host].started
    }

    /// Notes that a fault of the plan begins or ends now, and cuts these links. `ends` is the end of a pause.
    pub(crate) fn fault(&mut self, what: &Trouble, severed: &[(Host, Host)], now: Micros, ends: Micros) {
        match what {
            Trouble::ClockStep(host, _)
            | Trouble::ClockOff(host, _)
            | Trouble::ClockStepDown(host, _)
            | Trouble::Frozen(host)
            | Trouble::Drift(host, _) => self.clock_set(*host, now),
            Trouble::Pause(host) => self.hosts[*host].upset = self.hosts[*host].upset.max(ends),
            Trouble::SlowDisk(host, _) | Trouble::DiskFull(host) => self.hosts[*host].upset = now,
            Trouble::SlowLink(a, b, _) | Trouble::Narrow(a, b, _) | Trouble::Lossy(a, b, _) => {
                self.disturb(*a, *b, now);
            }
            Trouble::Picky(pick) => self.disturb(pick.from, pick.to, now),
            _ => severed.iter().for_each(|(from, to)| self.disturb(*from, *to, now)),
        }
    }

    /// Notes that a link was cut or restored, or otherwise changed.
    pub(crate) fn disturb(&mut self, from: Host, to: Host, now: Micros) {
        self.disturbed.insert(pair(from, to), now);
    }

    /// Notes that all faults of a machine and of its links end.
    pub(crate) fn healed(&mut self, host: Host, now: Micros) {
        let condition = &mut self.hosts[host];
        (condition.upset, condition.clock_changed) = (now, now);
    }

    /// Notes that a clock was changed.
    pub(crate) fn clock_set(&mut self, host: Host, now: Micros) {
        self.hosts[host].clock_changed = now;
    }

    /// Returns true where a machine was started or paused after `since`, or its disk was slow or full after that time.
    pub(crate) fn was_upset(&self, host: Host, since: Micros) -> bool {
        self.hosts[host].upset > since
    }

    /// Returns until when a fault of a machine lasts or lasted.
    pub(crate) fn upset_until(&self, host: Host) -> Micros {
        self.hosts[host].upset
    }

    /// Returns true where a machine's clock was not changed by a fault or an operator after `since`.
    pub(crate) fn is_clock_settled(&self, host: Host, since: Micros) -> bool {
        self.hosts[host].clock_changed <= since
    }

    /// When a machine's clock was last changed.
    pub(crate) fn clock_changed_at(&self, host: Host) -> Micros {
        self.hosts[host].clock_changed
    }

    /// When a fault of the plan last began or ended on a link.
    pub(crate) fn disturbed_at(&self, a: Host, b: Host) -> Micros {
        self.disturbed.get(&pair(a, b)).copied().unwrap_or(0)
    }

    /// Notes that a node sends its promise to a peer.
    pub(crate) fn says(&mut self, node: NodeId, now: Micros) {
        self.said.insert(node, now);
    }

    /// Returns when a node last sent its promise to any peer.
    pub(crate) fn said(&self, node: NodeId) -> Option<Micros> {
        self.said.get(&node).copied()
    }
}
