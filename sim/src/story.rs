//! Stories: scenarios told in steps. A story says who claims what and which link is cut, and asserts what clients are
//! told. Every step is checked as in any other run, and [`Story::ends_well`] compares all nodes with the oracle.

mod clients;
mod troubles;

use std::rc::Rc;

use forename::clock::{NodeId, Stamp};
use forename::model::{Cluster, Event, EventQuery, NameStatus, Namespace, Registration, Status};
use forename::replica::any::{Answer, Request};
use forename::replica::{ClusterCommand, EventsAfter, GossipLimits, NameOf, Refusal, RulesOf, SetRules};
use forename::store::Table;

use crate::ask::ask;
use crate::plan::{Ask, Book, Disk, Ending, Host, Joiner, Links, Loss, Plan, Slot, Wish};
use crate::run::Run;
use crate::world::asking;
use crate::world::books::orders;
use crate::world::clients::name;
pub use crate::world::copies::Copy;
use crate::world::machine::Process;

/// The one-way latency of a story's links in microseconds; a round trip takes 20 ms.
const LATENCY: u64 = 10_000;

/// Returns the logs that a node reports as forked: members hold different ops under one number.
fn forks(view: &Cluster) -> Vec<NodeId> {
    view.forks.iter().map(|fork| fork.origin).collect()
}

/// A cluster that a story controls.
#[derive(Debug)]
pub struct Story {
    run: Run,
    slots: Slot,
}

impl Story {
    /// Makes a cluster of this many founders, with equal links, fast disks and right clocks, one second after its
    /// start.
    #[must_use]
    pub fn of(founders: usize) -> Self {
        Self::with_joiners(founders, &[])
    }

    /// Makes a cluster in one rack: a message between two nodes takes 0.2 ms.
    #[must_use]
    pub fn near(founders: usize) -> Self {
        let mut plan = Self::plan(founders, &[]);
        plan.links.least = 200;
        Self::begin(plan)
    }

    /// Makes a cluster of three founders at distant places. The numbers are milliseconds in one direction: between the
    /// first and the second, the first and the third, and the second and the third. They send their promises unasked
    /// every `promise_every` ms.
    #[must_use]
    pub fn apart([first, second, third]: [u64; 3], promise_every: u64) -> Self {
        let mut plan = Self::plan(3, &[]);
        (plan.links.least, plan.promise_every) = (1000, promise_every);
        let mut story = Self { run: Run::new(plan, false), slots: 0 };
        story.run.world.books.known.keep();
        for (a, b, factor) in [(0, 1, first), (0, 2, second), (1, 2, third)] {
            story.run.world.net.slow_down(a, b, factor);
        }
        story.passes(3000);
        story
    }

    /// Makes a cluster of founders with `one_way` milliseconds between them. They send so few ops in one message that a
    /// small run is like a large one.
    #[must_use]
    pub fn telling_few(founders: usize, one_way: u64, ops: usize) -> Self {
        let mut plan = Self::plan(founders, &[]);
        plan.links.least = one_way * 1000;
        plan.spread.ops = ops;
        let mut story = Self::begin(plan);
        story.passes(3000);
        story
    }

    /// Returns up to which number a host's disk has the log of another host.
    #[must_use]
    pub fn holds(&self, host: Host, origin: Host) -> u64 {
        self.run.world.machines[host].disk.log(self.node(origin))
    }

    /// Returns how many milliseconds pass from a claim to the answer that it is final.
    ///
    /// # Panics
    /// A check fails, or it takes more than ten seconds.
    pub fn time_to_final(&mut self, host: Host, name: &str) -> u64 {
        let (began, names) = (self.run.world.now, vec![name.to_owned()]);
        let slot = self.wishes(host, Wish { own_id: true, names, wait: Some(20_000), ..Wish::default() });
        while self.told(slot).is_none() && self.run.world.now < began + 10_000_000 {
            self.passes(1);
        }
        assert_eq!(self.told(slot).map(|view| view.status), Some(Status::Confirmed));
        (self.run.world.now - began) / 1000
    }

