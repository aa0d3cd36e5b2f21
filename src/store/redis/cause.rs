//! Causes for which there is no connection to Redis, in words for an operator.

use fred::error::{Error as RedisError, ErrorKind};
use fred::types::config::{Config, ServerConfig};

/// A cause, and whether it may pass by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// The address without a password, the cause, and advice.
    pub(super) text: String,
    /// Whether somebody must correct something first.
    pub(super) is_lasting: bool,
}

/// A part of the client's error, whether the cause is lasting, and what to tell.
type Known = (&'static str, bool, &'static str);

/// The first that fits counts.
const KNOWN: &[Known] = &[
    (
        "WRONGPASS",
        true,
        "it refuses the user or the password (WRONGPASS); correct them in REDIS_URL",
    ),
    (
        "NOAUTH",
        true,
        "it asks for a password (NOAUTH); give one in REDIS_URL, as in redis://user:password@host",
    ),
    (
        "NOPERM",
        true,
        "its access list forbids the user a command that is needed (NOPERM); extend the list",
    ),
    (
        "cluster support disabled",
        true,
        "it is no Redis Cluster; write redis:// in place of redis-cluster:// in REDIS_URL",
    ),
    (
        "InvalidCertificate",
        true,
        "its TLS certificate cannot be verified; have it signed by a known authority for this host name",
    ),
    (
        "InvalidContentType",
        true,
        "it does not speak TLS; write redis:// in place of rediss:// in REDIS_URL",
    ),
    (
        "Missing primary address",
        true,
        "the sentinels do not know the service; correct sentinelServiceName in REDIS_URL",
    ),
    (
        "sentinel nodes",
        false,
        "no sentinel lets us in; are they there, and are sentinelUsername and sentinelPassword in \
         REDIS_URL right?",
    ),
    (
        "refused",
        false,
        "connection refused, nobody listens there; start Redis, or correct host and port in REDIS_URL",
    ),
    (
        "lookup address",
        false,
        "the host name is not known; correct it in REDIS_URL, or look after the name server",
    ),
    (
        "Failed to resolve",
        false,
        "the host name has no address; correct it in REDIS_URL, or look after the name server",
    ),
    (
        "timed out",
        false,
        "no answer in time; is the way there open (firewall, host), and does Redis run?",
    ),
    (
        "cluster state",
        false,
        "the Cluster does not serve all slots; see CLUSTER INFO on its nodes",
    ),
    (
        "LOADING",
        false,
        "it still loads its data; nothing is to be done but wait",
    ),
    (
        "closed",
        false,
        "it closed the connection; if it speaks TLS, write rediss:// in REDIS_URL",
    ),
    (
        "Connection reset",
        false,
        "it closed the connection; if it speaks TLS, write rediss:// in REDIS_URL",
    ),
    (
        "Broken pipe",
        false,
        "it closed the connection; if it speaks TLS, write rediss:// in REDIS_URL",
    ),
];

impl Cause {
    /// The cause that an error of the client stands for.
    pub(super) fn of(error: &RedisError, addresses: &str) -> Self {
        let told = format!("{error:?}");
        let known = KNOWN.iter().find(|(part, ..)| told.contains(part));
        let (is_lasting, words) = match known {
            Some((_, is_lasting, words)) => (*is_lasting, (*words).to_owned()),
            None => (
                matches!(error.kind(), ErrorKind::Config | ErrorKind::Url),
                format!("{}; see REDIS_URL", error.details()),
            ),
        };
        Self {
            text: format!("Redis at {addresses}: {words}"),
            is_lasting,
        }
    }
}

/// The addresses in a configuration, without user and password.
pub(super) fn addresses(config: &Config) -> String {
    if let ServerConfig::Unix { path } = &config.server {
        return path.display().to_string();
    }
    let servers = config.server.hosts().into_iter();
    let mut servers: Vec<String> = servers
        .map(|server| format!("{}:{}", server.host, server.port))
        .collect();
    servers.sort();
    servers.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &RedisError) -> Cause {
        Cause::of(error, "redis.internal:6379")
    }

    #[test]
    fn errors_of_the_system_are_told_in_words() {
        let refused = std::io::Error::from_raw_os_error(111);
        let cause = told(&refused.into());
        assert!(cause.text.starts_with("Redis at redis.internal:6379: "));
        assert!(cause.text.contains("connection refused"), "{cause:?}");
        assert!(!cause.is_lasting);

        let lookup = "failed to lookup address information: Name or service not known";
        let cause = told(&std::io::Error::other(lookup).into());
        assert!(cause.text.contains("host name is not known"), "{cause:?}");
    }

    #[test]
    fn what_waiting_cannot_mend_is_lasting() {
        for (answer, word) in [
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                "password",
            ),
            (
                "NOAUTH HELLO must be called with the client already authenticated",
                "REDIS_URL",
            ),
            ("ERR This instance has cluster support disabled", "redis://"),
        ] {
            let cause = told(&RedisError::new(ErrorKind::Unknown, answer));
            assert!(cause.is_lasting, "{answer}");
            assert!(cause.text.contains(word), "{cause:?}");
        }
        assert!(!told(&RedisError::new(ErrorKind::Timeout, "Request timed out.")).is_lasting);
    }

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("redis://user:s3cret@one:1", "one:1"),
            ("redis-cluster://:s3cret@one:1?node=two:2", "one:1, two:2"),
            (
                "redis-sentinel://:s3cret@one:1?sentinelServiceName=main&sentinelPassword=s3cret",
                "one:1",
            ),
        ] {
            assert_eq!(addresses(&Config::from_url(url).unwrap()), shown);
        }
    }
}
