//! Liars: nodes that hold a join token, are not members, and send false messages.
//!
//! A liar connects to members and sends what only members may send, in its own name or in theirs. This must not change
//! what honest nodes decide, or make any of them stop: every other check of the simulator must hold as if there were no
//! liars. A liar is never admitted, and the snapshot that it gets has none of the cluster's secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forename::clock::{Hlc, Millis, NodeId};
use forename::crdt::{Claim, ClaimRef, NameOp, Register};
use forename::log::{Body, Chain, Cut, MemberOp, Op, Seq};
use forename::replica::{Contact, Entry, HeldRow, Input, Message, Promise, Vector};
use forename::store::Table;

use crate::plan::{Forged, Forgery, Host, Mask};
use crate::world::contact::knows_member;
use crate::world::ids::{host_of, stranger};
use crate::world::seen::Seen;
use crate::world::state::World;

/// How many ops more than a log has a lie claims.
const MORE: Seq = 7;

fn mask(world: &World, mask: Mask) -> Option<NodeId> {
    let out: BTreeSet<_> = world.books.ledger.out().collect();
    match mask {
        Mask::Stranger(which) => Some(stranger(which)),
        Mask::Former(host) => {
            let former = out.into_iter().filter(|node| host_of(*node) == host);
            former.max().filter(|node| world.machines[host].stage.has_left() || world.machines[host].node != *node)
        }
        Mask::Next(host) => {
            let machine = &world.machines[host];
            machine.node.next_incarnation().filter(|_| machine.stage.has_left() && out.contains(&machine.node))
        }
    }
}

/// Sends a lie to a member.
pub(crate) fn lie(world: &mut World, index: usize) {
    let plan = world.plan.clone();
    let lie = &plan.lies[index];
    let machine = &world.machines[lie.host];
    let (life, is_member) = (machine.life, machine.is_member());
    let Some(me) = mask(world, lie.mask).filter(|_| is_member && !world.net.is_healed()) else { return };
    // A host that does not know yet that a node is out still takes it for a member, so this would not be a lie.
    if knows_member(world, lie.host, me) {
        return;
    }
    world.note(&Seen::Lie { host: lie.host, from: me, what: &lie.what });
    let key = (me, lie.host);
    if lie.what == Forgery::HangUp {
        if world.liars.connected.remove(&key) == Some(life) {
            world.input(lie.host, Input::Disconnected(me));
        }
        return;
    }
    if world.liars.connected.insert(key, life) != Some(life) {
        world.input(lie.host, Input::Connected(me));
    }
    if let Some(message) = forge(world, me, lie.host, &lie.what) {
        world.mark("a liar is heard");
        world.input(lie.host, Input::Message { from: me, message });
    }
}

fn forge(world: &mut World, me: NodeId, to: Host, what: &Forgery) -> Option<Message> {
    let node = |host: Host| world.machines[host].node;
    let victim = node(to);
    let wall = world.machines[to].now(world.now).wall;
    let (held, chain) = world.books.ledger.head(victim);
    Some(match what {
        Forgery::HangUp => return None,
        Forgery::Join => {
            world.liars.asked += 1;
            Message::Join { contact: contact(me, wall), snapshot: world.liars.asked, wall }
        }
        Forgery::Resume => {
            Message::Resume { snapshot: world.liars.asked, table: Table::Cluster.name().to_owned(), key: Vec::new() }
        }
        Forgery::Op { of, body, made_up } => {
            let op = forged_op(world, node(*of), body, *made_up, wall)?;
            Message::Ops { ops: Arc::new(vec![op]), more: false }
        }
        Forgery::Promise { of, ahead } => {
            let (seq, chain) = world.books.ledger.head(node(*of));
            let promise = Promise { seq, chain, hlc: Hlc::from_millis(wall.plus(*ahead)) };
            vector(vec![entry(node(*of), seq, chain, promise)], Vec::new(), wall)
        }
        Forgery::Holds => {
            let all: Vec<_> = world.books.ledger.heads().map(|(origin, (seq, chain))| (origin, seq, chain)).collect();
            let row = |by: NodeId| HeldRow { by, held: all.clone() };
            let rows = world.machines.iter().map(|machine| row(machine.node)).collect();
            let entry = |(origin, (held, chain))| entry(origin, held, chain, Promise::default());
            vector(world.books.ledger.heads().map(entry).collect(), rows, wall)
        }
        Forgery::More => {
            let promise = Promise { seq: held + MORE, chain, hlc: Hlc::from_millis(wall) };
            vector(vec![entry(victim, held + MORE, chain, promise)], Vec::new(), wall)
        }
        Forgery::Fork => {
            let body = Body::Member(MemberOp::Depart);
            let chain = Op::new(victim, held, Hlc::ZERO, chain, body).chain;
            vector(vec![entry(victim, held, chain, Promise::default())], Vec::new(), wall)
        }
        Forgery::Silent => {
            let Message::Vector(vector) = vector(Vec::new(), Vec::new(), wall) else { return None };
            let silent = world.machines.iter().map(|machine| machine.node).filter(|node| *node != victim);
            Message::Vector(Vector { silent: silent.collect(), ..vector })
        }
        Forgery::Contact(host) => {
            let address = "liar:1".to_owned();
            Message::Contacts(vec![Contact { address, public_key: vec![1; 32], ..contact(node(*host), wall) }])
        }
        Forgery::Nominate(ghost) => Message::Nominate { contact: contact(stranger(GHOSTS + ghost), wall), pass: None },
        Forgery::Evicted => Message::Evicted { cut: 0 },
        Forgery::Used => Message::Used,
        Forgery::Gone => {
            Message::Gone(world.books.ledger.heads().map(|(origin, (seq, _))| (origin, seq + MORE)).collect())
        }
        Forgery::Skewed => Message::Skewed { ahead: 3_600_000 },
    })
}

