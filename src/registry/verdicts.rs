//! Verdicts: what follows once ops are decided. Registrations are confirmed or rejected, claims end, events are
//! written.
//!
//! The log says which ops are decided, in the order of their stamps. One walk over them gives every verdict except
//! rejections, which wait until a majority holds the displacing op.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use super::causes::Causes;
use super::feed::EventKind;
use super::retention::has_ended;
use super::{Reader, Writer};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::crdt::{ClaimRecord, ClaimRef, EndReason, NameOp, Registration};
use crate::log::{Body, Op, Seq};
use crate::log::{Decision, read_log};
use crate::store::schema::{self, Rows, Span};
use crate::store::{Direction, Store};

/// Reservations that one step ends at most, so that a step stays short. A guess.
const EXPIRE_AT_ONCE: usize = 256;

/// The content of an undecided op, as far as its verdict needs it.
#[derive(Clone, Debug)]
enum What {
    Register {
        replaces: bool,
    },
    Activate(Stamp),
    Release(Box<ClaimRef>),
    Extend(Stamp),
    Erase(Stamp),
    /// Nothing follows when the op is decided.
    Other,
}

impl What {
    fn of(op: &Op) -> Self {
        let Body::Name(said) = op.body() else { return Self::Other };
        match said {
            NameOp::Register(register) => Self::Register { replaces: register.replaces.is_some() },
            NameOp::Activate { registration } => Self::Activate(*registration),
            NameOp::Release(claim) => Self::Release(Box::new(claim.clone())),
            NameOp::Extend { registration, .. } => Self::Extend(*registration),
            NameOp::Erase { registration } => Self::Erase(*registration),
            NameOp::Namespace { .. } | NameOp::Webhook { .. } | NameOp::StopWebhook { .. } => Self::Other,
        }
    }
}

/// An applied op that is not decided.
#[derive(Clone, Debug)]
struct Undecided {
    seq: Seq,
    hlc: Hlc,
    what: What,
}

/// A registration that lost, until its rejection and the end of its claims are final.
#[derive(Clone, Debug)]
struct Contest {
    /// The number of the registration's op in its log.
    seq: Seq,
    /// True where the client chose the id. Until the registration's own op is decided, an earlier twin may still
    /// arrive.
    chosen: bool,
    /// True once the registration's own op is decided.
    decided: bool,
    rejected: bool,
}

/// The undecided ops, and the registrations whose loss is not final.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdicts {
    /// The applied and undecided ops of each log.
    undecided: BTreeMap<NodeId, VecDeque<Undecided>>,
    contests: BTreeMap<Stamp, Contest>,
    /// Contests by the op that a majority must hold before they can be decided: `(origin, seq, contest)`.
    watches: BTreeSet<(NodeId, Seq, Stamp)>,
    /// Contests that must be looked at in this step.
    check: BTreeSet<Stamp>,
    /// Registrations that lost in this step.
    news: Vec<Stamp>,
    /// True where some registration lost or was rejected in this step.
    fates_changed: bool,
    /// The earliest end of a reservation that is still to be ended.
    next_expiry: Option<Hlc>,
    /// True where the last step has left reservations that are to be ended.
    expires_on: bool,
    /// The number of registrations among the undecided ops.
    pending: u64,
}

impl Verdicts {
    /// Returns the number of registrations whose outcome is not final.
    pub(crate) fn pending(&self) -> u64 {
        let waiting = self.contests.values().filter(|contest| contest.decided && !contest.rejected).count();
        self.pending + waiting as u64
    }

    /// Returns the earliest end of a reservation that is still to be ended.
    pub(crate) fn next_expiry(&self) -> Option<Hlc> {
        self.next_expiry
    }

    /// Returns true where reservations are left that are to be ended in the next step.
    pub(crate) fn expires_on(&self) -> bool {
        self.expires_on
    }

    pub(crate) fn has_contests(&self) -> bool {
        !self.contests.is_empty()
    }

