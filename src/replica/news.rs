//! The changes that a node writes to its log for the operator: members that come and go, and outcomes that are held up.

use std::collections::BTreeSet;

use crate::clock::{Millis, NodeId, Stamp};
use crate::log::Log;
use crate::registry::LogView;

/// After how many milliseconds held-up outcomes are reported. A guess: what a restart of a member takes.
const HELD_UP: u64 = 5000;
/// How often held-up outcomes are looked for, in milliseconds.
const LOOK_EVERY: u64 = 1000;

/// The state that was reported last.
#[derive(Debug, Default)]
pub(super) struct News {
    member: bool,
    members: BTreeSet<NodeId>,
    /// The members whose eviction is under way.
    leaving: BTreeSet<NodeId>,
    look_at: Millis,
    /// The earliest undecided op, and since when it has been that.
    oldest: Option<(Stamp, Millis)>,
    /// True where it was reported that outcomes are held up.
    held_up: bool,
}

impl News {
    /// Starts from the present state of the log, of which nothing is reported.
    pub(super) fn of(log: &Log) -> Self {
        let members = log.membership().members().collect();
        Self { members, leaving: log.membership().frozen().clone(), ..Self::default() }
    }

    /// Reports what has changed. It costs next to nothing where nothing has.
    pub(super) fn tell(&mut self, log: &Log, now: Millis) {
        if self.member != log.phase().is_member() {
            self.member = !self.member;
            if self.member {
                tracing::info!(node = %log.me(), label = log.contacts().label(log.me()), "this node is a member of its cluster");
            }
        }
        if !log.membership().members().eq(self.members.iter().copied()) {
            self.tell_members(log);
        }
        if self.leaving != *log.membership().frozen() {
            let frozen = log.membership().frozen();
            frozen.difference(&self.leaving).for_each(|node| tell_begun(log, *node));
            self.leaving.clone_from(frozen);
        }
        if self.look_at <= now {
            self.look_at = now.plus(LOOK_EVERY);
            self.look_for_delay(log, now);
        }
    }

    fn tell_members(&mut self, log: &Log) {
        let (membership, me) = (log.membership(), log.me());
        let members: BTreeSet<_> = membership.members().collect();
        for node in members.difference(&self.members).filter(|node| **node != me) {
            let label = log.contacts().label(*node);
            let was = membership.ever().filter(|known| known.key_part() == node.key_part() && known < node).max();
            match was {
                Some(was) => tracing::info!(%node, label, %was, "a member is back under its next incarnation"),
                None => tracing::info!(%node, label, "a member has joined"),
            }
        }
        for node in self.members.difference(&members).filter(|node| **node != me) {
            let label = log.contacts().label(*node);
            let ops = membership.cut(*node).map(|cut| cut.seq);
            if membership.has_left(*node) {
                tracing::info!(%node, label, ops, "a member has left");
            } else {
                // A member that joins in an eviction last may learn of it and of its end at once.
                if !self.leaving.contains(node) {
                    tell_begun(log, *node);
                }
                tracing::info!(%node, label, ops, "the eviction of a member is done: of its log so many ops count");
            }
        }
        self.members = members;
    }

    /// Reports where the earliest undecided op has been that for long.
    fn look_for_delay(&mut self, log: &Log, now: Millis) {
        let oldest = log.frontiers().oldest();
        let since = match (oldest, self.oldest) {
            (Some((stamp, _)), Some((before, since))) if stamp == before => since,
            _ => now,
        };
        let waited = now.since(since);
        if self.held_up && (oldest.is_none() || since == now) {
            self.held_up = false;
            tracing::info!("outcomes become final again");
        }
        if let Some((stamp, seq)) = oldest
            && waited >= HELD_UP
            && !self.held_up
        {
            self.held_up = true;
            let waiting = LogView::waiting_for(log, stamp, seq);
            let waiting_for = log.contacts().named(waiting.into_iter().map(|waiting| waiting.node));
            tracing::warn!(
                for_s = waited / 1000,
                waiting_for,
                "nothing becomes final; look whether these members run and are reached, and evict the ones that do not come back"
            );
        }
        self.oldest = oldest.map(|(stamp, _)| (stamp, since));
    }
}

/// Reports that the eviction of a member has begun, and which members have frozen its log: at first the one that began.
fn tell_begun(log: &Log, node: NodeId) {
    let label = log.contacts().label(node);
    let frozen_by = log.contacts().named(log.membership().frozen_by(node));
    tracing::info!(%node, label, frozen_by, "the eviction of a member has begun");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::{self, Write as _};
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    /// The lines of the log, each with its level.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Text(String);

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            let _ = write!(self.0, " {field}={value:?}");
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().ends_with("replica::news")
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut text = Text(event.metadata().level().to_string());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    use super::super::tests::{Cluster, node};
    use super::super::*;
    use crate::store::memory::MemoryStore;

    /// Returns the lines that the nodes log while something happens to a cluster, without the nodes' ids.
    fn told(happens: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), happens);
        std::mem::take(&mut lines.0.lock().unwrap())
    }

    fn counted(lines: &[String]) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for line in lines {
            let words = ["has begun", "is done", "is back", "has joined", "has left", "nothing becomes", "again"];
            for word in words.into_iter().filter(|word| line.contains(word)) {
                *counts.entry(word).or_default() += 1;
            }
        }
        counts
    }

    #[test]
    fn each_node_says_once_who_comes_and_goes() {
        let mut cluster = Cluster::founded(3);
        let lines = told(|| {
            let newcomer =
                Replica::open(super::super::tests::config(4), MemoryStore::new(), Some(Start::Join), cluster.now);
            cluster.nodes.insert(node(4), newcomer.unwrap());
            (1..=3).for_each(|n| cluster.connect(node(4), node(n)));
            cluster.pass(5000);
            assert!(cluster.nodes[&node(4)].is_member());
        });
        assert_eq!(counted(&lines), [("has joined", 3)].into(), "{lines:?}");
        let lines = told(|| {
            cluster.nodes.remove(&node(4));
            (1..=3).for_each(|n| cluster.lose(node(n), node(4)));
            cluster.pass(2000);
            cluster.reply(1, ClusterCommand::Evict { node: node(4), force: false }).unwrap();
            cluster.pass(2000);
        });
        assert_eq!(counted(&lines), [("has begun", 3), ("is done", 3)].into(), "{lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("INFO") && line.contains("label=\"n4\"")), "{lines:?}");
        let begun = lines.iter().find(|line| line.contains("has begun")).unwrap();
        assert!(begun.contains("frozen_by=\"n1 ("), "who began it: {begun}");
        let lines = told(|| {
            cluster.reply(3, ClusterCommand::Leave { cancel: false }).unwrap();
            cluster.pass(5000);
        });
        assert_eq!(counted(&lines), [("has left", 2)].into(), "{lines:?}");
    }

    #[test]
    fn what_is_held_up_is_told_once_with_whom_it_waits_for() {
        let mut cluster = Cluster::founded(3);
        let lines = told(|| {
            cluster.cut(1, 3);
            cluster.cut(2, 3);
            cluster.claim(1, "alice");
            cluster.pass(30_000);
            cluster.heal();
        });
        // On the node that is cut off no outcome is waiting.
        assert_eq!(counted(&lines), [("nothing becomes", 2), ("again", 2)].into(), "{lines:?}");
        assert!(lines.iter().filter(|line| line.starts_with("WARN")).all(|line| line.contains("n3 (")), "{lines:?}");
    }
}
