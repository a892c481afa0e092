//! Tells the program from which commit it is built, in release builds.
//!
//! A development build does not need the commit, and would be rebuilt after each commit.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let for_use = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if !for_use || env::var_os("CARGO_FEATURE_CLI").is_none() {
        return;
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=FORENAME_GIT={commit}");
    }
    for file in ["HEAD", "logs/HEAD"] {
        // A path that does not exist would make every build run this script again.
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// Runs git in the directory of this package and returns what it prints. None if that directory is not the root of a
/// repository, or if git is not installed.
fn git(arguments: &[&str]) -> Option<String> {
    let root = env::var_os("CARGO_MANIFEST_DIR")?;
    if !Path::new(&root).join(".git").exists() {
        return None;
    }
    let output = Command::new("git").args(arguments).current_dir(&root).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
