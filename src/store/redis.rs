//! Redis: connection, scripts, and the replies turned into Rust. The only record that knows fred.

mod cause;
mod connect;
mod failure;
pub(crate) mod keys;
mod primary_lease;
mod reconnections;
mod scripts;
mod sentinels;
mod supervised_client;
pub(crate) mod tracking;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fred::error::{Error as RedisError, ErrorKind};
use fred::interfaces::{ClientLike, HashesInterface, KeysInterface, LuaInterface};
use fred::types::{Expiration, FromValue, SetOptions, Value};
use tokio::sync::Notify;

use crate::clock::{self, Stopwatch};
use crate::config;
use crate::store::Error;
use crate::telemetry::names;
use failure::{Refusal, refused, uncertain};
use keys::KeySpace;
pub(crate) use scripts::Op;
use scripts::Scripts;
use supervised_client::{LeasedClient, SupervisedClient};

/// Time for the first connection. After that the service starts without.
const FIRST_CONNECTION_WITHIN: Duration = Duration::from_secs(3);
/// Interval of polling for it.
const POLL: Duration = Duration::from_millis(10);
/// Time for which a command is sent again while the server says that it did not execute it.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);
/// Pause before a command is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// Redis with our scripts and our keys.
#[derive(Debug)]
pub(crate) struct Redis {
    clients: Vec<SupervisedClient>,
    turn: AtomicUsize,
    pub(crate) keys: KeySpace,
    scripts: Scripts,
    reconnected: Arc<Notify>,
}

/// Attempts at one command.
struct Attempts {
    operation: &'static str,
    /// Meaning of an error that ends them.
    meaning: fn(&'static str, &RedisError) -> Error,
    first: Stopwatch,
    last: Stopwatch,
}

impl Attempts {
    fn of(operation: &'static str, meaning: fn(&'static str, &RedisError) -> Error) -> Self {
        let now = Stopwatch::start();
        Self {
            operation,
            meaning,
            first: now,
            last: now,
        }
    }
}

impl Redis {
    /// Begins to connect, and waits a moment for the first connection. With Redis away it goes on trying.
    ///
    /// # Errors
    /// [`Error::Setup`] when waiting cannot mend it, such as a wrong password.
    pub(crate) async fn connect(settings: &config::Redis) -> Result<Self, Error> {
        let builder = connect::builder(settings)?;
        let reconnected = Arc::new(Notify::new());
        let client = |_| {
            let connected = Arc::clone(&reconnected);
            SupervisedClient::new(builder.clone(), settings.timeout, connected)
        };
        let clients: Result<Vec<_>, Error> = (0..settings.connections.max(1)).map(client).collect();
        let redis = Self {
            clients: clients?,
            turn: AtomicUsize::new(0),
            keys: KeySpace::new(&settings.prefix),
            scripts: Scripts::new(),
            reconnected,
        };
        for client in &redis.clients {
            client.connect();
        }
        redis.await_first_connection().await?;
        Ok(redis)
    }

    async fn await_first_connection(&self) -> Result<(), Error> {
        let waiting = Stopwatch::start();
        while !self.is_connected() {
            let cause = self.clients.iter().find_map(SupervisedClient::cause);
            if let Some(cause) = cause.filter(|cause| cause.is_lasting) {
                return Err(Error::Setup(cause.text));
            }
            if waiting.elapsed() > FIRST_CONNECTION_WITHIN {
                tracing::error!("Redis is away; until it is there everything answers 503");
                return Ok(());
            }
            clock::sleep(POLL).await;
        }
        Ok(())
    }

    /// Whether any connection stands.
    pub(crate) fn is_connected(&self) -> bool {
        self.client().is_ok()
    }

    /// Number of connections made so far: while it stays, answers come from the same servers.
    pub(crate) fn connections(&self) -> u64 {
        self.clients.iter().map(SupervisedClient::connections).sum()
    }

    /// Whether Redis accepts connections and this process has had none that it could use for a minute.
    pub(crate) fn is_stuck(&self) -> bool {
        self.clients.iter().all(SupervisedClient::is_stuck)
    }

