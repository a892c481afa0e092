//! Stories of readers.

use forename::model::{NameStatus, Status};
use forename::replica::Refusal;
use forename_sim::story::Story;

const LONDON: usize = 0;
const TOKYO: usize = 1;
const LIMA: usize = 2;
const READER: usize = 3;

/// How long a sponsor keeps ops for a reader that takes its snapshot, in milliseconds.
const TTL: u64 = 60_000;

fn with_one() -> Story {
    let mut story = Story::with_readers(3, &[LONDON], TTL);
    story.makes_private(LONDON, "vault");
    story
}

#[test]
fn a_reader_sees_what_members_decide_and_changes_nothing() {
    let mut story = with_one();
    let early = story.claims(TOKYO, &["alice"]);
    story.passes(1000);
    story.start(READER);
    story.passes(3000);
    assert!(!story.is_member(READER));
    let view = story.cluster(READER);
    assert!(view.reader && view.members.len() == 3, "{view:?}");
    let hidden = story.claims(LIMA, &["vault/hush-a-bye-ann"]);
    let late = story.claims(LONDON, &["bob"]);
    // Members keep no log here, so a reader that is a moment late takes the state anew.
    story.passes(5000);
    for slot in [early, hidden, late] {
        assert_eq!(story.status(READER, slot), Some(Status::Confirmed));
    }
    assert_eq!(story.name(READER, "vault/hush-a-bye-ann"), NameStatus::Held);
    let own = story.claims(READER, &["carol"]);
    assert!(matches!(story.refused(own), Some(Refusal::Reader { .. })), "{:?}", story.refused(own));
    assert_eq!(story.cluster(TOKYO).members.len(), 3);
    story.ends_well();
}

#[test]
fn nobody_waits_for_a_reader_and_no_log_is_kept_for_one_that_is_away() {
    let mut story = with_one();
    story.start(READER);
    story.passes(3000);
    story.crash(READER);
    let away = story.claims(TOKYO, &["alice"]);
    story.passes(100);
    assert_eq!(story.status(LONDON, away), Some(Status::Confirmed));
    story.passes(5000);
    for city in [LONDON, TOKYO, LIMA] {
        assert_eq!(story.logged(city, TOKYO), 0, "host {city} has truncated the log");
    }
    story.start(READER);
    story.passes(8000);
    assert_eq!((story.status(READER, away), story.incarnation(READER)), (Some(Status::Confirmed), 0));
    story.ends_well();
}

#[test]
fn a_reader_that_reaches_one_member_decides_nothing_that_an_eviction_makes_void() {
    let mut story = with_one();
    story.start(READER);
    story.passes(3000);
    // The reader is on the side of a member that is going to be evicted.
    story.split(&[LIMA, READER]);
    let theirs = story.claims(LIMA, &["alice"]);
    story.passes(3000);
    assert_eq!(story.status(READER, theirs), Some(Status::Pending));
    let ours = story.claims(LONDON, &["alice"]);
    assert_eq!(story.evicts(LONDON, LIMA), Ok(()));
    story.passes(2000);
    assert_eq!(story.status(LONDON, ours), Some(Status::Confirmed));
    assert_eq!(story.status(READER, theirs), Some(Status::Pending), "it hears of no promise of the others");
    story.heal();
    story.passes(20_000);
    assert_eq!(story.status(READER, ours), Some(Status::Confirmed));
    assert_eq!(story.status(READER, theirs), Some(Status::Rejected));
    story.ends_well();
}

/// A reader has the state before it has the key of private names, and until then each of these would look free.
#[test]
fn a_private_name_that_is_taken_is_never_said_to_be_free() {
    let mut story = with_one();
    story.claims(LIMA, &["vault/hush-a-bye-ann"]);
    story.passes(1000);
    story.start(READER);
    let (mut without_key, mut held) = (0, 0);
    for _ in 0..200 {
        story.passes(1);
        match story.looks_up(READER, "vault/hush-a-bye-ann") {
            Ok(status) => {
                assert_eq!(status, NameStatus::Held);
                held += 1;
            }
            Err(Refusal::Unavailable(_)) => without_key += 1,
            Err(refusal) => assert_eq!(refusal, Refusal::NotMember, "it has no state yet"),
        }
    }
    assert!(without_key > 0 && held > 0, "{without_key} {held}");
    story.ends_well();
}