    /// Returns the number of messages that were sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.run.observers.borrow().stats.sent()
    }

    /// Makes a cluster whose members are evicted automatically after this many milliseconds of silence.
    #[must_use]
    pub fn evicting_after(founders: usize, millis: u64) -> Self {
        let mut plan = Self::plan(founders, &[]);
        plan.evict_after = Some(millis);
        Self::begin(plan)
    }

    /// Makes such a cluster where each node gossips with so few others at a time that the cluster is like a large one.
    #[must_use]
    pub fn evicting_after_among_many(founders: usize, millis: u64) -> Self {
        let mut plan = Self::plan(founders, &[]);
        plan.evict_after = Some(millis);
        (plan.spread.small, plan.spread.fanout) = (1, 1);
        Self::begin(plan)
    }

    /// Makes a cluster where events, and registrations that are over, are kept for this many milliseconds. Connections
    /// outlive a silence of ten seconds.
    #[must_use]
    pub fn forgetting_after(founders: usize, millis: u64) -> Self {
        let mut plan = Self::plan(founders, &[]);
        (plan.keep_events, plan.links.idle) = (Some(millis), 10_000);
        Self::begin(plan)
    }

    /// Makes a cluster where a newcomer that is not let in within this many milliseconds begins anew. Ops that all
    /// members hold leave the logs at once.
    #[must_use]
    pub fn joining_within(founders: usize, sponsors: &[Host], millis: u64) -> Self {
        let alone: Vec<_> = sponsors.iter().map(|sponsor| (*sponsor, None)).collect();
        let mut plan = Self::plan(founders, &alone);
        plan.snapshot_ttl = millis;
        Self::begin(plan)
    }

    /// Makes a cluster with further machines, which ask the given sponsors to let them in once they are started.
    #[must_use]
    pub fn with_joiners(founders: usize, sponsors: &[Host]) -> Self {
        let alone: Vec<_> = sponsors.iter().map(|sponsor| (*sponsor, None)).collect();
        Self::with_joiners_that_reach(founders, &alone)
    }

    /// Makes such a cluster where newcomers may reach a second machine besides their sponsor.
    #[must_use]
    pub fn with_joiners_that_reach(founders: usize, sponsors: &[(Host, Option<Host>)]) -> Self {
        Self::begin(Self::plan(founders, sponsors))
    }

    /// Makes a cluster with machines that become readers through the given sponsors once they are started. What a sponsor
    /// keeps for one is dropped after this many milliseconds.
    #[must_use]
    pub fn with_readers(founders: usize, sponsors: &[Host], snapshot_ttl: u64) -> Self {
        let alone: Vec<_> = sponsors.iter().map(|sponsor| (*sponsor, None)).collect();
        let mut plan = Self::plan(founders, &alone);
        plan.joiners.iter_mut().for_each(|joiner| joiner.reader = true);
        plan.snapshot_ttl = snapshot_ttl;
        Self::begin(plan)
    }

    fn begin(plan: Plan) -> Self {
        let mut story = Self { run: Run::new(plan, false), slots: 0 };
        story.run.world.books.known.keep();
        story.passes(1000);
        story
    }

    fn plan(founders: usize, sponsors: &[(Host, Option<Host>)]) -> Plan {
        const NEVER: u64 = u64::MAX / 2000;
        Plan {
            seed: 1,
            founders,
            joiners: sponsors
                .iter()
                .map(|(sponsor, also)| Joiner { at: NEVER, sponsor: *sponsor, also: *also, reader: false })
                .collect(),
            links: Links { least: LATENCY, jitter: 0, slow: 0, loss: 0, twice: 0, idle: 1000, rate: None },
            disk: Disk { least: 100, jitter: 0 },
            clocks: Vec::new(),
            evict_after: None,
            keep_log: 0,
            snapshot_ttl: 3_600_000,
            keep_events: None,
            promise_every: 1000,
            acquainted: false,
            dials: None,
            spread: GossipLimits::default(),
            actions: Vec::new(),
            faults: Vec::new(),
            lies: Vec::new(),
            heal_at: 0,
            ending: Ending::Healed,
            wrong_for_good: Vec::new(),
            recovers: None,
            patience: 60_000,
        }
    }

    /// Lets this many milliseconds pass.
    ///
    /// # Panics
    /// A check fails.
    pub fn passes(&mut self, millis: u64) {
        let until = self.run.world.now + millis * 1000;
        let checked = self.run.world.run_until(until);
        self.well(checked);
    }

    /// Lets time pass until something has happened, looking every ten milliseconds.
    ///
    /// # Panics
    /// A check fails, or it has not happened after a minute.
    pub fn passes_until(&mut self, what: &str, has_happened: impl Fn(&Self) -> bool) {
        let deadline = self.run.world.now + 60_000_000;
        while !has_happened(self) {
            assert!(self.run.world.now < deadline, "waited a minute: {what}");
            self.passes(10);
        }
    }

    fn well<T>(&self, checked: Result<T, crate::Violation>) -> T {
        match checked {
            Ok(value) => value,
            Err(violation) => panic!("{} ms: {}: {}", self.run.world.now / 1000, violation.check, violation.text),
        }
    }

    fn asks(&mut self, host: Host, ask: Ask) {
        asking::ask(&mut self.run.world, host, &ask);
        self.passes(2);
    }

    /// An operator makes a node evict a member.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn evicts(&mut self, host: Host, member: Host) -> Result<(), Refusal> {
        let node = self.run.world.machines[member].node;
        self.answer(host, orders::evict(node)).map(drop)
    }

    /// An operator makes a node leave.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn leaves(&mut self, host: Host) -> Result<(), Refusal> {
        self.answer(host, orders::leave()).map(drop)
    }

    /// An operator cancels a node's leave.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn stays(&mut self, host: Host) -> Result<(), Refusal> {
        self.answer(host, orders::stay()).map(drop)
    }

    /// Returns true where the node has left for good.
    #[must_use]
    pub fn has_left(&self, host: Host) -> bool {
        self.run.world.machines[host].stage.has_left()
    }

    /// Returns the incarnation of the node; the first one is 0.
    #[must_use]
    pub fn incarnation(&self, host: Host) -> u16 {
        self.run.world.machines[host].node.incarnation()
    }

    /// An operator sets the rules of a namespace at a node.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn sets_rules(&mut self, host: Host, book: &Book) -> Result<Namespace, Refusal> {
        let Some(rules) = book.rules() else { panic!("there cannot be such rules: {book:?}") };
        let (namespace, rules) = (book.namespace.clone(), Box::new(rules));
        match self.answer(host, SetRules { namespace, rules, if_version: None })? {
            Answer::Namespace(view) => Ok(view),
            other => panic!("host {host} answers a different question: {other:?}"),
        }
    }

    /// Returns the rules of a namespace as a node sees them.
    pub fn rules(&mut self, host: Host, namespace: &str) -> Namespace {
        match self.answer(host, RulesOf(namespace.to_owned())) {
            Ok(Answer::Namespace(view)) => view,
            other => panic!("host {host} does not know the rules of {namespace}: {other:?}"),
        }
    }

    /// Returns the members whose logs a node reports as forked.
    pub fn forks(&mut self, host: Host) -> Vec<NodeId> {
        forks(&self.cluster(host))
    }

    /// Returns the id of a host's node.
    #[must_use]
    pub fn node(&self, host: Host) -> NodeId {
        self.run.world.machines[host].node
    }

    /// Returns the size in bytes of all that a process has in memory, without its tables.
    #[must_use]
    pub fn memory(&self, host: Host) -> usize {
        crate::checks::bounds::memory(&self.run.world, host)
    }

    /// Returns the number of rows in a table on a host's disk.
    #[must_use]
    pub fn rows(&self, host: Host, table: Table) -> usize {
        self.run.world.machines[host].disk.durable().rows(table).count()
    }

    /// Returns the greatest number of messages that a node ever sent to one peer at once.
    #[must_use]
    pub fn burst(&self, host: Host) -> usize {
        self.run.observers.borrow().stats.burst(host)
    }

    /// Returns the number of fsyncs of a host.
    #[must_use]
    pub fn syncs(&self, host: Host) -> u64 {
        self.run.observers.borrow().stats.syncs(host)
    }

    /// Returns the reason why a node stopped by itself, where it did.
    #[must_use]
    pub fn stopped(&self, host: Host) -> Option<String> {
        self.run.world.machines[host].halted().map(str::to_owned)
    }

    /// Returns true where the run has reached a mark.
    #[must_use]
    pub fn has_seen(&self, mark: &str) -> bool {
        self.run.observers.borrow().marks.reached().contains(mark)
    }

    /// Returns the number of ops of another host's log on a host's disk.
    #[must_use]
    pub fn logged(&self, host: Host, origin: Host) -> usize {
        let node = self.run.world.machines[origin].node;
        self.run.world.machines[host].disk.logged_ops().iter().filter(|op| op.node == node).count()
    }

    /// Returns true where the node knows itself to be a member.
    #[must_use]
    pub fn is_member(&self, host: Host) -> bool {
        self.run.world.machines[host].is_member()
    }

    /// Returns the last answer about a registration; none where it was refused or no answer came.
    #[must_use]
    pub fn told(&self, slot: Slot) -> Option<&Registration> {
        self.run.world.clients.views.get(&slot)
    }

    /// Returns the reason why the last request about a registration was refused.
    #[must_use]
    pub fn refused(&self, slot: Slot) -> Option<&Refusal> {
        self.run.world.clients.refusals.get(&slot)
    }

    fn answer(&mut self, host: Host, request: impl Into<Request>) -> Result<Answer, Refusal> {
        let answer = ask(&mut self.run.world, host, request);
        match self.well(answer) {
            Some(answer) => answer,
            None => panic!("host {host} does not answer"),
        }
    }

    /// Returns a registration as a node sees it; none where the node does not know it.
    pub fn sees(&mut self, host: Host, slot: Slot) -> Option<Registration> {
        let id = self.run.world.clients.id(slot)?;
        match self.answer(host, Request::outcome(id, None)) {
            Ok(Answer::Registration(view)) => Some(view),
            _ => None,
        }
    }

    /// Returns the status of a registration at a node.
    pub fn status(&mut self, host: Host, slot: Slot) -> Option<Status> {
        self.sees(host, slot).map(|view| view.status)
    }

    /// Returns the status of a name at a node.
    pub fn name(&mut self, host: Host, text: &str) -> NameStatus {
        self.looks_up(host, text)
            .unwrap_or_else(|refusal| panic!("host {host} does not know what {text} is: {refusal:?}"))
    }

    /// Returns the status of a name at a node, or why the node does not say it.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn looks_up(&mut self, host: Host, text: &str) -> Result<NameStatus, Refusal> {
        match self.answer(host, NameOf(name(text)))? {
            Answer::Name(view) => Ok(view.status),
            other => panic!("host {host} answers otherwise: {other:?}"),
        }
    }

    /// Returns the cluster as a node sees it.
    pub fn cluster(&mut self, host: Host) -> Cluster {
        match self.answer(host, ClusterCommand::Show) {
            Ok(Answer::Cluster(view)) => view,
            other => panic!("host {host} knows no cluster: {other:?}"),
        }
    }

    /// Returns all events of a node's feed.
    pub fn feed(&mut self, host: Host) -> Vec<Event> {
        self.feed_of(host, EventQuery::default())
    }

    /// Returns the events of a node's feed about registrations that it accepted itself.
    pub fn feed_of_its_own(&mut self, host: Host) -> Vec<Event> {
        self.feed_of(host, EventQuery { local: true, ..EventQuery::default() })
    }

    fn feed_of(&mut self, host: Host, query: EventQuery) -> Vec<Event> {
        let query = EventQuery { limit: Some(1000), ..query };
        match self.answer(host, EventsAfter::new(None, query)) {
            Ok(Answer::Events(page)) => page.events,
            other => panic!("host {host} has no feed: {other:?}"),
        }
    }

    /// Returns the stamp of a registration, from the last answer to its client.
    #[must_use]
    pub fn stamp(&self, slot: Slot) -> Option<Stamp> {
        self.told(slot).map(|view| view.stamp)
    }

    /// Ends the story with some machines lost for good. The others must agree on all that can be decided without them,
    /// and must decide nothing else.
    ///
    /// # Panics
    /// The others do not agree, or decide too much or too little.
    pub fn ends_without(mut self, lost: &[Host], how: Loss) {
        let mut plan = (*self.run.world.plan).clone();
        plan.ending = Ending::Lasting { lost: lost.to_vec(), how };
        self.run.world.plan = Rc::new(plan);
        self.ends_well();
    }

    /// Ends the story: everything works again and comes to rest, and all nodes agree with the oracle.
    ///
    /// # Panics
    /// The cluster does not come to rest, or a node does not agree.
    pub fn ends_well(mut self) {
        for host in 0..self.run.world.machines.len() {
            if let Process::Down(down) = &mut self.run.world.machines[host].process {
                down.halted = None;
            }
        }
        let ended = self.run.finish();
        if let Err(failure) = ended {
            panic!("{failure:?}");
        }
    }
}
