//! What is kept, and for how long. Old events leave the feed; once the last event about a registration that is over has
//! left, the registration leaves the registry too.
//!
//! How old an event is hangs on the wall clock, which is no judge of what is right. So nothing that is forgotten changes
//! a verdict (see [`crate::crdt`]): what is over is decided, and an id is remembered for as long as, by the watermark, a
//! twin may come. And what an evicted node took stays until it is back, because it may have yet to tell what became of it.

use std::ops::ControlFlow;

use super::private::Stays;
use super::{Reader, Writer};
use crate::clock::{Hlc, Millis, Stamp};
use crate::crdt::{ID_WINDOW, Registration};
use crate::store::Direction;
use crate::store::schema::{self, Address, Cell, Due, OverKey, Rows, SaidAll, Span, WalkedTo};

/// Registrations that one step forgets, or looks at, at most, so that a step stays short. A guess.
const AT_ONCE: usize = 256;

/// Whether all claims of a registration have ended for good.
pub(super) fn has_ended(registration: &Registration) -> bool {
    registration.claims.iter().all(|claim| claim.ended.is_some())
}

/// When to look for what can go, and what was never looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Retention {
    /// In `elapsed` time.
    look_at: Millis,
    /// Registrations after this place may be over without a row that says so: they came with a snapshot, or were over
    /// while everything was kept.
    sweep: Option<WalkedTo>,
    /// The cluster keeps everything, as far as this was looked at last.
    keeps_all: bool,
}

impl Reader<'_> {
    /// Whether the outcome of a registration is still to be told.
    fn is_open(&self, registration: Stamp) -> bool {
        !self.log.is_decided(registration) || self.registry.verdicts.is_contested(registration)
    }

    /// The rows whose time has come.
    fn due(&self, upto: Due) -> Vec<(Address<schema::Over>, Option<OverKey>, SaidAll)> {
        let mut due = Vec::new();
        schema::Over::scan(self.store, &Span::<schema::Over>::until(upto), Direction::Up, &mut |found| {
            due.push((found.address(), found.key(), found.row()));
            if due.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        due
    }

    /// Whether nothing more will be told of a registration whose claims have all ended.
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

    /// While everything is kept, what is over gets no row that says so: once not everything is kept any more, it is looked for.
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

    /// Takes note of a registration some claim of which has ended for good, in case that was the last.
    pub(crate) fn note_over(&mut self, registration: &Registration) {
        if self.log.keep_events().is_some() && has_ended(registration) {
            // Others that carry its id may still bring events, and so may a feed that has not reached it.
            let alone = registration.chosen_id.is_none() && self.registry.retelling.is_none();
            let last = alone && self.reader().is_settled(registration);
            self.enter_over(registration.stamp, last);
        }
    }

    /// Enters a registration that is over; with `last` where nothing more will be told of it, nor of any that carries its
    /// id: then the events about it have left the feed once the feed begins at the number that comes next now. Without
    /// `last` more may be told until then, and the row is written again.
    fn enter_over(&mut self, stamp: Stamp, last: bool) {
        let key = OverKey { due: Due::Feed(self.registry.feed.upcoming()), stamp };
        schema::Over::put(self.store, key, &SaidAll(last));
    }

    /// Drops what need not be kept any more: once a heartbeat, and in the next step where that left some.
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

    /// True where some were left.
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

    /// Enters some of the registrations that are over without a row that says so. They stay for longer than those that are
    /// over now.
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

    /// A registration is not to be looked at again before the watermark has passed this time.
    fn wait_for(&mut self, end: Millis, stamp: Stamp) {
        let due = Due::Watermark(Hlc::from_millis(end.plus(1)));
        schema::Over::put(self.store, OverKey { due, stamp }, &SaidAll(false));
    }

    /// Forgets registrations that are over and that no event speaks of any more. True where some were left.
    fn forget_over(&mut self, keep: u64) -> bool {
        let waited = self.reader().due(Due::Watermark(self.log.watermark()));
        let told = self.reader().due(Due::Feed(self.registry.feed.earliest()));
        let some_left = waited.len().max(told.len()) == AT_ONCE;
        for (address, key, _) in waited {
            schema::Over::delete_at(self.store, address);
            key.into_iter().for_each(|key| self.enter_over(key.stamp, false));
        }
        for (address, key, SaidAll(said_all)) in told {
            schema::Over::delete_at(self.store, address);
            key.into_iter().for_each(|key| self.forget(key.stamp, said_all, keep));
        }
        some_left
    }

    /// Forgets a registration, and with it all who carry its id: the last of them that is over brings all.
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
