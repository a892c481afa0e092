//! Listing names that are taken, and suggesting names that are free.

use std::ops::ControlFlow;

use super::super::Reader;
use super::super::caller::Caller;
use super::super::query::{Budget, Query};
use super::super::refusal::Refusal;
use super::MAX_EXAMINED;
use super::views::metadata_of;
use crate::crdt::{Open, Vacancy};
use crate::model::limits::{MAX_CHECKED, MAX_PAGE, MAX_SUGGESTIONS};
use crate::model::{Name, NameRef, Place, TakenName, TakenNames, Time};
use crate::name::{Profile, Rules};
use crate::store::Direction;
use crate::store::schema::{self, NameKey, Rows, Span};

/// Alternatives that are tried for one name at most. A guess: enough to find a free one beside a very common name.
const MAX_TRIED: usize = 64;
/// Alternatives that are tried of each number of digits, from two digits on.
const TRIED_OF_LENGTH: u64 = 8;

/// Query for a page of the names that are taken, of one namespace or all.
#[derive(Clone, PartialEq, Debug)]
pub struct NamesTaken {
    /// Only names in this namespace; none for all.
    pub namespace: Option<String>,
    /// Only names whose keys begin like the key of this text. Needs a namespace.
    pub prefix: String,
    /// The place where the page before this one ended.
    pub after: Option<Place>,
    /// Greatest number of names on the page.
    pub limit: usize,
    read: Vec<TakenName>,
    examined: usize,
}

impl NamesTaken {
    /// Makes the query for at most `limit` names after a place.
    #[must_use]
    pub fn new(namespace: Option<String>, prefix: String, after: Option<Place>, limit: usize) -> Self {
        Self { namespace, prefix, after, limit, read: Vec::new(), examined: 0 }
    }
}

impl Query for NamesTaken {
    type Answer = TakenNames;

    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<TakenNames, Refusal>> {
        if let Some(Err(refusal)) = self.namespace.as_ref().map(|namespace| caller.reach(namespace)) {
            return Some(Err(refusal));
        }
        let limit = self.limit.clamp(1, MAX_PAGE);
        let mut span = match &self.namespace {
            Some(namespace) => Span::<schema::Names>::of(namespace, &reader.key_prefix(namespace, &self.prefix)),
            None => Span::all(),
        };
        if let Some(place) = &self.after {
            span = span.and_after(NameKey::new(&place.namespace, &place.key));
        }
        let (mut left, mut cut_off, mut next) = (budget.left(), false, None::<Place>);
        schema::Names::scan(reader.store, &span, Direction::Up, &mut |found| {
            let Some(NameKey { namespace, key }) = found.key() else { return ControlFlow::Continue(()) };
            let full = self.read.len() >= limit || self.examined >= MAX_EXAMINED;
            cut_off = !full && left == 0;
            if full || cut_off {
                return ControlFlow::Break(());
            }
            (self.examined, left) = (self.examined + 1, left - 1);
            if caller.reaches(namespace) {
                self.read.extend(reader.listed(namespace, key, found.row()));
            }
            next = Some(Place { namespace: namespace.to_owned(), key: key.to_owned(), claim: None });
            ControlFlow::Continue(())
        });
        budget.spend(budget.left() - left);
        self.after = next.or(self.after.take());
        if cut_off {
            return None;
        }
        let whole = self.read.len() < limit && self.examined < MAX_EXAMINED;
        let next = self.after.take().filter(|_| !whole && self.examined > 0);
        Some(Ok(TakenNames { names: std::mem::take(&mut self.read), next }))
    }
}

/// Query for the state of 1 to [`MAX_CHECKED`] names, in the order asked for. An invalid name gets a refusal of its
/// own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamesOf(pub Vec<NameRef>);

impl Query for NamesOf {
    type Answer = Vec<Result<Name, Refusal>>;

    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<Self::Answer, Refusal>> {
        if self.0.is_empty() || self.0.len() > MAX_CHECKED {
            let why = format!("1 to {MAX_CHECKED} names can be looked up at once, not {}", self.0.len());
            return Some(Err(Refusal::InvalidRequest(why)));
        }
        if let Err(refusal) = self.0.iter().try_for_each(|name| caller.reach(&name.namespace)) {
            return Some(Err(refusal));
        }
        budget.spend(self.0.len());
        Some(Ok(std::mem::take(&mut self.0).into_iter().map(|name| reader.name_view(name)).collect()))
    }
}

/// Query for free names that resemble a taken one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suggestions {
    /// The name that is taken.
    pub name: NameRef,
    /// Greatest number of suggestions, up to [`MAX_SUGGESTIONS`].
    pub count: usize,
}

impl Query for Suggestions {
    type Answer = Vec<String>;

    fn read(
        &mut self,
        reader: Reader<'_>,
        caller: &Caller,
        budget: &mut Budget,
    ) -> Option<Result<Vec<String>, Refusal>> {
        budget.spend(MAX_TRIED);
        Some(caller.reach(&self.name.namespace).and_then(|()| reader.suggestions(&self.name, self.count)))
    }
}

