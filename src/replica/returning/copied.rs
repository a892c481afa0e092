//! A node whose directory was a copy, put back or restored: readers of its feed have been told more than the copy has. What
//! comes next has cursors that no reader has seen, and what the copy lacks is told once more.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use uuid::Uuid;

use super::super::feed::EventKind;
use super::super::{META_UNTOLD, Replica};
use super::Told;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::codec;
use crate::crdt::{ClaimRecord, Registration, Seq, read_record};
use crate::store::{Direction, Store, Table};

impl<S: Store> Replica<S> {
    /// The directory is a copy: what was accepted after that was made is told in the life to come.
    pub(in crate::replica) fn leave_copied_feed(&mut self) {
        self.feed.pass_over(&mut self.registry.store);
        let accepted = codec::encode(&self.finality.promised_by_key(self.me));
        self.registry.store.put(Table::Meta, META_UNTOLD.to_vec(), accepted);
    }

    /// The same where others have more ops of this node than it has: a copy was put in the place of its directory unawares.
    pub(in crate::replica) fn leave_copied_feed_beyond(&mut self, seen: Seq) {
        if seen > self.registry.applied_of(self.me) {
            tracing::warn!("others have ops of this node that it does not know: its data directory is an old copy");
            self.leave_copied_feed();
        }
    }

    /// Where the feed is that of a copy: tells what this node accepted after that was made, and what became of it. Readers
    /// may have been told before, under cursors that the feed passes over; `seen` has what it speaks of itself.
    pub(super) fn tell_untold(&mut self, seen: &BTreeSet<Uuid>) {
        let Some(since) = self.registry.store.get(Table::Meta, META_UNTOLD) else { return };
        let since: Hlc = read_record(&since, "timestamp");
        self.registry.store.delete(Table::Meta, META_UNTOLD.to_vec());
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
