//! Readers of the nodes' event feeds. Each reads its feed to the end, starting after its last event. Where a node has
//! begun a new feed, its reader continues there and drops the events that it knows.

use forename::model::{Cursor, EventQuery};
use forename::replica::EventsAfter;

use crate::plan::Host;
use crate::world::net::Micros;
use crate::world::queue::Event;
use crate::world::state::World;

/// Microseconds after which a reader asks for more.
const READING: Micros = 20_000;

/// Plans to read a feed with new events, a little later and only once.
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

/// The reader has received a page, or the cursor to continue after.
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

/// The reader was refused, because a node that joins has no feed yet. It reads when there is one.
pub(crate) fn feed_refused(world: &mut World, host: Host) {
    if let Some(running) = world.machines[host].running_mut() {
        running.feed_asked = false;
    }
}
