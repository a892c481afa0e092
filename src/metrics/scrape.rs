//! Writes one answer to a scrape of the metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use uuid::Uuid;

use super::Metrics;
use crate::clock::NodeId;
use crate::model::{Cluster, Time, Verdict};

type Floats = Gauge<f64, AtomicU64>;

/// The text format of metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// The text format of Prometheus 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format for a reader that accepts these media types.
    pub(crate) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The values that are read at the time of a scrape.
#[derive(Clone, Debug)]
pub(crate) struct Scraped<'a> {
    /// The version of the program.
    pub(crate) version: &'a str,
    /// The cluster as the node sees it; none where the node gave no answer in time, or has no state.
    pub(crate) cluster: Option<&'a Cluster>,
    /// The time at which the last whole backup of the node was begun; none where there was none.
    pub(crate) last_backup: Option<Time>,
    /// The number of bytes that wait to be sent, by peer.
    pub(crate) queued: BTreeMap<NodeId, usize>,
    /// The state of this node's deliveries, by webhook.
    pub(crate) webhooks: BTreeMap<Uuid, Measured>,
}

/// The values of the metrics of one webhook at this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Measured {
    /// Events that were not read yet, and those that wait; none where nothing is delivered for now.
    pub(crate) lag: Option<u64>,
    /// Dead letters.
    pub(crate) dead: u64,
    /// How often events were not kept any more when they were to be delivered, since the node started.
    pub(crate) gaps: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByNode {
    node: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByPeer {
    peer: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByHook {
    hook: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Named {
    node: String,
    label: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Build {
    version: String,
}

impl Metrics {
    /// Writes all metrics as text.
    pub(crate) fn scrape(&self, scraped: &Scraped<'_>, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("forename");
        self.register(&mut registry);
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: scraped.version.to_owned() }).set(1);
        registry.register("build_info", "The version that runs", build);
        let healthy = flag(scraped.cluster.is_some_and(Cluster::is_healthy));
        registry.register("cluster_healthy", "1 where 'forename status --check' finds nothing wrong", healthy);
        let health = scraped.cluster.and_then(|cluster| cluster.health.as_ref());
        let read_only = flag(health.is_none_or(|health| health.verdict == Verdict::ReadOnly));
        registry.register("read_only", "1 where the node takes no registrations, or does not say how it is", read_only);
        let help = "When the last whole backup of this node was begun; 0 where none was taken";
        let last_backup = float(scraped.last_backup.map_or(0.0, |Time(at)| seconds(at.0)));
        registry.register_with_unit("last_backup_timestamp", help, Unit::Seconds, last_backup);
        if let Some(cluster) = scraped.cluster {
            register_own(&mut registry, cluster);
            register_members(&mut registry, cluster);
            register_queues(&mut registry, cluster, &scraped.queued);
        }
        register_webhooks(&mut registry, &scraped.webhooks);
        let mut text = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &registry)?,
            Format::OpenMetrics => text::encode(&mut text, &registry)?,
        }
        Ok(text)
    }

    /// Registers the metrics that are counted as events happen.
    fn register(&self, registry: &mut Registry) {
        let help =
            "Registrations asked of this node, by what became of them; refused are those of which nothing was recorded";
        registry.register("registrations", help, self.registrations.clone());
        let help = "Registrations of this node that an earlier claim displaced";
        registry.register("conflicts", help, self.conflicts.clone());
        let help = "From when this node accepted a registration until it was confirmed or rejected";
        registry.register_with_unit("time_to_final", help, Unit::Seconds, self.time_to_final.clone());
        let help = "How long the log took to make batches durable that it wrote together: one write and one sync";
        registry.register_with_unit("fsync", help, Unit::Seconds, self.fsync.clone());
        let help = "How long the node's state machine worked on a step";
        registry.register_with_unit("step", help, Unit::Seconds, self.step.clone());
        let help = "Until the answer to a request began, by method and pattern of the path";
        registry.register_with_unit("http_request", help, Unit::Seconds, self.requests.clone());
        let help = "The files of the log of batches, which are made beforehand and used again";
        registry.register_with_unit("log", help, Unit::Bytes, self.log_bytes.clone());
        let help = "The tables on disk; the table named log has the ops that not all members hold yet";
        registry.register_with_unit("store", help, Unit::Bytes, self.store_bytes.clone());
    }
}

