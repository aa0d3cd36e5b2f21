//! The table of settings: reading, describing and documenting go through it. A new setting is one row here
//! and one field in [`Config`](super::Config).

use std::net::{IpAddr, SocketAddr};

use super::address::{Network, Origin, PublicUrl, StoreUrl};
use super::form::{
    Choice, DAY, Form, Hidden, List, Location, Maybe, Number, Parsed, Rate, SECOND, Size, Span,
    Switch, Text,
};
use super::read::Draft;
use super::{Durability, EmailSecurity, HashEngine, LogFormat};

/// One setting.
pub(super) struct Row {
    /// Name of the environment variable.
    pub(super) name: &'static str,
    /// What it is for, in a sentence.
    pub(super) about: &'static str,
    /// What may be written.
    pub(super) allowed: fn() -> String,
    /// Takes what was written; `false` when it is not allowed.
    pub(super) read: fn(&mut Draft, &str) -> bool,
    /// Its value, masked when secret.
    pub(super) show: fn(&Draft) -> String,
    /// What was written, masked when secret.
    pub(super) quote: fn(&str) -> String,
}

/// `"NAME" config.room.field: form, "what it is for";`
macro_rules! rows {
    ($($name:literal $($field:ident).+ $(($part:ident, $set:ident))?: $form:expr, $about:literal;)*) => {
        &[$(Row {
            name: $name,
            about: $about,
            allowed: || $form.allowed(),
            read: |draft, text| {
                let parsed = $form.parse(text);
                parsed.map(|value| rows!(@set draft $($field).+, value $(, $set)?)).is_some()
            },
            show: |draft| $form.show(&rows!(@read draft $($field).+ $(, $part)?)),
            quote: |text| $form.quote(text),
        }),*]
    };
    (@set $draft:ident $($field:ident).+, $value:ident) => { $draft.$($field).+ = $value };
    (@set $draft:ident $($field:ident).+, $value:ident, $set:ident) => { $draft.$($field).+.$set($value) };
    (@read $draft:ident $($field:ident).+) => { $draft.$($field).+ };
    (@read $draft:ident $($field:ident).+, $part:ident) => { $draft.$($field).+.$part() };
}

