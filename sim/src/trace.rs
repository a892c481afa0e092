//! The trace of a run: a hash that tells two runs apart and, if wanted, a list of events for the report.

mod note;
mod text;

use std::collections::BTreeMap;

use forename::clock::{Hlc, NodeId};
use forename::log::Seq;
use forename::model::{Cursor, Event};
use forename::replica::any::{Answer, Answered as Reply, Token};
use forename::store::Write;

use crate::describe;
use crate::dice::mix;
use crate::plan::Host;
use crate::world::books::feeds::cursor_of;
use crate::world::clients::Call;
use crate::world::ids::host_of;
use crate::world::net::{Epoch, Micros};
use crate::world::packet::Packet;
use crate::world::{Seen, World};
pub(crate) use note::{Entry, Freight, Letter, Note};

/// The trace of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    entries: Option<Vec<Entry>>,
    /// The values in the last notes, so that only changes are noted.
    watermarks: BTreeMap<Host, Hlc>,
    durable: BTreeMap<(Host, NodeId), Seq>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { entries: keep.then(Vec::new), ..Self::default() }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns true where notes are kept. Notes that are expensive to make are made only then.
    fn is_on(&self) -> bool {
        self.entries.is_some()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or_default()
    }

    /// Takes an event of the run.
    pub(crate) fn saw(&mut self, what: &Seen<'_>, world: &World) {
        let now = world.now;
        match what {
            Seen::Stepped { host, taken, writes, outputs } => self.step(now, *host, *taken, writes, *outputs),
            Seen::Sent { from, to, packet, arrivals } => self.message(now, *from, *to, packet, arrivals),
            Seen::Connected { a, b, epoch } => self.connected(now, *a, *b, *epoch),
            what if self.is_on() => self.write(what, world),
            _ => {}
        }
    }

    /// Notes what is not a part of the hash.
    fn write(&mut self, what: &Seen<'_>, world: &World) {
        let now = world.now;
        match what {
            Seen::Started(host) => self.note(now, Note::Start(*host)),
            Seen::Crashed(host) => {
                self.note(now, Note::Crash(*host));
                self.durable(now, *host, world.machines[*host].disk.logs());
            }
            Seen::Synced(host) => self.durable(now, *host, world.machines[*host].disk.logs()),
            Seen::Halts(host, why) => self.note(now, Note::Halt(*host, (*why).to_owned())),
            Seen::Returns(host, next) => {
                self.note(now, Note::Halt(*host, format!("it was evicted, and comes back as {next}")));
            }
            Seen::Stopped { host, to, message } => {
                self.stopped(now, *host, host_of(*to), &Packet::Message((*message).clone()));
            }
            Seen::Died { from, to } => self.note(now, Note::Died(*from, *to)),
            Seen::Writes { host, ops } => ops.iter().for_each(|op| self.note(now, Note::Op(*host, op.clone()))),
            Seen::Watermark { host, watermark } => self.watermark(now, *host, *watermark),
            Seen::Fault { index, what, severed } => {
                self.note(now, Note::Fault(*index, (*what).clone(), severed.to_vec()));
            }
            Seen::Healed => self.note(now, Note::Healed),
            Seen::Lie { host, from, what } => self.note(now, Note::Lie(*host, format!("{from}: {what:?}"))),
            Seen::Asks { host, token, ask } => self.note(now, Note::Asked(*host, *token, describe::ask(ask))),
            Seen::Replies { host, token, call, reply, .. } => self.told(world, *host, *token, (call, reply)),
            _ => {}
        }
    }

    fn told(&mut self, world: &World, host: Host, token: Token, (call, reply): (&Call, &Reply)) {
        let stamp = match (call, reply) {
            (Call::Feed(_), Ok(Answer::Events(page))) => {
                return self.events(world.now, host, world.books.feeds.last_event(host), &page.events);
            }
            (Call::Feed(_) | Call::Check(_), _) => return,
            (_, Ok(Answer::Registration(view))) => Some(view.stamp),
            _ => None,
        };
        self.note(world.now, Note::Told(host, token, stamp, describe::reply(reply)));
    }

    fn note(&mut self, at: Micros, note: Note) {
        if let Some(entries) = &mut self.entries {
            entries.push(Entry { at, hash: self.hash, note });
        }
    }

    fn add(&mut self, value: u64) {
        self.hash = mix(self.hash.rotate_left(5) ^ value);
    }

    fn step(&mut self, now: Micros, host: Host, taken: usize, writes: &[Write], outputs: usize) {
        self.add(now);
        self.add((host as u64) << 40 | (taken as u64) << 20 | outputs as u64);
        for write in writes {
            self.bytes(&write.key);
            self.bytes(write.value.as_deref().unwrap_or_default());
        }
        self.note(now, Note::Step(host, taken, writes.len(), outputs));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(word));
        }
        self.add(bytes.len() as u64);
    }

    fn connected(&mut self, now: Micros, a: Host, b: Host, epoch: Epoch) {
        self.add(now ^ epoch);
        self.note(now, Note::Connected(a, b));
    }

    fn message(&mut self, now: Micros, from: Host, to: Host, packet: &Packet, arrivals: &[Micros]) {
        self.add(arrivals.iter().fold((from as u64) << 32 | to as u64, |sum, at| mix(sum ^ at)));
        if self.is_on() {
            let (freight, text) = (text::freight(from, packet), text::packet(packet));
            let letter = |arrives| Letter { from, to, arrives, freight: freight.clone(), text: text.clone() };
            if arrivals.is_empty() {
                self.note(now, Note::Message(letter(None)));
            }
            for at in arrivals {
                self.note(now, Note::Message(letter(Some(*at))));
            }
        }
    }

    /// Notes a message that a check found to be wrong.
    fn stopped(&mut self, now: Micros, from: Host, to: Host, packet: &Packet) {
        if self.is_on() {
            let (freight, text) = (text::freight(from, packet), text::packet(packet));
            self.note(now, Note::Stopped(Letter { from, to, arrives: None, freight, text }));
        }
    }

    /// Notes the watermark after a step.
    fn watermark(&mut self, now: Micros, host: Host, watermark: Hlc) {
        if self.is_on() && self.watermarks.insert(host, watermark) != Some(watermark) {
            self.note(now, Note::Watermark(host, watermark));
        }
    }

    /// Notes the prefixes of logs on a disk, after an fsync or a crash.
    fn durable(&mut self, now: Micros, host: Host, logs: &BTreeMap<NodeId, Seq>) {
        if self.is_on() {
            for (origin, seq) in logs {
                if self.durable.insert((host, *origin), *seq) != Some(*seq) {
                    self.note(now, Note::Durable(host, *origin, *seq));
                }
            }
        }
    }

    /// Notes a page of a host's feed. Its events up to `known` were noted before.
    fn events(&mut self, now: Micros, host: Host, known: Cursor, events: &[Event]) {
        if self.is_on() {
            for event in events
                .iter()
                .filter(|event| cursor_of(event).feed != known.feed || cursor_of(event).number > known.number)
            {
                self.note(now, Note::Event(host, event.event_type, event.data.registration.stamp));
            }
        }
    }
}
