//! Parts of the contract that no route of the API uses yet, each through dispatch with routes of its own.

use crate::core::Caller;
use crate::core::permission::{Permission, Scope};
use crate::core::{ApiKeyPrincipal, Principal};
use crate::crypto::Claims;
use crate::http::contract::access::Access;
use crate::http::contract::cookies::{CookieSpec, SameSite};
use crate::http::contract::input::{Form, Query};
use crate::http::contract::text::Bounded;
use crate::model::{
    ClientInfo, DeviceId, Email, Id, Lifetimes, MethodId, NewSession, Session, Timestamp, User,
    Username,
};

use super::*;

#[derive(Deserialize, utoipa::ToSchema)]
struct Page {
    /// Most items.
    limit: Option<u16>,
    #[schema(value_type = Option<String>, max_length = 8)]
    cursor: Option<Bounded<8>>,
}

async fn pair(
    _: Call,
    (Path((device, method)), Query(page)): (Path<(DeviceId, MethodId)>, Query<Page>),
) -> Result<Reply, Problem> {
    let cursor = page.cursor.as_ref().map(Bounded::as_str);
    Reply::ok("Found", (device, method, page.limit, cursor))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct TokenForm {
    #[schema(example = "text")]
    token: String,
    token_type_hint: Option<String>,
}

async fn introspect(_: Call, Form(form): Form<TokenForm>) -> Result<Reply, Problem> {
    Reply::json(&(form.token, form.token_type_hint))
}

async fn import(_: Call, Json(wish): Json<Wish>) -> Result<Reply, Problem> {
    Reply::ok("Imported", wish.word.len())
}

async fn kind_of_caller(call: Call, (): ()) -> Result<Reply, Problem> {
    let kind = match &call.principal {
        None => "nobody",
        Some(Principal::Session(_)) => "session",
        Some(Principal::ApiKey(_)) => "key",
    };
    Reply::ok("You", kind)
}

async fn account(call: Call, (): ()) -> Result<Reply, Problem> {
    Reply::ok("You", call.caller()?.user.username.clone())
}

async fn page(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(Reply::page("<!doctype html>".to_owned()))
}

async fn moved(_: Call, (): ()) -> Result<Reply, Problem> {
    Reply::see_other("/id/login?next=%2F")
}

async fn elsewhere(_: Call, (): ()) -> Result<Reply, Problem> {
    Reply::found("https://github.com/login/oauth/authorize")
}

async fn file(_: Call, (): ()) -> Result<Reply, Problem> {
    let csv = HeaderValue::from_static("text/csv; charset=utf-8");
    let reply = Reply::file(csv, Bytes::from_static(b"a,b\n1,2\n"));
    Ok(reply
        .version("v7")
        .cached("private, max-age=60")
        .download("b\u{fc}cher.csv"))
}

/// Comes back with a browser that another site leads here.
const STATE: CookieSpec = CookieSpec {
    name: "oauthState",
    secure_name: "__Host-oauthState",
    http_only: true,
    same_site: SameSite::Lax,
};

async fn begin(call: Call, (): ()) -> Result<Reply, Problem> {
    let minute = Duration::from_mins(1);
    let cookie = STATE.write("abc", minute, call.state.secure);
    Ok(Reply::empty().cookies(cookie))
}

const ROUTES: &[Route] = &[
    open(Route::get("/devices/:id/methods/:other", handler!(pair))),
    open(Route::post("/introspect", handler!(introspect))),
    open(Route::post("/import", handler!(import))).takes_at_most(200),
    open(Route::post("/short", handler!(import))).takes_at_most(20),
    open(Route::get("/page", handler!(page))).shows_content("text/html"),
    open(Route::post("/moved", handler!(moved))).redirects(303),
    open(Route::get("/elsewhere", handler!(elsewhere))).redirects(302),
    open(Route::get("/file", handler!(file))).shows_content("text/csv"),
    open(Route::get("/begin", handler!(begin))),
    open(Route::get("/challenge", handler!(kind_of_caller))).open_to(Challenge),
    open(Route::get("/user", handler!(kind_of_caller))).open_to(Access::User),
    open(Route::get("/scope", handler!(kind_of_caller))).open_to(Access::Scope(Scope::UserRead)),
    open(Route::get("/scope/account", handler!(account))).open_to(Access::Scope(Scope::UserRead)),
    open(Route::get("/service", handler!(kind_of_caller)))
        .open_to(Access::Scope(Scope::TokensIntrospect)),
    open(Route::get("/permission", handler!(kind_of_caller)))
        .open_to(Access::Permission(Permission::UsersDisable)),
];

/// A person with these roles.
fn person(roles: &[&str]) -> Principal {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let email = Email::parse("ada@example.com").expect("valid");
    let username = Username::parse("ada").expect("valid");
    let id = Id::new(now, [7; 10]);
    let mut user = User::register(id.into(), &email, &username, String::new(), now);
    user.roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let hour = Duration::from_hours(1);
    let issue = NewSession {
        id: id.into(),
        user: &user,
        refresh_hash: String::new(),
        client: ClientInfo {
            ip_address: [192, 0, 2, 1].into(),
            user_agent: String::new(),
        },
        amr: Vec::new(),
        lifetimes: Lifetimes {
            idle: hour,
            total: hour,
        },
    };
    let session = Session::issue(issue, now);
    let claims = Claims {
        user_id: user.id,
        session_id: session.id,
        issued_at: now,
        expires_at: now,
        auth_time: now,
        amr: Vec::new(),
        roles: Vec::new(),
    };
    Principal::Session(Caller {
        user: Arc::new(user),
        session: Arc::new(session),
        claims: Arc::new(claims),
    })
}

fn key(scopes: &[Scope]) -> Principal {
    let id = Id::new(Timestamp::from_micros(0), [1; 10]);
    Principal::ApiKey(ApiKeyPrincipal {
        id,
        owner: id.into(),
        scopes: scopes.iter().copied().collect(),
    })
}

fn verify(text: &str) -> Option<Principal> {
    Some(match text {
        "pk_ada" => person(&["user"]),
        "pk_admin" => person(&["user", "admin"]),
        "pk_star" => key(&[Scope::All]),
        "pk_reader" => key(&[Scope::UserRead]),
        "pk_service" => key(&[Scope::TokensIntrospect]),
        _ => return None,
    })
}

async fn asked(line: &str, headers: &[(&str, &str)], body: &str) -> Seen {
    let mut state = AppState::without_stores(settings(), CancellationToken::new());
    state.api_keys = Some(verify);
    sent_to(&serving(ROUTES, state), request(line, headers, body)).await
}

const ONE: &str = "019344d0-7c1e-7a5b-9d3f-2b6c8e1f4a07";
const OTHER: &str = "019344d0-7c1e-7a5b-9d3f-000000000000";

#[tokio::test]
async fn a_path_has_several_typed_parameters_and_a_query() {
    let path = format!("GET /api/devices/{ONE}/methods/{OTHER}");
    let found = asked(&format!("{path}?limit=50&cursor=a%2Bb&x=1"), &[], "").await;
    let expected = serde_json::json!([ONE, OTHER, 50, "a+b"]);
    assert_eq!(found.body["data"], expected);
    let bare = asked(&path, &[], "").await;
    assert_eq!(bare.body["data"][2], Value::Null);
    let no_id = asked(&format!("GET /devices/{ONE}/methods/1"), &[], "").await;
    assert_eq!(no_id.status, 404);
    for (query, code, message) in [
        (
            "limit=1&limit=2",
            "invalid_input",
            "limit is given more than once",
        ),
        ("limit=-1", "invalid_input", "limit must be u16"),
        (
            "cursor=123456789",
            "invalid_input",
            "cursor must be a string of at most 8 bytes",
        ),
        (
            "limit=%zz",
            "malformed_request",
            "A parameter is not valid percent-encoded UTF-8",
        ),
    ] {
        let refused = asked(&format!("{path}?{query}"), &[], "").await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.body["code"], code, "{query}");
        assert_eq!(refused.body["message"], message, "{query}");
    }
}

