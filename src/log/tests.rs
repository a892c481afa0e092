//! Logs that exchange messages, without a registry on top of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::crdt::NameOp;
use crate::log::op::{Body, MemberOp};
use crate::store::Store;
use crate::store::memory::MemoryStore;

/// Returns the body of an op that the log does not read.
fn opaque(n: u64) -> Body {
    Body::Name(NameOp::Activate { registration: Stamp { hlc: Hlc(n), node: NodeId(n) } })
}

fn node(n: u64) -> NodeId {
    NodeId(n << 16)
}

impl Log {
    /// Takes a promise that some relay has passed on.
    pub(crate) fn believe(&mut self, node: NodeId, promise: Promise) {
        self.frontiers.hear(node, promise, node, self.now);
    }
}

struct Peer {
    log: Log,
    store: MemoryStore,
    /// The ops that were handed on to be applied, by origin.
    applied: BTreeMap<NodeId, Vec<Seq>>,
    /// The decided ops, in the order in which they were decided.
    decided: Vec<Stamp>,
    halted: Option<String>,
}

/// Some logs and the messages between them.
struct Net {
    peers: BTreeMap<NodeId, Peer>,
    /// The messages by sender and receiver. A connection keeps their order.
    links: BTreeMap<(NodeId, NodeId), VecDeque<Message>>,
    /// Pairs of nodes between which messages wait.
    cut: BTreeSet<(NodeId, NodeId)>,
    now: Now,
}

impl Net {
    fn founded(count: u64) -> Self {
        let now = Now { wall: Millis(100_000_000), elapsed: Millis(0) };
        let founders: BTreeSet<_> = (1..=count).map(node).collect();
        let founding = Founding { founders: founders.clone(), ..Founding::default() };
        let mut net = Self { peers: BTreeMap::new(), links: BTreeMap::new(), cut: BTreeSet::new(), now };
        for me in &founders {
            let contact = Contact {
                node: *me,
                public_key: Vec::new(),
                address: String::new(),
                label: String::new(),
                as_of: Millis(0),
            };
            let (mut log, mut store) = (Log::new(Config::new(contact, me.0), None, now), MemoryStore::new());
            let secrets =
                Secrets { cluster: [7; 32], age: Stamp::default(), pepper: crate::name::Pepper::derive(&[7; 32]) };
            log.found(&mut store, &founding, &secrets);
            log.load(&mut store);
            let (applied, decided, halted) = (BTreeMap::new(), Vec::new(), None);
            net.peers.insert(*me, Peer { log, store, applied, decided, halted });
        }
        for (from, to) in net.pairs() {
            let peer = net.peers.get_mut(&from).unwrap();
            peer.log.on_connected(&mut peer.store, to);
            net.take_events(from);
        }
        net.run(20);
        net
    }

    fn pairs(&self) -> Vec<(NodeId, NodeId)> {
        let nodes: Vec<_> = self.peers.keys().copied().collect();
        nodes.iter().flat_map(|a| nodes.iter().filter(move |b| a != *b).map(|b| (*a, *b))).collect()
    }

    fn take_events(&mut self, from: NodeId) {
        let peer = self.peers.get_mut(&from).unwrap();
        for event in peer.log.take_events() {
            match event {
                Event::Applied(op) => {
                    assert!(op.hlc > peer.log.frontiers().watermark(), "{} arrives below the watermark", op.stamp());
                    peer.applied.entry(op.node).or_default().push(op.seq);
                }
                Event::Output(Output::Send { to, message, .. }) => {
                    self.links.entry((from, to)).or_default().push_back(message)
                }
                Event::Halt(reason) => peer.halted = Some(reason),
                _ => {}
            }
        }
    }

    /// Issues an op with an opaque body.
    fn issue(&mut self, at: u64, n: u64) {
        let peer = self.peers.get_mut(&node(at)).unwrap();
        let op = peer.log.issue(opaque(n));
        peer.applied.entry(op.node).or_default().push(op.seq);
    }

