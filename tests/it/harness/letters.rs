//! Letters that stay in the server's local outbox, as in dev mode.

use std::time::Duration;

use http::StatusCode;
use sallyport::clock;
use serde_json::Value;

use super::Anonymous;

impl Anonymous {
    /// Letters of the outbox, newest first.
    pub async fn letters(&self) -> Vec<Value> {
        let outbox = self.send("GET /dev/outbox", &[], None).await;
        assert_eq!(outbox.status, StatusCode::OK, "{}", outbox.text);
        outbox.json()["letters"].as_array().expect("a list").clone()
    }

    /// The code of the newest letter with one, once there are more than `before`.
    pub async fn sent_code(&self, before: usize) -> String {
        loop {
            let letters = self.letters().await;
            let new = &letters[..letters.len().saturating_sub(before)];
            if let Some(code) = new.iter().find_map(code_of) {
                return code;
            }
            clock::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The code in the `nth` letter with one, from 1, that goes `to` somebody. Waits for it.
    pub async fn code_sent_to(&self, to: &str, nth: usize) -> String {
        loop {
            let letters = self.letters().await;
            let sent = letters.iter().rev().filter(|letter| letter["to"] == to);
            if let Some(code) = sent.filter_map(code_of).nth(nth - 1) {
                return code;
            }
            clock::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn code_of(letter: &Value) -> Option<String> {
    code_in(letter["text"].as_str().expect("text"))
}

/// The first six digits that stand for themselves.
pub fn code_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut digits = words.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    digits.find(|word| word.len() == 6).map(str::to_owned)
}
