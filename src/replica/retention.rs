//! What is kept, and for how long. Old events leave the feed; once the last event about a registration that is over has
//! left, the registration leaves the registry too.
//!
//! How old an event is hangs on the wall clock, which is no judge of what is right. So nothing that is forgotten changes
//! a verdict (see [`crate::crdt`]): what is over is decided, and an id is remembered for as long as, by the watermark, a
//! twin may come. And what an evicted node took stays until it is back, because it may have yet to tell what became of it.

use std::ops::ControlFlow;

use super::private::Stays;
use super::{META_SWEPT, Replica};
use crate::clock::{Hlc, Millis, NodeId, Stamp};
use crate::crdt::{ID_WINDOW, Registration};
use crate::store::{Direction, Store, Table};

/// Registrations that one step forgets, or looks at, at most, so that a step stays short. A guess.
const AT_ONCE: usize = 256;

/// Rows of [`Table::Over`] that wait for the feed: this, the first cursor that nothing was told at yet, the stamp.
const BY_CURSOR: u8 = b'c';
/// What such a row holds where nothing more will be told: what was told before it has left the feed once the feed begins
/// there. Without it more may have been told since, and the row is written again.
const SAID_ALL: &[u8] = b"all";
/// Those that wait for the watermark first: this, a timestamp that it must reach, the stamp.
const BY_WATERMARK: u8 = b'w';

fn row(by: u8, due: u64, stamp: Stamp) -> Vec<u8> {
    [&[by], due.to_be_bytes().as_slice(), &stamp.to_bytes()].concat()
}

/// Whether a key is one of [`Table::Over`].
pub(super) fn stamp_over(key: &[u8]) -> Option<Stamp> {
    let ([BY_CURSOR | BY_WATERMARK], rest) = key.split_first_chunk()? else { return None };
    Stamp::from_bytes(rest.get(8..)?)
}

/// Whether all claims of a registration have ended for good.
pub(super) fn has_ended(registration: &Registration) -> bool {
    registration.claims.iter().all(|claim| claim.ended.is_some())
}

/// When to look for what can go, and what was never looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Retention {
    /// In `elapsed` time.
    look_at: Millis,
    /// Registrations from this key on may be over without a row that says so: they came with a snapshot, or were over
    /// while everything was kept.
    sweep: Option<Vec<u8>>,
}

impl<S: Store> Replica<S> {
    pub(super) fn load_retention(&mut self) {
        let swept = self.registry.store.get(Table::Meta, META_SWEPT).is_some();
        self.retention.sweep = (!swept).then(Vec::new);
        if swept && self.config.keep_events.is_none() {
            self.registry.store.delete(Table::Meta, META_SWEPT.to_vec());
        }
    }

    /// Takes note of a registration some claim of which has ended for good, in case that was the last.
    pub(super) fn note_over(&mut self, registration: &Registration) {
        if self.config.keep_events.is_some() && has_ended(registration) {
            // Others that carry its id may still bring events, and so may a feed that has not reached it.
            let alone = registration.chosen_id.is_none() && self.retelling.is_none();
            let last = alone && self.is_settled(registration);
            self.enter_over(registration.stamp, last);
        }
    }

    /// Enters a registration that is over; with `last` where nothing more will be told of it, nor of any that carries its
    /// id.
    fn enter_over(&mut self, stamp: Stamp, last: bool) {
        let value = if last { SAID_ALL.to_vec() } else { Vec::new() };
        self.registry.store.put(Table::Over, row(BY_CURSOR, self.feed.upcoming(), stamp), value);
    }

    /// Drops what need not be kept any more: once a heartbeat, and in the next step where that left some.
    pub(super) fn tidy(&mut self) {
        let Some(keep) = self.config.keep_events else { return };
        if self.now.elapsed < self.retention.look_at {
            return;
        }
        self.retention.look_at = self.now.elapsed.plus(self.config.heartbeat);
        // A clock that is off from all others' is no judge of age.
        let comes_back = self.has_void() || self.retelling.is_some() || self.is_starting();
        if comes_back || !self.is_member() || self.clock_suspect().is_some() {
            return;
        }
        let before = Millis(self.now.wall.0.saturating_sub(keep));
        let more_events = self.drop_old_events(before);
        self.sweep(keep);
        if self.forget_over(keep) || more_events {
            self.retention.look_at = self.now.elapsed;
        }
    }

    /// True where some were left.
    fn drop_old_events(&mut self, before: Millis) -> bool {
        let old = self.feed.old_chunks(&self.registry.store, before, &|registration| self.is_open(registration));
        if old > 0 {
            self.feed.drop_chunks(&mut self.registry.store, old);
            tracing::debug!(earliest = self.feed.earliest(), "dropped events that are older than they are kept");
        }
        old == super::feed::DROPPED_AT_ONCE
    }

