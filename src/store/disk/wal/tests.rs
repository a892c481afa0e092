//! Tests of the log and its hand-over to the tables on a disk that loses power.
//!
//! The invariant: the log opens; every batch that was reported durable is there; the batches that are there are a
//! prefix of those that were written, without a gap; and the tables and the log together hold the result of these
//! batches.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use proptest::collection::vec;
use proptest::prelude::*;

use super::files::{BLOCK, Files};
use super::power::{Disk, Fate, Numbers};
use super::{Log, LogError, Sizes, push, read};
use crate::store::disk::generation::Generation;
use crate::store::disk::hash::Hash;
use crate::store::disk::rows::Rows;
use crate::store::disk::tables::{Below, take_over};
use crate::store::{Batch, Table};

const SEED: u64 = 7;

/// Small sizes, so that a short history fills several segments and a batch needs several frames.
const SIZES: Sizes = Sizes { frame: 8 << 10, first_segment: 24 << 10, segment: 64 << 10 };

type Contents = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// The batches that a start finds, with their numbers.
type Found = Vec<(Batch, Vec<u8>)>;

/// The tables, each of which takes over its rows of a generation whole or not at all.
#[derive(Default)]
struct Durable {
    rows: Contents,
    applied: Batch,
}

struct Model {
    disk: Disk,
    durable: Mutex<Durable>,
}

impl Below for Model {
    type Error = io::Error;

    fn ingest(&self, table: Table, rows: &Rows, _: &dyn Fn(usize)) -> io::Result<()> {
        self.disk.call()?;
        let mut durable = self.durable.lock().unwrap();
        for (key, value) in rows.iter() {
            write(&mut durable.rows, table, key, value);
        }
        Ok(())
    }

    fn note_applied(&self, batch: Batch) -> io::Result<()> {
        self.disk.call()?;
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).applied = batch;
        Ok(())
    }
}

fn write(contents: &mut Contents, table: Table, key: &[u8], value: Option<&[u8]>) {
    match value {
        Some(value) => drop(contents.insert((table, key.to_vec()), value.to_vec())),
        None => drop(contents.remove(&(table, key.to_vec()))),
    }
}

/// An action on an open log.
#[derive(Clone, Debug)]
enum Deed {
    /// Adds batches of these sizes in bytes, as one group.
    Append(Vec<usize>),
    /// Hands the rows in memory over to the tables, and frees segments.
    TakeOver,
    /// Makes a segment beforehand.
    Prepare,
}

/// A disk with a log and tables, and the history that they must match.
struct Machine {
    disk: Disk,
    model: Model,
    /// The batches that were written, in order.
    history: Vec<Vec<u8>>,
    /// The number of batches that were reported durable.
    reported: usize,
    /// A counter that makes each batch different, also from a lost one that had the same number.
    written: u8,
}

/// An open log with its generation.
struct Running {
    log: Log,
    generation: Generation,
}

impl Machine {
    fn new() -> Self {
        let disk = Disk::default();
        Log::create(Arc::new(disk.clone()), SIZES).unwrap();
        let model = Model { disk: disk.clone(), durable: Mutex::default() };
        Self { disk, model, history: Vec::new(), reported: 0, written: 0 }
    }

    /// The rows of a batch: a key of its own, a key that many batches write, and a key that is deleted.
    fn batch(&mut self, bytes: usize) -> Vec<u8> {
        self.written = self.written.wrapping_add(1);
        let (number, mut rows) = (self.history.len() as u64, Vec::new());
        push(&mut rows, Table::Names, &number.to_be_bytes(), Some(&vec![self.written; bytes]));
        push(&mut rows, Table::Owners, &[(number % 3) as u8], Some(&[self.written]));
        push(&mut rows, Table::Names, &number.saturating_sub(4).to_be_bytes(), None);
        rows
    }

    fn open(&self) -> Result<(Log, Found), LogError> {
        let applied = self.model.durable.lock().unwrap_or_else(PoisonError::into_inner).applied;
        let mut found = Vec::new();
        let visit = |batch, rows: &[u8]| {
            found.push((batch, rows.to_vec()));
            true
        };
        let log = Log::open(Arc::new(self.disk.clone()), SIZES, SEED, applied, visit)?;
        Ok((log, found))
    }

