//! Clients make the requests of the plan, at their node or at another one where theirs is down.

use forename::model::{NameRef, ReplacesBody};
use forename::replica::any::Request;
use forename::replica::{
    Caller, Command, ConflictsOf, ExplainName, ExplainRegistration, HistoryOf, NameOf, NamesTaken, RegisterRequest,
    RegistrationsOf, SetRules, Suggestions,
};

use crate::dice::Dice;
use crate::plan::{Ask, Host, Otherwise, Slot, Wish, awaits};
use crate::world::books::orders;
use crate::world::clients::{self, Call, name, text_of};
use crate::world::queue::Event;
use crate::world::seen::Seen;
use crate::world::state::World;

/// Makes a request of the plan. Does nothing where the client has not learned the id that the request is about.
pub(crate) fn act(world: &mut World, index: usize) {
    if world.net.is_healed() {
        return;
    }
    let plan = world.plan.clone();
    let action = &plan.actions[index];
    if let (Otherwise::Elsewhere, Ask::Register(wish)) = (action.otherwise, &action.ask) {
        world.clients.moving.insert(wish.slot);
    }
    if !world.machines[action.host].serves() {
        world.mark("a client finds its node down");
    }
    let host = match action.otherwise {
        Otherwise::Elsewhere => next_up(world, action.host),
        _ => Some(action.host).filter(|host| world.machines[*host].serves()),
    };
    match (host, action.otherwise) {
        (Some(host), _) => {
            if host != action.host {
                world.mark("a client goes to another node");
            }
            ask(world, host, &action.ask);
        }
        (None, Otherwise::GivesUp) => {}
        (None, Otherwise::Waits(millis)) => world.at(world.now + millis.max(1) * 1000, Event::Action(index)),
        (None, Otherwise::Elsewhere) => world.at(world.now + 500_000, Event::Action(index)),
    }
}

/// Returns the first node that is up, starting at this one.
fn next_up(world: &World, host: Host) -> Option<Host> {
    let hosts = world.machines.len();
    (host..host + hosts).map(|host| host % hosts).find(|host| world.machines[*host].serves())
}

/// Repeats a client's request at the next node that is up, because its own node died.
pub(crate) fn ask_again(world: &mut World, slot: Slot, host: Host) {
    if let Some(host) = next_up(world, host).filter(|_| !world.net.is_healed()) {
        world.mark("a client asks another node again");
        ask(world, host, &Ask::Retry(slot));
    }
}

pub(crate) fn ask(world: &mut World, host: Host, ask: &Ask) {
    if !world.machines[host].serves() {
        world.note(&Seen::Asks { host, token: None, ask });
        return;
    }
    if let Ask::Import(slot, count, metadata) = ask {
        return import(world, host, *slot, *count, *metadata);
    }
    let Some((call, request)) = request_of(world, ask) else { return };
    let token = world.clients.call(host, call);
    world.note(&Seen::Asks { host, token: Some(token), ask });
    world.request(host, token, request);
}

fn import(world: &mut World, host: Host, slot: Slot, count: u32, metadata: usize) {
    world.note(&Seen::Asks { host, token: None, ask: &Ask::Import(slot, count, metadata) });
    for number in 0..count {
        let request = RegisterRequest {
            owner: format!("owner{}", number % 3),
            names: vec![name(&format!("bulk{slot}x{number}"))],
            metadata: Some(format!("\"{}\"", "m".repeat(metadata))),
            ..RegisterRequest::default()
        };
        let token = world.clients.call(host, Call::Other);
        world.request(host, token, Command::Register(request).into());
    }
}

