//! The registry: a pure state machine that decides *what* becomes of names.
//!
//! It knows names, registrations, tenures, verdicts, the feed, how long things are kept, rules, private names and quotas. Of
//! the cluster it knows what it is lent: a [`LogView`] says which ops are decided and who is waited for, and an [`Issuer`]
//! issues ops. It knows no peer, no promise and no membership.
//!
//! # How it is driven
//!
//! [`Replica`](crate::replica::Replica) composes it with the [log](crate::log). Nothing is done to a [`Registry`] by itself:
//! it is lent together with the store and the log, to read in a [`Reader`], to change in a [`Writer`]. The replica hands in
//! each op as the log lets it in, requests as they come, and once a step what has become decided. Replies are taken from it
//! after each call.
//!
//! # Invariants
//!
//! * A registration is confirmed exactly when it is not lost and its op is decided. So a confirmation costs no write of its
//!   own.
//! * Each registration gets one `confirmed` or `rejected` event, written in the batch that decides it.
//! * Nothing that is forgotten changes a verdict.

mod caller;
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
mod verdicts;
mod waiters;

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
use self::verdicts::Verdicts;
use self::waiters::Waiters;
use crate::clock::{Millis, NodeId};
use crate::crdt::{Effects, Lattice, NameOp};
use crate::log::{Body, Now, Op};
use crate::model::Cursor;
use crate::store::Store;

/// What a registry is told of how to go about its work.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How often it looks for what need not be kept any more, milliseconds.
    pub tidy_every: u64,
    /// Registrations of one owner that may be open at once; none: any number.
    pub max_open_of_owner: Option<u32>,
    /// Registrations of one owner that may hold names, permanent ones counted; none: any number.
    pub max_total_of_owner: Option<u32>,
    /// What owners are told apart by, which nobody else is to know.
    pub seed: u64,
}

/// What a node has at hand of its registry; the rest is in the store. See the module's text.
#[derive(Debug)]
pub struct Registry {
    config: Config,
    me: NodeId,
    now: Now,
    /// Decides which claim leads.
    lattice: Lattice,
    verdicts: Verdicts,
    feed: Feed,
    /// What a feed that has just begun has yet to tell anew.
    retelling: Option<Retelling>,
    waiters: Waiters,
    allowances: OwnerQuota,
    charges: TokenQuota,
    totals: Totals,
    /// Namespaces that are known to be in use.
    used: BTreeSet<String>,
    /// The namespaces whose names are private.
    private: Arc<BTreeSet<String>>,
    /// What this node has to make good after an eviction.
    reissue: Reissue,
    retention: Retention,
    /// Answers that are ready.
    ready: Vec<Ready>,
}

impl Registry {
    /// A registry that has read nothing yet.
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
        }
    }

    /// The time of the step that begins.
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

    /// When it wants to be stepped at the latest, in `elapsed` time.
    pub(crate) fn wake_at(&self) -> Millis {
        let deadline = self.waiters.next_deadline().unwrap_or(Millis(u64::MAX));
        if self.retelling.is_some() { self.now.elapsed } else { deadline }
    }

    /// The cursor of the last event.
    pub(crate) fn last_event(&self) -> Cursor {
        self.feed.last()
    }

    /// What it is told of how to go about its work.
    #[cfg(test)]
    pub(crate) fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// How many registrations of an owner hold names, where it is counted.
    #[cfg(test)]
    pub(crate) fn total_of(&self, owner: &str) -> Option<u32> {
        self.totals.known(owner)
    }

    /// The cursor of an event of the feed.
    #[cfg(test)]
    pub(crate) fn at(&self, number: u64) -> Cursor {
        self.feed.at(number)
    }

    /// The places before the earliest event that is kept, and of the last; the same where there is none.
    pub(crate) fn events(&self) -> (Cursor, Cursor) {
        (self.feed.start(), self.feed.last())
    }

    /// What is open of the registrations that are known.
    pub(crate) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Whether something is left to issue anew after an eviction.
    pub(crate) fn has_void(&self) -> bool {
        self.reissue.has_open()
    }

    /// The key of private names is in the store by now.
    pub(crate) fn reload_pepper(&mut self, store: &dyn Store) {
        self.lattice.reload_pepper(store);
    }

    /// Writes the events of the step. Returns the last cursor where there were any.
    pub(crate) fn write_events(&mut self, store: &mut dyn Store) -> Option<Cursor> {
        self.feed.write(store)
    }
}

/// A registry with what it is lent, to read.
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

/// A registry with what it is lent, to change.
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
    /// The same, to read.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { registry: self.registry, store: self.store, log: self.log }
    }

    /// Takes up what the store holds. A feed, or a part of one, that begins now has this id.
    pub(crate) fn load(&mut self, feed: u64) {
        self.registry.lattice = Lattice::load(self.store);
        self.load_verdicts();
        self.load_reissue();
        self.load_feed(feed);
        self.load_retention();
        self.load_totals();
        self.load_private();
    }

    /// Issues an op of this node's own.
    fn issue(&mut self, said: NameOp) -> Effects {
        let op = self.log.issue_name_op(said);
        self.apply(&op)
    }

    /// Applies the next op of a log, and sees to what follows from it.
    pub(crate) fn apply(&mut self, op: &Op) -> Effects {
        let effects = match &op.body {
            Body::Name(said) => self.registry.lattice.apply(self.store, op.stamp(), op.seq, said),
            Body::Member(_) => Effects::default(),
        };
        if let Body::Name(NameOp::Namespace { namespace, .. }) = &op.body {
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
