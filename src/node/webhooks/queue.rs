//! Decides which events of a webhook are attempted when. It sends nothing, and its callers give it the time.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::journal::{Item, Place};
use crate::clock::Millis;

/// Deliveries to one webhook that are under way at once. A guess: enough for some hundred events a second over the
/// internet.
const AT_ONCE: usize = 8;
/// Events of one webhook that are read and not delivered at most. Where as many wait the feed is not read on. A guess.
pub(super) const MOST_WAITING: usize = 256;
/// Dead letters of one webhook that are kept at most. A guess: some megabytes.
const MOST_DEAD: usize = 1000;

/// When an event is attempted again, and when it is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Schedule {
    /// The pause after the first attempt. Each later one is twice as long as the one before.
    pub(super) first: Duration,
    /// The longest pause.
    pub(super) longest: Duration,
    /// How long an event is attempted before it is given up. Only the pauses before its attempts count.
    pub(super) give_up: Duration,
}

impl Schedule {
    /// Returns the pause after this many attempts, in milliseconds: from half of it to all of it, by `dice`.
    fn pause(&self, attempts: u32, dice: u64) -> u64 {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = millis(doubled.min(self.longest)).max(1);
        whole - whole / 2 + dice % (whole / 2 + 1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a failed attempt means for its event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failed {
    /// The event is attempted again.
    Again,
    /// The event is a dead letter now.
    Dead,
}

/// Returns the registrations of which an attempt is under way.
fn busy(place: &Place) -> BTreeSet<Uuid> {
    place.waiting.iter().filter(|item| item.under_way).map(|item| item.registration).collect()
}

/// Returns the events to attempt now, and marks them as under way: those that are due, of each registration only the
/// first, and none of a registration of which an attempt is under way.
pub(super) fn begin(place: &mut Place, now: Millis, schedule: &Schedule) -> Vec<Item> {
    let mut free = AT_ONCE.saturating_sub(place.waiting.iter().filter(|item| item.under_way).count());
    // Where the clock was set back, a time may be far away that was near when it was set.
    let latest = now.plus(millis(schedule.longest));
    let (mut seen, mut begun) = (busy(place), Vec::new());
    for item in &mut place.waiting {
        if free == 0 {
            break;
        }
        (item.due, item.not_before) = (item.due.min(latest), item.not_before.min(latest));
        if seen.insert(item.registration) && item.due <= now {
            item.under_way = true;
            item.tried = item.tried.saturating_add(std::mem::take(&mut item.pause));
            begun.push(item.clone());
            free -= 1;
        }
    }
    begun
}

/// Returns when the next attempt is due. Only the first event of each registration is considered, and none of a registration
/// of which an attempt is under way; none where there is no such event.
pub(super) fn next_due(place: &Place) -> Option<Millis> {
    let mut seen = busy(place);
    place.waiting.iter().filter(|item| seen.insert(item.registration)).map(|item| item.due).min()
}

/// Removes an event that was delivered. Where it had failed before, the receiver is well again, and the other events
/// that had failed are attempted at once, unless the receiver has asked for a pause.
pub(super) fn delivered(place: &mut Place, id: &str, now: Millis) {
    let Some(index) = place.waiting.iter().position(|item| item.id == id) else { return };
    if place.waiting.remove(index).attempts > 0 {
        for item in place.waiting.iter_mut().filter(|item| item.attempts > 0) {
            let sooner = now.max(item.not_before);
            if sooner < item.due {
                // The pause is cut short, so it does not count as time in which the event was attempted.
                (item.due, item.pause) = (sooner, 0);
            }
        }
    }
}

/// Notes that an attempt failed. `after` is the pause that the receiver asked for, in milliseconds.
pub(super) fn failed(
    place: &mut Place,
    dead: &mut Vec<Item>,
    (id, why): (&str, String),
    (now, after, dice): (Millis, u64, u64),
    schedule: &Schedule,
) -> Failed {
    let Some(index) = place.waiting.iter().position(|item| item.id == id) else { return Failed::Again };
    let item = &mut place.waiting[index];
    item.under_way = false;
    item.attempts = item.attempts.saturating_add(1);
    item.error = Some(why);
    if item.tried < millis(schedule.give_up) {
        let asked = after.min(millis(schedule.longest));
        item.pause = schedule.pause(item.attempts, dice).max(asked);
        (item.due, item.not_before) = (now.plus(item.pause), now.plus(asked));
        return Failed::Again;
    }
    let item = place.waiting.remove(index);
    if !dead.iter().any(|letter| letter.id == item.id) {
        dead.push(item);
    }
    let excess = dead.len().saturating_sub(MOST_DEAD);
    for lost in dead.drain(..excess) {
        tracing::warn!(
            event = lost.id,
            "a dead letter of a webhook is dropped, because there are too many; replay them sooner"
        );
    }
    Failed::Dead
}

/// Lets dead letters be delivered anew, before what waits. They come before all later events of their registrations. An
/// event that waits already is not entered once more, because an attempt of it may be under way.
pub(super) fn replay(place: &mut Place, dead: &[Item], now: Millis) {
    let mut waiting = std::mem::take(&mut place.waiting);
    for letter in dead {
        let known = waiting.iter().position(|item| item.id == letter.id).map(|index| waiting.remove(index));
        place.waiting.push(known.unwrap_or_else(|| {
            let Item { id, registration, body, error, .. } = letter.clone();
            Item { due: now, error, ..Item::new(id, registration, body) }
        }));
    }
    place.waiting.append(&mut waiting);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        first: Duration::from_secs(2),
        longest: Duration::from_secs(3600),
        give_up: Duration::from_secs(3 * 24 * 3600),
    };

    fn item(id: &str, registration: u128) -> Item {
        Item::new(id.into(), Uuid::from_u128(registration), "{}".into())
    }

    fn place(items: &[(&str, u128)]) -> Place {
        Place { waiting: items.iter().map(|(id, of)| item(id, *of)).collect(), ..Place::default() }
    }

    fn ids(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.id.as_str()).collect()
    }

    fn fail(place: &mut Place, dead: &mut Vec<Item>, id: &str, now: Millis) -> Failed {
        failed(place, dead, (id, "500".into()), (now, 0, 7), &SCHEDULE)
    }

    fn start(place: &mut Place, now: Millis) -> Vec<Item> {
        begin(place, now, &SCHEDULE)
    }

    #[test]
    fn events_of_one_registration_go_one_after_the_other() {
        let mut place = place(&[("a1", 1), ("a2", 1), ("b1", 2)]);
        assert_eq!(ids(&start(&mut place, Millis(1))), ["a1", "b1"]);
        assert!(start(&mut place, Millis(1)).is_empty());
        assert_eq!(next_due(&place), None);
        delivered(&mut place, "b1", Millis(2));
        assert!(start(&mut place, Millis(2)).is_empty(), "a2 waits for a1");
        assert_eq!(fail(&mut place, &mut Vec::new(), "a1", Millis(3)), Failed::Again);
        assert!(start(&mut place, Millis(4)).is_empty() && next_due(&place) > Some(Millis(4)));
        let due = next_due(&place).unwrap();
        assert_eq!(ids(&start(&mut place, due)), ["a1"]);
        delivered(&mut place, "a1", due);
        assert_eq!(ids(&start(&mut place, due)), ["a2"]);
    }

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        for (attempts, whole) in
            [(1, 2000), (2, 4000), (5, 32_000), (12, 3_600_000), (40, 3_600_000), (u32::MAX, 3_600_000)]
        {
            for dice in [0, 1, 999_999, u64::MAX] {
                let pause = SCHEDULE.pause(attempts, dice);
                assert!(pause >= whole / 2 && pause <= whole, "{attempts}: {pause}");
            }
        }
    }