/// All settings, in the order in which they are shown.
pub(super) static ROWS: &[Row] = rows! {
    "HOST" config.http.listen (ip, set_ip): Parsed::<IpAddr>::new("an IP address; 0.0.0.0 or :: for all"),
        "Address of the public listener.";
    "PORT" config.http.listen (port, set_port): Number(0..=65_535_u16),
        "Port of the public listener; 0 lets the system choose.";
    "ADMIN_ADDR" config.http.admin: Parsed::<SocketAddr>::new("address:port, as in 127.0.0.1:3002"),
        "The internal listener: metrics and health. Never show it to the world.";
    "PUBLIC_URL" config.http.public_url: Maybe(PublicUrl),
        "How the world reaches the service; with https:// cookies are __Host- and Secure.";
    "API_BASE_PATH" config.http.base_path: BASE_PATH,
        "Prefix of every API route; they also answer without it.";
    "CORS_ORIGINS" config.http.cors_origins: List(Origin),
        "Origins whose pages may call with credentials.";
    "TRUSTED_PROXIES" config.http.trusted_proxies: List(Network),
        "Networks whose X-Forwarded-For is believed.";
    "TLS_CERT" config.http.tls_cert: Maybe(Location),
        "PEM chain; TLS is spoken when this and TLS_KEY are given.";
    "TLS_KEY" config.http.tls_key: Maybe(Location),
        "PEM private key of TLS_CERT.";
    "MAX_CONNECTIONS" config.http.max_connections: Number(1..=1_000_000_usize),
        "Connections at a time; further ones wait in the backlog.";
    "MAX_CONNECTIONS_PER_ADDRESS" config.http.max_connections_per_address: Number(1..=1_000_000_usize),
        "Connections of one address (IPv6: of one /64) at a time, except from TRUSTED_PROXIES; further ones are closed.";
    "MAX_BODY_BYTES" config.http.max_body_bytes: Size::<usize>::new(1024..=64 << 20),
        "Longest body of a request.";
    "BODY_BUDGET_BYTES" config.http.body_budget_bytes: Size::<usize>::new(1 << 20..=16 << 30),
        "Bodies of all requests in flight together; further ones are answered 503.";
    "MAX_HEADER_BYTES" config.http.max_header_bytes: Size::<usize>::new(8192..=1 << 20),
        "Longest headers of a request.";
    "FIRST_BYTE_TIMEOUT" config.http.first_byte_timeout: TIMEOUT,
        "From accept (or TLS handshake) to the first byte.";
    "HEADER_TIMEOUT" config.http.header_timeout: TIMEOUT,
        "Reading all headers of one request.";
    "REQUEST_TIMEOUT" config.http.request_timeout: TIMEOUT,
        "The whole request, its body included.";
    "IDLE_TIMEOUT" config.http.idle_timeout: TIMEOUT,
        "A kept-alive connection without a request.";
    "DRAIN_TIMEOUT" config.http.drain_timeout: TIMEOUT,
        "From SIGTERM until open requests are cut.";

    "REDIS_URL" config.redis.url: REDIS_URL,
        "Where Redis is.";
    "REDIS_HOST" redis.host: Maybe(HOST_NAME),
        "With the three below, instead of REDIS_URL.";
    "REDIS_PORT" redis.port: Maybe(Number(1..=65_535_u16)),
        "Port of REDIS_HOST; 6379 when not given.";
    "REDIS_PASSWORD" redis.password: Maybe(Hidden),
        "Password for REDIS_HOST.";
    "REDIS_TLS_ENABLED" redis.tls: Switch,
        "Whether REDIS_HOST speaks TLS.";
    "REDIS_CONNECTIONS" config.redis.connections: Number(1..=64_usize),
        "Multiplexed connections to Redis (for a cluster: per node).";
    "REDIS_PREFIX" config.redis.prefix: PREFIX,
        "Put before every key, so that several services can share one Redis.";
    "REDIS_TIMEOUT" config.redis.timeout: TIMEOUT,
        "A command without an answer has failed after this.";

    "DATABASE_URL" config.postgres.url: DATABASE_URL,
        "Where PostgreSQL's primary is.";
    "DATABASE_CONNECTIONS" config.postgres.connections: Number(2..=1000_u32),
        "Connections to PostgreSQL at most.";

    "DURABILITY" config.store.durability: Choice(&[("relaxed", Durability::Relaxed), ("strict", Durability::Strict), ("redis", Durability::Redis)]),
        "Whether a lasting change waits for PostgreSQL: for a moment, always, or never.";
    "GRANT_WAIT" config.store.grant_wait: TIMEOUT,
        "How long a lasting change waits for PostgreSQL before it is answered as pending.";
    "LOG_BUDGET_BYTES" config.store.log_budget_bytes: Size::<u64>::new(1 << 20..=1 << 40),
        "Changes not yet in PostgreSQL that Redis may hold.";
    "LOSS_HOLD" config.store.loss_hold: Span(std::time::Duration::ZERO..=60 * SECOND),
        "How long changes wait after Redis lost state, so that other instances can save what they hold.";
    "SESSION_LEASE" config.store.session_lease: Span(std::time::Duration::ZERO..=SECOND),
        "How long a session is checked from memory without a word of Redis; what ends sessions is answered after that. 0s: every check asks Redis. The same for all instances.";
    "WORKERS" config.store.workers: Switch,
        "Whether this process also brings to PostgreSQL what others left behind.";

    "HASH_ENGINE" config.hashing.engine: Choice(&[("auto", HashEngine::Auto), ("reference", HashEngine::Reference)]),
        "Which Argon2 computes: the fastest one that agrees with the reference, or the reference.";
    "ARGON2_MEMORY_KIB" config.hashing.memory_kib: Number(8..=4_194_304_u32),
        "Argon2id's m for new hashes, in KiB.";
    "ARGON2_ITERATIONS" config.hashing.iterations: Number(1..=1000_u32),
        "Argon2id's t for new hashes.";
    "ARGON2_PARALLELISM" config.hashing.parallelism: Number(1..=64_u32),
        "Argon2id's p for new hashes.";
    "HASH_THREADS" config.hashing.threads: Number(0..=1024_usize),
        "Threads that hash; 0 means one for each core.";
    "HASH_QUEUE" config.hashing.queue: Number(1..=1_000_000_usize),
        "Passwords that may wait.";
    "HASH_DEADLINE" config.hashing.deadline: TIMEOUT,
        "How long a password may wait.";
    "ARGON2_MAX_MEMORY_KIB" config.hashing.max_memory_kib: Number(8..=4_194_304_u32),
        "The largest m that is accepted from a stored hash.";
    "ARGON2_MAX_ITERATIONS" config.hashing.max_iterations: Number(1..=1000_u32),
        "The largest t that is accepted from a stored hash.";
    "ARGON2_MAX_PARALLELISM" config.hashing.max_parallelism: Number(1..=64_u32),
        "The largest p that is accepted from a stored hash.";
    "BCRYPT_MAX_COST" config.hashing.max_bcrypt_cost: Number(4..=20_u32),
        "The largest cost that is accepted from a stored bcrypt hash.";

    "TOKEN_ISSUER" config.tokens.issuer: NAME,
        "The iss claim of access tokens.";
    "TOKEN_AUDIENCE" config.tokens.audience: NAME,
        "The aud claim of access tokens.";
    "ACCESS_TOKEN_TTL" config.tokens.access_ttl: LIFETIME,
        "How long an access token is valid.";
    "SESSION_IDLE_TTL" config.tokens.session_idle_ttl: LIFETIME,
        "A session unused for this long is over.";
    "SESSION_TTL" config.tokens.session_ttl: LIFETIME,
        "A session is over after this, however much it is used.";
    "REFRESH_GRACE" config.tokens.refresh_grace: Span(std::time::Duration::ZERO..=300 * SECOND),
        "How long the refresh token before still brings the newest.";
    "TOKEN_LEEWAY" config.tokens.leeway: Span(std::time::Duration::ZERO..=300 * SECOND),
        "For clocks that disagree.";
    "RECENT_AUTH_TTL" config.tokens.recent_auth_ttl: LIFETIME,
        "How long ago a sensitive action's authentication may lie.";
    "KEYS_FILE" config.keys_file: Location,
        "Signing keys and master secret, made by `sallyport keys generate`.";

    "TOTP_ISSUER" config.second_factors.totp_issuer: ISSUER,
        "How authenticator apps call the service.";
    "TOTP_SKEW_STEPS" config.second_factors.totp_skew_steps: Number(0..=10_u8),
        "Steps of 30 s that the clock of an authenticator app may be off, either way.";
    "CHALLENGE_TTL" config.second_factors.challenge_ttl: MINUTES,
        "How long a login waits for its second factor.";
    "CODE_TTL" config.second_factors.code_ttl: MINUTES,
        "How long a code sent by SMS or e-mail is good.";
    "ENROLMENT_TTL" config.second_factors.enrolment_ttl: MINUTES,
        "How long the secret of an authenticator app waits to be confirmed.";
    "DEVICE_TTL" config.second_factors.device_ttl: LIFETIME,
        "How long a trusted device skips the second factor.";
    "REQUIRE_VERIFIED_EMAIL_FOR_2FA" config.second_factors.require_verified_email: Switch,
        "Whether second factors can be set up only after the e-mail address was verified.";

    "RATE_LIMITS" config.limits.enabled: Switch,
        "Off is for load tests: refused outside `sallyport dev` unless ALLOW_UNLIMITED=1.";
    "ALLOW_UNLIMITED" allow_unlimited: Switch,
        "Lets RATE_LIMITS=off pass outside `sallyport dev`.";
    "LIMIT_LOGIN_ACCOUNT_ADDRESS" config.limits.login_account_address: Rate,
        "Login failures of one account from one address.";
    "LIMIT_LOGIN_ACCOUNT" config.limits.login_account: Rate,
        "Login failures of one account from anywhere.";
    "LIMIT_LOGIN_ADDRESS" config.limits.login_address: Rate,
        "Login failures from one address over all accounts.";
    "LIMIT_SECOND_FACTOR" config.limits.second_factor: Rate,
        "Tries at the second factors of one account.";
    "LIMIT_CODE_SENDS" config.limits.code_sends: Rate,
        "Codes sent to one account, and to one number or address; changes of one password.";
    "LIMIT_REGISTER" config.limits.register: Rate,
        "Registrations from one address.";
    "LIMIT_ANONYMOUS" config.limits.anonymous: Rate,
        "Everything else from one address without a token.";
    "LIMIT_ACCOUNT" config.limits.account: Rate,
        "Everything else of one account.";

    "TWILIO_ACCOUNT_SID" config.outbound.sms.account_sid: Maybe(ACCOUNT_SID),
        "Account that sends SMS; with the two below SMS is a second factor.";
    "TWILIO_AUTH_TOKEN" config.outbound.sms.auth_token: Maybe(Hidden),
        "Auth token of TWILIO_ACCOUNT_SID.";
    "TWILIO_PHONE_NUMBER" config.outbound.sms.phone_number: Maybe(SENDER),
        "Number that SMS come from.";
    "TWILIO_BASE_URL" config.outbound.sms.base_url: PublicUrl,
        "Where Twilio's API is, or something that speaks like it.";
    "EMAIL_HOST" config.outbound.email.host: Maybe(HOST_NAME),
        "SMTP server; with EMAIL_FROM mail is a second factor.";
    "EMAIL_PORT" config.outbound.email.port: Maybe(Number(1..=65_535_u16)),
        "Port of EMAIL_HOST; 587 when not given, 465 with EMAIL_SECURE=on.";
    "EMAIL_SECURE" config.outbound.email.secure: Maybe(EMAIL_SECURE),
        "on: TLS from the first byte. starttls: STARTTLS or nothing. off: the same, but plain text to this machine.";
    "EMAIL_USER" config.outbound.email.user: Maybe(NAME),
        "User at EMAIL_HOST.";
    "EMAIL_PASSWORD" config.outbound.email.password: Maybe(Hidden),
        "Password of EMAIL_USER.";
    "EMAIL_FROM" config.outbound.email.from: Maybe(MAILBOX),
        "Mailbox that mail comes from.";
    "EMAIL_CA" config.outbound.email.ca: Maybe(Location),
        "PEM file that EMAIL_HOST's certificate is judged by, in place of the system's.";
    "DELIVERY_TIMEOUT" config.outbound.timeout: DELIVERY,
        "Handing one SMS or mail to its provider.";

    "LOG_FORMAT" config.telemetry.log_format: Choice(&[("json", LogFormat::Json), ("text", LogFormat::Text)]),
        "Logs as one JSON object a line, or for people.";
    "RUST_LOG" config.telemetry.log_filter: LOG_FILTER,
        "What is logged: a level, or targets with levels.";

    "DATA_DIR" config.dev.data_dir: Location,
        "Where `sallyport dev` keeps stores and keys.";
    "PG_BIN" config.dev.pg_bin: Maybe(Location),
        "Folder of PostgreSQL's programs for `sallyport dev`.";
    "REDIS_BIN" config.dev.redis_bin: Maybe(Location),
        "Folder of redis-server for `sallyport dev`.";
};

