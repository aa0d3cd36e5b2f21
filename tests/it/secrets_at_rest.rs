//! No password, no token, no code and no secret of a second factor stands in clear in Redis, in its log, in
//! PostgreSQL, in the metrics, or in what the service logs.

use std::io;
use std::sync::{Arc, Mutex};

use sallyport::auth::{Error, LoginOutcome, PasswordChange, SignedIn, Trust, Verification};
use sallyport::config;
use sallyport::model::MethodKind;
use sallyport::store::TABLES;
use sallyport::telemetry::Metrics;
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use crate::auth_desk::{Desk, PASSWORD, curl, secret};
use crate::factor_desk::{App, verification};

const WRONG: &str = "wrong-but-secret-1";
const NEXT: &str = "Another-Pass-1";
const PHONE: &str = "+15551230987";

/// Everything that is logged, at every level and of every crate.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn listen() -> Self {
        let logs = Self::default();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(logs.clone())
            .init();
        logs
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A code is told from digits that stand there by chance by what stands around it.
fn shapes(code: &str) -> [String; 4] {
    [
        format!("\"{code}\""),
        format!("#{code}"),
        format!(" {code} "),
        format!("={code}"),
    ]
}

/// The part of a token that makes it secret, however it may be wrapped.
fn secrets_of(signed_in: &SignedIn) -> Vec<String> {
    let access = &signed_in.access_token;
    let refresh = &signed_in.refresh_token.text;
    let device = signed_in.device_token.as_ref().map(|token| &token.text);
    let mut secrets = vec![
        access[access.len() - 40..].to_owned(),
        access["v4.public.".len()..][..60].to_owned(),
        refresh
            .strip_prefix("refresh_")
            .unwrap_or(refresh)
            .to_owned(),
    ];
    secrets.extend(device.map(|text| text.strip_prefix("device_").unwrap_or(text).to_owned()));
    secrets
}

/// Lives a whole life, and tells every secret of it. PostgreSQL gets nothing of it meanwhile but the account,
/// so that all of it is to be found in Redis's log too, and nobody carries letters before Redis was looked into.
async fn live(desk: &Desk) -> Vec<String> {
    let first = register(desk).await;
    for name in ["alice@example.com", "nobody@example.com"] {
        let refused = desk.login(name, WRONG).await.map(|_| ());
        assert!(
            matches!(refused, Err(Error::InvalidCredentials)),
            "{name}: {refused:?}"
        );
    }
    let mut secrets: Vec<String> = [PASSWORD, WRONG, NEXT, PHONE].map(str::to_owned).into();
    secrets.push(PHONE[1..].to_owned());
    secrets.extend(secrets_of(&first));
    secrets.extend(live_with_factors(desk, &first).await);
    let second = desk.knock("alice", secrets.last().cloned()).await;
    let LoginOutcome::SignedIn(second) = second else {
        panic!("a trusted device goes through");
    };
    secrets.extend(secrets_of(&second));
    let third = desk
        .refresh(&second.refresh_token.text)
        .await
        .expect("refreshed");
    secrets.push(third.refresh_token.text["refresh_".len()..].to_owned());
    let caller = desk.caller(&third.access_token).await.expect("live");
    let change = PasswordChange {
        current: secret(PASSWORD),
        new: secret(NEXT),
    };
    let changed = desk.auth.change_password(&curl(), &caller, change).await;
    changed.expect("changed");
    let contents = desk.lab.contents().await;
    look_into_redis(&contents, &secrets);
    secrets.extend(codes_of_letters(desk, &contents).await);
    secrets
}

/// A registration waits for PostgreSQL.
async fn register(desk: &Desk) -> SignedIn {
    let flushing = async {
        loop {
            desk.store.flush().await.expect("flushed");
            sallyport::clock::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        first = desk.register("alice") => first,
        () = flushing => unreachable!("flushes for ever"),
    }
}

/// An app, a phone that waits for its code, a login with each kind of code; the last secret is a device token.
async fn live_with_factors(desk: &Desk, first: &SignedIn) -> Vec<String> {
    let caller = desk.caller(&first.access_token).await.expect("live");
    let setup = desk
        .auth
        .set_up_totp(&curl(), &caller)
        .await
        .expect("set up");
    let app = App::scan(&setup);
    let (_, key) = setup.otpauth_url.split_once("secret=").expect("a secret");
    let mut secrets = vec![setup.secret.to_string(), key[..32].to_owned()];
    for code in &setup.backup_codes {
        secrets.push(code.to_string());
        secrets.push(code.replace('-', ""));
    }
    desk.finish_app(&caller, &app.code(&desk.clock))
        .await
        .expect("enabled");
    desk.clock.advance(std::time::Duration::from_secs(60));
    let posted = desk
        .auth
        .set_up_sms(&curl(), &caller, PHONE)
        .await
        .expect("posted");
    assert_eq!(posted.method, MethodKind::Sms);
    let challenge = desk.challenge("alice").await;
    secrets.push(challenge.token["temp_".len()..].to_owned());
    let by_backup = verification(&challenge.token, &setup.backup_codes[0]);
    let by_backup = desk
        .auth
        .verify_backup_code(&curl(), by_backup)
        .await
        .expect("right");
    secrets.extend(secrets_of(&by_backup));
    let challenge = desk.challenge("alice").await;
    let code = app.code(&desk.clock);
    secrets.extend(shapes(&code));
    let input = Verification {
        trust: Some(Trust::default()),
        ..verification(&challenge.token, &code)
    };
    let by_app = desk
        .auth
        .verify_second_factor(&curl(), input)
        .await
        .expect("right");
    secrets.extend(secrets_of(&by_app));
    secrets.push(by_app.device_token.expect("trusted").text);
    secrets
}

/// Lets letters out now, and tells the codes that stood in them.
async fn codes_of_letters(desk: &Desk, contents: &[(String, String)]) -> Vec<String> {
    let waiting = contents.iter().any(|(key, _)| key.ends_with(":parcels"));
    assert!(waiting, "letters waited while Redis was looked into");
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&desk.auth).carry_letters(stop.clone()));
    let code = desk.code_sent(PHONE, 1).await;
    stop.cancel();
    let codes: Vec<String> = shapes(&code).into();
    look_into_redis(contents, &codes);
    codes
}

fn look_into_redis(contents: &[(String, String)], secrets: &[String]) {
    let streams = contents.iter().filter(|(key, _)| key.ends_with(":log"));
    let streams: String = streams.map(|(_, value)| value.as_str()).collect();
    assert!(
        streams.contains("user.password_changed"),
        "the scan reads logs: {streams}"
    );
    let records: String = contents.iter().map(|(_, value)| value.as_str()).collect();
    assert!(records.contains("argon2id"), "the scan reads records");
    for (key, value) in contents {
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
    let logs = Logs::listen();
    let outbound = config::Outbound {
        local_outbox: true,
        ..config::Outbound::default()
    };
    let desk = Desk::stepped(sallyport::auth::Settings::default(), &outbound).await;
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
    let logs = logs.text();
    assert!(
        logs.contains("TRACE") || logs.contains("DEBUG"),
        "the scan reads logs"
    );
    for secret in &secrets {
        assert!(!logs.contains(secret), "the logs hold {secret}");
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
        let is_unused = ["dead_letters", "jobs"].contains(&table);
        assert_eq!(rows.is_empty(), is_unused, "{table}: {rows}");
        for secret in secrets {
            assert!(!rows.contains(secret), "{table} holds {secret}");
        }
    }
}
