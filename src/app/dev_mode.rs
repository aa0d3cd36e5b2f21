//! `sallyport dev`: private stores, keys and schema around the same service that `serve` runs.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Error, Listeners, Signals, run, start_telemetry, welcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keys;
use crate::dev::{Binaries, Lifetime, LockedFolder, PrivatePostgres, PrivateRedis, RedisOptions};
use crate::store;

/// Name of the database in the private PostgreSQL.
const DATABASE: &str = "sallyport";

/// Runs everything on this machine until a signal comes.
///
/// # Errors
/// When Redis or PostgreSQL are not installed, a port is taken, or the folder is in use; the text says what
/// to do.
pub async fn dev(mut config: Config) -> Result<(), Error> {
    require_loopback(&config)?;
    // Messages without a provider are kept where a developer can read them.
    config.outbound.local_outbox = true;
    let metrics = start_telemetry(&config.telemetry)?;
    let stop = Signals::listen()?.into_token();
    let listeners = Listeners::bind(&config.http).await?;
    let folder = LockedFolder::open(&config.dev.data_dir)?;
    let Some(stores) = stop
        .run_until_cancelled(PrivateStores::start(&mut config, folder.path()))
        .await
    else {
        return Ok(());
    };
    let mut stores = stores?;
    let service = prepare_and_run(config, folder.path(), listeners, metrics, stop);
    let outcome = Box::pin(service).await;
    stores.stop().await;
    outcome
}

async fn prepare_and_run(
    mut config: Config,
    folder: &Path,
    listeners: Listeners,
    metrics: crate::telemetry::Metrics,
    stop: CancellationToken,
) -> Result<(), Error> {
    if !config.dev.keys_file_given {
        config.keys.file = folder.join("keys.json");
    }
    if !config.keys.file.exists() {
        Keys::generate(&config.keys.file, Clock::system().now())
            .map_err(Error::keys(&config.keys.file))?;
    }
    store::migrate(&config.postgres.url).await?;
    let welcome = || welcome::print(&config, folder);
    run(&config, listeners, metrics, stop, welcome).await
}

/// Refuses addresses that others can reach: dev mode has unsafe settings.
fn require_loopback(config: &Config) -> Result<(), Error> {
    for (name, address) in [
        ("HOST", config.http.listen()),
        ("ADMIN_ADDR", config.http.admin),
    ] {
        if !address.ip().is_loopback() {
            return Err(Error::NotReady(format!(
                "{name} is {}: `sallyport dev` listens on loopback only; use `sallyport serve` to be reached by others",
                address.ip()
            )));
        }
    }
    Ok(())
}

/// The stores that were not given.
struct PrivateStores {
    redis: Option<PrivateRedis>,
    postgres: Option<PrivatePostgres>,
}

impl PrivateStores {
    /// Starts them side by side and puts their addresses into the configuration.
    async fn start(config: &mut Config, folder: &Path) -> Result<Self, Error> {
        let binaries = Binaries::find(config.dev.search_path());
        let (redis_folder, postgres_folder) = (folder.join("redis"), folder.join("postgres"));
        let redis = async {
            if config.dev.redis_given {
                return Ok(None);
            }
            let options = RedisOptions::lasting();
            let redis = PrivateRedis::start(&binaries, &redis_folder, options).await?;
            Ok::<_, Error>(Some(redis))
        };
        let postgres = async {
            if config.dev.database_given {
                return Ok(None);
            }
            let postgres =
                PrivatePostgres::start(&binaries, &postgres_folder, Lifetime::Lasting).await?;
            postgres.create_database(DATABASE).await?;
            Ok(Some(postgres))
        };
        let (redis, postgres) = tokio::try_join!(redis, postgres)?;
        if let Some(redis) = &redis {
            config.redis.url = redis.url();
        }
        if let Some(postgres) = &postgres {
            config.postgres.url = postgres.url(DATABASE);
        }
        Ok(Self { redis, postgres })
    }

    async fn stop(&mut self) {
        let redis = async {
            if let Some(redis) = &mut self.redis {
                redis.stop().await;
            }
        };
        let postgres = async {
            if let Some(postgres) = &mut self.postgres {
                postgres.stop().await;
            }
        };
        tokio::join!(redis, postgres);
    }
}
