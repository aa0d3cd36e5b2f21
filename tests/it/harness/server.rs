//! A server of ours in this process, as its clients see it: real listeners over real stores.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sallyport::clock;
use sallyport::config;
use sallyport::core::{Core, Settings, deliver_letters};
use sallyport::crypto::{HashPool, Keys};
use sallyport::dev::ThrowawayFolder;
use sallyport::http::Dependencies;
use sallyport::model::{ClientInfo, Identifier, IdentifierKind, User, UserId};
use sallyport::outbound::Outbound;
use sallyport::store::{Class, Draft, Error, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::store_servers::{own_folder, variable};
use super::{Anonymous, TestStores};

/// A running server. Whoever speaks to it without saying more is an anonymous client.
pub struct TestServer {
    pub store: Store,
    pub core: Arc<Core>,
    pub keys: Keys,
    pub pool: HashPool,
    /// The listener that only operators reach.
    pub admin: Anonymous,
    anonymous: Anonymous,
    keys_folder: Arc<ThrowawayFolder>,
    postgres: sqlx::PgPool,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Options of a server under test: those of the product, with the cheapest Argon2.
#[derive(Clone)]
pub struct Options {
    /// Whether letters that wait are delivered.
    pub delivers_letters: bool,
    /// Whether the store flushes, sweeps and watches by itself; otherwise the test steps it.
    pub runs_store: bool,
    pub api_keys: config::ApiKeys,
    pub limits: config::Limits,
    pub tokens: config::Tokens,
    pub second_factors: config::SecondFactors,
    pub outbound: config::Outbound,
    pub http: config::Http,
    pub hashing: config::Hashing,
    /// Address of the public listener; a free port where there is none.
    pub address: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delivers_letters: true,
            runs_store: true,
            api_keys: config::ApiKeys::default(),
            limits: config::Limits::default(),
            tokens: config::Tokens::default(),
            // Administrators of tests need no app, unless the test says so.
            second_factors: config::SecondFactors {
                required_of: config::RequiredOf::Nobody,
                ..config::SecondFactors::default()
            },
            outbound: config::Outbound::default(),
            // Clients of tests send nothing after the end of their server.
            http: config::Http {
                drain_notice: Duration::ZERO,
                ..config::Http::default()
            },
            hashing: cheap_hashing(),
            address: None,
        }
    }
}

impl Options {
    /// Letters without a provider stay in a local outbox, as in dev mode.
    pub fn with_outbox(mut self) -> Self {
        self.outbound.local_outbox = true;
        self
    }

    /// Clients may name their own address: this machine is trusted as a proxy.
    pub fn behind_a_proxy(mut self) -> Self {
        self.http.trusted_proxies = vec!["127.0.0.1/32".parse().expect("network")];
        self
    }

    /// No limits.
    pub fn unlimited() -> Self {
        Self {
            limits: config::Limits {
                enabled: false,
                ..config::Limits::default()
            },
            ..Self::default()
        }
    }
}

/// Argon2 at its cheapest: what is tested is not its cost.
pub fn cheap_hashing() -> config::Hashing {
    config::Hashing {
        memory_kib: 64,
        iterations: 1,
        ..config::Hashing::default()
    }
}

impl TestServer {
    /// Starts a server with keys of its own.
    pub async fn open(stores: &TestStores, options: Options) -> Self {
        let folder = own_folder();
        let path = folder.path().join("keys.json");
        Keys::generate(&path, stores.clock.now()).expect("keys");
        Box::pin(Self::open_with_keys(stores, options, Arc::new(folder))).await
    }

    /// Starts another instance with the same keys, as two of one deployment have.
    pub async fn another(&self, stores: &TestStores, options: Options) -> Self {
        Self::open_with_keys(stores, options, Arc::clone(&self.keys_folder)).await
    }

    /// Ends this server, and starts one with the same keys.
    pub async fn restart(self, stores: &TestStores, options: Options) -> Self {
        let folder = Arc::clone(&self.keys_folder);
        self.close().await;
        Self::open_with_keys(stores, options, folder).await
    }

