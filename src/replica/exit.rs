//! The end of an incarnation: this node has left, was evicted, holds what is void, or cannot catch up.

use super::Replica;
use super::input::Output;
use super::reissue::Return;
use crate::clock::NodeId;
use crate::crdt::Seq;
use crate::store::Store;
use crate::store::schema::{self, Cell};

impl<S: Store> Replica<S> {
    /// A member says that this node is out, and where its log ends.
    pub(super) fn on_evicted(&mut self, by: NodeId, cut: Seq) {
        match self.membership.departed(self.me) {
            // Whoever goes on under its next id has its state from those who know of the departure, or is what they go on as.
            Some(last) if cut >= last && !self.goes_on_as(by) => self.on_departure_known(by),
            _ => self.evicted = Some(cut),
        }
    }

    /// What is left to do where this incarnation is over: the last output, after all others of this step.
    pub(super) fn exit(&mut self) -> Option<Output> {
        if let Some(last) = self.membership.departed(self.me) {
            // All that counts of it was handed over before, so it makes no difference whether it was evicted meanwhile.
            // Nor does it whether it can learn who is left: whoever has dropped what it lacks knows that it is out.
            let over = self.evicted.is_some()
                || self.left_behind
                || !self.membership.has_left(self.me)
                || self.departure_is_safe(last);
            return over.then(|| {
                schema::Left::save(&mut self.registry.store, &());
                Output::Left
            });
        }
        // Not before a member that stays has declared it: until then the others may need ops that only this node has.
        let early = || {
            let derived = self.membership.decided().get(&self.me).or(self.membership.agreed().get(&self.me));
            derived.filter(|_| planted!(OpsDroppedEarly)).map(|cut| cut.seq)
        };
        let cut = self.evicted.or_else(|| self.membership.cut(self.me).map(|cut| cut.seq)).or_else(early);
        if let Some(cut) = cut {
            let Some(next) = self.me.next_incarnation() else { return Some(used_up("this node was evicted")) };
            tracing::warn!(cut, next = %next, "this node was evicted; it comes back under its next incarnation");
            self.keep_void(self.finality.decided(self.me) + 1);
            return Some(self.start_over(if planted!(SameIncarnation) { self.me } else { next }));
        }
        if self.holds_void {
            return Some(self.drop_void());
        }
        // Whether its directory is its latest is to be known first.
        if self.left_behind && !self.is_starting() {
            if !self.was_let_in() {
                self.keep_void(1);
                return Some(self.start_over(self.me));
            }
            let why = "nobody in reach has what this node lacks any more";
            let Some(next) = self.me.next_incarnation() else { return Some(used_up(why)) };
            // What has left all logs was held by all members: it was evicted, or its directory is an old copy.
            self.keep_void(self.finality.decided(self.me) + 1);
            return Some(self.start_over(next));
        }
        None
    }

    /// Whether this node was ever let in, by all that it knows.
    pub(super) fn was_let_in(&self) -> bool {
        self.membership.is_known(self.me)
    }

    /// Some of the state rests on ops that are void. Where this node was let in by one it was never in; where it was in it has
    /// acknowledged what it drops. Only one that nobody has let in keeps its id.
    fn drop_void(&mut self) -> Output {
        self.keep_void(1);
        if !self.was_let_in() {
            return self.start_over(self.me);
        }
        let why = "this node holds ops that an eviction has made void";
        let Some(next) = self.me.next_incarnation() else { return used_up(why) };
        tracing::warn!(next = %next, "this node holds ops that an eviction has made void; it takes the state anew under its next incarnation");
        self.start_over(next)
    }

    /// The state is dropped at the next start, which asks the cluster for it anew.
    pub(super) fn start_over(&mut self, node: NodeId) -> Output {
        let contacts = self.contacts.values().filter(|contact| contact.node != self.me).cloned().collect();
        // Without the cluster's state it knows nothing better than what it began with.
        if let Some(founding) = self.founding.clone() {
            let back = Return { was: self.me, founding, secret: self.secret, contacts };
            schema::Returning::save(&mut self.registry.store, &back);
        }
        let store = &mut self.registry.store;
        schema::Node::save(store, &node);
        schema::Installed::clear(store);
        if self.installed {
            schema::SetAside::save(store, &());
        }
        Output::Rejoin(node)
    }
}

/// A node that would have to begin its next incarnation has none left.
fn used_up(why: &str) -> Output {
    Output::Halt(format!("{why}, and it has used up its incarnations; start a new node on an empty data directory"))
}
