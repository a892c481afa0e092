//! Requests of clients: what is refused, what becomes an op, and who waits for its outcome.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Replica;
use super::answer::{Answer, Outcome, Reply};
use super::input::{Output, Token};
use super::limits::{MAX_METADATA, MAX_NAMES, MAX_OWNER, MAX_TTL};
use super::private::Keyed;
use super::refusal::Refusal;
use super::request::{NameRequest, RegisterRequest, Replaces, Request};
use crate::clock::{Millis, NodeId, Stamp};
use crate::crdt::{Claim, ClaimRecord, ClaimRef, NameOp, Register, Registration, Vacancy};
use crate::log::Setting;
use crate::log::{Denied, STARTS};
use crate::model::ClusterSettingsBody;
use crate::store::Store;

/// Requests that wait for the end of the start at most. A guess: some seconds' worth of sign-ups.
const MOST_WAITING: usize = 4096;

/// A request that is answered at the end of a step: of this one, or of the one that decides it.
#[derive(Clone, Debug)]
struct Waiter {
    token: Token,
    /// Answered at this time at the latest; none: now.
    deadline: Option<Millis>,
    /// The client may not be told what became of private names.
    discreet: bool,
}

/// Requests about registrations that are not answered yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiters {
    /// Those of this step, each with the registration as it was then.
    fresh: Vec<(Box<Registration>, Waiter)>,
    by_registration: BTreeMap<Stamp, Vec<Waiter>>,
    deadlines: BTreeMap<(Millis, Token), Stamp>,
    /// Registrations that were decided in this step and have waiters.
    decided: Vec<Stamp>,
    /// Waiters that turned to another registration in this step.
    handed_over: Vec<(Stamp, Waiter)>,
}

impl Waiters {
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Takes note that a registration's outcome is final.
    pub(super) fn decided(&mut self, registration: Stamp) {
        if self.by_registration.contains_key(&registration) {
            self.decided.push(registration);
        }
    }

    /// Those who wait for a later twin wait for the registration that stands for its id; they are looked at in this
    /// step, in case that one is final already.
    pub(super) fn hand_over(&mut self, twin: Stamp, first: Stamp) {
        for waiter in self.by_registration.remove(&twin).unwrap_or_default() {
            self.deadlines.remove(&(waiter.deadline.unwrap_or_default(), waiter.token));
            if !planted!(WaitersForgotten) {
                self.handed_over.push((first, waiter));
            }
        }
    }

    fn add(&mut self, registration: Stamp, waiter: Waiter) {
        if let Some(deadline) = waiter.deadline {
            self.deadlines.insert((deadline, waiter.token), registration);
        }
        self.by_registration.entry(registration).or_default().push(waiter);
    }

    fn take_decided(&mut self) -> Vec<(Stamp, Waiter)> {
        let mut taken = Vec::new();
        for registration in std::mem::take(&mut self.decided) {
            for waiter in self.by_registration.remove(&registration).unwrap_or_default() {
                self.deadlines.remove(&(waiter.deadline.unwrap_or_default(), waiter.token));
                taken.push((registration, waiter));
            }
        }
        taken
    }

    fn take_due(&mut self, now: Millis) -> Vec<(Stamp, Waiter)> {
        let mut taken = Vec::new();
        while let Some(entry) = self.deadlines.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, token), registration) = entry.remove_entry();
            let Some(waiters) = self.by_registration.get_mut(&registration) else { continue };
            if let Some(index) = waiters.iter().position(|waiter| waiter.token == token) {
                taken.push((registration, waiters.swap_remove(index)));
            }
            if waiters.is_empty() {
                self.by_registration.remove(&registration);
            }
        }
        taken
    }
}

