//! No password, no token, no code and no secret of a second factor stands in clear in Redis, in its log, in
//! PostgreSQL, in the metrics, or in what the service logs.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use sallyport::clock;
use sallyport::core::deliver_letters;
use sallyport::store::TABLES;
use sallyport::telemetry::Metrics;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::{
    Answer, AuthenticatorApp, Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores,
};

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

/// The part of each token in an answer that makes it secret, however it may be wrapped.
fn secrets_of(answer: &Answer) -> Vec<String> {
    let data = &answer.json()["data"];
    let access = answer.data("accessToken");
    let mut secrets = vec![
        access[access.len() - 40..].to_owned(),
        access["v4.public.".len()..][..60].to_owned(),
    ];
    for (name, prefix) in [("refreshToken", "refresh_"), ("deviceToken", "device_")] {
        let token = data[name].as_str();
        secrets.extend(token.map(|text| text.strip_prefix(prefix).unwrap_or(text).to_owned()));
    }
    secrets
}

/// Lives a whole life, and returns every secret of it. PostgreSQL gets nothing of it meanwhile but the account,
/// so that all of it is to be found in Redis's log too, and no letter leaves before Redis was looked into.
async fn live(stores: &TestStores, server: &TestServer) -> Vec<String> {
    let first = register(server).await;
    for name in ["alice@example.com", "nobody@example.com"] {
        let refused = server.try_login(name, WRONG).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{name}");
    }
    let mut secrets: Vec<String> = [PASSWORD, WRONG, NEXT, PHONE].map(str::to_owned).into();
    secrets.push(PHONE[1..].to_owned());
    secrets.extend(secrets_of(&first));
    let (more, device, spare) = live_with_factors(stores, server, &LoggedIn::of(&first)).await;
    secrets.extend(more);
    let login = json!({ "username": "alice", "password": PASSWORD, "deviceToken": device });
    let second = server.in_body("POST /auth/login", &login).await.ok();
    secrets.extend(secrets_of(&second));
    let third = server.refresh(&second.data("refreshToken")).await.ok();
    secrets.push(third.data("refreshToken")["refresh_".len()..].to_owned());
    let proof = json!({ "code": spare, "method": "backup_code" });
    let proven = LoggedIn::of(&third).reauthenticate(&proof).await;
    let flushed = until_flushed(server, make_key(&proven)).await;
    secrets.extend(flushed);
    proven.change_password(PASSWORD, NEXT).await.ok();
    let contents = stores.contents().await;
    look_into_redis(&contents, &secrets);
    secrets.extend(codes_of_letters(server, &contents).await);
    secrets
}

/// Makes an API key. All but the beginning of its text, which lists show, is secret.
async fn make_key(alice: &LoggedIn) -> Vec<String> {
    let wanted = json!({ "name": "build server", "scopes": ["user:read"] });
    let made = alice.send("POST /api-keys", Some(&wanted)).await.ok();
    let text = made.data("apiKey");
    let own = [("x-api-key", text.as_str())];
    alice
        .anonymous()
        .send("GET /auth/me", &own, None)
        .await
        .ok();
    vec![text[24..].to_owned(), text]
}

/// A registration waits for PostgreSQL, and so does an API key.
async fn until_flushed<T>(server: &TestServer, work: impl Future<Output = T>) -> T {
    let flushing = async {
        loop {
            server.store.flush().await.expect("flushed");
            clock::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = flushing => unreachable!("flushes for ever"),
    }
}

async fn register(server: &TestServer) -> Answer {
    until_flushed(server, server.try_register("alice"))
        .await
        .ok()
}

/// An app, a phone that waits for its code, a login with each kind of code; the secrets, and a device's token.
async fn live_with_factors(
    stores: &TestStores,
    server: &TestServer,
    alice: &LoggedIn,
) -> (Vec<String>, String, String) {
    let setup = alice.send("POST /2fa/totp/setup", None).await.ok();
    let app = AuthenticatorApp::scan(&stores.clock, &setup);
    let url = setup.data("otpauthUrl");
    let (_, key) = url.split_once("secret=").expect("a secret");
    let mut secrets = vec![setup.data("secret"), key[..32].to_owned()];
    for code in &app.backup_codes {
        secrets.push(code.clone());
        secrets.push(code.replace('-', ""));
    }
    alice.finish_set_up("totp", &app.code()).await.ok();
    app.wait();
    alice.set_up_sent(PHONE).await.ok();
    let half = server.half_login("alice").await;
    secrets.push(half.temp_token["temp_".len()..].to_owned());
    let by_backup = half.verify_backup_code(&app.backup_codes[0]).await.ok();
    secrets.extend(secrets_of(&by_backup));
    let half = server.half_login("alice").await;
    let code = app.code();
    secrets.extend(shapes(&code));
    let trust = json!({ "code": code, "trustDevice": true });
    let by_app = half.send("POST /2fa/verify", trust).await.ok();
    secrets.extend(secrets_of(&by_app));
    let spare = app.backup_codes[1].clone();
    (secrets, by_app.data("deviceToken"), spare)
}

/// Lets letters out now, and returns the codes that stood in them.
async fn codes_of_letters(server: &TestServer, contents: &[(String, String)]) -> Vec<String> {
    let waiting = contents.iter().any(|(key, _)| key.ends_with(":parcels"));
    assert!(waiting, "letters waited while Redis was looked into");
    let stop = CancellationToken::new();
    tokio::spawn(deliver_letters(Arc::clone(&server.core), stop.clone()));
    let code = server.code_sent_to(PHONE, 1).await;
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
    let mut options = Options::default().with_outbox();
    options.runs_store = false;
    options.delivers_letters = false;
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, options).await;
    let secrets = live(&stores, &server).await;
    server.store.flush().await.expect("flushed");
    look_into_postgres(&stores, &secrets).await;
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

async fn look_into_postgres(stores: &TestStores, secrets: &[String]) {
    let names = TABLES
        .iter()
        .map(|table| table.name)
        .chain(["dead_letters"]);
    for table in names {
        let rows = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows))
            .fetch_one(&stores.pool)
            .await
            .expect("rows");
        let is_unused = ["dead_letters", "jobs", "roles"].contains(&table);
        let advice = "let the life of the account write a row of it, or name it as unused";
        assert_eq!(
            rows.is_empty(),
            is_unused,
            "table {table}: {advice}; rows: {rows}"
        );
        for secret in secrets {
            assert!(!rows.contains(secret), "{table} holds {secret}");
        }
    }
}
