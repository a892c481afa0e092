//! Calls that read histories, conflicts, explanations and lists.

use reqwest::Method;
use uuid::Uuid;

use super::{Client, Result};
use crate::model::{
    CheckedNames, ClaimPlace, Conflicts, Explanation, History, Name, NameQuery, NameRef, Namespaces, Place, TakenNames,
    Time,
};

impl Client {
    /// Returns who holds a name, and this number of free alternatives where somebody does.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where the name breaks a rule of its
    /// namespace.
    pub async fn name_or_others(&self, namespace: &str, name: &str, suggest: usize) -> Result<Name> {
        let query = [("suggest", suggest.to_string())];
        self.answer(self.call(Method::GET, &["v1", "names", namespace, name], &query)?).await
    }

    /// Returns a page of a name's tenures, from where the page before ended.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where the name breaks a rule of its
    /// namespace.
    pub async fn history(&self, namespace: &str, name: &str, after: Option<ClaimPlace>) -> Result<History> {
        let query: Vec<_> = after.into_iter().map(|after| ("after", after.to_string())).collect();
        self.answer(self.call(Method::GET, &["v1", "names", namespace, name, "history"], &query)?).await
    }

    /// Explains what decides a name, and what it waits for.
    ///
    /// # Errors
    /// [`ProblemType::InvalidName`](crate::model::ProblemType::InvalidName) where the name breaks a rule of its
    /// namespace.
    pub async fn explain_name(&self, namespace: &str, name: &str) -> Result<Explanation> {
        self.answer(self.call(Method::GET, &["v1", "names", namespace, name, "explanation"], &[])?).await
    }

    /// Explains what decides a registration, and what it waits for.
    ///
    /// # Errors
    /// [`ProblemType::NoRegistration`](crate::model::ProblemType::NoRegistration) where the node knows no registration
    /// of this id.
    pub async fn explain_registration(&self, id: Uuid) -> Result<Explanation> {
        self.answer(self.call(Method::GET, &["v1", "registrations", &id.to_string(), "explanation"], &[])?).await
    }

    /// Returns for each of these names whether it can be claimed. It takes
    /// [`MAX_CHECKED`](crate::model::limits::MAX_CHECKED) names at most.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn check(&self, names: &[NameRef]) -> Result<CheckedNames> {
        self.answer(self.call(Method::POST, &["v1", "names:check"], &[])?.json(names)).await
    }

    /// Returns a page of the names that were claimed more than once and where something happened since a time.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn conflicts(&self, query: &NameQuery, since: Option<Time>, after: Option<&Place>) -> Result<Conflicts> {
        let namespace = query.namespace.clone().map(|namespace| ("namespace", namespace));
        let since = since.map(|since| ("since", since.to_string()));
        let pairs: Vec<_> = namespace.into_iter().chain(since).chain(rest(query, after)).collect();
        self.answer(self.call(Method::GET, &["v1", "conflicts"], &pairs)?).await
    }

    /// Returns a page of the namespaces that have rules set or in which names were ever claimed, after the one that the
    /// page before gave. A token that reaches only some namespaces gets only those.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn namespaces(&self, after: Option<&str>, limit: Option<usize>) -> Result<Namespaces> {
        let limit = limit.map(|limit| ("limit", limit.to_string()));
        let pairs: Vec<_> = after.map(|after| ("after", after.to_owned())).into_iter().chain(limit).collect();
        self.answer(self.call(Method::GET, &["v1", "namespaces"], &pairs)?).await
    }

    /// Returns a page of the names that are taken. Where the query names a namespace, only keys with this prefix count.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn names(&self, query: &NameQuery, prefix: &str, after: Option<&Place>) -> Result<TakenNames> {
        let mut pairs = rest(query, after);
        let request = match &query.namespace {
            Some(namespace) => {
                pairs.push(("prefix", prefix.to_owned()));
                self.call(Method::GET, &["v1", "namespaces", namespace, "names"], &pairs)?
            }
            None => self.call(Method::GET, &["v1", "names"], &pairs)?,
        };
        self.answer(request).await
    }
}

fn rest(query: &NameQuery, after: Option<&Place>) -> Vec<(&'static str, String)> {
    let limit = query.limit.map(|limit| ("limit", limit.to_string()));
    after.map(|after| ("after", after.to_string())).into_iter().chain(limit).collect()
}