    /// Whether the outcome of a registration is still to be told.
    fn is_open(&self, registration: Stamp) -> bool {
        !self.finality.is_decided(registration) || self.finality.is_contested(registration)
    }

    /// Enters some of the registrations that are over without a row that says so. They stay for longer than those that are
    /// over now.
    fn sweep(&mut self, keep: u64) {
        let Some(from) = self.retention.sweep.take() else { return };
        let mut looked: Vec<Registration> = Vec::new();
        self.registry.store.scan(Table::Registrations, &from, None, Direction::Up, &mut |_, bytes| {
            looked.push(Registration::read(bytes));
            if looked.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let end = self.finality.watermark().millis().plus(keep);
        for registration in looked.iter().filter(|registration| has_ended(registration)) {
            self.wait_for(end, registration.stamp);
        }
        match looked.last().filter(|_| looked.len() == AT_ONCE) {
            Some(last) => self.retention.sweep = Some([last.stamp.to_bytes().as_slice(), &[0]].concat()),
            None => self.registry.store.put(Table::Meta, META_SWEPT.to_vec(), Vec::new()),
        }
    }

    /// A registration is not to be looked at again before the watermark has passed this time.
    fn wait_for(&mut self, end: Millis, stamp: Stamp) {
        let end = Hlc::from_millis(end.plus(1));
        self.registry.store.put(Table::Over, row(BY_WATERMARK, end.0, stamp), Vec::new());
    }

    /// Forgets registrations that are over and that no event speaks of any more. True where some were left.
    fn forget_over(&mut self, keep: u64) -> bool {
        let waited = self.due(BY_WATERMARK, self.finality.watermark().0);
        let told = self.due(BY_CURSOR, self.feed.earliest());
        for (key, _) in &waited {
            self.registry.store.delete(Table::Over, key.clone());
            stamp_over(key).into_iter().for_each(|stamp| self.enter_over(stamp, false));
        }
        for (key, said_all) in &told {
            self.registry.store.delete(Table::Over, key.clone());
            stamp_over(key).into_iter().for_each(|stamp| self.forget(stamp, *said_all, keep));
        }
        waited.len().max(told.len()) == AT_ONCE
    }

    /// The rows whose time has come, each with whether nothing more was to be told when it was written.
    fn due(&self, by: u8, upto: u64) -> Vec<(Vec<u8>, bool)> {
        let mut due = Vec::new();
        let end = [&[by], upto.saturating_add(1).to_be_bytes().as_slice()].concat();
        self.registry.store.scan(Table::Over, &[by], Some(&end), Direction::Up, &mut |key, value| {
            due.push((key.to_vec(), value == SAID_ALL));
            if due.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        due
    }

    /// Forgets a registration, and with it all who carry its id: the last of them that is over brings all.
    fn forget(&mut self, stamp: Stamp, said_all: bool, keep: u64) {
        let load = |stamp: &Stamp| Registration::load(&self.registry.store, *stamp);
        let Some(registration) = load(&stamp) else { return };
        let run = registration.chosen_id.map(|id| self.registry.run(id, stamp)).unwrap_or_default();
        let all: Vec<_> = if run.is_empty() { vec![registration] } else { run.iter().filter_map(load).collect() };
        if !all.iter().all(has_ended) {
            return;
        }
        if all.iter().any(|one| !self.is_settled(one)) {
            return self.enter_over(stamp, false);
        }
        let watermark = self.finality.watermark();
        if !all.iter().all(|one| self.is_told(one.stamp.node)) {
            return self.wait_for(watermark.millis().plus(keep), stamp);
        }
        if let Some(last) = run.last()
            && watermark.millis() <= last.hlc.millis().plus(ID_WINDOW)
        {
            return self.wait_for(last.hlc.millis().plus(ID_WINDOW), stamp);
        }
        for one in &all {
            match self.stays_in_private(one) {
                None => {}
                Some(Stays::Until(end)) => return self.wait_for(end.millis(), stamp),
                Some(Stays::ForGood) => return,
            }
        }
        if !said_all {
            return self.enter_over(stamp, true);
        }
        self.registry.settle(watermark);
        for one in &all {
            self.registry.forget(one);
            self.forget_endings(one);
            self.forget_typed(one.id());
        }
    }

    /// Whether an origin knows what became of its registrations, or never asks: it is here, or has left of its own accord.
    fn is_told(&self, origin: NodeId) -> bool {
        let same = |member: NodeId| member.key_part() == origin.key_part();
        self.membership.members().any(same) || self.membership.departed(origin).is_some()
    }

    /// Whether nothing more will be told of a registration whose claims have all ended.
    pub(super) fn is_settled(&self, registration: &Registration) -> bool {
        let decided = registration.seq <= self.finality.decided(registration.stamp.node);
        (registration.rejected || decided) && !self.finality.is_contested(registration.stamp)
    }
}
