//! The registry's rules, broken on purpose: see [`planted`](crate::planted). Each function is given what a rule says and hands
//! it on, or says something else where the bug is planted that it is for; the last two do what must not be done.

use super::Writer;
use super::feed::EventKind;
use super::waiters::Waiter;
use crate::clock::{Hlc, Stamp};
use crate::log::{Now, Op};
use crate::planted::{Bug, is};

/// Those who wait for a later twin.
pub(super) fn handed_over(waiters: Vec<Waiter>) -> Vec<Waiter> {
    if is(Bug::WaitersForgotten) { Vec::new() } else { waiters }
}

/// The registration that stands for the id of a later twin.
pub(super) fn earlier_twin(first: Option<Stamp>) -> Option<Stamp> {
    first.filter(|_| !is(Bug::TwinCountedAsLoser))
}

/// How many names of a rejected registration are freed.
pub(super) fn freed(all: usize) -> usize {
    match (is(Bug::LosersKeepNames), is(Bug::LosersFreeOneName)) {
        (true, _) => 0,
        (_, true) => 1,
        _ => all,
    }
}

/// Whether losing is final.
pub(super) fn may_reject(may: bool) -> bool {
    may || is(Bug::RejectedTooEarly)
}

/// The time by which reservations end.
pub(super) fn expired_by(watermark: Hlc, now: Now) -> Hlc {
    if is(Bug::ExpiryByLocalClock) { Hlc::from_millis(now.wall) } else { watermark }
}

/// The ops that may be void.
pub(super) fn void(ops: Vec<Op>) -> Vec<Op> {
    if is(Bug::VoidForgotten) { Vec::new() } else { ops }
}

/// Whether a new feed tells of a registration anew.
pub(super) fn retells(retells: bool) -> bool {
    retells && !is(Bug::NothingRetold)
}

/// A registration was confirmed.
pub(super) fn confirmed(writer: &mut Writer<'_>, registration: Stamp) {
    if is(Bug::ToldTwice) {
        writer.tell(EventKind::Confirmed, registration);
    }
}

/// The op of a registration that lost is decided.
pub(super) fn lost(writer: &mut Writer<'_>, registration: Stamp, replaces: bool) {
    if is(Bug::ConfirmedThoughLost) {
        writer.confirm(registration, replaces);
    }
}
