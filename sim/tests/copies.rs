//! Stories of data directories that are not a node's latest: put back from a copy, or running twice.

use forename::model::{EventType, Status};
use forename_sim::plan::{CopyRun, Kind, Pick, Trouble};
use forename_sim::run::runs_well;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

/// Returns true where a node stops by itself within five seconds. A second later its operator makes it rejoin.
fn stops(story: &mut Story, host: usize) -> bool {
    (0..100).any(|_| {
        story.passes(50);
        story.stopped(host).is_some()
    })
}

/// Puts Lima's disk back as it was before it took "bob".
fn lima_is_put_back() -> (Story, u32) {
    let mut story = Story::of(3);
    story.claims(LONDON, &["alice"]);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    let bob = story.claims(LIMA, &["bob"]);
    story.passes(500);
    assert_eq!(story.status(LONDON, bob), Some(Status::Confirmed));
    story.crash(LIMA);
    story.restore_disk(LIMA, &old);
    (story, bob)
}

#[test]
fn an_old_directory_stops_before_it_issues_anything_and_rejoins_as_somebody_else() {
    let (mut story, bob) = lima_is_put_back();
    story.start(LIMA);
    story.passes(500);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("older than what peers have seen") && why.contains("forename rejoin"), "{why}");
    story.passes(5000);
    assert_eq!(story.incarnation(LIMA), 1, "its operator did as it was told");
    let members = story.cluster(LONDON).members.len();
    assert_eq!(members, 3, "its earlier life has retired by itself");
    assert_eq!(story.status(LIMA, bob), Some(Status::Confirmed));
    story.ends_well();
}

/// Returns the types of the events about a registration in Lima's feed.
fn told_of(story: &mut Story, slot: u32) -> Vec<EventType> {
    let id = story.sees(LIMA, slot).expect("it is known").id;
    let told = story.feed(LIMA).into_iter().filter(|event| event.data.registration.id == id);
    told.map(|event| event.event_type).collect()
}

/// The reader never got the outcome of "bob" in the feed that is lost. It is sent to the new feed.
#[test]
fn a_reader_of_a_feed_that_was_put_back_is_sent_to_the_next_and_misses_nothing() {
    let (mut story, bob) = lima_is_put_back();
    story.start(LIMA);
    story.passes(5500);
    let carla = story.claims(LIMA, &["carla"]);
    story.passes(500);
    assert_eq!(story.feed(LIMA)[0].cursor.unwrap().number, 1, "it has begun anew");
    for slot in [bob, carla] {
        assert_eq!(told_of(&mut story, slot), [EventType::Accepted, EventType::Confirmed]);
    }
    story.ends_well();
}

#[test]
fn what_an_old_directory_took_alone_is_registered_again_once_it_meets_those_who_know_better() {
    let (mut story, bob) = lima_is_put_back();
    story.split(&[LIMA]);
    story.start(LIMA);
    let early = story.claims(LIMA, &["carla"]);
    story.passes(1000);
    assert!(story.told(early).is_none(), "it waits for a majority to compare logs with");
    story.passes(5000);
    assert_eq!(story.told(early).map(|view| view.status), Some(Status::Pending), "it serves alone at last");
    story.heal();
    story.passes(300);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("peers hold another op"), "{why}");
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 1);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, bob), Some(Status::Confirmed), "what peers hold is safe");
        assert_eq!(story.status(city, early), Some(Status::Confirmed), "and so is what only the copy had");
    }
    assert_eq!(told_of(&mut story, bob), [EventType::Accepted, EventType::Confirmed]);
    story.ends_well();
}