    /// One step of one node.
    fn step(&mut self, at: NodeId) {
        let peer = self.peers.get_mut(&at).unwrap();
        if peer.halted.is_some() {
            return;
        }
        peer.log.set_time(self.now);
        peer.log.promise_time();
        peer.log.end_start();
        peer.log.join_evictions();
        peer.log.depart(&mut peer.store);
        peer.decided.extend(peer.log.decide().into_iter().flat_map(|decision| decision.ops));
        let fresh = peer.log.write(&mut peer.store);
        peer.log.tell_forks();
        peer.log.gossip(&mut peer.store, fresh, false);
        peer.log.announce_peers();
        peer.log.save(&mut peer.store);
        peer.store.commit();
        self.take_events(at);
    }

    /// Delivers the next message of one connection.
    fn deliver(&mut self, link: (NodeId, NodeId)) {
        if self.cut.contains(&link) || self.cut.contains(&(link.1, link.0)) {
            return;
        }
        let Some(message) = self.links.get_mut(&link).and_then(VecDeque::pop_front) else { return };
        let peer = self.peers.get_mut(&link.1).unwrap();
        if peer.halted.is_none() {
            peer.log.set_time(self.now);
            peer.log.on_message(&mut peer.store, link.0, message);
            self.take_events(link.1);
        }
    }

    fn tick(&mut self, millis: u64) {
        self.now = Now { wall: self.now.wall.plus(millis), elapsed: self.now.elapsed.plus(millis) };
    }

    /// Runs for so many heartbeats, and delivers all messages.
    fn run(&mut self, heartbeats: u64) {
        for _ in 0..heartbeats * 4 {
            self.tick(300);
            for at in self.peers.keys().copied().collect::<Vec<_>>() {
                self.step(at);
            }
            for link in self.pairs() {
                while !self.is_cut(link) && self.links.get(&link).is_some_and(|queue| !queue.is_empty()) {
                    self.deliver(link);
                }
            }
        }
    }

    fn is_cut(&self, link: (NodeId, NodeId)) -> bool {
        self.cut.contains(&link) || self.cut.contains(&(link.1, link.0))
    }

    fn decided(&self, at: u64) -> &[Stamp] {
        &self.peers[&node(at)].decided
    }

    /// Returns the decided ops of one log.
    fn decided_of(&self, at: u64, origin: u64) -> Vec<Stamp> {
        self.decided(at).iter().copied().filter(|stamp| stamp.node == node(origin)).collect()
    }

    fn log(&self, at: u64) -> &Log {
        &self.peers[&node(at)].log
    }
}

#[test]
fn what_all_have_promised_to_be_over_is_decided_at_all() {
    let mut net = Net::founded(3);
    for n in 0..10 {
        net.issue(1 + n % 3, n);
        net.tick(7);
    }
    net.run(4);
    assert_eq!(net.decided(1).len(), 10);
    for n in 1..=3 {
        assert_eq!(net.decided_of(2, n), net.decided_of(1, n));
        assert_eq!(net.decided_of(3, n), net.decided_of(1, n));
        assert!(net.decided_of(1, n).is_sorted());
    }
}

#[test]
fn without_the_promise_of_one_member_nothing_is_decided() {
    let mut net = Net::founded(3);
    net.cut = [(node(1), node(3)), (node(2), node(3))].into();
    net.issue(1, 1);
    net.run(20);
    assert_eq!(net.decided(1), []);
    assert_eq!(net.log(2).frontiers().seq(node(1)), 1, "a majority holds it all the same");
    assert_eq!(net.log(1).view().waiting_for(Stamp { hlc: net.log(1).own().last(), node: node(1) }, 1), [node(3)]);
    net.cut.clear();
    net.run(4);
    assert_eq!(net.decided(1).len(), 1);
}

#[test]
fn without_a_majority_that_holds_it_nothing_is_decided() {
    let mut net = Net::founded(3);
    // No message is delivered yet, so the op reaches nobody.
    net.issue(1, 1);
    let stamp = Stamp { hlc: net.log(1).own().last(), node: node(1) };
    net.step(node(1));
    assert_eq!(net.log(1).view().holders(node(1), 1), (1, 3));
    assert!(!net.log(1).frontiers().is_decided(stamp));
    net.run(4);
    assert_eq!(net.log(1).view().holders(node(1), 1), (3, 3));
    assert!(net.log(1).frontiers().is_decided(stamp));
}

