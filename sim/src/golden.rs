//! Golden runs: the hashes of the runs of a few seeds are committed, so that no change of behaviour of the replica or
//! of the simulator goes unnoticed.

use crate::generate::{Size, generate};
use crate::run::run;

/// The file in this package with the golden hashes.
pub const FILE: &str = "tests/golden.txt";

/// The command that renews the file.
pub const RENEW: &str = "cargo run --release -p forename-sim -- golden --renew";

/// The chosen seeds: clusters of every size, without faults and with many.
const CHOSEN: [(&str, u64); 8] = [
    ("small", 10),
    ("small", 12),
    ("medium", 2),
    ("medium", 7),
    ("medium", 19),
    ("medium", 1_000_003),
    ("large", 4),
    ("large", 11),
];

fn size(name: &str) -> Size {
    match name {
        "small" => Size { hosts: 3, actions: 90, ..Size::default() },
        "large" => Size { hosts: 9, actions: 900, ..Size::default() },
        _ => Size::default(),
    }
}

/// Runs the chosen seeds. Each line has the size of a plan and the outcome of its run.
#[must_use]
pub fn lines() -> Vec<String> {
    let line = |(name, seed): (&str, u64)| {
        let plan = generate(seed, size(name));
        let report = run(&plan);
        format!(
            "{name} {seed}: {} hosts, {} actions, {} faults; {} ops, {} steps, hash {:016x}",
            plan.hosts(),
            plan.actions.len(),
            plan.faults.len(),
            report.ops,
            report.steps,
            report.hash
        )
    };
    CHOSEN.into_iter().map(line).collect()
}

/// Describes where the known runs differ from these, and what to do about it; none where they are the same.
#[must_use]
pub fn difference(known: &str, lines: &[String]) -> Option<String> {
    let known: Vec<&str> = known.lines().collect();
    if known == lines {
        return None;
    }
    let mut text = "These seeds no longer run as they did:\n".to_owned();
    for at in 0..known.len().max(lines.len()) {
        let (was, is) = (known.get(at).copied(), lines.get(at).map(String::as_str));
        if was != is {
            text += &format!("  was {}\n  is  {}\n", was.unwrap_or("absent"), is.unwrap_or("absent"));
        }
    }
    text += "Where hosts, actions or faults differ, plans are generated otherwise. Where only the rest does, the \
             replica or the simulated machines behave otherwise.\n";
    Some(text + &format!("If that was the purpose of your change, renew the file and commit it: {RENEW}"))
}

#[cfg(test)]
mod tests {
    use super::{RENEW, difference};

    #[test]
    fn a_changed_run_is_named_and_so_is_the_way_to_renew_it() {
        let lines = ["small 1: hash 1".to_owned(), "large 2: hash 2".to_owned()];
        assert_eq!(difference("small 1: hash 1\nlarge 2: hash 2\n", &lines), None);
        let text = difference("small 1: hash 1\nlarge 2: hash 3\n", &lines).unwrap();
        assert!(text.contains("was large 2: hash 3\n  is  large 2: hash 2"), "{text}");
        assert!(!text.contains("small"), "{text}");
        assert!(text.contains(RENEW), "{text}");
        assert!(difference("small 1: hash 1\n", &lines).unwrap().contains("was absent"));
    }
}
