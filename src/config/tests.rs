//! The environment as operators write it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

mod foreign;

fn environment(pairs: &[(&str, &str)]) -> read::Environment {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
        .collect()
}

fn serve(pairs: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    read::read(Mode::Serve, &environment(pairs))
}

fn good(pairs: &[(&str, &str)]) -> Config {
    serve(pairs).expect("no mistakes")
}

/// The problems as an operator reads them.
fn mistakes(pairs: &[(&str, &str)]) -> Vec<String> {
    let problems = serve(pairs).expect_err("mistakes");
    problems.iter().map(ToString::to_string).collect()
}

fn described(config: &Config, name: &str) -> (String, Source) {
    let rows = config.describe();
    let row = rows.iter().find(|row| row.name == name).expect("a setting");
    (row.value.clone(), row.source)
}

#[test]
fn an_empty_environment_gives_the_defaults() {
    let config = good(&[("PATH", "/bin"), ("HOME", "/root"), ("HOSTNAME", "x")]);
    assert_eq!(
        format!("{:?}", config.http),
        format!("{:?}", Http::default())
    );
    assert_eq!(config.redis.url, Redis::default().url);
    assert_eq!(config.keys.file, PathBuf::from("keys.json"));
    assert_eq!(config.dev.path, Some("/bin".into()));
    assert!(
        config
            .describe()
            .iter()
            .all(|row| row.source == Source::Default)
    );
}

/// Every default can be written down as it is shown and is read to the same: no default is out of its own
/// bounds, and `check-config`'s output can be pasted.
#[test]
fn every_default_reads_back_as_it_is_shown() {
    let rows = Config::default().describe();
    let written: Vec<_> = rows
        .iter()
        .filter(|row| !row.value.is_empty() && !row.name.starts_with("REDIS_TLS"))
        .map(|row| (row.name, row.value.as_str()))
        .collect();
    let config = good(&written);
    for (before, after) in rows.iter().zip(config.describe()) {
        let kept = before.value == after.value || before.name == "ALLOW_UNLIMITED";
        assert!(kept, "{before:?} {after:?}");
        assert_eq!(
            after.source == Source::Environment,
            written.iter().any(|(name, _)| *name == after.name)
        );
    }
}

#[test]
fn names_are_unique_and_described() {
    let rows = Config::default().describe();
    let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len());
    assert!(rows.iter().all(|row| row.about.ends_with('.')));
    assert!(rows.iter().all(|row| !row.allowed.is_empty()));
}

