//! Wiring, start order, two-stage shutdown.
//!
//! Start: configuration, listeners, logs and metrics, keys, stores, hash pool, use cases, server.
//! Shutdown: at the first SIGTERM or SIGINT readiness goes off, nothing new is accepted and open requests
//! finish within their deadline; then letters that are under way are delivered, then the store brings what
//! it holds to PostgreSQL. A second signal ends the process at once.

mod dev_mode;
mod error;
mod signals;
mod welcome;

pub use dev_mode::dev;
pub use error::Error;
pub use signals::Signals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{self, Auth};
use crate::clock::{self, Clock, Stopwatch};
use crate::config::{self, Config};
use crate::crypto::{HashPool, Keys};
use crate::http;
use crate::outbound::Outbound;
use crate::store::Store;
use crate::telemetry;

/// How long the store may take to bring what waits to PostgreSQL; the rest stays in Redis's log for others.
const STORE_CLOSES_WITHIN: Duration = Duration::from_secs(10);
/// How long letters that are under way may take; others take them up a minute later.
const LETTERS_LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// Histograms grow until somebody looks at them or does this.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// `sallyport serve`: answers requests until a signal comes.
///
/// # Errors
/// When something that it needs is missing; the text says what.
pub async fn serve(config: Config) -> Result<(), Error> {
    let metrics = start_telemetry(&config.telemetry)?;
    let stop = Signals::listen()?.into_token();
    let listeners = Listeners::bind(&config.http).await?;
    run(&config, listeners, metrics, stop, || {}).await
}

/// `sallyport worker`: sweeps the log until a signal comes; no public listener.
///
/// # Errors
/// As [`serve`].
pub async fn worker(mut config: Config) -> Result<(), Error> {
    config.store.workers = true;
    // It hashes nothing; one thread keeps its memory small.
    config.hashing.threads = 1;
    let metrics = start_telemetry(&config.telemetry)?;
    let stop = Signals::listen()?.into_token();
    let admin = bind("ADMIN_ADDR", config.http.admin).await?;
    let listeners = Listeners {
        public: None,
        admin,
    };
    run(&config, listeners, metrics, stop, || {}).await
}

/// The public listener (a worker has none) and the internal one.
struct Listeners {
    public: Option<TcpListener>,
    admin: TcpListener,
}

impl Listeners {
    async fn bind(settings: &config::Http) -> Result<Self, Error> {
        Ok(Self {
            public: Some(bind("HOST:PORT", settings.listen).await?),
            admin: bind("ADMIN_ADDR", settings.admin).await?,
        })
    }
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    let what = format!("listening on {address} ({name})");
    TcpListener::bind(address).await.map_err(Error::io(what))
}

fn start_telemetry(settings: &config::Telemetry) -> Result<telemetry::Metrics, Error> {
    telemetry::start_logs(settings).map_err(Error::Telemetry)?;
    let metrics = telemetry::Metrics::install().map_err(Error::Telemetry)?;
    let kept = metrics.clone();
    tokio::spawn(async move {
        loop {
            clock::sleep(UPKEEP_EVERY).await;
            kept.run_upkeep();
        }
    });
    Ok(metrics)
}

/// Everything behind the listeners, from keys to shutdown. `when_ready` runs once, before the first request.
async fn run(
    config: &Config,
    listeners: Listeners,
    metrics: telemetry::Metrics,
    stop: CancellationToken,
    when_ready: impl FnOnce(),
) -> Result<(), Error> {
    let watch = Stopwatch::start();
    let Some(opened) = stop
        .run_until_cancelled(Box::pin(House::open(config)))
        .await
    else {
        return Ok(());
    };
    let house = opened?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = listeners.public.is_some().then(|| config.http.listen.to_string()),
        admin = %config.http.admin,
        durability = ?config.store.durability,
        milliseconds = watch.elapsed().as_millis(),
        "ready"
    );
    when_ready();
    let work = house.start_work(config);
    let served = Box::pin(house.serve(config, listeners, metrics, stop)).await;
    tracing::info!("no request is open any more; closing the stores");
    work.finish().await;
    house.store.close(STORE_CLOSES_WITHIN).await;
    tracing::info!("ended");
    served
}

/// What is opened at start and closed at the end.
struct House {
    store: Store,
    auth: Arc<Auth>,
    csrf_key: [u8; 32],
    clock: Clock,
}

/// What runs beside the requests.
struct Work {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Work {
    async fn finish(self) {
        self.stop.cancel();
        self.tasks.close();
        let finished = tokio::time::timeout(LETTERS_LEAVE_WITHIN, self.tasks.wait()).await;
        if finished.is_err() {
            tracing::warn!("some letters are left for others to deliver");
        }
    }
}

impl House {
    /// Starts to deliver letters and to seal anew what old keys sealed, where this process does such work.
    fn start_work(&self, config: &Config) -> Work {
        let work = Work {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        if config.store.workers {
            let auth = Arc::clone(&self.auth);
            work.tasks.spawn(auth.carry_letters(work.stop.clone()));
            let auth = Arc::clone(&self.auth);
            work.tasks.spawn(auth.run_reseal(work.stop.clone()));
        }
        work
    }

    async fn open(config: &Config) -> Result<Self, Error> {
        let clock = Clock::system();
        let keys = Keys::load(&config.keys_file).map_err(Error::keys(&config.keys_file))?;
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
        let auth = Auth::new(
            store.clone(),
            pool,
            &keys,
            Arc::new(Outbound::new(&config.outbound).map_err(Error::Outbound)?),
            clock.clone(),
            auth::Settings {
                tokens: config.tokens.clone(),
                second_factors: config.second_factors.clone(),
                limits: config.limits.clone(),
            },
        );
        Ok(Self {
            store,
            auth: Arc::new(auth),
            csrf_key: *keys.derive("csrf"),
            clock,
        })
    }

    async fn serve(
        &self,
        config: &Config,
        listeners: Listeners,
        metrics: telemetry::Metrics,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let dependencies = http::Dependencies {
            auth: Arc::clone(&self.auth),
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
}
