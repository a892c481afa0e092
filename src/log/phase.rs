//! The phase of a node's life, and what the node may do in it.
//!
//! `docs/architecture.md`, *A node's life*, has a picture of the phases.
//!
//! A process that finds a whole state is first *comparing*, in the place that its logs give it. A node can be *halted*
//! in every phase. The phase alone says what a node may do; every change of it is a method of this file.
//!
//! One record of it is stored, [`StoredPhase`]. The place in the cluster is not part of that record: it follows from
//! the logs, which say who was admitted and who is out, and from the secrets, which only members get. The void ops that
//! an earlier incarnation left, to be issued anew, are data of the registry with rows of their own (`schema::Void`).

mod place;
mod stored;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::place::{Acknowledges, Notice};
pub(crate) use self::place::{ChainCheck, Departed, Lacks, Leaving, Out};
pub use self::stored::{Return, StoredPhase};
use super::denied::Denied;
use crate::log::op::Seq;

/// The phase of a node's life. See the module's text.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// The node has no whole state and asks a sponsor for one.
    Joining,
    /// The process has just started with a whole state. Peers may have seen more of the node's log than it has, so it
    /// issues, promises and decides nothing until they have compared logs.
    Comparing(ChainCheck, Place),
    /// The node acts by its place in the cluster.
    Settled(Place),
    /// This incarnation has ended. Outputs that wait for the disk are still handed out, and then the output that says
    /// how it ended.
    Over,
    /// The node has stopped because it must not go on. Outputs that wait for the disk are dropped.
    Halted,
}

/// The place in its cluster of a node with a whole state.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A newcomer, or a node that has taken its state anew. It is no member until it has what it lacks.
    Waiting(Lacks),
    /// A member.
    Member,
    /// A reader: it takes all that members have, issues and promises nothing, and is never admitted.
    Reader {
        /// True where it has got the key of private names. It takes no ops before.
        has_key: bool,
    },
    /// A member that was asked to leave, and hands over what it has acknowledged.
    Leaving(Leaving),
    /// A node that has issued its last op, and stays until this op cannot be lost.
    Departed(Departed),
    /// A node whose logs say that this incarnation is over. It issues nothing more, and ends the incarnation at the end
    /// of the step.
    Out {
        why: Out,
        /// What it still lacked to be a member; none where it was one.
        lacked: Option<Lacks>,
    },
}

impl Place {
    /// Returns the place of a node with a state of which its logs say nothing.
    fn first(reads: bool) -> Self {
        if reads { Self::Reader { has_key: false } } else { Self::Waiting(Lacks::Both) }
    }
}

