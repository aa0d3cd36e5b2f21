//! Refused logins: their time does not tell whether a name is taken.

use std::cmp::Ordering;
use std::time::Duration;

use http::StatusCode;
use sallyport::clock::Stopwatch;

use crate::harness::{
    Answer, Kind, Options, PASSWORD, PostgresProxy, TestServer, TestStores, cases,
};

const WRONG: &str = "wrong password";

async fn refused(server: &TestServer, name: &str) -> Answer {
    let answer = server.try_login(name, WRONG).await;
    let refusal = (401, "invalid_credentials".to_owned());
    assert_eq!(answer.problem(), refusal, "{}", answer.text);
    answer
}

/// Questions to PostgreSQL that one refused login waits for.
async fn questions(server: &TestServer, proxy: &PostgresProxy, name: &str) -> u64 {
    let before = proxy.questions();
    refused(server, name).await;
    proxy.questions() - before
}

#[tokio::test]
async fn a_refused_login_asks_postgres_the_same_whoever_is_named() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    for name in ["alice", "bob", "carol"] {
        server.register(name).await;
    }
    let (stores, proxy) = PostgresProxy::before(stores).await;
    let stepped = Options {
        runs_store: false,
        ..Options::unlimited()
    };
    let observed = server.another(&stores, stepped).await;
    // Every connection learns every statement once.
    for n in 0..10 {
        refused(&observed, "alice").await;
        refused(&observed, &format!("stranger{n}")).await;
    }
    let known = questions(&observed, &proxy, "alice").await;
    assert!(known > 0, "a refusal waits for PostgreSQL");
    for name in ["bob", "bob", "nobody", "nobody", "somebody"] {
        let asked = questions(&observed, &proxy, name).await;
        assert_eq!(asked, known, "{name}");
    }
    let before = proxy.questions();
    let let_in = observed.try_login("bob", PASSWORD).await;
    assert_eq!(let_in.status, StatusCode::OK, "{}", let_in.text);
    assert_eq!(proxy.questions() - before, 0, "a success waits for none");
    assert_eq!(stores.evict(":ix:").await, 6);
    let cold = questions(&observed, &proxy, "carol").await;
    assert_eq!(cold, known, "a name that left Redis");
}

/// The share of pairs in which a value of `left` is beyond one of `right` (Mann-Whitney): 0.5 when nothing tells
/// them apart, 0 or 1 when everything does. Ranks alone count, so neither the machine's speed nor an outlier does.
fn dominance(left: &[Duration], right: &[Duration]) -> f64 {
    let mut points = 0.0;
    for one in left {
        for other in right {
            points += match one.cmp(other) {
                Ordering::Greater => 1.0,
                Ordering::Equal => 0.5,
                Ordering::Less => 0.0,
            };
        }
    }
    let pairs = u32::try_from(left.len() * right.len()).expect("few");
    points / f64::from(pairs)
}

async fn time_of(server: &TestServer, name: &str) -> Duration {
    let watch = Stopwatch::start();
    refused(server, name).await;
    watch.elapsed()
}

#[tokio::test]
async fn time_does_not_tell_whether_a_name_is_taken_however_far_postgres_is() {
    let rounds = cases(60);
    // Few rounds scatter widely; a thousand hold the bound that is promised.
    let slack = if rounds >= 1000 { 0.05 } else { 0.3 };
    let (stores, proxy) = PostgresProxy::before(TestStores::new(Kind::Single).await).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    for millis in [0, 1, 5, 20] {
        proxy.delay(Duration::from_millis(millis));
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for n in 0..rounds {
            let nobody = format!("nobody{millis}x{n}");
            if n % 2 == 0 {
                known.push(time_of(&server, "alice").await);
                unknown.push(time_of(&server, &nobody).await);
            } else {
                unknown.push(time_of(&server, &nobody).await);
                known.push(time_of(&server, "alice").await);
            }
        }
        let told = dominance(&unknown, &known);
        println!("{millis} ms to PostgreSQL, {rounds} each: {told:.3}");
        assert!(
            (told - 0.5).abs() <= slack,
            "with {millis} ms to PostgreSQL an unknown name takes longer in {told:.3} of all pairs"
        );
    }
}