#[test]
fn an_eviction_by_a_majority_lets_the_others_go_on() {
    let mut net = Net::founded(3);
    net.cut = [(node(1), node(3)), (node(2), node(3))].into();
    net.issue(1, 1);
    net.run(4);
    assert_eq!(net.decided(1), []);
    assert!(matches!(
        net.peers.get_mut(&node(3)).unwrap().log.evict(node(1), false),
        Err(Denied::NotInContact { heard: 1, .. })
    ));
    net.peers.get_mut(&node(1)).unwrap().log.evict(node(3), false).unwrap();
    net.take_events(node(1));
    net.run(4);
    assert!(!net.log(2).membership().is_member(node(3)));
    let ops: Vec<_> = net.decided(2).iter().filter(|stamp| stamp.node == node(1)).collect();
    assert!(!ops.is_empty());
    net.cut.clear();
    net.run(4);
    assert!(matches!(net.log(3).view().exit(), Some(Exit::Anew(..))), "it learns that it is out");
}

#[test]
fn a_member_that_leaves_hands_over_what_it_holds_first() {
    let mut net = Net::founded(3);
    net.issue(3, 1);
    let leaver = net.peers.get_mut(&node(3)).unwrap();
    assert_eq!(leaver.log.view().may_leave(), Ok(true));
    leaver.log.leave(&mut leaver.store);
    net.run(8);
    assert_eq!(net.log(1).frontiers().seq(node(3)), 2, "the op and its last one");
    assert!(!net.log(1).membership().is_member(node(3)));
    assert_eq!(net.log(3).view().exit(), Some(Exit::Left));
    net.issue(1, 2);
    net.run(4);
    assert_eq!(net.decided_of(1, 1), net.decided_of(2, 1));
    assert!(net.decided(1).iter().any(|stamp| stamp.node == node(1)));
}

/// The last op may arrive after later vectors of the departed node. A member that took it for one that stays would
/// leave as well.
#[test]
fn one_that_has_departed_still_says_that_it_leaves() {
    let mut net = Net::founded(2);
    let leaver = &mut net.peers.get_mut(&node(2)).unwrap().log;
    assert!(!leaver.view().leavers().0.contains(&node(2)));
    leaver.issue(Body::Member(MemberOp::Depart));
    assert!(leaver.view().leavers().0.contains(&node(2)));
}

#[test]
fn of_empty_logs_nothing_is_kept() {
    let mut net = Net::founded(3);
    net.run(4);
    for peer in net.peers.values() {
        assert!(peer.log.frontiers().rows().is_empty(), "{:?}", peer.log.frontiers().rows());
    }
    net.issue(1, 1);
    net.run(4);
    let rows = net.log(2).frontiers().rows();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [node(1), node(3)]);
    for row in rows.values() {
        assert_eq!(row.iter().map(|(origin, held)| (*origin, held.seq)).collect::<Vec<_>>(), [(node(1), 1)]);
    }
}

#[test]
fn in_a_large_cluster_a_new_contact_is_a_rumour() {
    let mut net = Net::founded(9);
    net.run(4);
    let mut moved = net.log(1).contacts().get(node(1)).unwrap().clone();
    moved.as_of = moved.as_of.plus(1);
    net.peers.get_mut(&node(2)).unwrap().log.contacts.learn([moved.clone()]);
    net.step(node(2));
    let said = net.links.iter().filter(|((from, _), _)| *from == node(2)).flat_map(|(_, messages)| messages);
    let told = said.filter_map(|message| match message {
        Message::Contacts(contacts) => Some(contacts.clone()),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), vec![vec![moved]; GossipLimits::default().fanout]);
}

/// A peer that takes many ops asks for more only once they are durable. Whoever sends them goes on meanwhile.
#[test]
fn who_lacks_much_is_sent_more_in_each_step_until_the_window_is_full() {
    let mut net = Net::founded(2);
    for peer in net.peers.values_mut() {
        peer.log.config.spread.ops = 5;
    }
    (0..100).for_each(|n| net.issue(1, n));
    net.step(node(1));
    // The messages with the ops are lost.
    net.links.clear();
    net.tick(2000);
    net.step(node(2));
    while net.links.get(&(node(2), node(1))).is_some_and(|queue| !queue.is_empty()) {
        net.deliver((node(2), node(1)));
    }
    let sent = |net: &Net| {
        let messages = net.links[&(node(1), node(2))].iter();
        messages.filter(|message| matches!(message, Message::Ops { more: true, .. })).count()
    };
    let mut counts = vec![sent(&net)];
    for _ in 0..9 {
        let at_once = net.log(1).view().wake_at() <= net.now.elapsed;
        net.step(node(1));
        counts.push(sent(&net));
        assert_eq!(at_once, counts.last() > counts.get(counts.len() - 2), "it wakes by itself: {counts:?}");
    }
    assert_eq!(counts, [2, 3, 4, 5, 6, 7, 8, 8, 8, 8]);
    net.run(4);
    assert_eq!(net.log(2).frontiers().seq(node(1)), 100);
    assert!(net.log(1).view().wake_at() > net.now.elapsed, "nothing is left to be sent");
}

