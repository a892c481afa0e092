//! What follows once something is final: the watermark and the majorities rise, ops are decided in stamp order, and
//! registrations are confirmed or rejected, claims ended, events written.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use super::super::answer::Waiting;
use super::super::feed::EventKind;
use super::super::retention::has_ended;
use super::super::{Replica, log};
use super::{Contest, Undecided, What};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::crdt::{ClaimRecord, ClaimRef, EndReason, Registration, Seq};
use crate::model::Time;
use crate::store::Store;
use crate::store::schema::{self, Rows, Span};

impl<S: Store> Replica<S> {
    /// Decides everything that has become final, and records and announces it.
    pub(in crate::replica) fn decide(&mut self) {
        // What it issued last, and does not know of any more, may lie below the others' promises. And a newcomer may have
        // its state from one that is out and does not know it yet: some of that may be void.
        if !self.is_member() || self.is_starting() {
            return;
        }
        let risen = self.raise_watermark() | self.raise_majorities();
        let decided = if risen { self.newly_decided() } else { Vec::new() };
        for (stamp, op) in decided {
            self.decide_op(stamp, op);
        }
        while let Some(stamp) = self.finality.check.pop_first() {
            self.judge(stamp);
        }
        for stamp in std::mem::take(&mut self.finality.news) {
            let open = self.finality.contests.get(&stamp).is_some_and(|contest| !contest.rejected);
            let lost = Registration::load(&self.registry.store, stamp).filter(|_| open);
            // Where several carry its id the event may have been told of another one.
            let alone =
                |lost: &Registration| lost.chosen_id.is_none_or(|id| self.registry.run(id, lost.stamp).len() < 2);
            if let Some(lost) = lost.filter(alone) {
                self.tell(EventKind::Contested(self.lost_to(&lost)), stamp);
            }
        }
        self.expire();
        self.erase_due();
    }

    /// The members whose word an op with this stamp still waits for.
    pub(in crate::replica) fn waiting_for(&self, stamp: Stamp, seq: Seq) -> Vec<Waiting> {
        let others = || self.membership.members().filter(|member| *member != self.me);
        let silent: Vec<_> = others().filter(|member| self.promised_by(*member) < stamp.hlc).collect();
        let waiting = if silent.is_empty() {
            others().filter(|member| *member != stamp.node && self.finality.held(*member, stamp.node) < seq).collect()
        } else {
            silent
        };
        let describe = |node| {
            let label = self.contacts.get(&node).map(|contact| contact.label.clone()).unwrap_or_default();
            Waiting { node, label, since: self.finality.heard_at(node).map(Time) }
        };
        waiting.into_iter().map(describe).collect()
    }

    /// Whether some other member may yet issue something with an earlier timestamp, as far as this node knows.
    pub(in crate::replica) fn lacks_promises(&self, stamp: Stamp) -> bool {
        let mut others = self.membership.members().filter(|member| *member != self.me);
        others.any(|member| self.promised_by(member) < stamp.hlc)
    }

    /// How many members hold an op, and of how many.
    pub(in crate::replica) fn holders(&self, origin: NodeId, seq: Seq) -> (usize, usize) {
        let holds =
            |member: &NodeId| *member == self.me || *member == origin || self.finality.held(*member, origin) >= seq;
        (self.membership.members().filter(holds).count(), self.membership.count())
    }

    /// A release that is not decided, among so many ops of each log.
    pub(in crate::replica) fn undecided_release(&self, claim: &ClaimRef, among: usize) -> Option<(Stamp, Seq)> {
        let released = |op: &&Undecided| matches!(&op.what, What::Release(released) if **released == *claim);
        self.finality.origins.iter().find_map(|(node, origin)| {
            let op = origin.undecided.iter().rev().take(among).find(released)?;
            Some((Stamp { hlc: op.hlc, node: *node }, op.seq))
        })
    }

