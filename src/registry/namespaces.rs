//! The rules of namespaces: which are in force here, how they are set, and what they say of names.

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

/// The rules of a namespace.
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

    /// The rules of a namespace, which version they are, and whether that cannot be lost any more.
    fn rules_in_force(&self, namespace: &str) -> (Rules, RulesVersion, bool) {
        match Namespace::load(self.store, namespace) {
            Some(Namespace { stamp, seq, rules }) => {
                (rules, RulesVersion::Set(stamp), seq <= self.log.decided(stamp.node))
            }
            None => (Rules::default_of(namespace), RulesVersion::Default, true),
        }
    }

    /// Whether any name of a namespace was ever claimed, as far as this node knows.
    pub(super) fn has_names(&self, namespace: &str) -> bool {
        self.has_any::<schema::Names>(namespace)
            || self.has_any::<schema::Erased>(namespace)
            || self.has_any::<schema::Claims>(namespace)
    }

    fn has_any<T: Rows + ByNamespace>(&self, namespace: &str) -> bool {
        let span = Span::<T>::of_namespace(namespace);
        T::first(self.store, &span, Direction::Up, |_| Some(())).is_some()
    }

    /// The key of a name by the rules in force here, whether or not they let it be claimed.
    pub(crate) fn name_key(&self, request: &NameRef) -> Result<String, Refusal> {
        let key = self.rules_for(request).and_then(|rules| {
            let key = rules.key(&request.name)?;
            Ok(self.keyed(&rules, &request.namespace, key).key)
        });
        key.map_err(|error| invalid(request, &error))
    }

    /// The key of a name that the rules in force here let be claimed.
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

    /// The claim of a registration that a name means: as it was typed, or by the rules in force now, which may not be those
    /// that it was accepted by.
    pub(crate) fn claim_meant<'a>(&self, registration: &'a Registration, request: &NameRef) -> Option<&'a ClaimRecord> {
        let here = |record: &&ClaimRecord| record.claim.namespace == request.namespace;
        let typed = registration.claims.iter().filter(here).find(|record| is_typed(&record.claim, request));
        typed.or_else(|| registration.claim(&request.namespace, &self.name_key(request).ok()?))
    }

    /// Whether a claim is what a name asks for.
    pub(crate) fn is_meant(&self, claim: &Claim, request: &NameRef) -> bool {
        claim.namespace == request.namespace
            && (is_typed(claim, request) || self.name_key(request).is_ok_and(|key| key == claim.key))
    }
}

impl Writer<'_> {
    /// Sets rules: they apply from this step on.
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
        // The keys of the names that are taken stay as they are, so the same names would be free again.
        if !now.same_keys(&rules) && self.reader().has_names(&namespace) {
            return Err(Refusal::NamespaceInUse { namespace, profile: now.profile() });
        }
        self.log.may_issue()?;
        self.issue(NameOp::Namespace { namespace: namespace.clone(), rules });
        Ok(self.reader().namespace_view(namespace))
    }
}

/// Whether a claim is to a name as it is written here. One that did not travel is to none.
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
