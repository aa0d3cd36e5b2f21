//! The rules, each with environments that break it and environments that do not.

use std::ffi::OsString;

use super::*;
use crate::config::{Mode, read};

/// An account that sends SMS.
const TWILIO: [(&str, &str); 3] = [
    ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"),
    ("TWILIO_AUTH_TOKEN", "x"),
    ("TWILIO_PHONE_NUMBER", "+15551234567"),
];

fn config(pairs: &[(&str, &str)]) -> Config {
    let pairs = pairs.iter();
    let environment = pairs.map(|(name, value)| ((*name).to_owned(), OsString::from(value)));
    read::read(Mode::Serve, &environment.collect()).expect("no mistakes")
}

/// Codes that an environment breaks.
fn codes(pairs: &[(&str, &str)]) -> Vec<&'static str> {
    findings(&config(pairs))
        .iter()
        .map(|finding| finding.rule.code)
        .collect()
}

fn refused(pairs: &[(&str, &str)]) -> Vec<&'static str> {
    let findings = findings(&config(pairs));
    let refused = findings.iter().filter(|finding| finding.is_refused());
    refused.map(|finding| finding.rule.code).collect()
}

/// Environments, each with the code of its error.
const UNSAFE: &[(&[(&str, &str)], &str)] = &[
    (&[("HOST", "0.0.0.0")], "plain_http"),
    (&[("HOST", "::")], "plain_http"),
    (
        &[
            ("HOST", "192.0.2.1"),
            ("PUBLIC_URL", "http://id.example.com"),
        ],
        "plain_http",
    ),
    (&[("PUBLIC_URL", "http://id.example.com")], "plain_http"),
    (&[("ADMIN_ADDR", "192.0.2.1:3002")], "admin_public"),
    (&[("ADMIN_ADDR", "[2001:db8::1]:3002")], "admin_public"),
    (&[("TRUSTED_PROXIES", "0.0.0.0/0")], "proxies_everywhere"),
    (
        &[("TRUSTED_PROXIES", "10.0.0.0/8,::/0")],
        "proxies_everywhere",
    ),
    (
        &[("TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1")],
        "proxies_everywhere",
    ),
    (
        &[("REDIS_URL", "redis://:pw@redis.example.com")],
        "plain_redis",
    ),
    (
        &[(
            "REDIS_URL",
            "redis-cluster://10.0.0.1:6379?node=192.0.2.1:6379",
        )],
        "plain_redis",
    ),
    (&[("TRUSTED_PROXIES", "52.0.0.0/8")], "proxies_everywhere"),
    (
        &[("TRUSTED_PROXIES", "52.0.0.0/9,10.0.0.0/8,53.128.0.0/9")],
        "proxies_everywhere",
    ),
    (&[("TRUSTED_PROXIES", "2400::/11")], "proxies_everywhere"),
    (&[("REDIS_HOST", "192.0.2.1")], "plain_redis"),
    (
        &[("DATABASE_URL", "postgres://8.8.8.8/a?sslmode=DISABLE")],
        "plain_postgres",
    ),
    (
        &[(
            "DATABASE_URL",
            "postgres://db/a?hostaddr=8.8.8.8&ssl-mode=Allow",
        )],
        "plain_postgres",
    ),
    (
        &[(
            "DATABASE_URL",
            "postgres://[::1]/a?host=db.example.com&sslmode=disable",
        )],
        "plain_postgres",
    ),
    (
        &[(
            "DATABASE_URL",
            "postgres://db.example.com/a?sslmode=disable",
        )],
        "plain_postgres",
    ),
    (&[("ARGON2_MEMORY_KIB", "19455")], "weak_argon2"),
    (&[("ARGON2_ITERATIONS", "1")], "weak_argon2"),
    (
        &[("ARGON2_MEMORY_KIB", "7167"), ("ARGON2_ITERATIONS", "9")],
        "weak_argon2",
    ),
    (&[("LIMIT_LOGIN_ACCOUNT", "100000/1s")], "absurd_limit"),
    (&[("LIMIT_REGISTER", "1000/1s")], "absurd_limit"),
    (&[("LIMIT_SECOND_FACTOR", "1000000/30d")], "absurd_limit"),
    (
        &[
            TWILIO[0],
            TWILIO[1],
            TWILIO[2],
            ("TWILIO_BASE_URL", "http://sms.example.com"),
        ],
        "plain_sms",
    ),
];

#[test]
fn unsafe_settings_are_errors() {
    for (pairs, code) in UNSAFE {
        assert_eq!(codes(pairs), [*code], "{pairs:?}");
        assert_eq!(refused(pairs), [*code], "{pairs:?}");
        for allowed in [*code, "all", &format!("absurd_limit,{code}")] {
            let allowing = [*pairs, &[("ALLOW_UNSAFE", allowed)]].concat();
            assert!(refused(&allowing).is_empty(), "{allowing:?}");
            assert_eq!(codes(&allowing), [*code], "it is still told");
        }
    }
}

