//! Limits on the open registrations of an API token at this node, so that its bearer cannot reserve all common names
//! under many owners.
//!
//! Open registrations are undecided ones, and reservations that are neither activated nor ended. The registrations of a
//! token are recorded here by ids, which stay the same where an eviction makes a registration void and it is issued
//! anew, and in a table of this node, so that a restart forgets nothing. Each new registration examines some of the
//! records and drops those of closed registrations. Where a token is at its limit, all records are examined, at most
//! once a second.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use super::super::refusal::Refusal;
use super::super::{Reader, Writer};
use crate::clock::Millis;
use crate::store::schema::{self, ChargeKey, Rows, Span};

/// Records that each registration examines: more than the one that it adds, so that records of closed registrations do
/// not pile up.
const LOOKED_AT: usize = 4;
/// Records that one step examines at most where a token is at its limit. A guess: some milliseconds.
const LOOKED_AT_LIMIT: usize = 10_000;
/// Milliseconds during which a token at its limit is refused without another look.
const REFUSED_FOR: u64 = 1000;

/// The API token that a registration is charged to, with its limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// The token's name.
    pub token: String,
    /// Greatest number of open registrations; none: no limit.
    pub max_open: Option<u32>,
    /// Greatest number of registrations that hold names, permanent ones counted; none: no limit.
    pub max_total: Option<u32>,
}

/// The open registrations of each token that has asked this node since its start.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenQuota(BTreeMap<String, Charged>);

#[derive(Clone, Debug, Default)]
struct Charged {
    /// The ids of registrations that may be open, the one to be examined next first.
    notes: VecDeque<Uuid>,
    /// The time until which the token is refused without another look.
    refused_until: Millis,
}

impl Reader<'_> {
    /// Returns true where a registration was opened with a token here, and is still open.
    pub(crate) fn has_opened(&self, token: &str, id: Uuid) -> bool {
        schema::Charges::get(self.store, ChargeKey { token, id }).is_some() && self.is_open_id(id)
    }

    fn is_open_id(&self, id: Uuid) -> bool {
        self.void_registration(id).is_some()
            || self
                .registry
                .lattice
                .find(self.store, id)
                .is_some_and(|registration| self.is_open_to_owner(&registration))
    }

    /// Loads the records of a token from the store.
    fn noted(&self, token: &str) -> Charged {
        let mut notes = VecDeque::new();
        schema::Charges::each(self.store, &Span::<schema::Charges>::of(token), |found| {
            notes.extend(found.key().map(|key| key.id));
        });
        Charged { notes, refused_until: Millis(0) }
    }
}

impl Writer<'_> {
    /// Refuses another registration of a token that has as many open ones as it may.
    pub(crate) fn check_charge(&mut self, charge: &Charge) -> Result<(), Refusal> {
        let (token, Some(max_open)) = (&charge.token, charge.max_open) else { return Ok(()) };
        let mut charged = self.registry.charges.0.remove(token).unwrap_or_else(|| self.reader().noted(token));
        let most = usize::try_from(max_open).unwrap_or(usize::MAX);
        self.drop_closed(token, &mut charged.notes, LOOKED_AT, 0);
        if charged.notes.len() >= most && charged.refused_until <= self.registry.now.elapsed {
            self.drop_closed(token, &mut charged.notes, LOOKED_AT_LIMIT, most - 1);
            if charged.notes.len() >= most {
                charged.refused_until = self.registry.now.elapsed.plus(REFUSED_FOR);
            }
        }
        let full = charged.notes.len() >= most;
        self.registry.charges.0.insert(token.clone(), charged);
        if full { Err(Refusal::TokenTooManyOpen { token: token.clone(), limit: max_open }) } else { Ok(()) }
    }

    /// Records a registration that a token has opened.
    pub(crate) fn note_charge(&mut self, charge: Charge, id: Uuid) {
        if charge.max_total.is_some() {
            self.note_held(&charge.token, id);
        }
        if charge.max_open.is_none() {
            return;
        }
        schema::Charges::put(self.store, ChargeKey { token: &charge.token, id }, &());
        self.registry.charges.0.entry(charge.token).or_default().notes.push_back(id);
    }

    /// Examines up to `looks` records and drops those of closed registrations. Stops once no more than `enough` are
    /// left.
    fn drop_closed(&mut self, token: &str, notes: &mut VecDeque<Uuid>, looks: usize, enough: usize) {
        for _ in 0..looks.min(notes.len()) {
            if notes.len() <= enough {
                return;
            }
            let Some(id) = notes.pop_front() else { return };
            if self.reader().is_open_id(id) {
                notes.push_back(id);
            } else {
                schema::Charges::delete(self.store, ChargeKey { token, id });
            }
        }
    }
}
