//! Tests of the store on a real disk.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use std::ops::ControlFlow;

use super::*;
use crate::clock::{Hlc, NodeId, Stamp};
use crate::store::memory::MemoryStore;
use crate::store::schema::{self, ClaimKey, NameKey, Rows as _};

/// A test that waits for longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The variable that turns [`crash_child`] from a test into a process that writes until it is killed.
const CRASH_DIR: &str = "FORENAME_TEST_CRASH_DIR";

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Rows by table and key.
type Contents = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

struct Opened {
    store: DiskStore,
    events: Receiver<DiskEvent>,
}

/// Opens a store whose generations have a few hundred rows.
fn open(dir: &Path) -> Opened {
    open_with(dir, 256 << 10)
}

fn open_with(dir: &Path, memory_bytes: usize) -> Opened {
    open_by(dir, DiskOptions { memory_bytes, ..DiskOptions::default() })
}

fn open_by(dir: &Path, options: DiskOptions) -> Opened {
    let (tell, events) = mpsc::channel();
    let options = DiskOptions { cache_bytes: 1 << 20, ..options };
    let store = DiskStore::open(dir, &options, move |event| drop(tell.send(event))).unwrap();
    Opened { store, events }
}

impl Opened {
    fn put(&mut self, table: Table, key: &str, value: &str) {
        self.store.put(table, key.as_bytes(), value.as_bytes());
    }

    fn get(&self, table: Table, key: &str) -> Option<String> {
        self.store.get(table, key.as_bytes()).map(|value| String::from_utf8(value).unwrap())
    }

    fn event(&self) -> DiskEvent {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until a batch is durable, and reports that to the store.
    fn settle(&mut self, batch: Batch) {
        loop {
            match self.event() {
                DiskEvent::Persisted(persisted) => {
                    self.store.persisted(persisted);
                    if persisted >= batch {
                        return;
                    }
                }
                DiskEvent::Failed(failure) => panic!("{failure}"),
            }
        }
    }
}

fn rows(store: &impl Store, table: Table, from: &[u8], to: Option<&[u8]>, direction: Direction, most: usize) -> Rows {
    let mut rows = Vec::new();
    store.scan(table, from, to, direction, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        if rows.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    rows
}

fn receive_snapshot(mut parts: tokio::sync::mpsc::Receiver<SnapshotPart>) -> Option<Contents> {
    let mut found = BTreeMap::new();
    loop {
        match parts.blocking_recv()? {
            SnapshotPart::End => return Some(found),
            SnapshotPart::Rows(rows) => {
                found.extend(rows.into_iter().map(|row| ((row.table, row.key), row.value.unwrap())));
            }
        }
    }
}

#[test]
fn writes_are_seen_before_their_commit_and_on_from_there() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    opened.put(Table::Names, "ada", "1");
    assert_eq!(opened.get(Table::Names, "ada").as_deref(), Some("1"));
    assert_eq!(opened.get(Table::Owners, "ada"), None);
    let batch = opened.store.commit();
    assert_eq!(opened.get(Table::Names, "ada").as_deref(), Some("1"));
    opened.settle(batch);
    assert_eq!(opened.get(Table::Names, "ada").as_deref(), Some("1"));
    opened.store.delete(Table::Names, b"ada");
    assert_eq!(opened.get(Table::Names, "ada"), None);
    let batch = opened.store.commit();
    opened.settle(batch);
    assert_eq!(opened.get(Table::Names, "ada"), None);
}

#[test]
fn a_batch_without_writes_is_the_last_one_and_the_backlog_empties() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    assert_eq!((opened.store.commit(), opened.store.backlog()), (0, 0));
    opened.put(Table::Meta, "key", "long value");
    opened.put(Table::Meta, "key", "value");
    let backlog = opened.store.backlog();
    assert!(backlog >= 15, "{backlog}");
    assert_eq!((opened.store.commit(), opened.store.commit()), (1, 1));
    assert_eq!(opened.store.backlog(), backlog);
    opened.settle(1);
    assert_eq!(opened.store.backlog(), 0);
}

