//! Calls for histories, conflicts, explanations and lists.

use uuid::Uuid;

use super::{Result, named};
use crate::api::{checked, looked_up, or_problem, page_limit};
use crate::model::{
    CheckedNames, ClaimPlace, Conflicts, Explanation, History, Name, NameQuery, NameRef, Namespaces, Place, TakenNames,
    Time,
};
use crate::node::Node;
use crate::replica::{Caller, ConflictsOf, ExplainName, ExplainRegistration, HistoryOf, NamesTaken, NamespacesKnown};

/// Calls that read many rows, or explain the state of a name or a registration.
impl Node {
    /// Looks up a name and its holder. Where it is taken, the answer has up to `suggest` free alternatives.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where it breaks a rule of its namespace.
    pub async fn name_or_others(&self, namespace: &str, name: &str, suggest: usize) -> Result<Name> {
        looked_up(&self.handle(), named(namespace, name), suggest, Caller::ANYBODY).await
    }

    /// Returns a page of a name's tenures, after a place that the page before gave.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where it breaks a rule of its namespace.
    pub async fn history(&self, namespace: &str, name: &str, after: Option<ClaimPlace>) -> Result<History> {
        let query = HistoryOf { name: named(namespace, name), after, limit: page_limit(None)? };
        or_problem(self.handle().query(query, Caller::ANYBODY).await)
    }

    /// Explains what decides a name, and what it waits for.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where it breaks a rule of its namespace.
    pub async fn explain_name(&self, namespace: &str, name: &str) -> Result<Explanation> {
        Ok(or_problem(self.handle().query(ExplainName::new(named(namespace, name)), Caller::ANYBODY).await)?.into())
    }

    /// Explains what decides a registration, and what it waits for.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`](crate::model::ProblemType::NoRegistration) where the node knows none of this id.
    pub async fn explain_registration(&self, id: Uuid) -> Result<Explanation> {
        Ok(or_problem(self.handle().query(ExplainRegistration::new(id), Caller::ANYBODY).await)?.into())
    }

    /// Says for each of these names whether it is free. There may be [`MAX_CHECKED`](crate::model::limits::MAX_CHECKED)
    /// names at most.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn check(&self, names: &[NameRef]) -> Result<CheckedNames> {
        checked(&self.handle(), names.to_vec(), Caller::ANYBODY).await
    }

    /// Returns a page of the names that were claimed more than once; with `since`, of those where something happened
    /// since then.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn conflicts(&self, query: &NameQuery, since: Option<Time>, after: Option<&Place>) -> Result<Conflicts> {
        let query = ConflictsOf::new(query.namespace.clone(), since, after.cloned(), page_limit(query.limit)?);
        or_problem(self.handle().query(query, Caller::ANYBODY).await)
    }

    /// Returns a page of the namespaces that have rules set or in which names were ever claimed, after one that the
    /// page before gave.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn namespaces(&self, after: Option<&str>, limit: Option<usize>) -> Result<Namespaces> {
        let query = NamespacesKnown::new(after.map(str::to_owned), page_limit(limit)?);
        or_problem(self.handle().query(query, Caller::ANYBODY).await)
    }

    /// Returns a page of the names that are taken. Where there is a namespace, their keys begin with the prefix.
    ///
    /// # Errors
    /// The node refuses.
    pub async fn names(&self, query: &NameQuery, prefix: &str, after: Option<&Place>) -> Result<TakenNames> {
        let limit = page_limit(query.limit)?;
        // A prefix is used only within a namespace.
        let prefix = if query.namespace.is_some() { prefix.to_owned() } else { String::new() };
        let query = NamesTaken::new(query.namespace.clone(), prefix, after.cloned(), limit);
        or_problem(self.handle().query(query, Caller::ANYBODY).await)
    }
}
