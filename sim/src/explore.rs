//! Runs one seed or many.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use forename_sim::generate::{Size, generate};
use forename_sim::marks;
use forename_sim::plan::Plan;
use forename_sim::report::page;
use forename_sim::run::{Failure, Report, run, trace};
use forename_sim::shrink::shrink;

/// How to explore.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Go on after so many failures.
    #[arg(long, default_value_t = 3)]
    failures: usize,
}

/// The exit code of a failure.
pub(crate) fn code(failure: Option<&Failure>) -> ExitCode {
    ExitCode::from(match failure {
        None => 0,
        Some(Failure::Safety(_)) => 2,
        Some(Failure::Liveness(_)) => 3,
        Some(Failure::Crash(_)) => 4,
    })
}

pub(crate) fn one(seed: u64, tracing: bool, html: Option<&Path>) -> ExitCode {
    let plan = generate(seed, Size::default());
    let report = watch(&plan, tracing);
    write_page(&plan, html);
    tell(seed, &report);
    code(report.failure.as_ref())
}

fn watch(plan: &Plan, tracing: bool) -> Report {
    if !tracing {
        return run(plan);
    }
    let (report, lines) = trace(plan);
    lines.iter().for_each(|line| println!("{line}"));
    report
}

/// The plan's run as a page, where a file for it is given.
fn write_page(plan: &Plan, html: Option<&Path>) {
    let Some(path) = html else { return };
    if let Err(error) = std::fs::write(path, page(plan).1) {
        eprintln!("{}: {error}", path.display());
    }
}

pub(crate) fn replay(path: &Path, tracing: bool, html: Option<&Path>) -> ExitCode {
    let plan = std::fs::read_to_string(path).map_err(|error| error.to_string());
    match plan.and_then(|text| serde_json::from_str::<Plan>(&text).map_err(|error| error.to_string())) {
        Ok(plan) => {
            let report = watch(&plan, tracing);
            write_page(&plan, html);
            tell(plan.seed, &report);
            code(report.failure.as_ref())
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::from(1)
        }
    }
}

pub(crate) fn shrunk(seed: u64, html: Option<&Path>) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let Some((plan, failure)) = shrink(&generate(seed, Size::default())) else {
        eprintln!("seed {seed} ends well: there is nothing to shrink");
        return ExitCode::SUCCESS;
    };
    eprintln!("{}: {}", failure.violation().check, failure.violation().text);
    write_page(&plan, html);
    match serde_json::to_string_pretty(&plan) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("the plan cannot be written: {error}"),
    }
    code(Some(&failure))
}

fn tell(seed: u64, report: &Report) {
    let Report { hash, lasted, steps, ops, .. } = report;
    match &report.failure {
        None => println!("seed {seed}: well; {ops} ops, {steps} steps, {lasted} ms, hash {hash:016x}"),
        Some(failure) => {
            let kind = match failure {
                Failure::Safety(_) => "safety",
                Failure::Liveness(_) => "liveness",
                Failure::Crash(_) => "panic",
            };
            let violation = failure.violation();
            println!("seed {seed}: {kind}: {}: {}", violation.check, violation.text);
            println!("  cargo run --release -p forename-sim -- run --seed {seed}");
        }
    }
}

pub(crate) fn many(options: &Options) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicU64::new(options.first);
    let end = options.first + options.seeds;
    let (sender, reports) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send((seed, run(&generate(seed, Size::default())))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        collect(options, reports)
    })
}

fn collect(options: &Options, reports: mpsc::Receiver<(u64, Report)>) -> ExitCode {
    #[allow(clippy::disallowed_methods)] // the command tells how fast it is
    let started = std::time::Instant::now();
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut done, mut lasted, mut ops, mut failures) = (0u64, 0u64, 0usize, Vec::new());
    for (seed, report) in reports {
        done += 1;
        lasted += report.lasted;
        ops += report.ops;
        for mark in &report.marks {
            *reached.entry(mark).or_default() += 1;
        }
        if report.failure.is_some() {
            tell(seed, &report);
            failures.push(report.failure);
            if failures.len() >= options.failures {
                break;
            }
        }
        if done.is_multiple_of((options.seeds / 20).max(1)) {
            let rate = done as f64 / started.elapsed().as_secs_f64();
            let hours = lasted as f64 / 3.6e6 / started.elapsed().as_secs_f64();
            eprintln!("{done}/{} seeds, {rate:.0} a second, {hours:.2} simulated hours a second", options.seeds);
        }
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "{done} seeds, {} failures, {ops} ops in {took:.0} s, {:.0} seeds a second",
        failures.len(),
        done as f64 / took
    );
    for (mark, times) in &reached {
        println!("{times:8} {mark}");
    }
    let missed: Vec<_> = marks::REQUIRED.iter().filter(|mark| !reached.contains_key(*mark)).collect();
    if !missed.is_empty() {
        println!("never reached: {missed:?}");
    }
    code(failures.first().and_then(Option::as_ref))
}