#[test]
fn batches_become_durable_in_order() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    for number in 0..200 {
        opened.put(Table::Log, &format!("{number}"), "op");
        opened.store.commit();
    }
    let mut last = 0;
    while last < 200 {
        let DiskEvent::Persisted(batch) = opened.event() else { panic!("the store failed") };
        assert!(batch > last && batch <= 200, "{batch} after {last}");
        last = batch;
    }
}

#[test]
fn a_key_written_again_by_a_later_batch_keeps_its_last_value() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    opened.put(Table::Cluster, "frontier", "1");
    let first = opened.store.commit();
    opened.put(Table::Cluster, "frontier", "2");
    opened.settle(first);
    assert_eq!(opened.get(Table::Cluster, "frontier").as_deref(), Some("2"));
}

#[test]
fn what_was_reported_durable_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    for number in 0..50 {
        opened.put(Table::Registrations, &format!("{number:02}"), "first");
        opened.put(Table::Registrations, &format!("{number:02}"), "last");
        opened.store.commit();
    }
    opened.settle(50);
    // Dropping the store makes committed writes durable and drops the others.
    opened.put(Table::Owners, "committed", "");
    opened.store.commit();
    opened.put(Table::Owners, "uncommitted", "");
    drop(opened);
    let reopened = open(dir.path());
    let found = rows(&reopened.store, Table::Registrations, b"", None, Direction::Up, usize::MAX);
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|(_, value)| value == b"last"));
    assert_eq!(reopened.get(Table::Owners, "committed").as_deref(), Some(""));
    assert_eq!(reopened.get(Table::Owners, "uncommitted"), None);
    reopened.store.close().unwrap();
}

#[test]
fn a_second_opener_is_refused_until_the_first_has_closed() {
    let dir = TempDir::new().unwrap();
    let opened = open(dir.path());
    let second = DiskStore::open(dir.path(), &DiskOptions::default(), |_| {});
    assert!(matches!(second, Err(OpenError::InUse(_))));
    opened.store.close().unwrap();
    open(dir.path());
}

/// Returns every file below a directory with its contents.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn another_format_and_a_foreign_database_are_refused_and_left_as_they_are() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    let record = dir.path().join("db/FORMAT");
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "forename store 1.0\n");
    let refused = || DiskStore::open(dir.path(), &DiskOptions::default(), |_| {}).err().unwrap();
    for other in ["forename store 1.1", "forename store 2.0", "forename store 1", "forename store 0.9", "forename", ""]
    {
        std::fs::write(&record, format!("{other}\n")).unwrap();
        let before = files(dir.path());
        let error = refused();
        assert!(matches!(&error, OpenError::Format { found, .. } if found == other), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("reads forename store 1.0; nothing was changed"), "{text}");
        assert!(before == files(dir.path()), "a refusal of {other:?} changed the directory");
    }
    std::fs::remove_file(&record).unwrap();
    assert!(matches!(refused(), OpenError::Foreign(_)));
}

#[test]
fn a_database_whose_making_was_cut_short_is_made_anew() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("db.new")).unwrap();
    std::fs::write(dir.path().join("db.new/0.jnl"), "half").unwrap();
    let mut opened = open(dir.path());
    opened.put(Table::Meta, "key", "value");
    let batch = opened.store.commit();
    opened.settle(batch);
}

#[test]
fn a_poisoned_store_finds_nothing_and_says_why_once() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    opened.put(Table::Names, "ada", "1");
    let batch = opened.store.commit();
    opened.settle(batch);
    opened.store.fail(Table::Names, &fjall::Error::Io(io::Error::other("disk on fire")));
    let failure = opened.store.failure().unwrap();
    assert!(failure.0.contains("reading table names") && failure.0.contains("disk on fire"), "{failure}");
    assert_eq!(opened.get(Table::Names, "ada"), None);
    assert_eq!(rows(&opened.store, Table::Names, b"", None, Direction::Up, usize::MAX), vec![]);
    opened.put(Table::Names, "bob", "2");
    opened.store.commit();
    assert_eq!(opened.event(), DiskEvent::Failed(failure.clone()));
    assert_eq!(opened.events.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "the last event");
    assert_eq!(
        receive_snapshot(opened.store.snapshot(&View::default(), None)),
        None,
        "and no snapshot comes to its end"
    );
    assert_eq!(opened.store.close(), Err(failure));
    let reopened = open(dir.path());
    assert_eq!(reopened.get(Table::Names, "ada").as_deref(), Some("1"));
}

