//! Configuration: the only reader of the environment.
//!
//! [`Config`] is plain data with the defaults of the product; each room takes the part that concerns it.
//! Every variable `NAME` can also be given as `NAME_FILE`, the path of a file with the value. The table in `rows`
//! drives reading, describing and documenting.

mod address;
mod check;
mod described;
mod dev;
mod form;
mod outbound;
mod read;
mod rows;
mod unknown;

pub use self::described::{Described, Source};
pub use self::dev::Dev;
pub use self::form::parse_span;
pub use self::outbound::{Email, EmailSecurity, Outbound, Sms};
pub use self::read::Problem;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listener, timeouts, bounds.
    pub http: Http,
    /// Redis.
    pub redis: Redis,
    /// PostgreSQL.
    pub postgres: Postgres,
    /// How the two work together.
    pub store: Store,
    /// Argon2 and its pool.
    pub hashing: Hashing,
    /// Access and refresh tokens.
    pub tokens: Tokens,
    /// Second factors.
    pub second_factors: SecondFactors,
    /// Rate limits.
    pub limits: Limits,
    /// SMS and mail.
    pub outbound: Outbound,
    /// Logs.
    pub telemetry: Telemetry,
    /// File with the signing keys and the master secret (`KEYS_FILE`), made by `sallyport keys generate`.
    pub keys_file: PathBuf,
    /// What only `sallyport dev` needs.
    pub dev: Dev,
    /// Where each setting was given; a setting without an entry has its default.
    given: BTreeMap<&'static str, Source>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: Http::default(),
            redis: Redis::default(),
            postgres: Postgres::default(),
            store: Store::default(),
            hashing: Hashing::default(),
            tokens: Tokens::default(),
            second_factors: SecondFactors::default(),
            limits: Limits::default(),
            outbound: Outbound::default(),
            telemetry: Telemetry::default(),
            keys_file: PathBuf::from("keys.json"),
            dev: Dev::default(),
            given: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Every mistake there is, not only the first.
    pub fn from_env(mode: Mode) -> Result<Self, Vec<Problem>> {
        // A name that is not UTF-8 is none of ours.
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        read::read(mode, &std::env::vars_os().filter_map(named).collect())
    }

    /// Every setting with its value and where that came from, for `check-config`. Secrets are masked.
    #[must_use]
    pub fn describe(&self) -> Vec<Described> {
        read::describe(self)
    }
}

/// What the configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One machine, loopback only: what is unsafe elsewhere is allowed.
    Dev,
    /// Everything else.
    Serve,
}

/// The public and the internal listener.
#[derive(Clone, Debug)]
pub struct Http {
    /// `HOST`:`PORT`, the public listener.
    pub listen: SocketAddr,
    /// `ADMIN_ADDR`, the internal listener: metrics and health.
    pub admin: SocketAddr,
    /// `PUBLIC_URL`: how the world reaches the service; `https://` here makes cookies `__Host-` and `Secure`.
    pub public_url: Option<String>,
    /// `API_BASE_PATH`: prefix of every API route, which also answer without it.
    pub base_path: String,
    /// `CORS_ORIGINS`: exact origins that may call with credentials.
    pub cors_origins: Vec<String>,
    /// `TRUSTED_PROXIES`: networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `TLS_CERT`: PEM chain; TLS is spoken when both this and the key are given.
    pub tls_cert: Option<PathBuf>,
    /// `TLS_KEY`: PEM private key.
    pub tls_key: Option<PathBuf>,
    /// `MAX_CONNECTIONS` at a time; further ones wait in the backlog.
    pub max_connections: usize,
    /// `MAX_CONNECTIONS_PER_ADDRESS` (IPv6: per /64), except from `TRUSTED_PROXIES`; further ones are closed.
    pub max_connections_per_address: usize,
    /// `MAX_BODY_BYTES` of a request.
    pub max_body_bytes: usize,
    /// `BODY_BUDGET_BYTES` for the bodies of all requests in flight; further ones are answered 503.
    pub body_budget_bytes: usize,
    /// `MAX_HEADER_BYTES` of a request.
    pub max_header_bytes: usize,
    /// `FIRST_BYTE_TIMEOUT`: from accept (or TLS handshake) to the first byte.
    pub first_byte_timeout: Duration,
    /// `HEADER_TIMEOUT`: reading all headers of one request.
    pub header_timeout: Duration,
    /// `REQUEST_TIMEOUT`: the whole request, its body included.
    pub request_timeout: Duration,
    /// `IDLE_TIMEOUT`: a kept-alive connection without a request.
    pub idle_timeout: Duration,
    /// `DRAIN_TIMEOUT`: from SIGTERM until open requests are cut.
    pub drain_timeout: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3001),
            admin: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3002),
            public_url: None,
            base_path: "/api".to_owned(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls_cert: None,
            tls_key: None,
            max_connections: 16_384,
            max_connections_per_address: 512,
            max_body_bytes: 16 * 1024,
            body_budget_bytes: 64 * 1024 * 1024,
            max_header_bytes: 16 * 1024,
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// How to reach Redis.
#[derive(Clone)]
pub struct Redis {
    /// `REDIS_URL`: `redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://`, `redis+unix://`.
    pub url: String,
    /// `REDIS_CONNECTIONS`: multiplexed connections (for a cluster: per node). The fewer, the more commands share
    /// a packet: one served 8,337 refreshes a second where two served 6,491 and four 5,265.
    pub connections: usize,
    /// `REDIS_PREFIX`: put before every key, so that several services can share one Redis.
    pub prefix: String,
    /// `REDIS_TIMEOUT`: a command without an answer has failed after this.
    pub timeout: Duration,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            connections: 1,
            prefix: String::new(),
            timeout: Duration::from_millis(800),
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("url", &address::masked(&self.url))
            .field("connections", &self.connections)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// How to reach PostgreSQL.
#[derive(Clone)]
pub struct Postgres {
    /// `DATABASE_URL` of the primary.
    pub url: String,
    /// `DATABASE_CONNECTIONS` at most.
    pub connections: u32,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            url: "postgres://127.0.0.1:5432/sallyport".to_owned(),
            connections: 10,
        }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("url", &address::masked(&self.url))
            .field("connections", &self.connections)
            .finish()
    }
}

