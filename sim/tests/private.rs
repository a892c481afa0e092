//! Stories of private names: what is sent, what clients learn, and what stays at the node where the name was typed.

use forename::model::{EventType, NameStatus, Status};
use forename::replica::Refusal;
use forename_sim::plan::Wish;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;

fn of_three() -> Story {
    let mut story = Story::of(3);
    story.makes_private(LONDON, "vault");
    story
}

#[test]
fn a_taken_private_name_is_accepted_and_rejected_later_at_the_feed() {
    let mut story = of_three();
    let ann = story.claims(LONDON, &["vault/Hush-a-bye-ann"]);
    story.passes(100);
    // A client that may read is refused at once. One that may not read gets the same answer for a name that is taken as
    // for a free one: pending.
    let bob = story.claims(TOKYO, &["vault/hush-a-bye-ann"]);
    assert!(matches!(story.refused(bob), Some(Refusal::NameTaken { .. })));
    let eve = story.claims_discreetly(TOKYO, &["vault/hush-a-bye-ann"]);
    let dan = story.claims_discreetly(TOKYO, &["vault/hush-a-bye-dan"]);
    story.passes(1000);
    for slot in [eve, dan] {
        story.retries(TOKYO, slot);
        let told = story.told(slot).unwrap();
        assert_eq!((told.status, &told.waiting_for, &told.rejected_by), (Status::Pending, &vec![], &None));
    }
    for (slot, outcome) in [(ann, EventType::Confirmed), (eve, EventType::Rejected), (dan, EventType::Confirmed)] {
        let stamp = story.stamp(slot).unwrap();
        for city in [LONDON, TOKYO, LIMA] {
            let told: Vec<_> =
                story.feed(city).into_iter().filter(|event| event.data.registration.stamp == stamp).collect();
            let last = told.last().map(|event| event.event_type);
            assert_eq!((told.first().map(|event| event.event_type), last), (Some(EventType::Accepted), Some(outcome)));
        }
    }
    assert_eq!(story.sees(LIMA, eve).unwrap().rejected_by.unwrap().registration, story.told(ann).unwrap().id);
    story.ends_well();
}

#[test]
fn only_the_hash_travels() {
    let mut story = Story::with_joiners(3, &[LONDON]);
    story.makes_private(LONDON, "vault");
    let ann = story.claims(LONDON, &["vault/Hush-a-bye-ann"]);
    story.claims_discreetly(LONDON, &["vault/hush-a-bye-ANN"]);
    story.passes(1000);
    story.start(3);
    story.passes(5000);
    assert!(story.is_member(3));
    assert_eq!(story.has_written(LONDON, "hush-a-bye-ann"), ["typed"]);
    for city in [TOKYO, LIMA, 3] {
        assert_eq!(story.has_written(city, "hush-a-bye-ann"), [""; 0], "host {city}");
        assert_eq!(story.name(city, "vault/hush-a-bye-ann"), NameStatus::Held, "but it is found");
        assert_eq!(story.sees(city, ann).unwrap().names[0].name, "");
    }
    assert_eq!(story.sees(LONDON, ann).unwrap().names[0].name, "Hush-a-bye-ann");
    // The checks of a story also look for the name in messages.
    story.ends_well();
}

#[test]
fn after_an_eviction_the_owner_still_reads_back_the_name() {
    let mut story = of_three();
    let before = story.claims(LIMA, &["vault/Hush-a-bye-before"]);
    story.passes(500);
    story.split(&[LIMA]);
    let lima = story.claims(LIMA, &["vault/Hush-a-bye-lima"]);
    let taken = story.claims_discreetly(LIMA, &["vault/hush-a-bye-meanwhile"]);
    story.passes(500);
    story.claims(TOKYO, &["vault/hush-a-bye-meanwhile"]);
    story.evicts(LONDON, LIMA).unwrap();
    story.passes(5000);
    story.heal();
    story.passes(20_000);
    assert_eq!(story.incarnation(LIMA), 1);
    for (slot, name, status) in [
        (before, "Hush-a-bye-before", Status::Confirmed),
        (lima, "Hush-a-bye-lima", Status::Confirmed),
        (taken, "hush-a-bye-meanwhile", Status::Rejected),
    ] {
        let view = story.sees(LIMA, slot).unwrap();
        assert_eq!((view.names[0].name.as_str(), view.status), (name, status));
        let elsewhere = story.sees(LONDON, slot).unwrap();
        assert_eq!((elsewhere.names[0].name.as_str(), elsewhere.status), ("", status));
    }
    assert_eq!(story.name(TOKYO, "vault/hush-a-bye-lima"), NameStatus::Held, "under the same key as before");
    story.ends_well();
}

#[test]
fn a_discreet_claim_loses_to_a_claim_that_is_not_decided_and_to_one_that_ends() {
    let mut story = of_three();
    story.split(&[LIMA]);
    let pending = story.claims(TOKYO, &["vault/hush-a-bye-pending"]);
    let ending = story.claims(TOKYO, &["vault/hush-a-bye-ending"]);
    let reserved = story.reserves(TOKYO, &["vault/hush-a-bye-reserved"], 1000);
    story.releases(TOKYO, ending);
    story.passes(3000);
    let names = ["vault/hush-a-bye-pending", "vault/hush-a-bye-ending", "vault/hush-a-bye-reserved"];
    let eve = names.map(|name| story.claims_discreetly(LONDON, &[name]));
    // On the other side of the cut no node knows of these claims.
    let lima = names.map(|name| story.claims_discreetly(LIMA, &[name]));
    story.passes(1000);
    for slot in eve.into_iter().chain(lima) {
        assert_eq!(story.told(slot).unwrap().status, Status::Pending);
    }
    story.heal();
    story.passes(5000);
    for (mine, theirs) in eve.into_iter().zip(lima) {
        assert_eq!(story.status(LIMA, mine), Some(Status::Rejected));
        assert_eq!(story.status(LONDON, theirs), Some(Status::Rejected), "the earlier claim has it");
    }
    assert_eq!(story.status(LIMA, pending), Some(Status::Confirmed));
    assert_eq!(story.status(LIMA, reserved), Some(Status::Confirmed));
    // The names are free again and can be claimed as any other.
    let late = story.claims_discreetly(LIMA, &["vault/hush-a-bye-ending", "vault/hush-a-bye-reserved"]);
    story.passes(1000);
    assert_eq!(story.status(TOKYO, late), Some(Status::Confirmed));
    story.ends_well();
}

#[test]
fn a_discreet_claim_is_refused_where_a_public_name_would_tell_the_outcome() {
    let mut story = of_three();
    story.claims(LONDON, &["vault/hush-a-bye-ann"]);
    for name in ["vault/hush-a-bye-ann", "vault/hush-a-bye-free"] {
        let both = story.claims_discreetly(LONDON, &["eve", name]);
        assert!(matches!(story.refused(both), Some(Refusal::NeedsRead(_))), "{:?}", story.refused(both));
    }
    let names = vec!["vault/hush-a-bye-free".to_owned(), "vault/hush-a-bye-ann".to_owned()];
    let two = story.wishes(TOKYO, Wish { discreet: true, names, ttl: Some(2000), ..Wish::default() });
    assert_eq!(story.told(two).unwrap().status, Status::Pending);
    story.passes(5000);
    assert_eq!(story.status(LIMA, two), Some(Status::Rejected));
    assert_eq!(story.name(LIMA, "vault/hush-a-bye-free"), NameStatus::Available, "all or nothing");
    story.ends_well();
}
