//! How members that were apart come to have the same logs.

use forename_sim::story::Story;

/// The one-way latency between any two members in milliseconds.
const ONE_WAY: u64 = 100;
/// The number of ops in one message.
const OPS: usize = 20;
/// The number of messages that each half lacks.
const MESSAGES: u32 = 40;

/// Returns how many milliseconds it takes until all members have the ops of both halves.
fn agreement(story: &mut Story) -> u64 {
    let all = u64::from(MESSAGES) * OPS as u64;
    let mut took = 0;
    while (0..4).any(|host| [0, 2].iter().any(|origin| story.holds(host, *origin) < all)) {
        story.passes(10);
        took += 10;
        assert!(took < 60_000, "the halves do not come to agree");
    }
    took
}

#[test]
fn two_halves_agree_within_a_few_round_trips_and_not_one_for_each_message() {
    let mut story = Story::telling_few(4, ONE_WAY, OPS);
    story.split(&[0, 1]);
    for host in [0, 2] {
        story.imports(host, MESSAGES * u32::try_from(OPS).unwrap(), 0);
    }
    story.passes(5000);
    story.heal();
    let took = agreement(&mut story);
    let round_trips = u64::from(MESSAGES) * 2 * ONE_WAY;
    println!("{took} ms; a round trip for each message would be {round_trips} ms");
    assert!(took < round_trips / 2, "{took} ms; a round trip for each message would be {round_trips} ms");
    story.ends_well();
}
