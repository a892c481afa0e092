//! Whatever a node tells anybody is on its disk by then.

use forename::crdt::{Namespace, Registration};
use forename::model::{self, RulesVersion, Status};
use forename::replica::any::{Answer, Answered as Reply};
use forename::replica::{Message, Vector};
use forename::store::Direction;
use forename::store::memory::MemoryStore;
use forename::store::schema::{self, Rows, Span};

use crate::checks::check::Check;
use crate::marks::Marks;
use crate::plan::Host;
use crate::violation::{Checked, broken};
use crate::world::books::feeds::cursor_of;
use crate::world::clients::Call;
use crate::world::{Seen, World};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Durable;

impl Check for Durable {
    fn saw(&mut self, what: &Seen<'_>, world: &World, _: &mut Marks) -> Checked {
        match what {
            Seen::Sends { host, message, .. } => sent(world, *host, message),
            Seen::Replies { host, call, reply, .. } => answered(world, *host, call, reply),
            _ => Ok(()),
        }
    }
}

fn sent(world: &World, host: Host, message: &Message) -> Checked {
    let disk = &world.machines[host].disk;
    match message {
        Message::Ops { ops, .. } => match ops.iter().find(|op| op.seq > disk.log(op.node)) {
            Some(op) => broken("durable", format!("host {host} sends {}#{} before its fsync", op.node, op.seq)),
            None => Ok(()),
        },
        Message::Vector(vector) => sent_vector(world, host, vector),
        _ => Ok(()),
    }
}

fn sent_vector(world: &World, host: Host, vector: &Vector) -> Checked {
    let (me, disk) = (world.machines[host].node, &world.machines[host].disk);
    for entry in &vector.entries {
        if entry.has.max(entry.holds) > disk.log(entry.origin) {
            let text = format!("host {host} acknowledges {}#{} before its fsync", entry.origin, entry.has);
            return broken("durable", text);
        }
        if entry.origin == me && entry.promise.hlc > disk.ceiling() {
            let text = format!("host {host} promises {} above its durable ceiling", entry.promise.hlc);
            return broken("durable", text);
        }
    }
    Ok(())
}

fn answered(world: &World, host: Host, call: &Call, reply: &Reply) -> Checked {
    match (call, reply) {
        (Call::Check(_), _) => Ok(()),
        (_, Ok(Answer::Registration(view))) => registration(world, host, view),
        (Call::Other, Ok(Answer::RegistrationExplanation(explained))) => {
            registration(world, host, &explained.registration)
        }
        (_, Ok(Answer::Namespace(view))) => rules(world, host, view),
        (Call::Feed(_), Ok(Answer::Events(page))) => {
            let stored = last_event(world.machines[host].disk.durable());
            match page.events.iter().find(|event| cursor_of(event).number > stored) {
                Some(event) => broken("durable", format!("host {host} shows event {} before its fsync", event.id)),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The number of the last event that a disk has.
fn last_event(disk: &MemoryStore) -> u64 {
    let last = schema::Events::first(disk, &Span::all(), Direction::Down, |chunk| {
        chunk.key().map(|first| first + chunk.row().len() as u64)
    });
    last.map_or(0, |next| next - 1)
}

fn registration(world: &World, host: Host, view: &model::Registration) -> Checked {
    let disk = &world.machines[host].disk;
    let Some(durable) = Registration::load(disk.durable(), view.stamp) else {
        // The registration may have been forgotten since. A discreet caller is told that it is pending even then.
        let logged = || world.books.ledger.op(view.stamp).is_some_and(|op| op.seq <= disk.log(op.node));
        let forgotten = world.plan.keep_events.is_some() && (view.status.is_final() || logged());
        if forgotten || schema::Void::has(disk.durable(), view.stamp) {
            return Ok(());
        }
        return broken("durable", format!("host {host} answers about {} before its fsync", view.stamp));
    };
    if view.status == Status::Rejected && !durable.rejected {
        return broken("durable", format!("host {host} tells the rejection of {} before its fsync", view.stamp));
    }
    Ok(())
}

fn rules(world: &World, host: Host, view: &model::Namespace) -> Checked {
    let RulesVersion::Set(stamp) = view.version else { return Ok(()) };
    let durable = Namespace::load(world.machines[host].disk.durable(), &view.namespace);
    if durable.is_none_or(|durable| durable.stamp < stamp) {
        return broken("durable", format!("host {host} answers about the rules of {stamp} before its fsync"));
    }
    Ok(())
}
