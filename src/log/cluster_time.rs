//! The time of the cluster: the wall clock of this node, corrected where it is off from those of the other members.
//!
//! Timestamps never go back, so a clock that is wrong for a moment must leave no trace in them. Each member's clock is
//! known from its heartbeats, and kept while the member is out of reach. The lower median of all clocks, this node's own
//! among them, is right as long as a minority of the clocks is wrong.

use std::collections::BTreeMap;

use super::{Log, Now};
use crate::clock::{Millis, NodeId};

/// Milliseconds over which the best of a member's heartbeats is taken. A heartbeat that was delayed makes the clock of its
/// sender look late, never early, so the one with the greatest reading is nearest to the truth. A guess: a few heartbeats.
const WINDOW: u64 = 2000;

/// Heartbeats within which nodes that are in contact know each other's timestamps. A guess, as for contact itself.
const IN_STEP: u64 = 3;

/// A clock as the difference between what it shows and this process's elapsed time, in milliseconds.
type Base = i128;

fn base(wall: Millis, now: Now) -> Base {
    i128::from(wall.0) - i128::from(now.elapsed.0)
}

/// What is known of a member's clock.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// The greatest reading of the present window, and when that began.
    present: Base,
    began: Millis,
    /// The greatest reading of the window before.
    before: Base,
}

impl Reading {
    fn best(&self) -> Base {
        self.present.max(self.before)
    }

    fn take(&mut self, reading: Base, now: Millis, stood_still: bool) {
        if now.since(self.began) < WINDOW {
            self.present = self.present.max(reading);
            return;
        }
        // After a silence of the member's what was heard before says nothing any more.
        let counts = now.since(self.began) < 2 * WINDOW || stood_still;
        self.before = if counts { self.present } else { reading };
        (self.present, self.began) = (reading, now);
    }
}

/// The clocks of the members, and how far this node's own is followed.
#[derive(Clone, Debug, Default)]
pub(super) struct ClusterTime {
    readings: BTreeMap<NodeId, Reading>,
    /// The wall clock when it was last followed, and the elapsed time then.
    followed: Option<Now>,
    /// The wall clock has run ahead of the elapsed time, and no member has confirmed that since.
    outran: bool,
    /// When the process last made a step, and when it did after it had stood still for a while: what it hears then has waited
    /// for it.
    stepped: Option<Millis>,
    woke: Option<Millis>,
    /// What the log was last told.
    logged: Option<i64>,
}

impl ClusterTime {
    /// A heartbeat of a member shows its wall clock.
    pub(super) fn heard(&mut self, member: NodeId, wall: Millis, now: Now, skew: u64) {
        let reading = base(wall, now);
        let first = Reading { present: reading, began: now.elapsed, before: reading };
        self.notice_standstill(now);
        let stood_still = self.woke.is_some_and(|woke| now.elapsed.since(woke) < WINDOW);
        self.readings.entry(member).or_insert(first).take(reading, now.elapsed, stood_still);
        if self.outran && wall.0.abs_diff(now.wall.0) <= skew {
            (self.followed, self.outran) = (Some(now), false);
        }
    }

    fn notice_standstill(&mut self, now: Now) {
        if self.stepped.is_some_and(|stepped| now.elapsed.since(stepped) >= WINDOW) {
            self.woke = Some(now.elapsed);
        }
        self.stepped = Some(now.elapsed);
    }

    /// Looks at the wall clock. One that has run ahead of the elapsed time is not followed, unless nobody else could say
    /// whether it is right.
    fn look(&mut self, now: Now, skew: u64, alone: bool) {
        self.notice_standstill(now);
        let expected = self.followed.map(|then| expected(then, now));
        let outran = expected.is_some_and(|expected| now.wall > expected.plus(skew));
        self.outran = outran && !alone && !planted!(JumpFollowed);
        if !self.outran {
            self.followed = Some(now);
        }
    }

    /// The wall clock as far as it is followed.
    fn wall(&self, now: Now) -> Millis {
        match self.followed {
            Some(then) if self.outran => expected(then, now),
            _ => now.wall,
        }
    }