#[tokio::test]
async fn a_form_is_decoded_and_json_is_refused_in_its_place() {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let sent = asked("POST /introspect", &[form], "token=a%20b&x=1").await;
    assert_eq!(sent.body, serde_json::json!(["a b", null]));
    let missing = asked("POST /introspect", &[form], "token_type_hint=a").await;
    assert_eq!(missing.body["message"], "token is required");
    let json = asked("POST /introspect", &[JSON], "{}").await;
    assert_eq!(json.status, 415);
}

#[tokio::test]
async fn a_route_has_a_bound_of_its_own_for_bodies() {
    let body = format!("{{\"word\":\"{}\"}}", "a".repeat(100));
    let taken = asked("POST /import", &[JSON], &body).await;
    assert_eq!(taken.body["data"], 100, "more than MAX_BODY_BYTES");
    let refused = asked("POST /short", &[JSON], "{\"word\":\"aaaaaaaaaa\"}").await;
    assert_eq!(refused.status, 413, "and less than that");
    assert_eq!(refused.body["detail"], "The body may have at most 20 bytes");
}

#[tokio::test]
async fn each_access_lets_in_whom_it_names() {
    let table = [
        // (route, nobody, person, administrator, key *, key user:read, key tokens:introspect)
        ("/challenge", [200, 200, 200, 200, 200, 200]),
        ("/user", [401, 200, 200, 403, 403, 403]),
        ("/scope", [401, 200, 200, 200, 200, 403]),
        ("/service", [401, 403, 200, 403, 403, 200]),
        ("/permission", [401, 403, 200, 403, 403, 403]),
    ];
    let keys = [
        "pk_unknown",
        "pk_ada",
        "pk_admin",
        "pk_star",
        "pk_reader",
        "pk_service",
    ];
    for (path, statuses) in table {
        for (key, status) in keys.iter().zip(statuses) {
            let seen = asked(&format!("GET {path}"), &[("x-api-key", key)], "").await;
            assert_eq!(seen.status, status, "{path} {key}");
            let code = match status {
                401 => "unauthenticated".into(),
                403 => "forbidden".into(),
                _ => Value::Null,
            };
            assert_eq!(seen.body["code"], code, "{path} {key}");
        }
    }
}