    pub(crate) fn is_contested(&self, registration: Stamp) -> bool {
        self.contests.contains_key(&registration)
    }

    /// Returns true where records of registrations changed in this step other than by their own requests.
    pub(crate) fn take_fates_changed(&mut self) -> bool {
        std::mem::take(&mut self.fates_changed)
    }

    /// Notes an op that was just applied.
    pub(crate) fn applied(&mut self, op: &Op) {
        self.wait_for(op);
        if let Body::Name(NameOp::Register(register)) = op.body()
            && let Some(expires) = register.expires
        {
            self.next_expiry = Some(self.next_expiry.map_or(expires, |next| next.min(expires)));
        }
    }

    fn wait_for(&mut self, op: &Op) {
        let what = What::of(op);
        self.pending += u64::from(matches!(what, What::Register { .. }));
        self.undecided.entry(op.node).or_default().push_back(Undecided { seq: op.seq, hlc: op.hlc, what });
    }

    /// Removes an op that is decided, and returns its content. The log decides the ops of each origin in their order.
    fn take_decided(&mut self, stamp: Stamp) -> What {
        let first = self.undecided.get_mut(&stamp.node).and_then(VecDeque::pop_front);
        match first {
            Some(op) if op.hlc == stamp.hlc => op.what,
            other => unreachable!("{stamp} is decided, and the next undecided op of its log is {other:?}"),
        }
    }

    /// Marks the contests that wait for a majority to hold more of this log.
    fn held(&mut self, origin: NodeId, before: Seq, now: Seq) {
        let last = Stamp { hlc: Hlc(u64::MAX), node: NodeId(u64::MAX) };
        let reached: Vec<_> = self.watches.range((origin, before, last)..=(origin, now, last)).copied().collect();
        for watch in reached {
            self.watches.remove(&watch);
            self.check.insert(watch.2);
        }
    }

    /// Finds an undecided release of a claim among the last `among` ops of each log.
    pub(crate) fn undecided_release(&self, claim: &ClaimRef, among: usize) -> Option<(Stamp, Seq)> {
        let released = |op: &&Undecided| matches!(&op.what, What::Release(released) if **released == *claim);
        self.undecided.iter().find_map(|(node, ops)| {
            let op = ops.iter().rev().take(among).find(released)?;
            Some((Stamp { hlc: op.hlc, node: *node }, op.seq))
        })
    }
}

impl Reader<'_> {
    fn majority_holds(&self, origin: NodeId, seq: Seq) -> bool {
        seq <= self.log.majority(origin)
    }
}

