//! Scenarios told in steps: who claims what, which link is cut, who is told what. Every step is checked as in any other
//! run, and [`Story::ends_well`] compares all nodes with the oracle.

mod troubles;

use std::rc::Rc;

use forename::clock::{NodeId, Stamp};
use forename::replica::{
    Answer, ClusterView, Event, EventFilter, GossipLimits, NameStatus, NamespaceView, Refusal, RegistrationView,
    Request, Status,
};
use forename::store::Table;

use crate::ask::ask;
use crate::plan::{Ask, Book, Disk, Ending, Host, Joiner, Links, Loss, Plan, Slot, Wish};
use crate::run;
use crate::world::World;
use crate::world::clients::name;
pub use crate::world::copies::Copy;
use crate::world::orders;

/// One-way latency of a story's links, microseconds: a round trip is 20 ms.
const LATENCY: u64 = 10_000;

/// The logs of which a node says that members hold different ops under one number.
fn forks(view: &ClusterView) -> Vec<NodeId> {
    view.forks.iter().map(|fork| fork.origin).collect()
}

/// A cluster that does what it is told.
#[derive(Debug)]
pub struct Story {
    world: World,
    slots: Slot,
}

impl Story {
    /// A cluster of so many founders, with equal links, quick disks and right clocks, a second after its start.
    #[must_use]
    pub fn of(founders: usize) -> Self {
        Self::with_joiners(founders, &[])
    }

    /// The same, where members that are silent for so many milliseconds are evicted.
    #[must_use]
    pub fn evicting_after(founders: usize, millis: u64) -> Self {
        let mut plan = Self::plan(founders, &[]);
        plan.evict_after = Some(millis);
        Self::begin(plan)
    }

    /// The same, where each node tells so few others at a time that it is to them what a large cluster is.
    #[must_use]
    pub fn evicting_after_among_many(founders: usize, millis: u64) -> Self {
        let mut plan = Self::plan(founders, &[]);
        plan.evict_after = Some(millis);
        (plan.spread.small, plan.spread.fanout) = (1, 1);
        Self::begin(plan)
    }

    /// The same where events leave the feeds after so many milliseconds, and what is over the registries with them.
    /// Connections outlive a silence of ten seconds.
    #[must_use]
    pub fn forgetting_after(founders: usize, millis: u64) -> Self {
        let mut plan = Self::plan(founders, &[]);
        (plan.keep_events, plan.links.idle) = (Some(millis), 10_000);
        Self::begin(plan)
    }

    /// The same where a newcomer that is not let in within so many milliseconds begins anew. Ops that all hold leave the logs
    /// at once.
    #[must_use]
    pub fn joining_within(founders: usize, sponsors: &[Host], millis: u64) -> Self {
        let alone: Vec<_> = sponsors.iter().map(|sponsor| (*sponsor, None)).collect();
        let mut plan = Self::plan(founders, &alone);
        plan.snapshot_ttl = millis;
        Self::begin(plan)
    }

    /// The same, with machines that ask the given sponsors to let them in once they are started.
    #[must_use]
    pub fn with_joiners(founders: usize, sponsors: &[Host]) -> Self {
        let alone: Vec<_> = sponsors.iter().map(|sponsor| (*sponsor, None)).collect();
        Self::with_joiners_that_reach(founders, &alone)
    }

    /// The same, where newcomers reach a second machine besides their sponsor.
    #[must_use]
    pub fn with_joiners_that_reach(founders: usize, sponsors: &[(Host, Option<Host>)]) -> Self {
        Self::begin(Self::plan(founders, sponsors))
    }

