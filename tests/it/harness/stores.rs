//! Stores of one test: a database and a key prefix of its own, and ways to break both.

use std::collections::HashMap;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, HashesInterface, KeysInterface};
use fred::types::config::{Config, ServerConfig};
use fred::types::{Builder, ClusterHash, CustomCommand};
use sallyport::clock::Clock;
use sallyport::config;
use sallyport::model::Timestamp;
use sallyport::store::Store;

use super::store_servers::{OwnStores, SharedStores};

/// Which Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Single,
    Cluster,
}

/// Both kinds, for tests that must hold on each.
pub const BOTH: [Kind; 2] = [Kind::Single, Kind::Cluster];

pub const INDEX_KEY: [u8; 32] = [7; 32];

/// One database and one key prefix, with any number of stores over them.
pub struct TestStores {
    pub redis: config::Redis,
    pub postgres: config::Postgres,
    pub settings: config::Store,
    pub clock: Clock,
    pub pool: sqlx::PgPool,
    nodes: Vec<Client>,
}

impl TestStores {
    pub async fn new(kind: Kind) -> Self {
        let stores = SharedStores::shared();
        let url = if kind == Kind::Single {
            &stores.redis_url
        } else {
            &stores.cluster_url
        };
        let database = stores.fresh_database().await;
        let mut own = Self::over(url, &stores.fresh_prefix(), &database).await;
        // The servers are shared by all tests, on a machine whose cores may be busy.
        let patience = Duration::from_secs(20);
        own.redis.timeout = patience;
        own.postgres.pool_timeout = patience;
        own.postgres.answer_wait = patience;
        own.settings.name_wait = patience;
        own.settings.confirm_wait = patience;
        own
    }

    /// Over servers that this test may break.
    pub async fn over_own(own: &OwnStores) -> Self {
        let mut stores = Self::over(&own.redis.url(), "", &own.database_url()).await;
        stores.clock = Clock::system();
        stores
    }

    /// Over a Redis of any kind that this test may break, and the PostgreSQL of `own`.
    pub async fn over_redis(own: &OwnStores, redis_url: &str) -> Self {
        let mut stores = Self::over(redis_url, "", &own.database_url()).await;
        stores.clock = Clock::system();
        stores
    }

    async fn over(redis_url: &str, prefix: &str, database_url: &str) -> Self {
        let redis = config::Redis {
            url: redis_url.to_owned(),
            prefix: prefix.to_owned(),
            ..config::Redis::default()
        };
        let postgres = config::Postgres {
            url: database_url.to_owned(),
            connections: 4,
            ..config::Postgres::default()
        };
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(2)
            .connect(&postgres.url)
            .await;
        Self {
            nodes: connect_to_each_node(&redis.url).await,
            redis,
            pool: pool.expect("database"),
            postgres,
            settings: config::Store {
                loss_hold: Duration::from_millis(20),
                ..config::Store::default()
            },
            clock: Clock::manual(Timestamp::from_micros(1_800_000_000_000_000)),
        }
    }

    /// A store that takes a step only when told to.
    pub async fn stepped(&self) -> Store {
        Store::connect(
            &self.redis,
            &self.postgres,
            &self.settings,
            INDEX_KEY,
            self.clock.clone(),
        )
        .await
        .expect("store")
    }

    /// A store whose background work runs.
    pub async fn running(&self) -> Store {
        Store::open(
            &self.redis,
            &self.postgres,
            &self.settings,
            INDEX_KEY,
            self.clock.clone(),
        )
        .await
        .expect("store")
    }

