//! Servers of a run: Redis in one of its forms, one PostgreSQL, and two instances of the real program over them, each
//! behind proxies of its own. Everything lives in a throw-away folder and ends with the checker.

mod child;
mod instance;
mod proxy;
mod redis;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sallyport::clock::{self, Stopwatch};
use sallyport::dev::{Binaries, Lifetime, PrivatePostgres, SearchPath, ThrowawayFolder};

pub(super) use self::instance::Instance;
use self::proxy::{Proxy, Way};
pub(super) use self::redis::Redis;
use super::options::Topology;
use crate::error::Error;

/// Steps of 30 s that the instances grant authenticators: each account has that many codes at once.
pub(super) const SKEW_STEPS: u64 = 10;
const POLL: Duration = Duration::from_millis(50);
/// Longest time between the last fault and two instances that are ready.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Longest time for which an instance tells an old value of a metric.
const METRICS_LAG: Duration = Duration::from_secs(3);
const DRAINS_WITHIN: Duration = Duration::from_secs(60);

/// Counts log entries that are not younger than a time (ms), and pending records where that is for ever.
const LEFT: &str = "local n = 0
for _, key in ipairs(redis.call('KEYS', '*}:log')) do
    n = n + #redis.call('XRANGE', key, '-', ARGV[1], 'COUNT', '10')
end
if ARGV[1] == '+' then
    for _, key in ipairs(redis.call('KEYS', '*}:pend')) do n = n + redis.call('HLEN', key) end
end
return n";

