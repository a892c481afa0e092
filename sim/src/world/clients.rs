//! Clients: what they have asked, what they were told, and what they remember of it.

use std::collections::{BTreeMap, BTreeSet};

use forename::model::{Cursor, NameRef, Registration};
use forename::replica::any::{Answered as Reply, Token};
use forename::replica::{Charge, Refusal, RegisterRequest};
use uuid::Uuid;

use crate::plan::{Host, Slot};

/// The token that all charged clients bear.
const TOKEN: &str = "app";

/// What clients count for where a token may have so many open.
pub(crate) fn charge(max_open: u32) -> Charge {
    Charge { token: TOKEN.to_owned(), max_open: Some(max_open), max_total: None }
}

/// Whom a reply is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// The reader of a host's feed, from a cursor on.
    Feed(Option<Cursor>),
    /// A client that registers, perhaps again.
    Register(Slot),
    /// A client that asks about a registration.
    About(Slot),
    /// A client that asks anything else.
    Other,
    /// The end of the run.
    Check(u64),
}

/// What clients remember.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    next: Token,
    pub(crate) calls: BTreeMap<Token, (Host, Call)>,
    /// The requests made, by slot, and the id as far as it is known.
    pub(crate) asked: BTreeMap<Slot, RegisterRequest>,
    /// The slots whose clients are not to be told of private names.
    pub(crate) discreet: BTreeSet<Slot>,
    pub(crate) ids: BTreeMap<Slot, Uuid>,
    /// The latest word on each slot.
    pub(crate) views: BTreeMap<Slot, Registration>,
    /// The latest refusal of each slot.
    pub(crate) refusals: BTreeMap<Slot, Refusal>,
    /// Replies to the checks at the end.
    pub(crate) answers: BTreeMap<u64, Reply>,
    /// Registrations whose clients go to another node where theirs is down.
    pub(crate) moving: BTreeSet<Slot>,
}

impl Clients {
    pub(crate) fn call(&mut self, host: Host, call: Call) -> Token {
        self.next += 1;
        self.calls.insert(self.next, (host, call));
        self.next
    }

    pub(crate) fn feed(&mut self, host: Host, after: Option<Cursor>) -> Token {
        self.call(host, Call::Feed(after))
    }

    /// The end of the run asks: under which number the answer will be found, and which request it is.
    pub(crate) fn check(&mut self, host: Host) -> (u64, Token) {
        let number = self.next + 1;
        (number, self.call(host, Call::Check(number)))
    }

    pub(crate) fn answered(&self, numbers: &[u64]) -> bool {
        numbers.iter().all(|number| self.answers.contains_key(number))
    }

    pub(crate) fn answer(&mut self, number: u64) -> Option<Reply> {
        self.answers.remove(&number)
    }

    /// The process at the other end is gone: no reply will come. Returns what clients ask for again elsewhere.
    pub(crate) fn lost(&mut self, host: Host) -> Vec<Slot> {
        let mut again = Vec::new();
        self.calls.retain(|_, (at, call)| {
            again.extend(match call {
                Call::Register(slot) if *at == host => self.moving.get(slot).copied(),
                _ => None,
            });
            *at != host
        });
        again
    }

    /// Requests without a reply, but for those made to some hosts.
    pub(crate) fn open_calls(&self, but: &[Host]) -> usize {
        let clients = |call: &Call| !matches!(call, Call::Feed(_) | Call::Check(_));
        self.calls.values().filter(|(host, call)| clients(call) && !but.contains(host)).count()
    }

    /// What the registration of a slot counts for.
    pub(crate) fn charge(&self, slot: Slot) -> Option<&Charge> {
        self.asked.get(&slot)?.charge.as_ref()
    }

    pub(crate) fn id(&self, slot: Slot) -> Option<Uuid> {
        self.ids.get(&slot).copied()
    }
}

/// What a client keeps with the registration of a slot, and nobody with any other.
pub(crate) fn text_of(slot: Slot) -> String {
    format!("{{\"slot\":\"<{slot}>\"}}")
}

/// A name of a plan: its namespace is `username`, or what stands before the last slash.
pub(crate) fn name(text: &str) -> NameRef {
    let (namespace, name) = text.rsplit_once('/').unwrap_or(("username", text));
    NameRef { namespace: namespace.to_owned(), name: name.to_owned() }
}
