//! Dispatch with a route table of its own and no stores.

mod compression;
mod contract;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::http::contract::prelude::*;
use crate::http::contract::route::Limit::Unlimited;
use crate::{clock, config};

#[derive(Deserialize, utoipa::ToSchema)]
struct Wish {
    word: String,
}

async fn echo(_: Call, Json(wish): Json<Wish>) -> Result<Reply, Problem> {
    Reply::ok("Heard", wish.word)
}

async fn boom(_: Call, (): ()) -> Result<Reply, Problem> {
    panic!("secret inside")
}

async fn never(_: Call, (): ()) -> Result<Reply, Problem> {
    std::future::pending().await
}

async fn address(call: Call, (): ()) -> Result<Reply, Problem> {
    Reply::ok("You", call.client.address.to_string())
}

async fn cookie(call: Call, (): ()) -> Result<Reply, Problem> {
    Reply::ok("Yours", call.cookie_token()?)
}

async fn me(call: Call, (): ()) -> Result<Reply, Problem> {
    Reply::ok("Me", call.caller()?.user.email.clone())
}

/// Spends most of its time on a hash.
async fn hashing(call: Call, (): ()) -> Result<Reply, Problem> {
    clock::sleep(Duration::from_millis(150)).await;
    call.client.hash_time.add(Duration::from_secs(600));
    Ok(Reply::empty())
}

static FINISHED: AtomicUsize = AtomicUsize::new(0);

async fn slow(_: Call, (): ()) -> Result<Reply, Problem> {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    FINISHED.fetch_add(1, Ordering::SeqCst);
    Ok(Reply::empty())
}

/// Open and unlimited, so that it needs no stores.
const fn open(route: Route) -> Route {
    route
        .open_to(Public)
        .limited_by(Unlimited)
        .opens_before_set_up()
}

const ROUTES: &[Route] = &[
    open(Route::post("/echo", handler!(echo))),
    open(Route::get("/boom", handler!(boom))),
    open(Route::post("/boom", handler!(boom))),
    open(Route::get("/never", handler!(never))),
    open(Route::get("/hashing", handler!(hashing))),
    open(Route::post("/slow", handler!(slow))),
    open(Route::get("/address", handler!(address))),
    open(Route::post("/cookie", handler!(cookie))).takes_cookie(),
    Route::get("/me", handler!(me)),
    Route::get("/limited", handler!(address)).open_to(Public),
];

fn settings() -> config::Http {
    config::Http {
        cors_origins: vec!["https://app.example.com".to_owned()],
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        request_timeout: Duration::from_millis(200),
        max_body_bytes: 64,
        max_header_bytes: 1024,
        ..config::Http::default()
    }
}

fn service(settings: config::Http) -> Arc<Service> {
    serving(
        ROUTES,
        AppState::without_stores(settings, CancellationToken::new()),
    )
}

fn serving(routes: &'static [Route], state: AppState) -> Arc<Service> {
    Arc::new(Service::new(Arc::new(state), &[routes]))
}

/// `"METHOD /path"`, headers, body.
fn request(line: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let (method, path) = line.split_once(' ').expect("method and path");
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "a.test");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    builder.body(body).expect("a request")
}

struct Seen {
    status: u16,
    headers: HeaderMap,
    text: String,
    /// Null where the text is no JSON.
    body: Value,
}

