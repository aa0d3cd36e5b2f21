//! Every route against every kind of token, as bearer and in the fields that take one: each passes only where
//! it should.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use sallyport::config;
use sallyport::crypto::{AccessTokens, Claims, Keys};
use serde_json::{Value, json};

use crate::harness::{
    Answer, AuthenticatorApp, HalfLoggedIn, LoggedIn, Options, PASSWORD, TestServer,
};
use crate::harness::{Kind, TestStores};

const SOME_ID: &str = "01890000-0000-7000-8000-000000000001";

/// Routes that ask for a proof of identity that is not older than ten minutes.
const RECENT: &[&str] = &[
    "POST /api/auth/password/change",
    "POST /api/2fa/totp/setup",
    "POST /api/2fa/totp/verify-setup",
    "DELETE /api/2fa/totp",
    "POST /api/2fa/sms/setup",
    "POST /api/2fa/sms/verify-setup",
    "POST /api/2fa/email/setup",
    "POST /api/2fa/email/verify-setup",
    "DELETE /api/2fa/methods/{id}",
    "POST /api/2fa/backup-codes/generate",
    "DELETE /api/2fa/devices",
    "PATCH /api/2fa/devices/{id}",
    "DELETE /api/2fa/devices/{id}",
    "POST /api/api-keys",
    "PATCH /api/api-keys/{id}",
    "POST /api/api-keys/{id}/rotate",
];
/// Past `RECENT_AUTH_TTL`, and within the life of an access token.
const STALE: Duration = Duration::from_secs(601);

/// Scopes that between them open every route that takes API keys.
const SCOPES: &[&str] = &["user:read", "2fa:read", "2fa:write", "audit:read"];

/// Method and path of every documented operation, and whether it asks for somebody.
async fn operations(server: &TestServer) -> Vec<(Method, String, bool)> {
    let all = documented(server).await.into_iter();
    all.map(|operation| (operation.verb, operation.path, operation.asks))
        .collect()
}

/// A documented operation.
struct Operation {
    verb: Method,
    path: String,
    /// Whether it asks for somebody.
    asks: bool,
    /// Scope that lets an API key in.
    scope: Option<String>,
}

async fn documented(server: &TestServer) -> Vec<Operation> {
    let document = server.ask(Method::GET, "/openapi.json", &[], Bytes::new());
    let document = document.await.json();
    let base = document["servers"][0]["url"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in operations.as_object().expect("operations") {
            let ways = operation["security"].as_array().expect("a list");
            let named = |way: &Value| {
                ["accessToken", "apiKey"]
                    .iter()
                    .any(|name| way.get(name).is_some())
            };
            let only = ways.iter().all(named);
            // Those for which a permission is needed are closed to these accounts, see `audit/search.rs`.
            if ways.iter().any(|way| way["accessToken"].get(0).is_some()) {
                continue;
            }
            let scope = ways.iter().find_map(|way| way["apiKey"][0].as_str());
            let verb = Method::from_bytes(verb.to_uppercase().as_bytes()).expect("method");
            let base = base.trim_end_matches('/');
            found.push(Operation {
                verb,
                path: format!("{base}{path}"),
                asks: only && !ways.is_empty(),
                scope: scope.map(str::to_owned),
            });
        }
    }
    found
}

/// Those that ask for somebody, with an id in the place of parameters.
async fn protected(server: &TestServer) -> Vec<(Method, String)> {
    let operations = operations(server).await.into_iter();
    let protected = operations.filter(|(.., asks)| *asks);
    protected
        .map(|(verb, path, _)| (verb, path.replace("{id}", SOME_ID)))
        .collect()
}