#[tokio::test]
async fn a_key_is_sent_in_either_header_and_is_no_person() {
    let bearer = ("authorization", "Bearer pk_reader");
    assert_eq!(asked("GET /scope", &[bearer], "").await.body["data"], "key");
    let person = ("x-api-key", "pk_ada");
    let account = asked("GET /scope/account", &[person], "").await;
    assert_eq!(account.body["data"], "ada");
    let key = asked("GET /scope/account", &[bearer], "").await;
    assert_eq!(
        key.status, 403,
        "a handler that asks for a person gets none"
    );
}

#[tokio::test]
async fn without_a_verifier_no_key_is_let_in() {
    let state = AppState::without_stores(settings(), CancellationToken::new());
    let service = serving(ROUTES, state);
    for headers in [
        [("x-api-key", "pk_star")],
        [("authorization", "Bearer pk_star")],
    ] {
        let seen = sent_to(&service, request("GET /scope", &headers, "")).await;
        assert!([401, 503].contains(&seen.status), "{}", seen.status);
    }
}

#[tokio::test]
async fn a_page_is_html_that_no_cache_keeps() {
    let seen = asked("GET /page", &[], "").await;
    assert_eq!(seen.text, "<!doctype html>");
    assert_eq!(
        seen.headers[header::CONTENT_TYPE],
        "text/html; charset=utf-8"
    );
    assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn a_redirect_has_a_location_and_no_body() {
    let moved = asked("POST /moved", &[], "").await;
    assert_eq!((moved.status, moved.text.as_str()), (303, ""));
    assert_eq!(moved.headers[header::LOCATION], "/id/login?next=%2F");
    assert!(!moved.headers.contains_key(header::CONTENT_TYPE));
    assert_eq!(asked("GET /elsewhere", &[], "").await.status, 302);
}

#[tokio::test]
async fn a_file_has_type_name_cache_and_version() {
    let seen = asked("GET /file", &[], "").await;
    assert_eq!((seen.status, seen.text.as_str()), (200, "a,b\n1,2\n"));
    assert_eq!(
        seen.headers[header::CONTENT_TYPE],
        "text/csv; charset=utf-8"
    );
    assert_eq!(seen.headers[header::CACHE_CONTROL], "private, max-age=60");
    assert_eq!(seen.headers[header::ETAG], "\"v7\"");
    assert_eq!(
        seen.headers[header::CONTENT_DISPOSITION],
        "attachment; filename=\"b_cher.csv\"; filename*=UTF-8''b%C3%BCcher.csv"
    );
}

#[tokio::test]
async fn a_file_that_the_client_has_is_not_sent_again() {
    for known in ["\"v7\"", "W/\"v7\"", "\"v6\", \"v7\"", "*"] {
        let seen = asked("GET /file", &[("if-none-match", known)], "").await;
        assert_eq!((seen.status, seen.text.as_str()), (304, ""), "{known}");
        assert_eq!(seen.headers[header::ETAG], "\"v7\"");
    }
    for other in ["\"v6\"", "v7", ""] {
        let seen = asked("GET /file", &[("if-none-match", other)], "").await;
        assert_eq!(seen.status, 200, "{other}");
    }
}

#[tokio::test]
async fn a_cookie_has_a_same_site_of_its_own() {
    let seen = asked("GET /begin", &[], "").await;
    let cookie = "oauthState=abc; HttpOnly; SameSite=Lax; Path=/; Max-Age=60";
    assert_eq!(seen.headers[header::SET_COOKIE], cookie);
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_static("oauthState=abc"));
    assert_eq!(STATE.read(&headers, false).as_deref(), Some("abc"));
    assert_eq!(STATE.read(&headers, true), None);
}