    /// The earliest op that is not decided.
    pub(in crate::replica) fn oldest_undecided(&self) -> Option<(Stamp, Seq)> {
        self.finality.oldest()
    }

    /// Takes note of registrations that lost.
    pub(in crate::replica) fn on_lost(&mut self, lost: &[Stamp]) {
        for stamp in lost {
            if !self.finality.is_contested(*stamp) && self.is_decided(*stamp) {
                tracing::error!(registration = %stamp, "a confirmed registration lost: some member issued an op below its promise");
            }
            schema::Contested::put(&mut self.registry.store, *stamp, &());
            self.contest(*stamp);
            self.finality.news.push(*stamp);
            self.finality.fates_changed = true;
        }
    }

    /// Reads the ops after the decided prefixes, and the contests that were open.
    pub(in crate::replica) fn load_undecided(&mut self, applied: &BTreeMap<NodeId, Seq>) {
        for origin in applied.keys() {
            let mut queue = VecDeque::new();
            log::read(&self.registry.store, *origin, self.finality.decided(*origin) + 1, &mut |op| {
                queue.push_back(Undecided::new(&op));
                ControlFlow::Continue(())
            });
            let registers = queue.iter().filter(|op| matches!(op.what, What::Register { .. })).count();
            self.finality.pending += registers as u64;
            if let Some(origin) = self.finality.origins.get_mut(origin) {
                origin.undecided = queue;
            }
        }
        let mut contested = Vec::new();
        schema::Contested::each(&self.registry.store, &Span::all(), |found| contested.extend(found.key()));
        contested.into_iter().for_each(|stamp| self.contest(stamp));
    }

    fn is_decided(&self, stamp: Stamp) -> bool {
        let registration = Registration::load(&self.registry.store, stamp);
        registration.is_some_and(|registration| registration.seq <= self.finality.decided(stamp.node))
    }

    fn contest(&mut self, stamp: Stamp) {
        let Some(registration) = Registration::load(&self.registry.store, stamp) else { return };
        let contest = Contest {
            chosen: registration.chosen_id.is_some(),
            decided: registration.seq <= self.finality.decided(stamp.node),
            rejected: registration.rejected,
        };
        self.finality.contests.insert(stamp, contest);
        self.finality.check.insert(stamp);
    }

    fn promised_by(&self, member: NodeId) -> Hlc {
        if member == self.me {
            return self.clock.last();
        }
        // What another continuation of its log has is not here, whatever this one promises.
        if self.finality.fork(member).is_some() {
            return Hlc::ZERO;
        }
        self.finality.promise(member).hlc.max(self.membership.floor(member))
    }

    /// True where it has risen.
    fn raise_watermark(&mut self) -> bool {
        let watermark = self.finality.watermark;
        let lags = |member: NodeId| self.membership.is_member(member) && self.promised_by(member) <= watermark;
        if self.finality.laggard.is_some_and(lags) {
            return false;
        }
        let left_out = usize::from(planted!(WatermarkLeavesOneOut) && self.membership.count() > 1);
        let members = self.membership.members().skip(left_out);
        if let Some((least, laggard)) = members.map(|member| (self.promised_by(member), member)).min() {
            self.finality.watermark = least.max(watermark);
            self.finality.laggard = Some(laggard);
        }
        self.finality.watermark > watermark
    }

