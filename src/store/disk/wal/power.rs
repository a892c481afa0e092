//! A disk in memory that can lose power, and whose syncs can fail.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{File, Files};

/// The number of bytes that a disk writes atomically.
pub(crate) const SECTOR: usize = 512;

/// A small generator of well spread numbers (splitmix64 of Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// Returns a number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % end
    }
}

/// The fate of sectors that are not synced when power is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// No sector is written.
    Lost,
    /// All sectors are written.
    Kept,
    /// Of each write only this sector is written.
    Only(usize),
    /// Of each write all sectors but this one are written.
    Without(usize),
    /// Each sector is lost, written or torn, in any order.
    Any(u64),
}

#[derive(Clone, Debug, Default)]
struct Contents {
    /// The bytes that a read finds, and those that survive a loss of power.
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync.
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Naming {
    Name(String, usize),
    Forget(String),
}

#[derive(Debug, Default)]
struct State {
    contents: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<Naming>,
    /// The number of calls that could change something.
    calls: usize,
    /// The call at which power is lost.
    cut_at: Option<usize>,
    /// The call from which on a sync fails.
    failing_from: Option<usize>,
}

impl State {
    /// Counts a call. Returns an error where power is lost during the call or was lost before.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.cut_at.is_some_and(|cut| self.calls >= cut) {
            return Err(io::Error::other("no power"));
        }
        Ok(())
    }

    /// Returns true where there was still power when the last counted call began.
    fn had_power(&self) -> bool {
        self.cut_at.is_none_or(|cut| self.calls <= cut)
    }

    fn name(names: &mut BTreeMap<String, usize>, naming: Naming) {
        match naming {
            Naming::Name(name, contents) => {
                names.retain(|_, named| *named != contents);
                names.insert(name, contents);
            }
            Naming::Forget(name) => {
                names.remove(&name);
            }
        }
    }

    fn change_name(&mut self, naming: Naming) -> io::Result<()> {
        let powered = self.call();
        if self.had_power() {
            Self::name(&mut self.names, naming.clone());
            self.pending_names.push(naming);
        }
        powered
    }
}

/// The disk. Clones share its state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of calls so far that could change something.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Counts a call for another part of the disk's contents. Returns an error where there is no power.
    pub(crate) fn call(&self) -> io::Result<()> {
        self.state().call()
    }

    /// Lets a later call lose power, counted from now on. That call may have done a part of its work.
    pub(crate) fn cut_after(&self, calls: usize) {
        let mut state = self.state();
        state.cut_at = Some(state.calls + calls);
    }

    /// Lets syncs fail from a later call on.
    pub(crate) fn fail_after(&self, calls: usize) {
        let mut state = self.state();
        state.failing_from = Some(state.calls + calls);
    }

    /// Lets syncs succeed again: the disk was repaired, or the process was started again.
    pub(crate) fn mend(&self) {
        self.state().failing_from = None;
    }

    /// The number of sectors of the last write that waits for a sync; the greatest such number of all files.
    pub(crate) fn pending_sectors(&self) -> usize {
        let pending =
            |contents: &Contents| contents.pending.last().map_or(0, |(_, bytes)| bytes.len().div_ceil(SECTOR));
        self.state().contents.iter().map(pending).max().unwrap_or(0)
    }

    /// Restores power. The disk then holds what was durable, and the part of the unsynced writes that `fate` says.
    pub(crate) fn power_on(&self, fate: Fate) {
        let mut numbers = Numbers(if let Fate::Any(seed) = fate { seed } else { 0 });
        let mut state = self.state();
        let kept = match fate {
            Fate::Lost => 0,
            Fate::Any(_) => numbers.below(state.pending_names.len() + 1),
            _ => state.pending_names.len(),
        };
        for naming in std::mem::take(&mut state.pending_names).into_iter().take(kept) {
            State::name(&mut state.durable_names, naming);
        }
        state.names = state.durable_names.clone();
        for contents in &mut state.contents {
            contents.lose_power(fate, &mut numbers);
        }
        (state.cut_at, state.failing_from) = (None, None);
    }
}

