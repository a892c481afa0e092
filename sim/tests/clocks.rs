//! Stories of clocks. While a minority of clocks is wrong, however they change, nodes with right clocks take names, and
//! these are confirmed in the usual time. Nodes with wrong clocks refuse new names and hold nobody up.

use forename::model::{EndReason, NameStatus, Status};
use forename::replica::Refusal;
use forename_sim::plan::{Kind, Loss, Pick, Trouble};
use forename_sim::run::runs_well;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;
const OSLO: usize = 3;
const ROME: usize = 4;

const HOUR: i64 = 3_600_000;

/// The milliseconds after which all have noticed that a clock was set. A delayed heartbeat makes a clock look late, so
/// the best reading of some seconds counts.
const KNOWN: u64 = 6000;

/// Claims a new name at each node. Returns the nodes that refuse because of their clocks, and the claims that the
/// others took.
fn refuse(story: &mut Story, founders: usize, name: &str) -> (Vec<usize>, Vec<u32>) {
    let (mut refuse, mut taken) = (Vec::new(), Vec::new());
    for host in 0..founders {
        let slot = story.claims(host, &[&format!("{name}{host}")]);
        match story.refused(slot) {
            None => taken.push(slot),
            Some(Refusal::ClockSuspect { .. }) => refuse.push(host),
            Some(other) => panic!("host {host}: {other}"),
        }
    }
    (refuse, taken)
}

/// Checks that all of these are confirmed at all nodes within a second.
fn are_confirmed(story: &mut Story, founders: usize, taken: &[u32]) {
    story.passes(1000);
    for host in 0..founders {
        for slot in taken {
            assert_eq!(story.status(host, *slot), Some(Status::Confirmed), "at host {host}");
        }
    }
}

#[test]
fn only_nodes_whose_clocks_are_wrong_refuse_names() {
    for (founders, wrong) in [(3, vec![2]), (3, vec![0]), (4, vec![1]), (5, vec![4]), (5, vec![0, 4])] {
        for by in [60_000, -60_000, HOUR, -HOUR] {
            let mut story = Story::of(founders);
            wrong.iter().for_each(|host| story.step_clock(*host, by));
            story.passes(KNOWN);
            let (refused, taken) = refuse(&mut story, founders, "early");
            assert_eq!(refused, wrong, "of {founders}, {by} ms");
            are_confirmed(&mut story, founders, &taken);
            // The clocks stay wrong, and other nodes are still not held up.
            story.passes(60_000);
            let (refused, taken) = refuse(&mut story, founders, "late");
            assert_eq!(refused, wrong, "of {founders}, {by} ms, a minute later");
            are_confirmed(&mut story, founders, &taken);
            wrong.iter().for_each(|host| story.step_clock(*host, -by));
            story.passes(KNOWN);
            let (refused, taken) = refuse(&mut story, founders, "again");
            assert!(refused.is_empty(), "{refused:?}");
            are_confirmed(&mut story, founders, &taken);
            story.ends_well();
        }
    }
}

/// The time of two nodes follows the clock that is behind. So when a clock is set back, what was stamped before is
/// ahead of that time, and waits until the time has come.
#[test]
fn of_two_nodes_the_one_that_is_ahead_refuses_names() {
    for (by, ahead) in [(60_000, TOKYO), (-60_000, LONDON), (HOUR, TOKYO)] {
        let mut story = Story::of(2);
        story.step_clock(TOKYO, by);
        story.passes(KNOWN);
        let (refused, taken) = refuse(&mut story, 2, "name");
        assert_eq!(refused, [ahead], "{by} ms");
        story.passes(by.min(0).unsigned_abs());
        are_confirmed(&mut story, 2, &taken);
        story.ends_well();
    }
}

#[test]
fn a_clock_that_goes_to_and_fro_holds_up_nobody() {
    let mut story = Story::of(3);
    let mut off = 0;
    for (turn, to) in [HOUR, -HOUR, 30_000, 0, -30_000, HOUR, 0].into_iter().enumerate() {
        story.step_clock(LIMA, to - off);
        off = to;
        for step in 0..10 {
            let slots = [LONDON, TOKYO].map(|city| story.claims(city, &[&format!("n{turn}x{step}x{city}")]));
            story.passes(200);
            assert!(slots.iter().all(|slot| story.refused(*slot).is_none()), "off by {off} ms");
            for slot in slots {
                assert_eq!(story.status(TOKYO, slot), Some(Status::Confirmed), "off by {off} ms");
            }
        }
    }
    story.ends_well();
}