    /// Works out again what a majority holds of each log that somebody said something new about. True where that is more
    /// of some log.
    fn raise_majorities(&mut self) -> bool {
        let mut risen = false;
        let stale = std::mem::take(&mut self.finality.stale);
        let stale: Vec<_> = if std::mem::take(&mut self.finality.all_stale) {
            self.registry.applied().iter().map(|dot| *dot.actor).collect()
        } else {
            // While the members stay the same, a majority that holds all that is here cannot come to hold more.
            let majority = |node: &NodeId| self.finality.origins.get(node).map_or(0, |origin| origin.majority);
            stale.into_iter().filter(|node| majority(node) < self.registry.applied_of(*node)).collect()
        };
        for node in stale {
            let majority = self.held_by_majority(node);
            let Some(origin) = self.finality.origins.get_mut(&node) else { continue };
            // Where the membership has changed it may be less than before; what is decided stays so.
            let before = std::mem::replace(&mut origin.majority, majority.max(origin.decided));
            if majority > before {
                risen = true;
                let over = (node, before, Stamp { hlc: Hlc(u64::MAX), node: NodeId(u64::MAX) });
                let upto = (node, majority, over.2);
                let reached: Vec<_> = self.finality.watches.range(over..=upto).copied().collect();
                for watch in reached {
                    self.finality.watches.remove(&watch);
                    self.finality.check.insert(watch.2);
                }
            }
        }
        risen
    }

    /// The prefix of a log that more than half of the members hold. The origin holds what it issued; this node holds what it
    /// has acknowledged. The frozen are among those who hold for as long as they are members, but not of what the origin
    /// issued after it froze them.
    fn held_by_majority(&self, origin: NodeId) -> Seq {
        let applied = self.registry.applied_of(origin);
        let held = |member: NodeId| match member {
            _ if member == origin => applied,
            _ if member == self.me => self.acknowledged(origin).seq,
            _ => self.finality.held(member, origin),
        };
        let held = |member| held(member).min(self.membership.counts_as_held(origin, member));
        let mut held: Vec<_> = self.membership.members().map(held).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        held.get(self.membership.count() / 2).copied().unwrap_or(0).min(applied)
    }

    /// Takes the ops that are at or below the watermark and held by a majority off their queues, in stamp order.
    fn newly_decided(&mut self) -> Vec<(Stamp, Undecided)> {
        let mut decided = Vec::new();
        for (node, origin) in &mut self.finality.origins {
            let before = decided.len();
            // Of a log with two continuations nobody can tell what others have decided.
            let forked = origin.fork.is_some();
            while let Some(op) = origin
                .undecided
                .pop_front_if(|op| !forked && op.seq <= origin.majority && op.hlc <= self.finality.watermark)
            {
                (origin.decided, origin.decided_chain) = (op.seq, Some(op.chain));
                decided.push((Stamp { hlc: op.hlc, node: *node }, op));
            }
            if decided.len() > before {
                self.finality.unsaved.insert(*node);
            }
        }
        decided.sort_unstable_by_key(|(stamp, _)| *stamp);
        decided
    }