impl Writer<'_> {
    /// Records and announces all that follows from what the log has decided.
    pub(crate) fn decide(&mut self, Decision { held, ops }: Decision) {
        for (origin, before, now) in held {
            self.registry.verdicts.held(origin, before, now);
        }
        for stamp in ops {
            let what = self.registry.verdicts.take_decided(stamp);
            self.decide_op(stamp, what);
        }
        while let Some(stamp) = self.registry.verdicts.check.pop_first() {
            self.judge(stamp);
        }
        for stamp in std::mem::take(&mut self.registry.verdicts.news) {
            let open = self.registry.verdicts.contests.get(&stamp).is_some_and(|contest| !contest.rejected);
            let lost = Registration::load(self.store, stamp).filter(|_| open);
            // Where there are twins, the event may have been written for another one.
            let alone = |lost: &Registration| {
                let id = lost.chosen_id.filter(|_| lost.has_twins);
                id.is_none_or(|id| self.registry.lattice.run(self.store, id, lost.stamp).len() < 2)
            };
            if let Some(lost) = lost.filter(alone) {
                self.tell(EventKind::Contested(self.reader().causes(&lost).lost_to()), stamp);
            }
        }
        self.expire();
        self.erase_due();
    }

    /// Notes registrations that lost.
    pub(crate) fn on_lost(&mut self, lost: &[Stamp]) {
        for stamp in lost {
            let is_known = self.registry.verdicts.is_contested(*stamp);
            schema::Contested::put(self.store, *stamp, &());
            self.contest(*stamp);
            if !is_known && self.registry.verdicts.contests.get(stamp).is_some_and(|contest| contest.decided) {
                tracing::error!(registration = %stamp, "a confirmed registration lost: some member issued an op below its promise");
            }
            self.registry.verdicts.news.push(*stamp);
            self.registry.verdicts.fates_changed = true;
        }
    }

    /// Loads the undecided ops and the registrations whose loss is not final.
    pub(crate) fn load_verdicts(&mut self) {
        self.registry.verdicts = Verdicts { next_expiry: first_expiry(self.store), ..Verdicts::default() };
        let verdicts = &mut self.registry.verdicts;
        for origin in self.log.logs() {
            read_log(self.store, origin, self.log.decided(origin) + 1, &mut |op| {
                verdicts.wait_for(&op);
                ControlFlow::Continue(())
            });
        }
        let mut contested = Vec::new();
        schema::Contested::each(self.store, &Span::all(), |found| contested.extend(found.key()));
        contested.into_iter().for_each(|stamp| self.contest(stamp));
    }

    fn contest(&mut self, stamp: Stamp) {
        let Some(registration) = Registration::load(self.store, stamp) else { return };
        let contest = Contest {
            seq: registration.seq,
            chosen: registration.chosen_id.is_some(),
            decided: registration.seq <= self.log.decided(stamp.node),
            rejected: registration.rejected,
        };
        self.registry.verdicts.contests.insert(stamp, contest);
        self.registry.verdicts.check.insert(stamp);
    }

    fn decide_op(&mut self, stamp: Stamp, what: What) {
        let about = match &what {
            What::Activate(about) | What::Extend(about) | What::Erase(about) => Some(*about),
            What::Release(claim) => Some(claim.registration),
            What::Register { .. } | What::Other => None,
        };
        if let Some(about) = about {
            self.registry.lattice.give_up_early(self.store, about);
        }
        match what {
            What::Register { replaces } => {
                self.registry.verdicts.pending -= 1;
                if let Some(contest) = self.registry.verdicts.contests.get_mut(&stamp) {
                    contest.decided = true;
                    self.registry.verdicts.check.insert(stamp);
                    planted!(do registry::lost(self, stamp, replaces));
                } else {
                    self.confirm(stamp, replaces);
                }
            }
            What::Activate(registration) => self.activated(stamp, registration),
            What::Extend(registration) => self.extended(registration),
            What::Erase(registration) => self.end_all(registration, stamp.hlc),
            What::Release(claim) => self.end_claim(&claim, EndReason::Released, stamp.hlc),
            What::Other => {}
        }
    }

    pub(super) fn confirm(&mut self, stamp: Stamp, replaces: bool) {
        self.tell(EventKind::Confirmed, stamp);
        planted!(do registry::confirmed(self, stamp));
        self.registry.waiters.decided(stamp);
        if replaces
            && let Some(replaced) = Registration::load(self.store, stamp).and_then(|registration| registration.replaces)
        {
            self.end_claim(&replaced, EndReason::Replaced, stamp.hlc);
        }
    }

    /// Ends a claim for good, by the op with this timestamp.
    fn end_claim(&mut self, ended: &ClaimRef, reason: EndReason, by: Hlc) {
        let Some(mut registration) = Registration::load(self.store, ended.registration) else { return };
        let place = |record: &ClaimRecord| record.claim.namespace == ended.namespace && record.claim.key == ended.key;
        let Some(index) = registration.claims.iter().position(place) else { return };
        if registration.claims[index].ended.is_none() {
            registration.claims[index].ended = Some(reason);
            registration.save(self.store);
            self.note_end(registration.stamp, index, by);
            self.tell_ended(&registration, index, reason);
            self.note_over(&registration);
            self.may_hold_no_more(&registration);
        }
    }

    /// Ends all claims of a registration for good, because the op that erases it is decided.
    fn end_all(&mut self, registration: Stamp, by: Hlc) {
        let Some(registration) = Registration::load(self.store, registration) else { return };
        for ClaimRecord { claim, .. } in registration.claims {
            let ended = ClaimRef { registration: registration.stamp, namespace: claim.namespace, key: claim.key };
            self.end_claim(&ended, EndReason::Released, by);
        }
    }

    /// Erases registrations once their `Erase` op is decided and their outcome is final.
    fn erase_due(&mut self) {
        if self.registry.lattice.erasing().is_empty() {
            return;
        }
        let watermark = self.log.watermark();
        let early = self.registry.lattice.erasing().iter().take_while(|(by, _)| by.hlc <= watermark);
        let decided = early.filter(|(by, _)| self.log.is_decided(*by));
        let known = decided.filter_map(|(_, stamp)| Registration::load(self.store, *stamp));
        let due: Vec<_> = known.filter(|known| has_ended(known) && self.reader().is_settled(known)).collect();
        for registration in due {
            self.registry.allowances.forget(&registration.owner);
            self.holds_no_more_when_erased(&registration);
            self.registry.lattice.settle(self.store, watermark);
            self.forget_typed(registration.id());
            self.registry.lattice.erase(self.store, registration);
            self.registry.verdicts.fates_changed = true;
        }
    }

    fn tell_ended(&mut self, registration: &Registration, index: usize, reason: EndReason) {
        if !registration.lost {
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            self.tell(EventKind::NameEnded(index, reason), registration.stamp);
        }
    }

    /// Handles a final activation. The first one that came in time counts.
    fn activated(&mut self, stamp: Stamp, registration: Stamp) {
        let Some(registration) = Registration::load(self.store, registration) else { return };
        let over = registration.lost || has_ended(&registration);
        if registration.activated == Some(stamp) && registration.activated_in_time() && !over {
            self.tell(EventKind::Activated, registration.stamp);
        }
    }

    /// Handles a final extension: no op that is yet to arrive can change what it rests on.
    fn extended(&mut self, registration: Stamp) {
        if let Some(mut registration) = Registration::load(self.store, registration) {
            let watermark = self.log.watermark();
            self.registry.lattice.settle_end(self.store, &mut registration, watermark);
        }
    }

    /// Rejects a registration that lost once this is final, and ends its claims once its own op is decided.
    fn judge(&mut self, stamp: Stamp) {
        let Some(contest) = self.registry.verdicts.contests.get(&stamp).cloned() else { return };
        let rejects = !contest.rejected && planted!(registry::may_reject(self.may_reject(stamp, &contest)));
        let frees = contest.rejected && contest.decided;
        if !rejects && !frees {
            return;
        }
        let Some(mut registration) = Registration::load(self.store, stamp) else { return };
        if rejects {
            let causes = self.reader().causes(&registration);
            if !self.held_cause(stamp, &causes) {
                return;
            }
            registration.rejected = true;
            self.reject(stamp, &causes);
        }
        if !contest.decided {
            registration.save(self.store);
            self.registry.verdicts.contests.insert(stamp, Contest { rejected: true, ..contest });
            return;
        }
        let held = !has_ended(&registration);
        let freed = planted!(registry::freed(registration.claims.len()));
        registration.claims.iter_mut().take(freed).for_each(|record| {
            record.ended.get_or_insert(EndReason::Rejected);
        });
        registration.save(self.store);
        self.registry.verdicts.contests.remove(&stamp);
        schema::Contested::delete(self.store, stamp);
        self.note_over(&registration);
        if held {
            self.may_hold_no_more(&registration);
        }
    }

    /// Records a rejection, and tells whoever waits for it.
    fn reject(&mut self, stamp: Stamp, causes: &Causes) {
        self.note_rejection(stamp);
        self.registry.verdicts.fates_changed = true;
        match planted!(registry::earlier_twin(causes.earlier_twin())) {
            Some(first) => self.registry.waiters.hand_over(stamp, first),
            None => {
                self.tell(EventKind::Rejected(causes.lost_to()), stamp);
                self.registry.waiters.decided(stamp);
            }
        }
    }

    /// Returns true where no other registration under the same id can take the place of this one and win. An earlier
    /// twin could, until this registration's own op is decided. Where this op becomes void, its origin could issue it
    /// anew, until a majority holds it; but an origin does not issue anew what it has rejected.
    fn may_reject(&mut self, stamp: Stamp, contest: &Contest) -> bool {
        if contest.decided {
            return true;
        }
        let held = stamp.node == self.registry.me || self.reader().majority_holds(stamp.node, contest.seq);
        if !held {
            self.registry.verdicts.watches.insert((stamp.node, contest.seq, stamp));
        }
        held && !contest.chosen
    }

    /// Returns true where a majority holds an op that a registration lost to. Watches for that otherwise.
    fn held_cause(&mut self, lost: Stamp, causes: &Causes) -> bool {
        let mut held = false;
        for cause in causes.iter() {
            // A winner that is forgotten was decided long ago.
            let Some(winner) = &cause.winner else { return true };
            if self.reader().majority_holds(cause.stamp.node, winner.seq) {
                held = true;
            } else {
                self.registry.verdicts.watches.insert((cause.stamp.node, winner.seq, lost));
            }
        }
        held
    }

    /// Ends the reservations that the watermark has passed and nobody activated in time. Those whose own outcome is still
    /// open end later, so that their events come in order. Where more are left than one step may end, the next step goes on.
    fn expire(&mut self) {
        self.registry.verdicts.expires_on = false;
        let time = planted!(registry::expired_by(self.log.watermark(), self.registry.now));
        if self.registry.verdicts.next_expiry.is_none_or(|next| next > time) {
            return;
        }
        let (verdicts, log, mut due) = (&self.registry.verdicts, &self.log, Vec::new());
        let may_end = |stamp: &Stamp| log.is_decided(*stamp) && !verdicts.is_contested(*stamp);
        schema::Expiries::scan(self.store, &Span::<schema::Expiries>::until(time), Direction::Up, &mut |found| {
            due.extend(found.key().map(|(_, stamp)| stamp).filter(may_end));
            if due.len() < EXPIRE_AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let (is_all, mut any) = (due.len() < EXPIRE_AT_ONCE, false);
        for stamp in due {
            if self.expire_one(stamp) {
                self.log.keep_watermark();
                any = true;
            }
        }
        let verdicts = &mut self.registry.verdicts;
        (verdicts.expires_on, verdicts.next_expiry) = (any && !is_all, first_expiry(self.store));
    }

    /// Ends the reservations that the last step has left, where no step decides anything.
    pub(crate) fn expire_on(&mut self) {
        if self.registry.verdicts.expires_on {
            self.expire();
        }
    }

    /// Ends one reservation. Returns false where it is not known or has no end.
    fn expire_one(&mut self, stamp: Stamp) -> bool {
        let Some(mut registration) = Registration::load(self.store, stamp) else { return false };
        let Some(end) = registration.end() else { return false };
        let held = !has_ended(&registration) || self.reader().lost_in_private(&registration);
        if !registration.activated_in_time() {
            for index in 0..registration.claims.len() {
                if registration.claims[index].ended.is_none() {
                    registration.claims[index].ended = Some(EndReason::Expired);
                    self.note_end(stamp, index, end);
                    self.tell_ended(&registration.clone(), index, EndReason::Expired);
                }
            }
            registration.save(self.store);
            self.note_over(&registration);
        }
        if held {
            self.may_hold_no_more(&registration);
        }
        schema::Expiries::delete(self.store, (end, stamp));
        true
    }
}

/// Returns the earliest end of a reservation.
fn first_expiry(store: &dyn Store) -> Option<Hlc> {
    schema::Expiries::first(store, &Span::all(), Direction::Up, |found| found.key().map(|(end, _)| end))
}
