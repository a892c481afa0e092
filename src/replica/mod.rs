//! The replica: a node's state machine, without sockets, tasks, threads, clocks or ambient randomness.
//!
//! # How to drive it
//!
//! * [`Replica::open`] takes a store and the node's configuration. The first flush commits what it writes.
//! * [`Replica::handle`] takes one [`Input`]. Call it for each input.
//! * [`Replica::flush`] ends the step: it decides what has become final, gossips, commits one batch to the store, and
//!   returns the [`Output`]s to act upon, all of them, in order. Outputs are held back until [`Input::Persisted`] says
//!   that the batch that they depend on is durable. So nothing is sent, promised or answered that a crash could undo. A
//!   step that only confirms commits no batch of its own: its rows wait for the next one (`open_batch.rs`), and the
//!   readers of the feed are told of them with that one.
//! * [`Replica::wake_at`] says when to hand it [`Input::Wake`] at the latest.
//!
//! Time is an argument, [`Now`]. The wall clock may jump. Timers run on `elapsed`, which does not.
//!
//! # The order of a step
//!
//! [`Replica::flush`] is the only place that fixes the order of the parts of a step, and gives the reason of each. It
//! steps two machines: the [log](crate::log), which knows members and decides when an op counts, and the
//! [registry](crate::registry), which knows names and says what follows from the op.

#[cfg(any(test, feature = "any"))]
pub mod any;
mod boot;
mod cluster;
mod config;
mod hindrance;
mod input;
mod log_view;
mod news;
mod open_batch;
mod outbox;
#[cfg(feature = "planted")]
mod planted;
mod readings;
mod recovery;
mod rejoin;
mod request;
mod requests;
mod verify;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use self::boot::{OpenError, node_in};
pub use self::config::Config;
pub use self::input::{Input, Output};
use self::news::News;
use self::open_batch::OpenBatch;
use self::outbox::Outbox;
use self::readings::Readings;
pub use self::recovery::{Holdings, RecoverError, lay_open};
pub use self::rejoin::RejoinError;
pub use self::request::{ClusterCommand, Request};
pub use self::verify::{Fault, Finding, Verification, verify};
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::{self, Cut, Exit, Log, used_up};
/// The types of inputs, outputs and the start of a replica.
pub use crate::log::{
    Contact, Entry, Founding, GossipLimits, HeldRow, Lane, Message, Now, Obstacle, Promise, Return, Secrets,
    SnapshotId, Start, Vector,
};
/// The types of requests and answers.
pub use crate::registry::*;
use crate::store::{Batch, Store};

/// A node's state machine. See the module's text for how to drive it.
#[derive(Debug)]
pub struct Replica<S> {
    config: Config,
    me: NodeId,
    now: Now,
    store: OpenBatch<S>,
    /// The machine that decides when an op counts.
    log: Log,
    /// The machine that decides what happens to names.
    registry: Registry,
    /// Requests that wait for the end of the start.
    waiting_for_start: VecDeque<Request>,
    /// Queries that are being answered.
    readings: Readings,
    outbox: Outbox,
    /// The events that were written and not yet announced to the readers of the feed.
    unannounced: Option<Told>,
    news: News,
}

impl<S: Store> Replica<S> {
    /// Returns the store for reading.
    pub fn store(&self) -> &S {
        self.store.inner()
    }

    /// Returns the store for its driver.
    pub fn store_mut(&mut self) -> &mut S {
        self.store.inner_mut()
    }

    /// Returns the store so that it can be closed. Outputs that are held back are dropped.
    pub fn into_store(self) -> S {
        self.store.into_inner()
    }

    /// Returns true where rows wait to be committed with later ones.
    pub fn has_waiting_rows(&self) -> bool {
        self.store.wake_at() < Millis(u64::MAX)
    }

    /// Has every step from now on commit all that was written, so that no row waits.
    pub fn hurry(&mut self) {
        self.store.hurry();
    }

    /// Returns the node's id.
    pub fn node(&self) -> NodeId {
        self.me
    }

    /// Returns what the cluster was founded with; none while a newcomer has no snapshot.
    pub fn founding(&self) -> Option<&Founding> {
        self.log.cluster().founding()
    }

    /// Returns the cursor of the last event. It is durable when the replica has just been opened.
    pub fn last_event(&self) -> crate::model::Cursor {
        self.registry.last_event()
    }

