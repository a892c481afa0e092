//! The command `verify`: the same seed must give the same run. It is compared in two processes, which have other
//! addresses and other random states, and in two builds, which the compiler has arranged differently.

use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::compare::{Compared, compare};
use super::{End, Ended, Error, Purpose};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The first seed.
    #[arg(long)]
    seed: u64,
    /// How many.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Only this build, in two processes.
    #[arg(long, conflicts_with = "against")]
    one_build: bool,
    /// Another build of this program to compare with, such as that of an earlier commit; by default the one of the other
    /// profile, which cargo builds.
    #[arg(long)]
    against: Option<PathBuf>,
    #[command(flatten)]
    purpose: Purpose,
}

/// The names of this build's profile and of the other one.
const PROFILES: (&str, &str) = if cfg!(debug_assertions) { ("debug", "release") } else { ("release", "debug") };

impl Options {
    pub(crate) fn work(&self) -> Ended {
        let own = std::env::current_exe().map_err(|error| Error::Program("this program".into(), error))?;
        let here = format!("the {} build", PROFILES.0);
        let mut others = vec![(format!("another process of {here}"), own.clone())];
        match &self.against {
            Some(program) => others.push((program.display().to_string(), program.clone())),
            None if self.one_build => {}
            None => others.push((format!("the {} build", PROFILES.1), other_build()?)),
        }
        let mut end = End::Well;
        for seed in self.seed..self.seed.saturating_add(self.seeds) {
            let mut alike = None;
            for (name, program) in &others {
                let compared = self.compare(seed, &own, program)?;
                if let Compared::Differs { .. } = compared {
                    show(seed, (&here, name), &compared);
                    (alike, end) = (None, End::Differs);
                    break;
                }
                alike = Some(compared);
            }
            if let Some(Compared::Same { lines, last }) = alike {
                let hash = hash_in(&last).ok_or(Error::NoResult(seed))?;
                let places: Vec<_> = others.iter().map(|(name, _)| name.as_str()).collect();
                println!("seed {seed}: {lines} lines, the same in {here}, {}; hash {hash}", places.join(", "));
            }
        }
        Ok(end)
    }

    fn compare(&self, seed: u64, left: &Path, right: &Path) -> Result<Compared, Error> {
        let (mut left, mut right) = (self.start(seed, left)?, self.start(seed, right)?);
        let compared = compare(left.output()?, right.output()?).map_err(Error::Output)?;
        left.end();
        right.end();
        Ok(compared)
    }

    fn start(&self, seed: u64, program: &Path) -> Result<Run, Error> {
        let mut command = Command::new(program);
        command.args(["run", "--trace", "--seed", &seed.to_string()]);
        command.args(self.purpose.to_string().split_whitespace());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| Error::Program(program.to_owned(), error))?;
        Ok(Run { child, program: program.to_owned() })
    }
}

/// Finds the hash of a run in the last lines that it printed.
fn hash_in(last: &[String]) -> Option<&str> {
    last.iter().rev().find_map(|line| Some(line.rsplit_once(", hash ")?.1))
}

/// A process that runs a seed.
struct Run {
    child: Child,
    program: PathBuf,
}

impl Run {
    fn output(&mut self) -> Result<BufReader<std::process::ChildStdout>, Error> {
        let gone = || Error::Program(self.program.clone(), std::io::ErrorKind::BrokenPipe.into());
        self.child.stdout.take().map(BufReader::new).ok_or_else(gone)
    }

    /// Ends the process. It may still be writing, but nobody needs that output: the result is in its last line.
    fn end(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn show(seed: u64, (here, there): (&str, &str), compared: &Compared) {
    let Compared::Differs { line, before, left, right } = compared else { return };
    println!("seed {seed}: not deterministic: line {line} of the trace differs");
    before.iter().for_each(|line| println!("      {line}"));
    for (sign, name, lines) in [('-', here, left), ('+', there, right)] {
        println!("    {sign} {name}:");
        if lines.is_empty() {
            println!("    {sign} (its trace has ended)");
        }
        lines.iter().for_each(|line| println!("    {sign} {line}"));
    }
}

/// Lets cargo build this program in the other profile, and returns its path.
fn other_build() -> Result<PathBuf, Error> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut cargo = Command::new(&program);
    cargo.args(["build", "--package", "forename-sim", "--bin", "forename-sim", "--locked"]);
    cargo.args(["--message-format", "json-render-diagnostics", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    if cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    if cfg!(feature = "planted") {
        cargo.args(["--features", "planted"]);
    }
    let built = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| Error::NoOtherBuild(format!("{}: {error}", program.display())))?;
    if !built.status.success() {
        return Err(Error::NoOtherBuild(format!("cargo build: {}", built.status)));
    }
    // Cargo prints one message in each line. The message about the finished program has its path.
    let said = String::from_utf8_lossy(&built.stdout);
    let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found = messages.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?))).next_back();
    found.ok_or_else(|| Error::NoOtherBuild("cargo build does not say where the program is".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::hash_in;

    #[test]
    fn runs_that_broke_off_have_no_result() {
        let lines = |text: &[&str]| text.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(hash_in(&lines(&["12 an event", "seed 1: well; 3 ops, hash 00ff", "  again"])), Some("00ff"));
        assert_eq!(hash_in(&lines(&["12 an event"])), None);
        assert_eq!(hash_in(&[]), None);
    }
}
