//! Every protected route against every kind of token: only a live access token of ours opens one.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use sallyport::config;
use sallyport::crypto::{AccessTokens, Claims, Keys};
use serde_json::{Value, json};

use crate::house::{House, Member, PASSWORD, Wishes};
use crate::lab::{Kind, Lab};

const SOME_ID: &str = "01890000-0000-7000-8000-000000000001";

/// Method and path of every documented operation that asks for somebody.
async fn protected(house: &House) -> Vec<(Method, String)> {
    let document = house.ask(Method::GET, "/openapi.json", &[], Bytes::new());
    let document = document.await.json();
    let base = document["servers"][0]["url"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in operations.as_object().expect("operations") {
            let ways = operation["security"].as_array().expect("a list");
            let only = ways.iter().all(|way| way.get("accessToken").is_some());
            if only && !ways.is_empty() {
                let verb = Method::from_bytes(verb.to_uppercase().as_bytes()).expect("method");
                let path = path.replace("{id}", SOME_ID);
                let base = base.trim_end_matches('/');
                let path = if path.starts_with("/api") {
                    path
                } else {
                    format!("{base}{path}")
                };
                found.push((verb, path));
            }
        }
    }
    found
}

async fn csrf_token(house: &House) -> String {
    let body = json!({ "emailOrUsername": "alice", "password": PASSWORD });
    let answer = house.post("/api/auth/login", &body).await;
    let cookies = answer.headers.get_all("set-cookie").iter();
    let cookies = cookies.map(|cookie| cookie.to_str().expect("text"));
    let token = cookies.filter_map(|cookie| cookie.split_once("csrfToken="));
    let mut token = token.map(|(_, rest)| rest.split(';').next().unwrap_or(rest).to_owned());
    token.next_back().expect("a token")
}

fn issued(keys: &Keys, issuer: &str, audience: &str, claims: &Claims) -> String {
    let settings = config::Tokens {
        issuer: issuer.to_owned(),
        audience: audience.to_owned(),
        ..config::Tokens::default()
    };
    AccessTokens::new(keys, &settings).issue(claims)
}

fn other_keys(lab: &Lab) -> Keys {
    let folder = crate::stores::own_folder();
    let path = folder.path().join("keys.json");
    Keys::generate(&path, lab.clock.now()).expect("keys");
    Keys::load(&path).expect("keys")
}

/// Each kind with its name, none of which may open anything, and one that may.
async fn tokens(lab: &Lab, house: &House) -> (Vec<(&'static str, String)>, Member) {
    let early = house.register("alice").await;
    lab.clock.advance(Duration::from_hours(1));
    let live = house.login("alice").await;
    let ended = house.login("alice").await;
    let logout = json!({ "refreshToken": ended.refresh });
    house.post("/api/auth/logout", &logout).await;
    let now = lab.clock.now();
    let ours = AccessTokens::new(&house.keys, &config::Tokens::default());
    let claims = ours.verify(&live.access, now).expect("valid");
    let kinds = vec![
        ("garbage", "nonsense".to_owned()),
        ("an empty one", String::new()),
        ("a refresh token", live.refresh.clone()),
        ("a CSRF token", csrf_token(house).await),
        ("of an ended session", ended.access),
        ("expired", early.access),
        (
            "of another issuer",
            issued(&house.keys, "elsewhere", "sallyport", &claims),
        ),
        (
            "for another audience",
            issued(&house.keys, "sallyport", "elsewhere", &claims),
        ),
        (
            "by another key",
            issued(&other_keys(lab), "sallyport", "sallyport", &claims),
        ),
        ("cut short", live.access[..live.access.len() - 3].to_owned()),
    ];
    (kinds, live)
}

async fn status(
    house: &House,
    verb: &Method,
    path: &str,
    token: Option<&str>,
) -> (StatusCode, Value) {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let mut headers = vec![("content-type", "application/json")];
    if token.is_some() {
        headers.push(("authorization", &bearer));
    }
    let body = if *verb == Method::GET { "" } else { "{}" };
    let answer = house
        .ask(verb.clone(), path, &headers, Bytes::from(body))
        .await;
    let shown = serde_json::from_str(&answer.text).unwrap_or_default();
    (answer.status, shown)
}

#[tokio::test]
async fn only_a_live_access_token_opens_a_protected_route() {
    let lab = Lab::new(Kind::Single).await;
    let house = House::open(&lab, Wishes::unlimited()).await;
    let routes = protected(&house).await;
    assert!(routes.len() >= 6, "{routes:?}");
    let (kinds, live) = tokens(&lab, &house).await;
    for (verb, path) in &routes {
        let (none, _) = status(&house, verb, path, None).await;
        assert_eq!(
            none,
            StatusCode::UNAUTHORIZED,
            "{verb} {path} without a token"
        );
        for (kind, token) in &kinds {
            let (refused, body) = status(&house, verb, path, Some(token)).await;
            assert_eq!(
                refused,
                StatusCode::UNAUTHORIZED,
                "{verb} {path} with a token {kind}: {body}"
            );
        }
    }
    for (verb, path) in routes.iter().filter(|(verb, _)| *verb == Method::GET) {
        let (opened, body) = status(&house, verb, path, Some(&live.access)).await;
        assert_eq!(opened, StatusCode::OK, "{verb} {path}: {body}");
    }
    assert_eq!(
        house.me(&live).await,
        StatusCode::OK,
        "nothing was ended by it"
    );
}
