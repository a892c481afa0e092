//! The measurements of a run, counted and printed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::process::Usage;
use super::{Ask, CHECKED, Outcome};

/// The claims so far.
pub(crate) struct Tally {
    /// Microseconds from the request to the answer, for claims that got their name.
    latencies: Histogram<u64>,
    /// Microseconds from the request to the answer, of refusals. They are counted apart because they need no sync.
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

    /// All latencies as a table of milliseconds, percentiles and counts: the text that HdrHistogram writes and plots.
    pub(crate) fn percentiles(&self) -> String {
        let (mut table, all) =
            (String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"), &self.latencies);
        let mut count = 0;
        for step in all.iter_quantiles(5) {
            count += step.count_since_last_iteration();
            let (value, quantile) = (step.value_iterated_to() as f64 / 1e3, step.quantile_iterated_to());
            let inverse = if quantile < 1.0 { format!("{:.2}", 1.0 / (1.0 - quantile)) } else { "inf".to_owned() };
            table.push_str(&format!("{value:12.3} {quantile:14.12} {count:10} {inverse:>14}\n"));
        }
        let (mean, deviation, longest) = (all.mean() / 1e3, all.stdev() / 1e3, all.max() as f64 / 1e3);
        table.push_str(&format!("#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n"));
        table.push_str(&format!("#[Max     = {longest:12.3}, Total count    = {:12}]\n", all.len()));
        table
    }

    pub(crate) fn report(&self, asked: Ask, clients: usize, took: Duration, unfinished: usize, usage: Usage) -> Report {
        let at = |quantile| Duration::from_micros(self.latencies.value_at_quantile(quantile));
        let refused = (!self.refusals.is_empty())
            .then(|| [0.5, 0.99].map(|quantile| Duration::from_micros(self.refusals.value_at_quantile(quantile))));
        Report {
            asked,
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
    asked: Ask,
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
    /// The names that were got, or looked up, a second.
    fn rate(&self) -> f64 {
        let names = match self.asked {
            Ask::Claim | Ask::LookUp => self.claims,
            Ask::Check => self.claims * CHECKED,
        };
        names as f64 / self.took.as_secs_f64()
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
            "server_written_bytes": self.usage.server_written,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, max] = self.quantiles;
        let what = match self.asked {
            Ask::Claim => "claims",
            Ask::LookUp | Ask::Check => "names",
        };
        writeln!(f, "{} clients, {:.1} s: {:.0} {what}/s", self.clients, self.took.as_secs_f64(), self.rate())?;
        writeln!(f, "  p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}, max {max:?}")?;
        if let Some([p50, p99]) = self.refused {
            writeln!(f, "  refusals: p50 {p50:?}, p99 {p99:?}")?;
        }
        let counts: Vec<_> = self.by_status.iter().map(|(status, count)| format!("{count} with {status}")).collect();
        writeln!(f, "  answers: {}; {} failed, {} unfinished", counts.join(", "), self.failed, self.unfinished)?;
        let Usage { client_seconds, server_seconds, server_rss_kib, server_peak_kib, .. } = self.usage;
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
