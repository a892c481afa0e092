//! Clients: what they ask, what they are told, and what they remember of it.

use std::collections::{BTreeMap, BTreeSet};

use forename::replica::{
    Answer, EndReason, NameRequest, Refusal, RegisterRequest, RegistrationView, Replaces, Reply, Request, Status, Token,
};
use uuid::Uuid;

use crate::dice::Dice;
use crate::ledger::{Checked, broken};
use crate::plan::{Ask, Host, Slot, Wish};
use crate::trace::Note;
use crate::words;
use crate::world::World;

/// Whom a reply is for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Call {
    /// The reader of a host's feed, from a cursor on.
    Feed(u64),
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
    calls: BTreeMap<Token, (Host, Call)>,
    /// The requests made, by slot, and the id as far as it is known.
    asked: BTreeMap<Slot, RegisterRequest>,
    ids: BTreeMap<Slot, Uuid>,
    /// The latest word on each slot.
    pub(crate) views: BTreeMap<Slot, RegistrationView>,
    /// The latest refusal of each slot.
    pub(crate) refusals: BTreeMap<Slot, Refusal>,
    /// Replies to the checks at the end.
    answers: BTreeMap<u64, Reply>,
    may_halt: BTreeSet<Host>,
}

impl Clients {
    fn call(&mut self, host: Host, call: Call) -> Token {
        self.next += 1;
        self.calls.insert(self.next, (host, call));
        self.next
    }

    pub(crate) fn feed(&mut self, host: Host, after: u64) -> Token {
        self.call(host, Call::Feed(after))
    }

    pub(crate) fn check(&mut self, host: Host, number: u64) -> Token {
        self.call(host, Call::Check(number))
    }

    pub(crate) fn answer(&mut self, number: u64) -> Option<Reply> {
        self.answers.remove(&number)
    }

    /// The process at the other end is gone: no reply will come.
    pub(crate) fn lost(&mut self, host: Host) {
        self.calls.retain(|_, (at, _)| *at != host);
    }

    pub(crate) fn open_calls(&self) -> usize {
        self.calls.values().filter(|(_, call)| !matches!(call, Call::Feed(_) | Call::Check(_))).count()
    }

    /// A host that is expected to stop by itself.
    pub(crate) fn expect_halt(&mut self, host: Host) {
        self.may_halt.insert(host);
    }

    pub(crate) fn may_halt(&self, host: Host) -> bool {
        self.may_halt.contains(&host)
    }

    pub(crate) fn id(&self, slot: Slot) -> Option<Uuid> {
        self.ids.get(&slot).copied()
    }
}

/// A name of a plan: its namespace is `username`, or what stands before the slash.
pub(crate) fn name(text: &str) -> NameRequest {
    let (namespace, name) = text.split_once('/').unwrap_or(("username", text));
    NameRequest { namespace: namespace.to_owned(), name: name.to_owned() }
}

impl World {
    /// A client asks what the plan says; nothing where it has not learnt the id that it would ask about.
    pub(crate) fn act(&mut self, index: usize) -> Checked {
        let action = self.plan.actions[index].clone();
        self.ask(action.host, action.ask);
        Ok(())
    }

    pub(crate) fn ask(&mut self, host: Host, ask: Ask) {
        if !self.machines[host].is_up() {
            self.mark("a client finds its node down");
            self.note_asked(host, None, &ask);
            return;
        }
        let request = match &ask {
            Ask::Register(wish) => self.wish(wish).map(|request| (Call::Register(wish.slot), request)),
            Ask::Retry(slot) => self.again(*slot).map(|request| (Call::Register(*slot), request)),
            Ask::Activate(slot) => self.clients.id(*slot).map(|id| (Call::About(*slot), Request::Activate { id })),
            Ask::Release(slot) => self.clients.id(*slot).map(|id| (Call::About(*slot), Request::Release { id })),
            Ask::ReleaseName(slot, place) => self.clients.asked.get(slot).and_then(|asked| {
                let (owner, name) = (asked.owner.clone(), asked.names.get(*place)?.clone());
                Some((Call::Other, Request::ReleaseName { owner, name }))
            }),
            Ask::Show(slot, wait) => {
                let about = |id| (Call::About(*slot), Request::Registration { id, wait: *wait });
                self.clients.id(*slot).map(about)
            }
            Ask::Look(text) => Some((Call::Other, Request::Name(name(text)))),
            Ask::Owner(owner) => Some((Call::Other, Request::Owner { owner: owner.clone(), after: None, limit: 100 })),
        };
        let Some((call, request)) = request else { return };
        let token = self.clients.call(host, call);
        self.note_asked(host, Some(token), &ask);
        self.request(host, token, request);
    }

    fn note_asked(&mut self, host: Host, token: Option<Token>, ask: &Ask) {
        if self.trace.is_on() {
            self.trace.note(self.now, Note::Asked(host, token, words::ask(ask)));
        }
    }

