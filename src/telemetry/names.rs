//! Every metric of the service: its name, what it means, its buckets. Labels are route templates,
//! classes and outcomes, never a user, an address or an id.

/// What kind of metric, and for a histogram its buckets.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// A metric of the service.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name, with prefix and unit.
    pub name: &'static str,
    /// What kind.
    pub kind: Kind,
    /// What it means, for `# HELP`. Labels are told after a comma: `…, by outcome.`
    pub help: &'static str,
}

impl Metric {
    /// Whether it only exists with labels, as its help tells.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.help.contains(", by ")
    }
}

/// Microseconds to a second: round trips and requests.
const FAST: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
];
/// A millisecond to half a minute: hashing and lag.
const SLOW: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// How many.
const COUNT: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0,
];

// The request path

/// Requests answered, by route template, method and status class.
pub const HTTP_REQUESTS: &str = "sallyport_http_requests_total";
/// Time from the last header byte to the response, by route template and method.
pub const HTTP_DURATION: &str = "sallyport_http_request_duration_seconds";
/// Requests being served.
pub const HTTP_IN_FLIGHT: &str = "sallyport_http_requests_in_flight";
/// Open connections on the public listener.
pub const HTTP_CONNECTIONS: &str = "sallyport_http_connections";
/// Connections that ended otherwise than by the client's wish, by reason.
pub const HTTP_CONNECTIONS_CLOSED: &str = "sallyport_http_connections_closed_total";
/// Panics caught, by place.
pub const PANICS: &str = "sallyport_panics_total";

// The hash pool

/// Passwords that wait to be hashed.
pub const HASH_WAITING: &str = "sallyport_hash_queue_depth";
/// Time a password waited for a worker.
pub const HASH_WAIT: &str = "sallyport_hash_wait_seconds";
/// Time a worker took for one password.
pub const HASH_RUN: &str = "sallyport_hash_run_seconds";
/// Passwords refused unhashed, by reason.
pub const HASH_SHED: &str = "sallyport_hash_shed_total";
/// 1 for the Argon2 engine in use, by name and SIMD level.
pub const HASH_ENGINE: &str = "sallyport_hash_engine_info";
/// Starts at which the engine disagreed with the reference and was put aside.
pub const HASH_ENGINE_MISMATCH: &str = "sallyport_hash_engine_mismatch_total";

// The stores

/// Time of one round trip to Redis, by operation.
pub const REDIS_COMMAND: &str = "sallyport_redis_command_seconds";
/// Redis operations that failed, by kind.
pub const REDIS_ERRORS: &str = "sallyport_redis_errors_total";
/// Whether Redis answers.
pub const REDIS_UP: &str = "sallyport_redis_up";
/// Times a connection to Redis was made anew.
pub const REDIS_RECONNECTS: &str = "sallyport_redis_reconnects_total";
/// Time of one PostgreSQL operation, by operation.
pub const POSTGRES_QUERY: &str = "sallyport_postgres_query_seconds";
/// PostgreSQL operations that failed, by kind.
pub const POSTGRES_ERRORS: &str = "sallyport_postgres_errors_total";
/// Whether PostgreSQL answers.
pub const POSTGRES_UP: &str = "sallyport_postgres_up";
/// Connections to PostgreSQL, by state.
pub const POSTGRES_CONNECTIONS: &str = "sallyport_postgres_connections";

// Write-behind

/// Commits not yet in PostgreSQL, over all partitions.
pub const STORE_PENDING: &str = "sallyport_store_pending_changes";
/// Age of the oldest commit not yet in PostgreSQL.
pub const STORE_OLDEST: &str = "sallyport_store_oldest_pending_seconds";
/// Bytes of changes not yet in PostgreSQL.
pub const STORE_LOG_BYTES: &str = "sallyport_store_log_bytes";
/// Time of one transaction, reads and retries included, by class.
pub const STORE_COMMIT: &str = "sallyport_store_commit_seconds";
/// Transactions decided again because somebody else was faster.
pub const STORE_CONFLICTS: &str = "sallyport_store_conflicts_total";
/// Checks of a session, by where it was found: `memory` or `redis`.
pub const SESSION_CHECKS: &str = "sallyport_session_checks_total";
/// 1 while Redis would tell this process of changed sessions.
pub const WATCH_UP: &str = "sallyport_session_watch_up";
/// Times that it began anew: the connection was another one, or something was missed.
pub const WATCH_RESETS: &str = "sallyport_session_watch_resets_total";
/// Transactions decided again because the records that this process remembered were out of date.
pub const STORE_OUTDATED: &str = "sallyport_store_outdated_total";
/// Transactions refused because the log is over its budget, by class.
pub const STORE_BUSY: &str = "sallyport_store_busy_total";
/// Row images in one transaction towards PostgreSQL.
pub const STORE_BATCH: &str = "sallyport_store_batch_changes";
/// Time of one transaction towards PostgreSQL.
pub const STORE_FLUSH: &str = "sallyport_store_flush_seconds";
/// Time from the commit in Redis to the commit in PostgreSQL.
pub const STORE_LAG: &str = "sallyport_store_lag_seconds";
/// Commits that the sweeper brought to PostgreSQL for others.
pub const STORE_SWEPT: &str = "sallyport_store_swept_total";
/// Row images put aside because PostgreSQL refuses them.
pub const STORE_DEAD_LETTERS: &str = "sallyport_store_dead_letters_total";
/// Accounts withdrawn because their name was taken.
pub const STORE_WITHDRAWN: &str = "sallyport_store_withdrawn_total";
/// Partitions that had lost acknowledged state, by what was seen.
pub const STORE_REWINDS: &str = "sallyport_store_rewinds_total";
/// Records brought back from PostgreSQL, by outcome.
pub const STORE_HYDRATIONS: &str = "sallyport_store_hydrations_total";

