//! Servers of stores, shared by all tests of a run or of one test alone.
//!
//! `sallyport stores -- <command>` (which `deploy/test.sh` uses) starts one set for a whole run and tells
//! the tests by `SALLYPORT_TEST_*` variables. Without those a test process starts a set of its own. Either
//! way each test has its own database and its own key prefix; a test that breaks stores has [`OwnStores`].

use std::path::Path;
use std::sync::OnceLock;

use sallyport::clock;
use sallyport::dev::{
    Binaries, Lifetime, PrivatePostgres, PrivateRedis, RedisOptions, SearchPath, ThrowawayFolder,
    ThrowawayStores,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Makes every process wait while one of them prepares the template.
const TEMPLATE_LOCK: i64 = 0x5a11_7e57;

/// Stores that all tests of a run share.
pub struct SharedStores {
    /// A single Redis.
    pub redis_url: String,
    /// A Redis Cluster of three masters.
    pub cluster_url: String,
    /// PostgreSQL's own database, as superuser.
    pub admin_url: String,
    /// Kept alive for as long as this process lives, when nobody else keeps them.
    _own: Option<ThrowawayStores>,
}

impl SharedStores {
    /// The stores of this run. Blocks while they are started.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SharedStores> = OnceLock::new();
        SHARED.get_or_init(|| Self::given().unwrap_or_else(Self::started))
    }

    /// The URL of a new, migrated database that nobody else uses.
    pub async fn fresh_database(&self) -> String {
        let name = format!("test_{}", hex::encode(clock::random::<8>()));
        let mut admin = PgConnection::connect(&self.admin_url).await.unwrap();
        self.prepare_template(&mut admin).await;
        execute(
            &mut admin,
            format!("CREATE DATABASE {name} TEMPLATE {}", template()),
        )
        .await;
        self.database_url(&name)
    }

    /// A key prefix that nobody else uses.
    #[expect(clippy::unused_self, reason = "reads as what the stores give")]
    pub fn fresh_prefix(&self) -> String {
        format!("t{}:", hex::encode(clock::random::<8>()))
    }

    fn given() -> Option<Self> {
        Some(Self {
            redis_url: variable("SALLYPORT_TEST_REDIS_URL")?,
            cluster_url: variable("SALLYPORT_TEST_CLUSTER_URL")?,
            admin_url: variable("SALLYPORT_TEST_DATABASE_URL")?,
            _own: None,
        })
    }

    /// On a thread and a runtime of its own: the caller may be inside of one already.
    fn started() -> Self {
        let start = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(ThrowawayStores::start(&binaries(), base()))
                .unwrap()
        };
        let own = std::thread::spawn(start).join().unwrap();
        Self {
            redis_url: own.redis.url(),
            cluster_url: own.cluster.url(),
            admin_url: own.postgres.url("postgres"),
            _own: Some(own),
        }
    }

    fn database_url(&self, name: &str) -> String {
        let (server, _) = self.admin_url.rsplit_once('/').unwrap();
        format!("{server}/{name}")
    }

    async fn prepare_template(&self, admin: &mut PgConnection) {
        execute(admin, format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})")).await;
        let template = template();
        let found = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(&template);
        if found.fetch_optional(&mut *admin).await.unwrap().is_none() {
            // Takes its name when complete, so that a failed attempt is not taken for a template.
            let draft = format!("draft_{}", hex::encode(clock::random::<8>()));
            execute(admin, format!("CREATE DATABASE {draft}")).await;
            let migrated = sallyport::store::migrate(&self.database_url(&draft)).await;
            migrated.unwrap();
            execute(
                admin,
                format!("ALTER DATABASE {draft} RENAME TO {template}"),
            )
            .await;
        }
        execute(admin, format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})")).await;
    }
}

/// Named after the newest migration: stores that are kept between runs may hold an older one.
fn template() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    let newest = names.max().unwrap_or_default();
    let version = newest.split('_').next().unwrap_or_default();
    format!("sallyport_template_{version}")
}

/// Stores of one test alone, to kill, pause, stop and restart. Gone when dropped.
pub struct OwnStores {
    /// Its Redis.
    pub redis: PrivateRedis,
    /// Its PostgreSQL, with a migrated database `sallyport`.
    pub postgres: PrivatePostgres,
    _folder: ThrowawayFolder,
}

impl OwnStores {
    /// Starts both.
    pub async fn start() -> Self {
        Self::start_with(RedisOptions::throwaway()).await
    }

    /// Starts both, Redis with options of its own.
    pub async fn start_with(options: RedisOptions) -> Self {
        let binaries = binaries();
        let folder = own_folder();
        let redis_home = folder.path().join("redis");
        let postgres_home = folder.path().join("postgres");
        let (redis, postgres) = tokio::try_join!(
            PrivateRedis::start(&binaries, &redis_home, options),
            PrivatePostgres::start(&binaries, &postgres_home, Lifetime::Throwaway),
        )
        .unwrap();
        postgres.create_database("sallyport").await.unwrap();
        let own = Self {
            redis,
            postgres,
            _folder: folder,
        };
        sallyport::store::migrate(&own.database_url())
            .await
            .unwrap();
        own
    }

    /// The URL of its database.
    pub fn database_url(&self) -> String {
        self.postgres.url("sallyport")
    }
}

/// The servers' programs, found as the product finds them.
pub fn binaries() -> Binaries {
    Binaries::find(SearchPath {
        pg_bin: variable("PG_BIN").map(Into::into),
        redis_bin: variable("REDIS_BIN").map(Into::into),
        path: variable("PATH").map(Into::into),
    })
}

/// A folder for servers of one test.
pub fn own_folder() -> ThrowawayFolder {
    ThrowawayFolder::inside(base()).unwrap()
}

fn base() -> &'static Path {
    Path::new("/tmp")
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told where their stores are"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .unwrap();
}
