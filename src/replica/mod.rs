//! The replica: a node's state machine, without sockets, tasks, threads, clocks or ambient randomness.
//!
//! # How to drive it
//!
//! * [`Replica::open`] takes a store and what the node knows of itself. What it writes
//!   is committed by the first flush.
//! * [`Replica::handle`] takes one [`Input`]. Call it as often as there are inputs.
//! * [`Replica::flush`] ends the step: it decides what has become final, gossips, commits one batch to the store, and
//!   returns the [`Output`]s to act upon, all of them, in order. Outputs are held back by the batch that they depend on,
//!   until [`Input::Persisted`] says that it is durable; so nothing is sent, promised or answered that a crash could undo.
//!   A step that only confirms commits no batch of its own: its rows wait for the next one (`open_batch.rs`), and the
//!   feed is told of them with that.
//! * [`Replica::wake_at`] says when to hand it [`Input::Wake`] at the latest.
//!
//! Time is an argument: [`Now`]. The wall clock may jump; timers run on `elapsed`, which does not.
//!
//! # The order of a step
//!
//! [`Replica::flush`] is the one place where the order of the parts of a step stands, with the reason of each. Two machines
//! are stepped there: the [log](crate::log), which knows members and decides when an op counts, and the
//! [registry](crate::registry), which knows names and says what follows from it.

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
/// What inputs, outputs and the start of a replica consist of.
pub use crate::log::{
    Contact, Entry, Founding, GossipLimits, HeldRow, Lane, Message, Now, Obstacle, Promise, Return, Secrets,
    SnapshotId, Start, Vector,
};
/// What requests and answers consist of.
pub use crate::registry::*;
use crate::store::{Batch, Store};

/// A node's state machine. See the module's text for how to drive it.
#[derive(Debug)]
pub struct Replica<S> {
    config: Config,
    me: NodeId,
    now: Now,
    store: OpenBatch<S>,
    /// Decides when an op counts.
    log: Log,
    /// Decides what becomes of names.
    registry: Registry,
    /// Requests that wait for the end of the start.
    waiting_for_start: VecDeque<Request>,
    /// Queries that are being answered.
    readings: Readings,
    outbox: Outbox,
    /// The events that were written and that nobody was told of yet.
    unannounced: Option<Told>,
    news: News,
}

impl<S: Store> Replica<S> {
    /// The store, to read.
    pub fn store(&self) -> &S {
        self.store.inner()
    }

    /// The store, for its driver.
    pub fn store_mut(&mut self) -> &mut S {
        self.store.inner_mut()
    }

    /// The store, to be closed. Nothing that is held back gets out.
    pub fn into_store(self) -> S {
        self.store.into_inner()
    }

    /// Whether rows wait to be committed with later ones.
    pub fn has_waiting_rows(&self) -> bool {
        self.store.wake_at() < Millis(u64::MAX)
    }

    /// From now on no row waits to be committed with later ones: each step commits all that was written.
    pub fn hurry(&mut self) {
        self.store.hurry();
    }

    /// The node's id.
    pub fn node(&self) -> NodeId {
        self.me
    }

    /// What the cluster has in common; none while a newcomer has no snapshot.
    pub fn founding(&self) -> Option<&Founding> {
        self.log.cluster().founding()
    }

    /// The cursor of the last event, durable when the replica has just been opened.
    pub fn last_event(&self) -> crate::model::Cursor {
        self.registry.last_event()
    }

    /// Whether this node is a member, by what it knows.
    pub fn is_member(&self) -> bool {
        self.log.phase().is_member()
    }

    /// The cluster's secret; none while this node was not let in.
    pub fn secret(&self) -> Option<[u8; 32]> {
        self.log.cluster().secret()
    }

    /// Those who are out, as far as this node knows, each with the prefix of its log that counts.
    pub fn cuts(&self) -> &BTreeMap<NodeId, Cut> {
        self.log.membership().cuts()
    }

    /// Everything at or below it has arrived.
    pub fn watermark(&self) -> Hlc {
        self.log.frontiers().watermark()
    }