    /// Returns true where this node is a member, as far as it knows.
    pub fn is_member(&self) -> bool {
        self.log.phase().is_member()
    }

    /// Returns the cluster's secret; none while this node was not admitted.
    pub fn secret(&self) -> Option<[u8; 32]> {
        self.log.cluster().secret()
    }

    /// Returns the nodes that are out, as far as this node knows, each with the prefix of its log that counts.
    pub fn cuts(&self) -> &BTreeMap<NodeId, Cut> {
        self.log.membership().cuts()
    }

    /// Returns the watermark: every op at or below it has arrived.
    pub fn watermark(&self) -> Hlc {
        self.log.frontiers().watermark()
    }

    /// Returns the namespaces whose names are private, by the rules in force on this node.
    pub fn private_namespaces(&self) -> &Arc<BTreeSet<String>> {
        self.registry.private_namespaces()
    }

    /// Returns for how many milliseconds the disk has made nothing durable, where that is long.
    pub fn disk_hangs(&self) -> Option<u64> {
        self.outbox.disk_hangs(self.now.elapsed)
    }

    /// Sets how many registrations of one owner may be open and how many may hold names, from now on; none: any number.
    pub fn set_limits_of_owner(&mut self, max_open: Option<u32>, max_total: Option<u32>) {
        (self.config.max_open_of_owner, self.config.max_total_of_owner) = (max_open, max_total);
        self.registry.set_limits_of_owner(max_open, max_total);
    }

    /// Returns when to hand it [`Input::Wake`] at the latest, in `elapsed` time.
    pub fn wake_at(&self) -> Millis {
        let read = if self.readings.is_waiting() && self.log.phase().takes_input() {
            self.now.elapsed
        } else {
            Millis(u64::MAX)
        };
        self.log.view().wake_at().min(self.registry.wake_at()).min(self.store.wake_at()).min(read)
    }

    /// Takes one input. The outputs that follow from it come with the next [`Replica::flush`].
    pub fn handle(&mut self, now: Now, input: Input) {
        self.begin(now);
        if let Input::Persisted(batch) = input {
            self.outbox.persisted(batch);
        }
        if !self.log.phase().takes_input() {
            return;
        }
        let store = &mut self.store;
        match input {
            Input::Request(request) => self.on_request(request),
            Input::Connected(peer) => self.log.on_connected(store, peer),
            Input::Showed { from, pass } => self.log.on_showed(from, pass),
            Input::Reads(peer) => self.log.on_reads(peer),
            Input::Disconnected(peer) => {
                self.outbox.forget_peer(peer);
                self.log.on_disconnected(store, peer);
            }
            Input::Message { from, message } => {
                self.readings.step_is_busy();
                self.log.on_message(store, from, message);
            }
            Input::SnapshotRows { from, snapshot, rows } => self.log.on_snapshot_rows(store, from, snapshot, rows),
            Input::SnapshotEnd { from, snapshot } => {
                if self.log.on_snapshot_end(store, from, snapshot) {
                    self.load();
                    self.writer().sweep_held();
                    self.log.greet_all(&mut self.store);
                }
            }
            Input::Persisted(_) | Input::Wake => {}
        }
        self.take_events();
    }

    /// Ends the step. Returns the outputs that are to be acted upon now.
    pub fn flush(&mut self, now: Now) -> Vec<Output> {
        self.begin(now);
        if self.log.phase().is_halted() {
            return self.outbox.take_step();
        }
        if !self.log.phase().takes_input() {
            return self.outbox.release();
        }
        // The promise of the present time comes first: whatever is issued from here on is above it.
        self.log.promise_time();
        // Requests that waited for the start come before the other requests of this step.
        if self.log.end_start() {
            self.answer_after_start();
        }
        // Changes of the membership come before anything that rests on it.
        self.log.join_evictions();
        self.log.depart(&mut self.store);
        self.take_events();
        // Only a member that knows the evictions of this step issues anew the registrations that they made void.
        self.writer().register_again();
        // All ops of the step have arrived now, so it is known what is final, and the waiting requests can be answered.
        if let Some(decision) = self.log.decide() {
            self.writer().decide(decision);
        } else {
            self.writer().expire_on();
        }
        self.writer().answer_waiting();
        self.take_ready();
        // The step's ops are written before they are sent to peers, and peers get them with this step's promise.
        let fresh = self.log.write(&mut self.store);
        self.log.tell_forks();
        self.log.gossip(&mut self.store, fresh, self.registry.verdicts().has_contests());
        self.log.announce_peers();
        self.take_events();
        // Housekeeping comes last, so that it does not delay what others wait for.
        self.writer().retell();
        self.writer().tidy();
        self.news.tell(&self.log, now.elapsed);
        // The changes of all parts above are written at the end, so that one batch holds the whole step.
        if let Some(events) = self.registry.write_events(&mut self.store) {
            self.unannounced = Some(match self.unannounced.take() {
                Some(before) => before.and(events),
                None => events,
            });
        }
        self.log.save(&mut self.store);
        let last_word = self.exit();
        let batch = self.commit();
        if let Some(failure) = self.store.failure() {
            self.halt(failure.to_string());
            return self.outbox.take_step();
        }
        // The disk writes the batch meanwhile.
        self.read();
        self.answer_confirmed();
        self.outbox.extend(last_word);
        self.outbox.end_step(batch, now.elapsed)
    }