    fn begin(plan: Plan) -> Self {
        let mut story = Self { world: World::new(plan, false), slots: 0 };
        story.world.known.keep();
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
                .map(|(sponsor, also)| Joiner { at: NEVER, sponsor: *sponsor, also: *also })
                .collect(),
            links: Links { least: LATENCY, jitter: 0, slow: 0, loss: 0, twice: 0, idle: 1000, rate: None },
            disk: Disk { least: 100, jitter: 0 },
            clocks: Vec::new(),
            evict_after: None,
            keep_log: 0,
            snapshot_ttl: 3_600_000,
            keep_events: None,
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

    /// Time passes, in milliseconds.
    ///
    /// # Panics
    /// Where a check fails.
    pub fn passes(&mut self, millis: u64) {
        let until = self.world.now + millis * 1000;
        let checked = self.world.run_until(until);
        self.well(checked);
    }

    fn well<T>(&self, checked: Result<T, crate::Violation>) -> T {
        match checked {
            Ok(value) => value,
            Err(violation) => panic!("{} ms: {}: {}", self.world.now / 1000, violation.check, violation.text),
        }
    }

    fn asks(&mut self, host: Host, ask: Ask) {
        self.world.ask(host, &ask);
        self.passes(2);
    }

    /// A client asks for names, as a `Wish` says. Returns what the story calls the registration.
    pub fn wishes(&mut self, host: Host, wish: Wish) -> Slot {
        self.slots += 1;
        let owner = if wish.owner.is_empty() { format!("owner{}", self.slots) } else { wish.owner.clone() };
        self.asks(host, Ask::Register(Wish { slot: self.slots, owner, ..wish }));
        self.slots
    }

    /// A client claims names at a node; all or none.
    pub fn claims(&mut self, host: Host, names: &[&str]) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, names, ..Wish::default() })
    }

    /// A client reserves names for so many milliseconds.
    pub fn reserves(&mut self, host: Host, names: &[&str], ttl: u64) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, names, ttl: Some(ttl), ..Wish::default() })
    }

    /// Names of the namespace are private from now on, everywhere.
    ///
    /// # Panics
    /// Where the node refuses.
    pub fn makes_private(&mut self, host: Host, namespace: &str) {
        let (namespace, reserved) = (namespace.to_owned(), Vec::new());
        let set = self.sets_rules(host, &Book { namespace, opaque: false, least: 1, reserved, private: true });
        assert!(set.is_ok(), "{set:?}");
        self.passes(100);
    }

    /// A client that may not be told whether private names exist claims names at a node; all or none.
    pub fn claims_discreetly(&mut self, host: Host, names: &[&str]) -> Slot {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.wishes(host, Wish { own_id: true, discreet: true, names, ..Wish::default() })
    }

    /// The tables of a host's disk that have a text in them, in whatever case.
    #[must_use]
    pub fn has_written(&self, host: Host, text: &str) -> Vec<&'static str> {
        let text = text.to_lowercase();
        let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase().contains(&text);
        let disk = self.world.machines[host].disk.durable();
        let with = |table: &Table| disk.rows(*table).any(|(key, value)| has(key) || has(value));
        Table::ALL.into_iter().filter(with).map(Table::name).collect()
    }

    /// The owner of a registration asks for another name in place of its first.
    pub fn renames(&mut self, host: Host, slot: Slot, to: &str) -> Slot {
        let owner = format!("owner{slot}");
        let names = vec![to.to_owned()];
        self.wishes(host, Wish { own_id: true, owner, names, replaces: Some((slot, 0)), ..Wish::default() })
    }

    /// A client asks the same again at another node.
    pub fn retries(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Retry(slot));
    }

    /// A client makes its reservation permanent.
    pub fn activates(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Activate(slot));
    }

    /// A client wants its reservation to last for so many milliseconds more.
    pub fn extends(&mut self, host: Host, slot: Slot, ttl: u64) {
        self.asks(host, Ask::Extend(slot, ttl));
    }

    /// A client gives all names of a registration up.
    pub fn releases(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Release(slot));
    }

    /// A client gives all names of a registration up, and wants nothing to be left of it.
    pub fn erases(&mut self, host: Host, slot: Slot) {
        self.asks(host, Ask::Erase(slot));
    }

    /// The first table of a host's disk that has a text, with how often it is there.
    #[must_use]
    pub fn finds(&self, host: Host, text: &str) -> Option<(&'static str, usize)> {
        crate::checks::erasure::find(self.world.machines[host].disk.durable(), text.as_bytes())
    }

    /// What a client keeps with a registration.
    #[must_use]
    pub fn text_of(slot: Slot) -> String {
        crate::world::clients::text_of(slot)
    }

    /// A client gives one name of a registration up.
    pub fn releases_name(&mut self, host: Host, slot: Slot, place: usize) {
        self.asks(host, Ask::ReleaseName(slot, place));
    }

    /// An operator has a node evict a member.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn evicts(&mut self, host: Host, member: Host) -> Result<(), Refusal> {
        let node = self.world.machines[member].node;
        self.answer(host, orders::evict(node)).map(drop)
    }

    /// An operator has a node leave.
    ///
    /// # Errors
    /// Its refusal.
    pub fn leaves(&mut self, host: Host) -> Result<(), Refusal> {
        self.answer(host, orders::leave()).map(drop)
    }

    /// An operator has a node stay after all.
    ///
    /// # Errors
    /// Its refusal.
    pub fn stays(&mut self, host: Host) -> Result<(), Refusal> {
        self.answer(host, orders::stay()).map(drop)
    }

    /// Whether the node has left for good.
    #[must_use]
    pub fn has_left(&self, host: Host) -> bool {
        self.world.machines[host].left
    }

    /// Which life of its key the node is in, from 0.
    #[must_use]
    pub fn incarnation(&self, host: Host) -> u16 {
        self.world.machines[host].node.incarnation()
    }

    /// An operator gives a namespace rules.
    ///
    /// # Errors
    /// The node's refusal.
    pub fn sets_rules(&mut self, host: Host, book: &Book) -> Result<NamespaceView, Refusal> {
        let Some(rules) = book.rules() else { panic!("there cannot be such rules: {book:?}") };
        let (namespace, rules) = (book.namespace.clone(), Box::new(rules));
        match self.answer(host, Request::SetNamespace { namespace, rules, if_version: None })? {
            Answer::Namespace(view) => Ok(*view),
            other => panic!("host {host} answers a different question: {other:?}"),
        }
    }

    /// The rules of a namespace as a node sees them.
    pub fn rules(&mut self, host: Host, namespace: &str) -> NamespaceView {
        match self.answer(host, Request::Namespace(namespace.to_owned())) {
            Ok(Answer::Namespace(view)) => *view,
            other => panic!("host {host} does not know the rules of {namespace}: {other:?}"),
        }
    }

    /// Members of whose log a node shows that there are two.
    pub fn forks(&mut self, host: Host) -> Vec<NodeId> {
        forks(&self.cluster(host))
    }

    /// The id of a host's node.
    #[must_use]
    pub fn node(&self, host: Host) -> NodeId {
        self.world.machines[host].node
    }

    /// How many bytes it takes to write down all that a process has in its memory, its tables left out.
    #[must_use]
    pub fn memory(&self, host: Host) -> usize {
        crate::checks::bounds::memory(&self.world, host)
    }

    /// The rows of a table on a host's disk.
    #[must_use]
    pub fn rows(&self, host: Host, table: Table) -> usize {
        self.world.machines[host].disk.durable().rows(table).count()
    }

    /// How many messages a node ever let out to one peer at once.
    #[must_use]
    pub fn burst(&self, host: Host) -> usize {
        self.world.most_sent.get(&host).map_or(0, |burst| burst.messages)
    }

    /// Why a node stopped by itself, where it did.
    #[must_use]
    pub fn stopped(&self, host: Host) -> Option<String> {
        self.world.machines[host].halted.clone()
    }

    /// Whether the run has come by a rare branch.
    #[must_use]
    pub fn has_seen(&self, mark: &str) -> bool {
        self.world.marks.contains(mark)
    }

    /// How many ops of another's log a host's disk has.
    #[must_use]
    pub fn logged(&self, host: Host, origin: Host) -> usize {
        let node = self.world.machines[origin].node;
        self.world.machines[host].disk.logged_ops().iter().filter(|op| op.node == node).count()
    }

    /// Whether the node is a member, by what it knows.
    #[must_use]
    pub fn is_member(&self, host: Host) -> bool {
        self.world.machines[host].replica.as_ref().is_some_and(|replica| replica.is_member())
    }

    /// The registration's reply, or what is known of it where it is asked again; none where it was refused or none came.
    #[must_use]
    pub fn told(&self, slot: Slot) -> Option<&RegistrationView> {
        self.world.clients.views.get(&slot)
    }

    /// Why the last request about a registration was refused.
    #[must_use]
    pub fn refused(&self, slot: Slot) -> Option<&Refusal> {
        self.world.clients.refusals.get(&slot)
    }

    fn answer(&mut self, host: Host, request: Request) -> Result<Answer, Refusal> {
        let answer = ask(&mut self.world, host, request);
        match self.well(answer) {
            Some(answer) => answer,
            None => panic!("host {host} does not answer"),
        }
    }

    /// A registration as a node sees it; none where it knows nothing of it.
    pub fn sees(&mut self, host: Host, slot: Slot) -> Option<RegistrationView> {
        let id = self.world.clients.id(slot)?;
        match self.answer(host, Request::Registration { id, wait: None }) {
            Ok(Answer::Registration(view)) => Some(*view),
            _ => None,
        }
    }

    /// Where a registration stands at a node.
    pub fn status(&mut self, host: Host, slot: Slot) -> Option<Status> {
        self.sees(host, slot).map(|view| view.status)
    }

    /// A name as a node sees it.
    pub fn name(&mut self, host: Host, text: &str) -> NameStatus {
        match self.answer(host, Request::Name(name(text))) {
            Ok(Answer::Name(view)) => view.status,
            other => panic!("host {host} does not know what {text} is: {other:?}"),
        }
    }

    /// The cluster as a node sees it.
    pub fn cluster(&mut self, host: Host) -> ClusterView {
        match self.answer(host, Request::Cluster) {
            Ok(Answer::Cluster(view)) => *view,
            other => panic!("host {host} knows no cluster: {other:?}"),
        }
    }

    /// A node's whole feed.
    pub fn feed(&mut self, host: Host) -> Vec<Event> {
        self.feed_of(host, EventFilter::default())
    }

    /// What a node's feed has of what it accepted itself.
    pub fn feed_of_its_own(&mut self, host: Host) -> Vec<Event> {
        self.feed_of(host, EventFilter { local: true, ..EventFilter::default() })
    }

    fn feed_of(&mut self, host: Host, filter: EventFilter) -> Vec<Event> {
        let request = Request::Events { after: None, limit: 1000, filter };
        match self.answer(host, request) {
            Ok(Answer::Events(page)) => page.events,
            other => panic!("host {host} has no feed: {other:?}"),
        }
    }

    /// The stamp of a registration, by its client's last answer.
    #[must_use]
    pub fn stamp(&self, slot: Slot) -> Option<Stamp> {
        self.told(slot).map(|view| view.stamp)
    }

    /// Some machines are lost for good; the others agree on all that can be decided without them, and on nothing else.
    ///
    /// # Panics
    /// Where they do not.
    pub fn ends_without(mut self, lost: &[Host], how: Loss) {
        let mut plan = (*self.world.plan).clone();
        plan.ending = Ending::Lasting { lost: lost.to_vec(), how };
        self.world.plan = Rc::new(plan);
        self.ends_well();
    }

    /// Everything works again, comes to rest, and all nodes agree with the oracle.
    ///
    /// # Panics
    /// Where they do not.
    pub fn ends_well(mut self) {
        for host in 0..self.world.machines.len() {
            self.world.machines[host].halted = None;
        }
        let ended = run::finish(&mut self.world);
        if let Err(failure) = ended {
            panic!("{failure:?}");
        }
    }
}
