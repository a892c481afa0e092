//! The outbox: it holds outputs back until the batch that they depend on is durable.

use std::collections::VecDeque;

use super::input::Output;
use crate::clock::{Millis, NodeId};
use crate::log::{self, Seq};
use crate::store::Batch;

/// The most outputs that wait for the disk; beyond it messages among them are dropped. A guess: some hundred megabytes.
const MOST_HELD_BACK: usize = 100_000;
/// A disk that makes nothing durable for so many milliseconds hangs, and the node reports it. A guess: longer than a
/// busy disk takes, shorter than an operator's patience.
const DISK_HANGS: u64 = 2000;

/// The outputs of a node that have not been handed out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The outputs of this step.
    step: Vec<Output>,
    /// The outputs that depend on no batch that could be lost.
    at_once: Vec<Output>,
    /// The outputs that wait for their batches, in order.
    pub(super) gated: VecDeque<(Batch, Output)>,
    pub(super) persisted: Batch,
    /// The batches that are not durable yet and extend this node's own log, each with the last op that it has, in
    /// order.
    own_log: VecDeque<(Batch, Seq)>,
    /// The last op of this node's own log that is durable.
    own_durable: Seq,
    /// Since when the disk has made nothing durable, in `elapsed` time; none where nothing waits for it.
    disk_waits: Option<Millis>,
    disk_logged: bool,
}

impl Outbox {
    pub(super) fn push(&mut self, output: Output) {
        self.step.push(output);
    }

    pub(super) fn extend(&mut self, outputs: impl IntoIterator<Item = Output>) {
        self.step.extend(outputs);
    }

    /// Adds an output that does not wait for the disk. It is handed out with the next ones.
    pub(super) fn push_at_once(&mut self, output: Output) {
        self.at_once.push(output);
    }

    /// Notes that the store has made a batch, and all before it, durable.
    pub(super) fn persisted(&mut self, batch: Batch) {
        if batch > self.persisted {
            self.disk_waits = None;
        }
        self.persisted = self.persisted.max(batch);
        while let Some((_, seq)) = self.own_log.pop_front_if(|(batch, _)| *batch <= self.persisted) {
            self.own_durable = seq;
        }
    }

    /// Notes a committed batch, with the last op of this node's own log that it has.
    pub(super) fn committed(&mut self, batch: Batch, own: Seq) {
        if self.own_log.back().map_or(self.own_durable, |(_, seq)| *seq) != own {
            self.own_log.push_back((batch, own));
        }
    }

    /// Returns true where this op of this node's own log is durable.
    pub(super) fn holds_own(&self, seq: Seq) -> bool {
        self.own_durable >= seq
    }

    /// Drops the outputs to a peer whose connection is gone. Outputs that still wait for the disk belong to that
    /// connection: a request to join that was sent on the next connection would bring a snapshot that nobody waits for
    /// any more and that mixes with another.
    pub(super) fn forget_peer(&mut self, peer: NodeId) {
        let gone = |output: &Output| {
            let Output::Log(log::Output::Send { to, .. } | log::Output::SendSnapshot { to, .. }) = output else {
                return false;
            };
            *to == peer
        };
        self.gated.retain(|(_, output)| !gone(output));
        self.step.retain(|output| !gone(output));
    }

    /// Ends a step whose outputs depend on this batch. Returns the outputs that may be acted upon now.
    pub(super) fn end_step(&mut self, batch: Batch, now: Millis) -> Vec<Output> {
        if self.gated.is_empty() && batch <= self.persisted {
            self.disk_waits = None;
            self.at_once.append(&mut self.step);
            return std::mem::take(&mut self.at_once);
        }
        self.hold_back(batch, now);
        self.release()
    }

    /// Holds this step's outputs back until its batch is durable. While the disk hangs, messages that anti-entropy
    /// makes up for are dropped. Where too many outputs wait already, all messages are.
    fn hold_back(&mut self, batch: Batch, now: Millis) {
        let since = *self.disk_waits.get_or_insert(now);
        let waited = now.since(since);
        if waited < DISK_HANGS {
            self.disk_logged = false;
        } else if !std::mem::replace(&mut self.disk_logged, true) {
            tracing::error!(for_ms = waited, "the disk has made nothing durable; what depends on it waits");
        }
        let room = MOST_HELD_BACK.saturating_sub(self.gated.len());
        let mut outputs = std::mem::take(&mut self.step);
        if waited >= DISK_HANGS {
            outputs.retain(
                |output| !matches!(output, Output::Log(log::Output::Send { message, .. }) if message.is_said_again()),
            );
        }
        if outputs.len() > room {
            outputs.retain(|output| !matches!(output, Output::Log(log::Output::Send { .. })));
        }
        self.gated.extend(outputs.drain(..).map(|output| (batch, output)));
        self.step = outputs;
    }

    /// Takes the outputs whose batches are durable.
    pub(super) fn release(&mut self) -> Vec<Output> {
        let durable =
            self.gated.iter().take_while(|(batch, _)| planted!(replica::is_durable(*batch <= self.persisted))).count();
        let mut released = std::mem::take(&mut self.at_once);
        released.extend(self.gated.drain(..durable).map(|(_, output)| output));
        released
    }

    /// Returns for how many milliseconds the disk has made nothing durable, where that is long.
    pub(super) fn disk_hangs(&self, now: Millis) -> Option<u64> {
        let waited = now.since(self.disk_waits?);
        (waited >= DISK_HANGS).then_some(waited)
    }

    /// Returns the same where no more outputs can wait for the disk.
    pub(super) fn is_full(&self, now: Millis) -> Option<u64> {
        self.disk_hangs(now).filter(|_| self.gated.len() >= MOST_HELD_BACK)
    }

    /// Takes the outputs of a step that has halted the node. Outputs that are held back stay so.
    pub(super) fn take_step(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.step)
    }

    /// Drops all outputs and leaves only this one.
    pub(super) fn halt(&mut self, reason: String) {
        self.gated.clear();
        self.at_once.clear();
        self.step = vec![Output::Halt(reason)];
    }
}