#[test]
fn a_clock_that_was_ahead_for_a_moment_leaves_no_trace() {
    for moment in [0, 5, 10, 200, 1000, 5000] {
        let mut story = Story::of(3);
        story.passes(500);
        story.step_clock(LIMA, HOUR);
        story.passes(moment);
        // Clients ask at that moment. Lima refuses, or takes names that are confirmed soon.
        let slots = [story.claims(LIMA, &["alice"]), story.claims(LONDON, &["carla"])];
        story.step_clock(LIMA, -HOUR);
        story.passes(KNOWN);
        let bob = story.claims(LONDON, &["bob"]);
        let dora = story.claims(LIMA, &["dora"]);
        let taken: Vec<u32> = slots.into_iter().filter(|slot| story.refused(*slot).is_none()).collect();
        assert!(taken.contains(&slots[1]), "London's clock is right");
        are_confirmed(&mut story, 3, &[taken, vec![bob, dora]].concat());
        story.ends_well();
    }
}

#[test]
fn a_clock_that_is_ahead_while_its_node_is_cut_off_leaves_no_trace() {
    for after in [50, 3000, 20_000] {
        let mut story = Story::of(3);
        story.split(&[LIMA]);
        story.passes(after);
        story.step_clock(LIMA, HOUR);
        story.passes(2000);
        let alice = story.claims(LIMA, &["alice"]);
        story.step_clock(LIMA, -HOUR);
        story.heal();
        story.passes(KNOWN);
        let bob = story.claims(TOKYO, &["bob"]);
        let taken = if story.refused(alice).is_none() { vec![alice, bob] } else { vec![bob] };
        are_confirmed(&mut story, 3, &taken);
        story.ends_well();
    }
}

#[test]
fn a_node_that_starts_with_a_wrong_clock_finds_out_before_it_takes_names() {
    for by in [HOUR, -HOUR] {
        let mut story = Story::of(3);
        story.crash(LIMA);
        story.step_clock(LIMA, by);
        story.start(LIMA);
        let early = story.claims(LIMA, &["early"]);
        story.passes(6000);
        // A node whose clock is behind that of one other node cannot know that its clock is wrong. Its stamps then
        // follow what it has seen.
        let refused = matches!(story.refused(early), Some(Refusal::ClockSuspect { .. }));
        assert!(refused || by < 0, "{by} ms: {:?}", story.told(early));
        let early = if refused { None } else { Some(early) };
        let (refused, taken) = refuse(&mut story, 3, "name");
        assert_eq!(refused, [LIMA]);
        are_confirmed(&mut story, 3, &taken.into_iter().chain(early).collect::<Vec<_>>());
        story.step_clock(LIMA, -by);
        story.passes(KNOWN);
        let (refused, taken) = refuse(&mut story, 3, "again");
        assert!(refused.is_empty(), "{refused:?}");
        are_confirmed(&mut story, 3, &taken);
        story.ends_well();
    }
}

#[test]
fn a_right_node_that_starts_hears_of_a_majority_before_it_believes_a_wrong_clock() {
    let mut story = Story::of(5);
    story.step_clock(OSLO, HOUR);
    story.step_clock(ROME, HOUR);
    story.passes(2000);
    story.crash(LIMA);
    // At first it meets the two nodes whose clocks are wrong in the same way.
    story.cut(&[(LIMA, LONDON), (LIMA, TOKYO)]);
    story.start(LIMA);
    story.passes(300);
    story.heal();
    story.passes(6000);
    let (refused, taken) = refuse(&mut story, 5, "name");
    assert_eq!(refused, [OSLO, ROME]);
    are_confirmed(&mut story, 5, &taken);
    story.ends_well();
}

/// Rome starts and first hears of Oslo, whose clock is wrong like its own, and of Lima. Of these three most clocks
/// agree, but they need not be most of all five.
#[test]
fn of_two_wrong_clocks_that_meet_one_that_is_right_neither_leaves_a_trace() {
    let mut story = Story::of(5);
    story.passes(500);
    for host in [OSLO, ROME] {
        story.crash(host);
        story.step_clock(host, HOUR);
    }
    story.cut(&[(ROME, LONDON), (ROME, TOKYO)]);
    story.start(OSLO);
    story.start(ROME);
    story.passes(2000);
    story.heal();
    [OSLO, ROME].iter().for_each(|host| story.step_clock(*host, -HOUR));
    story.passes(KNOWN);
    let (refused, taken) = refuse(&mut story, 5, "after");
    assert_eq!(refused, Vec::<usize>::new());
    are_confirmed(&mut story, 5, &taken);
    story.ends_well();
}

