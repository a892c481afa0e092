//! An exporter that says in the log when spans begin to get lost, and when they arrive again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

#[derive(Debug)]
pub(super) struct Watched {
    exporter: OtlpExporter,
    fails: AtomicBool,
}

impl Watched {
    pub(super) fn new(exporter: OtlpExporter) -> Self {
        Self { exporter, fails: AtomicBool::new(false) }
    }
}

impl SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let failed = self.fails.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !failed => tracing::warn!(
                "spans are lost, because the collector does not take them: {error}; look at the collector and at \
                 OTEL_EXPORTER_OTLP_ENDPOINT; registrations go on"
            ),
            Ok(()) if failed => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
