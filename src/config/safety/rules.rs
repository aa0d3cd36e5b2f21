//! The rules, one row each: code, severity, reason, advice, and the test that finds what breaks it.

use url::Url;

use super::reach::{self, Reach};
use super::{Rule, Severity, proxies};
use crate::config::postgres::Protection;
use crate::config::{Config, limits};

/// Errors first, then warnings.
pub(super) static RULES: &[Rule] = &[
    Rule {
        code: "plain_http",
        severity: Severity::Error,
        reason: "Passwords and tokens cross a network in plain text, and cookies are not marked Secure.",
        advice: "Give TLS_CERT and TLS_KEY, or with a proxy that speaks TLS its address as PUBLIC_URL=https://….",
        broken_by: |config| plain_http(config, Reach::World),
    },
    Rule {
        code: "admin_public",
        severity: Severity::Error,
        reason: "Metrics and the state of the stores are shown to the world.",
        advice: "Give ADMIN_ADDR a loopback or private address.",
        broken_by: |config| {
            let address = config.http.admin.ip();
            let is_public = !address.is_unspecified() && reach::of_address(address) == Reach::World;
            named(is_public, "ADMIN_ADDR")
        },
    },
    Rule {
        code: "proxies_everywhere",
        severity: Severity::Error,
        reason: "Strangers may write X-Forwarded-For, and so have any address: rate limits bind nobody.",
        advice: "Name the networks of your proxies alone in TRUSTED_PROXIES: less than one public address in 256.",
        broken_by: |config| {
            named(
                proxies::are_everywhere(&config.http.trusted_proxies),
                "TRUSTED_PROXIES",
            )
        },
    },
    Rule {
        code: "plain_redis",
        severity: Severity::Error,
        reason: "Sessions cross a public network in plain text, to a server that nobody has verified.",
        advice: "Use rediss://, or a private network.",
        broken_by: |config| named(plain_redis(config) == Reach::World, "REDIS_URL"),
    },
    Rule {
        code: "plain_postgres",
        severity: Severity::Error,
        reason: "Accounts cross a public network in plain text, to a server that nobody has verified.",
        advice: "Leave sslmode out of DATABASE_URL, and PGSSLMODE out of the environment: then the server's certificate is verified.",
        broken_by: |config| postgres(config, Protection::Plain, Reach::World),
    },
    Rule {
        code: "plain_sms",
        severity: Severity::Error,
        reason: "Codes and the token of the Twilio account cross a public network in plain text.",
        advice: "Give TWILIO_BASE_URL with https://.",
        broken_by: |config| named(plain_sms(config) == Reach::World, "TWILIO_BASE_URL"),
    },
    Rule {
        code: "weak_argon2",
        severity: Severity::Error,
        reason: "Stolen hashes are guessed faster than OWASP's Password Storage Cheat Sheet allows.",
        advice: "Use m=19456 t=2, or another of its pairs: 47104/1, 12288/3, 9216/4, 7168/5.",
        broken_by: |config| {
            if is_weak(config) {
                vec![
                    "ARGON2_MEMORY_KIB".to_owned(),
                    "ARGON2_ITERATIONS".to_owned(),
                ]
            } else {
                Vec::new()
            }
        },
    },
    Rule {
        code: "absurd_limit",
        severity: Severity::Error,
        reason: "More than a hundred times as many tries as by default, a second or at once, limit nobody.",
        advice: "Give a lower limit, as in 50/15m.",
        broken_by: limits::absurd,
    },
    Rule {
        code: "plain_http_localhost",
        severity: Severity::Warning,
        reason: "The listener is open to other machines, to which passwords would cross the network in plain text.",
        advice: "Publish the port on 127.0.0.1 alone, and elsewhere give PUBLIC_URL=https://….",
        broken_by: |config| plain_http(config, Reach::Machine),
    },
    Rule {
        code: "admin_wildcard",
        severity: Severity::Warning,
        reason: "Metrics and the state of the stores are shown on every network of this machine.",
        advice: "Let nobody but your monitoring reach that port.",
        broken_by: |config| named(config.http.admin.ip().is_unspecified(), "ADMIN_ADDR"),
    },
    Rule {
        code: "plain_redis_private",
        severity: Severity::Warning,
        reason: "Who listens on that private network can read sessions.",
        advice: "Use rediss:// where the network is shared with others.",
        broken_by: |config| named(plain_redis(config) == Reach::Private, "REDIS_URL"),
    },
    Rule {
        code: "plain_postgres_private",
        severity: Severity::Warning,
        reason: "Who listens on that private network can read accounts.",
        advice: "Leave sslmode out of DATABASE_URL where the network is shared with others.",
        broken_by: |config| postgres(config, Protection::Plain, Reach::Private),
    },
    Rule {
        code: "unverified_postgres",
        severity: Severity::Warning,
        reason: "PostgreSQL's certificate is not verified: whoever is on the way can read and change accounts.",
        advice: "Leave sslmode out of DATABASE_URL, with sslrootcert=FILE where the certificate is your own.",
        broken_by: |config| postgres(config, Protection::Unverified, Reach::World),
    },
    Rule {
        code: "plain_sms_private",
        severity: Severity::Warning,
        reason: "Who listens on that private network can read codes and the token of the Twilio account.",
        advice: "Give TWILIO_BASE_URL with https:// where the network is shared with others.",
        broken_by: |config| named(plain_sms(config) == Reach::Private, "TWILIO_BASE_URL"),
    },
    Rule {
        code: "unused_setting",
        severity: Severity::Warning,
        reason: "Nothing reads it: it is a setting of the Node service that came before.",
        advice: "Remove it; CORS_ORIGINS names origins here, ARGON2_… the cost of a hash.",
        broken_by: |config| config.safety.unused_settings.clone(),
    },
    Rule {
        code: "unused_secret",
        severity: Severity::Warning,
        reason: "Nothing reads it: access tokens are signed with the key file (KEYS_FILE).",
        advice: "Remove it once nothing else needs it.",
        broken_by: |config| config.safety.unused_secrets.clone(),
    },
];