#[test]
fn a_snapshot_is_the_durable_state_of_one_moment_while_writes_go_on() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_with(dir.path(), 32 << 20);
    let write = |opened: &mut Opened, number: u32| {
        for table in [Table::Names, Table::Log, Table::Events] {
            opened.store.put(table, &number.to_be_bytes(), &[7; 1000]);
        }
        opened.store.put(Table::Cluster, b"count", &number.to_be_bytes());
        opened.store.commit();
    };
    (1..=1000).for_each(|number| write(&mut opened, number));
    let parts = opened.store.snapshot(&View::default(), None);
    (1001..=2000).for_each(|number| write(&mut opened, number));
    let found = receive_snapshot(parts).unwrap();
    let count = u32::from_be_bytes(found[&(Table::Cluster, b"count".to_vec())][..].try_into().unwrap());
    assert!((1000..=2000).contains(&count), "{count}");
    let keys = |table| found.keys().filter(move |key| key.0 == table).map(|key| key.1.clone());
    let expected: Vec<Vec<u8>> = (1..=count).map(|number| number.to_be_bytes().to_vec()).collect();
    assert_eq!(keys(Table::Names).collect::<Vec<_>>(), expected);
    assert_eq!(keys(Table::Log).collect::<Vec<_>>(), expected);
    assert_eq!(keys(Table::Events).count(), 0, "the feed is the node's own");
}

#[test]
fn a_snapshot_that_broke_off_goes_on_with_what_it_was() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    for table in [Table::Names, Table::Registrations] {
        (0..50_u8).for_each(|key| opened.store.put(table, &[key], &[1]));
    }
    opened.store.commit();
    let view = View::default();
    let whole = receive_snapshot(opened.store.snapshot(&view, None)).unwrap();
    for table in [Table::Names, Table::Registrations] {
        opened.store.put(table, &[20], &[2]);
        opened.store.delete(table, &[30]);
        opened.store.put(table, &[77], &[2]);
    }
    opened.store.commit();
    for last in whole.keys() {
        let rest = receive_snapshot(opened.store.snapshot(&view, Some(last.clone()))).unwrap();
        let expected: Contents =
            whole.iter().filter(|(row, _)| *row > last).map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(rest, expected, "after {last:?}");
    }
    drop(view);
    let now = receive_snapshot(opened.store.snapshot(&View::default(), None)).unwrap();
    assert_eq!(now[&(Table::Names, vec![20])], [2]);
    assert!(!now.contains_key(&(Table::Names, vec![30])));
}

#[test]
fn a_snapshot_that_nobody_reads_stops_nothing() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    (0..100_u8).for_each(|key| opened.store.put(Table::Names, &[key], &[0; 100_000]));
    opened.store.commit();
    let ignored = opened.store.snapshot(&View::default(), None);
    let dropped = opened.store.snapshot(&View::default(), None);
    drop(dropped);
    opened.put(Table::Names, "ada", "1");
    let batch = opened.store.commit();
    opened.settle(batch);
    opened.store.close().unwrap();
    drop(ignored);
}

#[test]
fn the_tables_take_generations_over_and_the_log_forgets_them() {
    let dir = TempDir::new().unwrap();
    let mut opened = open_with(dir.path(), 2 << 20);
    for number in 0..6000_u32 {
        opened.store.put(Table::Names, &number.to_be_bytes(), &[1; 1000]);
        opened.store.delete(Table::Names, &number.saturating_sub(10).to_be_bytes());
        let batch = opened.store.commit();
        opened.settle(batch);
    }
    // A snapshot makes the tables take over all committed rows.
    let found = receive_snapshot(opened.store.snapshot(&View::default(), None)).unwrap();
    assert_eq!(found.len(), 10);
    opened.put(Table::Meta, "key", "value");
    let batch = opened.store.commit();
    opened.settle(batch);
    assert_eq!(opened.store.frozen.len(), 0);
    let row = opened.store.current.rows(Table::Meta).bytes_of(b"key", Some(b"value"));
    assert_eq!(opened.store.current.bytes(), row);
    let count = opened.store.first + opened.store.last;
    opened.store.close().unwrap();
    let log: u64 = std::fs::read_dir(dir.path().join("db/log"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(log <= 16 << 20, "{log} bytes of log are kept of 24 MB that were written");
    let reopened = open(dir.path());
    assert_eq!(reopened.store.first, count, "batches are numbered on");
    assert_eq!(reopened.store.current.bytes(), row, "the rest is replayed");
    assert_eq!(rows(&reopened.store, Table::Names, b"", None, Direction::Up, usize::MAX).len(), 10);
}

#[cfg(unix)]
#[test]
fn what_is_in_the_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("db/log")), 0o700);
    let log = files(&dir.path().join("db/log"));
    assert!(!log.is_empty() && log.keys().all(|path| mode(path) == 0o600));
}

