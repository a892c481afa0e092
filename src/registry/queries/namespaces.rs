//! Listing the known namespaces.

use super::super::Reader;
use super::super::caller::Caller;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::MAX_EXAMINED;
use crate::crdt::Namespace;
use crate::model::limits::MAX_PAGE;
use crate::model::{ListedNamespace, Namespaces};
use crate::name::{Rules as NameRules, check_namespace};
use crate::store::Direction;
use crate::store::schema::{self, ByNamespace, Rows, Span};

/// Rows that are read to find one namespace: one of each table that may have it.
const READS: usize = 4;

/// Query for a page of namespaces that have rules set, or in which names were ever claimed, in the order of their
/// names. Namespaces that the caller may not use are left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamespacesKnown {
    /// Only namespaces after this one.
    pub after: Option<String>,
    /// Greatest number of namespaces on the page.
    pub limit: usize,
    read: Vec<ListedNamespace>,
    examined: usize,
}

impl NamespacesKnown {
    /// Makes the query for at most `limit` namespaces after one.
    #[must_use]
    pub fn new(after: Option<String>, limit: usize) -> Self {
        Self { after, limit, read: Vec::new(), examined: 0 }
    }

    /// Returns the least possible name of a namespace that comes after `after` and that the caller may use; none where
    /// there can be none.
    fn from(caller: &Caller, after: Option<&str>) -> Option<String> {
        // U+0001 sorts below every character of a namespace, so namespaces that begin with `after` are included.
        let from = after.map_or_else(String::new, |after| format!("{after}\u{1}"));
        if caller.namespaces.is_empty() {
            return Some(from);
        }
        let bound = |pattern: &String| match pattern.strip_suffix('*') {
            Some(above) if above.ends_with('/') && from.starts_with(above) => Some(from.clone()),
            Some(above) if above.ends_with('/') => (above > from.as_str()).then(|| above.to_owned()),
            _ => (*pattern >= from).then(|| pattern.clone()),
        };
        caller.namespaces.iter().filter_map(bound).min()
    }
}

impl Query for NamespacesKnown {
    type Answer = Namespaces;

    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<Namespaces, Refusal>> {
        if let Some(after) = &self.after
            && check_namespace(after).is_err()
        {
            let why = format!("{after:?} is no namespace to go on after; give what the page before said as next");
            return Some(Err(Refusal::InvalidRequest(why)));
        }
        let limit = self.limit.clamp(1, MAX_PAGE);
        loop {
            if self.read.len() >= limit || self.examined >= MAX_EXAMINED {
                let (namespaces, next) = (std::mem::take(&mut self.read), self.after.take());
                return Some(Ok(Namespaces { namespaces, next }));
            }
            if budget.left() == 0 {
                return None;
            }
            budget.spend(READS);
            self.examined += 1;
            let found = Self::from(caller, self.after.as_deref()).and_then(|from| reader.namespace_from(&from));
            let Some(namespace) = found else {
                return Some(Ok(Namespaces { namespaces: std::mem::take(&mut self.read), next: None }));
            };
            if caller.reaches(&namespace) {
                self.read.push(reader.listed_namespace(&namespace));
            }
            self.after = Some(namespace);
        }
    }
}

impl Reader<'_> {
    /// Returns the first known namespace that is not less than this text.
    pub(crate) fn namespace_from(&self, from: &str) -> Option<String> {
        let ruled = schema::Namespaces::first(self.store, &Span::from(from), Direction::Up, |found| {
            found.key().map(str::to_owned)
        });
        let named = [
            self.first_of::<schema::Names>(from),
            self.first_of::<schema::Claims>(from),
            self.first_of::<schema::Erased>(from),
        ];
        named.into_iter().chain([ruled]).flatten().min()
    }

    fn first_of<T: Rows + ByNamespace>(&self, from: &str) -> Option<String> {
        let span = Span::<T>::of_namespaces_from(from);
        T::first(self.store, &span, Direction::Up, |found| found.key().map(T::namespace))
    }

    fn listed_namespace(&self, namespace: &str) -> ListedNamespace {
        let set = Namespace::load(self.store, namespace).map(|set| set.rules);
        let rules_set = set.is_some();
        let rules = set.unwrap_or_else(|| NameRules::default_of(namespace));
        ListedNamespace {
            namespace: namespace.to_owned(),
            profile: rules.profile().into(),
            private: rules.is_private(),
            rules_set,
            has_names: self.has_names(namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No namespace after `after` that the caller may use is below the bound, and the bound is after `after`.
        #[test]
        fn a_bound_skips_what_is_not_reached(
            reach in prop::collection::vec("[a-c]{1,2}(/[a-c]){0,1}(/\\*)?", 1..4),
            after in prop::option::of("[a-c]{1,2}(/[a-c]){0,2}"),
            namespace in "[a-c]{1,2}(/[a-c]){0,2}",
        ) {
            let caller = Caller { namespaces: reach, ..Caller::ANYBODY };
            let comes = after.as_ref().is_none_or(|after| namespace > *after);
            let bound = NamespacesKnown::from(&caller, after.as_deref());
            if comes && caller.reaches(&namespace) {
                prop_assert!(bound.is_some_and(|bound| bound <= namespace));
            } else if let Some(bound) = bound {
                prop_assert!(comes || bound > namespace, "{bound} is not after {after:?}");
            }
        }
    }
}