    /// All keys of this test.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for node in &self.nodes {
            let pattern = format!("{}*", self.redis.prefix);
            let mut cursor = "0".to_owned();
            loop {
                let (next, page): (String, Vec<String>) = node
                    .scan_page(cursor, pattern.clone(), Some(1000), None)
                    .await
                    .expect("scan");
                keys.extend(page);
                cursor = next;
                if cursor == "0" {
                    break;
                }
            }
        }
        keys
    }

    /// Redis loses everything.
    pub async fn empty_redis(&self) {
        for key in self.keys().await {
            self.node_of(&key)
                .await
                .del::<i64, _>(key)
                .await
                .expect("del");
        }
    }

    /// All that Redis holds for this test, to bring back later.
    pub async fn picture(&self) -> Vec<(String, fred::types::Value)> {
        let mut picture = Vec::new();
        for key in self.keys().await {
            let value = self.node_of(&key).await.dump(&key).await.expect("dump");
            picture.push((key, value));
        }
        picture
    }

    /// Redis goes back to an earlier picture, as after a fail-over to a lagging replica: what is there was
    /// written last by another server.
    pub async fn rewind(&self, picture: Vec<(String, fred::types::Value)>) {
        self.empty_redis().await;
        for (key, value) in picture {
            let node = self.node_of(&key).await;
            node.restore::<(), _>(key.clone(), 0, value, false, false, None, None)
                .await
                .expect("restore");
            if key.ends_with(":meta") {
                let meta: String = node.get(&key).await.expect("get");
                let (clock, _) = meta.rsplit_once(' ').expect("a server");
                let meta = format!("{clock} {}", "f".repeat(40));
                node.set::<(), _, _>(&key, meta, None, None, false)
                    .await
                    .expect("set");
            }
            if key.ends_with(":instances") {
                let told: HashMap<String, String> = node.hgetall(&key).await.expect("read");
                for (instance, told) in told {
                    let (_, rest) = told.split_once(' ').expect("a server");
                    let told = format!("{} {rest}", "f".repeat(40));
                    let told = node.hset::<(), _, _>(&key, (instance, told)).await;
                    told.expect("set");
                }
            }
        }
    }

    /// One record loses its key.
    pub async fn evict(&self, part: &str) -> usize {
        let keys: Vec<String> = self
            .keys()
            .await
            .into_iter()
            .filter(|key| key.contains(part))
            .collect();
        for key in &keys {
            self.node_of(key)
                .await
                .del::<i64, _>(key)
                .await
                .expect("del");
        }
        keys.len()
    }

    pub async fn value(&self, part: &str) -> Option<String> {
        let key = self
            .keys()
            .await
            .into_iter()
            .find(|key| key.contains(part))?;
        self.node_of(&key).await.get(key).await.expect("get")
    }

    /// All that Redis holds for this test, as text: each key with its value.
    pub async fn contents(&self) -> Vec<(String, String)> {
        let mut contents = Vec::new();
        for key in self.keys().await {
            let node = self.node_of(&key).await;
            let ask = async |command: &'static str, rest: &[&str]| {
                let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
                let args: Vec<&str> = std::iter::once(key.as_str())
                    .chain(rest.iter().copied())
                    .collect();
                node.custom::<fred::types::Value, _>(command, args)
                    .await
                    .expect("read")
            };
            let value = match ask("TYPE", &[]).await.as_str().as_deref() {
                Some("string") => ask("GET", &[]).await,
                Some("hash") => ask("HGETALL", &[]).await,
                Some("zset") => ask("ZRANGE", &["0", "-1", "WITHSCORES"]).await,
                Some("stream") => ask("XRANGE", &["-", "+"]).await,
                Some("none") => continue,
                other => panic!("a scan must learn to read {other:?}"),
            };
            contents.push((key, text(&value)));
        }
        contents
    }

    pub async fn ttl_millis(&self, part: &str) -> i64 {
        let key = self
            .keys()
            .await
            .into_iter()
            .find(|key| key.contains(part))
            .expect("key");
        self.node_of(&key).await.pttl(key).await.expect("pttl")
    }

    async fn node_of(&self, key: &str) -> &Client {
        if self.nodes.len() == 1 {
            return &self.nodes[0];
        }
        for node in &self.nodes {
            if node.exists::<i64, _>(key).await.is_ok() {
                return node;
            }
        }
        panic!("no node serves {key}");
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.pool)
            .await
            .expect(sql)
    }
}

/// All text in a value, whatever it is made of.
fn text(value: &fred::types::Value) -> String {
    use fred::types::Value;
    match value {
        Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join("\n"),
        Value::Map(pairs) => {
            let pairs = pairs.clone().inner().into_iter();
            let lines =
                pairs.map(|(key, value)| format!("{}\n{}", key.as_str_lossy(), text(&value)));
            lines.collect::<Vec<_>>().join("\n")
        }
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        other => other.as_string().unwrap_or_default(),
    }
}

async fn connect_to_each_node(url: &str) -> Vec<Client> {
    let config = Config::from_url(url).expect("url");
    let servers = match &config.server {
        ServerConfig::Clustered { hosts, .. } => hosts.clone(),
        other => other.hosts(),
    };
    let mut nodes = Vec::new();
    for server in servers {
        let mut own = config.clone();
        own.server = ServerConfig::Centralized { server };
        let mut builder = Builder::from_config(own);
        builder.with_connection_config(|connection| connection.max_redirections = 0);
        let client = builder.build().expect("client");
        client.init().await.expect("node");
        nodes.push(client);
    }
    nodes
}
