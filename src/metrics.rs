//! The metrics of one node. They are in a registry of their own, so that two nodes in one process do not share them.
//!
//! Frequent events are counted where they happen: a counter is an atomic, and a histogram has a lock that nobody holds
//! for long. The values that the replica knows are read at each scrape, by the query behind `GET /v1/cluster`.
//!
//! The labels of a node come from its members, its tables, and the calls that it serves, so that strangers cannot
//! increase their number.

mod scrape;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

pub(crate) use self::scrape::{Format, Measured, Scraped};
use crate::replica::Tally;
use crate::store::disk::Sizes;

/// Upper bounds in seconds of the buckets for the time of a step of the replica.
const STEP: [f64; 12] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0];
/// Upper bounds for the time of a sync: from a drive with a cache that survives a loss of power to a drive that hangs.
const DISK: [f64; 13] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Upper bounds for the time of a request, which may wait for an outcome for up to half a minute.
const REQUEST: [f64; 14] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0];
/// Upper bounds for the time to an outcome: from a round trip within one room to an outage of a day.
const FINAL: [f64; 16] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 86_400.0];

/// The outcome of a registration.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

const ACCEPTED: Outcome = Outcome { outcome: "accepted" };
const CONFIRMED: Outcome = Outcome { outcome: "confirmed" };
const REJECTED: Outcome = Outcome { outcome: "rejected" };
const REFUSED: Outcome = Outcome { outcome: "refused" };

/// A call that this node serves, and the status of its answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    /// The method and the pattern of the path.
    route: &'static str,
    status: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TableLabel {
    table: &'static str,
}

/// The metrics that are counted and measured as events happen.
#[derive(Debug)]
pub(crate) struct Metrics {
    registrations: Family<Outcome, Counter>,
    conflicts: Counter,
    time_to_final: Histogram,
    fsync: Histogram,
    step: Histogram,
    requests: Family<RequestLabels, Histogram>,
    log_bytes: Gauge,
    store_bytes: Family<TableLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let registrations = Family::default();
        for outcome in [ACCEPTED, CONFIRMED, REJECTED, REFUSED] {
            // The counters exist from the start, so that a rate can be computed from the first registration on.
            drop(registrations.get_or_create(&outcome));
        }
        Self {
            registrations,
            conflicts: Counter::default(),
            time_to_final: Histogram::new(FINAL),
            fsync: Histogram::new(DISK),
            step: Histogram::new(STEP),
            requests: Family::new_with_constructor(|| Histogram::new(REQUEST)),
            log_bytes: Gauge::default(),
            store_bytes: Family::default(),
        }
    }
}

impl Metrics {
    /// Counts the events that a step wrote to the feed.
    pub(crate) fn told(&self, tally: &Tally) {
        for (outcome, count) in [(ACCEPTED, tally.accepted), (CONFIRMED, tally.confirmed), (REJECTED, tally.rejected)] {
            if count > 0 {
                self.registrations.get_or_create(&outcome).inc_by(count);
            }
        }
        self.conflicts.inc_by(tally.contested);
        for ms in &tally.final_after {
            self.time_to_final.observe(Duration::from_millis(*ms).as_secs_f64());
        }
    }

    /// Counts a registration that was refused at once.
    pub(crate) fn refused(&self) {
        self.registrations.get_or_create(&REFUSED).inc();
    }

    /// Records how long the replica worked on a step.
    pub(crate) fn stepped(&self, took: Duration) {
        self.step.observe(took.as_secs_f64());
    }

    /// Records how long the log took to write batches together and to sync them.
    pub(crate) fn synced(&self, took: Duration) {
        self.fsync.observe(took.as_secs_f64());
    }

    /// Records how long a request took until its answer began.
    pub(crate) fn requested(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route, status: status.into() }).observe(took.as_secs_f64());
    }

    /// Records the sizes of the store.
    pub(crate) fn sized(&self, sizes: &Sizes) {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.log_bytes.set(bytes(sizes.log));
        for (table, size) in &sizes.tables {
            self.store_bytes.get_or_create(&TableLabel { table: table.name() }).set(bytes(*size));
        }
    }
}