async fn csrf_token(server: &TestServer) -> String {
    let body = json!({ "emailOrUsername": "bob", "password": PASSWORD });
    let answer = server.post("/api/auth/login", &body).await;
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

fn other_keys(stores: &TestStores) -> Keys {
    let folder = crate::harness::store_servers::own_folder();
    let path = folder.path().join("keys.json");
    Keys::generate(&path, stores.clock.now()).expect("keys");
    Keys::load(&path).expect("keys")
}

/// Tokens of alice, who has a second factor, and others that look like tokens.
struct Tokens {
    live: LoggedIn,
    temp: HalfLoggedIn,
    device: String,
    /// Each with its name; none opens a protected route.
    closed: Vec<(&'static str, String)>,
}

async fn tokens(stores: &TestStores, server: &TestServer) -> Tokens {
    let early = server.register("alice").await;
    server.register("bob").await;
    let app: AuthenticatorApp = early.enable_totp(&stores.clock).await;
    stores.clock.advance(Duration::from_hours(1));
    let ended = server.login_with("alice", &app).await;
    let logout = json!({ "refreshToken": ended.refresh });
    server.post("/api/auth/logout", &logout).await;
    let device = server.trusted_by("alice", &app).await;
    let live = server.login_with("alice", &app).await;
    let temp = server.half_login("alice").await;
    let now = stores.clock.now();
    let ours = AccessTokens::new(&server.keys, &config::Tokens::default());
    let claims = ours.verify(&live.access, now).expect("valid");
    let body = &device["device_".len()..];
    let wanted = json!({ "name": "ended", "scopes": ["*"] });
    let made = live.send("POST /api-keys", Some(&wanted)).await.ok();
    let delete = format!("DELETE /api-keys/{}", made.data("id"));
    live.send(&delete, None).await.ok();
    let closed = vec![
        ("an ended API key", made.data("apiKey")),
        ("garbage", "nonsense".to_owned()),
        ("an empty one", String::new()),
        ("a refresh token", live.refresh.clone()),
        ("a temp token", temp.temp_token.clone()),
        ("a device token", device.clone()),
        ("shaped like an API key", format!("pk_live_{body}")),
        ("shaped like a reset token", format!("reset_{body}")),
        ("a CSRF token", csrf_token(server).await),
        ("of an ended session", ended.access),
        ("expired", early.access),
        (
            "of another issuer",
            issued(&server.keys, "elsewhere", "sallyport", &claims),
        ),
        (
            "for another audience",
            issued(&server.keys, "sallyport", "elsewhere", &claims),
        ),
        (
            "by another key",
            issued(&other_keys(stores), "sallyport", "sallyport", &claims),
        ),
        ("cut short", live.access[..live.access.len() - 3].to_owned()),
    ];
    Tokens {
        live,
        temp,
        device,
        closed,
    }
}

impl Tokens {
    /// All but one.
    fn but<'a>(&'a self, right: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
        let live = std::iter::once(("an access token", self.live.access.as_str()));
        let closed = self.closed.iter();
        let all = live.chain(closed.map(|(kind, token)| (*kind, token.as_str())));
        all.filter(move |(_, token)| *token != right)
    }
}

async fn status(
    server: &TestServer,
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
    let answer = server
        .ask(verb.clone(), path, &headers, Bytes::from(body))
        .await;
    let shown = serde_json::from_str(&answer.text).unwrap_or_default();
    (answer.status, shown)
}

#[tokio::test]
async fn only_a_live_access_token_opens_a_protected_route() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let routes = protected(&server).await;
    assert!(routes.len() >= 22, "{routes:?}");
    let tokens = tokens(&stores, &server).await;
    for (verb, path) in &routes {
        let (none, _) = status(&server, verb, path, None).await;
        assert_eq!(
            none,
            StatusCode::UNAUTHORIZED,
            "{verb} {path} without a token"
        );
        for (kind, token) in tokens.but(&tokens.live.access) {
            let (refused, body) = status(&server, verb, path, Some(token)).await;
            assert_eq!(
                refused,
                StatusCode::UNAUTHORIZED,
                "{verb} {path} with a token {kind}: {body}"
            );
        }
    }
    for (verb, path) in routes.iter().filter(|(verb, _)| *verb == Method::GET) {
        let (opened, body) = status(&server, verb, path, Some(&tokens.live.access)).await;
        // Nobody has the record that a path names.
        let expected = if path.contains(SOME_ID) { 404 } else { 200 };
        assert_eq!(opened, expected, "{verb} {path}: {body}");
    }
    assert_eq!(
        server.me(&tokens.live).await,
        StatusCode::OK,
        "nothing was ended by it"
    );
}

#[tokio::test]
async fn an_access_token_opens_every_protected_route_and_a_stale_one_those_that_are_not_sensitive()
{
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let routes = operations(&server).await;
    let asked = |route: &&str| {
        routes
            .iter()
            .any(|(v, p, asks)| *asks && format!("{v} {p}") == **route)
    };
    let unknown: Vec<_> = RECENT.iter().filter(|route| !asked(route)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for is_stale in [false, true] {
        let mut members = Vec::new();
        for number in 0..routes.len() {
            members.push(server.register(&format!("user-{is_stale}-{number}")).await);
        }
        if is_stale {
            stores.clock.advance(STALE);
        }
        // Each with an account of its own: some of these routes end sessions.
        let protected = routes.iter().zip(members).filter(|((.., asks), _)| *asks);
        for ((verb, path, _), member) in protected {
            let is_sensitive = RECENT.contains(&format!("{verb} {path}").as_str());
            let path = path.replace("{id}", SOME_ID);
            let (status, body) = status(&server, verb, &path, Some(&member.access)).await;
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
            assert_eq!(
                refused,
                is_stale && is_sensitive,
                "{is_stale} {verb} {path}: {body}"
            );
            if refused {
                assert_eq!(body["code"], "reauthentication_required", "{verb} {path}");
            }
        }
    }
}

#[tokio::test]
async fn an_api_key_opens_the_routes_of_its_scope_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let alice = server.register("alice").await;
    let routes = documented(&server).await;
    let with_scope = routes.iter().filter(|route| route.scope.is_some()).count();
    assert_eq!(with_scope, 8);
    let star = SCOPES.iter().copied().chain(["*"]);
    for scope in star {
        let wanted = json!({ "name": scope, "scopes": [scope] });
        let made = alice.send("POST /api-keys", Some(&wanted)).await.ok();
        let key = made.data("apiKey");
        for route in routes.iter().filter(|route| route.asks) {
            let path = route.path.replace("{id}", SOME_ID);
            let opens = route
                .scope
                .as_deref()
                .is_some_and(|needed| needed == scope || scope == "*");
            let (status, body) = status(&server, &route.verb, &path, Some(&key)).await;
            let name = format!("{} {path} with a key for {scope}: {body}", route.verb);
            if opens {
                assert!(!matches!(status.as_u16(), 401 | 403), "{name}");
            } else {
                assert_eq!(
                    (status.as_u16(), &body["code"]),
                    (403, &json!("forbidden")),
                    "{name}"
                );
            }
        }
    }
    assert_eq!(
        server.me(&alice).await,
        StatusCode::OK,
        "nothing was ended by it"
    );
}