#[test]
fn what_was_pending_is_decided_while_one_clock_is_ahead() {
    let mut story = Story::of(3);
    story.split(&[LIMA]);
    let bob = story.claims(LONDON, &["bob"]);
    story.step_clock(LIMA, 60_000);
    story.heal();
    story.passes(KNOWN);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, bob), Some(Status::Confirmed));
    }
    assert_eq!(story.cluster(LONDON).clock_suspect_ms, None);
    assert!(story.cluster(LIMA).clock_suspect_ms.is_some(), "and only Lima's clock is called wrong");
    story.ends_well();
}

/// Two clocks of five are wrong by 4 s in opposite directions. None is suspect, and the slow node takes what the fast
/// one stamps.
#[test]
fn clocks_within_the_limit_on_either_side_hold_up_nobody() {
    let mut story = Story::of(5);
    story.step_clock(OSLO, 4000);
    story.step_clock(ROME, -4000);
    story.passes(KNOWN);
    let (refused, taken) = refuse(&mut story, 5, "name");
    assert!(refused.is_empty(), "{refused:?}");
    are_confirmed(&mut story, 5, &taken);
    let alice = story.claims(OSLO, &["alice"]);
    story.passes(100);
    let late = story.claims(ROME, &["alice"]);
    assert!(matches!(story.refused(late), Some(Refusal::NameTaken { .. })), "{:?}", story.told(late));
    are_confirmed(&mut story, 5, &[alice]);
    story.ends_well();
}

/// With 8 s they are beyond the limit, and 16 s apart. The slow node still takes ops, and does not take a name that is
/// taken.
#[test]
fn a_slow_node_takes_ops_and_does_not_take_a_name_that_is_taken() {
    let mut story = Story::of(5);
    story.step_clock(OSLO, 8000);
    story.step_clock(ROME, -8000);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(100);
    let late = story.claims(ROME, &["alice"]);
    assert!(story.told(late).is_none(), "{:?}", story.told(late));
    story.passes(KNOWN);
    let (refused, taken) = refuse(&mut story, 5, "name");
    assert_eq!(refused, [OSLO, ROME]);
    are_confirmed(&mut story, 5, &[taken, vec![alice]].concat());
    assert_eq!(story.name(ROME, "alice"), NameStatus::Held);
    story.ends_well();
}

#[test]
fn a_reservation_ends_in_its_time_whatever_one_clock_says() {
    for by in [HOUR, -HOUR] {
        let mut story = Story::of(3);
        story.step_clock(LIMA, by);
        story.passes(KNOWN);
        let (short, long) = (story.reserves(LONDON, &["carla"], 3000), story.reserves(TOKYO, &["dora"], 40_000));
        assert!(story.refused(short).is_none() && story.refused(long).is_none());
        story.passes(2000);
        assert_eq!(story.name(TOKYO, "carla"), NameStatus::Held, "not before its time: {by} ms");
        story.passes(4000);
        for city in [LONDON, TOKYO, LIMA] {
            assert_eq!(story.name(city, "carla"), NameStatus::Available, "{by} ms");
            assert_eq!(story.name(city, "dora"), NameStatus::Held, "{by} ms");
        }
        story.ends_well();
    }
}

#[test]
fn members_come_and_go_while_one_clock_is_wrong() {
    // The wrong clock is that of the first member, which lets newcomers in, or of another one.
    for wrong in [LONDON, LIMA] {
        for by in [HOUR, -HOUR] {
            let mut story = Story::with_joiners(4, &[TOKYO]);
            story.step_clock(wrong, by);
            story.passes(KNOWN);
            story.start(4);
            story.passes(KNOWN);
            assert!(story.is_member(4), "let in while host {wrong} is off by {by} ms");
            let dora = story.claims(4, &["dora"]);
            are_confirmed(&mut story, 5, &[dora]);
            story.crash(OSLO);
            story.evicts(TOKYO, OSLO).unwrap();
            story.passes(500);
            let emil = story.claims(TOKYO, &["emil"]);
            story.passes(1000);
            assert_eq!(story.status(4, emil), Some(Status::Confirmed), "without Oslo");
            story.leaves(wrong).unwrap();
            story.passes(5000);
            assert!(story.has_left(wrong), "off by {by} ms");
            story.ends_well();
        }
    }
}

