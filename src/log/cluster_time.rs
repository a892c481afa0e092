//! Cluster time: the wall clock of this node, corrected where it is off from those of the other members.
//!
//! Timestamps never go back, so a clock that is wrong for a moment must leave no trace in them. Each member's clock is
//! known from its heartbeats, and kept while the member is out of reach. The lower median of all clocks, this node's
//! own among them, is right as long as a minority of the clocks is wrong.

use std::collections::BTreeMap;

use super::config::Now;
use crate::clock::{Millis, NodeId};

/// The window over which the best of a member's heartbeats is taken, in milliseconds. A delayed heartbeat makes the
/// clock of its sender look late, never early, so the greatest reading is nearest to the truth. A guess: a few
/// heartbeats.
const WINDOW: u64 = 2000;

/// A clock, as the difference between what it shows and this process's elapsed time, in milliseconds.
type Base = i128;

fn base(wall: Millis, now: Now) -> Base {
    i128::from(wall.0) - i128::from(now.elapsed.0)
}

/// The readings of a member's clock.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// The greatest reading of the present window, and when this window began.
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
        // After the member was silent, the readings from before say nothing any more.
        let counts = now.since(self.began) < 2 * WINDOW || stood_still;
        self.before = if counts { self.present } else { reading };
        (self.present, self.began) = (reading, now);
    }
}

/// The clocks of the members, and how far this node's own clock is followed.
#[derive(Clone, Debug, Default)]
pub(super) struct ClusterTime {
    readings: BTreeMap<NodeId, Reading>,
    /// The clocks of this node when its wall clock was last followed.
    followed: Option<Now>,
    /// True where the wall clock has run ahead of the elapsed time, and no member has confirmed that since.
    outran: bool,
    /// When the process last made a step, and when it made the first step after a standstill. Messages that arrive
    /// after a standstill have waited for it.
    stepped: Option<Millis>,
    woke: Option<Millis>,
    /// The offset that was last logged as suspect; none where the clock was right.
    pub(super) logged: Option<i64>,
}

impl ClusterTime {
    /// Takes the wall clock of a member from its heartbeat.
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

    /// Looks at the wall clock. A clock that has run ahead of the elapsed time is not followed, unless no other member
    /// could tell whether it is right.
    pub(super) fn look(&mut self, now: Now, skew: u64, alone: bool) {
        self.notice_standstill(now);
        let expected = self.followed.map(|then| expected(then, now));
        let outran = expected.is_some_and(|expected| now.wall > expected.plus(skew));
        self.outran = planted!(log::has_outrun(outran && !alone));
        if !self.outran {
            self.followed = Some(now);
        }
    }

    /// Returns the wall clock as far as it is followed.
    pub(super) fn wall(&self, now: Now) -> Millis {
        match self.followed {
            Some(then) if self.outran => expected(then, now),
            _ => now.wall,
        }
    }

    /// Returns how far a member's clock is ahead of this node's, in milliseconds.
    pub(super) fn offset(&self, member: NodeId, now: Now) -> Option<i64> {
        let offset = self.readings.get(&member)?.best() - base(now.wall, now);
        Some(i64::try_from(offset).unwrap_or(if offset > 0 { i64::MAX } else { i64::MIN }))
    }
}

/// Returns the time that the wall clock would show if it had gone on like the elapsed time.
fn expected(then: Now, now: Now) -> Millis {
    then.wall.plus(now.elapsed.since(then.elapsed))
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
