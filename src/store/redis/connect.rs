//! How fred is set up: it must fail fast, never send anything twice, and never follow a redirection by itself.

use std::time::Duration;

use fred::types::Builder;
use fred::types::RespVersion;
use fred::types::config::{
    ClusterDiscoveryPolicy, Config, ReconnectPolicy, ServerConfig, TcpConfig,
};

use crate::config;
use crate::store::Error;

/// Commands that wait for a connection at most; more are refused at once.
const BUFFERED_COMMANDS: usize = 20_000;
/// Least time for all that is asked on a new connection before it is used.
const SET_UP_WITHIN: Duration = Duration::from_secs(1);
/// First and longest pause between two attempts to connect, in milliseconds.
const PAUSE_MILLIS: (u32, u32) = (20, 250);

pub(super) fn builder(settings: &config::Redis) -> Result<Builder, Error> {
    let mut config = Config::from_url(&settings.url)
        .map_err(|error| Error::Setup(format!("REDIS_URL: {error}")))?;
    config.version = RespVersion::RESP3;
    config.fail_fast = false;
    if let ServerConfig::Clustered { policy, .. } = &mut config.server {
        *policy = ClusterDiscoveryPolicy::UseCache;
    }
    let timeout = settings.timeout;
    let mut builder = Builder::from_config(config);
    let (first, longest) = PAUSE_MILLIS;
    builder
        .set_policy(ReconnectPolicy::new_exponential(0, first, longest, 2))
        .with_performance_config(|performance| performance.default_command_timeout = timeout)
        .with_connection_config(|connection| {
            // A command sent again after a reconnect could consume a code twice.
            connection.max_command_attempts = 1;
            // It follows ASK on a connection with other commands under way, whose answers it then confuses. So
            // a command that is redirected fails as not executed, and is ours to send again.
            connection.max_redirections = 0;
            // It answers all commands under way with the error of one of them, also those that were executed.
            connection.reconnect_errors = Vec::new();
            connection.connection_timeout = Duration::from_secs(2);
            connection.internal_command_timeout = timeout.max(SET_UP_WITHIN);
            connection.max_command_buffer_len = BUFFERED_COMMANDS;
            connection.tcp = TcpConfig {
                nodelay: Some(true),
                user_timeout: Some(Duration::from_secs(5)),
                ..TcpConfig::default()
            };
        });
    Ok(builder)
}
