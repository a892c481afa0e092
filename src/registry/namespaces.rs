//! The rules of namespaces: which rules are in force here, how they are set, and how they turn names into keys.

use super::caller::Caller;
use super::private::Keyed;
use super::query::{Budget, Query};
use super::refusal::Refusal;
use super::reply::Reply;
use super::request::SetRules;
use super::{Reader, Writer};
use crate::crdt::{Claim, ClaimRecord, NameOp, Namespace, Registration};
use crate::model::{self, NameRef, RulesVersion};
use crate::name::{self, NameError, Rules};
use crate::store::Direction;
use crate::store::schema::{self, ByNamespace, Rows, Span};

/// Query for the rules of a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RulesOf(pub String);

impl Query for RulesOf {
    type Answer = model::Namespace;

    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<model::Namespace, Refusal>> {
        budget.spend(1);
        let allowed = checked(&self.0).and_then(|()| caller.reach(&self.0));
        Some(allowed.map(|()| reader.namespace_view(self.0.clone())))
    }
}

impl Reader<'_> {
    fn namespace_view(&self, namespace: String) -> model::Namespace {
        let (rules, version, is_final) = self.rules_in_force(&namespace);
        rules.shown(namespace, version, is_final)
    }

    /// Returns the rules of a namespace, their version, and whether this version is final.
    fn rules_in_force(&self, namespace: &str) -> (Rules, RulesVersion, bool) {
        match Namespace::load(self.store, namespace) {
            Some(Namespace { stamp, seq, rules }) => {
                (rules, RulesVersion::Set(stamp), seq <= self.log.decided(stamp.node))
            }
            None => (Rules::default_of(namespace), RulesVersion::Default, true),
        }
    }

    /// Returns true where a name of a namespace was ever claimed, as far as this node knows.
    pub(super) fn has_names(&self, namespace: &str) -> bool {
        self.has_any::<schema::Names>(namespace)
            || self.has_any::<schema::Erased>(namespace)
            || self.has_any::<schema::Claims>(namespace)
    }

    fn has_any<T: Rows + ByNamespace>(&self, namespace: &str) -> bool {
        let span = Span::<T>::of_namespace(namespace);
        T::first(self.store, &span, Direction::Up, |_| Some(())).is_some()
    }

    /// Returns the key of a name by the rules in force here, whether or not these allow it to be claimed. Refuses private
    /// names where this node cannot hash them yet: each would look free.
    pub(crate) fn name_key(&self, request: &NameRef) -> Result<String, Refusal> {
        let rules = self.rules_for(request).map_err(|error| invalid(request, &error))?;
        let key = rules.key(&request.name).map_err(|error| invalid(request, &error))?;
        if rules.is_private() {
            self.log.may_hash()?;
        }
        Ok(self.keyed(&rules, &request.namespace, key).key)
    }

    /// Returns the key of a name; refuses names that the rules in force here do not allow to be claimed.
    pub(crate) fn claimable_key(&self, request: &NameRef) -> Result<Keyed, Refusal> {
        let key = self.rules_for(request).and_then(|rules| {
            let key = rules.key(&request.name)?;
            rules.check(&request.name, &key).map(|()| self.keyed(&rules, &request.namespace, key))
        });
        key.map_err(|error| invalid(request, &error))
    }

    fn rules_for(&self, request: &NameRef) -> Result<Rules, NameError> {
        name::check_namespace(&request.namespace)?;
        Ok(self.registry.lattice.rules(self.store, &request.namespace))
    }

    /// Returns the claim of a registration that a requested name refers to: one with the name as typed, or else one
    /// with its key by the rules in force now, which may differ from the rules at the acceptance.
    pub(crate) fn claim_meant<'a>(&self, registration: &'a Registration, request: &NameRef) -> Option<&'a ClaimRecord> {
        let here = |record: &&ClaimRecord| record.claim.namespace == request.namespace;
        let typed = registration.claims.iter().filter(here).find(|record| is_typed(&record.claim, request));
        typed.or_else(|| registration.claim(&request.namespace, &self.name_key(request).ok()?))
    }

    /// Returns true where a requested name refers to this claim.
    pub(crate) fn is_meant(&self, claim: &Claim, request: &NameRef) -> bool {
        claim.namespace == request.namespace
            && (is_typed(claim, request) || self.name_key(request).is_ok_and(|key| key == claim.key))
    }
}

impl Writer<'_> {
    /// Sets the rules of a namespace. They apply here from this step on.
    pub(crate) fn set_rules(&mut self, set: SetRules, caller: &Caller, reply: Reply<model::Namespace>) {
        let answer = caller.reach(&set.namespace).and_then(|()| self.try_set_rules(set));
        self.registry.ready.push(reply.with(answer));
    }

    fn try_set_rules(&mut self, set: SetRules) -> Result<model::Namespace, Refusal> {
        let SetRules { namespace, rules, if_version } = set;
        if !self.log.may_answer() {
            return Err(Refusal::NotMember);
        }
        checked(&namespace)?;
        let (now, version, _) = self.reader().rules_in_force(&namespace);
        if if_version.is_some_and(|wanted| wanted != version) {
            return Err(Refusal::RulesChanged { namespace, version });
        }
        // Names that are taken keep their keys, so the same names would be free again under other keys.
        if !now.same_keys(&rules) && self.reader().has_names(&namespace) {
            return Err(Refusal::NamespaceInUse { namespace, profile: now.profile() });
        }
        self.log.may_issue()?;
        self.issue(NameOp::Namespace { namespace: namespace.clone(), rules });
        Ok(self.reader().namespace_view(namespace))
    }
}

/// Returns true where a claim's name as typed is this one. The claim of a private name has none.
fn is_typed(claim: &Claim, request: &NameRef) -> bool {
    !claim.name.is_empty() && claim.name == request.name
}

fn checked(namespace: &str) -> Result<(), Refusal> {
    name::check_namespace(namespace).map_err(|error| Refusal::InvalidRequest(format!("{namespace:?}: {error}")))
}

fn invalid(request: &NameRef, error: &NameError) -> Refusal {
    Refusal::InvalidName {
        namespace: request.namespace.clone(),
        name: request.name.clone(),
        reason: error.into(),
        why: error.to_string(),
    }
}
