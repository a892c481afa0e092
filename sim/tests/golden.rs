//! Golden runs: some seeds run exactly as they did when their hashes were committed.

use forename_sim::golden::{difference, lines};

#[test]
fn known_seeds_run_as_they_did() {
    if let Some(text) = difference(include_str!("golden.txt"), &lines()) {
        panic!("{text}");
    }
}
