//! How many registrations an API token may have open at once at this node, so that whoever bears it cannot reserve the
//! dictionary by changing owners.
//!
//! Open are those that are undecided, and reservations that are not activated and have not ended. What a token opened is
//! noted here by ids, which stay the same where an eviction has a registration issued anew, and in a table of this node's
//! own, so that a restart forgets nothing. Each registration that is let in looks at some of the notes and drops those
//! that are closed; where a token is at its limit all are looked at, once a second at most.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use super::super::refusal::Refusal;
use super::super::{Reader, Writer};
use crate::clock::Millis;
use crate::store::schema::{self, ChargeKey, Rows, Span};

/// Notes that each registration looks at: more than it adds, so that closed ones do not pile up.
const LOOKED_AT: usize = 4;
/// Notes that are looked at in one step where a token is at its limit. A guess: some milliseconds.
const LOOKED_AT_LIMIT: usize = 10_000;
/// For how long a token at its limit is refused without another look, milliseconds.
const REFUSED_FOR: u64 = 1000;

/// What a registration counts for: whose bearer asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// The token's name.
    pub token: String,
    /// Registrations that it may have open at once; none: any number.
    pub max_open: Option<u32>,
    /// Registrations that it may have that hold names, permanent ones counted; none: any number.
    pub max_total: Option<u32>,
}

/// What each token has open, as far as this node has been asked since its start.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenQuota(BTreeMap<String, Charged>);

#[derive(Clone, Debug, Default)]
struct Charged {
    /// Those that may be open, the one to be looked at next first.
    notes: VecDeque<Uuid>,
    /// Refused without a look until then.
    refused_until: Millis,
}

impl Reader<'_> {
    /// Whether a registration was opened for a token here, and is open still.
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

    /// What was noted before this node's start.
    fn noted(&self, token: &str) -> Charged {
        let mut notes = VecDeque::new();
        schema::Charges::each(self.store, &Span::<schema::Charges>::of(token), |found| {
            notes.extend(found.key().map(|key| key.id));
        });
        Charged { notes, refused_until: Millis(0) }
    }
}

impl Writer<'_> {
    /// Whether another registration may be opened for a token.
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

    /// Takes note of a registration that was opened for a token.
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

    /// Looks at so many notes, and no more once only so few are left, and drops those that are closed.
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