    /// The namespaces whose names are private, by the rules in force here.
    pub fn private_namespaces(&self) -> &Arc<BTreeSet<String>> {
        self.registry.private_namespaces()
    }

    /// For how many milliseconds the disk has made nothing durable, where that is long.
    pub fn disk_hangs(&self) -> Option<u64> {
        self.outbox.disk_hangs(self.now.elapsed)
    }

    /// How many registrations an owner may have from now on that are open, and that hold names; none: any number.
    pub fn set_limits_of_owner(&mut self, max_open: Option<u32>, max_total: Option<u32>) {
        (self.config.max_open_of_owner, self.config.max_total_of_owner) = (max_open, max_total);
        self.registry.set_limits_of_owner(max_open, max_total);
    }

    /// When to hand it [`Input::Wake`] at the latest, in `elapsed` time.
    pub fn wake_at(&self) -> Millis {
        let read = if self.readings.is_waiting() && self.log.phase().takes_input() {
            self.now.elapsed
        } else {
            Millis(u64::MAX)
        };
        self.log.view().wake_at().min(self.registry.wake_at()).min(self.store.wake_at()).min(read)
    }

    /// Takes one input in. What follows from it comes with the next [`Replica::flush`].
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

    /// Ends the step. Returns what is to be done now.
    pub fn flush(&mut self, now: Now) -> Vec<Output> {
        self.begin(now);
        if self.log.phase().is_halted() {
            return self.outbox.take_step();
        }
        if !self.log.phase().takes_input() {
            return self.outbox.release();
        }
        // The promise of the time first: whatever is issued from here on lies above it.
        self.log.promise_time();
        // Requests that waited for the start are the first of those that this step takes.
        if self.log.end_start() {
            self.answer_after_start();
        }
        // Changes of the membership come before anything that rests on it.
        self.log.join_evictions();
        self.log.depart(&mut self.store);
        self.take_events();
        // What an eviction has made void is issued again by whoever is a member now.
        self.writer().register_again();
        // With all ops of the step here, what is final shows; and with that the answers to those who wait.
        if let Some(decision) = self.log.decide() {
            self.writer().decide(decision);
        }
        self.writer().answer_waiting();
        self.take_ready();
        // The step's ops are written before peers are told of them, and peers hear of them with this step's promise.
        let fresh = self.log.write(&mut self.store);
        self.log.tell_forks();
        self.log.gossip(&mut self.store, fresh, self.registry.verdicts().has_contests());
        self.log.announce_peers();
        self.take_events();
        // Housekeeping does not delay what others wait for.
        self.writer().retell();
        self.writer().tidy();
        self.news.tell(&self.log, now.elapsed);
        // Last what all of the above has moved, so that one batch holds all of the step.
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
        // The disk is at work on the batch meanwhile.
        self.read();
        self.answer_confirmed();
        self.outbox.extend(last_word);
        self.outbox.end_step(batch, now.elapsed)
    }

    /// Commits what was written, unless all of it may wait for later rows. Returns the batch that this step's outputs
    /// depend on: where the rows wait, the last one before them. Whoever reads is given what the store holds, so its answer
    /// depends on all of it, and so does the cursor of the last event.
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

    /// Answers who waited for a registration of this node's that is confirmed now. That rests on the op, on what others hold
    /// and on what they promised. So it waits for the batch of the op and for what is open of the membership, and not for
    /// the rows that say it.
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

    /// Takes what the log says, in its order.
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

    /// Stops for good: nothing that is held back gets out.
    fn halt(&mut self, reason: String) {
        self.outbox.halt(reason);
        self.log.stop();
    }

    /// What is left to do where this incarnation is over: the last output, after all others of this step.
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

    /// Reads on for queries, as much as this step may.
    fn read(&mut self) {
        let reader = Reader { registry: &self.registry, store: &self.store, log: &self.log };
        let ready = self.readings.read(reader);
        self.outbox.extend(ready.into_iter().map(Output::Reply));
    }

    /// The registry with what it is lent.
    fn writer(&mut self) -> Writer<'_> {
        Writer { registry: &mut self.registry, store: &mut self.store, log: &mut self.log }
    }
}
