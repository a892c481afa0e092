//! Commands of clients: which are refused, and which ops the others issue.

use uuid::Uuid;

use super::caller::Caller;
use super::private::Keyed;
use super::refusal::Refusal;
use super::reply::Reply;
use super::request::{AwaitFinal, Command, RegisterRequest};
use super::waiters::Later;
use super::{Reader, Writer};
use crate::crdt::{Claim, ClaimRecord, ClaimRef, NameOp, Register, Registration, Vacancy};
use crate::model::limits::{MAX_METADATA, MAX_NAMES, MAX_OWNER, MAX_TTL};
use crate::model::{self, NameRef, ReplacesBody};

/// Namespaces in use that are kept in memory at most. A guess.
const MAX_USED: usize = 4096;

impl Reader<'_> {
    /// Computes the keys of the requested names. Refuses names that break the rules of their namespaces, and names
    /// given twice.
    fn keys(&self, names: &[NameRef]) -> Result<Vec<Keyed>, Refusal> {
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

    /// Makes a claim of each name that follows the last ended claim. Refuses the request where any name is held or kept
    /// from others after its release. With `in_secret` such a name is claimed all the same: the claim enters the
    /// holder's tenure and loses to it.
    fn claims(&self, request: &RegisterRequest, keys: Vec<Keyed>, in_secret: bool) -> Result<Vec<Claim>, Refusal> {
        let replaces = request.replaces.as_ref().and_then(|replaces| self.replaced(replaces, &request.owner).ok());
        let followed_by = |name: &NameRef, key: &str, claim| {
            self.registry.lattice.followed_by(self.store, &name.namespace, key, claim)
        };
        let mut claims = Vec::with_capacity(request.names.len());
        let mut taken = Vec::new();
        for (name, key) in request.names.iter().zip(keys) {
            let Keyed { key, private } = key;
            let is_kept = || self.kept_until(&name.namespace, &key, Some(&request.owner)).is_some();
            let may_respell =
                |leader| replaces.as_ref().is_some_and(|held| self.may_respell(held, &name.namespace, &key, leader));
            let after = match self.registry.lattice.vacancy(self.store, &name.namespace, &key) {
                Vacancy::Free(Some(last)) if is_kept() && in_secret => followed_by(name, &key, last),
                Vacancy::Free(after) if after.is_none() || !is_kept() => after,
                Vacancy::Taken(leader) if may_respell(leader) => Some(leader),
                Vacancy::Taken(leader) if in_secret => followed_by(name, &key, leader),
                Vacancy::Free(_) | Vacancy::Taken(_) => {
                    taken.push(self.name_view(name.clone())?);
                    continue;
                }
            };
            let typed = if private { String::new() } else { name.name.clone() };
            claims.push(Claim { namespace: name.namespace.clone(), key, name: typed, after });
        }
        if taken.is_empty() { Ok(claims) } else { Err(Refusal::NameTaken { names: taken }) }
    }

    /// Returns the claim that a rename is to end. It must be the owner's, and not released, lost or ended.
    fn replaced(&self, replaces: &ReplacesBody, owner: &str) -> Result<ClaimRef, Refusal> {
        let id = replaces.registration;
        let registration = self.registry.lattice.find(self.store, id).ok_or(Refusal::NoRegistration(id))?;
        let NameRef { namespace, name } = replaces.named();
        let not_held =
            || Refusal::NotHeld { namespace: namespace.clone(), name: name.clone(), owner: owner.to_owned() };
        let record = self.claim_meant(&registration, &replaces.named()).ok_or_else(not_held)?;
        let over = registration.lost || record.released || record.ended.is_some();
        if over || registration.owner != owner {
            return Err(not_held());
        }
        let key = record.claim.key.clone();
        Ok(ClaimRef { registration: registration.stamp, namespace, key })
    }

    /// Returns true where a request with a known id asks for the same content as the known registration, even if the
    /// rules of its namespaces have changed since.
    fn same_content(&self, known: &Registration, request: &RegisterRequest) -> bool {
        if known.erased {
            return self.same_erased(known, request);
        }
        let mut claims = known.claims.iter().zip(&request.names);
        let same_names = known.claims.len() == request.names.len()
            && claims.all(|(record, asked)| self.is_meant(&record.claim, asked));
        let accepted = known.stamp.hlc.millis();
        // Only whether both are reservations is compared: the end of the known one was computed at its acceptance, so
        // the requested length cannot be recovered exactly.
        let lasts = known.expires.map(|expires| expires.millis().since(accepted));
        let replaces = request.replaces.as_ref().map(|replaces| {
            let registration = self.registry.lattice.find(self.store, replaces.registration)?;
            let key = self.claim_meant(&registration, &replaces.named())?.claim.key.clone();
            Some(ClaimRef { registration: registration.stamp, namespace: replaces.namespace.clone(), key })
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

    /// Compares a request with an erased registration, of which only the hashes of its names are left.
    fn same_erased(&self, known: &Registration, request: &RegisterRequest) -> bool {
        let same = |(record, asked): (&ClaimRecord, &NameRef)| {
            let hash = |key: String| self.registry.lattice.hash(&asked.namespace, &key);
            record.claim.namespace == asked.namespace
                && self.name_key(asked).is_ok_and(|key| hash(key) == record.claim.key)
        };
        known.claims.len() == request.names.len() && known.claims.iter().zip(&request.names).all(same)
    }
}

impl Writer<'_> {
    /// Carries out a command. Refusals are ready at once, all other answers at the end of the step at the earliest.
    pub(crate) fn command(&mut self, command: Command, caller: &Caller, reply: Reply<model::Registration>) {
        match self.run(command, caller) {
            Ok(later) => self.answer_later(later, reply),
            Err(refusal) => self.registry.ready.push(reply.with(Err(refusal))),
        }
    }

    fn run(&mut self, command: Command, caller: &Caller) -> Result<Later, Refusal> {
        if !self.log.may_answer() {
            return Err(Refusal::NotMember);
        }
        self.reader().check_caller(&command, caller)?;
        match command {
            Command::Register(request) => self.register(request, !caller.reads),
            Command::Activate { id } => self.activate(id),
            Command::Extend { id, ttl } => self.extend(id, ttl),
            Command::Release { id } => self.release(id),
            Command::Erase { id } => self.erase(id),
            Command::ReleaseName { owner, name } => self.release_name(owner, name),
        }
    }

    /// Answers with a registration, at the end of the step or, with `wait`, once its outcome is final. Refused to a
    /// caller that may not use all its namespaces.
    pub(crate) fn outcome(
        &mut self,
        id: Uuid,
        wait: Option<AwaitFinal>,
        caller: &Caller,
        reply: Reply<model::Registration>,
    ) {
        let void = self.reader().void_registration(id);
        // A registration that an eviction made void is shown as pending until it is issued anew.
        let known = if self.log.may_answer() { self.registry.lattice.find(self.store, id).or(void) } else { void };
        let unknown = if self.log.may_answer() { Refusal::NoRegistration(id) } else { Refusal::NotMember };
        let within = |registration: Registration| caller.reach_all_of(&registration).map(|()| registration);
        match known.ok_or(unknown).and_then(within) {
            Ok(registration) => self.answer_later(Later { wait, ..Later::now(registration) }, reply),
            Err(refusal) => self.registry.ready.push(reply.with(Err(refusal))),
        }
    }

    fn register(&mut self, request: RegisterRequest, discreet: bool) -> Result<Later, Refusal> {
        check_limits(&request)?;
        let in_secret = discreet && self.reader().wants_private(&request)?;
        // A caller that may not learn the outcome need not wait for it.
        let wait = request.wait.filter(|_| !in_secret);
        let known = |id| self.registry.lattice.find(self.store, id).or_else(|| self.reader().void_registration(id));
        if let Some(known) = request.id.and_then(known) {
            return if self.reader().same_content(&known, &request) {
                Ok(Later { wait, discreet, ..Later::now(known) })
            } else {
                Err(Refusal::IdReused(known.id()))
            };
        }
        let keys = self.reader().keys(&request.names)?;
        if request.id.is_some_and(|id| id.get_version_num() == 8) {
            let why = "an id of UUID version 8 is made by nodes; choose one of version 4 or 7";
            return Err(Refusal::InvalidRequest(why.to_owned()));
        }
        self.log.may_issue()?;
        let claims = self.reader().claims(&request, keys, in_secret)?;
        self.check_totals(&request)?;
        self.check_allowance(&request.owner)?;
        request.charge.as_ref().map_or(Ok(()), |charge| self.check_charge(charge))?;
        let replaces =
            request.replaces.map(|replaces| self.reader().replaced(&replaces, &request.owner)).transpose()?;
        let expires = request.ttl.map(|ttl| self.reader().ends_after(ttl));
        let new_namespaces = self.use_namespaces(&claims);
        let RegisterRequest { id, owner, names, metadata, charge, .. } = request;
        let register = Register { id, owner, claims, expires, replaces, metadata, accepted: None };
        let effects = self.issue(NameOp::Register(register.into()));
        match effects.registered {
            Some(registration) => {
                charge.into_iter().for_each(|charge| self.note_charge(charge, registration.id()));
                self.note_typed(&registration, names);
                Ok(Later { registration, wait, discreet, new_namespaces })
            }
            None => unreachable!("a new op of ours brings its registration"),
        }
    }

    /// Returns the namespaces of these claims that nobody has used or given rules before. Namespaces that are known to
    /// be in use are kept in memory.
    fn use_namespaces(&mut self, claims: &[Claim]) -> Vec<String> {
        let mut new = Vec::new();
        for Claim { namespace, .. } in claims {
            if self.registry.used.contains(namespace) {
                continue;
            }
            if self.reader().namespace_from(namespace).as_deref() != Some(namespace) {
                new.push(namespace.clone());
            }
            if self.registry.used.len() >= MAX_USED {
                self.registry.used.clear();
            }
            self.registry.used.insert(namespace.clone());
        }
        new
    }

    pub(super) fn release(&mut self, id: Uuid) -> Result<Later, Refusal> {
        let registration = self.registry.lattice.find(self.store, id).ok_or(Refusal::NoRegistration(id))?;
        self.release_claims(registration, |_| true)
    }

    /// Erases a registration, whatever its state. Where it is to be erased already, nothing more is issued.
    pub(super) fn erase(&mut self, id: Uuid) -> Result<Later, Refusal> {
        let registration = self.registry.lattice.find(self.store, id).ok_or(Refusal::NoRegistration(id))?;
        if registration.erase.is_some() {
            return Ok(Later::now(registration));
        }
        self.log.may_issue()?;
        self.issue(NameOp::Erase { registration: registration.stamp });
        let registration = self.reader().reload(registration);
        Ok(Later::now(registration))
    }

    pub(super) fn release_name(&mut self, owner: String, request: NameRef) -> Result<Later, Refusal> {
        let key = self.reader().name_key(&request)?;
        let Vacancy::Taken(leader) = self.registry.lattice.vacancy(self.store, &request.namespace, &key) else {
            return Err(Refusal::NotHeld { namespace: request.namespace, name: request.name, owner });
        };
        match Registration::load(self.store, leader) {
            Some(registration) if registration.owner == owner => {
                self.release_claims(registration, |claim| claim.namespace == request.namespace && claim.key == key)
            }
            _ => Err(Refusal::NotHeld { namespace: request.namespace, name: request.name, owner }),
        }
    }

    /// Releases those claims of a registration that are selected by `which` and neither released nor ended.
    fn release_claims(&mut self, registration: Registration, which: impl Fn(&Claim) -> bool) -> Result<Later, Refusal> {
        let live = registration.claims.iter().filter(|record| !record.released && record.ended.is_none());
        let live: Vec<_> = live.map(|record| &record.claim).filter(|claim| which(claim)).collect();
        if !live.is_empty() && !registration.rejected {
            self.log.may_issue()?;
            for claim in live {
                let (namespace, key) = (claim.namespace.clone(), claim.key.clone());
                self.issue(NameOp::Release(ClaimRef { registration: registration.stamp, namespace, key }));
            }
        }
        let registration = Registration::load(self.store, registration.stamp).unwrap_or(registration);
        Ok(Later::now(registration))
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
