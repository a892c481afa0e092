//! The registry's rules, broken on purpose: see [`planted`](crate::planted). Each function receives the result of a
//! rule and returns it unchanged, unless the bug that it stands for is planted; the last two do something in addition.

use std::collections::BTreeMap;

use super::Writer;
use super::feed::EventKind;
use super::waiters::Waiter;
use crate::clock::{Hlc, Stamp};
use crate::log::{Now, Op};
use crate::planted::{Bug, is};

/// The requests that wait for a later twin; with the bug, they are forgotten.
pub(super) fn handed_over(waiters: BTreeMap<u64, Waiter>) -> BTreeMap<u64, Waiter> {
    if is(Bug::WaitersForgotten) { BTreeMap::new() } else { waiters }
}

/// The earlier twin of a registration; with the bug, a twin counts as an ordinary loser.
pub(super) fn earlier_twin(first: Option<Stamp>) -> Option<Stamp> {
    first.filter(|_| !is(Bug::TwinCountedAsLoser))
}

/// How many names of a rejected registration are freed; with a bug, none or one.
pub(super) fn freed(all: usize) -> usize {
    match (is(Bug::LosersKeepNames), is(Bug::LosersFreeOneName)) {
        (true, _) => 0,
        (_, true) => 1,
        _ => all,
    }
}

/// Whether a registration that lost may be rejected; with the bug, at once.
pub(super) fn may_reject(may: bool) -> bool {
    may || is(Bug::RejectedTooEarly)
}

/// The time by which reservations end; with the bug, the local clock.
pub(super) fn expired_by(watermark: Hlc, now: Now) -> Hlc {
    if is(Bug::ExpiryByLocalClock) { Hlc::from_millis(now.wall) } else { watermark }
}

/// The ops that may be void; with the bug, none are kept.
pub(super) fn void(ops: Vec<Op>) -> Vec<Op> {
    if is(Bug::VoidForgotten) { Vec::new() } else { ops }
}

/// Whether a new feed repeats a registration's events; with the bug, it never does.
pub(super) fn retells(retells: bool) -> bool {
    retells && !is(Bug::NothingRetold)
}

/// Called when a registration is confirmed; with the bug, the event is written twice.
pub(super) fn confirmed(writer: &mut Writer<'_>, registration: Stamp) {
    if is(Bug::ToldTwice) {
        writer.tell(EventKind::Confirmed, registration);
    }
}

/// Called when the op of a registration that lost is decided; with the bug, it is confirmed.
pub(super) fn lost(writer: &mut Writer<'_>, registration: Stamp, replaces: bool) {
    if is(Bug::ConfirmedThoughLost) {
        writer.confirm(registration, replaces);
    }
}
