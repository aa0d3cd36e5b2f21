//! No password and no token stands in clear in Redis, in PostgreSQL, or in the metrics.

use sallyport::auth::{Error, PasswordChange};
use sallyport::store::TABLES;
use sallyport::telemetry::Metrics;
use sqlx::AssertSqlSafe;

use crate::auth_desk::{Desk, PASSWORD, curl, secret};

const WRONG: &str = "wrong-but-secret-1";
const NEXT: &str = "Another-Pass-1";

/// Lives a whole life, and tells every secret of it. PostgreSQL does not get anything of it meanwhile, so
/// that all of it is to be found in Redis's log too.
async fn live(desk: &Desk) -> Vec<String> {
    let first = desk.register("alice").await;
    for name in ["alice@example.com", "nobody@example.com"] {
        let refused = desk.login(name, WRONG).await.map(|_| ());
        assert!(
            matches!(refused, Err(Error::InvalidCredentials)),
            "{name}: {refused:?}"
        );
    }
    let mut held = desk.lab.pool.begin().await.expect("transaction");
    sqlx::query("LOCK TABLE audit_logs IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .expect("locked");
    let second = desk.login("alice", PASSWORD).await.expect("login");
    let third = desk.refresh(&second.refresh_token.text).await;
    let third = third.expect("refreshed");
    let caller = desk.caller(&third.access_token).await.expect("live");
    let change = PasswordChange {
        current: secret(PASSWORD),
        new: secret(NEXT),
    };
    let changed = desk.auth.change_password(&curl(), &caller, change).await;
    changed.expect("changed");
    let mut secrets: Vec<String> = [PASSWORD, WRONG, NEXT].map(str::to_owned).into();
    for (access, refresh) in [
        (first.access_token, first.refresh_token),
        (second.access_token, second.refresh_token),
        (third.access_token, third.refresh_token),
    ] {
        // The part that makes it secret, however it may be wrapped.
        secrets.push(access[access.len() - 40..].to_owned());
        secrets.push(access["v4.public.".len()..][..60].to_owned());
        let body = refresh
            .text
            .strip_prefix("refresh_")
            .unwrap_or(&refresh.text);
        secrets.push(body.to_owned());
    }
    look_into_redis(desk, &secrets).await;
    held.rollback().await.expect("released");
    secrets
}

async fn look_into_redis(desk: &Desk, secrets: &[String]) {
    let contents = desk.lab.contents().await;
    let streams = contents.iter().filter(|(key, _)| key.ends_with(":log"));
    let streams: String = streams.map(|(_, value)| value.as_str()).collect();
    assert!(
        streams.contains("user.password_changed"),
        "the scan reads logs: {streams}"
    );
    let records: String = contents.iter().map(|(_, value)| value.as_str()).collect();
    assert!(records.contains("argon2id"), "the scan reads records");
    for (key, value) in &contents {
        for secret in secrets {
            assert!(!value.contains(secret), "{key} holds {secret}");
            assert!(!key.contains(secret), "{key} holds {secret}");
        }
        // An address stands in its account's own record; where others are counted or looked up, it does not.
        assert!(!key.contains("example.com"), "{key} names an address");
        assert!(
            !value.contains("nobody@example.com"),
            "{key} keeps an address that was tried"
        );
    }
}

#[tokio::test]
async fn secrets_are_nowhere_in_clear() {
    let metrics = Metrics::install().expect("recorder");
    let desk = Desk::open().await;
    let secrets = live(&desk).await;
    desk.store.flush().await.expect("flushed");
    look_into_postgres(&desk, &secrets).await;
    let metrics = metrics.render();
    assert!(metrics.contains("sallyport_logins_total"), "{metrics}");
    assert!(!metrics.contains("example.com"));
    assert!(!metrics.contains("alice"));
    for secret in &secrets {
        assert!(!metrics.contains(secret), "the metrics hold {secret}");
    }
}

async fn look_into_postgres(desk: &Desk, secrets: &[String]) {
    let names = TABLES
        .iter()
        .map(|table| table.name)
        .chain(["dead_letters"]);
    for table in names {
        let rows = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows))
            .fetch_one(&desk.lab.pool)
            .await
            .expect("rows");
        assert_eq!(rows.is_empty(), table == "dead_letters", "{table}: {rows}");
        for secret in secrets {
            assert!(!rows.contains(secret), "{table} holds {secret}");
        }
    }
}