#[test]
fn values_of_every_kind_arrive() {
    let config = good(&[
        ("HOST", "::"),
        ("PORT", "8080"),
        ("ADMIN_ADDR", "[::1]:9000"),
        ("PUBLIC_URL", "https://id.example.com/"),
        ("API_BASE_PATH", "/v1"),
        ("CORS_ORIGINS", "https://a.example, https://b.example:8443/"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1"),
        ("MAX_BODY_BYTES", "32KiB"),
        ("GRANT_WAIT", "250ms"),
        ("LOG_BUDGET_BYTES", "1GiB"),
        ("DURABILITY", "Strict"),
        ("WORKERS", "off"),
        ("HASH_ENGINE", "reference"),
        ("ARGON2_MEMORY_KIB", "65536"),
        ("LIMIT_REGISTER", "3/1h"),
        ("SESSION_TTL", "90d"),
        ("LOG_FORMAT", "text"),
        ("RUST_LOG", "warn,sallyport=debug"),
        ("KEYS_FILE", "/etc/keys.json"),
        ("TOKEN_ISSUER", ""),
    ]);
    assert_eq!(config.http.listen().to_string(), "[::]:8080");
    assert_eq!(config.http.admin.to_string(), "[::1]:9000");
    assert_eq!(
        config.http.public_url.as_deref(),
        Some("https://id.example.com")
    );
    assert_eq!(config.http.base_path, "/v1");
    assert_eq!(
        config.http.cors_origins,
        ["https://a.example", "https://b.example:8443"]
    );
    assert_eq!(config.http.trusted_proxies.len(), 2);
    assert_eq!(config.http.max_body_bytes, 32 * 1024);
    assert_eq!(config.store.grant_wait, Duration::from_millis(250));
    assert_eq!(config.store.log_budget_bytes, 1 << 30);
    assert_eq!(config.store.durability, Durability::Strict);
    assert!(!config.store.workers);
    assert_eq!(config.hashing.engine, HashEngine::Reference);
    assert_eq!(config.hashing.memory_kib, 65_536);
    assert_eq!(config.limits.register, Quota::new(3, 3600));
    assert_eq!(
        config.tokens.session_ttl,
        Duration::from_secs(90 * 24 * 3600)
    );
    assert_eq!(config.telemetry.log_format, LogFormat::Text);
    assert_eq!(config.telemetry.log_filter, "warn,sallyport=debug");
    assert!(config.dev.keys_file_given && !config.dev.redis_given && !config.dev.database_given);
    assert_eq!(
        config.tokens.issuer, "sallyport",
        "an empty variable is none"
    );
    assert_eq!(
        described(&config, "PORT"),
        ("8080".to_owned(), Source::Environment)
    );
}

#[test]
fn all_mistakes_are_reported_at_once_by_name() {
    let mistakes = mistakes(&[
        ("PORT", "70000"),
        ("HOST", "localhost"),
        ("LIMIT_REGISTER", "0/3600"),
        ("SESSION_TTL", "soon"),
        ("API_BASE_PATH", "api"),
        ("REDIS_PREFIX", "{tag}"),
        ("RUST_LOG", "a=b=c"),
        ("CORS_ORIGINS", "*"),
        ("TLS_CERT", "/cert.pem"),
        ("WORKERS", "maybe"),
    ]);
    assert_eq!(mistakes.len(), 10, "{mistakes:#?}");
    assert!(mistakes.contains(&r#"PORT is "70000"; allowed: a number from 0 to 65535"#.to_owned()));
    assert!(mistakes.contains(&"TLS_KEY: is missing beside TLS_CERT".to_owned()));
}

#[test]
fn values_can_come_from_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    fs::write(&path, "postgres://u:pw@db/app\n").expect("writes");
    let name = path.to_str().expect("UTF-8");
    let config = good(&[("DATABASE_URL_FILE", name)]);
    assert_eq!(config.postgres.url, "postgres://u:pw@db/app");
    assert!(config.dev.database_given);
    let shown = ("postgres://u:****@db/app".to_owned(), Source::File);
    assert_eq!(described(&config, "DATABASE_URL"), shown);

    let both = mistakes(&[
        ("DATABASE_URL_FILE", name),
        ("DATABASE_URL", "postgres://db/app"),
    ]);
    assert!(both[0].contains("not both"), "{both:?}");
    let missing = mistakes(&[("DATABASE_URL_FILE", "/nowhere/url")]);
    assert!(
        missing[0].starts_with("DATABASE_URL_FILE is /nowhere/url; "),
        "{missing:?}"
    );
    fs::write(&path, " \n").expect("writes");
    assert!(mistakes(&[("DATABASE_URL_FILE", name)])[0].contains("empty"));
    fs::write(&path, "x".repeat(70_000)).expect("writes");
    assert!(mistakes(&[("DATABASE_URL_FILE", name)])[0].contains("longer"));
}

#[test]
fn redis_can_be_given_in_pieces() {
    let config = good(&[
        ("REDIS_HOST", "cache"),
        ("REDIS_PORT", "6380"),
        ("REDIS_PASSWORD", "p@ss:w/rd"),
        ("REDIS_TLS_ENABLED", "true"),
    ]);
    assert_eq!(config.redis.url, "rediss://:p%40ss%3Aw%2Frd@cache:6380");
    assert!(config.dev.redis_given);
    let shown = ("rediss://:****@cache:6380".to_owned(), Source::Environment);
    assert_eq!(described(&config, "REDIS_URL"), shown);
    assert_eq!(
        good(&[("REDIS_HOST", "::1")]).redis.url,
        "redis://[::1]:6379"
    );
    let both = mistakes(&[("REDIS_HOST", "cache"), ("REDIS_URL", "redis://cache")]);
    assert!(both[0].contains("not both"));
    let linked = good(&[
        ("REDIS_PORT", "tcp://10.0.0.1:6379"),
        ("REDIS_URL", "redis://cache"),
    ]);
    assert_eq!(linked.redis.url, "redis://cache");
}

#[test]
fn secrets_are_shown_nowhere() {
    let good = good(&[
        ("DATABASE_URL", "postgres://u:s3cret@db/app?password=s3cret"),
        ("REDIS_PASSWORD", "s3cret"),
    ]);
    assert!(!format!("{good:?} {:?}", good.describe()).contains("s3cret"));
    for (name, value) in [
        ("DATABASE_URL", "mysql://u:s3cret@db/app"),
        ("DATABASE_URL", "u:s3cret@db"),
        ("DATABASE_URL", "postgres://u:s3cret@"),
        ("REDIS_URL", "redis://:s3cret@host:port"),
        ("REDIS_URL", "http://:s3cret@host"),
    ] {
        let mistakes = mistakes(&[(name, value)]);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(
            mistakes[0].starts_with(name) && !mistakes[0].contains("s3cret"),
            "{mistakes:?}"
        );
    }
}

#[test]
fn contradictions_are_refused() {
    for (pairs, name) in [
        (&[("TLS_KEY", "/key.pem")][..], "TLS_CERT"),
        (
            &[("ARGON2_MEMORY_KIB", "8"), ("ARGON2_PARALLELISM", "2")],
            "ARGON2_MEMORY_KIB",
        ),
        (&[("ARGON2_MEMORY_KIB", "1048576")], "ARGON2_MAX_MEMORY_KIB"),
        (&[("ARGON2_ITERATIONS", "17")], "ARGON2_MAX_ITERATIONS"),
        (&[("SESSION_TTL", "1d")], "SESSION_IDLE_TTL"),
        (&[("HASH_DEADLINE", "31s")], "HASH_DEADLINE"),
        (&[("ADMIN_ADDR", "127.0.0.1:3001")], "ADMIN_ADDR"),
    ] {
        let mistakes = mistakes(pairs);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with(name), "{mistakes:?}");
    }
}

const TWILIO: [(&str, &str); 3] = [
    ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"),
    ("TWILIO_AUTH_TOKEN", "s3cret"),
    ("TWILIO_PHONE_NUMBER", "+15551234567"),
];
const EMAIL: [(&str, &str); 4] = [
    ("EMAIL_HOST", "mail.example.com"),
    ("EMAIL_FROM", "Example <no-reply@example.com>"),
    ("EMAIL_USER", "example"),
    ("EMAIL_PASSWORD", "s3cret"),
];

#[test]
fn sms_and_mail_arrive_whole_and_keep_their_secrets() {
    let pairs = [
        &TWILIO[..],
        &EMAIL,
        &[
            ("EMAIL_SECURE", "true"),
            ("EMAIL_CA", "/ca.pem"),
            ("PUBLIC_URL", "https://Id.Example.com:8443/x"),
            ("DELIVERY_TIMEOUT", "3s"),
        ],
    ];
    let config = good(&pairs.concat());
    let outbound = &config.outbound;
    assert_eq!(outbound.host, "id.example.com");
    assert_eq!(outbound.timeout, Duration::from_secs(3));
    assert_eq!(outbound.sms.auth_token.as_deref(), Some("s3cret"));
    assert_eq!(outbound.sms.base_url, "https://api.twilio.com");
    assert_eq!(outbound.email.password.as_deref(), Some("s3cret"));
    assert_eq!(outbound.email.port(), 465);
    assert!(!outbound.local_outbox);
    assert!(!format!("{config:?} {:?}", config.describe()).contains("s3cret"));
    assert_eq!(good(&[]).outbound.host, "localhost");
}

#[test]
fn what_is_missing_beside_a_part_of_sms_or_mail_is_named() {
    for (pairs, missing) in [
        (
            &TWILIO[..1],
            &["TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER"][..],
        ),
        (&TWILIO[1..], &["TWILIO_ACCOUNT_SID"]),
        (&EMAIL[..1], &["EMAIL_FROM"]),
        (&EMAIL[1..], &["EMAIL_HOST"]),
        (&EMAIL[..3], &["EMAIL_PASSWORD"]),
        (&[EMAIL[0], EMAIL[1], EMAIL[3]], &["EMAIL_USER"]),
    ] {
        let mistakes = mistakes(pairs);
        assert_eq!(mistakes.len(), missing.len(), "{mistakes:?}");
        for (mistake, name) in mistakes.iter().zip(missing) {
            assert!(
                mistake.starts_with(&format!("{name}: is missing beside")),
                "{mistake}"
            );
        }
    }
    // A setting that only says how to reach a provider does not ask for one.
    good(&[
        ("TWILIO_BASE_URL", "http://127.0.0.1:4010/"),
        ("EMAIL_PORT", "25"),
        ("EMAIL_SECURE", "off"),
    ]);
}

#[test]
fn values_that_no_provider_takes_are_refused() {
    for (name, value) in [
        ("TWILIO_ACCOUNT_SID", "SK0123456789abcdef0123456789abcdef"),
        ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcde/"),
        ("TWILIO_PHONE_NUMBER", "015551234567"),
        ("TWILIO_PHONE_NUMBER", "+1 555 1234567"),
        ("TWILIO_PHONE_NUMBER", "+1234567890123456"),
        ("TWILIO_BASE_URL", "ftp://example.com"),
        ("TWILIO_BASE_URL", "https://user:s3cret@example.com"),
        ("EMAIL_HOST", "mail example"),
        ("EMAIL_PORT", "0"),
        ("EMAIL_SECURE", "perhaps"),
        ("EMAIL_FROM", "Example"),
        ("EMAIL_FROM", "a@example.com, b@example.com"),
        ("EMAIL_FROM", "a@example.com\nBcc: b@example.com"),
        ("DELIVERY_TIMEOUT", "0s"),
        ("DELIVERY_TIMEOUT", "46s"),
        ("TWILIO_API_KEY", "SK"),
        ("EMAIL_PASS", "s3cret"),
    ] {
        let all: Vec<_> = [&TWILIO[..], &EMAIL].concat();
        let mut pairs: Vec<_> = all
            .into_iter()
            .filter(|(given, _)| *given != name)
            .collect();
        pairs.push((name, value));
        let mistakes = mistakes(&pairs);
        assert!(mistakes[0].starts_with(name), "{mistakes:?}");
    }
    let mistakes = mistakes(
        &[
            &EMAIL[..],
            &[("EMAIL_PORT", "465"), ("EMAIL_SECURE", "off")],
        ]
        .concat(),
    );
    assert!(mistakes[0].starts_with("EMAIL_SECURE"), "{mistakes:?}");
}

#[test]
fn limits_can_be_switched_off_in_dev_or_on_purpose_alone() {
    assert!(mistakes(&[("RATE_LIMITS", "off")])[0].contains("ALLOW_UNLIMITED=1"));
    assert!(
        !good(&[("RATE_LIMITS", "off"), ("ALLOW_UNLIMITED", "1")])
            .limits
            .enabled
    );
    let dev = read::read(Mode::Dev, &environment(&[("RATE_LIMITS", "off")]));
    assert!(dev.is_ok_and(|config| !config.limits.enabled));
}

#[test]
fn text_that_is_not_utf8_is_a_mistake_only_where_it_is_ours() {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = OsString::from_vec(vec![0xff]);
    let mut environment = environment(&[]);
    environment.insert("OTHER".to_owned(), bytes.clone());
    assert!(read::read(Mode::Serve, &environment).is_ok());
    environment.insert("TOKEN_ISSUER".to_owned(), bytes);
    let problems = read::read(Mode::Serve, &environment).expect_err("a mistake");
    assert_eq!(problems[0].to_string(), "TOKEN_ISSUER: is not UTF-8");
}
