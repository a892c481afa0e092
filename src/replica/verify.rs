//! The check that the rows of a store fit together. It only reads, and trusts nothing: a row that cannot be read is a
//! finding and not a panic.

mod findings;
mod names;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use uuid::Uuid;

pub use self::findings::{Fault, Finding, Verification};
use crate::clock::{Hlc, NodeId, Stamp};
use crate::codec::DecodeError;
use crate::crdt::{Claim, NameOp, Namespace, Registration, Stop, Webhook};
use crate::log::{Body, Chain, Op, Seq};
use crate::name::{Pepper, check_namespace};
use crate::store::schema::{self, Cell, Found, LogKey, NameKey, Owned, OwnerKey, Rows, Span};
use crate::store::{Direction, Store, Table};

/// The most findings of one kind that are reported in full.
const EXAMPLES: usize = 5;

/// Checks all tables. `first` is the first incarnation of the identity that the store should belong to.
#[must_use]
pub fn verify(store: &impl Store, first: NodeId) -> Verification {
    let mut check = Check { store, found: Verification::default(), faults: BTreeMap::new() };
    for table in Table::ALL {
        let mut rows = 0;
        store.scan(table, &[], None, Direction::Up, &mut |_, _| {
            rows += 1;
            ControlFlow::Continue(())
        });
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

/// The part of one log that is kept.
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
    fn each<T: Rows>(&mut self, mut visit: impl FnMut(&mut Self, Found<'_, T>)) {
        T::each(self.store, &Span::all(), |found| visit(self, found));
    }

    /// Visits the rows of a table whose keys and values can be read. The others are findings.
    fn each_readable<T: Rows>(&mut self, mut visit: impl FnMut(&mut Self, &Found<'_, T>, T::Key<'_>, Owned<T>)) {
        self.each::<T>(|check, found| {
            let row = check.read(&found);
            let key = found.key();
            check.wrong_unless(key.is_some(), Fault::Unreadable, || format!("{found}: not a key of this table"));
            if let (Some(key), Some(row)) = (key, row) {
                visit(check, &found, key, row);
            }
        });
    }

    fn read<T: Rows>(&mut self, found: &Found<'_, T>) -> Option<Owned<T>> {
        self.readable(&found.to_string(), found.decode())
    }

    fn readable<T>(&mut self, what: &str, read: Result<T, DecodeError>) -> Option<T> {
        read.map_err(|error| self.wrong(Fault::Unreadable, format!("{what}: {error}"))).ok()
    }

    fn single<T: Cell>(&mut self) -> Option<<T::Value as ToOwned>::Owned> {
        let what = format!("{} {}", T::TABLE.name(), String::from_utf8_lossy(T::NAME));
        self.readable(&what, T::try_load(self.store)).flatten()
    }

    fn registration(&self, stamp: Stamp) -> Option<Registration> {
        schema::Registrations::try_get(self.store, stamp)
    }

    fn identity(&mut self, first: NodeId) {
        self.found.node = self.single::<schema::Node>();
        let foreign = self.found.node.filter(|node| node.key_part() != first.key_part());
        if let Some(node) = foreign {
            self.wrong(Fault::Identity, format!("the state is that of node {node}, the identity that of {first}"));
        }
        self.found.whole = self.single::<schema::Phase>().is_some_and(|phase| phase.holds_state());
        let node = self.found.node.is_some() || !self.found.whole;
        self.wrong_unless(node, Fault::Identity, || "the state does not say whose it is".to_owned());
        let founding = self.single::<schema::Founding>().is_some() || !self.found.whole;
        self.wrong_unless(founding, Fault::Identity, || "the state does not say of which cluster it is".to_owned());
        self.single::<schema::Ceiling>();
        self.single::<schema::Reads>();
        self.single::<schema::Feed>();
        self.single::<schema::Retelling>();
        self.single::<schema::Watermark>();
        self.single::<schema::Secret>();
        self.single::<schema::Pepper>();
    }

    fn feed(&mut self) {
        let mut next = None;
        self.each::<schema::Events>(|check, found| {
            let Some(first) = found.key() else {
                return check.wrong(Fault::Unreadable, format!("{found}: no cursor"));
            };
            let events = check.read(&found);
            let gap = next.is_some_and(|next| first != next);
            check.wrong_unless(!gap, Fault::Feed, || format!("no events from {} to {first}", next.unwrap_or_default()));
            next = events.map(|events| first + events.len() as u64);
            check.found.events += next.map_or(0, |next| next - first);
        });
    }

    /// Checks what the node has to issue anew after an eviction, what it may forget, what its callers have open, and
    /// when it learned how claims ended.
    fn make_good(&mut self) {
        self.each_readable::<schema::Over>(|_, _, _, _| {});
        self.each_readable::<schema::Charges>(|_, _, _, ()| {});
        self.held();
        self.each_readable::<schema::Typed>(|_, _, _, _| {});
        self.each_readable::<schema::Void>(|_, _, _, _| {});
        self.each_readable::<schema::Endings>(|_, _, _, _| {});
    }

    /// Checks what callers hold, and that the counts of it are right.
    fn held(&mut self) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        self.each_readable::<schema::HeldBy>(|_, _, _, token| *counts.entry(token).or_default() += 1);
        self.each_readable::<schema::HeldCounts>(|check, found, token, count| {
            let rows = counts.remove(token).unwrap_or_default();
            check.wrong_unless(rows == count, Fault::Index, || format!("{found}: {count}, and there are {rows}"));
        });
        let token = counts.into_keys().next();
        self.wrong_unless(token.is_none(), Fault::Index, || {
            format!("what the API token {:?} holds is not counted", token.unwrap_or_default())
        });
    }

    /// Checks the cluster's state.
    fn state(&mut self) {
        let (logs, membership) = self.logs();
        let applied = self.frontiers(&logs);
        self.registrations(&applied);
        self.ids();
        self.owners();
        self.names();
        self.erased();
        self.namespaces(&applied);
        self.webhooks(&applied);
        self.expiries();
        self.contested();
        self.membership(&logs, membership);
        self.each_readable::<schema::Contacts>(|check, found, node, contact| {
            check.wrong_unless(node == contact.node, Fault::Unreadable, || format!("{found}: of another node"));
        });
        self.each_readable::<schema::Early>(|_, _, _, _| {});
    }

    fn logs(&mut self) -> (Logs, MembershipOps) {
        let (mut logs, mut membership) = (Logs::new(), MembershipOps::new());
        self.each::<schema::Log>(|check, found| {
            let ops = check.read(&found).unwrap_or_default();
            let first = ops.first().map(|op| LogKey { origin: op.node, seq: op.seq });
            let right = first.is_some_and(|first| found.is_at(first));
            check.wrong_unless(right, Fault::Log, || format!("{found} begins elsewhere"));
            for op in ops {
                check.op(&op, &mut logs);
                if op.body().is_membership() {
                    membership.insert((op.node, op.seq), op);
                }
            }
        });
        (logs, membership)
    }

    /// Checks that an op continues its log. The ops before the first one that is kept were truncated.
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

    /// Checks how far each log is applied.
    fn frontiers(&mut self, logs: &Logs) -> BTreeMap<NodeId, Seq> {
        let mut applied = BTreeMap::new();
        self.each_readable::<schema::Frontiers>(|check, _, node, frontier| {
            applied.insert(node, frontier.applied);
            let right = match logs.get(&node) {
                Some(kept) => {
                    (kept.last, kept.chain) == (frontier.applied, frontier.chain) && kept.first <= frontier.decided + 1
                }
                // The whole log was truncated.
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
        self.each::<schema::Registrations>(|check, found| {
            let Some(registration) = check.read(&found) else { return };
            let Registration { stamp, seq, .. } = registration;
            let named = found.is_at(stamp);
            check.wrong_unless(named, Fault::Registration, || format!("{stamp} stands at {found}"));
            let owner = schema::Owners::has(check.store, OwnerKey { owner: &registration.owner, stamp });
            let owner = owner != registration.erased;
            check.wrong_unless(owner, Fault::Registration, || format!("{stamp} is not found by its owner"));
            // A rejected registration of an earlier incarnation whose op is void is known on this node alone.
            if registration.rejected && stamp.node.key_part() == me.key_part() && stamp.node < me {
                return;
            }
            let counts = applied.get(&stamp.node).is_some_and(|applied| seq <= *applied);
            check.wrong_unless(counts, Fault::Registration, || format!("{stamp} is of no op that counts"));
            let id = registration.chosen_id.is_none_or(|id| check.twins(id).contains(&stamp));
            check.wrong_unless(id, Fault::Registration, || format!("{stamp} is not found by its id"));
            // An erased registration has no text left. One that is to be erased has a row that says so.
            if registration.erased {
                let blank = |claim: &Claim| claim.name.is_empty() && claim.key.len() == Pepper::HASH_LEN;
                let blank = registration.owner.is_empty()
                    && registration.metadata.is_none()
                    && registration.claims.iter().all(|record| blank(&record.claim) && record.ended.is_some());
                check.wrong_unless(blank, Fault::Registration, || format!("{stamp} is not erased to the end"));
                return;
            }
            let due = schema::Erasing::try_get(check.store, stamp) == registration.erase;
            check.wrong_unless(due, Fault::Registration, || format!("{stamp} is not among what is to be erased"));
            for claim in registration.claims.iter().map(|record| &record.claim) {
                let claimed = check.is_entered(NameKey::new(&claim.namespace, &claim.key), claim.after, stamp);
                let name = || format!("{stamp} is not among the claims to {}/{}", claim.namespace, claim.key);
                check.wrong_unless(claimed, Fault::Registration, name);
            }
        });
    }

    fn twins(&self, id: Uuid) -> Vec<Stamp> {
        schema::Ids::try_get(self.store, id).unwrap_or_default()
    }

    fn ids(&mut self) {
        self.each::<schema::Ids>(|check, found| {
            for stamp in check.read(&found).unwrap_or_default() {
                let id = check.registration(stamp).and_then(|registration| registration.chosen_id);
                let right = id.is_some_and(|id| found.is_at(id));
                check.wrong_unless(right, Fault::Index, || format!("{found}: {stamp} does not carry it"));
            }
        });
    }

    fn owners(&mut self) {
        self.each::<schema::Owners>(|check, found| {
            let key = found.key();
            let known = key.and_then(|key| check.registration(key.stamp));
            let right = known.is_some_and(|known| key.is_some_and(|key| key.owner == known.owner));
            check.wrong_unless(right, Fault::Index, || format!("{found}: no such registration"));
        });
    }

    /// Checks the registrations that are to be erased, and the names that are found by their hashes.
    fn erased(&mut self) {
        let (settled, mut hides) = (self.single::<schema::Settled>().unwrap_or_default(), false);
        self.each::<schema::Erasing>(|check, found| {
            let Some(stamp) = found.key() else { return };
            let known = check.registration(stamp).is_some_and(|known| known.erase.is_some() && !known.erased);
            check.wrong_unless(known, Fault::Index, || format!("{stamp} is not there to be erased"));
        });
        self.each::<schema::Registrations>(|_, found| {
            hides |= found.decode().is_ok_and(|registration| registration.erased);
        });
        self.each::<schema::Erased>(|check, found| {
            hides = true;
            let Some(leader) = check.read(&found) else { return };
            let right = leader.hlc <= settled && check.is_gone(leader);
            check.wrong_unless(right, Fault::Name, || format!("{found}: somebody has it"));
        });
        let pepper = self.single::<schema::Pepper>().is_some();
        let said = schema::Hides::is_set(self.store);
        self.wrong_unless(!hides || (pepper && said), Fault::Index, || {
            "no row says how names that were erased are found".to_owned()
        });
    }

    /// Checks that the rules of a namespace are at least as late as all of its rules in the logs.
    fn namespaces(&mut self, applied: &BTreeMap<NodeId, Seq>) {
        self.each_readable::<schema::Namespaces>(|check, _, text, Namespace { stamp, seq, rules }| {
            let named = check_namespace(text).is_ok();
            check.wrong_unless(named, Fault::Namespace, || format!("{text:?} is no name of a namespace"));
            let found = !rules.is_private() || schema::Pepper::is_set(check.store);
            check.wrong_unless(found, Fault::Namespace, || format!("the secret is missing that finds names of {text}"));
            let counts = applied.get(&stamp.node).is_some_and(|applied| seq <= *applied);
            check.wrong_unless(counts, Fault::Namespace, || format!("the rules of {text} are of no op that counts"));
        });
        self.each::<schema::Log>(|check, found| {
            // Chunks that cannot be read are reported elsewhere.
            for op in found.decode().unwrap_or_default() {
                let Body::Name(NameOp::Namespace { namespace, rules }) = op.body() else { continue };
                let kept = schema::Namespaces::try_get(check.store, namespace);
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

    /// Checks that the stored state of each webhook is at least as late as all ops about it in the logs.
    fn webhooks(&mut self, applied: &BTreeMap<NodeId, Seq>) {
        self.each_readable::<schema::Webhooks>(|check, _, id, Webhook { stamp, seq, hook, stop }| {
            let counts = |stamp: Stamp, seq| applied.get(&stamp.node).is_some_and(|applied| seq <= *applied);
            // A stop may arrive before the version that it stops.
            let is_empty = seq == 0 && hook.is_none() && stop.is_some();
            let right = is_empty || counts(stamp, seq);
            check.wrong_unless(right, Fault::Webhook, || format!("webhook {id} is of no op that counts"));
            let right = stop.is_none_or(|stop| stop.version >= stamp && counts(stop.stamp, stop.seq));
            check.wrong_unless(right, Fault::Webhook, || format!("webhook {id} is stopped by no op that counts"));
        });
        self.each::<schema::Log>(|check, found| {
            // Chunks that cannot be read are reported elsewhere.
            for op in found.decode().unwrap_or_default() {
                let (id, said) = match op.body() {
                    Body::Name(NameOp::Webhook { id, hook }) => {
                        let hook = hook.as_deref().cloned();
                        (id, Webhook { stamp: op.stamp(), seq: op.seq, hook, stop: None })
                    }
                    Body::Name(NameOp::StopWebhook { id, version }) => {
                        let stop = Some(Stop { version: *version, stamp: op.stamp(), seq: op.seq });
                        (id, Webhook { stop, ..Webhook::default() })
                    }
                    _ => continue,
                };
                let kept = schema::Webhooks::try_get(check.store, *id);
                // A state that includes the op does not change where the op is merged into it once more.
                let right = kept.is_some_and(|mut kept| !kept.contradicts(&said) && !kept.join(&said));
                check.wrong_unless(right, Fault::Webhook, || format!("webhook {id} lacks what {} says", op.stamp()));
            }
        });
    }

    fn expiries(&mut self) {
        self.each::<schema::Expiries>(|check, found| {
            let ends = |(end, stamp)| check.registration(stamp).is_some_and(|known| known.end() == Some(end));
            let right = found.key().is_some_and(ends);
            check.wrong_unless(right, Fault::Index, || format!("{found}: no such reservation"));
        });
    }

    fn contested(&mut self) {
        self.each::<schema::Contested>(|check, found| {
            let known = found.key().and_then(|stamp| check.registration(stamp));
            let right = known.is_some_and(|known| known.lost);
            check.wrong_unless(right, Fault::Index, || format!("{found}: nothing has lost there"));
        });
    }

    /// Checks that the membership ops are those of the logs, as far as these are kept. Logs of a cluster that this one
    /// was recovered from are not compared.
    fn membership(&mut self, logs: &Logs, mut ops: MembershipOps) {
        let former = self.single::<schema::Founding>().map(|founding| founding.former);
        let former = former.unwrap_or_default();
        self.each::<schema::Membership>(|check, found| {
            let Some(op) = check.read(&found) else { return };
            let named = found.is_at(LogKey { origin: op.node, seq: op.seq }) && op.body().is_membership();
            check.wrong_unless(named, Fault::Membership, || format!("{found} is another op"));
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
