//! The API as a client meets it, on real stores: from registration to the end of a session.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use sallyport::auth::{Auth, Settings};
use sallyport::clock::Clock;
use sallyport::config;
use sallyport::crypto::{HashPool, Keys};
use sallyport::http::{self, Dependencies};
use sallyport::outbound::Outbound;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::lab::{Kind, Lab};

/// A service with its listeners, over stores of its own corner.
struct Service {
    public: SocketAddr,
    admin: SocketAddr,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<std::io::Result<()>>,
    _keys: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |values| values[0].as_str())
    }

    fn text(&self, pointer: &str) -> String {
        let value = self.body.pointer(pointer).and_then(Value::as_str);
        value
            .unwrap_or_else(|| panic!("no {pointer} in {}", self.body))
            .to_owned()
    }

    /// `name=value` of a cookie that was set.
    fn cookie(&self, name: &str) -> String {
        let set = self.headers.get("set-cookie").expect("sets cookies");
        let found = set
            .iter()
            .find(|line| line.starts_with(&format!("{name}=")));
        let line = found.unwrap_or_else(|| panic!("no {name} in {set:?}"));
        line.split(';').next().unwrap().to_owned()
    }
}

impl Service {
    async fn start() -> Self {
        let mut lab = Lab::new(Kind::Single).await;
        lab.clock = Clock::system();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        Keys::generate(&path, lab.clock.now()).unwrap();
        let keys = Keys::load(&path).unwrap();
        let hashing = config::Hashing {
            memory_kib: 64,
            iterations: 1,
            threads: 1,
            ..config::Hashing::default()
        };
        let settings = Settings::default();
        let auth = Auth::new(
            lab.running().await,
            HashPool::start(&hashing).unwrap(),
            &keys,
            Arc::new(Outbound::new(&config::Outbound::default()).expect("outbound")),
            lab.clock.clone(),
            settings,
        );
        let deps = Dependencies {
            auth: Arc::new(auth),
            settings: config::Http::default(),
            clock: lab.clock.clone(),
            metrics: Arc::new(|| "sallyport_up 1\n".to_owned()),
            csrf_key: *keys.derive("csrf"),
            version: "0.0.0",
        };
        let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        Self {
            public: public.local_addr().unwrap(),
            admin: admin.local_addr().unwrap(),
            done: tokio::spawn(http::serve(deps, public, admin, stop.clone())),
            stop,
            _keys: folder,
        }
    }

    async fn send(&self, line: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        self.send_to(self.public, line, headers, body).await
    }