/// A clock that is a day off is not just wrong for a moment, and whoever sets the machine up looks at it. The newcomer
/// is not let in while its clock is that far off.
#[test]
fn a_newcomer_whose_clock_is_a_day_off_is_not_let_in() {
    for by in [25 * HOUR, -25 * HOUR] {
        let mut story = Story::with_joiners(3, &[LONDON]);
        story.step_clock(3, by);
        story.start(3);
        story.passes(10_000);
        assert!(!story.is_member(3), "{by} ms");
        let bob = story.claims(LONDON, &["bob"]);
        are_confirmed(&mut story, 3, &[bob]);
        story.step_clock(3, -by);
        story.passes(15_000);
        assert!(story.is_member(3), "its clock is right now");
        story.ends_well();
    }
}

#[test]
fn one_of_four_may_be_dead_and_another_wrong() {
    let mut story = Story::of(4);
    story.step_clock(LIMA, HOUR);
    story.passes(2000);
    story.crash(OSLO);
    let (refused, taken) = refuse(&mut story, 2, "name");
    assert!(refused.is_empty(), "{refused:?}");
    story.passes(2000);
    assert_eq!(story.status(LONDON, taken[0]), Some(Status::Pending), "Oslo may have been earlier");
    story.evicts(LONDON, OSLO).unwrap();
    story.passes(1000);
    assert_eq!(story.status(LIMA, taken[0]), Some(Status::Confirmed));
    story.ends_without(&[OSLO], Loss::Down);
}

/// A copy of Lima's directory promised to issue nothing as early as Ann's claim, and on that promise Bob's claim was
/// confirmed. London cannot believe the promise, because its own clock is far behind, but it remembers it.
#[test]
fn a_promise_that_is_too_far_ahead_is_remembered_for_its_origin() {
    let mut story = Story::of(2);
    let lima = TOKYO;
    story.passes(500);
    let copy = story.copy_disk(lima);
    story.split(&[lima]);
    let ann = story.claims(lima, &["alice"]);
    // Many ops are sent beside the vectors, and may overtake them.
    story.imports(LONDON, 30, 4000);
    let bob = story.claims(LONDON, &["alice"]);
    story.step_clock(LONDON, -12_500);
    story.crash(lima);
    let original = story.copy_disk(lima);
    story.run_copy(lima, &copy);
    story.heal();
    story.start(lima);
    story.passes(1000);
    assert_eq!(story.status(lima, bob), Some(Status::Confirmed), "the copy knows of no earlier claim");
    story.crash(lima);
    // London's ops arrive before London's message that it remembers what Lima held.
    story.suffers(Trouble::Picky(Pick { from: LONDON, to: lima, kind: Kind::Vector, lost: 0, late: 1000 }), 60_000);
    story.restore_disk(lima, &original);
    story.start(lima);
    story.passes(5000);
    assert!(story.incarnation(lima) > 0, "its claim is below a promise on which an outcome was told");
    story.step_clock(LONDON, 12_500);
    story.passes(20_000);
    for city in [LONDON, lima] {
        assert_eq!(story.status(city, bob), Some(Status::Confirmed), "what was told stands");
        assert_eq!(story.status(city, ann), Some(Status::Rejected), "it was registered again, later than that");
    }
    story.ends_well();
}

/// Lima restarts with a clock that is an hour ahead, and later the clock jumps ahead once more. Lima refuses names
/// until its clock is right, and then stamps its first op with the right time.
#[test]
fn a_clock_that_is_right_again_is_followed_from_the_first_op_on() {
    let mut story = Story::of(3);
    story.passes(2000);
    story.crash(LIMA);
    story.step_clock(LIMA, HOUR);
    story.start(LIMA);
    story.passes(3000);
    story.step_clock(LIMA, 13_000);
    story.passes(3000);
    let early = story.claims(LIMA, &["early"]);
    assert!(matches!(story.refused(early), Some(Refusal::ClockSuspect { .. })));
    story.step_clock(LIMA, -HOUR - 13_000);
    let late = story.claims(LIMA, &["late"]);
    story.passes(1000);
    assert_eq!(story.status(LIMA, late), Some(Status::Confirmed), "it is not stamped an hour ahead");
    story.ends_well();
}

