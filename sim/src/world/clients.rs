//! Clients: what they ask, what they are told, and what they remember of it.

use std::collections::{BTreeMap, BTreeSet};

use forename::replica::{
    Answer, Charge, Cursor, EndReason, NameRequest, Refusal, RegisterRequest, RegistrationView, Replaces, Reply,
    Request, Status, Token,
};
use uuid::Uuid;

use crate::checks::charges;
use crate::checks::ledger::{Checked, broken};
use crate::describe;
use crate::dice::Dice;
use crate::plan::{Ask, Host, Otherwise, Slot, Wish};
use crate::trace::Note;
use crate::world::orders;
use crate::world::{Event, World};

/// Whom a reply is for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Call {
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
    /// Registrations whose clients go to another node where theirs is down.
    moving: BTreeSet<Slot>,
}

impl Clients {
    fn call(&mut self, host: Host, call: Call) -> Token {
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
pub(crate) fn name(text: &str) -> NameRequest {
    let (namespace, name) = text.rsplit_once('/').unwrap_or(("username", text));
    NameRequest { namespace: namespace.to_owned(), name: name.to_owned() }
}

impl World {
    /// A client asks what the plan says; nothing where it has not learnt the id that it would ask about.
    pub(crate) fn act(&mut self, index: usize) -> Checked {
        if self.net.is_healed() {
            return Ok(());
        }
        let plan = self.plan.clone();
        let action = &plan.actions[index];
        if let (Otherwise::Elsewhere, Ask::Register(wish)) = (action.otherwise, &action.ask) {
            self.clients.moving.insert(wish.slot);
        }
        if !self.machines[action.host].serves() {
            self.mark("a client finds its node down");
        }
        let host = match action.otherwise {
            Otherwise::Elsewhere => self.next_up(action.host),
            _ => Some(action.host).filter(|host| self.machines[*host].serves()),
        };
        match (host, action.otherwise) {
            (Some(host), _) => {
                if host != action.host {
                    self.mark("a client goes to another node");
                }
                self.ask(host, &action.ask);
            }
            (None, Otherwise::GivesUp) => {}
            (None, Otherwise::Waits(millis)) => self.at(self.now + millis.max(1) * 1000, Event::Action(index)),
            (None, Otherwise::Elsewhere) => self.at(self.now + 500_000, Event::Action(index)),
        }
        Ok(())
    }

    /// The first node that is up, from this one on.
    fn next_up(&self, host: Host) -> Option<Host> {
        let hosts = self.machines.len();
        (host..host + hosts).map(|host| host % hosts).find(|host| self.machines[*host].serves())
    }

    /// A client whose node died asks again at the next that is up.
    pub(crate) fn ask_again(&mut self, slot: Slot, host: Host) {
        if let Some(host) = self.next_up(host).filter(|_| !self.net.is_healed()) {
            self.mark("a client asks another node again");
            self.ask(host, &Ask::Retry(slot));
        }
    }

    pub(crate) fn ask(&mut self, host: Host, ask: &Ask) {
        if !self.machines[host].serves() {
            self.note_asked(host, None, ask);
            return;
        }
        if let Ask::Import(slot, count, metadata) = ask {
            return self.import(host, *slot, *count, *metadata);
        }
        let Some((call, request)) = self.request_of(host, ask) else { return };
        let token = self.clients.call(host, call);
        self.note_asked(host, Some(token), ask);
        self.request(host, token, request);
    }

    fn import(&mut self, host: Host, slot: Slot, count: u32, metadata: usize) {
        self.note_asked(host, None, &Ask::Import(slot, count, metadata));
        for number in 0..count {
            let request = RegisterRequest {
                owner: format!("owner{}", number % 3),
                names: vec![name(&format!("bulk{slot}x{number}"))],
                metadata: Some(format!("\"{}\"", "m".repeat(metadata))),
                ..RegisterRequest::default()
            };
            let token = self.clients.call(host, Call::Other);
            self.request(host, token, Request::Register(request));
        }
    }

    fn request_of(&mut self, host: Host, ask: &Ask) -> Option<(Call, Request)> {
        match ask {
            Ask::Register(wish) => {
                self.wish(wish).map(|request| (Call::Register(wish.slot), self.registers(host, request)))
            }
            Ask::Retry(slot) => self.again(*slot).map(|request| (Call::Register(*slot), self.registers(host, request))),
            Ask::Activate(slot) => self.clients.id(*slot).map(|id| (Call::About(*slot), Request::Activate { id })),
            Ask::Extend(slot, ttl) => {
                self.clients.id(*slot).map(|id| (Call::About(*slot), Request::Extend { id, ttl: *ttl }))
            }
            Ask::Release(slot) => self.clients.id(*slot).map(|id| (Call::About(*slot), Request::Release { id })),
            Ask::Erase(slot) => self.clients.id(*slot).map(|id| (Call::About(*slot), Request::Erase { id })),
            Ask::ReleaseName(slot, place) => self.clients.asked.get(slot).and_then(|asked| {
                let (owner, name) = (asked.owner.clone(), asked.names.get(*place)?.clone());
                Some((Call::Other, Request::ReleaseName { owner, name }))
            }),
            Ask::Show(slot, wait) => {
                let about = |id| (Call::About(*slot), Request::Registration { id, wait: *wait });
                self.clients.id(*slot).map(about)
            }
            Ask::Look(text) => Some((Call::Other, Request::Name(name(text)))),
            Ask::Evict(host) => Some((Call::Other, orders::evict(self.machines[*host].node))),
            Ask::Rules(book) => book.rules().map(|rules| {
                let (namespace, rules) = (book.namespace.clone(), Box::new(rules));
                (Call::Other, Request::SetNamespace { namespace, rules, if_version: None })
            }),
            Ask::Leave => Some((Call::Other, orders::leave())),
            Ask::Explain(slot) => self.clients.id(*slot).map(|id| (Call::Other, Request::ExplainRegistration(id))),
            Ask::ExplainName(text) => Some((Call::Other, Request::ExplainName(name(text)))),
            Ask::History(text) => Some((Call::Other, Request::History { name: name(text), after: None, limit: 100 })),
            Ask::Conflicts => {
                Some((Call::Other, Request::Conflicts { namespace: None, since: None, after: None, limit: 100 }))
            }
            Ask::List => {
                let (namespace, prefix) = (None, String::new());
                Some((Call::Other, Request::List { namespace, prefix, after: None, limit: 100 }))
            }
            Ask::Suggest(text) => Some((Call::Other, Request::Suggest { name: name(text), count: 3 })),
            Ask::Owner(owner) => Some((Call::Other, Request::Owner { owner: owner.clone(), after: None, limit: 100 })),
            Ask::Import(..) => None,
        }
    }

    fn note_asked(&mut self, host: Host, token: Option<Token>, ask: &Ask) {
        if self.trace.is_on() {
            self.trace.note(self.now, Note::Asked(host, token, describe::ask(ask)));
        }
    }

    fn registers(&mut self, host: Host, request: RegisterRequest) -> Request {
        self.secrets.asked(host, &request.names);
        let discreet = request.discreet;
        let request = Request::Register(request);
        if discreet { Request::Discreet(Box::new(request)) } else { request }
    }

    fn wish(&mut self, wish: &Wish) -> Option<RegisterRequest> {
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
            metadata: Some(text_of(wish.slot)),
            wait: wish.wait,
            charge: wish.max_open.map(charges::charge),
            discreet: wish.discreet,
        };
        self.clients.asked.insert(wish.slot, request.clone());
        self.clients.ids.extend(id.map(|id| (wish.slot, id)));
        Some(request)
    }

    /// The same request again, where the client chose the id; otherwise that would be another registration.
    fn again(&self, slot: Slot) -> Option<RegisterRequest> {
        self.clients.asked.get(&slot).filter(|asked| asked.id.is_some()).cloned()
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
        let asked = self.orders.answered(token, &reply);
        match (&reply, asked) {
            (Err(refusal), Some(asked)) => self.judge(host, asked, refusal)?,
            (Ok(Answer::Registration(view)), Some(asked)) if matches!(call, Call::Register(_)) => {
                self.judge_taken(host, asked.at, view)?;
            }
            _ => {}
        }
        match reply {
            Ok(Answer::Registration(view)) if !matches!(call, Call::Check(_)) => self.shown(host, call, *view),
            Ok(Answer::Namespace(view)) if !matches!(call, Call::Check(_)) => {
                self.mark("an operator sets rules");
                self.ledger.told_of_rules(host, &view, &self.machines[host].disk)
            }
            Ok(Answer::RegistrationExplanation(explained)) if call == Call::Other => {
                self.ledger.told(host, &explained.registration, &self.machines[host].disk)
            }
            Ok(Answer::History(page)) if call == Call::Other => self.ledger.told_of_tenures(host, &page.tenures),
            Ok(Answer::Conflicts(page)) if call == Call::Other => {
                let tenures: Vec<_> = page.conflicts.into_iter().map(|conflict| conflict.tenure).collect();
                self.ledger.told_of_tenures(host, &tenures)
            }
            Ok(Answer::Events(page)) if let Call::Feed(after) = call => {
                self.ledger.page(host, after, &page.events, &self.machines[host].disk)?;
                self.mark_events(&page.events);
                self.feed_page(host, page.next);
                Ok(())
            }
            Err(Refusal::EventsCompacted { restart, .. }) if matches!(call, Call::Feed(_)) => {
                self.mark("events leave a feed before they are read");
                self.ledger.begins_after(host, restart.number);
                self.feed_page(host, restart);
                Ok(())
            }
            Err(Refusal::CursorUnknown { restart, .. }) if matches!(call, Call::Feed(_)) => {
                self.mark("a reader goes on in a new feed");
                self.ledger.begins_after(host, restart.number);
                self.feed_page(host, restart);
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
                self.trace.events(self.now, host, self.ledger.last_event(host), &page.events);
            }
            (Call::Feed(_) | Call::Check(_), _) => {}
            (_, Ok(Answer::Registration(view))) => {
                self.trace.note(self.now, Note::Told(host, token, Some(view.stamp), describe::reply(reply)));
            }
            _ => self.trace.note(self.now, Note::Told(host, token, None, describe::reply(reply))),
        }
    }

    fn shown(&mut self, host: Host, call: Call, view: RegistrationView) -> Checked {
        self.ledger.told(host, &view, &self.machines[host].disk)?;
        if let Call::Register(slot) | Call::About(slot) = call {
            if matches!(call, Call::Register(_)) {
                self.note_charged(host, slot, &view);
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
            self.feed_refused(host);
        }
        let Err(refusal) = reply else { return };
        self.mark(match &refusal {
            Refusal::NameTaken { .. } => "refused: name taken",
            Refusal::InvalidName { reason, .. } if reason.contains("reserved") => "refused: reserved name",
            Refusal::InvalidName { .. } => "refused: invalid name",
            Refusal::RulesChanged { .. } => "refused: rules changed",
            Refusal::NamespaceInUse { .. } => "refused: namespace in use",
            Refusal::InvalidRequest(_) => "refused: invalid request",
            Refusal::IdReused(_) => "refused: id reused",
            Refusal::NoRegistration(_) => "refused: no registration",
            Refusal::NotHeld { .. } => "refused: not held",
            Refusal::TooLate { .. } => "refused: too late",
            Refusal::Permanent { .. } => "refused: permanent",
            Refusal::TooManyExtensions { .. } => "refused: too many extensions",
            Refusal::NotMember => "refused: not a member",
            Refusal::ClockSuspect { .. } => "refused: clock suspect",
            Refusal::Unavailable(_) => "refused: unavailable",
            Refusal::NoMember(_) => "refused: no member",
            Refusal::NotInContact { .. } => "refused: not in contact",
            Refusal::Departed => "refused: departed",
            Refusal::NoMajority { .. } => "refused: no majority",
            Refusal::LastMember => "refused: last member",
            Refusal::Leaving => "refused: leaving",
            Refusal::EventsCompacted { .. } => "refused: events compacted",
            Refusal::CursorUnknown { .. } => "refused: cursor unknown",
            Refusal::NeedsRead(_) => "refused: needs read",
            Refusal::TooManyOpen { .. } => "refused: too many open",
            Refusal::TokenTooManyOpen { .. } => "refused: too many open to a token",
            Refusal::NotOwner(_) => "refused: not the owner",
            Refusal::OutOfReach(_) => "refused: out of reach",
            Refusal::DiskLow { .. } => "refused: disk low",
        });
        if let Call::Register(slot) | Call::About(slot) = call {
            self.clients.refusals.insert(slot, refusal);
        }
    }
}