    async fn send_to(
        &self,
        address: SocketAddr,
        line: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let response = sender
            .send_request(request.body(Full::new(bytes)).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let mut headers = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in &parts.headers {
            let value = value.to_str().unwrap().to_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    async fn register(&self, delivery: &str) -> Answer {
        let body = json!({
            "email": "Ada@example.com", "username": "ada", "password": "SecurePass123!", "admin": true,
        });
        self.send(
            "POST /api/auth/register",
            &[("x-token-delivery", delivery)],
            Some(body),
        )
        .await
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_stays_logged_in_by_its_cookies_and_logs_out() {
    let service = Service::start().await;
    let registered = service.register("cookie").await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    assert!(registered.body.pointer("/data/refreshToken").is_none());
    assert_eq!(registered.header("cache-control"), "no-store");
    assert_eq!(
        registered.header("ratelimit-policy"),
        "\"register\";q=3;w=3600"
    );

    let access = bearer(&registered.text("/data/accessToken"));
    let me = service
        .send("GET /auth/me", &[("authorization", &access)], None)
        .await;
    assert_eq!(me.status, 200, "{}", me.body);
    assert_eq!(me.text("/data/user/email"), "Ada@example.com");
    assert_eq!(
        me.body.pointer("/data/user/emailVerified"),
        Some(&json!(false))
    );
    assert_eq!(me.header("ratelimit-limit"), "1000");

    let refresh = registered.cookie("refreshToken");
    let csrf = registered.cookie("csrfToken");
    let stranger = [
        ("cookie", refresh.as_str()),
        ("origin", "https://evil.test"),
    ];
    let refused = service
        .send("POST /api/auth/refresh", &stranger, None)
        .await;
    assert_eq!(
        (refused.status, refused.text("/code").as_str()),
        (403, "csrf_failed")
    );

    let own = format!("http://{}", service.public);
    let friend = [("cookie", refresh.as_str()), ("origin", own.as_str())];
    let refreshed = service.send("POST /api/auth/refresh", &friend, None).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    let refresh = refreshed.cookie("refreshToken");

    let jar = format!("{refresh}; {csrf}");
    let token = csrf.strip_prefix("csrfToken=").unwrap();
    let silent = [("cookie", jar.as_str()), ("x-csrf-token", token)];
    let out = service.send("POST /api/auth/logout", &silent, None).await;
    assert_eq!(out.status, 200, "{}", out.body);
    assert_eq!(out.cookie("refreshToken"), "refreshToken=");
    let gone = service
        .send("GET /auth/me", &[("authorization", &access)], None)
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
    let service = Service::start().await;
    let registered = service.register("body").await;
    assert!(!registered.headers.contains_key("set-cookie"));
    let first = json!({ "refreshToken": registered.text("/data/refreshToken") });
    let refreshed = service
        .send("POST /auth/refresh", &[], Some(first.clone()))
        .await;
    let newest = refreshed.text("/data/refreshToken");
    assert_ne!(json!(newest), first["refreshToken"]);
    assert!(!refreshed.headers.contains_key("set-cookie"));
    let access = bearer(&refreshed.text("/data/accessToken"));

    for (alias, name) in [
        ("email", "ada@EXAMPLE.com"),
        ("username", "Ada"),
        ("emailOrUsername", "ada"),
    ] {
        let body = json!({ alias: name, "password": "SecurePass123!", "deviceToken": "x" });
        let login = service.send("POST /auth/login", &[], Some(body)).await;
        assert_eq!(login.status, 200, "{alias}: {}", login.body);
    }
    let headers = [("authorization", access.as_str())];
    let list = service.send("GET /auth/sessions", &headers, None).await;
    let sessions = list
        .body
        .pointer("/data/sessions")
        .and_then(Value::as_array)
        .unwrap()
        .clone();
    assert_eq!(sessions.len(), 4, "{}", list.body);
    let other = sessions
        .iter()
        .find(|session| session["current"] == false)
        .unwrap();
    let path = format!("DELETE /auth/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(service.send(&path, &headers, None).await.status, 200);
    assert_eq!(service.send(&path, &headers, None).await.status, 404);
    assert_eq!(
        service
            .send("DELETE /auth/sessions/nonsense", &headers, None)
            .await
            .status,
        404
    );
    let body = json!({ "keepCurrent": true });
    let revoked = service
        .send("POST /auth/revoke-sessions", &headers, Some(body))
        .await;
    assert_eq!(
        revoked.body.pointer("/data/revoked"),
        Some(&json!(2)),
        "{}",
        revoked.body
    );

    let body = json!({ "password": "SecurePass123!" });
    let again = service
        .send("POST /auth/reauthenticate", &headers, Some(body))
        .await;
    let fresh = bearer(&again.text("/data/accessToken"));
    let change = json!({ "currentPassword": "SecurePass123!", "newPassword": "another Pass 5" });
    let changed = service
        .send(
            "POST /auth/password/change",
            &[("authorization", &fresh)],
            Some(change),
        )
        .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let body = json!({ "email": "ada@example.com", "password": "SecurePass123!" });
    let old = service.send("POST /auth/login", &[], Some(body)).await;
    assert_eq!(
        (old.status, old.text("/message").as_str()),
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
    let service = Service::start().await;
    let refresh = service.register("cookie").await.cookie("refreshToken");
    let headers = [
        ("cookie", refresh.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("x-token-delivery", "body"),
    ];
    let refreshed = service.send("POST /auth/refresh", &headers, None).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert!(refreshed.body.pointer("/data/refreshToken").is_none());
    let newest = refreshed.cookie("refreshToken");
    assert_ne!(newest, refresh);

    let token = newest.strip_prefix("refreshToken=").unwrap();
    let body = json!({ "refreshToken": token });
    let shown = service
        .send("POST /auth/refresh", &headers, Some(body))
        .await;
    assert!(shown.text("/data/refreshToken").starts_with("refresh_"));
    assert!(!shown.headers.contains_key("set-cookie"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_that_ends_nothing_does_not_say_that_it_did() {
    let service = Service::start().await;
    let registered = service.register("cookie").await;
    let refresh = registered.cookie("refreshToken");
    let access = bearer(&registered.text("/data/accessToken"));
    let out = async |authorization: &str| {
        let headers = [
            ("cookie", refresh.as_str()),
            ("origin", "https://evil.test"),
            ("authorization", authorization),
        ];
        service.send("POST /auth/logout", &headers, None).await
    };
    let me = async || {
        let headers = [("authorization", access.as_str())];
        service.send("GET /auth/me", &headers, None).await.status
    };
    for useless in ["Bearer x", "Bearer v4.public.AAAA"] {
        let refused = out(useless).await;
        assert_eq!(refused.status, 403, "{useless}: {}", refused.body);
        assert_eq!(refused.text("/code"), "csrf_failed");
        assert!(!refused.headers.contains_key("set-cookie"));
    }
    assert_eq!(me().await, 200, "the session goes on");
    assert_eq!(out(&access).await.status, 200);
    assert_eq!(me().await, 401);
    assert_eq!(out(&access).await.status, 403, "nothing is left to end");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_is_not_public_refuses_strangers_and_is_limited() {
    let service = Service::start().await;
    let document = http::openapi();
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            let protected = operation["security"] == json!([{ "accessToken": [] }]);
            if !protected {
                continue;
            }
            let path = path.replace("{id}", "00000000-0000-7000-8000-000000000000");
            let line = format!("{} {path}", verb.to_uppercase());
            for headers in [&[][..], &[("authorization", "Bearer v4.public.AAAA")]] {
                let refused = service.send(&line, headers, None).await;
                assert_eq!(refused.status, 401, "{line}");
                assert_eq!(refused.text("/code"), "unauthenticated", "{line}");
                assert!(
                    refused.header("ratelimit").starts_with("\"anonymous\";r="),
                    "{line}"
                );
            }
            walked += 1;
        }
    }
    assert!(walked >= 6, "{walked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_keys_and_documents_are_there_and_metrics_inside_only() {
    let service = Service::start().await;
    let health = service.send("GET /health", &[], None).await;
    assert_eq!(
        (health.status, health.text("/status").as_str()),
        (200, "healthy"),
        "{}",
        health.body
    );
    assert_eq!(health.text("/services/redis"), "connected");
    assert_eq!(health.text("/checks/writeBehind/status"), "up");
    let keys = service
        .send("GET /api/.well-known/paseto-keys.json", &[], None)
        .await;
    assert!(
        keys.body.to_string().contains("k4.public."),
        "{}",
        keys.body
    );
    let document = service.send("GET /openapi.json", &[], None).await;
    assert_eq!(document.text("/openapi"), "3.1.0");
    assert_eq!(service.send("GET /metrics", &[], None).await.status, 404);
    for path in [
        "/metrics",
        "/health",
        "/live",
        "/ready",
        "/health/live",
        "/health/ready",
    ] {
        let inside = service
            .send_to(service.admin, &format!("GET {path}"), &[], None)
            .await;
        assert_eq!(inside.status, 200, "{path}");
    }
    assert_eq!(
        service
            .send_to(service.admin, "GET /auth/me", &[], None)
            .await
            .status,
        404
    );
    service.stop.cancel();
    service.done.await.unwrap().unwrap();
}
