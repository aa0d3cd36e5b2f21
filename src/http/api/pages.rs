//! `GET /` says what answers here, `GET /docs` shows the API to people: the `OpenAPI` document as a page that needs
//! nothing from elsewhere, no script and no style.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::documents::FIVE_MINUTES;
use crate::http::contract::html::{self, Escaped, Prose};
use crate::http::contract::openapi;
use crate::http::contract::prelude::*;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/", handler!(root))
        .titled(
            Tag::Documents,
            "root",
            "Name of this service, and where its documents are",
        )
        .described(
            "For whoever opens the address: what answers here, the prefix of the API, and the paths of its documents.",
        )
        .open_to(Public)
        .limited_by(Limit::Unlimited)
        .shows::<Root>(&[200]),
    Route::get("/docs", handler!(docs))
        .titled(Tag::Documents, "docs", "This document as a page")
        .described("The same as `/openapi.json`, for people. It loads nothing from elsewhere.")
        .open_to(Public)
        .limited_by(Limit::Unlimited)
        .shows_content("text/html"),
];

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Description of the service.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Root {
    service: &'static str,
    about: &'static str,
    /// Prefix of every route of the API.
    api: String,
    /// The API as a page.
    documentation: &'static str,
    /// The API as a document.
    openapi: &'static str,
    health: &'static str,
}

const ABOUT: &str = "Login and two-factor service";

async fn root(call: Call, (): ()) -> Result<Reply, Problem> {
    let root = Root {
        service: "sallyport",
        about: ABOUT,
        api: call.state.settings.base_path.clone(),
        documentation: "/docs",
        openapi: "/openapi.json",
        health: "/health",
    };
    if call.prefers_a_page() {
        return Ok(Reply::page(root_page(&root)));
    }
    Reply::json(&root)
}

/// Links are relative, so that they hold behind a proxy that adds a prefix.
fn root_page(root: &Root) -> String {
    let mut page = html::begin("Sallyport");
    let _ = write!(
        page,
        "<p>{}. Programs call it below <code>{}</code>.</p>\n<ul>\n\
         <li><a href=\"docs\">The API</a></li>\n\
         <li><a href=\"openapi.json\">The API as an OpenAPI document</a></li>\n\
         <li><a href=\"health\">Health</a></li>\n</ul>\n",
        root.about,
        Escaped(&root.api)
    );
    html::end(page)
}

/// The page, made at its first use.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(docs_page(&openapi::document())));

async fn docs(_: Call, (): ()) -> Result<Reply, Problem> {
    Ok(Reply::file(HTML, PAGE.clone()).cached(FIVE_MINUTES))
}

/// An `OpenAPI` document as a page: a heading for each tag, below it each operation, closed until it is looked at.
fn docs_page(document: &Value) -> String {
    let mut page = html::begin("Sallyport API");
    page.push_str(
        "<p>Every route answers below <code>/api</code> and without that prefix. The same as a document for \
         programs: <a href=\"openapi.json\">openapi.json</a>.</p>\n",
    );
    for tag in array(&document["tags"]) {
        let name = text(&tag["name"]);
        let _ = writeln!(
            page,
            "<h2>{}</h2>\n<p>{}</p>",
            Escaped(name),
            Prose(text(&tag["description"]))
        );
        for (path, verbs) in object(&document["paths"]) {
            for (verb, operation) in object(verbs) {
                if array(&operation["tags"]).any(|own| own == name) {
                    write_operation(&mut page, verb, path, operation);
                }
            }
        }
    }
    html::end(page)
}

fn write_operation(page: &mut String, verb: &str, path: &str, operation: &Value) {
    let _ = writeln!(
        page,
        "<details>\n<summary><code>{} {}</code> {}</summary>",
        verb.to_ascii_uppercase(),
        Escaped(path),
        Prose(text(&operation["summary"])),
    );
    let description = text(&operation["description"]);
    if !description.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", Prose(description));
    }
    let schemes = array(&operation["security"])
        .flat_map(object)
        .map(|(scheme, _)| scheme.as_str());
    let schemes: Vec<&str> = schemes.collect();
    if !schemes.is_empty() {
        let _ = writeln!(page, "<p>Credentials: {}</p>", schemes.join(" or "));
    }
    for parameter in array(&operation["parameters"]) {
        let (name, within) = (text(&parameter["name"]), text(&parameter["in"]));
        let about = text(&parameter["description"]);
        let _ = writeln!(
            page,
            "<p><code>{}</code> ({within}) {}</p>",
            Escaped(name),
            Prose(about)
        );
    }
    write_examples(page, "Request", &operation["requestBody"]["content"]);
    for (status, response) in object(&operation["responses"]) {
        let about = text(&response["description"]);
        let _ = writeln!(page, "<p><strong>{status}</strong> {}</p>", Prose(about));
        write_examples(page, "Answer", &response["content"]);
    }
    page.push_str("</details>\n");
}

/// The example of each media type.
fn write_examples(page: &mut String, title: &str, content: &Value) {
    for (media_type, body) in object(content) {
        let _ = writeln!(
            page,
            "<p>{title}, <code>{}</code>:</p>",
            Escaped(media_type)
        );
        if let Some(example) = body.get("example") {
            // Long lines wrap, so that the page fits a phone: no style may say that.
            let _ = writeln!(page, "<pre wrap>{}</pre>", Escaped(&format!("{example:#}")));
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_operation_and_needs_nothing_from_elsewhere() {
        let document = openapi::document();
        let page = docs_page(&document);
        for (path, verbs) in object(&document["paths"]) {
            for (verb, _) in object(verbs) {
                let operation =
                    format!("<summary><code>{} {path}</code>", verb.to_ascii_uppercase());
                assert_eq!(page.matches(&operation).count(), 1, "{operation}");
            }
        }
        for foreign in [
            "<script", "<style", "<link", "<img", "http://", "src=", "style=",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(!page.contains('`'), "words of code are marked as such");
        assert!(!page.contains("<pre>"), "long lines wrap");
        let ends_a_line = |c: char| c.is_whitespace() || "-/?<>".contains(c);
        for word in page.split(ends_a_line) {
            assert!(word.chars().count() <= 48, "wider than a phone: {word}");
        }
        assert!(page.len() < 256 * 1024, "{}", page.len());
    }

    #[test]
    fn nothing_in_the_document_breaks_out_of_the_page() {
        let hostile = "</pre><script>alert(1)</script>";
        let document = serde_json::json!({
            "tags": [{ "name": hostile, "description": hostile }],
            "paths": { hostile: { "get": {
                "tags": [hostile], "summary": hostile, "description": hostile,
                "parameters": [{ "name": hostile, "in": "query", "description": hostile }],
                "requestBody": { "content": { hostile: { "example": hostile } } },
                "responses": { "200": { "description": hostile } },
            } } },
        });
        assert!(!docs_page(&document).contains("<script"));
    }
}
