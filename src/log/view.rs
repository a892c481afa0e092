//! The view on which the rules decide.
//!
//! A rule reads a [`View`] and changes nothing; the log acts on its result. Each file of the log has its rules in an
//! `impl View`, and its actions in an `impl Log`.

use super::cluster_time::ClusterTime;
use super::config::{Config, Now};
use super::contacts::Contacts;
use super::frontiers::Frontiers;
use super::gossip::Peers;
use super::membership::Membership;
use super::own_clock::OwnClock;
use super::phase::{Notice, Phase};
use crate::clock::{Hlc, Millis, NodeId};
use crate::log::settings::Settings;

/// A read-only view of everything that a log knows.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) settings: Settings,
    pub(super) me: NodeId,
    pub(super) now: Now,
    pub(super) own: &'a OwnClock,
    pub(super) time: &'a ClusterTime,
    pub(super) phase: &'a Phase,
    pub(super) notice: Option<Notice>,
    pub(super) membership: &'a Membership,
    pub(super) frontiers: &'a Frontiers,
    pub(super) contacts: &'a Contacts,
    pub(super) peers: &'a Peers,
}

impl View<'_> {
    /// Returns when the log has to be stepped at the latest, in `elapsed` time.
    pub(crate) fn wake_at(&self) -> Millis {
        let never = Millis(u64::MAX);
        let silence = self.next_silence().unwrap_or(never);
        let started = self.start_may_end_at().unwrap_or(never);
        let promise = self.next_promise().unwrap_or(never);
        let truncates = self.phase.may_decide() && self.peers.next_truncation <= self.now.elapsed;
        let goes_on = self.peers.any_behind() && self.phase.takes_ops() || truncates;
        let more = if goes_on { self.now.elapsed } else { never };
        self.peers.next_heartbeat().min(silence).min(started).min(promise).min(more)
    }

    /// Returns the latest timestamp that this node knows of.
    pub(crate) fn latest_known(&self) -> Hlc {
        self.own.latest().max(self.frontiers.latest()).max(self.frontiers.watermark())
    }

    /// Returns how far a member's clock is ahead of this node's, in milliseconds.
    pub(crate) fn clock_offset(&self, member: NodeId) -> Option<i64> {
        self.time.offset(member, self.now)
    }

    /// Returns how often a node sends its vector to a peer while nothing is undecided, in milliseconds. A few promises
    /// may be lost before anybody takes the node for silent.
    pub(super) fn heartbeat(&self) -> u64 {
        self.settings.evict_after.map_or(self.config.heartbeat, |after| self.config.heartbeat.min(after / 4))
    }

    /// Returns true where there are so few members that each sends to all others.
    pub(super) fn is_small(&self) -> bool {
        self.membership.count() <= self.config.spread.small
    }
}
