//! Loads the durable store as registrations do, and prints their cost.
//!
//! `cargo run --release --example store_load -- [DIRECTORY] [REGISTRATIONS] [PER_BATCH] [IN_FLIGHT]`
//!
//! The load is a closed loop: batches of registrations are committed one after the other, with up to a few of them not
//! durable yet. The latency is the time from a batch's commit until it is durable. It runs on Linux only, because it
//! reads /proc.

#![allow(clippy::disallowed_methods, reason = "a benchmark asks for the time")]
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::collections::VecDeque;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs};

use forename::store::disk::{DiskEvent, DiskOptions, DiskStore};
use forename::store::{Batch, Store, Table};
use hdrhistogram::Histogram;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A small generator of well spread numbers (splitmix64 of Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

struct Load {
    store: DiskStore,
    events: mpsc::Receiver<DiskEvent>,
    numbers: Numbers,
    in_flight: VecDeque<(Batch, Instant)>,
    latencies: Histogram<u64>,
    longest_step: Duration,
}

impl Load {
    fn register(&mut self, serial: u64) {
        let name = format!("username\0{:011x}", self.numbers.next() >> 20).into_bytes();
        assert_eq!(self.store.get(Table::Names, &name), None, "names are drawn from 2^44");
        self.store.put(Table::Names, &name, &[1; 40]);
        let stamp = u128::from(serial).to_be_bytes();
        self.store.put(Table::Registrations, &stamp, &[2; 150]);
        let owner = format!("user-{:016x}{:04x}", self.numbers.next(), serial & 0xffff);
        self.store.put(Table::Owners, owner.as_bytes(), &[]);
    }

    fn batch(&mut self, first: u64, count: u64) -> Outcome<()> {
        let began = Instant::now();
        for serial in first..first + count {
            self.register(serial);
        }
        let key = u128::from(first).to_be_bytes();
        let size = usize::try_from(count)?;
        self.store.put(Table::Log, &key, &vec![3; size * 120]);
        self.store.put(Table::Events, &key, &vec![4; size * 30]);
        self.store.put(Table::Cluster, b"frontier", &[5; 100]);
        let batch = self.store.commit();
        self.in_flight.push_back((batch, Instant::now()));
        self.longest_step = self.longest_step.max(began.elapsed());
        Ok(())
    }

    /// Takes the events of the store. Waits for them while more than `at_most` batches are in flight.
    fn settle(&mut self, at_most: usize) -> Outcome<()> {
        loop {
            let event =
                if self.in_flight.len() > at_most { self.events.recv().ok() } else { self.events.try_recv().ok() };
            match event {
                None => return Ok(()),
                Some(DiskEvent::Failed(failure)) => return Err(failure.into()),
                Some(DiskEvent::Persisted(batch)) => {
                    self.store.persisted(batch);
                    let durable = self.in_flight.partition_point(|(number, _)| *number <= batch);
                    for (_, began) in self.in_flight.drain(..durable) {
                        self.latencies.record(u64::try_from(began.elapsed().as_micros())?)?;
                    }
                }
            }
        }
    }
}

fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    let dir = arguments.next().map_or_else(|| env::temp_dir().join("forename-store-load"), PathBuf::from);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (registrations, per_batch, in_flight) = (number(2_000_000)?, number(64)?, number(4)?);
    if dir.exists() {
        return Err(format!("{} exists; name another directory", dir.display()).into());
    }
    let (tell, events) = mpsc::channel();
    let store = DiskStore::open(&dir, &DiskOptions::default(), move |event| drop(tell.send(event)))?;
    let latencies = Histogram::new(3)?;
    let mut load = Load {
        store,
        events,
        numbers: Numbers(1),
        in_flight: VecDeque::new(),
        latencies,
        longest_step: Duration::ZERO,
    };
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let mut serial = 0;
    while serial < registrations {
        let count = per_batch.min(registrations - serial);
        load.batch(serial, count)?;
        serial += count;
        load.settle(usize::try_from(in_flight)?.saturating_sub(1))?;
    }
    load.settle(0)?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let total = f64::from(u32::try_from(registrations)?);
    println!("batches of {per_batch}, {in_flight} in flight");
    println!("  {:.0} registrations/s, {:.2} µs of CPU each", total / took, cpu * 1e6 / total);
    let at = |quantile| Duration::from_micros(load.latencies.value_at_quantile(quantile));
    println!("  durable after p50 {:?} p99 {:?} p99.9 {:?} max {:?}", at(0.5), at(0.99), at(0.999), at(1.0));
    println!("  longest step before a commit {:?}", load.longest_step);
    println!("  memory {} at the end, {} at its peak", memory("VmRSS:")?, memory("VmHWM:")?);
    let closing = Instant::now();
    load.store.close()?;
    println!("  {} MiB on disk, closed in {:?}", disk_bytes(&dir)? >> 20, closing.elapsed());
    let opening = Instant::now();
    drop(DiskStore::open(&dir, &DiskOptions::default(), |_| {})?);
    println!("  opened and closed again in {:?}", opening.elapsed());
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// User and system time of this process (proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms).
fn cpu_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no process name in /proc/self/stat")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / 100.0)
}

fn memory(field: &str) -> Outcome<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(format!("{} MiB", kilobytes >> 10))
}

fn disk_bytes(path: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::symlink_metadata(path)?;
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += disk_bytes(&entry?.path())?;
        }
    }
    Ok(bytes)
}
