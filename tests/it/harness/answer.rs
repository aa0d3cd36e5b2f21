//! Answers as a client sees them.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Anonymous;

/// An HTTP response with its whole body, and the client that asked.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub client: Anonymous,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header's first value; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// The problem's code.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }

    /// The answer itself, which must be a success.
    pub fn ok(self) -> Self {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text);
        self
    }

    /// A text in `data`.
    pub fn data(&self, name: &str) -> String {
        let value = self.json()["data"][name].clone();
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    /// `name=value` of a cookie that was set, if it was.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let set = self.headers.get_all("set-cookie").iter();
        let mut cookies = set.map(|cookie| cookie.to_str().expect("text"));
        let cookie = cookies.find(|cookie| cookie.starts_with(&format!("{name}=")))?;
        Some(cookie.split(';').next().unwrap_or(cookie).to_owned())
    }

    /// The body's JSON with ids, times, tokens and codes replaced, for snapshots.
    pub fn redacted(&self) -> Value {
        let mut json = self.json();
        redact(&mut json);
        json
    }
}

/// Replaces what differs from run to run.
fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let replacement = match name.as_str() {
                    "id" | "instance" => "(id)",
                    "accessToken" | "refreshToken" | "tempToken" | "deviceToken" => "(token)",
                    "secret" | "otpauthUrl" | "qrCode" => "(secret)",
                    name if name.ends_with("At") => "(time)",
                    _ => {
                        redact(member);
                        continue;
                    }
                };
                if !member.is_null() {
                    *member = replacement.into();
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::String(text) if text.len() == 9 && text.as_bytes()[4] == b'-' => {
            "(code)".clone_into(text);
        }
        _ => {}
    }
}

/// Strings of a JSON array.
pub fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|text| text.as_str().expect("text").to_owned())
        .collect()
}