#[test]
fn the_document_tells_of_queries_forms_scopes_permissions_and_redirects() {
    let routes: Vec<&Route> = ROUTES.iter().collect();
    let document = crate::http::contract::openapi::of(&routes);
    let operation = |path: &str, verb: &str| document["paths"][path][verb].clone();
    let pair = operation("/devices/{id}/methods/{other}", "get");
    let names: Vec<(&str, &str)> = (pair["parameters"].as_array().expect("a list").iter())
        .map(|one| {
            (
                one["name"].as_str().unwrap_or(""),
                one["in"].as_str().unwrap_or(""),
            )
        })
        .collect();
    let expected = [
        ("id", "path"),
        ("other", "path"),
        ("cursor", "query"),
        ("limit", "query"),
    ];
    assert_eq!(names, expected);
    let form = operation("/introspect", "post")["requestBody"]["content"].clone();
    let form = &form["application/x-www-form-urlencoded"];
    assert_eq!(form["example"], serde_json::json!({ "token": "text" }));
    let scope = operation("/scope", "get");
    let expected = serde_json::json!([{ "accessToken": [] }, { "apiKey": ["user:read"] }]);
    assert_eq!(scope["security"], expected);
    assert_eq!(
        scope["responses"]["403"]["description"],
        "`forbidden`: Not allowed"
    );
    let permission = operation("/permission", "get")["security"].clone();
    let expected = serde_json::json!([{ "accessToken": ["users.disable"] }]);
    assert_eq!(permission, expected);
    let moved = operation("/moved", "post")["responses"]["303"].clone();
    assert!(moved["headers"]["Location"].is_object() && moved.get("content").is_none());
}
