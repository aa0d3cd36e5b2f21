//! Services behind the listeners: opened at start, closed at the end.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Error, Listeners};
use crate::auth::second_factor::run_reseal;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::{self, Core, Status, deliver_letters, examine};
use crate::crypto::{HashPool, Keys};
use crate::outbound::Outbound;
use crate::platform::api_key;
use crate::store::Store;
use crate::{http, telemetry};

/// Time for the store to bring what waits to PostgreSQL; the rest stays in Redis's log for other processes.
const STORE_CLOSES_WITHIN: Duration = Duration::from_secs(10);
/// Time for messages that are under way; other processes deliver the rest a minute later.
const MESSAGES_SENT_WITHIN: Duration = Duration::from_secs(5);

/// Everything that is opened at start and closed at the end.
pub(super) struct Services {
    store: Store,
    pub(super) core: Arc<Core>,
    csrf_key: [u8; 32],
    clock: Clock,
}

impl Services {
    /// Starts to write the usage of API keys; where this process has `WORKERS`, also to deliver messages and to reseal
    /// secrets under the newest key.
    pub(super) fn start_background_work(&self, config: &Config) -> BackgroundWork {
        let work = BackgroundWork {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (core, stop) = (Arc::clone(&self.core), work.stop.clone());
        work.tasks.spawn(api_key::run_usage(core, stop));
        if config.store.workers {
            let (core, stop) = (Arc::clone(&self.core), work.stop.clone());
            work.tasks.spawn(deliver_letters(core, stop));
            let (core, stop) = (Arc::clone(&self.core), work.stop.clone());
            work.tasks.spawn(run_reseal(core, stop));
        }
        work
    }

    /// Reads the keys, connects to the stores and starts the hash pool.
    ///
    /// # Errors
    /// When something that the service needs is missing; the text says what.
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let clock = Clock::system();
        let keys = Keys::load(&config.keys.file).map_err(Error::keys(&config.keys.file))?;
        let index_key = *keys.derive("index");
        let store = Store::open(
            &config.redis,
            &config.postgres,
            &config.store,
            index_key,
            clock.clone(),
        )
        .await?;
        let pool = HashPool::start(&config.hashing).map_err(Error::Hashing)?;
        let core = Core::new(
            store.clone(),
            pool,
            &keys,
            Arc::new(Outbound::new(&config.outbound).map_err(Error::Outbound)?),
            clock.clone(),
            core::Settings {
                tokens: config.tokens.clone(),
                second_factors: config.second_factors.clone(),
                api_keys: config.api_keys.clone(),
                limits: config.limits.clone(),
                sms_countries: config.outbound.sms.countries.clone(),
            },
        );
        Ok(Self {
            store,
            core: Arc::new(core),
            csrf_key: *keys.derive("csrf"),
            clock,
        })
    }

    /// State at the start, in words for the log.
    pub(super) async fn state(&self) -> &'static str {
        match examine(&self.core).await.status() {
            Status::Healthy | Status::Degraded => "ready",
            Status::Unhealthy => "started, and not ready until both stores were reached",
        }
    }

    /// Answers requests until `stop` is cancelled and open requests have ended.
    pub(super) async fn serve(
        &self,
        config: &Config,
        listeners: Listeners,
        metrics: telemetry::Metrics,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let dependencies = http::Dependencies {
            core: Arc::clone(&self.core),
            settings: config.http.clone(),
            clock: self.clock.clone(),
            metrics: Arc::new(move || metrics.render()),
            csrf_key: self.csrf_key,
            version: env!("CARGO_PKG_VERSION"),
        };
        let served = match listeners.public {
            Some(public) => http::serve(dependencies, public, listeners.admin, stop).await,
            None => http::serve_admin(dependencies, listeners.admin, stop).await,
        };
        served.map_err(Error::io("serving"))
    }

    /// Brings what waits to PostgreSQL.
    pub(super) async fn close(&self) {
        self.store.close(STORE_CLOSES_WITHIN).await;
    }
}

/// Tasks that run beside the requests.
pub(super) struct BackgroundWork {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl BackgroundWork {
    /// Lets messages that are under way be delivered, and the last counts be written.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        self.tasks.close();
        let finished = tokio::time::timeout(MESSAGES_SENT_WITHIN, self.tasks.wait()).await;
        if finished.is_err() {
            tracing::warn!("some letters are left for others to deliver");
        }
    }
}
