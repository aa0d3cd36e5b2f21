//! State of the HTTP service: the use cases, the settings, and everything that is made of them once at start.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::api::health::HealthCache;
use super::contract::problem::{Kind, Problem};
use super::dispatch::body_budget::BodyBudget;
use super::dispatch::client::Proxies;
use super::dispatch::cors::Origins;
use super::dispatch::request_id::RequestIds;
use crate::clock::{Clock, Stopwatch};
use crate::config;
use crate::core::Core;

/// Everything that the server needs from the rest of the process.
#[derive(Clone)]
pub struct Dependencies {
    /// The use cases.
    pub core: Arc<Core>,
    /// Listeners, timeouts, bounds.
    pub settings: config::Http,
    /// Time, for cookies and health.
    pub clock: Clock,
    /// Renders all metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Signs the double-submit token; derived from the master secret for this purpose alone.
    pub csrf_key: [u8; 32],
    /// Version of the service, for `/health` and the `OpenAPI` document.
    pub version: &'static str,
}

impl fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependencies").finish_non_exhaustive()
    }
}

/// Longest pause in a streamed response before its connection is closed.
const STREAM_TIMEOUT: Duration = Duration::from_secs(30);

/// State shared by all requests of both listeners.
pub(crate) struct AppState {
    /// Absent only where a server is tested without stores.
    core: Option<Arc<Core>>,
    pub(crate) settings: config::Http,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) csrf_key: [u8; 32],
    pub(crate) version: &'static str,
    /// Cancelled when the service drains.
    pub(crate) stop: CancellationToken,
    /// Handlers that must finish even when their client is gone.
    pub(crate) tasks: TaskTracker,
    pub(crate) started: Stopwatch,
    /// Whether browsers reach the service over HTTPS.
    pub(crate) secure: bool,
    pub(crate) origins: Origins,
    pub(crate) proxies: Proxies,
    pub(crate) bodies: BodyBudget,
    pub(crate) request_ids: RequestIds,
    pub(crate) health: HealthCache,
    pub(crate) stream_timeout: Duration,
}

impl AppState {
    pub(crate) fn new(dependencies: Dependencies, stop: CancellationToken) -> Self {
        Self::build(
            Some(dependencies.core),
            dependencies.settings,
            dependencies.clock,
            dependencies.metrics,
            dependencies.csrf_key,
            dependencies.version,
            stop,
        )
    }

    fn build(
        core: Option<Arc<Core>>,
        settings: config::Http,
        clock: Clock,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
        csrf_key: [u8; 32],
        version: &'static str,
        stop: CancellationToken,
    ) -> Self {
        let tls = settings.tls_cert.is_some() && settings.tls_key.is_some();
        let https = |url: &String| url.to_ascii_lowercase().starts_with("https://");
        let secure = tls || settings.public_url.as_ref().is_some_and(https);
        Self {
            core,
            origins: Origins::new(&settings, secure),
            proxies: Proxies::new(&settings.trusted_proxies),
            bodies: BodyBudget::new(&settings),
            request_ids: RequestIds::new(),
            health: HealthCache::default(),
            stream_timeout: STREAM_TIMEOUT,
            tasks: TaskTracker::new(),
            started: Stopwatch::start(),
            settings,
            clock,
            metrics,
            csrf_key,
            version,
            stop,
            secure,
        }
    }

    /// The use cases.
    pub(crate) fn core(&self) -> Result<&Core, Problem> {
        self.core
            .as_deref()
            .ok_or_else(|| Problem::new(Kind::Unavailable))
    }

    /// A state without use cases.
    #[cfg(test)]
    pub(crate) fn without_stores(settings: config::Http, stop: CancellationToken) -> Self {
        let clock = Clock::manual(crate::model::Timestamp::from_micros(1_800_000_000_000_000));
        let metrics = Arc::new(|| "sallyport_up 1\n".to_owned());
        Self::build(None, settings, clock, metrics, [7; 32], "0.0.0", stop)
    }
}