/// A carrier has a letter for a minute: one that takes longer has it delivered by somebody else too.
const DELIVERY: Span = Span(std::time::Duration::from_millis(1)..=SECOND.saturating_mul(45));
const TIMEOUT: Span = Span(std::time::Duration::from_millis(1)..=SECOND.saturating_mul(3600));
const MINUTES: Span = Span(SECOND.saturating_mul(30)..=SECOND.saturating_mul(3600));
const LIFETIME: Span = Span(SECOND..=DAY.saturating_mul(3650));

const REDIS_URL: StoreUrl = StoreUrl {
    schemes: &[
        "redis",
        "rediss",
        "redis-cluster",
        "rediss-cluster",
        "redis-sentinel",
        "rediss-sentinel",
        "redis+unix",
    ],
    allowed: "redis://, redis-cluster:// or redis-sentinel:// (rediss… for TLS), or redis+unix:///path; \
              special characters in a password as %XX",
};

const DATABASE_URL: StoreUrl = StoreUrl {
    schemes: &["postgres", "postgresql"],
    allowed: "postgres://user:password@host:port/database; special characters in a password as %XX",
};

const BASE_PATH: Text = Text {
    accepts: |text| {
        let named = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_plain)
        };
        text == "/"
            || text
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(named))
    },
    allowed: "/ or a path as in /api or /id/v1, of letters, digits, dots, dashes and underscores",
};

