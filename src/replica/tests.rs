//! Replicas that talk over perfect links and are driven by hand: the basic stories. The simulator tests the rest.

mod erase;
mod extend;
mod feed;
mod held;
mod kept;
mod namespaces;
mod on_behalf;
mod private;
mod queries;
mod readings;
mod recovery;
mod retention;
mod verify;
mod webhooks;

use std::sync::Mutex;

use uuid::Uuid;

use super::any::{Answer, Answered as Reply, Request};
use super::*;
use crate::crdt::EndReason;
use crate::log::Settings;
use crate::model::{
    ClusterId, Cursor, EventQuery, EventType, NameRef, NameStatus, Registration, Registrations, ReplacesBody, Status,
    Time, limits,
};
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Table, Write};

type Token = u64;

/// The answers, by the number of the request.
#[derive(Clone, Default)]
struct Replies(Arc<Mutex<BTreeMap<Token, Reply>>>);

impl Replies {
    /// Returns the function that takes the answer to a request.
    fn to(&self, token: Token) -> impl FnOnce(Reply) + Send + 'static {
        let replies = self.clone();
        move |reply| assert!(replies.0.lock().unwrap().insert(token, reply).is_none(), "answered twice")
    }

    fn remove(&self, token: &Token) -> Option<Reply> {
        self.0.lock().unwrap().remove(token)
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

/// A cluster with its own time. Everything is durable at once, and every message on a connected link arrives.
pub(super) struct Cluster {
    pub(super) nodes: BTreeMap<NodeId, Replica<MemoryStore>>,
    cut: BTreeSet<(NodeId, NodeId)>,
    replies: Replies,
    pub(super) now: Now,
    next_token: Token,
}

pub(super) fn node(n: u64) -> NodeId {
    NodeId(n << 16)
}

pub(super) fn config(n: u64) -> Config {
    let (address, label) = (format!("127.0.0.1:{n}"), format!("n{n}"));
    let contact = Contact { node: node(n), public_key: Vec::new(), address, label, as_of: Millis(0) };
    Config::new(contact, n)
}

/// The founding of a cluster of these nodes that keeps all events.
fn found(founders: BTreeSet<NodeId>, secret: [u8; 32]) -> Start {
    let settings = Settings { keep_events: None, ..Settings::default() };
    Start::Found { founding: Founding { founders, settings, ..Founding::default() }, secret }
}

impl Cluster {
    pub(super) fn founded(count: u64) -> Self {
        let now = Now { wall: Millis(100_000_000), elapsed: Millis(0) };
        let founders: BTreeSet<_> = (1..=count).map(node).collect();
        let open = |n| {
            let start = Some(found(founders.clone(), [7; 32]));
            (node(n), Replica::open(config(n), MemoryStore::new(), start, now).unwrap())
        };
        let nodes = (1..=count).map(open).collect();
        let mut cluster = Self { nodes, cut: BTreeSet::new(), replies: Replies::default(), now, next_token: 1 };
        for (a, b) in cluster.pairs() {
            cluster.connect(a, b);
        }
        cluster.settle();
        cluster
    }

    fn pairs(&self) -> Vec<(NodeId, NodeId)> {
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        nodes.iter().flat_map(|a| nodes.iter().filter(move |b| a < *b).map(|b| (*a, *b))).collect()
    }

    pub(super) fn connect(&mut self, a: NodeId, b: NodeId) {
        self.nodes.get_mut(&a).unwrap().handle(self.now, Input::Connected(b));
        self.nodes.get_mut(&b).unwrap().handle(self.now, Input::Connected(a));
    }

    /// Tells a node that the connection to another one is gone.
    pub(super) fn lose(&mut self, node: NodeId, gone: NodeId) {
        self.nodes.get_mut(&node).unwrap().handle(self.now, Input::Disconnected(gone));
    }

    pub(super) fn cut(&mut self, a: u64, b: u64) {
        self.cut.extend([(node(a), node(b)), (node(b), node(a))]);
        self.nodes.get_mut(&node(a)).unwrap().handle(self.now, Input::Disconnected(node(b)));
        self.nodes.get_mut(&node(b)).unwrap().handle(self.now, Input::Disconnected(node(a)));
    }

    pub(super) fn heal(&mut self) {
        for (a, b) in std::mem::take(&mut self.cut).into_iter().filter(|(a, b)| a < b) {
            self.connect(a, b);
        }
        self.pass(3000);
    }

    /// Runs all nodes until none has anything to do at this time.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let mut busy = false;
            for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                let replica = self.nodes.get_mut(&id).unwrap();
                let mut outputs = replica.flush(self.now);
                replica.handle(self.now, Input::Persisted(Batch::MAX / 2));
                outputs.extend(replica.flush(self.now));
                busy |= !outputs.is_empty();
                outputs.into_iter().for_each(|output| self.act(id, output));
            }
            if !busy {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    fn act(&mut self, id: NodeId, output: Output) {
        match output {
            Output::Reply(ready) => ready.tell(),
            Output::Log(log::Output::Send { to, message, .. }) if !self.cut.contains(&(id, to)) => {
                if let Some(replica) = self.nodes.get_mut(&to) {
                    replica.handle(self.now, Input::Message { from: id, message });
                }
            }
            Output::Log(log::Output::SendSnapshot { to, snapshot, after: _ }) => {
                let store = self.nodes[&id].store();
                let tables = Table::ALL.into_iter().filter(|table| table.in_snapshot());
                let rows = tables.flat_map(|table| {
                    store.rows(table).map(move |(key, value)| Write {
                        table,
                        key: key.to_vec(),
                        value: Some(value.to_vec()),
                    })
                });
                let rows = rows.collect();
                let newcomer = self.nodes.get_mut(&to).unwrap();
                newcomer.handle(self.now, Input::SnapshotRows { from: id, snapshot, rows });
                newcomer.handle(self.now, Input::SnapshotEnd { from: id, snapshot });
            }
            Output::Halt(reason) => panic!("{id} halts: {reason}"),
            Output::Log(_) | Output::Events(_) => {}
            Output::Left => {
                self.nodes.remove(&id);
                let others = self.nodes.values_mut();
                others.for_each(|other| other.handle(self.now, Input::Disconnected(id)));
            }
            Output::Rejoin(_) => panic!("{id} is out"),
        }
    }

    pub(super) fn pass(&mut self, millis: u64) {
        let end = self.now.elapsed.plus(millis);
        self.settle();
        while self.now.elapsed < end {
            self.now = Now { wall: self.now.wall.plus(50), elapsed: self.now.elapsed.plus(50) };
            self.settle();
        }
    }

    /// Sends a node a request and runs nothing. Returns the number under which the answer will be found.
    fn ask(&mut self, n: u64, request: impl Into<Request>) -> Token {
        let token = self.next_token;
        self.next_token += 1;
        self.nodes
            .get_mut(&node(n))
            .unwrap()
            .handle(self.now, Input::Request(request.into().with(self.replies.to(token))));
        token
    }

    pub(super) fn reply(&mut self, n: u64, request: impl Into<Request>) -> Reply {
        let token = self.ask(n, request);
        self.settle();
        self.replies.remove(&token).expect("answered")
    }

    /// Returns the answer to this caller's query.
    fn query<Q: Query>(&mut self, n: u64, query: Q, caller: Caller) -> Result<Q::Answer, Refusal> {
        let (sender, answer) = std::sync::mpsc::channel();
        let reply = crate::registry::Reply::to(move |answer| drop(sender.send(answer)));
        let request = crate::replica::Request::Query(Asked::new(query, caller, reply));
        self.nodes.get_mut(&node(n)).unwrap().handle(self.now, Input::Request(request));
        self.settle();
        answer.try_recv().expect("answered")
    }

    fn register(&mut self, n: u64, request: RegisterRequest) -> Registration {
        match self.reply(n, Command::Register(request)) {
            Ok(Answer::Registration(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn claim(&mut self, n: u64, name: &str) -> Registration {
        self.register(n, names(&[name]))
    }

    fn status(&mut self, n: u64, id: Uuid) -> Status {
        self.view(n, id).status
    }

    fn view(&mut self, n: u64, id: Uuid) -> Registration {
        match self.reply(n, Request::outcome(id, None)) {
            Ok(Answer::Registration(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    fn name(&mut self, n: u64, name: &str) -> NameStatus {
        match self.reply(n, NameOf(name_request(name))) {
            Ok(Answer::Name(view)) => view.status,
            other => panic!("{other:?}"),
        }
    }

    fn events(&mut self, n: u64) -> Vec<(EventType, Uuid)> {
        match self.reply(n, EventsAfter::new(None, page_of(1000))) {
            Ok(Answer::Events(page)) => {
                page.events.into_iter().map(|event| (event.event_type, event.data.registration.id)).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

fn name_request(name: &str) -> NameRef {
    NameRef { namespace: "username".into(), name: name.into() }
}

/// Returns the claim of a registration to this name, to be replaced by a rename.
fn in_place_of(registration: Uuid, NameRef { namespace, name }: NameRef) -> Option<ReplacesBody> {
    Some(ReplacesBody { registration, namespace, name })
}

/// Asks for all events, with so many in a page.
fn page_of(limit: usize) -> EventQuery {
    EventQuery { limit: Some(limit), ..EventQuery::default() }
}

fn names(names: &[&str]) -> RegisterRequest {
    let names = names.iter().map(|name| name_request(name)).collect();
    RegisterRequest { owner: "o".into(), names, ..RegisterRequest::default() }
}

#[test]
fn a_single_node_confirms_at_once() {
    let mut cluster = Cluster::founded(1);
    let alice = cluster.claim(1, "Alice");
    assert_eq!(alice.status, Status::Confirmed);
    assert_eq!(cluster.name(1, "ALICE"), NameStatus::Held);
    let refused = cluster.reply(1, Command::Register(names(&["alice", "bob"])));
    assert!(matches!(refused, Err(Refusal::NameTaken { names }) if names.len() == 1 && names[0].key == "alice"));
    assert_eq!(cluster.name(1, "bob"), NameStatus::Available, "all or nothing");
    assert_eq!(cluster.events(1), vec![(EventType::Accepted, alice.id), (EventType::Confirmed, alice.id)]);
}

#[test]
fn a_connected_cluster_confirms_in_a_round_trip_everywhere() {
    let mut cluster = Cluster::founded(3);
    let alice = cluster.claim(1, "alice");
    for n in 1..=3 {
        assert_eq!(cluster.status(n, alice.id), Status::Confirmed, "n{n}");
        assert_eq!(cluster.events(n), vec![(EventType::Accepted, alice.id), (EventType::Confirmed, alice.id)]);
    }
}

#[test]
fn the_earliest_of_two_claims_across_a_cut_wins_and_the_loser_is_told_once() {
    let mut cluster = Cluster::founded(3);
    cluster.cut(1, 3);
    cluster.cut(2, 3);
    let first = cluster.claim(1, "alice");
    cluster.pass(100);
    let second = cluster.claim(3, "alice");
    assert_eq!((first.status, second.status), (Status::Pending, Status::Pending));
    assert_eq!(second.waiting_for.iter().map(|waiting| waiting.node).collect::<Vec<_>>(), vec![node(1), node(2)]);
    cluster.heal();
    for n in 1..=3 {
        assert_eq!(cluster.status(n, first.id), Status::Confirmed, "n{n}");
        let lost = cluster.view(n, second.id);
        assert_eq!(lost.status, Status::Rejected, "n{n}");
        assert_eq!(lost.rejected_by.unwrap().registration, first.id);
        let finals: Vec<_> = cluster.events(n).into_iter().filter(|(kind, _)| *kind == EventType::Rejected).collect();
        assert_eq!(finals, vec![(EventType::Rejected, second.id)]);
    }
}

#[test]
fn a_registration_that_loses_one_name_frees_the_others() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    cluster.claim(1, "alice");
    cluster.pass(100);
    let both = cluster.register(2, names(&["alice", "bob"]));
    cluster.heal();
    assert_eq!(cluster.status(2, both.id), Status::Rejected);
    let bob = cluster.claim(1, "bob");
    assert_eq!(cluster.status(2, bob.id), Status::Confirmed);
}

#[test]
fn who_waits_hears_the_outcome_or_what_is_known_at_the_deadline() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let waiting = RegisterRequest { wait: Some(AwaitFinal::always(500)), ..names(&["alice"]) };
    let (short, long) =
        (waiting.clone(), RegisterRequest { wait: Some(AwaitFinal::always(60_000)), ..names(&["bob"]) });
    let (short, long) = (cluster.ask(1, Command::Register(short)), cluster.ask(1, Command::Register(long)));
    cluster.pass(400);
    assert!(cluster.replies.is_empty());
    cluster.pass(200);
    let Some(Ok(Answer::Registration(view))) = cluster.replies.remove(&short) else { panic!("no answer") };
    assert_eq!((view.status, view.waiting_for[0].node), (Status::Pending, node(2)));
    cluster.heal();
    let Some(Ok(Answer::Registration(view))) = cluster.replies.remove(&long) else { panic!("no answer") };
    assert_eq!(view.status, Status::Confirmed);
}

#[test]
fn an_id_is_one_registration_on_all_nodes() {
    let mut cluster = Cluster::founded(2);
    cluster.cut(1, 2);
    let id = Uuid::from_u128(0x4000_8000_0000_0000_0001);
    let request = RegisterRequest { id: Some(id), ..names(&["alice"]) };
    cluster.register(1, request.clone());
    cluster.pass(100);
    cluster.register(2, request.clone());
    cluster.heal();
    for n in 1..=2 {
        assert_eq!(cluster.status(n, id), Status::Confirmed, "n{n}");
        assert_eq!(cluster.events(n), vec![(EventType::Accepted, id), (EventType::Confirmed, id)], "n{n}");
    }
    assert_eq!(cluster.register(2, request.clone()).id, id, "asked again");
    let other = RegisterRequest { id: Some(id), ..names(&["bob"]) };
    assert_eq!(cluster.reply(1, Command::Register(other)), Err(Refusal::IdReused(id)));
}

#[test]
fn a_released_name_can_be_claimed_once_that_is_final() {
    let mut cluster = Cluster::founded(2);
    let alice = cluster.claim(1, "alice");
    cluster.cut(1, 2);
    let released = cluster.reply(1, Command::ReleaseName { owner: "o".into(), name: name_request("alice") });
    assert!(released.is_ok());
    assert_eq!(cluster.name(1, "alice"), NameStatus::Ending);
    assert!(matches!(cluster.reply(1, Command::Register(names(&["alice"]))), Err(Refusal::NameTaken { .. })));
    cluster.heal();
    assert_eq!(cluster.name(2, "alice"), NameStatus::Available);
    assert!(cluster.events(2).contains(&(EventType::NameEnded, alice.id)));
    let again = cluster.claim(2, "alice");
    assert_eq!(cluster.status(1, again.id), Status::Confirmed);
    assert_eq!(cluster.view(1, alice.id).names[0].ended, Some(EndReason::Released));
}

#[test]
fn a_reservation_ends_by_the_watermark_unless_it_is_activated() {
    let mut cluster = Cluster::founded(2);
    let reserve = |name| RegisterRequest { ttl: Some(5000), ..names(&[name]) };
    let lapsed = cluster.register(1, reserve("alice"));
    let kept = cluster.register(1, reserve("bob"));
    assert!(cluster.reply(2, Command::Activate { id: kept.id }).is_ok());
    cluster.cut(1, 2);
    cluster.pass(8000);
    assert_eq!(cluster.name(1, "alice"), NameStatus::Held, "during a partition a reservation stays");
    cluster.heal();
    assert_eq!((cluster.name(1, "alice"), cluster.name(2, "bob")), (NameStatus::Available, NameStatus::Held));
    assert!(cluster.events(1).contains(&(EventType::NameEnded, lapsed.id)));
    assert!(cluster.events(1).contains(&(EventType::Activated, kept.id)));
    assert!(matches!(cluster.reply(1, Command::Activate { id: lapsed.id }), Err(Refusal::TooLate { .. })));
}

#[test]
fn a_reservation_that_is_over_before_its_own_fate_is_known_costs_no_writes() {
    let mut cluster = Cluster::founded(3);
    cluster.cut.extend([(node(1), node(2)), (node(1), node(3))]);
    cluster.register(1, RegisterRequest { ttl: Some(1000), ..names(&["alice"]) });
    cluster.pass(3000);
    let now = cluster.now;
    let replica = cluster.nodes.get_mut(&node(1)).unwrap();
    let mut step = || {
        replica.handle(now, Input::Wake);
        replica.flush(now);
        replica.store_mut().commit()
    };
    assert_eq!(step(), step(), "or each fsync would bring about the next");
}

#[test]
fn a_rename_frees_the_old_name_when_it_is_confirmed() {
    let mut cluster = Cluster::founded(2);
    let alice = cluster.claim(1, "alice");
    let replaces = in_place_of(alice.id, name_request("alice"));
    let renamed = cluster.register(2, RegisterRequest { replaces, ..names(&["alicia"]) });
    assert_eq!(cluster.status(1, renamed.id), Status::Confirmed);
    assert_eq!((cluster.name(1, "alice"), cluster.name(1, "alicia")), (NameStatus::Available, NameStatus::Held));
}

#[test]
fn a_newcomer_gets_a_snapshot_is_welcomed_by_all_and_takes_part() {
    let mut cluster = Cluster::founded(2);
    let alice = cluster.claim(1, "alice");
    let newcomer = Replica::open(config(3), MemoryStore::new(), Some(Start::Join), cluster.now).unwrap();
    cluster.nodes.insert(node(3), newcomer);
    assert_eq!(cluster.reply(3, ClusterCommand::Show), Err(Refusal::NotMember));
    cluster.connect(node(3), node(1));
    cluster.settle();
    cluster.connect(node(2), node(3));
    cluster.pass(2000);
    assert!(cluster.nodes[&node(3)].is_member());
    assert_eq!(cluster.status(3, alice.id), Status::Confirmed);
    assert_eq!(cluster.events(3), vec![], "what is old is no news");
    let bob = cluster.claim(3, "bob");
    for n in 1..=3 {
        assert_eq!(cluster.status(n, bob.id), Status::Confirmed, "n{n}");
    }
    cluster.cut(1, 3);
    cluster.cut(2, 3);
    let carol = cluster.claim(1, "carol");
    cluster.pass(2000);
    assert_eq!(cluster.status(1, carol.id), Status::Pending, "the watermark waits for the new member too");
}

#[test]
fn a_newcomer_does_not_ask_twice_while_its_snapshot_is_on_the_way() {
    let mut now = Now { wall: Millis(1_700_000_000_000), elapsed: Millis(0) };
    let mut newcomer = Replica::open(config(3), MemoryStore::new(), Some(Start::Join), now).unwrap();
    newcomer.handle(now, Input::Connected(node(1)));
    let mut asked = 0;
    for _ in 0..40 {
        let is_join =
            |output: &Output| matches!(output, Output::Log(log::Output::Send { message: Message::Join { .. }, .. }));
        asked += newcomer.flush(now).iter().filter(|output| is_join(output)).count();
        newcomer.handle(now, Input::Persisted(Batch::MAX / 2));
        (now.wall, now.elapsed) = (now.wall.plus(100), now.elapsed.plus(100));
        newcomer.handle(now, Input::Wake);
    }
    assert_eq!(asked, 1, "in four seconds");
}

#[test]
fn two_that_cannot_reach_each_other_agree_through_a_third() {
    let mut cluster = Cluster::founded(3);
    cluster.cut(1, 3);
    let alice = cluster.claim(1, "alice");
    cluster.pass(3000);
    for n in 1..=3 {
        assert_eq!(cluster.status(n, alice.id), Status::Confirmed, "n{n}");
    }
}

#[test]
fn a_node_opens_what_it_left() {
    let mut cluster = Cluster::founded(1);
    let alice = cluster.claim(1, "alice");
    let before = cluster.nodes[&node(1)].log.own().last();
    let store = cluster.nodes.remove(&node(1)).unwrap().store().clone();
    // The clock was set back by an hour meanwhile.
    cluster.now.wall = Millis(cluster.now.wall.0 - 3_600_000);
    assert!(matches!(Replica::open(config(2), store.clone(), None, cluster.now), Err(OpenError::OtherNode { .. })));
    cluster.nodes.insert(node(1), Replica::open(config(1), store, None, cluster.now).unwrap());
    assert_eq!(cluster.status(1, alice.id), Status::Confirmed);
    let bob = cluster.claim(1, "bob");
    assert!(bob.stamp.hlc > before, "no timestamp is used twice");
    assert_eq!(cluster.events(1).len(), 4, "nothing is told again");
}

#[test]
fn nothing_gets_out_before_it_is_durable() {
    let mut cluster = Cluster::founded(2);
    let now = cluster.now;
    let replica = cluster.nodes.get_mut(&node(1)).unwrap();
    replica.outbox.persisted = 0;
    let replies = Replies::default();
    replica.handle(now, Input::Request(Request::from(Command::Register(names(&["alice"]))).with(replies.to(1))));
    assert!(replica.flush(now).is_empty());
    let batch = replica.outbox.gated.back().unwrap().0;
    replica.handle(now, Input::Persisted(batch - 1));
    assert!(replica.flush(now).is_empty());
    replica.handle(now, Input::Persisted(batch));
    for output in replica.flush(now) {
        if let Output::Reply(ready) = output {
            ready.tell();
        }
    }
    assert!(matches!(replies.remove(&1), Some(Ok(_))));
}

#[test]
fn a_failed_store_halts_the_node_and_nothing_gets_out() {
    let mut cluster = Cluster::founded(1);
    let now = cluster.now;
    let replica = cluster.nodes.get_mut(&node(1)).unwrap();
    replica.store_mut().poison("disk on fire");
    replica.handle(now, Input::Request(Request::from(NameOf(name_request("alice"))).with(|_| ())));
    let outputs = replica.flush(now);
    assert!(matches!(outputs.as_slice(), [Output::Halt(why)] if why.contains("disk on fire")));
    replica.handle(now, Input::Wake);
    assert!(replica.flush(now).is_empty());
}

#[test]
fn ops_from_too_far_ahead_are_not_taken_and_both_sides_know() {
    let mut cluster = Cluster::founded(2);
    // The elapsed time moves as well: a clock that only jumps is not followed.
    let ahead = Now { wall: cluster.now.wall.plus(60_000), elapsed: cluster.now.elapsed.plus(60_000) };
    let first = cluster.nodes.get_mut(&node(1)).unwrap();
    first.handle(ahead, Input::Request(Request::from(Command::Register(names(&["alice"]))).with(|_| ())));
    let sent = first.flush(ahead);
    for output in sent {
        cluster.act(node(1), output);
    }
    cluster.settle();
    let member = |cluster: &mut Cluster, n, of| match cluster.reply(n, ClusterCommand::Show) {
        Ok(Answer::Cluster(view)) => view.members.into_iter().find(|member| member.node == node(of)).unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(member(&mut cluster, 2, 1).skewed_ms.is_some() && member(&mut cluster, 1, 2).refuses_ours_ms.is_some());
    assert_eq!(cluster.name(2, "alice"), NameStatus::Available, "nothing is recorded");
    cluster.pass(70_000);
    assert_eq!(cluster.name(2, "alice"), NameStatus::Held, "asked for again later");
    assert!(member(&mut cluster, 2, 1).skewed_ms.is_none() && member(&mut cluster, 1, 2).refuses_ours_ms.is_none());
}

#[test]
fn limits_are_refused_with_their_reason() {
    let mut cluster = Cluster::founded(1);
    let many: Vec<_> = (0..17).map(|n| format!("name{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let bad = [
        names(&[]),
        names(&many),
        names(&["alice", "ALICE"]),
        RegisterRequest { owner: String::new(), ..names(&["alice"]) },
        RegisterRequest { owner: "o".repeat(257), ..names(&["alice"]) },
        RegisterRequest { ttl: Some(0), ..names(&["alice"]) },
        RegisterRequest { metadata: Some("m".repeat(4097)), ..names(&["alice"]) },
        RegisterRequest { id: Some(crate::crdt::id_of_stamp(crate::clock::Stamp::default())), ..names(&["alice"]) },
    ];
    for request in bad {
        let refused = cluster.reply(1, Command::Register(request.clone()));
        assert!(matches!(refused, Err(Refusal::InvalidRequest(_))), "{request:?}: {refused:?}");
    }
    let refused = cluster.reply(1, Command::Register(names(&["al ice"])));
    assert!(matches!(refused, Err(Refusal::InvalidName { .. })));
    assert_eq!(cluster.events(1), vec![]);
}
