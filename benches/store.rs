//! Measures the durable store: the log, by a batch of registrations from the first write to the fsync; the rows in memory;
//! the filter over the keys of the tables, by look-ups of names that are in none. Run it with `cargo bench --bench store`.
//! `examples/store_load.rs` runs such a load for longer and shows the stalls.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::mpsc;

use divan::counter::ItemsCount;
use forename::store::disk::{DiskEvent, DiskOptions, DiskStore};
use forename::store::{Direction, Store, Table};
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// The registrations of a store whose look-ups are measured.
const REGISTERED: u64 = 100_000;

fn scattered(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn name(n: u64) -> Vec<u8> {
    format!("username\0user{:x}", scattered(n)).into_bytes()
}

/// Writes the rows of one registration: its name, the registration, and its owner.
fn write(store: &mut DiskStore, n: u64) {
    let (scattered, name) = (scattered(n), name(n));
    assert_eq!(store.get(Table::Names, &name), None);
    store.put(Table::Names, &name, &[1; 40]);
    store.put(Table::Registrations, &[n.to_be_bytes(), [0; 8]].concat(), &[2; 150]);
    store.put(Table::Owners, format!("owner-{scattered:x}\0{n:016x}").as_bytes(), &[]);
}

/// Commits one batch at a time, each made durable before the next. This is the latency that a single client sees.
#[divan::bench(args = [1, 8, 64, 256], sample_count = 200, sample_size = 1)]
fn a_batch_until_it_is_durable(bencher: divan::Bencher, registrations: u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (sender, durable) = mpsc::channel();
    let on_event = move |event| drop(sender.send(event));
    let mut store = DiskStore::open(dir.path(), &DiskOptions::default(), on_event).expect("an empty directory");
    let mut next = 0;
    bencher.counter(ItemsCount::new(registrations)).bench_local(|| {
        for n in next..next + registrations {
            write(&mut store, n);
        }
        next += registrations;
        store.put(Table::Log, &next.to_be_bytes(), &vec![3; 120 * registrations as usize]);
        store.put(Table::Events, &next.to_be_bytes(), &vec![4; 30 * registrations as usize]);
        let batch = store.commit();
        loop {
            match durable.recv().expect("the committer runs") {
                DiskEvent::Persisted(persisted) => {
                    store.persisted(persisted);
                    if persisted >= batch {
                        break;
                    }
                }
                DiskEvent::Failed(failure) => panic!("{failure}"),
            }
        }
    });
}

/// Returns a store with registrations that are committed and all in memory. Nothing waits for its disk.
fn with_rows_in_memory() -> (TempDir, DiskStore) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut store = DiskStore::open(dir.path(), &DiskOptions::default(), |_| {}).expect("an empty directory");
    (0..REGISTERED).for_each(|n| write(&mut store, n));
    store.commit();
    (dir, store)
}

/// Returns a store with the same registrations in the tables on disk and none in memory.
fn with_rows_in_tables() -> (TempDir, DiskStore) {
    let (dir, mut store) = with_rows_in_memory();
    // A backup is read from the tables, after these have taken over all that is committed.
    let mut parts = store.backup();
    while parts.blocking_recv().is_some() {}
    // The store forgets the rows in memory with the next batch.
    write(&mut store, REGISTERED);
    store.commit();
    (dir, store)
}

/// Looks many names up, from the one with this number on.
fn look_up(bencher: divan::Bencher, store: &DiskStore, first: u64) {
    let names: Vec<_> = (first..first + 10_000).map(name).collect();
    bencher.counter(ItemsCount::new(names.len())).bench_local(|| {
        let mut bytes = 0;
        names.iter().for_each(|name| store.look(Table::Names, name, &mut |row| bytes += row.len()));
        black_box(bytes)
    });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn rows_into_memory(bencher: divan::Bencher) {
    let (_dir, mut store) = with_rows_in_memory();
    let mut next = REGISTERED;
    bencher.counter(ItemsCount::new(1000_u64)).bench_local(|| {
        (next..next + 1000).for_each(|n| write(&mut store, n));
        next += 1000;
    });
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn names_in_memory(bencher: divan::Bencher) {
    look_up(bencher, &with_rows_in_memory().1, 0);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn names_in_the_tables(bencher: divan::Bencher) {
    look_up(bencher, &with_rows_in_tables().1, 0);
}

/// The filter answers nearly all of them.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn names_in_none_of_the_tables(bencher: divan::Bencher) {
    look_up(bencher, &with_rows_in_tables().1, 2 * REGISTERED);
}

/// The first name in order, after each 100 that were written: what a page of names costs beside writes.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn the_first_name_after_a_hundred_were_written(bencher: divan::Bencher) {
    let (_dir, mut store) = with_rows_in_memory();
    let mut next = REGISTERED;
    bencher.bench_local(|| {
        (next..next + 100).for_each(|n| write(&mut store, n));
        next += 100;
        store.scan(Table::Names, &[], None, Direction::Up, &mut |key, _| {
            black_box(key.len());
            ControlFlow::Break(())
        });
    });
}
