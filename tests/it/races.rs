//! Codes and tokens that count once count once, however many clients show them at the same time: 200 of each kind.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, AuthenticatorApp, HalfLoggedIn, LoggedIn, Options, TestServer};
use crate::harness::{BOTH, Kind, TestStores};

const CROWD: usize = 200;

async fn open(kind: Kind) -> (TestStores, TestServer, LoggedIn, AuthenticatorApp) {
    let stores = TestStores::new(kind).await;
    let server = TestServer::open(&stores, Options::unlimited().with_outbox()).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    (stores, server, alice, app)
}

async fn all<F: Future<Output = Answer>>(asked: impl Iterator<Item = F>) -> Vec<Answer> {
    futures_util::future::join_all(asked).await
}

/// Refusal of an instance that is too busy to hash, or of a change that lost too many races for one record.
const BUSY: &str = "overloaded";

/// The number of each outcome.
fn outcomes(answers: &[Answer]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        let outcome = match answer.status {
            StatusCode::OK => "success".to_owned(),
            _ => answer.code(),
        };
        *counted.entry(outcome).or_default() += 1;
    }
    counted
}

fn exactly_one(answers: &[Answer], others: &[&str], what: &str) {
    let outcomes = outcomes(answers);
    assert_eq!(outcomes.get("success"), Some(&1), "{what}: {outcomes:?}");
    let known = |outcome: &String| {
        let outcome = outcome.as_str();
        outcome == "success" || others.contains(&outcome) || outcome == BUSY
    };
    assert!(outcomes.keys().all(known), "{what}: {outcomes:?}");
}

/// As many challenges of one account.
async fn challenges(server: &TestServer, number: usize) -> Vec<HalfLoggedIn> {
    let mut tokens = Vec::new();
    for _ in 0..number.div_ceil(20) {
        let some = (0..20).map(|_| server.half_login("alice"));
        tokens.extend(futures_util::future::join_all(some).await);
    }
    tokens.truncate(number);
    tokens
}

#[tokio::test]
async fn one_code_of_an_app_opens_one_of_200_challenges() {
    for kind in BOTH {
        let (_stores, server, alice, app) = open(kind).await;
        let tokens = challenges(&server, CROWD).await;
        let before = alice.sessions().await.len();
        let code = app.code();
        let answers = all(tokens.iter().map(|token| token.verify(&code))).await;
        exactly_one(&answers, &["invalid_code"], &format!("{kind:?}"));
        assert_eq!(alice.sessions().await.len(), before + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn one_challenge_leads_to_one_session() {
    for kind in BOTH {
        let (_stores, server, alice, app) = open(kind).await;
        let token = server.half_login("alice").await;
        let before = alice.sessions().await.len();
        let code = app.code();
        let answers = all((0..CROWD).map(|_| token.verify(&code))).await;
        exactly_one(&answers, &["challenge_expired"], &format!("{kind:?}"));
        assert_eq!(alice.sessions().await.len(), before + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn one_backup_code_opens_one_of_200_challenges() {
    for kind in BOTH {
        let (_stores, server, alice, app) = open(kind).await;
        let tokens = challenges(&server, CROWD).await;
        let code = &app.backup_codes[3];
        let answers = all(tokens.iter().map(|token| token.verify_backup_code(code))).await;
        let others = ["invalid_code", "method_not_available"];
        exactly_one(&answers, &others, &format!("{kind:?}"));
        let count = alice.send("GET /2fa/backup-codes/count", None).await;
        assert_eq!(count.json()["data"]["count"], 9, "{kind:?}");
        let again = server.half_login("alice").await;
        let again = again.verify_backup_code(code).await;
        assert_eq!(
            again.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
        let another = server.half_login("alice").await;
        let another = another.verify_backup_code(&app.backup_codes[4]).await;
        assert_eq!(
            another.status,
            StatusCode::OK,
            "{kind:?}: the set still takes codes: {}",
            another.text
        );
    }
}

#[tokio::test]
async fn one_code_that_was_sent_is_good_once() {
    for kind in BOTH {
        let (_stores, server, alice, _app) = open(kind).await;
        let phone = json!({ "phoneNumber": "+15551234567" });
        let enabled = alice.enable_sent("sms", &phone).await;
        assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
        let before = server.letters().await.len();
        let token = server.half_login("alice").await;
        let posted = token.send_code("sms").await;
        assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
        let code = server.sent_code(before).await;
        let body = json!({ "code": code, "method": "sms" });
        let shown = (0..CROWD).map(|_| token.send("POST /2fa/verify", body.clone()));
        let answers = all(shown).await;
        exactly_one(&answers, &["challenge_expired"], &format!("{kind:?}"));
    }
}

#[tokio::test]
async fn one_enrolment_is_finished_once() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let server = TestServer::open(&stores, Options::unlimited()).await;
        let alice = server.register("alice").await;
        let setup = alice.send("POST /2fa/totp/setup", None).await;
        let app = AuthenticatorApp::scan(&stores.clock, &setup);
        let code = json!({ "code": app.code() });
        let route = "POST /2fa/totp/verify-setup";
        let answers = all((0..CROWD).map(|_| alice.send(route, Some(&code)))).await;
        exactly_one(&answers, &["enrolment_expired"], &format!("{kind:?}"));
        let count = alice.send("GET /2fa/backup-codes/count", None).await;
        assert_eq!(count.json()["data"]["count"], 10, "{kind:?}");
    }
}

#[tokio::test]
async fn without_a_grace_window_one_of_200_refreshes_rotates_and_the_others_end_the_family() {
    for kind in BOTH {
        let stores = TestStores::new(kind).await;
        let mut options = Options::unlimited();
        options.tokens.refresh_grace = Duration::ZERO;
        let server = TestServer::open(&stores, options).await;
        let alice = server.register("alice").await;
        let answers = all((0..CROWD).map(|_| server.refresh(&alice.refresh))).await;
        exactly_one(&answers, &["unauthenticated"], &format!("{kind:?}"));
        let rotated = answers.iter().find(|answer| answer.status.is_success());
        let rotated = LoggedIn::of(rotated.expect("one"));
        let next = server.refresh(&rotated.refresh).await;
        assert_eq!(next.code(), "unauthenticated", "{kind:?}");
        assert_eq!(
            server.me(&rotated).await,
            StatusCode::UNAUTHORIZED,
            "{kind:?}"
        );
        assert_eq!(
            server.audited("session.refresh_reused").await,
            1,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn of_200_wrong_codes_at_once_no_more_than_five_are_looked_at() {
    for kind in BOTH {
        let (stores, server, _, app) = open(kind).await;
        let token = server.half_login("alice").await;
        let wrong = app.wrong_code();
        let answers = all((0..CROWD).map(|_| token.verify(&wrong))).await;
        let outcomes = outcomes(&answers);
        let looked_at = outcomes.get("invalid_code").copied().unwrap_or(0);
        assert!((1..=5).contains(&looked_at), "{kind:?}: {outcomes:?}");
        server.store.flush().await.expect("flushed");
        let counted: i64 = sqlx::query_scalar(
            "SELECT (methods->0->'strikes'->>'failures')::bigint FROM second_factors",
        )
        .fetch_one(&stores.pool)
        .await
        .expect("a row");
        assert_eq!(
            counted,
            i64::try_from(looked_at).expect("small"),
            "{kind:?}"
        );
        let late = token.verify(&app.code()).await;
        let late: Value = late.json();
        let spent = looked_at == 5;
        assert_eq!(
            late["code"] == "challenge_expired",
            spent,
            "{kind:?}: {late}"
        );
    }
}