    #[test]
    fn an_event_is_given_up_after_three_days_and_can_be_replayed() {
        let (mut place, mut dead) = (place(&[("a1", 1), ("a2", 1)]), Vec::new());
        let mut now = Millis(1000);
        let end = now.plus(millis(SCHEDULE.give_up));
        loop {
            assert_eq!(ids(&start(&mut place, now)), ["a1"]);
            if fail(&mut place, &mut dead, "a1", now) == Failed::Dead {
                break;
            }
            assert!(now < end, "{now:?}");
            now = next_due(&place).unwrap();
        }
        assert!(now >= end && dead[0].attempts > 70, "{now:?} {}", dead[0].attempts);
        assert_eq!(ids(&start(&mut place, now)), ["a2"], "the registration's next event goes on");
        replay(&mut place, &dead, now);
        assert_eq!(ids(&place.waiting), ["a1", "a2"]);
        delivered(&mut place, "a2", now);
        assert!(start(&mut place, now).first().is_some_and(|item| item.id == "a1" && item.attempts == 0));
    }

    /// The node was down for a week, or the webhook was stopped, or the clock has jumped ahead.
    #[test]
    fn only_time_in_which_it_was_attempted_counts_before_an_event_is_given_up() {
        let (mut place, mut dead) = (place(&[("a1", 1)]), Vec::new());
        start(&mut place, Millis(0));
        assert_eq!(fail(&mut place, &mut dead, "a1", Millis(0)), Failed::Again);
        let week = Millis(7 * 24 * 3600 * 1000);
        assert_eq!(ids(&start(&mut place, week)), ["a1"]);
        assert_eq!(fail(&mut place, &mut dead, "a1", week), Failed::Again);
        // The clock is set back by a week.
        assert!(start(&mut place, Millis(5)).is_empty());
        assert!(next_due(&place).unwrap() <= Millis(5).plus(millis(SCHEDULE.longest)));
    }

