//! A feed continues where it ended, repeats what it said before when it is read again, and has each event once and with
//! the right content.

use forename::clock::Stamp;
use forename::crdt::{ID_WINDOW, NameOp};
use forename::log::{Body, Op};
use forename::model::{Event, EventType, Registration, Status};
use uuid::Uuid;

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::oracle::{Fate, Verdicts};
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::books::feeds::cursor_of;
use crate::world::ids::host_of;
use crate::world::{Seen, World};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Feed;

impl Check for Feed {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        let Seen::Event { host, number, event } = what else { return Ok(()) };
        let cursor = cursor_of(event);
        if cursor.number != *number {
            return broken("feed", format!("host {host}: cursor {cursor} where {number} is due"));
        }
        match world.books.feeds.event(*host, *number) {
            Some(before) if !says_the_same(before, event) => {
                broken("feed", format!("host {host}: event {cursor} was {before:?} and is {event:?}"))
            }
            Some(_) => Ok(()),
            None => is_right(world, *host, event),
        }
    }

    /// At rest, the reader of a founder that was never evicted knows every outcome, and the reader of any node knows
    /// the outcomes of all registrations that the node accepted in any incarnation, unless events were dropped unread.
    fn at_rest(&mut self, verdicts: &Verdicts, world: &World, _: &mut Marks) -> Checked {
        world.present().into_iter().try_for_each(|host| knows_all(world, host, verdicts))
    }
}

/// Judges an event that is read for the first time: it must be new in its feed, and its content must fit its kind.
fn is_right(world: &World, host: Host, event: &Event) -> Checked {
    let Registration { id, stamp, status, .. } = event.data.registration;
    let reused = || is_reused(world, id, stamp);
    if world.books.feeds.has_told(host, &event.id) && !reused() {
        return broken("events", format!("host {host} tells {} twice in one feed", event.id));
    }
    let wanted = match event.event_type {
        EventType::Accepted => Status::Pending,
        EventType::Contested => Status::Contested,
        EventType::Rejected => Status::Rejected,
        EventType::Confirmed | EventType::Activated | EventType::NameEnded => Status::Confirmed,
    };
    if status != wanted {
        return broken("events", format!("host {host}: {} says {status:?}", event.id));
    }
    if !matches!(event.event_type, EventType::Confirmed | EventType::Rejected) {
        return Ok(());
    }
    let before = world.books.feeds.decided(host).get(&id).filter(|before| **before != status);
    match before.filter(|_| !reused()) {
        Some(before) => broken("events", format!("host {host}: {id} is {status:?} after {before:?}")),
        None => Ok(()),
    }
}

/// Returns true where a client's id belonged to another registration more than a month before, so that it counts as a
/// new id.
fn is_reused(world: &World, id: Uuid, stamp: Stamp) -> bool {
    let long_before = |op: &Op| {
        stamp.hlc.millis().since(op.hlc.millis()) > ID_WINDOW
            && matches!(op.body(), Body::Name(NameOp::Register(register)) if register.id == Some(id))
    };
    world.books.ledger.all_ops().any(long_before)
}

fn knows_all(world: &World, host: Host, verdicts: &Verdicts) -> Checked {
    let (machine, feeds) = (&world.machines[host], &world.books.feeds);
    // A node that returned from an eviction knows what was decided meanwhile only as a newcomer does.
    let founder = host < world.plan.founders && !machine.came_back && !feeds.missed(host);
    // The node was cut off for longer than anything is kept, and was evicted meanwhile.
    let too_late = machine.came_back && world.plan.keep_events.is_some();
    let forgot = too_late || feeds.missed(host);
    let firsts = verdicts.fates.iter().filter(|(_, fate): &(_, &Fate)| fate.first);
    for (stamp, fate) in firsts {
        let id = fate.id(*stamp);
        let wanted = if fate.won { Status::Confirmed } else { Status::Rejected };
        match feeds.decided(host).get(&id) {
            Some(status) if *status != wanted => {
                return broken("oracle", format!("host {host} says {id} ({stamp}) is {status:?}, not {wanted:?}"));
            }
            None if founder || (host_of(stamp.node) == host && !forgot) => {
                return broken("events", format!("host {host} never told that {id} ({stamp}) is {wanted:?}"));
            }
            _ => {}
        }
        if founder && !feeds.accepted(host).contains(&id) {
            return broken("events", format!("host {host} never told that {id} ({stamp}) was accepted"));
        }
    }
    Ok(())
}

/// Returns true where an event that is read again says the same, except for text that was erased since.
fn says_the_same(before: &Event, now: &Event) -> bool {
    let fixed = |event: &Event| {
        let Registration { id, status, node, stamp, expires_at, activated, .. } = event.data.registration;
        let lost_to = event.data.rejected_by.as_ref().map(|by| (by.namespace.clone(), by.registration, by.stamp));
        let ended = event.data.reason;
        (event.event_type, event.time, (id, status, node, stamp, expires_at, activated), lost_to, ended)
    };
    let text = |event: &Event| {
        let Registration { owner, metadata, names, .. } = event.data.registration.clone();
        (owner, metadata, names, event.data.name.clone(), event.id.clone())
    };
    fixed(before) == fixed(now) && (now.data.registration.erased || text(before) == text(now))
}
