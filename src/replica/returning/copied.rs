//! A node whose directory was a copy, put back or restored: readers of its feed have been told more than the copy has. What
//! comes next has cursors that no reader has seen, and what the copy lacks is told once more.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::feed::EventKind;
use super::super::{META_UNTOLD, Replica};
use super::Told;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::codec;
use crate::crdt::{ClaimRecord, Registration, Seq, read_record};
use crate::store::{Direction, Store, Table};

/// What the feed may not have told of what this node accepted itself, from the end of a life until the next has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::replica) struct Untold {
    /// All that it accepted at or before this timestamp was told, and of what is later that which the feed speaks of.
    since: Hlc,
    /// The directory is a copy, so there may be something.
    copied: bool,
}

impl<S: Store> Replica<S> {
    fn untold(&self) -> Option<Untold> {
        let bytes = self.registry.store.get(Table::Meta, META_UNTOLD)?;
        Some(read_record(&bytes, "word on what is untold"))
    }

    /// This life ends. Should the directory turn out to be a copy, whose next life was lived elsewhere, that shows when the
    /// state is gone.
    pub(in crate::replica) fn note_told(&mut self, copied: bool) {
        let before = self.untold();
        // Whatever the node accepted elsewhere after the copy was made is later: promises are never below a watermark.
        let here = self.installed.then(|| self.finality.watermark());
        let since = before.as_ref().map(|before| before.since).into_iter().chain(here).min();
        if let Some(since) = since {
            let untold = Untold { since, copied: copied || before.is_some_and(|before| before.copied) };
            self.registry.store.put(Table::Meta, META_UNTOLD.to_vec(), codec::encode(&untold));
        }
    }

    /// The directory is a copy: what was accepted after that was made is told in the life to come.
    pub(in crate::replica) fn leave_copied_feed(&mut self) {
        self.feed.pass_over(&mut self.registry.store, self.now.wall);
        self.note_told(true);
    }

    /// This life was ended by others, who have seen so much of its log. Whether the directory is a copy shows only where that is
    /// more than it has, so the feed passes over what may have been told elsewhere in any case.
    pub(in crate::replica) fn leave_feed(&mut self, seen: Seq) {
        if seen > self.registry.applied_of(self.me) {
            tracing::warn!("others know more of this node than it does: its data directory is an old copy");
            self.leave_copied_feed();
        } else if self.installed {
            self.feed.pass_over(&mut self.registry.store, self.now.wall);
        }
    }

    /// Whether the feed is known to be that of a copy.
    pub(in crate::replica) fn is_copied(&self) -> bool {
        self.untold().is_some_and(|untold| untold.copied)
    }

    /// It is back, and what counts of its earlier lives is here: all that is untold has been told.
    pub(super) fn end_untold(&mut self) {
        if self.returning.untold && self.is_member() && !self.membership.has_earlier_incarnation(self.me) {
            self.returning.untold = false;
            self.registry.store.delete(Table::Meta, META_UNTOLD.to_vec());
        }
    }

    /// Where the feed is that of a copy: tells what this node accepted after that was made, and what became of it. Readers
    /// may have been told before, under cursors that the feed passes over; `seen` has what it speaks of itself.
    pub(super) fn tell_untold(&mut self, seen: &BTreeSet<Uuid>) {
        let Some(Untold { since, .. }) = self.untold().filter(|untold| untold.copied) else { return };
        let (mut own, from) = (Vec::new(), Stamp { hlc: since, node: NodeId(u64::MAX) });
        self.registry.store.scan(Table::Registrations, &from.to_bytes(), None, Direction::Up, &mut |key, value| {
            let mine = Stamp::from_bytes(key).is_some_and(|stamp| stamp.node.key_part() == self.me.key_part());
            own.extend(mine.then(|| Registration::decode(value).ok()).flatten());
            ControlFlow::Continue(())
        });
        own.retain(|registration| !self.is_twin(registration) && !seen.contains(&registration.id()));
        for registration in own {
            let told = [(EventKind::Accepted, true)].into_iter().chain(self.became(&registration));
            for kind in told.filter(|(_, so)| *so).map(|(kind, _)| kind).collect::<Vec<_>>() {
                self.feed.push(kind, registration.stamp, self.now.wall);
            }
        }
    }

    /// What is final of a registration, as events.
    fn became(&self, registration: &Registration) -> impl Iterator<Item = (EventKind, bool)> {
        let (outcome, lost) = (self.follows(Some(registration), Told::Outcome), registration.rejected);
        let ended = |(index, record): (usize, &ClaimRecord)| {
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            record.ended.filter(|_| !lost).map(|reason| (EventKind::NameEnded(index, reason), true))
        };
        let ended: Vec<_> = registration.claims.iter().enumerate().filter_map(ended).collect();
        let activated = registration.activated_in_time() && self.follows(Some(registration), Told::Activated);
        [
            (EventKind::Rejected, outcome && lost),
            (EventKind::Confirmed, outcome && !lost),
            (EventKind::Activated, activated),
        ]
        .into_iter()
        .chain(ended)
    }
}
