//! Settings of the store: how Redis and PostgreSQL work together.

use std::time::Duration;

use super::form::{Choice, Number, SECOND, Size, Span, Switch, TIMEOUT};
use super::setting::settings;

settings! {
    /// How Redis and PostgreSQL work together.
    pub struct Store = config.store {
        /// Whether a lasting change waits for PostgreSQL: `relaxed` for a moment (`GRANT_WAIT`), then it is answered
        /// as pending; `strict` always, and 503 when PostgreSQL did not commit in time; `redis` never.
        durability: Durability = Durability::Relaxed, "DURABILITY", DURABILITY;
        /// How long a lasting change waits for PostgreSQL before it is answered as pending.
        grant_wait: Duration = Duration::from_millis(300), "GRANT_WAIT", TIMEOUT;
        /// Changes not yet in PostgreSQL that Redis may hold, over all partitions.
        log_budget_bytes: u64 = 512 << 20, "LOG_BUDGET_BYTES", Size::new(1 << 20..=1 << 40);
        /// How long changes wait after Redis lost state, so that other instances can bring what they still hold
        /// in memory to PostgreSQL; also how long a Redis that restarted waits for instances that do not say what
        /// they have seen.
        loss_hold: Duration = Duration::from_secs(2), "LOSS_HOLD", Span(Duration::ZERO..=60 * SECOND);
        /// How long an instance may check a session from memory after Redis last confirmed that it would have told of
        /// a change; what ends sessions is answered after that. `0s`: every check asks Redis. The same for all
        /// instances.
        session_lease: Duration = Duration::from_millis(50), "SESSION_LEASE", Span(Duration::ZERO..=SECOND);
        /// Whether this process also brings to PostgreSQL what others left behind, as `sallyport worker` does.
        workers: bool = true, "WORKERS", Switch;
        /// Days that audit entries are kept. They go by months: a month's entries all go when the last of them is older.
        /// `0`: for ever.
        audit_retention_days: u32 = 0, "AUDIT_RETENTION_DAYS", Number(0..=36_500);
        also {
            /// How long a change of a unique name waits for a PostgreSQL that is not known to be away.
            name_wait: Duration = Duration::from_secs(5);
            /// How long a request waits for a partition to be confirmed, beyond `LOSS_HOLD`.
            confirm_wait: Duration = Duration::from_secs(1);
        }
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

const DURABILITY: Choice<Durability> = Choice(&[
    ("relaxed", Durability::Relaxed),
    ("strict", Durability::Strict),
    ("redis", Durability::Redis),
]);
