//! The command line as a user sees it: its output and its exit codes.

use std::path::PathBuf;
use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_forename-sim")).args(arguments).output().expect("the simulator runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn two_processes_run_a_seed_alike() {
    let (code, told, errors) = sim(&["verify", "--seed", "3", "--seeds", "4", "--one-build"]);
    assert_eq!(code, 0, "{told}{errors}");
    for seed in 3..7 {
        assert!(told.contains(&format!("seed {seed}: ")), "{told}");
    }
    let (_, run, _) = sim(&["run", "--seed", "3"]);
    let hash = run.trim_end().rsplit_once(", hash ").expect("a run has a hash").1;
    assert!(told.lines().next().is_some_and(|line| line.ends_with(&format!("hash {hash}"))), "{told}{run}");
}

#[cfg(unix)]
#[test]
fn of_two_runs_that_differ_the_first_event_that_does_is_shown() {
    use std::os::unix::fs::PermissionsExt;

    // This stands for another build: its seed 3 runs like this build's for a while, and then has one event too many.
    let other = file("other-build");
    let script =
        format!("#!/bin/sh\n'{}' \"$@\" | sed '100i one event too many'\n", env!("CARGO_BIN_EXE_forename-sim"));
    std::fs::write(&other, script).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, told, errors) = sim(&["verify", "--seed", "3", "--against", other.to_str().unwrap()]);
    assert_eq!(code, 6, "{told}{errors}");
    assert!(told.contains("seed 3: not deterministic: line 100 of the trace differs"), "{told}");
    assert!(told.contains("    + one event too many"), "{told}");
    let (_, trace, _) = sim(&["run", "--seed", "3", "--trace"]);
    let lines: Vec<&str> = trace.lines().collect();
    assert!(told.contains(&format!("      {}", lines[98])), "what came before: {told}");
    assert!(told.contains(&format!("    - {}", lines[99])), "this side: {told}");
    assert!(told.contains(&format!("    + {}", lines[99])), "what came after: {told}");
}

#[test]
fn a_build_that_is_not_there_is_no_difference() {
    let (code, told, errors) = sim(&["verify", "--seed", "3", "--against", "/no/such/build"]);
    assert_eq!(code, 1, "{told}{errors}");
    assert!(errors.contains("/no/such/build cannot be run"), "{errors}");
}

#[test]
fn a_canary_is_reported_and_its_line_replays_it() {
    for (kind, wanted) in [("safety", 2), ("liveness", 3), ("panic", 4)] {
        let (code, told, errors) = sim(&["run", "--seed", "7", &format!("--canary={kind}")]);
        assert_eq!(code, wanted, "{told}{errors}");
        assert!(told.starts_with(&format!("seed 7: {kind}: ")), "{told}");
        let (cargo, line) = told.split_once(" -- ").expect("how to run it again");
        assert!(cargo.ends_with("\n  cargo run --release -p forename-sim"), "{told}");
        let arguments: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(arguments[..3], ["run", "--seed", "7"]);
        assert_eq!(sim(&arguments).1, told, "the line replays it");
    }
    assert_eq!(sim(&["run", "--canary"]).0, 2, "any seed will do");
}

#[test]
fn a_canary_shrinks_to_one_claim_that_still_fails() {
    let (code, plan, errors) = sim(&["shrink", "--seed", "7", "--canary"]);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("canary"), "{errors}");
    let shrunk: forename_sim::plan::Plan = serde_json::from_str(&plan).expect("a plan");
    assert_eq!((shrunk.actions.len(), shrunk.faults.len()), (1, 0), "{plan}");
    let path = file("canary.json");
    std::fs::write(&path, plan).unwrap();
    let (code, told, _) = sim(&["replay", path.to_str().unwrap()]);
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("safety: canary: "), "{told}");
}

#[test]
fn an_exploration_reports_canaries_and_stops() {
    let (code, told, errors) = sim(&["explore", "--first", "20", "--minutes", "60", "--failures", "2", "--canary"]);
    assert_eq!(code, 2, "{told}{errors}");
    assert!(told.contains(" 2 failures, "), "{told}");
    assert_eq!(told.matches("-- run --seed 2").count(), 2, "a line for each: {told}");
}

#[test]
fn an_exploration_says_what_it_reached_and_how_fast() {
    let (code, told, errors) = sim(&["explore", "--first", "300", "--seeds", "40", "--jobs", "2"]);
    assert_eq!(code, 0, "{told}{errors}");
    assert!(told.starts_with("40 seeds, 0 failures, "), "{told}");
    assert!(told.contains(" simulated hours a second"), "{told}");
    assert!(told.lines().any(|line| line.ends_with(" a client is told of a confirmation")), "{told}");
}

#[test]
fn an_exploration_ends_when_its_time_is_over() {
    let (code, told, errors) = sim(&["explore", "--minutes", "0.01"]);
    assert!(code == 0, "{told}{errors}");
}

#[test]
fn a_planted_bug_fails_by_the_command_too() {
    let (code, told, _) = sim(&["explore", "--seeds", "50", "--bug", "ToldTwice", "--failures", "1"]);
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("--features planted -- run --seed "), "{told}");
    assert!(told.contains(" --bug ToldTwice"), "{told}");
    assert_eq!(sim(&["run", "--seed", "1", "--bug", "NoSuchBug"]).0, 1);
}

#[test]
fn wrong_usage_and_missing_files_have_a_code_of_their_own() {
    assert_eq!(sim(&["run"]).0, 1);
    assert_eq!(sim(&["fly"]).0, 1);
    let (code, _, errors) = sim(&["replay", "/no/such/plan.json"]);
    assert_eq!(code, 1);
    assert!(errors.contains("/no/such/plan.json"), "{errors}");
    let (code, help, _) = sim(&["--help"]);
    assert_eq!(code, 0);
    assert!(help.contains("6  not deterministic"), "{help}");
}