#[test]
fn of_two_that_run_on_one_directory_the_second_to_meet_the_others_stops() {
    let mut story = Story::of(3);
    story.claims(LONDON, &["alice"]);
    story.passes(500);
    let copy = story.copy_disk(LIMA);
    story.split(&[LIMA]);
    story.passes(5000);
    let dora = story.claims(LIMA, &["dora"]);
    story.passes(100);
    story.crash(LIMA);
    let original = story.copy_disk(LIMA);
    story.run_copy(LIMA, &copy);
    story.heal();
    story.start(LIMA);
    story.passes(500);
    let emil = story.claims(LIMA, &["emil"]);
    story.passes(500);
    assert_eq!(story.status(TOKYO, emil), Some(Status::Confirmed), "nobody can tell it from the original");
    story.crash(LIMA);
    story.restore_disk(LIMA, &original);
    story.start(LIMA);
    story.passes(1000);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("peers hold another op"), "{why}");
    story.passes(8000);
    for registration in [dora, emil] {
        assert_eq!(story.status(LIMA, registration), Some(Status::Confirmed), "what either took");
    }
    story.ends_well();
}

#[test]
fn an_old_directory_of_an_earlier_life_takes_an_id_that_was_never_used() {
    let mut story = Story::of(3);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(5000);
    assert_eq!(story.incarnation(LIMA), 1);
    let alice = story.claims(LIMA, &["alice"]);
    story.passes(500);
    story.crash(LIMA);
    story.restore_disk(LIMA, &old);
    story.start(LIMA);
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 2, "its first life is out, its second one has issued ops");
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    assert_eq!(told_of(&mut story, alice), [EventType::Accepted, EventType::Confirmed]);
    story.ends_well();
}

/// The node had issued nothing since the copy was made, but it had promised more than the copy knows of. The machine's
/// clock went back with its disk, as with a snapshot of a whole machine.
#[test]
fn a_copy_that_comes_back_with_the_clock_of_its_machine_stops_where_others_were_promised_more() {
    let mut story = Story::of(3);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.passes(60_000);
    story.crash(LIMA);
    story.step_clock(LIMA, -60_000);
    story.restore_disk(LIMA, &old);
    story.split(&[LIMA]);
    story.start(LIMA);
    story.passes(6000);
    let ann = story.claims(LIMA, &["alice"]);
    assert_eq!(story.told(ann).map(|view| view.status), Some(Status::Pending), "it serves alone at last");
    story.step_clock(LIMA, 60_000);
    story.heal();
    story.passes(1000);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("forename rejoin"), "{why}");
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 1);
    let bob = story.claims(LIMA, &["bob"]);
    story.passes(1000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, ann), Some(Status::Confirmed), "what only the copy had");
        assert_eq!(story.status(city, bob), Some(Status::Confirmed), "nothing stalls");
    }
    story.ends_well();
}

/// The node had issued nothing since the copy was made, but it had promised more than the copy knows of. A first
/// process takes the ops of a member that has forgotten the promise, and ends. It must not store a ceiling as high as
/// that promise.
#[test]
fn a_copy_stops_where_others_were_promised_more_also_at_its_second_start() {
    let mut story = Story::of(5);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.passes(60_000);
    for city in [LIMA, LONDON] {
        story.crash(city);
    }
    story.restore_disk(LIMA, &old);
    story.split(&[LIMA, LONDON]);
    story.start(LONDON);
    story.passes(8000);
    story.claims(LONDON, &["alice"]);
    story.start(LIMA);
    story.passes(1000);
    story.crash(LIMA);
    story.heal();
    story.start(LIMA);
    assert!(stops(&mut story, LIMA), "others were promised more");
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 1);
    story.ends_well();
}

/// The node had issued nothing since the copy was made, but it had said that it holds "alice".
#[test]
fn a_copy_stops_where_others_remember_that_it_held_more() {
    let mut story = Story::of(3);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    let alice = story.claims(LONDON, &["alice"]);
    story.passes(100);
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    story.crash(LIMA);
    story.restore_disk(LIMA, &old);
    story.start(LIMA);
    story.passes(500);
    let why = story.stopped(LIMA).expect("it stops");
    assert!(why.contains("forename rejoin"), "{why}");
    story.passes(8000);
    assert_eq!(story.incarnation(LIMA), 1);
    assert_eq!(story.status(LIMA, alice), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_copy_of_which_nobody_knows_more_goes_on() {
    let mut story = Story::of(3);
    let alice = story.claims(LIMA, &["alice"]);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.crash(LIMA);
    story.step_clock(LIMA, -3000);
    story.run_copy(LIMA, &old);
    story.start(LIMA);
    story.passes(1000);
    assert_eq!((story.incarnation(LIMA), story.stopped(LIMA)), (0, None));
    let bob = story.claims(LIMA, &["bob"]);
    story.passes(500);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, alice), Some(Status::Confirmed));
        assert_eq!(story.status(city, bob), Some(Status::Confirmed));
    }
    story.ends_well();
}

