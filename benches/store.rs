//! Measures the cost of a batch of registrations in the durable store, from the first write to the fsync. Run it with
//! `cargo bench --bench store`. `examples/store_load.rs` runs such a load for longer and shows the stalls.

use std::sync::mpsc;

use divan::counter::ItemsCount;
use forename::store::disk::{DiskEvent, DiskOptions, DiskStore};
use forename::store::{Store, Table};

fn main() {
    divan::main();
}

/// Writes the rows of one registration: its name, the registration, and its owner.
fn write(store: &mut DiskStore, n: u64) {
    let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let name = format!("username\0user{scattered:x}").into_bytes();
    assert_eq!(store.get(Table::Names, &name), None);
    store.put(Table::Names, name, vec![1; 40]);
    store.put(Table::Registrations, [n.to_be_bytes(), [0; 8]].concat(), vec![2; 150]);
    store.put(Table::Owners, format!("owner-{scattered:x}\0{n:016x}").into_bytes(), Vec::new());
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
        store.put(Table::Log, next.to_be_bytes().to_vec(), vec![3; 120 * registrations as usize]);
        store.put(Table::Events, next.to_be_bytes().to_vec(), vec![4; 30 * registrations as usize]);
        let batch = store.commit();
        loop {
            match durable.recv().expect("the committer runs") {
                DiskEvent::Persisted { batch: persisted, .. } => {
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
