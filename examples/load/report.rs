//! The measurements of a run, counted and printed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Outcome;
use super::process::Usage;

/// The claims so far.
pub(crate) struct Tally {
    /// Microseconds from the request to the answer, for claims that got their name.
    latencies: Histogram<u64>,
    /// The same for all other answers, because a refusal needs no sync.
    refusals: Histogram<u64>,
    by_status: BTreeMap<u16, u64>,
    /// The number of claims without an answer.
    failed: u64,
}

impl Tally {
    pub(crate) fn new() -> Outcome<Self> {
        Ok(Self { latencies: Histogram::new(3)?, refusals: Histogram::new(3)?, by_status: BTreeMap::new(), failed: 0 })
    }

    pub(crate) fn record(&mut self, took: Duration, status: Option<u16>) {
        let Some(status) = status else {
            self.failed += 1;
            return;
        };
        *self.by_status.entry(status).or_default() += 1;
        let histogram = if (200..300).contains(&status) { &mut self.latencies } else { &mut self.refusals };
        // With `record` the histograms grow as needed, and with `saturating_record` they would not. No run lasts long
        // enough to exceed their limit.
        if histogram.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)).is_err() {
            self.failed += 1;
        }
    }

    pub(crate) fn report(&self, clients: usize, took: Duration, unfinished: usize, usage: Usage) -> Report {
        let at = |quantile| Duration::from_micros(self.latencies.value_at_quantile(quantile));
        let refused = (!self.refusals.is_empty())
            .then(|| [0.5, 0.99].map(|quantile| Duration::from_micros(self.refusals.value_at_quantile(quantile))));
        Report {
            clients,
            took,
            claims: self.latencies.len(),
            quantiles: [at(0.5), at(0.99), at(0.999), at(1.0)],
            refused,
            by_status: self.by_status.clone(),
            failed: self.failed,
            unfinished,
            usage,
        }
    }
}

pub(crate) struct Report {
    clients: usize,
    took: Duration,
    claims: u64,
    /// p50, p99, p99.9 and the longest.
    quantiles: [Duration; 4],
    /// p50 and p99 of refusals, where there were any.
    refused: Option<[Duration; 2]>,
    by_status: BTreeMap<u16, u64>,
    failed: u64,
    unfinished: usize,
    usage: Usage,
}

impl Report {
    fn rate(&self) -> f64 {
        self.claims as f64 / self.took.as_secs_f64()
    }

    /// The CPU time of an answer in microseconds.
    fn cpu_each(&self, seconds: f64) -> f64 {
        let answers: u64 = self.by_status.values().sum();
        seconds * 1e6 / answers.max(1) as f64
    }

    pub(crate) fn json(&self) -> Value {
        let [p50, p99, p999, max] = self.quantiles.map(|latency| latency.as_micros() as u64);
        json!({
            "clients": self.clients,
            "seconds": self.took.as_secs_f64(),
            "claims": self.claims,
            "claims_per_second": self.rate(),
            "p50_us": p50,
            "p99_us": p99,
            "p999_us": p999,
            "max_us": max,
            "by_status": self.by_status,
            "failed": self.failed,
            "unfinished": self.unfinished,
            "client_cpu_us": self.cpu_each(self.usage.client_seconds),
            "server_cpu_us": self.cpu_each(self.usage.server_seconds),
            "server_rss_kib": self.usage.server_rss_kib,
            "server_peak_kib": self.usage.server_peak_kib,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, max] = self.quantiles;
        writeln!(f, "{} clients, {:.1} s: {:.0} claims/s", self.clients, self.took.as_secs_f64(), self.rate())?;
        writeln!(f, "  p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}, max {max:?}")?;
        if let Some([p50, p99]) = self.refused {
            writeln!(f, "  refusals: p50 {p50:?}, p99 {p99:?}")?;
        }
        let counts: Vec<_> = self.by_status.iter().map(|(status, count)| format!("{count} with {status}")).collect();
        writeln!(f, "  answers: {}; {} failed, {} unfinished", counts.join(", "), self.failed, self.unfinished)?;
        let Usage { client_seconds, server_seconds, server_rss_kib, server_peak_kib } = self.usage;
        writeln!(f, "  CPU an answer: {:.1} µs here", self.cpu_each(client_seconds))?;
        if server_rss_kib > 0 {
            let each = self.cpu_each(server_seconds);
            writeln!(
                f,
                "  servers: {each:.1} µs, {} MiB, {} MiB at peak",
                server_rss_kib >> 10,
                server_peak_kib >> 10
            )?;
        }
        Ok(())
    }
}
