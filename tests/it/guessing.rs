//! Guesses of names and passwords: how many there may be, what they tell, what they cost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use sallyport::config::Hashing;
use sallyport::model::{Password, Timestamp, User};

use crate::harness::{
    Answer, Kind, Options, PASSWORD, TestServer, TestStores, cheap_hashing, eventually,
};

const WRONG: &str = "wrong password";

async fn open(options: Options) -> (TestStores, TestServer) {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, options.behind_a_proxy()).await;
    (stores, server)
}

/// The answers to a wrong password for each of these names.
async fn tried(server: &TestServer, address: &str, names: &[&str]) -> Vec<Answer> {
    let client = server.from(address);
    let mut answers = Vec::new();
    for name in names {
        answers.push(client.try_login(name, WRONG).await);
    }
    answers
}

/// All that an answer says of limits.
fn limits(answer: &Answer) -> Vec<(String, String)> {
    let headers = answer.headers.iter();
    let limits = headers.filter(|(name, _)| name.as_str().starts_with("ratelimit"));
    limits
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
        .collect()
}

#[tokio::test]
async fn limits_do_not_tell_which_names_belong_together() {
    let (_stores, server) = open(Options::default()).await;
    server.register("alice").await;
    let names = ["alice", "alice@example.com", "ALICE", "bob@example.com"];
    let others = ["carol", "dave@example.com", "CAROL", "eve@example.com"];
    let known = tried(&server, "198.51.100.1", &names).await;
    let unknown = tried(&server, "198.51.100.2", &others).await;
    for ((known, unknown), left) in known.iter().zip(&unknown).zip([4, 4, 3, 4]) {
        assert_eq!(known.problem(), (401, "invalid_credentials".to_owned()));
        assert_eq!(limits(known), limits(unknown));
        let shown = known.header("ratelimit");
        assert!(
            shown.starts_with(&format!("\"login\";r={left};")),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_full_limit_of_an_account_answers_like_a_wrong_password() {
    let (stores, server) = open(Options::default()).await;
    server.register("alice").await;
    // The username is closed to this address; whether the mail address is of the same account is not told.
    for (address, names) in [
        ("198.51.100.1", ["alice", "alice@example.com"]),
        ("198.51.100.2", ["carol", "dave@example.com"]),
    ] {
        let answers = tried(&server, address, &[names[0]; 6]).await;
        let last = answers.last().expect("one");
        assert_eq!(last.problem(), (429, "rate_limited".to_owned()));
        assert_eq!(last.header("ratelimit-policy"), "\"login\";q=5;w=900");
    }
    let known = server.from("198.51.100.1");
    let known = known.try_login("alice@example.com", PASSWORD).await;
    let unknown = server.from("198.51.100.2");
    let unknown = unknown.try_login("dave@example.com", PASSWORD).await;
    assert_eq!(known.problem(), (401, "invalid_credentials".to_owned()));
    assert_eq!(known.problem(), unknown.problem());
    assert_eq!(limits(&known), limits(&unknown));
    let throttled = "SELECT count(*) FROM audit_logs WHERE details->>'reason' = 'throttled'";
    let recorded = async || {
        server.store.flush().await.expect("flushed");
        stores.count(throttled).await == 1
    };
    eventually("the owner can see it", recorded).await;
}

#[tokio::test]
async fn a_full_limit_answers_a_client_that_the_account_knows_like_any_other() {
    let (_stores, server) = open(Options::default()).await;
    let home = server.from("192.0.2.1").with("user-agent", "curl/8");
    home.register("alice").await;
    server.until_known("alice", "192.0.2.1", "curl/8").await;
    let mut refusals = Vec::new();
    for name in ["alice", "nobody", "alice@example.com"] {
        for _ in 0..5 {
            let wrong = home.try_login(name, WRONG).await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{name}");
        }
        let full = home.try_login(name, WRONG).await;
        assert_eq!(full.problem(), (429, "rate_limited".to_owned()), "{name}");
        let shown = full.header("ratelimit").split(";t=").next();
        refusals.push(shown.expect("a limit").to_owned());
        if name == "alice" {
            home.login(name).await;
        }
    }
    assert!(
        refusals.iter().all(|one| *one == refusals[0]),
        "{refusals:?}"
    );
}

#[tokio::test]
async fn a_name_that_nobody_has_is_counted_like_one_that_somebody_has() {
    let (_stores, server) = open(Options::default()).await;
    for _ in 0..5 {
        let refused = server.try_login("nobody", PASSWORD).await;
        assert_eq!(refused.problem(), (401, "invalid_credentials".to_owned()));
    }
    let refused = server.try_login(" NoBody", PASSWORD).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
}

#[tokio::test]
async fn a_refused_guess_costs_postgres_nothing() {
    let (stores, server) = open(Options::default()).await;
    tried(&server, "198.51.100.1", &["nobody"; 5]).await;
    for n in 0..50 {
        tried(&server, "198.51.100.2", &[&format!("nobody{n}")]).await;
    }
    // Names that are known to be absent are forgotten, and questions to PostgreSQL fail from now on.
    stores.clock.advance(Duration::from_secs(3));
    let renamed = sqlx::query("ALTER TABLE users RENAME TO users_away");
    renamed.execute(&stores.pool).await.expect("renamed");
    let outcome = async |address: &str, name: &str| {
        let answer = server.from(address).try_login(name, PASSWORD).await;
        answer.status
    };
    let by_name = outcome("198.51.100.1", "nobody").await;
    assert_eq!(by_name, StatusCode::TOO_MANY_REQUESTS);
    let by_address = outcome("198.51.100.2", "fresh").await;
    assert_eq!(by_address, StatusCode::TOO_MANY_REQUESTS);
    let free = outcome("198.51.100.3", "fresh").await;
    assert!(
        free.is_server_error(),
        "who is not refused does ask: {free}"
    );
}

#[tokio::test]
async fn right_passwords_in_parallel_all_pass() {
    let (_stores, server) = open(Options::default()).await;
    server.register("alice").await;
    let client = server.from("192.0.2.1");
    assert_eq!(
        client.try_login("alice", WRONG).await.status,
        StatusCode::UNAUTHORIZED
    );
    let names = ["alice", "alice@example.com"].repeat(20);
    let passed = join_all(names.iter().map(|name| client.try_login(name, PASSWORD)));
    for answer in passed.await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    for answer in tried(&server, "192.0.2.1", &["alice"; 4]).await {
        assert_eq!(
            answer.status,
            StatusCode::UNAUTHORIZED,
            "nothing was used up"
        );
    }
    let last = tried(&server, "192.0.2.1", &["alice@example.com"]).await;
    assert_eq!(last[0].status, StatusCode::UNAUTHORIZED);
    let shown = last[0].header("ratelimit");
    assert!(shown.contains("\"login\";r=4;"), "{shown}");
}

#[tokio::test]
async fn wrong_passwords_in_parallel_are_compared_as_often_as_allowed() {
    let (stores, server) = open(Options::default()).await;
    server.register("alice").await;
    let client = server.from("192.0.2.1");
    let names = ["alice", "alice@example.com", "nobody"].repeat(20);
    let answers = join_all(names.iter().map(|name| client.try_login(name, WRONG))).await;
    let mut answered = [0, 0];
    for (name, answer) in names.iter().zip(answers) {
        match answer.status {
            StatusCode::UNAUTHORIZED => answered[usize::from(*name == "nobody")] += 1,
            other => assert_eq!(other, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text),
        }
    }
    assert_eq!(answered, [10, 5], "five for each name");
    let of_alice = "SELECT count(*) FROM audit_logs WHERE action = 'user.login_failed' AND user_id IS NOT NULL";
    let recorded = async || {
        server.store.flush().await.expect("flushed");
        stores.count(of_alice).await == 10
    };
    eventually("each failure is recorded", recorded).await;
    let compared = "SELECT count(*) FROM audit_logs WHERE details->>'reason' = 'wrong_password'";
    assert_eq!(stores.count(compared).await, 5, "five for the account");
}

/// A hash that costs the pool seconds, where everything else costs it next to nothing.
const SLOW: &str = "$argon2id$v=19$m=65536,t=24,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

/// Starts a login of alice, waits until it stands in the hash queue, changes the account, and returns how
/// the login ended and how many sessions there are.
async fn changed_during_a_login(change: impl Fn(&mut User)) -> (StatusCode, i64) {
    let options = Options {
        hashing: Hashing {
            threads: 1,
            max_memory_kib: 65_536,
            max_iterations: 24,
            // However slow the machine is: nobody is turned away for it.
            deadline: Duration::from_mins(5),
            ..cheap_hashing()
        },
        ..Options::unlimited()
    };
    let (stores, server) = open(options).await;
    let server = Arc::new(server);
    server.register("alice").await;
    // The pool's only thread is busy with the first of these, so the second waits, and alice after it.
    let pool = server.pool.clone();
    let busy = || Box::pin(pool.verify(Password::new("x".to_owned()), Some(SLOW.to_owned())));
    let (mut first, mut second) = (busy(), busy());
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    while pool.state().waiting > 1 {
        tokio::task::yield_now().await;
    }
    let client = server.from("192.0.2.1");
    let login = tokio::spawn(async move { client.try_login("alice", PASSWORD).await.status });
    while pool.state().waiting < 2 {
        assert!(futures_util::poll!(&mut first).is_pending(), "too late");
        tokio::task::yield_now().await;
    }
    server.change_user("alice", change).await;
    assert!(
        !login.is_finished(),
        "the change came while the hash waited"
    );
    let outcome = login.await.expect("no panic");
    server.store.flush().await.expect("flushed");
    let sessions = stores.count("SELECT count(*) FROM sessions").await;
    (outcome, sessions)
}

#[tokio::test]
async fn an_account_disabled_while_the_hash_waits_gets_no_session() {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let (outcome, sessions) = changed_during_a_login(|user| user.disabled_at = Some(now)).await;
    assert_eq!(outcome, StatusCode::UNAUTHORIZED);
    assert_eq!(sessions, 1, "the one of the registration");
}

#[tokio::test]
async fn a_password_changed_while_the_hash_waits_gets_no_session() {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let other = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let change = |user: &mut User| user.change_password(other.to_owned(), now);
    let (outcome, sessions) = changed_during_a_login(change).await;
    assert_eq!(outcome, StatusCode::UNAUTHORIZED);
    assert_eq!(sessions, 1, "the one of the registration");
}
