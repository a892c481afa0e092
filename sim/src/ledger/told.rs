//! What nodes tell clients and readers of their feeds: durable when it is told, and the same everywhere and for ever where
//! it is said to be final.

use forename::clock::{Hlc, Stamp};
use forename::crdt::{Body, ID_WINDOW, Op};
use forename::replica::{Cursor, Event, EventType, NamespaceView, RegistrationView, RulesVersion, Status, TenureView};
use forename::store::{Store, Table};
use uuid::Uuid;

use super::{Checked, Ledger, broken, op_in};
use crate::disk::Disk;
use crate::plan::Host;

impl Ledger {
    /// A client is told about a registration.
    pub(crate) fn told(&mut self, host: Host, view: &RegistrationView, disk: &Disk) -> Checked {
        let durable = forename::crdt::Registration::load(disk.durable(), view.stamp);
        let void = disk.durable().get(Table::Void, &view.stamp.to_bytes()).is_some();
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
        let op = op_in(&self.ops, stamp).or_else(|| self.lives.get(&stamp.node)?.iter().find(|op| op.hlc == stamp.hlc));
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

    /// A page of a node's feed, read from `after` on: it goes on where it ended, and says again what it said before. Only
    /// where an eviction came between may events be about nothing any more, or about what was registered again.
    pub(crate) fn page(&mut self, host: Host, after: Cursor, events: &[Event], back: bool, disk: &Disk) -> Checked {
        let mut wanted = after + 1;
        if let Some(first) = events.first().filter(|_| after == 0 && self.forgetful) {
            self.begins_at(host, first.cursor);
            wanted = first.cursor;
        }
        let stored = disk.durable().rows(Table::Events).next().is_some();
        for event in events {
            if event.cursor < wanted || (event.cursor > wanted && !back) {
                return broken("feed", format!("host {host}: cursor {} where {wanted} is due", event.cursor));
            }
            wanted = event.cursor + 1;
            if !stored {
                return broken("durable", format!("host {host} shows event {} before its fsync", event.cursor));
            }
            let entry = (event.event_type, event.registration.stamp);
            match self.books[host].feed.events.get(&event.cursor) {
                Some(before) if before.0 != entry.0 || (before.1 != entry.1 && !back) => {
                    let text = format!("host {host}: event {} was {before:?} and is {entry:?}", event.cursor);
                    return broken("feed", text);
                }
                Some(_) => {}
                None => self.event(host, event, back)?,
            }
        }
        Ok(())
    }

    /// What a host's feed had before this event has left it.
    pub(crate) fn begins_at(&mut self, host: Host, earliest: Cursor) {
        let book = &mut self.books[host];
        book.missed |= (1..earliest).any(|cursor| !book.feed.events.contains_key(&cursor));
    }

    /// Whether a host's reader cannot know of all that was told.
    pub(crate) fn missed(&self, host: Host) -> bool {
        self.books[host].missed
    }

    /// Whether a client's id was another registration's long before: it is known for a month.
    fn is_reused(&self, id: Uuid, stamp: Stamp) -> bool {
        let long_before = |op: &Op| {
            stamp.hlc.millis().since(op.hlc.millis()) > ID_WINDOW
                && matches!(&op.body, Body::Register(register) if register.id == Some(id))
        };
        self.all_ops().any(long_before)
    }

    fn event(&mut self, host: Host, event: &Event, back: bool) -> Checked {
        let (id, stamp) = (event.registration.id, event.registration.stamp);
        let reused = self.is_reused(id, stamp);
        // What a feed has dropped it cannot know to have told before it came back.
        let may_repeat = (back && self.forgetful) || reused;
        let book = &mut self.books[host];
        let (from, to) = book.passes;
        if (from + 1..=to).contains(&event.cursor) {
            let text = format!("host {host}: event {} comes late, readers are at {to}", event.cursor);
            return broken("feed", text);
        }
        book.greatest = book.greatest.max(event.cursor);
        let book = &mut book.feed;
        book.events.insert(event.cursor, (event.event_type, stamp, id));
        let status = match event.event_type {
            EventType::Accepted => {
                let again = !book.accepted.insert(id) && !may_repeat;
                return if again { broken("events", format!("host {host}: {id} is accepted twice")) } else { Ok(()) };
            }
            EventType::Confirmed => Status::Confirmed,
            EventType::Rejected => Status::Rejected,
            _ => return Ok(()),
        };
        self.books[host].ever.insert(id);
        let book = &mut self.books[host].feed;
        if let Some(before) =
            book.decided.insert(id, status).filter(|before| (*before != status && !reused) || !may_repeat)
        {
            return broken("events", format!("host {host}: {id} is {status:?} after {before:?}"));
        }
        self.is_final(host, id, stamp, status)
    }
}