/// The permissions of a phase.
impl Phase {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Comparing(_, place) | Self::Settled(place) => Some(place),
            Self::Joining | Self::Over | Self::Halted => None,
        }
    }

    /// Returns what the node lacks, or lacked, to be a member.
    fn lacks(&self) -> Option<Lacks> {
        match self.place()? {
            Place::Waiting(lacks) => Some(*lacks),
            Place::Out { lacked, .. } => *lacked,
            Place::Member | Place::Reader { .. } | Place::Leaving(_) | Place::Departed(_) => None,
        }
    }

    /// Returns true where the store holds a whole state, from which queries are answered.
    pub(crate) fn may_answer(&self) -> bool {
        self.place().is_some()
    }

    /// Returns true where the node handles inputs at all.
    pub(crate) fn takes_input(&self) -> bool {
        !matches!(self, Self::Over | Self::Halted)
    }

    pub(crate) fn is_halted(&self) -> bool {
        matches!(self, Self::Halted)
    }

    /// Returns true where the process has just started and compares its log with its peers'.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self, Self::Comparing(..))
    }

    /// Returns true where the node is a member, as far as it knows.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.place(), Some(Place::Member | Place::Leaving(_)))
    }

    /// Returns true for a reader that has a whole state.
    pub(crate) fn is_reader(&self) -> bool {
        matches!(self.place(), Some(Place::Reader { .. }))
    }

    /// Returns true where the node has a state and was never admitted, as far as it knows.
    pub(crate) fn is_newcomer(&self) -> bool {
        matches!(self.lacks(), Some(Lacks::Both | Lacks::Admission))
    }

    /// Returns true where the node waits for its admission, or for the secrets that only members know.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.place(), Some(Place::Waiting(_)))
    }

    /// Returns true where the node has a state and lacks the secrets that only members know, or, as a reader, the key of
    /// private names.
    pub(crate) fn is_untold(&self) -> bool {
        matches!(self.lacks(), Some(Lacks::Both | Lacks::Secrets))
            || matches!(self.place(), Some(Place::Reader { has_key: false }))
    }

    /// Returns true where the node has a whole state of the cluster.
    pub(super) fn has_state(&self) -> bool {
        self.place().is_some()
    }

    /// Returns true where the node takes the ops of others.
    pub(super) fn takes_ops(&self) -> bool {
        self.place().is_some() && !self.is_untold()
    }

    /// Returns true where the node may issue ops: for a member that does not compare. This is the only guard of
    /// [`Log::issue`](super::Log::issue).
    pub(crate) fn may_issue(&self) -> bool {
        matches!(self, Self::Settled(Place::Member | Place::Leaving(_)))
    }

    /// Returns true where the node decides what has become final. A newcomer does not, because some of its state may be
    /// void. A node that starts does not, because it may have issued ops below the promises of others. A reader does: an
    /// op is decided by the promises and acknowledgements of members alone.
    pub(super) fn may_decide(&self) -> bool {
        self.may_issue() || matches!(self, Self::Settled(Place::Reader { .. }))
    }

    /// Returns true where the node sponsors newcomers and admits them.
    pub(super) fn may_admit(&self) -> bool {
        self.may_issue()
    }

    /// Returns true where the node says which silent members are to be evicted, and joins in evictions.
    pub(super) fn may_vote(&self) -> bool {
        self.may_issue()
    }

    /// Returns true where the node promises anything. A node that starts may have issued more than it knows of. Nobody
    /// asks a reader for a promise.
    pub(super) fn may_promise(&self) -> bool {
        matches!(self, Self::Settled(place) if !matches!(place, Place::Reader { .. }))
    }

    /// Checks that the node takes registrations and other changes of names, once it has compared.
    ///
    /// # Errors
    /// The reason why it does not.
    pub(crate) fn may_register(&self) -> Result<(), Denied> {
        match self.place() {
            Some(Place::Member) => Ok(()),
            Some(Place::Leaving(_)) => Err(Denied::Leaving),
            Some(Place::Departed(_)) => Err(Denied::Departed),
            Some(Place::Reader { .. }) => Err(Denied::Reader),
            Some(Place::Waiting(_) | Place::Out { .. }) | None => Err(Denied::NotMember),
        }
    }

    /// Checks that the node begins changes of the membership.
    ///
    /// # Errors
    /// The reason why it does not.
    pub(super) fn may_change_membership(&self) -> Result<(), Denied> {
        match (self, self.place()) {
            (Self::Comparing(..), Some(Place::Member)) => Err(Denied::Starts),
            (_, Some(Place::Member)) => Ok(()),
            (_, Some(Place::Leaving(_))) => Err(Denied::Leaving),
            (_, Some(Place::Reader { .. })) => Err(Denied::Reader),
            _ => Err(Denied::NotMember),
        }
    }

    /// Returns which prefixes of the logs of others the node acknowledges.
    pub(super) fn acknowledges(&self) -> Acknowledges<'_> {
        match self.place() {
            Some(Place::Leaving(leaving)) => Acknowledges::HandedOver(&leaving.acknowledged),
            Some(Place::Departed(departed)) => Acknowledges::HandedOver(&departed.handed_over),
            Some(Place::Reader { .. }) => Acknowledges::Nothing,
            Some(_) if !self.is_newcomer() => Acknowledges::All,
            Some(_) | None => Acknowledges::Nothing,
        }
    }

    /// Returns true where the node was asked to leave and has not issued its last op.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving().is_some()
    }

    /// Returns the leave that the node was asked for; none where it was not asked or has issued its last op.
    pub(super) fn leaving(&self) -> Option<&Leaving> {
        match self.place() {
            Some(Place::Leaving(leaving)) => Some(leaving),
            _ => None,
        }
    }

    /// Returns why this incarnation is over by its logs; none where it is not.
    pub(super) fn out(&self) -> Option<Out> {
        match self.place() {
            Some(Place::Out { why, .. }) => Some(*why),
            _ => None,
        }
    }

    /// Returns the departure of a node that has issued its last op.
    pub(super) fn departed(&self) -> Option<&Departed> {
        match self.place() {
            Some(Place::Departed(departed)) => Some(departed),
            _ => None,
        }
    }

    /// Returns true where the node was asked to leave, whether or not it has issued its last op.
    pub(super) fn is_going(&self) -> bool {
        self.is_leaving() || self.departed().is_some()
    }

    /// Returns the comparison of logs that has not ended.
    pub(super) fn comparing(&self) -> Option<&ChainCheck> {
        match self {
            Self::Comparing(check, _) => Some(check),
            _ => None,
        }
    }

    pub(super) fn comparing_mut(&mut self) -> Option<&mut ChainCheck> {
        match self {
            Self::Comparing(check, _) => Some(check),
            _ => None,
        }
    }

    pub(super) fn leaving_mut(&mut self) -> Option<&mut Leaving> {
        match self.place_mut() {
            Some(Place::Leaving(leaving)) => Some(leaving),
            _ => None,
        }
    }

    pub(super) fn departed_mut(&mut self) -> Option<&mut Departed> {
        match self.place_mut() {
            Some(Place::Departed(departed)) => Some(departed),
            _ => None,
        }
    }

    fn place_mut(&mut self) -> Option<&mut Place> {
        match self {
            Self::Comparing(_, place) | Self::Settled(place) => Some(place),
            Self::Joining | Self::Over | Self::Halted => None,
        }
    }
}

