//! Settings of PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::form::{Form, Number, StoreUrl, is_plain};
use super::setting::settings;
use super::{Config, Problem};

settings! {
    /// PostgreSQL.
    pub struct Postgres = config.postgres {
        /// Address of PostgreSQL's primary. Beside the parameters of PostgreSQL, those of Prisma are understood:
        /// `schema`, `connection_limit` (as `DATABASE_CONNECTIONS`) and `pool_timeout` (seconds).
        url: String = "postgres://127.0.0.1:5432/sallyport".to_owned(), "DATABASE_URL", DATABASE_URL;
        /// Connections to PostgreSQL at most.
        connections: u32 = 10, "DATABASE_CONNECTIONS", Number(2..=1000);
        also {
            /// How long an operation waits for a free connection (`pool_timeout` of `DATABASE_URL`).
            pool_timeout: Duration = Duration::from_secs(2);
            /// How long a request waits for PostgreSQL's answer once it has a connection.
            answer_wait: Duration = Duration::from_secs(3);
            /// The way to PostgreSQL, as the client reads it out of `DATABASE_URL` and variables of its own.
            way: Option<Way> = None;
        }
    }
}

/// The way that the client takes to PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Name or address of the host; `None` for a socket of this machine.
    pub host: Option<String>,
    /// Protection of what is said.
    pub protection: Protection,
}

/// Protection of a connection that leaves this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// None.
    Plain,
    /// TLS with whoever answers.
    Unverified,
    /// TLS with a server whose certificate was verified.
    Verified,
}

/// Notes where the client would connect to. It takes parameters of the URL (`host`, `hostaddr`, `sslmode`), and
/// `PGSSLMODE` and its like from the environment, so it is asked itself. A URL that it refuses ends the start later.
pub(super) fn note_way(config: &mut Config) {
    let Ok(options) = config.postgres.url.parse::<PgConnectOptions>() else {
        return;
    };
    let host = options.get_host();
    let is_socket = options.get_socket().is_some() || host.starts_with('/');
    let protection = match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow => Protection::Plain,
        PgSslMode::Require => Protection::Unverified,
        // The store takes "prefer", the default, for "verify-full".
        PgSslMode::Prefer | PgSslMode::VerifyCa | PgSslMode::VerifyFull => Protection::Verified,
    };
    config.postgres.way = Some(Way {
        host: (!is_socket).then(|| host.to_owned()),
        protection,
    });
}

const DATABASE_URL: StoreUrl = StoreUrl {
    schemes: &["postgres", "postgresql"],
    allowed: "postgres://user:password@host:port/database; special characters in a password as %XX",
};

/// Takes Prisma's parameters out of `DATABASE_URL`, which PostgreSQL itself does not know.
pub(super) fn take_parameters(config: &mut Config, problems: &mut Vec<Problem>) {
    let Ok(mut url) = Url::parse(&config.postgres.url) else {
        return;
    };
    let is_theirs = |name: &str| matches!(name, "schema" | "connection_limit" | "pool_timeout");
    let all: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (theirs, mut ours): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(name, _)| is_theirs(name));
    if theirs.is_empty() {
        return;
    }
    for (name, text) in theirs {
        match take(config, &name, &text) {
            Ok(parameter) => ours.extend(parameter),
            Err(allowed) => {
                let advice = format!("allowed: {allowed}");
                problems
                    .push(Problem::new("DATABASE_URL", advice).was(format!("given {name}={text}")));
            }
        }
    }
    url.set_query(None);
    if !ours.is_empty() {
        url.query_pairs_mut().extend_pairs(ours);
    }
    config.postgres.url = url.into();
}

/// Takes one parameter, perhaps in exchange for one that PostgreSQL's client knows; the error says what is allowed.
fn take(config: &mut Config, name: &str, text: &str) -> Result<Option<(String, String)>, String> {
    match name {
        "schema" => {
            let is_name = !text.is_empty() && text.len() < 64 && text.bytes().all(is_plain);
            let quoted =
                is_name.then(|| ("options[search_path]".to_owned(), format!("\"{text}\"")));
            let allowed = "a schema of at most 63 letters, digits, dots, dashes and underscores";
            return quoted.map(Some).ok_or_else(|| allowed.to_owned());
        }
        "connection_limit" => {
            let limit = read(&Number(1..=1000_u32), text)?;
            if !config.given.contains_key("DATABASE_CONNECTIONS") {
                // One is what serverless functions are told to use; two are needed here.
                config.postgres.connections = limit.max(2);
                let source = config
                    .given
                    .get("DATABASE_URL")
                    .copied()
                    .unwrap_or_default();
                config.given.insert("DATABASE_CONNECTIONS", source);
            }
        }
        _ => {
            let seconds = read(&Number(1..=30_u64), text)?;
            config.postgres.pool_timeout = Duration::from_secs(seconds);
        }
    }
    Ok(None)
}

fn read<F: Form>(form: &F, text: &str) -> Result<F::Value, String> {
    form.parse(text).ok_or_else(|| form.allowed())
}
