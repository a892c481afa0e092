//! How a run went on: its claims cut into slices, by time or by number.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Outcome;
use super::process::Usage;

/// The point at which a slice ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    After(Duration),
    /// After a number of claims.
    Every(u64),
}

/// A part of a run that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// From the beginning of the measurement to the end of the slice.
    pub(crate) until: Duration,
    pub(crate) took: Duration,
    pub(crate) claims: u64,
    /// p50, p99, p99.9 and the longest.
    pub(crate) quantiles: [Duration; 4],
    pub(crate) usage: Usage,
    /// Size of the servers' directories at the end of the slice.
    pub(crate) disk_bytes: u64,
}

impl Slice {
    pub(crate) fn rate(&self) -> f64 {
        self.claims as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// The slices of a run so far, and the one that is not over yet.
pub(crate) struct Slices {
    cut: Cut,
    current: Histogram<u64>,
    began: Duration,
    pub(crate) done: Vec<Slice>,
}

impl Slices {
    pub(crate) fn new(cut: Cut) -> Outcome<Self> {
        Ok(Self { cut, current: Histogram::new(3)?, began: Duration::ZERO, done: Vec::new() })
    }

    /// Adds a claim that was answered at `now` after the measurement began. Returns true where that ends a slice by number.
    pub(crate) fn add(&mut self, micros: u64, now: Duration) -> bool {
        if let Cut::After(length) = self.cut {
            while now >= self.began + length {
                let until = self.began + length;
                self.end(until, Usage::default(), 0);
            }
        }
        // The histogram grows as needed.
        let _ = self.current.record(micros);
        matches!(self.cut, Cut::Every(count) if self.current.len() >= count)
    }

    /// Ends the current slice.
    pub(crate) fn end(&mut self, until: Duration, usage: Usage, disk_bytes: u64) {
        let at = |quantile| Duration::from_micros(self.current.value_at_quantile(quantile));
        self.done.push(Slice {
            until,
            took: until.saturating_sub(self.began),
            claims: self.current.len(),
            quantiles: [at(0.5), at(0.99), at(0.999), at(1.0)],
            usage,
            disk_bytes,
        });
        self.current.reset();
        self.began = until;
    }
}

/// The slices as a table in Markdown. What was written is what the servers handed to the disk.
impl fmt::Display for Slices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| claims | claims/s | p50 | p99.9 | longest | memory | at peak | on disk | written a claim |")?;
        writeln!(f, "| --: | --: | --: | --: | --: | --: | --: | --: | --: |")?;
        let (mut claims, mut written) = (0, 0);
        for slice in &self.done {
            claims += slice.claims;
            let [p50, _, p999, longest] = slice.quantiles.map(|latency| latency.as_secs_f64() * 1e3);
            let Usage { server_rss_kib, server_peak_kib, server_written, .. } = slice.usage;
            let each = server_written.saturating_sub(written) / slice.claims.max(1);
            written = server_written;
            writeln!(
                f,
                "| {claims} | {:.0} | {p50:.1} ms | {p999:.1} ms | {longest:.1} ms | {} MiB | {} MiB | {} MiB | {each} B |",
                slice.rate(),
                server_rss_kib >> 10,
                server_peak_kib >> 10,
                slice.disk_bytes >> 20,
            )?;
        }
        Ok(())
    }
}

/// The size of all files below a directory. Files that vanish meanwhile do not count.
pub(crate) fn size_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
