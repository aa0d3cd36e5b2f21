//! What somebody who guesses names and passwords learns and costs: nothing beyond "no", and little.

use std::sync::Arc;
use std::time::Duration;

use sallyport::auth::{Asked, Client, Credentials, Error, Verdict};
use sallyport::clock::Stopwatch;
use sallyport::model::{Timestamp, User};
use sallyport::store::{self, Class};

use crate::auth_desk::{Desk, PASSWORD, cheap, curl, from, secret};

type Said = Vec<(&'static str, u32, u32, bool)>;

fn said(asked: &Asked) -> Said {
    let short = |one: Verdict| (one.policy, one.quota, one.remaining, one.allowed);
    asked.all().into_iter().map(short).collect()
}

/// What the limits say after each of these names was tried with a wrong password.
async fn tried(desk: &Desk, address: &str, names: &[&str]) -> Vec<Said> {
    let mut all = Vec::new();
    for name in names {
        let client = from(address, "curl/8");
        let refused = desk.login_from(&client, name, "wrong password").await;
        assert!(refused.is_err());
        all.push(said(&client.verdicts));
    }
    all
}

#[tokio::test]
async fn limits_do_not_tell_which_names_belong_together() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    let names = ["alice", "alice@example.com", "ALICE", "bob@example.com"];
    let others = ["carol", "dave@example.com", "CAROL", "eve@example.com"];
    let known = tried(&desk, "198.51.100.1", &names).await;
    let unknown = tried(&desk, "198.51.100.2", &others).await;
    assert_eq!(known, unknown);
    let shown = known.iter().map(|said| said[0]);
    let left: Vec<_> = shown.map(|(policy, _, left, _)| (policy, left)).collect();
    assert_eq!(
        left,
        [("login", 4), ("login", 4), ("login", 3), ("login", 4)]
    );
}

#[tokio::test]
async fn whichever_limit_refuses_it_looks_the_same() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    let by_name = tried(&desk, "198.51.100.1", &["alice"; 6]).await;
    let mixed = ["alice", "alice@example.com"].repeat(3);
    let by_account = tried(&desk, "198.51.100.2", &mixed).await;
    for n in 3..13 {
        tried(&desk, &format!("198.51.100.{n}"), &["alice"]).await;
    }
    let from_anywhere = tried(&desk, "198.51.100.99", &["alice"]).await;
    let refusal = vec![("login", 5, 0, false)];
    for last in [by_name, by_account, from_anywhere] {
        assert_eq!(last.last(), Some(&refusal));
    }
}

#[tokio::test]
async fn whoever_is_refused_costs_postgres_nothing() {
    let desk = Desk::open().await;
    tried(&desk, "198.51.100.1", &["nobody"; 5]).await;
    for n in 0..50 {
        tried(&desk, "198.51.100.2", &[&format!("nobody{n}")]).await;
    }
    // What is known to be absent is forgotten, and whoever asks PostgreSQL now fails.
    desk.clock.advance(Duration::from_secs(3));
    sqlx::query("ALTER TABLE users RENAME TO users_away")
        .execute(&desk.lab.pool)
        .await
        .expect("renamed");
    let outcome = async |address: &str, name: &str| {
        let client = from(address, "curl/8");
        desk.login_from(&client, name, PASSWORD).await.map(|_| ())
    };
    let by_name = outcome("198.51.100.1", "nobody").await;
    assert!(
        matches!(by_name, Err(Error::RateLimited { .. })),
        "{by_name:?}"
    );
    let by_address = outcome("198.51.100.2", "fresh").await;
    assert!(matches!(by_address, Err(Error::RateLimited { .. })));
    let free = outcome("198.51.100.3", "fresh").await;
    assert!(
        matches!(free, Err(Error::StoreAway(_) | Error::Internal(_))),
        "who is not refused does ask: {free:?}"
    );
}

