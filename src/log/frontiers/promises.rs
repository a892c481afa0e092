//! Promises of members: which are believed, and which belong to another continuation of a log.

use super::{Fork, Frontiers, Origin, Word};
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::config::Now;
use crate::log::message::Promise;

impl Frontiers {
    /// The greatest promise that was heard, believed or not: to its origin this says what it has said itself.
    pub(in crate::log) fn greatest_heard(&self, origin: NodeId) -> Promise {
        let greatest = |origin: &Origin| {
            let heard = origin.heard.unwrap_or(origin.promise);
            if origin.greatest.hlc > heard.hlc { origin.greatest } else { heard }
        };
        self.origins.get(&origin).map(greatest).unwrap_or_default()
    }

    /// Remembers a promise for its origin, whatever of it is believed. A process that has not made it runs on an old copy of
    /// the origin's directory.
    pub(in crate::log) fn remember(&mut self, node: NodeId, promise: Promise) {
        let greatest = &mut self.origins.entry(node).or_default().greatest;
        if promise.hlc > greatest.hlc {
            *greatest = promise;
        }
    }

    pub(crate) fn heard_at(&self, origin: NodeId) -> Option<Millis> {
        self.origins.get(&origin)?.heard_at
    }

    /// When a member's believed promise last moved, or it became a member here, in `elapsed` time.
    pub(in crate::log) fn moved_at(&self, member: NodeId) -> Millis {
        self.origins.get(&member).and_then(|origin| origin.moved_at).unwrap_or_default()
    }

    /// Whoever has more of a log than is here has ops above what its origin has promised here; otherwise the promise is
    /// another continuation's.
    pub(in crate::log) fn check_promise(&mut self, node: NodeId, promise: Promise, by: NodeId) {
        let here = self.promise(node);
        if promise.seq > here.seq && promise.hlc < here.hlc {
            self.note_fork(node, Fork { by, seq: here.seq + 1 });
        }
    }

    /// Takes note of a promise that `by` passes on: believed once the prefix that it speaks of is here, kept until then.
    /// Returns the latest that is believed.
    pub(in crate::log) fn hear(&mut self, node: NodeId, promise: Promise, by: NodeId, now: Now) -> Hlc {
        let origin = self.origins.entry(node).or_default();
        match planted!(log::word(origin.word(promise), promise, origin.promise.hlc)) {
            Word::Early => {
                origin.heard = Some(origin.heard.filter(|heard| heard.hlc >= promise.hlc).unwrap_or(promise));
            }
            Word::Other(seq) => self.note_fork(node, Fork { by, seq }),
            Word::News => {
                origin.promise.hlc = promise.hlc;
                (origin.heard_at, origin.moved_at) = (Some(now.wall), Some(now.elapsed));
            }
            Word::Old => {}
        }
        self.promise(node).hlc
    }

    /// Believes what was heard before its prefix arrived, now that the log is here up to `applied`.
    pub(in crate::log) fn believe(&mut self, node: NodeId, now: Now) {
        let Some(origin) = self.origins.get_mut(&node) else { return };
        (origin.heard_at, origin.moved_at) = (Some(now.wall), Some(now.elapsed));
        let applied = origin.promise.seq;
        if let Some(heard) = origin.heard.take_if(|heard| heard.seq <= applied) {
            // With more of the log than the promise spoke of its ops say more.
            if heard.seq == applied && heard.chain == origin.chain {
                origin.promise.hlc = origin.promise.hlc.max(heard.hlc);
            }
        }
    }

    /// After a restart: the stored watermark is a promise of every member that it counted, and its prefix is here. What
    /// of their promises was not stored may be lost for good with them, but others must still be able to follow this
    /// node's verdicts.
    pub(in crate::log) fn recall(&mut self, members: impl IntoIterator<Item = NodeId>) {
        for member in members {
            let promise = &mut self.origins.entry(member).or_default().promise;
            promise.hlc = promise.hlc.max(self.watermark);
        }
    }
}
