//! The Sentinels of a deployment, asked for the primary.
//!
//! The client asks one of them when it connects. Here all are asked, again and again, because a Sentinel that was
//! away may name a primary that the others have replaced: the highest configuration epoch counts, as among the
//! Sentinels themselves.

use std::collections::HashMap;
use std::time::Duration;

use fred::clients::Client;
use fred::error::Error as RedisError;
use fred::interfaces::ClientLike;
use fred::types::config::{Config, ReconnectPolicy, Server, ServerConfig};
use fred::types::{Builder, ClusterHash, CustomCommand, FromValue, RespVersion};
use futures_util::future::join_all;
use tokio_util::task::AbortOnDropHandle;

/// Time that a Sentinel has for its answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// First and longest pause between two attempts to connect to a Sentinel, in milliseconds.
const PAUSE_MILLIS: (u32, u32) = (50, 1000);

/// Connections to every Sentinel of the URL.
#[derive(Debug)]
pub(super) struct Sentinels {
    service: String,
    clients: Vec<(Client, AbortOnDropHandle<Result<(), RedisError>>)>,
}

/// The primary that a Sentinel names, and the epoch that it has it from.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    epoch: u64,
    address: (String, u16),
}

impl Sentinels {
    /// Begins to connect. `None` where there are no Sentinels.
    pub(super) fn connect(config: &Config) -> Option<Self> {
        let ServerConfig::Sentinel {
            hosts,
            service_name,
            username,
            password,
        } = &config.server
        else {
            return None;
        };
        let client = |server: &Server| {
            let mut builder = Builder::from_config(Config {
                server: ServerConfig::Centralized {
                    server: server.clone(),
                },
                username: username.clone(),
                password: password.clone(),
                tls: config.tls.clone(),
                version: RespVersion::RESP2,
                fail_fast: false,
                ..Config::default()
            });
            let (first, longest) = PAUSE_MILLIS;
            builder
                .set_policy(ReconnectPolicy::new_exponential(0, first, longest, 2))
                .with_performance_config(|performance| {
                    performance.default_command_timeout = ANSWERS_WITHIN;
                })
                .with_connection_config(|connection| {
                    connection.connection_timeout = ANSWERS_WITHIN;
                    connection.max_command_attempts = 1;
                });
            let client = builder.build().ok()?;
            let task = AbortOnDropHandle::new(client.connect());
            Some((client, task))
        };
        Some(Self {
            service: service_name.clone(),
            clients: hosts.iter().filter_map(client).collect(),
        })
    }

    /// Host and port of the primary. `None` when no Sentinel answers.
    pub(super) async fn primary(&self) -> Option<(String, u16)> {
        let asked = self.clients.iter().map(|(client, _)| self.ask(client));
        let claims = join_all(asked).await.into_iter().flatten();
        newest(claims).map(|claim| claim.address)
    }

    async fn ask(&self, sentinel: &Client) -> Option<Claim> {
        if !sentinel.is_connected() {
            return None;
        }
        let (named, state) = tokio::join!(
            self.command::<(String, u16)>(sentinel, "GET-MASTER-ADDR-BY-NAME"),
            self.command::<HashMap<String, String>>(sentinel, "MASTER"),
        );
        Claim::new(named?, &state?)
    }

    async fn command<T: FromValue>(&self, sentinel: &Client, name: &'static str) -> Option<T> {
        let command = CustomCommand::new_static("SENTINEL", ClusterHash::FirstKey, false);
        let arguments = vec![name, self.service.as_str()];
        sentinel.custom(command, arguments).await.ok()
    }
}

impl Claim {
    /// `state` is the Sentinel's own, which a fail-over that it conducts changes last: until then the promoted
    /// server is named already, ahead of the epoch that the state still has.
    fn new(named: (String, u16), state: &HashMap<String, String>) -> Option<Self> {
        let epoch: u64 = state.get("config-epoch")?.parse().ok()?;
        let before = (state.get("ip")?, state.get("port")?.parse().ok()?);
        let promoted = before != (&named.0, named.1);
        Some(Self {
            epoch: epoch * 2 + u64::from(promoted),
            address: named,
        })
    }
}

fn newest(claims: impl Iterator<Item = Claim>) -> Option<Claim> {
    claims.max_by_key(|claim| claim.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(named: u16, epoch: &str, before: u16) -> Option<Claim> {
        let state = [("config-epoch", epoch), ("ip", "10.0.0.1")];
        let mut state: HashMap<_, _> = state.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        state.insert("port".to_owned(), before.to_string());
        Claim::new(("10.0.0.1".to_owned(), named), &state)
    }

    fn chosen(claims: Vec<Option<Claim>>) -> u16 {
        newest(claims.into_iter().flatten()).unwrap().address.1
    }

    #[test]
    fn a_sentinel_that_was_away_is_outvoted_by_one_that_saw_the_fail_over() {
        let old = || claim(6379, "4", 6379);
        assert_eq!(chosen(vec![old(), claim(6380, "5", 6380), old()]), 6380);
    }

    #[test]
    fn the_sentinel_that_conducts_a_fail_over_is_believed_before_it_is_over() {
        let old = || claim(6379, "4", 6379);
        assert_eq!(chosen(vec![old(), claim(6380, "4", 6379), old()]), 6380);
    }

    #[test]
    fn an_answer_that_names_no_epoch_is_no_claim() {
        assert_eq!(claim(6379, "soon", 6379), None);
    }
}