#[test]
fn a_log_that_was_cut_or_zeroed_at_any_page_opens_with_whole_batches_or_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    // Each sync covers one batch of one to three pages.
    let pages = |number: u64| 1 + number % 3;
    for number in 0..8_u64 {
        opened.put(Table::Cluster, "count", &(number + 1).to_string());
        opened.store.put(Table::Names, &number.to_be_bytes(), &vec![7; usize::try_from(number % 3).unwrap() * 4096]);
        let batch = opened.store.commit();
        opened.settle(batch);
    }
    opened.store.close().unwrap();
    // The frame that each page belongs to.
    let frames: Vec<u64> = (0..8).flat_map(|number| (0..pages(number)).map(move |_| number)).collect();
    let log = dir.path().join("db/log/00000000.wal");
    let whole = std::fs::read(&log).unwrap();
    for (page, frame) in frames.iter().enumerate() {
        for is_cut in [false, true] {
            let mut bytes = whole.clone();
            let at = page * 4096;
            let end = if is_cut { bytes.len() } else { at + 4096 };
            bytes[at..end].fill(0);
            if is_cut {
                bytes.truncate(at);
            }
            std::fs::write(&log, bytes).unwrap();
            match DiskStore::open(dir.path(), &DiskOptions::default(), |_| {}) {
                // A frame that is missing at the end cannot be told from one that was never written.
                Ok(store) => {
                    assert!(is_cut || *frame == 7, "page {page} of batch {frame} was durable");
                    let count = store.get(Table::Cluster, b"count").map_or(0, |count| u64::from(count[0] - b'0'));
                    assert_eq!(count, *frame);
                    assert_eq!(rows(&store, Table::Names, b"", None, Direction::Up, 100).len() as u64, count);
                }
                Err(OpenError::Damaged { path, .. }) => {
                    assert!(!is_cut && *frame < 7 && path == log, "{} at page {page}", path.display());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Action {
    Put(u8, u8),
    Delete(u8),
    Commit,
    Settle,
    Get(u8),
    /// Writes or deletes a claim to a tenure.
    Claim(u8, bool),
    Lacks(u8),
    Scan {
        from: u8,
        to: Option<u8>,
        up: bool,
        most: usize,
    },
}

/// Has the tables take over all that was written, and the store forget it.
fn hand_over(opened: &mut Opened) {
    let batch = opened.store.commit();
    receive_snapshot(opened.store.snapshot(&View::default(), None)).unwrap();
    opened.put(Table::Meta, "key", "value");
    let last = opened.store.commit();
    opened.settle(last.max(batch));
    assert_eq!(opened.store.frozen.len(), 0);
}

#[test]
fn a_row_of_the_tables_is_read_anew_once_they_have_another_one() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    opened.put(Table::Names, "ada", "1");
    hand_over(&mut opened);
    let get = |opened: &Opened| opened.store.get(Table::Names, b"ada");
    for _ in 0..2 {
        assert_eq!(get(&opened).as_deref(), Some(&b"1"[..]));
    }
    opened.put(Table::Names, "ada", "2");
    assert_eq!(get(&opened).as_deref(), Some(&b"2"[..]));
    hand_over(&mut opened);
    for _ in 0..2 {
        assert_eq!(get(&opened).as_deref(), Some(&b"2"[..]));
    }
    opened.store.delete(Table::Names, b"ada");
    hand_over(&mut opened);
    assert_eq!(get(&opened), None);
}

/// The key of a claim to a tenure.
fn claim(tenure: u8, stamp: u128) -> Vec<u8> {
    [&[tenure][..], &stamp.to_be_bytes()].concat()
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0..24_u8, any::<u8>()).prop_map(|(key, value)| Action::Put(key, value)),
        5 => (0..24_u8).prop_map(Action::Delete),
        3 => Just(Action::Commit),
        2 => Just(Action::Settle),
        4 => (0..24_u8).prop_map(Action::Get),
        4 => (0..6_u8, any::<bool>()).prop_map(|(tenure, there)| Action::Claim(tenure, there)),
        4 => (0..6_u8).prop_map(Action::Lacks),
        5 => (0..26_u8, proptest::option::of(0..26_u8), any::<bool>(), 1..30_usize)
            .prop_map(|(from, to, up, most)| Action::Scan { from, to, up, most }),
    ]
}

proptest! {
    // Each case makes a database, which takes a few dozen fsyncs.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_reads_as_the_store_in_memory_does(actions in vec(action(), 1..200)) {
        let dir = TempDir::new().unwrap();
        // Some ten rows fill a generation, so that the tables take many over.
        let mut opened = open_with(dir.path(), 4000);
        let mut model = MemoryStore::new();
        let mut settled = 0;
        for action in actions {
            match action {
                Action::Put(key, value) => {
                    opened.store.put(Table::Names, &[key], &[value]);
                    model.put(Table::Names, &[key], &[value]);
                }
                Action::Delete(key) => {
                    opened.store.delete(Table::Names, &[key]);
                    model.delete(Table::Names, &[key]);
                }
                Action::Commit => prop_assert_eq!(opened.store.commit(), model.commit()),
                Action::Settle => {
                    let last = opened.store.last;
                    if std::mem::replace(&mut settled, last) < last {
                        opened.settle(last);
                    }
                }
                Action::Get(key) => {
                    prop_assert_eq!(opened.store.get(Table::Names, &[key]), model.get(Table::Names, &[key]));
                }
                Action::Claim(tenure, there) => {
                    let key = claim(tenure, 1);
                    if there {
                        opened.store.put(Table::Claims, &key, b"");
                        model.put(Table::Claims, &key, b"");
                    } else {
                        opened.store.delete(Table::Claims, &key);
                        model.delete(Table::Claims, &key);
                    }
                }
                Action::Lacks(tenure) => {
                    prop_assert!(!opened.store.lacks_tenure(&[tenure]) || model.lacks_tenure(&[tenure]));
                }
                Action::Scan { from, to, up, most } => {
                    let direction = if up { Direction::Up } else { Direction::Down };
                    let to = to.map(|to| [to]);
                    let to = to.as_ref().map(<[u8; 1]>::as_slice);
                    let found = rows(&opened.store, Table::Names, &[from], to, direction, most);
                    prop_assert_eq!(found, rows(&model, Table::Names, &[from], to, direction, most));
                }
            }
        }
        opened.store.commit();
        drop(opened);
        let reopened = open(dir.path());
        let found = rows(&reopened.store, Table::Names, b"", None, Direction::Down, usize::MAX);
        prop_assert_eq!(found, rows(&model, Table::Names, b"", None, Direction::Down, usize::MAX));
    }
}