/// While the directory was put aside, a copy of it promised London and Tokyo to issue nothing as early as "dora".
#[test]
fn a_directory_whose_op_lies_below_what_its_copy_promised_stops_and_rejoins() {
    let mut story = Story::of(3);
    story.passes(500);
    let copy = story.copy_disk(LIMA);
    story.split(&[LIMA]);
    story.passes(100);
    let dora = story.claims(LIMA, &["dora"]);
    story.passes(100);
    story.crash(LIMA);
    let original = story.copy_disk(LIMA);
    story.run_copy(LIMA, &copy);
    story.heal();
    story.start(LIMA);
    story.passes(1000);
    story.crash(LIMA);
    story.restore_disk(LIMA, &original);
    story.start(LIMA);
    assert!(stops(&mut story, LIMA), "its op would never be taken, nor anything after it");
    story.passes(8000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.status(city, dora), Some(Status::Confirmed));
    }
    story.ends_well();
}

/// Returns the status of a claim of Lima's directory and of one of its copy, once all have met and Lima has rejoined.
/// Checks that it is the same everywhere.
fn is_settled(story: &mut Story, claims: [u32; 2]) -> [Option<Status>; 2] {
    let all = [LONDON, TOKYO, LIMA].map(|city| claims.map(|claim| story.status(city, claim)));
    assert!(all.iter().all(|view| *view == all[0]), "{all:?}");
    all[0]
}

/// Two different ops have the same number. London has the op of the directory, Tokyo the op of its copy.
#[test]
fn of_a_log_that_was_continued_twice_nothing_more_is_decided_and_one_claim_wins_after_the_rejoin() {
    let mut story = Story::of(3);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.split(&[TOKYO]);
    story.passes(100);
    let ann = story.claims(LIMA, &["alice"]);
    story.passes(500);
    assert_eq!(story.status(LONDON, ann), Some(Status::Pending), "Tokyo is out of reach");
    story.crash(LIMA);
    story.heal();
    story.split(&[LONDON]);
    story.restore_disk(LIMA, &old);
    story.start(LIMA);
    story.passes(1500);
    let bob = story.claims(LIMA, &["alice"]);
    story.passes(500);
    assert_eq!(story.status(TOKYO, bob), Some(Status::Pending), "London is out of reach");
    story.crash(LIMA);
    story.heal();
    story.passes(3000);
    for city in [LONDON, TOKYO] {
        assert_eq!(story.forks(city), [story.node(LIMA)], "both say that there are two logs");
        for claim in [ann, bob] {
            assert_ne!(story.status(city, claim), Some(Status::Confirmed), "nothing more of either is decided");
        }
    }
    story.start(LIMA);
    assert!(stops(&mut story, LIMA));
    story.passes(20_000);
    // It rejoins once more where its first state came from the log that does not count.
    assert!(story.incarnation(LIMA) > 0);
    let mut ends = is_settled(&mut story, [ann, bob]);
    ends.sort_unstable();
    assert_eq!(ends, [Some(Status::Confirmed), Some(Status::Rejected)]);
    assert!(story.forks(LONDON).is_empty() && story.forks(TOKYO).is_empty(), "it is over");
    story.ends_well();
}