fn named(is_broken: bool, setting: &str) -> Vec<String> {
    if is_broken {
        vec![setting.to_owned()]
    } else {
        Vec::new()
    }
}

/// Settings by which others reach the service in plain text. `whose` tells the cases apart: with `PUBLIC_URL` on this
/// machine (`Reach::Machine`), and all others.
fn plain_http(config: &Config, whose: Reach) -> Vec<String> {
    let http = &config.http;
    let public = http
        .public_url
        .as_deref()
        .and_then(|url| Url::parse(url).ok());
    let is_protected =
        http.tls_cert.is_some() || public.as_ref().is_some_and(|url| url.scheme() == "https");
    let open = !http.host.to_canonical().is_loopback();
    let claimed = public
        .as_ref()
        .and_then(Url::host)
        .map(|host| reach::of_host(&host));
    let is_local = claimed == Some(Reach::Machine);
    let broken = match whose {
        Reach::Machine => open && is_local,
        _ => !is_local && (open || claimed.is_some()),
    };
    if is_protected || !broken {
        return Vec::new();
    }
    let mut names = named(open, "HOST");
    names.extend(named(claimed.is_some(), "PUBLIC_URL"));
    names
}

/// Farthest host that Redis's protocol goes to in plain text.
fn plain_redis(config: &Config) -> Reach {
    match Url::parse(&config.redis.url) {
        Ok(url) if url.scheme().starts_with("redis") && !url.scheme().starts_with("rediss") => {
            let nodes = url.query_pairs().filter(|(name, _)| name == "node");
            let nodes = nodes.filter_map(|(_, node)| Url::parse(&format!("redis://{node}")).ok());
            std::iter::once(url.clone())
                .chain(nodes)
                .map(|url| of_url(&url))
                .max()
                .unwrap_or(Reach::Machine)
        }
        _ => Reach::Machine,
    }
}

/// `DATABASE_URL`, if PostgreSQL is asked over this part of the network and so badly protected.
fn postgres(config: &Config, protection: Protection, over: Reach) -> Vec<String> {
    let way = config.postgres.way.as_ref();
    let way = way.filter(|way| way.protection == protection);
    let host = way.and_then(|way| way.host.as_deref());
    named(host.map(reach::of_text) == Some(over), "DATABASE_URL")
}

/// Host that codes are sent to in plain text, for SMS.
fn plain_sms(config: &Config) -> Reach {
    let sms = &config.outbound.sms;
    match Url::parse(&sms.base_url) {
        Ok(url) if sms.account_sid.is_some() && url.scheme() == "http" => of_url(&url),
        _ => Reach::Machine,
    }
}

/// A URL without a host is a socket of this machine.
fn of_url(url: &Url) -> Reach {
    url.host_str().map_or(Reach::Machine, reach::of_text)
}

/// Pairs of m (KiB) and t that the cheat sheet holds to be equal, all with p = 1.
const FLOOR: [(u32, u32); 5] = [
    (47_104, 1),
    (19_456, 2),
    (12_288, 3),
    (9_216, 4),
    (7_168, 5),
];

fn is_weak(config: &Config) -> bool {
    let hashing = &config.hashing;
    !FLOOR.iter().any(|(memory, iterations)| {
        hashing.memory_kib >= *memory && hashing.iterations >= *iterations
    })
}