    #[test]
    fn a_pause_that_the_receiver_asked_for_is_kept_when_another_event_is_delivered() {
        let (mut place, mut dead) = (place(&[("a1", 1), ("b1", 2)]), Vec::new());
        start(&mut place, Millis(0));
        let again = failed(&mut place, &mut dead, ("a1", "503".into()), (Millis(0), 60_000, 7), &SCHEDULE);
        assert_eq!(again, Failed::Again);
        fail(&mut place, &mut dead, "b1", Millis(0));
        let due = next_due(&place).unwrap();
        assert_eq!(ids(&start(&mut place, due)), ["b1"]);
        delivered(&mut place, "b1", due);
        assert_eq!(next_due(&place), Some(Millis(60_000)));
    }

    #[test]
    fn a_replay_waits_for_a_later_event_that_is_under_way_and_doubles_no_attempt() {
        let mut place = place(&[("a2", 1), ("b1", 2)]);
        assert_eq!(ids(&start(&mut place, Millis(1))), ["a2", "b1"]);
        // `b1` was given up once, was replayed, and a crash came before the letter was removed.
        replay(&mut place, &[item("a1", 1), item("b1", 2)], Millis(2));
        assert_eq!(ids(&place.waiting), ["a1", "b1", "a2"]);
        assert!(start(&mut place, Millis(2)).is_empty() && next_due(&place).is_none());
        delivered(&mut place, "a2", Millis(3));
        assert_eq!(ids(&start(&mut place, Millis(3))), ["a1"]);
    }

    #[test]
    fn what_failed_is_attempted_at_once_when_the_receiver_is_well_again() {
        let (mut place, mut dead) = (place(&[("a1", 1), ("b1", 2), ("c1", 3)]), Vec::new());
        start(&mut place, Millis(0));
        fail(&mut place, &mut dead, "a1", Millis(0));
        fail(&mut place, &mut dead, "b1", Millis(400));
        delivered(&mut place, "c1", Millis(405));
        assert!(next_due(&place) > Some(Millis(405)), "one that never failed says nothing of those that did");
        let due = next_due(&place).unwrap();
        let first = start(&mut place, due)[0].id.clone();
        delivered(&mut place, &first, due);
        assert_eq!(next_due(&place), Some(due));
    }

    #[test]
    fn a_webhook_has_a_limited_number_of_attempts_under_way() {
        let items: Vec<_> = (0..20).map(|number| (format!("e{number}"), number)).collect();
        let items: Vec<_> = items.iter().map(|(id, of)| (id.as_str(), *of)).collect();
        let mut place = place(&items);
        assert_eq!(start(&mut place, Millis(0)).len(), AT_ONCE);
        assert!(start(&mut place, Millis(0)).is_empty());
        delivered(&mut place, "e3", Millis(1));
        assert_eq!(ids(&start(&mut place, Millis(1))), ["e8"]);
    }
}
