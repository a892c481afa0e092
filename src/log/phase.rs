//! Where a node stands in its life, and what it may do there.
//!
//! `docs/architecture.md`, *A node's life*, has a picture of the phases.
//!
//! A process that finds a whole state is first *comparing*, in whatever place it has by its logs. From each phase a node can
//! come to be *halted*. The phase is the one answer to what a node may do; every change of it is a method of this file.
//!
//! What is stored of it is one record, [`StoredPhase`]. The place in the cluster is not in it: it follows from the logs, which
//! say who was let in and who is out, and from the secrets, which only members are told. The ops that an earlier incarnation
//! left to make good are data of the registry, with rows of their own (`schema::Void`).

mod place;
mod stored;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::place::{Acknowledges, Notice};
pub(crate) use self::place::{ChainCheck, Departed, Lacks, Leaving, Out};
pub use self::stored::{Return, StoredPhase};
use super::config::Now;
use super::denied::Denied;
use crate::log::op::Seq;

/// Where a node stands in its life. See the module's text.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// It has no whole state and asks a sponsor for one.
    Joining,
    /// Its process has just started with a whole state. Peers may have seen more of its log than it has, so it issues,
    /// promises and decides nothing before they have compared.
    Comparing(ChainCheck, Place),
    /// It acts as what it is in its cluster.
    Settled(Place),
    /// This incarnation has ended: what was held back gets out, then its last word.
    Over,
    /// The node has stopped because it must not go on, and nothing that was held back gets out.
    Halted,
}

/// What a node with a whole state is in its cluster.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A newcomer, or one that has taken its state anew: it is no member before it has what it lacks.
    Waiting(Lacks),
    /// A member.
    Member,
    /// A member that was asked to leave, and hands over what it holds.
    Leaving(Leaving),
    /// It has issued its last op and stays until that cannot be lost.
    Departed(Departed),
    /// Its logs say that this incarnation is over. It issues nothing more, and the end of the step draws the consequence.
    Out {
        why: Out,
        /// What it still lacked; none where it was a member.
        lacked: Option<Lacks>,
    },
}

/// What a node may do in a phase.
impl Phase {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Comparing(_, place) | Self::Settled(place) => Some(place),
            Self::Joining | Self::Over | Self::Halted => None,
        }
    }

    /// What it lacks, or lacked, to be a member.
    fn lacks(&self) -> Option<Lacks> {
        match self.place()? {
            Place::Waiting(lacks) => Some(*lacks),
            Place::Out { lacked, .. } => *lacked,
            Place::Member | Place::Leaving(_) | Place::Departed(_) => None,
        }
    }

    /// Whether the store holds a whole state, which answers to queries are read from.
    pub(crate) fn may_answer(&self) -> bool {
        self.place().is_some()
    }

    /// Whether it takes anything in at all.
    pub(crate) fn takes_input(&self) -> bool {
        !matches!(self, Self::Over | Self::Halted)
    }

    pub(crate) fn is_halted(&self) -> bool {
        matches!(self, Self::Halted)
    }

    /// Its process has just started, and compares its log with its peers'.
    pub(crate) fn is_starting(&self) -> bool {
        matches!(self, Self::Comparing(..))
    }

    /// Whether it is a member, by what it knows.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.place(), Some(Place::Member | Place::Leaving(_)))
    }

    /// It has a state and was never let in, by all that it knows.
    pub(crate) fn is_newcomer(&self) -> bool {
        matches!(self.lacks(), Some(Lacks::Both | Lacks::Admission))
    }

    /// It is to be let in, or told what members know.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.place(), Some(Place::Waiting(_)))
    }

    /// It has a state, and not what only members know.
    pub(super) fn is_untold(&self) -> bool {
        matches!(self.lacks(), Some(Lacks::Both | Lacks::Secrets))
    }

    /// Returns true where it has a whole state of the cluster.
    pub(super) fn has_state(&self) -> bool {
        self.place().is_some()
    }

    /// Whether it takes the ops of others.
    pub(super) fn takes_ops(&self) -> bool {
        self.place().is_some() && !self.is_untold()
    }

    /// Whether it issues ops: a member that does not compare. The one guard of [`Log::issue`](super::Log::issue).
    pub(crate) fn may_issue(&self) -> bool {
        matches!(self, Self::Settled(Place::Member | Place::Leaving(_)))
    }

    /// Whether it decides what has become final: of a newcomer's state some may be void, and one that starts may have issued
    /// below the promises of others.
    pub(super) fn may_decide(&self) -> bool {
        self.may_issue()
    }

    /// Whether it sponsors newcomers and lets them in.
    pub(super) fn may_admit(&self) -> bool {
        self.may_issue()
    }

    /// Whether it says who is to be evicted for being silent, and joins in evictions.
    pub(super) fn may_vote(&self) -> bool {
        self.may_issue()
    }

    /// Whether it promises anything: one that starts may have issued more than it knows of.
    pub(super) fn may_promise(&self) -> bool {
        matches!(self, Self::Settled(_))
    }

    /// Whether it takes registrations and other changes of names, once it has compared.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_register(&self) -> Result<(), Denied> {
        match self.place() {
            Some(Place::Member) => Ok(()),
            Some(Place::Leaving(_)) => Err(Denied::Leaving),
            Some(Place::Departed(_)) => Err(Denied::Departed),
            Some(Place::Waiting(_) | Place::Out { .. }) | None => Err(Denied::NotMember),
        }
    }

    /// Whether it begins changes of the membership.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_change_membership(&self) -> Result<(), Denied> {
        match (self, self.place()) {
            (Self::Comparing(..), Some(Place::Member)) => Err(Denied::Starts),
            (_, Some(Place::Member)) => Ok(()),
            (_, Some(Place::Leaving(_))) => Err(Denied::Leaving),
            _ => Err(Denied::NotMember),
        }
    }

    /// What it says that it holds of the logs of others.
    pub(super) fn acknowledges(&self) -> Acknowledges<'_> {
        match self.place() {
            Some(Place::Leaving(leaving)) => Acknowledges::HandedOver(&leaving.acknowledged),
            Some(Place::Departed(departed)) => Acknowledges::HandedOver(&departed.handed_over),
            Some(_) if !self.is_newcomer() => Acknowledges::All,
            Some(_) | None => Acknowledges::Nothing,
        }
    }

    /// It was asked to leave, and has not issued its last op.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving().is_some()
    }

    /// The leave that was asked for, where one was.
    pub(super) fn leaving(&self) -> Option<&Leaving> {
        match self.place() {
            Some(Place::Leaving(leaving)) => Some(leaving),
            _ => None,
        }
    }

    /// Why this incarnation is over, by its logs.
    pub(super) fn out(&self) -> Option<Out> {
        match self.place() {
            Some(Place::Out { why, .. }) => Some(*why),
            _ => None,
        }
    }

    /// Where it has issued its last op.
    pub(super) fn departed(&self) -> Option<&Departed> {
        match self.place() {
            Some(Place::Departed(departed)) => Some(departed),
            _ => None,
        }
    }

    /// It was asked to leave, whether or not it has issued its last op.
    pub(super) fn is_going(&self) -> bool {
        self.is_leaving() || self.departed().is_some()
    }

    /// The comparison of a start that is not over.
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