#[test]
fn who_was_evicted_is_sent_no_more_ops() {
    let mut net = Net::founded(3);
    net.cut = [(node(1), node(3)), (node(2), node(3))].into();
    net.run(4);
    net.peers.get_mut(&node(1)).unwrap().log.evict(node(3), false).unwrap();
    net.take_events(node(1));
    net.run(4);
    assert!(!net.log(1).membership().is_member(node(3)));
    for (peer, is_sent) in [(2, true), (3, false)] {
        net.issue(1, 7);
        net.step(node(1));
        net.links.clear();
        net.peers.get_mut(&node(1)).unwrap().log.peers.connected.get_mut(&node(peer)).unwrap().behind =
            Some(BTreeMap::new());
        net.step(node(1));
        let sent = net.links.get(&(node(1), node(peer))).into_iter().flatten();
        assert_eq!(sent.filter(|message| matches!(message, Message::Ops { .. })).count() > 0, is_sent, "{peer}");
    }
}

#[test]
fn of_a_log_that_forks_nothing_more_is_decided() {
    let mut net = Net::founded(3);
    // The third node's log is forked: each of the others gets another continuation.
    let third = net.log(3);
    let (hlc, after) = (Hlc(third.own().last().0 + 1), third.frontiers().chain(node(3)));
    let ops = [1, 2].map(|n| Op::new(node(3), 1, hlc, after, opaque(n)));
    for (to, op) in [1, 2].into_iter().zip(ops) {
        let message = Message::Ops { ops: std::sync::Arc::new(vec![op]), more: false };
        let peer = net.peers.get_mut(&node(to)).unwrap();
        peer.log.on_message(&mut peer.store, node(3), message);
        net.take_events(node(to));
    }
    net.run(8);
    assert_eq!(net.log(1).frontiers().forks().count(), 1);
    assert!(net.decided(1).iter().chain(net.decided(2)).all(|stamp| stamp.node != node(3)));
    assert!(net.peers[&node(3)].halted.is_some(), "peers hold ops of it that it has not");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever order messages arrive, all nodes hand on the ops of each log in order, never one below the
    /// watermark, and decide the same prefix of it. One node may only be further than another.
    #[test]
    fn all_decide_the_same_of_each_log(
        count in 2_u64..5,
        acts in proptest::collection::vec((0_u8..8, 0_u64..5, 0_u64..5, 1_u64..400), 1..300),
    ) {
        let mut net = Net::founded(count);
        let mut issued = 0;
        for (act, a, b, millis) in acts {
            let (a, b) = (1 + a % count, 1 + b % count);
            match act {
                0 => {
                    net.issue(a, issued);
                    issued += 1;
                }
                1 => net.tick(millis),
                2 if a != b => drop(net.cut.insert((node(a), node(b)))),
                3 => net.cut.clear(),
                4 | 5 => net.step(node(a)),
                _ if a != b => net.deliver((node(a), node(b))),
                _ => {}
            }
            for (one, origin) in (1..=count).flat_map(|one| (1..=count).map(move |origin| (one, origin))) {
                let (one, first) = (net.decided_of(one, origin), net.decided_of(1, origin));
                let common = one.len().min(first.len());
                prop_assert_eq!(&one[..common], &first[..common]);
            }
        }
        net.cut.clear();
        net.run(12);
        for peer in net.peers.values() {
            prop_assert_eq!(peer.halted.as_ref(), None);
            prop_assert_eq!(peer.decided.len() as u64, issued);
            prop_assert!(peer.applied.values().all(|seqs| seqs.iter().copied().eq(1..=seqs.len() as u64)));
        }
    }
}
