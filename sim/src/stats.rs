//! The counts of a run.

use std::collections::BTreeMap;

use forename::log;
use forename::replica::Output;

use crate::plan::{Host, Kind};
use crate::world::packet::Packet;
use crate::world::{Seen, World};

/// Messages that were sent, and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// The bytes of those messages that carry ops.
    pub(crate) op_bytes: u64,
}

impl Traffic {
    fn count(&mut self, packet: &Packet) {
        let bytes = packet.size();
        self.messages += 1;
        self.bytes += bytes;
        if packet.kind() == Kind::Ops {
            self.op_bytes += bytes;
        }
    }
}

/// The counts of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    /// The number of steps of replicas.
    pub(crate) steps: u64,
    /// What was sent, where that is counted.
    pub(crate) traffic: Option<Traffic>,
    /// The greatest number of messages that each host sent to one peer in one step.
    bursts: BTreeMap<Host, usize>,
    /// The number of messages that were sent.
    sent: u64,
    /// The number of fsyncs of each host.
    syncs: BTreeMap<Host, u64>,
}

impl Stats {
    /// Counts an event of the run.
    pub(crate) fn saw(&mut self, what: &Seen<'_>, _world: &World) {
        match what {
            Seen::Stepped { .. } => self.steps += 1,
            Seen::Sent { packet, .. } => {
                self.sent += 1;
                if let Some(traffic) = &mut self.traffic {
                    traffic.count(packet);
                }
            }
            Seen::Synced(host) => *self.syncs.entry(*host).or_default() += 1,
            Seen::Says { host, outputs } => {
                let most = self.bursts.entry(*host).or_default();
                *most = burst(outputs).max(*most);
            }
            _ => {}
        }
    }

    /// Returns the number of messages that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the number of fsyncs of a host.
    pub(crate) fn syncs(&self, host: Host) -> u64 {
        self.syncs.get(&host).copied().unwrap_or(0)
    }

    /// Returns the greatest number of messages that a host ever sent to one peer at once.
    pub(crate) fn burst(&self, host: Host) -> usize {
        self.bursts.get(&host).copied().unwrap_or(0)
    }
}

/// Returns the greatest number of messages that go to one peer.
pub(crate) fn burst(outputs: &[Output]) -> usize {
    let mut to = BTreeMap::new();
    for output in outputs {
        if let Output::Log(log::Output::Send { to: peer, .. }) = output {
            *to.entry(*peer).or_insert(0) += 1;
        }
    }
    to.into_values().max().unwrap_or(0)
}
