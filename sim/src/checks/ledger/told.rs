//! What nodes tell clients and readers of their feeds: durable when it is told, and the same everywhere and for ever where
//! it is said to be final.

use forename::clock::{Hlc, Stamp};
use forename::crdt::{Body, ID_WINDOW, Op};
use forename::replica::{Cursor, Event, EventType, NamespaceView, RegistrationView, RulesVersion, Status, TenureView};
use forename::store::schema::{self, Rows};
use uuid::Uuid;

use super::{Book, Checked, Feed, Ledger, broken, op_in};
use crate::plan::Host;
use crate::world::disk::Disk;

impl Ledger {
    /// A client is told about a registration.
    pub(crate) fn told(&mut self, host: Host, view: &RegistrationView, disk: &Disk) -> Checked {
        let durable = forename::crdt::Registration::load(disk.durable(), view.stamp);
        let void = schema::Void::has(disk.durable(), view.stamp);
        if void && durable.is_none() {
            return Ok(());
        }
        let Some(durable) = durable else {
            // It may have been forgotten since. Whoever may not be told the outcome is told that it is pending even then.
            let logged = self.op(view.stamp).is_some_and(|op| op.seq <= disk.log(op.node));
            if self.forgetful && (view.status.is_final() || logged) {
                let told = view.status.is_final();
                return if told { self.is_final(host, view.id, view.stamp, view.status) } else { Ok(()) };
            }
            return broken("durable", format!("host {host} answers about {} before its fsync", view.stamp));
        };
        if view.status == Status::Rejected && !durable.rejected {
            return broken("durable", format!("host {host} tells the rejection of {} before its fsync", view.stamp));
        }
        self.answered.insert(view.id);
        if view.status.is_final() { self.is_final(host, view.id, view.stamp, view.status) } else { Ok(()) }
    }

    /// Somebody reads who claimed a name: what is final in it is so everywhere. Of a retry nobody is told.
    pub(crate) fn told_of_tenures(&mut self, host: Host, tenures: &[TenureView]) -> Checked {
        let claims = tenures.iter().flat_map(|tenure| &tenure.claims);
        for claim in claims.filter(|claim| claim.status.is_final() && !claim.twin) {
            self.is_final(host, claim.registration, claim.stamp, claim.status)?;
        }
        Ok(())
    }

    /// An operator is told of rules.
    pub(crate) fn told_of_rules(&mut self, host: Host, view: &NamespaceView, disk: &Disk) -> Checked {
        let RulesVersion::Set(stamp) = view.version else { return Ok(()) };
        let durable = forename::crdt::Namespace::load(disk.durable(), &view.namespace);
        if durable.is_none_or(|durable| durable.stamp < stamp) {
            return broken("durable", format!("host {host} answers about the rules of {stamp} before its fsync"));
        }
        self.rules.insert((view.namespace.clone(), stamp));
        Ok(())
    }

    /// Rules that were told of.
    pub(crate) fn told_rules(&self) -> impl Iterator<Item = (&String, &Stamp)> {
        self.rules.iter().map(|(namespace, stamp)| (namespace, stamp))
    }

    /// Whether rules that an eviction has made void were set again by a later life of their node, be it under a lower
    /// timestamp: its clock may have been ahead.
    pub(crate) fn set_again(&self, namespace: &str, void: Stamp) -> bool {
        let again = |op: &Op| {
            op.node.key_part() == void.node.key_part()
                && op.node > void.node
                && matches!(&op.body, Body::Namespace { namespace: of, .. } if of == namespace)
        };
        self.op(void).is_some_and(|op| self.is_void(op)) && self.ops().any(again)
    }

    /// The ops of the registrations that were told to be confirmed.
    pub(crate) fn confirmed_ops(&self) -> impl Iterator<Item = &Op> {
        let confirmed = self.finals.iter().filter(|(_, (status, _))| *status == Status::Confirmed);
        confirmed.filter_map(|(stamp, _)| self.op(*stamp))
    }

