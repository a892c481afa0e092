//! The registry: a pure state machine that decides *what* becomes of names.
//!
//! It knows names, registrations, tenures, verdicts, the feed, how long things are kept, rules, private names and
//! quotas. Of the cluster it knows only what it is lent: a [`LogView`] says which ops are decided and who is waited
//! for, and an [`Issuer`] issues ops. It knows no peer, no promise and no membership.
//!
//! # How it is driven
//!
//! [`Replica`](crate::replica::Replica) composes it with the [log](crate::log). A [`Registry`] is never used alone: it
//! is lent together with the store and the log, to read in a [`Reader`], to change in a [`Writer`]. The replica passes
//! in each op that the log accepts, the requests of clients, and once a step the newly decided ops. It takes the
//! replies after each call.
//!
//! # Invariants
//!
//! * A registration is confirmed exactly when it is not lost and its op is decided. So a confirmation costs no write of
//!   its own.
//! * Each registration gets one `confirmed` or `rejected` event, written in the batch that decides it.
//! * Nothing that is forgotten changes a verdict.

mod caller;
mod causes;
mod commands;
mod endings;
mod feed;
mod kept;
mod log_view;
mod namespaces;
#[cfg(feature = "planted")]
mod planted;
mod private;
mod queries;
mod query;
mod quota;
mod refusal;
mod reissue;
mod reply;
mod request;
mod reservations;
mod retention;
mod rows;
mod tally;
mod verdicts;
mod waiters;
mod webhooks;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub use self::caller::{Bearer, Caller};
use self::feed::Feed;
use self::feed::retelling::Retelling;
pub use self::log_view::{Issuer, LogView};
pub use self::namespaces::RulesOf;
pub use self::queries::*;
pub use self::query::{Asked, Budget, Query};
pub use self::quota::Charge;
use self::quota::{OwnerQuota, TokenQuota, Totals};
pub use self::refusal::{Lasting, Over, Refusal};
use self::reissue::Reissue;
pub use self::reply::{Ready, Reply};
pub use self::request::*;
use self::retention::Retention;
pub use self::tally::{Tally, Told};
use self::verdicts::Verdicts;
use self::waiters::Waiters;
pub use self::webhooks::{KnownWebhook, SetWebhook, WebhookChange, WebhooksKnown};
use crate::clock::{Millis, NodeId};
use crate::crdt::{Effects, Lattice, NameOp};
use crate::log::{Body, Now, Op, Seq};
use crate::model::Cursor;
use crate::store::Store;

/// Settings of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Milliseconds between two searches for data that can be dropped.
    pub tidy_every: u64,
    /// Greatest number of open registrations of one owner; none: no limit.
    pub max_open_of_owner: Option<u32>,
    /// Greatest number of registrations of one owner that hold names, permanent ones counted; none: no limit.
    pub max_total_of_owner: Option<u32>,
    /// Seed of the hash by which owners are counted. Nobody else may know it.
    pub seed: u64,
}

/// The part of a node's registry in memory; the rest is in the store. See the module's text.
#[derive(Debug)]
pub struct Registry {
    config: Config,
    me: NodeId,
    now: Now,
    /// Decides which claim leads.
    lattice: Lattice,
    verdicts: Verdicts,
    feed: Feed,
    /// The repetition of events in a new feed, until it is done.
    retelling: Option<Retelling>,
    waiters: Waiters,
    allowances: OwnerQuota,
    charges: TokenQuota,
    totals: Totals,
    /// Namespaces that are known to be in use.
    used: BTreeSet<String>,
    /// The namespaces whose names are private, by the rules in force here.
    private: Arc<BTreeSet<String>>,
    /// The ops of this node that an eviction made void and that are to be issued anew.
    reissue: Reissue,
    retention: Retention,
    /// Answers that can be given once the step is durable.
    ready: Vec<Ready>,
    /// Answers that say that a registration of this node's is confirmed, each with the number of its op.
    confirmed: Vec<(Seq, Ready)>,
    /// Somebody is answered in this step that a registration of another node is confirmed.
    tells_others: bool,
}

impl Registry {
    /// Makes a registry that has not read the store yet.
    pub fn new(config: Config, me: NodeId, now: Now) -> Self {
        Self {
            config,
            me,
            now,
            lattice: Lattice::default(),
            verdicts: Verdicts::default(),
            feed: Feed::default(),
            retelling: None,
            waiters: Waiters::default(),
            allowances: OwnerQuota::new(config.seed),
            charges: TokenQuota::default(),
            totals: Totals::default(),
            used: BTreeSet::new(),
            private: Arc::default(),
            reissue: Reissue::default(),
            retention: Retention::default(),
            ready: Vec::new(),
            confirmed: Vec::new(),
            tells_others: false,
        }
    }

    /// Sets the time of the step that begins.
    pub(crate) fn set_time(&mut self, now: Now) {
        self.now = now;
    }

