//! Requests that wait for the outcome of a registration.

use std::collections::BTreeMap;

use super::reply::{Ready, Reply};
use super::request::AwaitFinal;
use super::{Reader, Writer};
use crate::clock::{Millis, NodeId, Stamp};
use crate::crdt::{Extensions, Registration};
use crate::model::{self, NewNamespace, Status};

/// An answer that is given later, with the state of this registration at the end of the step.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) registration: Registration,
    /// How long to wait for a final outcome; none: answer at the end of this step.
    pub(super) wait: Option<AwaitFinal>,
    /// True where the client may not learn the outcome of private names.
    pub(super) discreet: bool,
    /// The namespaces that the registration is the first to use.
    pub(super) new_namespaces: Vec<String>,
}

impl Later {
    /// An answer at the end of the step, for a client that may learn the outcome.
    pub(super) fn now(registration: Registration) -> Self {
        Self { registration, wait: None, discreet: false, new_namespaces: Vec::new() }
    }
}

/// A request that is answered at the end of this step, or of the step that decides its registration.
#[derive(Debug)]
pub(super) struct Waiter {
    /// A serial number that identifies the waiter.
    number: u64,
    reply: Reply<model::Registration>,
    /// The latest time to answer; none: the end of this step.
    deadline: Option<Millis>,
    /// True where it waits also while a needed member is out of reach.
    always: bool,
    /// True where the client may not learn the outcome of private names.
    discreet: bool,
    /// The namespaces that the registration is the first to use.
    new_namespaces: Vec<String>,
}

/// The requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// The number of waiters so far.
    count: u64,
    /// The waiters of this step, each with its registration as it was then.
    fresh: Vec<(Box<Registration>, Waiter)>,
    /// The waiters of earlier steps by registration, and by their numbers.
    by_registration: BTreeMap<Stamp, BTreeMap<u64, Waiter>>,
    deadlines: BTreeMap<(Millis, u64), Stamp>,
    /// Registrations that were decided in this step and have waiters.
    decided: Vec<Stamp>,
    /// Waiters that were moved to another registration in this step.
    handed_over: Vec<(Stamp, Waiter)>,
    /// The members that were out of reach in the last step in which somebody waited.
    out_of_reach: Vec<NodeId>,
}

impl Waiters {
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Notes that a registration's outcome is final.
    pub(super) fn decided(&mut self, registration: Stamp) {
        if self.by_registration.contains_key(&registration) {
            self.decided.push(registration);
        }
    }

    /// Moves the waiters of a later twin to the earlier registration with the same id. They are looked at in this step,
    /// in case that registration is final already.
    pub(super) fn hand_over(&mut self, twin: Stamp, first: Stamp) {
        for waiter in
            planted!(registry::handed_over(self.by_registration.remove(&twin).unwrap_or_default())).into_values()
        {
            self.deadlines.remove(&(waiter.deadline.unwrap_or_default(), waiter.number));
            self.handed_over.push((first, waiter));
        }
    }

    fn add(&mut self, registration: Stamp, waiter: Waiter) {
        if let Some(deadline) = waiter.deadline {
            self.deadlines.insert((deadline, waiter.number), registration);
        }
        self.by_registration.entry(registration).or_default().insert(waiter.number, waiter);
    }

    fn take_decided(&mut self) -> Vec<(Stamp, Waiter)> {
        let mut taken = Vec::new();
        for registration in std::mem::take(&mut self.decided) {
            for waiter in self.by_registration.remove(&registration).unwrap_or_default().into_values() {
                self.deadlines.remove(&(waiter.deadline.unwrap_or_default(), waiter.number));
                taken.push((registration, waiter));
            }
        }
        taken
    }

    /// Returns the registrations with a waiter that waits only while every needed member is in reach.
    fn in_reach_only(&self) -> Vec<Stamp> {
        let some = self.by_registration.iter().filter(|(_, waiters)| waiters.values().any(|waiter| !waiter.always));
        some.map(|(registration, _)| *registration).collect()
    }

    /// Takes the waiters of a registration that do not wait for a member out of reach.
    fn take_in_reach_only(&mut self, registration: Stamp) -> Vec<(Stamp, Waiter)> {
        let waiters = self.by_registration.remove(&registration).unwrap_or_default();
        let (stay, go): (BTreeMap<_, _>, BTreeMap<_, _>) = waiters.into_iter().partition(|(_, waiter)| waiter.always);
        if !stay.is_empty() {
            self.by_registration.insert(registration, stay);
        }
        for waiter in go.values() {
            self.deadlines.remove(&(waiter.deadline.unwrap_or_default(), waiter.number));
        }
        go.into_values().map(|waiter| (registration, waiter)).collect()
    }

    fn take_due(&mut self, now: Millis) -> Vec<(Stamp, Waiter)> {
        let mut taken = Vec::new();
        while let Some(entry) = self.deadlines.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, number), registration) = entry.remove_entry();
            let Some(waiters) = self.by_registration.get_mut(&registration) else { continue };
            taken.extend(waiters.remove(&number).map(|waiter| (registration, waiter)));
            if waiters.is_empty() {
                self.by_registration.remove(&registration);
            }
        }
        taken
    }
}

impl Reader<'_> {
    pub(crate) fn reload(&self, registration: Registration) -> Registration {
        let found = self.registry.lattice.find(self.store, registration.id());
        found.unwrap_or(registration)
    }
}