impl Reader<'_> {
    /// Returns the prefix of keys for a prefix of names as typed: its key where it is a valid name, and the text as
    /// given otherwise. Keys of private names are hashes, so there the text is taken as a prefix of the key.
    fn key_prefix(&self, namespace: &str, prefix: &str) -> String {
        if self.registry.lattice.rules(self.store, namespace).is_private() {
            return prefix.to_owned();
        }
        let name = NameRef { namespace: namespace.to_owned(), name: prefix.to_owned() };
        self.name_key(&name).unwrap_or(name.name)
    }

    fn listed(&self, namespace: &str, key: &str, open: Open) -> Option<TakenName> {
        let (status, holder) =
            self.holder(namespace, key, &self.registry.lattice.tenures_from(self.store, namespace, key, open))?;
        let typed = self.typed(holder.id(), &holder.claim(namespace, key)?.claim);
        let expires = holder.end().filter(|_| !holder.activated_in_time());
        Some(TakenName {
            namespace: namespace.to_owned(),
            name: typed,
            key: key.to_owned(),
            status,
            registration: holder.id(),
            since: holder.accepted_at().into(),
            expires_at: expires.map(Time::from),
            metadata: metadata_of(&holder),
            owner: holder.owner,
        })
    }

    /// Returns free names that resemble this one; the same state gives the same names. There are fewer than asked for
    /// where few are found, and none for private names and names that are not user names: an address has no
    /// alternatives.
    pub(crate) fn suggestions(&self, name: &NameRef, count: usize) -> Result<Vec<String>, Refusal> {
        if count > MAX_SUGGESTIONS {
            let why = format!("at most {MAX_SUGGESTIONS} alternatives are suggested, not {count}");
            return Err(Refusal::InvalidRequest(why));
        }
        let key = self.name_key(name)?;
        let rules = self.registry.lattice.rules(self.store, &name.namespace);
        if rules.is_private() || !matches!(rules.profile(), Profile::Username { .. }) {
            return Ok(Vec::new());
        }
        let candidates = suffixes(&name.namespace, &key).take(MAX_TRIED);
        // For a name that is spelled with look-alikes of other letters, alternatives are made from its key.
        let disguised = !name.name.is_ascii() && rules.look_alike(&name.name, &key);
        let name = &NameRef { name: if disguised { key.clone() } else { name.name.clone() }, ..name.clone() };
        let free = candidates.filter_map(|suffix| self.free_with(&rules, name, &suffix));
        Ok(free.take(count).collect())
    }

    /// Returns the name with a suffix, where that is free. Where the result would be too long, the name is shortened
    /// first.
    fn free_with(&self, rules: &Rules, name: &NameRef, suffix: &str) -> Option<String> {
        let valid = |candidate: String| {
            let key = rules.key(&candidate).ok()?;
            rules.check(&candidate, &key).is_ok().then_some((key, candidate))
        };
        let letters = name.name.chars().count();
        let with = |kept: usize| name.name.chars().take(kept).chain(suffix.chars()).collect::<String>();
        let shorter = letters.checked_sub(suffix.len()).filter(|kept| *kept > 0);
        let (key, candidate) = valid(with(letters)).or_else(|| valid(with(shorter?)))?;
        matches!(self.registry.lattice.vacancy(self.store, &name.namespace, &key), Vacancy::Free(_))
            .then_some(candidate)
    }
}

/// Returns the suffixes to try: the digits 1 to 9, then some numbers of two digits, of three digits and so on. The
/// longer numbers differ from name to name, so that a popular name does not run out of alternatives.
fn suffixes(namespace: &str, key: &str) -> impl Iterator<Item = String> {
    let hash = blake3::hash([namespace, "\0", key].concat().as_bytes());
    let seed = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let longer = (2..).flat_map(move |digits| {
        let least = 10_u64.saturating_pow(digits - 1);
        let range = least.saturating_mul(9);
        // The stride shares no prime factor (2, 3 or 5) with the range, so no number is repeated.
        (0..TRIED_OF_LENGTH).map(move |n| least + seed.wrapping_add(n.wrapping_mul(7_919)) % range)
    });
    (1..10).chain(longer).map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn suffixes_are_short_first_differ_and_stay_the_same() {
        let of = |key| suffixes("username", key).take(MAX_TRIED).collect::<Vec<_>>();
        let alice = of("alice");
        assert_eq!(alice, of("alice"));
        assert_ne!(alice[9..], of("bob")[9..]);
        assert_eq!(alice[..9], ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert!(alice.windows(2).all(|two| two[0].len() <= two[1].len()), "{alice:?}");
        assert_eq!(alice.iter().collect::<BTreeSet<_>>().len(), MAX_TRIED, "{alice:?}");
    }
}