#[test]
fn a_reservation_made_while_a_clock_is_an_hour_ahead_for_a_moment_ends_in_time() {
    let mut story = Story::of(3);
    story.crash(LIMA);
    story.split(&[LIMA]);
    story.start(LIMA);
    story.passes(8000);
    story.step_clock(LIMA, HOUR);
    let alice = story.reserves(LIMA, &["alice"], 5000);
    assert_eq!(story.refused(alice), None, "nobody has told it that its clock is off");
    story.activates(LIMA, alice);
    let bob = story.reserves(LIMA, &["bob"], 5000);
    story.step_clock(LIMA, -HOUR);
    story.heal();
    story.passes(20_000);
    assert!(story.sees(LONDON, alice).unwrap().activated, "its time was not over");
    assert_eq!(
        story.sees(LONDON, bob).unwrap().names[0].ended,
        Some(EndReason::Expired),
        "it ended after five seconds"
    );
    story.ends_well();
}

#[test]
fn a_clock_that_stands_still_is_gone_by_for_a_moment_as_it_was() {
    let mut story = Story::of(2);
    story.passes(2000);
    story.step_clock(TOKYO, 3000);
    story.passes(2 * KNOWN);
    story.suffers(Trouble::Frozen(TOKYO), 30_000);
    story.passes(10_100);
    let early = story.claims(LONDON, &["early"]);
    assert_eq!(story.refused(early), None, "Tokyo's clock was right within the last seconds that London heard it");
    story.passes(6000);
    let late = story.claims(LONDON, &["late"]);
    assert!(
        matches!(story.refused(late), Some(Refusal::ClockSuspect { .. })),
        "of two the one that is ahead is suspect"
    );
    story.passes(12_000 + KNOWN);
    story.step_clock(TOKYO, 27_000);
    story.passes(KNOWN);
    story.ends_well();
}

#[test]
fn a_node_that_stood_still_goes_for_a_moment_by_what_it_heard_before() {
    let mut story = Story::of(3);
    story.passes(2000);
    story.step_clock(LONDON, -17_800);
    story.passes(1100);
    story.suffers(Trouble::Pause(LIMA), 12_000);
    story.step_clock(LIMA, -7766);
    story.passes(13_000);
    let early = story.claims(LIMA, &["early"]);
    assert!(matches!(story.refused(early), Some(Refusal::ClockSuspect { .. })), "by two of three it is late");
    story.passes(KNOWN);
    let late = story.claims(LIMA, &["late"]);
    assert_eq!(story.refused(late), None, "London's clock is late, and Lima's lies in the middle");
    story.step_clock(LIMA, 7766);
    story.step_clock(LONDON, 17_800);
    story.passes(KNOWN);
    story.ends_well();
}

/// A clock is ahead for two seconds while names end. Its node looks at them more often than others before it forgets them.
#[test]
fn what_ended_while_a_clock_was_ahead_is_forgotten_with_the_next_events() {
    runs_well(include_str!("plans/a_host_that_looks_once_more.json"));
}

/// All machines start with clocks that are an hour late, one after the other, as after a power cut without a time service.
/// Each node begins with timestamps above all that it had promised, so theirs differ by the time between the starts.
#[test]
fn clocks_that_all_went_back_before_a_start_hold_up_nobody() {
    for between in [0, 1000, 4000, 15_000, 60_000] {
        let mut story = Story::of(3);
        story.passes(20_000);
        for host in [LONDON, TOKYO, LIMA] {
            story.crash(host);
            story.step_clock(host, -HOUR);
            story.passes(between);
            story.start(host);
            story.passes(2000);
        }
        story.passes(KNOWN);
        let (refused, taken) = refuse(&mut story, 3, "together");
        assert!(refused.is_empty(), "{between} ms: {refused:?}");
        story.passes(2000);
        are_confirmed(&mut story, 3, &taken);
        [LONDON, TOKYO, LIMA].iter().for_each(|host| story.step_clock(*host, HOUR));
        story.passes(KNOWN);
        let (refused, taken) = refuse(&mut story, 3, "later");
        assert!(refused.is_empty(), "{between} ms: {refused:?}");
        are_confirmed(&mut story, 3, &taken);
        story.ends_well();
    }
}
