//! The promises of members: which are believed, and which belong to another continuation of a log.

use super::{Fork, Frontiers, Origin, Word};
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::config::Now;
use crate::log::message::Promise;

impl Frontiers {
    /// Returns the greatest promise of an origin that has arrived, believed or not. It is sent to the origin itself,
    /// which compares it with what it has promised.
    pub(in crate::log) fn greatest_heard(&self, origin: NodeId) -> Promise {
        let greatest = |origin: &Origin| {
            let heard = origin.heard.unwrap_or(origin.promise);
            if origin.greatest.hlc > heard.hlc { origin.greatest } else { heard }
        };
        self.origins.get(&origin).map(greatest).unwrap_or_default()
    }

    /// Remembers a promise for its origin, also where it is not believed. A process of the origin that has not made
    /// this promise runs on an old copy of the directory.
    pub(in crate::log) fn remember(&mut self, node: NodeId, promise: Promise) {
        let greatest = &mut self.origins.entry(node).or_default().greatest;
        if promise.hlc > greatest.hlc {
            *greatest = promise;
        }
    }

    pub(crate) fn heard_at(&self, origin: NodeId) -> Option<Millis> {
        self.origins.get(&origin)?.heard_at
    }

    /// Returns when a member's believed promise last moved, or when the member was admitted here, in `elapsed` time.
    pub(in crate::log) fn moved_at(&self, member: NodeId) -> Millis {
        self.origins.get(&member).and_then(|origin| origin.moved_at).unwrap_or_default()
    }

    /// Checks a promise about more ops than this node has. The origin has promised this node a timestamp, so ops that
    /// follow lie above it. Where the promise is below that timestamp, it belongs to another continuation.
    pub(in crate::log) fn check_promise(&mut self, node: NodeId, promise: Promise, by: NodeId) {
        let here = self.promise(node);
        if promise.seq > here.seq && promise.hlc < here.hlc {
            self.note_fork(node, Fork { by, seq: here.seq + 1 });
        }
    }

    /// Takes note of a promise that `by` sends. It is believed once this node has the prefix that it is about, and kept
    /// until then. Returns the latest promise that is believed.
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

    /// Believes a promise that arrived before its prefix, where this node has the prefix now.
    pub(in crate::log) fn believe(&mut self, node: NodeId, now: Now) {
        let Some(origin) = self.origins.get_mut(&node) else { return };
        (origin.heard_at, origin.moved_at) = (Some(now.wall), Some(now.elapsed));
        let applied = origin.promise.seq;
        if let Some(heard) = origin.heard.take_if(|heard| heard.seq <= applied) {
            // Where this node has more of the log than the promise is about, the later ops promise more.
            if heard.seq == applied && heard.chain == origin.chain {
                origin.promise.hlc = origin.promise.hlc.max(heard.hlc);
            }
        }
    }

    /// Restores the members' promises after a restart. The stored watermark is a promise of every member that it
    /// counted, and this node has the prefixes. What was not stored of their promises may be lost with these members,
    /// but others must still be able to follow this node's verdicts.
    pub(in crate::log) fn recall(&mut self, members: impl IntoIterator<Item = NodeId>) {
        for member in members {
            let promise = &mut self.origins.entry(member).or_default().promise;
            promise.hlc = promise.hlc.max(self.watermark);
        }
    }
}
