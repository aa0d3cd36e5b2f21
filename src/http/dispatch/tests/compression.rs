//! Answers as clients that take compressed ones get them.

use std::io::Read as _;

use super::*;
use crate::http::contract::route::Secrecy;

const LONG: &str = "a long text of which the half would do, ";

async fn list(_: Call, (): ()) -> Result<Reply, Problem> {
    Reply::ok("All of it", LONG.repeat(50))
}

async fn large(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(Reply::ok("All of it", LONG.repeat(5000))?.version("v1"))
}

async fn short(_: Call, (): ()) -> Result<Reply, Problem> {
    Reply::ok("All of it", LONG)
}

async fn page(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(Reply::page(LONG.repeat(50)))
}

const ROUTES: &[Route] = &[
    open(Route::get("/list", handler!(list))),
    open(Route::get("/large", handler!(large))),
    open(Route::get("/short", handler!(short))),
    open(Route::get("/page", handler!(page))),
    open(Route::post("/list", handler!(list))),
    open(Route::get("/codes", handler!(list))).holds_secrets(),
];

/// Status, headers and bytes of an answer to a client that takes `codings`.
async fn asked(line: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Bytes) {
    let state = AppState::without_stores(settings(), CancellationToken::new());
    let service = serving(ROUTES, state);
    let peer = IpAddr::from([10, 0, 0, 1]);
    let answer = dispatch(service, peer, request(line, headers, "")).await;
    let (parts, body) = answer.expect("cannot fail").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (parts.status.as_u16(), parts.headers, bytes)
}

fn varies(headers: &HeaderMap) -> bool {
    let vary = headers.get_all(header::VARY).iter();
    vary.into_iter().any(|value| value == "Accept-Encoding")
}

#[tokio::test]
async fn json_of_a_kibibyte_and_more_is_compressed_as_the_client_asks() {
    let (_, plain, whole) = asked("GET /list", &[]).await;
    assert!(!plain.contains_key(header::CONTENT_ENCODING) && varies(&plain));
    for line in ["GET /list", "GET /large"] {
        let (_, _, whole) = asked(line, &[]).await;
        for _ in 0..2 {
            let (_, headers, body) = asked(line, &[("accept-encoding", "gzip")]).await;
            assert_eq!(headers[header::CONTENT_ENCODING], "gzip", "{line}");
            let mut unpacked = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&body[..]);
            decoder.read_to_end(&mut unpacked).expect("is gzip");
            assert!(unpacked == whole && body.len() < whole.len() / 4, "{line}");

            let (_, headers, body) = asked(line, &[("accept-encoding", "gzip, br")]).await;
            assert_eq!(headers[header::CONTENT_ENCODING], "br", "{line}");
            let mut unpacked = Vec::new();
            brotli::BrotliDecompress(&mut &body[..], &mut unpacked).expect("is Brotli");
            assert!(unpacked == whole && body.len() < whole.len() / 4, "{line}");
        }
    }
    let (_, headers, body) = asked("GET /list", &[("accept-encoding", "gzip;q=0")]).await;
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    assert_eq!(body, whole);
}

#[tokio::test]
async fn what_may_hold_secrets_or_is_small_or_no_json_is_left_as_it_is() {
    for line in [
        "POST /list",
        "GET /codes",
        "GET /short",
        "GET /page",
        "GET /nowhere",
    ] {
        let (_, headers, _) = asked(line, &[("accept-encoding", "gzip, br")]).await;
        assert!(!headers.contains_key(header::CONTENT_ENCODING), "{line}");
        assert_eq!(varies(&headers), line == "GET /short", "{line}");
    }
}

#[tokio::test]
async fn a_compressed_document_has_a_weak_version_that_is_known_again() {
    let gzip = ("accept-encoding", "gzip");
    let (_, headers, _) = asked("GET /large", &[gzip]).await;
    let version = headers[header::ETAG].to_str().expect("text").to_owned();
    assert_eq!(version, "W/\"v1\"");
    for coding in ["gzip", "br", "identity"] {
        let headers = [("accept-encoding", coding), ("if-none-match", &version)];
        let (status, _, body) = asked("GET /large", &headers).await;
        assert_eq!((status, body.len()), (304, 0), "{coding}");
    }
}

#[test]
fn every_answer_of_the_api_that_may_be_compressed_is_free_of_secrets() {
    let document = crate::http::contract::openapi::document();
    let schemas = &document["components"]["schemas"];
    for route in crate::http::api::public().filter(|route| route.verb.is_safe()) {
        let responses = &document["paths"][route.path]["get"]["responses"];
        let shown = responses.to_string() + &used(schemas, responses);
        for secret in [
            "accessToken",
            "refreshToken",
            "tempToken",
            "deviceToken",
            "backupCodes",
        ] {
            let member = format!("\"{secret}\":");
            let told = shown.contains(&member) && route.secrecy == Secrecy::Usual;
            assert!(!told, "{}", route.path);
        }
    }
}

/// The schemas that a value refers to, and those that they refer to.
fn used(schemas: &Value, value: &Value) -> String {
    let text = value.to_string();
    let names = text.split("#/components/schemas/").skip(1);
    let names = names.filter_map(|rest| rest.split('"').next());
    let parts = names.map(|name| schemas[name].to_string() + &used(schemas, &schemas[name]));
    parts.collect()
}
