//! Replies of nodes: clients and books record them.

use std::iter;

use forename::clock::Stamp;
use forename::crdt::{Namespace, Registration};
use forename::model::{self, Contender, Cursor, EventType, Events, RulesVersion, Status};
use forename::replica::Refusal;
use forename::replica::any::{Answer, Answered as Reply, Token};
use forename::store::schema::{self, Rows};
use uuid::Uuid;

use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::clients::Call;
use crate::world::feeds;
use crate::world::seen::Seen;
use crate::world::state::World;

/// Handles a reply to a request.
pub(crate) fn replied(world: &mut World, host: Host, token: Token, reply: Reply) -> Checked {
    let Some((at, call)) = world.clients.calls.remove(&token) else {
        return broken("reply", format!("host {host} answers request {token} twice, or one never made"));
    };
    if at != host {
        return broken("reply", format!("host {host} answers a request made to host {at}"));
    }
    let asked = world.books.orders.answered(token, &reply);
    world.see(&Seen::Replies { host, token, asked, call: &call, reply: &reply })?;
    match reply {
        Ok(Answer::Registration(view)) if !matches!(call, Call::Check(_)) => shown(world, host, call, view),
        Ok(Answer::Namespace(view)) if !matches!(call, Call::Check(_)) => {
            told_of_rules(world, host, &view);
            Ok(())
        }
        Ok(Answer::Webhook(known)) if call == Call::Other => {
            world.clients.webhooks.insert(known.id, known.stamp);
            Ok(())
        }
        Ok(Answer::RegistrationExplanation(explained)) if call == Call::Other => {
            told(world, host, &explained.registration)
        }
        Ok(Answer::History(page)) if call == Call::Other => {
            let claims = page.tenures.iter().flat_map(|tenure| iter::once(&tenure.holder).chain(&tenure.losers));
            told_of_claims(world, host, claims)
        }
        Ok(Answer::Conflicts(page)) if call == Call::Other => {
            told_of_claims(world, host, page.conflicts.iter().flat_map(|conflict| &conflict.claims))
        }
        Ok(Answer::Events(page)) if let Call::Feed(after) = call => read(world, host, after, &page),
        Err(Refusal::EventsCompacted { restart, .. } | Refusal::CursorUnknown { restart, .. })
            if matches!(call, Call::Feed(_)) =>
        {
            world.books.feeds.begins_after(host, restart.number);
            feeds::feed_page(world, host, restart);
            Ok(())
        }
        reply => {
            refused(world, host, call, reply);
            Ok(())
        }
    }
}

/// Records an answer to a client about its registration.
fn shown(world: &mut World, host: Host, call: Call, view: model::Registration) -> Checked {
    told(world, host, &view)?;
    if let Call::Register(slot) | Call::About(slot) = call {
        if matches!(call, Call::Register(_)) {
            let max_open = world.clients.charge(slot).and_then(|charge| charge.max_open);
            world.see(&Seen::Registered { host, max_open, view: &view })?;
            let id = world.clients.ids.entry(slot).or_insert(view.id);
            if *id != view.id {
                return broken("reply", format!("host {host} answers {id} with {}", view.id));
            }
        }
        world.clients.refusals.remove(&slot);
        world.clients.views.insert(slot, view);
    }
    Ok(())
}

fn refused(world: &mut World, host: Host, call: Call, reply: Reply) {
    if let Call::Check(number) = call {
        world.clients.answers.insert(number, reply);
        return;
    }
    if matches!(call, Call::Feed(_)) {
        feeds::feed_refused(world, host);
    }
    let Err(refusal) = reply else { return };
    if let Call::Register(slot) | Call::About(slot) = call {
        world.clients.refusals.insert(slot, refusal);
    }
}

/// Records an answer about a registration, whoever receives it. A registration of which this node has only a void op is
/// not recorded.
fn told(world: &mut World, host: Host, view: &model::Registration) -> Checked {
    let disk = world.machines[host].disk.durable();
    let known = Registration::load(disk, view.stamp).is_some();
    let void = schema::Void::has(disk, view.stamp);
    if known {
        world.books.ledger.answers(view.id);
    }
    let decided = schema::Frontiers::get(disk, view.stamp.node).is_some_and(|frontier| {
        Registration::load(disk, view.stamp).is_some_and(|durable| durable.seq <= frontier.decided)
    });
    if view.status == Status::Confirmed && known && !decided {
        world.mark("a confirmation is told before its row is durable");
    }
    if view.status.is_final() && (known || !void) {
        is_final(world, host, view.id, view.stamp, view.status)?;
    }
    Ok(())
}

/// Records an answer to an operator about rules.
fn told_of_rules(world: &mut World, host: Host, view: &model::Namespace) {
    let RulesVersion::Set(stamp) = view.version else { return };
    let durable = Namespace::load(world.machines[host].disk.durable(), &view.namespace);
    if durable.is_some_and(|durable| durable.stamp >= stamp) {
        world.books.ledger.tells_rules(view.namespace.clone(), stamp);
    }
}

/// Records the outcomes in a list of claims to a name. Retries do not count.
fn told_of_claims<'a>(world: &mut World, host: Host, claims: impl Iterator<Item = &'a Contender>) -> Checked {
    for claim in claims.filter(|claim| claim.status.is_final() && !claim.twin) {
        is_final(world, host, claim.registration, claim.stamp, claim.status)?;
    }
    Ok(())
}

/// Records a page of a node's feed that was read after `after`.
fn read(world: &mut World, host: Host, after: Option<Cursor>, page: &Events) -> Checked {
    let node = world.machines[host].node;
    if !page.events.is_empty() {
        let begins = world.books.feeds.opens(host, node, after, &page.events);
        for (event, number) in page.events.iter().zip(begins..) {
            world.see(&Seen::Event { host, number, event })?;
            if world.books.feeds.event(host, number).is_some() {
                continue;
            }
            world.books.feeds.takes(host, event);
            if matches!(event.event_type, EventType::Confirmed | EventType::Rejected) {
                let about = &event.data.registration;
                is_final(world, host, about.id, about.stamp, about.status)?;
            }
        }
    }
    feeds::feed_page(world, host, page.next);
    Ok(())
}

/// Records that somebody learned that a registration is confirmed or rejected.
fn is_final(world: &mut World, host: Host, id: Uuid, stamp: Stamp, status: Status) -> Checked {
    let first = world.books.outcomes.told(host, id, stamp, status);
    world.see(&Seen::Final { host, id, stamp, status, first })
}