    fn wish(&mut self, wish: &Wish) -> Option<Request> {
        let replaces = match wish.replaces {
            None => None,
            Some((slot, place)) => {
                let name = self.clients.asked.get(&slot)?.names.get(place)?.clone();
                Some(Replaces { registration: self.clients.id(slot)?, name })
            }
        };
        let mut dice = Dice::new(self.plan.seed, "id", u64::from(wish.id_of.unwrap_or(wish.slot)));
        let id = wish.own_id.then(|| {
            let bytes = (u128::from(dice.draw()) << 64 | u128::from(dice.draw())).to_be_bytes();
            uuid::Builder::from_random_bytes(bytes).into_uuid()
        });
        let request = RegisterRequest {
            id,
            owner: wish.owner.clone(),
            names: wish.names.iter().map(|text| name(text)).collect(),
            ttl: wish.ttl,
            replaces,
            metadata: None,
            wait: wish.wait,
        };
        self.clients.asked.insert(wish.slot, request.clone());
        self.clients.ids.extend(id.map(|id| (wish.slot, id)));
        Some(Request::Register(request))
    }

    /// The same request again, where the client chose the id; otherwise that would be another registration.
    fn again(&self, slot: Slot) -> Option<Request> {
        self.clients.asked.get(&slot).filter(|asked| asked.id.is_some()).cloned().map(Request::Register)
    }

    pub(crate) fn replied(&mut self, host: Host, token: Token, reply: Reply) -> Checked {
        let Some((asked, call)) = self.clients.calls.remove(&token) else {
            return broken("reply", format!("host {host} answers request {token} twice, or one never made"));
        };
        if asked != host {
            return broken("reply", format!("host {host} answers a request made to host {asked}"));
        }
        if self.trace.is_on() {
            self.note_told(host, token, &call, &reply);
        }
        match reply {
            Ok(Answer::Registration(view)) if !matches!(call, Call::Check(_)) => self.shown(host, call, *view),
            Ok(Answer::Events(page)) if let Call::Feed(after) = call => {
                self.ledger.page(host, after, &page.events, &self.machines[host].disk)?;
                self.mark_events(&page.events);
                self.feed_page(host, page.next);
                Ok(())
            }
            reply => {
                self.refused(host, call, reply);
                Ok(())
            }
        }
    }

    fn note_told(&mut self, host: Host, token: Token, call: &Call, reply: &Reply) {
        match (call, reply) {
            (Call::Feed(_), Ok(Answer::Events(page))) => {
                self.trace.events(self.now, host, self.ledger.feed(host).len(), &page.events);
            }
            (Call::Feed(_) | Call::Check(_), _) => {}
            (_, Ok(Answer::Registration(view))) => {
                self.trace.note(self.now, Note::Told(host, token, Some(view.stamp), words::reply(reply)));
            }
            _ => self.trace.note(self.now, Note::Told(host, token, None, words::reply(reply))),
        }
    }

    fn shown(&mut self, host: Host, call: Call, view: RegistrationView) -> Checked {
        self.ledger.told(host, &view, &self.machines[host].disk)?;
        if let Call::Register(slot) | Call::About(slot) = call {
            if matches!(call, Call::Register(_)) {
                let id = self.clients.ids.entry(slot).or_insert(view.id);
                if *id != view.id {
                    return broken("reply", format!("host {host} answers {id} with {}", view.id));
                }
            }
            match view.status {
                Status::Rejected => self.mark("a client is told of a rejection"),
                Status::Contested => self.mark("a client is told of a contest"),
                Status::Confirmed => self.mark("a client is told of a confirmation"),
                Status::Pending => self.mark("a client is told to wait"),
            }
            for (reason, mark) in [
                (EndReason::Expired, "a client sees an expiry"),
                (EndReason::Replaced, "a client sees a rename"),
                (EndReason::Released, "a client sees a release"),
            ] {
                if view.names.iter().any(|name| name.ended == Some(reason)) {
                    self.mark(mark);
                }
            }
            self.clients.refusals.remove(&slot);
            self.clients.views.insert(slot, view);
        }
        Ok(())
    }

    fn refused(&mut self, host: Host, call: Call, reply: Reply) {
        if let Call::Check(number) = call {
            self.clients.answers.insert(number, reply);
            return;
        }
        if matches!(call, Call::Feed(_)) {
            // A newcomer has no feed yet; its reader is told when it has.
            self.feed_page(host, 0);
        }
        let Err(refusal) = reply else { return };
        self.mark(match &refusal {
            Refusal::NameTaken { .. } => "refused: name taken",
            Refusal::InvalidName { .. } => "refused: invalid name",
            Refusal::InvalidRequest(_) => "refused: invalid request",
            Refusal::IdReused(_) => "refused: id reused",
            Refusal::NoRegistration(_) => "refused: no registration",
            Refusal::NotHeld { .. } => "refused: not held",
            Refusal::TooLate { .. } => "refused: too late",
            Refusal::NotMember => "refused: not a member",
            Refusal::ClockSuspect { .. } => "refused: clock suspect",
            Refusal::Unavailable(_) => "refused: unavailable",
        });
        if let Call::Register(slot) | Call::About(slot) = call {
            self.clients.refusals.insert(slot, refusal);
        }
    }
}