    /// Opens the log and checks the invariant.
    fn start(&mut self) -> Running {
        let (log, found) = self.open().unwrap_or_else(|error| panic!("{error}"));
        let there = usize::try_from(log.last()).unwrap();
        assert!(there >= self.reported, "{} batches were reported durable, and {there} are there", self.reported);
        assert!(there <= self.history.len(), "{there} batches are there, and {} were written", self.history.len());
        self.history.truncate(there);
        // Every batch that a start has found counts as reported.
        self.reported = there;
        let durable = self.model.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let first = usize::try_from(durable.applied).unwrap();
        let written = (first..).zip(&self.history[first..]).map(|(number, rows)| (number as u64 + 1, rows.clone()));
        assert!(found == written.collect::<Vec<_>>(), "other batches were found than were written");
        let (mut contents, mut expected, mut generation) =
            (durable.rows.clone(), Contents::new(), Generation::default());
        for (_, rows) in &found {
            let whole = read(rows, |table, key, value| {
                write(&mut contents, table, key, value);
                generation.write(table, key, Hash::of(table, key), value);
            });
            assert!(whole);
        }
        for rows in &self.history {
            assert!(read(rows, |table, key, value| write(&mut expected, table, key, value)));
        }
        assert!(contents == expected, "the tables and the log do not make what the batches made");
        Running { log, generation }
    }

    /// Does the actions one after the other until one fails.
    fn run(&mut self, running: &mut Running, deeds: &[Deed]) -> io::Result<()> {
        for deed in deeds {
            match deed {
                Deed::Append(sizes) => {
                    let first = self.history.len();
                    for bytes in sizes {
                        let rows = self.batch(*bytes);
                        let generation = &mut running.generation;
                        assert!(read(&rows, |table, key, value| {
                            generation.write(table, key, Hash::of(table, key), value);
                        }));
                        self.history.push(rows);
                    }
                    running.log.append(&self.history[first..])?;
                    assert_eq!(running.log.last(), self.history.len() as u64);
                    self.reported = self.history.len();
                }
                Deed::TakeOver => {
                    let last = running.log.last();
                    take_over(&self.model, &running.generation, last, &|_| {})?;
                    running.generation = Generation::default();
                    running.log.segments().release(last)?;
                }
                Deed::Prepare => running.log.segments().prepare()?,
            }
        }
        Ok(())
    }
}

/// A history that fills segments, uses them again, and has batches of several frames.
fn short_history() -> Vec<Deed> {
    let mut deeds = vec![Deed::Append(vec![10]), Deed::Append(vec![300, 5000, 20]), Deed::Prepare];
    deeds.push(Deed::Append(vec![20_000]));
    deeds.extend((0..3).map(|_| Deed::Append(vec![100, 4000])));
    deeds.push(Deed::TakeOver);
    deeds.extend([Deed::Append(vec![30_000]), Deed::Append(vec![1]), Deed::TakeOver, Deed::Append(vec![7000])]);
    deeds.extend((0..3).map(|_| Deed::Append(vec![9000])));
    deeds.extend([Deed::TakeOver, Deed::Append(vec![50_000]), Deed::Append(vec![2, 3])]);
    deeds
}

#[test]
fn whatever_call_power_is_lost_in_the_law_holds() {
    let mut whole = Machine::new();
    let mut running = whole.start();
    let before = whole.disk.calls();
    whole.run(&mut running, &short_history()).unwrap();
    let calls = whole.disk.calls() - before;
    drop(running);
    whole.start();
    let mut cases = 0;
    for cut in 1..=calls + 1 {
        // The cut is set after the start, so the calls of the start are not counted.
        let lose = |fate: fn(usize) -> Option<Fate>, case: usize| {
            let mut machine = Machine::new();
            let mut running = machine.start();
            machine.disk.cut_after(cut);
            let outcome = machine.run(&mut running, &short_history());
            assert_eq!(outcome.is_ok(), cut > calls);
            drop(running);
            let sectors = machine.disk.pending_sectors();
            let Some(fate) = fate(case).filter(|_| case < 4 || case < 2 * sectors) else { return false };
            machine.disk.power_on(fate);
            machine.start();
            // Everything that the start found must be durable now.
            machine.disk.power_on(Fate::Lost);
            let mut running = machine.start();
            machine.run(&mut running, &[Deed::Append(vec![5]), Deed::Append(vec![12_000, 1]), Deed::TakeOver]).unwrap();
            machine.run(&mut running, &[Deed::Append(vec![5000])]).unwrap();
            drop(running);
            machine.disk.power_on(Fate::Lost);
            machine.start();
            true
        };
        let random = |case: usize| match case {
            0 => Some(Fate::Lost),
            1 => Some(Fate::Kept),
            case => (case < 6).then_some(Fate::Any(case as u64)),
        };
        let single =
            |case: usize| Some(if case.is_multiple_of(2) { Fate::Only(case / 2) } else { Fate::Without(case / 2) });
        cases += (0..4).take_while(|case| lose(random, *case)).count();
        cases += (0..).take_while(|case| lose(single, *case)).count();
    }
    assert!(calls > 50 && cases > 10 * calls, "{calls} calls, {cases} cases");
}