/// Row `row` of batch `number`; the batches differ in size, and some values span several pages.
fn crash_rows(number: u64) -> impl Iterator<Item = (Table, Vec<u8>, Vec<u8>)> {
    let count = 1 + number % 7;
    (0..count).map(move |row| {
        let table = [Table::Names, Table::Log, Table::Owners][usize::try_from(row % 3).unwrap()];
        let key = [number.to_be_bytes(), row.to_be_bytes()].concat();
        (table, key, vec![u8::try_from(number % 251).unwrap(); usize::try_from(number % 97 * 100).unwrap()])
    })
}

/// The work of the process that is killed.
fn write_until_killed(dir: &Path) {
    let options = DiskOptions { cache_bytes: 1 << 20, memory_bytes: 32 << 20, ..DiskOptions::default() };
    let (tell, events) = mpsc::channel();
    let mut store = DiskStore::open(dir, &options, move |event| drop(tell.send(event))).unwrap();
    for number in 1_u64.. {
        // For some batches it waits, one by one, so that the store makes them durable at once.
        let is_unhurried = number / 500 % 2 == 0;
        store.set_unhurried(is_unhurried);
        for (table, key, value) in crash_rows(number) {
            store.put(table, &key, &value);
        }
        store.put(Table::Cluster, b"count", &number.to_be_bytes());
        assert_eq!(store.commit(), number);
        let most = if is_unhurried { 0 } else { 1 << 20 };
        while store.backlog() > most {
            match events.recv().unwrap() {
                DiskEvent::Persisted(batch) => {
                    println!("persisted {batch}");
                    store.persisted(batch);
                }
                DiskEvent::Failed(failure) => panic!("{failure}"),
            }
        }
    }
}