const HOST_NAME: Text = Text {
    accepts: |text| url::Host::parse(text).is_ok() || text.parse::<std::net::Ipv6Addr>().is_ok(),
    allowed: "a host name or an address",
};

const ACCOUNT_SID: Text = Text {
    accepts: |text| {
        let digits = text.strip_prefix("AC").unwrap_or_default();
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    },
    allowed: "AC and 32 hexadecimal digits",
};

/// E.164 has at most 15 digits; short codes have no country and no plus.
const SENDER: Text = Text {
    accepts: |text| {
        let (digits, length) = match text.strip_prefix('+') {
            Some(digits) => (digits, 7..=15),
            None => (text, 3..=8),
        };
        length.contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    },
    allowed: "a number in E.164 form, as in +15551234567, or a short code",
};

const EMAIL_SECURE: Choice<EmailSecurity> = Choice(&[
    ("on", EmailSecurity::Tls),
    ("true", EmailSecurity::Tls),
    ("starttls", EmailSecurity::StartTls),
    ("off", EmailSecurity::PlainOnLoopback),
    ("false", EmailSecurity::PlainOnLoopback),
]);

const MAILBOX: Text = Text {
    accepts: |text| {
        text.len() <= 320
            && !text.chars().any(char::is_control)
            && text.parse::<lettre::message::Mailbox>().is_ok()
    },
    allowed: "an address, as in no-reply@example.com or Example <no-reply@example.com>",
};

/// Braces would move every key to another hash slot.
const PREFIX: Text = Text {
    accepts: |text| text.len() <= 64 && text.bytes().all(|byte| is_plain(byte) || byte == b':'),
    allowed: "at most 64 letters, digits, colons, dots, dashes and underscores",
};

const NAME: Text = Text {
    accepts: |text| text.len() <= 256 && !text.chars().any(char::is_control),
    allowed: "at most 256 bytes, no control characters",
};

/// Ends at a colon in an otpauth URI, and has to fit into a QR code.
const ISSUER: Text = Text {
    accepts: |text| {
        !text.trim().is_empty()
            && text.len() <= 64
            && !text.chars().any(|c| c == ':' || c.is_control())
    },
    allowed: "1 to 64 bytes, no colon, no control characters",
};

const LOG_FILTER: Text = Text {
    accepts: |text| text.parse::<tracing_subscriber::EnvFilter>().is_ok(),
    allowed: "error, warn, info, debug, trace, off, or target=level with commas between them",
};

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}