/// Ann was told at London that she has the name, before a copy of Lima's directory gave it to Bob.
#[test]
fn what_was_confirmed_stays_though_a_copy_of_its_log_was_continued_elsewhere() {
    let mut story = Story::of(3);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.cut_way(LONDON, TOKYO);
    story.cut_way(LIMA, TOKYO);
    story.passes(100);
    let ann = story.claims(LIMA, &["alice"]);
    story.passes(2000);
    assert_eq!(story.status(LONDON, ann), Some(Status::Confirmed), "Tokyo is heard, though it hears nobody");
    story.crash(LIMA);
    story.heal();
    story.split(&[LONDON]);
    story.restore_disk(LIMA, &old);
    story.start(LIMA);
    story.passes(1500);
    let bob = story.claims(LIMA, &["alice"]);
    story.passes(500);
    assert_eq!(story.status(TOKYO, bob), Some(Status::Pending), "London is out of reach");
    story.heal();
    assert!(stops(&mut story, LIMA));
    story.passes(20_000);
    assert!(story.incarnation(LIMA) > 0);
    assert_eq!(is_settled(&mut story, [ann, bob]), [Some(Status::Confirmed), Some(Status::Rejected)]);
    story.ends_well();
}

/// Tokyo has another op of Lima's log than London. Still, what London has of Rome's log reaches Tokyo, in the same
/// message and behind an op of Lima's that Tokyo cannot take.
#[test]
fn where_the_ops_of_one_log_cannot_be_taken_those_of_others_are() {
    const ROME: usize = 3;
    let mut story = Story::of(4);
    story.passes(500);
    let old = story.copy_disk(LIMA);
    story.split(&[TOKYO]);
    story.passes(100);
    story.claims(LIMA, &["ann"]);
    story.claims(LIMA, &["anna"]);
    let dora = story.claims(ROME, &["dora"]);
    story.passes(500);
    story.crash(LIMA);
    story.heal();
    story.split(&[LONDON, ROME]);
    story.restore_disk(LIMA, &old);
    story.start(LIMA);
    story.passes(6000);
    let bob = story.claims(LIMA, &["bob"]);
    story.passes(500);
    assert!(story.sees(TOKYO, bob).is_some());
    story.crash(LIMA);
    story.heal();
    story.cut(&[(TOKYO, ROME)]);
    story.passes(5000);
    assert!(story.sees(TOKYO, dora).is_some(), "Rome's op is taken");
    story.heal();
    story.start(LIMA);
    story.passes(20_000);
    assert_eq!(story.incarnation(TOKYO), 1, "what it held is not what counts");
    for city in [LONDON, TOKYO, LIMA, ROME] {
        assert_eq!(story.status(city, dora), Some(Status::Confirmed));
    }
    story.ends_well();
}

/// London has neither of the two ops, and no promise of Lima's about them. It has only heard Lima say that it holds
/// them.
#[test]
fn what_a_node_said_to_hold_is_remembered_by_those_who_lack_it() {
    let mut story = Story::of(2);
    let lima = TOKYO;
    story.passes(500);
    let old = story.copy_disk(lima);
    story.cut(&[(LONDON, lima)]);
    story.claims(lima, &["ann"]);
    story.claims(lima, &["bob"]);
    story.passes(100);
    story.crash(lima);
    story.heal();
    // Lima starts, and promises nothing before it has compared logs.
    for (from, to, kind) in [(lima, LONDON, Kind::Ops), (LONDON, lima, Kind::Vector)] {
        story.suffers(Trouble::Picky(Pick { from, to, kind, lost: 100, late: 0 }), 60_000);
    }
    story.start(lima);
    story.passes(2000);
    story.crash(lima);
    story.heal();
    story.restore_disk(lima, &old);
    story.start(lima);
    assert!(stops(&mut story, lima));
    let why = story.stopped(lima).unwrap_or_default();
    assert!(why.contains("remembers its word that it held op 2"), "{why}");
    // Nobody has Ann's and Bob's ops any more: the old copy is all that is left of Lima.
    story.passes(10_000);
    assert_eq!((story.incarnation(lima), story.is_member(lima)), (1, true));
}

/// A directory and its copy were both used, and gave the same stamp to different registrations. The id of the first was
/// made from that stamp, and the next incarnation issues it anew. Nodes that know the second have not heard of the
/// first.
#[test]
fn a_registration_whose_stamp_a_copy_gave_to_another_is_told_to_all() {
    runs_well(include_str!("plans/two_that_were_stamped_alike.json"));
}

