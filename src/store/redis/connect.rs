//! How fred is set up: it must fail fast, never send anything twice, and come back by itself.

use std::time::Duration;

use fred::clients::Pool;
use fred::interfaces::ClientLike;
use fred::types::RespVersion;
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, ReconnectError, ReconnectPolicy, ServerConfig, TcpConfig,
};
use fred::types::{Builder, ConnectHandle};

use crate::config;
use crate::store::Error;

/// Commands that wait for a connection at most; more are refused at once.
const BUFFERED_COMMANDS: usize = 20_000;

/// Connects and waits until the first connection stands.
pub(crate) async fn pool(settings: &config::Redis) -> Result<Pool, Error> {
    let pool = builder(settings)?
        .build_pool(settings.connections.max(1))
        .map_err(|error| Error::Setup(format!("REDIS_URL: {error}")))?;
    let _tasks: Vec<ConnectHandle> = pool.connect_pool();
    match tokio::time::timeout(Duration::from_secs(10), pool.wait_for_connect()).await {
        Ok(Ok(())) => Ok(pool),
        Ok(Err(error)) => Err(Error::Setup(format!("Redis: {error}"))),
        Err(_) => Err(Error::Setup("Redis did not answer within 10 s".to_owned())),
    }
}

pub(crate) fn builder(settings: &config::Redis) -> Result<Builder, Error> {
    let mut config = Config::from_url(&settings.url)
        .map_err(|error| Error::Setup(format!("REDIS_URL: {error}")))?;
    config.version = RespVersion::RESP3;
    config.fail_fast = false;
    if let ServerConfig::Clustered { policy, .. } = &mut config.server {
        *policy = ClusterDiscoveryPolicy::UseCache;
    }
    let timeout = settings.timeout;
    let mut builder = Builder::from_config(config);
    builder
        .set_policy(ReconnectPolicy::new_exponential(0, 20, 1_000, 2))
        .with_performance_config(|performance| performance.default_command_timeout = timeout)
        .with_connection_config(|connection| {
            // A command sent again after a reconnect could consume a code twice.
            connection.max_command_attempts = 1;
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = Duration::from_secs(2);
            connection.max_command_buffer_len = BUFFERED_COMMANDS;
            connection.unresponsive.max_timeout = Some(Duration::from_secs(3));
            connection.unresponsive.interval = Duration::from_secs(1);
            connection.tcp = TcpConfig {
                nodelay: Some(true),
                user_timeout: Some(Duration::from_secs(5)),
                ..TcpConfig::default()
            };
            connection.reconnect_errors = vec![
                ReconnectError::ClusterDown,
                ReconnectError::Loading,
                ReconnectError::MasterDown,
                ReconnectError::ReadOnly,
            ];
        });
    Ok(builder)
}
