//! Members that send their promises unasked: how soon claims between distant cities are final, and what it costs.

use forename_sim::plan::Loss;
use forename_sim::story::Story;

const LONDON: usize = 0;
const NEW_YORK: usize = 1;
const TOKYO: usize = 2;

/// One-way latencies in milliseconds: London and New York, London and Tokyo, New York and Tokyo.
const APART: [u64; 3] = [45, 100, 125];

/// The milliseconds after which a claim is final: one way from the farthest member, or a round trip to the nearest
/// other one, whichever is more.
const BOUNDS: [(usize, u64); 3] = [(LONDON, 100), (NEW_YORK, 125), (TOKYO, 200)];

#[test]
fn a_claim_between_cities_is_final_after_one_way_and_not_after_a_round_trip_to_the_farthest() {
    let mut story = Story::apart(APART, 10);
    story.time_to_final(LONDON, "first");
    for (city, bound) in BOUNDS {
        for number in 0..5 {
            let took = story.time_to_final(city, &format!("name{city}of{number}"));
            assert!(took * 100 <= bound * 115, "{took} ms in city {city}, where {bound} are the least");
            // The claims come at different moments between two promises.
            story.passes(500 + 7 * number);
        }
    }
    story.ends_well();
}

#[test]
fn without_them_a_claim_is_final_after_a_round_trip_to_the_farthest() {
    let mut story = Story::apart(APART, 1000);
    story.time_to_final(LONDON, "first");
    for (city, round_trip) in [(LONDON, 200), (NEW_YORK, 250), (TOKYO, 250)] {
        let took = story.time_to_final(city, &format!("name{city}"));
        assert!(took >= round_trip, "{took} ms in city {city}");
        story.passes(500);
    }
    story.ends_well();
}

fn sent_within(story: &mut Story, millis: u64) -> u64 {
    let before = story.sent();
    story.passes(millis);
    story.sent() - before
}

#[test]
fn a_minute_after_the_last_claim_nothing_is_sent_beside_heartbeats() {
    let mut story = Story::apart(APART, 10);
    let idle = sent_within(&mut story, 10_000);
    story.time_to_final(LONDON, "alice");
    story.passes(1000);
    let used = sent_within(&mut story, 10_000);
    assert!(used > 10 * idle && used <= idle + 3 * 2 * 1000, "{used} messages in ten seconds, {idle} before");
    story.passes(55_000);
    let after = sent_within(&mut story, 10_000);
    assert!(after <= idle * 2, "{after} messages in ten seconds, {idle} before anything was registered");
    story.ends_well();
}

#[test]
fn a_member_that_is_cut_off_promises_nothing_to_the_others_and_holds_up_what_they_take() {
    let mut story = Story::apart(APART, 10);
    story.time_to_final(LONDON, "alice");
    story.crash(TOKYO);
    story.passes(2000);
    let bob = story.claims(LONDON, &["bob"]);
    story.passes(5000);
    assert!(story.told(bob).is_some_and(|view| !view.status.is_final()), "Tokyo may have taken it earlier");
    story.evicts(LONDON, TOKYO).unwrap();
    story.passes(3000);
    assert!(story.status(LONDON, bob).is_some_and(|status| status.is_final()));
    assert!(story.time_to_final(LONDON, "carol") <= 115, "a round trip to New York");
    story.ends_without(&[TOKYO], Loss::Down);
}