    async fn open_with_keys(
        stores: &TestStores,
        options: Options,
        keys_folder: Arc<ThrowawayFolder>,
    ) -> Self {
        let keys = Keys::load(&keys_folder.path().join("keys.json")).expect("keys");
        let store = if options.runs_store {
            stores.running().await
        } else {
            stores.stepped().await
        };
        let pool = HashPool::start(&options.hashing).expect("pool");
        let settings = Settings {
            tokens: options.tokens,
            second_factors: options.second_factors,
            api_keys: options.api_keys,
            limits: options.limits,
            sms_countries: options.outbound.sms.countries.clone(),
        };
        let outbound = Arc::new(Outbound::new(&options.outbound).expect("outbound"));
        let clock = stores.clock.clone();
        let core = Core::new(
            store.clone(),
            pool.clone(),
            &keys,
            outbound,
            clock,
            settings,
        );
        let core = Arc::new(core);
        let stop = CancellationToken::new();
        if options.delivers_letters {
            tokio::spawn(deliver_letters(Arc::clone(&core), stop.clone()));
        }
        let deps = Dependencies {
            core: Arc::clone(&core),
            settings: options.http,
            clock: stores.clock.clone(),
            metrics: Arc::new(|| "sallyport_up 1\n".to_owned()),
            csrf_key: *keys.derive("csrf"),
            version: "test",
        };
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = async |address| TcpListener::bind(address).await.expect("listener");
        let public = listen(options.address.unwrap_or(free)).await;
        let admin = listen(free).await;
        let at = |listener: &TcpListener| Anonymous::at(listener.local_addr().expect("address"));
        Self {
            store,
            core,
            keys,
            pool,
            admin: at(&admin),
            anonymous: at(&public),
            keys_folder,
            postgres: stores.pool.clone(),
            stop: stop.clone(),
            served: tokio::spawn(sallyport::http::serve(deps, public, admin, stop)),
        }
    }

    /// The file of its keys.
    pub fn keys_file(&self) -> PathBuf {
        self.keys_folder.path().join("keys.json")
    }

    /// The number of audit entries of an action in PostgreSQL, once everything is there.
    pub async fn audited(&self, action: &str) -> i64 {
        self.store.flush().await.expect("flushed");
        sqlx::query_scalar("SELECT count(*) FROM audit_logs WHERE action = $1")
            .bind(action)
            .fetch_one(&self.postgres)
            .await
            .expect("counted")
    }

    /// Waits until the account knows the client: that is noted after the answer to its login.
    pub async fn until_known(&self, name: &str, address: &str, user_agent: &str) {
        let client = ClientInfo {
            ip_address: address.parse().expect("address"),
            user_agent: user_agent.to_owned(),
        };
        let id = self.user_id(name).await;
        eventually("the client is known", async || {
            let known = self.store.known_client(id, &client).await;
            known.expect("Redis").is_some()
        })
        .await;
    }

    /// The id of an account by its username.
    pub async fn user_id(&self, name: &str) -> UserId {
        let name = Identifier {
            kind: IdentifierKind::Username,
            key: name.to_owned(),
        };
        let found = self.store.find_user(&name).await.expect("asked");
        found.expect("an account")
    }

    /// Changes an account's record behind the server's back.
    pub async fn change_user(&self, name: &str, change: impl Fn(&mut User)) {
        let decide = |user: Option<User>, draft: &mut Draft| {
            let mut user = user.expect("an account");
            change(&mut user);
            draft.put(&user);
            Ok::<_, Error>(())
        };
        let id = self.user_id(name).await;
        let changed = self.store.transact(Class::Restrict, id, decide).await;
        let ((), receipt) = changed.expect("changed");
        drop(receipt);
    }

    /// Ends as on SIGTERM.
    pub async fn close(self) {
        self.stop.cancel();
        self.served.await.expect("no panic").expect("served");
        self.store.close(Duration::from_secs(10)).await;
    }
}

impl Deref for TestServer {
    type Target = Anonymous;

    fn deref(&self) -> &Anonymous {
        &self.anonymous
    }
}

/// A number of cases, many times as many where `deploy/prove.sh` asks for it.
pub fn cases(usual: u32) -> u32 {
    let times =
        variable("SALLYPORT_TEST_TIMES").map_or(1, |times| times.parse().expect("a number"));
    usual * times
}

/// Waits for something that must come true by itself. Not a measure of speed: it gives up after a minute.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        clock::sleep(Duration::from_millis(100)).await;
    }
    panic!("never came true: {what}");
}