/// When a lasting change is answered (`DURABILITY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Waits for PostgreSQL up to [`Store::grant_wait`], then answers with `Durability: pending`.
    #[default]
    Relaxed,
    /// Answers 503 when PostgreSQL has not committed in time; the change stays pending.
    Strict,
    /// Never waits for PostgreSQL.
    Redis,
}

/// How Redis and PostgreSQL work together.
#[derive(Clone, Debug)]
pub struct Store {
    /// `DURABILITY`.
    pub durability: Durability,
    /// `GRANT_WAIT`: how long a grant waits for PostgreSQL before it is answered as pending.
    pub grant_wait: Duration,
    /// `LOG_BUDGET_BYTES` of changes not yet in PostgreSQL, over all partitions.
    pub log_budget_bytes: u64,
    /// `LOSS_HOLD`: after Redis lost state, mutations wait this long, so that other processes can bring
    /// what they still hold in memory to PostgreSQL.
    pub loss_hold: Duration,
    /// `SESSION_LEASE`: how long a process may check a session from memory after Redis last confirmed that it
    /// would have told of a change; what ends sessions is answered after that. Zero: every check asks Redis.
    pub session_lease: Duration,
    /// `WORKERS`: whether this process sweeps the log for entries that others left behind.
    pub workers: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            durability: Durability::Relaxed,
            grant_wait: Duration::from_millis(300),
            log_budget_bytes: 512 * 1024 * 1024,
            loss_hold: Duration::from_secs(2),
            session_lease: Duration::from_millis(50),
            workers: true,
        }
    }
}

/// Which Argon2 computes (`HASH_ENGINE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashEngine {
    /// The SIMD engine, checked against the reference at every start.
    #[default]
    Auto,
    /// The reference crate alone.
    Reference,
}

/// Argon2id and the pool that computes it.
#[derive(Clone, Debug)]
pub struct Hashing {
    /// `HASH_ENGINE`.
    pub engine: HashEngine,
    /// `ARGON2_MEMORY_KIB` (m).
    pub memory_kib: u32,
    /// `ARGON2_ITERATIONS` (t).
    pub iterations: u32,
    /// `ARGON2_PARALLELISM` (p).
    pub parallelism: u32,
    /// `HASH_THREADS`; 0 means one for each core.
    pub threads: usize,
    /// `HASH_QUEUE`: at most this many wait.
    pub queue: usize,
    /// `HASH_DEADLINE`: none waits longer.
    pub deadline: Duration,
    /// `ARGON2_MAX_MEMORY_KIB` accepted from a stored hash (imports may be costlier than ours).
    pub max_memory_kib: u32,
    /// `ARGON2_MAX_ITERATIONS` accepted from a stored hash.
    pub max_iterations: u32,
    /// `ARGON2_MAX_PARALLELISM` accepted from a stored hash.
    pub max_parallelism: u32,
    /// `BCRYPT_MAX_COST` accepted from a stored hash.
    pub max_bcrypt_cost: u32,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            engine: HashEngine::Auto,
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            threads: 0,
            queue: 2000,
            deadline: Duration::from_secs(5),
            max_memory_kib: 256 * 1024,
            max_iterations: 16,
            max_parallelism: 16,
            max_bcrypt_cost: 14,
        }
    }
}