fn request_of(world: &mut World, ask: &Ask) -> Option<(Call, Request)> {
    match ask {
        Ask::Register(wish) => {
            wished(world, wish).map(|request| (Call::Register(wish.slot), registers(world, wish.slot, request)))
        }
        Ask::Retry(slot) => {
            again(world, *slot).map(|request| (Call::Register(*slot), registers(world, *slot, request)))
        }
        Ask::Activate(slot) => world.clients.id(*slot).map(|id| (Call::About(*slot), Command::Activate { id }.into())),
        Ask::Extend(slot, ttl) => {
            world.clients.id(*slot).map(|id| (Call::About(*slot), Command::Extend { id, ttl: *ttl }.into()))
        }
        Ask::Release(slot) => world.clients.id(*slot).map(|id| (Call::About(*slot), Command::Release { id }.into())),
        Ask::Erase(slot) => world.clients.id(*slot).map(|id| (Call::About(*slot), Command::Erase { id }.into())),
        Ask::ReleaseName(slot, place) => world.clients.asked.get(slot).and_then(|asked| {
            let (owner, name) = (asked.owner.clone(), asked.names.get(*place)?.clone());
            Some((Call::Other, Command::ReleaseName { owner, name }.into()))
        }),
        Ask::Show(slot, wait) => {
            let about = |id| (Call::About(*slot), Request::outcome(id, wait.map(awaits)));
            world.clients.id(*slot).map(about)
        }
        Ask::Look(text) => Some((Call::Other, NameOf(name(text)).into())),
        Ask::Evict(host) => Some((Call::Other, orders::evict(world.machines[*host].node))),
        Ask::Rules(book) => book.rules().map(|rules| {
            let (namespace, rules) = (book.namespace.clone(), Box::new(rules));
            (Call::Other, SetRules { namespace, rules, if_version: None }.into())
        }),
        Ask::Webhook(errand) => errand.request(&world.clients.webhooks).map(|request| (Call::Other, request.into())),
        Ask::Leave => Some((Call::Other, orders::leave())),
        Ask::Explain(slot) => world.clients.id(*slot).map(|id| (Call::Other, ExplainRegistration::new(id).into())),
        Ask::ExplainName(text) => Some((Call::Other, ExplainName::new(name(text)).into())),
        Ask::History(text) => Some((Call::Other, HistoryOf { name: name(text), after: None, limit: 100 }.into())),
        Ask::Conflicts => Some((Call::Other, ConflictsOf::new(None, None, None, 100).into())),
        Ask::List => Some((Call::Other, NamesTaken::new(None, String::new(), None, 100).into())),
        Ask::Suggest(text) => Some((Call::Other, Suggestions { name: name(text), count: 3 }.into())),
        Ask::Owner(owner) => Some((Call::Other, RegistrationsOf::new(owner.clone(), None, 100).into())),
        Ask::Import(..) => None,
    }
}

fn registers(world: &World, slot: Slot, request: RegisterRequest) -> Request {
    let reads = !world.clients.discreet.contains(&slot);
    Request::Name(Command::Register(request), Caller { reads, ..Caller::ANYBODY })
}

fn wished(world: &mut World, wish: &Wish) -> Option<RegisterRequest> {
    let replaces = match wish.replaces {
        None => None,
        Some((slot, place)) => {
            let name = world.clients.asked.get(&slot)?.names.get(place)?.clone();
            let NameRef { namespace, name } = name;
            Some(ReplacesBody { registration: world.clients.id(slot)?, namespace, name })
        }
    };
    let mut names: Vec<_> = wish.names.iter().map(|text| name(text)).collect();
    if let Some(ReplacesBody { namespace, name, .. }) = replaces.as_ref().filter(|_| wish.respelt) {
        names = vec![NameRef { namespace: namespace.clone(), name: otherwise(name) }];
    }
    let mut dice = Dice::new(world.plan.seed, "id", u64::from(wish.id_of.unwrap_or(wish.slot)));
    let id = wish.own_id.then(|| {
        let bytes = (u128::from(dice.draw()) << 64 | u128::from(dice.draw())).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    });
    let request = RegisterRequest {
        id,
        owner: wish.owner.clone(),
        names,
        ttl: wish.ttl,
        replaces,
        metadata: Some(text_of(wish.slot)),
        wait: wish.wait.map(awaits),
        charge: wish.max_open.map(clients::charge),
    };
    world.clients.asked.insert(wish.slot, request.clone());
    if wish.discreet {
        world.clients.discreet.insert(wish.slot);
    } else {
        world.clients.discreet.remove(&wish.slot);
    }
    world.clients.ids.extend(id.map(|id| (wish.slot, id)));
    Some(request)
}

/// Returns the name in another spelling.
fn otherwise(name: &str) -> String {
    let swapped = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    name.chars().map(swapped).collect()
}

/// Returns the same request again, where the client chose the id; otherwise it would be another registration.
fn again(world: &World, slot: Slot) -> Option<RegisterRequest> {
    world.clients.asked.get(&slot).filter(|asked| asked.id.is_some()).cloned()
}