impl Disk {
    /// The names and lengths of the files.
    pub(crate) fn sizes(&self) -> Vec<(String, usize)> {
        let state = self.state();
        state.names.iter().map(|(name, contents)| (name.clone(), state.contents[*contents].seen.len())).collect()
    }

    /// Overwrites durable bytes of a file with zeros, as a disk does that loses data. Returns the old bytes.
    pub(crate) fn rot(&self, name: &str, at: usize, bytes: usize) -> Vec<u8> {
        self.replace(name, at, &vec![0; bytes])
    }

    /// Replaces durable bytes of a file. Returns the old bytes.
    pub(crate) fn replace(&self, name: &str, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut state = self.state();
        let contents = state.names[name];
        let contents = &mut state.contents[contents];
        let was = contents.seen[at..at + bytes.len()].to_vec();
        Contents::write(&mut contents.seen, at, bytes);
        Contents::write(&mut contents.durable, at, bytes);
        was
    }
}

impl Contents {
    fn write(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
        bytes.resize(bytes.len().max(at + written.len()), 0);
        bytes[at..at + written.len()].copy_from_slice(written);
    }

    fn lose_power(&mut self, fate: Fate, numbers: &mut Numbers) {
        let mut sectors = Vec::new();
        for (at, bytes) in std::mem::take(&mut self.pending) {
            sectors.extend(bytes.chunks(SECTOR).enumerate().map(|(n, sector)| (n, at + n * SECTOR, sector.to_vec())));
        }
        if let Fate::Any(_) = fate {
            for n in (1..sectors.len()).rev() {
                sectors.swap(n, numbers.below(n + 1));
            }
        }
        for (n, at, mut sector) in sectors {
            let is_kept = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Only(only) => n == only,
                Fate::Without(lost) => n != lost,
                Fate::Any(_) => numbers.below(2) == 0,
            };
            if matches!(fate, Fate::Any(_)) && numbers.below(8) == 0 {
                sector.truncate(numbers.below(SECTOR));
            }
            if is_kept {
                Self::write(&mut self.durable, at, &sector);
            }
        }
        self.seen = self.durable.clone();
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        let contents = state.contents.len();
        state.contents.push(Contents::default());
        state.change_name(Naming::Name(name.to_owned(), contents))?;
        Ok(Box::new(Opened { disk: self.clone(), contents }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let contents = *self.state().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Opened { disk: self.clone(), contents }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let contents = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(Naming::Name(to.to_owned(), contents))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state().change_name(Naming::Forget(name.to_owned()))
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        for naming in std::mem::take(&mut state.pending_names) {
            State::name(&mut state.durable_names, naming);
        }
        Ok(())
    }

    fn path(&self) -> &Path {
        Path::new("disk")
    }
}

#[derive(Debug)]
struct Opened {
    disk: Disk,
    contents: usize,
}

impl File for Opened {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents[self.contents].seen.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let seen = &state.contents[self.contents].seen;
        let from = seen.len().min(usize::try_from(at).unwrap());
        let read = buffer.len().min(seen.len() - from);
        buffer[..read].copy_from_slice(&seen[from..from + read]);
        Ok(read)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let powered = state.call();
        let had_power = state.had_power();
        let contents = &mut state.contents[self.contents];
        let at = usize::try_from(at).unwrap();
        if had_power {
            Contents::write(&mut contents.seen, at, bytes);
            contents.pending.push((at, bytes.to_vec()));
        }
        powered
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        let fails = state.failing_from.is_some_and(|from| state.calls >= from);
        let contents = &mut state.contents[self.contents];
        let pending = std::mem::take(&mut contents.pending);
        if fails {
            // This is what Linux does: pages that could not be written count as clean, and reads return them until they
            // are evicted from the cache.
            return Err(io::Error::other("a sync failed"));
        }
        for (at, bytes) in pending {
            Contents::write(&mut contents.durable, at, &bytes);
        }
        Ok(())
    }
}