    /// The namespaces whose names are private, by the rules in force here.
    pub(crate) fn private_namespaces(&self) -> &Arc<BTreeSet<String>> {
        &self.private
    }

    /// Takes the answers that are ready.
    pub(crate) fn take_ready(&mut self) -> Vec<Ready> {
        std::mem::take(&mut self.ready)
    }

    /// Takes the answers to those who waited for a registration of this node's that is confirmed now, each with the number of
    /// its op.
    pub(crate) fn take_confirmed(&mut self) -> Vec<(Seq, Ready)> {
        std::mem::take(&mut self.confirmed)
    }

    /// Returns true where somebody is answered in this step that a registration of another node is confirmed.
    pub(crate) fn take_tells_others(&mut self) -> bool {
        std::mem::take(&mut self.tells_others)
    }

    /// Returns when it must be stepped at the latest, in `elapsed` time.
    pub(crate) fn wake_at(&self) -> Millis {
        let deadline = self.waiters.next_deadline().unwrap_or(Millis(u64::MAX));
        if self.retelling.is_some() || self.verdicts.expires_on() { self.now.elapsed } else { deadline }
    }

    /// How many registrations an owner may have that are open, and that hold names.
    pub(crate) fn set_limits_of_owner(&mut self, max_open: Option<u32>, max_total: Option<u32>) {
        (self.config.max_open_of_owner, self.config.max_total_of_owner) = (max_open, max_total);
    }

    /// Returns the cursor of the last event.
    pub(crate) fn last_event(&self) -> Cursor {
        self.feed.last()
    }

    /// The settings, to change in tests.
    #[cfg(test)]
    pub(crate) fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Returns how many registrations of an owner hold names, where they are counted.
    #[cfg(test)]
    pub(crate) fn total_of(&self, owner: &str) -> Option<u32> {
        self.totals.known(owner)
    }

    /// Returns the cursor of an event of the feed.
    #[cfg(test)]
    pub(crate) fn at(&self, number: u64) -> Cursor {
        self.feed.at(number)
    }

    /// Returns the cursors before the earliest event kept and of the last event. They are the same where no event is
    /// kept.
    pub(crate) fn events(&self) -> (Cursor, Cursor) {
        (self.feed.start(), self.feed.last())
    }

    /// The undecided ops and open contests.
    pub(crate) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Returns true where a void op is still to be issued anew.
    pub(crate) fn has_void(&self) -> bool {
        self.reissue.has_open()
    }

    /// Reads the key of private names from the store again.
    pub(crate) fn reload_pepper(&mut self, store: &dyn Store) {
        self.lattice.reload_pepper(store);
    }

    /// Writes the events of the step. Returns what they say where there were any.
    pub(crate) fn write_events(&mut self, store: &mut dyn Store) -> Option<Told> {
        let tally = Tally::of(self.feed.fresh(), self.me);
        self.feed.write(store).map(|last| Told { last, tally })
    }
}

/// A registry with the store and the log that it is lent, for reading.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) store: &'a dyn Store,
    pub(crate) log: &'a dyn LogView,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("registry", self.registry).finish_non_exhaustive()
    }
}

/// A registry with the store and the log that it is lent, for changing.
pub struct Writer<'a> {
    pub(crate) registry: &'a mut Registry,
    pub(crate) store: &'a mut dyn Store,
    pub(crate) log: &'a mut dyn Issuer,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("registry", self.registry).finish_non_exhaustive()
    }
}

impl Writer<'_> {
    /// The same, for reading.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { registry: self.registry, store: self.store, log: self.log }
    }

    /// Loads the registry from the store. A feed, or a part of one, that begins now gets this id.
    pub(crate) fn load(&mut self, feed: u64) {
        self.registry.lattice = Lattice::load(self.store);
        self.load_verdicts();
        self.load_reissue();
        self.load_feed(feed);
        self.load_retention();
        self.load_totals();
        self.load_private();
    }

    /// Issues an op of this node and applies it.
    fn issue(&mut self, said: NameOp) -> Effects {
        let op = self.log.issue_name_op(said);
        self.apply(&op)
    }

    /// Applies the next op of a log, and does what follows from it at once.
    pub(crate) fn apply(&mut self, op: &Op) -> Effects {
        let effects = match op.body() {
            Body::Name(said) => self.registry.lattice.apply(self.store, op.stamp(), op.seq, said),
            Body::Member(_) => Effects::default(),
        };
        if let Body::Name(NameOp::Namespace { namespace, .. }) = op.body() {
            self.note_private(namespace);
        }
        self.registry.verdicts.applied(op);
        if let Some(registration) = effects.registered.as_ref().filter(|_| effects.first_of_id) {
            self.tell_accepted(registration);
        }
        if let Some(registration) = &effects.registered {
            self.begins_to_hold(registration);
        }
        self.on_lost(&effects.lost);
        effects
    }
}
