//! Metrics for Prometheus: the recorder, and what it prints for a scrape.

use std::sync::{Mutex, PoisonError};

use metrics::{Key, KeyName, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::names::{Kind, METRICS, Metric};
use super::process;

/// Everything measured so far. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    recorder: PrometheusHandle,
}

static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

impl Metrics {
    /// Starts recording for the whole process. A second call returns the same.
    ///
    /// # Errors
    /// When something else records already.
    pub fn install() -> Result<Self, String> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let (recorder, metrics) = build().map_err(|error| error.to_string())?;
        metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
        Ok(installed.insert(metrics).clone())
    }

    /// Everything in Prometheus's text format, the process's own figures included.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.recorder.render();
        text.push_str(&process::render());
        text
    }

    /// Moves what histograms have collected into their buckets. Due every five seconds, or memory grows
    /// until the next scrape.
    pub fn run_upkeep(&self) {
        self.recorder.run_upkeep();
    }
}

fn build() -> Result<(PrometheusRecorder, Metrics), BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets)?;
        }
    }
    let recorder = builder.build_recorder();
    for metric in METRICS {
        prepare(&recorder, metric);
    }
    let metrics = Metrics {
        recorder: recorder.handle(),
    };
    Ok((recorder, metrics))
}

/// Describes a metric; one without labels is there from the start, so that its first step is seen.
fn prepare(recorder: &PrometheusRecorder, metric: &Metric) {
    let (name, help) = (KeyName::from_const_str(metric.name), metric.help.into());
    let key = Key::from_static_name(metric.name);
    let metadata = Metadata::new(module_path!(), Level::INFO, None);
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, None, help),
        Kind::Gauge => recorder.describe_gauge(name, None, help),
        Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
    }
    match metric.kind {
        Kind::Counter if metric.labels.is_empty() => {
            recorder.register_counter(&key, &metadata).increment(0);
        }
        Kind::Gauge if metric.labels.is_empty() => {
            recorder.register_gauge(&key, &metadata).set(0.0);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
