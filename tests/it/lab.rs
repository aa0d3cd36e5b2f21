//! A store under test: its own database, its own corner of a shared Redis, and hands to break both.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::config::{Config, ServerConfig};
use fred::types::{Builder, ClusterHash, CustomCommand};
use sallyport::clock::Clock;
use sallyport::config;
use sallyport::model::{
    Action, AuditEvent, Challenge, ClientInfo, Factors, Identifier, Method, MethodKind, Session,
    SessionId, Strikes, Timestamp, TrustedDevice, User, UserId,
};
use sallyport::store::{Class, Error, Receipt, Store};

use crate::stores::{OwnStores, Stores};

/// Which Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Single,
    Cluster,
}

/// Both kinds, for tests that must hold on each.
pub const BOTH: [Kind; 2] = [Kind::Single, Kind::Cluster];

pub const INDEX_KEY: [u8; 32] = [7; 32];

/// One database, one key prefix, any number of stores over them.
pub struct Lab {
    pub redis: config::Redis,
    pub postgres: config::Postgres,
    pub settings: config::Store,
    pub clock: Clock,
    pub pool: sqlx::PgPool,
    nodes: Vec<Client>,
}

impl Lab {
    pub async fn new(kind: Kind) -> Self {
        let stores = Stores::shared();
        let url = if kind == Kind::Single {
            &stores.redis_url
        } else {
            &stores.cluster_url
        };
        Self::over(url, &stores.fresh_prefix(), &stores.fresh_database().await).await
    }

    /// Over servers that this test may break.
    pub async fn over_own(own: &OwnStores) -> Self {
        let mut lab = Self::over(&own.redis.url(), "", &own.database_url()).await;
        lab.clock = Clock::system();
        lab
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

    /// Every key of this lab.
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

    /// Everything in this lab's corner of Redis, to bring back later.
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

    /// Everything that Redis holds for this lab, as text: each key with its value.
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

    pub fn user(&self, name: &str) -> User {
        let now = self.clock.now();
        User {
            id: self.clock.new_id(),
            email: format!("{name}@example.com"),
            email_key: format!("{name}@example.com"),
            username: name.to_owned(),
            username_key: name.to_owned(),
            email_verified_at: None,
            password_hash: Some("$argon2id$…".to_owned()),
            two_factor_enabled: false,
            roles: Vec::new(),
            session_epoch: 0,
            device_epoch: 0,
            proof_epoch: 0,
            disabled_at: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }

    pub fn session(&self, user: &User) -> Session {
        let now = self.clock.now();
        Session {
            id: self.clock.new_id_in(user.id.partition()),
            user_id: user.id,
            epoch: user.session_epoch,
            generation: 1,
            refresh_hash: "00".repeat(32),
            previous_hash: None,
            successor: None,
            rotated_at: now,
            proof_epoch: 0,
            amr: vec!["pwd".to_owned()],
            auth_time: now,
            ip_address: "192.0.2.7".parse().expect("address"),
            user_agent: "test".to_owned(),
            created_at: now,
            last_used_at: now,
            idle_expires_at: now.after(Duration::from_hours(1)),
            expires_at: now.after(Duration::from_hours(2)),
            deleted_at: None,
        }
    }

    /// A challenge as the first door leaves it.
    pub fn challenge(&self, user: &User) -> Challenge {
        let now = self.clock.now();
        Challenge {
            id: self.clock.new_id_in(user.id.partition()),
            user_id: user.id,
            secret_hash: "00".repeat(32),
            session_epoch: user.session_epoch,
            user_agent: "test".to_owned(),
            first_factor: "pwd".to_owned(),
            tries: 0,
            created_at: now,
            expires_at: now.after(Duration::from_mins(5)),
        }
    }

    /// Second factors with one method and a set of backup codes.
    pub fn factors(&self, user: &User) -> Factors {
        let now = self.clock.now();
        let mut factors = Factors::none(user.id, now);
        let method = Method {
            id: self.clock.new_id_in(user.id.partition()),
            kind: MethodKind::Totp,
            secret: "s1.sealed".to_owned(),
            hint: None,
            last_step: 0,
            strikes: Strikes::default(),
            created_at: now,
            last_used_at: None,
        };
        factors.enable(method, 1, now);
        factors.renew_backup_codes("$argon2id$…".to_owned(), vec!["tag".to_owned()], now);
        factors
    }

    /// A device that the account trusts.
    pub fn device(&self, user: &User) -> TrustedDevice {
        let seen = ClientInfo {
            ip_address: "192.0.2.7".parse().expect("address"),
            user_agent: "test".to_owned(),
        };
        TrustedDevice::trust(
            self.clock.new_id_in(user.id.partition()),
            user,
            "00".repeat(32),
            "Laptop".to_owned(),
            seen,
            self.clock.now(),
            Duration::from_hours(1),
        )
    }

    pub fn event(&self, user: &User, action: Action) -> AuditEvent {
        AuditEvent {
            id: self.clock.new_id_in(user.id.partition()),
            user_id: Some(user.id),
            session_id: None,
            action,
            success: true,
            ip_address: Some("192.0.2.7".parse().expect("address")),
            user_agent: None,
            request_id: None,
            details: serde_json::json!({}),
            created_at: self.clock.now(),
        }
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

/// Names of an account.
pub fn names(user: &User) -> [Identifier; 2] {
    use sallyport::model::IdentifierKind::{Email, Username};
    [
        Identifier {
            kind: Email,
            key: user.email_key.clone(),
        },
        Identifier {
            kind: Username,
            key: user.username_key.clone(),
        },
    ]
}

/// Commits a new account with its audit entry.
pub async fn add(store: &Store, lab: &Lab, user: &User) -> Result<Receipt, Error> {
    let added = store
        .transact(Class::Grant, user.id, |found: Option<User>, draft| {
            assert!(found.is_none(), "a new id is free");
            draft.put(user);
            draft.trace(&lab.event(user, Action::UserRegistered));
            Ok::<_, Error>(())
        })
        .await?;
    Ok(added.1)
}

/// Raises the account's device epoch by one, and tells the new one.
pub async fn bump(store: &Store, id: UserId) -> Result<(i64, Receipt), Error> {
    store
        .transact(Class::Restrict, id, |user: Option<User>, draft| {
            let mut user = user.ok_or_else(|| Error::Corrupt("user is gone".to_owned()))?;
            user.device_epoch += 1;
            draft.put(&user);
            Ok(user.device_epoch)
        })
        .await
}

/// Opens a session.
pub async fn open_session(
    store: &Store,
    lab: &Lab,
    user: &User,
) -> Result<(SessionId, Receipt), Error> {
    let session = lab.session(user);
    store
        .transact(Class::Session, (session.id, user.id), |_, draft| {
            draft.put(&session);
            Ok(session.id)
        })
        .await
}
