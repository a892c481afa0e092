//! Retention: old events leave the feed, and once the last event about a registration that is over has left, the
//! registration leaves the registry too.
//!
//! The age of an event depends on the wall clock, which must not affect what is decided. So nothing that is forgotten
//! changes a verdict (see [`crate::crdt`]): a registration that is over is decided, and by the watermark an id is
//! remembered as long as a twin may arrive. The registrations of an evicted node stay until it returns, because it may
//! still have to report their outcome.

use std::ops::ControlFlow;

use super::private::Stays;
use super::{Reader, Writer};
use crate::clock::{Hlc, Millis, Stamp};
use crate::crdt::{ID_WINDOW, Registration};
use crate::store::Direction;
use crate::store::schema::{self, Address, Cell, Due, OverKey, Rows, SaidAll, Span, WalkedTo};

/// Registrations that one step forgets or examines at most, so that a step stays short. A guess.
const AT_ONCE: usize = 256;

/// Returns true where all claims of a registration have ended for good.
pub(super) fn has_ended(registration: &Registration) -> bool {
    registration.claims.iter().all(|claim| claim.ended.is_some())
}

/// When to look for registrations that can be forgotten, and which were never examined.
#[derive(Clone, Debug, Default)]
pub(super) struct Retention {
    /// The time of the next look, in `elapsed` time.
    look_at: Millis,
    /// Registrations after this place may be over without a row in [`schema::Over`], because they came with a snapshot,
    /// or ended while everything was kept.
    sweep: Option<WalkedTo>,
    /// True where the cluster's setting, when it was last read, was to keep everything.
    keeps_all: bool,
}