/// The transitions. Each is refused, which changes nothing, in a phase that it does not lead on from: false then.
impl Phase {
    /// The process has found a whole state, or founds a cluster: others may know of more. The place follows from the logs.
    pub(super) fn start(&mut self, now: Now) -> bool {
        let joins = matches!(self, Self::Joining);
        if joins {
            let place = Place::Waiting(Lacks::Both);
            *self = planted!(log::started(Self::Comparing(ChainCheck::at(now), place)));
        }
        joins
    }

    /// A snapshot has come to its end. The id is new or has issued nothing, so that there is nothing to compare.
    pub(super) fn take_state(&mut self) -> bool {
        let joins = matches!(self, Self::Joining);
        if joins {
            *self = Self::Settled(Place::Waiting(Lacks::Both));
        }
        joins
    }

    /// It knows what only members know: it takes ops from now on.
    pub(super) fn learn_secrets(&mut self) -> bool {
        self.wait_no_more(Lacks::Secrets, Lacks::Admission)
    }

    /// The op that lets it in is here.
    pub(super) fn be_admitted(&mut self) -> bool {
        self.wait_no_more(Lacks::Admission, Lacks::Secrets)
    }

    /// Something that a newcomer lacked has come: where it was the only thing it is a member.
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

    /// The op that had let it in has turned out not to count.
    pub(super) fn lose_admission(&mut self) -> bool {
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

    /// A majority has compared its log, or has had the time to.
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

    /// A member is asked to leave, or begins a leave anew.
    pub(super) fn leave(&mut self, leaving: Leaving) -> bool {
        match self.place_mut() {
            Some(place @ (Place::Member | Place::Leaving(_))) => *place = Place::Leaving(leaving),
            _ => return false,
        }
        true
    }

    /// A member that was asked to leave stays after all.
    pub(super) fn stay(&mut self) -> bool {
        match self.place_mut() {
            Some(place @ Place::Leaving(_)) => *place = Place::Member,
            _ => return false,
        }
        true
    }

    /// Its last op is in its log. The state of an earlier process may hold that, so it need not have been leaving in this one.
    pub(super) fn depart(&mut self, last: Seq) -> bool {
        let Some(place) = self.place_mut() else { return false };
        let handed_over = match place {
            Place::Departed(_) | Place::Out { .. } => return false,
            Place::Leaving(leaving) => std::mem::take(&mut leaving.acknowledged),
            Place::Waiting(_) | Place::Member => BTreeMap::new(),
        };
        *place = Place::Departed(Departed { last, handed_over, known_by: BTreeSet::new() });
        true
    }

    /// Its logs say that it is out. One that has departed has handed over all that counts, whatever its cut.
    pub(super) fn go_out(&mut self, why: Out) -> bool {
        let lacked = self.lacks();
        match self.place_mut() {
            // Its eviction says more than that it holds what that has made void.
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
