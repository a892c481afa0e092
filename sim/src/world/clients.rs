//! Clients: their requests, the answers, and what they remember.

use std::collections::{BTreeMap, BTreeSet};

use forename::clock::Stamp;
use forename::model::{Cursor, NameRef, Registration};
use forename::replica::any::{Answered as Reply, Token};
use forename::replica::{Charge, Refusal, RegisterRequest};
use uuid::Uuid;

use crate::plan::{Host, Slot};

/// The token of all clients whose registrations are charged.
const TOKEN: &str = "app";

/// The charge of a client whose token may have this many open registrations.
pub(crate) fn charge(max_open: u32) -> Charge {
    Charge { token: TOKEN.to_owned(), max_open: Some(max_open), max_total: None }
}

/// The receiver of a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// The reader of a host's feed, which reads after a cursor.
    Feed(Option<Cursor>),
    /// A client that registers, perhaps for the second time.
    Register(Slot),
    /// A client that asks about a registration.
    About(Slot),
    /// A client that asks anything else.
    Other,
    /// A check at the end of the run.
    Check(u64),
}

/// The memory of all clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    next: Token,
    pub(crate) calls: BTreeMap<Token, (Host, Call)>,
    /// The requests by slot. The ids are in `ids`, as far as they are known.
    pub(crate) asked: BTreeMap<Slot, RegisterRequest>,
    /// The slots of discreet clients, which must not learn about private names.
    pub(crate) discreet: BTreeSet<Slot>,
    pub(crate) ids: BTreeMap<Slot, Uuid>,
    /// The latest answer about each slot.
    pub(crate) views: BTreeMap<Slot, Registration>,
    /// The latest refusal of each slot.
    pub(crate) refusals: BTreeMap<Slot, Refusal>,
    /// The replies to the checks at the end of the run.
    pub(crate) answers: BTreeMap<u64, Reply>,
    /// The stamps of the versions of webhooks that were answered last.
    pub(crate) webhooks: BTreeMap<Uuid, Stamp>,
    /// Registrations whose clients turn to another node where theirs is down.
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

    /// Makes the number under which the reply to a check will be found, and the token of the request.
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

    /// Forgets the requests to a process that is gone, because no reply will come. Returns the slots whose clients
    /// repeat their requests at another node.
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

    /// Returns the number of requests without a reply, except those to some hosts.
    pub(crate) fn open_calls(&self, but: &[Host]) -> usize {
        let clients = |call: &Call| !matches!(call, Call::Feed(_) | Call::Check(_));
        self.calls.values().filter(|(host, call)| clients(call) && !but.contains(host)).count()
    }

    /// Returns the charge of the registration of a slot.
    pub(crate) fn charge(&self, slot: Slot) -> Option<&Charge> {
        self.asked.get(&slot)?.charge.as_ref()
    }

    pub(crate) fn id(&self, slot: Slot) -> Option<Uuid> {
        self.ids.get(&slot).copied()
    }
}

/// Returns the metadata that a client stores with the registration of a slot. No other registration has the same.
pub(crate) fn text_of(slot: Slot) -> String {
    format!("{{\"slot\":\"<{slot}>\"}}")
}

/// Parses a name in a plan. Its namespace is the text before the last slash, or else `username`.
pub(crate) fn name(text: &str) -> NameRef {
    let (namespace, name) = text.rsplit_once('/').unwrap_or(("username", text));
    NameRef { namespace: namespace.to_owned(), name: name.to_owned() }
}