    /// The timestamp of the latest registration of which an outcome was told.
    pub(crate) fn latest_outcome(&self) -> Hlc {
        self.finals.keys().map(|stamp| stamp.hlc).max().unwrap_or_default()
    }

    /// How many outcomes a host was the first to tell.
    pub(crate) fn told_first(&self, host: Host) -> usize {
        self.finals.values().filter(|(_, by)| *by == host).count()
    }

    /// Registrations that were told to be confirmed since the last call, for the first time, and by which hosts.
    pub(crate) fn take_confirmed(&mut self) -> Vec<(Host, Stamp)> {
        std::mem::take(&mut self.newly_confirmed)
    }

    /// Something is said to be final: it must be so everywhere and for ever.
    fn is_final(&mut self, host: Host, id: Uuid, stamp: Stamp, status: Status) -> Checked {
        if status == Status::Confirmed && !self.finals.contains_key(&stamp) {
            self.newly_confirmed.push((host, stamp));
        }
        let (before, by) = *self.finals.entry(stamp).or_insert((status, host));
        if before != status {
            let text = format!("{stamp}: {before:?} at host {by}, {status:?} at host {host}");
            return broken("final", text);
        }
        let known = self.ids.entry(id).or_insert((status, stamp));
        // What it rejected alone, with a directory that was replaced by a copy since, it rejects again in its next life.
        let again = known.0 == Status::Rejected
            && status == Status::Rejected
            && known.1.node.key_part() == stamp.node.key_part()
            && known.1.node < stamp.node;
        if again {
            *known = (status, stamp);
        }
        // A client's id is known for a month; after that it is another registration's.
        if stamp.hlc.millis().since(known.1.hlc.millis()) > ID_WINDOW {
            *known = (status, stamp);
        }
        let (before, of) = *known;
        if (before, of) != (status, stamp) {
            return broken("final", format!("{id}: {before:?} as {of}, then {status:?} as {stamp} at host {host}"));
        }
        if status == Status::Confirmed { self.confirmed(host, stamp) } else { Ok(()) }
    }

    fn confirmed(&mut self, host: Host, stamp: Stamp) -> Checked {
        let op =
            op_in(&self.ops, stamp).or_else(|| self.beside.get(&stamp.node)?.iter().find(|op| op.hlc == stamp.hlc));
        let Some(Body::Register(register)) = op.map(|op| &op.body) else {
            return broken("final", format!("{stamp} is confirmed, but nobody issued it"));
        };
        for claim in &register.claims {
            let tenure = ((claim.namespace.clone(), claim.key.clone()), claim.after);
            let winner = *self.tenures.entry(tenure).or_insert(stamp);
            if winner != stamp {
                let tenure = (&claim.namespace, &claim.key, claim.after);
                let text = format!("{tenure:?} is confirmed to {winner} and to {stamp}");
                return broken("tenure", text);
            }
        }
        let is_void = |op: &&Op| self.cuts.get(&op.node).is_some_and(|cut| op.seq > cut.seq);
        let counting = self.ops.values().flatten().filter(|op| !is_void(op));
        self.exclusive.confirmed(host, stamp, register, counting)
    }

