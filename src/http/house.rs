//! What every request can reach: the use cases, the settings, and what is made of them once at start.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::client::Proxies;
use super::cors::Origins;
use super::handlers::HealthCache;
use super::problem::{Kind, Problem};
use super::request_id::RequestIds;
use crate::auth::Auth;
use crate::clock::{Clock, Stopwatch};
use crate::config;

/// Everything the server needs from the rest of the house.
#[derive(Clone)]
pub struct Deps {
    /// The use cases.
    pub auth: Arc<Auth>,
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

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// Shared by all requests of both listeners.
pub(super) struct House {
    /// Absent only where a server is tested without stores.
    auth: Option<Arc<Auth>>,
    pub(super) settings: config::Http,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub(super) csrf_key: [u8; 32],
    pub(super) version: &'static str,
    /// Cancelled when the service drains.
    pub(super) stop: CancellationToken,
    /// Handlers that must finish even when their client is gone.
    pub(super) tasks: TaskTracker,
    pub(super) started: Stopwatch,
    /// Whether browsers reach the service over HTTPS.
    pub(super) secure: bool,
    pub(super) origins: Origins,
    pub(super) proxies: Proxies,
    pub(super) bodies: Budget,
    pub(super) request_ids: RequestIds,
    pub(super) health: HealthCache,
}

impl House {
    pub(super) fn new(deps: Deps, stop: CancellationToken) -> Self {
        let auth = Some(deps.auth);
        Self::furnish(
            auth,
            deps.settings,
            deps.clock,
            deps.metrics,
            deps.csrf_key,
            deps.version,
            stop,
        )
    }

    fn furnish(
        auth: Option<Arc<Auth>>,
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
            auth,
            origins: Origins::new(&settings, secure),
            proxies: Proxies::new(&settings.trusted_proxies),
            bodies: Budget::new(&settings),
            request_ids: RequestIds::new(),
            health: HealthCache::default(),
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
    pub(super) fn auth(&self) -> Result<&Auth, Problem> {
        self.auth
            .as_deref()
            .ok_or_else(|| Problem::new(Kind::Unavailable))
    }

    /// A house without use cases.
    #[cfg(test)]
    pub(super) fn without_stores(settings: config::Http, stop: CancellationToken) -> Self {
        let clock = Clock::manual(crate::model::Timestamp::from_micros(1_800_000_000_000_000));
        let metrics = Arc::new(|| "sallyport_up 1\n".to_owned());
        Self::furnish(None, settings, clock, metrics, [7; 32], "0.0.0", stop)
    }
}