    /// Commits what was written, unless all of it may wait for later rows. Returns the batch on which this step's
    /// outputs depend: where the rows wait, it is the last one before them. A query is answered with all that the store
    /// holds, so its answer depends on all rows, and so does the cursor of the last event.
    fn commit(&mut self) -> Batch {
        let tells_others = self.registry.take_tells_others();
        let is_read = planted!(replica::is_read(self.readings.is_waiting() || tells_others));
        if self.store.may_wait(self.now.elapsed) && !is_read {
            self.store.wait(self.now.elapsed);
            return self.store.committed();
        }
        let batch = self.store.commit();
        self.outbox.committed(batch, self.log.frontiers().seq(self.me));
        self.outbox.extend(self.unannounced.take().map(Output::Events));
        batch
    }

    /// Answers the requests that waited for registrations of this node that are confirmed now. A confirmation follows
    /// from the op, from the acknowledgements and from the promises. So the answer waits for the batch of the op and
    /// for the uncommitted changes of the membership, and not for the rows that record the confirmation.
    fn answer_confirmed(&mut self) {
        for (seq, ready) in self.registry.take_confirmed() {
            let durable = self.outbox.holds_own(seq) && self.store.ground_is_in(self.outbox.persisted);
            if durable {
                self.outbox.push_at_once(Output::Reply(ready));
            } else {
                self.outbox.push(Output::Reply(ready));
            }
        }
    }

    fn begin(&mut self, now: Now) {
        self.now = now;
        self.log.set_time(now);
        self.registry.set_time(now);
    }

    /// Handles the events of the log in their order.
    fn take_events(&mut self) {
        for event in self.log.take_events() {
            match event {
                log::Event::Applied(op) => drop(self.writer().apply(&op)),
                log::Event::Wiped => self.writer().end_feed(),
                log::Event::LetIn => self.registry.reload_pepper(&self.store),
                log::Event::Output(output) => self.outbox.push(Output::Log(output)),
                log::Event::Halt(reason) => self.halt(reason),
            }
        }
    }

    /// Stops for good. Outputs that are held back are dropped.
    fn halt(&mut self, reason: String) {
        self.outbox.halt(reason);
        self.log.stop();
    }

    /// Ends this incarnation where it is over. Returns the last output, which comes after all others of this step.
    fn exit(&mut self) -> Option<Output> {
        let exit = self.log.view().exit()?;
        if let Exit::Anew(_, void_from) = exit {
            self.writer().keep_void(void_from);
        }
        self.log.end(&mut self.store, &exit);
        Some(match exit {
            Exit::Left => Output::Left,
            Exit::Anew(node, _) => Output::Rejoin(node),
            Exit::UsedUp(why) => Output::Halt(used_up(why)),
        })
    }

    /// Reads rows for queries, as many as this step may.
    fn read(&mut self) {
        let reader = Reader { registry: &self.registry, store: &self.store, log: &self.log };
        let ready = self.readings.read(reader);
        self.outbox.extend(ready.into_iter().map(Output::Reply));
    }

    /// Returns the registry with the store and the log that it borrows.
    fn writer(&mut self) -> Writer<'_> {
        Writer { registry: &mut self.registry, store: &mut self.store, log: &mut self.log }
    }
}
