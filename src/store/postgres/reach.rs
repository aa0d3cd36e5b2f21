//! The first connection to PostgreSQL: why it failed, in words for operators.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::store::Error;

/// Oldest version that the statements are tested with, as `server_version_num` counts.
const OLDEST: u32 = 140_000;
/// Longest that the first connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects once, past the pool, which would hide the cause behind its own time limit. `Ok` has the cause when that
/// may pass by itself: nothing listens, or nobody answers.
///
/// # Errors
/// [`Error::Setup`] when the cause lasts: no such database, a wrong password, no TLS, a version that is too old.
pub(super) async fn reach(pool: &PgPool) -> Result<Option<String>, Error> {
    let options = pool.connect_options();
    let connected = tokio::time::timeout(PATIENCE, options.connect()).await;
    let Ok(connected) = connected else {
        let cause = format!("no answer within {} s", PATIENCE.as_secs());
        return Ok(Some(told(&options, &cause, "Is it reachable from here?")));
    };
    match connected {
        Ok(connection) => {
            let version = connection.server_version_num();
            let _ = connection.close().await;
            let old = version.filter(|version| *version < OLDEST);
            old.map_or(Ok(None), |version| {
                Err(Error::Setup(too_old(&options, version)))
            })
        }
        Err(error) => {
            let (lasts, cause, advice) = judge(&error);
            let told = told(&options, &cause, advice);
            if lasts {
                Err(Error::Setup(told))
            } else {
                Ok(Some(told))
            }
        }
    }
}

/// `PostgreSQL (user@host:port/database): cause. Advice`, without the password.
fn told(options: &PgConnectOptions, cause: &str, advice: &str) -> String {
    format!(
        "PostgreSQL ({}@{}:{}/{}): {cause}. {advice} (DATABASE_URL)",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default(),
    )
}

fn too_old(options: &PgConnectOptions, version: u32) -> String {
    let cause = format!(
        "version {}.{} is too old",
        version / 10_000,
        version % 10_000
    );
    told(options, &cause, "14 or newer is needed.")
}

const TLS_ADVICE: &str = "Over a network its certificate is verified; `sslrootcert=FILE` in the URL says by what, `sslmode` otherwise.";

/// Whether the cause of a failure lasts, its text, and what to do about it.
fn judge(error: &sqlx::Error) -> (bool, String, &'static str) {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let (lasts, advice) = advice(&code);
            (lasts, format!("{} ({code})", database.message()), advice)
        }
        sqlx::Error::Tls(cause) => (true, format!("TLS failed: {cause}"), TLS_ADVICE),
        // A certificate that is refused comes as an error of the connection.
        sqlx::Error::Io(cause) if cause.kind() == ErrorKind::InvalidData => {
            (true, format!("TLS failed: {cause}"), TLS_ADVICE)
        }
        sqlx::Error::Io(cause) if cause.kind() == ErrorKind::ConnectionRefused => (
            false,
            cause.to_string(),
            "Nothing listens there: is it running?",
        ),
        other => (
            false,
            other.to_string(),
            "Is the address right, and reachable from here?",
        ),
    }
}

/// By SQLSTATE (PostgreSQL, appendix A).
fn advice(code: &str) -> (bool, &'static str) {
    match code {
        "3D000" => (
            true,
            "Create the database (`createdb`), then run `sallyport migrate`.",
        ),
        "28P01" => (
            true,
            "User or password is wrong; special characters in a password are written %XX.",
        ),
        "28000" => (true, "Its pg_hba.conf does not let this user in from here."),
        "42501" => (true, "The user lacks a privilege."),
        "53300" => (
            false,
            "Raise its max_connections, or lower DATABASE_CONNECTIONS.",
        ),
        _ => (false, "Its own log says more."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_refused_is_told_with_what_to_do() {
        let refused = std::io::Error::new(
            ErrorKind::InvalidData,
            "invalid peer certificate: UnknownIssuer",
        );
        let (lasts, cause, advice) = judge(&sqlx::Error::Io(refused));
        assert!(lasts && cause.contains("UnknownIssuer"), "{cause}");
        assert!(advice.contains("sslrootcert"), "{advice}");
    }
}
