//! Histories, conflicts, explanations, lists.

use uuid::Uuid;

use super::{Result, named};
use crate::api::{asked, checked, looked_up, page_limit};
use crate::model::{
    CheckedNames, ClaimPlace, Conflicts, Explanation, History, Name, NameQuery, NameRef, Namespaces, Place, TakenNames,
    Time,
};
use crate::node::Node;
use crate::replica::{Caller, ConflictsOf, ExplainName, ExplainRegistration, HistoryOf, NamesTaken, NamespacesKnown};

/// Calls that read many rows, or say why something is where it is.
impl Node {
    /// Who holds a name, with so many free alternatives where somebody does.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where it breaks a rule of its namespace.
    pub async fn name_or_others(&self, namespace: &str, name: &str, suggest: usize) -> Result<Name> {
        looked_up(&self.handle(), named(namespace, name), suggest, Caller::ANYBODY).await
    }

    /// A page of a name's tenures, after a place that the page before it gave.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where it breaks a rule of its namespace.
    pub async fn history(&self, namespace: &str, name: &str, after: Option<ClaimPlace>) -> Result<History> {
        let query = HistoryOf { name: named(namespace, name), after, limit: page_limit(None)? };
        asked(self.handle().query(query, Caller::ANYBODY)).await
    }

    /// What decides a name, and what it waits for.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where it breaks a rule of its namespace.
    pub async fn explain_name(&self, namespace: &str, name: &str) -> Result<Explanation> {
        Ok(asked(self.handle().query(ExplainName::new(named(namespace, name)), Caller::ANYBODY)).await?.into())
    }

    /// What decides a registration, and what it waits for.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`](crate::model::ProblemType::NoRegistration) where the node knows none of this id.
    pub async fn explain_registration(&self, id: Uuid) -> Result<Explanation> {
        Ok(asked(self.handle().query(ExplainRegistration::new(id), Caller::ANYBODY)).await?.into())
    }

    /// Whether each of these names can be had, [`MAX_CHECKED`](crate::model::limits::MAX_CHECKED) at most.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn check(&self, names: &[NameRef]) -> Result<CheckedNames> {
        checked(&self.handle(), names.to_vec(), Caller::ANYBODY).await
    }

    /// A page of the names that were claimed more than once, of those where something happened since a time.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn conflicts(&self, query: &NameQuery, since: Option<Time>, after: Option<&Place>) -> Result<Conflicts> {
        let query = ConflictsOf::new(query.namespace.clone(), since, after.cloned(), page_limit(query.limit)?);
        asked(self.handle().query(query, Caller::ANYBODY)).await
    }

    /// A page of the namespaces that have rules set or in which names were ever claimed, after one that the page before
    /// gave.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn namespaces(&self, after: Option<&str>, limit: Option<usize>) -> Result<Namespaces> {
        let query = NamespacesKnown::new(after.map(str::to_owned), page_limit(limit)?);
        asked(self.handle().query(query, Caller::ANYBODY)).await
    }

    /// A page of the names that are taken, with keys that begin with a prefix where there is a namespace.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn names(&self, query: &NameQuery, prefix: &str, after: Option<&Place>) -> Result<TakenNames> {
        let limit = page_limit(query.limit)?;
        // A prefix means something within a namespace.
        let prefix = if query.namespace.is_some() { prefix.to_owned() } else { String::new() };
        let query = NamesTaken::new(query.namespace.clone(), prefix, after.cloned(), limit);
        asked(self.handle().query(query, Caller::ANYBODY)).await
    }
}