fn credentials(name: &str, password: &str) -> Credentials {
    Credentials {
        identifier: name.to_owned(),
        password: secret(password),
        device_token: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_passwords_in_parallel_all_pass() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    let wrong = desk.login("alice", "wrong password").await.map(|_| ());
    assert!(matches!(wrong, Err(Error::InvalidCredentials)));
    let tries = (0..40).map(|n| {
        let name = ["alice", "alice@example.com"][n % 2];
        let (auth, input) = (Arc::clone(&desk.auth), credentials(name, PASSWORD));
        tokio::spawn(async move { auth.login(&curl(), input).await.map(|_| ()) })
    });
    for task in tries.collect::<Vec<_>>() {
        let passed = task.await.expect("no panic");
        assert!(passed.is_ok(), "{passed:?}");
    }
    let four = tried(&desk, "192.0.2.1", &["alice"; 4]).await;
    assert!(four.iter().all(|said| said[0].3), "nothing was used up");
    let more = desk.login("alice", PASSWORD).await.map(|_| ());
    assert!(matches!(more, Err(Error::RateLimited { .. })), "{more:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_in_parallel_fail_as_often_as_allowed() {
    let desk = Desk::open().await;
    desk.register("alice").await;
    let tries = (0..60).map(|n| {
        let name = ["alice", "alice@example.com", "nobody"][n % 3];
        let (auth, input) = (Arc::clone(&desk.auth), credentials(name, "wrong password"));
        tokio::spawn(async move { (n % 3, auth.login(&curl(), input).await.map(|_| ())) })
    });
    let mut compared = [0, 0];
    for task in tries.collect::<Vec<_>>() {
        match task.await.expect("no panic") {
            (n, Err(Error::InvalidCredentials)) => compared[n / 2] += 1,
            (_, other) => assert!(matches!(other, Err(Error::RateLimited { .. })), "{other:?}"),
        }
    }
    assert_eq!(compared, [5, 5]);
}

/// Costs the pool seconds, where everything else costs it next to nothing.
const SLOW: &str = "$argon2id$v=19$m=65536,t=24,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

/// Starts a login of alice, waits until it stands in the hash queue, changes the account as `change` says,
/// and tells how the login ended and how many sessions there are.
async fn overtaken(change: impl Fn(&mut User)) -> (Result<(), Error>, i64) {
    let mut desk = Desk::unlimited().await;
    let mut hashing = cheap();
    (
        hashing.threads,
        hashing.max_memory_kib,
        hashing.max_iterations,
    ) = (1, 65_536, 24);
    // However slow the machine is: nobody is turned away for it.
    hashing.deadline = std::time::Duration::from_mins(5);
    desk.hash_with(&hashing);
    let alice = desk.register("alice").await.user.id;
    // The pool's only thread is busy with the first of these, so the second waits, and alice after it.
    let pool = desk.pool.clone();
    let busy = || Box::pin(pool.verify(secret("x"), Some(SLOW.to_owned())));
    let (mut first, mut second) = (busy(), busy());
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    while pool.state().waiting > 1 {
        tokio::task::yield_now().await;
    }
    let (auth, input) = (Arc::clone(&desk.auth), credentials("alice", PASSWORD));
    let login = tokio::spawn(async move { auth.login(&curl(), input).await.map(|_| ()) });
    while pool.state().waiting < 2 {
        assert!(futures_util::poll!(&mut first).is_pending(), "too late");
        tokio::task::yield_now().await;
    }
    let decide = |user: Option<User>, draft: &mut store::Draft| {
        let mut user = user.expect("alice");
        change(&mut user);
        draft.put(&user);
        Ok::<_, store::Error>(())
    };
    let changed = desk.store.transact(Class::Restrict, alice, decide).await;
    let ((), _receipt) = changed.expect("changed");
    assert!(
        !login.is_finished(),
        "the change came while the hash waited"
    );
    let outcome = login.await.expect("no panic");
    desk.store.flush().await.expect("flushed");
    let sessions = desk.lab.count("SELECT count(*) FROM sessions").await;
    (outcome, sessions)
}

#[tokio::test]
async fn an_account_disabled_while_the_hash_waits_gets_no_session() {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let (outcome, sessions) = overtaken(|user| user.disabled_at = Some(now)).await;
    assert!(
        matches!(outcome, Err(Error::InvalidCredentials)),
        "{outcome:?}"
    );
    assert_eq!(sessions, 1, "the one of the registration");
}

#[tokio::test]
async fn a_password_changed_while_the_hash_waits_gets_no_session() {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let other = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let change = |user: &mut User| user.change_password(other.to_owned(), now);
    let (outcome, sessions) = overtaken(change).await;
    assert!(
        matches!(outcome, Err(Error::InvalidCredentials)),
        "{outcome:?}"
    );
    assert_eq!(sessions, 1, "the one of the registration");
}

/// How often a value of `left` is beyond one of `right`: 0.5 when nothing tells them apart, 0 or 1 when
/// everything does. Ranks alone count, so neither the machine's speed nor an outlier does.
fn dominance(left: &[Duration], right: &[Duration]) -> f64 {
    let mut points = 0.0;
    for one in left {
        for other in right {
            points += match one.cmp(other) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    let pairs = f64::from(u32::try_from(left.len() * right.len()).expect("few"));
    points / pairs
}

async fn time_of(desk: &Desk, client: &Client, name: &str) -> Duration {
    let watch = Stopwatch::start();
    let refused = desk.login_from(client, name, "wrong password").await;
    assert!(refused.is_err());
    watch.elapsed()
}

/// PostgreSQL, which only a name that nobody has is looked up in, takes five milliseconds longer: the
/// difference that is to be hidden, made large enough to be seen through any noise.
async fn make_postgres_slow(desk: &Desk) {
    desk.store.flush().await.expect("flushed");
    for statement in [
        "ALTER TABLE users RENAME TO users_stored",
        "CREATE FUNCTION late() RETURNS SETOF users_stored LANGUAGE plpgsql AS
         'BEGIN PERFORM pg_sleep(0.005); RETURN QUERY SELECT * FROM users_stored; END'",
        "CREATE VIEW users AS SELECT * FROM late()",
    ] {
        let done = sqlx::query(statement).execute(&desk.lab.pool).await;
        done.expect(statement);
    }
}

#[tokio::test]
async fn time_does_not_tell_whether_a_name_is_taken() {
    const ROUNDS: usize = 60;
    let desk = Desk::unlimited().await;
    desk.register("alice").await;
    make_postgres_slow(&desk).await;
    let client = curl();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..ROUNDS {
        // A new name each time: the same one would be remembered as absent.
        let nobody = format!("nobody{n}");
        if n % 2 == 0 {
            known.push(time_of(&desk, &client, "alice").await);
            unknown.push(time_of(&desk, &client, &nobody).await);
        } else {
            unknown.push(time_of(&desk, &client, &nobody).await);
            known.push(time_of(&desk, &client, "alice").await);
        }
    }
    let told = dominance(&unknown, &known);
    assert!(
        (0.2..=0.8).contains(&told),
        "a name that nobody has takes longer in {told:.2} of all comparisons"
    );
}
