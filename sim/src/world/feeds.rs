//! Who reads the nodes' event feeds: each to its end, from where it was. Where a node has begun a new feed its reader goes on
//! there and drops what it knows.

use forename::replica::{Cursor, EventFilter, Request};

use crate::plan::Host;
use crate::world::net::Micros;
use crate::world::{Event, World};

/// How long a reader of a feed takes to ask for more, microseconds.
const READING: Micros = 20_000;

impl World {
    /// Plans to read a feed that has something new, a little later and all at once.
    pub(crate) fn read_feed(&mut self, host: Host) {
        let machine = &mut self.machines[host];
        if !machine.put_back && !std::mem::replace(&mut machine.feed_asked, true) {
            let (at, life) = (self.now + READING, machine.life);
            self.at(at, Event::ReadFeed(host, life));
        }
    }

    pub(crate) fn ask_feed(&mut self, host: Host) {
        let after = self.machines[host].cursor;
        let token = self.clients.feed(host, after);
        self.request(host, token, Request::Events { after, limit: 1000, filter: EventFilter::default() });
    }

    /// The reader has a page, or is told where to go on.
    pub(crate) fn feed_page(&mut self, host: Host, next: Cursor) {
        let machine = &mut self.machines[host];
        machine.feed_asked = false;
        let moved = machine.cursor != Some(next);
        machine.cursor = Some(next);
        if moved && next != machine.told {
            self.read_feed(host);
        }
    }

    /// A node that joins has no feed yet; its reader is told when it has.
    pub(crate) fn feed_refused(&mut self, host: Host) {
        self.machines[host].feed_asked = false;
    }
}