#[test]
fn settings_of_containers_are_warnings_at_most() {
    for (pairs, code) in [
        (
            &[("HOST", "0.0.0.0"), ("PUBLIC_URL", "http://localhost:3001")][..],
            "plain_http_localhost",
        ),
        (&[("ADMIN_ADDR", "0.0.0.0:3002")], "admin_wildcard"),
        (
            &[("REDIS_URL", "redis://redis:6379")],
            "plain_redis_private",
        ),
        (
            &[("REDIS_URL", "redis://redis.default.svc.cluster.local:6379")],
            "plain_redis_private",
        ),
        (&[("REDIS_URL", "redis://10.1.2.3")], "plain_redis_private"),
        (
            &[("DATABASE_URL", "postgres://postgres/a?sslmode=disable")],
            "plain_postgres_private",
        ),
        (
            &[(
                "DATABASE_URL",
                "postgres://db.example.com/a?sslmode=Require",
            )],
            "unverified_postgres",
        ),
        (
            &[
                TWILIO[0],
                TWILIO[1],
                TWILIO[2],
                ("TWILIO_BASE_URL", "http://sms:8080"),
            ],
            "plain_sms_private",
        ),
        (&[("JWT_REFRESH_SECRET", "x")], "unused_secret"),
        (&[("BCRYPT_ROUNDS", "12")], "unused_setting"),
        (
            &[("CORS_ORIGIN", "http://localhost:3000")],
            "unused_setting",
        ),
    ] {
        assert_eq!(codes(pairs), [code], "{pairs:?}");
        assert!(refused(pairs).is_empty(), "{pairs:?}");
    }
}

#[test]
fn safe_settings_are_not_told_of() {
    for pairs in [
        &[][..],
        &[
            ("HOST", "0.0.0.0"),
            ("PUBLIC_URL", "https://id.example.com"),
        ],
        &[("HOST", "0.0.0.0"), ("TLS_CERT", "/c"), ("TLS_KEY", "/k")],
        &[("PUBLIC_URL", "http://localhost:3001")],
        &[("ADMIN_ADDR", "10.1.2.3:3002")],
        &[("TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8,173.245.48.0/20")],
        &[(
            "TRUSTED_PROXIES",
            "127.0.0.0/8,172.16.0.0/12,52.0.0.0/9,2400:cb00::/32",
        )],
        &[(
            "DATABASE_URL",
            "postgres://db.example.com/a?sslmode=verify-ca",
        )],
        &[(
            "DATABASE_URL",
            "postgres://8.8.8.8/a?host=/run/postgresql&sslmode=disable",
        )],
        &[("DATABASE_URL", "postgres://10.1.2.3/a?sslmode=require")],
        &[("TWILIO_BASE_URL", "http://sms.example.com")],
        &[
            TWILIO[0],
            TWILIO[1],
            TWILIO[2],
            ("TWILIO_BASE_URL", "http://127.0.0.1:4010"),
        ],
        &[("REDIS_URL", "rediss://redis.example.com")],
        &[("REDIS_URL", "redis://[::1]:6379")],
        &[("REDIS_URL", "redis+unix:///run/redis.sock")],
        &[("DATABASE_URL", "postgres://db.example.com/a")],
        &[("DATABASE_URL", "postgres://127.0.0.1/a?sslmode=disable")],
        &[("ARGON2_MEMORY_KIB", "7168"), ("ARGON2_ITERATIONS", "5")],
        &[("ARGON2_MEMORY_KIB", "65536")],
        &[
            ("LIMIT_LOGIN_ADDRESS", "500/15m"),
            ("LIMIT_ANONYMOUS", "10000/15m"),
        ],
        &[("JWT_SECRET", "")],
    ] {
        assert_eq!(codes(pairs), [] as [&str; 0], "{pairs:?}");
    }
}

#[test]
fn a_finding_names_settings_reason_and_advice_and_no_secret() {
    let all = findings(&config(&[(
        "REDIS_URL",
        "redis://:s3cret@redis.example.com",
    )]));
    assert_eq!(
        all[0].to_string(),
        "error plain_redis: REDIS_URL=redis://:****@redis.example.com. Sessions cross a public network in plain \
         text, to a server that nobody has verified. Use rediss://, or a private network."
    );
    let unused = findings(&config(&[("JWT_SECRET", "s3cret")]));
    assert!(!unused[0].to_string().contains("s3cret"), "{}", unused[0]);
}

#[test]
fn only_codes_of_errors_are_allowed_by_name() {
    let environment = [("ALLOW_UNSAFE".to_owned(), OsString::from("plain_htpp"))];
    let mistakes = read::read(Mode::Serve, &environment.into()).expect_err("a mistake");
    let told = mistakes[0].to_string();
    assert!(
        told.contains("plain_http, ") && told.ends_with(", all; several with commas between them"),
        "{told}"
    );
    assert!(!told.contains("admin_wildcard"), "{told}");
}
