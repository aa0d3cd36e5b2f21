//! Metrics of the service, one row each: constant, kind, name, labels, meaning. Labels are route templates, classes and
//! outcomes, never a user, an address or an id.

/// Kind of a metric, and for a histogram its buckets.
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
    /// Group that it is documented with.
    pub group: &'static str,
    /// Full name, with prefix and unit.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Meaning, for `# HELP`: plain text that ends with a full stop.
    pub help: &'static str,
}

/// Buckets from microseconds to a second: round trips and requests.
const FAST: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
];
/// Buckets from a millisecond to half a minute: hashing and lag.
const SLOW: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Buckets of numbers of things.
const COUNT: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0,
];

/// Makes a constant of each row, and [`METRICS`] of all of them.
macro_rules! metrics {
    ($($group:literal {$(
        $(#[doc = $help:literal])+
        $constant:ident: $kind:ident $(($buckets:ident))? = $name:literal, [$($label:literal),*];
    )*})*) => {
        $($(
            $(#[doc = $help])+
            pub const $constant: &str = $name;
        )*)*

        /// All metrics, in the order of the rows.
        pub const METRICS: &[Metric] = &[$($(Metric {
            group: $group,
            name: $constant,
            kind: Kind::$kind $(($buckets))?,
            labels: &[$($label),*],
            help: concat!($($help),+).trim_ascii(),
        },)*)*];

        /// Names of the constants, in the order of [`METRICS`].
        #[cfg(test)]
        pub(super) const CONSTANTS: &[&str] = &[$($(stringify!($constant)),*),*];
    };
}

metrics! {
    "Requests" {
        /// Requests answered, by route template, method and status: its class, but 401 and 403 by themselves.
        HTTP_REQUESTS: Counter = "sallyport_http_requests_total", ["route", "method", "status"];
        /// Time from the last header byte to the response, by route template and method.
        HTTP_DURATION: Histogram(FAST) = "sallyport_http_request_duration_seconds", ["route", "method"];
        /// Requests that took longer than `SLOW_OPERATION` beside their hash and the arrival of their body.
        HTTP_SLOW: Counter = "sallyport_slow_operations_total", ["route", "method"];
        /// Requests being served.
        HTTP_IN_FLIGHT: Gauge = "sallyport_http_requests_in_flight", [];
        /// Open connections on the public listener.
        HTTP_CONNECTIONS: Gauge = "sallyport_http_connections", [];
        /// Connections that ended otherwise than by the client's wish, by reason.
        HTTP_CONNECTIONS_CLOSED: Counter = "sallyport_http_connections_closed_total", ["reason"];
        /// Panics caught, by place.
        PANICS: Counter = "sallyport_panics_total", ["place"];
    }
    "Hash pool" {
        /// Passwords that wait to be hashed.
        HASH_WAITING: Gauge = "sallyport_hash_queue_depth", [];
        /// Time a password waited for a worker.
        HASH_WAIT: Histogram(SLOW) = "sallyport_hash_wait_seconds", [];
        /// Time a worker took for one password.
        HASH_RUN: Histogram(SLOW) = "sallyport_hash_run_seconds", [];
        /// Passwords refused unhashed, by reason: `full` queue, too late for their `deadline`, `share` of the address used
        /// up, `late` when their turn came, `abandoned` by the client.
        HASH_SHED: Counter = "sallyport_hash_shed_total", ["reason"];
        /// 1 for the Argon2 engine in use, by name and SIMD level.
        HASH_ENGINE: Gauge = "sallyport_hash_engine_info", ["name", "simd"];
        /// Starts at which the engine disagreed with the reference and was put aside.
        HASH_ENGINE_MISMATCH: Counter = "sallyport_hash_engine_mismatch_total", [];
    }
    "Redis and PostgreSQL" {
        /// Time of one round trip to Redis, by operation.
        REDIS_COMMAND: Histogram(FAST) = "sallyport_redis_command_seconds", ["operation"];
        /// Redis operations that failed, by kind.
        REDIS_ERRORS: Counter = "sallyport_redis_errors_total", ["kind"];
        /// Whether Redis answers.
        REDIS_UP: Gauge = "sallyport_redis_up", [];
        /// Times a connection to Redis was made anew.
        REDIS_RECONNECTS: Counter = "sallyport_redis_reconnects_total", [];
        /// Time of one PostgreSQL operation, by operation.
        POSTGRES_QUERY: Histogram(FAST) = "sallyport_postgres_query_seconds", ["operation"];
        /// PostgreSQL operations that failed, by kind.
        POSTGRES_ERRORS: Counter = "sallyport_postgres_errors_total", ["kind"];
        /// Whether PostgreSQL answers.
        POSTGRES_UP: Gauge = "sallyport_postgres_up", [];
        /// Connections to PostgreSQL, by state.
        POSTGRES_CONNECTIONS: Gauge = "sallyport_postgres_connections", ["state"];
    }
    "Store" {
        /// Commits not yet in PostgreSQL, over all partitions.
        STORE_PENDING: Gauge = "sallyport_store_pending_changes", [];
        /// Age of the oldest commit not yet in PostgreSQL.
        STORE_OLDEST: Gauge = "sallyport_store_oldest_pending_seconds", [];
        /// Age of the oldest commit that this process holds for PostgreSQL, those included that Redis has lost.
        STORE_HELD: Gauge = "sallyport_store_held_seconds", [];
        /// Audit entries of months without a partition, as found every ten minutes: a clock is wrong.
        AUDIT_STRAY: Gauge = "sallyport_audit_stray_entries", [];
        /// Bytes of changes not yet in PostgreSQL.
        STORE_LOG_BYTES: Gauge = "sallyport_store_log_bytes", [];
        /// Time of one transaction, reads and retries included, by class.
        STORE_COMMIT: Histogram(FAST) = "sallyport_store_commit_seconds", ["class"];
        /// Transactions decided again because somebody else was faster.
        STORE_CONFLICTS: Counter = "sallyport_store_conflicts_total", [];
        /// Checks of a session or an API key, by where it was found.
        SESSION_CHECKS: Counter = "sallyport_session_checks_total", ["found"];
        /// Whether Redis would tell this process of changed sessions.
        WATCH_UP: Gauge = "sallyport_session_watch_up", [];
        /// Times that the watch over sessions began anew.
        WATCH_RESETS: Counter = "sallyport_session_watch_resets_total", [];
        /// Transactions decided again because the records that this process remembered were out of date.
        STORE_OUTDATED: Counter = "sallyport_store_outdated_total", [];
        /// Transactions refused because the log is over its budget, by class.
        STORE_BUSY: Counter = "sallyport_store_busy_total", ["class"];
        /// Row images in one transaction towards PostgreSQL.
        STORE_BATCH: Histogram(COUNT) = "sallyport_store_batch_changes", [];
        /// Time of one transaction towards PostgreSQL.
        STORE_FLUSH: Histogram(FAST) = "sallyport_store_flush_seconds", [];
        /// Time from the commit in Redis to the commit in PostgreSQL.
        STORE_LAG: Histogram(SLOW) = "sallyport_store_lag_seconds", [];
        /// Commits that the sweeper brought to PostgreSQL for others.
        STORE_SWEPT: Counter = "sallyport_store_swept_total", [];
        /// Log entries of kinds that this version does not know, left to newer instances.
        STORE_UNKNOWN_KINDS: Gauge = "sallyport_store_unknown_kinds", [];
        /// Row images put aside because PostgreSQL refuses them.
        STORE_DEAD_LETTERS: Counter = "sallyport_store_dead_letters_total", [];
        /// Accounts withdrawn because their name was taken.
        STORE_WITHDRAWN: Counter = "sallyport_store_withdrawn_total", [];
        /// Partitions that had lost acknowledged state, by what was seen.
        STORE_REWINDS: Counter = "sallyport_store_rewinds_total", ["seen"];
        /// Reads of lasting records, by kind and by where they were found: `redis`, `postgres` or `nowhere`.
        STORE_READS: Counter = "sallyport_store_reads_total", ["kind", "found"];
        /// Records brought back from PostgreSQL, by outcome.
        STORE_HYDRATIONS: Counter = "sallyport_store_hydrations_total", ["outcome"];
        /// Attempts at jobs, by kind and outcome: `finished`, `delayed` or `dead`.
        JOBS: Counter = "sallyport_jobs_total", ["kind", "outcome"];
        /// Jobs that wait or are being done, letters among them, over all partitions, by kind.
        JOBS_WAITING: Gauge = "sallyport_jobs_waiting", ["kind"];
        /// Age of the oldest among the jobs that are due next, by kind.
        JOBS_OLDEST: Gauge = "sallyport_jobs_oldest_seconds", ["kind"];
        /// Jobs that were given up and have not been removed yet, by kind. Only where `WORKERS` is on.
        JOBS_DEAD: Gauge = "sallyport_jobs_dead", ["kind"];
    }
    "Use cases" {
        /// Requests refused by a rate limit, by policy.
        LIMIT_REFUSALS: Counter = "sallyport_limit_refusals_total", ["policy"];
        /// Requests that showed a secret of an API key, by outcome: `accepted`, or refused because the key had `ended`, or
        /// because of its `owner`, the `address`, the `scope` or its `limit`.
        API_KEY_REQUESTS: Counter = "sallyport_api_key_requests_total", ["outcome"];
        /// Requests that are missing in the usage of API keys, because too many keys were used while PostgreSQL was away.
        API_KEY_USES_LOST: Counter = "sallyport_api_key_uses_lost_total", [];
        /// Registrations, by outcome: `success` or the code of the problem (`email_taken`, `rate_limited`, …).
        REGISTRATIONS: Counter = "sallyport_registrations_total", ["outcome"];
        /// Right and wrong first factors, by outcome: `success` began a session, `second_factor_due` a challenge; others are
        /// codes of problems.
        LOGINS: Counter = "sallyport_logins_total", ["outcome"];
        /// Refreshes, by outcome: `success` or the code of the problem.
        REFRESHES: Counter = "sallyport_refreshes_total", ["outcome"];
        /// Sessions ended before their time, by reason.
        SESSIONS_ENDED: Counter = "sallyport_sessions_ended_total", ["reason"];
        /// Challenges of logins, `issued` and `completed`. Nobody says when one expires: abandoned are those issued more
        /// than five minutes ago and not completed.
        CHALLENGES: Counter = "sallyport_challenges_total", ["outcome"];
        /// Second factors shown at logins, by method and outcome: `success` or the code of the problem.
        SECOND_FACTORS: Counter = "sallyport_second_factors_total", ["method", "outcome"];
        /// Set-ups of second factors, by method and outcome.
        ENROLMENTS: Counter = "sallyport_enrolments_total", ["method", "outcome"];
        /// Codes that were to be sent, by method and outcome: `posted` or the code of the problem.
        CODES: Counter = "sallyport_codes_total", ["method", "outcome"];
        /// Attempts to deliver a letter, by channel and outcome: `delivered`, `delayed`, `expired`, `too_many`, or why it
        /// cannot be delivered.
        LETTERS: Counter = "sallyport_letters_total", ["channel", "outcome"];
    }
    "Delivery of messages" {
        /// Providers' answers to letters, by channel and answer.
        PROVIDER_ANSWERS: Counter = "sallyport_provider_answers_total", ["channel", "answer"];
        /// Time a provider took for one letter, by channel.
        PROVIDER_SECONDS: Histogram(SLOW) = "sallyport_provider_seconds", ["channel"];
    }
}
