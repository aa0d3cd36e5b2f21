//! The API as a client meets it: from registration to the end of a session, with cookies and without.

use sallyport::clock::Clock;
use serde_json::{Value, json};

use crate::harness::{Answer, Kind, Options, TestServer, TestStores};

async fn open() -> TestServer {
    let mut stores = TestStores::new(Kind::Single).await;
    stores.clock = Clock::system();
    TestServer::open(&stores, Options::default()).await
}

async fn register(server: &TestServer, delivery: &str) -> Answer {
    let body = json!({
        "email": "Ada@example.com", "username": "ada", "password": "SecurePass123!", "admin": true,
    });
    let headers = [("x-token-delivery", delivery)];
    server
        .send("POST /auth/register", &headers, Some(&body))
        .await
}

/// A text of the body.
fn text(answer: &Answer, pointer: &str) -> String {
    let body = answer.json();
    let value = body.pointer(pointer).and_then(Value::as_str);
    let value = value.unwrap_or_else(|| panic!("no {pointer} in {body}"));
    value.to_owned()
}

/// `name=value` of a cookie, which must be set.
fn cookie(answer: &Answer, name: &str) -> String {
    answer.cookie(name).expect("a cookie")
}

fn sets_cookies(answer: &Answer) -> bool {
    answer.headers.contains_key("set-cookie")
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_stays_logged_in_by_its_cookies_and_logs_out() {
    let server = open().await;
    let registered = register(&server, "cookie").await;
    assert_eq!(registered.status, 201, "{}", registered.text);
    assert!(registered.json().pointer("/data/refreshToken").is_none());
    assert_eq!(registered.header("cache-control"), "no-store");
    assert_eq!(
        registered.header("ratelimit-policy"),
        "\"register\";q=3;w=3600"
    );

    let access = bearer(&text(&registered, "/data/accessToken"));
    let me = server
        .send_absolute("GET /auth/me", &[("authorization", &access)], None)
        .await;
    assert_eq!(me.status, 200, "{}", me.text);
    assert_eq!(text(&me, "/data/user/email"), "Ada@example.com");
    assert_eq!(
        me.json().pointer("/data/user/emailVerified"),
        Some(&json!(false))
    );
    assert_eq!(me.header("ratelimit-limit"), "1000");

    let refresh = cookie(&registered, "refreshToken");
    let csrf = cookie(&registered, "csrfToken");
    let stranger = [
        ("cookie", refresh.as_str()),
        ("origin", "https://evil.test"),
    ];
    let refused = server
        .send_absolute("POST /api/auth/refresh", &stranger, None)
        .await;
    assert_eq!(
        (refused.status.as_u16(), text(&refused, "/code").as_str()),
        (403, "csrf_failed")
    );

    let own = format!("http://{}", server.address);
    let friend = [("cookie", refresh.as_str()), ("origin", own.as_str())];
    let refreshed = server
        .send_absolute("POST /api/auth/refresh", &friend, None)
        .await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let refresh = cookie(&refreshed, "refreshToken");

    let jar = format!("{refresh}; {csrf}");
    let token = csrf.strip_prefix("csrfToken=").unwrap();
    let silent = [("cookie", jar.as_str()), ("x-csrf-token", token)];
    let out = server
        .send_absolute("POST /api/auth/logout", &silent, None)
        .await;
    assert_eq!(out.status, 200, "{}", out.text);
    assert_eq!(cookie(&out, "refreshToken"), "refreshToken=");
    let gone = server
        .send_absolute("GET /auth/me", &[("authorization", &access)], None)
        .await;
    assert_eq!(gone.status, 401);
    assert_eq!(
        gone.header("www-authenticate"),
        "Bearer realm=\"sallyport\""
    );
    assert_eq!(gone.header("ratelimit-limit"), "100");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_cookies_has_its_tokens_in_the_body() {
    let server = open().await;
    let registered = register(&server, "body").await;
    assert!(!sets_cookies(&registered));
    let first = json!({ "refreshToken": text(&registered, "/data/refreshToken") });
    let refreshed = server
        .send_absolute("POST /auth/refresh", &[], Some(&first))
        .await;
    let newest = text(&refreshed, "/data/refreshToken");
    assert_ne!(json!(newest), first["refreshToken"]);
    assert!(!sets_cookies(&refreshed));
    let access = bearer(&text(&refreshed, "/data/accessToken"));

    for (alias, name) in [
        ("email", "ada@EXAMPLE.com"),
        ("username", "Ada"),
        ("emailOrUsername", "ada"),
    ] {
        let body = json!({ alias: name, "password": "SecurePass123!", "deviceToken": "x" });
        let login = server
            .send_absolute("POST /auth/login", &[], Some(&body))
            .await;
        assert_eq!(login.status, 200, "{alias}: {}", login.text);
    }
    let headers = [("authorization", access.as_str())];
    let list = server
        .send_absolute("GET /auth/sessions", &headers, None)
        .await;
    let list = list.json();
    let sessions = list["data"]["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 4, "{list}");
    let other = sessions
        .iter()
        .find(|session| session["current"] == false)
        .unwrap();
    let path = format!("DELETE /auth/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(
        server.send_absolute(&path, &headers, None).await.status,
        200
    );
    assert_eq!(
        server.send_absolute(&path, &headers, None).await.status,
        404
    );
    assert_eq!(
        server
            .send_absolute("DELETE /auth/sessions/nonsense", &headers, None)
            .await
            .status,
        404
    );
    let body = json!({ "keepCurrent": true });
    let revoked = server
        .send_absolute("POST /auth/revoke-sessions", &headers, Some(&body))
        .await;
    assert_eq!(
        revoked.json().pointer("/data/revoked"),
        Some(&json!(2)),
        "{}",
        revoked.text
    );

    let body = json!({ "password": "SecurePass123!" });
    let again = server
        .send_absolute("POST /auth/reauthenticate", &headers, Some(&body))
        .await;
    let fresh = bearer(&text(&again, "/data/accessToken"));
    let change = json!({ "currentPassword": "SecurePass123!", "newPassword": "another Pass 5" });
    let changed = server
        .send_absolute(
            "POST /auth/password/change",
            &[("authorization", &fresh)],
            Some(&change),
        )
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let body = json!({ "email": "ada@example.com", "password": "SecurePass123!" });
    let old = server
        .send_absolute("POST /auth/login", &[], Some(&body))
        .await;
    assert_eq!(
        (old.status.as_u16(), text(&old, "/message").as_str()),
        (401, "Invalid credentials")
    );
    assert!(
        old.header("ratelimit-policy").contains("q=5;w=900"),
        "{:?}",
        old.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_cannot_have_the_token_of_the_cookie() {
    let server = open().await;
    let refresh = cookie(&register(&server, "cookie").await, "refreshToken");
    let headers = [
        ("cookie", refresh.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("x-token-delivery", "body"),
    ];
    let refreshed = server
        .send_absolute("POST /auth/refresh", &headers, None)
        .await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert!(refreshed.json().pointer("/data/refreshToken").is_none());
    let newest = cookie(&refreshed, "refreshToken");
    assert_ne!(newest, refresh);

    let token = newest.strip_prefix("refreshToken=").unwrap();
    let body = json!({ "refreshToken": token });
    let shown = server
        .send_absolute("POST /auth/refresh", &headers, Some(&body))
        .await;
    assert!(text(&shown, "/data/refreshToken").starts_with("refresh_"));
    assert!(!sets_cookies(&shown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_ends_nothing_does_not_say_that_it_did() {
    let server = open().await;
    let registered = register(&server, "cookie").await;
    let refresh = cookie(&registered, "refreshToken");
    let access = bearer(&text(&registered, "/data/accessToken"));
    let out = async |authorization: &str| {
        let headers = [
            ("cookie", refresh.as_str()),
            ("origin", "https://evil.test"),
            ("authorization", authorization),
        ];
        server
            .send_absolute("POST /auth/logout", &headers, None)
            .await
    };
    let me = async || {
        let headers = [("authorization", access.as_str())];
        server
            .send_absolute("GET /auth/me", &headers, None)
            .await
            .status
    };
    for useless in ["Bearer x", "Bearer v4.public.AAAA"] {
        let refused = out(useless).await;
        assert_eq!(refused.status.as_u16(), 403, "{useless}: {}", refused.text);
        assert_eq!(text(&refused, "/code"), "csrf_failed");
        assert!(!sets_cookies(&refused));
    }
    assert_eq!(me().await, 200, "the session goes on");
    assert_eq!(out(&access).await.status, 200);
    assert_eq!(me().await, 401);
    assert_eq!(out(&access).await.status, 403, "nothing is left to end");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_is_not_public_refuses_strangers_and_is_limited() {
    let server = open().await;
    let document = sallyport::http::openapi();
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            let protected = operation["security"] == json!([{ "accessToken": [] }]);
            if !protected {
                continue;
            }
            let path = path.replace("{id}", "00000000-0000-7000-8000-000000000000");
            let route = format!("{} {path}", verb.to_uppercase());
            for headers in [&[][..], &[("authorization", "Bearer v4.public.AAAA")]] {
                let refused = server.send_absolute(&route, headers, None).await;
                assert_eq!(refused.status.as_u16(), 401, "{route}");
                assert_eq!(text(&refused, "/code"), "unauthenticated", "{route}");
                assert!(
                    refused.header("ratelimit").starts_with("\"anonymous\";r="),
                    "{route}"
                );
            }
            walked += 1;
        }
    }
    assert!(walked >= 6, "{walked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_keys_and_documents_are_there_and_metrics_inside_only() {
    let server = open().await;
    let health = server.send_absolute("GET /health", &[], None).await;
    assert_eq!(
        (health.status.as_u16(), text(&health, "/status").as_str()),
        (200, "healthy"),
        "{}",
        health.text
    );
    assert_eq!(text(&health, "/services/redis"), "connected");
    let shown: Value = serde_json::from_str(&health.text).unwrap();
    let members: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(members, ["services", "status", "timestamp", "uptime"]);
    let inside = server.admin.send_absolute("GET /health", &[], None).await;
    assert_eq!(text(&inside, "/status"), "healthy");
    assert_eq!(text(&inside, "/checks/writeBehind/status"), "up");
    assert_eq!(text(&inside, "/version"), "test");
    assert!(inside.text.contains("\"notes\":["), "{}", inside.text);
    let keys = server
        .send_absolute("GET /api/.well-known/paseto-keys.json", &[], None)
        .await;
    assert!(keys.text.contains("k4.public."), "{}", keys.text);
    let document = server.send_absolute("GET /openapi.json", &[], None).await;
    assert_eq!(text(&document, "/openapi"), "3.1.0");
    assert_eq!(
        server.send_absolute("GET /metrics", &[], None).await.status,
        404
    );
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    for (path, headers, part) in [
        ("/docs", &[][..], "<code>POST /auth/login</code>"),
        ("/api/docs", &browser, "<code>POST /auth/login</code>"),
        ("/", &browser, "<a href=\"docs\">"),
        ("/", &[], "\"documentation\":\"/docs\""),
    ] {
        let page = server
            .send_absolute(&format!("GET {path}"), headers, None)
            .await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text.contains(part), "{path}: {}", page.text);
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    for path in [
        "/metrics",
        "/health",
        "/live",
        "/ready",
        "/health/live",
        "/health/ready",
    ] {
        let inside = server
            .admin
            .send_absolute(&format!("GET {path}"), &[], None)
            .await;
        assert_eq!(inside.status, 200, "{path}");
    }
    assert_eq!(
        server
            .admin
            .send_absolute("GET /auth/me", &[], None)
            .await
            .status,
        404
    );
    server.close().await;
}
