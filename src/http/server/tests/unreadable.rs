//! Requests that hyper refuses to read are answered like all others.

use super::*;

struct Seen {
    status: String,
    headers: Vec<String>,
    body: serde_json::Value,
}

impl Seen {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        Self {
            status: lines.next().expect("a status").to_owned(),
            headers: lines.map(str::to_owned).collect(),
            body: serde_json::from_str(body).unwrap_or_else(|_| panic!("no problem: {text}")),
        }
    }

    fn header(&self, name: &str) -> &str {
        let values = self.headers.iter().filter_map(|line| line.split_once(": "));
        let mut values = values.filter(|(found, _)| *found == name);
        let (_, value) = values.next().unwrap_or_else(|| panic!("no {name}"));
        assert!(values.next().is_none(), "{name} twice");
        value
    }

    fn is_complete(&self, status: &str, code: &str) {
        assert_eq!(self.status, format!("HTTP/1.1 {status}"));
        assert_eq!(self.body["code"], code);
        assert_eq!(self.body["instance"], self.header("x-request-id"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("connection"), "close");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert!(self.header("date").ends_with(" GMT"));
        let length: usize = self.header("content-length").parse().expect("a number");
        assert_eq!(length, self.body.to_string().len());
    }
}

#[tokio::test]
async fn what_is_not_http_or_may_be_read_two_ways_is_refused() {
    let server = start(patient()).await;
    for malformed in [
        "GARBAGE GARBAGE GARBAGE GARBAGE\r\n\r\n",
        "GET /hello HTTP/3.7\r\nhost: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: a\r\nb ad: x\r\n\r\n",
        "POST /take HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    ] {
        let text = server.talk(malformed.as_bytes()).await;
        Seen::of(&text).is_complete("400 Bad Request", "malformed_request");
    }
}

#[tokio::test]
async fn too_many_headers_are_refused_with_a_problem() {
    let server = start(patient()).await;
    let fields = "x: y\r\n".repeat(150);
    let request = format!("GET /hello HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    let seen = Seen::of(&server.talk(request.as_bytes()).await);
    seen.is_complete("431 Request Header Fields Too Large", "headers_too_large");
}

#[tokio::test]
async fn the_answer_before_an_unreadable_request_stays_whole() {
    let server = start(patient()).await;
    let text = server
        .talk(format!("{HELLO}GARBAGE\r\n\r\n").as_bytes())
        .await;
    let (first, second) = text.split_once(WORLD).expect("the first answer");
    assert!(first.starts_with("HTTP/1.1 200 OK"), "{first}");
    Seen::of(second).is_complete("400 Bad Request", "malformed_request");
}

#[tokio::test]
async fn refusals_of_our_own_are_not_touched() {
    let server = start(patient()).await;
    let head =
        "HEAD /nowhere HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\nconnection: close\r\n\r\n";
    let text = server.talk(head.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
    assert!(
        text.contains("x-request-id: mine\r\n") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
}
