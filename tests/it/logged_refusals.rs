//! Refusals in the log and in the audit: names are masked, and a flood of them stays small.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use sallyport::clock::Stopwatch;
use serde_json::json;
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::{Kind, Options, PASSWORD, TestServer, TestStores, eventually};

const WRONG: &str = "wrong password";

/// The log of this thread, on which the server of a test runs too.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("log").clone()).expect("text");
        let lines = text.lines().filter(|line| line.contains(with));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn refused_logins_limits_and_strange_origins_are_logged_with_masked_names() {
    let (log, _guard) = Log::start();
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::default()).await;
    let alice = server.register("alice").await;
    server.try_login("alice@example.com", WRONG).await;
    for _ in 0..6 {
        server.try_login("nobody-here", WRONG).await;
    }
    let cookie = format!("refreshToken={}", alice.refresh);
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.test"),
        ("sec-fetch-site", "cross-site"),
    ];
    let refused = server.send("POST /auth/refresh", &headers, None).await;
    assert_eq!(refused.problem(), (403, "csrf_failed".to_owned()));
    server.try_login("alice", PASSWORD).await.ok();

    let logins = log.lines("a login was refused");
    let with = |words: [&str; 2]| {
        let found = logins.iter();
        let found = found.filter(|line| words.iter().all(|word| line.contains(word)));
        found.count()
    };
    assert_eq!(
        with(["ali***@example.com", "wrong_password"]),
        1,
        "{logins:#?}"
    );
    assert_eq!(with(["nob***", "unknown_account"]), 5, "{logins:#?}");
    assert_eq!(with(["nob***", "rate_limited"]), 1, "{logins:#?}");
    assert_eq!(logins.len(), 7, "{logins:#?}");
    assert_eq!(log.lines("csrf_failed").len(), 1);
    for secret in ["alice@", "nobody-here", WRONG, PASSWORD] {
        assert_eq!(log.lines(secret), [""; 0], "{secret}");
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_leaves_an_audit_entry_without_an_account() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let wrong = json!({ "emailOrUsername": "Nobody@example.com", "password": WRONG });
    let agent = [("user-agent", "curl/8")];
    let refused = server.send("POST /auth/login", &agent, Some(&wrong)).await;
    assert_eq!(refused.problem(), (401, "invalid_credentials".to_owned()));
    let found = "SELECT count(*) FROM audit_logs
                 WHERE action = 'user.login_failed' AND NOT success AND user_id IS NULL
                   AND user_agent = 'curl/8' AND ip_address IS NOT NULL
                   AND details->>'reason' = 'unknown_account'
                   AND details->>'name' = 'nob***@example.com'";
    eventually("an entry", async || stores.count(found).await == 1).await;
}

#[tokio::test]
async fn many_names_that_nobody_has_leave_few_audit_entries() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let watch = Stopwatch::start();
    let tries = (0..200).map(|n| {
        let client = server.with("x-request-id", "flood");
        async move { client.try_login(&format!("nobody{n}"), WRONG).await }
    });
    futures_util::future::join_all(tries).await;
    server.store.flush().await.expect("flushed");
    let all = "SELECT count(*) FROM audit_logs WHERE action = 'user.login_failed'";
    let entries = stores.count(all).await;
    // Ten a second, and both the first and the last second may be begun.
    let most = 10.0 * (watch.seconds() + 2.0);
    assert!(
        entries > 0 && entries < 200,
        "{entries} entries of 200 tries"
    );
    let entries = f64::from(i32::try_from(entries).expect("few"));
    assert!(entries <= most, "{entries} entries, of at most {most}");
}