fn flag(is: bool) -> Gauge {
    count(usize::from(is))
}

fn count(number: impl TryInto<i64>) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(number.try_into().unwrap_or(i64::MAX));
    gauge
}

/// Converts milliseconds to seconds.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn signed_seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn float(value: f64) -> Floats {
    let gauge = Floats::default();
    gauge.set(value);
    gauge
}

/// Registers the values of the node itself.
fn register_own(registry: &mut Registry, cluster: &Cluster) {
    let now = cluster.time.0;
    let help = "How far behind the node's clock the watermark is, up to which everything has arrived";
    let lag = float(seconds(now.since(cluster.watermark.millis())));
    registry.register_with_unit("watermark_lag", help, Unit::Seconds, lag);
    registry.register("pending", "Registrations that are not final here", count(cluster.pending));
    let oldest = cluster.undecided_since.map_or(0, |since| now.since(since.0));
    let help = "The age of the oldest op that is not decided here; 0 where there is none";
    registry.register_with_unit("oldest_pending", help, Unit::Seconds, float(seconds(oldest)));
    let help = "1 where this node's clock is off and it takes no registrations";
    registry.register("clock_suspect", help, flag(cluster.clock_suspect_ms.is_some()));
    let help = "Logs of which two nodes hold different ops under one number";
    registry.register("forked_logs", help, count(cluster.forks.len()));
    let help = "The number of the last event of this node's feed";
    registry.register("events_last", help, count(cluster.events.last.number));
    let help = "1 where a reservation's time is over and it cannot end yet";
    registry.register("reservations_overdue", help, flag(cluster.overdue.is_some()));
}

/// Registers the values of each member.
fn register_members(registry: &mut Registry, cluster: &Cluster) {
    let (info, connected) = (Family::<Named, Gauge>::default(), Family::<ByNode, Gauge>::default());
    let (ages, offsets) = (Family::<ByNode, Floats>::default(), Family::<ByNode, Floats>::default());
    let lags = Family::<ByNode, Gauge>::default();
    let own = cluster.members.iter().find(|member| member.node == cluster.node).map_or(0, |own| own.applied);
    for member in &cluster.members {
        let by = ByNode { node: member.node.to_string() };
        info.get_or_create(&Named { node: by.node.clone(), label: member.label.clone() }).set(1);
        connected.get_or_create(&by).set(i64::from(member.connected));
        ages.get_or_create(&by).set(seconds(cluster.time.0.since(member.promise.millis())));
        let lag = own.saturating_sub(member.holds_ours);
        lags.get_or_create(&by).set(i64::try_from(lag).unwrap_or(i64::MAX));
        if let Some(offset) = member.clock_offset_ms {
            offsets.get_or_create(&by).set(signed_seconds(offset));
        }
    }
    registry.register("member_info", "The members, with their labels", info);
    registry.register("member_connected", "1 where this node is connected to the member", connected);
    let help = "How long ago the member promised last; the oldest promise holds every outcome back";
    registry.register_with_unit("promise_age", help, Unit::Seconds, ages);
    registry.register("replication_lag_ops", "Ops of this node that the member is not known to hold", lags);
    let help = "How far the member's clock is ahead of this node's";
    registry.register_with_unit("clock_offset", help, Unit::Seconds, offsets);
}