async fn sent_to(service: &Arc<Service>, request: Request<Full<Bytes>>) -> Seen {
    let peer = IpAddr::from([10, 0, 0, 1]);
    let answer = dispatch(Arc::clone(service), peer, request).await;
    let (parts, body) = answer.expect("cannot fail").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Seen {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

async fn sent(line: &str, headers: &[(&str, &str)], body: &str) -> Seen {
    sent_to(&service(settings()), request(line, headers, body)).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_success_comes_in_the_envelope_with_every_header() {
    let seen = sent(
        "POST /api/echo",
        &[JSON, ("x-request-id", "mine-1")],
        r#"{"word":"hi"}"#,
    )
    .await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.body,
        serde_json::json!({"success": true, "message": "Heard", "data": "hi"})
    );
    let mut lines: Vec<String> = seen
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
        .collect();
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    cache-control: no-store
    content-security-policy: default-src 'none'; frame-ancestors 'none'
    content-type: application/json
    cross-origin-opener-policy: same-origin
    permissions-policy: camera=(), geolocation=(), microphone=(), payment=(), usb=()
    referrer-policy: no-referrer
    vary: Origin
    x-content-type-options: nosniff
    x-frame-options: DENY
    x-request-id: mine-1
    "#);
}

#[tokio::test]
async fn https_is_insisted_on_where_it_is_spoken() {
    let settings = config::Http {
        public_url: Some("https://login.example.com".to_owned()),
        ..settings()
    };
    let seen = sent_to(&service(settings), request("GET /nowhere", &[], "")).await;
    assert!(seen.headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    let plain = sent("GET /nowhere", &[], "").await;
    assert!(
        !plain
            .headers
            .contains_key(header::STRICT_TRANSPORT_SECURITY)
    );
}

#[tokio::test]
async fn every_failure_is_a_problem_that_names_its_request() {
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        u16,
        &'static str,
    );
    let cases: [Case; 11] = [
        ("GET /nowhere", &[], "", 404, "not_found"),
        ("GET /echo/", &[], "", 404, "not_found"),
        ("PUT /echo", &[], "", 405, "method_not_allowed"),
        ("BREW /echo", &[], "", 405, "method_not_allowed"),
        ("POST /echo", &[JSON], "{", 400, "malformed_json"),
        ("POST /echo", &[JSON], r#"{"word":1}"#, 400, "invalid_input"),
        ("POST /echo", &[], "{}", 415, "unsupported_media_type"),
        (
            "POST /echo",
            &[JSON, ("content-length", "9999")],
            "{}",
            413,
            "body_too_large",
        ),
        ("GET /boom", &[], "", 500, "internal_error"),
        ("POST /boom", &[], "", 500, "internal_error"),
        ("GET /never", &[], "", 503, "timed_out"),
    ];
    for (line, headers, body, status, code) in cases {
        let seen = sent(line, headers, body).await;
        assert_eq!(
            (seen.status, seen.body["code"].as_str()),
            (status, Some(code)),
            "{line}"
        );
        assert_eq!(
            seen.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{line}"
        );
        assert_eq!(seen.body["success"], false, "{line}");
        assert_eq!(seen.body["status"], status, "{line}");
        assert_eq!(
            seen.body["instance"],
            seen.headers["x-request-id"].to_str().expect("text")
        );
        assert!(!seen.body.to_string().contains("secret"), "{line}");
        let retry = seen.headers.contains_key(header::RETRY_AFTER);
        assert_eq!(retry, status == 503, "{line}");
    }
}

#[tokio::test]
async fn a_protected_route_refuses_callers_without_credentials() {
    let nothing = sent("GET /me", &[], "").await;
    // Without stores nobody can count the attempt, so the answer is "unavailable", never "come in".
    assert_eq!(nothing.status, 503);
    assert_eq!(sent("GET /limited", &[], "").await.status, 503);
}

#[tokio::test]
async fn methods_are_told_and_head_is_get() {
    let refused = sent("DELETE /boom", &[], "").await;
    assert_eq!(refused.headers[header::ALLOW], "GET, POST, HEAD, OPTIONS");
    let options = sent("OPTIONS /echo", &[], "").await;
    assert_eq!(
        (options.status, &options.headers[header::ALLOW]),
        (204, &HeaderValue::from_static("POST, OPTIONS"))
    );
    assert_eq!(sent("HEAD /address", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_preflight_is_answered_for_listed_origins_alone() {
    let ask = async |origin: &'static str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        sent("OPTIONS /echo", &headers, "").await
    };
    let listed = ask("https://app.example.com").await;
    assert_eq!(listed.status, 204);
    assert_eq!(
        listed.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "https://app.example.com"
    );
    assert_eq!(
        listed.headers[header::ACCESS_CONTROL_ALLOW_METHODS],
        "POST, OPTIONS"
    );
    let other = ask("https://evil.test").await;
    assert!(
        !other
            .headers
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    assert_eq!(other.headers[header::VARY], "Origin");
}

#[tokio::test]
async fn a_slow_operation_is_counted_unless_its_hash_or_its_client_was_slow() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let service = service(config::Http {
        slow_operation: Duration::from_millis(100),
        ..settings()
    });
    assert_eq!(
        sent_to(&service, request("GET /never", &[], ""))
            .await
            .status,
        503
    );
    assert_eq!(
        sent_to(&service, request("GET /hashing", &[], ""))
            .await
            .status,
        204
    );
    let promise = request("POST /echo", &[JSON], "").map(|_| Promised);
    let peer = IpAddr::from([192, 0, 2, 1]);
    let late = dispatch(Arc::clone(&service), peer, promise).await;
    assert_eq!(late.expect("cannot fail").status(), 408);
    let rendered = metrics.render();
    let counted = rendered
        .lines()
        .filter(|line| line.starts_with("sallyport_slow_operations"));
    let counted: Vec<&str> = counted.collect();
    assert_eq!(
        counted,
        [r#"sallyport_slow_operations_total{route="/never",method="GET"} 1"#]
    );
}

/// A body of unknown length that never comes.
struct Promised;

impl Body for Promised {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn bodies_over_the_budget_are_refused_unread() {
    let service = service(config::Http {
        body_budget_bytes: 64,
        request_timeout: Duration::from_mins(10),
        ..settings()
    });
    let promise = request("POST /echo", &[JSON], "").map(|_| Promised);
    let peer = IpAddr::from([192, 0, 2, 1]);
    let mut promised = Box::pin(dispatch(Arc::clone(&service), peer, promise));
    let waits = poll_fn(|context| Poll::Ready(promised.as_mut().poll(context).is_pending())).await;
    assert!(waits, "for its body");

    let wish = || request("POST /echo", &[JSON], r#"{"word":"hi"}"#);
    let refused = sent_to(&service, wish()).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (503, &"overloaded".into())
    );
    assert!(refused.headers.contains_key("retry-after"));
    let bare = sent_to(&service, request("GET /address", &[], "")).await;
    assert_eq!(bare.status, 200, "needs no memory");
    drop(promised);
    assert_eq!(sent_to(&service, wish()).await.status, 200);
    assert_eq!(
        sent_to(&service, wish()).await.status,
        200,
        "the memory was given back"
    );
}

#[tokio::test]
async fn headers_are_bounded_and_a_host_is_needed() {
    let long = "a".repeat(2000);
    assert_eq!(
        sent("GET /address", &[("x-long", &long)], "").await.status,
        431
    );
    let many: Vec<(String, &str)> = (0..120).map(|n| (format!("x{n}"), "")).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    assert_eq!(sent("GET /address", &many, "").await.status, 431);
    assert_eq!(
        sent("GET /address", &[("host", "b.test")], "").await.status,
        400
    );
    let mut nameless = request("GET /address", &[], "");
    nameless.headers_mut().remove("host");
    assert_eq!(sent_to(&service(settings()), nameless).await.status, 400);
}

#[tokio::test]
async fn the_client_is_who_the_trusted_proxy_saw() {
    let seen = sent(
        "GET /address",
        &[("x-forwarded-for", "1.1.1.1, 203.0.113.5")],
        "",
    )
    .await;
    assert_eq!(seen.body["data"], "203.0.113.5");
}

#[tokio::test]
async fn a_cookie_is_for_our_own_pages() {
    let cookie = ("cookie", "refreshToken=abc");
    let own = sent(
        "POST /cookie",
        &[cookie, ("sec-fetch-site", "same-origin")],
        "",
    )
    .await;
    assert_eq!(own.body["data"], "abc");
    assert_eq!(
        sent("POST /cookie", &[], "").await.body["data"],
        Value::Null
    );
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.test"),
        ("x-csrf-token", "guess"),
    ] {
        let seen = sent("POST /cookie", &[cookie, foreign], "").await;
        assert_eq!(
            (seen.status, seen.body["code"].as_str()),
            (403, Some("csrf_failed")),
            "{foreign:?}"
        );
    }
}

#[tokio::test]
async fn work_that_changes_something_outlives_its_client() {
    let service = service(settings());
    let before = FINISHED.load(Ordering::SeqCst);
    let mut gone = Box::pin(sent_to(&service, request("POST /slow", &[], "")));
    let polled = poll_fn(|context| Poll::Ready(gone.as_mut().poll(context).is_pending())).await;
    assert!(polled, "the handler is under way");
    drop(gone);
    service.state.tasks.close();
    service.state.tasks.wait().await;
    assert_eq!(FINISHED.load(Ordering::SeqCst), before + 1);
}
