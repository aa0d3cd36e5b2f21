//! Names that are not ours, and the environment of a service that this one replaces.

use super::*;

#[test]
fn unknown_names_of_our_families_stop_the_start() {
    for (name, meant) in [
        ("SALLYPORT_PROT", "PORT"),
        ("SALLYPORT_ACCESS_TOKEN_TTL", "ACCESS_TOKEN_TTL"),
        ("ARGON2_MEMORY", "ARGON2_MEMORY_KIB"),
        ("ARGON2_LOOK_AND_FEEL", "there is no such setting"),
        ("LIMIT_LOGINS_ACCOUNT", "LIMIT_LOGIN_ACCOUNT"),
        ("LIMIT_REGISTERS_FILE", "LIMIT_REGISTER"),
        ("EMAIL_PASS", "EMAIL_PASSWORD"),
        ("LIMIT_LOGIN", "LIMIT_LOGIN_ACCOUNT"),
        ("LIMIT_LOGINS", "there is no such setting"),
        ("EMAIL_COLOUR", "there is no such setting"),
    ] {
        let mistakes = mistakes(&[(name, "1")]);
        assert!(mistakes[0].starts_with(name), "{mistakes:?}");
        let told = mistakes[0].trim_end_matches('?');
        assert!(told.ends_with(meant), "{mistakes:?}");
    }
    good(&[
        ("SALLYPORT_TEST_REDIS_URL", "x"),
        ("SALLYPORT_SERVICE_HOST", "10.0.0.1"),
        ("SALLYPORT_SERVICE_PORT_HTTP", "3001"),
        ("SALLYPORT_PORT", "tcp://10.0.0.1:3001"),
        ("SALLYPORT_PORT_3001_TCP_ADDR", "10.0.0.1"),
        ("SALLYPORT_REDIS_PORT", "tcp://10.0.0.2:6379"),
        ("SALLYPORT_REDIS_PORT_6379_TCP_PROTO", "tcp"),
        ("LIMITS", "x"),
        ("SOMETHING_ELSE", "x"),
    ]);
}

#[test]
fn names_one_edit_from_a_setting_stop_the_start() {
    for (name, meant) in [
        ("SESION_LEASE", "SESSION_LEASE"),
        ("RATE_LIMIT", "RATE_LIMITS"),
        ("SALLYPORT_PORT", "PORT"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("KEY_FILE", "KEYS_FILE"),
        ("PUBLCI_URL", "PUBLIC_URL"),
        ("REDIS_ULR_FILE", "REDIS_URL"),
        ("PORTT", "PORT"),
        ("PROT", "PORT"),
        ("HST", "HOST"),
    ] {
        let mistakes = mistakes(&[(name, "1")]);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(
            mistakes[0].starts_with(&format!("{name}: ")),
            "{mistakes:?}"
        );
        assert!(
            mistakes[0].ends_with(&format!("did you mean {meant}?")),
            "{mistakes:?}"
        );
    }
}

/// Names that every machine has, and neighbours of our short ones.
const COMMON: &str = "\
    HOME HOSTS HOST_ HOSTNAME USER USERS PATH PWD OLDPWD SHELL SHLVL TERM LANG LC_ALL TZ PORTS SORT \
    POST TMPDIR LOGNAME MAIL EDITOR NODE_ENV PGDATA PGHOST PGPORT PGUSER PGPASSWORD RUST_BACKTRACE \
    XDG_DATA_DIRS XDG_DATA_HOME CARGO_HOME INVOCATION_ID JOURNAL_STREAM KUBERNETES_SERVICE_HOST \
    KUBERNETES_PORT DISPLAY SSH_TTY DEBUG CI";

#[test]
fn common_names_are_nobodys_slip() {
    let common: Vec<_> = COMMON.split(' ').map(|name| (name, "1")).collect();
    good(&common);
}

#[test]
fn the_environment_of_a_node_service_is_understood() {
    let config = good(&[
        ("NODE_ENV", "production"),
        ("PORT", "3001"),
        (
            "DATABASE_URL",
            "postgresql://u:pw@db:5432/auth?schema=public&connection_limit=20&pool_timeout=10&sslmode=require",
        ),
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "6379"),
        ("JWT_ACCESS_SECRET", "s3cret"),
        ("JWT_REFRESH_SECRET", "s3cret"),
        ("BCRYPT_ROUNDS", "12"),
        ("CORS_ORIGIN", "http://localhost:3000"),
        ("EMAIL_SERVICE", "gmail"),
        ("EMAIL_USER", "someone@gmail.com"),
        ("EMAIL_PASSWORD", "s3cret"),
    ]);
    assert_eq!(
        config.postgres.url,
        "postgresql://u:pw@db:5432/auth?sslmode=require&options%5Bsearch_path%5D=%22public%22"
    );
    assert_eq!(config.postgres.connections, 20);
    assert_eq!(
        described(&config, "DATABASE_CONNECTIONS"),
        ("20".to_owned(), Source::Environment)
    );
    assert_eq!(config.postgres.pool_timeout, Duration::from_secs(10));
    let email = &config.outbound.email;
    assert_eq!(email.host.as_deref(), Some("smtp.gmail.com"));
    assert_eq!((email.port(), email.secure()), (465, EmailSecurity::Tls));
    assert_eq!(email.from.as_deref(), Some("someone@gmail.com"));
    let findings = config.findings();
    let unused = findings
        .iter()
        .filter(|finding| finding.rule.code.starts_with("unused_"));
    let unused: Vec<_> = unused
        .flat_map(|finding| finding.settings.clone())
        .collect();
    let expected = [
        "BCRYPT_ROUNDS",
        "CORS_ORIGIN",
        "JWT_ACCESS_SECRET",
        "JWT_REFRESH_SECRET",
    ];
    assert_eq!(unused, expected);
    assert!(!format!("{config:?} {findings:?}").contains("s3cret"));
}

