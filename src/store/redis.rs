//! Redis: connection, scripts, and the replies turned into Rust. The only record that knows fred.

mod connect;
pub(crate) mod keys;
mod reconnections;
mod scripts;
pub(crate) mod tracking;

use std::fmt::Debug;
use std::sync::Arc;

use fred::clients::{Client, Pool};
use fred::error::{Error as RedisError, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, HashesInterface, KeysInterface, LuaInterface};
use fred::types::{Expiration, FromValue, SetOptions, Value};

use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

use crate::clock::Stopwatch;
use crate::config;
use crate::store::Error;
use crate::telemetry::names;
use keys::KeySpace;
use reconnections::Reconnections;
pub(crate) use scripts::Op;
use scripts::Scripts;

/// Redis with our scripts and our keys.
#[derive(Debug)]
pub(crate) struct Redis {
    pool: Pool,
    pub(crate) keys: KeySpace,
    scripts: Scripts,
    reconnected: Arc<Notify>,
    reconnections: Reconnections,
}

impl Redis {
    /// Connects, waits for the first connection, loads the scripts.
    pub(crate) async fn connect(settings: &config::Redis) -> Result<Self, Error> {
        let pool = connect::pool(settings).await?;
        let redis = Self {
            reconnected: announce_reconnections(&pool),
            pool,
            keys: KeySpace::new(&settings.prefix),
            scripts: Scripts::new(),
            reconnections: Reconnections::default(),
        };
        for client in redis.pool.clients() {
            redis.reconnections.follow(client);
        }
        for script in redis.scripts.all() {
            script
                .load(redis.pool.next())
                .await
                .map_err(|error| refused("load", &error))?;
        }
        Ok(redis)
    }

    /// A client that is connected; at once an error when none is, so that nobody waits in vain.
    fn client(&self) -> Result<&Client, Error> {
        let client = self.pool.next_connected();
        if client.is_connected() {
            Ok(client)
        } else {
            Err(Error::Unavailable("redis"))
        }
    }

    /// Runs a script once. Whatever cannot be told from "never sent" is [`Error::Unknown`].
    pub(crate) async fn run<T: FromValue>(
        &self,
        op: Op,
        keys: Vec<String>,
        args: Vec<Value>,
    ) -> Result<T, Error> {
        let client = self.client()?;
        let stopwatch = Stopwatch::start();
        let script = self.scripts.of(op);
        let mut answer = client
            .evalsha(script.sha1().clone(), keys.clone(), args.clone())
            .await;
        if let Err(error) = &answer
            && error.details().starts_with("NOSCRIPT")
        {
            // Not executed: a node that restarted has forgotten the scripts.
            script
                .load(client)
                .await
                .map_err(|error| refused("load", &error))?;
            answer = client.evalsha(script.sha1().clone(), keys, args).await;
        }
        metrics::histogram!(names::REDIS_COMMAND, "operation" => op.label())
            .record(stopwatch.seconds());
        answer.map_err(|error| uncertain(op.label(), &error))
    }

    /// Several keys of one slot.
    pub(crate) async fn mget(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, Error> {
        let stopwatch = Stopwatch::start();
        let answer = self.client()?.mget(keys).await;
        metrics::histogram!(names::REDIS_COMMAND, "operation" => "read")
            .record(stopwatch.seconds());
        answer.map_err(|error| refused("read", &error))
    }

    /// One key.
    pub(crate) async fn fetch(&self, key: String) -> Result<Option<String>, Error> {
        let stopwatch = Stopwatch::start();
        let answer = self.client()?.get(key).await;
        metrics::histogram!(names::REDIS_COMMAND, "operation" => "read")
            .record(stopwatch.seconds());
        answer.map_err(|error| refused("read", &error))
    }

    /// Sets a key with a time to live, where wished only when it is absent. Whether it was set.
    pub(crate) async fn store(
        &self,
        key: String,
        value: String,
        expires: Option<std::time::Duration>,
        only_absent: bool,
    ) -> Result<bool, Error> {
        let expires = expires
            .map(|after| Expiration::PX(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)));
        let options = only_absent.then_some(SetOptions::NX);
        let answer: Result<Option<String>, _> = self
            .client()?
            .set(key, value, expires, options, false)
            .await;
        answer
            .map(|set| set.is_some())
            .map_err(|error| uncertain("set", &error))
    }

    /// The fields of a hash.
    pub(crate) async fn fields(&self, key: String) -> Result<Vec<String>, Error> {
        self.client()?
            .hkeys(key)
            .await
            .map_err(|error| refused("read", &error))
    }

    /// Removes a field of a hash.
    pub(crate) async fn remove_field(&self, key: String, field: String) -> Result<(), Error> {
        let removed = self.client()?.hdel(key, field).await;
        removed.map_err(|error| uncertain("remove", &error))
    }

    /// How many connections were made so far: while the number stays, answers come from the same servers.
    pub(crate) fn connections(&self) -> u64 {
        self.reconnections.count()
    }

    /// Text of `INFO` from one server.
    pub(crate) async fn info(&self) -> Result<String, Error> {
        self.client()?
            .info(None)
            .await
            .map_err(|error| refused("info", &error))
    }

    /// Value of a configuration parameter; `None` where the server does not tell.
    pub(crate) async fn setting(&self, name: &'static str) -> Option<String> {
        use fred::interfaces::ConfigInterface;
        let answer: std::collections::HashMap<String, String> =
            self.client().ok()?.config_get(name).await.ok()?;
        answer.into_values().next()
    }

    /// Whether it answers at all.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        self.client()?
            .ping::<()>(None)
            .await
            .map_err(|error| refused("ping", &error))
    }

    /// Completes after the next time that any connection was made anew.
    pub(crate) async fn reconnected(&self) {
        self.reconnected.notified().await;
    }

    /// Closes the connections.
    pub(crate) async fn quit(&self) {
        let _ = self.pool.quit().await;
    }
}

/// Turns every client's reconnections into one signal.
fn announce_reconnections(pool: &Pool) -> Arc<Notify> {
    let signal = Arc::new(Notify::new());
    for client in pool.clients() {
        let (mut reconnections, signal) = (client.reconnect_rx(), Arc::clone(&signal));
        tokio::spawn(async move {
            while let Ok(_) | Err(RecvError::Lagged(_)) = reconnections.recv().await {
                metrics::counter!(names::REDIS_RECONNECTS).increment(1);
                signal.notify_one();
            }
        });
    }
    signal
}

/// The operation did not happen, or does not matter when it did.
fn refused(operation: &'static str, error: &RedisError) -> Error {
    count(operation, error);
    Error::Unavailable("redis")
}

/// The operation may have happened, unless it is certain that it was not sent or that the server refused
/// it. (After a disconnection the client answers commands in flight with errors of many kinds.)
fn uncertain(operation: &'static str, error: &RedisError) -> Error {
    count(operation, error);
    let never_sent = matches!(
        error.kind(),
        ErrorKind::Backpressure
            | ErrorKind::InvalidCommand
            | ErrorKind::InvalidArgument
            | ErrorKind::Auth
            | ErrorKind::Config
    );
    let refusals = ["OOM", "NOREPLICAS", "MISCONF", "NOSCRIPT", "ERR"];
    let said_no = refusals
        .iter()
        .any(|word| error.details().starts_with(word));
    if never_sent || said_no {
        Error::Unavailable("redis")
    } else {
        Error::Unknown
    }
}

fn count(operation: &'static str, error: &(impl Debug + std::fmt::Display)) {
    metrics::counter!(names::REDIS_ERRORS, "kind" => operation).increment(1);
    tracing::warn!(operation, %error, "redis");
}