    /// A client that is connected; at once an error when none is, so that nobody waits in vain.
    fn client(&self) -> Result<LeasedClient, Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (before, after) = self.clients.split_at(turn % self.clients.len());
        let mut clients = after.iter().chain(before).map(SupervisedClient::present);
        let connected = clients.find(|leased| leased.client.is_connected());
        connected.ok_or(Error::Unavailable("redis"))
    }

    /// Judges an answer of a client. `None`: the server says that it did not execute the command and may do so soon (a slot
    /// of a Cluster moves, or the server loads), and the command is to be sent again.
    async fn settle<T>(
        &self,
        attempts: &mut Attempts,
        from: &LeasedClient,
        answer: Result<T, RedisError>,
    ) -> Option<Result<T, Error>> {
        metrics::histogram!(names::REDIS_COMMAND, "operation" => attempts.operation)
            .record(attempts.last.seconds());
        let error = match answer {
            Ok(answer) if from.is_primary().await => return Some(Ok(answer)),
            Ok(_) => RedisError::new(ErrorKind::Timeout, "not known to be the primary's answer"),
            Err(error) => error,
        };
        let refusal = Refusal::of(&error);
        if refusal.is_none() || attempts.first.elapsed() > SETTLES_WITHIN {
            return Some(Err((attempts.meaning)(attempts.operation, &error)));
        }
        if refusal == Some(Refusal::WrongServer) {
            self.clients.iter().for_each(SupervisedClient::distrust);
        }
        clock::sleep(PAUSE).await;
        attempts.last = Stopwatch::start();
        None
    }

    /// Runs a script once. Whatever cannot be told from "never sent" is [`Error::Unknown`].
    pub(crate) async fn run<T: FromValue>(
        &self,
        op: Op,
        keys: Vec<String>,
        args: Vec<Value>,
    ) -> Result<T, Error> {
        let script = self.scripts.of(op);
        let mut attempts = Attempts::of(op.label(), uncertain);
        loop {
            let leased = self.client()?;
            let client = &leased.client;
            let digest = script.sha1().clone();
            let mut answer = client.evalsha(digest, keys.clone(), args.clone()).await;
            if let Err(error) = &answer
                && error.details().starts_with("NOSCRIPT")
                && let Some(source) = script.lua()
            {
                // Not executed: a server that is new or was restarted does not know the script.
                let source = source.clone();
                answer = client.eval(source, keys.clone(), args.clone()).await;
            }
            if let Some(settled) = self.settle(&mut attempts, &leased, answer).await {
                return settled;
            }
        }
    }

    /// Several keys of one slot.
    pub(crate) async fn mget(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, Error> {
        let mut attempts = Attempts::of("read", refused);
        loop {
            let leased = self.client()?;
            let answer = leased.client.mget(keys.clone()).await;
            if let Some(settled) = self.settle(&mut attempts, &leased, answer).await {
                return settled;
            }
        }
    }

    /// One key.
    pub(crate) async fn fetch(&self, key: String) -> Result<Option<String>, Error> {
        let mut attempts = Attempts::of("read", refused);
        loop {
            let leased = self.client()?;
            let answer = leased.client.get(key.as_str()).await;
            if let Some(settled) = self.settle(&mut attempts, &leased, answer).await {
                return settled;
            }
        }
    }

    /// Sets a key with a time to live, where wished only when it is absent. Whether it was set.
    pub(crate) async fn store(
        &self,
        key: String,
        value: String,
        expires: Option<Duration>,
        only_absent: bool,
    ) -> Result<bool, Error> {
        let millis = |after: Duration| i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let options = only_absent.then_some(SetOptions::NX);
        let mut attempts = Attempts::of("set", uncertain);
        loop {
            let leased = self.client()?;
            let (key, value) = (key.as_str(), value.as_str());
            let expires = expires.map(|after| Expiration::PX(millis(after)));
            let answer: Result<Option<String>, _> = leased
                .client
                .set(key, value, expires, options.clone(), false)
                .await;
            if let Some(settled) = self.settle(&mut attempts, &leased, answer).await {
                return settled.map(|set| set.is_some());
            }
        }
    }

    /// The fields of a hash.
    pub(crate) async fn fields(&self, key: String) -> Result<Vec<String>, Error> {
        let mut attempts = Attempts::of("read", refused);
        loop {
            let leased = self.client()?;
            let answer = leased.client.hkeys(key.as_str()).await;
            if let Some(settled) = self.settle(&mut attempts, &leased, answer).await {
                return settled;
            }
        }
    }

    /// Removes a field of a hash.
    pub(crate) async fn remove_field(&self, key: String, field: String) -> Result<(), Error> {
        let removed = self.client()?.client.hdel(key, field).await;
        removed.map_err(|error| uncertain("remove", &error))
    }

    /// Text of `INFO` from one server.
    pub(crate) async fn info(&self) -> Result<String, Error> {
        self.client()?
            .client
            .info(None)
            .await
            .map_err(|error| refused("info", &error))
    }

    /// Value of a configuration parameter; `None` where the server does not tell.
    pub(crate) async fn setting(&self, name: &'static str) -> Option<String> {
        use fred::interfaces::ConfigInterface;
        let answer: std::collections::HashMap<String, String> =
            self.client().ok()?.client.config_get(name).await.ok()?;
        answer.into_values().next()
    }

    /// Whether it answers at all.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        self.client()?
            .client
            .ping::<()>(None)
            .await
            .map_err(|error| refused("ping", &error))
    }

    /// Completes after the next time that any connection was made anew.
    pub(crate) async fn reconnected(&self) {
        self.reconnected.notified().await;
    }

    /// Closes the connections.
    pub(crate) fn close(&self) {
        self.clients.iter().for_each(SupervisedClient::close);
    }
}