    /// How far a member's clock is ahead of this node's, in milliseconds.
    pub(super) fn offset(&self, member: NodeId, now: Now) -> Option<i64> {
        let offset = self.readings.get(&member)?.best() - base(now.wall, now);
        Some(i64::try_from(offset).unwrap_or(if offset > 0 { i64::MAX } else { i64::MIN }))
    }
}

/// What a clock shows now that went on as the elapsed time did.
fn expected(then: Now, now: Now) -> Millis {
    then.wall.plus(now.elapsed.since(then.elapsed))
}

impl Log {
    /// Looks at the wall clock, once a step.
    pub(crate) fn look_at_the_clock(&mut self) {
        let alone = self.membership.members().all(|member| member == self.me);
        self.time.look(self.now, self.settings.max_clock_skew, alone);
        let suspect = self.clock_suspect();
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
    }

    /// The offsets of the members' clocks to this node's, its own left out.
    fn offsets(&self) -> impl Iterator<Item = i64> + '_ {
        let others = self.membership.members().filter(|member| *member != self.me);
        others.filter_map(|member| self.time.offset(member, self.now))
    }

    /// The lower median of all members' offsets and this node's own, which is 0: of two clocks the later one is taken to be
    /// wrong, of three the odd one.
    fn median_offset(&self) -> i64 {
        let allowed = i64::try_from(self.settings.max_clock_skew / 2).unwrap_or(i64::MAX);
        // The median is off only where somebody is, and this is asked in every step.
        if self.offsets().all(|offset| offset.abs() <= allowed) {
            return 0;
        }
        let mut offsets: Vec<_> = self.offsets().chain([0]).collect();
        offsets.sort_unstable();
        let middle = if planted!(UpperMedian) { offsets.len() / 2 } else { (offsets.len() - 1) / 2 };
        offsets.get(middle).copied().unwrap_or(0)
    }

    /// By how much this node's clock is off from the median of the members, where that is more than allowed: positive where
    /// the others are ahead.
    pub(crate) fn clock_suspect(&self) -> Option<i64> {
        let median = self.median_offset();
        (median.unsigned_abs() > self.settings.max_clock_skew / 2).then_some(median)
    }

    /// Whether this node would follow other clocks than its own, and those it knows of are neither a majority without it nor
    /// all: the few that it met first may be those that are wrong.
    pub(super) fn may_follow_a_few(&self) -> bool {
        let (known, members) = (self.offsets().count(), self.membership.count());
        self.clock_suspect().is_some() && 2 * known <= members && known + 1 < members
    }

    /// Whether the clocks of members that were not heard of yet may show that the time is another: fewer than half of all members
    /// agree with the median of those that were heard.
    pub(super) fn is_time_open(&self) -> bool {
        let (median, allowed) = (self.median_offset(), self.settings.max_clock_skew / 2);
        let agree = self.offsets().chain([0]).filter(|offset| offset.abs_diff(median) <= allowed).count();
        let (known, members) = (self.offsets().count() + 1, self.membership.count());
        2 * agree <= members && known < members
    }

    /// The time of the cluster.
    pub(crate) fn cluster_time(&self) -> Millis {
        match self.clock_suspect() {
            Some(median) => Millis(self.now.wall.0.saturating_add_signed(median)),
            None => self.time.wall(self.now),
        }
    }

    /// The latest timestamp that is taken of others: none is that far ahead of the cluster's time. Timestamps never go back, so
    /// where the cluster's time has, those that are no further ahead than this node's own do no harm.
    pub(super) fn latest_taken(&self) -> Millis {
        let own = self.clock.last().millis().plus(IN_STEP * self.heartbeat());
        self.cluster_time().plus(self.settings.max_clock_skew).max(own)
    }

    /// The time that this node lets its own timestamps follow: none while it starts or is no member, nor that of a few who
    /// may be wrong, because timestamps never go back.
    pub(super) fn time_to_follow(&self) -> Millis {
        let follows = self.phase.may_issue() && !self.may_follow_a_few();
        if follows { self.cluster_time() } else { Millis(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW: u64 = 10_000;

    fn now(wall: u64, elapsed: u64) -> Now {
        Now { wall: Millis(wall), elapsed: Millis(elapsed) }
    }

    #[test]
    fn a_clock_that_jumps_is_followed_once_a_member_agrees() {
        let mut time = ClusterTime::default();
        time.look(now(1_000_000, 0), SKEW, false);
        time.look(now(5_000_000, 50), SKEW, false);
        assert_eq!(time.wall(now(5_000_000, 50)), Millis(1_000_050), "an hour ahead is not followed");
        time.heard(NodeId(2), Millis(1_000_060), now(5_000_060, 60), SKEW);
        assert_eq!(time.wall(now(5_000_060, 60)), Millis(1_000_060), "a member that does not agree says nothing");
        time.look(now(1_000_100, 100), SKEW, false);
        assert_eq!(time.wall(now(1_000_100, 100)), Millis(1_000_100), "it is right again, and left no trace");
        time.look(now(5_000_100, 200), SKEW, false);
        time.heard(NodeId(2), Millis(5_000_150), now(5_000_150, 250), SKEW);
        assert_eq!(time.wall(now(5_000_150, 250)), Millis(5_000_150), "the machine was suspended, and so was time");
    }

    #[test]
    fn a_node_alone_follows_its_clock() {
        let mut time = ClusterTime::default();
        time.look(now(1_000_000, 0), SKEW, true);
        time.look(now(5_000_000, 50), SKEW, true);
        assert_eq!(time.wall(now(5_000_000, 50)), Millis(5_000_000));
    }

    #[test]
    fn a_clock_may_go_back_and_small_steps_are_followed() {
        let mut time = ClusterTime::default();
        time.look(now(1_000_000, 0), SKEW, false);
        time.look(now(1_009_000, 10), SKEW, false);
        assert_eq!(time.wall(now(1_009_000, 10)), Millis(1_009_000));
        time.look(now(400_000, 20), SKEW, false);
        assert_eq!(time.wall(now(400_000, 20)), Millis(400_000));
    }

    #[test]
    fn a_delayed_heartbeat_does_not_make_a_clock_look_late() {
        let mut time = ClusterTime::default();
        time.heard(NodeId(2), Millis(1_000_000), now(1_000_000, 0), SKEW);
        time.heard(NodeId(2), Millis(1_000_100), now(1_000_900, 900), SKEW);
        assert_eq!(time.offset(NodeId(2), now(1_001_000, 1000)), Some(0));
        for second in 2..8 {
            let elapsed = second * 1000;
            time.heard(NodeId(2), Millis(970_000 + elapsed), now(1_000_000 + elapsed, elapsed), SKEW);
        }
        assert_eq!(time.offset(NodeId(2), now(1_007_000, 7000)), Some(-30_000), "it was set back by half a minute");
    }

    #[test]
    fn heartbeats_that_waited_while_this_process_stood_still_do_not_make_clocks_look_late() {
        let mut time = ClusterTime::default();
        time.look(now(1_000_000, 0), SKEW, false);
        time.heard(NodeId(2), Millis(1_000_000), now(1_000_000, 0), SKEW);
        for sent in (1..=8).map(|second| second * 1000) {
            time.heard(NodeId(2), Millis(1_000_000 + sent), now(1_008_000, 8000), SKEW);
            assert_eq!(time.offset(NodeId(2), now(1_008_000, 8000)), Some(0));
        }
    }

    #[test]
    fn what_is_known_of_a_clock_outlives_the_connection_and_a_step_of_ones_own() {
        let mut time = ClusterTime::default();
        time.heard(NodeId(2), Millis(1_000_000), now(1_000_000, 0), SKEW);
        assert_eq!(time.offset(NodeId(2), now(1_060_000, 60_000)), Some(0));
        assert_eq!(time.offset(NodeId(2), now(4_660_000, 60_000)), Some(-3_600_000), "this node's clock was set ahead");
    }
}