    /// A page of a node's feed, read from `after` on: it goes on where it ended, and says again what it said before.
    pub(crate) fn page(&mut self, host: Host, after: Option<Cursor>, events: &[Event], disk: &Disk) -> Checked {
        let Some(first) = events.first().map(|event| event.cursor.number) else { return Ok(()) };
        let (node, feed) = (self.nodes[host], &mut self.books[host].feed);
        let other = |event: &Event| {
            feed.events.get(&event.cursor.number).is_some_and(|before| before.cursor.feed != event.cursor.feed)
        };
        if feed.node != node || events.iter().any(other) {
            *feed = Feed { node, ..Feed::default() };
        }
        // One that begins is given what is kept.
        let begins = after.map_or(first, |after| after.number + 1);
        if after.is_none() {
            self.begins_after(host, first - 1);
        }
        let stored = schema::Events::count(disk.durable()) > 0;
        for (event, number) in events.iter().zip(begins..) {
            if event.cursor.number != number {
                return broken("feed", format!("host {host}: cursor {} where {number} is due", event.cursor));
            }
            if !stored {
                return broken("durable", format!("host {host} shows event {} before its fsync", event.cursor));
            }
            match self.books[host].feed.events.get(&number) {
                Some(before) if !says_the_same(before, event) => {
                    let text = format!("host {host}: event {} was {before:?} and is {event:?}", event.cursor);
                    return broken("feed", text);
                }
                Some(_) => {}
                None => self.event(host, event)?,
            }
        }
        Ok(())
    }

    /// What a host's feed had up to this place has left it, or is that of another feed.
    pub(crate) fn begins_after(&mut self, host: Host, start: u64) {
        let Book { feed, reader, .. } = &mut self.books[host];
        reader.missed |= (1..=start).any(|number| !feed.events.contains_key(&number));
    }

    /// Whether a host's reader cannot know of all that was told.
    pub(crate) fn missed(&self, host: Host) -> bool {
        self.books[host].reader.missed
    }

    /// Whether a client's id was another registration's long before: it is known for a month.
    fn is_reused(&self, id: Uuid, stamp: Stamp) -> bool {
        let long_before = |op: &Op| {
            stamp.hlc.millis().since(op.hlc.millis()) > ID_WINDOW
                && matches!(&op.body, Body::Register(register) if register.id == Some(id))
        };
        self.all_ops().any(long_before)
    }

    /// An event that was not read before: a feed tells it once, its content is that of its kind, and what it says to be final
    /// is so.
    fn event(&mut self, host: Host, event: &Event) -> Checked {
        let (id, stamp, status) = (event.registration.id, event.registration.stamp, event.registration.status);
        let reused = self.is_reused(id, stamp);
        let Book { feed, reader, .. } = &mut self.books[host];
        if !feed.ids.insert(event.id()) && !reused {
            return broken("events", format!("host {host} tells {} twice in one feed", event.id()));
        }
        feed.events.insert(event.cursor.number, event.clone());
        reader.told.insert((event.event_type, stamp));
        let wanted = match event.event_type {
            EventType::Accepted => Status::Pending,
            EventType::Contested => Status::Contested,
            EventType::Rejected => Status::Rejected,
            EventType::Confirmed | EventType::Activated | EventType::NameEnded => Status::Confirmed,
        };
        if status != wanted {
            return broken("events", format!("host {host}: {} says {status:?}", event.id()));
        }
        if event.event_type == EventType::Accepted {
            reader.accepted.insert(id);
        }
        if !matches!(event.event_type, EventType::Confirmed | EventType::Rejected) {
            return Ok(());
        }
        if let Some(before) = reader.decided.insert(id, status).filter(|before| *before != status && !reused) {
            return broken("events", format!("host {host}: {id} is {status:?} after {before:?}"));
        }
        self.is_final(host, id, stamp, status)
    }
}

/// Whether an event that is read again says the same, but for text that was erased since.
fn says_the_same(before: &Event, now: &Event) -> bool {
    let fixed = |event: &Event| {
        let registration = &event.registration;
        let RegistrationView { id, status, node, stamp, expires, activated, .. } = registration.clone();
        let lost_to = registration.rejected_by.as_ref().map(|by| (by.namespace.clone(), by.registration, by.stamp));
        let ended = event.ended.as_ref().map(|end| (end.index, end.reason));
        (event.event_type, event.time, (id, status, node, stamp, expires, activated), lost_to, ended)
    };
    let text = |event: &Event| {
        let RegistrationView { owner, metadata, names, .. } = event.registration.clone();
        (owner, metadata, names, event.id())
    };
    fixed(before) == fixed(now) && (now.registration.erased || text(before) == text(now))
}