/// Returns a forged op that would be the next one of a node's log.
fn forged_op(world: &World, of: NodeId, body: &Forged, made_up: bool, wall: Millis) -> Option<Op> {
    let (seq, chain) = world.books.ledger.head(of);
    let node = |host: Host| world.machines[host].node;
    let last = world.books.ledger.ops().filter(|op| op.node == of).map(|op| op.hlc).max().unwrap_or_default();
    let body = match body {
        Forged::Register(name) => {
            let (namespace, key) = ("username".to_owned(), name.to_lowercase());
            let claims = vec![Claim { namespace, key, name: name.clone(), after: None }];
            let owner = "liar".to_owned();
            let register =
                Register { id: None, owner, claims, expires: None, replaces: None, metadata: None, accepted: None };
            Body::Name(NameOp::Register(register.into()))
        }
        Forged::Release => {
            let registrations = world.books.ledger.ops().filter_map(|op| match op.body() {
                Body::Name(NameOp::Register(register)) => Some((op.stamp(), register.claims.first()?)),
                _ => None,
            });
            let (registration, claim) = registrations.max_by_key(|(stamp, _)| *stamp)?;
            Body::Name(NameOp::Release(ClaimRef {
                registration,
                namespace: claim.namespace.clone(),
                key: claim.key.clone(),
            }))
        }
        Forged::Freeze(host) => {
            let (seq, chain) = world.books.ledger.head(node(*host));
            Body::Member(MemberOp::Freeze { node: node(*host), seq, chain, held: seq, forked: false })
        }
        Forged::Evict(host) => Body::Member(MemberOp::Evict { cuts: BTreeMap::from([(node(*host), Cut::default())]) }),
        Forged::Depart => Body::Member(MemberOp::Depart),
        Forged::Retire(host) => Body::Member(MemberOp::Retire { node: node(*host) }),
        Forged::Admit(ghost) => Body::Member(MemberOp::Admit { node: stranger(GHOSTS + ghost) }),
    };
    let (seq, chain) = if made_up { (seq + MORE, Chain::default()) } else { (seq, chain) };
    Some(Op::new(of, seq + 1, Hlc::from_millis(wall).max(last).next(), chain, body))
}

/// Strangers with these numbers do not exist at all: no liar has their keys.
const GHOSTS: u8 = 128;

fn contact(node: NodeId, as_of: Millis) -> Contact {
    let (address, label) = (format!("liar{}:7400", host_of(node)), String::new());
    Contact { node, public_key: Vec::new(), address, label, as_of: as_of.plus(1000) }
}

fn vector(entries: Vec<Entry>, rows: Vec<HeldRow>, wall: Millis) -> Message {
    let (silent, leaving, yields_to) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    Message::Vector(Vector { entries, rows, wall, silent, leaving, yields_to, wants: true, echo: true })
}

fn entry(origin: NodeId, held: Seq, chain: Chain, promise: Promise) -> Entry {
    Entry { origin, has: held, holds: held, chain, promise }
}