#[test]
fn a_killed_process_leaves_a_prefix_of_whole_batches() {
    // This test starts itself once more as the process that it kills.
    if let Some(dir) = std::env::var_os(CRASH_DIR) {
        return write_until_killed(Path::new(&dir));
    }
    let dir = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::disk::tests::a_killed_process_leaves_a_prefix_of_whole_batches", "--nocapture"])
        .env(CRASH_DIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut reported = 0;
    let mut numbers = lines.filter_map(|line| line.split_once("persisted ")?.1.parse::<u64>().ok());
    // These are enough batches for the tables to take over many generations, and for segments of the log to be used
    // again.
    while reported < 10_000 {
        reported = numbers.next().expect("the child goes on until it is killed");
    }
    child.kill().unwrap();
    reported = numbers.last().unwrap_or(reported);
    child.wait().unwrap();

    let store = open(dir.path()).store;
    let count = store.get(Table::Cluster, b"count").unwrap();
    let count = u64::from_be_bytes(count[..].try_into().unwrap());
    assert!(count >= reported, "{reported} was reported durable, and {count} is there");
    let mut expected: BTreeMap<Table, Rows> = BTreeMap::new();
    for (table, key, value) in (1..=count).flat_map(crash_rows) {
        expected.entry(table).or_default().push((key, value));
    }
    for (table, mut expected) in expected {
        expected.sort();
        let found = rows(&store, table, b"", None, Direction::Up, usize::MAX);
        assert!(found == expected, "{}: {} rows instead of {}", table.name(), found.len(), expected.len());
    }
}

/// Returns the size of all files of the log.
fn log_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("db/log")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn the_size_of_the_log_is_that_of_its_files() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    let first = opened.store.sizes().log;
    assert_eq!(first, log_bytes(dir.path()));
    // More than the first segment takes.
    let value = "v".repeat(64 << 10);
    for number in 0..u64::MAX {
        opened.put(Table::Names, &format!("{number:08}"), &value);
        let batch = opened.store.commit();
        opened.settle(batch);
        if opened.store.sizes().log > first {
            break;
        }
    }
    drop(opened);
    let opened = open(dir.path());
    assert!(opened.store.sizes().log > first);
    assert_eq!(opened.store.sizes().log, log_bytes(dir.path()));
}

#[test]
fn each_sync_of_the_log_is_reported_once() {
    let dir = TempDir::new().unwrap();
    let mut opened = open(dir.path());
    assert!(opened.store.take_syncs().is_empty(), "opening a store writes no batches");
    for number in 1..=3 {
        opened.put(Table::Names, "key", &number.to_string());
        let batch = opened.store.commit();
        opened.settle(batch);
    }
    let syncs = opened.store.take_syncs();
    assert_eq!(syncs.len(), 3);
    assert!(syncs.iter().all(|took| *took > Duration::ZERO), "{syncs:?}");
    assert!(opened.store.take_syncs().is_empty());
    // Nothing is written for a batch without rows.
    opened.store.commit();
    drop(opened.store);
}