/// Only one member was promised more than the copy knows of. It had that promise in memory only, and crashed.
#[test]
fn a_copy_of_which_nobody_can_tell_that_it_is_one_goes_on() {
    runs_well(include_str!("plans/a_copy_whose_witness_lost_its_memory.json"));
}

/// A copy runs in place of a directory for a moment and takes an op that the directory lacks. Then the directory is
/// back. It gets that op before anybody can show that it lacks it, and goes on with its log.
#[test]
fn an_original_that_caught_up_with_its_copy_goes_on() {
    runs_well(include_str!("plans/an_original_that_caught_up_with_its_copy.json"));
}

/// A node that has issued nothing yet runs with an old copy of its directory. The first op of its log is the copy's,
/// and another member takes it before the copy is noticed. So it counts.
#[test]
fn the_first_op_of_a_node_may_be_one_of_a_copy() {
    runs_well(include_str!("plans/the_first_op_of_a_node_is_a_copys.json"));
}

/// A copy of a directory issues ops that most members hold. The original issues another op, of which only one member
/// hears. When the node comes back, that member has less of the right continuation than the others, and they had
/// decided more of it.
#[test]
fn who_knows_of_a_fork_and_has_less_does_not_undo_what_others_have_decided() {
    runs_well(include_str!("plans/one_that_knew_of_a_fork_and_had_less.json"));
}

/// A newcomer waits for its admission when its directory is copied. The copy runs for a moment, is let in, and promises. Then
/// the directory itself goes on, which is still waiting.
#[test]
fn a_copy_from_before_the_admission_is_noticed_while_it_waits() {
    runs_well(include_str!("plans/a_copy_from_before_it_was_let_in.json"));
}

/// Tokyo's directory takes an op that London never gets, and is put away. A copy from before that runs for two seconds and
/// promises; London confirms a name by that. Then the directory is back, at a time up to which it may have promised by
/// itself, so its ceiling does not tell it that it is old.
#[test]
fn an_op_below_a_promise_that_was_given_elsewhere_stops_its_node() {
    let mut story = Story::of(2);
    // A ceiling holds for five seconds. The directory raises it once more after the copy is made.
    story.passes(3900);
    story.suffers(Trouble::Cloned { host: TOKYO, alone: 400, run: CopyRun::default() }, 2000);
    story.passes(250);
    let bob = story.claims(TOKYO, &["alice"]);
    story.passes(1400);
    let ann = story.claims(LONDON, &["alice"]);
    story.passes(700);
    assert_eq!(story.status(LONDON, ann), Some(Status::Confirmed));
    // Otherwise London would find it out as well, and say so.
    story.suffers(Trouble::Picky(Pick { from: TOKYO, to: LONDON, kind: Kind::Ops, lost: 100, late: 0 }), 4000);
    assert!(stops(&mut story, TOKYO));
    let why = story.stopped(TOKYO).unwrap_or_default();
    assert!(why.contains("nothing follows op 0") && why.contains("forename rejoin"), "{why}");
    story.passes(15_000);
    assert_eq!(story.incarnation(TOKYO), 1);
    assert_eq!(story.status(TOKYO, ann), Some(Status::Confirmed));
    assert_eq!(story.status(TOKYO, bob), Some(Status::Rejected));
    story.ends_well();
}

/// The directory and a copy of it ran in turn. Of two members one had confirmed a name by a promise of the copy, and left as
/// soon as the directory, back again, let it go. Then the directory was alone, and gave the name to somebody else.
#[test]
fn a_copy_that_an_older_promise_denies_gives_nothing_away() {
    runs_well(include_str!("plans/a_copy_that_an_older_promise_denies.json"));
}

/// A copy starts. One member had been cut off for long and knows nothing that the copy lacks. Another one, which is connected
/// and about to answer, holds an op of the copy's node that nobody else has.
#[test]
fn a_copy_does_not_go_on_with_a_majority_while_another_is_about_to_answer() {
    runs_well(include_str!("plans/a_majority_that_knew_less_than_one_more.json"));
}