/// Registers the sizes of the queues for the members. A connected node that is no member has no label.
fn register_queues(registry: &mut Registry, cluster: &Cluster, queued: &BTreeMap<NodeId, usize>) {
    let queues = Family::<ByPeer, Gauge>::default();
    for member in cluster.members.iter().filter(|member| member.node != cluster.node) {
        let bytes = queued.get(&member.node).copied().unwrap_or_default();
        queues.get_or_create(&ByPeer { peer: member.node.to_string() }).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    registry.register_with_unit("queue", "Messages that wait to be sent to the member", Unit::Bytes, queues);
}

/// Registers the state of this node's deliveries, by webhook.
fn register_webhooks(registry: &mut Registry, webhooks: &BTreeMap<Uuid, Measured>) {
    let (lags, dead) = (Family::<ByHook, Gauge>::default(), Family::<ByHook, Gauge>::default());
    let gaps = Family::<ByHook, Counter>::default();
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    for (id, measured) in webhooks {
        let by = ByHook { hook: id.to_string() };
        if let Some(lag) = measured.lag {
            lags.get_or_create(&by).set(whole(lag));
        }
        dead.get_or_create(&by).set(whole(measured.dead));
        gaps.get_or_create(&by).inc_by(measured.gaps);
    }
    let help =
        "Events of this node's feed that were not read for the webhook yet, and those that wait for its receiver";
    registry.register("webhook_lag_events", help, lags);
    registry.register("webhook_dead_letters", "Events that this node gave up to deliver to the webhook", dead);
    let help = "How often this node no longer kept events when they were to be delivered to the webhook";
    registry.register("webhook_gaps", help, gaps);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Millis;
    use crate::replica::Tally;

    fn scrape(metrics: &Metrics, format: Format) -> String {
        let last_backup = Some(Time(Millis(1_700_000_000_250)));
        let (queued, webhooks) = (BTreeMap::new(), BTreeMap::new());
        let scraped = Scraped { version: "1.2.3", cluster: None, last_backup, queued, webhooks };
        metrics.scrape(&scraped, format).unwrap()
    }

    /// An alert on these must end: a stopped webhook has no lag, and gaps are counted, so that an alert is on their increase.
    #[test]
    fn a_webhook_that_is_stopped_has_no_lag_and_gaps_are_counted() {
        let (queued, last_backup) = (BTreeMap::new(), None);
        let (runs, stopped) = (Measured { lag: Some(5), dead: 1, gaps: 2 }, Measured { lag: None, dead: 3, gaps: 0 });
        let webhooks = BTreeMap::from([(Uuid::from_u128(1), runs), (Uuid::from_u128(2), stopped)]);
        let scraped = Scraped { version: "1.2.3", cluster: None, last_backup, queued, webhooks };
        let text = Metrics::default().scrape(&scraped, Format::Prometheus).unwrap();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for line in [
            format!("forename_webhook_lag_events{{hook=\"{one}\"}} 5"),
            format!("forename_webhook_dead_letters{{hook=\"{two}\"}} 3"),
            format!("forename_webhook_gaps_total{{hook=\"{one}\"}} 2"),
            format!("forename_webhook_gaps_total{{hook=\"{two}\"}} 0"),
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains(&format!("forename_webhook_lag_events{{hook=\"{two}\"}}")), "{text}");
    }

    #[test]
    fn what_happened_is_counted_at_its_node_alone() {
        let (one, other) = (Metrics::default(), Metrics::default());
        let tally = Tally { accepted: 2, confirmed: 1, contested: 1, rejected: 1, final_after: vec![3, 40_000] };
        one.told(&tally);
        one.refused();
        one.requested("GET /v1/cluster", 200, Duration::from_millis(2));
        let text = scrape(&one, Format::Prometheus);
        for line in [
            "forename_build_info{version=\"1.2.3\"} 1",
            "forename_registrations_total{outcome=\"accepted\"} 2",
            "forename_registrations_total{outcome=\"refused\"} 1",
            "forename_conflicts_total 1",
            "forename_time_to_final_seconds_count 2",
            "forename_time_to_final_seconds_bucket{le=\"0.005\"} 1",
            "forename_http_request_seconds_count{route=\"GET /v1/cluster\",status=\"200\"} 1",
            "forename_cluster_healthy 0",
            "forename_read_only 1",
            "forename_last_backup_timestamp_seconds 1700000000.25",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
        let text = scrape(&other, Format::Prometheus);
        assert!(text.contains("forename_registrations_total{outcome=\"confirmed\"} 0"), "{text}");
        assert!(!text.contains("route="), "{text}");
    }

    #[test]
    fn a_reader_gets_the_format_that_it_takes() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("text/plain"), Format::Prometheus);
        assert!(scrape(&Metrics::default(), Format::OpenMetrics).ends_with("# EOF\n"));
    }
}
