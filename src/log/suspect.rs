//! Suspect clocks: this module finds out that the clock of this node differs from those of the members, and which time
//! the node's timestamps follow.

use super::Log;
use super::config::Now;
use super::view::View;
use crate::clock::Millis;

/// The number of heartbeats within which nodes in contact know each other's timestamps. A guess, like that for contact
/// itself.
const IN_STEP: u64 = 3;

impl Log {
    /// Sets the time of an input or of a step's end. The wall clock is checked before anything follows it.
    pub(crate) fn set_time(&mut self, now: Now) {
        self.now = now;
        let alone = self.membership.members().all(|member| member == self.me);
        self.time.look(now, self.cluster.settings().max_clock_skew, alone);
    }

    /// Logs once that this node's clock is off, or right again, and promises the time that follows from it.
    pub(crate) fn promise_time(&mut self) {
        let suspect = self.view().clock_suspect();
        if suspect.is_some() != self.time.logged.is_some() && self.phase.may_answer() {
            match suspect {
                Some(offset) => tracing::warn!(
                    offset_ms = offset,
                    "this node's clock is off from the median of the members; it takes no registrations until it is right, \
                     and follows the median in all else"
                ),
                None => tracing::info!("this node's clock is right again"),
            }
            self.time.logged = suspect;
        }
        let time = self.view().time_to_follow();
        self.own.promise(time);
    }
}

impl View<'_> {
    /// Returns the offsets of the other members' clocks to that of this node.
    fn offsets(&self) -> impl Iterator<Item = i64> + '_ {
        let others = self.membership.members().filter(|member| *member != self.me);
        others.filter_map(|member| self.time.offset(member, self.now))
    }

    /// Returns the lower median of the members' offsets and this node's own, which is 0. So of two clocks the later one
    /// is taken to be wrong, and of three the odd one.
    fn median_offset(&self) -> i64 {
        let allowed = i64::try_from(self.settings.max_clock_skew / 2).unwrap_or(i64::MAX);
        // The median is off only where some clock is. This saves sorting, because it is asked in every step.
        if self.offsets().all(|offset| offset.abs() <= allowed) {
            return 0;
        }
        let mut offsets: Vec<_> = self.offsets().chain([0]).collect();
        offsets.sort_unstable();
        let middle = planted!(log::median((offsets.len() - 1) / 2, offsets.len()));
        offsets.get(middle).copied().unwrap_or(0)
    }

    /// Returns by how much this node's clock is off from the median of the members, where that is more than allowed.
    /// The value is positive where the others are ahead.
    pub(crate) fn clock_suspect(&self) -> Option<i64> {
        let median = self.median_offset();
        (median.unsigned_abs() > self.settings.max_clock_skew / 2).then_some(median)
    }

    /// Returns true where this node would follow other clocks than its own, and the clocks that it knows are those of
    /// at most half of the members and not of all others: the few that it met first may be those that are wrong.
    pub(super) fn may_follow_a_few(&self) -> bool {
        let (known, members) = (self.offsets().count(), self.membership.count());
        self.clock_suspect().is_some() && 2 * known <= members && known + 1 < members
    }

    /// Returns true where the clocks of members that were not heard yet may show that the time is another: at most half
    /// of all members agree with the median of those that were heard.
    pub(super) fn is_time_open(&self) -> bool {
        let (median, allowed) = (self.median_offset(), self.settings.max_clock_skew / 2);
        let agree = self.offsets().chain([0]).filter(|offset| offset.abs_diff(median) <= allowed).count();
        let (known, members) = (self.offsets().count() + 1, self.membership.count());
        2 * agree <= members && known < members
    }

    /// Returns cluster time.
    pub(crate) fn cluster_time(&self) -> Millis {
        match self.clock_suspect() {
            Some(median) => Millis(self.now.wall.0.saturating_add_signed(median)),
            None => self.time.wall(self.now),
        }
    }

    /// Returns the latest timestamp that is taken from others: cluster time and the allowed skew.
    ///
    /// Timestamps never go back, so after cluster time has gone back, timestamps that are no further ahead than this node's
    /// own are still taken, because they do no harm. A node whose own are ahead by more than the skew knows by that that
    /// cluster time has gone back. Those of other nodes may be ahead of its own then, by the time between two starts, and are
    /// taken up to as much again.
    pub(super) fn latest_taken(&self) -> Millis {
        let (time, own, skew) = (self.cluster_time(), self.own.last().millis(), self.settings.max_clock_skew);
        let ahead = own.since(time);
        let further = if ahead > skew { ahead } else { 0 }.max(IN_STEP * self.heartbeat());
        time.plus(skew).max(own.plus(further))
    }

    /// Returns the time that this node's timestamps follow. They follow none while the node starts or is no member, nor
    /// that of a few members who may be wrong, because timestamps never go back.
    pub(super) fn time_to_follow(&self) -> Millis {
        let follows = self.phase.may_issue() && !self.may_follow_a_few();
        if follows { self.cluster_time() } else { Millis(0) }
    }
}
