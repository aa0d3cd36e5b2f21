//! Parts of the contract that no route of the API uses yet, each through dispatch with routes of its own.

use crate::core::permission::{Permission, Scope};
use crate::http::contract::access::Access;
use crate::http::contract::cookies::{CookieSpec, SameSite};
use crate::http::contract::input::{Form, Query};
use crate::http::contract::text::Bounded;
use crate::model::{DeviceId, MethodId};

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

async fn anything(_: Call, (): ()) -> Result<Reply, Problem> {
    Reply::done("Done")
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
    open(Route::get("/scope", handler!(anything))).open_to(Access::Scope(Scope::UserRead)),
    open(Route::get("/permission", handler!(anything)))
        .open_to(Access::Permission(Permission::UsersDisable)),
];

async fn asked(line: &str, headers: &[(&str, &str)], body: &str) -> Seen {
    let state = AppState::without_stores(settings(), CancellationToken::new());
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
        "`forbidden`: Not allowed. `address_not_allowed`: The API key may not be used from this address"
    );
    let permission = operation("/permission", "get")["security"].clone();
    let expected = serde_json::json!([{ "accessToken": ["users.disable"] }]);
    assert_eq!(permission, expected);
    let moved = operation("/moved", "post")["responses"]["303"].clone();
    assert!(moved["headers"]["Location"].is_object() && moved.get("content").is_none());
}
