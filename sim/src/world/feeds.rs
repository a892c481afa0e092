//! Who reads the nodes' event feeds: each to its end, from where it was. Where a node has begun a new feed its reader goes on
//! there and drops what it knows.

use forename::model::{Cursor, EventQuery};
use forename::replica::EventsAfter;

use crate::plan::Host;
use crate::world::net::Micros;
use crate::world::queue::Event;
use crate::world::state::World;

/// How long a reader of a feed takes to ask for more, microseconds.
const READING: Micros = 20_000;

/// Plans to read a feed that has something new, a little later and all at once.
pub(crate) fn read_feed(world: &mut World, host: Host) {
    let machine = &mut world.machines[host];
    let (life, is_old) = (machine.life, machine.is_old());
    let Some(running) = machine.running_mut().filter(|_| !is_old) else { return };
    if !std::mem::replace(&mut running.feed_asked, true) {
        world.at(world.now + READING, Event::ReadFeed(host, life));
    }
}

pub(crate) fn ask_feed(world: &mut World, host: Host) {
    let after = world.machines[host].cursor;
    let token = world.clients.feed(host, after);
    world.request(
        host,
        token,
        EventsAfter::new(after, EventQuery { limit: Some(1000), ..EventQuery::default() }).into(),
    );
}

/// The reader has a page, or is told where to go on.
pub(crate) fn feed_page(world: &mut World, host: Host, next: Cursor) {
    let machine = &mut world.machines[host];
    let moved = machine.cursor != Some(next);
    machine.cursor = Some(next);
    let Some(running) = machine.running_mut() else { return };
    running.feed_asked = false;
    if moved && next != running.last_event {
        read_feed(world, host);
    }
}

/// A node that joins has no feed yet; its reader is told when it has.
pub(crate) fn feed_refused(world: &mut World, host: Host) {
    if let Some(running) = world.machines[host].running_mut() {
        running.feed_asked = false;
    }
}