#[test]
fn batches_that_come_one_by_one_are_made_durable_by_the_caller_in_the_same_order() {
    let dir = TempDir::new().unwrap();
    let (tell, events) = mpsc::channel();
    let on_event = move |event| drop(tell.send((event, std::thread::current().id())));
    let quick_sync = Duration::MAX;
    let options = DiskOptions { cache_bytes: 1 << 20, memory_bytes: 256 << 10, quick_sync, ..DiskOptions::default() };
    let mut store = DiskStore::open(dir.path(), &options, on_event).unwrap();
    let mut put = |number: u64, is_unhurried, bytes| {
        store.set_unhurried(is_unhurried);
        store.put(Table::Names, &number.to_be_bytes(), &vec![1; bytes]);
        assert_eq!(store.commit(), number);
        let (event, by) = events.recv_timeout(PATIENCE).unwrap();
        assert_eq!(event, DiskEvent::Persisted(number));
        store.persisted(number);
        by == std::thread::current().id()
    };
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let hurried = (0..100).filter(|_| put(next(), false, 10)).count();
    assert_eq!(hurried, 0, "somebody else waits for the caller");
    // The thread may hold the log a moment longer than it takes to say so.
    until("the caller makes a batch durable", || put(next(), true, 10));
    assert!(!put(next(), true, 10_000), "it is large");
    until("the caller makes a batch durable again", || put(next(), true, 10));
    assert!(!put(next(), false, 10) && !put(next(), true, 10), "it has to come alone for a while");
    // These are enough to fill generations.
    for _ in 0..2000 {
        put(next(), true, 1000);
    }
    drop(store);
    let store = open(dir.path()).store;
    let found = rows(&store, Table::Names, b"", None, Direction::Up, usize::MAX);
    assert_eq!(found.len() as u64, number);
    assert!(found.iter().zip(1..).all(|((key, _), number): (_, u64)| key[..] == number.to_be_bytes()));
}

/// Waits for a condition of the threads of the store.
#[expect(clippy::disallowed_methods, reason = "a test that waits has a deadline")]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn keys_of_the_tables_are_known_after_a_start_and_as_they_come() {
    let dir = TempDir::new().unwrap();
    let write = |opened: &mut Opened, numbers: std::ops::Range<u32>| {
        for number in numbers {
            opened.put(Table::Names, &format!("name{number}"), "1");
            let batch = opened.store.commit();
            opened.settle(batch);
        }
        // All rows go to the tables, and memory forgets them.
        opened.store.freeze();
        until("the tables have all", || opened.store.shared.applied() >= opened.store.first + opened.store.last);
        opened.store.forget();
        assert_eq!(opened.store.frozen.len(), 0);
    };
    let mut opened = open(dir.path());
    write(&mut opened, 0..300);
    opened.store.close().unwrap();

    let mut opened = open(dir.path());
    let denies =
        |opened: &Opened, name: &str| opened.store.tables.denies(Table::Names, Hash::of(Table::Names, name.as_bytes()));
    until("the keys are learnt", || denies(&opened, "nobody"));
    write(&mut opened, 300..600);
    for number in 0..600 {
        let name = format!("name{number}");
        assert!(!denies(&opened, &name), "{name} is in the tables");
        assert_eq!(opened.get(Table::Names, &name).as_deref(), Some("1"));
    }
    let denied = (600..1600).filter(|number| denies(&opened, &format!("name{number}"))).count();
    assert!(denied > 900, "{denied} of 1000 others are denied without a look at the tables");
    opened.store.close().unwrap();
}

#[test]
fn tenures_that_have_claims_are_known_after_a_start_and_as_they_come() {
    let dir = TempDir::new().unwrap();
    let name = NameKey::new("username", "ada");
    let stamp = |number| Stamp { hlc: Hlc(number), node: NodeId(7) };
    let lacks = |opened: &Opened, number| schema::Claims::lacks_tenure(&opened.store, name, Some(stamp(number)));

    let mut opened = open(dir.path());
    assert!(lacks(&opened, 1), "no claim was ever written");
    for number in [1, 1000] {
        let key = ClaimKey { name, after: Some(stamp(number)), stamp: stamp(number + 1) };
        schema::Claims::put(&mut opened.store, key, &());
        assert!(!lacks(&opened, number) && lacks(&opened, 2), "it is in memory");
        hand_over(&mut opened);
        assert!(!lacks(&opened, number), "it is in the tables");
    }
    let denied = (2..1000).filter(|number| lacks(&opened, *number)).count();
    assert!(denied > 900, "{denied} of 998 others are denied without a look at the tables");
    opened.store.close().unwrap();

    let opened = open(dir.path());
    until("the tenures are learnt", || lacks(&opened, 2));
    assert!(!lacks(&opened, 1) && !lacks(&opened, 1000));
    opened.store.close().unwrap();
}
