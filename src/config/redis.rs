//! Settings of Redis: its address, whole or in parts, and the connections to it.

use std::time::Duration;

use url::Url;

use super::form::{HOST_NAME, Hidden, Maybe, Number, StoreUrl, Switch, TIMEOUT, Text, is_plain};
use super::setting::settings;
use super::{Config, Problem};

settings! {
    /// Redis.
    pub struct Redis = config.redis {
        /// Address of Redis.
        url: String = "redis://127.0.0.1:6379".to_owned(), "REDIS_URL", REDIS_URL;
        /// Multiplexed connections to Redis (for a cluster: per node). The fewer, the more commands share a packet:
        /// one served 8,337 refreshes a second where two served 6,491 and four 5,265.
        connections: usize = 1, "REDIS_CONNECTIONS", Number(1..=64);
        /// Text before every key, so that several services can share one Redis.
        prefix: String = String::new(), "REDIS_PREFIX", PREFIX;
        /// Time after which a command without an answer has failed.
        timeout: Duration = Duration::from_millis(800), "REDIS_TIMEOUT", TIMEOUT;
    }
}

settings! {
    /// The address of Redis in parts, in place of `REDIS_URL`.
    pub(super) struct RedisParts = config.redis_parts {
        /// Host of Redis, with the three below in place of `REDIS_URL`.
        host: Option<String> = None, "REDIS_HOST", Maybe(HOST_NAME);
        /// Port of `REDIS_HOST`; 6379 when not given.
        port: Option<u16> = None, "REDIS_PORT", Maybe(Number(1..=65_535));
        /// Password for `REDIS_HOST`.
        password: Option<String> = None, "REDIS_PASSWORD", Maybe(Hidden);
        /// Whether `REDIS_HOST` speaks TLS.
        tls: bool = false, "REDIS_TLS_ENABLED", Switch;
    }
}

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

/// Braces would move every key to another hash slot.
const PREFIX: Text = Text {
    accepts: |text| text.len() <= 64 && text.bytes().all(|byte| is_plain(byte) || byte == b':'),
    allowed: "at most 64 letters, digits, colons, dots, dashes and underscores",
};

/// Makes `REDIS_URL` of its parts, where a part was given.
pub(super) fn assemble_url(config: &mut Config, problems: &mut Vec<Problem>) {
    let mut parts = RedisParts::CONCERN.settings.iter().map(|part| part.name);
    let Some(part) = parts.find(|name| config.given.contains_key(name)) else {
        return;
    };
    if config.given.contains_key("REDIS_URL") {
        let advice = format!("give REDIS_URL or {part}, not both");
        problems.push(Problem::new("REDIS_URL", advice));
        return;
    }
    match url(&config.redis_parts) {
        Some(url) => {
            config.redis.url = url;
            config.given.insert("REDIS_URL", config.given[part]);
        }
        None => problems.push(Problem::new("REDIS_HOST", "makes no URL; give REDIS_URL")),
    }
}

/// The URL's own setters escape what needs it.
fn url(parts: &RedisParts) -> Option<String> {
    let scheme = if parts.tls { "rediss" } else { "redis" };
    let host = parts.host.as_deref().unwrap_or("127.0.0.1");
    let is_v6 = host.contains(':') && !host.starts_with('[');
    let host = if is_v6 {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let mut url = Url::parse(&format!("{scheme}://{host}")).ok()?;
    url.set_port(Some(parts.port.unwrap_or(6379))).ok()?;
    url.set_password(parts.password.as_deref()).ok()?;
    Some(url.to_string())
}