impl Reader<'_> {
    /// Returns true where the outcome of a registration is still to be written to the feed.
    fn is_open(&self, registration: Stamp) -> bool {
        !self.log.is_decided(registration) || self.registry.verdicts.is_contested(registration)
    }

    /// Returns the rows that are due.
    fn due(&self, upto: Due) -> Vec<(Address<schema::Over>, Option<OverKey>, SaidAll)> {
        let mut due = Vec::new();
        schema::Over::scan(self.store, &Span::<schema::Over>::until(upto), Direction::Up, &mut |found| {
            due.push((found.address(), found.key(), found.row()));
            if due.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        due
    }

    /// Returns true where no more events will be written about a registration whose claims have all ended.
    pub(crate) fn is_settled(&self, registration: &Registration) -> bool {
        let decided = registration.seq <= self.log.decided(registration.stamp.node);
        (registration.rejected || decided) && !self.registry.verdicts.is_contested(registration.stamp)
    }
}

impl Writer<'_> {
    pub(crate) fn load_retention(&mut self) {
        let swept = schema::Swept::is_set(self.store);
        self.registry.retention.sweep = (!swept).then(WalkedTo::default);
        self.registry.retention.keeps_all = false;
        self.look_at_setting();
    }

    /// Reads the setting. While everything is kept, registrations that are over get no row in [`schema::Over`], so they
    /// are searched for once the setting changes.
    fn look_at_setting(&mut self) {
        let keeps_all = self.log.keep_events().is_none();
        if std::mem::replace(&mut self.registry.retention.keeps_all, keeps_all) == keeps_all {
            return;
        }
        if keeps_all {
            schema::Swept::clear_if_set(self.store);
        } else {
            self.registry.retention.sweep = Some(WalkedTo::default());
        }
    }

    /// Called when a claim has ended for good: enters the registration where that was its last claim.
    pub(crate) fn note_over(&mut self, registration: &Registration) {
        if self.log.keep_events().is_some() && has_ended(registration) {
            // Twins of the registration may still produce events, and so may a repetition of events that has not
            // reached it.
            let alone = registration.chosen_id.is_none() && self.registry.retelling.is_none();
            let last = alone && self.reader().is_settled(registration);
            self.enter_over(registration.stamp, last);
        }
    }

    /// Enters a registration that is over. With `last`, no more events will be written about it or its twins, so all
    /// events about it have left the feed once the feed begins at the number of the next event. Without `last`, more
    /// events may be written until then, and the row is then written again.
    fn enter_over(&mut self, stamp: Stamp, last: bool) {
        let key = OverKey { due: Due::Feed(self.registry.feed.upcoming()), stamp };
        schema::Over::put(self.store, key, &SaidAll(last));
    }

    /// Drops data that need not be kept any more: once per heartbeat, and in the next step where that left some.
    pub(crate) fn tidy(&mut self) {
        self.look_at_setting();
        let Some(keep) = self.log.keep_events() else { return };
        if self.registry.now.elapsed < self.registry.retention.look_at {
            return;
        }
        self.registry.retention.look_at = self.registry.now.elapsed.plus(self.registry.config.tidy_every);
        let comes_back = self.registry.reissue.has_open() || self.registry.retelling.is_some();
        if comes_back || !self.log.may_forget() {
            return;
        }
        let before = Millis(self.log.cluster_time().0.saturating_sub(keep));
        let more_events = self.drop_old_events(before);
        self.sweep(keep);
        if self.forget_over(keep) || more_events {
            self.registry.retention.look_at = self.registry.now.elapsed;
        }
    }

    /// Drops old events. Returns true where some were left.
    fn drop_old_events(&mut self, before: Millis) -> bool {
        let old =
            self.registry.feed.old_chunks(self.store, before, &|registration| self.reader().is_open(registration));
        if old > 0 {
            self.registry.feed.drop_chunks(self.store, old);
            tracing::debug!(
                earliest = self.registry.feed.earliest(),
                "dropped events that are older than they are kept"
            );
        }
        old == super::feed::DROPPED_AT_ONCE
    }

    /// Enters some of the registrations that are over without a row. They are kept for longer than those that end now.
    fn sweep(&mut self, keep: u64) {
        let Some(done) = self.registry.retention.sweep.take() else { return };
        let mut looked: Vec<Registration> = Vec::new();
        schema::Registrations::scan(self.store, &done.rest(), Direction::Up, &mut |found| {
            looked.push(found.row());
            if looked.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let end = self.log.watermark().millis().plus(keep);
        for registration in looked.iter().filter(|registration| has_ended(registration)) {
            self.wait_for(end, registration.stamp);
        }
        match looked.last().filter(|_| looked.len() == AT_ONCE) {
            Some(last) => self.registry.retention.sweep = Some(WalkedTo(Some(last.stamp))),
            None => schema::Swept::save(self.store, &()),
        }
    }

    /// Postpones the next look at a registration until the watermark has passed this time.
    fn wait_for(&mut self, end: Millis, stamp: Stamp) {
        let due = Due::Watermark(Hlc::from_millis(end.plus(1)));
        schema::Over::put(self.store, OverKey { due, stamp }, &SaidAll(false));
    }

    /// Forgets registrations that are over and that no kept event refers to. Returns true where some were left.
    fn forget_over(&mut self, keep: u64) -> bool {
        let waited = self.reader().due(Due::Watermark(self.log.watermark()));
        let told = self.reader().due(Due::Feed(self.registry.feed.earliest()));
        let some_left = waited.len().max(told.len()) == AT_ONCE;
        for (address, key, _) in waited {
            schema::Over::delete_at(self.store, &address);
            key.into_iter().for_each(|key| self.enter_over(key.stamp, false));
        }
        for (address, key, SaidAll(said_all)) in told {
            schema::Over::delete_at(self.store, &address);
            key.into_iter().for_each(|key| self.forget(key.stamp, said_all, keep));
        }
        some_left
    }

    /// Forgets a registration together with all its twins. The last of them to be over triggers it.
    fn forget(&mut self, stamp: Stamp, said_all: bool, keep: u64) {
        let load = |stamp: &Stamp| Registration::load(self.store, *stamp);
        let Some(registration) = load(&stamp) else { return };
        let run = registration.chosen_id.map(|id| self.registry.lattice.run(self.store, id, stamp)).unwrap_or_default();
        let all: Vec<_> = if run.is_empty() { vec![registration] } else { run.iter().filter_map(load).collect() };
        if !all.iter().all(has_ended) {
            return;
        }
        if all.iter().any(|one| !self.reader().is_settled(one)) {
            return self.enter_over(stamp, false);
        }
        let watermark = self.log.watermark();
        if !all.iter().all(|one| self.log.is_told(one.stamp.node)) {
            return self.wait_for(watermark.millis().plus(keep), stamp);
        }
        if let Some(last) = run.last()
            && watermark.millis() <= last.hlc.millis().plus(ID_WINDOW)
        {
            return self.wait_for(last.hlc.millis().plus(ID_WINDOW), stamp);
        }
        for one in &all {
            match self.reader().stays_in_private(one) {
                None => {}
                Some(Stays::Until(end)) => return self.wait_for(end.millis(), stamp),
                Some(Stays::ForGood) => return,
            }
        }
        if let Some(end) = all.iter().filter_map(|one| self.reader().keeps_names_until(one)).max() {
            return self.wait_for(end, stamp);
        }
        if !said_all {
            return self.enter_over(stamp, true);
        }
        self.registry.lattice.settle(self.store, watermark);
        for one in &all {
            self.registry.lattice.forget(self.store, one);
            self.forget_endings(one);
            self.forget_typed(one.id());
        }
    }
}