/// The transitions. Where a transition does not lead on from the present phase, it changes nothing and returns false.
impl Phase {
    /// The process has found a whole state, or founds a cluster. Others may know more of its log, so it compares. The
    /// place follows from the logs, unless the node is a reader.
    pub(super) fn start(&mut self, reads: bool) -> bool {
        let joins = matches!(self, Self::Joining);
        if joins {
            let place = Place::first(reads);
            *self = planted!(log::started(Self::Comparing(ChainCheck::new(), place)));
        }
        joins
    }

    /// A snapshot is complete. The node's id is new or has issued nothing, so there is nothing to compare.
    pub(super) fn take_state(&mut self, reads: bool) -> bool {
        let joins = matches!(self, Self::Joining);
        if joins {
            *self = Self::Settled(Place::first(reads));
        }
        joins
    }

    /// The node has got the secrets that only members know: it takes ops from now on.
    pub(super) fn learn_secrets(&mut self) -> bool {
        self.wait_no_more(Lacks::Secrets, Lacks::Admission)
    }

    /// The reader has got the key of private names: it takes ops from now on.
    pub(super) fn learn_key(&mut self) -> bool {
        match self.place_mut() {
            Some(Place::Reader { has_key }) => !std::mem::replace(has_key, true),
            _ => false,
        }
    }

    /// The op that admits the node has arrived.
    pub(super) fn be_admitted(&mut self) -> bool {
        self.wait_no_more(Lacks::Admission, Lacks::Secrets)
    }

    /// A newcomer has got one of the things that it lacked. It is a member where it lacked nothing else.
    fn wait_no_more(&mut self, came: Lacks, other: Lacks) -> bool {
        let Some(lacks) = self.lacks().filter(|lacks| *lacks != other) else { return false };
        let left = (lacks != came).then_some(other);
        match (self.place_mut(), left) {
            (Some(Place::Out { lacked, .. }), left) => *lacked = left,
            (Some(place), Some(lacks)) => *place = Place::Waiting(lacks),
            (Some(place), None) => *place = Place::Member,
            (None, _) => return false,
        }
        true
    }

    /// The op that had admitted the node turned out to be void.
    pub(super) fn lose_admission(&mut self) -> bool {
        if self.is_reader() {
            return false;
        }
        let lacks = match self.lacks() {
            None => Lacks::Admission,
            Some(Lacks::Secrets) => Lacks::Both,
            Some(_) => return false,
        };
        match self.place_mut() {
            None | Some(Place::Departed(_)) => return false,
            Some(Place::Out { lacked, .. }) => *lacked = Some(lacks),
            Some(place) => *place = Place::Waiting(lacks),
        }
        true
    }

    /// The comparison of logs has ended, because enough members have compared or because the time for it is over.
    pub(super) fn settle(&mut self) -> bool {
        match std::mem::replace(self, Self::Joining) {
            Self::Comparing(_, place) => *self = Self::Settled(place),
            other => {
                *self = other;
                return false;
            }
        }
        true
    }

    /// A member is asked to leave, or begins its leave anew.
    pub(super) fn leave(&mut self, leaving: Leaving) -> bool {
        match self.place_mut() {
            Some(place @ (Place::Member | Place::Leaving(_))) => *place = Place::Leaving(leaving),
            _ => return false,
        }
        true
    }

    /// A member that was asked to leave stays.
    pub(super) fn stay(&mut self) -> bool {
        match self.place_mut() {
            Some(place @ Place::Leaving(_)) => *place = Place::Member,
            _ => return false,
        }
        true
    }

    /// The node's last op is in its log. The op may come from an earlier process, so the node need not be leaving in
    /// this one.
    pub(super) fn depart(&mut self, last: Seq) -> bool {
        let Some(place) = self.place_mut() else { return false };
        let handed_over = match place {
            Place::Departed(_) | Place::Out { .. } => return false,
            Place::Leaving(leaving) => std::mem::take(&mut leaving.acknowledged),
            Place::Waiting(_) | Place::Member | Place::Reader { .. } => BTreeMap::new(),
        };
        *place = Place::Departed(Departed { last, handed_over, known_by: BTreeSet::new() });
        true
    }

    /// The logs say that the node is out. A node that has departed has handed over all that counts, so its cut makes no
    /// difference.
    pub(super) fn go_out(&mut self, why: Out) -> bool {
        // A reader that takes the state anew keeps its id, like a newcomer.
        let lacked = if self.is_reader() { Some(Lacks::Both) } else { self.lacks() };
        match self.place_mut() {
            // An eviction says more than that the node holds ops which the eviction has made void.
            Some(Place::Out { why: Out::Evicted(_), .. } | Place::Departed(_)) | None => false,
            Some(Place::Out { .. }) if why == Out::HoldsVoid => false,
            Some(place) => {
                *place = Place::Out { why, lacked };
                true
            }
        }
    }

    /// The batch that ends this incarnation is written.
    pub(super) fn end(&mut self) -> bool {
        let goes_on = self.takes_input();
        if goes_on {
            *self = Self::Over;
        }
        goes_on
    }

    /// The node must not go on.
    pub(super) fn halt(&mut self) {
        *self = Self::Halted;
    }
}

#[cfg(test)]
mod tests;