/// All records of the kinds in ARGV that count, a line each: key, a space, `gen ver …`. Those of an incarnation before
/// the partition's are cold: whoever needs them asks PostgreSQL.
const RECORDS: &str = "local lines = {}
for _, kind in ipairs(ARGV) do
    for _, key in ipairs(redis.call('KEYS', '*}:' .. kind .. ':*')) do
        local value = redis.call('GET', key)
        local meta = redis.call('GET', string.match(key, '^.-}:') .. 'meta')
        if value and meta and string.match(value, '^%d+') == string.match(meta, '^%d+') then
            lines[#lines + 1] = key .. ' ' .. string.sub(value, 1, 64)
        end
    end
end
return table.concat(lines, '\\n')";

/// The servers.
pub(super) struct Servers {
    pub(super) redis: Redis,
    pub(super) postgres: PrivatePostgres,
    pub(super) instances: Vec<Instance>,
    redis_proxies: Vec<Proxy>,
    postgres_proxies: Vec<Proxy>,
    // Last, so that the servers have ended when it is removed.
    folder: ThrowawayFolder,
}

impl Servers {
    /// Starts the stores, makes keys and schema, and starts the instances.
    pub(super) async fn start(topology: Topology, binary: &Path) -> Result<Self, Error> {
        let binaries = binaries();
        let folder = ThrowawayFolder::inside(&std::env::temp_dir()).map_err(dev)?;
        let home = folder.path().join("postgres");
        let (redis, postgres) =
            tokio::try_join!(Redis::start(topology, &binaries, folder.path()), async {
                let started = PrivatePostgres::start(&binaries, &home, Lifetime::Throwaway);
                started.await.map_err(dev)
            },)?;
        let mut servers = Self {
            redis,
            postgres,
            instances: Vec::new(),
            redis_proxies: Vec::new(),
            postgres_proxies: Vec::new(),
            folder,
        };
        for number in 0..2 {
            servers.add_instance(number, binary).await?;
        }
        servers.prepare().await?;
        for instance in &mut servers.instances {
            instance.start()?;
        }
        servers.wait_until_ready().await?;
        Ok(servers)
    }

    async fn add_instance(&mut self, number: usize, binary: &Path) -> Result<(), Error> {
        let mut redis_port = None;
        if let Some(port) = self.redis.single_port() {
            let proxy = Proxy::start(port).await?;
            redis_port = Some(proxy.port());
            self.redis_proxies.push(proxy);
        }
        let proxy = Proxy::start(self.postgres.port()).await?;
        let (own, other) = (self.postgres.port(), proxy.port());
        self.postgres_proxies.push(proxy);
        let database = self.postgres.url("postgres");
        let database = database.replace(&format!(":{own}/"), &format!(":{other}/"));
        let url = self.redis.url(redis_port);
        let instance = Instance::new(binary, self.folder.path(), number, url, database)?;
        self.instances.push(instance);
        Ok(())
    }

    async fn prepare(&self) -> Result<(), Error> {
        let keys = self.folder.path().join("keys.json");
        let keys = keys.display().to_string();
        for arguments in [&["keys", "generate", "--file", &keys][..], &["migrate"][..]] {
            let command = self.instances[0].command(arguments);
            let output = tokio::process::Command::from(command).output().await;
            let output = output.map_err(Error::io("running the program"))?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(Error::Target(format!("{arguments:?} failed: {text}")));
            }
        }
        Ok(())
    }

    /// Folder with the logs of all servers.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Addresses of the public listeners.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.instances.iter().map(Instance::public).collect()
    }

    /// Makes the way from an instance to Redis silent, or well again for new connections.
    pub(super) fn silence_redis(&self, instance: usize, silent: bool) {
        if let Some(proxy) = self.redis_proxies.get(instance) {
            proxy.set(if silent { Way::Silent } else { Way::Open });
        }
    }

    /// The same for PostgreSQL.
    pub(super) fn silence_postgres(&self, instance: usize, silent: bool) {
        self.postgres_proxies[instance].set(if silent { Way::Silent } else { Way::Open });
    }

    /// Makes everything between an instance and PostgreSQL slower by `delay`, or as it was.
    pub(super) fn slow_postgres(&self, instance: usize, delay: Option<Duration>) {
        let half = |delay: Duration| Way::Slow(delay / 2);
        self.postgres_proxies[instance].set(delay.map_or(Way::Open, half));
    }

    /// Starts PostgreSQL again, where it does not run.
    pub(super) async fn restart_postgres(&mut self) -> Result<(), Error> {
        if !self.postgres.is_running() {
            self.postgres.restart().await.map_err(dev)?;
        }
        Ok(())
    }

    /// Repairs everything, and waits until both instances are ready. Returns how long they took.
    ///
    /// # Errors
    /// When a store or an instance does not become well again.
    pub(super) async fn heal(&mut self) -> Result<Duration, Error> {
        for instance in 0..self.instances.len() {
            self.silence_redis(instance, false);
            self.silence_postgres(instance, false);
        }
        self.postgres.resume();
        self.restart_postgres().await?;
        for instance in &mut self.instances {
            instance.resume();
        }
        self.redis.heal().await?;
        let watch = Stopwatch::start();
        for instance in &mut self.instances {
            instance.start()?;
        }
        self.wait_until_ready().await?;
        Ok(watch.elapsed())
    }

    /// Waits until both instances are ready.
    ///
    /// # Errors
    /// When that takes too long, or one has ended by itself.
    pub(super) async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let watch = Stopwatch::start();
        loop {
            let mut away = Vec::new();
            for (number, instance) in self.instances.iter_mut().enumerate() {
                if !instance.is_running() {
                    return Err(Error::Target(format!("instance {number} ended by itself")));
                }
                if !instance.is_ready().await {
                    away.push(number);
                }
            }
            if away.is_empty() {
                return Ok(());
            }
            if watch.elapsed() > READY_WITHIN {
                return Err(Error::Target(format!(
                    "instances {away:?} were not ready {} s after the last fault had ended",
                    READY_WITHIN.as_secs()
                )));
            }
            clock::sleep(POLL).await;
        }
    }

    /// Waits until nothing is left of what is in the log now, or held by an instance though Redis has lost it. Returns
    /// whether that happened within `limit`.
    pub(super) async fn drains(&self, limit: Duration) -> bool {
        let watch = Stopwatch::start();
        let now = clock::Clock::system().now().micros() / 1000;
        if !self.reaches_zero(&now.to_string(), limit).await {
            return false;
        }
        while watch.elapsed() < limit {
            let held = self.sum_of("sallyport_store_held_seconds").await;
            // What was held at the beginning would have been held for longer.
            if held.is_some_and(|held| held + METRICS_LAG.as_secs_f64() < watch.seconds()) {
                return true;
            }
            clock::sleep(POLL).await;
        }
        false
    }

    /// Waits until nothing is pending at all, by Redis and by the metrics of both instances.
    pub(super) async fn is_drained(&self) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed() < DRAINS_WITHIN {
            let pending = self.sum_of("sallyport_store_pending_changes").await;
            let held = self.sum_of("sallyport_store_held_seconds").await;
            if (pending, held) == (Some(0.0), Some(0.0)) && self.left("+").await == Some(0) {
                return true;
            }
            clock::sleep(POLL * 4).await;
        }
        false
    }

    /// A metric, summed over the instances; `None` where one of them does not tell it.
    async fn sum_of(&self, metric: &str) -> Option<f64> {
        let mut sum = 0.0;
        for instance in &self.instances {
            sum += instance.metrics().await?.value(metric);
        }
        Some(sum)
    }

    async fn reaches_zero(&self, until: &str, limit: Duration) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed() < limit {
            if self.left(until).await == Some(0) {
                return true;
            }
            clock::sleep(POLL).await;
        }
        false
    }

    async fn left(&self, until: &str) -> Option<u64> {
        let texts = self.ask_primaries(&["EVAL", LEFT, "0", until]).await?;
        texts.iter().map(|text| text.parse::<u64>().ok()).sum()
    }

    /// All records of these kinds in Redis: key, a space, value.
    pub(super) async fn redis_records(&self, kinds: &[&str]) -> Option<String> {
        let command = [&["EVAL", RECORDS, "0"], kinds].concat();
        let texts = self.ask_primaries(&command).await?;
        Some(texts.join("\n"))
    }

    async fn ask_primaries(&self, command: &[&str]) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for number in self.redis.primaries().await {
            texts.push(self.redis.node(number).ask(command).await.ok()?);
        }
        (!texts.is_empty()).then_some(texts)
    }

    /// Rows of a query: `a|b` a line.
    ///
    /// # Errors
    /// PostgreSQL's complaint.
    pub(super) async fn query(&self, query: &str) -> Result<String, Error> {
        self.postgres.psql(query).await.map_err(dev)
    }
}

/// Programs of the stores, found where `PATH` leads.
#[expect(
    clippy::disallowed_methods,
    reason = "programs are found as a shell finds them"
)]
fn binaries() -> Binaries {
    Binaries::find(SearchPath {
        pg_bin: std::env::var_os("PG_BIN").map(Into::into),
        redis_bin: std::env::var_os("REDIS_BIN").map(Into::into),
        path: std::env::var_os("PATH"),
    })
}

/// Wraps what a private store complains of.
#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn dev(error: sallyport::dev::Error) -> Error {
    Error::Target(error.to_string())
}
