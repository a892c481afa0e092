//! The command `explore`: runs many seeds.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use forename_sim::marks;
use forename_sim::run::{Failure, Report, run};

use super::{End, Ended, Purpose, again, quiet_panics, told};
use progress::Progress;

mod progress;

/// The number of seeds from which on a round must reach all required marks.
const ROUND: u64 = 500;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many seeds; 1000 where no time is given.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Threads; by default one a core.
    #[arg(long)]
    jobs: Option<usize>,
    /// Go on until so many minutes are over.
    #[arg(long)]
    minutes: Option<f64>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 3)]
    failures: usize,
    #[command(flatten)]
    purpose: Purpose,
}

impl Options {
    pub(crate) fn work(&self) -> Ended {
        quiet_panics();
        let limit = Limit::of(self);
        let next = AtomicU64::new(self.first);
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let (sender, reports) = mpsc::channel();
        let round = thread::scope(|scope| {
            for _ in 0..self.jobs.unwrap_or(cores).max(1) {
                let (sender, next, limit) = (sender.clone(), &next, &limit);
                scope.spawn(move || {
                    self.purpose.plant();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if limit.is_reached(seed - self.first) {
                            return;
                        }
                        if sender.send((seed, run(&self.purpose.plan(seed)))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            self.collect(&limit, reports)
        });
        Ok(self.tell(round, limit.started.elapsed()))
    }

    /// Collects the reports. The threads stop when this function returns, because nobody takes their reports any more.
    fn collect(&self, limit: &Limit, reports: mpsc::Receiver<(u64, Report)>) -> Round {
        let mut round = Round::default();
        let mut progress = Progress::start();
        for (seed, report) in reports {
            if let Some(failure) = &report.failure {
                let violation = failure.violation();
                progress.say(&format!("seed {seed}: {}: {}", violation.check, violation.text));
            }
            round.add(seed, report);
            if round.failures.len() >= self.failures.max(1) {
                break;
            }
            progress.show(limit.part(round.seeds), || round.pace(limit.started.elapsed()));
        }
        progress.end();
        round
    }

    fn tell(&self, mut round: Round, took: Duration) -> End {
        let (requests, ops, seconds) = (round.requests, round.ops, took.as_secs_f64());
        println!("{}, {requests} requests and {ops} ops in {seconds:.0} s", round.pace(took));
        for (mark, times) in &round.reached {
            println!("{times:8} {mark}");
        }
        for (kind, list) in [("required", marks::REQUIRED), ("rare", marks::RARE)] {
            let missed = round.missed(list);
            if !missed.is_empty() {
                println!("{kind}, and never reached: {}", missed.join("; "));
            }
        }
        // Threads finish in any order, so the failures are sorted.
        round.failures.sort_by_key(|(seed, _)| *seed);
        for (seed, report) in &round.failures {
            println!("{}\n  {}", told(*seed, report), again(*seed, self.purpose));
        }
        let end = round.end();
        if end == End::Missed {
            println!("a round of {ROUND} seeds or more must reach every required mark");
        }
        end
    }
}

/// The limit at which to stop.
struct Limit {
    started: Instant,
    seeds: Option<u64>,
    time: Option<Duration>,
}

impl Limit {
    fn of(options: &Options) -> Self {
        let time = options.minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
        let seeds = options.seeds.or(if time.is_none() { Some(1000) } else { None });
        #[allow(clippy::disallowed_methods)] // the command tells how fast it is
        let started = Instant::now();
        Self { started, seeds, time }
    }

    fn is_reached(&self, begun: u64) -> bool {
        self.seeds.is_some_and(|seeds| begun >= seeds) || self.time.is_some_and(|time| self.started.elapsed() >= time)
    }

    /// Returns the part of the work that is done, between 0 and 1.
    fn part(&self, done: u64) -> f64 {
        let seeds = self.seeds.map_or(0.0, |seeds| done as f64 / seeds.max(1) as f64);
        let time = self.time.map_or(0.0, |time| self.started.elapsed().as_secs_f64() / time.as_secs_f64());
        seeds.max(time).min(1.0)
    }
}

/// The results of the seeds.
#[derive(Default)]
struct Round {
    seeds: u64,
    requests: usize,
    ops: usize,
    /// The virtual time of all runs in milliseconds.
    lasted: u64,
    reached: BTreeMap<&'static str, u64>,
    failures: Vec<(u64, Report)>,
}

impl Round {
    fn add(&mut self, seed: u64, report: Report) {
        self.seeds += 1;
        self.requests += report.requests;
        self.ops += report.ops;
        self.lasted += report.lasted;
        for mark in &report.marks {
            *self.reached.entry(mark).or_default() += 1;
        }
        if report.failure.is_some() {
            self.failures.push((seed, report));
        }
    }

    fn pace(&self, took: Duration) -> String {
        let seconds = took.as_secs_f64().max(f64::EPSILON);
        let (rate, hours) = (self.seeds as f64 / seconds, self.lasted as f64 / 3.6e6 / seconds);
        let (seeds, failures) = (self.seeds, self.failures.len());
        format!("{seeds} seeds, {failures} failures, {rate:.0} seeds a second, {hours:.2} simulated hours a second")
    }

    fn missed(&self, marks: &[&'static str]) -> Vec<&'static str> {
        marks.iter().filter(|mark| !self.reached.contains_key(*mark)).copied().collect()
    }

    /// Returns the gravest failure. Missed marks count only where there was no failure and the round was long enough to
    /// reach them.
    fn end(&self) -> End {
        let failures = self.failures.iter().filter_map(|(_, report)| report.failure.as_ref());
        let missed = self.seeds >= ROUND && !self.missed(marks::REQUIRED).is_empty();
        failures.map(|failure: &Failure| End::from(failure)).min().unwrap_or(if missed {
            End::Missed
        } else {
            End::Well
        })
    }
}

#[cfg(test)]
mod tests;