    fn decide_op(&mut self, stamp: Stamp, op: Undecided) {
        let about = match &op.what {
            What::Activate(about) | What::Extend(about) | What::Erase(about) => Some(*about),
            What::Release(claim) => Some(claim.registration),
            What::Register { .. } | What::Other => None,
        };
        if let Some(about) = about {
            self.registry.give_up_early(about);
        }
        match op.what {
            What::Register { replaces } => {
                self.finality.pending -= 1;
                if let Some(contest) = self.finality.contests.get_mut(&stamp) {
                    contest.decided = true;
                    self.finality.check.insert(stamp);
                    if planted!(ConfirmedThoughLost) {
                        self.confirm(stamp, replaces);
                    }
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

    fn confirm(&mut self, stamp: Stamp, replaces: bool) {
        self.tell(EventKind::Confirmed, stamp);
        if planted!(ToldTwice) {
            self.tell(EventKind::Confirmed, stamp);
        }
        self.waiters.decided(stamp);
        if replaces
            && let Some(replaced) =
                Registration::load(&self.registry.store, stamp).and_then(|registration| registration.replaces)
        {
            self.end_claim(&replaced, EndReason::Replaced, stamp.hlc);
        }
    }

    /// The end of a claim is final: that of the op with this timestamp.
    fn end_claim(&mut self, ended: &ClaimRef, reason: EndReason, by: Hlc) {
        let Some(mut registration) = Registration::load(&self.registry.store, ended.registration) else { return };
        let place = |record: &ClaimRecord| record.claim.namespace == ended.namespace && record.claim.key == ended.key;
        let Some(index) = registration.claims.iter().position(place) else { return };
        if registration.claims[index].ended.is_none() {
            registration.claims[index].ended = Some(reason);
            registration.save(&mut self.registry.store);
            self.note_end(registration.stamp, index, by);
            self.tell_ended(&registration, index, reason);
            self.note_over(&registration);
        }
    }

    /// That a registration has given up all of its names, before it is erased, is final.
    fn end_all(&mut self, registration: Stamp, by: Hlc) {
        let Some(registration) = Registration::load(&self.registry.store, registration) else { return };
        for ClaimRecord { claim, .. } in registration.claims {
            let ended = ClaimRef { registration: registration.stamp, namespace: claim.namespace, key: claim.key };
            self.end_claim(&ended, EndReason::Released, by);
        }
    }

    /// Erases what is to be erased, as soon as that is final and so is all that became of it.
    fn erase_due(&mut self) {
        if self.registry.erasing().is_empty() {
            return;
        }
        let watermark = self.finality.watermark;
        let early = self.registry.erasing().iter().take_while(|(by, _)| by.hlc <= watermark);
        let decided = early.filter(|(by, _)| self.finality.is_decided(*by));
        let known = decided.filter_map(|(_, stamp)| Registration::load(&self.registry.store, *stamp));
        let due: Vec<_> = known.filter(|known| has_ended(known) && self.is_settled(known)).collect();
        for registration in due {
            self.allowances.forget(&registration.owner);
            self.registry.settle(watermark);
            self.forget_typed(registration.id());
            self.registry.erase(registration);
            self.finality.fates_changed = true;
        }
    }

    fn tell_ended(&mut self, registration: &Registration, index: usize, reason: EndReason) {
        if !registration.lost {
            let index = u8::try_from(index).unwrap_or(u8::MAX);
            self.tell(EventKind::NameEnded(index, reason), registration.stamp);
        }
    }

    /// An activation is final; the first one that came in time counts.
    fn activated(&mut self, stamp: Stamp, registration: Stamp) {
        let Some(registration) = Registration::load(&self.registry.store, registration) else { return };
        let over = registration.lost || has_ended(&registration);
        if registration.activated == Some(stamp) && registration.activated_in_time() && !over {
            self.tell(EventKind::Activated, registration.stamp);
        }
    }

    /// That a reservation lasts longer is final: nothing that is yet to come can change what it rests on.
    fn extended(&mut self, registration: Stamp) {
        if let Some(mut registration) = Registration::load(&self.registry.store, registration) {
            let watermark = self.finality.watermark;
            self.registry.settle_end(&mut registration, watermark);
        }
    }

    /// The registration that stands for this one's id, where it is a later twin.
    fn earlier_twin(&self, registration: &Registration) -> Option<Stamp> {
        registration.chosen_id?;
        let causes = self.registry.causes(registration);
        causes.into_iter().find_map(|(claim, by)| claim.is_none().then_some(by))
    }

    /// Rejects a registration that lost as soon as that is final, and ends its claims as soon as that is.
    fn judge(&mut self, stamp: Stamp) {
        let Some(mut contest) = self.finality.contests.get(&stamp).cloned() else { return };
        let Some(mut registration) = Registration::load(&self.registry.store, stamp) else { return };
        if !contest.rejected && self.may_reject(&contest, &registration) && self.held_cause(&registration) {
            contest.rejected = true;
            registration.rejected = true;
            registration.save(&mut self.registry.store);
            self.note_rejection(stamp);
            self.finality.fates_changed = true;
            match self.earlier_twin(&registration).filter(|_| !planted!(TwinCountedAsLoser)) {
                Some(first) => self.waiters.hand_over(stamp, first),
                None => {
                    self.tell(EventKind::Rejected(self.lost_to(&registration)), stamp);
                    self.waiters.decided(stamp);
                }
            }
        }
        if contest.rejected && contest.decided {
            let freed = match (planted!(LosersKeepNames), planted!(LosersFreeOneName)) {
                (true, _) => 0,
                (_, true) => 1,
                _ => usize::MAX,
            };
            registration.claims.iter_mut().take(freed).for_each(|record| {
                record.ended.get_or_insert(EndReason::Rejected);
            });
            registration.save(&mut self.registry.store);
            self.finality.contests.remove(&stamp);
            schema::Contested::delete(&mut self.registry.store, stamp);
            self.note_over(&registration);
        } else {
            self.finality.contests.insert(stamp, contest);
        }
    }

    /// Whether no other registration can come to stand for this one, which might win. An earlier twin can until its own op
    /// is decided; one that is issued anew by its origin, where this one is void, until a majority holds it. An origin
    /// issues nothing anew that it has rejected.
    fn may_reject(&mut self, contest: &Contest, registration: &Registration) -> bool {
        let Registration { stamp, seq, .. } = *registration;
        if contest.decided || planted!(RejectedTooEarly) {
            return true;
        }
        let held = stamp.node == self.me || self.majority_holds(stamp.node, seq);
        if !held {
            self.finality.watches.insert((stamp.node, seq, stamp));
        }
        held && !contest.chosen
    }

    fn majority_holds(&self, origin: NodeId, seq: Seq) -> bool {
        self.finality.origins.get(&origin).is_some_and(|origin| seq <= origin.majority)
    }

    /// Whether a majority holds an op that this registration lost to; watches for it otherwise.
    fn held_cause(&mut self, registration: &Registration) -> bool {
        let mut held = false;
        for (_, cause) in self.registry.causes(registration) {
            // One that is not here any more was decided long ago.
            let Some(winner) = Registration::load(&self.registry.store, cause) else { return true };
            if self.majority_holds(cause.node, winner.seq) {
                held = true;
            } else {
                self.finality.watches.insert((cause.node, winner.seq, registration.stamp));
            }
        }
        held
    }

    /// Ends the reservations that the watermark has passed and nobody activated.
    fn expire(&mut self) {
        let time = if planted!(ExpiryByLocalClock) { Hlc::from_millis(self.now.wall) } else { self.finality.watermark };
        if self.finality.next_expiry.is_none_or(|next| next > time) {
            return;
        }
        let mut due = Vec::new();
        schema::Expiries::each(&self.registry.store, &Span::<schema::Expiries>::until(time), |found| {
            due.extend(found.key().map(|(_, stamp)| stamp));
        });
        for stamp in due {
            if self.expire_one(stamp) {
                // What ends by the watermark must not be known for longer than the watermark is.
                self.finality.unsaved.insert(self.me);
            }
        }
        self.finality.next_expiry = super::first_expiry(&self.registry.store);
    }

    /// Ends one reservation; later where its own fate is still open, so that its events come in order: false then.
    fn expire_one(&mut self, stamp: Stamp) -> bool {
        // Asked before anything is read: one that stays open comes by in every step.
        if !self.finality.is_decided(stamp) || self.finality.is_contested(stamp) {
            return false;
        }
        let Some(mut registration) = Registration::load(&self.registry.store, stamp) else { return false };
        let Some(end) = registration.end() else { return false };
        if !registration.activated_in_time() {
            for index in 0..registration.claims.len() {
                if registration.claims[index].ended.is_none() {
                    registration.claims[index].ended = Some(EndReason::Expired);
                    self.note_end(stamp, index, end);
                    self.tell_ended(&registration.clone(), index, EndReason::Expired);
                }
            }
            registration.save(&mut self.registry.store);
            self.note_over(&registration);
        }
        schema::Expiries::delete(&mut self.registry.store, (end, stamp));
        true
    }
}
