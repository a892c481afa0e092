//! Whether what a store holds fits together. Reads only, and takes nothing for granted: a row that cannot be read is a
//! finding and no panic.

mod findings;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use self::findings::{Fault, Finding, Verification};
use super::charges::id_in;
use super::endings::is_ending;
use super::feed::{EventRecord, META_FEED, Part};
use super::finality::Frontier;
use super::private::id_typed;
use super::retelling::META_RETELLING;
use super::retention::stamp_over;
use super::returning::{Return, is_void};
use super::{
    CLUSTER_FOUNDING, CLUSTER_WATERMARK, Contact, Founding, META_CEILING, META_INSTALLED, META_NODE, META_RETURNING,
    META_SECRET, META_SET_ASIDE,
};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::codec::{self, DecodeError};
use crate::crdt::{
    Body, Chain, Claim, HIDES, Name, Namespace, Op, Registration, SETTLED, Seq, erasing_key, erasing_row, is_early,
    name_key, owner_key,
};
use crate::name::{META_PEPPER, Pepper, check_namespace};
use crate::store::{Direction, Store, Table};

/// Findings of one kind that are told in full.
const EXAMPLES: usize = 5;

/// Checks all tables. `first` is the first incarnation of the identity that the store is to belong to.
#[must_use]
pub fn verify(store: &impl Store, first: NodeId) -> Verification {
    let mut check = Check { store, found: Verification::default(), faults: BTreeMap::new() };
    for table in Table::ALL {
        let mut rows = 0;
        check.each(table, |_, _, _| rows += 1);
        check.found.tables.insert(table.name(), rows);
    }
    check.identity(first);
    check.feed();
    check.make_good();
    if check.found.whole {
        check.state();
    }
    let Check { mut found, faults, .. } = check;
    found.findings = faults.into_values().collect();
    found
}

/// What is kept of one log.
#[derive(Clone, Copy)]
struct Kept {
    first: Seq,
    last: Seq,
    hlc: Hlc,
    chain: Chain,
}

type Logs = BTreeMap<NodeId, Kept>;
type MembershipOps = BTreeMap<(NodeId, Seq), Op>;

struct Check<'a, S> {
    store: &'a S,
    found: Verification,
    faults: BTreeMap<Fault, Finding>,
}