#[test]
fn parameters_of_prisma_have_bounds_and_yield_to_our_own_settings() {
    let url = |parameters: &str| format!("postgres://db/a?{parameters}");
    let own = good(&[
        ("DATABASE_URL", &url("connection_limit=20")),
        ("DATABASE_CONNECTIONS", "7"),
    ]);
    assert_eq!(
        (own.postgres.url.as_str(), own.postgres.connections),
        ("postgres://db/a", 7)
    );
    assert_eq!(
        good(&[("DATABASE_URL", &url("connection_limit=1"))])
            .postgres
            .connections,
        2
    );
    for parameter in [
        "schema=",
        "schema=a,b",
        "schema=a%22",
        "connection_limit=0",
        "pool_timeout=never",
        "pool_timeout=0",
    ] {
        let mistakes = mistakes(&[("DATABASE_URL", &url(parameter))]);
        assert!(
            mistakes[0].starts_with("DATABASE_URL is given "),
            "{mistakes:?}"
        );
    }
}

#[test]
fn gmail_is_reached_by_either_port_and_contradicts_another_host() {
    let with = |name: &str, value: &str| {
        let pairs = [
            ("EMAIL_SERVICE", "gmail"),
            EMAIL[1],
            EMAIL[2],
            EMAIL[3],
            (name, value),
        ];
        let email = good(&pairs).outbound.email;
        (email.port(), email.secure())
    };
    assert_eq!(
        with("EMAIL_SECURE", "starttls"),
        (587, EmailSecurity::StartTls)
    );
    assert_eq!(
        with("EMAIL_PORT", "587"),
        (587, EmailSecurity::PlainOnLoopback)
    );
    assert_eq!(with("EMAIL_PORT", "465"), (465, EmailSecurity::Tls));
    let both = mistakes(&[("EMAIL_SERVICE", "Gmail"), EMAIL[0], EMAIL[1]]);
    assert!(both[0].contains("not both"), "{both:?}");
    assert!(mistakes(&[("EMAIL_SERVICE", "pigeon")])[0].contains("allowed: gmail"));
}
