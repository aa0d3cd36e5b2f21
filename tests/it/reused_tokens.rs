//! Tokens that were used before come back, or are replaced by another login: sessions end, and owners are told.

use http::StatusCode;
use serde_json::json;

use crate::harness::{
    Answer, HalfLoggedIn, Kind, LoggedIn, Options, PASSWORD, TestServer, TestStores, eventually,
};

async fn open(stores: &TestStores) -> TestServer {
    TestServer::open(stores, Options::unlimited().with_outbox()).await
}

/// Waits for a letter to alice with these words.
async fn is_told(server: &TestServer, words: &str) {
    eventually(words, async || {
        let letters = server.letters().await;
        let to_alice = letters
            .iter()
            .filter(|letter| letter["to"] == "alice@example.com");
        let mut texts = to_alice.filter_map(|letter| letter["text"].as_str());
        texts.any(|text| text.contains(words))
    })
    .await;
}

#[tokio::test]
async fn the_owner_is_told_of_a_refresh_token_that_came_back() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let second = LoggedIn::of(&server.refresh(&alice.refresh).await);
    server.refresh(&second.refresh).await.ok();
    let stolen = server.refresh(&alice.refresh).await;
    assert_eq!(stolen.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.me(&second).await, StatusCode::UNAUTHORIZED);
    is_told(&server, "A login token was used twice").await;
    server.refresh(&alice.refresh).await;
    assert_eq!(server.audited("session.refresh_reused").await, 1);
    assert_eq!(server.letters().await.len(), 1, "once");
}

#[tokio::test]
async fn the_owner_is_told_of_a_device_token_that_came_back() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    let app = alice.enable_totp(&stores.clock).await;
    let first = server.trusted_by("alice", &app).await;
    let login = async |token: &str| {
        let body =
            json!({ "emailOrUsername": "alice", "password": PASSWORD, "deviceToken": token });
        server.in_body("POST /auth/login", &body).await
    };
    let second = login(&first).await.data("deviceToken");
    login(&second).await.data("deviceToken");
    HalfLoggedIn::of(&login(&first).await);
    is_told(&server, "A trusted device's token was used twice").await;
}

/// Logs in with this cookie, from a page of this site. Without a site it is no browser.
async fn login_in_browser(server: &TestServer, name: &str, cookie: &str, site: &str) -> Answer {
    let mut headers = vec![("cookie", cookie), ("sec-fetch-site", site)];
    headers.retain(|(_, value)| !value.is_empty());
    let body = json!({ "emailOrUsername": name, "password": PASSWORD });
    server.send("POST /auth/login", &headers, Some(&body)).await
}

async fn status_of(server: &TestServer, answer: &Answer) -> StatusCode {
    let token = answer.data("accessToken");
    server.fetch("/api/auth/me", &token).await.status
}

#[tokio::test]
async fn another_login_in_one_browser_ends_the_session_whose_cookie_it_replaces() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    let alice = server.register("alice").await;
    server.register("bob").await;
    let first = login_in_browser(&server, "alice", "", "same-origin").await;
    let cookie = first.cookie("refreshToken").expect("a cookie");
    // A strange page, a client that wants its tokens in the body, and a wrong password replace nothing.
    login_in_browser(&server, "bob", &cookie, "cross-site")
        .await
        .ok();
    let body = json!({ "emailOrUsername": "bob", "password": PASSWORD });
    let headers = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("x-token-delivery", "body"),
    ];
    let by_body = server.send("POST /auth/login", &headers, Some(&body)).await;
    by_body.ok();
    let wrong = json!({ "emailOrUsername": "bob", "password": "wrong password" });
    let refused = server.send("POST /auth/login", &headers[..2], Some(&wrong));
    assert_eq!(refused.await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(&server, &first).await, StatusCode::OK);

    let second = login_in_browser(&server, "bob", &cookie, "same-origin").await;
    eventually("the session before ended", async || {
        status_of(&server, &first).await == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_eq!(status_of(&server, &second).await, StatusCode::OK);
    assert_eq!(server.me(&alice).await, StatusCode::OK, "another browser");

    // With a second factor the session is replaced when the login is complete, not before.
    let app = alice.enable_totp(&stores.clock).await;
    let cookie = second.cookie("refreshToken").expect("a cookie");
    let due = login_in_browser(&server, "alice", &cookie, "same-origin").await;
    assert_eq!(status_of(&server, &second).await, StatusCode::OK);
    let body = json!({ "tempToken": due.data("tempToken"), "code": app.code() });
    let headers = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    let third = server.send("POST /2fa/verify", &headers, Some(&body)).await;
    eventually("the session before ended", async || {
        status_of(&server, &second).await == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_eq!(status_of(&server, &third).await, StatusCode::OK);
    assert_eq!(server.audited("user.logout").await, 2);
}

#[tokio::test]
async fn another_login_of_a_client_that_keeps_cookies_and_is_no_browser_replaces_its_session_too() {
    let stores = TestStores::new(Kind::Single).await;
    let server = open(&stores).await;
    server.register("alice").await;
    let first = login_in_browser(&server, "alice", "", "").await;
    let cookie = first.cookie("refreshToken").expect("a cookie");
    let second = login_in_browser(&server, "alice", &cookie, "").await;
    eventually("the session before ended", async || {
        status_of(&server, &first).await == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_eq!(status_of(&server, &second).await, StatusCode::OK);
}
