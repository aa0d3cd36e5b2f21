//! What may happen once happens once, however many try at the same time: 200 of each kind of code.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, App, House, Member, Wishes};
use crate::lab::{BOTH, Kind, Lab};

const CROWD: usize = 200;

async fn open(kind: Kind) -> (Lab, House, Member, App) {
    let lab = Lab::new(kind).await;
    let house = House::open(&lab, Wishes::unlimited().with_outbox()).await;
    let alice = house.register("alice").await;
    let app = house.enable_totp(&lab.clock, &alice).await;
    (lab, house, alice, app)
}

async fn all<F: Future<Output = Answer>>(asked: impl Iterator<Item = F>) -> Vec<Answer> {
    futures_util::future::join_all(asked).await
}

/// How often each outcome came. Whoever was too many to be decided over is told so, and nothing else is.
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
    let known = |outcome: &String| outcome == "success" || others.contains(&outcome.as_str());
    assert!(outcomes.keys().all(known), "{what}: {outcomes:?}");
}

/// As many challenges of one account.
async fn challenges(house: &House, number: usize) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..number.div_ceil(20) {
        let some = (0..20).map(|_| house.challenge("alice"));
        tokens.extend(futures_util::future::join_all(some).await);
    }
    tokens.truncate(number);
    tokens
}

async fn sessions(house: &House, member: &Member) -> usize {
    let sessions = house.as_member(member, "GET /auth/sessions", None).await;
    sessions.json()["data"]["sessions"]
        .as_array()
        .expect("a list")
        .len()
}

#[tokio::test]
async fn one_code_of_an_app_opens_one_of_200_challenges() {
    for kind in BOTH {
        let (_lab, house, alice, app) = open(kind).await;
        let tokens = challenges(&house, CROWD).await;
        let before = sessions(&house, &alice).await;
        let code = app.code();
        let answers = all(tokens.iter().map(|token| house.verify(token, &code))).await;
        exactly_one(
            &answers,
            &["invalid_code", "overloaded"],
            &format!("{kind:?}"),
        );
        assert_eq!(sessions(&house, &alice).await, before + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn one_challenge_leads_to_one_session() {
    for kind in BOTH {
        let (_lab, house, alice, app) = open(kind).await;
        let token = house.challenge("alice").await;
        let before = sessions(&house, &alice).await;
        let code = app.code();
        let answers = all((0..CROWD).map(|_| house.verify(&token, &code))).await;
        exactly_one(
            &answers,
            &["challenge_expired", "overloaded"],
            &format!("{kind:?}"),
        );
        assert_eq!(sessions(&house, &alice).await, before + 1, "{kind:?}");
    }
}

#[tokio::test]
async fn one_backup_code_opens_one_of_200_challenges() {
    for kind in BOTH {
        let (_lab, house, alice, app) = open(kind).await;
        let tokens = challenges(&house, CROWD).await;
        let code = &app.backup_codes[3];
        let answers = all(tokens
            .iter()
            .map(|token| house.verify_backup_code(token, code)))
        .await;
        let others = ["invalid_code", "overloaded", "method_not_available"];
        exactly_one(&answers, &others, &format!("{kind:?}"));
        let count = house
            .as_member(&alice, "GET /2fa/backup-codes/count", None)
            .await;
        assert_eq!(count.json()["data"]["count"], 9, "{kind:?}");
        let again = house.challenge("alice").await;
        let again = house.verify_backup_code(&again, code).await;
        assert_eq!(
            again.problem(),
            (400, "invalid_code".to_owned()),
            "{kind:?}"
        );
        let another = house.challenge("alice").await;
        let another = house
            .verify_backup_code(&another, &app.backup_codes[4])
            .await;
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
        let (_lab, house, alice, _app) = open(kind).await;
        let phone = json!({ "phoneNumber": "+15551234567" });
        let enabled = house.enable_sent(&alice, "sms", &phone).await;
        assert_eq!(enabled.status, StatusCode::OK, "{}", enabled.text);
        let before = house.letters().await.len();
        let token = house.challenge("alice").await;
        let asked = json!({ "tempToken": token, "method": "sms" });
        let posted = house.in_body("POST /2fa/resend", &asked).await;
        assert_eq!(posted.status, StatusCode::OK, "{}", posted.text);
        let code = house.sent_code(before).await;
        let body = json!({ "tempToken": token, "code": code, "method": "sms" });
        let answers = all((0..CROWD).map(|_| house.in_body("POST /2fa/verify", &body))).await;
        exactly_one(
            &answers,
            &["challenge_expired", "overloaded"],
            &format!("{kind:?}"),
        );
    }
}

#[tokio::test]
async fn one_enrolment_is_finished_once() {
    for kind in BOTH {
        let lab = Lab::new(kind).await;
        let house = House::open(&lab, Wishes::unlimited()).await;
        let alice = house.register("alice").await;
        let setup = house.as_member(&alice, "POST /2fa/totp/setup", None).await;
        let app = App::scan(&lab.clock, &setup);
        let code = json!({ "code": app.code() });
        let line = "POST /2fa/totp/verify-setup";
        let answers = all((0..CROWD).map(|_| house.as_member(&alice, line, Some(&code)))).await;
        exactly_one(
            &answers,
            &["enrolment_expired", "overloaded"],
            &format!("{kind:?}"),
        );
        let count = house
            .as_member(&alice, "GET /2fa/backup-codes/count", None)
            .await;
        assert_eq!(count.json()["data"]["count"], 10, "{kind:?}");
    }
}

#[tokio::test]
async fn of_200_wrong_codes_at_once_no_more_than_five_are_looked_at() {
    for kind in BOTH {
        let (lab, house, _, app) = open(kind).await;
        let token = house.challenge("alice").await;
        let wrong = app.wrong_code();
        let answers = all((0..CROWD).map(|_| house.verify(&token, &wrong))).await;
        let outcomes = outcomes(&answers);
        let looked_at = outcomes.get("invalid_code").copied().unwrap_or(0);
        assert!((1..=5).contains(&looked_at), "{kind:?}: {outcomes:?}");
        house.store.flush().await.expect("flushed");
        let counted: i64 = sqlx::query_scalar(
            "SELECT (methods->0->'strikes'->>'failures')::bigint FROM second_factors",
        )
        .fetch_one(&lab.pool)
        .await
        .expect("a row");
        assert_eq!(
            counted,
            i64::try_from(looked_at).expect("small"),
            "{kind:?}"
        );
        let late = house.verify(&token, &app.code()).await;
        let late: Value = late.json();
        let spent = looked_at == 5;
        assert_eq!(
            late["code"] == "challenge_expired",
            spent,
            "{kind:?}: {late}"
        );
    }
}
