//! Wiring, start order, two-stage shutdown.
//!
//! Start: configuration, listeners, logs and metrics, keys, stores, hash pool, use cases, server.
//! Shutdown: at the first SIGTERM or SIGINT readiness goes off, nothing new is accepted and open requests
//! finish within their deadline; then messages that are under way are delivered, then the store brings what
//! it holds to PostgreSQL. A second signal ends the process at once.

mod dev_mode;
mod error;
mod services;
mod signals;
mod users;
mod welcome;

pub use dev_mode::dev;
pub use error::Error;
pub use signals::Signals;
pub use users::{change_role, reset_second_factors};

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::services::Services;
use crate::clock::{self, Stopwatch};
use crate::config::{self, Config, Finding};
use crate::telemetry;

/// Interval at which histograms are brought into their buckets; without it memory grows until the next scrape.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// `sallyport serve`: answers requests until a signal comes.
///
/// # Errors
/// When something that it needs is missing; the text says what.
pub async fn serve(config: Config) -> Result<(), Error> {
    refuse_unsafe(&config)?;
    let metrics = start_telemetry(&config.telemetry)?;
    tell_findings(&config);
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
    refuse_unsafe(&config)?;
    let metrics = start_telemetry(&config.telemetry)?;
    tell_findings(&config);
    let stop = Signals::listen()?.into_token();
    let admin = bind("ADMIN_ADDR", config.http.admin).await?;
    let listeners = Listeners {
        public: None,
        admin,
    };
    run(&config, listeners, metrics, stop, || {}).await
}

/// Refuses unsafe settings that `ALLOW_UNSAFE` does not name.
fn refuse_unsafe(config: &Config) -> Result<(), Error> {
    let mut findings = config.findings();
    findings.retain(Finding::is_refused);
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Unsafe(findings))
    }
}

/// Logs what is unsafe and served all the same.
fn tell_findings(config: &Config) {
    for finding in config.findings() {
        tracing::warn!("{finding}");
    }
}

/// The public listener (a worker has none) and the internal one.
struct Listeners {
    public: Option<TcpListener>,
    admin: TcpListener,
}

impl Listeners {
    async fn bind(settings: &config::Http) -> Result<Self, Error> {
        Ok(Self {
            public: Some(bind("HOST:PORT", settings.listen()).await?),
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
        .run_until_cancelled(Box::pin(Services::open(config)))
        .await
    else {
        return Ok(());
    };
    let services = opened?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = listeners.public.is_some().then(|| config.http.listen().to_string()),
        admin = %config.http.admin,
        durability = ?config.store.durability,
        milliseconds = watch.elapsed().as_millis(),
        "{}",
        services.state().await
    );
    when_ready();
    let work = services.start_background_work(config);
    let served = Box::pin(services.serve(config, listeners, metrics, stop)).await;
    tracing::info!("no request is open any more; closing the stores");
    work.finish().await;
    services.close().await;
    tracing::info!("ended");
    served
}