/// Tokens and sessions.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `TOKEN_ISSUER`: the `iss` claim.
    pub issuer: String,
    /// `TOKEN_AUDIENCE`: the `aud` claim.
    pub audience: String,
    /// `ACCESS_TOKEN_TTL`.
    pub access_ttl: Duration,
    /// `SESSION_IDLE_TTL`: a session (and its refresh token) unused for this long is over.
    pub session_idle_ttl: Duration,
    /// `SESSION_TTL`: a session is over after this, however much it is used.
    pub session_ttl: Duration,
    /// `REFRESH_GRACE`: how long the refresh token before still brings the newest.
    pub refresh_grace: Duration,
    /// `TOKEN_LEEWAY` for clocks that disagree.
    pub leeway: Duration,
    /// `RECENT_AUTH_TTL`: how long ago a sensitive action's authentication may lie.
    pub recent_auth_ttl: Duration,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            issuer: "sallyport".to_owned(),
            audience: "sallyport".to_owned(),
            access_ttl: Duration::from_secs(15 * 60),
            session_idle_ttl: Duration::from_secs(7 * 24 * 3600),
            session_ttl: Duration::from_secs(30 * 24 * 3600),
            refresh_grace: Duration::from_secs(10),
            leeway: Duration::from_secs(30),
            recent_auth_ttl: Duration::from_secs(10 * 60),
        }
    }
}

/// Second factors.
#[derive(Clone, Debug)]
pub struct SecondFactors {
    /// `TOTP_ISSUER`: how authenticator apps call the service.
    pub totp_issuer: String,
    /// `TOTP_SKEW_STEPS`: steps of 30 s that a clock may be off, either way.
    pub totp_skew_steps: u8,
    /// `CHALLENGE_TTL`: how long a login waits for its second factor.
    pub challenge_ttl: Duration,
    /// `CODE_TTL`: how long a code sent by SMS or e-mail is good.
    pub code_ttl: Duration,
    /// `ENROLMENT_TTL`: how long the secret of an authenticator app waits to be confirmed.
    pub enrolment_ttl: Duration,
    /// `DEVICE_TTL`: how long a trusted device skips the second factor.
    pub device_ttl: Duration,
    /// `REQUIRE_VERIFIED_EMAIL_FOR_2FA`.
    pub require_verified_email: bool,
}

impl Default for SecondFactors {
    fn default() -> Self {
        Self {
            totp_issuer: "Sallyport".to_owned(),
            totp_skew_steps: 1,
            challenge_ttl: Duration::from_secs(5 * 60),
            code_ttl: Duration::from_secs(5 * 60),
            enrolment_ttl: Duration::from_secs(10 * 60),
            device_ttl: Duration::from_secs(30 * 24 * 3600),
            require_verified_email: false,
        }
    }
}

/// Never more than `quota` in any span of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub quota: u32,
    /// In how long.
    pub window: Duration,
}

impl Quota {
    /// `quota` per `window_seconds`.
    #[must_use]
    pub const fn new(quota: u32, window_seconds: u64) -> Self {
        Self {
            quota,
            window: Duration::from_secs(window_seconds),
        }
    }
}

/// Rate limits. Each is written `N/SECONDS` in the environment.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `RATE_LIMITS=on|off`; off is refused outside `dev` unless `ALLOW_UNLIMITED=1`.
    pub enabled: bool,
    /// `LIMIT_LOGIN_ACCOUNT_ADDRESS`: login failures of one account from one address.
    pub login_account_address: Quota,
    /// `LIMIT_LOGIN_ACCOUNT`: login failures of one account from anywhere.
    pub login_account: Quota,
    /// `LIMIT_LOGIN_ADDRESS`: login failures from one address over all accounts.
    pub login_address: Quota,
    /// `LIMIT_SECOND_FACTOR`: tries at the second factors of one account.
    pub second_factor: Quota,
    /// `LIMIT_CODE_SENDS`: codes sent to one account, and to one number or address; changes
    /// of one password, each of which sends a notice.
    pub code_sends: Quota,
    /// `LIMIT_REGISTER`: registrations from one address.
    pub register: Quota,
    /// `LIMIT_ANONYMOUS`: everything else from one address without a token.
    pub anonymous: Quota,
    /// `LIMIT_ACCOUNT`: everything else of one account.
    pub account: Quota,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            login_account_address: Quota::new(5, 900),
            login_account: Quota::new(20, 900),
            login_address: Quota::new(50, 900),
            second_factor: Quota::new(10, 900),
            code_sends: Quota::new(3, 3600),
            register: Quota::new(3, 3600),
            anonymous: Quota::new(100, 900),
            account: Quota::new(1000, 900),
        }
    }
}

/// How logs are written (`LOG_FORMAT`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Logs.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// `LOG_FORMAT`.
    pub log_format: LogFormat,
    /// `RUST_LOG`, in the syntax of `tracing-subscriber`'s `EnvFilter`.
    pub log_filter: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Json,
            // At info it passes on every NOTICE of PostgreSQL, "already exists, skipping" among them.
            log_filter: "info,sqlx=warn".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