impl Reader<'_> {
    /// Returns true where a registration of this node's is confirmed and no other op says anything about it, so that an answer
    /// depends on its own op alone.
    fn is_confirmed_as_issued(&self, registration: &Registration) -> bool {
        let untouched = registration.claims.iter().all(|record| !record.released && record.ended.is_none())
            && registration.activated.is_none()
            && registration.extensions == Extensions::default()
            && registration.erase.is_none();
        registration.stamp.node == self.registry.me && self.status(registration) == Status::Confirmed && untouched
    }

    /// Returns true where the outcome needs a member of which nobody knows when it will answer.
    fn is_held_up(&self, registration: &Registration) -> bool {
        !self.registry.waiters.out_of_reach.is_empty()
            && self.blockers(registration).iter().any(|waiting| waiting.reason.is_open_ended())
    }
}

impl Writer<'_> {
    /// Answers the requests that need not wait any longer.
    pub(crate) fn answer_waiting(&mut self) {
        let out_of_reach = self.out_of_reach_changed();
        let changed = self.registry.verdicts.take_fates_changed();
        for (first, waiter) in std::mem::take(&mut self.registry.waiters.handed_over) {
            if let Some(first) = Registration::load(self.store, first) {
                self.registry.waiters.fresh.push((Box::new(first), waiter));
            }
        }
        for (registration, waiter) in std::mem::take(&mut self.registry.waiters.fresh) {
            let fate = if changed { self.reader().reload(*registration) } else { *registration };
            let waits = waiter.deadline.is_some() && !self.reader().status(&fate).is_final();
            if waits && (waiter.always || !self.reader().is_held_up(&fate)) {
                self.registry.waiters.add(fate.stamp, waiter);
            } else {
                self.answer(waiter, fate);
            }
        }
        let decided = self.registry.waiters.take_decided();
        decided.into_iter().for_each(|(registration, waiter)| self.answer_due(registration, waiter, true));
        let mut due = self.registry.waiters.take_due(self.registry.now.elapsed);
        if out_of_reach {
            due.extend(self.take_held_up());
        }
        due.into_iter().for_each(|(registration, waiter)| self.answer_due(registration, waiter, false));
    }

    /// Answers one who has waited; `decided` says that the outcome of its registration is final since this step.
    fn answer_due(&mut self, registration: Stamp, waiter: Waiter, decided: bool) {
        let known = Registration::load(self.store, registration);
        let Some(registration) = known.or_else(|| self.reader().void_by_stamp(registration)) else { return };
        // An id that a client chose refers to its earliest registration, which may have arrived meanwhile.
        let registration = self.registry.lattice.find(self.store, registration.id()).unwrap_or(registration);
        if decided && self.reader().is_confirmed_as_issued(&registration) {
            let ready = self.ready(waiter, &registration);
            self.registry.confirmed.push((registration.seq, ready));
        } else {
            self.answer(waiter, registration);
        }
    }

    /// Returns true where other members than before are out of reach. Checked only while somebody waits.
    fn out_of_reach_changed(&mut self) -> bool {
        let waiters = &mut self.registry.waiters;
        if waiters.fresh.is_empty() && waiters.by_registration.is_empty() {
            return false;
        }
        let now = self.log.out_of_reach();
        let changed = waiters.out_of_reach != now;
        waiters.out_of_reach = now;
        changed
    }

    /// Takes the waiters that wait no longer because a needed member is out of reach.
    fn take_held_up(&mut self) -> Vec<(Stamp, Waiter)> {
        let mut taken = Vec::new();
        for stamp in self.registry.waiters.in_reach_only() {
            let known = Registration::load(self.store, stamp);
            if known.is_some_and(|registration| self.reader().is_held_up(&registration)) {
                taken.extend(self.registry.waiters.take_in_reach_only(stamp));
            }
        }
        taken
    }

    fn answer(&mut self, waiter: Waiter, registration: Registration) {
        let is_own = registration.stamp.node == self.registry.me;
        self.registry.tells_others |= !is_own && self.reader().status(&registration) == Status::Confirmed;
        let ready = self.ready(waiter, &registration);
        self.registry.ready.push(ready);
    }

    /// The answer to a request about a registration.
    fn ready(&self, waiter: Waiter, registration: &Registration) -> Ready {
        let discreet = waiter.discreet.then(|| self.reader().discreet_view(registration)).flatten();
        let mut view = discreet.unwrap_or_else(|| self.reader().registration_view(registration));
        for namespace in waiter.new_namespaces {
            let profile = self.registry.lattice.rules(self.store, &namespace).profile().into();
            view.new_namespaces.push(NewNamespace::new(namespace, profile));
        }
        waiter.reply.with(Ok(view))
    }

    /// Answers with the registration's state at the end of this step, or once its outcome is final.
    pub(super) fn answer_later(&mut self, later: Later, reply: Reply<model::Registration>) {
        let Later { registration, wait, discreet, new_namespaces } = later;
        let deadline = wait.map(|wait| self.registry.now.elapsed.plus(wait.at_most));
        let always = wait.is_some_and(|wait| wait.always);
        let waiters = &mut self.registry.waiters;
        waiters.count += 1;
        let waiter = Waiter { number: waiters.count, reply, deadline, always, discreet, new_namespaces };
        waiters.fresh.push((Box::new(registration), waiter));
    }
}