/// Attempts at jobs, by kind and outcome: `finished`, `delayed` or `dead`.
pub const JOBS: &str = "sallyport_jobs_total";

// Use cases

/// Requests refused by a rate limit, by policy.
pub const LIMIT_REFUSALS: &str = "sallyport_limit_refusals_total";
/// Registrations, by outcome.
pub const REGISTRATIONS: &str = "sallyport_registrations_total";
/// Logins, by outcome.
pub const LOGINS: &str = "sallyport_logins_total";
/// Refreshes, by outcome.
pub const REFRESHES: &str = "sallyport_refreshes_total";
/// Sessions ended before their time, by reason.
pub const SESSIONS_ENDED: &str = "sallyport_sessions_ended_total";
/// Second factors shown at logins, by method and outcome.
pub const SECOND_FACTORS: &str = "sallyport_second_factors_total";
/// Set-ups of second factors, by method and outcome.
pub const ENROLMENTS: &str = "sallyport_enrolments_total";
/// Codes posted, by method and outcome.
pub const CODES: &str = "sallyport_codes_total";
/// Attempts to deliver a letter, by channel and outcome.
pub const LETTERS: &str = "sallyport_letters_total";

// What leaves the house

/// What providers said to letters, by channel and answer.
pub const PROVIDER_ANSWERS: &str = "sallyport_provider_answers_total";
/// Time a provider took for one letter, by channel.
pub const PROVIDER_SECONDS: &str = "sallyport_provider_seconds";

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric {
        name: HTTP_REQUESTS,
        kind: Kind::Counter,
        help: "Requests answered, by route template, method and status class.",
    },
    Metric {
        name: HTTP_DURATION,
        kind: Kind::Histogram(FAST),
        help: "Time from the last header byte to the response, by route template and method.",
    },
    Metric {
        name: HTTP_IN_FLIGHT,
        kind: Kind::Gauge,
        help: "Requests being served.",
    },
    Metric {
        name: HTTP_CONNECTIONS,
        kind: Kind::Gauge,
        help: "Open connections on the public listener.",
    },
    Metric {
        name: HTTP_CONNECTIONS_CLOSED,
        kind: Kind::Counter,
        help: "Connections that ended otherwise than by the client's wish, by reason.",
    },
    Metric {
        name: PANICS,
        kind: Kind::Counter,
        help: "Panics caught, by place.",
    },
    Metric {
        name: HASH_WAITING,
        kind: Kind::Gauge,
        help: "Passwords that wait to be hashed.",
    },
    Metric {
        name: HASH_WAIT,
        kind: Kind::Histogram(SLOW),
        help: "Time a password waited for a worker.",
    },
    Metric {
        name: HASH_RUN,
        kind: Kind::Histogram(SLOW),
        help: "Time a worker took for one password.",
    },
    Metric {
        name: HASH_SHED,
        kind: Kind::Counter,
        help: "Passwords refused unhashed, by reason.",
    },
    Metric {
        name: HASH_ENGINE,
        kind: Kind::Gauge,
        help: "1 for the Argon2 engine in use, by name and SIMD level.",
    },
    Metric {
        name: HASH_ENGINE_MISMATCH,
        kind: Kind::Counter,
        help: "Starts at which the engine disagreed with the reference and was put aside.",
    },
    Metric {
        name: REDIS_COMMAND,
        kind: Kind::Histogram(FAST),
        help: "Time of one round trip to Redis, by operation.",
    },
    Metric {
        name: REDIS_ERRORS,
        kind: Kind::Counter,
        help: "Redis operations that failed, by kind.",
    },
    Metric {
        name: REDIS_UP,
        kind: Kind::Gauge,
        help: "Whether Redis answers.",
    },
    Metric {
        name: REDIS_RECONNECTS,
        kind: Kind::Counter,
        help: "Times a connection to Redis was made anew.",
    },
    Metric {
        name: POSTGRES_QUERY,
        kind: Kind::Histogram(FAST),
        help: "Time of one PostgreSQL operation, by operation.",
    },
    Metric {
        name: POSTGRES_ERRORS,
        kind: Kind::Counter,
        help: "PostgreSQL operations that failed, by kind.",
    },
    Metric {
        name: POSTGRES_UP,
        kind: Kind::Gauge,
        help: "Whether PostgreSQL answers.",
    },
    Metric {
        name: POSTGRES_CONNECTIONS,
        kind: Kind::Gauge,
        help: "Connections to PostgreSQL, by state.",
    },
    Metric {
        name: STORE_PENDING,
        kind: Kind::Gauge,
        help: "Commits not yet in PostgreSQL, over all partitions.",
    },
    Metric {
        name: STORE_OLDEST,
        kind: Kind::Gauge,
        help: "Age of the oldest commit not yet in PostgreSQL.",
    },
    Metric {
        name: STORE_LOG_BYTES,
        kind: Kind::Gauge,
        help: "Bytes of changes not yet in PostgreSQL.",
    },
    Metric {
        name: STORE_COMMIT,
        kind: Kind::Histogram(FAST),
        help: "Time of one transaction, reads and retries included, by class.",
    },
    Metric {
        name: STORE_CONFLICTS,
        kind: Kind::Counter,
        help: "Transactions decided again because somebody else was faster.",
    },
    Metric {
        name: SESSION_CHECKS,
        kind: Kind::Counter,
        help: "Checks of a session, by where it was found.",
    },
    Metric {
        name: WATCH_UP,
        kind: Kind::Gauge,
        help: "Whether Redis would tell this process of changed sessions.",
    },
    Metric {
        name: WATCH_RESETS,
        kind: Kind::Counter,
        help: "Times that the watch over sessions began anew.",
    },
    Metric {
        name: STORE_OUTDATED,
        kind: Kind::Counter,
        help: "Transactions decided again because the records that this process remembered were out of date.",
    },
    Metric {
        name: STORE_BUSY,
        kind: Kind::Counter,
        help: "Transactions refused because the log is over its budget, by class.",
    },
    Metric {
        name: STORE_BATCH,
        kind: Kind::Histogram(COUNT),
        help: "Row images in one transaction towards PostgreSQL.",
    },
    Metric {
        name: STORE_FLUSH,
        kind: Kind::Histogram(FAST),
        help: "Time of one transaction towards PostgreSQL.",
    },
    Metric {
        name: STORE_LAG,
        kind: Kind::Histogram(SLOW),
        help: "Time from the commit in Redis to the commit in PostgreSQL.",
    },
    Metric {
        name: STORE_SWEPT,
        kind: Kind::Counter,
        help: "Commits that the sweeper brought to PostgreSQL for others.",
    },
    Metric {
        name: STORE_DEAD_LETTERS,
        kind: Kind::Counter,
        help: "Row images put aside because PostgreSQL refuses them.",
    },
    Metric {
        name: STORE_WITHDRAWN,
        kind: Kind::Counter,
        help: "Accounts withdrawn because their name was taken.",
    },
    Metric {
        name: STORE_REWINDS,
        kind: Kind::Counter,
        help: "Partitions that had lost acknowledged state, by what was seen.",
    },
    Metric {
        name: STORE_HYDRATIONS,
        kind: Kind::Counter,
        help: "Records brought back from PostgreSQL, by outcome.",
    },
    Metric {
        name: JOBS,
        kind: Kind::Counter,
        help: "Attempts at jobs, by kind and outcome.",
    },
    Metric {
        name: LIMIT_REFUSALS,
        kind: Kind::Counter,
        help: "Requests refused by a rate limit, by policy.",
    },
    Metric {
        name: REGISTRATIONS,
        kind: Kind::Counter,
        help: "Registrations, by outcome.",
    },
    Metric {
        name: LOGINS,
        kind: Kind::Counter,
        help: "Logins, by outcome.",
    },
    Metric {
        name: REFRESHES,
        kind: Kind::Counter,
        help: "Refreshes, by outcome.",
    },
    Metric {
        name: SESSIONS_ENDED,
        kind: Kind::Counter,
        help: "Sessions ended before their time, by reason.",
    },
    Metric {
        name: SECOND_FACTORS,
        kind: Kind::Counter,
        help: "Second factors shown at logins, by method and outcome.",
    },
    Metric {
        name: ENROLMENTS,
        kind: Kind::Counter,
        help: "Set-ups of second factors, by method and outcome.",
    },
    Metric {
        name: CODES,
        kind: Kind::Counter,
        help: "Codes posted, by method and outcome.",
    },
    Metric {
        name: LETTERS,
        kind: Kind::Counter,
        help: "Attempts to deliver a letter, by channel and outcome.",
    },
    Metric {
        name: PROVIDER_ANSWERS,
        kind: Kind::Counter,
        help: "What providers said to letters, by channel and answer.",
    },
    Metric {
        name: PROVIDER_SECONDS,
        kind: Kind::Histogram(SLOW),
        help: "Time a provider took for one letter, by channel.",
    },
];
