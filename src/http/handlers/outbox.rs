//! `GET /dev/outbox`: letters that stayed in the house, for programs as JSON and for people as a page that
//! fits a phone. The page has no script and no style: the headers that stand on every response allow none.

use std::fmt::Write as _;

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde::Serialize;

use crate::auth::Delivered;
use crate::http::call::Call;
use crate::http::problem::{Kind, Problem};
use crate::http::reply::Reply;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The outbox for programs.
#[derive(Serialize)]
struct Outbox {
    /// Newest first.
    letters: Vec<Delivered>,
}

/// Shows the newest letters.
pub(in crate::http) async fn show(call: Call) -> Result<Reply, Problem> {
    let outbox = call.auth()?.outbox();
    let letters = outbox
        .ok_or_else(|| Problem::new(Kind::NotFound))?
        .letters();
    let accept = call.accept.as_ref().and_then(|value| value.to_str().ok());
    if accept.is_some_and(prefers_a_page) {
        return Ok(Reply::raw(HTML, Bytes::from(page(&letters))));
    }
    Reply::json(&Outbox { letters })
}

/// Whether `Accept` (RFC 9110, 12.5.1) wants HTML more than JSON. Who takes anything gets JSON.
fn prefers_a_page(accept: &str) -> bool {
    quality(accept, "text/html") > quality(accept, "application/json")
}

/// What a media type is worth to the client, in thousandths: by its own name, or its group's, or any.
fn quality(accept: &str, wanted: &str) -> u16 {
    let group = wanted.split_once('/').map_or(wanted, |(group, _)| group);
    let rank = |range: &str| {
        let range = range.to_ascii_lowercase();
        match range.split_once('/') {
            _ if range == wanted => 3,
            Some((named, "*")) if named == group => 2,
            Some(("*", "*")) => 1,
            _ => 0,
        }
    };
    let ranges = accept.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let rank = rank(parts.next().unwrap_or_default());
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        (rank, weight.map_or(1000, thousandths))
    });
    let nearest = ranges.filter(|(rank, _)| *rank > 0).max();
    nearest.map_or(0, |(_, weight)| weight)
}

/// `0.8` is 800. What is no weight is worth nothing.
fn thousandths(weight: &str) -> u16 {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let part = format!("{part:0<3}");
    match (whole, part.len(), part.parse()) {
        ("1", ..) => 1000,
        ("0", 3, Ok(part)) => part,
        _ => 0,
    }
}

fn page(letters: &[Delivered]) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Outbox</title>\n</head>\n\
         <body>\n<h1>Outbox</h1>\n<p>What would have been sent, newest first.</p>\n",
    );
    if letters.is_empty() {
        page.push_str("<p>Nothing yet.</p>\n");
    }
    for letter in letters {
        write_letter(&mut page, letter);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn write_letter(page: &mut String, letter: &Delivered) {
    let way = letter.channel.label();
    let _ = write!(
        page,
        "<article>\n<h2>{way} to {}</h2>\n",
        Escaped(&letter.to)
    );
    if let Some(subject) = &letter.subject {
        let _ = writeln!(page, "<h3>{}</h3>", Escaped(subject));
    }
    let _ = writeln!(page, "<p><time>{}</time></p>\n<p>", letter.at);
    for line in letter.text.lines() {
        let _ = writeln!(page, "{}<br>", Escaped(line));
    }
    page.push_str("</p>\n</article>\n<hr>\n");
}

/// Text that means nothing but itself in a page.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, Timestamp};
    use crate::outbound::Channel;

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
            "application/json;q=0.5, TEXT/HTML ; q=0.9",
            "text/*",
        ] {
            assert!(prefers_a_page(browser), "{browser}");
        }
        for program in [
            "*/*",
            "",
            "application/json",
            "application/json, text/html;q=0.9",
            "text/html;q=0, */*;q=0.1",
            "text/html;q=2",
            "text/html;q=0.12345, application/json;q=0.1",
        ] {
            assert!(!prefers_a_page(program), "{program}");
        }
    }

    #[test]
    fn a_letter_cannot_break_out_of_the_page() {
        let now = Timestamp::from_micros(1_795_174_200_000_000);
        let letter = Delivered {
            id: Id::new(now, [7; 10]),
            channel: Channel::Email,
            to: "\"<b>\"@example.com".to_owned(),
            subject: Some("A & B's".to_owned()),
            text: "one\n</p><script>alert(1)</script>".to_owned(),
            at: now,
        };
        insta::assert_snapshot!(page(&[letter]), @r#"
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Outbox</title>
        </head>
        <body>
        <h1>Outbox</h1>
        <p>What would have been sent, newest first.</p>
        <article>
        <h2>email to &quot;&lt;b&gt;&quot;@example.com</h2>
        <h3>A &amp; B&#39;s</h3>
        <p><time>2026-11-20T11:30:00Z</time></p>
        <p>
        one<br>
        &lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;<br>
        </p>
        </article>
        <hr>
        </body>
        </html>
        "#);
        assert!(page(&[]).contains("Nothing yet."));
    }
}