#[tokio::test]
async fn a_public_route_does_the_same_whatever_token_is_beside_it() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited()).await;
    let tokens = tokens(&stores, &server).await;
    let routes = operations(&server).await;
    let public = routes.iter().filter(|(.., asks)| !asks);
    // A logout is the one that takes an access token though it asks for none.
    let public: Vec<_> = public
        .filter(|(_, path, _)| path != "/api/auth/logout")
        .collect();
    assert!(public.len() >= 11, "{public:?}");
    for (verb, path, _) in public {
        let (expected, _) = status(&server, verb, path, None).await;
        for (kind, token) in tokens.but("") {
            let (found, body) = status(&server, verb, path, Some(token)).await;
            assert_eq!(found, expected, "{verb} {path} with {kind}: {body}");
        }
    }
}

async fn login_with(server: &TestServer, device_token: &str, cookie: Option<&str>) -> Answer {
    let body = json!({
        "emailOrUsername": "alice", "password": PASSWORD, "deviceToken": device_token,
    });
    let cookie = cookie.map(|cookie| ("cookie", cookie));
    let headers: Vec<_> = cookie.into_iter().collect();
    server.send("POST /auth/login", &headers, Some(&body)).await
}

#[tokio::test]
async fn a_field_takes_its_own_kind_of_token_alone() {
    let stores = TestStores::new(Kind::Single).await;
    let server = TestServer::open(&stores, Options::unlimited().with_outbox()).await;
    let tokens = tokens(&stores, &server).await;
    for route in [
        "/api/2fa/verify",
        "/api/2fa/verify-backup-code",
        "/api/2fa/resend",
    ] {
        for (kind, token) in tokens.but(&tokens.temp.temp_token) {
            let code = if route.ends_with("code") {
                "ABCD-EFGH"
            } else {
                "123456"
            };
            let body = json!({ "tempToken": token, "code": code, "method": "sms" });
            let refused = server.post(route, &body).await;
            if token.len() > 512 {
                assert_eq!(
                    refused.problem(),
                    (400, "invalid_input".to_owned()),
                    "{route} {kind}"
                );
                continue;
            }
            let expected = (401, "challenge_expired".to_owned());
            assert_eq!(refused.problem(), expected, "{route} with {kind}");
        }
    }
    for (kind, token) in tokens.but(&tokens.live.refresh) {
        let refused = server.refresh(token).await;
        assert_eq!(
            refused.status,
            StatusCode::UNAUTHORIZED,
            "refresh with {kind}"
        );
        let cookie = format!("refreshToken={token}");
        let headers = [
            ("cookie", cookie.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        let refused = server.send("POST /auth/refresh", &headers, None).await;
        assert_eq!(
            refused.status,
            StatusCode::UNAUTHORIZED,
            "cookie with {kind}"
        );
        let logout = json!({ "refreshToken": token });
        server.post("/api/auth/logout", &logout).await;
    }
    assert_eq!(
        server.me(&tokens.live).await,
        StatusCode::OK,
        "nothing was ended by it"
    );
    for (kind, token) in tokens.but(&tokens.device) {
        for cookie in [None, Some(format!("deviceToken={token}"))] {
            let sent = if cookie.is_some() { "" } else { token };
            let due = login_with(&server, sent, cookie.as_deref()).await;
            assert_eq!(
                due.status,
                StatusCode::OK,
                "login with {kind}: {}",
                due.text
            );
            assert_eq!(
                due.json()["data"]["requiresTwoFactor"],
                true,
                "login with {kind}"
            );
        }
    }
    let let_in = login_with(&server, &tokens.device, None).await;
    assert!(
        let_in.json()["data"]["accessToken"].is_string(),
        "{}",
        let_in.text
    );
    assert_eq!(
        server.refresh(&tokens.live.refresh).await.status,
        StatusCode::OK
    );
    let wrong = tokens.temp.verify("12345").await;
    assert_eq!(wrong.problem(), (400, "invalid_code".to_owned()));
}
