//! `GET /dev/outbox`: letters that were not sent but kept, for programs as JSON and for people as a page that
//! fits a phone. The page has no script and no style: the headers that stand on every response allow none.

use std::fmt::Write as _;

use serde::Serialize;

use crate::core::Delivered;
use crate::http::contract::html::{self, Escaped};
use crate::http::contract::prelude::*;

pub(crate) const ROUTES: &[Route] = &[Route::get("/dev/outbox", handler!(show))
    .titled(Tag::Dev, "outbox", "Letters that were kept instead of sent")
    .open_to(Public)
    .limited_by(Limit::Unlimited)
    .shows_document()
    .refuses(&[Kind::Forbidden])];

/// The outbox for programs.
#[derive(Serialize)]
struct Outbox {
    /// Newest first.
    letters: Vec<Delivered>,
}

/// Shows the newest letters.
async fn show(call: Call, (): ()) -> Result<Reply, Problem> {
    call.require_loopback_host()?;
    let outbox = call.core()?.local_outbox();
    let letters = outbox
        .ok_or_else(|| Problem::new(Kind::NotFound))?
        .letters();
    if call.prefers_a_page() {
        return Ok(Reply::page(page(&letters)));
    }
    Reply::json(&Outbox { letters })
}

fn page(letters: &[Delivered]) -> String {
    let mut page = html::begin("Outbox");
    page.push_str("<p>What would have been sent, newest first.</p>\n");
    if letters.is_empty() {
        page.push_str("<p>Nothing yet.</p>\n");
    }
    for letter in letters {
        write_letter(&mut page, letter);
    }
    html::end(page)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Id, Timestamp};
    use crate::outbound::Channel;

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