#[test]
fn a_frame_that_rots_before_another_one_is_refused_and_a_last_one_is_dropped() {
    let mut machine = Machine::new();
    let mut running = machine.start();
    let deeds = [10, 5000, 20_000, 3, 9000, 200, 17_000, 40].map(|bytes| Deed::Append(vec![bytes]));
    machine.run(&mut running, &deeds).unwrap();
    let last_batch = machine.history.len() as u64;
    drop(running);
    let (mut refused, mut dropped) = (0, 0);
    for (name, bytes) in machine.disk.sizes() {
        for at in (0..bytes).step_by(BLOCK) {
            let was = machine.disk.rot(&name, at, BLOCK);
            let is_used = was.iter().any(|byte| *byte != 0);
            match machine.open() {
                Ok((log, _)) if is_used => {
                    assert_eq!(log.last(), last_batch - 1, "only the last batch can be taken for a torn one");
                    dropped += 1;
                }
                Ok((log, _)) => assert_eq!(log.last(), last_batch),
                Err(LogError::Damaged { path, what }) => {
                    assert!(is_used && path.starts_with("disk") && what.contains("durable"), "{name} {at}: {what}");
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
            machine.disk.replace(&name, at, &was);
        }
    }
    assert_eq!(dropped, 1, "the last frame has one block");
    assert!(refused > 12, "{refused}");
    machine.start();
}

#[test]
fn a_log_without_files_is_refused() {
    let machine = Machine::new();
    machine.disk.sizes().iter().for_each(|(name, _)| machine.disk.remove(name).unwrap());
    assert!(matches!(machine.open(), Err(LogError::Damaged { .. })));
}

#[test]
fn segments_grow_are_used_again_and_are_not_kept_without_need() {
    let mut machine = Machine::new();
    let mut running = machine.start();
    for _ in 0..40 {
        machine.run(&mut running, &[Deed::Append(vec![7000])]).unwrap();
    }
    let whole: usize = machine.disk.sizes().iter().map(|(_, bytes)| bytes).sum();
    assert!(whole < 500 << 10, "{whole} bytes for 320 KiB");
    machine.run(&mut running, &[Deed::TakeOver, Deed::Prepare]).unwrap();
    let sizes = machine.disk.sizes();
    let is_large = |bytes: &usize| *bytes as u64 == SIZES.segment;
    assert!(sizes.len() == 3 && sizes.iter().all(|(_, bytes)| is_large(bytes)), "{sizes:?}");
    for _ in 0..40 {
        machine.run(&mut running, &[Deed::Append(vec![7000]), Deed::TakeOver, Deed::Prepare]).unwrap();
    }
    assert_eq!(machine.disk.sizes(), sizes, "no file is made any more");
    drop(running);
    machine.start();
}

#[test]
fn a_write_that_failed_is_the_last_one() {
    let mut machine = Machine::new();
    let mut running = machine.start();
    machine.run(&mut running, &[Deed::Append(vec![10])]).unwrap();
    machine.disk.fail_after(0);
    assert!(machine.run(&mut running, &[Deed::Append(vec![20])]).is_err());
    machine.disk.mend();
    assert!(running.log.append(&[vec![]]).is_err());
    drop(running);
    machine.start();
    assert_eq!(machine.history.len(), 2, "the process sees what it wrote");
    machine.disk.power_on(Fate::Lost);
    machine.start();
    assert_eq!(machine.history.len(), 2, "and a start makes it durable before it believes it");
}

fn deed() -> impl Strategy<Value = Deed> {
    let bytes = prop_oneof![6 => 0..200_usize, 3 => 200..9000_usize, 1 => 9000..40_000_usize];
    prop_oneof![
        8 => vec(bytes, 1..5).prop_map(Deed::Append),
        2 => Just(Deed::TakeOver),
        1 => Just(Deed::Prepare),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_law_holds_over_many_lives(lives in vec((vec(deed(), 1..12), any::<u64>()), 1..6)) {
        let mut machine = Machine::new();
        let mut running = machine.start();
        for (deeds, seed) in lives {
            let mut numbers = Numbers(seed);
            // Sometimes the cut falls into the calls of the next start.
            let cut = numbers.below(40);
            let is_cut = match numbers.below(4) {
                // The process is killed, and all of its writes are there.
                0 => false,
                1 => {
                    machine.disk.fail_after(cut);
                    false
                }
                _ => {
                    machine.disk.cut_after(1 + cut);
                    true
                }
            };
            let _ = machine.run(&mut running, &deeds);
            drop(running);
            if is_cut {
                // A start that loses power loses nothing that was reported.
                let _ = machine.open();
                machine.disk.power_on(Fate::Any(seed));
            }
            machine.disk.mend();
            running = machine.start();
        }
    }
}