impl<S: Store> Replica<S> {
    pub(super) fn on_request(&mut self, token: Token, request: Request) {
        // No answer may wait behind the disk for ever.
        if let Some(waited) = self.outbox.is_full(self.now.elapsed) {
            let why = format!("its disk has made nothing durable for {} s, and too much waits for it", waited / 1000);
            return self.outbox.push_at_once(Output::Reply { token, reply: Err(Refusal::Unavailable(why)) });
        }
        let outcome = match self.wait_for_start(token, request) {
            Ok(Some(request)) => self.outcome_of(token, request),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        match outcome {
            Ok(Some(answer)) => self.reply(token, Ok(answer)),
            Ok(None) => {}
            Err(refusal) => self.reply(token, Err(refusal)),
        }
    }

    pub(super) fn outcome_of(&mut self, token: Token, request: Request) -> Outcome {
        if !self.log.phase().may_answer() {
            match request {
                // What was accepted before an eviction goes on to be pending.
                Request::Registration { id, wait } if self.void_registration(id).is_some() => {
                    self.on_registration(token, id, wait)
                }
                _ => Err(Refusal::NotMember),
            }
        } else {
            match request {
                Request::Register(request) => self.on_register(token, request),
                Request::Activate { id } => self.on_activate(token, id),
                Request::Extend { id, ttl } => self.on_extend(token, id, ttl),
                Request::Release { id } => self.on_release(token, id),
                Request::Erase { id } => self.on_erase(token, id),
                Request::ReleaseName { owner, name } => self.on_release_name(token, owner, name),
                Request::Registration { id, wait } => self.on_registration(token, id, wait),
                Request::Name(name) => self.name_view(name).map(|view| Some(Answer::Name(view))),
                Request::History { name, after, limit } => {
                    self.history(name, after, limit).map(|page| Some(Answer::History(page)))
                }
                Request::Conflicts { namespace, since, after, limit } => {
                    let page = self.conflict_page(namespace.as_deref(), since, after.as_ref(), limit);
                    Ok(Some(Answer::Conflicts(page)))
                }
                Request::ExplainRegistration(id) => self
                    .explain_registration(id)
                    .map(|explained| Some(Answer::RegistrationExplanation(Box::new(explained)))),
                Request::ExplainName(name) => {
                    self.explain_name(name).map(|explained| Some(Answer::NameExplanation(Box::new(explained))))
                }
                Request::Names(names) => self.checked(names).map(|views| Some(Answer::Names(views))),
                Request::Suggest { name, count } => {
                    self.suggestions(&name, count).map(|names| Some(Answer::Suggestions(names)))
                }
                Request::List { namespace, prefix, after, limit } => {
                    let page = self.name_page(namespace.as_deref(), &prefix, after.as_ref(), limit);
                    Ok(Some(Answer::List(page)))
                }
                Request::Owner { owner, after, limit } => {
                    Ok(Some(Answer::Registrations(self.owner_views(&owner, after, limit))))
                }
                Request::Events { after, limit, filter } => {
                    self.event_page(after, limit, &filter).map(|page| Some(Answer::Events(page)))
                }
                Request::Namespace(namespace) => self.on_namespace(namespace),
                Request::SetNamespace { namespace, rules, if_version } => {
                    self.on_set_namespace(namespace, rules, if_version)
                }
                Request::Evict { node, force } => self.on_evict(node, force),
                Request::Leave { cancel } => self.on_leave(cancel),
                Request::Configure(change) => self.on_configure(&change),
                Request::Discreet(request) => self.on_discreet(token, *request),
                Request::OnBehalf { bearer, request } => self.on_behalf(token, &bearer, *request),
                Request::Cluster => Ok(Some(Answer::Cluster(Box::new(self.cluster_view())))),
            }
        }
    }

    /// Keeps a request for after the start; gives it back where it need not wait.
    fn wait_for_start(&mut self, token: Token, request: Request) -> Result<Option<Request>, Refusal> {
        if !request.issues_ops() || !self.log.phase().is_starting() {
            return Ok(Some(request));
        }
        if self.waiting_for_start.len() >= MOST_WAITING {
            return Err(Refusal::Unavailable(STARTS.to_owned()));
        }
        self.waiting_for_start.push_back((token, request));
        Ok(None)
    }

    /// Takes the requests that waited for the end of the start.
    pub(super) fn answer_after_start(&mut self) {
        for (token, request) in std::mem::take(&mut self.waiting_for_start) {
            self.on_request(token, request);
        }
    }

    fn on_evict(&mut self, node: NodeId, force: bool) -> Outcome {
        self.log.evict(node, force)?;
        self.take_events();
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    /// An operator changes settings of the cluster.
    fn on_configure(&mut self, change: &ClusterSettingsBody) -> Outcome {
        if change.is_empty() {
            return Err(Refusal::InvalidRequest("it names no setting of the cluster; nothing was changed".to_owned()));
        }
        change.check().map_err(|error| Refusal::InvalidRequest(format!("{error}; nothing was changed")))?;
        self.may_issue()?;
        self.log.configure(Setting::all_of(change));
        self.take_events();
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    /// An operator wants this node to leave, or to stay after all.
    fn on_leave(&mut self, cancel: bool) -> Outcome {
        let store = &mut self.store;
        if cancel {
            self.log.cancel_leave(store)?;
        } else if self.log.view().may_leave()? {
            if self.reissue.has_open() {
                let why = "it registers again what an eviction had made void".to_owned();
                return Err(Refusal::Unavailable(why));
            }
            self.log.leave(store);
        }
        Ok(Some(Answer::Cluster(Box::new(self.cluster_view()))))
    }

    /// Answers the requests about registrations whose turn has come.
    pub(super) fn answer_waiting(&mut self) {
        let changed = self.verdicts.take_fates_changed();
        for (first, waiter) in std::mem::take(&mut self.waiters.handed_over) {
            if let Some(first) = Registration::load(&self.store, first) {
                self.waiters.fresh.push((Box::new(first), waiter));
            }
        }
        for (registration, waiter) in std::mem::take(&mut self.waiters.fresh) {
            let fate = if changed { self.reload(*registration) } else { *registration };
            if waiter.deadline.is_some() && !self.status(&fate).is_final() {
                self.waiters.add(fate.stamp, waiter);
            } else {
                self.answer(&waiter, fate);
            }
        }
        let mut due = self.waiters.take_decided();
        due.extend(self.waiters.take_due(self.now.elapsed));
        for (registration, waiter) in due {
            let known = Registration::load(&self.store, registration);
            if let Some(registration) = known.or_else(|| self.void_by_stamp(registration)) {
                // A client's id stands for its earliest registration, which may have arrived meanwhile.
                let registration = self.registry.find(&self.store, registration.id()).unwrap_or(registration);
                self.answer(&waiter, registration);
            }
        }
    }

    pub(super) fn reload(&self, registration: Registration) -> Registration {
        let found = self.registry.find(&self.store, registration.id());
        found.unwrap_or(registration)
    }

    fn answer(&mut self, waiter: &Waiter, registration: Registration) {
        let discreet = waiter.discreet.then(|| self.discreet_view(registration.clone())).flatten();
        let view = discreet.unwrap_or_else(|| self.registration_view(registration));
        self.reply(waiter.token, Ok(Answer::Registration(Box::new(view))));
    }

    fn reply(&mut self, token: Token, reply: Reply) {
        self.outbox.push(Output::Reply { token, reply });
    }

    /// Answers with the registration's state at the end of this step, or waits for its outcome.
    pub(super) fn answer_later(&mut self, token: Token, registration: Registration, wait: Option<u64>) -> Outcome {
        self.answer_by(token, registration, wait, false)
    }

    fn answer_by(&mut self, token: Token, registration: Registration, wait: Option<u64>, discreet: bool) -> Outcome {
        let deadline = wait.map(|wait| self.now.elapsed.plus(wait));
        self.waiters.fresh.push((Box::new(registration), Waiter { token, deadline, discreet }));
        Ok(None)
    }

    /// Only members issue ops, and only with a clock that can be trusted.
    pub(super) fn may_issue(&self) -> Result<(), Refusal> {
        match (self.log.phase().may_register(), self.log.view().clock_suspect()) {
            (Err(Denied::Leaving | Denied::Departed), _) => Err(Refusal::Leaving),
            (Err(_), _) => Err(Refusal::NotMember),
            (Ok(()), Some(offset)) if !planted!(SuspectTakesNames) => Err(Refusal::ClockSuspect { offset }),
            _ => Ok(()),
        }
    }

    pub(super) fn on_register(&mut self, token: Token, request: RegisterRequest) -> Outcome {
        check_limits(&request)?;
        let discreet = request.discreet;
        let in_secret = discreet && self.wants_private(&request)?;
        // Whoever is not told the outcome has nothing to wait for.
        let wait = request.wait.filter(|_| !in_secret);
        let known = |id| self.registry.find(&self.store, id).or_else(|| self.void_registration(id));
        if let Some(known) = request.id.and_then(known) {
            return if self.same_content(&known, &request) {
                self.answer_by(token, known, wait, discreet)
            } else {
                Err(Refusal::IdReused(known.id()))
            };
        }
        let keys = self.keys(&request.names)?;
        if request.id.is_some_and(|id| id.get_version_num() == 8) {
            let why = "an id of UUID version 8 is made by nodes; choose one of version 4 or 7";
            return Err(Refusal::InvalidRequest(why.to_owned()));
        }
        self.may_issue()?;
        let claims = self.claims(&request.names, keys, in_secret)?;
        self.check_allowance(&request.owner)?;
        request.charge.as_ref().map_or(Ok(()), |charge| self.check_charge(charge))?;
        let replaces = request.replaces.map(|replaces| self.replaced(&replaces, &request.owner)).transpose()?;
        let expires = request.ttl.map(|ttl| self.ends_after(ttl));
        let RegisterRequest { id, owner, names, metadata, charge, .. } = request;
        let effects = self.issue(NameOp::Register(Register { id, owner, claims, expires, replaces, metadata }));
        match effects.registered {
            Some(registration) => {
                charge.into_iter().for_each(|charge| self.note_charge(charge, registration.id()));
                self.note_typed(&registration, names);
                self.answer_by(token, registration, wait, discreet)
            }
            None => unreachable!("a new op of ours brings its registration"),
        }
    }

    /// The keys of names that may be claimed by the rules of their namespaces.
    fn keys(&self, names: &[NameRequest]) -> Result<Vec<Keyed>, Refusal> {
        let mut keys: Vec<Keyed> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let key = self.claimable_key(name)?;
            if (0..index).any(|other| names[other].namespace == name.namespace && keys[other].key == key.key) {
                let why = format!("{}/{} is asked for twice; give each name once", name.namespace, name.name);
                return Err(Refusal::InvalidRequest(why));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// Each name as a claim that follows what ended last; refused where any of them is held, but in secret: there the claim
    /// goes where that of the holder went, and loses to it.
    fn claims(&self, names: &[NameRequest], keys: Vec<Keyed>, in_secret: bool) -> Result<Vec<Claim>, Refusal> {
        let mut claims = Vec::with_capacity(names.len());
        let mut taken = Vec::new();
        for (request, key) in names.iter().zip(keys) {
            let Keyed { key, private } = key;
            let after = match self.registry.vacancy(&self.store, &request.namespace, &key) {
                Vacancy::Free(after) => after,
                Vacancy::Taken(leader) if in_secret => {
                    self.registry.followed_by(&self.store, &request.namespace, &key, leader)
                }
                Vacancy::Taken(_) => {
                    taken.push(self.name_view(request.clone())?);
                    continue;
                }
            };
            let name = if private { String::new() } else { request.name.clone() };
            claims.push(Claim { namespace: request.namespace.clone(), key, name, after });
        }
        if taken.is_empty() { Ok(claims) } else { Err(Refusal::NameTaken { names: taken }) }
    }

    /// The claim that a rename is to end: the owner's, and not ending already.
    fn replaced(&self, replaces: &Replaces, owner: &str) -> Result<ClaimRef, Refusal> {
        let id = replaces.registration;
        let registration = self.registry.find(&self.store, id).ok_or(Refusal::NoRegistration(id))?;
        let namespace = replaces.name.namespace.clone();
        let not_held = || Refusal::NotHeld {
            namespace: namespace.clone(),
            name: replaces.name.name.clone(),
            owner: owner.to_owned(),
        };
        let record = self.claim_meant(&registration, &replaces.name).ok_or_else(not_held)?;
        let over = registration.lost || record.released || record.ended.is_some();
        if over || registration.owner != owner {
            return Err(not_held());
        }
        let key = record.claim.key.clone();
        Ok(ClaimRef { registration: registration.stamp, namespace, key })
    }

    /// Whether a request with a known id asks for what that registration is, whatever the rules of its namespaces are by
    /// now.
    fn same_content(&self, known: &Registration, request: &RegisterRequest) -> bool {
        if known.erased {
            return self.same_erased(known, request);
        }
        let mut claims = known.claims.iter().zip(&request.names);
        let same_names = known.claims.len() == request.names.len()
            && claims.all(|(record, asked)| self.is_meant(&record.claim, asked));
        let accepted = known.stamp.hlc.millis();
        // The clock may have stood ahead of the wall when the end was worked out, never behind.
        let lasts = known.expires.map(|expires| expires.millis().since(accepted));
        let replaces = request.replaces.as_ref().map(|replaces| {
            let registration = self.registry.find(&self.store, replaces.registration)?;
            let key = self.claim_meant(&registration, &replaces.name)?.claim.key.clone();
            Some(ClaimRef { registration: registration.stamp, namespace: replaces.name.namespace.clone(), key })
        });
        let same_replaced = match (&known.replaces, replaces) {
            (None, None) => true,
            (Some(known), Some(asked)) => asked.as_ref() == Some(known),
            _ => false,
        };
        known.owner == request.owner
            && same_names
            && known.metadata == request.metadata
            && lasts.is_some() == request.ttl.is_some()
            && same_replaced
    }

    /// The same of one that was erased, of which only hashes of the names are left to compare.
    fn same_erased(&self, known: &Registration, request: &RegisterRequest) -> bool {
        let same = |(record, asked): (&ClaimRecord, &NameRequest)| {
            let hash = |key: String| self.registry.hash(&asked.namespace, &key);
            record.claim.namespace == asked.namespace
                && self.name_key(asked).is_ok_and(|key| hash(key) == record.claim.key)
        };
        known.claims.len() == request.names.len() && known.claims.iter().zip(&request.names).all(same)
    }

    pub(super) fn on_release(&mut self, token: Token, id: Uuid) -> Outcome {
        let registration = self.registry.find(&self.store, id).ok_or(Refusal::NoRegistration(id))?;
        self.release_claims(token, registration, |_| true)
    }

    /// Erases a registration, whatever has become of it; what is to be erased already is so once.
    pub(super) fn on_erase(&mut self, token: Token, id: Uuid) -> Outcome {
        let registration = self.registry.find(&self.store, id).ok_or(Refusal::NoRegistration(id))?;
        if registration.erase.is_some() {
            return self.answer_later(token, registration, None);
        }
        self.may_issue()?;
        self.issue(NameOp::Erase { registration: registration.stamp });
        let registration = self.reload(registration);
        self.answer_later(token, registration, None)
    }

    pub(super) fn on_release_name(&mut self, token: Token, owner: String, request: NameRequest) -> Outcome {
        let key = self.name_key(&request)?;
        let Vacancy::Taken(leader) = self.registry.vacancy(&self.store, &request.namespace, &key) else {
            return Err(Refusal::NotHeld { namespace: request.namespace, name: request.name, owner });
        };
        match Registration::load(&self.store, leader) {
            Some(registration) if registration.owner == owner => self
                .release_claims(token, registration, |claim| claim.namespace == request.namespace && claim.key == key),
            _ => Err(Refusal::NotHeld { namespace: request.namespace, name: request.name, owner }),
        }
    }

    /// Releases those claims of a registration that are not on their way out already.
    fn release_claims(&mut self, token: Token, registration: Registration, which: impl Fn(&Claim) -> bool) -> Outcome {
        let live = registration.claims.iter().filter(|record| !record.released && record.ended.is_none());
        let live: Vec<_> = live.map(|record| &record.claim).filter(|claim| which(claim)).collect();
        if !live.is_empty() && !registration.rejected {
            self.may_issue()?;
            for claim in live {
                let (namespace, key) = (claim.namespace.clone(), claim.key.clone());
                self.issue(NameOp::Release(ClaimRef { registration: registration.stamp, namespace, key }));
            }
        }
        let registration = Registration::load(&self.store, registration.stamp).unwrap_or(registration);
        self.answer_later(token, registration, None)
    }

    fn on_registration(&mut self, token: Token, id: Uuid, wait: Option<u64>) -> Outcome {
        let registration = self.registry.find(&self.store, id).or_else(|| self.void_registration(id));
        self.answer_later(token, registration.ok_or(Refusal::NoRegistration(id))?, wait)
    }
}

fn check_limits(request: &RegisterRequest) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::InvalidRequest(why));
    let metadata = request.metadata.as_ref().map_or(0, String::len);
    if request.names.is_empty() || request.names.len() > MAX_NAMES {
        return refuse(format!("a registration has 1 to {MAX_NAMES} names, not {}", request.names.len()));
    }
    if request.owner.is_empty() || request.owner.len() > MAX_OWNER || request.owner.contains(char::is_control) {
        return refuse(format!("an owner has 1 to {MAX_OWNER} bytes and no control characters"));
    }
    if metadata > MAX_METADATA {
        return refuse(format!("metadata has {metadata} bytes, more than {MAX_METADATA}"));
    }
    check_ttl(request.ttl)
}

pub(super) fn check_ttl(ttl: Option<u64>) -> Result<(), Refusal> {
    if ttl.is_some_and(|ttl| ttl == 0 || ttl > MAX_TTL) {
        return Err(Refusal::InvalidRequest(format!("a ttl is between 1 and {MAX_TTL} ms")));
    }
    Ok(())
}