impl<S: Store> Check<'_, S> {
    fn wrong(&mut self, fault: Fault, what: String) {
        let finding = self.faults.entry(fault).or_insert(Finding { fault, count: 0, examples: Vec::new() });
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(what);
        }
    }

    fn wrong_unless(&mut self, right: bool, fault: Fault, what: impl FnOnce() -> String) {
        if !right {
            self.wrong(fault, what());
        }
    }

    /// Visits the rows of a table.
    fn each(&mut self, table: Table, mut visit: impl FnMut(&mut Self, &[u8], &[u8])) {
        let store = self.store;
        store.scan(table, &[], None, Direction::Up, &mut |key, value| {
            visit(self, key, value);
            ControlFlow::Continue(())
        });
    }

    fn read<T: DeserializeOwned>(&mut self, table: Table, key: &[u8], value: &[u8]) -> Option<T> {
        self.readable(table, key, codec::decode(value))
    }

    fn readable<T>(&mut self, table: Table, key: &[u8], read: Result<T, DecodeError>) -> Option<T> {
        read.map_err(|error| self.wrong(Fault::Unreadable, format!("{} {}: {error}", table.name(), hex(key)))).ok()
    }

    fn single<T: DeserializeOwned>(&mut self, table: Table, key: &[u8]) -> Option<T> {
        let value = self.store.get(table, key)?;
        self.read(table, key, &value)
    }

    fn registration(&self, stamp: Stamp) -> Option<Registration> {
        Registration::decode(&self.store.get(Table::Registrations, &stamp.to_bytes())?).ok()
    }

    fn identity(&mut self, first: NodeId) {
        self.found.node = self.single(Table::Meta, META_NODE);
        let foreign = self.found.node.filter(|node| node.key_part() != first.key_part());
        if let Some(node) = foreign {
            self.wrong(Fault::Identity, format!("the state is that of node {node}, the identity that of {first}"));
        }
        let has = |key| self.store.get(Table::Meta, key).is_some();
        self.found.whole = has(META_INSTALLED) || has(META_SET_ASIDE);
        let node = self.found.node.is_some() || !self.found.whole;
        self.wrong_unless(node, Fault::Identity, || "the state does not say whose it is".to_owned());
        let founding = self.single::<Founding>(Table::Cluster, CLUSTER_FOUNDING).is_some() || !self.found.whole;
        self.wrong_unless(founding, Fault::Identity, || "the state does not say of which cluster it is".to_owned());
        self.single::<Hlc>(Table::Meta, META_CEILING);
        self.single::<Return>(Table::Meta, META_RETURNING);
        self.single::<Vec<Part>>(Table::Meta, META_FEED);
        self.single::<Vec<u8>>(Table::Meta, META_RETELLING);
        self.single::<Hlc>(Table::Cluster, CLUSTER_WATERMARK);
        self.single::<[u8; 32]>(Table::Meta, META_SECRET);
        self.single::<Pepper>(Table::Meta, META_PEPPER);
    }

    fn feed(&mut self) {
        let mut next = None;
        self.each(Table::Events, |check, key, value| {
            let Ok(first) = key.try_into().map(u64::from_be_bytes) else {
                return check.wrong(Fault::Unreadable, format!("events {}: no cursor", hex(key)));
            };
            let events = check.read::<Vec<EventRecord>>(Table::Events, key, value);
            let gap = next.is_some_and(|next| first != next);
            check.wrong_unless(!gap, Fault::Feed, || format!("no events from {} to {first}", next.unwrap_or_default()));
            next = events.map(|events| first + events.len() as u64);
            check.found.events += next.map_or(0, |next| next - first);
        });
    }

    /// What the node has to make good after an eviction, what it may forget, what its callers have open, and when it learnt
    /// how claims ended.
    fn make_good(&mut self) {
        self.each(Table::Over, |check, key, _| {
            let right = stamp_over(key).is_some();
            check.wrong_unless(right, Fault::Unreadable, || format!("over {}", hex(key)));
        });
        self.each(Table::Charges, |check, key, _| {
            let right = id_in(key).is_some();
            check.wrong_unless(right, Fault::Unreadable, || format!("charges {}", hex(key)));
        });
        self.each(Table::Typed, |check, key, value| {
            let right = id_typed(key).is_some() && codec::decode::<String>(value).is_ok();
            check.wrong_unless(right, Fault::Unreadable, || format!("typed {}", hex(key)));
        });
        let tables = [(Table::Void, is_void as fn(&[u8]) -> bool), (Table::Endings, is_ending)];
        for (table, readable) in tables {
            self.each(table, |check, key, value| {
                let right = Stamp::from_bytes(&key[..key.len().min(16)]).is_some() && readable(value);
                check.wrong_unless(right, Fault::Unreadable, || format!("{} {}", table.name(), hex(key)));
            });
        }
    }

    /// The cluster's state.
    fn state(&mut self) {
        let (logs, membership) = self.logs();
        let applied = self.frontiers(&logs);
        self.registrations(&applied);
        self.ids();
        self.owners();
        self.names();
        self.erased();
        self.namespaces(&applied);
        self.expiries();
        self.contested();
        self.membership(&logs, membership);
        self.each(Table::Contacts, |check, key, value| {
            if let Some(contact) = check.read::<Contact>(Table::Contacts, key, value) {
                let right = key == contact.node.0.to_be_bytes();
                check.wrong_unless(right, Fault::Unreadable, || format!("contacts {}: of another node", hex(key)));
            }
        });
        self.each(Table::Early, |check, key, value| {
            let right = Stamp::from_bytes(key).is_some() && is_early(value);
            check.wrong_unless(right, Fault::Unreadable, || format!("early {}", hex(key)));
        });
    }

    fn logs(&mut self) -> (Logs, MembershipOps) {
        let (mut logs, mut membership) = (Logs::new(), MembershipOps::new());
        self.each(Table::Log, |check, key, value| {
            let ops = check.read::<Vec<Op>>(Table::Log, key, value).unwrap_or_default();
            let first = ops.first().map(|op| [op.node.0.to_be_bytes(), op.seq.to_be_bytes()].concat());
            check.wrong_unless(first.as_deref() == Some(key), Fault::Log, || format!("{} begins elsewhere", hex(key)));
            for op in ops {
                check.op(&op, &mut logs);
                if op.body.is_membership() {
                    membership.insert((op.node, op.seq), op);
                }
            }
        });
        (logs, membership)
    }

    /// An op continues what is before it in its log. What stood before the first that is kept has left all logs.
    fn op(&mut self, op: &Op, logs: &mut Logs) {
        self.found.ops += 1;
        let Op { node, seq, hlc, chain, .. } = *op;
        let before = logs.get(&node).copied();
        let (last, at, after) = match before {
            Some(kept) => (kept.last, kept.hlc, Some(kept.chain)),
            None => (seq.saturating_sub(1), Hlc::ZERO, (seq == 1).then(Chain::default)),
        };
        let gap = seq != last + 1;
        self.wrong_unless(!gap, Fault::Log, || format!("op {seq} of {node} follows op {last}"));
        self.wrong_unless(hlc > at || before.is_none(), Fault::Log, || format!("op {seq} of {node} goes back in time"));
        let continues = gap || after.is_none_or(|after| op.continues(after));
        self.wrong_unless(continues, Fault::Log, || format!("op {seq} of {node} does not continue its log"));
        let first = before.map_or(seq, |kept| kept.first);
        logs.insert(node, Kept { first, last: seq, hlc, chain });
    }

    /// How far each log is applied.
    fn frontiers(&mut self, logs: &Logs) -> BTreeMap<NodeId, Seq> {
        let mut applied = BTreeMap::new();
        self.each(Table::Cluster, |check, key, value| {
            let Some(node) = key.strip_prefix(super::finality::ORIGIN_ROW).filter(|node| node.len() == 8) else {
                return;
            };
            let node = NodeId(node.try_into().map(u64::from_be_bytes).unwrap_or_default());
            let Some(frontier) = check.read::<Frontier>(Table::Cluster, key, value) else { return };
            applied.insert(node, frontier.applied);
            let right = match logs.get(&node) {
                Some(kept) => {
                    (kept.last, kept.chain) == (frontier.applied, frontier.chain) && kept.first <= frontier.decided + 1
                }
                // All of it has left the log.
                None => frontier.decided == frontier.applied,
            };
            let (kept, upto) = (logs.get(&node).map(|kept| (kept.first, kept.last)), frontier.applied);
            check.wrong_unless(right, Fault::Frontier, || format!("of {node} {upto} ops count, kept are {kept:?}"));
            let decided = frontier.decided <= frontier.applied;
            check.wrong_unless(decided, Fault::Frontier, || format!("more of {node} is decided than applied"));
        });
        for (node, kept) in logs.iter().filter(|(node, _)| !applied.contains_key(node)).collect::<Vec<_>>() {
            self.wrong(Fault::Frontier, format!("{} ops of {node} are kept, of which none counts", kept.last));
        }
        applied
    }

    fn registrations(&mut self, applied: &BTreeMap<NodeId, Seq>) {
        let me = self.found.node.unwrap_or_default();
        self.each(Table::Registrations, |check, key, value| {
            let read = Registration::decode(value);
            let Some(registration) = check.readable(Table::Registrations, key, read) else { return };
            let Registration { stamp, seq, .. } = registration;
            let named = key == stamp.to_bytes();
            check.wrong_unless(named, Fault::Registration, || format!("{stamp} stands at {}", hex(key)));
            let owner = check.store.get(Table::Owners, &owner_key(&registration.owner, Some(stamp))).is_some();
            let owner = owner != registration.erased;
            check.wrong_unless(owner, Fault::Registration, || format!("{stamp} is not found by its owner"));
            // One of an earlier life, which was rejected and came to nothing, is known here alone.
            if registration.rejected && stamp.node.key_part() == me.key_part() && stamp.node < me {
                return;
            }
            let counts = applied.get(&stamp.node).is_some_and(|applied| seq <= *applied);
            check.wrong_unless(counts, Fault::Registration, || format!("{stamp} is of no op that counts"));
            let id = registration.chosen_id.is_none_or(|id| check.twins(id).contains(&stamp));
            check.wrong_unless(id, Fault::Registration, || format!("{stamp} is not found by its id"));
            // Its names are left, or it is to be erased and a row says so.
            if registration.erased {
                let blank = |claim: &Claim| claim.name.is_empty() && claim.key.len() == Pepper::HASH_LEN;
                let blank = registration.owner.is_empty()
                    && registration.metadata.is_none()
                    && registration.claims.iter().all(|record| blank(&record.claim) && record.ended.is_some());
                check.wrong_unless(blank, Fault::Registration, || format!("{stamp} is not erased to the end"));
                return;
            }
            let due = check.store.get(Table::Cluster, &erasing_key(stamp));
            let due = due.and_then(|by| codec::decode::<Stamp>(&by).ok()) == registration.erase;
            check.wrong_unless(due, Fault::Registration, || format!("{stamp} is not among what is to be erased"));
            for claim in registration.claims.iter().map(|record| &record.claim) {
                let tenures = check.name(&claim.namespace, &claim.key);
                let tenure = tenures.as_ref().and_then(|name| name.following(claim.after));
                let claimed = tenure.is_some_and(|tenure| tenure.claims.contains(&stamp));
                let name = || format!("{stamp} is not among the claims to {}/{}", claim.namespace, claim.key);
                check.wrong_unless(claimed, Fault::Registration, name);
            }
        });
    }

    fn twins(&self, id: Uuid) -> Vec<Stamp> {
        let twins = self.store.get(Table::Ids, id.as_bytes());
        twins.and_then(|twins| codec::decode(&twins).ok()).unwrap_or_default()
    }

    fn name(&self, namespace: &str, key: &str) -> Option<Name> {
        codec::decode(&self.store.get(Table::Names, &name_key(namespace, key))?).ok()
    }

    fn ids(&mut self) {
        self.each(Table::Ids, |check, key, value| {
            for stamp in check.read::<Vec<Stamp>>(Table::Ids, key, value).unwrap_or_default() {
                let id = check.registration(stamp).and_then(|registration| registration.chosen_id);
                let right = id.is_some_and(|id| id.as_bytes() == key);
                check.wrong_unless(right, Fault::Index, || format!("id {}: {stamp} does not carry it", hex(key)));
            }
        });
    }

    fn owners(&mut self) {
        self.each(Table::Owners, |check, key, _| {
            let stamp = key.len().checked_sub(16).and_then(|at| Stamp::from_bytes(&key[at..]));
            let known = stamp.and_then(|stamp| check.registration(stamp));
            let right = known.is_some_and(|known| owner_key(&known.owner, stamp) == key);
            check.wrong_unless(right, Fault::Index, || format!("owner {}: no such registration", hex(key)));
        });
    }

    /// What is to be erased, and names that are found by their hashes.
    fn erased(&mut self) {
        let (settled, mut hides) = (self.single::<Hlc>(Table::Cluster, SETTLED).unwrap_or_default(), false);
        self.each(Table::Cluster, |check, key, _| {
            let Some(stamp) = erasing_row(key) else { return };
            let known = check.registration(stamp).is_some_and(|known| known.erase.is_some() && !known.erased);
            check.wrong_unless(known, Fault::Index, || format!("{stamp} is not there to be erased"));
        });
        self.each(Table::Registrations, |_, _, value| {
            hides |= Registration::decode(value).is_ok_and(|registration| registration.erased);
        });
        self.each(Table::Erased, |check, key, value| {
            hides = true;
            let Some(name) = check.read::<Name>(Table::Erased, key, value) else { return };
            let left = |stamp: &Stamp| {
                stamp.hlc <= settled && check.registration(*stamp).is_none_or(|registration| registration.erased)
            };
            let right = !name.tenures.is_empty() && name.tenures.iter().flat_map(|tenure| &tenure.claims).all(left);
            check.wrong_unless(right, Fault::Name, || format!("erased {}: somebody has it", hex(key)));
        });
        let pepper = self.single::<Pepper>(Table::Meta, META_PEPPER).is_some();
        let said = self.store.get(Table::Cluster, HIDES).is_some();
        self.wrong_unless(!hides || (pepper && said), Fault::Index, || {
            "no row says how names that were erased are found".to_owned()
        });
    }

    fn names(&mut self) {
        let settled = self.single::<Hlc>(Table::Cluster, SETTLED).unwrap_or_default();
        self.each(Table::Names, |check, key, value| {
            let Some(name) = check.read::<Name>(Table::Names, key, value) else { return };
            let text = String::from_utf8_lossy(key).replace('\0', "/");
            let sorted = name.tenures.is_sorted_by(|a, b| a.after < b.after) && !name.tenures.is_empty();
            check.wrong_unless(sorted, Fault::Name, || format!("{text}: its tenures are not in order"));
            for tenure in &name.tenures {
                let sorted = tenure.claims.is_sorted_by(|a, b| a < b) && !tenure.claims.is_empty();
                check.wrong_unless(sorted, Fault::Name, || format!("{text}: claims are not in order"));
                for stamp in &tenure.claims {
                    let known = check.registration(*stamp);
                    if known.as_ref().is_none_or(|known| known.erased) && stamp.hlc <= settled {
                        continue;
                    }
                    let mut claims = known.iter().flat_map(|known| &known.claims).map(|record| &record.claim);
                    let right = claims
                        .any(|claim| name_key(&claim.namespace, &claim.key) == key && claim.after == tenure.after);
                    check.wrong_unless(right, Fault::Name, || format!("{text}: {stamp} does not claim it"));
                }
            }
        });
    }

    /// The rules of a namespace are at least as late as any that the logs still have.
    fn namespaces(&mut self, applied: &BTreeMap<NodeId, Seq>) {
        self.each(Table::Namespaces, |check, key, value| {
            let Some(Namespace { stamp, seq, rules }) = check.read::<Namespace>(Table::Namespaces, key, value) else {
                return;
            };
            let text = String::from_utf8_lossy(key).into_owned();
            let named = check_namespace(&text).is_ok();
            check.wrong_unless(named, Fault::Namespace, || format!("{text:?} is no name of a namespace"));
            let found = !rules.is_private() || check.store.get(Table::Meta, META_PEPPER).is_some();
            check.wrong_unless(found, Fault::Namespace, || format!("the secret is missing that finds names of {text}"));
            let counts = applied.get(&stamp.node).is_some_and(|applied| seq <= *applied);
            check.wrong_unless(counts, Fault::Namespace, || format!("the rules of {text} are of no op that counts"));
        });
        self.each(Table::Log, |check, _, value| {
            // Those that cannot be read are told of elsewhere.
            for op in codec::decode::<Vec<Op>>(value).unwrap_or_default() {
                let Body::Namespace { namespace, rules } = &op.body else { continue };
                let kept = check.store.get(Table::Namespaces, namespace.as_bytes());
                let kept = kept.and_then(|kept| codec::decode::<Namespace>(&kept).ok());
                let right = kept.is_some_and(|kept| match kept.stamp.cmp(&op.stamp()) {
                    Ordering::Less => false,
                    Ordering::Equal => kept.rules == **rules && kept.seq == op.seq,
                    Ordering::Greater => true,
                });
                check
                    .wrong_unless(right, Fault::Namespace, || format!("{namespace} lacks the rules of {}", op.stamp()));
            }
        });
    }

    fn expiries(&mut self) {
        self.each(Table::Expiries, |check, key, _| {
            let expires = key.first_chunk().map(|hlc| Hlc(u64::from_be_bytes(*hlc)));
            let stamp = key.get(8..).and_then(Stamp::from_bytes);
            let known = stamp.and_then(|stamp| check.registration(stamp));
            let right = expires.is_some() && known.is_some_and(|known| known.end() == expires);
            check.wrong_unless(right, Fault::Index, || format!("expiry {}: no such reservation", hex(key)));
        });
    }

    fn contested(&mut self) {
        self.each(Table::Contested, |check, key, _| {
            let known = Stamp::from_bytes(key).and_then(|stamp| check.registration(stamp));
            let right = known.is_some_and(|known| known.lost);
            check.wrong_unless(right, Fault::Index, || format!("contested {}: nothing has lost there", hex(key)));
        });
    }

    /// The membership ops are those of the logs, as far as these are kept; those of a cluster that this one was recovered
    /// from say nothing any more.
    fn membership(&mut self, logs: &Logs, mut ops: MembershipOps) {
        let former = self.single::<Founding>(Table::Cluster, CLUSTER_FOUNDING).map(|founding| founding.former);
        let former = former.unwrap_or_default();
        self.each(Table::Membership, |check, key, value| {
            let Some(op) = check.read::<Op>(Table::Membership, key, value) else { return };
            let named = key == [op.node.0.to_be_bytes(), op.seq.to_be_bytes()].concat() && op.body.is_membership();
            check.wrong_unless(named, Fault::Membership, || format!("{} is another op", hex(key)));
            let right = match ops.remove(&(op.node, op.seq)) {
                Some(logged) => logged == op,
                None => logs.get(&op.node).is_none_or(|kept| op.seq < kept.first),
            };
            let (node, seq) = (op.node, op.seq);
            check.wrong_unless(right, Fault::Membership, || format!("op {seq} of {node} is not that of its log"));
        });
        for (node, seq) in ops.into_keys().filter(|(node, _)| !former.contains_key(node)) {
            self.wrong(Fault::Membership, format!("op {seq} of {node} is in its log alone"));
        }
    }
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
