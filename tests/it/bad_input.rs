//! Malformed requests: each gets a clear problem, never a 500, and nothing is stored.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Answer, Options, PASSWORD, TestServer};
use crate::harness::{Kind, TestStores};

async fn send(server: &TestServer, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let headers = [("content-type", content_type)];
    server
        .ask(Method::POST, "/api/auth/register", &headers, body.into())
        .await
}

/// A problem with everything that a problem has.
fn is_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert!(!answer.code().is_empty());
    let body = answer.json();
    for member in ["type", "title", "status", "detail", "instance", "message"] {
        assert!(!body[member].is_null(), "{member} is missing: {body}");
    }
    assert_eq!(body["success"], false);
    assert_eq!(body["instance"], answer.header("x-request-id"));
}

#[tokio::test]
async fn malformed_bodies_are_400_and_store_nothing() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let good =
        json!({ "email": "a@example.com", "username": "alice", "password": PASSWORD }).to_string();
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no JSON", b"email=a&password=b".to_vec()),
        ("cut off", good.as_bytes()[..good.len() - 2].to_vec()),
        ("trailing garbage", format!("{good} x").into_bytes()),
        ("two values", format!("{good}{good}").into_bytes()),
        ("an array", format!("[{good}]").into_bytes()),
        ("null", b"null".to_vec()),
        ("missing fields", b"{}".to_vec()),
        (
            "a number for text",
            good.replace("\"alice\"", "7").into_bytes(),
        ),
        (
            "null for text",
            good.replace("\"alice\"", "null").into_bytes(),
        ),
        (
            "an object for text",
            good.replace("\"alice\"", "{\"$ne\":1}").into_bytes(),
        ),
        (
            "a field twice",
            good.replace('}', ",\"email\":\"b@example.com\"}")
                .into_bytes(),
        ),
        (
            "deep nesting",
            format!("{{\"x\":{deep},{}", &good[1..]).into_bytes(),
        ),
        (
            "invalid UTF-8",
            [
                &good.as_bytes()[..20],
                &[0xff, 0xfe],
                &good.as_bytes()[20..],
            ]
            .concat(),
        ),
        (
            "a lone surrogate",
            good.replace("alice", "\\ud800").into_bytes(),
        ),
        (
            "NUL in the username",
            good.replace("alice", "al\\u0000ice").into_bytes(),
        ),
        (
            "NUL in the e-mail",
            good.replace("a@", "a\\u0000@").into_bytes(),
        ),
        (
            "a line break in the e-mail",
            good.replace("a@example.com", "a@example.com\\r\\nBcc: b@example.com")
                .into_bytes(),
        ),
        (
            "two addresses",
            good.replace("a@example.com", "a@example.com,b@example.com")
                .into_bytes(),
        ),
        (
            "no domain",
            good.replace("a@example.com", "a@").into_bytes(),
        ),
        (
            "an e-mail as username",
            good.replace("alice", "alice@example.com").into_bytes(),
        ),
        (
            "a username with spaces",
            good.replace("alice", " al ice ").into_bytes(),
        ),
        (
            "an invisible character",
            good.replace("alice", "al\\u200bice").into_bytes(),
        ),
        (
            "right-to-left override",
            good.replace("alice", "al\\u202eice").into_bytes(),
        ),
        (
            "a byte order mark",
            [&b"\xef\xbb\xbf"[..], good.as_bytes()].concat(),
        ),
        (
            "a long e-mail",
            good.replace("a@", &format!("{}@", "a".repeat(300)))
                .into_bytes(),
        ),
    ];
    for (what, body) in cases {
        let answer = send(&server, "application/json", body).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{what}: {}",
            answer.text
        );
        is_problem(&answer, 400);
    }
    server.close().await;
    assert_eq!(stores.count("SELECT count(*) FROM users").await, 0);
    assert_eq!(stores.count("SELECT count(*) FROM audit_logs").await, 0);
}

#[tokio::test]
async fn size_type_method_and_path_have_their_own_statuses() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    is_problem(
        &send(&server, "application/json", vec![b' '; 17 * 1024]).await,
        413,
    );
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "json",
    ] {
        is_problem(&send(&server, content_type, "{}").await, 415);
    }
    let gone = server
        .ask(Method::GET, "/api/auth/nothing", &[], Bytes::new())
        .await;
    is_problem(&gone, 404);
    let wrong = server
        .ask(Method::PUT, "/api/auth/login", &[], Bytes::new())
        .await;
    is_problem(&wrong, 405);
    assert!(
        wrong.header("allow").contains("POST"),
        "{:?}",
        wrong.headers
    );
    let deleted = server.register("alice").await;
    let bearer = format!("Bearer {}", deleted.access);
    let not_an_id = [
        "x",
        "%00",
        "..%2f..",
        "00000000-0000-0000-0000-000000000000",
        "'; DROP TABLE users; --",
    ];
    for id in not_an_id.map(|id| id.replace(' ', "%20")) {
        let path = format!("/api/auth/sessions/{id}");
        let answer = server
            .ask(
                Method::DELETE,
                &path,
                &[("authorization", &bearer)],
                Bytes::new(),
            )
            .await;
        is_problem(&answer, 404);
    }
}

#[tokio::test]
async fn tokens_that_are_not_ours_are_401_whatever_they_look_like() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let mut bent = alice.access.clone();
    bent.replace_range(40..41, if &bent[40..41] == "A" { "B" } else { "A" });
    let long = format!("v4.public.{}", "A".repeat(9000));
    let fakes = [
        "",
        "x",
        "null",
        "v4.public.",
        "v4.local.AAAA",
        "v2.public.AAAA",
        "eyJhbGciOiJub25lIn0.e30.",
        &bent,
        &long,
        &alice.refresh,
        "pk_live_0123456789abcdef",
        "challenge_AAAA",
        "refresh_",
        "device_AAAA",
    ];
    for fake in fakes {
        let me = server.fetch("/api/auth/me", fake).await;
        is_problem(&me, 401);
        assert!(me.header("www-authenticate").starts_with("Bearer"));
        if fake != alice.refresh {
            is_problem(&server.refresh(fake).await, 401);
        }
    }
    is_problem(&server.refresh(&alice.access).await, 401);
    let odd_schemes = ["Basic YTpi", "Bearer", "bearer  ", "Token x"];
    for scheme in odd_schemes {
        let headers = [("authorization", scheme)];
        is_problem(
            &server
                .ask(Method::GET, "/api/auth/me", &headers, Bytes::new())
                .await,
            401,
        );
    }
    assert_eq!(
        server.me(&alice).await,
        StatusCode::OK,
        "nothing of that harmed the real one"
    );
}

#[tokio::test]
async fn odd_logins_cost_a_failure_and_nothing_else() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    server.register("alice").await;
    let long = "x".repeat(5000);
    for name in [
        "",
        " ",
        "@",
        "a@b@c",
        "\u{0}",
        "alice\u{0}",
        "ａｌｉｃｅ",
        &long,
    ] {
        let answer = server.try_login(name, PASSWORD).await;
        assert!(
            [StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST].contains(&answer.status),
            "{name:?}: {} {}",
            answer.status,
            answer.text
        );
    }
    for password in ["", &long, "\u{0}"] {
        let answer = server.try_login("alice", password).await;
        assert!(answer.status.is_client_error(), "{}", answer.text);
    }
}
